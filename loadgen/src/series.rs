//! The run second by second: workers close one interval each second and hand it over, the coordinator merges
//! the intervals of one second and keeps a column per figure.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::latency::LatencyHistogram;
use crate::limits::{INTERVAL_HISTOGRAM_DIGITS, INTERVAL_NS, SERIES_INTERVALS_MAX};
use crate::number::{index, ratio, seconds};

/// What one worker saw in one interval of the measured window. A request belongs to the interval in which its
/// reply came.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Number of the interval, from 0.
    pub number: u64,
    /// Successful requests.
    pub operations: u64,
    /// Failed requests.
    pub errors: u64,
    /// Latencies of all kinds of requests, from the intended start.
    pub latency: LatencyHistogram,
    /// How late requests were sent; empty in a closed loop.
    pub slip: LatencyHistogram,
}

impl Interval {
    /// An empty interval.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self {
            number,
            operations: 0,
            errors: 0,
            latency: LatencyHistogram::new(INTERVAL_HISTOGRAM_DIGITS),
            slip: LatencyHistogram::new(INTERVAL_HISTOGRAM_DIGITS),
        }
    }

    fn merge(&mut self, other: &Self) {
        assert_eq!(self.number, other.number);
        self.operations += other.operations;
        self.errors += other.errors;
        self.latency.merge(&other.latency);
        self.slip.merge(&other.slip);
    }
}

/// CPU and memory of server and client at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct UsageSample {
    /// When.
    pub at_ns: u64,
    /// CPU time that the server has used since it started.
    pub server_cpu_ns: Option<u64>,
    /// CPU time that this process has used.
    pub client_cpu_ns: Option<u64>,
    /// Resident memory of the server.
    pub server_rss_bytes: Option<u64>,
}

/// The series of a report: one entry per interval in every column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Length of an interval.
    pub interval_s: f64,
    /// Start of each interval, from the start of the measured window.
    pub t_s: Vec<f64>,
    /// Successful requests answered in the interval.
    pub ops: Vec<u64>,
    /// Failed requests.
    pub errors: Vec<u64>,
    /// Median latency.
    pub p50_ns: Vec<Option<u64>>,
    /// 99th percentile.
    pub p99_ns: Vec<Option<u64>>,
    /// Longest latency.
    pub max_ns: Vec<Option<u64>>,
    /// 99th percentile of the delay of sending; null in a closed loop.
    pub slip_p99_ns: Vec<Option<u64>>,
    /// CPU of the server in percent of one core.
    pub server_cpu_pct: Vec<Option<f64>>,
    /// CPU of this process in percent of one core.
    pub client_cpu_pct: Vec<Option<f64>>,
    /// Resident memory of the server at the end of the interval.
    pub rss_bytes: Vec<Option<u64>>,
}

/// Merges intervals as workers hand them over.
#[derive(Debug)]
pub struct SeriesBuilder {
    workers: u64,
    /// Intervals that not all workers have closed, the front being number `series.ops.len()`.
    open: VecDeque<(u64, Interval)>,
    series: Series,
    last_usage: Option<UsageSample>,
    usage: VecDeque<(Option<f64>, Option<f64>, Option<u64>)>,
    /// Intervals beyond the bound, left out.
    omitted: u64,
}

impl SeriesBuilder {
    /// A series of `workers` workers.
    #[must_use]
    pub fn new(workers: u64) -> Self {
        assert!(workers > 0);
        Self {
            workers,
            open: VecDeque::new(),
            series: Series { interval_s: seconds(INTERVAL_NS), ..Series::default() },
            last_usage: None,
            usage: VecDeque::new(),
            omitted: 0,
        }
    }

    /// Takes a closed interval of one worker. Returns the merged interval when it was the last one missing.
    pub fn add(&mut self, interval: Interval) -> Option<Interval> {
        let first_open = self.series.ops.len() as u64;
        if interval.number >= SERIES_INTERVALS_MAX as u64 || interval.number < first_open {
            self.omitted += 1;
            return None;
        }
        while first_open + (self.open.len() as u64) <= interval.number {
            let number = first_open + self.open.len() as u64;
            self.open.push_back((0, Interval::new(number)));
        }
        let (closed_by, merged) = &mut self.open[index(interval.number - first_open)];
        merged.merge(&interval);
        *closed_by += 1;
        if self.open.front().is_some_and(|(closed_by, _)| *closed_by == self.workers) {
            return self.close_front();
        }
        None
    }

    /// Takes a sample of CPU and memory, once per interval in order. The first one opens the first interval.
    pub fn add_usage(&mut self, sample: UsageSample) {
        if let Some(last) = self.last_usage.replace(sample)
            && self.usage.len() < SERIES_INTERVALS_MAX
        {
            let wall_ns = sample.at_ns.saturating_sub(last.at_ns) as f64;
            let percent = |now: Option<u64>, before: Option<u64>| {
                Some(100.0 * ratio(now?.saturating_sub(before?) as f64, wall_ns))
            };
            self.usage.push_back((
                percent(sample.server_cpu_ns, last.server_cpu_ns),
                percent(sample.client_cpu_ns, last.client_cpu_ns),
                sample.server_rss_bytes,
            ));
        }
    }

    /// Closes what is open and gives the columns.
    #[must_use]
    pub fn finish(mut self) -> Series {
        while self.close_front().is_some() {}
        for _ in 0..self.series.ops.len() {
            let (server, client, rss) = self.usage.pop_front().unwrap_or_default();
            self.series.server_cpu_pct.push(server);
            self.series.client_cpu_pct.push(client);
            self.series.rss_bytes.push(rss);
        }
        self.series
    }

    /// Intervals that came too late or beyond the bound and are in no column.
    #[must_use]
    pub const fn omitted(&self) -> u64 {
        self.omitted
    }

    fn close_front(&mut self) -> Option<Interval> {
        let (_, interval) = self.open.pop_front()?;
        assert_eq!(interval.number, self.series.ops.len() as u64, "intervals close in order");
        let series = &mut self.series;
        series.t_s.push(interval.number as f64 * series.interval_s);
        series.ops.push(interval.operations);
        series.errors.push(interval.errors);
        series.p50_ns.push(interval.latency.quantile(0.5));
        series.p99_ns.push(interval.latency.quantile(0.99));
        series.max_ns.push((interval.latency.count() > 0).then(|| interval.latency.max()));
        series.slip_p99_ns.push(interval.slip.quantile(0.99));
        Some(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(number: u64, operations: u64) -> Interval {
        let mut interval = Interval::new(number);
        interval.operations = operations;
        (0..operations).for_each(|_| interval.latency.record(1000));
        interval
    }

    #[test]
    fn an_interval_closes_when_all_workers_have_closed_it() {
        let mut builder = SeriesBuilder::new(2);
        assert!(builder.add(interval(0, 10)).is_none());
        assert!(builder.add(interval(1, 20)).is_none());
        let merged = builder.add(interval(0, 5)).expect("both workers closed interval 0");
        assert_eq!((merged.number, merged.operations), (0, 15));
        let series = builder.finish();
        assert_eq!(series.ops, [15, 20]);
        assert_eq!(series.p50_ns, [None, Some(1003)]);
    }

    #[test]
    fn seconds_without_a_reply_stay_in_the_series() {
        let mut builder = SeriesBuilder::new(1);
        builder.add(interval(0, 10));
        builder.add(interval(1, 0));
        builder.add(interval(2, 3));
        let series = builder.finish();
        assert_eq!(series.ops, [10, 0, 3]);
        assert_eq!(series.max_ns[1], None);
        assert_eq!(series.t_s, [0.0, 1.0, 2.0]);
    }

    #[test]
    fn usage_is_the_difference_of_samples_and_padded_with_null() {
        let mut builder = SeriesBuilder::new(1);
        let sample = |at_s: u64, cpu_ms: u64| UsageSample {
            at_ns: at_s * 1_000_000_000,
            server_cpu_ns: Some(cpu_ms * 1_000_000),
            client_cpu_ns: None,
            server_rss_bytes: Some(at_s),
        };
        builder.add_usage(sample(10, 500));
        builder.add_usage(sample(11, 1250));
        builder.add(interval(0, 1));
        builder.add(interval(1, 1));
        let series = builder.finish();
        assert_eq!(series.server_cpu_pct, [Some(75.0), None]);
        assert_eq!(series.client_cpu_pct, [None, None]);
        assert_eq!(series.rss_bytes, [Some(11), None]);
    }

    #[test]
    fn intervals_beyond_the_bound_are_counted_not_kept() {
        let mut builder = SeriesBuilder::new(1);
        builder.add(interval(u64::MAX, 1));
        assert_eq!(builder.omitted(), 1);
        assert!(builder.finish().ops.is_empty());
    }
}
