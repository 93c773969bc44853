//! The curve of throughput against latency: from the steps of a sweep or a search, or from several runs.

use super::scale::{Spread, short, short_ns};
use super::svg::{Axis, Chart, Point, Series, Style};
use crate::comparison::metric::Metric;
use crate::latency::format_ns;
use crate::number::floor_u64;
use crate::report::Report;
use crate::search::{SearchOutcome, SearchStep};
use crate::sweep_command::{SweepOutcome, SweepPoint};

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
    /// Whether the figures can be trusted and, in a search, kept the limits.
    pub valid: bool,
    /// What was asked for, for people.
    pub note: String,
}

/// The runs of a sweep or a search, in the order of what was asked for; none for another report.
#[must_use]
pub fn steps_of(report: &Report) -> Vec<CurvePoint> {
    if let Some(sweep) = &report.sweep {
        return points_of_sweep(sweep);
    }
    report.search.as_ref().map(points_of_search).unwrap_or_default()
}

fn points_of_sweep(sweep: &SweepOutcome) -> Vec<CurvePoint> {
    let mut points: Vec<&SweepPoint> = sweep.points.iter().collect();
    points.sort_by(|left, right| left.value.total_cmp(&right.value));
    let note = |value: f64| match sweep.over.as_str() {
        "rate" => asked_for(value),
        over => format!("{over} {}", short(value)),
    };
    points
        .into_iter()
        .map(|point| CurvePoint {
            achieved_ops_s: point.achieved_ops_s,
            p50_ns: point.p50_ns.map(|ns| ns as f64),
            p99_ns: point.p99_ns.map(|ns| ns as f64),
            p99_9_ns: point.p99_9_ns.map(|ns| ns as f64),
            valid: point.against.is_empty(),
            note: note(point.value),
        })
        .collect()
}

/// A step that broke its limits is drawn hollow: its rate is none that the server can be given.
fn points_of_search(search: &SearchOutcome) -> Vec<CurvePoint> {
    let mut steps: Vec<&SearchStep> = search.steps.iter().collect();
    steps.sort_by(|left, right| left.rate.total_cmp(&right.rate));
    steps
        .into_iter()
        .map(|step| CurvePoint {
            achieved_ops_s: step.achieved_ops_s,
            p50_ns: step.p50_ns.map(|ns| ns as f64),
            p99_ns: step.p99_ns.map(|ns| ns as f64),
            p99_9_ns: step.p99_9_ns.map(|ns| ns as f64),
            valid: step.held,
            note: match step.reasons.first() {
                Some(reason) => format!("{}, broke: {reason}", asked_for(step.rate)),
                None => format!("{}, held", asked_for(step.rate)),
            },
        })
        .collect()
}

fn asked_for(rate: f64) -> String {
    format!("{} per second asked for", short(rate))
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
                note: asked.map_or(shape.clone(), |rate| format!("{}, {shape}", asked_for(rate))),
            })
        })
        .collect();
    points.sort_by(|left, right| left.achieved_ops_s.total_cmp(&right.achieved_ops_s));
    points
}

/// The chart; hollow points are those of runs that cannot be trusted or broke the limits of a search.
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
    use crate::search::SearchStage;

    fn golden() -> Report {
        Report::parse(include_bytes!("../../tests/data/report-1.0.json")).expect("a report")
    }

    #[test]
    fn steps_of_a_search_stand_in_the_order_of_their_rates() {
        let step = |rate: f64, achieved_ops_s: f64, p99_ns: Option<u64>, held: bool| SearchStep {
            stage: SearchStage::Climb,
            rate,
            achieved_ops_s,
            p50_ns: Some(100),
            p99_ns,
            p99_9_ns: None,
            slip_p99_ns: None,
            held,
            reasons: if held { Vec::new() } else { vec!["p99 is too long".to_owned()] },
            blame: (!held).then_some(crate::search::Blame::Server),
        };
        let search = SearchOutcome {
            slo: vec!["p99 <= 1 ms".to_owned()],
            knee_ops_s: Some(1000.0),
            reached_max: false,
            limited_by: Some(crate::search::Blame::Server),
            interrupted: false,
            steps: vec![step(2000.0, 1500.0, None, false), step(1000.0, 999.5, Some(300), true)],
        };
        let points = steps_of(&Report { search: Some(search), ..golden() });
        assert_eq!(points.len(), 2);
        assert_eq!((points[0].p99_ns, points[0].valid), (Some(300.0), true));
        assert_eq!((points[1].p99_ns, points[1].valid), (None, false));
        assert!(steps_of(&golden()).is_empty());
        let text = chart(&points).figure();
        assert!(text.contains("class=\"hollow c0\""), "{text}");
        assert!(text.contains("2,000 per second asked for, broke: p99 is too long"), "{text}");
    }

    #[test]
    fn points_of_a_sweep_say_what_changed() {
        let point = |value: f64, against: &[&str]| SweepPoint {
            value,
            achieved_ops_s: 1000.0 * value,
            p50_ns: Some(100),
            p99_ns: Some(200),
            p99_9_ns: None,
            server_cpu_us_per_op: None,
            against: against.iter().map(|&code| code.to_owned()).collect(),
        };
        let points = vec![point(8.0, &["client_saturated"]), point(1.0, &[])];
        let sweep = SweepOutcome { over: "pipeline".to_owned(), points };
        let points = steps_of(&Report { sweep: Some(sweep), ..golden() });
        let seen: Vec<(f64, bool, &str)> =
            points.iter().map(|point| (point.achieved_ops_s, point.valid, point.note.as_str())).collect();
        assert_eq!(seen, [(1000.0, true, "pipeline 1"), (8000.0, false, "pipeline 8")]);
    }
}
