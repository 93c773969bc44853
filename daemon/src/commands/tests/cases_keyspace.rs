//! Keys whatever their value, and all keys of a database.

use super::{Executor, check, check_with_redis, render, script};

#[test]
fn keys_whatever_their_value() {
    check_with_redis(
        r#"
        # del, unlink, exists, touch
        MSET a 1 b 2 c 3 => OK
        EXISTS a => :1
        EXISTS a a x b => :3
        TOUCH a a x => :2
        DEL a => :1
        DEL a => :0
        DEL b b x c => :2
        DBSIZE => :0
        MSET a 1 b 2 => OK
        UNLINK a x b => :2
        DEL => -ERR wrong number of arguments for 'del' command
        # type
        TYPE k => none
        SET k v => OK
        TYPE k => string
        # dbsize
        SET k v => OK
        DBSIZE => :1
        SET l v => OK
        DBSIZE => :2
        DBSIZE x => -ERR wrong number of arguments for 'dbsize' command
        # flushes
        SET k v => OK
        FLUSHDB => OK
        DBSIZE => :0
        SET k v => OK
        FLUSHALL => OK
        GET k => nil
        SET k v => OK
        FLUSHALL ASYNC => OK
        FLUSHDB sync => OK
        FLUSHALL FOO => -ERR syntax error
        FLUSHDB SYNC ASYNC => -ERR syntax error
        # randomkey
        RANDOMKEY => nil
        SET k v => OK
        RANDOMKEY => "k"
        RANDOMKEY x => -ERR wrong number of arguments for 'randomkey' command
        # keys
        KEYS * => []
        KEYS "" => []
        SET key:1 v => OK
        KEYS * => ["key:1"]
        KEYS key:? => ["key:1"]
        KEYS key:[^1] => []
        KEYS other* => []
        KEYS => -ERR wrong number of arguments for 'keys' command
        # a key whose time has come is in no list
        SET k v PX 20 => OK
        @sleep 35
        KEYS * => []
        RANDOMKEY => nil
        "#,
    );
}

#[test]
fn scan_refuses_what_makes_no_sense() {
    check_with_redis(
        r#"
        # cursors
        SCAN abc => -ERR invalid cursor
        SCAN 18446744073709551616 => -ERR invalid cursor
        SCAN "" FOO => *
        # options
        SCAN 0 COUNT 0 => -ERR syntax error
        SCAN 0 COUNT -5 => -ERR syntax error
        SCAN 0 COUNT abc => -ERR value is not an integer or out of range
        SCAN 0 COUNT => -ERR syntax error
        SCAN 0 MATCH => -ERR syntax error
        SCAN 0 FOO bar => -ERR syntax error
        SCAN 0 TYPE => -ERR syntax error
        SCAN => -ERR wrong number of arguments for 'scan' command
        "#,
    );
    // Redis takes any number for a cursor, ours are slot and hash prefix.
    check(
        r#"
        # a cursor that was never given out
        SCAN 18446744073709551615 => -ERR invalid cursor
        SCAN -1 => -ERR invalid cursor
        "#,
    );
}

/// All keys that SCAN returns with these options, from cursor 0 to cursor 0.
fn scan_all(executor: &mut Executor, options: &str) -> Vec<String> {
    let (mut cursor, mut keys, mut calls) = (String::from("0"), Vec::new(), 0);
    loop {
        let reply = render(&executor.run(&script::request_of(&format!("SCAN {cursor} {options}"))));
        let (next, list) =
            reply.trim_start_matches("[\"").trim_end_matches("]]").split_once("\", [").unwrap();
        keys.extend(
            list.split(", ").filter(|key| !key.is_empty()).map(|key| key.trim_matches('"').to_owned()),
        );
        calls += 1;
        assert!(calls < 20_000, "SCAN ends");
        if next == "0" {
            keys.sort();
            return keys;
        }
        cursor = next.to_owned();
    }
}

#[test]
fn scan_returns_every_key_once_while_nothing_changes() {
    let mut executor = Executor::new();
    let mut expected: Vec<String> = (0..3000).map(|i| format!("key:{i}")).collect();
    for key in &expected {
        executor.run(&script::request_of(&format!("SET {key} v")));
    }
    expected.sort();
    for options in ["", "COUNT 1", "COUNT 1000", "MATCH *", "TYPE string"] {
        assert_eq!(scan_all(&mut executor, options), expected, "{options}");
    }
    let tens: Vec<String> = expected.iter().filter(|key| key.ends_with('0')).cloned().collect();
    assert_eq!(scan_all(&mut executor, "MATCH *0 COUNT 100"), tens);
    assert!(scan_all(&mut executor, "TYPE list COUNT 1000").is_empty());
}

#[test]
fn keys_of_one_slot_are_all_scanned() {
    let mut executor = Executor::new();
    let mut expected: Vec<String> = (0..5000).map(|i| format!("{{tag}}{i}")).collect();
    for key in &expected {
        executor.run(&script::request_of(&format!("SET {key} v")));
    }
    expected.sort();
    assert_eq!(scan_all(&mut executor, "COUNT 7"), expected);
    let listed = render(&executor.run(&script::request_of("KEYS {tag}*")));
    assert_eq!(listed.matches("{tag}").count(), expected.len());
}

#[test]
fn scan_returns_all_that_stays_while_others_come_and_go() {
    let mut executor = Executor::new();
    let mut run = |text: &str| render(&executor.run(&script::request_of(text)));
    let stay: Vec<String> = (0..500).map(|i| format!("stay:{i}")).collect();
    for key in &stay {
        run(&format!("SET {key} v"));
    }
    let (mut cursor, mut seen, mut turn) = (String::from("0"), std::collections::BTreeSet::new(), 0);
    loop {
        let reply = run(&format!("SCAN {cursor} COUNT 5"));
        let (next, list) =
            reply.trim_start_matches("[\"").trim_end_matches("]]").split_once("\", [").unwrap();
        seen.extend(list.split(", ").map(|key| key.trim_matches('"').to_owned()));
        if next == "0" {
            break;
        }
        cursor = next.to_owned();
        turn += 1;
        for i in 0..20 {
            run(&format!("SET move:{}:{i} v", turn % 50));
            run(&format!("DEL move:{}:{i}", (turn + 25) % 50));
        }
    }
    assert!(stay.iter().all(|key| seen.contains(key)));
}
