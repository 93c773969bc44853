//! One phase of a run as a worker carries it out: loading of keys, or a measured window with its warm-up.

use std::ops::Range;

use crate::generator::Budget;
use crate::schedule::Schedule;
use crate::tally::Tally;

/// What a worker is told to do. All times are on the monotonic clock and the same for all workers.
#[derive(Clone, Debug)]
pub struct Phase {
    /// What sets the pace.
    pub pace: PhasePace,
    /// Requests in flight on one connection.
    pub pipeline: usize,
    /// No request starts before.
    pub start_ns: u64,
    /// Requests that start from here on are measured.
    pub window_start_ns: u64,
    /// No request starts from here on; `u64::MAX` when the budget ends the phase.
    pub window_end_ns: u64,
    /// Replies before this count towards throughput and CPU time per request; `u64::MAX`: all to the last one.
    pub watch_end_ns: u64,
    /// How long outstanding replies are waited for after the last start.
    pub drain_ns: u64,
    /// Measured requests that may start.
    pub budget: Budget,
    /// Whether intervals are handed over for the series.
    pub series: bool,
    /// Whether the worker polls instead of sleeping.
    pub spin: bool,
}

/// What sets the pace of a phase.
#[derive(Clone, Debug)]
pub enum PhasePace {
    /// Replies; all keys of a range are written once.
    Load(Range<u64>),
    /// Replies.
    Closed,
    /// The schedule.
    Open(Schedule),
}

/// How a phase went for one worker.
#[derive(Clone, Debug)]
pub struct PhaseOutcome {
    /// The counts.
    pub tally: Tally,
    /// How the worker itself did.
    pub usage: WorkerUsage,
    /// Connections that still work.
    pub connections_left: usize,
    /// Whether the phase was ended from outside.
    pub interrupted: bool,
}

/// How a worker did in the measured window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerUsage {
    /// Wall time of the window as the worker saw it.
    pub wall_ns: u64,
    /// CPU time of its thread.
    pub cpu_ns: u64,
    /// Longest time between waking up and sending.
    pub stall_max_ns: u64,
    /// System calls to the ring.
    pub enters: u64,
    /// Completions.
    pub completions: u64,
    /// Receives that ended for want of a buffer.
    pub starved_receives: u64,
    /// Times another task took the core away.
    pub involuntary_switches: u64,
}
