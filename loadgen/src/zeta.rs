//! The generalised harmonic number: the sum of i^-theta for i from 1 to n, in constant time.
//!
//! The first thousand terms are added; the rest is the Euler-Maclaurin formula, whose error there is below 1e-12.

/// Sum of `i^-theta` over `1..=count`.
///
/// # Panics
/// When `theta` is negative or not finite.
#[must_use]
pub fn zeta(count: u64, theta: f64) -> f64 {
    assert!(theta.is_finite() && theta >= 0.0);
    let head = (1..=count.min(TERMS)).map(|rank| (rank as f64).powf(-theta)).sum::<f64>();
    if count <= TERMS {
        return head;
    }
    let (first, last) = (TERMS as f64, count as f64);
    let density = |x: f64| x.powf(-theta);
    let integral =
        |x: f64| if (theta - 1.0).abs() < 1e-12 { x.ln() } else { x.powf(1.0 - theta) / (1.0 - theta) };
    let slope = |x: f64| -theta * x.powf(-theta - 1.0);
    let third = |x: f64| -theta * (theta + 1.0) * (theta + 2.0) * x.powf(-theta - 3.0);
    let difference = |of: &dyn Fn(f64) -> f64| of(last) - of(first);
    head + difference(&integral) + difference(&density) / 2.0 + difference(&slope) / 12.0
        - difference(&third) / 720.0
}

const TERMS: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_computed_table() {
        for (count, sum) in [
            (1_000, 7.728_953),
            (10_000, 10.224_361),
            (100_000, 12.778_338),
            (1_000_000, 15.391_850),
            (10_000_000, 18.066_243),
            (100_000_000, 20.802_930),
            // The constant in the published generator, for ten billion items.
            (10_000_000_000, 26.469_028_2),
        ] {
            assert!((zeta(count, 0.99) - sum).abs() < 6e-7, "{count}: {}", zeta(count, 0.99));
        }
    }

    #[test]
    fn the_formula_goes_on_where_the_terms_end() {
        for theta in [0.0, 0.5, 0.99, 1.0, 1.5] {
            let added: f64 = (1..=5000_u32).map(|rank| f64::from(rank).powf(-theta)).sum();
            assert!((zeta(5000, theta) / added - 1.0).abs() < 1e-12, "theta {theta}");
        }
    }
}
