//! Several questions asked of one comparison: the more are asked, the likelier one answer is wrong by chance. Holm's
//! step-down correction (Scand. J. Statist. 1979, with weights as in its section 3) keeps the chance of any false alarm
//! below the level, whatever the questions have to do with each other. A question of more weight spends more of the
//! level; once it is answered, the others share what it had.

/// Corrected p of each p, in the order given. Weights are above 0; only their proportions count.
///
/// # Panics
/// When there are not as many weights as values, or a weight is not above 0.
#[must_use]
pub fn holm(ps: &[f64], weights: &[f64]) -> Vec<f64> {
    assert_eq!(ps.len(), weights.len(), "each p has a weight");
    assert!(weights.iter().all(|weight| *weight > 0.0), "weights are above 0: {weights:?}");
    let mut order: Vec<usize> = (0..ps.len()).collect();
    let weighted = |place: usize| ps[place] / weights[place];
    order.sort_by(|&left, &right| weighted(left).total_cmp(&weighted(right)));
    let mut corrected = vec![1.0; ps.len()];
    let mut highest: f64 = 0.0;
    for (step, &place) in order.iter().enumerate() {
        let remaining: f64 = order[step..].iter().map(|&other| weights[other]).sum();
        highest = highest.max(weighted(place) * remaining).min(1.0);
        corrected[place] = highest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ps: &[f64], weights: &[f64], want: &[f64]) {
        let corrected = holm(ps, weights);
        for (got, want) in corrected.iter().zip(want) {
            assert!((got - want).abs() < 1e-12, "{corrected:?}");
        }
    }

    #[test]
    fn the_smallest_is_multiplied_most_and_order_is_kept() {
        check(&[0.01, 0.04, 0.03, 0.005], &[1.0; 4], &[0.03, 0.06, 0.06, 0.02]);
        check(&[0.7, 0.9], &[2.0, 2.0], &[1.0, 1.0]);
        assert!(holm(&[], &[]).is_empty());
    }

    #[test]
    fn a_question_of_more_weight_is_corrected_less_and_leaves_its_share_to_the_others() {
        // The first has half of the level, and when it is answered the other two share all of it.
        check(&[0.02, 0.02, 0.5], &[2.0, 1.0, 1.0], &[0.04, 0.04, 0.5]);
        // An unanswered question of weight keeps its share.
        check(&[0.9, 0.01, 0.5], &[2.0, 1.0, 1.0], &[1.0, 0.04, 1.0]);
    }
}
