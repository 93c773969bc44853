//! What a test says of two groups: how likely such a difference is by chance, and how large it is.

/// Outcome of one comparison on the scale that was given (here: logarithms, so that a shift is a ratio).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Two-sided probability of a difference at least as large when both groups are the same.
    pub p: f64,
    /// The second group minus the first (Hodges and Lehmann, Ann. Math. Stat. 1963).
    pub shift: f64,
    /// Confidence interval of the shift, found by inverting the same test. `None` when there are too few runs for the
    /// level that was asked for.
    pub interval: Option<(f64, f64)>,
}

/// The median; the mean of the two middle ones when their number is even.
///
/// # Panics
/// When there is no value or one is not a number.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    assert!(!values.is_empty());
    let mut sorted = values.to_vec();
    sort(&mut sorted);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// Sorts numbers.
///
/// # Panics
/// When one is not a number.
pub fn sort(values: &mut [f64]) {
    values.sort_unstable_by(|left, right| left.partial_cmp(right).expect("figures are numbers"));
}

/// Sorted candidates for a shift, with `cut` of them left out at each end.
#[must_use]
pub fn interval(sorted: &[f64], cut: usize) -> Option<(f64, f64)> {
    (cut >= 1 && 2 * cut <= sorted.len()).then(|| (sorted[cut - 1], sorted[sorted.len() - cut]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-12);
    }

    #[test]
    fn an_interval_leaves_out_the_same_number_at_both_ends() {
        let sorted = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(interval(&sorted, 1), Some((1.0, 5.0)));
        assert_eq!(interval(&sorted, 2), Some((2.0, 4.0)));
        assert_eq!(interval(&sorted, 3), None);
        assert_eq!(interval(&sorted, 0), None);
    }
}
