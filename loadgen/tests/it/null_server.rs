//! A server for tests that answers at once, or misbehaves in a known way, and counts what it was asked.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use resp::{Args, Parsed, RequestLimits, RequestParser};

/// How the server misbehaves. Requests are SETs and GETs, numbered from 1 in the order of arrival.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Behaviour {
    /// When this request comes, nothing is answered for so long.
    pub(crate) stall: Option<(u64, Duration)>,
    /// Each answer comes so late.
    pub(crate) delay: Option<Duration>,
    /// Each answer is held back so long, by the number of its request.
    pub(crate) hold: Option<fn(u64) -> Duration>,
    /// Every n-th request is answered with this error line.
    pub(crate) error: Option<(u64, &'static str)>,
    /// No key is there.
    pub(crate) all_miss: bool,
    /// When a connection has sent so many requests, it is closed without an answer.
    pub(crate) close_after: Option<u64>,
    /// From this request on nothing is answered any more.
    pub(crate) mute_from: Option<u64>,
}

/// The server; it ends with the process.
pub(crate) struct NullServer {
    pub(crate) path: PathBuf,
    shared: Arc<Shared>,
    _directory: tempfile::TempDir,
}

struct Shared {
    behaviour: Behaviour,
    requests: AtomicU64,
    sets: AtomicU64,
    stalled_until: Mutex<Option<Instant>>,
    /// How long answers were really held back.
    held_ns: Mutex<Vec<u64>>,
    /// When each request came and when it was answered, in the order of answers.
    answered: Mutex<Vec<(Instant, Instant)>>,
}

impl NullServer {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (requests, sets, stalled_until) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(None));
        let (held_ns, answered) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let shared = Arc::new(Shared { behaviour, requests, sets, stalled_until, held_ns, answered });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || shared.serve(stream.unwrap()));
            }
        });
        Self { path, shared, _directory: directory }
    }

    /// A TCP port whose connections are encrypted with the certificate of the tests.
    pub(crate) fn tls_port(&self) -> u16 {
        use rustls::pki_types::pem::PemObject as _;
        let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
        let certificate = rustls::pki_types::CertificateDer::from_pem_file(data.join("server.pem")).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_file(data.join("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let (config, shared) = (Arc::new(config), Arc::clone(&self.shared));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let (shared, stream) =
                    (Arc::clone(&shared), rustls::StreamOwned::new(session, stream.unwrap()));
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        port
    }

    /// SETs and GETs that arrived.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How long each answer was held back, as the server itself measured it.
    pub(crate) fn held_ns(&self) -> Vec<u64> {
        self.shared.held_ns.lock().unwrap().clone()
    }

    /// Nanoseconds from the first request's arrival to each answer, in the order of answers.
    pub(crate) fn answered_ns(&self) -> Vec<u64> {
        let answered = self.shared.answered.lock().unwrap();
        let first = answered.iter().map(|(came, _)| *came).min().unwrap();
        answered.iter().map(|(_, at)| u64::try_from((*at - first).as_nanos()).unwrap()).collect()
    }

    /// SETs among them.
    pub(crate) fn sets(&self) -> u64 {
        self.shared.sets.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn serve(&self, mut stream: impl Read + Write) {
        let mut parser = RequestParser::new();
        let limits = RequestLimits::default();
        let (mut input, mut out, mut seen) = (Vec::new(), Vec::new(), 0);
        let mut bytes = [0; 65536];
        loop {
            let Ok(length @ 1..) = stream.read(&mut bytes) else { return };
            input.extend_from_slice(&bytes[..length]);
            let mut used = 0;
            while used < input.len() {
                match parser.parse(&input[used..], &limits).unwrap() {
                    Parsed::Request { consumed } => {
                        let is_open = self.answer(parser.args(&input[used..]), &mut out, &mut seen);
                        used += consumed;
                        if !is_open {
                            return;
                        }
                    }
                    Parsed::Empty { consumed } => used += consumed,
                    Parsed::Incomplete { .. } => break,
                }
            }
            input.drain(..used);
            // A client that has ended is no fault of the server.
            if !out.is_empty() && stream.write_all(&out).and_then(|()| stream.flush()).is_err() {
                return;
            }
            out.clear();
        }
    }

    /// False: the connection is to be closed.
    fn answer(&self, arguments: Args<'_>, out: &mut Vec<u8>, seen: &mut u64) -> bool {
        let reply: &[u8] = match arguments.at(0) {
            b"PING" => b"+PONG\r\n",
            b"SET" => b"+OK\r\n",
            b"GET" if self.behaviour.all_miss => b"$-1\r\n",
            b"GET" => b"$5\r\nvalue\r\n",
            _ => b"-ERR unknown command\r\n",
        };
        if !matches!(arguments.at(0), b"SET" | b"GET") {
            out.extend_from_slice(reply);
            return true;
        }
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        self.sets.fetch_add(u64::from(arguments.at(0) == b"SET"), Ordering::SeqCst);
        *seen += 1;
        if self.behaviour.close_after.is_some_and(|count| *seen > count) {
            return false;
        }
        let came = Instant::now();
        self.wait(number);
        self.answered.lock().unwrap().push((came, Instant::now()));
        match self.behaviour {
            Behaviour { mute_from: Some(first), .. } if number >= first => {}
            Behaviour { error: Some((every, text)), .. } if number.is_multiple_of(every) => {
                out.extend_from_slice(text.as_bytes());
            }
            _ => out.extend_from_slice(reply),
        }
        true
    }

    fn wait(&self, number: u64) {
        if let Some(delay) = self.behaviour.delay {
            std::thread::sleep(delay);
        }
        if let Some(hold) = self.behaviour.hold {
            let began = Instant::now();
            std::thread::sleep(hold(number));
            self.held_ns.lock().unwrap().push(u64::try_from(began.elapsed().as_nanos()).unwrap());
        }
        if let Some((from, duration)) = self.behaviour.stall {
            let mut stalled_until = self.stalled_until.lock().unwrap();
            if number == from {
                *stalled_until = Some(Instant::now() + duration);
            }
            let left = stalled_until.map(|end| end.saturating_duration_since(Instant::now()));
            drop(stalled_until);
            std::thread::sleep(left.unwrap_or_default());
        }
    }
}
