//! Writer of the Prometheus text format 0.0.4: families of samples, each with its help and type.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>. Rule: the samples of a family stand
//! together under its header; names are ours and checked, values of labels are anything and escaped.

use std::fmt::{self, Write as _};

use crate::server::{LATENCY_BUCKETS, LatencyHistogram, bucket_upper_us};

/// The content type of this text.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the numbers of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows, but for a start anew. Its name ends in `_total`.
    Counter,
    /// May fall.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

/// Seconds out of smaller units, with all digits: no rounding on the way into text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seconds {
    Milli(u64),
    Micro(u64),
    Nano(u64),
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Milli(ms) => write!(f, "{}.{:03}", ms / 1000, ms % 1000),
            Self::Micro(us) => write!(f, "{}.{:06}", us / 1_000_000, us % 1_000_000),
            Self::Nano(ns) => write!(f, "{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000),
        }
    }
}

/// A label's name and value.
pub(super) type Label<'a> = (&'static str, &'a str);

/// The text as it grows.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
    family: String,
    kind: Option<Kind>,
}

impl Exposition {
    /// Begins a family. Each name once.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        debug_assert!(is_metric_name(name), "{name}");
        debug_assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {word}\n"));
        name.clone_into(&mut self.family);
        self.kind = Some(kind);
    }

    /// A sample of the family.
    pub(super) fn sample(&mut self, labels: &[Label<'_>], value: impl fmt::Display) {
        debug_assert!(
            matches!(self.kind, Some(Kind::Counter | Kind::Gauge)),
            "a family of plain numbers is open"
        );
        self.line("", labels, None, &value);
    }

    /// Counts of durations in microseconds by bucket and their sum, as a histogram of the family.
    pub(super) fn histogram(&mut self, labels: &[Label<'_>], counts: &LatencyHistogram, sum: Seconds) {
        self.histogram_of(labels, counts, &sum, |upper_us| Seconds::Micro(upper_us).to_string());
    }

    /// As [`Self::histogram`], of anything: `bound` writes the upper bound of a bucket in the family's unit.
    pub(super) fn histogram_of(
        &mut self,
        labels: &[Label<'_>],
        counts: &LatencyHistogram,
        sum: &dyn fmt::Display,
        bound: fn(u64) -> String,
    ) {
        debug_assert_eq!(self.kind, Some(Kind::Histogram), "a family of histograms is open");
        let mut below = 0_u64;
        for (bucket, count) in counts.iter().enumerate().take(LATENCY_BUCKETS - 1) {
            below = below.wrapping_add(*count);
            if let Some(upper_us) = bucket_upper_us(bucket) {
                self.line("_bucket", labels, Some(&bound(upper_us)), &below);
            }
        }
        let all = below.wrapping_add(counts[LATENCY_BUCKETS - 1]);
        self.line("_bucket", labels, Some("+Inf"), &all);
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, &all);
    }

    /// The whole text.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, suffix: &str, labels: &[Label<'_>], upper: Option<&str>, value: &dyn fmt::Display) {
        let family = std::mem::take(&mut self.family);
        self.write(format_args!("{family}{suffix}"));
        self.family = family;
        let labels = labels.iter().copied().chain(upper.map(|upper| ("le", upper)));
        let mut opening = '{';
        for (name, value) in labels {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.write(format_args!("{opening}{name}=\"{value}\""));
            opening = ',';
        }
        let closing = if opening == ',' { "}" } else { "" };
        self.write(format_args!("{closing} {value}\n"));
    }

    fn write(&mut self, text: fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("memory takes any text");
    }
}

fn is_metric_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit();
    name.as_bytes().first().is_some_and(u8::is_ascii_lowercase) && name.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_text() {
        let mut text = Exposition::default();
        text.family("ouro_things_total", Kind::Counter, "Things \\ and\nmore.");
        text.sample(&[], 5);
        text.sample(&[("name", "a\"b\\c\nd"), ("worker", "0")], u64::MAX);
        text.family("ouro_age_seconds", Kind::Gauge, "Age.");
        text.sample(&[("worker", "1")], Seconds::Milli(1_500));
        assert_eq!(
            text.finish(),
            "# HELP ouro_things_total Things \\\\ and\\nmore.\n# TYPE ouro_things_total counter\n\
             ouro_things_total 5\nouro_things_total{name=\"a\\\"b\\\\c\\nd\",worker=\"0\"} 18446744073709551615\n\
             # HELP ouro_age_seconds Age.\n# TYPE ouro_age_seconds gauge\nouro_age_seconds{worker=\"1\"} 1.500\n"
        );
    }

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let mut counts = [0; LATENCY_BUCKETS];
        (counts[0], counts[2], counts[LATENCY_BUCKETS - 1]) = (3, 4, 1);
        let mut text = Exposition::default();
        text.family("ouro_time_seconds", Kind::Histogram, "Time.");
        text.histogram(&[("command", "get")], &counts, Seconds::Nano(1_000_000_001));
        let text = text.finish();
        for line in [
            "ouro_time_seconds_bucket{command=\"get\",le=\"0.000001\"} 3",
            "ouro_time_seconds_bucket{command=\"get\",le=\"0.000002\"} 3",
            "ouro_time_seconds_bucket{command=\"get\",le=\"0.000004\"} 7",
            "ouro_time_seconds_bucket{command=\"get\",le=\"4.194304\"} 7",
            "ouro_time_seconds_bucket{command=\"get\",le=\"+Inf\"} 8",
            "ouro_time_seconds_sum{command=\"get\"} 1.000000001",
            "ouro_time_seconds_count{command=\"get\"} 8",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert_eq!(text.lines().count(), 2 + LATENCY_BUCKETS + 2);
    }
}
