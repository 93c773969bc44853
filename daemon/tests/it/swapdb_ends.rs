//! A process that is killed around a SWAPDB: after the next start the databases are swapped or not, as a whole, and never
//! other than what was answered.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::confinement::{confined, failing};
use crate::server::{Server, Setup};
use crate::small_disk::SmallDisk;
use crate::sync_policy::Batches;
use crate::wire::{Wire, key_of, request};

/// Keys of each database, over both workers and all shards.
const KEYS: usize = 40;
const STORAGE: i32 = 74;
const EIO: i32 = 5;

fn in_database(server: &Server, number: u8) -> Wire {
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["SELECT", &number.to_string()]), "+OK");
    wire
}

/// Which of the two each of databases 0 and 1 is now; it is that in every key.
fn shown(server: &Server) -> [String; 2] {
    let of = |db| {
        let mut wire = in_database(server, db);
        let values: Vec<String> =
            (0..KEYS).map(|number| wire.answer(&["GET", &key_of(number % 2, number / 2)])).collect();
        assert!(values.iter().all(|value| *value == values[0]), "database {db}: {values:?}");
        values[0].clone()
    };
    [of(0), of(1)]
}

fn check(setup: Setup, rounds: u64, pause_us: u64) {
    let mut server = setup.start();
    for (db, name) in [(0, "even"), (1, "odd")] {
        let mut wire = in_database(&server, db);
        for number in 0..KEYS {
            assert_eq!(wire.answer(&["SET", &key_of(number % 2, number / 2), name]), "+OK");
        }
    }
    // Without a log that is what counts; with one it changes nothing.
    assert_eq!(server.connect().answer(&["SAVE"]), "+OK");
    let (mut swaps, mut undecided) = (0_u64, 0);
    for round in 0..rounds {
        let mut wire = server.connect();
        let pid = server.pid().to_string();
        let pause = Duration::from_micros(7 * round * pause_us / 100 % pause_us);
        let killer = thread::spawn(move || {
            let until = Instant::now() + pause;
            while Instant::now() < until {
                thread::yield_now();
            }
            let status = std::process::Command::new("kill").args(["-s", "KILL", &pid]).status().unwrap();
            assert!(status.success());
        });
        loop {
            wire.send_if_open(&request(&[b"SWAPDB", b"0", b"1"]));
            match wire.try_take(5) {
                Some(reply) => assert_eq!(reply, b"+OK\r\n"),
                None => break,
            }
            swaps += 1;
        }
        killer.join().unwrap();
        server = server.kill().start();
        let [zero, one] = shown(&server);
        assert_ne!(zero, one);
        let names = ["even", "odd"];
        if zero != names[usize::try_from(swaps % 2).unwrap()] {
            // The one that was not answered was done.
            swaps += 1;
            undecided += 1;
        }
        assert_eq!(zero, names[usize::try_from(swaps % 2).unwrap()]);
    }
    eprintln!("{swaps} swaps, {undecided} of them done and not answered, over {rounds} kills");
    assert!(swaps > 0);
}

#[test]
fn a_kill_leaves_both_databases_as_they_were_answered_to_be_with_a_log() {
    check(Setup::disk(), 25, 25_000);
}

#[test]
fn a_kill_leaves_both_databases_as_they_were_answered_to_be_without_a_log() {
    check(Setup::with(&["--wal", "no"]), 12, 600_000);
}

/// Whatever `appendfsync` says: who finds the swap after a crash finds what was written before it.
#[test]
fn writes_before_a_swap_are_durable_with_it_under_a_lax_policy() {
    let server = Setup::disk().and(&["--appendfsync", "no"]).start();
    let mut wire = in_database(&server, 1);
    for worker in 0..2 {
        assert_eq!(wire.answer(&["SET", &key_of(worker, 0), "v"]), "+OK");
    }
    let written = Batches::of(&mut wire);
    assert!(!written.are_durable(&mut wire), "nothing asks for a sync");
    assert_eq!(wire.answer(&["SWAPDB", "0", "1"]), "+OK");
    assert!(written.are_durable(&mut wire));
}

/// Without a log a crash goes back to the last save: the swap must not be newer than that.
#[test]
fn without_a_log_what_was_loaded_before_the_swap_is_there_after_a_kill() {
    let server = Setup::with(&["--wal", "no"]).start();
    let mut wire = in_database(&server, 0);
    assert_eq!(wire.answer(&["SET", &key_of(0, 0), "old"]), "+OK");
    assert_eq!(wire.answer(&["SAVE"]), "+OK");
    let mut loading = in_database(&server, 1);
    for worker in 0..2 {
        assert_eq!(loading.answer(&["SET", &key_of(worker, 0), "new"]), "+OK");
    }
    assert_eq!(loading.answer(&["SWAPDB", "0", "1"]), "+OK");
    let server = server.kill().start();
    let mut wire = in_database(&server, 0);
    for worker in 0..2 {
        assert_eq!(wire.answer(&["GET", &key_of(worker, 0)]), "new");
    }
    assert_eq!(in_database(&server, 1).answer(&["GET", &key_of(0, 0)]), "old");
}

const MANIFESTS: [&str; 2] = ["store.manifest-a", "store.manifest-b"];

/// A daemon on a disk that is full, whose databases 0 and 1 are even and odd, and in which writing this copy of the store
/// manifest takes space, as where files are never written in place. What takes all space away is to be removed.
fn on_a_full_disk(disk: &SmallDisk, copy: &str) -> (Server, PathBuf) {
    let server = Setup::disk().and(&["--shards", "2"]).start_in(Arc::clone(&disk.temp));
    for (db, name) in [(0, "even"), (1, "odd")] {
        let mut wire = in_database(&server, db);
        for number in 0..KEYS {
            assert_eq!(wire.answer(&["SET", &key_of(number % 2, number / 2), name]), "+OK");
        }
    }
    let file = File::options().write(true).open(server.dir.join(copy)).unwrap();
    ring::punch_hole(&file, 0, file.metadata().unwrap().len()).unwrap();
    let filler = disk.fill();
    (server, filler)
}

#[test]
fn a_full_disk_under_the_manifest_is_an_error_and_with_room_the_next_swap_or_start_heals_it() {
    for (ends_first, copy) in [(false, 0), (true, 0), (false, 1)] {
        let Some(disk) = SmallDisk::tmpfs(60) else { return };
        let (mut server, filler) = on_a_full_disk(&disk, MANIFESTS[copy]);
        for _ in 0..2 {
            let answer = server.connect().answer(&["SWAPDB", "0", "1"]);
            let expected = "-MISCONF the disk is too full to write the store manifest, nothing was changed";
            assert!(answer.starts_with(expected), "{answer}");
            assert_eq!(shown(&server), ["even", "odd"]);
        }
        let expected = format!("has damaged {}", MANIFESTS[copy]);
        assert!(server.log().contains(&expected), "{}", server.log());
        fs::remove_file(&filler).unwrap();
        if ends_first {
            server = server.kill().start();
            assert_eq!(shown(&server), ["even", "odd"]);
        }
        assert_eq!(server.connect().answer(&["SWAPDB", "0", "1"]), "+OK");
        assert_eq!(shown(&server), ["odd", "even"]);
        let [a, b] = MANIFESTS.map(|name| fs::read(server.dir.join(name)).unwrap());
        assert!(a == b, "both copies say the same");
        assert_eq!(shown(&server.kill().start()), ["odd", "even"]);
    }
}

/// A copy that a drive has not written, though it said so, is seen before the other is written.
#[test]
fn a_copy_that_is_a_version_behind_is_written_before_the_other_and_told_in_the_log() {
    let server = Setup::disk().start();
    let b = server.dir.join(MANIFESTS[1]);
    let before = fs::read(&b).unwrap();
    assert_eq!(server.connect().answer(&["SWAPDB", "0", "1"]), "+OK");
    assert!(!server.log().contains("look at the drive"), "{}", server.log());
    assert_ne!(fs::read(&b).unwrap(), before);
    fs::write(&b, before).unwrap();
    assert_eq!(server.connect().answer(&["SWAPDB", "2", "3"]), "+OK");
    let expected = "store.manifest-b was not as it had been written";
    assert!(server.log().contains(expected), "{}", server.log());
    let [a, b] = MANIFESTS.map(|name| fs::read(server.dir.join(name)).unwrap());
    assert!(a == b, "both copies say the same");
}

#[test]
fn a_manifest_whose_write_fails_ends_the_process_and_nothing_is_swapped() {
    let server = Setup::disk().start();
    for (db, name) in [(0, "even"), (1, "odd")] {
        let mut wire = in_database(&server, db);
        for number in 0..KEYS {
            assert_eq!(wire.answer(&["SET", &key_of(number % 2, number / 2), name]), "+OK");
        }
    }
    // Started again in order it writes nothing this way but what SWAPDB asks for.
    let mut ended = server.terminate();
    let filters = [failing("pwrite64", EIO)];
    ended.setup.starter = Some(Box::new(move |words| confined(&filters, words)));
    let server = ended.start();
    let mut wire = server.connect();
    wire.send(&request(&[b"SWAPDB", b"0", b"1"]));
    assert!(wire.try_take(1).is_none(), "it is not acknowledged");
    let mut ended = server.ended();
    assert_eq!(ended.status.code(), Some(STORAGE), "{}", ended.log);
    assert!(ended.log.contains("SWAPDB: writing the store manifest"), "{}", ended.log);
    ended.setup.starter = None;
    assert_eq!(shown(&ended.start()), ["even", "odd"]);
}
