//! How the keys of a workload are spread, and how a key number is written.
//!
//! A key is the prefix and the key number in zero-padded decimal, `key:000000000042`, as users of
//! redis-benchmark know it: the numbers 0 to n-1 are the whole key space, so a load of all of them and a run
//! over them meet the same keys. Where lengths vary, the length of a key is a function of its number alone.

use serde::{Deserialize, Serialize};

use crate::number::low_u32;
use crate::rng::SplitMix64;
use crate::sizes::Sizes;
use crate::ycsb_zipfian::ycsb_hash;

/// How the keys of a workload are spread over the requests. `key_picker.rs` draws them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum KeyDistribution {
    /// Every key is equally likely.
    Uniform,
    /// All keys in order, again and again; the workers take turns.
    Sequential,
    /// Exact zipf over all keys, its ranks scattered over the key space by a seeded permutation.
    Zipf {
        /// Exponent; 0.99 is what YCSB uses.
        theta: f64,
    },
    /// YCSB's scrambled zipfian as published: ranks over ten billion items, hashed onto the keys.
    YcsbZipfian,
    /// Exact zipf over the age of keys: the newest acknowledged one is the hottest.
    Latest {
        /// Exponent.
        theta: f64,
    },
    /// YCSB's latest as published: its approximate zipfian over the age of keys.
    YcsbLatest,
    /// A share of the requests goes evenly to a share of the keys, scattered; the rest evenly to the rest.
    Hotspot {
        /// Share of the keys that is hot, 0 to 1.
        keys: f64,
        /// Share of the requests that goes there, 0 to 1.
        requests: f64,
    },
    /// The normal distribution over the key numbers; what falls outside is drawn again.
    Gaussian {
        /// Hottest key number, as a share of the key space.
        median: f64,
        /// Standard deviation, as a share of the key space.
        stddev: f64,
    },
    /// The exponential distribution over the age of keys, counted from the last one; what falls outside is drawn
    /// again.
    Exponential {
        /// Share of the requests, 0 to 1 ...
        requests: f64,
        /// ... that goes to this share of the keys, the youngest.
        keys: f64,
    },
}

/// How key numbers become bytes: prefix, then as many decimal digits as fill the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFormat {
    prefix: String,
    naming: Naming,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Naming {
    /// The number, padded with zeros.
    Padded(Sizes),
    /// YCSB's: the hash of the number, as long as it is.
    Hashed,
}

impl KeyFormat {
    /// Keys of exactly `key_bytes` bytes for the numbers `0..count`.
    ///
    /// # Errors
    /// A sentence for the user when the numbers do not fit.
    pub fn new(prefix: &str, key_bytes: usize, count: u64) -> Result<Self, String> {
        Self::with_sizes(prefix, Sizes::Fixed(key_bytes), count)
    }

    /// Keys whose lengths are spread as `sizes` says, for the numbers `0..count`.
    ///
    /// # Errors
    /// A sentence for the user when the numbers do not fit.
    pub fn with_sizes(prefix: &str, sizes: Sizes, count: u64) -> Result<Self, String> {
        let digits = sizes.min().saturating_sub(prefix.len());
        let needed = decimal_digits(count.saturating_sub(1));
        if digits < needed {
            return Err(format!(
                "{count} keys need {needed} digits, but --key-size {sizes} leaves {digits} after the \
                 prefix {prefix:?}: raise --key-size to {} or shorten --key-prefix",
                prefix.len() + needed
            ));
        }
        Ok(Self { prefix: prefix.to_owned(), naming: Naming::Padded(sizes) })
    }

    /// YCSB's keys: the prefix and the decimal hash of the number, 1 to 19 digits.
    #[must_use]
    pub fn ycsb(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), naming: Naming::Hashed }
    }

    /// Length of a key: the mean, where lengths vary.
    #[must_use]
    pub fn key_bytes(&self) -> usize {
        match &self.naming {
            Naming::Padded(sizes) => sizes.mean(),
            Naming::Hashed => self.key_bytes_max(),
        }
    }

    /// Length of the longest key.
    #[must_use]
    pub fn key_bytes_max(&self) -> usize {
        match &self.naming {
            Naming::Padded(sizes) => sizes.max(),
            Naming::Hashed => self.prefix.len() + HASH_DIGITS_MAX,
        }
    }

    /// Length of every key, when there is only one.
    #[must_use]
    pub fn fixed_bytes(&self) -> Option<usize> {
        match &self.naming {
            Naming::Padded(sizes) => sizes.fixed(),
            Naming::Hashed => None,
        }
    }

    /// The lengths, in words.
    #[must_use]
    pub fn sizes_text(&self) -> String {
        match &self.naming {
            Naming::Padded(sizes) => sizes.to_string(),
            Naming::Hashed => "prefix and hash, as YCSB".to_owned(),
        }
    }

    /// How many key numbers have a key of their own.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        match &self.naming {
            Naming::Padded(sizes) => {
                let digits = u32::try_from(sizes.min() - self.prefix.len()).unwrap_or(u32::MAX);
                10_u64.checked_pow(digits).unwrap_or(u64::MAX)
            }
            Naming::Hashed => u64::MAX,
        }
    }

    /// Length of the key of a number.
    #[must_use]
    pub fn length_of(&self, number: u64) -> usize {
        match &self.naming {
            Naming::Padded(Sizes::Fixed(length)) => *length,
            Naming::Padded(sizes) => sizes.pick(low_u32(SplitMix64(number).next_word())),
            Naming::Hashed => self.prefix.len() + decimal_digits(ycsb_hash(number)),
        }
    }

    /// Appends the key of a number.
    pub fn append(&self, out: &mut Vec<u8>, number: u64) {
        let start = out.len();
        out.extend_from_slice(self.prefix.as_bytes());
        out.resize(start + self.length_of(number), b'0');
        let written = match &self.naming {
            Naming::Padded(_) => number,
            Naming::Hashed => ycsb_hash(number),
        };
        write_decimal(&mut out[start + self.prefix.len()..], written);
    }

    /// The key of a number.
    #[must_use]
    pub fn key(&self, number: u64) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.key_bytes_max());
        self.append(&mut key, number);
        key
    }
}

/// Digits of the largest hash, 2^63.
const HASH_DIGITS_MAX: usize = 19;

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
    fn keys_of_ycsb_are_hashes() {
        assert_eq!(KeyFormat::ycsb("user").key(0), b"user6284781860667377211");
        assert_eq!(KeyFormat::ycsb("user").length_of(0), 23);
    }

    #[test]
    fn varied_lengths_follow_the_number_and_keep_keys_apart() {
        let sizes = Sizes::Weighted(vec![(12, 3), (40, 1)]);
        let format = KeyFormat::with_sizes("key:", sizes, 10_000).unwrap();
        let keys: std::collections::BTreeSet<Vec<u8>> =
            (0..10_000).map(|number| format.key(number)).collect();
        assert_eq!(keys.len(), 10_000);
        assert!((0..10_000).all(|number| format.key(number).len() == format.length_of(number)));
        let long = keys.iter().filter(|key| key.len() == 40).count();
        // A quarter: 2,500 with a standard deviation of 43.
        assert!(long.abs_diff(2500) < 175, "{long}");
        assert_eq!(
            (format.fixed_bytes(), format.key_bytes_max(), format.capacity()),
            (None, 40, 100_000_000)
        );
        assert!(KeyFormat::with_sizes("key:", Sizes::Range(5, 90), 100).is_err());
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
