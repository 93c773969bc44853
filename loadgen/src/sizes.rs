//! Lengths of keys and values: one, an even range, or a weighted list.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::number::{floor_u64, index};

/// A distribution of lengths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sizes {
    /// Always the same.
    Fixed(usize),
    /// Every length from the first to the last is equally likely.
    Range(usize, usize),
    /// Lengths with their weights.
    Weighted(Vec<(usize, u32)>),
}

impl Sizes {
    /// Longest length.
    #[must_use]
    pub fn max(&self) -> usize {
        match self {
            Self::Fixed(length) | Self::Range(_, length) => *length,
            Self::Weighted(list) => list.iter().map(|(length, _)| *length).max().unwrap_or(0),
        }
    }

    /// Shortest length.
    #[must_use]
    pub fn min(&self) -> usize {
        match self {
            Self::Fixed(length) | Self::Range(length, _) => *length,
            Self::Weighted(list) => list.iter().map(|(length, _)| *length).min().unwrap_or(0),
        }
    }

    /// Mean length, rounded down.
    #[must_use]
    pub fn mean(&self) -> usize {
        match self {
            Self::Fixed(length) => *length,
            Self::Range(first, last) => usize::midpoint(*first, *last),
            Self::Weighted(list) => {
                let weights: f64 = list.iter().map(|(_, weight)| f64::from(*weight)).sum();
                let sum: f64 = list.iter().map(|(length, weight)| *length as f64 * f64::from(*weight)).sum();
                index(floor_u64(crate::number::ratio(sum, weights)))
            }
        }
    }

    /// The length when there is only one.
    #[must_use]
    pub fn fixed(&self) -> Option<usize> {
        (self.min() == self.max()).then(|| self.min())
    }

    /// The length that a random word chooses.
    #[must_use]
    pub fn pick(&self, word: u32) -> usize {
        match self {
            Self::Fixed(length) => *length,
            Self::Range(first, last) => {
                let span = (last - first) as u64 + 1;
                first + index((u64::from(word) * span) >> 32)
            }
            Self::Weighted(list) => {
                let weights: u64 = list.iter().map(|(_, weight)| u64::from(*weight)).sum();
                let mut left = (u64::from(word) * weights) >> 32;
                for (length, weight) in list {
                    match left.checked_sub(u64::from(*weight)) {
                        None => return *length,
                        Some(rest) => left = rest,
                    }
                }
                unreachable!("the scaled word lies below the sum of the weights")
            }
        }
    }

    /// Reads `64`, `64..1024` or `64:80,1024:20`; lengths by `parse_length`.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str, parse_length: impl Fn(&str) -> Result<usize, String>) -> Result<Self, String> {
        if let Some((first, last)) = text.split_once("..") {
            let (first, last) = (parse_length(first)?, parse_length(last.trim_start_matches('='))?);
            return if first <= last {
                Ok(Self::Range(first, last))
            } else {
                Err(format!("a range goes up: {last}..{first}"))
            };
        }
        if !text.contains(':') {
            return Ok(Self::Fixed(parse_length(text)?));
        }
        let usage = || "expected lengths with weights, like 64:80,1024:20".to_owned();
        let mut list = Vec::new();
        for part in text.split(',') {
            let (length, weight) = part.split_once(':').ok_or_else(usage)?;
            let weight = weight.trim().trim_end_matches('%').parse::<u32>().map_err(|_| usage())?;
            list.push((parse_length(length.trim())?, weight));
        }
        if list.iter().all(|(_, weight)| *weight == 0) || list.len() > LIST_MAX {
            return Err(format!("one weight must be above 0, and there are at most {LIST_MAX}"));
        }
        Ok(Self::Weighted(list))
    }
}

const LIST_MAX: usize = 64;

impl fmt::Display for Sizes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(length) => write!(formatter, "{length}"),
            Self::Range(first, last) => write!(formatter, "{first}..{last}"),
            Self::Weighted(list) => {
                for (place, (length, weight)) in list.iter().enumerate() {
                    let comma = if place > 0 { "," } else { "" };
                    write!(formatter, "{comma}{length}:{weight}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::low_u32;
    use crate::rng::Rng;

    fn parse(text: &str) -> Result<Sizes, String> {
        Sizes::parse(text, |text| text.parse().map_err(|_| "a number".to_owned()))
    }

    #[test]
    fn all_forms_are_read_and_shown_as_written() {
        for text in ["64", "64..1024", "64:80,1024:20"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("5..=5").unwrap().fixed(), Some(5));
        for wrong in ["", "x", "9..8", "64:", "64:80,9", "64:0", "64:x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bounds_and_mean_are_those_of_the_distribution() {
        let weighted = parse("64:80,1024:20").unwrap();
        assert_eq!((weighted.min(), weighted.max(), weighted.mean()), (64, 1024, 256));
        let range = parse("10..20").unwrap();
        assert_eq!((range.min(), range.max(), range.mean(), range.fixed()), (10, 20, 15, None));
        assert_eq!((range.pick(0), range.pick(u32::MAX)), (10, 20));
        assert_eq!((weighted.pick(0), weighted.pick(u32::MAX)), (64, 1024));
    }

    #[test]
    fn drawn_lengths_follow_the_weights_within_sampling_error() {
        const DRAWS: u32 = 400_000;
        for (text, shares) in [
            ("64:80,1024:20", vec![(64, 0.8), (1024, 0.2)]),
            ("1:1,2:2,3:5,4:0", vec![(1, 0.125), (2, 0.25), (3, 0.625), (4, 0.0)]),
            ("7..11", vec![(7, 0.2), (8, 0.2), (9, 0.2), (10, 0.2), (11, 0.2)]),
        ] {
            let sizes = parse(text).unwrap();
            let mut rng = Rng::new(42, 0);
            let drawn: Vec<usize> = (0..DRAWS).map(|_| sizes.pick(low_u32(rng.next_u64()))).collect();
            for (length, want) in shares {
                let got = drawn.iter().filter(|&&one| one == length).count() as f64 / f64::from(DRAWS);
                let error = (want * (1.0 - want) / f64::from(DRAWS)).sqrt();
                assert!((got - want).abs() <= 4.0 * error, "{text} at {length}: {got} instead of {want}");
            }
        }
    }
}
