//! How often something of known probability happens in a number of tries.

/// The central range of counts that holds at least `level` of the probability: at most `(1 - level) / 2` lies below
/// and above it.
///
/// # Panics
/// When `probability` or `level` is not strictly between 0 and 1.
#[must_use]
pub fn central_range(tries: u32, probability: f64, level: f64) -> (u32, u32) {
    assert!(probability > 0.0 && probability < 1.0 && level > 0.0 && level < 1.0);
    let tail = (1.0 - level) / 2.0;
    let masses = masses(tries, probability);
    let outside = |masses: &mut dyn Iterator<Item = &f64>| {
        let mut sum = 0.0;
        let inside = masses.take_while(|mass| {
            sum += **mass;
            sum <= tail
        });
        u32::try_from(inside.count()).expect("no more counts than tries")
    };
    (outside(&mut masses.iter()), tries - outside(&mut masses.iter().rev()))
}

/// Probability of each count, from logarithms, so that nothing underflows on the way.
fn masses(tries: u32, probability: f64) -> Vec<f64> {
    let mut log = f64::from(tries) * (1.0 - probability).ln();
    let odds = probability.ln() - (1.0 - probability).ln();
    let mut masses = vec![log.exp()];
    for count in 1..=tries {
        log += (f64::from(tries - count + 1) / f64::from(count)).ln() + odds;
        masses.push(log.exp());
    }
    masses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masses_sum_to_one() {
        for (tries, probability) in [(1, 0.5), (20, 0.9), (1000, 0.05), (10_000, 0.5)] {
            let sum: f64 = masses(tries, probability).iter().sum();
            assert!((sum - 1.0).abs() < 1e-9, "{tries} {probability}: {sum}");
        }
    }

    #[test]
    fn ranges_are_those_of_small_cases_counted_by_hand() {
        // Four coins: 1, 4, 6, 4, 1 of 16.
        assert_eq!(central_range(4, 0.5, 0.87), (1, 3));
        assert_eq!(central_range(4, 0.5, 0.95), (0, 4));
        // 1000 tries at 5 %: about 50 and 2.58 times 6.9 either way.
        assert_eq!(central_range(1000, 0.05, 0.99), (33, 69));
    }
}
