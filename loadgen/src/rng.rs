//! Random numbers of one worker: xoshiro256++ (Blackman and Vigna), seeded by SplitMix64.
//!
//! The same seed gives the same requests on every machine. Not for secrets.

/// One stream of random words.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// Stream number `stream` of a seed. Streams of one seed do not overlap in practice: their states are
    /// 256 bits taken from a mixed sequence.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut mixer = SplitMix64(seed ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Self { state: [mixer.next_word(), mixer.next_word(), mixer.next_word(), mixer.next_word()] }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let state = &mut self.state;
        let word = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        word
    }

    /// A number below `bound`, by the high half of a product (Lemire). The bias is below `bound / 2^64`.
    pub fn below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound > 0);
        let product = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(product >> 64).expect("the high half of a 128-bit product has 64 bits")
    }

    /// A float in [0, 1) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Fills memory with random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// Turns one seed into well mixed words (Steele, Lea and Flood).
#[derive(Clone, Debug)]
pub struct SplitMix64(pub u64);

impl SplitMix64 {
    /// The next word.
    pub const fn next_word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_words() {
        // The test vector of the reference implementation for seed 1234567.
        let mut mixer = SplitMix64(1_234_567);
        assert_eq!(mixer.next_word(), 6_457_827_717_110_365_317);
        assert_eq!(mixer.next_word(), 3_203_168_211_198_807_973);
        assert_eq!(mixer.next_word(), 9_817_491_932_198_370_423);
    }

    #[test]
    fn xoshiro_gives_the_published_words() {
        // rand_xoshiro's test vector for the state 1, 2, 3, 4.
        let mut rng = Rng { state: [1, 2, 3, 4] };
        assert_eq!(rng.next_u64(), 41_943_041);
        assert_eq!(rng.next_u64(), 58_720_359);
        assert_eq!(rng.next_u64(), 3_588_806_011_781_223);
    }

    #[test]
    fn same_seed_repeats_and_streams_differ() {
        let words = |seed, stream| {
            let mut rng = Rng::new(seed, stream);
            (0..4).map(|_| rng.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(words(7, 0), words(7, 0));
        assert_ne!(words(7, 0), words(7, 1));
        assert_ne!(words(7, 0), words(8, 0));
    }

    #[test]
    fn below_covers_the_range_evenly() {
        let mut rng = Rng::new(1, 0);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[usize::try_from(rng.below(10)).unwrap()] += 1;
        }
        // Chi-square with 9 degrees of freedom: 27.9 is the 0.999 quantile.
        let chi_square: f64 = counts.iter().map(|&n| (f64::from(n) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi_square < 27.9, "chi-square {chi_square}");
    }

    #[test]
    fn unit_stays_below_one() {
        let mut rng = Rng::new(3, 0);
        assert!((0..100_000).map(|_| rng.unit()).all(|unit| (0.0..1.0).contains(&unit)));
    }
}
