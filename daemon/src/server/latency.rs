//! A histogram of durations in powers of two: cheap to count into, good enough to tell 1 ms from 2.

/// Buckets: up to 1, 2, 4, ... 2^22 us (4.2 s), and all beyond.
pub const LATENCY_BUCKETS: usize = 24;

/// Counts by bucket.
pub type LatencyHistogram = [u64; LATENCY_BUCKETS];

/// Upper bound of a bucket in microseconds; none for the last.
#[must_use]
pub const fn bucket_upper_us(bucket: usize) -> Option<u64> {
    if bucket + 1 < LATENCY_BUCKETS { Some(1 << bucket) } else { None }
}

/// The bucket of a duration: the first whose upper bound is not below it.
#[must_use]
#[inline]
pub const fn bucket_of(duration_us: u64) -> usize {
    if duration_us <= 1 {
        return 0;
    }
    let bits = (u64::BITS - (duration_us - 1).leading_zeros()) as usize;
    if bits < LATENCY_BUCKETS { bits } else { LATENCY_BUCKETS - 1 }
}

/// The upper bound of the bucket in which the given share of all durations ends, in microseconds; 0 when there are
/// none.
#[must_use]
pub fn percentile_us(histogram: &LatencyHistogram, per_mille: u64) -> u64 {
    let total: u64 = histogram.iter().sum();
    let wanted = (total * per_mille).div_ceil(1000);
    let mut seen = 0;
    for (bucket, count) in histogram.iter().enumerate() {
        seen += count;
        if seen >= wanted && total > 0 {
            return bucket_upper_us(bucket).unwrap_or(1 << (LATENCY_BUCKETS - 1));
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_lies_within_the_bounds_of_its_bucket() {
        for duration in (0..5000).chain([1 << 22, (1 << 22) + 1, u64::MAX]) {
            let bucket = bucket_of(duration);
            assert!(bucket_upper_us(bucket).is_none_or(|upper| duration <= upper), "{duration}");
            assert!(
                bucket == 0 || bucket_upper_us(bucket - 1).is_some_and(|lower| duration > lower),
                "{duration}"
            );
        }
    }

    #[test]
    fn percentiles_are_upper_bounds() {
        let mut histogram = [0; LATENCY_BUCKETS];
        assert_eq!(percentile_us(&histogram, 500), 0);
        for duration in [1, 2, 3, 100] {
            histogram[bucket_of(duration)] += 1;
        }
        assert_eq!(percentile_us(&histogram, 500), 2);
        assert_eq!(percentile_us(&histogram, 750), 4);
        assert_eq!(percentile_us(&histogram, 999), 128);
    }
}
