//! The generator measures itself against a null server in its own process: the highest rate it can make, the latency
//! that is its own, and how exactly it keeps start times.
//!
//! A ceiling is worth something only when the null server takes nothing from the generator, so the two are put on
//! different processors where there are enough, as a server and its load would be.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cli::Live;
use crate::clock::now_ns;
use crate::fleet::RunError;
use crate::null_server::NullServer;
use crate::plan::{Measurement, Pace, Plan, Stop};
use crate::progress::Progress;
use crate::rate_curve::RateCurve;
use crate::report::Report;
use crate::run::execute_shown;
use crate::schedule::Arrival;
use crate::target::Target;

/// What the generator found about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelftestFigures {
    /// Connections of the closed loop.
    pub connections: u32,
    /// Requests in flight on each.
    pub pipeline: u32,
    /// Worker threads.
    pub threads: u32,
    /// Processors of the workers; none: the kernel chose, and the null server was among them.
    #[serde(default)]
    pub generator_cpus: Vec<usize>,
    /// Processors of the null server; none: any, so that it may have taken time from the workers.
    #[serde(default)]
    pub server_cpus: Vec<usize>,
    /// Requests per second against a server that does nothing.
    pub max_ops_s: f64,
    /// CPU time of the busiest worker meanwhile, in percent of the window. Well below 100, the null server was the limit,
    /// and the generator's own ceiling lies higher. Absent in reports before 1.2.
    #[serde(default)]
    pub worker_cpu_pct: Option<f64>,
    /// CPU time of generator and null server per request, both being threads of this process.
    pub cpu_us_per_op: Option<f64>,
    /// Median latency of one connection with one request in flight: the floor of what can be measured.
    pub floor_p50_ns: Option<u64>,
    /// Its 99th percentile.
    pub floor_p99_ns: Option<u64>,
    /// Rate at which the timing error was measured.
    pub timing_rate_ops_s: f64,
    /// Median delay of sending after the intended start.
    pub timing_error_p50_ns: Option<u64>,
    /// Its 99th percentile.
    pub timing_error_p99_ns: Option<u64>,
    /// The longest.
    pub timing_error_max_ns: Option<u64>,
    /// What reading the clock costs.
    pub clock_read_ns: f64,
}

const TIMING_RATE: f64 = 10_000.0;
const WARMUP: Duration = Duration::from_millis(200);
const CLOCK_READS: u32 = 100_000;

/// Measures with the connections, threads, processors and pipeline of `plan`, each of three parts for `length`.
///
/// # Errors
/// When no run can be made.
pub fn measure(plan: &Plan, length: Duration, interrupt: &AtomicBool) -> Result<SelftestFigures, RunError> {
    // In a thread of its own: the processors it is put on are not those of the run that follows.
    std::thread::scope(|scope| {
        let measuring = scope.spawn(|| measure_in_place(plan, length, interrupt));
        measuring.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn measure_in_place(
    plan: &Plan,
    length: Duration,
    interrupt: &AtomicBool,
) -> Result<SelftestFigures, RunError> {
    let socket = socket_path();
    let failed = |error: std::io::Error| RunError::Selftest(format!("{}: {error}", socket.display()));
    let available = processors_available().map_err(failed)?;
    let placement = Placement::of(&plan.cpus, plan.threads, &available);
    let server = NullServer::start(&socket, &placement.server).map_err(failed)?;
    let outcome = measure_at(plan, &placement, &socket, length, interrupt);
    drop(server);
    std::fs::remove_file(&socket).map_err(failed)?;
    outcome
}

/// Who runs where.
#[derive(Debug, PartialEq, Eq)]
struct Placement {
    /// Processors of the workers; none when the kernel chooses.
    generator: Vec<usize>,
    /// Processors of the null server; none when it shares those of the workers.
    server: Vec<usize>,
}

impl Placement {
    /// The workers keep the processors they were given, or get the last ones; what is left is the server's. Where
    /// nothing is left they share, and the report shows it.
    fn of(cpus: &[usize], threads: u32, available: &[usize]) -> Self {
        let threads = usize::try_from(threads).expect("32 bits fit");
        let generator: Vec<usize> = match (cpus, available.len().checked_sub(threads)) {
            ([], Some(first)) if first > 0 => available[first..].to_vec(),
            ([], _) => Vec::new(),
            // Further ones are used by no worker.
            (given, _) => given[..threads.min(given.len())].to_vec(),
        };
        let is_free = |cpu: &&usize| !generator.is_empty() && !generator.contains(cpu);
        let server = available.iter().filter(is_free).copied().collect();
        Self { generator, server }
    }
}

fn processors_available() -> std::io::Result<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None)?;
    Ok((0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

fn measure_at(
    plan: &Plan,
    placement: &Placement,
    socket: &std::path::Path,
    length: Duration,
    interrupt: &AtomicBool,
) -> Result<SelftestFigures, RunError> {
    let mut own = plan.clone();
    own.cpus.clone_from(&placement.generator);
    own.target = Target::Unix(socket.to_owned());
    own.session = crate::plan::Session { user: None, pass: None, resp3: false, db: 0 };
    own.workload = crate::plan_workload::Workload::plain();
    own.prefill = false;
    own.miss_limit = None;
    own.server_pid = None;
    own.live = Live::None;
    let pipeline = plan.measurement.as_ref().map_or(1, |measurement| measurement.pipeline);
    let full = part(&own, Pace::Closed, pipeline, length, interrupt)?;
    let ops_s = full.result.as_ref().map_or(0.0, |result| result.ops_s);
    let mut single = own.clone();
    (single.connections, single.threads) = (1, 1);
    let floor = part(&single, Pace::Closed, 1, length, interrupt)?;
    let open = Pace::Open { curve: RateCurve::constant(TIMING_RATE), arrival: Arrival::Constant };
    let timed = part(&own, open, 1, length, interrupt)?;
    let floor = floor.result.as_ref().map(|result| result.all.service.clone());
    let slip = timed.result.as_ref().and_then(|result| result.all.slip.clone());
    Ok(SelftestFigures {
        connections: own.connections,
        pipeline,
        threads: own.threads,
        generator_cpus: placement.generator.clone(),
        server_cpus: placement.server.clone(),
        max_ops_s: ops_s,
        worker_cpu_pct: full.client.per_thread.iter().map(|thread| thread.cpu_pct).reduce(f64::max),
        cpu_us_per_op: full.client.cpu_us_per_op,
        floor_p50_ns: floor.as_ref().and_then(|floor| floor.p50),
        floor_p99_ns: floor.as_ref().and_then(|floor| floor.p99),
        timing_rate_ops_s: TIMING_RATE,
        timing_error_p50_ns: slip.as_ref().and_then(|slip| slip.p50),
        timing_error_p99_ns: slip.as_ref().and_then(|slip| slip.p99),
        timing_error_max_ns: slip.as_ref().and_then(|slip| slip.max),
        clock_read_ns: clock_read_ns(),
    })
}

fn part(
    plan: &Plan,
    pace: Pace,
    pipeline: u32,
    length: Duration,
    interrupt: &AtomicBool,
) -> Result<Report, RunError> {
    let mut plan = plan.clone();
    let drain = Duration::from_secs(1);
    plan.measurement =
        Some(Measurement { pipeline, pace, warmup: WARMUP, stop: Stop::After(length), drain, spin: false });
    execute_shown(&plan, Vec::new(), interrupt, &Progress::Silent)
}

fn clock_read_ns() -> f64 {
    let start = now_ns();
    let mut last = start;
    for _ in 0..CLOCK_READS {
        last = now_ns();
    }
    last.saturating_sub(start) as f64 / f64::from(CLOCK_READS)
}

fn socket_path() -> PathBuf {
    std::env::temp_dir().join(format!("loadgen-selftest-{}-{}.sock", std::process::id(), now_ns()))
}

impl SelftestFigures {
    /// Whether the rate is the generator's own limit. Where the workers had time left, the null server was.
    #[must_use]
    pub fn is_own_ceiling(&self) -> bool {
        self.worker_cpu_pct.is_none_or(|pct| pct >= BUSY_PCT_MIN)
    }
}

/// A worker that is busier than this has reached its ceiling.
const BUSY_PCT_MIN: f64 = 90.0;

fn placed(figures: &SelftestFigures) -> String {
    let list = |cpus: &[usize]| cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let busy = figures.worker_cpu_pct.map_or_else(String::new, |pct| format!(" ({pct:.0} % busy)"));
    if figures.server_cpus.is_empty() {
        return format!("workers{busy} and null server share the processors");
    }
    format!(
        "workers on processor {}{busy}, null server on {}",
        list(&figures.generator_cpus),
        list(&figures.server_cpus)
    )
}

/// The figures in words.
#[must_use]
pub fn describe(figures: &SelftestFigures) -> String {
    use crate::latency::format_ns;
    format!(
        "ceiling    {}{} op/s with {} connections, pipeline {}, {} thread(s){}\n\
         placed     {}\n\
         floor      p50 {}, p99 {} with one request in flight\n\
         timing     sent p50 {}, p99 {}, at most {} after the intended start, at {} per second\n\
         clock      {:.0} ns per reading\n",
        if figures.is_own_ceiling() { "" } else { "at least " },
        crate::progress::group_digits(crate::number::floor_u64(figures.max_ops_s)),
        figures.connections,
        figures.pipeline,
        figures.threads,
        figures
            .cpu_us_per_op
            .map_or_else(String::new, |cpu| format!(", {cpu:.3} us CPU per request with the null server's")),
        placed(figures),
        format_ns(figures.floor_p50_ns),
        format_ns(figures.floor_p99_ns),
        format_ns(figures.timing_error_p50_ns),
        format_ns(figures.timing_error_p99_ns),
        format_ns(figures.timing_error_max_ns),
        figures.timing_rate_ops_s,
        figures.clock_read_ns
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_knows_its_ceiling_and_its_timing() {
        let plan = crate::plan::tests::plan("-c 4 -t 1 -P 4").unwrap();
        let figures = measure(&plan, Duration::from_millis(300), &AtomicBool::new(false)).unwrap();
        assert!(figures.max_ops_s > 1000.0, "{figures:?}");
        assert!(figures.floor_p50_ns.unwrap() > 1000, "{figures:?}");
        assert!(figures.timing_error_max_ns.is_some() && figures.clock_read_ns > 0.0, "{figures:?}");
        assert_eq!((figures.connections, figures.pipeline, figures.threads), (4, 4, 1));
        assert!(figures.worker_cpu_pct.is_some());
        // The processors of the self-test are not kept: here it is the test's own thread that must be free again.
        let after = processors_available().unwrap();
        assert!(figures.generator_cpus.len() < after.len().max(2), "{figures:?}, {after:?}");
    }

    #[test]
    fn workers_and_null_server_are_kept_apart_where_there_is_room() {
        let check = |cpus: &[usize], threads, available: &[usize], generator: &[usize], server: &[usize]| {
            let want = Placement { generator: generator.to_vec(), server: server.to_vec() };
            assert_eq!(Placement::of(cpus, threads, available), want);
        };
        check(&[], 1, &[0, 1], &[1], &[0]);
        check(&[], 2, &[0, 1, 2, 3], &[2, 3], &[0, 1]);
        check(&[0], 1, &[0, 1], &[0], &[1]);
        check(&[1, 0], 1, &[0, 1], &[1], &[0]);
        // No room: both go where the kernel puts them, or where the workers were told to.
        check(&[], 2, &[0, 1], &[], &[]);
        check(&[], 1, &[3], &[], &[]);
        check(&[0, 1], 2, &[0, 1], &[0, 1], &[]);
    }
}
