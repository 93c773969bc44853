//! A seeded permutation of 0..n without a table, so that the hot ranks of a skewed distribution lie
//! scattered over the whole key space and every key is still reached exactly once.
//!
//! Multiplying by an odd number and xor-shifting are both bijections of b-bit words; values that fall
//! outside of 0..n are permuted again until they fall inside (cycle walking), which keeps the bijection.

use crate::rng::SplitMix64;

const ROUNDS: usize = 3;

/// The permutation.
#[derive(Clone, Debug)]
pub struct Shuffle {
    count: u64,
    mask: u64,
    shift: u32,
    multipliers: [u64; ROUNDS],
    offsets: [u64; ROUNDS],
}

impl Shuffle {
    /// A permutation of `0..count`, fixed by the seed.
    ///
    /// # Panics
    /// When `count` is 0.
    #[must_use]
    pub fn new(count: u64, seed: u64) -> Self {
        assert!(count > 0, "a permutation needs at least one element");
        let bits = (64 - (count - 1).leading_zeros()).max(1);
        let mask = u64::MAX >> (64 - bits);
        let mut mixer = SplitMix64(seed ^ 0x5348_5546_464C_4531);
        let multipliers = std::array::from_fn(|_| mixer.next_word() | 1);
        let offsets = std::array::from_fn(|_| mixer.next_word());
        Self { count, mask, shift: (bits / 2).max(1), multipliers, offsets }
    }

    /// Where `position` goes. Fewer than two rounds of walking on average.
    ///
    /// # Panics
    /// When `position` is not below the count.
    #[must_use]
    pub fn apply(&self, position: u64) -> u64 {
        assert!(position < self.count);
        let mut word = position;
        loop {
            for (multiplier, offset) in self.multipliers.iter().zip(&self.offsets) {
                word = word.wrapping_mul(*multiplier).wrapping_add(*offset) & self.mask;
                word ^= word >> self.shift;
            }
            if word < self.count {
                return word;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_permutation(count: u64, seed: u64) -> bool {
        let shuffle = Shuffle::new(count, seed);
        let mut seen = vec![false; usize::try_from(count).unwrap()];
        for position in 0..count {
            let slot = &mut seen[usize::try_from(shuffle.apply(position)).unwrap()];
            if std::mem::replace(slot, true) {
                return false;
            }
        }
        seen.into_iter().all(|hit| hit)
    }

    proptest! {
        #[test]
        fn every_position_is_hit_exactly_once(count in 1_u64..5_000, seed in any::<u64>()) {
            prop_assert!(is_permutation(count, seed));
        }
    }

    #[test]
    fn borders_of_powers_of_two_are_permutations() {
        for count in [1, 2, 3, 4, 5, 63, 64, 65, 65_535, 65_536, 65_537, 1_000_000] {
            assert!(is_permutation(count, 42), "count {count}");
        }
    }

    #[test]
    fn hot_ranks_are_scattered_over_the_space() {
        // The first 1000 of a million, in sixteen parts: each expects 62.5, and a fair draw stays within
        // five standard deviations (38).
        let shuffle = Shuffle::new(1_000_000, 42);
        let mut parts = [0_i32; 16];
        for position in 0..1000 {
            parts[usize::try_from(shuffle.apply(position) / 62_500).unwrap()] += 1;
        }
        assert!(parts.iter().all(|&n| (n - 62).abs() < 38), "{parts:?}");
    }

    #[test]
    fn seeds_give_different_orders() {
        let first = Shuffle::new(1_000_000, 1);
        let second = Shuffle::new(1_000_000, 2);
        assert!((0..100).filter(|&p| first.apply(p) == second.apply(p)).count() < 5);
    }
}
