//! The figures of a run that are compared: one number per run each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::latency::{LatencySummary, format_ns};
use crate::number::floor_u64;
use crate::progress::group_digits;
use crate::report::{Reason, Report};
use crate::verdict::REASONS_OF_CAPACITY;

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Successful requests per second.
    OpsS,
    /// Median latency; from the intended start in an open loop.
    P50,
    /// 99th percentile.
    P99,
    /// 99.9th percentile.
    #[serde(rename = "p99_9")]
    P999,
    /// CPU time of the server per request.
    ServerCpu,
    /// CPU time of the generator per request.
    ClientCpu,
    /// Resident memory of the server after the run.
    Rss,
}

impl Metric {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 7] =
        [Self::OpsS, Self::P50, Self::P99, Self::P999, Self::ServerCpu, Self::ClientCpu, Self::Rss];
    /// Those that are judged when none is named.
    pub const DEFAULT: [Self; 4] = [Self::OpsS, Self::P50, Self::P99, Self::ServerCpu];

    /// Its name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpsS => "ops_s",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::P999 => "p99_9",
            Self::ServerCpu => "server_cpu",
            Self::ClientCpu => "client_cpu",
            Self::Rss => "rss",
        }
    }

    /// Its name for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::OpsS => "requests per second",
            Self::P50 => "latency p50",
            Self::P99 => "latency p99",
            Self::P999 => "latency p99.9",
            Self::ServerCpu => "server CPU per request",
            Self::ClientCpu => "client CPU per request",
            Self::Rss => "server memory",
        }
    }

    /// Its name above a narrow column.
    #[must_use]
    pub const fn short_title(self) -> &'static str {
        match self {
            Self::OpsS => "requests/s",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::ServerCpu => "server CPU",
            Self::ClientCpu => "client CPU",
            Self::Rss => "memory",
        }
    }

    /// Whether more is better.
    #[must_use]
    pub const fn more_is_better(self) -> bool {
        matches!(self, Self::OpsS)
    }

    /// The change that matters when the user names none, as a share.
    #[must_use]
    pub const fn default_threshold(self) -> f64 {
        match self {
            Self::OpsS | Self::ServerCpu | Self::ClientCpu | Self::Rss => 0.05,
            Self::P50 | Self::P99 => 0.10,
            Self::P999 => 0.20,
        }
    }

    /// The figure of a run; above 0. `None` when the run does not have it.
    #[must_use]
    pub fn of(self, report: &Report) -> Option<f64> {
        let result = report.result.as_ref()?;
        let latency = result.all.corrected.as_ref().unwrap_or(&result.all.service);
        let ns = |percentile: fn(&LatencySummary) -> Option<u64>| percentile(latency).map(|ns| ns as f64);
        let value = match self {
            Self::OpsS => Some(result.ops_s),
            Self::P50 => ns(|latency| latency.p50),
            Self::P99 => ns(|latency| latency.p99),
            Self::P999 => ns(|latency| latency.p99_9),
            Self::ServerCpu => report.server.cpu_us_per_op,
            Self::ClientCpu => report.client.cpu_us_per_op,
            Self::Rss => report.server.rss_bytes.map(|bytes| bytes as f64),
        };
        value.filter(|value| *value > 0.0)
    }

    /// Whether a reason against a run speaks against this figure too.
    #[must_use]
    pub fn is_hit_by(self, reason: &Reason) -> bool {
        let is_of_capacity = REASONS_OF_CAPACITY.contains(&reason.code.as_str());
        !is_of_capacity || !matches!(self, Self::ServerCpu | Self::Rss)
    }

    /// The figure for people.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::OpsS => group_digits(floor_u64(value.round())),
            Self::P50 | Self::P99 | Self::P999 => format_ns(Some(floor_u64(value.round()))),
            Self::ServerCpu | Self::ClientCpu => format!("{value:.2} us"),
            Self::Rss => format!("{:.1} MiB", value / f64::from(1 << 20)),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "rps" => Ok(Self::OpsS),
            "p999" | "p99.9" => Ok(Self::P999),
            "cpu_per_op" => Ok(Self::ServerCpu),
            _ => Self::ALL
                .into_iter()
                .find(|metric| metric.name() == text)
                .ok_or_else(|| format!("no such figure; there are {}", Self::ALL.map(Self::name).join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_on_the_command_line_and_in_json() {
        for metric in Metric::ALL {
            assert_eq!(metric.name().parse(), Ok(metric));
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
        }
        assert_eq!("p999".parse(), Ok(Metric::P999));
        assert!("p98".parse::<Metric>().unwrap_err().contains("p99_9"));
    }

    #[test]
    fn a_saturated_generator_does_not_touch_the_cpu_time_of_the_server() {
        let reason = |code: &str| Reason { code: code.to_owned(), text: String::new() };
        assert!(Metric::OpsS.is_hit_by(&reason("client_saturated")));
        assert!(!Metric::ServerCpu.is_hit_by(&reason("client_saturated")));
        assert!(Metric::ServerCpu.is_hit_by(&reason("errors")));
    }
}
