//! A process that is killed around a SWAPDB: after the next start the databases are swapped or not, as a whole, and never
//! other than what was answered.

use std::thread;
use std::time::{Duration, Instant};

use crate::server::{Server, Setup};
use crate::wire::{Wire, key_of, request};

/// Keys of each database, over both workers and all shards.
const KEYS: usize = 40;

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
    assert_eq!(wire.answer(&["SWAPDB", "0", "1"]), "+OK");
    let resp::Reply::Array(logs) = wire.call(&["OURO.WAL", "STATUS"]) else { panic!("a map for each log") };
    for log in logs {
        let resp::Reply::Array(fields) = log else { panic!("{log:?}") };
        let value_of = |name: &str| {
            let at = fields.iter().position(|field| *field == resp::Reply::Bulk(name.into())).unwrap();
            fields[at + 1].clone()
        };
        assert_eq!(value_of("appended-batch"), value_of("durable-batch"));
    }
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
