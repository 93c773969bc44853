//! How long commands take, at the price of two clock readings for all requests of one receive: each of them is taken
//! to have had an equal part of what those left that have clock readings of their own.

use crate::commands::CommandId;
use crate::server::WorkerCounters;

/// Commands of different kinds in one run that are told apart; further ones close the run.
const KINDS: usize = 8;

/// A run of commands.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    started_ns: u64,
    kinds: [(CommandId, u64); KINDS],
    used: usize,
    total: u64,
    /// Time of the commands that were timed by themselves.
    alone_ns: u64,
}

/// What a run was.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// When it ended, on the monotonic clock.
    pub(crate) ended_ns: u64,
    /// Time of the commands that were not timed by themselves, in nanoseconds.
    pub(crate) duration_ns: u64,
    /// How many those are.
    pub(crate) count: u64,
}

impl Timing {
    /// A run begins. Returns when, on the monotonic clock.
    #[inline]
    pub(crate) fn start(&mut self) -> u64 {
        self.started_ns = ring::monotonic_ns();
        self.used = 0;
        self.total = 0;
        self.alone_ns = 0;
        self.started_ns
    }

    /// A command of this kind ran.
    #[inline]
    pub(crate) fn ran(&mut self, command: CommandId) {
        self.total += 1;
        for kind in &mut self.kinds[..self.used] {
            if kind.0 == command {
                kind.1 += 1;
                return;
            }
        }
        if self.used < KINDS {
            self.kinds[self.used] = (command, 1);
            self.used += 1;
        } else {
            // More kinds in one run than are told apart: the last one stands for the rest.
            self.kinds[KINDS - 1].1 += 1;
        }
    }

    /// A command of this kind ran and took so long; `counts`: it counts as run here.
    pub(crate) fn ran_alone(
        &mut self,
        command: CommandId,
        duration_ns: u64,
        counts: bool,
        counters: &mut WorkerCounters,
    ) {
        self.alone_ns += duration_ns;
        if counters.take_set_back() {
            // What ran before is not counted any more.
            self.start();
        }
        if counts {
            counters.note_calls(command, 1, duration_ns);
        }
    }

    /// The run has ended.
    #[inline]
    pub(crate) fn end(&mut self, counters: &mut WorkerCounters) -> Run {
        if self.total == 0 {
            return Run::default();
        }
        let ended_ns = ring::monotonic_ns();
        let duration_ns = (ended_ns - self.started_ns).saturating_sub(self.alone_ns);
        let each = duration_ns / self.total;
        for &(command, calls) in &self.kinds[..self.used] {
            counters.note_calls(command, calls, each * calls);
        }
        Run { ended_ns, duration_ns, count: self.total }
    }
}
