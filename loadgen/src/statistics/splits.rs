//! Random splits of runs that are all alike: what they show is noise, so they give the noise floor and prove the tests.

use crate::rng::Rng;

/// Two disjoint random groups of `size` of the places below `count`; the same seed gives the same groups.
///
/// # Panics
/// When there are fewer than two groups' worth of places.
#[must_use]
pub fn split(count: usize, size: usize, rng: &mut Rng) -> (Vec<usize>, Vec<usize>) {
    assert!(2 * size <= count, "{count} places do not hold two groups of {size}");
    let mut places: Vec<usize> = (0..count).collect();
    // The first part of a Fisher-Yates shuffle.
    for place in 0..2 * size {
        let left = (count - place) as u64;
        let other = place + crate::number::index(rng.below(left));
        places.swap(place, other);
    }
    (places[..size].to_vec(), places[size..2 * size].to_vec())
}

/// The values at these places.
#[must_use]
pub fn pick(values: &[f64], places: &[usize]) -> Vec<f64> {
    places.iter().map(|&place| values[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_disjoint_and_every_place_is_equally_likely() {
        let mut rng = Rng::new(7, 0);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            let (left, right) = split(10, 3, &mut rng);
            assert!(left.iter().all(|place| !right.contains(place)));
            left.iter().for_each(|&place| seen[place] += 1);
        }
        // 3,000 each; five standard deviations are 230.
        assert!(seen.iter().all(|&count| count.abs_diff(3000) < 230), "{seen:?}");
    }
}
