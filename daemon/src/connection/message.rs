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
    /// Bytes of the request: they count as under way until it is answered, or deferred.
    pub(crate) request_bytes: usize,
    /// A swap of databases does not wait for it: it looks at none, or goes on over the one that it began with.
    pub(crate) is_apart: bool,
    /// It was deferred, and asked for afterwards.
    pub(crate) asked: bool,
    /// The connection is to be told when what it reads is not what it was.
    pub(crate) tracks: bool,
}

/// What another worker is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// Run a command.
    Run(&'static Command),
    /// Run the connection's next deferred command.
    Next {
        /// The connection has read what it had; else this is one more of those asked for together.
        has_room: bool,
    },
    /// Drop the deferred commands of a connection that is gone.
    Forget,
    /// Hold keys for a command whose keys lie on several workers, and tell what they hold (`errand`).
    Hold(&'static Command),
    /// Give a message, of the sharded kind or not, to those of your connections that listen to its channel.
    Publish {
        /// It is of the sharded kind.
        is_sharded: bool,
    },
    /// Tell those of your connections that cache a key that it is not what it was.
    Invalidate,
    /// Show a request to those of your connections that look on.
    Show,
    /// Make a change to a key that is held, or let the keys go.
    Settle(&'static Command),
}

/// What came of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The reply.
    Reply,
    /// The command was put off: its worker has to ask for it ([`Task::Next`]).
    Deferred,
    /// Nothing to tell.
    Done,
}

/// One command for another worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RemoteCommand {
    pub(crate) address: Address,
    pub(crate) task: Task,
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

    /// Bytes of memory that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let commands = self.commands.capacity() * size_of::<RemoteCommand>();
        commands + self.bytes.capacity() + self.ranges.capacity() * size_of::<ArgRange>()
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
            task: Task::Run(command),
            db,
            protocol,
            is_part,
            first_range,
            range_count,
        });
        address.request_bytes
    }

    /// Adds what is told. It does not count as under way: it waits for nothing where it goes.
    pub(crate) fn push_told(&mut self, address: Address, task: Task, parts: &[&[u8]]) {
        let first_range = self.ranges.len();
        for part in parts {
            self.ranges.push(ArgRange { start: self.bytes.len(), len: part.len() });
            self.bytes.extend_from_slice(part);
        }
        self.commands.push(RemoteCommand {
            address,
            task,
            db: Db(0),
            protocol: Protocol::Resp2,
            is_part: true,
            first_range,
            range_count: parts.len(),
        });
    }

    /// As [`Self::push`], for a step of an errand.
    pub(crate) fn push_step<'a>(
        &mut self,
        address: Address,
        task: Task,
        protocol: Protocol,
        args: impl Iterator<Item = &'a [u8]>,
    ) -> usize {
        let (Task::Hold(command) | Task::Settle(command)) = task else {
            unreachable!("no step of an errand")
        };
        let bytes = self.push(address, command, (Db(0), protocol), true, args);
        self.commands.last_mut().expect("just pushed").task = task;
        bytes
    }

    /// Adds what has no arguments.
    pub(crate) fn push_task(&mut self, address: Address, task: Task) {
        let (db, protocol) = (Db(0), Protocol::Resp2);
        let first_range = self.ranges.len();
        self.commands.push(RemoteCommand {
            address,
            task,
            db,
            protocol,
            is_part: true,
            first_range,
            range_count: 0,
        });
    }

    /// A request out of a message, as it is.
    pub(crate) fn copy(&self, of: &RemoteCommand) -> Self {
        let mut copy = Self::default();
        let args = self.args(of);
        for arg in args.iter() {
            copy.ranges.push(ArgRange { start: copy.bytes.len(), len: arg.len() });
            copy.bytes.extend_from_slice(arg);
        }
        let range_count = copy.ranges.len();
        copy.commands.push(RemoteCommand { first_range: 0, range_count, ..*of });
        copy
    }

    /// A command out of a message, to be kept until it is asked for.
    pub(crate) fn keep(&self, of: &RemoteCommand, command: &'static Command) -> Self {
        let mut kept = Self::default();
        kept.push(of.address, command, (of.db, of.protocol), of.is_part, self.args(of).iter());
        // It counts as under way no longer: no more are sent while it waits.
        kept.commands[0].address.request_bytes = 0;
        kept.commands[0].address.asked = true;
        kept
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
    pub(crate) outcome: Outcome,
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
    /// Commands that took long, and the numbers of their entries in this worker's slow log.
    pub(crate) slow: Vec<(Address, u64)>,
}

impl Replies {
    /// Notes that what was appended to `bytes` from `start` on is a reply.
    pub(crate) fn note(&mut self, address: Address, start: usize, count: usize) {
        let len = self.bytes.len() - start;
        self.replies.push(RemoteReply { address, outcome: Outcome::Reply, start, len, count });
    }

    pub(crate) fn push(&mut self, address: Address, bytes: &[u8], count: usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.note(address, start, count);
    }

    /// Notes that there is no reply, or not yet.
    pub(crate) fn push_outcome(&mut self, address: Address, outcome: Outcome) {
        let start = self.bytes.len();
        self.replies.push(RemoteReply { address, outcome, start, len: 0, count: 0 });
    }

    /// Bytes of memory that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.replies.capacity() * size_of::<RemoteReply>() + self.bytes.capacity()
    }

    pub(crate) fn bytes_of(&self, reply: &RemoteReply) -> &[u8] {
        &self.bytes[reply.start..reply.start + reply.len]
    }

    pub(crate) fn clear(&mut self) {
        self.replies.clear();
        self.slow.clear();
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
    /// Over TCP, encrypted.
    Tls,
}
