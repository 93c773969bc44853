//! Latency histograms and what a report says of them.
//!
//! Histograms are kept per worker and merged once at the end: merging equal ones is exact, averaging
//! percentiles is not and is done nowhere. A percentile is given only when at least ten samples lie beyond
//! it; else it is null, because it would be the luck of a few requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::limits::{LATENCY_NS_MAX, RUN_HISTOGRAM_DIGITS};
use crate::number::floor_u64;

/// Nanoseconds, from 1 to [`LATENCY_NS_MAX`].
#[derive(Clone, Debug)]
pub struct LatencyHistogram {
    histogram: Histogram<u64>,
    clipped: u64,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self::new(RUN_HISTOGRAM_DIGITS)
    }
}

impl LatencyHistogram {
    /// An empty histogram with `digits` significant digits.
    ///
    /// # Panics
    /// When `digits` is above 5: callers pass constants.
    #[must_use]
    pub fn new(digits: u8) -> Self {
        let histogram =
            Histogram::new_with_bounds(1, LATENCY_NS_MAX, digits).expect("constant bounds are valid");
        Self { histogram, clipped: 0 }
    }

    /// Counts one latency.
    #[inline]
    pub fn record(&mut self, latency_ns: u64) {
        if latency_ns > LATENCY_NS_MAX {
            self.clipped += 1;
        }
        self.histogram.saturating_record(latency_ns);
    }

    /// Adds all samples of another histogram of the same precision.
    ///
    /// # Panics
    /// Never: all histograms here share their bounds, so that every value of one fits the other.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("same bounds");
        self.clipped += other.clipped;
    }

    /// Number of samples.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that a share of `quantile` (0 to 1) of the samples does not exceed, or nothing when fewer
    /// than ten samples lie beyond it.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        // The products of decimal fractions end a hair below whole numbers: 100,000 * (1 - 0.9999) must be 10.
        let beyond = self.count() as f64 * (1.0 - quantile) + 1e-6;
        (beyond >= SAMPLES_BEYOND_MIN).then(|| self.histogram.value_at_quantile(quantile))
    }

    /// The longest sample.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.histogram.max()
    }

    /// All figures, and the histogram itself.
    ///
    /// # Panics
    /// Never: writing to memory cannot fail.
    #[must_use]
    pub fn summary(&self) -> LatencySummary {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.histogram, &mut bytes).expect("memory takes all bytes");
        let any = self.count() > 0;
        LatencySummary {
            count: self.count(),
            min: any.then(|| self.histogram.min()),
            max: any.then(|| self.max()),
            mean: any.then(|| self.histogram.mean()),
            stdev: any.then(|| self.histogram.stdev()),
            p50: self.quantile(0.5),
            p75: self.quantile(0.75),
            p90: self.quantile(0.9),
            p95: self.quantile(0.95),
            p99: self.quantile(0.99),
            p99_9: self.quantile(0.999),
            p99_99: self.quantile(0.9999),
            p99_999: self.quantile(0.99999),
            clipped: self.clipped,
            sigfig: self.histogram.sigfig(),
            hdr_v2_deflate_b64: BASE64.encode(bytes),
        }
    }
}

const SAMPLES_BEYOND_MIN: f64 = 10.0;

/// What a report holds of one histogram; all values in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Number of samples.
    pub count: u64,
    /// Shortest sample.
    pub min: Option<u64>,
    /// Longest sample.
    pub max: Option<u64>,
    /// Mean.
    pub mean: Option<f64>,
    /// Standard deviation.
    pub stdev: Option<f64>,
    /// Median.
    pub p50: Option<u64>,
    /// 75th percentile.
    pub p75: Option<u64>,
    /// 90th percentile.
    pub p90: Option<u64>,
    /// 95th percentile.
    pub p95: Option<u64>,
    /// 99th percentile.
    pub p99: Option<u64>,
    /// 99.9th percentile.
    pub p99_9: Option<u64>,
    /// 99.99th percentile.
    pub p99_99: Option<u64>,
    /// 99.999th percentile.
    pub p99_999: Option<u64>,
    /// Samples longer than the histogram holds, counted at its end.
    pub clipped: u64,
    /// Significant digits.
    pub sigfig: u8,
    /// The histogram: V2 with deflate, in base64, as HdrHistogram tools read it.
    pub hdr_v2_deflate_b64: String,
}

impl LatencySummary {
    /// The histogram that was written.
    ///
    /// # Errors
    /// A sentence when the text is no histogram.
    pub fn histogram(&self) -> Result<Histogram<u64>, String> {
        let bytes = BASE64.decode(&self.hdr_v2_deflate_b64).map_err(|error| format!("histogram: {error}"))?;
        Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| format!("histogram: {error}"))
    }
}

/// A latency for people: three digits and a unit.
#[must_use]
pub fn format_ns(latency_ns: Option<u64>) -> String {
    let Some(latency_ns) = latency_ns else { return "-".to_owned() };
    let value = latency_ns as f64;
    let (scaled, unit) = match latency_ns {
        0..1_000 => return format!("{latency_ns} ns"),
        1_000..1_000_000 => (value / 1e3, "us"),
        1_000_000..1_000_000_000 => (value / 1e6, "ms"),
        _ => (value / 1e9, "s"),
    };
    let decimals = match floor_u64(scaled) {
        0..10 => 2,
        10..100 => 1,
        _ => 0,
    };
    format!("{scaled:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(latencies: impl IntoIterator<Item = u64>) -> LatencyHistogram {
        let mut histogram = LatencyHistogram::default();
        latencies.into_iter().for_each(|latency| histogram.record(latency));
        histogram
    }

    #[test]
    fn percentile_without_ten_samples_beyond_is_null() {
        let check = |count: u64, p99: bool, p99_9: bool, p99_99: bool| {
            let summary = filled(1..=count).summary();
            assert_eq!(summary.p99.is_some(), p99, "p99 of {count}");
            assert_eq!(summary.p99_9.is_some(), p99_9, "p99.9 of {count}");
            assert_eq!(summary.p99_99.is_some(), p99_99, "p99.99 of {count}");
        };
        check(19, false, false, false);
        check(999, false, false, false);
        check(1_000, true, false, false);
        check(9_999, true, false, false);
        check(10_000, true, true, false);
        check(99_999, true, true, false);
        check(100_000, true, true, true);
        assert_eq!(filled(1..=19).summary().p50, None);
        assert_eq!(filled(1..=20).summary().p50, Some(10));
    }

    #[test]
    fn percentiles_of_known_samples_are_right_within_the_precision() {
        let summary = filled((1..=100_000).map(|n| n * 1000)).summary();
        let near = |got: Option<u64>, want: f64| {
            let got = got.unwrap() as f64;
            assert!((got / want - 1.0).abs() < 0.001, "{got} instead of {want}");
        };
        near(summary.p50, 50_000_000.0);
        near(summary.p99, 99_000_000.0);
        near(summary.p99_9, 99_900_000.0);
        near(summary.p99_99, 99_990_000.0);
        near(summary.max, 100_000_000.0);
        assert!((summary.mean.unwrap() / 50_000_500.0 - 1.0).abs() < 0.001);
    }

    #[test]
    fn an_empty_histogram_has_no_figures() {
        let summary = LatencyHistogram::default().summary();
        assert_eq!((summary.count, summary.min, summary.max, summary.p50), (0, None, None, None));
        assert_eq!(summary.mean, None);
    }

    #[test]
    fn longer_than_the_range_is_clipped_and_counted() {
        let histogram = filled([5, LATENCY_NS_MAX + 1, u64::MAX]);
        assert_eq!(histogram.summary().clipped, 2);
        assert_eq!(histogram.count(), 3);
    }

    #[test]
    fn zero_is_recorded() {
        assert_eq!(filled([0, 0]).count(), 2);
    }

    proptest! {
        #[test]
        fn written_histogram_reads_back(latencies in prop::collection::vec(0..LATENCY_NS_MAX, 0..200)) {
            let histogram = filled(latencies);
            let read = histogram.summary().histogram().unwrap();
            prop_assert_eq!(&read, &histogram.histogram);
            prop_assert_eq!(read.len(), histogram.count());
        }

        #[test]
        fn merged_equals_recorded_together(
            left in prop::collection::vec(0..LATENCY_NS_MAX, 0..100), right in prop::collection::vec(0..LATENCY_NS_MAX, 0..100)
        ) {
            let mut merged = filled(left.clone());
            merged.merge(&filled(right.clone()));
            let together = filled(left.into_iter().chain(right));
            prop_assert_eq!(merged.histogram, together.histogram);
        }
    }

    #[test]
    fn latencies_are_written_with_three_digits() {
        for (latency, text) in [
            (Some(0), "0 ns"),
            (Some(999), "999 ns"),
            (Some(1_234), "1.23 us"),
            (Some(45_678), "45.7 us"),
            (Some(456_789), "457 us"),
            (Some(1_500_000), "1.50 ms"),
            (Some(12_000_000_000), "12.0 s"),
            (None, "-"),
        ] {
            assert_eq!(format_ns(latency), text);
        }
    }
}
