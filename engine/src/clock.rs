//! The worker's clock: read once a turn, so that all of a turn's work happens at one time.

use std::time::{SystemTime, UNIX_EPOCH};

use shard::types::UnixMs;

/// Time of the turn at hand.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Wall clock, for deadlines.
    pub now: UnixMs,
    /// Monotonic clock in nanoseconds, for everything measured.
    pub now_ns: u64,
}

impl Clock {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        Self { now: unix_ms(), now_ns: ring::monotonic_ns() }
    }

    /// Reads both clocks again.
    pub fn update(&mut self) {
        *self = Self::read();
    }
}

/// The wall clock in Unix milliseconds; 0 when it stands before 1970.
#[must_use]
pub fn unix_ms() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
