//! Medians, and the order in which two sides take turns.

/// The median; `None` of nothing.
#[must_use]
pub fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(sorted[middle - 1], upper)) }
}

/// Turns of two sides, each `repeats` times, as ABBA: a drift of the machine meets both alike.
#[must_use]
pub fn turns(repeats: usize) -> Vec<usize> {
    [0, 1, 1, 0].into_iter().cycle().take(repeats * 2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_middles() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn both_sides_take_as_many_turns() {
        assert_eq!(turns(3), [0, 1, 1, 0, 0, 1]);
        for repeats in 1..6 {
            assert_eq!(turns(repeats).iter().sum::<usize>(), repeats);
        }
    }
}
