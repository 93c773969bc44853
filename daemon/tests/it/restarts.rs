//! What was acknowledged is there after a restart: whatever ended the daemon, and with however many workers.

use std::collections::HashMap;

use resp::Reply;

use crate::server::{Server, Setup, workers};
use crate::wire::{Wire, request};

/// Writes of all kinds, and what they leave.
fn write(server: &Server, round: usize, expected: &mut HashMap<String, String>) {
    let mut wire = server.connect();
    let mut pipeline = Vec::new();
    for number in 0..400 {
        let key = format!("key:{number}");
        let value = format!("round {round} value {number}");
        match number % 4 {
            0 | 1 => {
                pipeline.extend(request(&[b"SET", key.as_bytes(), value.as_bytes()]));
                expected.insert(key, value);
            }
            2 => {
                pipeline.extend(request(&[b"APPEND", key.as_bytes(), b"+"]));
                expected.entry(key).or_default().push('+');
            }
            _ if round.is_multiple_of(2) => {
                pipeline.extend(request(&[b"SET", key.as_bytes(), b"short-lived"]));
                expected.insert(key, "short-lived".to_owned());
            }
            _ => {
                pipeline.extend(request(&[b"DEL", key.as_bytes()]));
                expected.remove(&key);
            }
        }
    }
    wire.send(&pipeline);
    for _ in 0..400 {
        assert!(!matches!(wire.reply(), Reply::Error(_)));
    }
    // A deadline that is far, and one that has passed when the store opens again.
    let far = format!("far:{round}");
    assert_eq!(wire.answer(&["SET", &far, "stays", "EX", "100000"]), "+OK");
    expected.insert(far, "stays".to_owned());
    assert_eq!(wire.answer(&["SET", &format!("near:{round}"), "goes", "PX", "1"]), "+OK");
}

fn check(wire: &mut Wire, expected: &HashMap<String, String>) {
    for (key, value) in expected {
        wire.send(&request(&[b"GET", key.as_bytes()]));
        assert_eq!(wire.reply(), Reply::Bulk(value.clone().into_bytes()), "{key}");
    }
    for key in expected.keys().filter(|key| key.starts_with("far")) {
        let Reply::Integer(ttl) = wire.call(&["TTL", key]) else { panic!("no integer") };
        assert!((99_000..=100_000).contains(&ttl), "{key} {ttl}");
    }
    assert!(matches!(wire.call(&["EXISTS", "near:0"]), Reply::Integer(0)));
    let Reply::Array(keys) = wire.call(&["KEYS", "*"]) else { panic!("no array") };
    assert_eq!(keys.len(), expected.len(), "nothing was invented");
}

#[test]
fn acknowledged_writes_survive_sigkill_and_sigterm() {
    let mut server = Setup::disk().start();
    let mut expected = HashMap::new();
    for round in 0..4 {
        write(&server, round, &mut expected);
        server = if round % 2 == 0 { server.kill() } else { server.terminate() }.start();
        check(&mut server.connect(), &expected);
    }
    let log = server.terminate().log;
    assert!(!log.contains("dropped"), "an orderly stop leaves nothing torn: {log}");
}

#[test]
fn acknowledged_writes_survive_another_number_of_workers() {
    let two = workers(2);
    let mut server = Setup::disk().workers(1).start();
    let mut expected = HashMap::new();
    for (round, workers) in [two, 1, 1, two].into_iter().enumerate() {
        write(&server, round, &mut expected);
        let mut ended = if round % 2 == 0 { server.terminate() } else { server.kill() };
        ended.setup.workers = workers;
        server = ended.start();
        check(&mut server.connect(), &expected);
    }
    write(&server, 4, &mut expected);
    server = server.kill().start();
    check(&mut server.connect(), &expected);
}

#[test]
fn a_flush_survives_a_restart() {
    let mut server = Setup::disk().start();
    let mut wire = server.connect();
    wire.send(
        &(0..300).flat_map(|at| request(&[b"SET", format!("k{at}").as_bytes(), b"v"])).collect::<Vec<_>>(),
    );
    wire.expect(&b"+OK\r\n".repeat(300));
    assert_eq!(wire.answer(&["FLUSHALL"]), "+OK");
    assert_eq!(wire.answer(&["SET", "after", "v"]), "+OK");
    server = server.kill().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["DBSIZE"]), ":1");
    assert_eq!(wire.answer(&["KEYS", "*"]), "[after]");
}

#[test]
fn the_log_goes_over_many_segments_and_comes_back() {
    let setup = Setup::with(&["--wal-segment-bytes", "1mb", "--wal-sync", "fdatasync"]);
    let mut server = setup.start();
    let value = vec![b'v'; 20_000];
    let mut wire = server.connect();
    for round in 0..3 {
        let mut pipeline = Vec::new();
        for number in 0..200 {
            let key = format!("{round}:{number}");
            pipeline.extend(request(&[b"SET", key.as_bytes(), &value]));
        }
        wire.send(&pipeline);
        wire.expect(&b"+OK\r\n".repeat(200));
    }
    server = server.kill().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["DBSIZE"]), ":600");
    for key in ["0:0", "1:100", "2:199"] {
        wire.send(&request(&[b"GET", key.as_bytes()]));
        assert_eq!(wire.reply(), Reply::Bulk(value.clone()));
    }
}

#[test]
fn a_killed_daemon_starts_again_at_once() {
    // The kernel closes sockets that were in a ring a while after their process is gone.
    let port = crate::connections::free_port().to_string();
    let mut server = Setup::memory().and(&["--port", &port]).start();
    for _ in 0..20 {
        let mut wires: Vec<Wire> = (0..10).map(|_| server.connect()).collect();
        for wire in &mut wires {
            assert_eq!(wire.answer(&["PING"]), "+PONG");
        }
        server = server.kill().start();
    }
}
