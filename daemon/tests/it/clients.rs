//! CLIENT over all workers: sessions that others end, commands that wait for a pause, requests that are not answered.
//! Connections to the Unix socket go to the workers in turn, so that two in a row are served by different ones.

use crate::connections::free_port;
use crate::server::{Server, Setup, wait_for};
use crate::wire::{Wire, key_of, request};

fn id_of(wire: &mut Wire) -> String {
    wire.answer(&["CLIENT", "ID"]).trim_start_matches(':').to_owned()
}

/// Waits until so many clients are there, and gives the list of them.
fn list_of(server: &Server, count: usize) -> String {
    let mut wire = server.connect();
    wait_for("the list of clients", || {
        let list = wire.answer(&["CLIENT", "LIST"]);
        (list.matches("id=").count() == count + 1).then_some(list)
    })
}

#[test]
fn sessions_of_every_worker_are_ended_by_each_filter() {
    let port = free_port();
    let server = Setup::memory().and(&["--port", &port.to_string()]).start();
    let mut asker = server.connect();
    for at in 0..4 {
        let mut other = server.connect();
        let id = id_of(&mut other);
        assert_eq!(asker.answer(&["CLIENT", "KILL", "ID", &id]), ":1", "round {at}");
        assert_eq!(other.until_closed(), b"");
        assert_eq!(asker.answer(&["CLIENT", "KILL", "ID", &id]), ":0", "it is gone");
    }
    // By address, in the old form and the new one.
    for old in [true, false] {
        let mut other = Wire::tcp(port);
        let info = other.answer(&["CLIENT", "INFO"]);
        let address = info.split("addr=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        if old {
            assert_eq!(asker.answer(&["CLIENT", "KILL", &address]), "+OK");
            assert_eq!(asker.answer(&["CLIENT", "KILL", &address]), "-ERR No such client");
        } else {
            assert_eq!(asker.answer(&["CLIENT", "KILL", "ADDR", &address, "TYPE", "replica"]), ":0");
            assert_eq!(asker.answer(&["CLIENT", "KILL", "ADDR", &address, "TYPE", "normal"]), ":1");
        }
        assert_eq!(other.until_closed(), b"");
    }
    let (mut one, mut two) = (Wire::tcp(port), Wire::tcp(port));
    assert_eq!((one.answer(&["PING"]), two.answer(&["PING"])), ("+PONG".into(), "+PONG".into()));
    assert_eq!(asker.answer(&["CLIENT", "KILL", "LADDR", &format!("127.0.0.1:{port}")]), ":2");
    assert_eq!((one.until_closed(), two.until_closed()), (vec![], vec![]));
    // By user and by age.
    assert_eq!(asker.answer(&["ACL", "SETUSER", "guest", "on", "nopass", "+@all", "~*"]), "+OK");
    let mut guests: Vec<Wire> = (0..3).map(|_| server.connect()).collect();
    for guest in &mut guests {
        assert_eq!(guest.answer(&["AUTH", "guest", "x"]), "+OK");
    }
    assert_eq!(asker.answer(&["CLIENT", "KILL", "USER", "guest", "MAXAGE", "1000"]), ":0");
    assert_eq!(asker.answer(&["CLIENT", "KILL", "USER", "guest"]), ":3");
    for mut guest in guests {
        assert_eq!(guest.until_closed(), b"");
    }
    assert_eq!(asker.answer(&["PING"]), "+PONG", "who asks is spared");
}

#[test]
fn sessions_that_listen_are_a_type_of_their_own_and_messages_are_no_replies() {
    let server = Setup::memory().start();
    let mut asker = server.connect();
    let mut listeners: Vec<Wire> = (0..2).map(|_| server.connect()).collect();
    for listener in &mut listeners {
        listener.send(b"CLIENT REPLY OFF\r\nPING\r\nSUBSCRIBE news\r\n");
        listener.expect(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    }
    assert_eq!(asker.answer(&["PUBLISH", "news", "x"]), ":2");
    for listener in &mut listeners {
        listener.expect(b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n");
    }
    assert_eq!(asker.answer(&["CLIENT", "KILL", "TYPE", "master"]), ":0");
    assert_eq!(asker.answer(&["CLIENT", "KILL", "TYPE", "pubsub"]), ":2");
    for listener in &mut listeners {
        assert_eq!(listener.until_closed(), b"");
    }
    assert_eq!(asker.answer(&["PUBLISH", "news", "x"]), ":0");
}

#[test]
fn who_ends_itself_is_answered_first_and_runs_no_more() {
    let server = Setup::memory().start();
    for key in [key_of(0, 0), key_of(1, 0)] {
        let mut wire = server.connect();
        let id = id_of(&mut wire);
        let kill = request(&[b"CLIENT", b"KILL", b"ID", id.as_bytes(), b"SKIPME", b"no"]);
        let set = request(&[b"SET", key.as_bytes(), b"v"]);
        wire.send_if_open(&[kill, set].concat());
        assert_eq!(wire.until_closed(), b":1\r\n");
        assert_eq!(server.connect().answer(&["EXISTS", &key]), ":0");
    }
}

#[test]
fn writes_wait_for_a_pause_on_every_worker_and_reads_do_not() {
    let server = Setup::memory().start();
    let mut asker = server.connect();
    let mut writers: Vec<Wire> = (0..4).map(|_| server.connect()).collect();
    for writer in &mut writers {
        assert_eq!(writer.answer(&["PING"]), "+PONG");
    }
    assert_eq!(asker.answer(&["CLIENT", "PAUSE", "600000", "WRITE"]), "+OK");
    let keys: Vec<String> = (0..4).map(|at| key_of(at % 2, at)).collect();
    for (writer, key) in writers.iter_mut().zip(&keys) {
        writer.send(&request(&[b"PING"]));
        writer.send(&request(&[b"SET", key.as_bytes(), b"v"]));
        writer.send(&request(&[b"GET", key.as_bytes()]));
        writer.expect(b"+PONG\r\n");
    }
    // As in Redis, what is published waits with them.
    let mut publisher = server.connect();
    publisher.send(b"PING\r\nPUBLISH channel message\r\n");
    publisher.expect(b"+PONG\r\n");
    // Each of them stands before its write: what it sent is there, and not begun.
    wait_for("all writes to wait", || {
        let list = asker.answer(&["CLIENT", "LIST"]);
        let waits = |line: &&str| line.contains(" cmd=ping ") && !line.contains(" qbuf=0 ");
        (list.split("id=").filter(waits).count() == 5).then_some(())
    });
    for key in &keys {
        assert_eq!(asker.answer(&["GET", key]), "nil", "reads go on, and nothing was written");
    }
    assert_eq!(asker.answer(&["CLIENT", "UNPAUSE"]), "+OK");
    for writer in &mut writers {
        writer.expect(b"+OK\r\n$1\r\nv\r\n");
    }
    publisher.expect(b":0\r\n");
}

#[test]
fn a_pause_ends_by_itself_and_holds_up_everything_but_its_end() {
    let server = Setup::memory().start();
    let mut asker = server.connect();
    let mut others: Vec<Wire> = (0..2).map(|_| server.connect()).collect();
    for other in &mut others {
        assert_eq!(other.answer(&["PING"]), "+PONG");
    }
    // Nobody says a word in between: the workers wake of their own accord.
    assert_eq!(asker.answer(&["CLIENT", "PAUSE", "50"]), "+OK");
    for other in &mut others {
        other.send(b"PING\r\n");
    }
    for other in &mut others {
        other.expect(b"+PONG\r\n");
    }
    assert_eq!(asker.answer(&["CLIENT", "PAUSE", "600000", "ALL"]), "+OK");
    others[0].send(b"PING\r\n");
    assert_eq!(others[1].answer(&["CLIENT", "UNPAUSE"]), "+OK");
    others[0].expect(b"+PONG\r\n");
}

#[test]
fn requests_are_answered_or_not_as_the_client_says() {
    let server = Setup::memory().start();
    // For a client of each worker one of the keys is its own, and the other one is another worker's.
    let (a, b) = (key_of(0, 0), key_of(1, 0));
    let words = |words: &[&str]| request(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
    for _ in 0..2 {
        let mut wire = server.connect();
        let session = [
            words(&["SET", &a, "1"]),
            words(&["SET", &b, "1"]),
            words(&["CLIENT", "REPLY", "SKIP"]),
            words(&["GET", &b]),
            words(&["GET", &a]),
            words(&["CLIENT", "REPLY", "OFF"]),
            words(&["INCR", &a]),
            words(&["INCR", &b]),
            words(&["MGET", &a, &b]),
            words(&["CLIENT", "LIST"]),
            words(&["NOSUCH"]),
            words(&["KEYS", "*"]),
            words(&["CLIENT", "REPLY", "SKIP"]),
            words(&["CLIENT", "REPLY", "ON"]),
            words(&["MGET", &a, &b]),
            words(&["CLIENT", "REPLY", "OFF"]),
            words(&["RESET"]),
            words(&["CLIENT", "REPLY", "SKIP"]),
            words(&["RESET"]),
            words(&["GET", &b]),
        ];
        wire.send(&session.concat());
        wire.expect(b"+OK\r\n+OK\r\n$1\r\n1\r\n+OK\r\n*2\r\n$1\r\n2\r\n$1\r\n2\r\n+RESET\r\n$1\r\n2\r\n");
    }
    list_of(&server, 0);
}

#[test]
fn a_client_that_is_to_be_kept_is_shown_as_such() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["CLIENT", "NO-EVICT", "ON"]), "+OK");
    assert!(wire.answer(&["CLIENT", "INFO"]).contains(" flags=Ue "));
    assert_eq!(wire.answer(&["CLIENT", "NO-EVICT", "OFF"]), "+OK");
    assert!(wire.answer(&["CLIENT", "INFO"]).contains(" flags=U "));
}
