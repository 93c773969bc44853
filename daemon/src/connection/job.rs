//! Work of a request that is done step by step in later turns, on every worker: going over all keys, or over all
//! sessions.

use resp::{ArgRange, Args, Protocol};
use shard::types::{BatchNumber, Db};

use super::message::Address;
use crate::commands::{Command, WalkState};
use crate::session::Session;

/// One worker's part of such a request.
#[derive(Debug)]
pub(crate) struct Job {
    /// The worker of the connection that asked.
    pub(crate) origin: usize,
    pub(crate) address: Address,
    pub(crate) command: &'static Command,
    pub(crate) db: Db,
    pub(crate) protocol: Protocol,
    pub(crate) state: WalkState,
    /// What it has seen waits for this batch.
    pub(crate) barrier: BatchNumber,
    bytes: Vec<u8>,
    ranges: Vec<ArgRange>,
}

impl Job {
    pub(crate) fn new(
        origin: usize,
        address: Address,
        command: &'static Command,
        session: &Session,
        args: Args<'_>,
    ) -> Self {
        Self::of_parts(origin, address, command, (session.db, session.protocol), args)
    }

    pub(crate) fn of_parts(
        origin: usize,
        address: Address,
        command: &'static Command,
        (db, protocol): (Db, Protocol),
        args: Args<'_>,
    ) -> Self {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        for arg in args.iter() {
            ranges.push(ArgRange { start: bytes.len(), len: arg.len() });
            bytes.extend_from_slice(arg);
        }
        Self {
            origin,
            address,
            command,
            db,
            protocol,
            state: WalkState::default(),
            barrier: BatchNumber::ZERO,
            bytes,
            ranges,
        }
    }

    pub(crate) fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.ranges)
    }
}
