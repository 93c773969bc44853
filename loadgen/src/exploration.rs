//! `loadgen search` and `loadgen sweep`: many runs of one plan at different rates, connections or pipelines.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::cli::{SearchArgs, SweepArgs};
use crate::curve_plot::{CurvePoint, draw};
use crate::fleet::RunError;
use crate::latency::format_ns;
use crate::limits::{CONNECTIONS_MAX, PIPELINE_MAX, RATE_MAX};
use crate::number::floor_u64;
use crate::plan::{Pace, Plan, check};
use crate::progress::{Progress, group_digits};
use crate::rate_curve::RateCurve;
use crate::report::{Report, ReportKind};
use crate::run::execute_shown;
use crate::schedule::Arrival;
use crate::search::{SearchOptions, SearchOutcome, SearchStage, SearchStep, search};
use crate::slo::Slo;

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

/// The options of a search and the plan of its runs.
///
/// # Errors
/// A sentence for the user.
pub fn search_plan(arguments: SearchArgs) -> Result<(Plan, SearchOptions, Vec<Slo>), String> {
    let SearchArgs { run, slo, min, max, step, tolerance, confirm } = arguments;
    let arrival = run.arrival;
    let mut plan = plan_of(run)?;
    let options = SearchOptions { min, max, factor: step, tolerance, confirm };
    check(min > 0.0 && min <= max && max <= RATE_MAX, || {
        format!("--min lies below --max, and both below {RATE_MAX}")
    })?;
    check(step > 1.0, || "--step is a factor above 1, like 1.5".to_owned())?;
    check(tolerance > 0.0, || "--tolerance is above 0".to_owned())?;
    check(confirm > 0, || "--confirm is at least 1".to_owned())?;
    set_rate(&mut plan, min, arrival);
    Ok((plan, options, slo))
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

fn plan_of(mut run: crate::cli::RunArgs) -> Result<Plan, String> {
    check(run.rate == crate::cli_values::Rate::Max, || {
        "--rate is chosen by the search or sweep itself".to_owned()
    })?;
    run.arrival = Arrival::Constant;
    Plan::for_run(run)
}

fn set_rate(plan: &mut Plan, rate: f64, arrival: Arrival) {
    let measurement = plan.measurement.as_mut().expect("a plan of runs measures");
    measurement.pace = Pace::Open { curve: RateCurve::constant(rate), arrival };
}

/// Searches; the report is that of the last confirmation, or of the last step when no rate held.
///
/// # Errors
/// When a run cannot be made.
pub fn run_search(
    plan: &Plan,
    options: &SearchOptions,
    limits: &[Slo],
    argv: &[String],
    interrupt: &AtomicBool,
) -> Result<Report, RunError> {
    let progress = Progress::new(plan.live);
    let mut plan = plan.clone();
    let arrival = match plan.measurement.as_ref().map(|measurement| &measurement.pace) {
        Some(Pace::Open { arrival, .. }) => *arrival,
        _ => Arrival::Constant,
    };
    let mut last = None;
    let outcome = search(options, |rate, stage| {
        if interrupt.load(Ordering::Relaxed) {
            return Err(RunError::Interrupted);
        }
        set_rate(&mut plan, rate, arrival);
        let report = execute_shown(&plan, argv.to_vec(), interrupt, &progress)?;
        plan.prefill = false;
        let step = judge_step(&report, rate, stage, limits);
        progress.say(&describe_step(&step));
        // A confirmation that held is the report to keep.
        if step.held || last.is_none() {
            last = Some(report);
        }
        Ok(step)
    });
    progress.finish();
    let mut outcome = outcome?;
    outcome.slo = limits.iter().map(Slo::to_string).collect();
    let mut report = last.expect("a search makes one step at least");
    report.kind = ReportKind::Search;
    report.search = Some(outcome);
    Ok(report)
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

/// A rate holds when its limits do, nearly all of it was answered, and neither errors nor a busy generator made the
/// figures.
fn judge_step(report: &Report, rate: f64, stage: SearchStage, limits: &[Slo]) -> SearchStep {
    let Some(result) = &report.result else {
        return SearchStep {
            stage,
            rate,
            achieved_ops_s: 0.0,
            p50_ns: None,
            p99_ns: None,
            p99_9_ns: None,
            slip_p99_ns: None,
            held: false,
            reasons: vec!["nothing was measured".to_owned()],
        };
    };
    let latency = result.all.corrected.as_ref().unwrap_or(&result.all.service);
    let mut reasons: Vec<String> = limits.iter().filter_map(|limit| limit.broken_by(latency)).collect();
    // A full or disturbed machine makes latencies longer, never shorter: limits that hold there hold.
    let against = report
        .validity
        .reasons
        .iter()
        .filter(|reason| !["machine_saturated", "disturbed"].contains(&reason.code.as_str()));
    reasons.extend(against.map(|reason| format!("{}: {}", reason.code, reason.text)));
    SearchStep {
        stage,
        rate,
        achieved_ops_s: result.ops_s,
        p50_ns: latency.p50,
        p99_ns: latency.p99,
        p99_9_ns: latency.p99_9,
        slip_p99_ns: result.all.slip.as_ref().and_then(|slip| slip.p99),
        held: reasons.is_empty(),
        reasons,
    }
}

fn describe_step(step: &SearchStep) -> String {
    format!(
        "{:<8}{:>11} op/s  p50 {:>8}  p99 {:>8}  p99.9 {:>8}  {}",
        format!("{:?}", step.stage).to_lowercase(),
        group_digits(floor_u64(step.rate.round())),
        format_ns(step.p50_ns),
        format_ns(step.p99_ns),
        format_ns(step.p99_9_ns),
        if step.held { "held" } else { step.reasons.first().map_or("broke", String::as_str) }
    )
}

/// The outcome of a search in words.
#[must_use]
pub fn describe_search(outcome: &SearchOutcome) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for step in &outcome.steps {
        let _ = writeln!(text, "{}", describe_step(step));
    }
    let points: Vec<CurvePoint> = outcome
        .steps
        .iter()
        .map(|step| CurvePoint { ops_s: step.achieved_ops_s, p50_ns: step.p50_ns, p99_ns: step.p99_ns })
        .collect();
    let _ = write!(text, "\n{}\n", draw(&points));
    let limits = outcome.slo.join(", ");
    let _ = match outcome.knee_ops_s {
        Some(knee) if outcome.reached_max => {
            writeln!(
                text,
                "{limits} holds at {} op/s, the highest rate tried (--max)",
                group_digits(floor_u64(knee))
            )
        }
        Some(knee) => writeln!(text, "{limits} holds up to {} op/s", group_digits(floor_u64(knee))),
        None => writeln!(text, "{limits} does not hold at any rate that was tried"),
    };
    text
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
