//! A trace of keys drawn by a Zipf law: the same seed, the same trace.

use crate::rng::Rng;

/// Which key is asked for next, for ever.
#[derive(Clone, Debug)]
pub struct ZipfTrace {
    cumulative: std::sync::Arc<[f64]>,
    /// Shares no factor with the number of keys: multiplying by it spreads neighbours apart, one to one.
    step: u64,
    rng: Rng,
}

impl ZipfTrace {
    /// Ranks 1 to `keys`, rank k with a weight of k^-theta. Ranks are spread over the key numbers.
    #[must_use]
    pub fn new(keys: u64, theta: f64, seed: u64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=keys).map(|rank| (rank as f64).powf(-theta));
        let cumulative = weights.map(|weight| {
            sum += weight;
            sum
        });
        let cumulative = cumulative.collect();
        let step = (0x9e37_79b9_u64..).find(|step| gcd(*step, keys) == 1).unwrap_or(1);
        Self { cumulative, step, rng: Rng::new(seed, 0) }
    }

    /// The next key number, below the number of keys.
    pub fn next_key(&mut self) -> u64 {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let point = (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * total;
        let rank = self.cumulative.partition_point(|&sum| sum < point) as u64;
        let keys = self.cumulative.len() as u64;
        u64::try_from(u128::from(rank) * u128::from(self.step) % u128::from(keys)).unwrap_or(0)
    }
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_popular_keys_have_their_share_and_a_seed_repeats() {
        let mut trace = ZipfTrace::new(1000, 0.99, 7);
        let mut again = trace.clone();
        let mut counts = vec![0u32; 1000];
        for _ in 0..100_000 {
            let key = trace.next_key();
            assert_eq!(key, again.next_key());
            counts[usize::try_from(key).unwrap()] += 1;
        }
        counts.sort_unstable();
        // 1 / sum of k^-0.99 over 1000 is 0.129.
        let share = f64::from(counts[999]) / 100_000.0;
        assert!((share - 0.129).abs() < 0.01, "{share}");
    }
}
