//! One way round the data file: which extent comes next, and when.
//!
//! So that each place is read once a period, however extents come and go, a round follows the places of the file, not the
//! numbers of extents. All begin at a place drawn at the start of the process: one that is started anew every day does not
//! read the same front of the file each time.

use crate::extent::{Extents, Written};
use crate::index::ExtentNumber;
use crate::io::BlockPool;
use crate::limits::{SCRUB_CHOSEN_MAX, SCRUB_FIRST_MS, SCRUB_INTERVAL_MS_MIN, SCRUB_WEIGHED_PER_STEP};

const NS_PER_MS: u64 = 1_000_000;

/// A round under way.
#[derive(Debug)]
pub(super) struct Round {
    /// Whether somebody asked for it: then it goes on as fast as it can.
    pub(super) is_asked: bool,
    /// Extents looked at.
    pub(super) done: u64,
    /// Extents that were there when it began.
    pub(super) total: u64,
    /// The place it began at.
    origin: u32,
    /// The first place that it has not been at.
    cursor: u32,
    /// Whether it has been at the end of the file, and goes on from the beginning up to its origin.
    has_wrapped: bool,
    /// Extents that come next, the very next one last.
    chosen: Vec<Written>,
}

/// A pass over all extents: those that come next so far.
#[derive(Debug)]
pub(super) struct Pick {
    next: ExtentNumber,
    /// By place.
    best: Vec<Written>,
}

impl Pick {
    pub(super) fn new() -> Self {
        Self { next: ExtentNumber(0), best: Vec::with_capacity(SCRUB_CHOSEN_MAX + 1) }
    }

    fn consider(&mut self, of: Written) {
        if self.best.len() == SCRUB_CHOSEN_MAX && self.best.last().is_some_and(|last| last.place <= of.place)
        {
            return;
        }
        let at = self.best.partition_point(|other| other.place < of.place);
        self.best.insert(at, of);
        self.best.truncate(SCRUB_CHOSEN_MAX);
    }
}

/// What a step of a pass came to.
pub(super) enum Picked {
    /// It is not over.
    Goes(Pick),
    /// Something comes next, or the round goes on from the beginning of the file.
    Some,
    /// The round is over.
    Nothing,
}

impl Round {
    /// A round over these extents.
    pub(super) fn begin<P: BlockPool>(extents: &Extents<P>, is_asked: bool) -> Self {
        let mut total = 0;
        let rest = extents.written_from(ExtentNumber(0), usize::MAX, |_| total += 1);
        assert!(rest.is_none(), "all were counted");
        let origin = extents.salt() % extents.place_end().max(1);
        Self { is_asked, done: 0, total, origin, cursor: origin, has_wrapped: false, chosen: Vec::new() }
    }

    /// The extent that comes next, if one was picked.
    pub(super) fn next(&mut self) -> Option<Written> {
        let next = self.chosen.pop()?;
        self.cursor = next.place + 1;
        Some(next)
    }

    /// Goes on with a pass.
    pub(super) fn pick<P: BlockPool>(&mut self, mut pick: Pick, extents: &Extents<P>) -> Picked {
        let end = if self.has_wrapped { self.origin } else { u32::MAX };
        let places = self.cursor..end;
        let next = extents.written_from(pick.next, SCRUB_WEIGHED_PER_STEP, |of| {
            if places.contains(&of.place) {
                pick.consider(of);
            }
        });
        if let Some(next) = next {
            pick.next = next;
            return Picked::Goes(pick);
        }
        self.chosen = pick.best;
        self.chosen.reverse();
        if !self.chosen.is_empty() {
            return Picked::Some;
        }
        if self.has_wrapped || self.origin == 0 {
            return Picked::Nothing;
        }
        (self.has_wrapped, self.cursor) = (true, 0);
        Picked::Some
    }
}

/// Time between two extents, so that all of them are read in a period.
fn interval_ns(period_ms: u64, extent_count: usize) -> u64 {
    period_ms.saturating_mul(NS_PER_MS) / (extent_count as u64).max(1)
}

/// When the first extent is due after a start, or after a look that found nothing to read.
pub(super) fn first_due_ns(period_ms: u64, extent_count: usize, now_ns: u64) -> u64 {
    let interval = interval_ns(period_ms, extent_count);
    now_ns + interval.clamp(SCRUB_INTERVAL_MS_MIN * NS_PER_MS, SCRUB_FIRST_MS * NS_PER_MS)
}

/// When the next extent is due: a share of the period after the one before was. What is late is made up for, but never in
/// a burst.
pub(super) fn next_due_ns(period_ms: u64, extent_count: usize, due_ns: u64, now_ns: u64) -> u64 {
    let on_time = due_ns.saturating_add(interval_ns(period_ms, extent_count));
    on_time.max(now_ns + SCRUB_INTERVAL_MS_MIN * NS_PER_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_NS: u64 = 24 * 3600 * 1000 * NS_PER_MS;

    #[test]
    fn a_round_takes_its_period_whatever_the_store_holds() {
        for count in [1usize, 7, 1000, 100_000] {
            let period_ms = 7 * 24 * 3600 * 1000;
            let (mut due, mut longest) = (0, 0);
            for _ in 0..count {
                let next = next_due_ns(period_ms, count, due, due + 50 * NS_PER_MS);
                longest = longest.max(next - due);
                due = next;
            }
            assert!((7 * DAY_NS - due) < DAY_NS / 100, "{count}: {due}");
            assert!(longest <= 7 * DAY_NS / count as u64, "{count}: {longest}");
        }
    }

    #[test]
    fn a_small_store_and_a_late_one_are_not_read_in_a_burst() {
        let least = SCRUB_INTERVAL_MS_MIN * NS_PER_MS;
        assert_eq!(next_due_ns(1, 3, 0, 1000), 1000 + least, "whatever the period");
        assert_eq!(next_due_ns(1000, 10, 0, DAY_NS), DAY_NS + least, "after a day without a turn");
        assert_eq!(first_due_ns(7 * 24 * 3600 * 1000, 3, 0), SCRUB_FIRST_MS * NS_PER_MS);
    }

    #[test]
    fn a_pass_finds_those_that_lie_first() {
        let mut pick = Pick::new();
        for i in 0..1000u32 {
            pick.consider(Written { number: ExtentNumber(i), place: (i * 7919) % 1000 });
        }
        let places: Vec<u32> = pick.best.iter().map(|of| of.place).collect();
        assert_eq!(places, (0..64).collect::<Vec<u32>>());
    }
}
