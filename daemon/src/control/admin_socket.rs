//! The sockets of the admin address, Unix or TCP alike: listening ones wait in the runtime's poller, accepted ones
//! read and write through the control thread's ring.
//!
//! Rule: an operation is always waited for to its end. One that takes too long is ended by shutting its socket down:
//! dropping it would leave it, and with it the descriptor, to the kernel for as long as the client likes.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::pin::pin;

use tokio::time::{Instant, timeout_at};
use tokio_uring::buf::BoundedBuf;

use super::limits::BACKLOG;
use super::unix_socket::{SocketFile, bind_unix_socket};
use crate::options::AdminAddress;

/// A bound and listening address, not yet on the control thread.
#[derive(Debug)]
pub(super) enum BoundAddress {
    Unix(std::os::unix::net::UnixListener, SocketFile),
    Tcp(std::net::TcpListener),
}

impl BoundAddress {
    /// Binds and listens. What goes wrong is told with the address, and what to do.
    pub(super) fn bind(address: &AdminAddress) -> io::Result<Self> {
        match address {
            AdminAddress::Unix(path) => {
                let (listener, file) = bind_unix_socket(path, 0o600)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Unix(listener, file))
            }
            AdminAddress::Tcp(address) => {
                let bound = std::net::TcpListener::bind(address).and_then(|listener| {
                    rustix::net::listen(&listener, BACKLOG)?;
                    listener.set_nonblocking(true)?;
                    Ok(listener)
                });
                bound.map(Self::Tcp).map_err(|error| {
                    let hint = match error.kind() {
                        io::ErrorKind::AddrInUse => {
                            ": another process listens there, stop it or give another port"
                        }
                        io::ErrorKind::PermissionDenied => {
                            ": ports below 1024 need a capability, give a higher one"
                        }
                        _ => "",
                    };
                    io::Error::new(error.kind(), format!("{address}: {error}{hint}"))
                })
            }
        }
    }

    /// Where it listens: of port 0 the one that was chosen.
    pub(super) fn address(&self) -> io::Result<AdminAddress> {
        match self {
            Self::Unix(_, file) => Ok(AdminAddress::Unix(file.path().to_owned())),
            Self::Tcp(listener) => listener.local_addr().map(AdminAddress::Tcp),
        }
    }
}

/// A listening socket on the control thread.
#[derive(Debug)]
pub(super) enum AdminListener {
    /// The file goes with the listener.
    Unix(tokio::net::UnixListener, #[expect(dead_code, reason = "kept for what its end does")] SocketFile),
    Tcp(tokio::net::TcpListener),
}

impl AdminListener {
    /// Called on the control thread, inside its runtime.
    pub(super) fn new(bound: BoundAddress) -> io::Result<Self> {
        match bound {
            BoundAddress::Unix(listener, file) => {
                tokio::net::UnixListener::from_std(listener).map(|listener| Self::Unix(listener, file))
            }
            BoundAddress::Tcp(listener) => tokio::net::TcpListener::from_std(listener).map(Self::Tcp),
        }
    }

    /// The next connection. May be dropped at any time: no connection is lost.
    pub(super) async fn accept(&self) -> io::Result<AdminStream> {
        // The ring waits for sockets that block; one that does not would answer "try again" instead.
        match self {
            Self::Unix(listener, _) => {
                let stream = listener.accept().await?.0.into_std()?;
                stream.set_nonblocking(false)?;
                Ok(AdminStream::Unix(tokio_uring::net::UnixStream::from_std(stream)))
            }
            Self::Tcp(listener) => {
                let stream = listener.accept().await?.0.into_std()?;
                stream.set_nonblocking(false)?;
                Ok(AdminStream::Tcp(tokio_uring::net::TcpStream::from_std(stream)))
            }
        }
    }
}

/// One client's connection.
pub(super) enum AdminStream {
    Unix(tokio_uring::net::UnixStream),
    Tcp(tokio_uring::net::TcpStream),
}

/// How an operation with a deadline ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// In time, with so many bytes: 0 is the end of what the client sends.
    Moved(usize),
    /// Not in time: the socket was shut down in the operation's direction.
    TooLate,
    /// The connection is gone.
    Broken,
}

impl AdminStream {
    /// Receives to the end of `buffer`, at most up to its capacity. After the deadline nothing can be received.
    pub(super) async fn read(&self, buffer: Vec<u8>, deadline: Instant) -> (Ended, Vec<u8>) {
        let begin = buffer.len();
        assert!(begin < buffer.capacity(), "without room the answer would look like the end of the stream");
        let room = buffer.slice(begin..);
        let (ended, room) = match self {
            Self::Unix(stream) => self.until(deadline, Shutdown::Read, stream.read(room)).await,
            Self::Tcp(stream) => self.until(deadline, Shutdown::Read, stream.read(room)).await,
        };
        (ended, room.into_inner())
    }

    /// Sends all of it. After the deadline nothing can be received or sent.
    pub(super) async fn write_all(&self, bytes: Vec<u8>, deadline: Instant) -> Ended {
        let len = bytes.len();
        let counted = |(result, bytes): (io::Result<()>, Vec<u8>)| (result.map(|()| len), bytes);
        let (ended, _) = match self {
            Self::Unix(stream) => {
                self.until(deadline, Shutdown::Both, async { counted(stream.write_all(bytes).await) }).await
            }
            Self::Tcp(stream) => {
                self.until(deadline, Shutdown::Both, async { counted(stream.write_all(bytes).await) }).await
            }
        };
        ended
    }

    /// Says that nothing more will be sent, or received.
    pub(super) fn shutdown(&self, how: Shutdown) {
        let done = match self {
            Self::Unix(stream) => stream.shutdown(how),
            Self::Tcp(stream) => stream.shutdown(how),
        };
        // It fails when the client has gone already.
        drop(done);
    }

    async fn until<B>(
        &self,
        deadline: Instant,
        direction: Shutdown,
        operation: impl Future<Output = (io::Result<usize>, B)>,
    ) -> (Ended, B) {
        let mut operation = pin!(operation);
        match timeout_at(deadline, operation.as_mut()).await {
            Ok((Ok(bytes), buffer)) => (Ended::Moved(bytes), buffer),
            Ok((Err(_), buffer)) => (Ended::Broken, buffer),
            Err(_) => {
                self.shutdown(direction);
                let (_, buffer) = operation.await;
                (Ended::TooLate, buffer)
            }
        }
    }
}
