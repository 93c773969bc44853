//! Two independent groups: the rank-sum test of Wilcoxon (1945) and of Mann and Whitney (1947), exact also with equal
//! values: the distribution is that of the ranks at hand over all ways to deal them out.

use super::estimate::{Estimate, interval, median, sort};
use super::ranks::{cut, doubled_ranks, two_sided, ways_by_sum_of_chosen};

/// Compares two groups; the interval has at least the level `1 - alpha`.
///
/// # Panics
/// When a group is empty or a value is not a number.
#[must_use]
pub fn rank_sum(first: &[f64], second: &[f64], alpha: f64) -> Estimate {
    assert!(!first.is_empty() && !second.is_empty());
    let together: Vec<f64> = first.iter().chain(second).copied().collect();
    let ranks = doubled_ranks(&together);
    let observed: usize = ranks[..first.len()].iter().sum();
    let ways = ways_by_sum_of_chosen(&ranks, first.len());
    let mean_doubled = 2 * first.len() * (together.len() + 1);
    let p = two_sided(&ways, observed, mean_doubled);
    let mut differences: Vec<f64> =
        first.iter().flat_map(|from| second.iter().map(move |to| to - from)).collect();
    sort(&mut differences);
    Estimate {
        p,
        shift: median(&differences),
        interval: interval(&differences, cut_of(first.len(), second.len(), alpha)),
    }
}

/// The least p that groups of these sizes can reach: both orders in which one group lies wholly beyond the other.
#[must_use]
pub fn least_p(first: usize, second: usize) -> f64 {
    let mut ways = 1.0;
    for step in 1..=first.min(second) {
        ways *= (first + second + 1 - step) as f64 / step as f64;
    }
    (2.0 / ways).min(1.0)
}

/// How many of the sorted pairwise differences lie outside the interval at each end.
fn cut_of(first: usize, second: usize, alpha: f64) -> usize {
    let ranks: Vec<usize> = (1..=first + second).collect();
    let ways = ways_by_sum_of_chosen(&ranks, first);
    // Sums begin at 1 + 2 + ... + first; from there on they count pairs (Mann and Whitney's U).
    let least = first * (first + 1) / 2;
    cut(&ways[least..], alpha / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() < 5e-5, "{got} instead of {want}");
    }

    #[test]
    fn separated_groups_have_the_published_least_p() {
        for (count, p) in [(3, 0.1), (4, 0.028_571), (5, 0.007_937), (6, 0.002_165)] {
            let first: Vec<f64> = (0..count).map(f64::from).collect();
            let second: Vec<f64> = first.iter().map(|value| value + 100.0).collect();
            close(rank_sum(&first, &second, 0.05).p, p);
            let size = first.len();
            close(least_p(size, size), p);
        }
    }

    #[test]
    fn published_example_with_its_critical_value() {
        // Tables of U for 5 and 5 at 0.05, two-sided: 2 is significant (p 0.032), 3 is not (0.056).
        let first = [1.0, 2.0, 3.0, 4.0, 7.0];
        close(rank_sum(&first, &[5.0, 6.0, 8.0, 9.0, 10.0], 0.05).p, 0.031_746);
        let first = [1.0, 2.0, 3.0, 4.0, 8.0];
        close(rank_sum(&first, &[5.0, 6.0, 7.0, 9.0, 10.0], 0.05).p, 0.055_556);
    }

    #[test]
    fn equal_groups_have_p_one_and_no_shift() {
        let estimate = rank_sum(&[1.0, 1.0, 1.0, 1.0], &[1.0, 1.0, 1.0, 1.0], 0.05);
        close(estimate.p, 1.0);
        assert_eq!(estimate.interval, Some((0.0, 0.0)));
    }

    #[test]
    fn ties_are_counted_as_dealt() {
        // Ranks 1, 2.5, 2.5, 4: of 6 deals two are as far from the mean as {1, 2.5}: that one twice, {2.5, 4} twice.
        close(rank_sum(&[1.0, 2.0], &[2.0, 3.0], 0.05).p, 4.0 / 6.0);
    }

    #[test]
    fn the_interval_holds_the_shift_and_excludes_zero_exactly_when_p_is_small() {
        let first = [10.0, 11.0, 12.0, 13.0, 14.0, 15.0];
        for step in 0..40 {
            let by = f64::from(step) * 0.5 + 0.25;
            let second: Vec<f64> = first.iter().map(|value| value + by).collect();
            let estimate = rank_sum(&first, &second, 0.05);
            let (low, high) = estimate.interval.unwrap();
            assert!(low <= by && by <= high && (estimate.shift - by).abs() < 1e-9);
            assert_eq!(low > 0.0, estimate.p <= 0.05, "shift {by}: p {}, from {low}", estimate.p);
        }
    }

    #[test]
    fn too_few_runs_have_no_interval() {
        assert_eq!(rank_sum(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], 0.05).interval, None);
        assert!(rank_sum(&[1.0, 2.0, 3.0, 3.5], &[4.0, 5.0, 6.0, 7.0], 0.05).interval.is_some());
    }
}
