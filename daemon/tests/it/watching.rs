//! Those who look on, over all workers: which commands were slow.

use resp::Reply;

use crate::server::{Server, Setup};
use crate::wire::{Wire, key_of};

/// The commands in the slow log, oldest first, with who asked.
fn slow_commands(wire: &mut Wire) -> Vec<(String, String, String)> {
    let Reply::Array(entries) = wire.call(&["SLOWLOG", "GET", "-1"]) else { panic!("an array") };
    let text = |reply: &Reply| match reply {
        Reply::Bulk(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("{other:?}"),
    };
    let one = |entry: &Reply| {
        let Reply::Array(fields) = entry else { panic!("{entry:?}") };
        let Reply::Array(words) = &fields[3] else { panic!("{entry:?}") };
        let words: Vec<String> = words.iter().map(text).collect();
        (words.join(" "), text(&fields[4]), text(&fields[5]))
    };
    entries.iter().rev().map(one).collect()
}

fn start(server: &Server) -> Wire {
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]), "+OK");
    wire
}

#[test]
fn with_a_threshold_of_0_every_command_of_every_worker_is_in_the_slow_log() {
    for setup in [Setup::memory(), Setup::disk()] {
        let server = setup.start();
        let mut wire = start(&server);
        assert_eq!(wire.answer(&["CLIENT", "SETNAME", "me"]), "+OK");
        assert_eq!(wire.answer(&["SLOWLOG", "RESET"]), "+OK");
        let mut expected = vec!["SLOWLOG RESET".to_owned()];
        for worker in 0..2 {
            for command in ["SET", "GET"] {
                let key = key_of(worker, 0);
                let words: &[&str] = if command == "SET" { &["SET", &key, "v"] } else { &["GET", &key] };
                wire.call(words);
                expected.push(words.join(" "));
            }
        }
        assert_eq!(wire.answer(&["AUTH", "default", "x"]), "+OK");
        expected.push("AUTH (redacted) (redacted)".to_owned());
        let told = slow_commands(&mut wire);
        assert_eq!(told.iter().map(|entry| entry.0.clone()).collect::<Vec<_>>(), expected);
        assert!(told.iter().all(|(_, peer, name)| peer.ends_with(":0") && name == "me"), "{told:?}");
        // A pipeline too, each of it once.
        assert_eq!(wire.answer(&["SLOWLOG", "RESET"]), "+OK");
        wire.send("PING\r\n".repeat(50).as_bytes());
        (0..50).for_each(|_| drop(wire.reply()));
        assert_eq!(slow_commands(&mut wire).iter().filter(|entry| entry.0 == "PING").count(), 50);
        assert_eq!(wire.answer(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]), "+OK");
        assert_eq!(wire.answer(&["SLOWLOG", "RESET"]), "+OK");
        assert_eq!(wire.answer(&["SLOWLOG", "LEN"]), ":0");
    }
}

/// The next line of somebody who looks on, without its time.
fn shown(wire: &mut Wire) -> String {
    let Reply::Simple(line) = wire.reply() else { panic!("no line") };
    let line = String::from_utf8(line).unwrap();
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(time.split_once('.').is_some_and(|(_, us)| us.len() == 6), "{line}");
    rest.to_owned()
}

#[test]
fn who_looks_on_is_shown_every_request_but_no_secret() {
    let server = Setup::memory().start();
    let mut watchers: Vec<Wire> = (0..2).map(|_| server.connect()).collect();
    for watcher in &mut watchers {
        assert_eq!(watcher.answer(&["MONITOR"]), "+OK");
    }
    let (mut one, mut two) = (server.connect(), server.connect());
    let (near, far) = (key_of(0, 0), key_of(1, 0));
    let path = server.socket().display().to_string();
    let at = |db: u32, words: &str| format!("[{db} unix:{path}] {words}");
    for wire in [&mut one, &mut two] {
        wire.call(&["SET", &near, "a b\"\n\u{1}"]);
        wire.call(&["GET", &far]);
        wire.call(&["NOSUCH"]);
        wire.call(&["GET"]);
        wire.call(&["CONFIG", "GET", "save"]);
        wire.call(&["SELECT", "3"]);
        wire.call(&["MGET", &near, &far]);
        wire.call(&["AUTH", "user", "secret"]);
        wire.call(&["HELLO", "2", "AUTH", "user", "secret"]);
        let expected = [
            at(0, &format!(r#""SET" "{near}" "a b\"\n\x01""#)),
            at(0, &format!(r#""GET" "{far}""#)),
            at(3, r#""SELECT" "3""#),
            at(3, &format!(r#""MGET" "{near}" "{far}""#)),
            at(3, r#""AUTH" "(redacted)" "(redacted)""#),
            at(3, r#""HELLO" "2" "AUTH" "(redacted)" "(redacted)""#),
        ];
        for watcher in &mut watchers {
            for line in &expected {
                assert_eq!(shown(watcher), *line);
            }
        }
    }
    assert!(one.answer(&["CLIENT", "LIST"]).contains("flags=OU "));
    // RESET, and the end of a connection, end it.
    assert_eq!(watchers[0].answer(&["RESET"]), "+RESET");
    drop(watchers.pop());
    one.call(&["PING"]);
    assert_eq!(watchers[0].answer(&["PING"]), "+PONG");
}

#[test]
fn who_looks_on_and_does_not_read_is_closed_in_the_end() {
    let limits = "normal 4mb 0 0";
    let server = Setup::memory().and(&["--client-output-buffer-limit", limits]).start();
    let mut watcher = server.connect();
    assert_eq!(watcher.answer(&["MONITOR"]), "+OK");
    let (mut wire, value) = (server.connect(), "x".repeat(100_000));
    for _ in 0..200 {
        assert_eq!(wire.answer(&["SET", &key_of(1, 0), &value]), "+OK");
    }
    crate::server::wait_for("the watcher to be closed", || {
        wire.answer(&["INFO", "stats"]).contains("evicted_clients:1").then_some(())
    });
    assert!(!wire.answer(&["CLIENT", "LIST"]).contains("flags=O"));
}

#[test]
fn what_is_slow_by_itself_is_found_at_no_cost_to_the_rest() {
    let server = Setup::memory()
        .and(&["--enable-debug-command", "local", "--latency-monitor-threshold", "20"])
        .start();
    let mut wire = server.connect();
    wire.call(&["CONFIG", "SET", "slowlog-log-slower-than", "20000"]);
    wire.call(&["DEBUG", "SLEEP", "0.05"]);
    wire.call(&["GET", "k"]);
    let told: Vec<String> = slow_commands(&mut wire).into_iter().map(|entry| entry.0).collect();
    assert_eq!(told, ["DEBUG SLEEP 0.05"]);
    let latest = wire.answer(&["LATENCY", "LATEST"]);
    assert!(latest.contains("command"), "{latest}");
    assert!(wire.answer(&["LATENCY", "DOCTOR"]).contains("1 latency spikes"));
    assert_eq!(wire.answer(&["LATENCY", "RESET"]), ":1");
}
