//! How fast extents are emptied because what is in them has ended: millions of keys may end in one second, and each costs a
//! read, a record of the log and its place in the index, all of which clients wait for too.
//!
//! The more is waiting the faster, so that all is gone within a minute or so; between bounds, because below the one there is
//! nothing to spare anybody, and above the other it would be felt whatever is gained.

use crate::limits::{EXPIRY_BYTES_PER_S_MAX, EXPIRY_BYTES_PER_S_MIN, EXPIRY_SPREAD_S};
use crate::types::UnixMs;

/// Milliseconds of work that are made up for at most when turns are far apart.
const CATCH_UP_MS: u64 = 10;

/// Bytes that may be walked over by now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ExpiryPace {
    seen: UnixMs,
    /// Less than none: more was walked over than was due, as a record is walked over whole.
    may_bytes: i64,
    /// The most that has been waiting since nothing was.
    most_bytes: u64,
}

impl ExpiryPace {
    /// Takes note of the time, and of how many bytes of records have ended and are still there. Returns whether work is due.
    pub(crate) fn note(&mut self, now: UnixMs, ended_bytes: u64) -> bool {
        self.most_bytes = if ended_bytes == 0 { 0 } else { self.most_bytes.max(ended_bytes) };
        let per_s = (self.most_bytes / EXPIRY_SPREAD_S).clamp(EXPIRY_BYTES_PER_S_MIN, EXPIRY_BYTES_PER_S_MAX);
        let passed_ms = now.0.abs_diff(self.seen.0).min(CATCH_UP_MS);
        self.seen = now;
        let bytes_in = |ms: u64| (per_s * ms / 1000).cast_signed();
        self.may_bytes = self.may_bytes.saturating_add(bytes_in(passed_ms)).min(bytes_in(CATCH_UP_MS));
        self.may_bytes > 0
    }

    /// So many bytes were walked over.
    pub(crate) fn pay(&mut self, bytes: u64) {
        self.may_bytes = self.may_bytes.saturating_sub_unsigned(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds until so many bytes are gone, with a turn each millisecond that walks over at most `turn_bytes`.
    fn time_for(bytes: u64, turn_bytes: u64) -> u64 {
        let mut pace = ExpiryPace::default();
        let (mut left, mut now) = (bytes, 1_000_000);
        while left > 0 {
            now += 1;
            if pace.note(UnixMs(now), left) {
                let walked = turn_bytes.min(left);
                pace.pay(walked);
                left -= walked;
            }
        }
        now - 1_000_000
    }

    #[test]
    fn little_is_gone_at_once_and_much_is_spread_but_gone_within_a_minute() {
        assert!(time_for(4 << 20, 16 << 10) < 500);
        let large = time_for(1200 << 20, 128 << 10);
        assert!((20_000..60_000).contains(&large), "{large} ms");
        // What is slower than the pace is not held up by it.
        assert_eq!(time_for(1 << 20, 1 << 10), 1024);
    }

    #[test]
    fn a_long_time_without_turns_is_not_made_up_for() {
        let mut pace = ExpiryPace::default();
        assert!(pace.note(UnixMs(1 << 40), 1 << 40));
        pace.pay(EXPIRY_BYTES_PER_S_MAX * CATCH_UP_MS / 1000);
        assert!(!pace.note(UnixMs(1 << 40), 1 << 40));
    }
}
