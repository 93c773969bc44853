//! Many clients while databases change their numbers: what one has seen, none misses afterwards, and nobody sees half.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use resp::Reply;

use crate::server::{PATIENCE, Server, Setup, wait_for};
use crate::wire::{Wire, key_of, request};

const SWAPS: u64 = 150;
/// Keys of a database that is to be larger than a small memory, and bytes of each.
const FILLER_KEYS: usize = 4_000;
const FILLER_BYTES: usize = 3_000;

fn setups() -> [Setup; 3] {
    [
        Setup::memory(),
        Setup::disk(),
        // Records leave memory: some are read back while databases change their numbers.
        Setup::disk().and(&["--maxmemory", "8mb", "--shards", "4", "--checkpoint-log-bytes", "4mb"]),
    ]
}

fn in_database(server: &Server, number: u8) -> Wire {
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["SELECT", &number.to_string()]), "+OK");
    wire
}

fn bulk(reply: &Reply) -> &str {
    match reply {
        Reply::Bulk(bytes) => std::str::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn generation(reply: &Reply) -> u64 {
    bulk(reply).split(' ').next().unwrap().parse().unwrap()
}

/// A value of this generation, with so many bytes that many of them do not fit a small memory.
fn value(generation: u64) -> String {
    format!("{generation} {}", "x".repeat(3_000))
}

/// Keys in a database that do not fit a small memory together; how many.
fn fill(server: &Server, db: u8, prefix: &str) -> usize {
    let (mut wire, value) = (in_database(server, db), "x".repeat(FILLER_BYTES));
    for first in (0..FILLER_KEYS).step_by(100) {
        let sets = (first..first + 100).map(|number| format!("{prefix}:{number}"));
        let sets = sets.flat_map(|key| request(&[b"SET", key.as_bytes(), value.as_bytes()]));
        wire.send(&sets.collect::<Vec<u8>>());
        wire.expect(&b"+OK\r\n".repeat(100));
    }
    FILLER_KEYS
}

/// Database 0 is replaced as a whole, again and again: the next one is written beside it, in database 1, and swapped in.
/// Readers tell each other the newest that any of them has seen: no reader may find an older one afterwards, whichever
/// worker it is connected to and whichever it asks; and what one request reads is of one generation.
fn check_readers(setup: Setup) {
    let server = setup.start();
    let keys: Vec<String> = (0..24).map(|number| key_of(number % 2, number)).collect();
    let write = |wire: &mut Wire, generation: u64| {
        for key in &keys {
            assert_eq!(wire.answer(&["SET", key, &value(generation)]), "+OK");
        }
    };
    write(&mut in_database(&server, 0), 0);
    let filler = (0..2).map(|db| fill(&server, db, "f")).min().unwrap();
    let (newest, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for reader in 0..4 {
            let (mut wire, keys, newest, is_over) = (in_database(&server, 0), &keys, &newest, &is_over);
            scope.spawn(move || {
                let mut round = reader;
                while !is_over.load(Ordering::Relaxed) {
                    round += 1;
                    let seen_before = newest.load(Ordering::SeqCst);
                    let (one, other) = (&keys[round % keys.len()], &keys[(round * 7 + 3) % keys.len()]);
                    let seen = match round % 4 {
                        0 | 1 => generation(&wire.call(&["GET", one])),
                        2 => {
                            let Reply::Array(both) = wire.call(&["MGET", one, other]) else {
                                panic!("array")
                            };
                            assert_eq!(generation(&both[0]), generation(&both[1]), "of one request");
                            generation(&both[0])
                        }
                        // In a pipeline, each is as new as the one before it at least.
                        _ => {
                            let get = |key: &str| request(&[b"GET", key.as_bytes()]);
                            wire.send(&[get(one), get(other), get(one)].concat());
                            let replies = [wire.reply(), wire.reply(), wire.reply()];
                            replies.iter().map(generation).min().unwrap()
                        }
                    };
                    assert!(seen >= seen_before, "{seen} after {seen_before} was seen");
                    newest.fetch_max(seen, Ordering::SeqCst);
                }
            });
        }
        let (mut wire, is_over_too) = (in_database(&server, 0), &is_over);
        scope.spawn(move || {
            let mut number = 0;
            while !is_over_too.load(Ordering::Relaxed) {
                number = (number * 7 + 1) % filler;
                assert_eq!(bulk(&wire.call(&["GET", &format!("f:{number}")])).len(), FILLER_BYTES);
            }
        });
        let mut wire = in_database(&server, 1);
        for generation in 1..=SWAPS {
            write(&mut wire, generation);
            // What is told here holds for everybody from here on.
            assert_eq!(wire.answer(&["SWAPDB", "0", "1"]), "+OK");
            newest.fetch_max(generation, Ordering::SeqCst);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(newest.load(Ordering::SeqCst), SWAPS);
}

#[test]
fn readers_never_go_back_behind_a_swap_that_anyone_has_seen() {
    setups().into_iter().for_each(check_readers);
}

/// Clients count in one database while it changes places with another: nothing is counted twice or lost, whether keys
/// lie here or there, and commands over several workers come to an end.
fn check_writers(setup: Setup) {
    let server = setup.start();
    let is_over = AtomicBool::new(false);
    let counted: u64 = thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (mut wire, is_over) = (in_database(&server, 2), &is_over);
                scope.spawn(move || {
                    let (here, there) = (key_of(0, writer), key_of(1, writer));
                    let (mut counted, mut round) = (0, 0);
                    while !is_over.load(Ordering::Relaxed) {
                        round += 1;
                        match round % 4 {
                            // A value that goes from worker to worker and back.
                            0 => {
                                let name = format!("w{writer}");
                                let (from, to) = (format!("{here}{name}"), format!("{there}{name}"));
                                wire.send(
                                    &[
                                        request(&[b"SET", from.as_bytes(), b"v"]),
                                        request(&[b"RENAME", from.as_bytes(), to.as_bytes()]),
                                        request(&[b"MOVE", to.as_bytes(), b"5"]),
                                        request(&[b"DEL", from.as_bytes(), to.as_bytes()]),
                                    ]
                                    .concat(),
                                );
                                assert_eq!(wire.reply(), Reply::Simple(b"OK".to_vec()));
                                // The swap may come between the requests.
                                (0..3).for_each(|_| drop(wire.reply()));
                            }
                            1 => {
                                let incr = |key: &str| request(&[b"INCR", key.as_bytes()]);
                                wire.send(&[incr(&here), incr(&there), incr(&here)].concat());
                                for _ in 0..3 {
                                    assert!(matches!(wire.reply(), Reply::Integer(1..)));
                                }
                                counted += 3;
                            }
                            _ => {
                                let key = if round % 4 == 2 { &here } else { &there };
                                assert!(matches!(wire.call(&["INCR", key]), Reply::Integer(1..)));
                                counted += 1;
                            }
                        }
                    }
                    counted
                })
            })
            .collect();
        let mut wire = server.connect();
        for _ in 0..SWAPS {
            assert_eq!(wire.answer(&["SWAPDB", "2", "3"]), "+OK");
        }
        is_over.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    let sum = |server: &Server| -> u64 {
        let of = |db: u8| {
            let mut wire = in_database(server, db);
            let keys = (0..8).map(|number| key_of(number % 2, number / 2));
            keys.map(|key| match wire.call(&["GET", &key]) {
                Reply::Null => 0,
                reply => bulk(&reply).parse::<u64>().unwrap(),
            })
            .sum::<u64>()
        };
        of(2) + of(3)
    };
    assert!(counted > 0);
    assert_eq!(sum(&server), counted);
}

#[test]
fn what_is_written_around_swaps_is_neither_lost_nor_doubled() {
    setups().into_iter().for_each(check_writers);
}

#[test]
fn a_walk_over_all_keys_is_of_one_database_however_often_it_is_swapped() {
    // Not in a small memory: there a walk may keep reading back what it has just pushed out of the read cache.
    for setup in [Setup::memory(), Setup::disk()] {
        let server = setup.start();
        for (db, prefix) in [(0, "a"), (1, "b")] {
            fill(&server, db, prefix);
        }
        let walking = AtomicU64::new(2);
        thread::scope(|scope| {
            for _ in 0..2 {
                let (mut wire, walking) = (in_database(&server, 0), &walking);
                scope.spawn(move || {
                    let (mut seen, began) = ([0, 0], Instant::now());
                    while seen.contains(&0) || seen[0] + seen[1] < 8 {
                        let Reply::Array(keys) = wire.call(&["KEYS", "*"]) else { panic!("an array") };
                        assert_eq!(keys.len(), FILLER_KEYS);
                        let of_a = keys.iter().filter(|key| bulk(key).starts_with('a')).count();
                        assert!(of_a == 0 || of_a == FILLER_KEYS, "{of_a} are of the other database");
                        seen[usize::from(of_a == 0)] += 1;
                        assert!(began.elapsed() < PATIENCE, "{seen:?}");
                    }
                    walking.fetch_sub(1, Ordering::Relaxed);
                });
            }
            let mut wire = server.connect();
            let began = Instant::now();
            while walking.load(Ordering::Relaxed) > 0 && began.elapsed() < PATIENCE {
                assert_eq!(wire.answer(&["SWAPDB", "0", "1"]), "+OK");
            }
        });
    }
}

#[test]
fn swaps_of_many_clients_go_one_after_the_other() {
    for setup in setups() {
        let server = setup.start();
        for db in 0..16 {
            let mut wire = in_database(&server, db);
            for worker in 0..2 {
                assert_eq!(wire.answer(&["SET", &key_of(worker, 0), &db.to_string()]), "+OK");
            }
        }
        thread::scope(|scope| {
            for client in 0..6_usize {
                let mut wire = server.connect();
                scope.spawn(move || {
                    for round in 0..40_usize {
                        let (first, second) = ((client * 5 + round) % 16, (round * 3 + client) % 16);
                        let answer = wire.answer(&["SWAPDB", &first.to_string(), &second.to_string()]);
                        assert_eq!(answer, "+OK");
                    }
                });
            }
        });
        let shown = |server: &Server| -> Vec<String> {
            let of = |db| {
                let mut wire = in_database(server, db);
                let both = [0, 1].map(|worker| wire.answer(&["GET", &key_of(worker, 0)]));
                assert_eq!(both[0], both[1], "database {db} on both workers");
                both[0].clone()
            };
            (0..16).map(of).collect()
        };
        let before = shown(&server);
        let mut sorted: Vec<u8> = before.iter().map(|text| text.parse().unwrap()).collect();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..16).collect::<Vec<u8>>());
        let is_on_disk = server.dir.join("store.manifest-a").exists();
        if is_on_disk {
            assert_eq!(shown(&server.kill().start()), before);
        }
    }
}

/// A client that reads nothing has commands put off at another worker; nobody waits for it.
#[test]
fn a_client_that_does_not_read_holds_no_swap_up_and_gets_all_its_replies() {
    let server = Setup::memory().start();
    let large = "x".repeat(1 << 20);
    let mut wire = server.connect();
    for worker in 0..2 {
        assert_eq!(wire.answer(&["SET", &key_of(worker, 0), &large]), "+OK");
        assert_eq!(in_database(&server, 1).answer(&["SET", &key_of(worker, 0), &large]), "+OK");
    }
    let mut slow = [server.connect(), server.connect()];
    for wire in &mut slow {
        let gets: Vec<u8> =
            (0..60).flat_map(|number| request(&[b"GET", key_of(number % 2, 0).as_bytes()])).collect();
        wire.send(&gets);
    }
    thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(wire.answer(&["SWAPDB", "0", "1"]), "+OK");
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    for wire in &mut slow {
        for number in 0..60 {
            assert_eq!(bulk(&wire.reply()).len(), large.len(), "reply {number}");
        }
    }
}

#[test]
fn a_stop_in_the_middle_of_swaps_ends_in_order() {
    for setup in setups() {
        let server = setup.start();
        let is_over = AtomicBool::new(false);
        let ended = thread::scope(|scope| {
            for client in 0..3_u8 {
                let (mut wire, is_over) = (server.connect(), &is_over);
                scope.spawn(move || {
                    let swap = request(&[b"SWAPDB", b"0", (client + 1).to_string().as_bytes()]);
                    while !is_over.load(Ordering::Relaxed) {
                        wire.send_if_open(&swap);
                        if wire.try_reply().is_none() {
                            return;
                        }
                    }
                });
            }
            let mut wire = server.connect();
            wait_for("swaps", || {
                let text = wire.call(&["INFO", "commandstats"]);
                bulk(&text).contains("cmdstat_swapdb").then_some(())
            });
            let ended = server.terminate();
            is_over.store(true, Ordering::Relaxed);
            ended
        });
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    }
}
