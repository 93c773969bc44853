//! Start times of an open loop, fixed before the run: start i lies where the integral of the rate reaches i, or after
//! exponential gaps of that integral, or with the first one of its burst, or at a recorded time.
//!
//! The rule it keeps: a start time is never skipped and never moved. A server or generator that falls behind
//! finds the missed starts still here, and their latency counts from the intended time. This is what keeps a
//! stall from hiding the requests that it held up ("coordinated omission").

use std::sync::Arc;

pub use crate::arrival::Arrival;
use crate::number::floor_u64;
use crate::rate_curve::RateCurve;
use crate::rng::Rng;

/// The start times of one worker, in order.
#[derive(Clone, Debug)]
pub struct Schedule {
    gaps: Gaps,
    origin_ns: u64,
    next_ns: u64,
}

#[derive(Clone, Debug)]
enum Gaps {
    /// Start `index` of all workers together lies where the integral of the rate reaches `index`, or the first one of
    /// its burst; this worker has every `stride`-th.
    Constant { curve: RateCurve, piece: usize, index: u64, stride: u64, burst: u64 },
    /// Each worker draws its own gaps: superposed Poisson processes are one of the summed rate.
    Poisson { curve: RateCurve, piece: usize, count: f64, gap_mean: f64, rng: Rng },
    /// Times recorded elsewhere, from the origin. The last one is `u64::MAX` and never comes.
    Recorded { times_ns: Arc<[u64]>, index: usize },
}

impl Schedule {
    /// The share of worker `worker` of `workers` in a schedule of the curve's starts from `origin_ns`.
    ///
    /// # Panics
    /// When `worker` is not below `workers`.
    #[must_use]
    pub fn new(
        arrival: Arrival,
        curve: RateCurve,
        origin_ns: u64,
        worker: u64,
        workers: u64,
        seed: u64,
    ) -> Self {
        assert!(worker < workers);
        let piece = 0;
        let gaps = match arrival {
            Arrival::Constant => Gaps::Constant { curve, piece, index: worker, stride: workers, burst: 1 },
            Arrival::Burst(size) => {
                Gaps::Constant { curve, piece, index: worker, stride: workers, burst: u64::from(size) }
            }
            Arrival::Poisson => {
                let rng = Rng::new(seed ^ 0x504F_4953_534F_4E00, worker);
                Gaps::Poisson { curve, piece, count: 0.0, gap_mean: workers as f64, rng }
            }
        };
        let is_poisson = matches!(gaps, Gaps::Poisson { .. });
        let mut schedule = Self { gaps, origin_ns, next_ns: origin_ns };
        if is_poisson {
            schedule.advance();
        } else {
            schedule.next_ns = schedule.present_ns();
        }
        schedule
    }

    /// Starts at recorded times from `origin_ns`, in order.
    ///
    /// # Panics
    /// When a time is smaller than the one before it.
    #[must_use]
    pub fn recorded(mut times_ns: Vec<u64>, origin_ns: u64) -> Self {
        assert!(times_ns.is_sorted(), "recorded times go up");
        times_ns.push(u64::MAX);
        let mut schedule =
            Self { gaps: Gaps::Recorded { times_ns: times_ns.into(), index: 0 }, origin_ns, next_ns: 0 };
        schedule.next_ns = schedule.present_ns();
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
            Gaps::Constant { index, stride, .. } => *index += *stride,
            Gaps::Poisson { count, gap_mean, rng, .. } => *count -= (1.0 - rng.unit()).ln() * *gap_mean,
            Gaps::Recorded { times_ns, index } => *index = (*index + 1).min(times_ns.len() - 1),
        }
        self.next_ns = self.present_ns();
    }

    /// Computed anew from the count each time, so that rounding does not add up over a long run.
    fn present_ns(&mut self) -> u64 {
        let seconds = match &mut self.gaps {
            Gaps::Constant { curve, piece, index, burst, .. } => {
                curve.time_of((*index - *index % *burst) as f64, piece)
            }
            Gaps::Poisson { curve, piece, count, .. } => curve.time_of(*count, piece),
            Gaps::Recorded { times_ns, index } => return self.origin_ns.saturating_add(times_ns[*index]),
        };
        // A hair more: products of decimal fractions end below whole nanoseconds.
        self.origin_ns + floor_u64(seconds.mul_add(1e9, 1e-3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    #[test]
    fn constant_starts_lie_at_multiples_of_the_period() {
        let mut schedule = Schedule::new(Arrival::Constant, RateCurve::constant(1000.0), 5, 0, 1, 0);
        let starts: Vec<u64> = (0..4).map(|_| schedule.take()).collect();
        assert_eq!(starts, [5, 1_000_005, 2_000_005, 3_000_005]);
    }

    #[test]
    fn bursts_start_at_once_over_all_workers_and_keep_the_rate() {
        let schedule =
            |worker| Schedule::new(Arrival::Burst(4), RateCurve::constant(1000.0), 5, worker, 2, 0);
        let mut starts: Vec<u64> = Vec::new();
        for worker in 0..2 {
            let mut schedule = schedule(worker);
            starts.extend((0..4).map(|_| schedule.take()));
        }
        starts.sort_unstable();
        assert_eq!(starts, [[5; 4], [4_000_005; 4]].concat());
        assert_eq!(schedule(0).drain_before(1_000_000_005) + schedule(1).drain_before(1_000_000_005), 1000);
    }

    #[test]
    fn workers_share_one_schedule_without_gap_or_double() {
        let mut single = Schedule::new(Arrival::Constant, RateCurve::constant(12_345.0), 100, 0, 1, 0);
        let whole: Vec<u64> = (0..300).map(|_| single.take()).collect();
        let mut shared = Vec::new();
        for worker in 0..3 {
            let mut schedule =
                Schedule::new(Arrival::Constant, RateCurve::constant(12_345.0), 100, worker, 3, 0);
            shared.extend((0..100).map(|_| schedule.take()));
        }
        shared.sort_unstable();
        assert_eq!(whole, shared);
    }

    #[test]
    fn a_late_worker_finds_every_missed_start() {
        let mut schedule = Schedule::new(Arrival::Constant, RateCurve::constant(1000.0), 0, 0, 1, 0);
        assert_eq!(schedule.take(), 0);
        // Nothing is asked for during a stall of one second: all thousand starts are still handed out.
        let late: Vec<u64> =
            std::iter::from_fn(|| (schedule.next_ns() <= 1_000_000_000).then(|| schedule.take())).collect();
        assert_eq!(late.len(), 1000);
        assert_eq!(late[0], 1_000_000);
    }

    #[test]
    fn rounding_does_not_drift_over_a_day() {
        let mut schedule = Schedule::new(Arrival::Constant, RateCurve::constant(3.0), 0, 0, 1, 0);
        let starts = schedule.drain_before(86_400 * 1_000_000_000);
        assert!(starts.abs_diff(3 * 86_400) <= 1, "{starts}");
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_spread_of_the_exponential() {
        let mut schedule = Schedule::new(Arrival::Poisson, RateCurve::constant(10_000.0), 0, 0, 2, 42);
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

    #[test]
    fn poisson_starts_follow_a_ramp() {
        // 1000 to 3000 per second over two seconds: 1500 starts in the first, 2500 in the second one.
        let curve = RateCurve::ramp(1000.0, 3000.0, 0.0, 2.0);
        let mut schedule = Schedule::new(Arrival::Poisson, curve, 0, 0, 1, 42);
        let first = schedule.drain_before(1_000_000_000);
        let second = schedule.drain_before(2_000_000_000);
        // Four standard deviations: 155 and 200.
        assert!(first.abs_diff(1500) < 155 && second.abs_diff(2500) < 200, "{first} {second}");
    }

    #[test]
    fn recorded_times_come_as_they_were_and_end() {
        let mut schedule = Schedule::recorded(vec![0, 5, 5, 9], 100);
        assert_eq!((0..4).map(|_| schedule.take()).collect::<Vec<_>>(), [100, 105, 105, 109]);
        assert_eq!(schedule.next_ns(), u64::MAX);
        assert_eq!(schedule.drain_before(u64::MAX), 0);
    }

    proptest! {
        #[test]
        fn starts_never_go_back(rate in 0.1_f64..1e7, seed in any::<u64>(), poisson in any::<bool>()) {
            let arrival = if poisson { Arrival::Poisson } else { Arrival::Constant };
            let mut schedule = Schedule::new(arrival, RateCurve::constant(rate), 1000, 1, 3, seed);
            let mut last = 0;
            for _ in 0..1000 {
                let start = schedule.take();
                prop_assert!(start >= last);
                last = start;
            }
        }

        #[test]
        fn a_window_holds_rate_times_length_starts(rate in 1.0_f64..1e6) {
            let mut schedule = Schedule::new(Arrival::Constant, RateCurve::constant(rate), 0, 0, 1, 0);
            let count = schedule.drain_before(100_000_000);
            prop_assert!((count as f64 - rate * 0.1).abs() <= 1.0);
        }
    }
}
