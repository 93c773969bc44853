//! SWAPDB: what databases show afterwards, to whom, and in every command that tells or takes a number; and after a start.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use resp::Reply;

use crate::server::{Server, Setup, wait_for};
use crate::small_disk::SmallDisk;
use crate::wire::{Wire, key_of, request, show};

/// Kinds of storage, each with whether it outlives the process.
fn setups() -> Vec<(Setup, bool)> {
    vec![(Setup::memory(), false), (Setup::disk(), true), (Setup::with(&["--wal", "no"]), true)]
}

fn in_database(server: &Server, number: u8) -> Wire {
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["SELECT", &number.to_string()]), "+OK");
    wire
}

fn texts(reply: Reply) -> BTreeSet<String> {
    let Reply::Array(elements) = reply else { panic!("{reply:?}") };
    elements
        .into_iter()
        .map(|element| match element {
            Reply::Bulk(bytes) => String::from_utf8(bytes).unwrap(),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// All keys that SCAN brings.
fn scanned(wire: &mut Wire) -> BTreeSet<String> {
    let (mut cursor, mut keys) = ("0".to_owned(), BTreeSet::new());
    loop {
        let Reply::Array(parts) = wire.call(&["SCAN", &cursor, "COUNT", "1000"]) else { panic!("no array") };
        let [Reply::Bulk(next), page] = &parts[..] else { panic!("{parts:?}") };
        keys.extend(texts(page.clone()));
        cursor = String::from_utf8(next.clone()).unwrap();
        if cursor == "0" {
            return keys;
        }
    }
}

fn keyspace(wire: &mut Wire) -> Vec<String> {
    let Reply::Bulk(text) = wire.call(&["INFO", "keyspace"]) else { panic!("no text") };
    let text = String::from_utf8(text).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("db"));
    lines.map(|line| line.split(",avg_ttl").next().unwrap().to_owned()).collect()
}

/// A key of each worker with this value, and one of its own that ends, in a database.
fn fill(wire: &mut Wire, name: &str) {
    for worker in 0..2 {
        assert_eq!(wire.answer(&["SET", &key_of(worker, 0), name]), "+OK");
    }
    assert_eq!(wire.answer(&["SET", &format!("only:{name}"), name, "EX", "1000"]), "+OK");
}

fn expect(wire: &mut Wire, name: &str) {
    for worker in 0..2 {
        assert_eq!(wire.answer(&["GET", &key_of(worker, 0)]), name);
    }
    let only = format!("only:{name}");
    let expected = BTreeSet::from([key_of(0, 0), key_of(1, 0), only.clone()]);
    assert_eq!(wire.answer(&["DBSIZE"]), ":3");
    assert_eq!(texts(wire.call(&["KEYS", "*"])), expected);
    assert_eq!(scanned(wire), expected);
    let Reply::Bulk(drawn) = wire.call(&["RANDOMKEY"]) else { panic!("there are keys") };
    assert!(expected.contains(std::str::from_utf8(&drawn).unwrap()));
    assert_ne!(wire.answer(&["TTL", &only]), ":-1");
}

#[test]
fn connections_in_either_database_see_the_other_ones_data_at_once_and_after_a_start() {
    for (setup, outlives) in setups() {
        let server = setup.start();
        let (mut zero, mut seven) = (in_database(&server, 0), in_database(&server, 7));
        fill(&mut zero, "a");
        fill(&mut seven, "b");
        assert_eq!(zero.answer(&["SWAPDB", "0", "7"]), "+OK");
        expect(&mut zero, "b");
        expect(&mut seven, "a");
        // Over a number that another swap has moved.
        assert_eq!(seven.answer(&["SWAPDB", "7", "3"]), "+OK");
        assert_eq!(seven.answer(&["DBSIZE"]), ":0");
        let mut three = in_database(&server, 3);
        expect(&mut three, "a");
        assert_eq!(keyspace(&mut zero), ["db0:keys=3,expires=1", "db3:keys=3,expires=1"]);
        if !outlives {
            continue;
        }
        let check = |server: &Server| {
            expect(&mut in_database(server, 0), "b");
            expect(&mut in_database(server, 3), "a");
            assert_eq!(in_database(server, 7).answer(&["DBSIZE"]), ":0");
        };
        let server = server.kill().start();
        check(&server);
        let mut ended = server.terminate();
        ended.setup.workers = 1;
        let server = ended.start();
        check(&server);
        // Back again, with what is written by then.
        let mut zero = in_database(&server, 0);
        assert_eq!(zero.answer(&["SET", "later", "1"]), "+OK");
        assert_eq!(zero.answer(&["SWAPDB", "3", "0"]), "+OK");
        assert_eq!(zero.answer(&["SWAPDB", "3", "7"]), "+OK");
        expect(&mut zero, "a");
        let server = server.kill().start();
        expect(&mut in_database(&server, 0), "a");
        assert_eq!(in_database(&server, 7).answer(&["GET", "later"]), "1");
    }
}

#[test]
fn commands_that_take_or_tell_a_number_mean_the_one_that_clients_see() {
    for (setup, _) in setups() {
        let setup = setup.and(&["--notify-keyspace-events", "KEA"]);
        let server = setup.start();
        let (mut zero, mut one) = (in_database(&server, 0), in_database(&server, 1));
        let mut listener = server.connect();
        listener.call(&["PSUBSCRIBE", "__keyspace@*"]);
        let mut told = |expected: &[(&str, &str)]| {
            for (channel, event) in expected {
                let Reply::Array(parts) = listener.reply() else { panic!("a message") };
                let text = |at: usize| match &parts[at] {
                    Reply::Bulk(bytes) => std::str::from_utf8(bytes).unwrap(),
                    other => panic!("{other:?}"),
                };
                assert_eq!((text(2), text(3)), (*channel, *event));
            }
        };
        let key = key_of(1, 5);
        assert_eq!(zero.answer(&["SET", &key, "0"]), "+OK");
        assert_eq!(zero.answer(&["SWAPDB", "0", "1"]), "+OK");
        let (at_zero, at_one) = (format!("__keyspace@0__:{key}"), format!("__keyspace@1__:{key}"));
        assert_eq!(one.answer(&["APPEND", &key, "x"]), ":2");
        assert_eq!(zero.answer(&["MOVE", &key, "1"]), ":0");
        assert_eq!(one.answer(&["MOVE", &key, "0"]), ":1");
        assert_eq!(zero.answer(&["GET", &key]), "0x");
        assert_eq!(zero.answer(&["COPY", &key, &key, "DB", "1"]), ":1");
        assert_eq!(zero.answer(&["PEXPIRE", &key, "20"]), ":1");
        told(&[
            (&at_zero, "set"),
            (&at_one, "append"),
            (&at_one, "move_from"),
            (&at_zero, "move_to"),
            (&at_one, "copy_to"),
            (&at_zero, "expire"),
            (&at_zero, "expired"),
        ]);
        assert_eq!((zero.answer(&["DBSIZE"]), one.answer(&["DBSIZE"])), (":0".into(), ":1".into()));
        assert_eq!(zero.answer(&["SET", "kept", "1"]), "+OK");
        assert_eq!(one.answer(&["FLUSHDB"]), "+OK");
        assert_eq!((zero.answer(&["DBSIZE"]), one.answer(&["DBSIZE"])), (":1".into(), ":0".into()));
        let mut looking_on = server.connect();
        assert_eq!(looking_on.answer(&["MONITOR"]), "+OK");
        assert_eq!(one.answer(&["GET", "kept"]), "nil");
        let line = show(&looking_on.reply());
        assert!(line.contains("[1 unix:"), "MONITOR tells the number selected: {line}");
        assert_eq!(zero.answer(&["FLUSHALL"]), "+OK");
        assert_eq!(zero.answer(&["SWAPDB", "0", "1"]), "+OK");
        assert_eq!(one.answer(&["DBSIZE"]), ":0");
    }
}

#[test]
fn a_pipeline_keeps_its_order_around_a_swap() {
    for (setup, _) in setups() {
        let server = setup.start();
        let mut wire = server.connect();
        let (a, b) = (key_of(0, 1), key_of(1, 1));
        let mut requests = Vec::new();
        let mut expected = Vec::new();
        for round in 0..20 {
            let value = format!("{round:02}");
            for (words, reply) in [
                (vec!["SET", &a, &value], "+OK\r\n".to_owned()),
                (vec!["SET", &b, &value], "+OK\r\n".to_owned()),
                (vec!["SWAPDB", "0", "9"], "+OK\r\n".to_owned()),
                (vec!["SET", &b, "new"], "+OK\r\n".to_owned()),
                (
                    vec!["MGET", &a, &b],
                    match round {
                        0 => "*2\r\n$-1\r\n$3\r\nnew\r\n".to_owned(),
                        _ => format!("*2\r\n$2\r\n{:02}\r\n$3\r\nnew\r\n", round - 1),
                    },
                ),
                (vec!["SWAPDB", "9", "9"], "+OK\r\n".to_owned()),
                (vec!["SWAPDB", "9", "16"], "-ERR DB index is out of range\r\n".to_owned()),
            ] {
                let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
                requests.extend(request(&words));
                expected.extend(reply.into_bytes());
            }
        }
        wire.send(&requests);
        wire.expect(&expected);
    }
}

#[test]
fn clients_that_cache_are_told_that_all_may_be_another_databases() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    wire.call(&["HELLO", "3"]);
    assert_eq!(wire.answer(&["CLIENT", "TRACKING", "ON"]), "+OK");
    for number in 0..2 {
        wire.call(&["GET", &key_of(number, 3)]);
    }
    assert_eq!(server.connect().answer(&["SWAPDB", "0", "1"]), "+OK");
    let Reply::Push(parts) = wire.reply() else { panic!("no push") };
    assert_eq!(parts, [Reply::Bulk(b"invalidate".to_vec()), Reply::Null]);
    assert_eq!(wire.answer(&["PING"]), "+PONG", "once");
}

fn ourod(arguments: &[&str]) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_ourod")).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {text}");
}

#[test]
fn a_dump_holds_the_numbers_that_clients_see_and_the_tools_find_nothing_wrong() {
    for (setup, outlives) in setups() {
        if !outlives {
            continue;
        }
        let wal = if setup.options.contains(&"--wal".to_owned()) { "no" } else { "yes" };
        let server = setup.start();
        fill(&mut in_database(&server, 0), "a");
        fill(&mut in_database(&server, 15), "b");
        assert_eq!(in_database(&server, 4).answer(&["SWAPDB", "0", "15"]), "+OK");
        assert_eq!(in_database(&server, 4).answer(&["SWAPDB", "15", "2"]), "+OK");
        let mut ended = server.terminate();
        let path = |name: &str| ended.dir.with_file_name(name).to_str().unwrap().to_owned();
        let (from, dump, to) = (ended.dir.to_str().unwrap(), path("dump"), path("copy"));
        ourod(&["check", from]);
        ourod(&["dump", from, "--output", &dump]);
        ourod(&["restore", "--wal", wal, &to, &dump]);
        ended.dir = to.into();
        let server = ended.start();
        expect(&mut in_database(&server, 0), "b");
        expect(&mut in_database(&server, 2), "a");
        assert_eq!(in_database(&server, 15).answer(&["DBSIZE"]), ":0");
    }
}

/// While the drive does not answer, what looks at databases waits and the rest goes on.
#[test]
fn a_drive_that_does_not_answer_holds_up_what_looks_at_databases_only() {
    let Some(disk) = SmallDisk::ext4(200) else { return };
    let server = Setup::disk().start_in(Arc::clone(&disk.temp));
    let mut wire = server.connect();
    fill(&mut wire, "a");
    // All that is written is durable: the manifest is what waits.
    assert_eq!(wire.answer(&["WAITAOF", "1", "0", "0"]), "[:1 :0]");
    let Some(frozen) = disk.freeze() else { return };
    let (mut swapping, mut reading, mut other) = (server.connect(), server.connect(), server.connect());
    swapping.send(&request(&[b"SWAPDB", b"0", b"1"]));
    thread::sleep(Duration::from_millis(200));
    // Every worker has been asked and answers: it is under way with all of them.
    wait_for("the swap to be under way", || {
        other.answer(&["CLIENT", "LIST"]).contains("cmd=swapdb").then_some(())
    });
    for _ in 0..2 {
        assert!(other.answer(&["CLIENT", "LIST"]).contains("cmd=swapdb"));
    }
    reading.send(&request(&[b"GET", key_of(1, 0).as_bytes()]));
    for _ in 0..3 {
        assert_eq!(other.answer(&["PING"]), "+PONG");
        assert!(!other.answer(&["INFO", "clients"]).is_empty());
        assert!(other.answer(&["CLIENT", "LIST"]).contains("cmd=swapdb"));
        thread::sleep(Duration::from_millis(30));
    }
    drop(frozen);
    swapping.expect(b"+OK\r\n");
    reading.expect(b"$-1\r\n");
    expect(&mut in_database(&server, 1), "a");
    let server = server.terminate().start();
    expect(&mut in_database(&server, 1), "a");
}

#[test]
fn a_manifest_that_cannot_be_opened_is_an_error_and_nothing_is_swapped() {
    let server = Setup::disk().start();
    let mut wire = server.connect();
    fill(&mut wire, "a");
    let (manifest, aside) = (server.dir.join("store.manifest-b"), server.dir.join("aside"));
    std::fs::rename(&manifest, &aside).unwrap();
    let answer = wire.answer(&["SWAPDB", "0", "1"]);
    assert!(answer.starts_with("-ERR the store manifest cannot be opened, nothing was changed"), "{answer}");
    expect(&mut wire, "a");
    std::fs::rename(&aside, &manifest).unwrap();
    let server = server.kill().start();
    let mut wire = server.connect();
    expect(&mut wire, "a");
    assert_eq!(wire.answer(&["SWAPDB", "0", "1"]), "+OK");
    expect(&mut in_database(&server, 1), "a");
}

/// Figures are a moment old: waits until they tell this.
fn tells(wire: &mut Wire, expected: &[String]) {
    wait_for("INFO keyspace to tell all", || (keyspace(wire) == expected).then_some(()));
}

#[test]
fn as_many_databases_as_there_may_be_are_selected_swapped_flushed_and_told_and_no_more() {
    const MOST: u8 = 16;
    let server = Setup::disk().and(&["--databases", "16"]).start();
    let mut all: Vec<Wire> = (0..MOST).map(|number| in_database(&server, number)).collect();
    for (number, wire) in all.iter_mut().enumerate() {
        for key in 0..=number {
            assert_eq!(wire.answer(&["SET", &key_of(key % 2, key / 2), &number.to_string()]), "+OK");
        }
    }
    let told = |sizes: &[usize]| -> Vec<String> {
        let filled = sizes.iter().enumerate().filter(|(_, size)| **size > 0);
        filled.map(|(number, size)| format!("db{number}:keys={size},expires=0")).collect()
    };
    let mut sizes: Vec<usize> = (1..=usize::from(MOST)).collect();
    tells(&mut all[0], &told(&sizes));
    // Every number takes part in a swap with its neighbour, and the first ends up last.
    for number in 1..MOST {
        let (before, this) = ((number - 1).to_string(), number.to_string());
        assert_eq!(all[0].answer(&["SWAPDB", &before, &this]), "+OK");
        sizes.swap(usize::from(number) - 1, usize::from(number));
    }
    tells(&mut all[0], &told(&sizes));
    assert_eq!(all[15].answer(&["GET", &key_of(0, 0)]), "0");
    let server = server.kill().start();
    let mut all: Vec<Wire> = (0..MOST).map(|number| in_database(&server, number)).collect();
    tells(&mut all[0], &told(&sizes));
    for number in (0..usize::from(MOST)).rev() {
        assert_eq!(all[number].answer(&["FLUSHDB"]), "+OK");
        sizes[number] = 0;
        tells(&mut all[0], &told(&sizes));
    }
    for words in [&["SELECT", "16"][..], &["SWAPDB", "0", "16"], &["SELECT", "-1"]] {
        assert_eq!(all[0].answer(words), "-ERR DB index is out of range", "{words:?}");
    }
    let server = Setup::memory().and(&["--databases", "4"]).start();
    let mut wire = in_database(&server, 3);
    for words in [&["SELECT", "4"][..], &["SWAPDB", "4", "3"]] {
        assert_eq!(wire.answer(words), "-ERR DB index is out of range", "{words:?}");
    }
    let temp = tempfile::tempdir().unwrap();
    for beyond in ["17", "4096", "0"] {
        let (code, log) = Setup::memory().and(&["--databases", beyond]).refusal(temp.path());
        assert_eq!(code, 64, "{log}");
        assert!(log.contains("--databases") && log.contains("1..=16"), "{log}");
    }
}
