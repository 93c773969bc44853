//! How often what could not run is tried again. A try parses and plans anew what the client has sent: where that takes long,
//! because requests are large or those who wait are many, others would be served between tries only.

use super::limits::{STALL_REST, STALL_REST_NS_MAX, STALL_TRY_NS};

/// Tries of one worker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stalls {
    /// Nothing is tried again before.
    rest_until_ns: u64,
    /// What the tries of this turn took that ran nothing.
    spent_ns: u64,
    /// Some were left out: they are tried when the rest is over, whether anything happens or not.
    left_out: bool,
}

impl Stalls {
    /// A turn begins.
    pub(super) const fn begin(&mut self) {
        (self.spent_ns, self.left_out) = (0, false);
    }

    /// Whether one more may be tried in this turn; otherwise it is noted that one was left out.
    pub(super) const fn may_try(&mut self, now_ns: u64) -> bool {
        let may = now_ns >= self.rest_until_ns && self.spent_ns < STALL_TRY_NS;
        self.left_out |= !may;
        may
    }

    /// A try took so long and ran nothing.
    pub(super) fn note_vain(&mut self, took_ns: u64, now_ns: u64) {
        self.spent_ns += took_ns;
        if self.spent_ns >= STALL_TRY_NS {
            self.rest_until_ns = now_ns + STALL_REST_NS_MAX.min(self.spent_ns * STALL_REST);
        }
    }

    /// When the worker has to go on with what was left out.
    pub(super) const fn deadline_ns(&self) -> Option<u64> {
        if self.left_out { Some(self.rest_until_ns) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vain_tries_take_a_small_part_of_the_time_and_short_ones_are_not_put_off() {
        let mut stalls = Stalls::default();
        let (mut now_ns, mut tried) = (0, 0);
        while now_ns < 1_000_000_000 {
            stalls.begin();
            for _ in 0..10 {
                if stalls.may_try(now_ns) {
                    tried += 6_000_000;
                    now_ns += 6_000_000;
                    stalls.note_vain(6_000_000, now_ns);
                }
            }
            assert!(stalls.deadline_ns().is_some_and(|at| at > now_ns || stalls.spent_ns == 0));
            now_ns += 10_000;
        }
        assert!((100_000_000..=140_000_000).contains(&tried), "{tried}");
        let mut stalls = Stalls::default();
        for turn in 0..1000 {
            stalls.begin();
            assert!(stalls.may_try(turn) && stalls.deadline_ns().is_none());
            stalls.note_vain(STALL_TRY_NS / 2, turn);
        }
    }
}
