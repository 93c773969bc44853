//! TLS over TCP: who is trusted, the handshake, and the encryption of a connection that a ring drives.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};

/// How connections are encrypted. Cheap to clone.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Files that systems keep their trusted certificates in.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What the options say.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsOptions<'a> {
    /// Trusted certificates; those of the system without.
    pub cacert: Option<&'a Path>,
    /// Certificate and key of the client.
    pub identity: Option<(&'a Path, &'a Path)>,
    /// Trust any server.
    pub insecure: bool,
}

impl TlsClient {
    /// A client for the server of this name.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn new(host: &str, options: &TlsOptions<'_>) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host:?} is no name TLS can check"))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?;
        let builder = if options.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        } else {
            builder.with_root_certificates(roots(options.cacert)?)
        };
        let config = match options.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let key_read = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| format!("cannot read a key from {}: {error}", key.display()))?;
                builder
                    .with_client_auth_cert(certificates(cert)?, key_read)
                    .map_err(|error| format!("certificate and key of the client: {error}"))?
            }
        };
        Ok(Self { config: Arc::new(config), name })
    }

    /// Makes the handshake over a connected socket.
    ///
    /// # Errors
    /// Those of the system; of kind `InvalidData` when the other side is no TLS server or not trusted.
    pub fn connect(&self, mut stream: TcpStream) -> io::Result<TlsStream> {
        let invalid = |error: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let mut session =
            ClientConnection::new(Arc::clone(&self.config), self.name.clone()).map_err(invalid)?;
        // Requests are bounded by the pipeline already.
        session.set_buffer_limit(None);
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(TlsStream(Box::new(StreamOwned::new(session, stream))))
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsClient").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for TlsClient {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for TlsClient {}

fn roots(cacert: Option<&Path>) -> Result<RootCertStore, String> {
    let system = || SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists());
    let path = cacert
        .or_else(system)
        .ok_or("no trusted certificates found on this system: give them with --cacert")?;
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates(path)?);
    if added == 0 { Err(format!("{} holds no certificate to trust", path.display())) } else { Ok(store) }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong =
        |error: &dyn fmt::Display| format!("cannot read certificates from {}: {error}", path.display());
    CertificateDer::pem_file_iter(path)
        .map_err(|error| wrong(&error))?
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(&error))
}

/// A blocking encrypted connection.
#[derive(Debug)]
pub struct TlsStream(Box<StreamOwned<ClientConnection, TcpStream>>);

impl TlsStream {
    /// The socket below.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.0.sock
    }

    /// The socket, and what encrypts it from now on.
    #[must_use]
    pub fn into_parts(self) -> (TcpStream, TlsSession) {
        let (session, socket) = self.0.into_parts();
        (socket, TlsSession { session, plain: Vec::new() })
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The encryption of one connection, without its socket.
#[derive(Debug)]
pub struct TlsSession {
    session: ClientConnection,
    plain: Vec<u8>,
}

impl TlsSession {
    /// Appends the encryption of `plain`, and whatever the protocol itself has to say, to `out`.
    ///
    /// # Errors
    /// Those of the protocol.
    pub fn encrypt(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.session.writer().write_all(plain)?;
        while self.session.wants_write() {
            self.session.write_tls(out)?;
        }
        Ok(())
    }

    /// Whether the protocol itself has something to say.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    /// The bytes that `received` completes.
    ///
    /// # Errors
    /// When what came is no TLS of this session.
    pub fn decrypt(&mut self, mut received: &[u8]) -> io::Result<&[u8]> {
        self.plain.clear();
        while !received.is_empty() {
            self.session.read_tls(&mut received)?;
            let state = self
                .session
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let start = self.plain.len();
            self.plain.resize(start + state.plaintext_bytes_to_read(), 0);
            self.session.reader().read_exact(&mut self.plain[start..])?;
        }
        Ok(&self.plain)
    }
}

/// Trusts whoever answers: for tests against servers whose certificate nobody signed.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
