//! The library as its user sees it: one thread and many, closing and opening again, failure.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Barrier;
use std::time::Duration;

use super::{Db, DbError, DbOptions, TaskError, Ttl};

fn small() -> DbOptions {
    DbOptions::new().wal_segment_bytes(1 << 20).shards(4).workers(2)
}

fn open(directory: &Path) -> Db {
    Db::open_with_wal(directory, &small()).unwrap()
}

fn all(db: &Db, prefix: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let records: Vec<_> = db.iter_prefix(prefix).collect::<Result<_, _>>().unwrap();
    let map: BTreeMap<_, _> = records.iter().cloned().collect();
    assert_eq!(map.len(), records.len(), "each key comes once");
    map
}

fn is_handle<T: Send + Sync + Clone>() {}

#[test]
fn a_handle_goes_to_other_threads() {
    is_handle::<Db>();
}

fn check_records(db: &Db) {
    assert_eq!(db.get("a").unwrap(), None);
    db.set("a", "1").unwrap();
    db.set("a", "2").unwrap();
    assert_eq!(db.get("a").unwrap().as_deref(), Some(&b"2"[..]));
    assert!(db.exists("a").unwrap() && !db.exists("b").unwrap());
    assert_eq!((db.ttl("a").unwrap(), db.ttl("b").unwrap()), (Ttl::Forever, Ttl::Missing));
    db.set_with_ttl("a", "3", Duration::from_secs(100)).unwrap();
    assert!(matches!(db.ttl("a").unwrap(), Ttl::Left(left) if left > Duration::from_secs(50)));
    assert!(db.delete("a").unwrap() && !db.delete("a").unwrap());
    db.set("gone", "x").unwrap();
    db.set_with_ttl("gone", "y", Duration::ZERO).unwrap();
    assert_eq!(db.get("gone").unwrap(), None, "a time of zero has passed");
    db.set("", "an empty key").unwrap();
    assert_eq!(db.get("").unwrap().as_deref(), Some(&b"an empty key"[..]));
    assert!(db.delete("").unwrap());
}

#[test]
fn records_in_memory() {
    let db = Db::open_in_memory().unwrap();
    check_records(&db);
    assert!(!db.wal_enabled());
    assert_eq!((db.wal_size().unwrap(), db.disk_usage().unwrap()), (0, 0));
    db.flush().unwrap();
    db.compact().unwrap();
    assert!(matches!(db.checkpoint(), Err(DbError::Task(TaskError::NoStorage))));
    assert!(matches!(db.scrub(), Err(DbError::Task(TaskError::NoStorage))));
    assert!(matches!(db.rotate_wal(), Err(DbError::Task(TaskError::NoLog))));
    assert!(matches!(db.clear_wal(), Err(DbError::Task(TaskError::NoLog))));
}

#[test]
fn records_on_disk_survive_closing_and_dropping() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    check_records(&db);
    db.set("kept", "by close").unwrap();
    assert!(db.wal_enabled() && db.wal_size().unwrap() >= 2 << 20 && db.disk_usage().unwrap() > 0);
    let other = db.clone();
    db.close().unwrap();
    assert!(matches!(other.get("kept"), Err(DbError::Closed)));
    assert!(matches!(other.close(), Err(DbError::Closed)));

    let db = open(directory.path());
    assert_eq!(db.get("kept").unwrap().as_deref(), Some(&b"by close"[..]));
    db.set("dropped", "by drop").unwrap();
    drop(db);
    // Another number of workers finds the same.
    let db = small().workers(1).open_with_wal(directory.path()).unwrap();
    let kept = all(&db, "");
    assert_eq!(kept.keys().map(Vec::as_slice).collect::<Vec<_>>(), [&b"dropped"[..], b"kept"]);
}

#[test]
fn a_directory_in_use_and_options_that_do_not_fit_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    assert!(matches!(Db::open_with_wal(directory.path(), &small()), Err(DbError::Lock(_))));
    db.close().unwrap();
    let refused = small().shards(8).open_with_wal(directory.path()).unwrap_err();
    assert!(refused.to_string().contains("the store has 4 shards"), "{refused}");
    for options in [small().shards(0), small().workers(5), small().wal_segment_bytes(4097)] {
        assert!(matches!(options.open_with_wal(directory.path()), Err(DbError::Options(_))), "{options:?}");
    }
}

#[test]
fn many_threads_share_a_store() {
    const THREADS: usize = 8;
    const KEYS: usize = 200;
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    let together = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (db, together) = (db.clone(), &together);
            scope.spawn(move || {
                together.wait();
                for number in 0..KEYS {
                    let key = format!("thread:{thread}:{number}");
                    db.set(&key, number.to_string()).unwrap();
                    assert_eq!(db.get(&key).unwrap(), Some(number.to_string().into_bytes()));
                    if number % 4 == 0 {
                        assert!(db.delete(&key).unwrap());
                    }
                }
            });
        }
    });
    let written = db.stats().unwrap().into_iter().filter_map(|worker| worker.log).map(|log| log.stats);
    let (batches, records) = written.fold((0, 0), |sum, log| (sum.0 + log.batches, sum.1 + log.records));
    assert!(records >= (THREADS * KEYS) as u64);
    assert!(batches < records, "{batches} batches for {records} records: callers share flushes");
    let before = all(&db, "thread:");
    assert_eq!(before.len(), THREADS * KEYS * 3 / 4);
    assert_eq!(all(&db, "thread:3:").len(), KEYS * 3 / 4);
    drop(db);
    assert_eq!(all(&open(directory.path()), "thread:"), before);
}

#[test]
fn iteration_is_bounded_and_finds_large_values_and_no_deleted_keys() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    let value = |number: usize| vec![u8::try_from(number).unwrap(); 300 << 10];
    for number in 0..20 {
        db.set(format!("{{tag}}large:{number:02}"), value(number)).unwrap();
    }
    let mut seen = 0;
    for record in db.iter() {
        let (key, found) = record.unwrap();
        let number: usize = String::from_utf8_lossy(&key).rsplit(':').next().unwrap().parse().unwrap();
        assert_eq!(found, value(number));
        seen += 1;
    }
    assert_eq!(seen, 20);
    let mut records = db.iter();
    let (first, _) = records.next().unwrap().unwrap();
    for number in 0..20 {
        db.delete(format!("{{tag}}large:{number:02}")).unwrap();
    }
    // What was fetched with the first batch still comes; what is fetched now is gone.
    let rest: Vec<_> = records.map(Result::unwrap).collect();
    assert!(rest.len() < 19 && rest.iter().all(|(key, _)| *key != first));
}

#[test]
fn data_larger_than_memory_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let options = small().memory_limit(8 << 20);
    let db = options.open_with_wal(directory.path()).unwrap();
    let value = |number: usize| format!("{number:08}").repeat(1250);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (db, value) = (db.clone(), &value);
            scope.spawn(move || {
                for number in (thread..4000).step_by(4) {
                    db.set(format!("key:{number}"), value(number)).unwrap();
                }
            });
        }
    });
    db.checkpoint().unwrap();
    for number in (0..4000).step_by(7) {
        assert_eq!(db.get(format!("key:{number}")).unwrap(), Some(value(number).into_bytes()));
    }
    assert_eq!(all(&db, "").len(), 4000);
    for number in 0..2000 {
        assert!(db.delete(format!("key:{number}")).unwrap());
    }
    db.compact().unwrap();
    db.close().unwrap();
    let db = options.open_with_wal(directory.path()).unwrap();
    assert_eq!(all(&db, "").len(), 2000);
}

#[test]
fn clearing_the_log_makes_it_small_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    for number in 0..1200 {
        db.set(format!("key:{number}"), vec![b'x'; 8 << 10]).unwrap();
    }
    let generations = |db: &Db| -> Vec<u64> {
        db.stats().unwrap().iter().filter_map(|worker| worker.log).map(|log| log.generation).collect()
    };
    let full = db.wal_size().unwrap();
    assert!(full > 8 << 20, "{full}");
    let before = generations(&db);
    db.rotate_wal().unwrap();
    let rotated = generations(&db);
    assert!(
        rotated.iter().zip(&before).all(|(after, before)| after == &(before + 1)),
        "{before:?} {rotated:?}"
    );
    db.rotate_wal().unwrap();
    assert_eq!(generations(&db), rotated, "an empty segment is not left");
    db.clear_wal().unwrap();
    // Of each log the segment in use, the one ahead and the small file for the next start.
    let cleared = db.wal_size().unwrap();
    assert!(cleared <= (4 << 20) + 2 * (268 << 10), "{cleared} of {full}");
    let on_disk: u64 = std::fs::read_dir(directory.path())
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.file_name().to_string_lossy().contains(".segment-"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    assert!(on_disk <= 6 << 20, "{on_disk}");
    db.set("after", "it").unwrap();
    db.clear_wal().unwrap();
    db.close().unwrap();
    let db = open(directory.path());
    assert_eq!(all(&db, "key:").len(), 1200);
    assert!(db.exists("after").unwrap());
}

#[test]
fn memory_at_its_limit_refuses_writes_and_allows_deletes() {
    let db = small().memory_limit(8 << 20).open_in_memory().unwrap();
    let mut written = 0;
    let refused = loop {
        match db.set(format!("key:{written}"), vec![0; 64 << 10]) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "the limit holds");
    };
    assert!(matches!(refused, DbError::OutOfMemory) && written > 16, "{refused} after {written}");
    assert!(db.delete("key:0").unwrap());
    assert!(db.exists("key:1").unwrap());
}

#[test]
fn after_a_failure_every_call_of_every_handle_is_an_error_and_the_process_lives() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let db = open(&path);
    db.set("a", "1").unwrap();
    // The next snapshot cannot be made: a storage error as it comes from a drive.
    std::fs::rename(&path, directory.path().join("away")).unwrap();
    let other = db.clone();
    let failed = |result: Result<(), DbError>| {
        let error = result.unwrap_err();
        assert!(matches!(error, DbError::Failed { .. }), "{error:?}");
    };
    failed(db.checkpoint());
    failed(db.set("a", "2"));
    failed(other.get("a").map(|_| ()));
    failed(other.stats().map(|_| ()));
    failed(other.close());
    drop(db);
    // Nothing that was acknowledged is lost.
    let db = open(&directory.path().join("away"));
    assert_eq!(db.get("a").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn calls_under_way_at_a_close_end() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    let acknowledged: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let db = db.clone();
                scope.spawn(move || {
                    let mut count = 0;
                    while let Ok(()) = db.set(format!("{thread}:{count}"), "x") {
                        count += 1;
                    }
                    assert!(matches!(db.get("x"), Err(DbError::Closed)));
                    count
                })
            })
            .collect();
        while db.stats().unwrap().iter().flat_map(|worker| &worker.shards).all(|shard| shard.keys == 0) {}
        db.clone().close().unwrap();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    drop(db);
    let found = all(&open(directory.path()), "");
    for (thread, count) in acknowledged.into_iter().enumerate() {
        for number in 0..count {
            assert!(found.contains_key(format!("{thread}:{number}").as_bytes()), "{thread}:{number}");
        }
    }
}
