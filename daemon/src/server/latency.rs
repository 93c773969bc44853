//! A histogram of durations in powers of two: cheap to count into, good enough to tell 1 ms from 2.

use shard::histogram::HISTOGRAM_BUCKETS;
pub use shard::histogram::{bucket_of, bucket_upper as bucket_upper_us};

/// Buckets: up to 1, 2, 4, ... 2^22 us (4.2 s), and all beyond.
pub const LATENCY_BUCKETS: usize = HISTOGRAM_BUCKETS;

/// Counts by bucket.
pub type LatencyHistogram = [u64; LATENCY_BUCKETS];

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
