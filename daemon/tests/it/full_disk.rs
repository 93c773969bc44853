//! A file system with no room for another log segment: writes are refused with the reason, on the worker of the
//! connection and on the one that a request hops to; reads and deletes go on; room makes it serve again.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::server::{Server, Setup, wait_for};
use crate::small_disk::SmallDisk;
use crate::wire::{Wire, key_of};

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
