//! The library on disk without a log: what a checkpoint holds, and nothing else, is there after a crash.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::{Db, DbError, DbOptions, TaskError};

fn small() -> DbOptions {
    DbOptions::new().wal_segment_bytes(1 << 20).shards(4).workers(2)
}

fn open(directory: &Path) -> Db {
    Db::open(directory, &small()).unwrap()
}

/// The files as the end of the process would leave them now.
fn as_a_kill_leaves_it(directory: &Path) -> tempfile::TempDir {
    let files = || std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let manifests = || -> Vec<(PathBuf, Vec<u8>)> {
        let is_manifest = |path: &PathBuf| path.to_string_lossy().contains(".manifest-");
        let mut found: Vec<_> =
            files().filter(is_manifest).map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
        found.sort();
        found
    };
    loop {
        let before = manifests();
        let copy = tempfile::tempdir().unwrap();
        for path in files() {
            // What is removed between the two looks is named by nothing.
            let _ = std::fs::copy(&path, copy.path().join(path.file_name().unwrap()));
        }
        // A copy is not made in one moment: what a manifest names stays until it names something else.
        if manifests() == before {
            return copy;
        }
    }
}

/// Tells a writer to stop when the checks are over, or have failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn count(db: &Db) -> usize {
    db.iter_prefix("").map(Result::unwrap).count()
}

#[test]
fn a_crash_takes_what_came_after_the_last_checkpoint_and_a_close_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    assert!(!db.wal_enabled());
    assert_eq!(db.wal_size().unwrap(), 0);
    for number in 0..500 {
        db.set(format!("key:{number}"), number.to_string()).unwrap();
    }
    assert_eq!(count(&open(as_a_kill_leaves_it(directory.path()).path())), 0, "no checkpoint, no data");
    db.checkpoint().unwrap();
    db.set("key:7", "changed").unwrap();
    assert!(db.delete("key:8").unwrap());
    db.set("new", "x").unwrap();
    let crashed = as_a_kill_leaves_it(directory.path());
    let after = open(crashed.path());
    assert_eq!(count(&after), 500);
    assert_eq!(after.get("key:7").unwrap().as_deref(), Some(&b"7"[..]));
    assert!(after.exists("key:8").unwrap() && !after.exists("new").unwrap());
    // It goes on from there, also under another number of workers.
    after.set("new", "y").unwrap();
    after.close().unwrap();
    let after = small().workers(1).open(crashed.path()).unwrap();
    assert_eq!((count(&after), after.get("new").unwrap().as_deref()), (501, Some(&b"y"[..])));

    db.flush().unwrap();
    assert_eq!(count(&open(as_a_kill_leaves_it(directory.path()).path())), 500, "a flush is a checkpoint");
    db.set("last", "x").unwrap();
    db.close().unwrap();
    let db = open(directory.path());
    assert_eq!(db.get("key:7").unwrap().as_deref(), Some(&b"changed"[..]));
    assert!(db.exists("last").unwrap() && !db.exists("key:8").unwrap());
}

#[test]
fn a_checkpoint_amid_writes_is_the_state_of_one_moment_of_each_shard() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    for number in 0..20_000 {
        db.set(format!("bulk:{number}"), vec![b'x'; 40]).unwrap();
    }
    let (stop, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // Keys of one slot, one after the other; an older one is changed each time, and its change counts them.
        scope.spawn(|| {
            for number in 0..15_000 {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                db.set(format!("{{a}}:{number}"), vec![b'y'; 300]).unwrap();
                db.set("{a}count", (number + 1).to_string()).unwrap();
                written.store(number + 1, Ordering::Release);
            }
        });
        // A check that fails must not leave the writer running.
        let _stop = Stop(&stop);
        for _ in 0..3 {
            let before = written.load(Ordering::Acquire);
            db.checkpoint().unwrap();
            let crashed = as_a_kill_leaves_it(directory.path());
            let after = open(crashed.path());
            let keys = after.iter_prefix("{a}:").map(Result::unwrap).count();
            let counted = after.get("{a}count").unwrap().unwrap_or_else(|| b"0".to_vec());
            let counted: usize = String::from_utf8(counted).unwrap().parse().unwrap();
            assert!(keys >= before, "{keys} of {before} that were there before the checkpoint");
            assert!(keys == counted || keys == counted + 1, "{keys} keys, and {counted} were counted");
            for number in (0..keys).step_by(17) {
                assert!(after.exists(format!("{{a}}:{number}")).unwrap(), "{number} of {keys}");
            }
            assert_eq!(after.iter_prefix("bulk:").map(Result::unwrap).count(), 20_000);
        }
    });
}

#[test]
fn checkpoints_are_made_by_themselves_as_bytes_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let db = small().checkpoint_log_bytes(1 << 20).open(directory.path()).unwrap();
    for number in 0..4000 {
        db.set(format!("key:{number}"), vec![b'x'; 1000]).unwrap();
    }
    let all_saved = || {
        let stats = db.stats().unwrap();
        stats.iter().flat_map(|worker| &worker.shards).all(|shard| shard.checkpoint.published > 0)
    };
    let mut more = 0;
    while !all_saved() {
        db.set(format!("more:{more}"), vec![b'x'; 1000]).unwrap();
        more += 1;
        assert!(more < 100_000, "every shard gets one");
    }
    assert!(count(&open(as_a_kill_leaves_it(directory.path()).path())) > 500);
}

#[test]
fn few_writes_are_saved_after_a_while_and_then_nothing_is_written_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let db = small().checkpoint_after(Some(Duration::from_millis(300))).open(directory.path()).unwrap();
    let shards = || db.stats().unwrap().into_iter().flat_map(|worker| worker.shards).collect::<Vec<_>>();
    let published = || shards().iter().map(|shard| shard.checkpoint.published).sum::<u64>();
    let wait_until = |done: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing is saved: {:?}", shards());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(published(), 0, "nothing was written");
    for round in 1..=2 {
        db.set("few", round.to_string()).unwrap();
        wait_until(&|| published() == round);
        let crashed = as_a_kill_leaves_it(directory.path());
        let after = open(crashed.path());
        assert_eq!(after.get("few").unwrap(), Some(round.to_string().into_bytes()));
        wait_until(&|| shards().iter().all(|shard| shard.unsaved_since_ms == 0));
    }
    // Writes that go on all the time are saved no less.
    for number in 0.. {
        db.set("few", number.to_string()).unwrap();
        if published() >= 5 {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
        assert!(number < 12_000, "writes that go on are saved no more");
    }
    std::thread::sleep(Duration::from_secs(1));
    let before = published();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(published(), before, "nothing was written");
    drop(db);
    let db = small().checkpoint_after(None).open(directory.path()).unwrap();
    db.set("few", "x").unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        db.stats().unwrap().iter().all(|worker| worker.shards.iter().all(|of| of.checkpoint.published == 0))
    );
}

#[test]
fn data_larger_than_memory_with_deadlines_and_deletes() {
    let directory = tempfile::tempdir().unwrap();
    let options = small().memory_limit(8 << 20);
    let db = options.open(directory.path()).unwrap();
    let value = |number: usize| format!("{number:08}").repeat(1250);
    for number in 0..3000 {
        db.set(format!("key:{number}"), value(number)).unwrap();
    }
    db.checkpoint().unwrap();
    for number in 0..1500 {
        assert!(db.delete(format!("key:{number}")).unwrap());
    }
    db.set_with_ttl("key:2000", "soon gone", Duration::from_millis(1)).unwrap();
    db.compact().unwrap();
    db.checkpoint().unwrap();
    std::thread::sleep(Duration::from_millis(5));
    let crashed = as_a_kill_leaves_it(directory.path());
    for db in [options.open(crashed.path()).unwrap(), db] {
        assert_eq!(count(&db), 1499);
        assert!(!db.exists("key:2000").unwrap());
        assert_eq!(db.get("key:2999").unwrap(), Some(value(2999).into_bytes()));
    }
}

#[test]
fn a_store_is_opened_only_in_the_mode_that_it_was_made_in() {
    let (with, without) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = Db::open_with_wal(with.path(), &small()).unwrap();
    db.set("a", "1").unwrap();
    db.close().unwrap();
    let refused = small().open(with.path()).unwrap_err().to_string();
    assert!(
        refused.contains("has a write-ahead log") && refused.contains("nothing was changed"),
        "{refused}"
    );
    let db = Db::open_with_wal(with.path(), &small()).unwrap();
    assert_eq!(db.get("a").unwrap().as_deref(), Some(&b"1"[..]));

    let db = open(without.path());
    db.set("a", "2").unwrap();
    assert!(matches!(db.rotate_wal(), Err(DbError::Task(TaskError::NoLog))));
    assert!(matches!(db.clear_wal(), Err(DbError::Task(TaskError::NoLog))));
    db.close().unwrap();
    let refused = small().open_with_wal(without.path()).unwrap_err().to_string();
    assert!(
        refused.contains("without a write-ahead log") && refused.contains("nothing was changed"),
        "{refused}"
    );
    assert_eq!(open(without.path()).get("a").unwrap().as_deref(), Some(&b"2"[..]));
}

#[test]
fn a_snapshot_that_is_not_what_was_written_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    db.set("a", "1").unwrap();
    db.close().unwrap();
    let is_snapshot = |path: &Path| path.to_string_lossy().contains(".snapshot-");
    let paths = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = paths.into_iter().find(|path| is_snapshot(path)).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[70] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = small().open(directory.path()).unwrap_err().to_string();
    assert!(refused.contains("is damaged"), "{refused}");
}

#[test]
fn a_scrub_reads_everything_back_and_says_that_it_did() {
    let directory = tempfile::tempdir().unwrap();
    let db = open(directory.path());
    for i in 0..500u32 {
        db.set(i.to_le_bytes(), vec![7; 5_000]).unwrap();
    }
    db.checkpoint().unwrap();
    db.scrub().unwrap();
    let stats = db.stats().unwrap();
    for shard in stats.iter().flat_map(|worker| &worker.shards) {
        assert!(shard.scrub.rounds == 1 && shard.scrub.last_ms > 0 && shard.scrub.asked == 0, "{shard:?}");
        assert_eq!((shard.scrub.damaged_extents, shard.scrub.damaged_records), (0, 0));
    }
    let read: u64 = stats.iter().flat_map(|worker| &worker.shards).map(|shard| shard.scrub.read_bytes).sum();
    assert!(read >= 500 * 5_000, "{read} bytes read back");
    db.close().unwrap();
}
