//! Exact zipfian ranks by rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to generate
//! variates from monotone discrete distributions", ACM TOMACS 6(3), 1996).
//!
//! Rank k of n is drawn with probability k^-theta / sum(i^-theta), with no table and no bias: unlike the
//! approximation of Gray et al. that YCSB uses, which draws the ten hottest keys a hundredth too often.

use crate::number::floor_u64;
use crate::rng::Rng;

/// Draws ranks 1 to n.
#[derive(Clone, Debug)]
pub struct Zipf {
    count: u64,
    count_float: f64,
    theta: f64,
    integral_first: f64,
    integral_last: f64,
    /// Distance to a rank below which a draw is accepted without a further look.
    shortcut: f64,
}

impl Zipf {
    /// Ranks 1 to `count` with exponent `theta`. Exponent 0 is uniform, 1 is allowed.
    ///
    /// # Panics
    /// When `count` is 0 or `theta` is negative or not finite: options are checked before.
    #[must_use]
    pub fn new(count: u64, theta: f64) -> Self {
        assert!(count > 0, "a distribution needs at least one rank");
        assert!(theta.is_finite() && theta >= 0.0, "the exponent is a number from 0 up");
        let count_float = count as f64;
        let mut zipf =
            Self { count, count_float, theta, integral_first: 0.0, integral_last: 0.0, shortcut: 0.0 };
        zipf.integral_first = zipf.integral(1.5) - 1.0;
        zipf.integral_last = zipf.integral(count_float + 0.5);
        zipf.shortcut = 2.0 - zipf.integral_inverse(zipf.integral(2.5) - zipf.density(2.0));
        zipf
    }

    /// Changes the number of ranks.
    ///
    /// # Panics
    /// When `count` is 0.
    pub fn resize(&mut self, count: u64) {
        assert!(count > 0, "a distribution needs at least one rank");
        self.count = count;
        self.count_float = count as f64;
        self.integral_last = self.integral(self.count_float + 0.5);
    }

    /// Number of ranks.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// A rank from 1 (the hottest) to n.
    pub fn sample(&self, rng: &mut Rng) -> u64 {
        loop {
            let area = self.integral_last + rng.unit() * (self.integral_first - self.integral_last);
            let point = self.integral_inverse(area);
            let rank = (point + 0.5).floor().clamp(1.0, self.count_float);
            if rank - point <= self.shortcut || area >= self.integral(rank + 0.5) - self.density(rank) {
                return floor_u64(rank).min(self.count);
            }
        }
    }

    /// k^-theta.
    fn density(&self, point: f64) -> f64 {
        (-self.theta * point.ln()).exp()
    }

    /// Integral of the density, in a form that is exact near theta = 1 as well.
    fn integral(&self, point: f64) -> f64 {
        let log = point.ln();
        exp_m1_over((1.0 - self.theta) * log) * log
    }

    fn integral_inverse(&self, area: f64) -> f64 {
        // Rounding may carry the product just below -1, where the logarithm ends.
        let scaled = (area * (1.0 - self.theta)).max(-1.0);
        (ln_1p_over(scaled) * area).exp()
    }
}

/// (e^x - 1) / x, by its series near 0.
fn exp_m1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x * 0.5 * (1.0 + x / 3.0) }
}

/// ln(1 + x) / x, by its series near 0.
fn ln_1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x * (0.5 - x / 3.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u32 = 2_000_000;

    /// Shares of the ranks 1, 2, top 10, top 100, top 1 %, top 10 % and top 20 %.
    fn shares(count: u64, theta: f64, seed: u64) -> [f64; 7] {
        let zipf = Zipf::new(count, theta);
        let mut rng = Rng::new(seed, 0);
        let mut hits = [0_u32; 7];
        for _ in 0..DRAWS {
            let rank = zipf.sample(&mut rng);
            assert!((1..=count).contains(&rank));
            hits[0] += u32::from(rank == 1);
            hits[1] += u32::from(rank == 2);
            for (slot, top) in [10, 100, count / 100, count / 10, count / 5].into_iter().enumerate() {
                hits[slot + 2] += u32::from(rank <= top);
            }
        }
        hits.map(|n| f64::from(n) / f64::from(DRAWS))
    }

    /// The shares lie within four standard errors of the exact ones, plus the rounding of the table.
    fn check(count: u64, exact: [f64; 7], table_rounding: f64) {
        let sampled = shares(count, 0.99, 42);
        for (slot, (got, want)) in sampled.into_iter().zip(exact).enumerate() {
            let error = (want * (1.0 - want) / f64::from(DRAWS)).sqrt();
            assert!(
                (got - want).abs() < 4.0 * error + table_rounding,
                "n={count} share {slot}: {got} instead of {want}"
            );
        }
    }

    #[test]
    fn shares_of_a_thousand_ranks_match_the_exact_table() {
        check(1_000, [0.12938, 0.06514, 0.3825, 0.6850, 0.3825, 0.6850, 0.7789], 0.000_05);
    }

    #[test]
    fn shares_of_a_million_ranks_match_the_exact_table() {
        check(1_000_000, [0.06497, 0.03271, 0.1921, 0.3440, 0.6643, 0.8302, 0.8809], 0.000_05);
    }

    #[test]
    fn every_rank_of_a_small_space_has_its_exact_probability() {
        for theta in [0.0, 0.5, 0.99, 1.0, 1.5, 3.0] {
            const RANKS: usize = 20;
            let weights: Vec<f64> = (1_u32..=20).map(|rank| f64::from(rank).powf(-theta)).collect();
            let total: f64 = weights.iter().sum();
            let zipf = Zipf::new(20, theta);
            let mut rng = Rng::new(9, 0);
            let mut hits = [0_u32; RANKS];
            for _ in 0..500_000 {
                hits[usize::try_from(zipf.sample(&mut rng)).unwrap() - 1] += 1;
            }
            let chi_square: f64 = hits
                .iter()
                .zip(&weights)
                .map(|(&n, weight)| {
                    let want = 500_000.0 * weight / total;
                    (f64::from(n) - want).powi(2) / want
                })
                .sum();
            // 19 degrees of freedom: 43.8 is the 0.999 quantile.
            assert!(chi_square < 43.8, "theta {theta}: chi-square {chi_square}");
        }
    }

    #[test]
    fn a_resized_space_is_the_space_of_that_size() {
        let mut resized = Zipf::new(10, 0.99);
        resized.resize(5000);
        let (mut left, mut right) = (Rng::new(5, 0), Rng::new(5, 0));
        let fresh = Zipf::new(5000, 0.99);
        assert!((0..1000).all(|_| resized.sample(&mut left) == fresh.sample(&mut right)));
    }

    #[test]
    fn one_rank_is_always_drawn() {
        let zipf = Zipf::new(1, 0.99);
        let mut rng = Rng::new(5, 0);
        assert!((0..1000).all(|_| zipf.sample(&mut rng) == 1));
    }
}
