//! What a worker and those outside of its thread tell each other while it works.

use std::sync::atomic::{AtomicBool, AtomicU64};

/// What a worker shows while it works, and how it is told to end.
#[derive(Debug, Default)]
pub struct WorkerSignals {
    /// Successful requests of all phases so far.
    pub successes: AtomicU64,
    /// Failed requests of all phases so far.
    pub failures: AtomicU64,
    /// Set from outside, for good: end the phase now.
    pub stop: AtomicBool,
}
