//! The daemon stops: by command, by signal, idle or under load. It ends with 0, and what it acknowledged is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::server::{Server, Setup, wait_for};
use crate::wire::request;

/// Clients that count up their own keys on both workers, pipelined, until the daemon is gone. Each tells how many of
/// its writes were acknowledged.
struct Load {
    clients: Vec<thread::JoinHandle<usize>>,
    acknowledged: Arc<AtomicUsize>,
}

const PIPELINE: usize = 50;

impl Load {
    fn start(server: &Server, clients: usize) -> Self {
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let clients = (0..clients)
            .map(|client| {
                let (mut wire, sum) = (server.connect(), Arc::clone(&acknowledged));
                thread::spawn(move || {
                    let mut done = 0;
                    loop {
                        let batch: Vec<u8> = (done..done + PIPELINE)
                            .flat_map(|number| {
                                request(&[b"SET", format!("{client}:{number}").as_bytes(), b"v"])
                            })
                            .collect();
                        wire.send_if_open(&batch);
                        for _ in 0..PIPELINE {
                            let Some(reply) = wire.try_take(5) else { return done };
                            assert_eq!(reply, b"+OK\r\n");
                            done += 1;
                            sum.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        Self { clients, acknowledged }
    }

    fn wait_until_busy(&self) {
        let seen = self.acknowledged.load(Ordering::Relaxed);
        wait_for("load", || (self.acknowledged.load(Ordering::Relaxed) > seen + 500).then_some(()));
    }

    fn ended(self) -> Vec<usize> {
        self.clients.into_iter().map(|client| client.join().unwrap()).collect()
    }
}

fn check(server: &Server, acknowledged: &[usize]) {
    let mut wire = server.connect();
    for (client, &count) in acknowledged.iter().enumerate() {
        let gets: Vec<u8> = (0..count)
            .flat_map(|number| request(&[b"EXISTS", format!("{client}:{number}").as_bytes()]))
            .collect();
        let mut sender = wire.second();
        let sending = thread::spawn(move || sender.send(&gets));
        for number in 0..count {
            let reply = wire.take(4);
            assert_eq!(reply, b":1\r\n", "write {number} of {count} of client {client} is lost");
        }
        sending.join().unwrap();
    }
}

#[test]
fn an_orderly_stop_under_load_loses_nothing_and_ends_with_0() {
    let mut server = Setup::disk().start();
    for how in ["SIGTERM", "SHUTDOWN", "SIGINT", "SHUTDOWN NOW", "SHUTDOWN NOW", "SHUTDOWN NOW"] {
        server.connect().answer(&["FLUSHALL"]);
        let load = Load::start(&server, 6);
        load.wait_until_busy();
        match how {
            "SIGTERM" => server.signal("TERM"),
            "SIGINT" => server.signal("INT"),
            command => server.connect().send(format!("{command}\r\n").as_bytes()),
        }
        let acknowledged = load.ended();
        let ended = server.ended();
        assert_eq!(ended.status.code(), Some(0), "{how}: {}", ended.log);
        assert!(!ended.dir.join("ouro.sock").exists(), "{how}: the socket is gone with the daemon");
        server = ended.start();
        assert!(!server.log().contains("dropped"), "{how}: {}", server.log());
        check(&server, &acknowledged);
    }
}

#[test]
fn sigkill_under_load_loses_nothing_that_was_acknowledged() {
    let mut server = Setup::disk().start();
    for _ in 0..4 {
        server.connect().answer(&["FLUSHALL"]);
        let load = Load::start(&server, 6);
        load.wait_until_busy();
        let ended = server.kill();
        let acknowledged = load.ended();
        server = ended.start();
        check(&server, &acknowledged);
    }
}

#[test]
fn stops_in_memory_under_load_end_with_0() {
    for how in ["SHUTDOWN NOSAVE", "SHUTDOWN NOW", "SIGTERM"] {
        let server = Setup::memory().start();
        let load = Load::start(&server, 6);
        load.wait_until_busy();
        if how == "SIGTERM" {
            server.signal("TERM");
        } else {
            server.connect().send(format!("{how}\r\n").as_bytes());
        }
        load.ended();
        let ended = server.ended();
        assert_eq!(ended.status.code(), Some(0), "{how}: {}", ended.log);
    }
}

#[test]
fn replies_that_are_owed_are_sent_before_the_end() {
    let server = Setup::disk().start();
    let mut wire = server.connect();
    let sets: Vec<u8> =
        (0..400).flat_map(|at| request(&[b"SET", format!("k{at}").as_bytes(), b"v"])).collect();
    wire.send(&[sets, b"SHUTDOWN\r\n".to_vec()].concat());
    let got = wire.until_closed();
    assert_eq!(got, b"+OK\r\n".repeat(400), "every write before it is answered, and it is not");
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    assert_eq!(ended.start().connect().answer(&["DBSIZE"]), ":400");
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    // A client that does not read what it asked for holds up an orderly stop.
    let server = Setup::memory().start();
    let mut wire = server.connect();
    let value = vec![b'x'; 8 << 20];
    wire.send(&request(&[b"SET", b"k", &value]));
    wire.expect(b"+OK\r\n");
    wire.send(&request(&[b"GET", b"k"]));
    // The reply has begun to come.
    assert_eq!(wire.take(1), b"$");
    server.signal("TERM");
    wait_for("the stop to begin", || server.log().contains("stopping").then_some(()));
    server.signal("TERM");
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log);
}

#[test]
fn a_client_that_does_not_read_delays_a_stop_no_longer_than_allowed() {
    let server = Setup::memory().and(&["--shutdown-timeout", "1"]).start();
    let mut wire = server.connect();
    let value = vec![b'x'; 8 << 20];
    wire.send(&request(&[b"SET", b"k", &value]));
    wire.expect(b"+OK\r\n");
    wire.send(&request(&[b"GET", b"k"]));
    assert_eq!(wire.take(1), b"$");
    let ended = server.terminate();
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn shutdown_knows_its_words() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["SHUTDOWN", "SAVE", "NOSAVE"]), "-ERR syntax error");
    assert_eq!(wire.answer(&["SHUTDOWN", "SOON"]), "-ERR syntax error");
    assert_eq!(wire.answer(&["SHUTDOWN", "ABORT"]), "-ERR No shutdown in progress.");
    server.signal("HUP");
    assert_eq!(wire.answer(&["PING"]), "+PONG");
    wire.send(b"SHUTDOWN NOSAVE\r\nPING\r\n");
    assert_eq!(wire.until_closed(), b"");
    assert_eq!(server.ended().status.code(), Some(0));
}
