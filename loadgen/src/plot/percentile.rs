//! The percentile curve: how long the slowest of n requests took, for n from 1 to all of them.
//!
//! The axis below is `1 / (1 - q)` and logarithmic, as in HdrHistogram's plots, so that p99 and p99.9 are as far apart
//! as p90 and p99. The curve ends where fewer than ten samples lie beyond.

use hdrhistogram::Histogram;

use super::scale::{Spread, short, short_ns};
use super::svg::{Axis, Chart, Point, Series, Style};
use crate::latency::LatencySummary;
use crate::number::{floor_u64, index};

/// The points of a curve: one of how many requests, and their latency in nanoseconds.
#[must_use]
pub fn points(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let count = histogram.len();
    if count < 20 {
        return Vec::new();
    }
    // A point for each quarter of a doubling, up to one in a tenth of the samples.
    let steps = index(floor_u64(4.0 * (count as f64 / 10.0).log2()));
    let mut points: Vec<(f64, f64)> = (0..=steps)
        .map(|step| {
            let one_of = 2_f64.powf(step as f64 / 4.0);
            (one_of, histogram.value_at_quantile(1.0 - 1.0 / one_of) as f64)
        })
        .collect();
    let last = count as f64 / 10.0;
    points.push((last, histogram.value_at_quantile(1.0 - 1.0 / last) as f64));
    points
}

/// A curve for each named histogram; those that cannot be read are left out.
#[must_use]
pub fn chart(title: &str, curves: &[(String, &LatencySummary, Style, usize)]) -> Chart {
    let series = curves
        .iter()
        .filter_map(|(name, summary, style, colour)| {
            let histogram = summary.histogram().ok()?;
            let points = points(&histogram).into_iter().map(|(x, y)| Point::new(x, Some(y))).collect();
            Some(Series { name: name.clone(), points, style: *style, colour: *colour })
        })
        .collect();
    let named = [
        (1.0, "0"),
        (2.0, "p50"),
        (10.0, "p90"),
        (100.0, "p99"),
        (1e3, "p99.9"),
        (1e4, "p99.99"),
        (1e5, "p99.999"),
        (1e6, "p99.9999"),
        (1e7, "p99.99999"),
    ];
    Chart {
        title: title.to_owned(),
        x: Axis {
            label: "percentile".to_owned(),
            spread: Spread::Log,
            format: short,
            ticks: Some(named.into_iter().map(|(tick, text)| (tick, text.to_owned())).collect()),
        },
        y: Axis { label: "latency".to_owned(), spread: Spread::Log, format: short_ns, ticks: None },
        series,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_rises_from_the_least_to_where_ten_samples_are_left() {
        let mut histogram: Histogram<u64> = Histogram::new(3).unwrap();
        (1..=10_000_u64).for_each(|value| histogram.record(value).unwrap());
        let points = points(&histogram);
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1));
        let (one_of, latency) = *points.last().unwrap();
        assert!(
            (one_of - 1000.0).abs() < 1e-6 && (latency / 9990.0 - 1.0).abs() < 0.002,
            "{one_of} {latency}"
        );
    }

    #[test]
    fn too_few_samples_make_no_curve() {
        let mut histogram: Histogram<u64> = Histogram::new(3).unwrap();
        histogram.record_n(5, 19).unwrap();
        assert!(points(&histogram).is_empty());
    }
}
