//! The curve of throughput against latency: from the steps of a sweep or a search, or from several runs.

use serde_json::Value;

use super::scale::{Spread, short, short_ns};
use super::svg::{Axis, Chart, Point, Series, Style};
use crate::comparison::metric::Metric;
use crate::latency::format_ns;
use crate::number::floor_u64;
use crate::report::Report;

/// One load that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePoint {
    /// Requests per second that were answered.
    pub achieved_ops_s: f64,
    /// Median latency in nanoseconds.
    pub p50_ns: Option<f64>,
    /// 99th percentile.
    pub p99_ns: Option<f64>,
    /// 99.9th percentile.
    pub p99_9_ns: Option<f64>,
    /// Whether the figures can be trusted.
    pub valid: bool,
    /// What was asked for, for people.
    pub note: String,
}

/// The steps of a sweep or a search, wherever such a report keeps them: `sweep.steps` or `search.steps`, each with
/// `achieved` (or `achieved_ops_s`) and percentiles in nanoseconds.
#[must_use]
pub fn steps_of(report: &Value) -> Vec<CurvePoint> {
    let steps = ["sweep", "search"].iter().find_map(|section| report.get(section)?.get("steps")?.as_array());
    steps.into_iter().flatten().filter_map(step).collect()
}

fn step(step: &Value) -> Option<CurvePoint> {
    let number = |names: &[&str]| names.iter().find_map(|name| step.get(name)?.as_f64());
    let asked = number(&["rate", "rate_ops_s", "rate_target_ops_s"]);
    Some(CurvePoint {
        achieved_ops_s: number(&["achieved", "achieved_ops_s", "ops_s"])?,
        p50_ns: number(&["p50_ns"]),
        p99_ns: number(&["p99_ns"]),
        p99_9_ns: number(&["p99_9_ns"]),
        valid: step.get("valid").and_then(Value::as_bool).unwrap_or(true),
        note: asked
            .map_or_else(|| "closed loop".to_owned(), |rate| format!("{} per second asked for", short(rate))),
    })
}

/// A point for each run, by throughput.
#[must_use]
pub fn points_of<'a>(reports: impl Iterator<Item = &'a Report>) -> Vec<CurvePoint> {
    let mut points: Vec<CurvePoint> = reports
        .filter_map(|report| {
            let asked = report.config.rate_target_ops_s;
            let shape = format!(
                "{} connections, pipeline {}",
                report.config.connections_total, report.config.pipeline
            );
            Some(CurvePoint {
                achieved_ops_s: Metric::OpsS.of(report)?,
                p50_ns: Metric::P50.of(report),
                p99_ns: Metric::P99.of(report),
                p99_9_ns: Metric::P999.of(report),
                valid: report.validity.ok,
                note: asked
                    .map_or(shape.clone(), |rate| format!("{} per second asked for, {shape}", short(rate))),
            })
        })
        .collect();
    points.sort_by(|left, right| left.achieved_ops_s.total_cmp(&right.achieved_ops_s));
    points
}

/// The chart; hollow points are those of runs that cannot be trusted.
#[must_use]
pub fn chart(points: &[CurvePoint]) -> Chart {
    let line = |name: &str, colour: usize, of: fn(&CurvePoint) -> Option<f64>| Series {
        name: name.to_owned(),
        points: points
            .iter()
            .map(|point| {
                let y = of(point);
                let latency = format_ns(y.map(floor_u64));
                let note = format!(
                    "{name} {latency} at {} per second ({})",
                    short(point.achieved_ops_s),
                    point.note
                );
                Point { x: point.achieved_ops_s, y, hollow: !point.valid, note: Some(note) }
            })
            .collect(),
        style: Style::Marked,
        colour,
    };
    Chart {
        title: "latency against throughput".to_owned(),
        x: Axis {
            label: "requests per second".to_owned(),
            spread: Spread::Linear,
            format: short,
            ticks: None,
        },
        y: Axis { label: "latency".to_owned(), spread: Spread::Log, format: short_ns, ticks: None },
        series: vec![
            line("p50", 0, |point| point.p50_ns),
            line("p99", 1, |point| point.p99_ns),
            line("p99.9", 2, |point| point.p99_9_ns),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_a_search_are_found_with_what_they_have() {
        let report = serde_json::json!({ "search": { "steps": [
            { "rate": 1000.0, "achieved": 999.5, "p50_ns": 100, "p99_ns": 300, "pass": true },
            { "rate": 2000.0, "achieved": 1500.0, "p50_ns": 900, "p99_ns": null, "valid": false },
            { "rate": 3000.0 },
        ] } });
        let points = steps_of(&report);
        assert_eq!(points.len(), 2);
        assert_eq!((points[0].p99_ns, points[0].valid), (Some(300.0), true));
        assert_eq!((points[1].p99_ns, points[1].valid), (None, false));
        assert!(steps_of(&serde_json::json!({})).is_empty());
        let text = chart(&points).figure();
        assert!(
            text.contains("class=\"hollow c0\"") && text.contains("2,000 per second asked for"),
            "{text}"
        );
    }
}
