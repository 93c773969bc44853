//! Several questions asked of one comparison: the more are asked, the likelier one answer is wrong by chance. Holm's
//! step-down correction (Scand. J. Statist. 1979) keeps the chance of any false alarm below the level, whatever the
//! questions have to do with each other.

/// Corrected p of each p, in the order given.
#[must_use]
pub fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|&left, &right| ps[left].total_cmp(&ps[right]));
    let mut corrected = vec![1.0; ps.len()];
    let mut highest: f64 = 0.0;
    for (step, &place) in order.iter().enumerate() {
        highest = highest.max(ps[place] * (ps.len() - step) as f64).min(1.0);
        corrected[place] = highest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_is_multiplied_most_and_order_is_kept() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (got, want) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((got - want).abs() < 1e-12, "{corrected:?}");
        }
        assert_eq!(holm(&[0.7, 0.9]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
