//! Limits on latency, as `p99<1ms`: what a rate must keep to count as held.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cli_values::parse_duration;
use crate::latency::{LatencySummary, format_ns};

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// What is limited.
    pub figure: SloFigure,
    /// It must stay below.
    pub limit_ns: u64,
}

/// Figures that can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "their names say it")]
pub enum SloFigure {
    Mean,
    P50,
    P75,
    P90,
    P95,
    P99,
    P99_9,
    P99_99,
    P99_999,
    Max,
}

const NAMES: [(&str, SloFigure); 12] = [
    ("mean", SloFigure::Mean),
    ("p50", SloFigure::P50),
    ("p75", SloFigure::P75),
    ("p90", SloFigure::P90),
    ("p95", SloFigure::P95),
    ("p99", SloFigure::P99),
    ("p99.9", SloFigure::P99_9),
    ("p99.99", SloFigure::P99_99),
    ("p99.999", SloFigure::P99_999),
    ("max", SloFigure::Max),
    ("p999", SloFigure::P99_9),
    ("p9999", SloFigure::P99_99),
];

impl Slo {
    /// Reads `p99<1ms`.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let usage = || {
            "expected a limit like p99<1ms; figures are mean, p50, p75, p90, p95, p99, p99.9, p99.99, p99.999, max"
                .to_owned()
        };
        let (name, limit) = text.split_once('<').ok_or_else(usage)?;
        let name = name.trim().to_ascii_lowercase();
        let (_, figure) = NAMES.iter().find(|(known, _)| *known == name).ok_or_else(usage)?;
        let limit = parse_duration(limit.trim_start_matches('=').trim())?;
        let limit_ns = u64::try_from(limit.as_nanos()).map_err(|_| usage())?;
        if limit_ns == 0 { Err(usage()) } else { Ok(Self { figure: *figure, limit_ns }) }
    }

    /// The limited figure, or nothing where too few samples give it.
    #[must_use]
    pub fn figure_of(&self, summary: &LatencySummary) -> Option<u64> {
        match self.figure {
            SloFigure::Mean => summary.mean.map(crate::number::floor_u64),
            SloFigure::P50 => summary.p50,
            SloFigure::P75 => summary.p75,
            SloFigure::P90 => summary.p90,
            SloFigure::P95 => summary.p95,
            SloFigure::P99 => summary.p99,
            SloFigure::P99_9 => summary.p99_9,
            SloFigure::P99_99 => summary.p99_99,
            SloFigure::P99_999 => summary.p99_999,
            SloFigure::Max => summary.max,
        }
    }

    /// Why the limit does not hold; nothing when it does.
    #[must_use]
    pub fn broken_by(&self, summary: &LatencySummary) -> Option<String> {
        match self.figure_of(summary) {
            Some(figure_ns) if figure_ns < self.limit_ns => None,
            Some(figure_ns) => Some(format!("{self}: it was {}", format_ns(Some(figure_ns)))),
            None => Some(format!("{self}: {} requests are too few to tell, raise --duration", summary.count)),
        }
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, figure)| *figure == self.figure).map_or("", |(name, _)| name);
        write!(formatter, "{name} < {}", format_ns(Some(self.limit_ns)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::LatencyHistogram;

    #[test]
    fn limits_are_read_and_shown() {
        let slo = Slo::parse("p99.9<=1.5ms").unwrap();
        assert_eq!((slo.figure, slo.limit_ns), (SloFigure::P99_9, 1_500_000));
        assert_eq!(slo.to_string(), "p99.9 < 1.50 ms");
        assert_eq!(Slo::parse("P999<5ms").unwrap().figure, SloFigure::P99_9);
        for wrong in ["", "p99", "p42<1ms", "p99<0", "p99<x", "p99>1ms"] {
            assert!(Slo::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_holds_below_it_only_and_too_few_samples_hold_none() {
        let mut histogram = LatencyHistogram::default();
        (0..2000).for_each(|_| histogram.record(900_000));
        let summary = histogram.summary();
        assert_eq!(Slo::parse("p99<1ms").unwrap().broken_by(&summary), None);
        assert!(Slo::parse("p99<800us").unwrap().broken_by(&summary).unwrap().contains("it was"));
        assert!(Slo::parse("p99.99<1s").unwrap().broken_by(&summary).unwrap().contains("too few"));
    }
}
