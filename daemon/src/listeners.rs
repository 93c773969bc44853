//! The sockets that clients come in by, bound before any worker serves: one Unix listener for all workers, one TCP
//! listener per address and worker (`SO_REUSEPORT`), so that the kernel spreads TCP connections.

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::time::{Duration, Instant};

use ring::{Fd, ListenOptions, SocketAddress};

use crate::connection::message::Peer;
use crate::control::{SocketFile, bind_unix_socket};
use crate::options::Options;

/// How long to wait for an address that a killed process may still have.
const ADDRESS_WAIT: Duration = Duration::from_secs(1);
/// How often to look.
const ADDRESS_POLL: Duration = Duration::from_millis(25);

/// A listener for one worker.
#[derive(Debug)]
pub struct BoundListener {
    /// The socket.
    pub socket: OwnedFd,
    /// How clients come in by it.
    pub peer: Peer,
}

/// All listeners.
#[derive(Debug)]
pub struct Listeners {
    /// By worker.
    pub by_worker: Vec<Vec<BoundListener>>,
    /// The Unix socket's file, removed with this.
    pub socket_file: Option<SocketFile>,
    /// Where clients can connect, for the log.
    pub addresses: Vec<String>,
}

/// Why an address cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The Unix socket.
    #[error("Unix socket: {0}")]
    Unix(#[source] io::Error),
    /// A TCP address.
    #[error(
        "TCP {address}: {source}; give another --port, --tls-port or --bind, or find out who listens there (ss -ltnp)"
    )]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// The error.
        source: io::Error,
    },
    /// There is no way in.
    #[error("none of --unixsocket, --port and --tls-port is on: nobody could connect")]
    None,
}

impl Listeners {
    /// Binds everything that the options ask for.
    ///
    /// # Errors
    /// The first address that cannot be had; one that is optional (`-::1`) is left out.
    pub fn bind(options: &Options) -> Result<Self, ListenError> {
        let mut by_worker: Vec<Vec<BoundListener>> = (0..options.workers).map(|_| Vec::new()).collect();
        let (mut addresses, mut socket_file) = (Vec::new(), None);
        if let Some(path) = &options.unix_socket {
            if path.parent() == Some(options.dir.as_path()) {
                // Without files the store has made no directory; the default socket wants one.
                let made = DirBuilder::new().recursive(true).mode(0o750).create(&options.dir);
                made.map_err(ListenError::Unix)?;
            }
            let (listener, file) =
                once_free(|| bind_unix_socket(path, options.unix_socket_mode)).map_err(ListenError::Unix)?;
            let backlog = i32::try_from(options.tcp_backlog).unwrap_or(i32::MAX);
            rustix::net::listen(&listener, backlog).map_err(|error| ListenError::Unix(error.into()))?;
            addresses.push(path.display().to_string());
            by_worker[0].push(BoundListener { socket: listener.into(), peer: Peer::Unix });
            socket_file = Some(file);
        }
        for (ip, port, peer, optional) in options.tcp_addresses() {
            let address = SocketAddr::new(ip, port);
            match bind_tcp(address, options) {
                Ok(sockets) => {
                    for (worker, socket) in by_worker.iter_mut().zip(sockets) {
                        worker.push(BoundListener { socket, peer });
                    }
                    let kind = if peer == Peer::Tls { " (TLS)" } else { "" };
                    addresses.push(format!("{address}{kind}"));
                }
                Err(source) if optional => tracing::info!(%address, %source, "optional address left out"),
                Err(source) => return Err(ListenError::Tcp { address, source }),
            }
        }
        if addresses.is_empty() {
            return Err(ListenError::None);
        }
        Ok(Self { by_worker, socket_file, addresses })
    }
}

/// Binds an address, and waits a moment where somebody still has it: the kernel closes the sockets of a killed process
/// that were in its rings some time after the process is gone.
fn once_free<T>(mut bind: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + ADDRESS_WAIT;
    loop {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(ADDRESS_POLL);
            }
            result => return result,
        }
    }
}

fn bind_tcp(address: SocketAddr, options: &Options) -> io::Result<Vec<OwnedFd>> {
    // SO_REUSEPORT would share the port with another daemon of this user: find out without it first.
    let probe = ListenOptions { backlog: options.tcp_backlog, reuse_port: false };
    drop(once_free(|| Fd::listen(&SocketAddress::Tcp(address), probe))?);
    let shared = ListenOptions { backlog: options.tcp_backlog, reuse_port: true };
    (0..options.workers)
        .map(|_| {
            let socket = Fd::listen(&SocketAddress::Tcp(address), shared)?;
            socket.try_into_owned().map_err(|_| io::Error::other("a fresh socket has one owner"))
        })
        .collect()
}
