//! Values far above a batch, an extent and a message between workers: fragments in the log, many receives, one send.

use std::thread;

use crate::server::Setup;
use crate::wire::{Wire, key_of, request};

/// Bytes that no other part of the value repeats in step with blocks.
fn pattern(bytes: usize, seed: u8) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from((at / 251 + at + usize::from(seed)) % 256).unwrap()).collect()
}

fn check_value(wire: &mut Wire, key: &str, value: &[u8]) {
    wire.send(&request(&[b"GET", key.as_bytes()]));
    wire.expect(format!("${}\r\n", value.len()).as_bytes());
    wire.expect(value);
    wire.expect(b"\r\n");
}

#[test]
fn values_of_1_and_64_mib_go_through_the_log_and_come_back() {
    const MIB: usize = 1 << 20;
    // 64 MiB: a log of larger segments than the other tests have, or it is cut over a great many.
    let setup = Setup::with(&["--wal-segment-bytes", "32mb", "--wal-sync", "fdatasync"]);
    let mut server = setup.start();
    let keys: Vec<(String, Vec<u8>)> = vec![
        (key_of(0, 0), pattern(MIB, 1)),
        (key_of(1, 0), pattern(MIB + 1, 2)),
        (key_of(0, 1), pattern(64 * MIB, 3)),
        (key_of(1, 1), pattern(64 * MIB, 4)),
    ];
    let mut wire = server.connect();
    for (key, value) in &keys {
        wire.send(&request(&[b"SET", key.as_bytes(), value]));
        wire.expect(b"+OK\r\n");
        check_value(&mut wire, key, value);
        assert_eq!(wire.answer(&["STRLEN", key]), format!(":{}", value.len()));
    }
    server = server.kill().start();
    let mut wire = server.connect();
    for (key, value) in &keys {
        check_value(&mut wire, key, value);
        assert_eq!(
            wire.answer(&["GETRANGE", key, "-1", "-1"]).len(),
            value[value.len() - 1..].escape_ascii().count()
        );
    }
    assert_eq!(wire.answer(&["DBSIZE"]), ":4");
}

/// Pipelined large values cost the size of some of them, not of all, wherever the key lives.
fn bounded(disk: bool, worker: usize) {
    const COUNT: usize = 300;
    let server = if disk { Setup::disk() } else { Setup::memory() }.start();
    let value = pattern(1 << 20, 5);
    let (mut one, mut other) = (server.connect(), server.connect());
    let key = key_of(worker, 0);
    // Two connections: with two workers one of them is remote.
    for wire in [&mut one, &mut other] {
        let (mut sender, sets) = (wire.second(), request(&[b"SET", key.as_bytes(), &value]));
        let sending = thread::spawn(move || (0..COUNT).for_each(|_| sender.send(&sets)));
        wire.expect(&b"+OK\r\n".repeat(COUNT));
        sending.join().unwrap();
        wire.send(&request(&[b"GET", key.as_bytes()]).repeat(COUNT));
        for _ in 0..COUNT {
            wire.expect(format!("${}\r\n", value.len()).as_bytes());
            wire.expect(&value);
            wire.expect(b"\r\n");
        }
    }
    let peak = server.peak_mib();
    assert!(peak < 200, "{COUNT} MiB each way took {peak} MiB at the most");
}

#[test]
fn pipelined_large_values_do_not_pile_up_in_memory() {
    bounded(false, 0);
    bounded(false, 1);
}

#[test]
fn pipelined_large_values_do_not_pile_up_before_the_log() {
    bounded(true, 0);
    bounded(true, 1);
}
