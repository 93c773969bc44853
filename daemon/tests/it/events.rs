//! Events of keys: which are told, in what order, and that nothing is told that a crash undoes.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use resp::Reply;

use crate::redis::Redis;
use crate::server::Setup;
use crate::wire::{Wire, key_of, request};

/// Commands whose events are compared; `|` between them. What Redis expires by itself at a time of its own is left out.
pub(crate) const COMMANDS: &str = "SET a 1|SET a 2 EX 100|SETNX b 1|SETNX b 2|SETEX c 1000 x|PSETEX c 1000000 x|GETSET d 1|GETSET d 2|\
    GETDEL d|GETDEL d|GETEX a PERSIST|GETEX a EX 1000|GETEX a EXAT 1|GETEX nope|GET nope|MGET nope a b nope2|STRLEN nope|\
    GETRANGE nope 0 1|EXISTS nope b|TOUCH nope|TYPE nope|TTL nope|PTTL nope|OBJECT ENCODING nope|DUMP nope|\
    BITCOUNT nope|BITPOS nope 1|BITPOS nope 0|GETBIT nope 1|INCR n|INCRBY n 5|DECR n|DECRBY n 2|INCRBYFLOAT n 1.5|\
    INCR b|APPEND ap x|APPEND ap y|APPEND ap \"\"|APPEND ap2 \"\"|SETRANGE sr 1 x|SETRANGE sr 1 y|SETRANGE sr2 1 \"\"|\
    SETBIT sb 1 1|SETBIT sb 1 1|SETBIT sb 1 0|SETBIT sb2 100 0|BITFIELD bf SET u8 0 1|BITFIELD bf SET u8 0 1|\
    BITFIELD bf GET u8 0|BITFIELD nope GET u8 0|BITFIELD bf INCRBY u8 0 1|BITFIELD bf INCRBY u8 0 0|\
    BITFIELD bf OVERFLOW FAIL INCRBY u8 0 255|BITFIELD bf2 OVERFLOW FAIL INCRBY u8 0 256|BITFIELD bf SET u8 200 0|\
    BITFIELD_RO nope GET u8 0|BITFIELD bf SET u8 0 7 SET u8 0 9|BITOP AND dst ap nope|BITOP NOT dst ap|\
    BITOP OR dst2 nope nope2|BITOP OR dst nope|LCS ap nope|LCS ap sr|MSET m1 1 m2 2 m1 3|MSETNX {m}3 1 {m}4 2|\
    MSETNX {m}3 1 {m}5 2|DEL m1 m2 nope m1|UNLINK {m}3 nope|EXPIRE {m}4 100|EXPIRE {m}4 50 GT|EXPIRE {m}4 -1|\
    EXPIRE nope 1|PERSIST c|PERSIST c|PEXPIREAT b 1|SET r1 x|RENAME r1 r2|SET r3 y|RENAME r2 r3|RENAMENX r3 r4|\
    SET r5 z|RENAMENX r5 r4|RENAME nope x|RENAME r4 r4|COPY r4 cp|COPY r4 cp|COPY r4 cp REPLACE|COPY r4 cp DB 2|\
    COPY nope cp|MOVE cp 3|MOVE nope 3|SET cp 1|MOVE cp 3|SELECT 3|SET x 1|SELECT 0|SET q 1 GET|SET q 2 GET|SET q 3 XX|\
    SET q9 3 XX|SET q9 3 XX GET|SET q 3 NX|SET q 5 KEEPTTL|SET w 1 PX 1000000|SET w 2 KEEPTTL|FLUSHDB|SET z 1|FLUSHALL";

/// A message of a pattern: its channel and what it says.
type Told = (String, String);

fn told(wire: &mut Wire) -> Told {
    let Reply::Array(parts) = wire.reply() else { panic!("no message") };
    let text = |part: &Reply| match part {
        Reply::Bulk(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("{other:?}"),
    };
    (text(&parts[2]), text(&parts[3]))
}

/// What is told after each command. A message of our own after each shows where its events end.
fn play(mut connect: impl FnMut() -> Wire, classes: &str) -> Vec<(String, Vec<Told>)> {
    let (mut wire, mut listener) = (connect(), connect());
    assert_eq!(wire.answer(&["CONFIG", "SET", "notify-keyspace-events", classes]), "+OK");
    for pattern in ["__key*", "end"] {
        listener.call(&["PSUBSCRIBE", pattern]);
    }
    let mut all = Vec::new();
    for command in COMMANDS.split('|') {
        wire.send(format!("{command}\r\nPUBLISH end x\r\n").as_bytes());
        wire.reply();
        wire.reply();
        let events: Vec<Told> =
            std::iter::from_fn(|| Some(told(&mut listener)).filter(|one| one.0 != "end")).collect();
        all.push((command.to_owned(), events));
    }
    all
}

#[test]
fn events_are_those_of_redis_in_the_same_order() {
    let temp = tempfile::tempdir().unwrap();
    let socket = temp.path().join("redis.sock");
    let Some(_redis) = Redis::start(&socket) else { return };
    for classes in ["KEAnm", "Kg", "E$", "KEm", "AK", "A", "Ex", "Kn"] {
        let theirs = play(|| Wire::unix(&socket), classes);
        for setup in [Setup::memory(), Setup::disk()] {
            let server = setup.workers(1).start();
            let ours = play(|| server.connect(), classes);
            for (our, their) in ours.iter().zip(&theirs) {
                assert_eq!(our, their, "{classes}");
            }
        }
        let count: usize = theirs.iter().map(|(_, events)| events.len()).sum();
        assert!(classes != "KEAnm" || count > 200, "{count} events");
    }
}

/// The events by key, in order. Between keys of different workers there is none.
fn by_key(all: Vec<(String, Vec<Told>)>) -> BTreeMap<String, Vec<String>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (channel, text) in all.into_iter().flat_map(|(_, events)| events) {
        let (start, rest) = channel.split_once("__:").unwrap();
        let (key, event) = if start.contains("keyspace") { (rest, &text[..]) } else { (&text[..], rest) };
        keys.entry(format!("{start} {key}")).or_default().push(event.to_owned());
    }
    keys
}

#[test]
fn events_of_each_key_are_those_of_redis_over_two_workers() {
    let temp = tempfile::tempdir().unwrap();
    let socket = temp.path().join("redis.sock");
    let Some(_redis) = Redis::start(&socket) else { return };
    let theirs = by_key(play_apart(|| Wire::unix(&socket)));
    for setup in [Setup::memory(), Setup::disk()] {
        let server = setup.start();
        assert_eq!(by_key(play_apart(|| server.connect())), theirs);
    }
}

/// As [`play`], all in one: events of another worker may come after what this one says.
fn play_apart(mut connect: impl FnMut() -> Wire) -> Vec<(String, Vec<Told>)> {
    let (mut wire, mut listener) = (connect(), connect());
    assert_eq!(wire.answer(&["CONFIG", "SET", "notify-keyspace-events", "KEAnm"]), "+OK");
    listener.call(&["PSUBSCRIBE", "__key*"]);
    let commands = COMMANDS.split('|').filter(|command| !command.starts_with("FLUSH"));
    for command in commands {
        wire.send(format!("{command}\r\n").as_bytes());
        wire.reply();
    }
    // One key of each worker ends the list.
    let ends = [key_of(0, 7777), key_of(1, 7777)];
    for key in &ends {
        wire.call(&["SET", key, "x"]);
    }
    let (mut events, mut missing) = (Vec::new(), ends.len());
    while missing > 0 {
        let one = told(&mut listener);
        missing -= usize::from(one.0 == "__keyevent@0__:set" && ends.contains(&one.1));
        events.push(one);
    }
    events.retain(|one| !ends.iter().any(|key| one.0.ends_with(key.as_str()) || one.1 == *key));
    vec![(String::new(), events)]
}

#[test]
fn keys_that_end_and_keys_that_make_room_are_told() {
    let server = Setup::memory().and(&["--notify-keyspace-events", "Exe"]).start();
    let (mut wire, mut listeners) = (server.connect(), [server.connect(), server.connect()]);
    for listener in &mut listeners {
        listener.call(&["PSUBSCRIBE", "__key*"]);
    }
    for worker in 0..2 {
        wire.call(&["SET", &key_of(worker, 0), "v", "PX", "20"]);
        wire.call(&["SET", &key_of(worker, 1), "v", "PXAT", "1"]);
    }
    for listener in &mut listeners {
        let mut keys: Vec<String> = (0..4)
            .map(|_| {
                let (channel, key) = told(listener);
                assert_eq!(channel, "__keyevent@0__:expired");
                key
            })
            .collect();
        keys.sort();
        let mut expected: Vec<String> = (0..4).map(|at| key_of(at / 2, at % 2)).collect();
        expected.sort();
        assert_eq!(keys, expected);
    }
    assert_eq!(wire.answer(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]), "+OK");
    assert_eq!(wire.answer(&["CONFIG", "SET", "maxmemory", "40mb"]), "+OK");
    let value = vec![b'x'; 1000];
    let mut evicted = None;
    for round in 0..200 {
        let script: Vec<u8> = (0..1000)
            .flat_map(|number| request(&[b"SET", format!("{round}:{number}").as_bytes(), &value]))
            .collect();
        wire.send(&script);
        (0..1000).for_each(|_| drop(wire.reply()));
        let figures = wire.answer(&["INFO", "stats"]);
        if !figures.contains("evicted_keys:0") {
            evicted = Some(told(&mut listeners[0]));
            break;
        }
    }
    assert_eq!(evicted.expect("keys make room").0, "__keyevent@0__:evicted");
}

#[test]
fn what_an_event_tells_survives_a_kill() {
    let mut server = Setup::disk().and(&["--notify-keyspace-events", "KE$"]).start();
    for round in 0..8 {
        let mut listeners = [server.connect(), server.connect()];
        for listener in &mut listeners {
            listener.call(&["PSUBSCRIBE", "__keyevent*"]);
        }
        let mut writers: Vec<Wire> = (0..2).map(|_| server.connect()).collect();
        let writing: Vec<_> = writers
            .drain(..)
            .enumerate()
            .map(|(who, mut wire)| {
                let script: Vec<u8> = (0..20_000)
                    .flat_map(|number| {
                        request(&[b"SET", format!("{round}:{who}:{number}").as_bytes(), b"value"])
                    })
                    .collect();
                thread::spawn(move || {
                    wire.send_if_open(&script);
                    wire
                })
            })
            .collect();
        // Wherever they are then.
        let first = told(&mut listeners[0]);
        thread::sleep(Duration::from_millis(3 * round));
        let ended = server.kill();
        let mut keys = vec![first.1];
        for listener in &mut listeners {
            while let Some(Reply::Array(parts)) = listener.try_reply() {
                let Reply::Bulk(key) = &parts[3] else { panic!("{parts:?}") };
                keys.push(String::from_utf8(key.clone()).unwrap());
            }
        }
        for thread in writing {
            thread.join().unwrap();
        }
        server = ended.start();
        let mut wire = server.connect();
        for key in &keys {
            assert_eq!(wire.answer(&["GET", key]), "value", "{key} of {}, round {round}", keys.len());
        }
    }
}
