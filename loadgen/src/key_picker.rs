//! Draws key numbers by the distribution of a workload. One picker per worker.

use crate::insert_frontier::InsertFrontier;
use crate::keys::KeyDistribution;
use crate::number::floor_u64;
use crate::rng::Rng;
use crate::shuffle::Shuffle;
use crate::ycsb_zipfian::{YCSB_SCRAMBLED_ITEMS, YCSB_THETA, YcsbZipfian, ycsb_hash};
use crate::zipf::Zipf;

/// Draws key numbers.
#[derive(Clone, Debug)]
pub struct KeyPicker {
    /// Keys `0..count` were there at the start.
    count: u64,
    source: Source,
    /// Keys inserted meanwhile, when the workload inserts.
    frontier: Option<InsertFrontier>,
}

#[derive(Clone, Debug)]
enum Source {
    Uniform,
    Sequential { next: u64, stride: u64 },
    Zipf(Zipf, Shuffle),
    YcsbZipfian { ranks: YcsbZipfian, items: u64 },
    Latest(Zipf),
    YcsbLatest(YcsbZipfian),
    Hotspot { hot: u64, requests: f64, shuffle: Shuffle },
    Gaussian { median: f64, deviation: f64 },
    Exponential { mean: f64 },
}

/// Which of the workers draws.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSeat {
    /// Its number.
    pub worker: u64,
    /// How many there are.
    pub workers: u64,
}

impl KeyPicker {
    /// A picker over keys `0..count` and those inserted later. The seed fixes which keys are hot, so all workers
    /// must share it. `inserts_expected` widens YCSB's scrambled range, as YCSB itself does.
    ///
    /// # Panics
    /// When `count` is 0.
    #[must_use]
    pub fn new(
        distribution: KeyDistribution,
        count: u64,
        seed: u64,
        seat: WorkerSeat,
        frontier: Option<InsertFrontier>,
        inserts_expected: u64,
    ) -> Self {
        assert!(count > 0 && seat.worker < seat.workers);
        let share = |share: f64| floor_u64((share * count as f64).round()).clamp(1, count);
        let source = match distribution {
            KeyDistribution::Uniform => Source::Uniform,
            KeyDistribution::Sequential => Source::Sequential { next: seat.worker, stride: seat.workers },
            KeyDistribution::Zipf { theta } => {
                Source::Zipf(Zipf::new(count, theta), Shuffle::new(count, seed))
            }
            KeyDistribution::YcsbZipfian => Source::YcsbZipfian {
                ranks: YcsbZipfian::new(YCSB_SCRAMBLED_ITEMS, YCSB_THETA),
                // The range of the published code is inclusive at both ends: one item more than there are records.
                items: count + 1 + 2 * inserts_expected,
            },
            KeyDistribution::Latest { theta } => Source::Latest(Zipf::new(count, theta)),
            KeyDistribution::YcsbLatest => Source::YcsbLatest(YcsbZipfian::new(count, YCSB_THETA)),
            KeyDistribution::Hotspot { keys, requests } => {
                Source::Hotspot { hot: share(keys), requests, shuffle: Shuffle::new(count, seed) }
            }
            KeyDistribution::Gaussian { median, stddev } => {
                Source::Gaussian { median: median * count as f64, deviation: stddev * count as f64 }
            }
            KeyDistribution::Exponential { requests, keys } => {
                // The share of requests that falls below the share of keys fixes the mean.
                Source::Exponential { mean: -(keys * count as f64) / (1.0 - requests).ln() }
            }
        };
        Self { count, source, frontier }
    }

    /// Keys there are now: those of the start and all inserted ones that were acknowledged.
    fn present(&self) -> u64 {
        self.frontier.as_ref().map_or(self.count, InsertFrontier::acknowledged)
    }

    /// The next key number. Every key it gives is there, unless it was deleted.
    pub fn pick(&mut self, rng: &mut Rng) -> u64 {
        let present = self.present();
        match &mut self.source {
            Source::Uniform => rng.below(present),
            Source::Sequential { next, stride } => {
                let key = *next % present;
                *next += *stride;
                key
            }
            Source::Zipf(zipf, shuffle) => shuffle.apply(zipf.sample(rng) - 1),
            Source::YcsbZipfian { ranks, items } => loop {
                let key = ycsb_hash(ranks.sample(rng)) % *items;
                if key < present {
                    return key;
                }
            },
            Source::Latest(zipf) => {
                if zipf.count() != present {
                    zipf.resize(present);
                }
                present - zipf.sample(rng)
            }
            Source::YcsbLatest(ranks) => {
                // The sum over a thousand terms is not for every draw: it grows by a ten-thousandth unnoticed.
                if present - ranks.count() > ranks.count() / 10_000 {
                    *ranks = YcsbZipfian::new(present, YCSB_THETA);
                }
                present - 1 - ranks.sample(rng)
            }
            Source::Hotspot { hot, requests, shuffle } => {
                let is_hot = *hot == self.count || rng.unit() < *requests;
                let rank = if is_hot { rng.below(*hot) } else { *hot + rng.below(self.count - *hot) };
                shuffle.apply(rank)
            }
            Source::Gaussian { median, deviation } => loop {
                let key = *median + *deviation * standard_normal(rng);
                if (0.0..self.count as f64).contains(&key) {
                    return floor_u64(key).min(self.count - 1);
                }
            },
            Source::Exponential { mean } => loop {
                let age = -(1.0 - rng.unit()).ln() * *mean;
                if age < present as f64 {
                    return present - 1 - floor_u64(age).min(present - 1);
                }
            },
        }
    }
}

/// Box and Muller, one of the pair.
fn standard_normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.unit()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::index;

    const ALL: [KeyDistribution; 9] = [
        KeyDistribution::Uniform,
        KeyDistribution::Sequential,
        KeyDistribution::Zipf { theta: 0.99 },
        KeyDistribution::YcsbZipfian,
        KeyDistribution::Latest { theta: 0.99 },
        KeyDistribution::YcsbLatest,
        KeyDistribution::Hotspot { keys: 0.2, requests: 0.8 },
        KeyDistribution::Gaussian { median: 0.5, stddev: 1.0 / 6.0 },
        KeyDistribution::Exponential { requests: 0.95, keys: 6.0 / 7.0 },
    ];
    const ALONE: WorkerSeat = WorkerSeat { worker: 0, workers: 1 };

    fn picker(distribution: KeyDistribution, count: u64) -> KeyPicker {
        KeyPicker::new(distribution, count, 42, ALONE, None, 0)
    }

    /// How often each key was drawn.
    fn counts(distribution: KeyDistribution, count: u64, draws: u32) -> Vec<u32> {
        let mut picker = picker(distribution, count);
        let mut rng = Rng::new(7, 0);
        let mut counts = vec![0; index(count)];
        for _ in 0..draws {
            counts[index(picker.pick(&mut rng))] += 1;
        }
        counts
    }

    /// Chi-square of the counts against probabilities lies below the 0.999 quantile (Wilson and Hilferty).
    fn check_fit(name: &str, counts: &[u32], probability: impl Fn(usize) -> f64) {
        let draws: f64 = counts.iter().copied().map(f64::from).sum();
        let chi_square: f64 = counts
            .iter()
            .enumerate()
            .map(|(key, &got)| {
                let want = draws * probability(key);
                (f64::from(got) - want).powi(2) / want
            })
            .sum();
        let freedom = (counts.len() - 1) as f64;
        let cube = 1.0 - 2.0 / (9.0 * freedom) + 3.0902 * (2.0 / (9.0 * freedom)).sqrt();
        let quantile = freedom * cube.powi(3);
        assert!(chi_square < quantile, "{name}: chi-square {chi_square:.1} above {quantile:.1}");
    }

    #[test]
    fn every_distribution_stays_within_small_spaces() {
        for distribution in ALL {
            for count in [1, 2, 3, 7] {
                let drawn = counts(distribution, count, 500);
                assert_eq!(drawn.iter().sum::<u32>(), 500, "{distribution:?} {count}");
            }
        }
    }

    #[test]
    fn uniform_and_sequential_draw_every_key_alike() {
        check_fit("uniform", &counts(KeyDistribution::Uniform, 1000, 500_000), |_| 1e-3);
        assert!(counts(KeyDistribution::Sequential, 1000, 5_000).iter().all(|&count| count == 5));
    }

    #[test]
    fn workers_share_a_sequence() {
        let mut rng = Rng::new(1, 0);
        let mut keys: Vec<u64> = (0..3)
            .flat_map(|worker| {
                let seat = WorkerSeat { worker, workers: 3 };
                let mut picker = KeyPicker::new(KeyDistribution::Sequential, 300, 42, seat, None, 0);
                (0..100).map(|_| picker.pick(&mut rng)).collect::<Vec<_>>()
            })
            .collect();
        keys.sort_unstable();
        assert_eq!(keys, (0..300).collect::<Vec<_>>());
    }

    #[test]
    fn zipf_keys_have_their_exact_probability_wherever_the_shuffle_put_them() {
        let weights: Vec<f64> = (1..=1000_u32).map(|rank| f64::from(rank).powf(-0.99)).collect();
        let total: f64 = weights.iter().sum();
        assert!((weights[0] / total - 0.12938).abs() < 6e-6, "the table's first rank");
        let shuffle = Shuffle::new(1000, 42);
        let mut probability = vec![0.0; 1000];
        for (rank, weight) in weights.iter().enumerate() {
            probability[index(shuffle.apply(rank as u64))] = weight / total;
        }
        check_fit("zipf", &counts(KeyDistribution::Zipf { theta: 0.99 }, 1000, 1_000_000), |key| {
            probability[key]
        });
    }

    #[test]
    fn latest_is_the_same_zipf_over_ages() {
        let total = crate::zeta::zeta(1000, 0.99);
        let drawn = counts(KeyDistribution::Latest { theta: 0.99 }, 1000, 1_000_000);
        check_fit("latest", &drawn, |key| ((1000 - key) as f64).powf(-0.99) / total);
    }

    #[test]
    fn latest_follows_the_acknowledged_inserts() {
        for distribution in [KeyDistribution::Latest { theta: 0.99 }, KeyDistribution::YcsbLatest] {
            let frontier = InsertFrontier::new(1000, 64);
            let mut picker = KeyPicker::new(distribution, 1000, 42, ALONE, Some(frontier.clone()), 0);
            let mut rng = Rng::new(5, 0);
            for _ in 0..500 {
                frontier.acknowledge(frontier.take());
            }
            let _unanswered = frontier.take();
            let keys: Vec<u64> = (0..100_000).map(|_| picker.pick(&mut rng)).collect();
            assert!(keys.iter().all(|&key| key < 1500), "{distribution:?}");
            // The first rank of 1500: 1 / zeta(1500).
            let want = 1.0 / crate::zeta::zeta(1500, 0.99);
            let newest = keys.iter().filter(|&&key| key == 1499).count() as f64 / 1e5;
            assert!(
                (newest - want).abs() < 4.0 * (want / 1e5).sqrt(),
                "{distribution:?}: {newest} of {want}"
            );
        }
    }

    #[test]
    fn scrambled_ycsb_keys_have_the_published_flatter_skew() {
        let mut drawn = counts(KeyDistribution::YcsbZipfian, 1_000_000, 1_000_000);
        // The published hash of rank 0 over the inclusive range names the hottest key.
        let hottest = index(ycsb_hash(0) % 1_000_001);
        assert_eq!(
            drawn.iter().enumerate().max_by_key(|(_, count)| **count).map(|(key, _)| key),
            Some(hottest)
        );
        drawn.sort_unstable_by(|left, right| right.cmp(left));
        // The five hottest of the computed table. Gray's formula draws ranks beyond the second a little too often.
        for (got, want) in drawn.iter().zip([0.03778, 0.01902]) {
            let got = f64::from(*got) / 1e6;
            assert!((got - want).abs() < 4.0 * (want / 1e6_f64).sqrt(), "{got} instead of {want}");
        }
        for (got, want) in drawn[2..].iter().zip([0.01273, 0.00958, 0.00768]) {
            let got = f64::from(*got) / 1e6;
            assert!((got / want - 1.0).abs() < 0.2, "{got} instead of {want}");
        }
    }

    #[test]
    fn a_hotspot_gets_its_share_evenly() {
        let drawn = counts(KeyDistribution::Hotspot { keys: 0.2, requests: 0.8 }, 1000, 500_000);
        let shuffle = Shuffle::new(1000, 42);
        let mut is_hot = vec![false; 1000];
        (0..200).for_each(|rank| is_hot[index(shuffle.apply(rank))] = true);
        check_fit("hotspot", &drawn, |key| if is_hot[key] { 0.8 / 200.0 } else { 0.2 / 800.0 });
    }

    #[test]
    fn a_gaussian_has_its_median_and_spread() {
        let drawn = counts(KeyDistribution::Gaussian { median: 0.5, stddev: 0.1 }, 10_000, 1_000_000);
        let share = |range: std::ops::Range<usize>| f64::from(drawn[range].iter().sum::<u32>()) / 1e6;
        // One, two and three standard deviations around the middle, from tables of the normal distribution.
        for (reach, want) in [(1000, 0.682_689), (2000, 0.954_500), (3000, 0.997_300)] {
            let got = share(5000 - reach..5000 + reach);
            assert!((got - want).abs() < 4.0 * (want * (1.0 - want) / 1e6).sqrt() + 1e-5, "{reach}: {got}");
        }
        assert!((share(0..5000) - 0.5).abs() < 0.002);
    }

    #[test]
    fn an_exponential_puts_the_asked_share_on_the_youngest_keys() {
        let drawn = counts(KeyDistribution::Exponential { requests: 0.95, keys: 0.5 }, 1000, 500_000);
        let rate = -(0.05_f64).ln() / 500.0;
        let within = 1.0 - (-rate * 1000.0).exp();
        check_fit("exponential", &drawn, |key| {
            let age = (999 - key) as f64;
            ((-rate * age).exp() - (-rate * (age + 1.0)).exp()) / within
        });
    }
}
