//! A histogram as one line of INFO: how many values there were, their sum, and how many did not exceed each power of two,
//! as `LATENCY HISTOGRAM` counts them.

use std::fmt::Write as _;

use shard::histogram::{Histogram, bucket_upper};

/// The counts up to each bound: `count=4,sum=106,le_1=1,le_2=2, ... ,le_4194304=4`. Bounds are the same in every line,
/// whether anything lies below them or not; what is above the last of them is in `count` alone.
pub(super) fn cumulative(histogram: &Histogram) -> String {
    let mut text = format!("count={},sum={}", histogram.count(), histogram.sum);
    let mut sum = 0;
    for (bucket, count) in histogram.counts.iter().enumerate() {
        let Some(upper) = bucket_upper(bucket) else { break };
        sum += count;
        // Writing to a string cannot fail.
        let _ = write!(text, ",le_{upper}={sum}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_counts_all_that_do_not_exceed_it() {
        let mut histogram = Histogram::default();
        for value in [0, 1, 2, 3, 100, 20_000, 20_001, 1 << 22, (1 << 22) + 1] {
            histogram.note(value);
        }
        let text = cumulative(&histogram);
        assert!(text.starts_with("count=9,sum=8428716,le_1=2,le_2=3,le_4=4,le_8=4,"), "{text}");
        assert!(text.contains(",le_64=4,le_128=5,"), "{text}");
        assert!(text.contains(",le_16384=5,le_32768=7,"), "{text}");
        assert!(text.ends_with(",le_2097152=7,le_4194304=8"), "{text}");
    }
}
