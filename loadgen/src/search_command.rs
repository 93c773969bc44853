//! `loadgen search`: the search over rates with real runs, and who is to blame for a rate that did not hold.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::SearchArgs;
use crate::curve_plot::{CurvePoint, draw};
use crate::fleet::RunError;
use crate::latency::format_ns;
use crate::limits::RATE_MAX;
use crate::number::floor_u64;
use crate::plan::{Pace, Plan, check};
use crate::progress::{Progress, group_digits};
use crate::rate_curve::RateCurve;
use crate::report::{Outcome, Report, ReportKind};
use crate::run::execute_shown;
use crate::schedule::Arrival;
use crate::search::{Blame, SearchOptions, SearchOutcome, SearchStage, SearchStep, search};
use crate::slo::Slo;
use crate::verdict::REASONS_OF_CAPACITY;

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

pub(crate) fn plan_of(mut run: crate::cli::RunArgs) -> Result<Plan, String> {
    check(run.rate == crate::cli_values::Rate::Max, || {
        "--rate is chosen by the search or sweep itself".to_owned()
    })?;
    run.arrival = Arrival::Constant;
    Plan::for_run(run)
}

pub(crate) fn set_rate(plan: &mut Plan, rate: f64, arrival: Arrival) {
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
    let outcome: Result<SearchOutcome, RunError> = search(options, |rate, stage| {
        if interrupt.load(Ordering::Relaxed) {
            return Ok(None);
        }
        set_rate(&mut plan, rate, arrival);
        let report = execute_shown(&plan, argv.to_vec(), interrupt, &progress)?;
        plan.prefill = false;
        if interrupt.load(Ordering::Relaxed) {
            // Its window was cut short: it says nothing about the rate.
            last.get_or_insert(report);
            return Ok(None);
        }
        let step = judge_step(&report, rate, stage, limits);
        progress.say(&describe_step(&step));
        // A confirmation that held is the report to keep.
        if step.held || last.is_none() {
            last = Some(report);
        }
        Ok(Some(step))
    });
    progress.finish();
    let mut outcome = outcome?;
    outcome.slo = limits.iter().map(Slo::to_string).collect();
    let mut report = last.ok_or(RunError::Interrupted)?;
    report.kind = ReportKind::Search;
    report.search = Some(outcome);
    Ok(report)
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
            blame: Some(Blame::Server),
        };
    };
    let latency = result.all.corrected.as_ref().unwrap_or(&result.all.service);
    let mut reasons: Vec<String> = limits.iter().filter_map(|limit| limit.broken_by(latency)).collect();
    let breaks = !reasons.is_empty();
    // A full or disturbed machine makes latencies longer, never shorter: limits that hold there hold.
    let against = report
        .validity
        .reasons
        .iter()
        .filter(|reason| !["machine_saturated", "disturbed"].contains(&reason.code.as_str()) || breaks)
        // Starts that waited for the server are in the response histogram, which the limits are about.
        .filter(|reason| reason.code != "slip" || breaks || !result.was_held_back());
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
        blame: (!reasons.is_empty()).then(|| blame(report)),
        reasons,
    }
}

/// Who made a rate break. Late sending is the server's doing when every connection had its pipeline full, and the
/// generator's when it had room and sent late all the same. The server is to blame for what nothing else explains.
fn blame(report: &Report) -> Blame {
    let has = |code: &str| report.validity.reasons.iter().any(|reason| reason.code == code);
    let of_server = |code: &str| !REASONS_OF_CAPACITY.contains(&code) && code != "no_samples";
    if report.validity.reasons.iter().any(|reason| of_server(&reason.code)) {
        return Blame::Server;
    }
    let is_held_back = report.result.as_ref().is_some_and(Outcome::was_held_back);
    if ["client_saturated", "client_stalled", "near_ceiling"].iter().any(|code| has(code))
        || (has("slip") && !is_held_back)
    {
        return Blame::Generator;
    }
    if has("disturbed") { Blame::Machine } else { Blame::Server }
}

fn describe_step(step: &SearchStep) -> String {
    format!(
        "{:<8}{:>11} op/s  p50 {:>8}  p99 {:>8}  p99.9 {:>8}  {}",
        format!("{:?}", step.stage).to_lowercase(),
        group_digits(floor_u64(step.rate.round())),
        format_ns(step.p50_ns),
        format_ns(step.p99_ns),
        format_ns(step.p99_9_ns),
        if step.held { "held".to_owned() } else { why(step) }
    )
}

/// What broke a rate, with whose fault it was where it was not the server's.
fn why(step: &SearchStep) -> String {
    let reason = step.reasons.first().map_or("broke", String::as_str);
    match step.blame {
        Some(Blame::Generator) => format!("not the server, the generator: {}", telling(step)),
        Some(Blame::Machine) => format!("not the server, the machine: {}", telling(step)),
        _ => reason.to_owned(),
    }
}

/// The reason that names the cause; limits that broke are its effect.
fn telling(step: &SearchStep) -> &str {
    let is_cause = |reason: &&String| {
        REASONS_OF_CAPACITY.iter().any(|code| *code != "rate_missed" && reason.starts_with(code))
    };
    step.reasons.iter().find(is_cause).or(step.reasons.first()).map_or("broke", String::as_str)
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
        None if outcome.interrupted => writeln!(text, "stopped before a rate was confirmed for {limits}"),
        None => writeln!(text, "{limits} does not hold at any rate that was tried"),
    };
    let _ = match outcome.limited_by {
        Some(Blame::Generator) => writeln!(
            text,
            "above that the generator was the limit, not the server, which may hold more (more --threads, --connections \
             or --pipeline, other --cpus)"
        ),
        Some(Blame::Machine) => writeln!(
            text,
            "above that other processes disturbed the machine: the server may hold more on a quiet one"
        ),
        Some(Blame::Server) | None => Ok(()),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Reason;

    /// Who is to blame for a run with these reasons, of whose late starts so many of ten waited for full connections.
    fn blame_of(codes: &[&str], held_back: u64) -> Blame {
        let mut report = Report::parse(include_bytes!("../tests/data/report-1.0.json")).expect("a report");
        let reason = |code: &&str| Reason { code: (*code).to_owned(), text: String::new() };
        report.validity.reasons = codes.iter().map(reason).collect();
        let result = report.result.as_mut().expect("a run has figures");
        (result.waited_ops, result.held_back_ops) = (Some(10), Some(held_back));
        blame(&report)
    }

    #[test]
    fn the_server_is_blamed_only_for_what_nothing_else_explains() {
        assert_eq!(blame_of(&[], 0), Blame::Server);
        assert_eq!(blame_of(&["slip"], 9), Blame::Server);
        assert_eq!(blame_of(&["slip", "rate_missed"], 1), Blame::Generator);
        for code in ["client_saturated", "client_stalled", "near_ceiling"] {
            assert_eq!(blame_of(&["slip", code], 9), Blame::Generator, "{code}");
        }
        assert_eq!(blame_of(&["disturbed"], 0), Blame::Machine);
        assert_eq!(blame_of(&["machine_saturated"], 0), Blame::Server);
        // Errors are nobody else's.
        assert_eq!(blame_of(&["errors", "client_saturated"], 0), Blame::Server);
    }
}
