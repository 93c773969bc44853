//! Clients that ask for what is allowed, far too much of it: what they cost is bounded by what they send or by a limit, it
//! goes with them, and others are served meanwhile.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use resp::Reply;

use crate::server::{Server, Setup, wait_for};
use crate::wire::{Wire, key_of, request};

/// Runs something while a client of each worker is served; how often they were, from when both are at it.
fn while_others_are_served<T>(server: &Server, run: impl FnOnce() -> T) -> (T, usize) {
    let (done, ready) = (AtomicBool::new(false), Barrier::new(3));
    thread::scope(|scope| {
        let others: Vec<_> = (0..2)
            .map(|number| {
                let (mut wire, done, ready) = (server.connect(), &done, &ready);
                scope.spawn(move || {
                    let (key, mut rounds) = (key_of(number, 0), 0);
                    while !done.load(Ordering::Relaxed) {
                        assert_eq!(wire.answer(&["SET", &key, &rounds.to_string()]), "+OK");
                        assert_eq!(wire.answer(&["GET", &key]), rounds.to_string());
                        if rounds == 0 {
                            ready.wait();
                        }
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        ready.wait();
        let result = run();
        done.store(true, Ordering::Relaxed);
        let least = others.into_iter().map(|other| other.join().unwrap()).min();
        (result, least.unwrap())
    })
}

#[test]
fn a_request_larger_than_the_limit_closes_its_connection() {
    let server = Setup::memory().and(&["--client-query-buffer-limit", "2mb"]).start();
    let part = vec![b'x'; 100_000];
    let words = |count: usize| {
        let mut words: Vec<&[u8]> = vec![b"DEL"];
        words.resize(count + 1, &part);
        request(&words)
    };
    let mut wire = server.connect();
    // One below the limit is served, and a pipeline of many such ones too.
    wire.send(&words(15).repeat(4));
    wire.expect(&b":0\r\n".repeat(4));
    // One beyond it is cut off, however it comes; nothing of it is run.
    for step in [usize::MAX, 70_000] {
        let mut greedy = server.connect();
        for piece in words(100).chunks(step) {
            greedy.send_if_open(piece);
        }
        assert_eq!(greedy.until_closed(), b"");
    }
    wait_for("the log to tell why", || server.log().contains("client-query-buffer-limit").then_some(()));
    wait_for("both to be counted", || {
        let stats = wire.answer(&["INFO", "stats"]);
        stats.contains("client_query_buffer_limit_disconnections:2\\r\\n").then_some(())
    });
    // It can be changed: what was too much before is served.
    assert_eq!(wire.answer(&["CONFIG", "SET", "client-query-buffer-limit", "32mb"]), "+OK");
    wire.send(&words(100));
    wire.expect(b":0\r\n");
    assert!(server.peak_mib() < 150, "{} MiB", server.peak_mib());
}

#[test]
fn floods_of_requests_that_ask_for_nothing_take_no_memory_and_no_turn_from_others() {
    let server = Setup::memory().start();
    for empty in [&b"*0\r\n"[..], b"*-1\r\n", b"\r\n", b"*-2147483648\r\n"] {
        let flood = empty.repeat((48 << 20) / empty.len());
        let ((), served) = while_others_are_served(&server, || {
            thread::scope(|scope| {
                for _ in 0..3 {
                    let (mut wire, flood) = (server.connect(), &flood);
                    scope.spawn(move || {
                        wire.send(flood);
                        assert_eq!(wire.answer(&["PING"]), "+PONG");
                    });
                }
            });
        });
        assert!(served > 5, "{served} rounds of the others");
    }
    assert!(server.peak_mib() < 100, "{} MiB", server.peak_mib());
}

#[test]
fn a_thousand_clients_that_never_end_their_requests_take_little_and_no_turn_from_others() {
    let server = Setup::memory().and(&["--request-timeout", "2"]).start();
    let open = server.open_files();
    let (_, served) = while_others_are_served(&server, || {
        let mut slow: Vec<Wire> = (0..1000).map(|_| server.connect()).collect();
        let half = b"*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$5000\r\nxxxxxxxx";
        for byte in half {
            slow.iter_mut().for_each(|wire| wire.send_if_open(&[*byte]));
        }
        let peak = server.peak_mib();
        assert!(peak < 100, "{} half requests took {peak} MiB", slow.len());
        // Their time comes.
        for wire in &mut slow {
            assert_eq!(wire.until_closed(), b"");
        }
    });
    assert!(served > 20, "{served} rounds of the others");
    wait_for("their sockets to be closed", || (server.open_files() <= open + 3).then_some(()));
    assert_eq!(server.connect().answer(&["EXISTS", "slow"]), ":0");
}

#[test]
fn a_million_subscriptions_cost_what_they_are_and_go_with_their_client() {
    const COUNT: usize = 1_000_000;
    const STEP: usize = 50_000;
    let server = Setup::memory().start();
    let mut admin = server.connect();
    let mut channels = || {
        let info = admin.answer(&["INFO", "stats"]);
        let count = info.split("pubsub_channels:").nth(1).unwrap();
        count.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<usize>().unwrap()
    };
    let (wire, served) = while_others_are_served(&server, || {
        let mut wire = server.connect();
        for first in (0..COUNT).step_by(STEP) {
            let names: Vec<String> = (first..first + STEP).map(|number| number.to_string()).collect();
            let names = names.iter().map(String::as_bytes);
            let words: Vec<&[u8]> = std::iter::once(&b"SUBSCRIBE"[..]).chain(names).collect();
            wire.send(&request(&words));
            for number in first..first + STEP {
                let name = number.to_string();
                let head =
                    format!("*3\r\n$9\r\nsubscribe\r\n${}\r\n{name}\r\n:{}\r\n", name.len(), number + 1);
                wire.expect(head.as_bytes());
            }
        }
        wire
    });
    assert!(served > 100, "{served} rounds of the others");
    assert_eq!(channels(), COUNT);
    let peak = server.peak_mib();
    assert!(peak < 600, "{peak} MiB");
    drop(wire);
    let ((), served) = while_others_are_served(&server, || {
        wait_for("the subscriptions to be gone", || (channels() == 0).then_some(()));
    });
    assert!(served > 5, "{served} rounds of the others");
}

#[test]
fn patterns_made_to_be_slow_hold_up_no_one_who_publishes() {
    const COUNT: usize = 5000;
    let server = Setup::memory().start();
    let mut listener = server.connect();
    let patterns: Vec<String> = (0..COUNT).map(|number| format!("{}b{number}", "a*".repeat(20))).collect();
    let words: Vec<&[u8]> =
        std::iter::once(&b"PSUBSCRIBE"[..]).chain(patterns.iter().map(String::as_bytes)).collect();
    listener.send(&request(&words));
    (0..COUNT).for_each(|_| drop(listener.reply()));
    let channel = "a".repeat(60);
    let ((), served) = while_others_are_served(&server, || {
        let mut publisher = server.connect();
        for _ in 0..150 {
            assert_eq!(publisher.answer(&["PUBLISH", &channel, "x"]), ":0");
        }
        assert_eq!(publisher.answer(&["PUBLISH", &format!("{channel}b7"), "x"]), ":1");
    });
    assert!(served > 5, "{served} rounds of the others");
    let Reply::Array(message) = listener.reply() else { panic!("a message") };
    assert_eq!(message[0], Reply::Bulk(b"pmessage".to_vec()));
}

#[test]
fn very_many_prefixes_of_one_client_that_caches_hold_up_no_write() {
    const COUNT: usize = 200_000;
    let server = Setup::memory().start();
    let mut wire = server.connect();
    wire.call(&["HELLO", "3"]);
    let names: Vec<String> = (0..COUNT).map(|number| format!("{number:06}:")).collect();
    let prefixes = names.iter().flat_map(|name| [&b"PREFIX"[..], name.as_bytes()]);
    let words: Vec<&[u8]> =
        [&b"CLIENT"[..], b"TRACKING", b"ON", b"BCAST"].into_iter().chain(prefixes).collect();
    wire.send(&request(&words));
    assert_eq!(wire.reply(), Reply::Simple(b"OK".to_vec()));
    // Two that collide, the last of very many.
    let mut more: Vec<String> = (0..COUNT).map(|number| format!("x{number:06}:")).collect();
    more.push("x000007:more".to_owned());
    let prefixes = more.iter().flat_map(|name| [&b"PREFIX"[..], name.as_bytes()]);
    let words: Vec<&[u8]> =
        [&b"CLIENT"[..], b"TRACKING", b"ON", b"BCAST"].into_iter().chain(prefixes).collect();
    wire.send(&request(&words));
    let Reply::Error(why) = wire.reply() else { panic!("an error") };
    let why = String::from_utf8(why).unwrap();
    assert!(why.contains("'x000007:' overlaps with another provided prefix 'x000007:more'"), "{why}");
    // Every write is looked at, and only what begins with one of them is told.
    let mut writer = server.connect();
    let script: Vec<u8> =
        (0..20_000).flat_map(|at| request(&[b"SET", format!("k{at}").as_bytes(), b"v"])).collect();
    let mut sender = writer.second();
    let sending = thread::spawn(move || sender.send(&script));
    writer.expect(&b"+OK\r\n".repeat(20_000));
    sending.join().unwrap();
    assert_eq!(writer.answer(&["SET", "000123:key", "v"]), "+OK");
    let Reply::Push(told) = wire.reply() else { panic!("a push") };
    assert_eq!(told[1], Reply::Array(vec![Reply::Bulk(b"000123:key".to_vec())]));
}
