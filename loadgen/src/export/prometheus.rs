//! Text that Prometheus scrapes, or its textfile collector reads: latencies as summaries in seconds. What there is no
//! figure for is left out.

use std::fmt::Write as _;

use super::{histograms, percentiles};
use crate::report::Report;

/// The text.
#[must_use]
pub fn prometheus(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut text, report);
    text
}

fn write_all(text: &mut String, report: &Report) -> std::fmt::Result {
    let common = labels(report);
    let mut gauge = |name: &str, help: &str, value: Option<f64>| match value {
        Some(value) => {
            writeln!(
                text,
                "# HELP loadgen_{name} {help}\n# TYPE loadgen_{name} gauge\nloadgen_{name}{{{common}}} {value}"
            )
        }
        None => Ok(()),
    };
    let result = report.result.as_ref();
    gauge("requests_per_second", "Successful requests per second.", result.map(|result| result.ops_s))?;
    gauge("window_seconds", "Length of the measured window.", result.map(|result| result.elapsed_s))?;
    gauge("requests", "Successful requests.", result.map(|result| result.ops as f64))?;
    gauge("errors", "Failed requests.", result.map(|result| result.errors.total as f64))?;
    gauge("misses", "GETs that found no value.", result.map(|result| result.misses as f64))?;
    gauge("unanswered", "Requests never answered.", result.map(|result| result.dropped_ops as f64))?;
    gauge(
        "valid",
        "1 when nothing speaks against the figures.",
        Some(f64::from(u8::from(report.validity.ok))),
    )?;
    let seconds = |micros: Option<f64>| micros.map(|micros| micros / 1e6);
    gauge(
        "server_cpu_seconds_per_request",
        "CPU time of the server per request.",
        seconds(report.server.cpu_us_per_op),
    )?;
    gauge(
        "client_cpu_seconds_per_request",
        "CPU time of the generator per request.",
        seconds(report.client.cpu_us_per_op),
    )?;
    gauge(
        "server_resident_bytes",
        "Memory of the server.",
        report.server.rss_bytes.map(|bytes| bytes as f64),
    )?;
    write_latencies(text, report, &common)
}

fn write_latencies(text: &mut String, report: &Report, common: &str) -> std::fmt::Result {
    writeln!(text, "# HELP loadgen_latency_seconds Latency by operation and by where it is counted from.")?;
    writeln!(text, "# TYPE loadgen_latency_seconds summary")?;
    for (operation, kind, summary) in histograms(report) {
        let labels = format!("{common},operation=\"{operation}\",kind=\"{kind}\"");
        for (share, value) in percentiles(summary) {
            if let Some(ns) = value {
                writeln!(
                    text,
                    "loadgen_latency_seconds{{{labels},quantile=\"{share}\"}} {}",
                    ns as f64 / 1e9
                )?;
            }
        }
        let sum_s = summary.mean.unwrap_or(0.0) * summary.count as f64 / 1e9;
        writeln!(text, "loadgen_latency_seconds_sum{{{labels}}} {sum_s}")?;
        writeln!(text, "loadgen_latency_seconds_count{{{labels}}} {}", summary.count)?;
    }
    Ok(())
}

fn labels(report: &Report) -> String {
    let mut labels = vec![
        ("server", report.server.name.as_deref().unwrap_or("unknown")),
        ("version", report.server.version.as_deref().unwrap_or("")),
        ("workload", report.config.workload.name.as_str()),
    ];
    labels.extend(report.label.as_deref().map(|label| ("label", label)));
    labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect::<Vec<_>>().join(",")
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::golden;

    #[test]
    fn every_line_is_a_comment_or_a_sample_with_a_finite_value() {
        let mut report = golden();
        report.label = Some("a \"b\" \\".to_owned());
        let text = prometheus(&report);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(series.starts_with("loadgen_") && series.ends_with('}'), "{line}");
            assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
        }
        assert!(text.contains("label=\"a \\\"b\\\" \\\\\""));
        assert!(text.contains("operation=\"GET\",kind=\"response\",quantile=\"0.99\"} 0.005738495"));
        assert!(!text.contains("quantile=\"0.9999\""));
        assert!(text.contains("loadgen_latency_seconds_count{") && text.contains("} 4000"));
    }
}
