//! A matrix as tables: for the terminal and, in Markdown, for a README.

use std::fmt::Write as _;

use super::report::{MatrixComparison, MatrixReport};
use crate::comparison::metric::Metric;
use crate::comparison::result::{MetricResult, Verdict};
use crate::comparison::text::{interval, word};

/// Markdown: one table for each pair of servers, a line for each scenario and figure. Without metrics those that the
/// scenarios name.
#[must_use]
pub fn markdown(report: &MatrixReport, metrics: &[Metric]) -> String {
    let mut text = String::new();
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for MatrixComparison { comparison, .. } in &report.comparisons {
        let pair = (comparison.baseline.as_str(), comparison.candidate.as_str());
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    for pair in pairs {
        // Writing to a string cannot fail.
        let _ = write_pair(&mut text, report, pair, metrics);
    }
    text
}

fn write_pair(
    text: &mut String,
    report: &MatrixReport,
    (baseline, candidate): (&str, &str),
    metrics: &[Metric],
) -> std::fmt::Result {
    writeln!(text, "| scenario | figure | {baseline} | {candidate} | ratio | interval of the change | |")?;
    writeln!(text, "|---|---|---:|---:|---:|---|---|")?;
    let of_pair = report
        .comparisons
        .iter()
        .filter(|each| each.comparison.baseline == baseline && each.comparison.candidate == candidate);
    for MatrixComparison { scenario, comparison } in of_pair {
        let title = comparison.title.as_deref().unwrap_or(scenario);
        for refusal in &comparison.refusals {
            writeln!(text, "| {title} | not compared | | | | | {refusal} |")?;
        }
        let named = report.spec.scenarios.iter().find(|each| each.name == *scenario);
        let own = named.map_or(&[][..], |each| &each.figures);
        let shown = if metrics.is_empty() { own } else { metrics };
        let is_shown = |result: &&MetricResult| shown.is_empty() || shown.contains(&result.metric);
        for result in comparison.metrics.iter().filter(is_shown) {
            write_line(text, title, result)?;
        }
    }
    writeln!(text)
}

fn write_line(text: &mut String, title: &str, result: &MetricResult) -> std::fmt::Result {
    let verdict = match result.verdict {
        Verdict::Invalid => {
            // "5 of 10 runs of NAME: CODE"; those that may be borne end otherwise, and those about chance have no code.
            let code = |reason: &String| reason.rsplit_once(": ").map(|(_, code)| code.to_owned());
            let mut why: Vec<String> = result.reasons.iter().filter_map(code).collect();
            why.retain(|code| code.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_'));
            why.sort();
            why.dedup();
            format!("invalid ({})", why.join(", "))
        }
        _ => word(result),
    };
    writeln!(
        text,
        "| {title} | {} | {} | {} | {:.2} | {} | {verdict} |",
        result.metric.title(),
        result.metric.show(result.baseline_median),
        result.metric.show(result.candidate_median),
        result.ratio,
        interval(result)
    )
}

/// For the terminal: the machine, then every cell with its medians.
#[must_use]
pub fn describe(report: &MatrixReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut text, report);
    let comparisons: Vec<_> = report.comparisons.iter().map(|each| each.comparison.clone()).collect();
    text.push_str(&crate::comparison::text::describe(&comparisons, report.alpha));
    text
}

fn write_all(text: &mut String, report: &MatrixReport) -> std::fmt::Result {
    let env = &report.env;
    writeln!(
        text,
        "matrix     {}: {} runs{}, {} to {}",
        report.name,
        report.runs.len(),
        if report.complete { "" } else { " (NOT COMPLETE)" },
        report.started_at,
        report.finished_at
    )?;
    writeln!(
        text,
        "machine    {}, {} processors, Linux {}\n",
        env.cpu_model.as_deref().unwrap_or("unknown processor"),
        env.cores_online.unwrap_or(0),
        env.kernel.as_deref().unwrap_or("?")
    )?;
    writeln!(
        text,
        "{:<28}{:<20}{:>5}{:>13}{:>10}{:>10}{:>11}{:>9}",
        "scenario", "server", "runs", "op/s", "p50", "p99", "server/op", "invalid"
    )?;
    for scenario in &report.spec.scenarios {
        for server in report.spec.servers_of(scenario) {
            let cell = report.cell(&scenario.name, &server.name);
            let show = |metric: Metric| {
                median_of(metric, &cell).map_or_else(|| "-".to_owned(), |value| metric.show(value))
            };
            writeln!(
                text,
                "{:<28}{:<20}{:>5}{:>13}{:>10}{:>10}{:>11}{:>9}",
                scenario.name,
                server.name,
                cell.len(),
                show(Metric::OpsS),
                show(Metric::P50),
                show(Metric::P99),
                show(Metric::ServerCpu),
                cell.iter().filter(|run| !run.report.validity.ok).count()
            )?;
        }
    }
    writeln!(text)
}

/// The median of a figure over runs that have it.
#[must_use]
pub fn median_of(metric: Metric, runs: &[crate::comparison::groups::MeasuredRun]) -> Option<f64> {
    let values: Vec<f64> = runs.iter().filter_map(|run| metric.of(&run.report)).collect();
    (!values.is_empty()).then(|| crate::statistics::estimate::median(&values))
}
