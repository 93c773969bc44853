//! How long commands take, at the price of two clock readings for all requests of one receive: each of them is taken
//! to have had an equal part.

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
}

impl Timing {
    /// A run begins.
    #[inline]
    pub(crate) fn start(&mut self) {
        self.started_ns = ring::monotonic_ns();
        self.used = 0;
        self.total = 0;
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

    /// The run has ended.
    #[inline]
    pub(crate) fn end(&mut self, counters: &mut WorkerCounters) {
        if self.total == 0 {
            return;
        }
        let each = (ring::monotonic_ns() - self.started_ns) / self.total;
        for &(command, calls) in &self.kinds[..self.used] {
            counters.note_calls(command, calls, each * calls);
        }
    }
}
