//! `loadgen sweep`: runs of one plan over rates, connections or pipelines, and the curve they draw.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::cli::SweepArgs;
use crate::curve_plot::{CurvePoint, draw};
use crate::fleet::RunError;
use crate::latency::format_ns;
use crate::limits::{CONNECTIONS_MAX, PIPELINE_MAX, RATE_MAX};
use crate::number::floor_u64;
use crate::plan::{Pace, Plan, check};
use crate::progress::{Progress, group_digits};
use crate::report::{Report, ReportKind};
use crate::run::execute_shown;
use crate::schedule::Arrival;
use crate::search_command::{plan_of, set_rate};

/// What a sweep measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepOutcome {
    /// `rate`, `connections` or `pipeline`.
    pub over: String,
    /// One run each.
    pub points: Vec<SweepPoint>,
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// The rate, the connections or the pipeline.
    pub value: f64,
    /// Requests per second answered.
    pub achieved_ops_s: f64,
    /// Median: from the schedule in an open loop, else from the send.
    pub p50_ns: Option<u64>,
    /// 99th percentile.
    pub p99_ns: Option<u64>,
    /// 99.9th percentile.
    pub p99_9_ns: Option<u64>,
    /// CPU time of the server per request.
    pub server_cpu_us_per_op: Option<f64>,
    /// Codes of what speaks against the figures.
    pub against: Vec<String>,
}

/// What changes between the runs of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub enum SweepAxis {
    /// Requests per second.
    Rate(Vec<f64>),
    /// Connections in total.
    Connections(Vec<u32>),
    /// Requests in flight per connection.
    Pipeline(Vec<u32>),
}

/// The axis of a sweep and the plan of its runs.
///
/// # Errors
/// A sentence for the user.
pub fn sweep_plan(arguments: SweepArgs) -> Result<(Plan, SweepAxis), String> {
    let SweepArgs { run, rates, connection_counts, pipelines } = arguments;
    let arrival = run.arrival;
    let mut plan = plan_of(run)?;
    let whole = |list: Vec<f64>, max: u32, option: &str| {
        list.into_iter()
            .map(|value| u32::try_from(floor_u64(value)).ok().filter(|value| (1..=max).contains(value)))
            .collect::<Option<Vec<u32>>>()
            .ok_or_else(|| format!("{option} takes numbers from 1 to {max}"))
    };
    let axis = match (rates, connection_counts, pipelines) {
        (Some(rates), None, None) => SweepAxis::Rate(rates.0),
        (None, Some(counts), None) => {
            SweepAxis::Connections(whole(counts.0, CONNECTIONS_MAX, "--connection-counts")?)
        }
        (None, None, Some(depths)) => SweepAxis::Pipeline(whole(depths.0, PIPELINE_MAX, "--pipelines")?),
        _ => return Err("a sweep needs one of --rates, --connection-counts and --pipelines".to_owned()),
    };
    if let SweepAxis::Rate(rates) = &axis {
        check(rates.iter().all(|rate| *rate > 0.0 && *rate <= RATE_MAX), || {
            format!("--rates lie between 0 and {RATE_MAX}")
        })?;
        set_rate(&mut plan, rates[0], arrival);
    }
    Ok((plan, axis))
}

/// Sweeps; the report is that of the point with the highest throughput.
///
/// # Errors
/// When a run cannot be made.
pub fn run_sweep(
    plan: &Plan,
    axis: &SweepAxis,
    argv: &[String],
    interrupt: &AtomicBool,
) -> Result<Report, RunError> {
    let progress = Progress::new(plan.live);
    let arrival = match plan.measurement.as_ref().map(|measurement| &measurement.pace) {
        Some(Pace::Open { arrival, .. }) => *arrival,
        _ => Arrival::Constant,
    };
    let (over, values): (&str, Vec<f64>) = match axis {
        SweepAxis::Rate(rates) => ("rate", rates.clone()),
        SweepAxis::Connections(counts) => ("connections", counts.iter().copied().map(f64::from).collect()),
        SweepAxis::Pipeline(depths) => ("pipeline", depths.iter().copied().map(f64::from).collect()),
    };
    let mut points: Vec<SweepPoint> = Vec::new();
    let mut best: Option<Report> = None;
    let mut is_loaded = false;
    for (place, value) in values.iter().copied().enumerate() {
        if interrupt.load(Ordering::Relaxed) {
            break;
        }
        let mut plan = plan.clone();
        plan.prefill = plan.prefill && !std::mem::replace(&mut is_loaded, true);
        let measurement = plan.measurement.as_mut().expect("a plan of runs measures");
        match axis {
            SweepAxis::Rate(_) => set_rate(&mut plan, value, arrival),
            SweepAxis::Connections(counts) => {
                plan.connections = counts[place];
                plan.threads = plan.threads.min(plan.connections);
            }
            SweepAxis::Pipeline(depths) => measurement.pipeline = depths[place],
        }
        let report = execute_shown(&plan, argv.to_vec(), interrupt, &progress)?;
        let point = sweep_point(value, &report);
        progress.say(&format!("{over} {value}: {} op/s", group_digits(floor_u64(point.achieved_ops_s))));
        let is_best = points.iter().all(|other| other.achieved_ops_s < point.achieved_ops_s);
        points.push(point);
        if is_best {
            best = Some(report);
        }
    }
    progress.finish();
    let mut report = best.ok_or(RunError::Interrupted)?;
    report.kind = ReportKind::Sweep;
    report.sweep = Some(SweepOutcome { over: over.to_owned(), points });
    Ok(report)
}

fn sweep_point(value: f64, report: &Report) -> SweepPoint {
    let result = report.result.as_ref();
    let latency = result.map(|result| result.all.corrected.as_ref().unwrap_or(&result.all.service));
    SweepPoint {
        value,
        achieved_ops_s: result.map_or(0.0, |result| result.ops_s),
        p50_ns: latency.and_then(|latency| latency.p50),
        p99_ns: latency.and_then(|latency| latency.p99),
        p99_9_ns: latency.and_then(|latency| latency.p99_9),
        server_cpu_us_per_op: report.server.cpu_us_per_op,
        against: report.validity.reasons.iter().map(|reason| reason.code.clone()).collect(),
    }
}

/// The outcome of a sweep in words.
#[must_use]
pub fn describe_sweep(outcome: &SweepOutcome) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{:>12}{:>14}{:>10}{:>10}{:>10}  server us/op",
        outcome.over, "op/s", "p50", "p99", "p99.9"
    );
    for point in &outcome.points {
        let _ = writeln!(
            text,
            "{:>12}{:>14}{:>10}{:>10}{:>10}  {}{}",
            group_digits(floor_u64(point.value)),
            group_digits(floor_u64(point.achieved_ops_s)),
            format_ns(point.p50_ns),
            format_ns(point.p99_ns),
            format_ns(point.p99_9_ns),
            point.server_cpu_us_per_op.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.3}")),
            if point.against.is_empty() {
                String::new()
            } else {
                format!("  ({})", point.against.join(", "))
            }
        );
    }
    let points: Vec<CurvePoint> = outcome
        .points
        .iter()
        .map(|point| CurvePoint { ops_s: point.achieved_ops_s, p50_ns: point.p50_ns, p99_ns: point.p99_ns })
        .collect();
    let _ = write!(text, "\n{}", draw(&points));
    text
}
