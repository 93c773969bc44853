//! Connections come and go: none is leaked, too many are refused, sessions begin and end as Redis's do.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::server::{Setup, wait_for};
use crate::wire::{Wire, key_of, request, show};

/// A port that is free now: none twice, and none of those that the system gives to whoever connects (32768 and up).
pub(crate) fn free_port() -> u16 {
    static DRAWN: AtomicU16 = AtomicU16::new(0);
    // Tests that run beside these in a process of their own begin elsewhere.
    let first = u16::try_from(std::process::id() * 64 % 12_000).unwrap();
    let next = || 20_000 + first.wrapping_add(DRAWN.fetch_add(1, Ordering::Relaxed)) % 12_000;
    std::iter::repeat_with(next)
        .take(12_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a port of 12,000 is free")
}

#[test]
fn thousands_of_connections_leave_nothing_behind() {
    let port = free_port();
    let server = Setup::memory().and(&["--port", &port.to_string()]).start();
    assert_eq!(server.connect().answer(&["PING"]), "+PONG");
    wait_for("the first one to be closed", || (server.connect().answer(&["PING"]) == "+PONG").then_some(()));
    let before = server.open_files();
    let (a, b) = (key_of(0, 0), key_of(1, 0));
    for round in 0..1500 {
        let mut wire = if round % 2 == 0 { server.connect() } else { Wire::tcp(port) };
        match round % 5 {
            // Gone without a word, in mid request, with replies under way, in order, and after an error.
            0 => {}
            1 => wire.send(b"*3\r\n$3\r\nSET"),
            2 => wire.send(&[request(&[b"INCR", a.as_bytes()]), request(&[b"INCR", b.as_bytes()])].concat()),
            3 => {
                wire.send(b"QUIT\r\n");
                assert_eq!(wire.until_closed(), b"+OK\r\n");
            }
            _ => {
                wire.send(b"*x\r\n");
                assert!(wire.until_closed().starts_with(b"-ERR"));
            }
        }
    }
    wait_for("all sockets to be closed", || (server.open_files() <= before).then_some(()));
    let mut wire = server.connect();
    wait_for("the count of clients", || {
        let info = wire.answer(&["INFO", "clients"]);
        info.contains("connected_clients:1\\r\\n").then_some(())
    });
    assert!(server.peak_mib() < 100, "{} MiB", server.peak_mib());
}

#[test]
fn one_client_too_many_is_told_and_closed() {
    let server = Setup::memory().and(&["--maxclients", "5"]).start();
    let mut clients: Vec<Wire> = (0..5).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.answer(&["PING"]), "+PONG");
    }
    for _ in 0..3 {
        assert_eq!(server.connect().until_closed(), b"-ERR max number of clients reached\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer(&["PING"]), "+PONG");
    }
    // A place that is free again is given to the next.
    clients.pop();
    wait_for("a free place", || {
        let mut wire = server.connect();
        wire.send_if_open(b"QUIT\r\n");
        (wire.until_closed() == b"+OK\r\n").then_some(())
    });
    assert_eq!(clients[0].answer(&["CONFIG", "SET", "maxclients", "100"]), "+OK");
    clients.extend((0..20).map(|_| server.connect()));
    for client in &mut clients {
        assert_eq!(client.answer(&["PING"]), "+PONG");
    }
}

#[test]
fn a_low_limit_of_open_files_lowers_maxclients_and_says_so() {
    let mut setup = Setup::memory();
    setup.open_files_max = Some(256);
    let server = setup.start();
    assert!(server.log().contains("maxclients"), "{}", server.log());
    let mut crowd: Vec<Wire> = (0..256).map(|_| server.connect()).collect();
    let mut served = 0;
    for wire in &mut crowd {
        wire.send_if_open(b"PING\r\n");
        served += usize::from(wire.try_take(7).is_some_and(|reply| reply == b"+PONG\r\n"));
    }
    assert!(
        (1..=128).contains(&served),
        "{served} of 256 are served, the others told that there are too many"
    );
}

#[test]
fn out_of_descriptors_new_clients_wait_and_old_ones_are_served() {
    let port = free_port();
    let server = Setup::memory().and(&["--port", &port.to_string()]).start();
    // Behind the daemon's back: what it finds at its start it makes do with.
    let limit = Command::new("prlimit").args(["--pid", &server.pid().to_string(), "--nofile=64:64"]).status();
    assert!(limit.unwrap().success(), "prlimit of util-linux");
    let mut first = server.connect();
    assert_eq!(first.answer(&["PING"]), "+PONG");
    let mut crowd: Vec<Wire> =
        (0..100).map(|at| if at % 2 == 0 { server.connect() } else { Wire::tcp(port) }).collect();
    for wire in &mut crowd {
        wire.send(b"PING\r\n");
    }
    wait_for("descriptors to run out", || {
        (server.open_files() >= 63 || server.log().contains("new clients wait")).then_some(())
    });
    for _ in 0..50 {
        assert_eq!(first.answer(&["PING"]), "+PONG");
    }
    // As some go, those who wait come in: in the end everyone who stays is answered.
    drop(crowd.split_off(20));
    for mut wire in crowd {
        wire.expect(b"+PONG\r\n");
    }
    assert_eq!(server.connect().answer(&["PING"]), "+PONG");
    assert_eq!(Wire::tcp(port).answer(&["PING"]), "+PONG");
}

#[test]
fn quit_is_the_last_that_runs() {
    let server = Setup::memory().start();
    for key in [key_of(0, 0), key_of(1, 0)] {
        let mut wire = server.connect();
        let set = request(&[b"SET", key.as_bytes(), b"v"]);
        let del = request(&[b"DEL", key.as_bytes()]);
        wire.send_if_open(&[set.clone(), b"QUIT\r\nPING\r\n".to_vec(), del].concat());
        assert_eq!(wire.until_closed(), b"+OK\r\n+OK\r\n");
        assert_eq!(server.connect().answer(&["GET", &key]), "v");
    }
}

#[test]
fn reset_and_hello_begin_a_session_anew() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    wire.send(b"HELLO 3 SETNAME someone\r\n");
    let hello = wire.reply();
    let resp::Reply::Map(facts) = hello else { panic!("{hello:?}") };
    let fact = |name: &str| {
        let name = resp::Reply::Bulk(name.as_bytes().to_vec());
        facts.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()).unwrap()
    };
    assert_eq!(fact("proto"), resp::Reply::Integer(3));
    assert_eq!(fact("server"), resp::Reply::Bulk(b"redis".to_vec()));
    assert_eq!(wire.answer(&["CLIENT", "GETNAME"]), "someone");
    wire.send(b"GET nothing\r\n");
    wire.expect(b"_\r\n");
    assert_eq!(wire.answer(&["RESET"]), "+RESET");
    wire.send(b"GET nothing\r\n");
    wire.expect(b"$-1\r\n");
    assert_eq!(wire.answer(&["CLIENT", "GETNAME"]), "nil");
}

#[test]
fn clients_of_all_workers_are_listed() {
    let port = free_port();
    let server = Setup::memory().and(&["--port", &port.to_string()]).start();
    let mut wires: Vec<Wire> =
        (0..6).map(|at| if at < 3 { server.connect() } else { Wire::tcp(port) }).collect();
    for (number, wire) in wires.iter_mut().enumerate() {
        assert_eq!(wire.answer(&["CLIENT", "SETNAME", &format!("name-{number}")]), "+OK");
    }
    let list = wires[0].answer(&["CLIENT", "LIST"]);
    for number in 0..6 {
        assert_eq!(list.matches(&format!("name=name-{number} ")).count(), 1, "{list}");
    }
    let ids: std::collections::HashSet<String> =
        wires.iter_mut().map(|wire| wire.answer(&["CLIENT", "ID"])).collect();
    assert_eq!(ids.len(), 6);
}

#[test]
fn silent_clients_are_closed_after_the_timeout_and_busy_ones_are_not() {
    let server = Setup::memory().and(&["--timeout", "1"]).start();
    let mut silent = server.connect();
    assert_eq!(silent.answer(&["PING"]), "+PONG");
    let mut busy = server.connect();
    let closed = std::thread::spawn(move || silent.until_closed());
    wait_for("the silent one to be closed", || {
        assert_eq!(busy.answer(&["PING"]), "+PONG");
        closed.is_finished().then_some(())
    });
    assert_eq!(closed.join().unwrap(), b"");
}

#[test]
fn who_waits_for_what_others_do_does_not_time_out() {
    let server = Setup::memory().and(&["--timeout", "1"]).start();
    let (mut looks_on, mut listens) = (server.connect(), server.connect());
    assert_eq!(looks_on.answer(&["MONITOR"]), "+OK");
    listens.call(&["SUBSCRIBE", "ch"]);
    // Others come and go quietly: neither has anything to read for long.
    let mut silent = server.connect();
    assert_eq!(silent.answer(&["PING"]), "+PONG");
    assert_eq!(silent.until_closed(), b"");
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(server.connect().answer(&["PUBLISH", "ch", "still there"]), ":1");
    listens.expect(b"*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$11\r\nstill there\r\n");
    let mut lines = std::iter::from_fn(|| looks_on.try_reply());
    assert!(lines.any(|line| show(&line).contains("still there")), "closed before");
}

#[test]
fn the_socket_is_the_owners_alone_unless_asked() {
    let server = Setup::memory().start();
    let mode = |server: &crate::server::Server| {
        std::fs::metadata(server.socket()).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(&server), 0o600);
    let server = Setup::memory().and(&["--unixsocketperm", "770"]).start();
    assert_eq!(mode(&server), 0o770);
}
