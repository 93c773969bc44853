//! What strangers can do to the TLS port: half handshakes in any number, handshakes without an end, garbage, clients that
//! never read. Memory is bounded, and others are served meanwhile.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::connections::free_port;
use crate::server::{Server, Setup, wait_for};
use crate::tls::{ANY, Client, NEW, OLD, Stream, ask, closes, ping, plain, serve, text};
use crate::wire::{Wire, key_of, request};

/// Handshakes of one worker under way at most: `HANDSHAKES_MAX` in `connection/limits.rs`.
const HANDSHAKES_MAX: usize = 512;

/// One worker, so that there is one limit.
fn serve_alone() -> (Server, u16) {
    let port = free_port();
    let (cert, key) = (text("server.pem"), text("server.key"));
    let tls = ["--tls-port", &port.to_string(), "--tls-cert-file", &cert, "--tls-key-file", &key];
    (Setup::memory().and(&tls).and(&["--tls-auth-clients", "no"]).workers(1).start(), port)
}

/// A ClientHello of 64 KiB less a little, of which all but the end is there: as much as the server keeps.
fn endless_hello() -> Vec<u8> {
    const LEN: u32 = 0xff00;
    let mut hello = vec![1];
    hello.extend_from_slice(&LEN.to_be_bytes()[1..]);
    hello.extend_from_slice(&[3, 3]);
    hello.resize(LEN as usize - 100, 7);
    let mut records = Vec::new();
    for part in hello.chunks(16 << 10) {
        records.extend_from_slice(&[22, 3, 1]);
        records.extend_from_slice(&u16::try_from(part.len()).unwrap().to_be_bytes());
        records.extend_from_slice(part);
    }
    records
}

/// Whether the server has closed it; what it said is at most an alert.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let closed = loop {
        let mut said = [0; 64];
        match stream.read(&mut said) {
            Ok(0) => break true,
            Ok(_) => assert_eq!(said[0], 21, "an alert"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                    "{error}"
                );
                break true;
            }
        }
    };
    stream.set_nonblocking(false).unwrap();
    closed
}

fn stat(wire: &mut Wire, name: &str) -> usize {
    let info = wire.answer(&["INFO", "stats"]);
    let value = info.split(&format!("{name}:")).nth(1).unwrap_or_else(|| panic!("{name}: {info}"));
    value.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[test]
fn a_flood_of_half_handshakes_takes_bounded_memory_and_no_turn_from_others() {
    const MORE: usize = 150;
    let (server, port) = serve_alone();
    let mut wire = server.connect();
    let mut good = ANY.connect(port).unwrap();
    let refused = stat(&mut wire, "rejected_connections");
    let began = Instant::now();
    let halves = [endless_hello(), vec![], vec![22], vec![22, 3, 1, 0x40, 0]];
    let mut flood: Vec<TcpStream> = Vec::new();
    for number in 0..HANDSHAKES_MAX + MORE {
        let mut stream = plain(port);
        // Those beyond the limit may be closed while they are written to.
        drop(stream.write_all(&halves[number % halves.len()]));
        flood.push(stream);
        if number % 50 == 0 {
            ping(&mut good);
            assert_eq!(wire.answer(&["SET", "k", &number.to_string()]), "+OK");
        }
    }
    wait_for("those beyond the limit to be refused", || {
        // On a machine so slow that the first ones' time is over, others have taken their places.
        let is_late = began.elapsed() > Duration::from_secs(8);
        let count = stat(&mut wire, "rejected_connections") - refused;
        assert!(count <= MORE, "{count}");
        (count == MORE || is_late).then_some(count)
    });
    wait_for("them to be closed", || {
        let closed = flood.iter_mut().map(is_closed).filter(|closed| *closed).count();
        (closed >= MORE).then_some(())
    });
    let is_refused = ANY.connect(port).is_err();
    let is_late = began.elapsed() > Duration::from_secs(8);
    assert!(is_refused || is_late, "one more is closed at once, not kept waiting");
    // Those who are in are served as ever, and new ones by other ways.
    for round in 0..100 {
        ping(&mut good);
        assert_eq!(wire.answer(&["GET", "k"]).len(), 3, "{round}");
        assert_eq!(server.connect().answer(&["PING"]), "+PONG");
    }
    let peak = server.peak_mib();
    assert!(peak < 150, "{HANDSHAKES_MAX} half handshakes took {peak} MiB");
    // As some leave, others come in.
    flood.drain(..HANDSHAKES_MAX / 2);
    wait_for("a place", || ANY.connect(port).ok());
    // The others' time comes, also of one that goes on byte by byte.
    let mut dripping = plain(port);
    let drops = endless_hello();
    let mut at = 0;
    wait_for("all of them to be closed", || {
        ping(&mut good);
        std::thread::sleep(Duration::from_millis(50));
        // It fails once the server has closed.
        drop(dripping.write_all(&drops[at..=at]));
        at += 1;
        flood.retain_mut(|one| !is_closed(one));
        (flood.is_empty() && is_closed(&mut dripping)).then_some(())
    });
    assert!(at > 20, "it went on to the end: {at}");
    ping(&mut good);
    ping(&mut ANY.connect(port).unwrap());
}

#[test]
fn handshakes_that_fail_leave_no_place_taken() {
    let (server, port) = serve_alone();
    let mut wire = server.connect();
    for number in 0..HANDSHAKES_MAX + 50 {
        let mut stream = plain(port);
        match number % 4 {
            0 => {
                stream.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
                closes(&mut stream, b"no TLS");
            }
            1 => {
                stream.write_all(&endless_hello()[..200]).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                closes(&mut stream, b"an end in the middle");
            }
            // Gone without a word; and with the handshake begun.
            2 => {}
            _ => {
                let mut begun = crate::tls::session(ANY.config());
                begun.write_tls(&mut stream).unwrap();
            }
        }
    }
    wait_for("all to be gone", || {
        let info = wire.answer(&["INFO", "clients"]);
        info.contains("connected_clients:1\\r\\n").then_some(())
    });
    // As many places as ever are free.
    let begun: Vec<TcpStream> = (0..HANDSHAKES_MAX - 1).map(|_| plain(port)).collect();
    wait_for("them to be accepted", || {
        let info = wire.answer(&["INFO", "clients"]);
        info.contains(&format!("connected_clients:{HANDSHAKES_MAX}\\r\\n")).then_some(())
    });
    ping(&mut ANY.connect(port).unwrap());
    drop(begun);
}

#[test]
fn handshakes_that_come_all_at_once_go_on_a_few_in_each_turn() {
    const COUNT: usize = 400;
    /// Those that have waited, and as many that have not: `HANDSHAKES_PER_TURN` in `connection/limits.rs`.
    const PER_TURN: usize = 2 * 8;
    let (server, port) = serve_alone();
    let mut wire = server.connect();
    let mut turns = || {
        // A worker tells its figures ten times a second.
        std::thread::sleep(Duration::from_millis(120));
        assert_eq!(wire.answer(&["PING"]), "+PONG");
        let info = wire.answer(&["INFO", "ouro"]);
        let count = info.split(",turns=").nth(1).unwrap_or_else(|| panic!("{info}"));
        count.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<usize>().unwrap()
    };
    let before = turns();
    // They wait in the kernel, all of them, until the daemon goes on.
    server.signal("STOP");
    let config = ANY.config();
    let mut clients: Vec<Stream> = (0..COUNT)
        .map(|_| {
            let mut stream = plain(port);
            let mut session = crate::tls::session(std::sync::Arc::clone(&config));
            session.write_tls(&mut stream).unwrap();
            Stream::new(session, stream)
        })
        .collect();
    server.signal("CONT");
    for client in &mut clients {
        assert!(client.conn.read_tls(&mut client.sock).unwrap() > 0);
        client.conn.process_new_packets().unwrap();
    }
    let taken = turns() - before;
    assert!(taken >= COUNT / PER_TURN, "{COUNT} handshakes in {taken} turns");
    clients.iter_mut().for_each(ping);
}

/// Asks again and again until the server takes no more: it has stopped receiving.
fn ask_until_full(stream: &mut Stream, script: &[u8]) {
    stream.sock.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    loop {
        match stream.write_all(script).and_then(|()| stream.flush()) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
            Err(error) => panic!("closed: {error}"),
        }
    }
}

#[test]
fn tls_clients_that_never_read_cost_a_bounded_amount() {
    let (server, port) = serve("no");
    let mut wire = server.connect();
    let large = vec![b'x'; 256 << 10];
    for worker in 0..2 {
        wire.send(&request(&[b"SET", key_of(worker, 0).as_bytes(), &large]));
        wire.expect(b"+OK\r\n");
    }
    let mut good = ANY.connect(port).unwrap();
    let silent: Vec<Stream> = (0..6)
        .map(|number| {
            let versions = if number % 2 == 0 { NEW } else { OLD };
            let mut stream = Client { versions, ..ANY }.connect(port).unwrap();
            let key = key_of(number % 2, 0);
            ask_until_full(&mut stream, &request(&[b"GET", key.as_bytes()]).repeat(200));
            stream
        })
        .collect();
    for round in 0..100 {
        assert_eq!(wire.answer(&["SET", &key_of(round % 2, 1), "v"]), "+OK");
        ping(&mut good);
        if round % 20 == 0 {
            ping(&mut ANY.connect(port).unwrap());
        }
    }
    let peak = server.peak_mib();
    assert!(peak < 300, "{} clients that do not read took {peak} MiB", silent.len());
    drop(silent);
    wait_for("their connections to be closed", || {
        let info = wire.answer(&["INFO", "clients"]);
        info.contains("connected_clients:2\\r\\n").then_some(())
    });
    ping(&mut good);
}

#[test]
fn what_a_client_reads_late_comes_whole_and_in_order() {
    let (server, port) = serve("no");
    let mut wire = server.connect();
    let large: Vec<u8> = (0..200_000u32).map(|at| (at % 253) as u8).collect();
    for worker in 0..2 {
        wire.send(&request(&[b"SET", key_of(worker, 0).as_bytes(), &large]));
        wire.expect(b"+OK\r\n");
    }
    for versions in [OLD, NEW] {
        let mut stream = Client { versions, ..ANY }.connect(port).unwrap();
        let (mut script, mut expected) = (Vec::new(), Vec::new());
        for number in 0..60 {
            script.extend(request(&[b"GET", key_of(number % 2, 0).as_bytes()]));
            script.extend(request(&[b"ECHO", number.to_string().as_bytes()]));
            expected.extend(format!("${}\r\n", large.len()).into_bytes());
            expected.extend_from_slice(&large);
            expected.extend(format!("\r\n${}\r\n{number}\r\n", number.to_string().len()).into_bytes());
        }
        stream.write_all(&script).unwrap();
        stream.flush().unwrap();
        // The server fills what lies between the two and has to wait, in the middle of a record too.
        std::thread::sleep(Duration::from_millis(300));
        ask(&mut stream, b"", &expected);
        ping(&mut stream);
    }
}

#[test]
fn a_client_that_wants_new_keys_for_ever_is_closed_and_others_go_on() {
    let (server, port) = serve("no");
    let mut good = ANY.connect(port).unwrap();
    let mut greedy = Client { versions: NEW, ..ANY }.connect(port).unwrap();
    let closed = (0..10_000).any(|_| {
        greedy.conn.refresh_traffic_keys().unwrap();
        greedy.conn.write_tls(&mut greedy.sock).is_err()
    });
    // What it wrote may lie in the socket's buffers: reading tells.
    let closed = closed
        || loop {
            match greedy.sock.read(&mut [0; 4096]) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() == ErrorKind::ConnectionReset,
            }
        };
    assert!(closed);
    for _ in 0..20 {
        ping(&mut good);
    }
    assert!(server.peak_mib() < 100, "{} MiB", server.peak_mib());
}
