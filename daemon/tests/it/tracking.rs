//! Clients that cache what they read: they are told of every change, never too early, and of nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use resp::Reply;

use crate::events::COMMANDS;
use crate::redis::Redis;
use crate::server::{PATIENCE, Server, Setup, wait_for};
use crate::wire::{Wire, key_of, request};

fn text(reply: &Reply) -> String {
    match reply {
        Reply::Bulk(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The key that a push tells of; `*` for all.
fn told(push: &Reply) -> Option<String> {
    let Reply::Push(parts) = push else { return None };
    assert_eq!(text(&parts[0]), "invalidate");
    match &parts[1] {
        Reply::Null => Some("*".to_owned()),
        Reply::Array(keys) => Some(keys.iter().map(text).collect::<Vec<_>>().join(" ")),
        other => panic!("{other:?}"),
    }
}

/// The next push, which is one.
#[track_caller]
fn next_told(wire: &mut Wire) -> String {
    let reply = wire.reply();
    told(&reply).unwrap_or_else(|| panic!("no push: {reply:?}"))
}

/// A connection of the new protocol that tracks with these options.
fn tracker(mut wire: Wire, options: &[&str]) -> Wire {
    wire.call(&["HELLO", "3"]);
    assert_eq!(wire.answer(&[&["CLIENT", "TRACKING", "ON"], options].concat()), "+OK");
    wire
}

/// Asserts that nothing has come: the reply to a PING is next.
#[track_caller]
fn is_quiet(wire: &mut Wire) {
    thread::sleep(Duration::from_millis(30));
    assert_eq!(wire.answer(&["PING"]), "+PONG");
}

/// All words of the commands that may be keys.
fn words() -> BTreeSet<&'static str> {
    COMMANDS
        .split('|')
        .flat_map(|command| command.split_whitespace().skip(1))
        .filter(|word| *word != "\"\"")
        .collect()
}

/// What a client that has read all keys is told after each command.
fn play(mut connect: impl FnMut() -> Wire, options: &[&str]) -> Vec<(String, BTreeSet<String>)> {
    let (mut writer, mut reader) = (connect(), tracker(connect(), options));
    let mut all = Vec::new();
    for command in COMMANDS.split('|') {
        for word in words() {
            reader.call(&["STRLEN", word]);
        }
        // What it is told comes before the command's reply; so it comes before the reply of what is asked then.
        writer.send(format!("{command}\r\n").as_bytes());
        writer.reply();
        reader.send(&request(&[b"ECHO", b"end"]));
        let keys = std::iter::from_fn(|| told(&reader.reply()));
        let keys = keys.flat_map(|keys| keys.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
        all.push((command.to_owned(), keys));
    }
    all
}

#[test]
fn clients_are_told_of_the_changes_that_redis_tells() {
    let temp = tempfile::tempdir().unwrap();
    let socket = temp.path().join("redis.sock");
    let Some(_redis) = Redis::start(&socket) else { return };
    for options in [&[][..], &["BCAST"], &["OPTOUT"]] {
        let theirs = play(|| Wire::unix(&socket), options);
        for setup in [Setup::memory(), Setup::disk()] {
            let server = setup.workers(1).start();
            let ours = play(|| server.connect(), options);
            for (our, their) in ours.iter().zip(&theirs) {
                assert_eq!(our, their, "{options:?}");
            }
        }
        let count: usize = theirs.iter().map(|(_, keys)| keys.len()).sum();
        assert!(count > 60, "{count} keys");
    }
}

/// Runs a test on memory and on disk.
fn on_both(test: impl Fn(&Server)) {
    for setup in [Setup::memory(), Setup::disk()] {
        test(&setup.start());
    }
}

#[test]
fn who_has_read_a_key_of_any_worker_is_told_once_of_its_next_change() {
    on_both(|server| {
        let mut writer = server.connect();
        for mut reader in [tracker(server.connect(), &[]), tracker(server.connect(), &[])] {
            for key in [key_of(0, 0), key_of(1, 0)] {
                reader.call(&["GET", &key]);
                writer.call(&["SET", &key, "1"]);
                assert_eq!(next_told(&mut reader), key);
                writer.call(&["SET", &key, "2"]);
                is_quiet(&mut reader);
                // Of several keys at once, and of what it changes itself.
                reader.call(&["MGET", &key_of(0, 1), &key_of(1, 1), &key]);
                assert_eq!(reader.answer(&["DEL", &key]), ":1");
                assert_eq!(next_told(&mut reader), key);
                reader.call(&["EXISTS", &key]);
                writer.call(&["SETEX", &key, "100", "x"]);
                assert_eq!(next_told(&mut reader), key);
            }
            // A command that only writes is none that reads.
            reader.call(&["SET", &key_of(0, 2), "x"]);
            writer.call(&["SET", &key_of(0, 2), "y"]);
            is_quiet(&mut reader);
            assert_eq!(reader.answer(&["CLIENT", "TRACKING", "OFF"]), "+OK");
            reader.call(&["GET", &key_of(0, 2)]);
            writer.call(&["SET", &key_of(0, 2), "z"]);
            is_quiet(&mut reader);
        }
    });
}

#[test]
fn options_say_what_is_told() {
    on_both(|server| {
        let mut writer = server.connect();
        let keys = [key_of(0, 0), key_of(1, 0)];
        let mut one = tracker(server.connect(), &["NOLOOP"]);
        let mut prefixed = tracker(server.connect(), &["BCAST", "PREFIX", "key:", "PREFIX", "other"]);
        let mut silent = tracker(server.connect(), &["BCAST", "NOLOOP", "PREFIX", "key:"]);
        let mut opts_in = tracker(server.connect(), &["OPTIN"]);
        let mut opts_out = tracker(server.connect(), &["OPTOUT"]);
        for key in &keys {
            one.call(&["GET", key]);
            one.call(&["SET", key, "1"]);
            is_quiet(&mut one);
            one.call(&["GET", key]);
            assert_eq!(next_told(&mut prefixed), *key);
            assert_eq!(next_told(&mut silent), *key);
            opts_in.call(&["GET", key]);
            opts_out.call(&["CLIENT", "CACHING", "NO"]);
            opts_out.call(&["GET", key]);
            writer.call(&["SET", key, "2"]);
            assert_eq!(next_told(&mut one), *key);
            assert_eq!(next_told(&mut prefixed), *key);
            assert_eq!(next_told(&mut silent), *key);
            is_quiet(&mut opts_in);
            is_quiet(&mut opts_out);
            assert_eq!(opts_in.answer(&["CLIENT", "CACHING", "YES"]), "+OK");
            opts_in.call(&["GET", key]);
            opts_in.call(&["GET", &key_of(0, 5)]);
            opts_out.call(&["GET", key]);
            writer.call(&["APPEND", key, "3"]);
            writer.call(&["APPEND", &key_of(0, 5), "3"]);
            assert_eq!((next_told(&mut opts_in), next_told(&mut opts_out)), (key.clone(), key.clone()));
            is_quiet(&mut opts_in);
            for told in [key, &key_of(0, 5)] {
                assert_eq!((next_told(&mut prefixed), next_told(&mut silent)), (told.clone(), told.clone()));
            }
            silent.call(&["SET", key, "4"]);
            assert_eq!(next_told(&mut prefixed), *key);
            is_quiet(&mut silent);
        }
        writer.call(&["SET", "something", "1"]);
        is_quiet(&mut prefixed);
        let info = writer.answer(&["INFO", "everything"]);
        assert!(info.contains("tracking_clients:5") && info.contains("tracking_total_prefixes:2"), "{info}");
        drop((one, prefixed, silent, opts_in, opts_out));
        wait_for("the trackers to be gone", || {
            let info = writer.answer(&["INFO", "everything"]);
            let none = ["tracking_clients:0", "tracking_total_prefixes:0", "tracking_total_keys:0"];
            none.iter().all(|line| info.contains(line)).then_some(())
        });
    });
}

#[test]
fn another_client_is_told_in_the_place_of_one() {
    on_both(|server| {
        let mut writer = server.connect();
        for at in 0..3 {
            let (mut reader, mut listener) = (server.connect(), server.connect());
            let id = listener.answer(&["CLIENT", "ID"]).trim_start_matches(':').to_owned();
            listener.call(&["SUBSCRIBE", "__redis__:invalidate"]);
            assert_eq!(reader.answer(&["CLIENT", "TRACKING", "ON", "REDIRECT", &id]), "+OK");
            assert_eq!(reader.answer(&["CLIENT", "GETREDIR"]), format!(":{id}"));
            for key in [key_of(0, at), key_of(1, at)] {
                reader.call(&["GET", &key]);
                writer.call(&["SET", &key, "1"]);
                let head = "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n";
                listener.expect(format!("{head}*1\r\n${}\r\n{key}\r\n", key.len()).as_bytes());
            }
            writer.call(&["FLUSHALL"]);
            listener.expect(b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n$-1\r\n");
            // When it is gone, the one that reads is told that, if its protocol has a way.
            reader.call(&["HELLO", "3"]);
            drop(listener);
            thread::sleep(Duration::from_millis(50));
            reader.call(&["GET", "k"]);
            writer.call(&["SET", "k", "1"]);
            let Reply::Push(parts) = reader.reply() else { panic!("no push") };
            assert_eq!(
                (text(&parts[0]), &parts[1]),
                ("tracking-redir-broken".into(), &Reply::Integer(id.parse().unwrap()))
            );
            let Reply::Map(info) = reader.call(&["CLIENT", "TRACKINGINFO"]) else { panic!("a map") };
            let flags = ["on", "broken_redirect"].map(|flag| Reply::Bulk(flag.into()));
            assert_eq!(info[0].1, Reply::Set(flags.to_vec()));
            writer.call(&["DEL", "k"]);
        }
    });
}

#[test]
fn a_flush_of_all_workers_is_told_once_and_what_goes_by_itself_too() {
    on_both(|server| {
        let mut writer = server.connect();
        let mut readers: Vec<Wire> = vec![
            tracker(server.connect(), &[]),
            tracker(server.connect(), &["BCAST", "PREFIX", "none"]),
            tracker(server.connect(), &["NOLOOP"]),
        ];
        for flush in ["FLUSHALL", "FLUSHDB"] {
            writer.call(&["MSET", &key_of(0, 0), "1", &key_of(1, 0), "1"]);
            readers.iter_mut().for_each(|reader| drop(reader.call(&["MGET", &key_of(0, 0), &key_of(1, 0)])));
            assert_eq!(writer.answer(&[flush]), "+OK");
            for reader in &mut readers {
                assert_eq!(next_told(reader), "*");
                is_quiet(reader);
            }
        }
        // Long enough to be read before it has come, on any machine.
        let keys = [key_of(0, 0), key_of(1, 0)];
        for key in &keys {
            writer.call(&["SET", key, "1", "PX", "3000"]);
            assert_ne!(readers[0].call(&["GET", key]), Reply::Null);
        }
        let told = BTreeSet::from([next_told(&mut readers[0]), next_told(&mut readers[0])]);
        assert_eq!(told, BTreeSet::from(keys), "their time has come");
    });
}

#[test]
fn what_is_remembered_is_bounded_and_what_is_forgotten_is_told() {
    let server = Setup::memory().and(&["--tracking-table-max-keys", "10"]).start();
    let mut reader = tracker(server.connect(), &[]);
    let keys: Vec<String> = (0..2).flat_map(|worker| (0..40).map(move |at| key_of(worker, at))).collect();
    let mut forgotten = BTreeSet::new();
    for key in &keys {
        reader.send(&request(&[b"GET", key.as_bytes()]));
        while let Some(key) = told(&reader.reply()) {
            assert!(forgotten.insert(key));
        }
    }
    reader.send(&request(&[b"PING"]));
    thread::sleep(Duration::from_millis(50));
    reader.send(&request(&[b"ECHO", b"end"]));
    loop {
        let reply = reader.reply();
        match told(&reply) {
            Some(key) => assert!(forgotten.insert(key)),
            None if reply == Reply::Bulk(b"end".to_vec()) => break,
            None => {}
        }
    }
    assert!((keys.len() - 10..keys.len()).contains(&forgotten.len()), "{}", forgotten.len());
}

#[test]
fn with_noloop_nobody_is_told_of_what_it_does_itself_to_keys_of_two_workers() {
    on_both(|server| {
        let (a, b) = (key_of(0, 0), key_of(1, 0));
        let set = ["MSET", &a, "1", &b, "2"];
        for (words, changed) in [
            (vec!["RENAME", &a, &b], vec![&a, &b]),
            (vec!["RENAME", &b, &a], vec![&a, &b]),
            (vec!["COPY", &b, &a, "REPLACE"], vec![&a]),
            (vec!["BITOP", "OR", &b, &a, &b], vec![&b]),
        ] {
            let mut third = server.connect();
            third.call(&set);
            let mut writer = tracker(server.connect(), &["NOLOOP"]);
            let mut other = tracker(server.connect(), &[]);
            for reader in [&mut writer, &mut other] {
                reader.call(&["MGET", &a, &b]);
            }
            writer.call(&words);
            let told: BTreeSet<String> = changed.iter().map(|_| next_told(&mut other)).collect();
            assert_eq!(told, changed.into_iter().cloned().collect(), "{words:?}");
            is_quiet(&mut other);
            is_quiet(&mut writer);
            // Of what others do in the same way it is told.
            third.call(&set);
            let mut reader = tracker(server.connect(), &["NOLOOP"]);
            reader.call(&["MGET", &a, &b]);
            third.call(&["COPY", &a, &b, "REPLACE"]);
            assert_eq!(next_told(&mut reader), b);
            is_quiet(&mut reader);
        }
    });
}

#[test]
fn an_exception_is_for_the_next_request_that_is_none_about_the_connection() {
    let server = Setup::memory().start();
    let (mut writer, mut reader) = (server.connect(), tracker(server.connect(), &["OPTIN"]));
    // As in Redis a wrong count of arguments is a request all the same, and an unknown name none of the connection.
    for (between, is_told) in [
        (&["CLIENT", "GETNAME"][..], true),
        (&["CLIENT", "GETNAME", "more"], true),
        (&["CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP"], true),
        (&["CLIENT", "NOSUCH"], false),
        (&["GET"], false),
        (&["PING"], false),
    ] {
        assert_eq!(reader.answer(&["CLIENT", "CACHING", "YES"]), "+OK");
        reader.call(between);
        reader.call(&["GET", "k"]);
        writer.call(&["SET", "k", "1"]);
        if is_told {
            assert_eq!(next_told(&mut reader), "k", "{between:?}");
        }
        is_quiet(&mut reader);
    }
}

#[test]
fn what_was_read_before_means_nothing_to_who_is_told_by_prefix() {
    on_both(|server| {
        let (mut writer, mut reader) = (server.connect(), tracker(server.connect(), &[]));
        let keys = [key_of(0, 0), key_of(1, 0)];
        keys.iter().for_each(|key| drop(reader.call(&["GET", key])));
        assert_eq!(reader.answer(&["CLIENT", "TRACKING", "OFF"]), "+OK");
        let by_prefix = ["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "other:"];
        assert_eq!(reader.answer(&by_prefix), "+OK");
        keys.iter().for_each(|key| drop(writer.call(&["SET", key, "1"])));
        is_quiet(&mut reader);
        writer.call(&["SET", "other:1", "1"]);
        assert_eq!(next_told(&mut reader), "other:1");
    });
}

#[test]
fn when_nobody_tracks_what_was_read_is_forgotten() {
    on_both(|server| {
        let (mut writer, mut reader) = (server.connect(), tracker(server.connect(), &[]));
        let keys = [key_of(0, 0), key_of(1, 0)];
        for between in [&keys[..], &[]] {
            keys.iter().for_each(|key| drop(reader.call(&["GET", key])));
            assert_eq!(reader.answer(&["CLIENT", "TRACKING", "OFF"]), "+OK");
            between.iter().for_each(|key| drop(writer.call(&["SET", key, "1"])));
            assert_eq!(reader.answer(&["CLIENT", "TRACKING", "ON"]), "+OK");
            keys.iter().for_each(|key| drop(writer.call(&["SET", key, "2"])));
            is_quiet(&mut reader);
        }
        // While another one tracks it is not, as in Redis.
        let _other = tracker(server.connect(), &[]);
        keys.iter().for_each(|key| drop(reader.call(&["GET", key])));
        assert_eq!(reader.answer(&["CLIENT", "TRACKING", "OFF"]), "+OK");
        assert_eq!(reader.answer(&["CLIENT", "TRACKING", "ON"]), "+OK");
        for key in &keys {
            writer.call(&["SET", key, "3"]);
            assert_eq!(next_told(&mut reader), *key);
        }
    });
}

#[test]
fn a_reset_ends_it() {
    let server = Setup::memory().start();
    let (mut writer, mut reader) = (server.connect(), tracker(server.connect(), &[]));
    reader.call(&["GET", "k"]);
    assert_eq!(reader.answer(&["RESET"]), "+RESET");
    writer.call(&["SET", "k", "1"]);
    is_quiet(&mut reader);
    assert!(writer.answer(&["INFO", "clients"]).contains("tracking_clients:0"));
}

/// A client that caches as libraries do: what it reads it keeps until it is told. Its replies and what it is told come on one
/// connection, in one order.
struct Cache {
    wire: Wire,
    kept: BTreeMap<String, String>,
}

impl Cache {
    /// Takes what comes to the replies of so many GETs.
    fn take(&mut self, asked: &[String]) {
        let mut left = asked.iter();
        while left.len() > 0 {
            let reply = self.wire.reply();
            match told(&reply) {
                Some(key) => drop(self.kept.remove(&key)),
                None => {
                    let value = if let Reply::Bulk(_) = reply { text(&reply) } else { String::new() };
                    self.kept.insert(left.next().unwrap().clone(), value);
                }
            }
        }
    }
}

/// Writers on every worker count keys up, readers read them in pipelines and keep them. When the writers have stopped and what
/// they did is told, nothing that is kept is out of date.
#[test]
fn no_client_keeps_a_value_that_is_out_of_date() {
    for setup in [Setup::memory(), Setup::disk()] {
        let server = setup.start();
        let keys: Vec<String> = (0..2).flat_map(|worker| (0..20).map(move |at| key_of(worker, at))).collect();
        let end = Instant::now() + Duration::from_secs(2);
        let mut readers: Vec<Cache> = [&[][..], &[], &["NOLOOP"], &["OPTOUT"]]
            .into_iter()
            .map(|options| Cache { wire: tracker(server.connect(), options), kept: BTreeMap::new() })
            .collect();
        thread::scope(|scope| {
            for writer in 0..4 {
                let (mut wire, keys) = (server.connect(), &keys);
                scope.spawn(move || {
                    for at in 0.. {
                        if Instant::now() > end {
                            break;
                        }
                        let pipeline: Vec<u8> = (0..8)
                            .flat_map(|step| {
                                let key = keys[(at * 7 + step * (writer + 3)) % keys.len()].as_bytes();
                                request(&[b"INCR", key])
                            })
                            .collect();
                        wire.send(&pipeline);
                        (0..8).for_each(|_| drop(wire.reply()));
                    }
                });
            }
            for (number, reader) in readers.iter_mut().enumerate() {
                let keys = &keys;
                scope.spawn(move || {
                    for at in number.. {
                        if Instant::now() > end {
                            break;
                        }
                        let asked: Vec<String> =
                            (0..5).map(|step| keys[(at * 3 + step * 11) % keys.len()].clone()).collect();
                        let bytes: Vec<u8> =
                            asked.iter().flat_map(|key| request(&[b"GET", key.as_bytes()])).collect();
                        reader.wire.send(&bytes);
                        reader.take(&asked);
                    }
                });
            }
        });
        let mut writer = server.connect();
        for reader in &mut readers {
            // One key of each worker that changes last: with it all that changed before is told.
            let last = [key_of(0, 100), key_of(1, 100)];
            let asked: Vec<u8> = last.iter().flat_map(|key| request(&[b"GET", key.as_bytes()])).collect();
            reader.wire.send(&asked);
            reader.take(&last);
            last.iter().for_each(|key| drop(writer.call(&["INCR", key])));
            let give_up = Instant::now() + PATIENCE;
            while last.iter().any(|key| reader.kept.contains_key(key)) {
                assert!(Instant::now() < give_up);
                let key = next_told(&mut reader.wire);
                reader.kept.remove(&key);
            }
            for (key, kept) in &reader.kept {
                let Reply::Bulk(now) = writer.call(&["GET", key]) else { panic!("{key} is there") };
                assert_eq!(*kept, String::from_utf8(now).unwrap(), "{key}");
            }
        }
    }
}
