//! TLS: clients of both versions, certificates of clients, certificates that change, and those who speak something else.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion,
    version,
};
use tempfile::TempDir;

use crate::connections::free_port;
use crate::passing_over::pass_over;
use crate::server::{PATIENCE, Server, Setup, wait_for};
use crate::wire::request;

/// A file of the tests' certificates.
pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates")).join(name)
}

pub(crate) fn text(name: &str) -> String {
    file(name).display().to_string()
}

/// A server with a TLS port that asks for client certificates as `auth` says.
pub(crate) fn serve(auth: &str) -> (Server, u16) {
    let port = free_port();
    let (cert, key, ca) = (text("server.pem"), text("server.key"), text("ca.pem"));
    let tls = ["--tls-port", &port.to_string(), "--tls-cert-file", &cert, "--tls-key-file", &key];
    let clients = ["--tls-ca-cert-file", &ca, "--tls-auth-clients", auth];
    (Setup::disk().and(&tls).and(&clients).start(), port)
}

/// Certificate and key of a server, which are exchanged while it runs.
struct Exchanged(TempDir);

impl Exchanged {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        this.put("server");
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts those of this name in their place.
    fn put(&self, name: &str) {
        std::fs::copy(file(&format!("{name}.pem")), self.path("cert")).unwrap();
        std::fs::copy(file(&format!("{name}.key")), self.path("key")).unwrap();
    }

    /// A server that uses them, and asks for no certificates of clients.
    fn serve(&self, setup: Setup) -> (Server, u16) {
        let port = free_port();
        let tls = ["--tls-port", &port.to_string(), "--tls-auth-clients", "no"];
        let [cert, key] = ["cert", "key"].map(|name| self.path(name).display().to_string());
        let files = ["--tls-cert-file", &cert, "--tls-key-file", &key];
        (setup.and(&tls).and(&files).start(), port)
    }
}

/// How a client is set up.
pub(crate) struct Client {
    /// Whom it trusts.
    pub(crate) ca: &'static str,
    /// Its certificate.
    pub(crate) identity: Option<&'static str>,
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
}

pub(crate) const OLD: &[&SupportedProtocolVersion] = &[&version::TLS12];
pub(crate) const NEW: &[&SupportedProtocolVersion] = &[&version::TLS13];
pub(crate) const ANY: Client = Client { ca: "ca.pem", identity: None, versions: rustls::ALL_VERSIONS };

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    pub(crate) fn with(identity: &'static str) -> Self {
        Self { identity: Some(identity), ..ANY }
    }

    /// Connects and asks for a PONG: with TLS 1.3 a server's refusal comes only then.
    pub(crate) fn connect(&self, port: u16) -> std::io::Result<Stream> {
        converse(self.config(), port)
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file(self.ca)).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = vec![CertificateDer::from_pem_file(file(&format!("{name}.pem"))).unwrap()];
                let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        Arc::new(config)
    }
}

/// Before the handshake.
pub(crate) fn session(config: Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap()
}

/// Connects and asks for a PONG.
pub(crate) fn converse(config: Arc<ClientConfig>, port: u16) -> std::io::Result<Stream> {
    let mut stream = StreamOwned::new(session(config), plain(port));
    stream.write_all(&request(&[b"PING"]))?;
    stream.flush()?;
    let mut pong = [0; 7];
    stream.read_exact(&mut pong)?;
    assert_eq!(&pong, b"+PONG\r\n");
    Ok(stream)
}

/// A connection that speaks no TLS.
pub(crate) fn plain(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends and expects.
pub(crate) fn ask(stream: &mut Stream, sent: &[u8], expected: &[u8]) {
    stream.write_all(sent).unwrap();
    stream.flush().unwrap();
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).unwrap();
    assert!(got == expected, "{}", String::from_utf8_lossy(&got[..got.len().min(200)]));
}

pub(crate) fn ping(stream: &mut Stream) {
    ask(stream, &request(&[b"PING"]), b"+PONG\r\n");
}

#[test]
fn pipelines_and_large_values_travel_over_both_versions() {
    let (_server, port) = serve("no");
    for versions in [OLD, NEW] {
        let mut stream = Client { versions, ..ANY }.connect(port).unwrap();
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for number in 0..2000 {
            let (key, value) = (format!("key:{number}"), format!("value:{number}"));
            sent.extend(request(&[b"SET", key.as_bytes(), value.as_bytes()]));
            sent.extend(request(&[b"GET", key.as_bytes()]));
            expected.extend(format!("+OK\r\n${}\r\n{value}\r\n", value.len()).into_bytes());
        }
        ask(&mut stream, &sent, &expected);
        let large: Vec<u8> = (0..3 << 20).map(|at: u32| (at % 251) as u8).collect();
        ask(&mut stream, &request(&[b"SET", b"large", &large]), b"+OK\r\n");
        let mut expected = format!("${}\r\n", large.len()).into_bytes();
        expected.extend_from_slice(&large);
        expected.extend_from_slice(b"\r\n");
        ask(&mut stream, &request(&[b"GET", b"large"]), &expected);
        // One byte a write: a record each.
        for byte in request(&[b"ECHO", b"slow"]) {
            stream.write_all(&[byte]).unwrap();
            stream.flush().unwrap();
        }
        ask(&mut stream, b"", b"$4\r\nslow\r\n");
        // The end is said, not only made.
        ask(&mut stream, &request(&[b"QUIT"]), b"+OK\r\n");
        assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0, "close_notify");
    }
}

#[test]
fn only_clients_that_the_authority_vouches_for_come_in() {
    let (_server, port) = serve("yes");
    ping(&mut Client::with("client").connect(port).unwrap());
    assert!(ANY.connect(port).is_err(), "no certificate");
    for wrong in ["other-client", "expired-client", "future-client"] {
        assert!(Client::with(wrong).connect(port).is_err(), "{wrong}");
    }
    let (_server, port) = serve("optional");
    ping(&mut Client::with("client").connect(port).unwrap());
    ping(&mut ANY.connect(port).unwrap());
    for wrong in ["other-client", "expired-client", "future-client"] {
        assert!(Client::with(wrong).connect(port).is_err(), "{wrong}: what is shown is looked at");
    }
}

#[test]
fn files_that_are_set_are_for_new_connections_and_bad_ones_change_nothing() {
    let (server, port) = serve("no");
    let mut old = ANY.connect(port).unwrap();
    let mut wire = server.connect();
    let refused = wire.answer(&["CONFIG", "SET", "tls-cert-file", "/nowhere", "timeout", "77"]);
    assert!(refused.starts_with("-ERR CONFIG SET failed") && refused.contains("/nowhere"), "{refused}");
    let refused = wire.answer(&["CONFIG", "SET", "tls-cert-file", &text("other-server.pem")]);
    assert!(refused.contains("do not go together"), "{refused}");
    assert_eq!(wire.answer(&["CONFIG", "GET", "timeout"]), "[timeout 0]");
    let named = format!("[tls-cert-file {}]", text("server.pem"));
    assert_eq!(wire.answer(&["CONFIG", "GET", "tls-cert-file"]), named);
    ping(&mut ANY.connect(port).unwrap());

    let (cert, key) = (text("other-server.pem"), text("other-server.key"));
    let set = ["CONFIG", "SET", "tls-cert-file", &cert, "tls-key-file", &key];
    assert_eq!(wire.answer(&set), "+OK");
    assert!(ANY.connect(port).is_err(), "the certificate is another one");
    ping(&mut Client { ca: "other-ca.pem", ..ANY }.connect(port).unwrap());
    assert_eq!(wire.answer(&["CONFIG", "SET", "tls-auth-clients", "yes"]), "+OK");
    assert!(Client { ca: "other-ca.pem", ..ANY }.connect(port).is_err());
    ping(&mut old);
}

#[test]
fn a_session_is_resumed_but_not_past_a_change_of_who_may_connect() {
    for versions in [OLD, NEW] {
        let (server, port) = serve("yes");
        let config = Client { versions, ..Client::with("client") }.config();
        let mut first = converse(Arc::clone(&config), port).unwrap();
        assert_eq!(first.conn.handshake_kind(), Some(HandshakeKind::Full));
        let again = converse(Arc::clone(&config), port).unwrap();
        assert_eq!(again.conn.handshake_kind(), Some(HandshakeKind::Resumed));
        let set = ["CONFIG", "SET", "tls-ca-cert-file", &text("other-ca.pem")];
        assert_eq!(server.connect().answer(&set), "+OK");
        assert!(converse(config, port).is_err(), "what it showed to the old authority counts no longer");
        // Who was connected stays.
        ping(&mut first);
    }
}

#[test]
fn connections_live_through_changes_of_files_in_the_middle_of_everything() {
    const CHANGES: usize = 40;
    let exchanged = Exchanged::new();
    let (server, port) = exchanged.serve(Setup::disk());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let busy: Vec<_> = [OLD, NEW, NEW]
            .into_iter()
            .enumerate()
            .map(|(number, versions)| {
                let mut stream = Client { versions, ..ANY }.connect(port).unwrap();
                let done = &done;
                scope.spawn(move || {
                    let mut rounds = 0;
                    while rounds == 0 || !done.load(Ordering::Relaxed) {
                        let (mut sent, mut expected) = (Vec::new(), Vec::new());
                        for at in 0..50 {
                            let key = format!("{number}:{at}");
                            sent.extend(request(&[b"SET", key.as_bytes(), key.as_bytes()]));
                            sent.extend(request(&[b"GET", key.as_bytes()]));
                            expected.extend(format!("+OK\r\n${}\r\n{key}\r\n", key.len()).into_bytes());
                        }
                        ask(&mut stream, &sent, &expected);
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        for change in 0..CHANGES {
            // A handshake that has begun ends with what it began with.
            let (now, next) = if change % 2 == 0 { ("ca", "other-server") } else { ("other-ca", "server") };
            let ca = if now == "ca" { "ca.pem" } else { "other-ca.pem" };
            let mut begun = StreamOwned::new(session(Client { ca, ..ANY }.config()), plain(port));
            begun.conn.write_tls(&mut begun.sock).unwrap();
            begun.conn.read_tls(&mut begun.sock).unwrap();
            exchanged.put(next);
            server.signal("HUP");
            let next_ca = if ca == "ca.pem" { "other-ca.pem" } else { "ca.pem" };
            wait_for("the new certificate", || Client { ca: next_ca, ..ANY }.connect(port).ok());
            begun.conn.process_new_packets().unwrap();
            ping(&mut begun);
        }
        done.store(true, Ordering::Relaxed);
        for busy in busy {
            assert!(busy.join().unwrap() > 0);
        }
    });
    server.terminate();
}

#[test]
fn files_that_were_exchanged_are_read_again_at_sighup() {
    let exchanged = Exchanged::new();
    let (server, port) = exchanged.serve(Setup::memory());
    let mut old = ANY.connect(port).unwrap();
    exchanged.put("other-server");
    server.signal("HUP");
    wait_for("the new certificate", || Client { ca: "other-ca.pem", ..ANY }.connect(port).ok());
    ping(&mut old);
    std::fs::write(exchanged.path("key"), "no key").unwrap();
    server.signal("HUP");
    wait_for("a word about the key", || server.log().contains("TLS stays as it was").then_some(()));
    ping(&mut Client { ca: "other-ca.pem", ..ANY }.connect(port).unwrap());
    ping(&mut old);
}

#[test]
fn who_speaks_no_tls_is_closed_and_others_go_on() {
    let (server, port) = serve("no");
    let mut good = ANY.connect(port).unwrap();
    let mut half_hello = vec![22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
    half_hello.resize(200, 7);
    let mut wrong_length = vec![22, 3, 3, 0xff, 0xff];
    wrong_length.resize(1000, 0);
    let garbage: Vec<u8> = (0..5000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let at_once: [&[u8]; 5] = [
        b"*1\r\n$4\r\nPING\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &wrong_length,
        &garbage,
        &[23, 3, 3, 0, 5, 1, 2, 3, 4, 5],
    ];
    for bytes in at_once {
        let mut stream = plain(port);
        stream.write_all(bytes).unwrap();
        closes(&mut stream, bytes);
        ping(&mut good);
    }
    // These are closed when their time is up; whoever asks meanwhile is served.
    let mut waiting: Vec<TcpStream> = [&half_hello[..], &[], &[22, 3, 1]]
        .into_iter()
        .map(|bytes| {
            let mut stream = plain(port);
            stream.write_all(bytes).unwrap();
            stream
        })
        .collect();
    ping(&mut good);
    ping(&mut ANY.connect(port).unwrap());
    for stream in &mut waiting {
        closes(stream, b"half a handshake");
    }
    ping(&mut good);
    // Garbage behind a good handshake.
    let mut broken = ANY.connect(port).unwrap();
    broken.sock.write_all(&[23, 3, 3, 0, 30]).unwrap();
    broken.sock.write_all(&[9; 30]).unwrap();
    assert!(broken.read(&mut [0; 16]).is_err(), "bad_record_mac");
    ping(&mut good);
    let info = server.connect().answer(&["INFO", "server"]);
    assert!(info.contains(&format!("name=tls,bind=127.0.0.1,bind=-::1,port={port}")), "{info}");
}

/// The server closes; what it says before is at most an alert.
pub(crate) fn closes(stream: &mut TcpStream, why: &[u8]) {
    let mut said = Vec::new();
    if let Err(error) = stream.read_to_end(&mut said) {
        // Unread bytes make the kernel reset instead.
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{why:?}");
    }
    assert!(said.len() <= 64 && said.first().is_none_or(|first| *first == 21), "{said:?} to {why:?}");
}

#[test]
fn a_renegotiation_is_refused_and_others_go_on() {
    let (_server, port) = serve("no");
    let mut good = ANY.connect(port).unwrap();
    let address = format!("127.0.0.1:{port}");
    let args = ["s_client", "-connect", &address, "-tls1_2", "-legacy_renegotiation"];
    let mut command = Command::new("openssl");
    command.args(args).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = match command.stderr(std::process::Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return pass_over(&format!("openssl cannot be run: {error}")),
    };
    let mut stdin = child.stdin.take().unwrap();
    // "R" alone on a line asks for a renegotiation.
    stdin.write_all(b"R\n").unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("RENEGOTIATING") && said.contains("no renegotiation"), "{said}");
    ping(&mut good);
}

#[test]
fn redis_cli_works_over_tls() {
    let (_server, port) = serve("yes");
    let port = port.to_string();
    let (ca, cert, key) = (text("ca.pem"), text("client.pem"), text("client.key"));
    let identity = ["--cert", &cert, "--key", &key];
    for (args, works) in [(&identity[..], true), (&[], false)] {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port, "--tls", "--cacert", &ca]).args(args).args(["SET", "a", "b"]);
        match command.output() {
            Err(error) => return pass_over(&format!("redis-cli cannot be run: {error}")),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stdout);
                assert_eq!(said.trim() == "OK", works, "{output:?}");
            }
        }
    }
}

#[test]
fn what_tls_needs_is_said_before_anything_is_made() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("none");
    let (cert, key, ca) = (text("server.pem"), text("server.key"), text("ca.pem"));
    let port = free_port().to_string();
    let pair = ["--tls-port", &port, "--tls-cert-file", &cert, "--tls-key-file", &key];
    let other = text("other-server.key");
    for (options, said) in [
        (&["--tls-port", &port, "--tls-auth-clients", "no"][..], "--tls-cert-file is needed"),
        (&pair, "--tls-ca-cert-file is needed"),
        (&[&pair[..], &["--tls-ca-cert-file", &key]].concat(), "certificate"),
        (
            &[&pair[..], &["--tls-key-file", &other, "--tls-auth-clients", "no"]].concat(),
            "do not go together",
        ),
        (&[&pair[..], &["--tls-key-file", &cert, "--tls-auth-clients", "no"]].concat(), "private key"),
        (&[&pair[..], &["--tls-auth-clients", "no", "--bind", "0.0.0.0"]].concat(), "--tls-auth-clients yes"),
        (&[&pair[..], &["--port", &port]].concat(), "a port of its own"),
    ] {
        let (code, log) = Setup::with(options).workers(1).refusal(&dir);
        assert_eq!(code, 64, "{options:?}: {log}");
        assert!(log.contains(said), "{options:?}: {log}");
    }
    assert!(!dir.exists(), "nothing was made");
    // Certificates of clients keep strangers out, so no password is needed, as long as they are asked for.
    let open = [&pair[..], &["--tls-ca-cert-file", &ca, "--bind", "0.0.0.0"]].concat();
    let server = Setup::memory().and(&open).start();
    let refused = server.connect().answer(&["CONFIG", "SET", "tls-auth-clients", "optional"]);
    assert!(refused.contains("tls-auth-clients must be yes"), "{refused}");
    assert_eq!(server.connect().answer(&["CONFIG", "GET", "tls-auth-clients"]), "[tls-auth-clients yes]");
}
