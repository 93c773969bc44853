//! Drives that fail, files that are gone or another's, and ends at bad moments: nothing acknowledged is silently lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use resp::Reply;

use crate::server::{Ended, Server, Setup, wait_for};
use crate::small_disk::SmallDisk;
use crate::wire::{Wire, request};

const STORAGE: i32 = 74;

fn setup() -> Setup {
    let options = ["--shards", "2", "--checkpoint-log-bytes", "4mb", "--maxmemory", "8mb"];
    Setup::disk().workers(1).and(&options)
}

fn value(number: usize) -> String {
    format!("{number:08}").repeat(1_000)
}

/// Sets so many keys, one after the other; fewer when the daemon ends meanwhile, or refuses one because the disk is full.
fn write(wire: &mut Wire, numbers: std::ops::Range<usize>) -> usize {
    let mut acknowledged = 0;
    for number in numbers {
        wire.send_if_open(&request(&[b"SET", format!("k{number}").as_bytes(), value(number).as_bytes()]));
        let Some(reply) = wire.try_take(5) else { break };
        if reply == b"-MISC" {
            while wire.try_take(1).is_some_and(|byte| byte != b"\n") {}
            break;
        }
        assert_eq!(reply, b"+OK\r\n");
        acknowledged += 1;
    }
    acknowledged
}

/// After [`write`]: whether the daemon lives on, so that what ended the writes was a refusal.
fn lives_on(wire: &mut Wire) -> bool {
    wire.try_answer(&["PING"]).is_some()
}

fn check(server: &Server, count: usize) {
    let mut wire = server.connect();
    for number in 0..count {
        assert!(wire.answer(&["GET", &format!("k{number}")]) == value(number), "k{number} of {count}");
    }
}

/// As [`check`], of a daemon that may end meanwhile: then false.
fn is_all_read_back(server: &Server, count: usize) -> bool {
    let mut wire = server.connect();
    (0..count).all(|number| match wire.try_answer(&["GET", &format!("k{number}")]) {
        Some(answer) => {
            assert!(answer == value(number), "k{number} of {count}");
            true
        }
        None => false,
    })
}

/// Writes and saves until the drive has failed what the daemon cannot do without; how it ended.
fn meets_the_fault(server: Server, disk: &SmallDisk) -> Ended {
    let mut wire = server.connect();
    assert_eq!(write(&mut wire, 0..500), 500);
    disk.exhaust();
    let acknowledged = write(&mut wire, 500..20_000);
    assert!(acknowledged < 19_500, "the drive has less than that");
    // A segment not yet in use that cannot be written looks like a full disk, and writes are refused: all is read back then,
    // and a checkpoint meets the fault.
    if lives_on(&mut wire) {
        is_all_read_back(&server, 500 + acknowledged);
        wait_for("the fault", || match wire.try_answer(&["SAVE"]) {
            Some(saved) => {
                assert!(saved != "+OK" || write(&mut wire, 20_000..20_100) < 100, "a save without a drive");
                None
            }
            None => Some(()),
        });
    }
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(STORAGE), "{}", ended.log);
    ended
}

#[test]
fn a_write_error_ends_the_process_and_nothing_is_acknowledged_after_it() {
    let Some(disk) = SmallDisk::ext4_on_less(200, 60) else { return };
    let ended = meets_the_fault(setup().start_in(Arc::clone(&disk.temp)), &disk);
    assert!(ended.log.contains("failed"), "{}", ended.log);
}

#[test]
fn a_sync_error_ends_the_process_and_nothing_is_acknowledged_after_it() {
    let Some(disk) = SmallDisk::ext4_on_less_behind_a_cache(160, 80) else { return };
    let ended = meets_the_fault(setup().start_in(Arc::clone(&disk.temp)), &disk);
    assert!(ended.log.contains("sync"), "{}", ended.log);
}

#[test]
fn a_record_that_cannot_be_read_is_an_error_and_never_nil_and_a_start_refuses() {
    let Some(disk) = SmallDisk::ext4(200) else { return };
    let server = setup().start_in(Arc::clone(&disk.temp));
    let count = write(&mut server.connect(), 0..6_000);
    assert_eq!(count, 6_000);
    disk.lose_beyond(24 << 20);
    let (mut right, mut errors) = (0, 0);
    let mut wire = server.connect();
    for number in 0..count {
        wire.send(&request(&[b"GET", format!("k{number}").as_bytes()]));
        match wire.reply() {
            Reply::Bulk(bytes) => {
                assert!(bytes == value(number).as_bytes(), "k{number}");
                right += 1;
            }
            Reply::Error(_) => errors += 1,
            other => panic!("k{number}: {other:?}"),
        }
    }
    assert!(right > 0 && errors > 0, "{right} right, {errors} errors");
    // What goes over all keys comes by those too: one error, and replies stay in step.
    for words in [&["KEYS", "*"][..], &["KEYS", "k1*"]] {
        assert!(matches!(wire.call(words), Reply::Error(_)), "{words:?}");
        assert_eq!(wire.answer(&["PING"]), "+PONG");
    }
    let (code, log) = server.kill().refusal();
    assert_eq!(code, STORAGE, "{log}");
}

/// A store with snapshots and data files of two shards, stopped in order.
fn whole_store(number: usize) -> Ended {
    let server = setup().start();
    assert_eq!(write(&mut server.connect(), number..number + 1_500), 1_500);
    server.terminate()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn refuses(ended: &Ended, what: &str) {
    let (code, log) = ended.refusal();
    assert_eq!(code, STORAGE, "{what}: {log}");
    assert!(log.contains("shard-"), "{what} is named: {log}");
}

#[test]
fn a_file_of_a_shard_that_is_missing_cut_or_another_shards_is_refused_and_put_back_it_opens() {
    let ended = whole_store(0);
    let whole = fs::read_dir(&ended.dir).unwrap().map(|entry| entry.unwrap().path());
    let whole: Vec<(PathBuf, Vec<u8>)> = whole
        .filter(|path| name(path).starts_with("shard-"))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    let of = |kind: &str| {
        let mut files: Vec<_> = whole.iter().filter(|(path, _)| name(path).contains(kind)).collect();
        files.sort();
        files
    };
    for kind in [".data", ".snapshot-"] {
        let [first, second] = of(kind)[..] else { panic!("two files {kind}") };
        fs::remove_file(&first.0).unwrap();
        refuses(&ended, &format!("missing {kind}"));
        fs::write(&first.0, &first.1[..4096]).unwrap();
        refuses(&ended, &format!("cut {kind}"));
        fs::write(&first.0, &first.1).unwrap();
        if kind == ".snapshot-" {
            fs::write(&first.0, &second.1).unwrap();
            fs::write(&second.0, &first.1).unwrap();
            refuses(&ended, &format!("swapped {kind}"));
            fs::write(&first.0, &first.1).unwrap();
            fs::write(&second.0, &second.1).unwrap();
        }
    }
    let manifests = of(".manifest-");
    assert_eq!(manifests.len(), 4);
    for (mine, other) in [(0, 2), (1, 3)] {
        // Both copies of one shard are the other's.
        fs::write(&manifests[mine].0, &manifests[other].1).unwrap();
    }
    refuses(&ended, "another shard's manifest");
    for (path, _) in &manifests[..2] {
        fs::remove_file(path).unwrap();
    }
    refuses(&ended, "missing manifest");
    for (path, bytes) in &manifests[..2] {
        fs::write(path, bytes).unwrap();
    }
    let server = ended.start();
    check(&server, 1_500);
}

#[test]
fn data_files_that_changed_places_answer_errors_and_never_another_keys_value() {
    let ended = whole_store(0);
    let files = ended.files(".data");
    let aside = ended.dir.join("aside");
    fs::rename(&files[0], &aside).unwrap();
    fs::rename(&files[1], &files[0]).unwrap();
    fs::rename(&aside, &files[1]).unwrap();
    let server = match ended.refusal_or_server() {
        Err((code, log)) => {
            assert_eq!(code, STORAGE, "{log}");
            return;
        }
        Ok(server) => server,
    };
    let mut wire = server.connect();
    for number in 0..1_500 {
        wire.send(&request(&[b"GET", format!("k{number}").as_bytes()]));
        assert!(matches!(wire.reply(), Reply::Error(_)), "k{number} lies in the other file");
    }
}

#[test]
fn kills_in_the_middle_of_checkpoints_stops_and_recoveries_lose_nothing() {
    let mut server = setup().start();
    let mut count = 0;
    for round in 0..6_u64 {
        count += write(&mut server.connect(), count..count + 800);
        // An orderly stop makes checkpoints; it is killed somewhere in there.
        server.signal("TERM");
        thread::sleep(Duration::from_millis(3 * round));
        let mut ended = server.kill();
        // Twice while it recovers.
        for pause in [round, 7 * round] {
            ended = ended.start_and_kill(Duration::from_millis(pause));
        }
        server = ended.start();
        check(&server, count);
    }
    wait_for("what earlier ends left to be removed", || {
        let snapshots = fs::read_dir(&server.dir).unwrap();
        let names = snapshots.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        (names.filter(|name| name.contains(".snapshot-")).count() <= 4).then_some(())
    });
}

#[test]
fn logs_of_earlier_numbers_of_workers_are_removed_when_nothing_needs_them() {
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return;
    }
    let server = setup().start();
    let count = write(&mut server.connect(), 0..500);
    let mut ended = server.terminate();
    ended.setup.workers = 2;
    let server = ended.start();
    check(&server, count);
    let ended = server.terminate();
    let server = ended.start();
    check(&server, count);
    let ended = server.terminate();
    assert!(ended.files("log-00001").is_empty(), "{:?}", ended.files("log-00001"));
    assert!(!ended.files("log-00002").is_empty());
    check(&ended.start(), count);
}
