//! SCAN over all workers: what is there from start to end is returned, while other keys come and go.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use resp::Reply;

use crate::server::Setup;
use crate::wire::{Wire, request};

fn text(reply: Reply) -> String {
    match reply {
        Reply::Bulk(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("no string: {other:?}"),
    }
}

/// One step: the next cursor and the keys.
fn step(wire: &mut Wire, cursor: &str, options: &[&str]) -> (String, Vec<String>) {
    let words: Vec<&str> = ["SCAN", cursor].iter().chain(options).copied().collect();
    let Reply::Array(mut parts) = wire.call(&words) else { panic!("no array") };
    let Some(Reply::Array(keys)) = parts.pop() else { panic!("no keys") };
    (text(parts.pop().unwrap()), keys.into_iter().map(text).collect())
}

/// From the first cursor to the last: how often each key came.
fn walk(wire: &mut Wire, options: &[&str]) -> HashMap<String, usize> {
    let (mut cursor, mut seen, mut steps) = ("0".to_owned(), HashMap::new(), 0);
    loop {
        let (next, keys) = step(wire, &cursor, options);
        for key in keys {
            *seen.entry(key).or_default() += 1;
        }
        steps += 1;
        assert!(steps < 100_000, "it ends");
        if next == "0" {
            return seen;
        }
        assert!(next.parse::<u64>().unwrap() < 1 << 53, "a cursor fits a double");
        cursor = next;
    }
}

fn fill(wire: &mut Wire, prefix: &str, count: usize) -> HashSet<String> {
    let keys: HashSet<String> = (0..count).map(|number| format!("{prefix}{number}")).collect();
    wire.send(&keys.iter().flat_map(|key| request(&[b"SET", key.as_bytes(), b"v"])).collect::<Vec<_>>());
    wire.expect(&b"+OK\r\n".repeat(count));
    keys
}

#[test]
fn what_is_there_from_start_to_end_is_returned_while_keys_change() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    let stable = fill(&mut wire, "stable:", 3000);
    let stop = Arc::new(AtomicBool::new(false));
    let changer = {
        let (mut wire, stop) = (server.connect(), Arc::clone(&stop));
        thread::spawn(move || {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) || round == 0 {
                // Enough that tables of the index split.
                fill(&mut wire, "passing:", 4000);
                let gone: Vec<_> =
                    (0..4000).flat_map(|at| request(&[b"DEL", format!("passing:{at}").as_bytes()])).collect();
                wire.send(&gone);
                wire.expect(&b":1\r\n".repeat(4000));
                round += 1;
            }
        })
    };
    for count in ["10", "1", "500"] {
        let seen = walk(&mut wire, &["COUNT", count]);
        let missing: Vec<_> = stable.iter().filter(|key| !seen.contains_key(*key)).collect();
        assert!(missing.is_empty(), "COUNT {count} left out {} keys, as {:?}", missing.len(), missing[0]);
        assert!(seen.keys().all(|key| key.starts_with("stable:") || key.starts_with("passing:")));
    }
    stop.store(true, Ordering::Relaxed);
    changer.join().unwrap();
    let seen = walk(&mut wire, &[]);
    assert_eq!(seen.keys().cloned().collect::<HashSet<_>>(), stable);
    assert!(seen.values().all(|&times| times == 1), "nothing changed: each key comes once");
}

#[test]
fn keys_of_one_hash_tag_are_walked_in_steps() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    let keys = fill(&mut wire, "{tag}", 9000);
    let (_, first) = step(&mut wire, "0", &["COUNT", "100"]);
    assert!(first.len() < 5000, "one step stays small: {}", first.len());
    assert_eq!(walk(&mut wire, &["COUNT", "100"]).into_keys().collect::<HashSet<_>>(), keys);
}

#[test]
fn options_of_scan_choose() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    fill(&mut wire, "a:", 100);
    let b = fill(&mut wire, "b:", 50);
    assert_eq!(walk(&mut wire, &["MATCH", "b:*"]).into_keys().collect::<HashSet<_>>(), b);
    assert_eq!(walk(&mut wire, &["TYPE", "string"]).len(), 150);
    assert_eq!(walk(&mut wire, &["TYPE", "hash"]).len(), 0);
    for cursor in ["abc", "18446744073709551616", "-1"] {
        assert_eq!(wire.answer(&["SCAN", cursor]), "-ERR invalid cursor");
    }
    assert_eq!(wire.answer(&["SCAN", "0", "COUNT", "0"]), "-ERR syntax error");
    assert_eq!(wire.answer(&["SCAN", "0", "COUNT", "x"]), "-ERR value is not an integer or out of range");
}

#[test]
fn a_cursor_outlives_a_restart_with_another_number_of_workers() {
    let server = Setup::disk().workers(1).start();
    let mut wire = server.connect();
    let keys = fill(&mut wire, "k", 1000);
    let (mut cursor, mut seen) = ("0".to_owned(), HashSet::new());
    for _ in 0..20 {
        let (next, found) = step(&mut wire, &cursor, &["COUNT", "20"]);
        seen.extend(found);
        cursor = next;
    }
    assert_ne!(cursor, "0");
    let mut ended = server.kill();
    ended.setup.workers = crate::server::workers(2);
    let server = ended.start();
    let mut wire = server.connect();
    while cursor != "0" {
        let (next, found) = step(&mut wire, &cursor, &["COUNT", "20"]);
        seen.extend(found);
        cursor = next;
    }
    assert_eq!(seen, keys);
}

#[test]
fn a_random_key_is_one_of_those_that_are_there() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    let keys = fill(&mut wire, "k", 40);
    let mut drawn = HashSet::new();
    for _ in 0..400 {
        drawn.insert(text(wire.call(&["RANDOMKEY"])));
    }
    assert!(drawn.is_subset(&keys));
    assert!(drawn.len() > 10, "all workers' keys are drawn: {drawn:?}");
}

#[test]
fn keys_of_more_than_there_is_memory_for_are_walked_while_others_push_them_out() {
    const KEYS: usize = 2_000;
    let options = ["--shards", "2", "--checkpoint-log-bytes", "4mb", "--maxmemory", "8mb"];
    let server = Setup::disk().workers(1).and(&options).start();
    let mut wire = server.connect();
    let value = vec![b'v'; 20 << 10];
    for number in 0..KEYS {
        wire.send(&request(&[b"SET", format!("k{number}").as_bytes(), &value]));
        wire.expect(b"+OK\r\n");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|reader| {
            let (mut wire, stop) = (server.connect(), Arc::clone(&stop));
            thread::spawn(move || {
                let mut number = reader;
                while !stop.load(Ordering::Relaxed) {
                    number = (number * 7919 + 13) % KEYS;
                    assert_eq!(wire.answer(&["GET", &format!("k{number}")]).len(), 20 << 10);
                }
            })
        })
        .collect();
    // The wire gives up after some seconds: a walk that reads back for ever what it has pushed out itself does not end.
    let Reply::Array(keys) = wire.call(&["KEYS", "*"]) else { panic!("no array") };
    assert_eq!(keys.len(), KEYS);
    assert_eq!(walk(&mut wire, &["COUNT", "1000"]).len(), KEYS);
    stop.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}
