//! Reports in the forms that other tools read.

pub mod args;
pub mod csv;
pub mod hlog;
pub mod memtier;
pub mod prometheus;

use crate::latency::LatencySummary;
use crate::report::Report;

/// Every histogram of a report by its place: operation (`GET`, ..., `all`), kind (`response` from the intended start,
/// `service` from the send, `slip`) and figures.
#[must_use]
pub fn histograms(report: &Report) -> Vec<(&str, &'static str, &LatencySummary)> {
    let Some(result) = &report.result else { return Vec::new() };
    let mut found = Vec::new();
    for (name, figures) in &result.ops_by_type {
        found.extend(
            figures.latency_ns.corrected.as_ref().map(|summary| (name.as_str(), "response", summary)),
        );
        found.push((name.as_str(), "service", &figures.latency_ns.service));
    }
    found.extend(result.all.corrected.as_ref().map(|summary| ("all", "response", summary)));
    found.push(("all", "service", &result.all.service));
    found.extend(result.all.slip.as_ref().map(|summary| ("all", "slip", summary)));
    found
}

/// The percentiles of a histogram, as shares.
#[must_use]
pub fn percentiles(summary: &LatencySummary) -> [(f64, Option<u64>); 8] {
    [
        (0.5, summary.p50),
        (0.75, summary.p75),
        (0.9, summary.p90),
        (0.95, summary.p95),
        (0.99, summary.p99),
        (0.999, summary.p99_9),
        (0.9999, summary.p99_99),
        (0.99999, summary.p99_999),
    ]
}

/// What is exported when tests check the forms.
#[cfg(test)]
pub(crate) fn golden() -> Report {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report-1.0.json");
    Report::read(&path).expect("the golden report")
}
