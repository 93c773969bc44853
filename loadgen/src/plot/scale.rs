//! From figures to places on a drawing, and the ticks in between.

use crate::number::floor_u64;
use crate::progress::group_digits;

/// How an axis spreads its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Equal differences are equally long.
    Linear,
    /// Equal ratios are equally long. Figures must be above 0.
    Log,
}

/// An axis from its least to its largest figure.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    spread: Spread,
    low: f64,
    high: f64,
}

impl Scale {
    /// A scale over these figures; a linear one begins at 0. Without any figure it goes from 1 to 10.
    #[must_use]
    pub fn over(spread: Spread, figures: impl Iterator<Item = f64>) -> Self {
        let usable =
            figures.filter(|figure| figure.is_finite() && (spread == Spread::Linear || *figure > 0.0));
        let (low, high) =
            usable.fold((f64::MAX, f64::MIN), |(low, high), figure| (low.min(figure), high.max(figure)));
        match spread {
            _ if low > high => {
                Self { spread, low: if spread == Spread::Log { 1.0 } else { 0.0 }, high: 10.0 }
            }
            Spread::Linear => {
                Self { spread, low: low.min(0.0), high: if high > 0.0 { high * 1.05 } else { 1.0 } }
            }
            Spread::Log => Self { spread, low: low / 1.15, high: high * 1.15 },
        }
    }

    /// A scale with its ends given.
    #[must_use]
    pub const fn between(spread: Spread, low: f64, high: f64) -> Self {
        Self { spread, low, high }
    }

    /// Where a figure lies: 0 at the low end, 1 at the high end. `None` for what a logarithm does not have.
    #[must_use]
    pub fn place(&self, figure: f64) -> Option<f64> {
        let place = match self.spread {
            Spread::Linear => (figure - self.low) / (self.high - self.low),
            Spread::Log if figure > 0.0 => (figure / self.low).ln() / (self.high / self.low).ln(),
            Spread::Log => return None,
        };
        place.is_finite().then_some(place.clamp(0.0, 1.0))
    }

    /// About `count` round figures from one end to the other.
    #[must_use]
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        match self.spread {
            Spread::Linear => self.linear_ticks(count),
            Spread::Log => self.log_ticks(count),
        }
    }

    fn linear_ticks(&self, count: usize) -> Vec<f64> {
        let rough = (self.high - self.low) / count.max(1) as f64;
        let magnitude = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * magnitude);
        let step = steps.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(10.0 * magnitude);
        let first = (self.low / step).ceil();
        let ticks = (0..TICKS_MAX).map(|place| (first + place as f64) * step);
        ticks.take_while(|tick| *tick <= self.high * (1.0 + 1e-9)).collect()
    }

    /// Powers of ten; with 2 and 5 in between when those are few.
    fn log_ticks(&self, count: usize) -> Vec<f64> {
        let within = |factors: &[f64]| -> Vec<f64> {
            let (first, last) = (self.low.log10().floor(), self.high.log10().ceil());
            let decades = floor_u64(last - first) + 1;
            (0..decades)
                .flat_map(|decade| {
                    factors.iter().map(move |factor| factor * 10_f64.powf(first + decade as f64))
                })
                .filter(|tick| (self.low..=self.high).contains(tick))
                .collect()
        };
        let candidates = [&[1.0, 2.0, 3.0, 5.0, 7.0][..], &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
        let fitting = candidates.into_iter().map(within).find(|ticks| ticks.len() <= count + 2);
        fitting.unwrap_or_else(|| within(&[1.0]))
    }
}

const TICKS_MAX: usize = 100;

/// `1,200`, `35 k`, `1.5 M`.
#[must_use]
pub fn short(figure: f64) -> String {
    let (scaled, unit) = match figure.abs() {
        size if size >= 1e9 => (figure / 1e9, " G"),
        size if size >= 1e6 => (figure / 1e6, " M"),
        size if size >= 1e4 => (figure / 1e3, " k"),
        size if size >= 100.0 => return group_digits(floor_u64(figure.round())),
        _ => (figure, ""),
    };
    let digits = format!("{scaled:.2}");
    format!("{}{unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// A latency on an axis: `20 us`, `1.5 ms`.
#[must_use]
pub fn short_ns(ns: f64) -> String {
    let (scaled, unit) = match ns {
        size if size < 1e3 => (ns, "ns"),
        size if size < 1e6 => (ns / 1e3, "us"),
        size if size < 1e9 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    let digits = format!("{scaled:.2}");
    format!("{} {unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round_and_begin_at_zero() {
        let scale = Scale::over(Spread::Linear, [3.0, 97.0].into_iter());
        assert_eq!(scale.ticks(5), [0.0, 50.0, 100.0]);
        assert_eq!(Scale::over(Spread::Linear, [4.0].into_iter()).ticks(5), [0.0, 1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn log_ticks_are_decades_when_there_are_many() {
        let scale = Scale::between(Spread::Log, 1e3, 1e8);
        assert_eq!(scale.ticks(6).len(), 6);
        assert_eq!(Scale::between(Spread::Log, 90.0, 510.0).ticks(6), [100.0, 200.0, 300.0, 500.0]);
    }

    #[test]
    fn places_go_from_nothing_to_one_and_stay_inside() {
        let scale = Scale::between(Spread::Log, 10.0, 1000.0);
        assert!((scale.place(100.0).unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(scale.place(0.0), None);
        assert_eq!(scale.place(1e9), Some(1.0));
        assert_eq!(Scale::over(Spread::Log, std::iter::empty()).place(1.0), Some(0.0));
    }

    #[test]
    fn figures_are_short() {
        for (figure, text) in
            [(0.0, "0"), (0.5, "0.5"), (1234.0, "1,234"), (35_000.0, "35 k"), (1.5e6, "1.5 M")]
        {
            assert_eq!(short(figure), text);
        }
        assert_eq!((short_ns(20_000.0).as_str(), short_ns(1.5e6).as_str()), ("20 us", "1.5 ms"));
    }
}
