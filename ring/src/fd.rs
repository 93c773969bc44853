//! A descriptor shared by a connection or file and the operations on it; closed with its last handle.
//!
//! Rule: an operation in flight holds a handle, so a descriptor number is never re-used while the kernel may still
//! act on it. To end a connection: `cancel_all_of` (or `shutdown_socket`), drop the handle; the last completion
//! closes it.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;

use crate::address::{self, RawAddress, SocketAddress};
use crate::sys;

/// A handle to an open socket or file, for use on one thread. Copies are cheap and share the descriptor.
#[derive(Clone)]
pub struct Fd(Rc<Descriptor>);

struct Descriptor {
    owned: OwnedFd,
    /// Set by `cancel_all_of`, cleared by the next operation: a short send is then ended instead of continued.
    cancelled: Cell<bool>,
}

/// How a listener is made.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// Connections waiting to be accepted; the kernel cuts it at `net.core.somaxconn`.
    pub backlog: u32,
    /// Several TCP listeners share the port, one per worker (`SO_REUSEPORT`). Not for Unix sockets: refused by Linux.
    pub reuse_port: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 4096, reuse_port: false }
    }
}

impl Fd {
    /// A stream socket to [`connect`](crate::Ring::connect) to an address of this family.
    pub fn stream_for(address: &SocketAddress) -> io::Result<Self> {
        Ok(Self::from_blocking(sys::stream_socket(address::family(address))?))
    }

    /// A listening socket. TCP gets `SO_REUSEADDR`; an IPv6 wildcard serves IPv6 only, so that both can be bound.
    /// Errors: `EADDRINUSE` (for a Unix path: the file exists, alive or stale), `EACCES`, a bad path.
    pub fn listen(address: &SocketAddress, options: ListenOptions) -> io::Result<Self> {
        let raw = RawAddress::new(address)?;
        let socket = sys::stream_socket(address::family(address))?;
        if let SocketAddress::Tcp(tcp) = address {
            sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
            if tcp.is_ipv6() {
                sys::set_option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
            }
        }
        if options.reuse_port {
            sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        }
        sys::bind(socket.as_fd(), &raw)?;
        sys::listen(socket.as_fd(), options.backlog)?;
        Ok(Self::from_blocking(socket))
    }

    /// Sends small TCP segments at once (`TCP_NODELAY`). Fails on other sockets.
    pub fn set_no_delay(&self) -> io::Result<()> {
        sys::set_option(self.as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)
    }

    /// Probes an idle TCP peer after `idle_seconds`, then every third of it, and gives up after three probes.
    pub fn set_keepalive(&self, idle_seconds: u32) -> io::Result<()> {
        let idle = libc::c_int::try_from(idle_seconds.max(1)).unwrap_or(libc::c_int::MAX);
        sys::set_option(self.as_fd(), libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
        sys::set_option(self.as_fd(), libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, idle)?;
        sys::set_option(self.as_fd(), libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, (idle / 3).max(1))?;
        sys::set_option(self.as_fd(), libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3)
    }

    /// Address of the other end. A Unix client that bound no path has the empty path.
    pub fn peer_address(&self) -> io::Result<SocketAddress> {
        sys::peer_name(self.as_fd())?.decode()
    }

    /// Address this socket is bound to; tells the port chosen for port 0.
    pub fn local_address(&self) -> io::Result<SocketAddress> {
        sys::own_name(self.as_fd())?.decode()
    }

    /// The descriptor itself, to hand a connection to another thread, if this is the last handle.
    pub fn try_into_owned(self) -> Result<OwnedFd, Self> {
        Rc::try_unwrap(self.0).map(|descriptor| descriptor.owned).map_err(Self)
    }

    /// Wraps a descriptor known to be blocking.
    pub(crate) fn from_blocking(owned: OwnedFd) -> Self {
        Self(Rc::new(Descriptor { owned, cancelled: Cell::new(false) }))
    }

    pub(crate) fn set_cancelled(&self, cancelled: bool) {
        self.0.cancelled.set(cancelled);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.cancelled.get()
    }
}

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.owned.as_raw_fd()
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.owned.as_fd()
    }
}

impl fmt::Debug for Fd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fd({})", self.as_raw_fd())
    }
}

impl From<OwnedFd> for Fd {
    /// Also makes the descriptor blocking: the ring does the waiting.
    fn from(owned: OwnedFd) -> Self {
        // It fails for a descriptor that is not open only, which an OwnedFd cannot be.
        let result = sys::clear_nonblocking(owned.as_fd());
        debug_assert!(result.is_ok(), "{result:?}");
        Self::from_blocking(owned)
    }
}

macro_rules! fd_from {
    ($($source:ty),*) => {$(
        impl From<$source> for Fd {
            /// As from an `OwnedFd`.
            fn from(source: $source) -> Self {
                Self::from(OwnedFd::from(source))
            }
        }
    )*};
}

fd_from!(TcpStream, TcpListener, UnixStream, UnixListener, File);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_closes_with_its_last_handle() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let first = Fd::from(ours);
        let second = first.clone();
        drop(first);
        theirs.set_nonblocking(true).unwrap();
        let mut byte = [0];
        let open = io::Read::read(&mut theirs, &mut byte).unwrap_err();
        assert_eq!(open.kind(), io::ErrorKind::WouldBlock);
        drop(second);
        assert_eq!(io::Read::read(&mut theirs, &mut byte).unwrap(), 0);
    }

    #[test]
    fn only_the_last_handle_gives_the_descriptor_away() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let first = Fd::from(ours);
        let second = first.clone();
        let first = first.try_into_owned().unwrap_err();
        drop(second);
        assert!(first.try_into_owned().is_ok());
    }

    #[test]
    fn two_tcp_listeners_share_a_port_when_told_to() {
        let options = ListenOptions { reuse_port: true, ..ListenOptions::default() };
        let any = SocketAddress::Tcp("127.0.0.1:0".parse().unwrap());
        let first = Fd::listen(&any, options).unwrap();
        let address = first.local_address().unwrap();
        Fd::listen(&address, options).unwrap();
        let alone = Fd::listen(&address, ListenOptions::default()).unwrap_err();
        assert_eq!(alone.kind(), io::ErrorKind::AddrInUse);
    }
}
