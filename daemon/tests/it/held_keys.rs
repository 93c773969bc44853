//! Commands whose keys lie on several workers: nothing is lost or doubled however many meet, and none waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::server::Setup;
use crate::wire::key_of;

const CLIENTS: usize = 4;
const ROUNDS: usize = 200;
const KEYS: usize = 4;

/// One value that goes round keys of both workers, renamed by several clients at once, while others look.
fn check(setup: Setup) {
    let server = setup.start();
    if server.workers() < 2 {
        eprintln!("one processor: there are no two workers");
        return;
    }
    let keys: Vec<String> = (0..KEYS).map(|number| key_of(number % 2, number)).collect();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["SET", &keys[0], "v", "EX", "100000"]), "+OK");
    let is_over = Arc::new(AtomicBool::new(false));
    let looking = {
        let (mut wire, keys, is_over) = (server.connect(), keys.clone(), Arc::clone(&is_over));
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                // Both keys are seen at one moment: never the value under two names.
                let answer = wire.answer(&["LCS", &keys[0], &keys[1], "LEN"]);
                assert_eq!(answer, ":0");
            }
        })
    };
    let renaming: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (mut wire, keys) = (server.connect(), keys.clone());
            thread::spawn(move || {
                let mut renamed = 0;
                for round in 0..ROUNDS {
                    let (from, to) = (&keys[(round + client) % KEYS], &keys[(round * 2 + client + 1) % KEYS]);
                    let name = if round % 2 == 0 { "RENAME" } else { "RENAMENX" };
                    match wire.answer(&[name, from, to]).as_str() {
                        "+OK" | ":1" => renamed += 1,
                        ":0" | "-ERR no such key" => {}
                        other => panic!("{name} {from} {to}: {other}"),
                    }
                }
                renamed
            })
        })
        .collect();
    let renamed: usize = renaming.into_iter().map(|client| client.join().unwrap()).sum();
    is_over.store(true, Ordering::Relaxed);
    looking.join().unwrap();
    assert!(renamed > 0, "the value went round");
    let there: Vec<&String> = keys.iter().filter(|key| wire.answer(&["EXISTS", key]) == ":1").collect();
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(wire.answer(&["GET", there[0]]), "v");
    assert_ne!(wire.answer(&["TTL", there[0]]), ":-1");
    let ended = server.terminate();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
}

#[test]
fn a_value_renamed_by_many_is_neither_lost_nor_doubled_in_memory() {
    check(Setup::memory());
}

#[test]
fn a_value_renamed_by_many_is_neither_lost_nor_doubled_on_disk() {
    check(Setup::disk());
}

/// A client that sends on without waiting finds what its earlier requests did.
#[test]
fn pipelines_keep_their_order_around_keys_of_several_workers() {
    let server = Setup::memory().start();
    let (a, b) = (key_of(0, 1), key_of(server.workers() - 1, 2));
    let mut wire = server.connect();
    let mut requests = Vec::new();
    let (mut expected, large) = (Vec::new(), "x".repeat(3000));
    for _ in 0..200 {
        for (words, reply) in [
            (vec!["SET", &a, &large], "+OK\r\n".to_owned()),
            (vec!["GET", &a], format!("$3000\r\n{large}\r\n")),
            (vec!["RENAME", &a, &b], "+OK\r\n".to_owned()),
            (vec!["GET", &a], "$-1\r\n".to_owned()),
            (vec!["GETSET", &b, "y"], format!("$3000\r\n{large}\r\n")),
            (vec!["BITOP", "NOT", &a, &b], ":1\r\n".to_owned()),
            (vec!["DEL", &a, &b], ":2\r\n".to_owned()),
        ] {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            resp::write_request(&mut requests, &words);
            expected.extend_from_slice(reply.as_bytes());
        }
    }
    let mut sender = wire.second();
    let sending = thread::spawn(move || sender.send(&requests));
    wire.expect(&expected);
    sending.join().unwrap();
}
