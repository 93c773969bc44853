//! How the start times of an open loop are spaced, as users and reports write it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::BURST_MAX;

/// How start times are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Arrival {
    /// Evenly, as a metronome.
    Constant,
    /// As independent users: exponential gaps of the same mean.
    Poisson,
    /// So many at once over all workers, and then a gap of as many periods. At least 2.
    Burst(u32),
}

impl FromStr for Arrival {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("burst:").and_then(|size| size.parse().ok())) {
            ("constant", _) => Ok(Self::Constant),
            ("poisson", _) => Ok(Self::Poisson),
            (_, Some(size)) if (2..=BURST_MAX).contains(&size) => Ok(Self::Burst(size)),
            _ => Err(format!("expected constant, poisson or burst:N with N from 2 to {BURST_MAX}")),
        }
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => formatter.write_str("constant"),
            Self::Poisson => formatter.write_str("poisson"),
            Self::Burst(size) => write!(formatter, "burst:{size}"),
        }
    }
}

impl TryFrom<String> for Arrival {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Arrival> for String {
    fn from(arrival: Arrival) -> Self {
        arrival.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_read_back_on_the_command_line_and_in_json() {
        for arrival in [Arrival::Constant, Arrival::Poisson, Arrival::Burst(20)] {
            assert_eq!(arrival.to_string().parse(), Ok(arrival));
            let json = serde_json::to_value(arrival).unwrap();
            assert_eq!(json, arrival.to_string());
            assert_eq!(serde_json::from_value::<Arrival>(json).unwrap(), arrival);
        }
        for wrong in ["burst", "burst:1", "burst:0", "burst:99999999", "even"] {
            assert!(wrong.parse::<Arrival>().unwrap_err().contains("burst:N"), "{wrong}");
        }
    }
}
