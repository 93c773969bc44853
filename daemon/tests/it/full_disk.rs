//! A file system with no room for another log segment: writes are refused with the reason, on the worker of the
//! connection and on the one that a request hops to; reads and deletes go on; room makes it serve again.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use resp::Reply;

use crate::server::{Server, Setup, wait_for};
use crate::small_disk::SmallDisk;
use crate::wire::{Wire, key_of, request};

/// Connections to both workers; the Unix listener hands them out in turn.
fn connections(server: &Server) -> [Wire; 2] {
    [server.connect(), server.connect()]
}

/// Sets keys of one worker until it refuses, and goes on refusing: what a full disk forces finds some room at first.
/// Returns the refusal.
fn fill(wire: &mut Wire, worker: usize) -> String {
    const REFUSALS: usize = 5;
    let value = "x".repeat(64 << 10);
    let mut refusals = 0;
    for number in 10..4000 {
        let answer = wire.answer(&["SET", &key_of(worker, number), &value]);
        if answer == "+OK" {
            refusals = 0;
            continue;
        }
        refusals += 1;
        if refusals == REFUSALS {
            return answer;
        }
        thread::sleep(Duration::from_millis(400));
    }
    panic!("a small disk takes no more than it has");
}

#[test]
fn a_worker_without_room_refuses_writes_and_serves_the_rest_and_the_other_worker_goes_on() {
    let Some(disk) = SmallDisk::tmpfs(80) else { return };
    let server = Setup::disk().and(&["--shards", "2"]).start_in(Arc::clone(&disk.temp));
    let two = server.workers() == 2;
    let mut wires = connections(&server);
    for worker in 0..2 {
        assert_eq!(wires[0].answer(&["SET", &key_of(worker, 0), "old"]), "+OK");
        assert_eq!(wires[0].answer(&["SET", &key_of(worker, 1), "old"]), "+OK");
    }
    let full = key_of(1, 0);
    let refusal = fill(&mut wires[0], 1);
    assert!(refusal.starts_with("-MISCONF the disk is too full"), "{refusal}");
    for wire in &mut wires {
        // One of the two connections lives on the worker that is full, the other one's requests hop to it.
        for write in [&["SET", &full, "new"][..], &["APPEND", &full, "new"], &["INCR", &full]] {
            assert_eq!(wire.answer(write), refusal);
        }
        assert_eq!(wire.answer(&["GET", &full]), "old");
        assert_eq!(wire.answer(&["EXISTS", &full]), ":1");
    }
    assert_eq!(wires[0].answer(&["DEL", &key_of(1, 1)]), ":1");
    assert_eq!(wires[1].answer(&["DEL", &key_of(1, 10)]), ":1");
    assert_eq!(wires[1].answer(&["GET", &key_of(1, 1)]), "nil");
    if two {
        // The other worker has its next segment already.
        let answers = wires.each_mut().map(|wire| wire.answer(&["SET", &key_of(0, 0), "new"]));
        assert!(answers.contains(&"+OK".to_owned()), "{answers:?}");
    }
    disk.grow(400);
    for wire in &mut wires {
        wait_for("room", || (wire.answer(&["SET", &full, "newer"]) == "+OK").then_some(()));
    }
    let server = server.kill().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["GET", &full]), "newer");
    assert_eq!(wire.answer(&["EXISTS", &key_of(1, 1), &key_of(1, 10)]), ":0", "deletes were kept");
    assert_eq!(wire.answer(&["EXISTS", &key_of(1, 11)]), ":1");
}

/// Somebody else uses all that is left of the disk.
fn take_the_rest(disk: &SmallDisk) {
    let mut ballast = OpenOptions::new().append(true).create(true).open(disk.path().join("ballast")).unwrap();
    for bytes in [1 << 20, 64 << 10, 4096] {
        loop {
            match ballast.write_all(&vec![1; bytes]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn a_store_that_is_killed_again_and_again_on_a_full_disk_starts_every_time() {
    const LIVES: usize = 10;
    let Some(disk) = SmallDisk::tmpfs(48) else { return };
    let setup = Setup::disk().workers(1).and(&["--shards", "2", "--wal-segment-bytes", "1mb"]);
    let mut server = setup.start_in(Arc::clone(&disk.temp));
    let name = |number: usize| format!("k{number}");
    let value = "x".repeat(20 << 10);
    let mut wire = server.connect();
    let mut count = 0;
    while wire.answer(&["SET", &name(count), &value]) == "+OK" {
        count += 1;
    }
    assert!(count > 100, "the disk held {count} keys only");
    let mut refused = 0;
    for life in 0..LIVES {
        take_the_rest(&disk);
        // Something is to be logged in every life: it is durable, or refused, or not answered before the end.
        let mut wire = server.connect();
        wire.send(&request(&[b"DEL", name(life).as_bytes()]));
        thread::sleep(Duration::from_millis(200));
        take_the_rest(&disk);
        server = server.kill().start();
        let mut wire = server.connect();
        // What the killed process had acknowledged it had logged: a key is there as it was, or gone.
        let found = wire.answer(&["GET", &name(life)]);
        assert!(found == "nil" || found == value, "life {life}: {} bytes", found.len());
        refused += usize::from(found != "nil");
        assert_eq!(wire.answer(&["STRLEN", &name(count - 1)]), format!(":{}", value.len()));
    }
    assert!(refused < LIVES, "deletes go on for as long as they can be logged");
    fs::remove_file(disk.path().join("ballast")).unwrap();
    let mut wire = server.connect();
    wait_for("deletes", || (wire.answer(&["DEL", &name(LIVES)]) == ":1").then_some(()));
    wait_for("writes", || (wire.answer(&["SET", "after", "all"]) == "+OK").then_some(()));
    let server = server.kill().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["MGET", "after", &name(LIVES)]), "[all nil]");
    for number in LIVES + 1..count {
        assert_eq!(wire.answer(&["STRLEN", &name(number)]), format!(":{}", value.len()), "{number}");
    }
}

#[test]
fn a_value_that_the_log_has_no_room_for_is_refused_though_the_data_file_has() {
    let Some(disk) = SmallDisk::tmpfs(64) else { return };
    let setup = Setup::disk().workers(1).and(&["--shards", "1", "--wal-segment-bytes", "2mb"]);
    let server = setup.start_in(Arc::clone(&disk.temp));
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["SET", "small", "v"]), "+OK");
    let set = |wire: &mut Wire, key: &str, mib: usize| {
        wire.send(&request(&[b"SET", key.as_bytes(), "x".repeat(mib << 20).as_bytes()]));
        match wire.reply() {
            Reply::Simple(_) => None,
            Reply::Error(text) => Some(String::from_utf8(text).unwrap()),
            other => panic!("{other:?}"),
        }
    };
    // Once in memory and in its file, and once in the log.
    let refusal = set(&mut wire, "large", 36).expect("there is no room for both");
    assert!(refusal.starts_with("MISCONF the disk is too full"), "{refusal}");
    assert_eq!(wire.answer(&["MGET", "large", "small"]), "[nil v]");
    wait_for("small values to go on", || (wire.answer(&["SET", "small", "w"]) == "+OK").then_some(()));
    wait_for("what fits to be taken", || set(&mut wire, "fits", 10).is_none().then_some(()));
    // The same by other commands, whose requests are small.
    for command in [&["COPY", "fits", "copy"][..], &["RENAME", "fits", "moved"]] {
        let answer = wire.answer(command);
        assert!([":1", "+OK"].contains(&&*answer) || answer.starts_with("-MISCONF"), "{answer}");
    }
    assert_eq!(wire.answer(&["SETRANGE", "far", "9000000", "x"]), ":9000001");
    let server = server.kill().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["MGET", "large", "small"]), "[nil w]");
    let lens = ["fits", "moved"].map(|key| wire.answer(&["STRLEN", key]));
    assert!(lens.contains(&format!(":{}", 10 << 20)), "{lens:?}");
    assert_eq!(wire.answer(&["STRLEN", "far"]), ":9000001");
    disk.grow(400);
    wait_for("room", || set(&mut wire, "large", 36).is_none().then_some(()));
    let server = server.kill().start();
    assert_eq!(server.connect().answer(&["STRLEN", "large"]), format!(":{}", 36 << 20));
}

#[test]
fn large_values_over_records_on_disk_wait_for_their_log_files_and_are_all_taken() {
    const KEYS: usize = 48;
    let options = ["--shards", "1", "--wal-segment-bytes", "1mb", "--maxmemory", "32mb"];
    let server = Setup::disk().workers(1).and(&options).start();
    let mut wire = server.connect();
    let name = |number: usize| format!("k{number}");
    for number in 0..KEYS {
        assert_eq!(wire.answer(&["SET", &name(number), &"x".repeat(1 << 20)]), "+OK");
    }
    // The first ones have left memory: each of these waits for a read, and then for more log than there is at hand.
    let large = |number: usize| (6 << 20) + number;
    let sets = (0..6)
        .flat_map(|number| request(&[b"SET", name(number).as_bytes(), "y".repeat(large(number)).as_bytes()]));
    wire.send(&sets.collect::<Vec<u8>>());
    for number in 0..6 {
        assert!(matches!(wire.reply(), Reply::Simple(_)), "{number} was not taken");
    }
    for number in 0..3 {
        assert_eq!(wire.answer(&["RENAME", &name(number), &format!("moved{number}")]), "+OK");
        assert_eq!(wire.answer(&["COPY", &name(number + 3), &name(number)]), ":1");
    }
    let server = server.kill().start();
    let mut wire = server.connect();
    for number in 0..3 {
        let len = |number: usize| format!(":{}", large(number));
        assert_eq!(wire.answer(&["STRLEN", &format!("moved{number}")]), len(number));
        assert_eq!(wire.answer(&["STRLEN", &name(number)]), len(number + 3));
        assert_eq!(wire.answer(&["STRLEN", &name(number + 3)]), len(number + 3));
    }
    assert_eq!(wire.answer(&["DBSIZE"]), format!(":{}", KEYS + 3));
}
