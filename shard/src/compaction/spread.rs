//! How what compaction owes is spread over time.
//!
//! What is owed piles up while victims are read, and is there to be paid at once when one has come. Those who are served
//! meanwhile would wait for a burst of it in every turn; so a part of what is owed is done for each part of the time that
//! has passed, however many turns that took.

/// Time over which what is owed is paid, about, in nanoseconds: with little owed little is done, and more the more it is.
const SPREAD_NS: u64 = 100_000_000;
/// Time that is made up for at most when turns are far apart, in nanoseconds.
const CATCH_UP_NS: u64 = 5_000_000;
/// Bytes that may be saved up for at most.
const SAVED_BYTES_MAX: u64 = 64 << 10;
/// Less work than this is not begun: it is put off until more may be done.
pub(super) const GRAIN_BYTES: u64 = 16 << 10;
/// The longest time until the next look, in nanoseconds.
pub(super) const REST_NS_MAX: u64 = 1_000_000;
/// When nothing has been written for so long, what is left is done without being owed, in nanoseconds.
const QUIET_NS: u64 = 10_000_000;

/// Bytes of work that may be done by now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    seen_ns: u64,
    may_bytes: u64,
    written_ns: u64,
}

impl Spread {
    /// Takes note of the time and of what all shards owe. Returns how many bytes of work may be done in this turn.
    pub(super) fn note(&mut self, now_ns: u64, owed_bytes: u64) -> u64 {
        let passed_ns = now_ns.saturating_sub(self.seen_ns).min(CATCH_UP_NS);
        self.seen_ns = now_ns;
        let part = owed_bytes.saturating_mul(passed_ns) / SPREAD_NS;
        self.may_bytes = (self.may_bytes + part).min(part.max(SAVED_BYTES_MAX));
        self.may_bytes
    }

    /// So many bytes of work were done.
    pub(super) fn pay(&mut self, bytes: u64) {
        self.may_bytes = self.may_bytes.saturating_sub(bytes);
    }

    /// How long it takes until work may be done again, in nanoseconds.
    pub(super) fn rest_ns(&self, owed_bytes: u64) -> u64 {
        let missing = GRAIN_BYTES.saturating_sub(self.may_bytes);
        (missing * SPREAD_NS).checked_div(owed_bytes).unwrap_or(REST_NS_MAX).min(REST_NS_MAX)
    }

    /// Takes note of whether anything was written since the last turn. Returns whether nothing was for a while.
    pub(super) fn is_quiet(&mut self, is_written: bool, now_ns: u64) -> bool {
        if is_written {
            self.written_ns = now_ns;
        }
        now_ns.saturating_sub(self.written_ns) >= QUIET_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_is_paid_over_a_time_however_many_turns_there_are() {
        for turn_ns in [10_000, 100_000, 1_000_000] {
            let (mut spread, mut owed, mut now_ns, mut most) = (Spread::default(), 10_u64 << 20, 1 << 40, 0);
            spread.note(now_ns, owed);
            spread.pay(u64::MAX);
            let end = now_ns + SPREAD_NS;
            while now_ns < end {
                now_ns += turn_ns;
                let step = spread.note(now_ns, owed).min(64 << 10);
                if step >= GRAIN_BYTES {
                    (owed, most) = (owed - step, most.max(step));
                    spread.pay(step);
                }
            }
            let paid = (10 << 20) - owed;
            assert!((5 << 20..8 << 20).contains(&paid), "{paid} of {} in turns of {turn_ns}", 10 << 20);
            assert!(turn_ns > 100_000 || most < 32 << 10, "{most} at once in turns of {turn_ns}");
        }
    }

    #[test]
    fn a_rest_lasts_until_there_is_something_to_do() {
        let mut spread = Spread::default();
        spread.note(1 << 40, 1 << 30);
        assert_eq!(spread.rest_ns(1 << 20), 0);
        spread.pay(u64::MAX);
        assert_eq!(spread.rest_ns(0), REST_NS_MAX);
        let rest_ns = spread.rest_ns(8 << 20);
        assert!(spread.note((1 << 40) + rest_ns + 1, 8 << 20) >= GRAIN_BYTES - 1 && rest_ns > 100_000);
    }

    #[test]
    fn a_long_time_without_turns_is_not_made_up_for() {
        let mut spread = Spread::default();
        assert!(spread.note(1 << 50, 1 << 20) <= SAVED_BYTES_MAX);
        assert_eq!(spread.note(1 << 51, 1 << 30), (1 << 30) / 20);
    }

    #[test]
    fn quiet_is_when_nothing_was_written_for_a_while() {
        let mut spread = Spread::default();
        assert!(!spread.is_quiet(true, 1 << 40));
        assert!(!spread.is_quiet(false, (1 << 40) + QUIET_NS - 1));
        assert!(spread.is_quiet(false, (1 << 40) + QUIET_NS));
    }
}
