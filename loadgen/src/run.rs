//! A run from start to end: connect, load keys, warm up, measure, report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use crate::assemble::{Measured, assemble};
use crate::clock::{now_ns, wall_clock_rfc3339};
use crate::control::Control;
use crate::environment::{Environment, MachineStart};
use crate::fleet::{Extent, Fleet, NS_PER_POSITION, RunError};
use crate::generator::{Budget, load_share};
use crate::limits::{PREFILL_BYTES_IN_FLIGHT, PREFILL_PIPELINE};
use crate::number::{floor_u64, ratio, seconds};
use crate::phase::{Phase, PhasePace};
use crate::plan::{Measurement, Pace, Plan, Stop};
use crate::progress::{Progress, group_digits};
use crate::report::{Prefill, Report};
use crate::schedule::Schedule;
use crate::selftest;
use crate::server_facts::ServerFacts;
use crate::tally::Tally;
use crate::trace::TraceShare;
use crate::usage_watch::UsageWatch;

/// Makes a run. A set `interrupt` ends it early; there is a report all the same.
///
/// # Errors
/// When the server cannot be used or a worker fails; the text tells the user what to do.
pub fn execute(plan: &Plan, argv: Vec<String>, interrupt: &AtomicBool) -> Result<Report, RunError> {
    let progress = Progress::new(plan.live);
    let result = execute_shown(plan, argv, interrupt, &progress);
    progress.finish();
    result
}

/// As [`execute`], with a display that the caller keeps.
pub(crate) fn execute_shown(
    plan: &Plan,
    argv: Vec<String>,
    interrupt: &AtomicBool,
    progress: &Progress,
) -> Result<Report, RunError> {
    let started_at = wall_clock_rfc3339();
    let mut environment = Environment::capture();
    let machine_start = MachineStart::now();
    raise_descriptor_limit();
    let selftest = match &plan.measurement {
        Some(_) if plan.selftest => {
            progress.say("testing the generator itself");
            Some(selftest::measure(&Plan { selftest: false, ..plan.clone() }, SELFTEST_LENGTH, interrupt)?)
        }
        _ => None,
    };
    keep_to(&plan.cpus)?;
    let mut control = Control::open(&plan.target, &plan.session)?;
    let server_pid = plan.server_pid.or_else(|| control.peer_pid());
    let load_pipeline = load_pipeline(plan);
    let measured_pipeline = plan.measurement.as_ref().map_or(1, |measurement| measurement.pipeline);
    let pipeline_max = measured_pipeline.max(if plan.prefill { load_pipeline } else { 1 });
    let fleet = Fleet::start(plan, index(pipeline_max))?;
    environment.io_uring_mode = fleet.mode().map(|mode| mode.name().to_owned());

    let prefill =
        if plan.prefill { Some(load(plan, &fleet, load_pipeline, progress, interrupt)?) } else { None };
    let mut server = ServerFacts::read_before(&mut control, server_pid)?;
    let is_loaded = prefill.as_ref().is_none_or(|prefill| prefill.keys == plan.workload.keys);
    let measured = match &plan.measurement {
        Some(measurement) if is_loaded => {
            Some(measure(plan, measurement, &fleet, server_pid, progress, interrupt)?)
        }
        _ => None,
    };
    drop(fleet);
    // The server may be gone by now, and the figures still count.
    server.read_after(&mut control);
    server.place(&mut environment);
    environment.complete(machine_start);
    let measured = measured.map(|measured| Measured { selftest, ..measured });
    Ok(assemble(plan, argv, started_at, environment, server, prefill, measured))
}

/// Writes every key once.
fn load(
    plan: &Plan,
    fleet: &Fleet,
    pipeline: u32,
    progress: &Progress,
    interrupt: &AtomicBool,
) -> Result<Prefill, RunError> {
    let keys = plan.workload.keys;
    progress.begin("load", keys);
    let start_ns = now_ns();
    let phase_of = |worker| Phase {
        pace: PhasePace::Load(load_share(keys, worker, u64::from(plan.threads))),
        pipeline: index(pipeline),
        start_ns,
        window_start_ns: start_ns,
        window_end_ns: u64::MAX,
        watch_end_ns: u64::MAX,
        drain_ns: LOAD_DRAIN_NS,
        budget: Budget::unlimited(),
        series: false,
        spin: false,
    };
    let outcome = fleet.run(phase_of, Extent::Requests, None, progress, interrupt)?;
    let tally = merge(outcome.workers.iter().map(|worker| &worker.tally));
    let elapsed_s = seconds(outcome.ended_ns - start_ns);
    if tally.errors.total() > 0 {
        let kinds = tally.errors.by_kind();
        let (_, first) = kinds.iter().next().expect("an error has a kind");
        return Err(RunError::Load(format!(
            "{} of {} keys were refused: {}",
            group_digits(tally.errors.total()),
            group_digits(keys),
            first.example
        )));
    }
    if tally.dropped > 0 {
        return Err(RunError::Load(format!("{} keys were never acknowledged", group_digits(tally.dropped))));
    }
    let loaded = tally.successes();
    let interrupted = outcome.workers.iter().any(|worker| worker.interrupted);
    if loaded != keys && !interrupted {
        return Err(RunError::Load(format!(
            "{} of {} keys were written",
            group_digits(loaded),
            group_digits(keys)
        )));
    }
    let prefill = Prefill { keys: loaded, elapsed_s, ops_s: ratio(loaded as f64, elapsed_s) };
    progress.say(&format!("loaded {} keys in {elapsed_s:.1} s", group_digits(loaded)));
    Ok(prefill)
}

/// Warms up and measures.
fn measure(
    plan: &Plan,
    measurement: &Measurement,
    fleet: &Fleet,
    server_pid: Option<u32>,
    progress: &Progress,
    interrupt: &AtomicBool,
) -> Result<Measured, RunError> {
    let begin_ns = now_ns() + START_DELAY_NS;
    let window_start_ns = begin_ns + nanoseconds(measurement.warmup);
    let (window_end_ns, extent) = match measurement.stop {
        Stop::After(duration) => {
            let end_ns = window_start_ns + nanoseconds(duration);
            (end_ns, Extent::Until { start_ns: begin_ns, end_ns })
        }
        Stop::Requests(_) => (u64::MAX, Extent::Requests),
    };
    let budgets = budgets(plan, measurement);
    match (extent, measurement.stop) {
        (Extent::Until { start_ns, end_ns }, _) => {
            progress.begin("measure", (end_ns - start_ns) / NS_PER_POSITION);
        }
        (Extent::Requests, Stop::Requests(count)) => progress.begin("measure", count),
        (Extent::Requests, Stop::After(_)) => {}
    }
    if !measurement.warmup.is_zero() {
        progress.set_message("warming up".to_owned());
    }
    // A closed loop is over at the end of its window; an open one goes on until the last answer.
    let watch_end_ns = if measurement.pace == Pace::Closed { window_end_ns } else { u64::MAX };
    let workers = u64::from(plan.threads);
    let phase_of = |worker| Phase {
        pace: match &measurement.pace {
            Pace::Closed => PhasePace::Closed,
            Pace::Recorded { speed } => {
                let trace = plan.trace.as_ref().expect("recorded times come with a trace");
                let share = TraceShare::new(Arc::clone(trace), worker, workers, plan.workload.seed);
                PhasePace::Open(Schedule::recorded(share.times_ns(*speed), begin_ns))
            }
            Pace::Open { curve, arrival } => PhasePace::Open(Schedule::new(
                *arrival,
                curve.clone(),
                begin_ns,
                worker,
                workers,
                plan.workload.seed,
            )),
        },
        pipeline: index(measurement.pipeline),
        start_ns: begin_ns,
        window_start_ns,
        window_end_ns,
        watch_end_ns,
        drain_ns: nanoseconds(measurement.drain),
        budget: budgets[crate::number::index(worker)].clone(),
        series: true,
        spin: measurement.spin,
    };
    let watch = UsageWatch::new(server_pid, window_start_ns, watch_end_ns);
    let fleet_outcome = fleet.run(phase_of, extent, Some(watch), progress, interrupt)?;
    let last_start_ns = fleet_outcome.workers.iter().map(|worker| worker.tally.last_start_ns).max();
    Ok(Measured {
        window_start_ns,
        window_end_ns: planned_end_ns(plan, measurement, window_start_ns, last_start_ns.unwrap_or(0)),
        connections: plan.connections,
        fleet: fleet_outcome,
        selftest: None,
    })
}

/// Planned end of a window that began at `start_ns`. Where a number of starts ends an open loop it is their span: that of
/// their rate, or up to the last one where random gaps made it longer. `u64::MAX` where replies decide.
fn planned_end_ns(plan: &Plan, measurement: &Measurement, start_ns: u64, last_start_ns: u64) -> u64 {
    let span_ns = match (&measurement.pace, measurement.stop) {
        (_, Stop::After(duration)) => nanoseconds(duration),
        (Pace::Closed, Stop::Requests(_)) => return u64::MAX,
        (Pace::Recorded { speed }, Stop::Requests(_)) => {
            let length_ns = plan.trace.as_ref().map_or(0, |trace| trace.length_ns());
            floor_u64(length_ns as f64 / speed)
        }
        (Pace::Open { curve, .. }, Stop::Requests(count)) => {
            let span_ns = floor_u64(1e9 * curve.span_s(measurement.warmup.as_secs_f64(), count as f64));
            span_ns.max(last_start_ns.saturating_sub(start_ns))
        }
    };
    start_ns.saturating_add(span_ns)
}

/// The requests that each worker may start in the window.
fn budgets(plan: &Plan, measurement: &Measurement) -> Vec<Budget> {
    let workers = u64::from(plan.threads);
    let of_each = |budget: &dyn Fn(u64) -> Budget| (0..workers).map(budget).collect();
    match (&measurement.pace, measurement.stop) {
        // A trace ends by itself: each worker has a part of its own.
        _ if plan.trace.is_some() => of_each(&|_| Budget::unlimited()),
        (_, Stop::After(_)) => of_each(&|_| Budget::unlimited()),
        (Pace::Closed, Stop::Requests(count)) => {
            let shared = Budget::shared(Arc::new(AtomicU64::new(count)));
            of_each(&|_| shared.clone())
        }
        // Each worker makes the starts of its own schedule: what one is late with, no other may make up for.
        (_, Stop::Requests(count)) => {
            of_each(&|worker| Budget::of(count / workers + u64::from(worker < count % workers)))
        }
    }
}

/// The sum of the counts of all workers.
pub(crate) fn merge<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Tally {
    let mut sum = Tally::default();
    tallies.for_each(|tally| sum.merge(tally));
    sum
}

/// Large values are loaded with fewer requests in flight.
fn load_pipeline(plan: &Plan) -> u32 {
    let request_bytes = plan.workload.request_bytes_estimate() as u64;
    let fitting = PREFILL_BYTES_IN_FLIGHT / (request_bytes * u64::from(plan.connections));
    u32::try_from(fitting).unwrap_or(PREFILL_PIPELINE).clamp(1, PREFILL_PIPELINE)
}

/// As many descriptors as this process may have: each connection is one.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Without it a run with many connections says so when they run out.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Keeps this thread, and those it starts, off all other processors: one of them may be the server's.
fn keep_to(cpus: &[usize]) -> Result<(), RunError> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for cpu in cpus {
        if *cpu >= CpuSet::MAX_CPU {
            return Err(RunError::Cpus(format!("there is no processor {cpu}")));
        }
        set.set(*cpu);
    }
    sched_setaffinity(None, &set).map_err(|error| RunError::Cpus(error.to_string()))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("durations are bounded by a month")
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("32 bits fit")
}

/// Length of each part of a self-test before a run.
const SELFTEST_LENGTH: Duration = Duration::from_millis(500);
/// Time for all workers to get their orders before the first request.
const START_DELAY_NS: u64 = 20_000_000;
/// How long loading waits for its last replies.
const LOAD_DRAIN_NS: u64 = 60_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(line: &str) -> (Plan, Measurement) {
        let plan = crate::plan::tests::plan(line).unwrap();
        let measurement = plan.measurement.clone().unwrap();
        (plan, measurement)
    }

    #[test]
    fn each_worker_of_an_open_loop_has_its_own_part_of_a_number_of_requests() {
        let check = |line: &str, want: &[Option<u64>]| {
            let (plan, measurement) = planned(line);
            let left: Vec<_> = budgets(&plan, &measurement).iter().map(Budget::left).collect();
            assert_eq!(left, want, "{line}");
        };
        check("-t 3 --rate 5k -n 11", &[Some(4), Some(4), Some(3)]);
        check("-t 3 --rate 5k -d 1s", &[None; 3]);
        // Replies set the pace: who is free takes the next one.
        check("-t 3 -n 11", &[Some(11); 3]);
    }

    #[test]
    fn the_window_of_a_number_of_starts_is_their_span() {
        let check = |line: &str, last_start_ns: u64, want: u64| {
            let (plan, measurement) = planned(line);
            assert_eq!(planned_end_ns(&plan, &measurement, 7, last_start_ns), want, "{line}");
        };
        check("--rate 1000 -d 2s", 9_000_000_000, 2_000_000_007);
        check("-n 500", 9_000_000_000, u64::MAX);
        check("--rate 1000 -n 500 --warmup 3s", 499_000_007, 500_000_007);
        check("--rate 1000 -n 500 --arrival burst:100", 400_000_007, 500_000_007);
        check("--rate 1000..2000/1000@1s -n 2000", 1_499_500_007, 1_500_000_007);
        check("--rate 1000 -n 500 --arrival poisson", 480_000_007, 500_000_007);
        check("--rate 1000 -n 500 --arrival poisson", 530_000_007, 530_000_007);
    }
}
