//! Clients that do everything at once and leave at any moment: nothing of it is the daemon's end. What the random
//! numbers were follows from the client's number, so a failing run can be had again.

use std::thread;

use crate::server::{Setup, workers};
use crate::wire::{Wire, request};

/// Small numbers without a pattern.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn key(&mut self) -> String {
        format!("k{}", self.below(400))
    }
}

/// A request of any kind.
fn any_request(dice: &mut Dice) -> Vec<u8> {
    let (key, other) = (dice.key(), dice.key());
    let value = vec![
        b'v';
        usize::try_from(if dice.below(20) == 0 { dice.below(400_000) } else { dice.below(200) })
            .unwrap()
    ];
    let (k, o, v) = (key.as_bytes(), other.as_bytes(), &value[..]);
    match dice.below(26) {
        0..=3 => request(&[b"SET", k, v]),
        4 => request(&[b"SET", k, v, b"PX", b"20"]),
        5..=7 => request(&[b"GET", k]),
        8 => request(&[b"MSET", k, v, o, v]),
        9 => request(&[b"MGET", k, o, b"k1", b"k2"]),
        10 => request(&[b"DEL", k, o]),
        11 => request(&[b"APPEND", k, v]),
        12 => request(&[b"INCR", k]),
        13 => request(&[b"KEYS", b"k*"]),
        14 => request(&[b"SCAN", b"0", b"COUNT", b"100"]),
        15 => request(&[b"CLIENT", b"LIST"]),
        16 => request(&[b"DBSIZE"]),
        17 => request(&[b"RANDOMKEY"]),
        18 => request(&[b"PEXPIRE", k, b"5"]),
        19 => request(&[b"SETRANGE", k, b"5000", b"patch"]),
        20 => request(&[b"GETDEL", k]),
        21 => request(&[b"MSETNX", k, v, o, v]),
        22 => request(&[b"HELLO", if dice.below(2) == 0 { b"2" } else { b"3" }]),
        23 => request(&[b"INFO"]),
        24 if dice.below(10) == 0 => request(&[b"FLUSHALL"]),
        24 => b"PING\r\n".to_vec(),
        _ => request(&[b"NOSUCH", k]),
    }
}

/// Connects, asks for a while, reads all of it, some of it or nothing, and leaves.
fn visit(mut wire: Wire, dice: &mut Dice) {
    let count = usize::try_from(dice.below(60)).unwrap();
    let requests: Vec<u8> = (0..count).flat_map(|_| any_request(dice)).collect();
    match dice.below(4) {
        // In order: everything is answered.
        0 | 1 => {
            let mut sender = wire.second();
            let sending = thread::spawn(move || sender.send(&requests));
            (0..count).for_each(|_| drop(wire.reply()));
            sending.join().unwrap();
        }
        // Gone in mid request, with replies under way.
        2 => {
            let part = requests.len() - requests.len() / 10;
            if part < 100_000 {
                wire.send_if_open(&requests[..part]);
            }
        }
        // The last word is no request.
        _ => {
            let mut sender = wire.second();
            let sending =
                thread::spawn(move || sender.send_if_open(&[&requests[..], b"*1\r\n$x\r\n"].concat()));
            let answers = wire.until_closed();
            assert!(answers.ends_with(b"-ERR Protocol error: invalid bulk length\r\n"));
            sending.join().unwrap();
        }
    }
}

fn survives(setup: Setup) {
    let server = setup.start();
    let visitors: Vec<_> = (1..=6)
        .map(|number| {
            let socket = server.socket();
            thread::spawn(move || {
                let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (number << 32));
                for _ in 0..60 {
                    visit(Wire::unix(&socket), &mut dice);
                }
            })
        })
        .collect();
    for visitor in visitors {
        visitor.join().unwrap();
    }
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["FLUSHALL"]), "+OK");
    assert_eq!(wire.answer(&["SET", "last", "v"]), "+OK");
    let peak = server.peak_mib();
    assert!(peak < 500, "{peak} MiB");
    let ended = server.terminate();
    if ended.setup.options.iter().any(|option| option == "memory") {
        return;
    }
    let server = ended.start();
    assert_eq!(server.connect().answer(&["KEYS", "*"]), "[last]");
}

#[test]
fn visitors_of_all_kinds_do_no_harm_in_memory() {
    survives(Setup::memory());
    survives(Setup::memory().workers(1));
}

#[test]
fn visitors_of_all_kinds_do_no_harm_on_disk() {
    survives(Setup::with(&["--wal-segment-bytes", "1mb", "--wal-sync", "fdatasync"]).workers(workers(2)));
}
