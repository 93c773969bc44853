//! Start times of an open loop, fixed before the run: start i lies at t0 + i/rate, or after exponential gaps.
//!
//! The rule it keeps: a start time is never skipped and never moved. A server or generator that falls behind
//! finds the missed starts still here, and their latency counts from the intended time. This is what keeps a
//! stall from hiding the requests that it held up ("coordinated omission").

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::number::floor_u64;
use crate::rng::Rng;

/// How start times are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// Evenly, as a metronome.
    Constant,
    /// As independent users: exponential gaps of the same mean.
    Poisson,
}

/// The start times of one worker, in order.
#[derive(Clone, Debug)]
pub struct Schedule {
    gaps: Gaps,
    next_ns: u64,
}

#[derive(Clone, Debug)]
enum Gaps {
    /// Start `index` of all workers together lies at `origin + index * period`; this worker has every
    /// `stride`-th.
    Constant { origin_ns: u64, index: u64, stride: u64, period_ns: f64 },
    /// Each worker draws its own gaps: superposed Poisson processes are one of the summed rate.
    Poisson { origin_ns: u64, elapsed_ns: f64, gap_mean_ns: f64, rng: Rng },
}

impl Schedule {
    /// The share of worker `worker` of `workers` in a schedule of `rate` starts per second from `origin_ns`.
    ///
    /// # Panics
    /// When the rate is not positive or `worker` is not below `workers`.
    #[must_use]
    pub fn new(arrival: Arrival, rate: f64, origin_ns: u64, worker: u64, workers: u64, seed: u64) -> Self {
        assert!(rate > 0.0 && rate.is_finite(), "a rate is positive");
        assert!(worker < workers);
        let period_ns = 1e9 / rate;
        let gaps = match arrival {
            Arrival::Constant => Gaps::Constant { origin_ns, index: worker, stride: workers, period_ns },
            Arrival::Poisson => Gaps::Poisson {
                origin_ns,
                elapsed_ns: 0.0,
                gap_mean_ns: period_ns * workers as f64,
                rng: Rng::new(seed ^ 0x504F_4953_534F_4E00, worker),
            },
        };
        let mut schedule = Self { gaps, next_ns: origin_ns };
        match &schedule.gaps {
            Gaps::Constant { .. } => schedule.next_ns = schedule.constant_start(),
            Gaps::Poisson { .. } => schedule.advance(),
        }
        schedule
    }

    /// The earliest start time that was not taken yet.
    #[must_use]
    pub const fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Takes the next start time.
    pub fn take(&mut self) -> u64 {
        let taken = self.next_ns;
        self.advance();
        debug_assert!(self.next_ns >= taken);
        taken
    }

    /// How many starts lie before `end_ns` and were not taken. Takes them all.
    pub fn drain_before(&mut self, end_ns: u64) -> u64 {
        let mut count = 0;
        while self.next_ns < end_ns {
            self.advance();
            count += 1;
        }
        count
    }

    fn advance(&mut self) {
        match &mut self.gaps {
            Gaps::Constant { index, stride, .. } => {
                *index += *stride;
                self.next_ns = self.constant_start();
            }
            Gaps::Poisson { origin_ns, elapsed_ns, gap_mean_ns, rng } => {
                *elapsed_ns -= (1.0 - rng.unit()).ln() * *gap_mean_ns;
                self.next_ns = *origin_ns + floor_u64(*elapsed_ns);
            }
        }
    }

    /// Multiplied anew each time, so that rounding does not add up over a long run.
    fn constant_start(&self) -> u64 {
        match &self.gaps {
            Gaps::Constant { origin_ns, index, period_ns, .. } => {
                origin_ns + floor_u64(*index as f64 * period_ns)
            }
            Gaps::Poisson { .. } => self.next_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    #[test]
    fn constant_starts_lie_at_multiples_of_the_period() {
        let mut schedule = Schedule::new(Arrival::Constant, 1000.0, 5, 0, 1, 0);
        let starts: Vec<u64> = (0..4).map(|_| schedule.take()).collect();
        assert_eq!(starts, [5, 1_000_005, 2_000_005, 3_000_005]);
    }

    #[test]
    fn workers_share_one_schedule_without_gap_or_double() {
        let mut single = Schedule::new(Arrival::Constant, 12_345.0, 100, 0, 1, 0);
        let whole: Vec<u64> = (0..300).map(|_| single.take()).collect();
        let mut shared = Vec::new();
        for worker in 0..3 {
            let mut schedule = Schedule::new(Arrival::Constant, 12_345.0, 100, worker, 3, 0);
            shared.extend((0..100).map(|_| schedule.take()));
        }
        shared.sort_unstable();
        assert_eq!(whole, shared);
    }

    #[test]
    fn a_late_worker_finds_every_missed_start() {
        let mut schedule = Schedule::new(Arrival::Constant, 1000.0, 0, 0, 1, 0);
        assert_eq!(schedule.take(), 0);
        // Nothing is asked for during a stall of one second: all thousand starts are still handed out.
        let late: Vec<u64> =
            std::iter::from_fn(|| (schedule.next_ns() <= 1_000_000_000).then(|| schedule.take())).collect();
        assert_eq!(late.len(), 1000);
        assert_eq!(late[0], 1_000_000);
    }

    #[test]
    fn rounding_does_not_drift_over_a_day() {
        let mut schedule = Schedule::new(Arrival::Constant, 3.0, 0, 0, 1, 0);
        let starts = schedule.drain_before(86_400 * 1_000_000_000);
        assert!(starts.abs_diff(3 * 86_400) <= 1, "{starts}");
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_spread_of_the_exponential() {
        let mut schedule = Schedule::new(Arrival::Poisson, 10_000.0, 0, 0, 2, 42);
        let mut last = 0;
        let gaps: Vec<f64> = (0..200_000)
            .map(|_| {
                let start = schedule.take();
                let gap = (start - last) as f64;
                last = start;
                gap
            })
            .collect();
        let mean = gaps.iter().sum::<f64>() / 200_000.0;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / 200_000.0).sqrt();
        // Two workers at 10,000/s: 200 us per gap of one. Standard error of the mean: 0.22 %.
        assert!((mean / 200_000.0 - 1.0).abs() < 0.01, "mean {mean}");
        assert!((deviation / mean - 1.0).abs() < 0.02, "deviation {deviation}");
    }

    proptest! {
        #[test]
        fn starts_never_go_back(rate in 0.1_f64..1e7, seed in any::<u64>(), poisson in any::<bool>()) {
            let arrival = if poisson { Arrival::Poisson } else { Arrival::Constant };
            let mut schedule = Schedule::new(arrival, rate, 1000, 1, 3, seed);
            let mut last = 0;
            for _ in 0..1000 {
                let start = schedule.take();
                prop_assert!(start >= last);
                last = start;
            }
        }

        #[test]
        fn a_window_holds_rate_times_length_starts(rate in 1.0_f64..1e6) {
            let mut schedule = Schedule::new(Arrival::Constant, rate, 0, 0, 1, 0);
            let count = schedule.drain_before(100_000_000);
            prop_assert!((count as f64 - rate * 0.1).abs() <= 1.0);
        }
    }
}
