//! The control plane as its clients meet it: over a real Unix socket and real TCP, good requests and bad.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shard::types::UnixMs;
use tempfile::TempDir;

use super::exposition_check::Parsed;
use super::*;
use crate::options::Options;
use crate::server::{Counter, ServerState, ShutdownRequest, WorkerCounters};

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

struct Running {
    handle: ControlHandle,
    server: Arc<Server>,
    dir: TempDir,
    requests: Receiver<ShutdownRequest>,
}

trait Stream: Read + Write {
    fn set_read_timeout(&self, timeout: Duration);
    fn close_sending(&self);
}

macro_rules! stream {
    ($($kind:ty),*) => {$(
        impl Stream for $kind {
            fn set_read_timeout(&self, timeout: Duration) {
                <$kind>::set_read_timeout(self, Some(timeout)).unwrap();
            }
            fn close_sending(&self) {
                self.shutdown(Shutdown::Write).unwrap();
            }
        }
    )*};
}
stream!(UnixStream, TcpStream);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Unix,
    Tcp,
}

const BOTH: [Over; 2] = [Over::Unix, Over::Tcp];

fn patient() -> AdminLimits {
    AdminLimits { exchange: PATIENCE * 2, linger: PATIENCE, ..AdminLimits::default() }
}

fn running(over: Over, limits: AdminLimits) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let admin = match over {
        Over::Unix => AdminAddress::Unix(dir.path().join("admin.sock")),
        Over::Tcp => "127.0.0.1:0".parse().unwrap(),
    };
    let options = Options { admin: Some(admin), workers: 2, ..Options::for_tests() };
    let (server, requests) = Server::new(options, [1; 20], now());
    let server = Arc::new(server);
    let handle = start_with(Arc::clone(&server), limits).unwrap();
    Running { handle, server, dir, requests }
}

fn now() -> UnixMs {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMs(u64::try_from(since_1970.as_millis()).unwrap())
}

impl Running {
    fn connect(&self) -> Box<dyn Stream> {
        let stream: Box<dyn Stream> = match self.handle.admin_address().unwrap() {
            AdminAddress::Unix(path) => Box::new(UnixStream::connect(path).unwrap()),
            AdminAddress::Tcp(address) => Box::new(TcpStream::connect(address).unwrap()),
        };
        stream.set_read_timeout(PATIENCE);
        stream
    }

    /// Sends, then gives all that comes until the server closes.
    fn ask(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        rest_of(&mut *stream)
    }

    fn get(&self, path: &str) -> String {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    }

    fn beat(&self) {
        for stats in &self.server.workers {
            let mut counters = WorkerCounters::default();
            counters.set(Counter::HeartbeatMs, now().0);
            counters.add(Counter::Turns, 17);
            stats.publish(&mut counters);
        }
    }
}

fn rest_of(stream: &mut dyn Stream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// Status and body, after a look at what every answer must have.
fn parts(answer: &str) -> (&str, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.strip_prefix("HTTP/1.1 ").unwrap().split(' ').next().unwrap();
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    assert!(head.ends_with("\r\nConnection: close") && head.contains("\r\nDate: "), "{head}");
    (status, body)
}

#[test]
fn health_follows_the_servers_life() {
    for over in BOTH {
        let running = running(over, patient());
        let (status, body) = (running.get("/health"), "\"state\":\"starting\"");
        assert!(parts(&status).0 == "503" && status.contains(body), "{status}");
        running.server.set_state(ServerState::Serving);
        assert_eq!(parts(&running.get("/health")).0, "503", "no worker has given a sign of life");
        running.beat();
        let answer = running.get("/health?verbose");
        assert!(parts(&answer).0 == "200" && answer.contains("\"status\":\"ok\""), "{answer}");
        running.server.set_state(ServerState::Stopping);
        let answer = running.get("/health");
        assert!(parts(&answer).0 == "503" && answer.contains("\"state\":\"stopping\""), "{answer}");
        running.handle.stop();
    }
}

#[test]
fn metrics_parse_as_they_come_over_the_wire() {
    for over in BOTH {
        let running = running(over, patient());
        running.beat();
        let answer = running.get("/metrics");
        assert!(
            answer.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
            "{answer}"
        );
        let (status, body) = parts(&answer);
        assert_eq!(status, "200");
        assert_eq!(Parsed::parse(body).value("ouro_turns_total{worker=\"1\"}"), Some("17"));
        let head = running.ask(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    }
}

#[test]
fn bad_requests_get_their_status_and_the_next_one_is_served() {
    let long_path = [b"GET /".to_vec(), vec![b'a'; 9000]].concat();
    let long_header = [b"GET /health HTTP/1.1\r\nHost: x\r\nX: ".to_vec(), vec![b'a'; 9000]].concat();
    let many_headers = format!("GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(100));
    let cases: [(&[u8], &str); 12] = [
        (b"\x00\xff\xfe garbage \r\n\r\n", "400"),
        (b"*1\r\n$4\r\nPING\r\n", "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"),
        (b"GET /health HTTP/1.1\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", "405"),
        (b"DELETE /health HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        (&long_path, "414"),
        (&long_header, "431"),
        (many_headers.as_bytes(), "431"),
    ];
    for over in BOTH {
        let running = running(over, patient());
        running.server.set_state(ServerState::Serving);
        running.beat();
        for (request, expected) in cases {
            let answer = running.ask(request);
            let text = String::from_utf8_lossy(&request[..request.len().min(60)]);
            assert_eq!(parts(&answer).0, expected, "{text}\n{answer}");
            assert_eq!(answer.contains("\r\nAllow: GET, HEAD\r\n"), expected == "405", "{text}");
        }
        assert_eq!(parts(&running.get("/health")).0, "200");
    }
}

#[test]
fn a_request_may_come_byte_by_byte_and_half_closed() {
    for over in BOTH {
        let running = running(over, patient());
        let mut stream = running.connect();
        for byte in b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" {
            stream.write_all(&[*byte]).unwrap();
        }
        stream.close_sending();
        assert_eq!(parts(&rest_of(&mut *stream)).0, "200");
        let mut stream = running.connect();
        stream.write_all(b"GET /metrics HT").unwrap();
        stream.close_sending();
        assert_eq!(parts(&rest_of(&mut *stream)).0, "400");
    }
}

#[test]
fn a_slow_client_is_told_and_closed_and_holds_no_place() {
    let limits =
        AdminLimits { connections_max: 1, exchange: Duration::from_millis(100), ..AdminLimits::default() };
    for over in BOTH {
        let running = running(over, limits);
        for words in ["", "GET /health HTTP/1.1\r\nHost:"] {
            let mut slow = running.connect();
            slow.write_all(words.as_bytes()).unwrap();
            // The only place is taken: if it were not given back, this would wait for ever.
            let answer = running.get("/");
            assert!(matches!(parts(&answer).0, "404"), "{answer}");
            let answer = rest_of(&mut *slow);
            assert_eq!(parts(&answer).0, "408", "{words:?}");
        }
    }
}

#[test]
fn a_client_that_never_stops_talking_is_cut_off() {
    for over in BOTH {
        let running = running(over, patient());
        let mut stream = running.connect();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n").unwrap();
        let (mut sent, piece) = (0_u64, [b'h'; 4096]);
        let error = loop {
            match stream.write(&piece) {
                Ok(bytes) => sent += u64::try_from(bytes).unwrap(),
                Err(error) => break error,
            }
            assert!(sent < 1 << 30, "it takes everything");
        };
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
        assert_eq!(parts(&running.get("/")).0, "404");
    }
}

#[test]
fn connections_beyond_the_bound_wait_for_a_place() {
    let limits = AdminLimits { connections_max: 3, ..patient() };
    for over in BOTH {
        let running = running(over, limits);
        let mut idle: Vec<_> = (0..3).map(|_| running.connect()).collect();
        let mut waiting = running.connect();
        waiting.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        waiting.set_read_timeout(Duration::from_millis(200));
        let none_yet = waiting.read(&mut [0]).unwrap_err();
        assert!(matches!(none_yet.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{none_yet}");
        drop(idle.pop());
        waiting.set_read_timeout(PATIENCE);
        assert_eq!(parts(&rest_of(&mut *waiting)).0, "404");
    }
}

#[test]
fn many_clients_at_once_are_all_served() {
    let running = running(Over::Unix, patient());
    // More than have a place, fewer than may wait with them.
    let mut clients: Vec<_> = (0..150).map(|_| running.connect()).collect();
    for client in &mut clients {
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    for mut client in clients {
        assert_eq!(parts(&rest_of(&mut *client)).0, "200");
    }
    assert!(running.requests.try_recv().is_err(), "nobody asked for a stop");
}

#[test]
fn stop_closes_the_address_and_does_not_wait_for_silent_clients() {
    let limits = AdminLimits { stop: Duration::from_millis(20), ..patient() };
    for over in BOTH {
        let Running { handle, dir, server: _server, requests: _requests } = running(over, limits);
        let path = dir.path().join("admin.sock");
        assert_eq!(path.exists(), over == Over::Unix);
        let address = handle.admin_address().unwrap().clone();
        let mut silent: Box<dyn Stream> = match &address {
            AdminAddress::Unix(path) => Box::new(UnixStream::connect(path).unwrap()),
            AdminAddress::Tcp(address) => Box::new(TcpStream::connect(address).unwrap()),
        };
        silent.set_read_timeout(PATIENCE);
        let begun = Instant::now();
        handle.stop();
        assert!(begun.elapsed() < PATIENCE, "it waited for the client");
        assert!(!path.exists());
        // Closed or reset, as it was accepted or still in the backlog.
        assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)));
        let refused = match &address {
            AdminAddress::Unix(path) => UnixStream::connect(path).is_err(),
            AdminAddress::Tcp(address) => TcpStream::connect(address).is_err(),
        };
        assert!(refused);
    }
}

#[test]
fn an_address_in_use_is_an_error_at_start_that_says_what_to_do() {
    for over in BOTH {
        let first = running(over, patient());
        let options = Options { admin: first.handle.admin_address().cloned(), ..Options::for_tests() };
        let (server, _requests) = Server::new(options, [0; 20], now());
        let error = start(Arc::new(server)).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("--admin ") && text.contains("another process listens there"), "{text}");
        assert_eq!((error.kind(), start_error_code(&error)), (ErrorKind::AddrInUse, ExitCode::Unavailable));
        assert_eq!(parts(&first.get("/")).0, "404", "the first one is none the worse for it");
    }
}

#[test]
fn without_an_admin_address_there_are_signals_only() {
    let (server, _requests) = Server::new(Options::for_tests(), [0; 20], now());
    let handle = start(Arc::new(server)).unwrap();
    assert_eq!(handle.admin_address(), None);
    handle.stop();
}

#[test]
fn an_answer_that_nobody_reads_ends_at_its_deadline() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let runtime = tokio_uring::Runtime::new(&tokio_uring::builder()).unwrap();
    let ended = runtime.block_on(async {
        let stream = admin_socket::AdminStream::Unix(tokio_uring::net::UnixStream::from_std(ours));
        let deadline = tokio::time::Instant::now() + Duration::from_millis(50);
        stream.write_all(vec![0; 16 << 20], deadline).await
    });
    assert_eq!(ended, admin_socket::Ended::TooLate);
    drop(theirs);
}
