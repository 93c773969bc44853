//! Where the server is: the address asked for, or the first default that is there, and connections to it.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::limits::CONTROL_TIMEOUT_S;
use crate::tls::{TlsClient, TlsSession, TlsStream};

/// Address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Unix socket.
    Unix(PathBuf),
    /// TCP; the name is kept for reports.
    Tcp {
        /// As the user wrote it, `host:port`.
        name: String,
        /// What the name resolved to.
        address: SocketAddr,
        /// How it is encrypted, if it is.
        tls: Option<TlsClient>,
    },
}

/// Port of the protocol.
pub const PORT_DEFAULT: u16 = 6379;

impl Target {
    /// A TCP target.
    ///
    /// # Errors
    /// A sentence for the user when the name does not resolve.
    pub fn tcp(host: &str, port: u16) -> Result<Self, String> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let mut addresses = (bare, port)
            .to_socket_addrs()
            .map_err(|error| format!("cannot resolve the host name {host:?}: {error}"))?;
        let address = addresses.next().ok_or_else(|| format!("the host name {host:?} has no address"))?;
        let name = if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") };
        Ok(Self::Tcp { name, address, tls: None })
    }

    /// The same, encrypted.
    #[must_use]
    pub fn encrypted(self, client: TlsClient) -> Self {
        match self {
            Self::Tcp { name, address, .. } => Self::Tcp { name, address, tls: Some(client) },
            unix @ Self::Unix(_) => unix,
        }
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { tls: Some(_), .. })
    }

    /// The first default socket that exists, else TCP on this host.
    #[must_use]
    pub fn find_default() -> Self {
        let runtime_directory = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        default_sockets(runtime_directory.as_deref())
            .into_iter()
            .find(|path| is_socket(path))
            .map_or_else(Self::local_tcp, Self::Unix)
    }

    fn local_tcp() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], PORT_DEFAULT));
        Self::Tcp { name: address.to_string(), address, tls: None }
    }

    /// `unix` or `tcp`, as reports write it.
    #[must_use]
    pub const fn transport(&self) -> &'static str {
        match self {
            Self::Unix(_) => "unix",
            Self::Tcp { .. } => "tcp",
        }
    }

    /// Opens a blocking connection.
    ///
    /// # Errors
    /// Those of the system; [`explain_connect`](Self::explain_connect) says what they mean.
    pub fn connect(&self) -> io::Result<Connection> {
        match self {
            Self::Unix(path) => UnixStream::connect(path).map(Connection::Unix),
            Self::Tcp { address, tls, .. } => {
                let timeout = Duration::from_secs(CONTROL_TIMEOUT_S);
                let stream = TcpStream::connect_timeout(address, timeout)?;
                // Requests are gathered by us; waiting for more would only add latency.
                stream.set_nodelay(true)?;
                let Some(tls) = tls else { return Ok(Connection::Tcp(stream)) };
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                tls.connect(stream).map(Connection::Tls)
            }
        }
    }

    /// What a failed connect means, and what to do.
    #[must_use]
    pub fn explain_connect(&self, error: &io::Error) -> String {
        let advice = match (self, error.kind()) {
            (Self::Unix(_), io::ErrorKind::NotFound) => {
                "no such socket: is the server running, and is this its path?"
            }
            (Self::Unix(_), io::ErrorKind::ConnectionRefused) => {
                "the socket file is there but nobody listens: the server has ended"
            }
            (Self::Unix(_), io::ErrorKind::PermissionDenied) => {
                "this user may not use the socket: see --unixsocketperm of the server"
            }
            (Self::Tcp { .. }, io::ErrorKind::ConnectionRefused) => {
                "nobody listens there: is the server running with this --port, or does it serve a Unix socket only (--socket)?"
            }
            (Self::Tcp { tls: Some(_), .. }, io::ErrorKind::InvalidData) => {
                "TLS failed: is the certificate signed by one of --cacert and for this host name (or --insecure)? Does \
                 this port speak TLS at all (else leave out --tls)?"
            }
            (Self::Tcp { tls: Some(_), .. }, io::ErrorKind::UnexpectedEof | io::ErrorKind::WouldBlock) => {
                "no TLS handshake: this port may not speak TLS (leave out --tls), or it wants a certificate (--cert, --key)"
            }
            (Self::Tcp { .. }, io::ErrorKind::TimedOut) => "no answer: a firewall or a wrong address",
            (_, _) if error.raw_os_error() == Some(EMFILE) => {
                "this process has no file descriptors left: raise the limit (ulimit -n) or use fewer --connections"
            }
            _ => "",
        };
        let separator = if advice.is_empty() { "" } else { "\n  " };
        format!("cannot connect to {self}: {error}{separator}{advice}")
    }
}

/// Too many open files of this process.
const EMFILE: i32 = 24;

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "{}", path.display()),
            Self::Tcp { name, .. } => write!(formatter, "{name}"),
        }
    }
}

/// An open connection of either kind.
#[derive(Debug)]
pub enum Connection {
    /// Over a Unix socket.
    Unix(UnixStream),
    /// Over TCP.
    Tcp(TcpStream),
    /// Over TCP, encrypted.
    Tls(TlsStream),
}

impl Connection {
    /// Bounds the wait for one answer; `None` waits for ever.
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let stream = match self {
            Self::Unix(stream) => {
                stream.set_read_timeout(timeout)?;
                return stream.set_write_timeout(timeout);
            }
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.socket(),
        };
        stream.set_read_timeout(timeout)?;
        stream.set_write_timeout(timeout)
    }

    /// Process at the other end of a Unix socket: the one that made it listen. Nothing for TCP, or when the
    /// process lives in another pid namespace.
    #[must_use]
    pub fn peer_pid(&self) -> Option<u32> {
        let Self::Unix(stream) = self else { return None };
        let credentials = rustix::net::sockopt::socket_peercred(stream.as_fd()).ok()?;
        u32::try_from(credentials.pid.as_raw_nonzero().get()).ok()
    }

    /// The descriptor, to be driven by a ring, and its encryption, if it has one.
    #[must_use]
    pub fn into_owned(self) -> (OwnedFd, Option<TlsSession>) {
        match self {
            Self::Unix(stream) => (stream.into(), None),
            Self::Tcp(stream) => (stream.into(), None),
            Self::Tls(stream) => {
                let (socket, session) = stream.into_parts();
                (socket.into(), Some(session))
            }
        }
    }
}

impl io::Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl io::Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(_) | Self::Tcp(_) => Ok(()),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Sockets that are tried when no address is given, in this order.
fn default_sockets(runtime_directory: Option<&Path>) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from("./ouro-data/ouro.sock")];
    paths.extend(runtime_directory.map(|directory| directory.join("ouro.sock")));
    paths.push(PathBuf::from("/run/ouro/ouro.sock"));
    paths
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_sockets_are_tried_from_near_to_far() {
        let paths = default_sockets(Some(Path::new("/run/user/7")));
        assert_eq!(paths[0], Path::new("./ouro-data/ouro.sock"));
        assert_eq!(paths[1], Path::new("/run/user/7/ouro.sock"));
        assert_eq!(paths[2], Path::new("/run/ouro/ouro.sock"));
        assert_eq!(default_sockets(None).len(), 2);
    }

    #[test]
    fn a_plain_file_is_no_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"").unwrap();
        assert!(!is_socket(&path));
        let socket = directory.path().join("sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(is_socket(&socket));
    }

    #[test]
    fn tcp_names_keep_the_port_and_bracket_ipv6() {
        assert_eq!(Target::tcp("127.0.0.1", 7000).unwrap().to_string(), "127.0.0.1:7000");
        assert_eq!(Target::tcp("::1", 7000).unwrap().to_string(), "[::1]:7000");
        assert_eq!(Target::tcp("[::1]", 7000).unwrap().to_string(), "[::1]:7000");
    }

    #[test]
    fn a_missing_socket_is_explained() {
        let target = Target::Unix("/nowhere/ouro.sock".into());
        let error = target.connect().unwrap_err();
        let text = target.explain_connect(&error);
        assert!(text.contains("/nowhere/ouro.sock") && text.contains("is the server running"), "{text}");
    }

    #[test]
    fn the_peer_of_a_unix_socket_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let connection = Target::Unix(path).connect().unwrap();
        assert_eq!(connection.peer_pid(), Some(std::process::id()));
    }
}
