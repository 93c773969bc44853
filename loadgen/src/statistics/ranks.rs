//! Ranks of numbers, doubled so that the mean rank of equal numbers is whole.

/// Twice the rank of each value, in the order given; equal values share the mean of their ranks. The sum over `n`
/// values is always `n * (n + 1)`.
///
/// # Panics
/// When a value is not a number.
#[must_use]
pub fn doubled_ranks(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&left, &right| values[left].partial_cmp(&values[right]).expect("figures are numbers"));
    let mut ranks = vec![0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let same = |place: &&usize| values[**place] <= values[order[first]];
        let end = first + order[first..].iter().take_while(same).count();
        for &place in &order[first..end] {
            // Ranks first+1 to end; twice their mean.
            ranks[place] = first + 1 + end;
        }
        first = end;
    }
    ranks
}

/// The number of ways to choose `count` of `ranks` for each sum they can have.
///
/// Floats hold the counts: beyond 2^53 they lose the last digits, which no probability shows.
#[must_use]
pub fn ways_by_sum_of_chosen(ranks: &[usize], count: usize) -> Vec<f64> {
    let mut largest = ranks.to_vec();
    largest.sort_unstable_by(|left, right| right.cmp(left));
    let sum_max: usize = largest.iter().take(count).sum();
    let mut ways = vec![vec![0.0; sum_max + 1]; count + 1];
    ways[0][0] = 1.0;
    for &rank in ranks {
        for chosen in (1..=count).rev() {
            let (fewer, more) = ways.split_at_mut(chosen);
            // A rank above the largest sum is in none.
            let to = more[0].get_mut(rank..).unwrap_or_default();
            for (to, from) in to.iter_mut().zip(&fewer[chosen - 1]) {
                *to += from;
            }
        }
    }
    ways.pop().expect("count + 1 rows")
}

/// The number of subsets of `ranks`, of any size, for each sum they can have.
#[must_use]
pub fn ways_by_sum_of_any(ranks: &[usize]) -> Vec<f64> {
    let sum_max: usize = ranks.iter().sum();
    let mut ways = vec![0.0; sum_max + 1];
    ways[0] = 1.0;
    for &rank in ranks {
        for sum in (rank..=sum_max).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    ways
}

/// The share of all ways whose sum is at least as far from `mean_doubled / 2` as `observed` is.
#[must_use]
pub fn two_sided(ways: &[f64], observed: usize, mean_doubled: usize) -> f64 {
    let distance = |sum: usize| (2 * sum).abs_diff(mean_doubled);
    let far = distance(observed);
    let all: f64 = ways.iter().sum();
    let extreme: f64 =
        ways.iter().enumerate().filter(|(sum, _)| distance(*sum) >= far).map(|(_, count)| count).sum();
    (extreme / all).min(1.0)
}

/// The largest `k` such that sums below `k` together have at most `share` of all ways: where a confidence interval is
/// cut off. 0 when there is no such sum.
#[must_use]
pub fn cut(ways: &[f64], share: f64) -> usize {
    let all: f64 = ways.iter().sum();
    let mut below = 0.0;
    for (sum, count) in ways.iter().enumerate() {
        below += count;
        if below / all > share {
            return sum;
        }
    }
    ways.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_values_share_their_mean_rank() {
        assert_eq!(doubled_ranks(&[30.0, 10.0, 20.0]), [6, 2, 4]);
        assert_eq!(doubled_ranks(&[5.0, 5.0, 1.0, 9.0]), [5, 5, 2, 8]);
        assert_eq!(doubled_ranks(&[]), [0_usize; 0]);
    }

    proptest! {
        #[test]
        fn doubled_ranks_sum_to_a_known_number(values in prop::collection::vec(0..9_i32, 0..30)) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let count = values.len();
            prop_assert_eq!(doubled_ranks(&values).iter().sum::<usize>(), count * (count + 1));
        }

        #[test]
        fn every_choice_is_counted_once(ranks in prop::collection::vec(1..9_usize, 0..10), count in 0..5_usize) {
            let mut by_hand = vec![0.0; ranks.iter().sum::<usize>() + 1];
            for mask in 0..1_u32 << ranks.len() {
                if mask.count_ones() as usize == count {
                    let sum: usize =
                        ranks.iter().enumerate().filter(|(place, _)| mask >> place & 1 == 1).map(|(_, rank)| rank).sum();
                    by_hand[sum] += 1.0;
                }
            }
            let mut ways = ways_by_sum_of_chosen(&ranks, count.min(ranks.len()));
            ways.resize(by_hand.len(), 0.0);
            if count <= ranks.len() {
                prop_assert_eq!(ways, by_hand);
            }
        }
    }
}
