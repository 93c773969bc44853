//! The wall clock of a run: it goes on in small steps, and now and then somebody sets it to another time, while the store
//! is up and while it is down. The monotonic clock knows nothing of that.
//!
//! What a store promises of it: a key ends when the clock has come to its deadline, never before, and its end is a record
//! of the log, written before anybody is told. So a key that was told to have ended stays away whatever the clock shows
//! later; one of which nobody was told lives on when the clock is set back.

use crate::sim::driver::Driver;
use crate::sim::fault::Fault;
use crate::types::UnixMs;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
const YEAR_MS: u64 = 365 * DAY_MS;

/// How far the clock goes on at once.
const FORWARD_MS: [u64; 7] = [1000, MINUTE_MS, HOUR_MS, DAY_MS, 30 * DAY_MS, YEAR_MS, 10 * YEAR_MS];
/// How far it goes back.
const BACK_MS: [u64; 6] = [10, 1000, MINUTE_MS, HOUR_MS, DAY_MS, 5 * DAY_MS];
/// Times to live where the clock jumps: some end only because of that.
pub(super) const TIMES_TO_LIVE_MS: [u64; 8] = [0, 0, 5, 100, 3000, MINUTE_MS, DAY_MS, 2 * YEAR_MS];
/// Per 1000 starts: the clock has jumped meanwhile, where it jumps at all.
const JUMPS_WHILE_DOWN: u64 = 200;

impl Driver {
    /// The clock is set to another time, now and then.
    pub(super) fn maybe_jump(&mut self) {
        if self.options.clock_jumps > 0 && self.clock_rng.chance(self.options.clock_jumps) {
            self.jump();
        }
    }

    /// The same while the store is down.
    pub(super) fn maybe_jump_while_down(&mut self) {
        if self.options.clock_jumps > 0 && self.clock_rng.chance(JUMPS_WHILE_DOWN) {
            self.jump();
        }
    }

    fn jump(&mut self) {
        let before = self.now.0;
        let (fault, after) = match self.clock_rng.below(5) {
            0 | 1 => (Fault::ClockForward, before + self.clock_rng.pick(&FORWARD_MS)),
            2 | 3 => (Fault::ClockBack, before - self.clock_rng.pick(&BACK_MS)),
            // It was wrong, and is set right.
            _ => (Fault::ClockBack, self.right_now.0),
        };
        if self.options.faults.has(fault) && after != before {
            self.report.fault(fault);
            self.report.count("clock jumps");
            self.now = UnixMs(after);
        }
    }

    /// Time passes.
    pub(super) fn pass_ms(&mut self, ms: u64) {
        self.now = UnixMs(self.now.0 + ms);
        self.right_now = UnixMs(self.right_now.0 + ms);
    }
}
