//! The zipfian generator of YCSB as published, and its hash: for figures that must be comparable with YCSB's.
//!
//! Ranks follow the approximation of Gray et al. ("Quickly generating billion-record synthetic databases",
//! SIGMOD 1994). It draws the ten hottest ranks about a hundredth too often; `zipf.rs` is exact. YCSB scatters
//! ranks by a hash that is no bijection, drawn over ten billion items whatever the number of keys: keys collide,
//! and the skew is flatter than that of a zipf distribution over the keys.

use crate::number::floor_u64;
use crate::rng::Rng;
use crate::zeta::zeta;

/// Draws ranks from 0, the hottest.
#[derive(Clone, Debug)]
pub struct YcsbZipfian {
    count: u64,
    theta: f64,
    zeta_n: f64,
    eta: f64,
}

/// The exponent of YCSB.
pub const YCSB_THETA: f64 = 0.99;
/// Items that YCSB's scrambled generator draws over.
pub const YCSB_SCRAMBLED_ITEMS: u64 = 10_000_000_000;

impl YcsbZipfian {
    /// Ranks below `count`.
    ///
    /// # Panics
    /// When `count` is 0, or `theta` is not from 0 up to, but without, 1: the formula has no other range.
    #[must_use]
    pub fn new(count: u64, theta: f64) -> Self {
        assert!(count > 0, "a distribution needs at least one rank");
        assert!((0.0..1.0).contains(&theta), "the approximation holds below 1");
        let zeta_n = zeta(count, theta);
        let eta = (1.0 - (2.0 / count as f64).powf(1.0 - theta)) / (1.0 - zeta(2, theta) / zeta_n);
        Self { count, theta, zeta_n, eta }
    }

    /// Number of ranks.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// A rank below the count.
    pub fn sample(&self, rng: &mut Rng) -> u64 {
        let unit = rng.unit();
        let scaled = unit * self.zeta_n;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(self.theta) {
            return 1.min(self.count - 1);
        }
        let alpha = 1.0 / (1.0 - self.theta);
        let rank = self.count as f64 * (self.eta * unit - self.eta + 1.0).powf(alpha);
        floor_u64(rank).min(self.count - 1)
    }
}

/// YCSB's 64-bit FNV-1a over the eight octets, low first, made positive as Java's `Math.abs` does.
#[must_use]
pub fn ycsb_hash(number: u64) -> u64 {
    let hash = number.to_le_bytes().into_iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(1_099_511_628_211)
    });
    hash.cast_signed().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_ycsb() {
        for (number, hash) in [
            (0, 6_284_781_860_667_377_211),
            (1, 8_517_097_267_634_966_620),
            (2, 1_820_151_046_732_198_393),
            (3, 4_052_466_453_699_787_802),
            (4, 3_232_700_585_171_816_769),
        ] {
            assert_eq!(ycsb_hash(number), hash, "{number}");
        }
    }

    /// The shares of the ranks below `top` lie within four standard errors of those of the formula.
    fn check(count: u64, tops: &[(u64, f64)]) {
        const DRAWS: u32 = 1_000_000;
        let zipfian = YcsbZipfian::new(count, YCSB_THETA);
        let mut rng = Rng::new(42, 0);
        let ranks: Vec<u64> = (0..DRAWS).map(|_| zipfian.sample(&mut rng)).collect();
        for &(top, want) in tops {
            let got = ranks.iter().filter(|&&rank| rank < top).count() as f64 / f64::from(DRAWS);
            let error = (want * (1.0 - want) / f64::from(DRAWS)).sqrt();
            assert!(
                (got - want).abs() < 4.0 * error + 0.000_06,
                "n={count} top {top}: {got} instead of {want}"
            );
        }
    }

    #[test]
    fn shares_are_those_of_the_published_formula_bias_included() {
        check(1_000, &[(1, 0.12938), (10, 0.3983), (100, 0.6957), (200, 0.7866)]);
        check(1_000_000, &[(1, 0.06497), (10, 0.2021), (100, 0.3544), (10_000, 0.6698)]);
        check(YCSB_SCRAMBLED_ITEMS, &[(1, 0.03778), (2, 0.05680)]);
    }

    #[test]
    fn one_and_two_ranks_are_drawn_within_bounds() {
        let mut rng = Rng::new(1, 0);
        for count in [1, 2, 3] {
            let zipfian = YcsbZipfian::new(count, YCSB_THETA);
            assert!((0..1000).all(|_| zipfian.sample(&mut rng) < count), "{count}");
        }
    }
}
