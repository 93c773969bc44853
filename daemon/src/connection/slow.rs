//! Commands that take long are found without a cost to those that do not. Every run of requests is timed as a whole
//! anyway ([`super::timing`]). A command that may take long by what it is ([`Command::is_clocked`]) has two clock readings
//! of its own, which are nothing beside it. The others have them only where the threshold is so low that they could
//! reach it, and for a while after a run took long that was not a single request: then the next one of its kind is found.

use engine::worker::Worker;
use resp::Args;
use shard::types::UnixMs;

use super::core::Core;
use super::limits::{CLOCK_ALL_BELOW_NS, CLOCK_ALL_NS};
use super::message::Address;
use super::service::Service;
use crate::commands::{Command, Flags, shown};
use crate::session::Session;

/// Which commands have clock readings of their own.
#[derive(Debug)]
pub(super) struct Clocking {
    /// From this time on a command is slow, in nanoseconds; the largest number where nobody is to be told.
    slow_ns: u64,
    /// All commands have.
    is_all: bool,
    /// They do until this time of the monotonic clock.
    all_until_ns: u64,
}

impl Default for Clocking {
    fn default() -> Self {
        Self { slow_ns: u64::MAX, is_all: false, all_until_ns: 0 }
    }
}

impl Clocking {
    /// Takes over what is set now. A run begins at `now_ns`.
    #[inline]
    pub(super) fn set(&mut self, slow_ns: u64, now_ns: u64) {
        self.slow_ns = slow_ns;
        self.is_all = slow_ns < CLOCK_ALL_BELOW_NS || now_ns < self.all_until_ns;
    }

    /// The clock before a command, where it has its own.
    #[inline]
    pub(super) fn before(&self, command: &Command, arg_count: usize) -> Option<u64> {
        let reads = self.slow_ns != u64::MAX && (self.is_all || command.is_clocked(arg_count));
        reads.then(ring::monotonic_ns)
    }

    /// Whether a duration is one that somebody is to be told of.
    #[inline]
    pub(super) fn is_slow(&self, duration_ns: u64) -> bool {
        duration_ns >= self.slow_ns
    }

    /// A run took long and it is not known which of its requests did.
    pub(super) fn clock_all_from(&mut self, now_ns: u64) {
        self.all_until_ns = now_ns + CLOCK_ALL_NS;
    }
}

impl Core {
    /// A command took long. `client`: who asked, where that is a connection of this worker. Returns the number of its
    /// entry in the slow log, if it has one.
    #[cold]
    pub(super) fn note_slow(
        &mut self,
        worker: &Worker<Service>,
        (command, args): (&'static Command, Args<'_>),
        duration_ns: u64,
        client: Option<&Session>,
    ) -> Option<u64> {
        let settings = &self.server.settings;
        let UnixMs(now_ms) = worker.clock.now;
        let (ms, us) = (duration_ns / 1_000_000, duration_ns / 1000);
        if settings.latency_threshold_ms() > 0 && ms >= settings.latency_threshold_ms() {
            let event = if command.flags.contains(Flags::FAST) { "fast-command" } else { "command" };
            self.server.latency.note(event, now_ms / 1000, ms);
        }
        let logs = u64::try_from(settings.slow_log_us()).is_ok_and(|least| us >= least);
        if !logs || settings.slow_log_len() == 0 {
            return None;
        }
        let who = client.map_or((&b""[..], &b""[..]), |session| (session.peer.as_bytes(), &session.name));
        let args = shown(command, args);
        let len_max = settings.slow_log_len();
        Some(self.server.slow_logs.note(worker.index, (worker.clock.now, us), args, who, len_max))
    }
}

impl Service {
    /// As [`Core::note_slow`], for a command that a connection of any worker asked for: its own tells who it is.
    #[cold]
    pub(super) fn note_slow_of(
        &mut self,
        worker: &Worker<Service>,
        (origin, address): (usize, Address),
        what: (&'static Command, Args<'_>),
        duration_ns: u64,
    ) -> Option<u64> {
        let client = (origin == worker.index)
            .then(|| self.connections.get_mut(address.connection, address.generation))
            .flatten();
        self.core.note_slow(worker, what, duration_ns, client.map(|connection| &connection.client.session))
    }

    /// A worker has noted that commands of our connections took long: says whose they were.
    pub(super) fn name_slow(&mut self, other: usize, slow: &[(Address, u64)]) {
        for (address, id) in slow {
            if let Some(connection) = self.connections.get_mut(address.connection, address.generation) {
                let session = &connection.client.session;
                self.core.server.slow_logs.set_client(other, *id, session.peer.as_bytes(), &session.name);
            }
        }
    }
}
