//! Which key a request names, and how a key number is written.
//!
//! A key is the prefix and the key number in zero-padded decimal, `key:000000000042`, as users of
//! redis-benchmark know it: the numbers 0 to n-1 are the whole key space, so a load of all of them and a run
//! over them meet the same keys.

use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::shuffle::Shuffle;
use crate::zipf::Zipf;

/// How the keys of a workload are spread over the requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum KeyDistribution {
    /// Every key is equally likely.
    Uniform,
    /// Exact zipf over all keys, its ranks scattered over the key space by a seeded permutation.
    Zipf {
        /// Exponent; 0.99 is what YCSB uses.
        theta: f64,
    },
}

/// Draws key numbers. Cheap to clone: one per worker.
#[derive(Clone, Debug)]
pub enum KeyPicker {
    /// Equally likely keys below the count.
    Uniform(u64),
    /// Zipfian ranks, scattered.
    Zipf(Zipf, Shuffle),
}

impl KeyPicker {
    /// A picker over keys `0..count`. The seed fixes which keys are hot, so all workers must share it.
    ///
    /// # Panics
    /// When `count` is 0.
    #[must_use]
    pub fn new(distribution: KeyDistribution, count: u64, seed: u64) -> Self {
        assert!(count > 0);
        match distribution {
            KeyDistribution::Uniform => Self::Uniform(count),
            KeyDistribution::Zipf { theta } => Self::Zipf(Zipf::new(count, theta), Shuffle::new(count, seed)),
        }
    }

    /// The next key number.
    pub fn pick(&self, rng: &mut Rng) -> u64 {
        match self {
            Self::Uniform(count) => rng.below(*count),
            Self::Zipf(zipf, shuffle) => shuffle.apply(zipf.sample(rng) - 1),
        }
    }
}

/// How key numbers become bytes: prefix, then as many decimal digits as fill the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFormat {
    prefix: String,
    digits: usize,
}

impl KeyFormat {
    /// Keys of exactly `key_bytes` bytes for the numbers `0..count`.
    ///
    /// # Errors
    /// A sentence for the user when the numbers do not fit.
    pub fn new(prefix: &str, key_bytes: usize, count: u64) -> Result<Self, String> {
        let digits = key_bytes.saturating_sub(prefix.len());
        let needed = decimal_digits(count.saturating_sub(1));
        if digits < needed {
            return Err(format!(
                "{count} keys need {needed} digits, but --key-size {key_bytes} leaves {digits} after the \
                 prefix {prefix:?}: raise --key-size to {} or shorten --key-prefix",
                prefix.len() + needed
            ));
        }
        Ok(Self { prefix: prefix.to_owned(), digits })
    }

    /// Length of every key.
    #[must_use]
    pub const fn key_bytes(&self) -> usize {
        self.prefix.len() + self.digits
    }

    /// The key of a number.
    #[must_use]
    pub fn key(&self, number: u64) -> Vec<u8> {
        let mut key = self.prefix.clone().into_bytes();
        key.resize(self.key_bytes(), b'0');
        write_decimal(&mut key[self.prefix.len()..], number);
        key
    }
}

/// Number of decimal digits of `number`; 0 has one.
#[must_use]
pub fn decimal_digits(number: u64) -> usize {
    let digits = number.checked_ilog10().map_or(1, |log| log + 1);
    usize::try_from(digits).expect("at most twenty")
}

/// Writes `number` right-aligned in zero-padded decimal over the whole of `field`. Digits that do not fit
/// are cut on the left; callers size the field for the largest number.
pub fn write_decimal(field: &mut [u8], mut number: u64) {
    for place in field.iter_mut().rev() {
        let digit = u8::try_from(number % 10).expect("a decimal digit");
        *place = b'0' + digit;
        number /= 10;
    }
    debug_assert_eq!(number, 0, "the field holds the largest number");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    #[test]
    fn keys_look_like_those_of_redis_benchmark() {
        let format = KeyFormat::new("key:", 16, 1_000_000).unwrap();
        assert_eq!(format.key(0), b"key:000000000000");
        assert_eq!(format.key(999_999), b"key:000000999999");
        assert_eq!(format.key_bytes(), 16);
    }

    #[test]
    fn too_short_keys_are_refused_with_the_size_that_works() {
        let error = KeyFormat::new("key:", 9, 1_000_001).unwrap_err();
        assert!(error.contains("--key-size to 11"), "{error}");
        assert!(KeyFormat::new("key:", 10, 1_000_000).is_ok());
        assert!(KeyFormat::new("", 1, 10).is_ok());
        assert!(KeyFormat::new("a-long-prefix", 3, 10).is_err());
    }

    #[test]
    fn digits_are_counted_at_the_borders() {
        for (number, digits) in [(0, 1), (9, 1), (10, 2), (99, 2), (100, 3), (u64::MAX, 20)] {
            assert_eq!(decimal_digits(number), digits, "{number}");
        }
    }

    #[test]
    fn zipf_picks_are_skewed_and_within_the_space() {
        let picker = KeyPicker::new(KeyDistribution::Zipf { theta: 0.99 }, 1000, 42);
        let KeyPicker::Zipf(_, shuffle) = &picker else { panic!("a zipf picker") };
        let hottest = shuffle.apply(0);
        let mut rng = Rng::new(1, 0);
        let mut hits = 0;
        for _ in 0..100_000 {
            let key = picker.pick(&mut rng);
            assert!(key < 1000);
            hits += u32::from(key == hottest);
        }
        // P(rank 1) = 0.12938; four standard errors of 100,000 draws are 0.0042.
        assert!((f64::from(hits) / 100_000.0 - 0.12938).abs() < 0.0043, "{hits}");
    }

    proptest! {
        #[test]
        fn written_numbers_read_back(number in any::<u64>(), extra in 0_usize..10) {
            let mut field = vec![0; decimal_digits(number) + extra];
            write_decimal(&mut field, number);
            prop_assert_eq!(String::from_utf8(field).unwrap().parse::<u64>().unwrap(), number);
        }
    }
}
