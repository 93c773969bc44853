//! What workers send each other: commands to run, and the replies. One message carries a whole turn's worth.

use std::os::fd::OwnedFd;

use resp::{ArgRange, Args, Protocol};
use shard::types::Db;

use crate::commands::Command;
use crate::server::ShutdownRequest;

/// Who waits for a reply: a slot of a connection, and which part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) connection: u32,
    pub(crate) generation: u32,
    pub(crate) slot: u64,
    pub(crate) part: u16,
    /// Bytes of the request: they count as under way until it is answered.
    pub(crate) request_bytes: usize,
}

/// One command for another worker.
#[derive(Debug)]
pub(crate) struct RemoteCommand {
    pub(crate) address: Address,
    pub(crate) command: &'static Command,
    pub(crate) db: Db,
    pub(crate) protocol: Protocol,
    /// Others make the rest of the reply; the connection's worker counts the command.
    pub(crate) is_part: bool,
    first_range: usize,
    range_count: usize,
}

/// Commands for one worker.
#[derive(Debug, Default)]
pub struct Requests {
    pub(crate) commands: Vec<RemoteCommand>,
    bytes: Vec<u8>,
    ranges: Vec<ArgRange>,
}

impl Requests {
    pub(crate) fn bytes_len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a command, and tells how many bytes it has.
    pub(crate) fn push<'a>(
        &mut self,
        mut address: Address,
        command: &'static Command,
        (db, protocol): (Db, Protocol),
        is_part: bool,
        args: impl Iterator<Item = &'a [u8]>,
    ) -> usize {
        let (first_range, first_byte) = (self.ranges.len(), self.bytes.len());
        for arg in args {
            self.ranges.push(ArgRange { start: self.bytes.len(), len: arg.len() });
            self.bytes.extend_from_slice(arg);
        }
        let range_count = self.ranges.len() - first_range;
        address.request_bytes = self.bytes.len() - first_byte;
        self.commands.push(RemoteCommand {
            address,
            command,
            db,
            protocol,
            is_part,
            first_range,
            range_count,
        });
        address.request_bytes
    }

    pub(crate) fn args(&self, command: &RemoteCommand) -> Args<'_> {
        let ranges = &self.ranges[command.first_range..command.first_range + command.range_count];
        Args::new(&self.bytes, ranges)
    }

    pub(crate) fn clear(&mut self) {
        self.commands.clear();
        self.ranges.clear();
        self.bytes.clear();
        self.bytes.shrink_to(super::limits::MESSAGE_BYTES);
        self.ranges.shrink_to(super::limits::KEPT_BUFFER_BYTES);
    }
}

/// One part of a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RemoteReply {
    pub(crate) address: Address,
    start: usize,
    len: usize,
    /// Number of elements, where the part is elements.
    pub(crate) count: usize,
}

/// Replies of one worker.
#[derive(Debug, Default)]
pub struct Replies {
    pub(crate) replies: Vec<RemoteReply>,
    pub(crate) bytes: Vec<u8>,
}

impl Replies {
    /// Notes that what was appended to `bytes` from `start` on is a reply.
    pub(crate) fn note(&mut self, address: Address, start: usize, count: usize) {
        self.replies.push(RemoteReply { address, start, len: self.bytes.len() - start, count });
    }

    pub(crate) fn push(&mut self, address: Address, bytes: &[u8], count: usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.note(address, start, count);
    }

    pub(crate) fn bytes_of(&self, reply: &RemoteReply) -> &[u8] {
        &self.bytes[reply.start..reply.start + reply.len]
    }

    pub(crate) fn clear(&mut self) {
        self.replies.clear();
        self.bytes.clear();
        self.bytes.shrink_to(super::limits::MESSAGE_BYTES);
    }
}

/// What the main thread and other workers tell a worker now and then.
#[derive(Debug)]
pub enum Control {
    /// Serve this connection.
    Connection(OwnedFd, Peer),
    /// Finish and stop.
    Stop(ShutdownRequest),
}

/// Where a connection came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over the Unix socket.
    Unix,
    /// Over TCP.
    Tcp,
}
