//! Pairs: the signed-rank test of Wilcoxon (1945), a sign-flip permutation test on ranks, exact also with equal values.
//! Pairs without a difference keep their rank and count for neither side (Pratt, JASA 1959).

use super::estimate::{Estimate, interval, median, sort};
use super::ranks::{cut, doubled_ranks, two_sided, ways_by_sum_of_any};

/// Judges the differences of pairs, second minus first; the interval has at least the level `1 - alpha`.
///
/// # Panics
/// When there is no pair or a value is not a number.
#[must_use]
pub fn signed_rank(differences: &[f64], alpha: f64) -> Estimate {
    assert!(!differences.is_empty());
    let sizes: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
    let ranks = doubled_ranks(&sizes);
    let of = |wanted: fn(f64) -> bool| -> Vec<usize> {
        ranks.iter().zip(differences).filter(|(_, sign)| wanted(**sign)).map(|(rank, _)| *rank).collect()
    };
    let moving = of(|sign| sign.abs() > 0.0);
    let observed: usize = of(|sign| sign > 0.0).iter().sum();
    let p = two_sided(&ways_by_sum_of_any(&moving), observed, moving.iter().sum());
    let mut averages: Vec<f64> = differences
        .iter()
        .enumerate()
        .flat_map(|(place, left)| differences[place..].iter().map(move |right| f64::midpoint(*left, *right)))
        .collect();
    sort(&mut averages);
    let ranks: Vec<usize> = (1..=differences.len()).collect();
    let outside = cut(&ways_by_sum_of_any(&ranks), alpha / 2.0);
    Estimate { p, shift: median(&averages), interval: interval(&averages, outside) }
}

/// The least p that so many pairs can reach: all differences on one side.
#[must_use]
pub fn least_p(pairs: usize) -> f64 {
    let exponent = i32::try_from(pairs).unwrap_or(i32::MAX);
    (2.0 * 0.5_f64.powi(exponent)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() < 5e-5, "{got} instead of {want}");
    }

    #[test]
    fn six_pairs_are_the_fewest_that_reach_five_percent() {
        for (pairs, p) in [(5_usize, 0.0625), (6, 0.031_25), (8, 0.007_812_5)] {
            let differences: Vec<f64> = (1..=pairs).map(|place| place as f64).collect();
            close(signed_rank(&differences, 0.05).p, p);
            close(least_p(pairs), p);
        }
    }

    #[test]
    fn published_example_with_its_critical_value() {
        // Tables of W for 8 pairs at 0.05, two-sided: 3 is significant (p 0.039), 4 is not (0.055).
        let check = |negative: &[usize], p: f64| {
            let differences: Vec<f64> = (1..=8_usize)
                .map(|rank| if negative.contains(&rank) { -(rank as f64) } else { rank as f64 })
                .collect();
            close(signed_rank(&differences, 0.05).p, p);
        };
        check(&[3], 0.039_062_5);
        check(&[1, 3], 0.054_687_5);
    }

    #[test]
    fn pairs_without_a_difference_count_for_neither_side() {
        close(signed_rank(&[0.0; 8], 0.05).p, 1.0);
        close(signed_rank(&[0.0, 1.0, 1.0, 1.0], 0.05).p, 0.25);
    }

    #[test]
    fn the_interval_of_six_pairs_reaches_over_all_of_them() {
        let estimate = signed_rank(&[1.0, 2.0, 3.0, 4.0, 5.0, 9.0], 0.05);
        assert_eq!(estimate.interval, Some((1.0, 9.0)));
        assert_eq!(signed_rank(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.05).interval, None);
    }
}
