//! Pipelines over all shards and both workers are answered in the order they were asked.

use std::thread;

use resp::Reply;

use crate::server::{Server, Setup};
use crate::wire::{Wire, key_of, request};

/// A pipeline and the bytes that answer it.
#[derive(Default)]
pub(crate) struct Script {
    requests: Vec<u8>,
    replies: Vec<u8>,
}

impl Script {
    pub(crate) fn step(&mut self, words: &[&str], reply: &str) {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        resp::write_request(&mut self.requests, &words);
        self.replies.extend_from_slice(reply.as_bytes());
    }

    pub(crate) fn run(&self, wire: &mut Wire) {
        let (mut sender, requests) = (wire.second(), self.requests.clone());
        let sending = thread::spawn(move || sender.send(&requests));
        wire.expect(&self.replies);
        sending.join().unwrap();
    }
}

pub(crate) fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// Sets, counts, reads, reads of absence, deletes and requests of many keys, mixed, all of one client.
fn mixed(script: &mut Script, prefix: &str, rounds: usize) {
    for round in 0..rounds {
        let key = |number: usize| format!("{prefix}:{}", round * 10 + number);
        let keys: Vec<String> = (0..10).map(key).collect();
        let value = format!("value-{round}");
        script.step(&["SET", &keys[0], &value], "+OK\r\n");
        script.step(&["GET", &keys[0]], &bulk(&value));
        script.step(&["GET", &keys[9]], "$-1\r\n");
        script.step(&["INCR", &keys[1]], ":1\r\n");
        script.step(&["PING", &keys[3]], &bulk(&keys[3]));
        script.step(&["INCR", &keys[1]], ":2\r\n");
        script.step(&["MSET", &keys[2], "a", &keys[3], "b", &keys[4], "c", &keys[5], "d"], "+OK\r\n");
        let several = format!("*4\r\n{}{}{}$-1\r\n", bulk("d"), bulk("2"), bulk("a"));
        script.step(&["MGET", &keys[5], &keys[1], &keys[2], &keys[9]], &several);
        script.step(&["DEL", &keys[2], &keys[3], &keys[9]], ":2\r\n");
        script.step(&["EXISTS", &keys[0], &keys[0], &keys[2], &keys[4]], ":3\r\n");
        script.step(&["NOSUCH"], "-ERR unknown command 'NOSUCH', with args beginning with: \r\n");
        script.step(&["APPEND", &keys[4], "e"], ":2\r\n");
        script.step(
            &["MSET", &keys[6], "x", &keys[7]],
            "-ERR wrong number of arguments for 'mset' command\r\n",
        );
        script.step(&["EXISTS", &keys[6], &keys[7]], ":0\r\n");
        script.step(&["UNLINK", &keys[0], &keys[1], &keys[4], &keys[5]], ":4\r\n");
    }
}

fn keeps_order(server: &Server) {
    let mut wire = server.connect();
    let mut script = Script::default();
    mixed(&mut script, "first", 600);
    script.run(&mut wire);
    // Several clients at once: replies go to who asked, in order.
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let mut wire = server.connect();
            thread::spawn(move || {
                let mut script = Script::default();
                mixed(&mut script, &format!("client-{number}"), 200);
                script.run(&mut wire);
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(wire.answer(&["DBSIZE"]), ":0");
}

#[test]
fn thousands_of_commands_over_all_shards_are_answered_in_order_in_memory() {
    keeps_order(&Setup::memory().start());
}

#[test]
fn thousands_of_commands_over_all_shards_are_answered_in_order_on_disk() {
    keeps_order(&Setup::disk().start());
}

#[test]
fn one_worker_answers_in_order_too() {
    keeps_order(&Setup::memory().workers(1).start());
}

#[test]
fn a_flush_in_mid_pipeline_takes_what_was_before_it_and_nothing_after() {
    for setup in [Setup::memory(), Setup::disk()] {
        let server = setup.start();
        let mut wire = server.connect();
        let mut script = Script::default();
        for flush in ["FLUSHALL", "FLUSHDB"] {
            for number in 0..500 {
                script.step(&["SET", &format!("k{number}"), "before"], "+OK\r\n");
            }
            script.step(&["DBSIZE"], ":500\r\n");
            script.step(&[flush], "+OK\r\n");
            script.step(&["DBSIZE"], ":0\r\n");
            script.step(&["RANDOMKEY"], "$-1\r\n");
            for number in 0..500 {
                script.step(&["SETNX", &format!("k{number}"), "after"], ":1\r\n");
            }
            script.step(&["DBSIZE"], ":500\r\n");
            for number in 0..500 {
                script.step(&["GETDEL", &format!("k{number}")], &bulk("after"));
            }
            script.step(&["KEYS", "*"], "*0\r\n");
            script.step(&["ECHO", "end"], &bulk("end"));
        }
        script.run(&mut wire);
    }
}

#[test]
fn a_request_over_all_keys_holds_its_place_in_the_pipeline() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    let names: Vec<String> = (0..2000).map(|number| format!("k{number}")).collect();
    for name in &names {
        wire.send(&request(&[b"SET", name.as_bytes(), b"1"]));
    }
    wire.send(&request(&[b"KEYS", b"*"]));
    wire.send(&request(&[b"SET", b"later", b"1"]));
    wire.send(&request(&[b"KEYS", b"later"]));
    wire.send(&request(&[b"CLIENT", b"LIST"]));
    wire.send(&request(&[b"DBSIZE"]));
    for _ in &names {
        wire.expect(b"+OK\r\n");
    }
    let Reply::Array(keys) = wire.reply() else { panic!("no array") };
    let mut keys: Vec<_> = keys
        .into_iter()
        .map(|key| match key {
            Reply::Bulk(bytes) => String::from_utf8(bytes).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    keys.sort();
    let mut expected = names;
    expected.sort();
    assert_eq!(keys, expected);
    wire.expect(b"+OK\r\n*1\r\n$5\r\nlater\r\n");
    assert!(matches!(wire.reply(), Reply::Bulk(list) if list.starts_with(b"id=")));
    wire.expect(b":2001\r\n");
}

#[test]
fn what_is_on_different_shards_is_refused_where_it_must_be_atomic() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    let (a, b) = (key_of(0, 0), key_of(1, 0));
    let refused = wire.answer(&["MSETNX", &a, "1", &b, "2"]);
    assert!(refused.starts_with("-") && refused.contains("shard"), "{refused}");
    assert_eq!(wire.answer(&["EXISTS", &a, &b]), ":0");
    assert_eq!(wire.answer(&["MSETNX", "{t}a", "1", "{t}b", "2"]), ":1");
    assert_eq!(wire.answer(&["MSETNX", "{t}b", "1", "{t}c", "2"]), ":0");
    assert_eq!(wire.answer(&["MGET", "{t}a", "{t}b", "{t}c"]), "[1 2 nil]");
}

#[test]
fn the_protocol_changes_between_two_requests_of_a_pipeline() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    for key in [key_of(0, 0), key_of(1, 0)] {
        let mut script = Script::default();
        for _ in 0..100 {
            script.step(&["GET", &key], "$-1\r\n");
            script.step(&["MGET", &key, "other"], "*2\r\n$-1\r\n$-1\r\n");
        }
        wire.send(&script.requests);
        wire.send(&request(&[b"HELLO", b"3"]));
        wire.send(&request(&[b"GET", key.as_bytes()]));
        wire.send(&request(&[b"MGET", key.as_bytes(), b"other"]));
        wire.send(&request(&[b"HELLO", b"2"]));
        wire.send(&request(&[b"GET", key.as_bytes()]));
        wire.expect(&script.replies);
        assert!(matches!(wire.reply(), Reply::Map(facts) if facts.len() == 7));
        wire.expect(b"_\r\n*2\r\n_\r\n_\r\n");
        assert!(matches!(wire.reply(), Reply::Array(facts) if facts.len() == 14));
        wire.expect(b"$-1\r\n");
    }
}
