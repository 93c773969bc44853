//! Which extents are worth emptying.
//!
//! By cost and benefit: what comes back, weighed by how long it is likely to stay so (old extents change little),
//! over what has to be paid. In memory that is copying what lives, u; a cold extent has to be read too, 1 + u.
//! Source: Rosenblum and Ousterhout 1991; RAMCloud's cleaner for the form in memory.

use crate::extent::Weight;
use crate::index::ExtentNumber;

/// Victims chosen in one pass over all extents: a pass costs a look at each extent.
const VICTIMS_MAX: usize = 8;
/// Extents that one step weighs at most.
pub(super) const WEIGHED_PER_STEP: usize = 2048;
/// A victim has at least one dead byte in this many.
const DEAD_SHARE_MIN: u64 = 32;

/// A pass over all extents: the best so far.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(super) next: ExtentNumber,
    best: Vec<(f64, ExtentNumber)>,
}

impl Choice {
    pub(super) fn new() -> Self {
        Self { next: ExtentNumber(0), best: Vec::with_capacity(VICTIMS_MAX + 1) }
    }

    /// Weighs one more.
    pub(super) fn consider(&mut self, weight: &Weight, youngest: ExtentNumber) {
        if weight.is_moving || !is_worthwhile(weight) {
            return;
        }
        let score = score(weight, youngest);
        if self.best.len() == VICTIMS_MAX && self.best.first().is_some_and(|(least, _)| score <= *least) {
            return;
        }
        let at = self.best.partition_point(|(other, _)| *other < score);
        self.best.insert(at, (score, weight.number));
        if self.best.len() > VICTIMS_MAX {
            self.best.remove(0);
        }
    }

    /// The best ones, the very best last.
    pub(super) fn into_chosen(self) -> Vec<ExtentNumber> {
        self.best.into_iter().map(|(_, number)| number).collect()
    }
}

/// Whether emptying the extent gives back anything to speak of. A run lives as one or is dead as one.
pub(super) fn is_worthwhile(weight: &Weight) -> bool {
    !weight.is_run && weight.fill.dead_bytes() * DEAD_SHARE_MIN > weight.fill.held_bytes
}

#[expect(clippy::cast_precision_loss, reason = "an order of merit needs no exact numbers")]
fn score(weight: &Weight, youngest: ExtentNumber) -> f64 {
    let live = weight.fill.live_bytes as f64 / weight.fill.held_bytes.max(1) as f64;
    let age = f64::from(youngest.0.saturating_sub(weight.number.0).max(1));
    let cost = if weight.is_cold { 1.0 + live } else { live.max(0.01) };
    (1.0 - live) * age / cost
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extent::Fill;

    fn weight(number: u32, live_percent: u64, is_cold: bool) -> Weight {
        let fill = Fill { held_bytes: 1000, live_bytes: live_percent * 10 };
        Weight { number: ExtentNumber(number), fill, is_cold, is_run: false, is_moving: false }
    }

    fn chosen(weights: &[Weight]) -> Vec<u32> {
        let mut choice = Choice::new();
        for weight in weights {
            choice.consider(weight, ExtentNumber(100));
        }
        choice.into_chosen().iter().map(|number| number.0).collect()
    }

    #[test]
    fn the_emptier_the_older_and_the_cheaper_goes_first() {
        assert_eq!(chosen(&[weight(50, 20, false), weight(51, 60, false)]), [51, 50]);
        assert_eq!(chosen(&[weight(90, 50, false), weight(10, 50, false)]), [90, 10]);
        assert_eq!(chosen(&[weight(50, 40, false), weight(49, 40, true)]), [49, 50], "a read has its price");
        assert_eq!(
            chosen(&[weight(50, 98, false), weight(1, 100, false)]),
            [0u32; 0],
            "next to nothing is dead"
        );
        assert_eq!(
            chosen(&[weight(50, 50, false), Weight { is_moving: true, ..weight(51, 0, false) }]),
            [50],
            "what is on its way to disk cannot be emptied"
        );
    }

    #[test]
    fn only_so_many_are_chosen_and_they_are_the_best() {
        let all: Vec<Weight> = (0..60).map(|number| weight(50, number, false)).collect();
        let mut choice = Choice::new();
        for (number, weight) in (0..).zip(all.iter().rev()) {
            choice.consider(&Weight { number: ExtentNumber(number), ..*weight }, ExtentNumber(1000));
        }
        let chosen = choice.into_chosen();
        assert_eq!(chosen.len(), VICTIMS_MAX);
        assert_eq!(chosen.last(), Some(&ExtentNumber(59)), "the one in which nothing lives");
    }
}
