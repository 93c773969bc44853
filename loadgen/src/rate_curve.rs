//! A rate over time: one number, a ramp, or steps; known before the run, so that every start time is.
//!
//! The curve is a list of pieces of linearly changing rate. Its integral counts starts; start `i` lies where the
//! integral reaches `i`. With exponential steps of the count this gives a Poisson process of that changing rate.

use std::fmt;

/// A rate over time. After its last piece the last rate goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct RateCurve {
    pieces: Vec<Piece>,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    start_s: f64,
    /// Starts before this piece.
    count_before: f64,
    rate: f64,
    /// Change of the rate per second.
    slope: f64,
    length_s: f64,
}

impl Piece {
    fn rate_at_end(&self) -> f64 {
        self.slope.mul_add(self.length_s, self.rate)
    }

    fn count(&self) -> f64 {
        f64::midpoint(self.rate, self.rate_at_end()) * self.length_s
    }
}

impl RateCurve {
    /// Always the same rate, in starts per second.
    ///
    /// # Panics
    /// When the rate is not positive.
    #[must_use]
    pub fn constant(rate: f64) -> Self {
        Self::of(&[(rate, rate, f64::INFINITY)], format!("{rate}"))
    }

    /// `first` until `lead_s`, then changing evenly to `last` over `length_s`.
    #[must_use]
    pub fn ramp(first: f64, last: f64, lead_s: f64, length_s: f64) -> Self {
        Self::of(&[(first, first, lead_s), (first, last, length_s)], format!("{first}..{last}"))
    }

    /// Rates one after the other, each for `step_s`; the first one for `lead_s` more.
    #[must_use]
    pub fn steps(rates: &[f64], step_s: f64, lead_s: f64) -> Self {
        let list: Vec<String> = rates.iter().map(f64::to_string).collect();
        let pieces: Vec<(f64, f64, f64)> = rates
            .iter()
            .enumerate()
            .map(|(place, &rate)| (rate, rate, if place == 0 { lead_s + step_s } else { step_s }))
            .collect();
        Self::of(&pieces, format!("{} for {step_s} s each", list.join(", ")))
    }

    fn of(parts: &[(f64, f64, f64)], text: String) -> Self {
        let (mut start_s, mut count_before) = (0.0, 0.0);
        let mut pieces = Vec::new();
        for &(first, last, length_s) in parts {
            assert!(first > 0.0 && last > 0.0 && first.is_finite() && last.is_finite(), "rates are positive");
            if length_s > 0.0 {
                let slope = if length_s.is_finite() { (last - first) / length_s } else { 0.0 };
                let piece = Piece { start_s, count_before, rate: first, slope, length_s };
                pieces.push(piece);
                start_s += length_s;
                count_before += piece.count();
            }
        }
        assert!(!pieces.is_empty(), "a curve has a length");
        Self { pieces, text }
    }

    /// The rate when there is only one.
    #[must_use]
    pub fn single(&self) -> Option<f64> {
        let first = self.pieces[0].rate;
        let is_single =
            self.pieces.iter().all(|piece| same(piece.rate, first) && same(piece.rate_at_end(), first));
        (is_single || self.pieces[0].length_s.is_infinite()).then_some(first)
    }

    /// The highest rate.
    #[must_use]
    pub fn peak(&self) -> f64 {
        let rates = self
            .pieces
            .iter()
            .flat_map(|piece| [piece.rate, if piece.slope > 0.0 { piece.rate_at_end() } else { piece.rate }]);
        rates.fold(0.0, f64::max)
    }

    /// Seconds that `count` starts take from `lead_s` on, until which the first rate holds.
    #[must_use]
    pub fn span_s(&self, lead_s: f64, count: f64) -> f64 {
        let before = self.pieces[0].rate * lead_s;
        self.time_of(before + count, &mut 0) - lead_s
    }

    /// Seconds from the origin at which the integral of the rate reaches `count`. `hint` is the piece of an earlier,
    /// smaller count, and is moved on.
    #[must_use]
    pub fn time_of(&self, count: f64, hint: &mut usize) -> f64 {
        while *hint + 1 < self.pieces.len() && self.pieces[*hint + 1].count_before <= count {
            *hint += 1;
        }
        let piece = &self.pieces[*hint];
        let inside = count - piece.count_before;
        let is_last = *hint + 1 == self.pieces.len();
        if is_last && piece.length_s.is_finite() && inside > piece.count() {
            return piece.start_s + piece.length_s + (inside - piece.count()) / piece.rate_at_end();
        }
        // rate * t + slope * t^2 / 2 = inside, in the form that is exact for small slopes.
        let root = (piece.rate * piece.rate + 2.0 * piece.slope * inside).max(0.0).sqrt();
        piece.start_s + 2.0 * inside / (piece.rate + root)
    }
}

fn same(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * left.abs()
}

impl fmt::Display for RateCurve {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    fn times(curve: &RateCurve, counts: &[f64]) -> Vec<f64> {
        let mut hint = 0;
        counts.iter().map(|&count| curve.time_of(count, &mut hint)).collect()
    }

    fn check(curve: &RateCurve, counts: &[f64], expected: &[f64]) {
        for (got, want) in times(curve, counts).iter().zip(expected) {
            assert!((got - want).abs() < 1e-9, "{curve}: {got} instead of {want}");
        }
    }

    #[test]
    fn start_times_are_those_of_the_integral() {
        check(&RateCurve::constant(100.0), &[0.0, 1.0, 250.0], &[0.0, 0.01, 2.5]);
        // 100/s for a second, then up to 300/s over two: 400 more, of which 150 in the first one.
        let ramp = RateCurve::ramp(100.0, 300.0, 1.0, 2.0);
        check(&ramp, &[100.0, 250.0, 500.0, 800.0], &[1.0, 2.0, 3.0, 4.0]);
        let steps = RateCurve::steps(&[10.0, 20.0], 1.0, 2.0);
        check(&steps, &[30.0, 40.0, 50.0, 70.0], &[3.0, 3.5, 4.0, 5.0]);
        check(&RateCurve::ramp(300.0, 100.0, 0.0, 2.0), &[400.0, 500.0], &[2.0, 3.0]);
    }

    #[test]
    fn a_number_of_starts_spans_the_time_of_its_rates() {
        let check = |curve: &RateCurve, lead_s: f64, count: f64, want: f64| {
            let got = curve.span_s(lead_s, count);
            assert!((got - want).abs() < 1e-9, "{curve}: {got} instead of {want}");
        };
        check(&RateCurve::constant(100.0), 0.0, 250.0, 2.5);
        check(&RateCurve::constant(100.0), 3.0, 250.0, 2.5);
        // 10/s for a second after the lead, then 20/s.
        check(&RateCurve::steps(&[10.0, 20.0], 1.0, 2.0), 2.0, 30.0, 2.0);
    }

    #[test]
    fn a_curve_of_one_rate_says_so() {
        assert_eq!(RateCurve::constant(5.0).single(), Some(5.0));
        assert_eq!(RateCurve::ramp(1.0, 9.0, 0.0, 1.0).single(), None);
        assert!((RateCurve::ramp(1.0, 9.0, 0.0, 1.0).peak() - 9.0).abs() < 1e-9);
        assert!((RateCurve::steps(&[3.0, 7.0, 5.0], 1.0, 0.0).peak() - 7.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn times_never_go_back(first in 1.0_f64..1e6, last in 1.0_f64..1e6, lead in 0.0_f64..3.0, length in 0.1_f64..10.0) {
            let curve = RateCurve::ramp(first, last, lead, length);
            let mut hint = 0;
            let mut before = 0.0;
            for place in 0..1000 {
                let time = curve.time_of(f64::from(place) * (first + last) * (lead + length) / 1000.0, &mut hint);
                prop_assert!(time >= before - 1e-9);
                before = time;
            }
        }
    }
}
