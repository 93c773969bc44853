//! Counts by powers of two: cheap to count into, good enough to tell 1 ms from 2, or 4 KiB from 8.

/// Buckets: up to 1, 2, 4, ... 2^22, and all beyond.
pub const HISTOGRAM_BUCKETS: usize = 24;

/// How often a figure had about which size. The unit is the caller's: microseconds, bytes, KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Counts by bucket: bucket `i` holds what is above `2^(i-1)` and at most `2^i`, the last one all beyond.
    pub counts: [u64; HISTOGRAM_BUCKETS],
    /// Sum of all values.
    pub sum: u64,
    /// Largest value.
    pub max: u64,
}

impl Histogram {
    /// Counts a value.
    #[inline]
    pub fn note(&mut self, value: u64) {
        self.counts[bucket_of(value)] += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// A bound that the given share of all values does not exceed, in parts of a thousand: the upper bound of the
    /// bucket in which the share ends, or the largest value where that is less; 0 when nothing was counted.
    #[must_use]
    pub fn percentile(&self, per_mille: u64) -> u64 {
        let wanted = (self.count() * per_mille).div_ceil(1000);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && *count > 0 {
                return bucket_upper(bucket).map_or(self.max, |upper| upper.min(self.max));
            }
        }
        self.max
    }

    /// Adds another one's counts.
    pub fn add(&mut self, other: &Self) {
        for (to, from) in self.counts.iter_mut().zip(&other.counts) {
            *to += from;
        }
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }
}

/// Upper bound of a bucket; none for the last.
#[must_use]
pub const fn bucket_upper(bucket: usize) -> Option<u64> {
    if bucket + 1 < HISTOGRAM_BUCKETS { Some(1 << bucket) } else { None }
}

/// The bucket of a value: the first whose upper bound is not below it.
#[must_use]
#[inline]
pub const fn bucket_of(value: u64) -> usize {
    if value <= 1 {
        return 0;
    }
    let bits = (u64::BITS - (value - 1).leading_zeros()) as usize;
    if bits < HISTOGRAM_BUCKETS { bits } else { HISTOGRAM_BUCKETS - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_within_the_bounds_of_its_bucket() {
        for value in (0..5000).chain([1 << 22, (1 << 22) + 1, u64::MAX]) {
            let bucket = bucket_of(value);
            assert!(bucket_upper(bucket).is_none_or(|upper| value <= upper), "{value}");
            assert!(bucket == 0 || bucket_upper(bucket - 1).is_some_and(|lower| value > lower), "{value}");
        }
    }

    #[test]
    fn percentiles_are_upper_bounds_and_never_above_the_largest() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.percentile(500), histogram.percentile(1000)), (0, 0));
        for value in [1, 2, 3, 100] {
            histogram.note(value);
        }
        assert_eq!(histogram.percentile(500), 2);
        assert_eq!(histogram.percentile(750), 4);
        assert_eq!((histogram.percentile(990), histogram.max), (100, 100));
        let mut sum = histogram;
        sum.add(&histogram);
        assert_eq!((sum.count(), sum.sum, sum.percentile(500)), (8, 212, 2));
    }
}
