//! How much happened per second, between one question and the next. Only INFO asks; no worker is slowed by it.

use std::sync::Mutex;

use super::counters::Counter;
use super::worker_stats::WorkerSnapshot;

/// Shortest time that a rate is computed over, in milliseconds: below it the last one still holds.
const SPAN_MS_MIN: u64 = 100;

/// How much per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Commands run.
    pub commands: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

#[derive(Debug, Default)]
struct Sample {
    at_ms: u64,
    seen: Rates,
    rates: Rates,
}

/// Remembers what was last seen.
#[derive(Debug, Default)]
pub(super) struct RateMeter(Mutex<Sample>);

impl RateMeter {
    /// The rates since they were last asked for; since the start, the first time.
    pub(super) fn read(&self, started_ms: u64, now_ms: u64, totals: &WorkerSnapshot) -> Rates {
        let mut sample = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let span_ms = now_ms.saturating_sub(sample.at_ms.max(started_ms));
        if span_ms >= SPAN_MS_MIN {
            let seen = Rates {
                commands: totals.get(Counter::Commands),
                bytes_in: totals.get(Counter::BytesIn),
                bytes_out: totals.get(Counter::BytesOut),
            };
            // Totals that were set back in between count from 0.
            let rate =
                |now: u64, then: u64| now.checked_sub(then).unwrap_or(now).saturating_mul(1000) / span_ms;
            sample.rates = Rates {
                commands: rate(seen.commands, sample.seen.commands),
                bytes_in: rate(seen.bytes_in, sample.seen.bytes_in),
                bytes_out: rate(seen.bytes_out, sample.seen.bytes_out),
            };
            (sample.at_ms, sample.seen) = (now_ms, seen);
        }
        sample.rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{WorkerCounters, WorkerStats};

    #[test]
    fn rates_are_taken_between_two_questions() {
        let totals = |commands| {
            let (stats, mut counters) = (WorkerStats::default(), WorkerCounters::default());
            counters.add(Counter::Commands, commands);
            stats.publish(&mut counters);
            stats.snapshot()
        };
        let meter = RateMeter::default();
        assert_eq!(meter.read(1000, 3000, &totals(100)).commands, 50);
        assert_eq!(meter.read(1000, 3050, &totals(1000)).commands, 50, "too soon");
        assert_eq!(meter.read(1000, 4000, &totals(1100)).commands, 1000);
        assert_eq!(meter.read(1000, 5000, &totals(10)).commands, 10, "set back");
    }
}
