//! What a turn of the ring hands back: one value per finished (or continuing) operation, with what it owned.

use std::io;

use crate::fd::Fd;
use crate::memory::{Blocks, FrozenBlocks};
use crate::recv_buffers::RecvBuffer;

/// The caller's tag of an operation, handed back unchanged.
pub type Token = u64;

/// Names one operation in flight, for [`cancel`](crate::Ring::cancel). Never matches a later operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OperationId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Whether a write is durable when its completion arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteDurability {
    /// No promise before the next sync.
    #[default]
    None,
    /// The bytes and what is needed to find them survive power loss (`RWF_DSYNC`).
    Dsync,
}

/// What a receive brought.
#[derive(Debug)]
pub enum Received {
    /// Bytes, at least one. Dropping the buffer gives it back to the kernel.
    Data(RecvBuffer),
    /// The peer has closed its sending side: nothing more will come.
    Closed,
    /// All receive buffers are in use: the operation has ended; arm it again once buffers are back.
    NoBuffers,
}

/// The end of an operation, or one of several results of a multishot operation (`more` is true).
/// A cancelled operation ends with the error `ECANCELED`.
#[derive(Debug)]
pub enum Completion {
    /// A connection arrived at a listener.
    Accepted {
        /// Tag given to `accept`.
        token: Token,
        /// The connection. `EMFILE`: out of descriptors; arm again after a pause, not at once.
        result: io::Result<Fd>,
        /// Whether the listener stays armed.
        more: bool,
    },
    /// A socket received.
    Received {
        /// Tag given to `recv`.
        token: Token,
        /// What came.
        result: io::Result<Received>,
        /// Whether the socket stays armed.
        more: bool,
    },
    /// A send has ended: all bytes are with the kernel, or the connection is broken.
    Sent {
        /// Tag given to `send`.
        token: Token,
        /// The bytes sent, for re-use.
        buffer: Vec<u8>,
        /// Number of bytes sent: all of them.
        result: io::Result<usize>,
    },
    /// A connection is made or refused.
    Connected {
        /// Tag given to `connect`.
        token: Token,
        /// Whether it is connected.
        result: io::Result<()>,
    },
    /// A file write has ended.
    Wrote {
        /// Tag given to `write_at`.
        token: Token,
        /// The handle given to `write_at`.
        buffer: FrozenBlocks,
        /// Bytes written by this operation; may be fewer than asked for.
        result: io::Result<usize>,
    },
    /// A file read has ended.
    Read {
        /// Tag given to `read_at`.
        token: Token,
        /// The buffer given to `read_at`.
        buffer: Blocks,
        /// Bytes read by this operation; may be fewer than asked for, 0 at the end of the file.
        result: io::Result<usize>,
    },
    /// A file is there and open, or could not be made.
    Created {
        /// Tag given to `create`.
        token: Token,
        /// The file.
        result: io::Result<Fd>,
    },
    /// A sync, a removal, a change of length or a giving back of space has ended.
    Synced {
        /// Tag given to `sync_data`, `sync_all`, `remove`, `truncate` or `free_space`.
        token: Token,
        /// On an error nothing is known about what was written before: do not retry.
        result: io::Result<()>,
    },
    /// Space was taken for a file, or could not be.
    Allocated {
        /// Tag given to `allocate`.
        token: Token,
        /// `ENOSPC`: there is none; `EOPNOTSUPP`: the file system cannot do it.
        result: io::Result<()>,
    },
    /// The time given to `set_timer` has come; the timer is off.
    Timer,
    /// A [`Waker`](crate::Waker) of this ring was used since the last `Woken`.
    Woken,
}
