//! `--verify`: which share of the answers to reads is looked into. Sealed values cost their checksum when they are
//! written; looking into every answer costs it again, so that a fast run takes a sample.

use std::fmt;
use std::str::FromStr;

use crate::cli_values::parse_share;
use crate::rng::Rng;

/// The share of answers that are looked into, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VerifyShare(f64);

/// What `sample` means without a share.
const SAMPLE_DEFAULT: f64 = 0.01;

impl VerifyShare {
    /// Values are plain, answers are not looked into.
    pub const NONE: Self = Self(0.0);
    /// Every answer is looked into.
    pub const ALL: Self = Self(1.0);

    /// Whether any answer is looked into, and values carry what that needs.
    #[must_use]
    pub fn is_any(self) -> bool {
        self.0 > 0.0
    }

    /// The share.
    #[must_use]
    pub const fn share(self) -> f64 {
        self.0
    }

    /// Chooses the answers of one worker; nothing when none is looked into.
    #[must_use]
    pub fn sampler(self, seed: u64, worker: u64) -> Option<Sampler> {
        self.is_any().then(|| Sampler { share: self.0, rng: Rng::new(seed ^ SAMPLER_STREAM, worker) })
    }
}

/// Keeps the choice apart from the random numbers that make requests.
const SAMPLER_STREAM: u64 = 0x5645_5249_4659_0000;

impl FromStr for VerifyShare {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let usage = || "expected none, sample, sample:5% or all".to_owned();
        match (text, text.strip_prefix("sample:")) {
            ("none", _) => Ok(Self::NONE),
            ("all", _) => Ok(Self::ALL),
            ("sample", _) => Ok(Self(SAMPLE_DEFAULT)),
            (_, Some(share)) => {
                parse_share(share).map(Self).ok().filter(|share| share.is_any()).ok_or_else(usage)
            }
            _ => Err(usage()),
        }
    }
}

impl fmt::Display for VerifyShare {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NONE => formatter.write_str("none"),
            Self::ALL => formatter.write_str("all"),
            Self(share) => write!(formatter, "sample:{}%", 100.0 * share),
        }
    }
}

/// Says of each answer whether it is looked into.
#[derive(Clone, Debug)]
pub struct Sampler {
    share: f64,
    rng: Rng,
}

impl Sampler {
    /// Whether the next answer is.
    pub fn takes(&mut self) -> bool {
        self.share >= 1.0 || self.rng.unit() < self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_they_are_shown() {
        for text in ["none", "all", "sample:1%", "sample:50%"] {
            assert_eq!(text.parse::<VerifyShare>().unwrap().to_string(), text);
        }
        assert_eq!("sample".parse(), Ok(VerifyShare(0.01)));
        for wrong in ["some", "sample:0%", "sample:200%", "sample:", "1%"] {
            assert!(wrong.parse::<VerifyShare>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_sample_is_as_large_as_asked_for() {
        let taken = |share: &str| {
            let mut sampler = share.parse::<VerifyShare>().unwrap().sampler(1, 0).unwrap();
            (0..100_000).filter(|_| sampler.takes()).count()
        };
        assert_eq!(taken("all"), 100_000);
        // Four standard deviations: 126.
        assert!(taken("sample").abs_diff(1000) < 126);
        assert!(VerifyShare::NONE.sampler(1, 0).is_none());
    }
}
