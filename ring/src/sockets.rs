//! Socket operations of the ring: accept, receive, send, connect.
//!
//! Rule: the ring does the waiting; sockets are blocking descriptors. One send at a time per socket keeps the order
//! of bytes: the next one may start when `Sent` has come.

use std::io;

use crate::address::{RawAddress, SocketAddress};
use crate::completion::{OperationId, Token};
use crate::fd::Fd;
use crate::operation::Operation;
use crate::ring::Ring;

impl Ring {
    /// Accepts connections until an error or a cancel: one `Accepted` each, close-on-exec. Arm it again when `more`
    /// is false.
    pub fn accept(&mut self, listener: &Fd, token: Token) -> OperationId {
        listener.set_cancelled(false);
        self.start(token, Operation::Accept { listener: listener.clone() })
    }

    /// Receives into the ring's buffers until the peer closes, an error or a cancel: one `Received` for each piece.
    /// Arm it again when `more` is false and the connection lives. Needs a ring with receive buffers.
    pub fn recv(&mut self, socket: &Fd, token: Token) -> OperationId {
        assert!(self.recv_buffers.is_some(), "the ring was configured without receive buffers");
        socket.set_cancelled(false);
        self.start(token, Operation::Recv { socket: socket.clone() })
    }

    /// Sends all of `bytes`, at least one, continuing short sends. `Sent` brings the buffer back. What the socket takes
    /// at once is sent with the next submission; the rest when it has room.
    pub fn send(&mut self, socket: &Fd, bytes: Vec<u8>, token: Token) -> OperationId {
        assert!(!bytes.is_empty(), "a send has at least one byte");
        socket.set_cancelled(false);
        self.start(token, Operation::Send { socket: socket.clone(), bytes, sent: 0, instant: true })
    }

    /// Connects a socket made by [`Fd::stream_for`]. Error: an address that cannot be encoded, nothing is started.
    pub fn connect(&mut self, socket: &Fd, address: &SocketAddress, token: Token) -> io::Result<OperationId> {
        let address = Box::new(RawAddress::new(address)?);
        Ok(self.start(token, Operation::Connect { socket: socket.clone(), address }))
    }
}
