//! All workers of a run and the wait for them: started together, told each phase together, their intervals
//! merged, their outcomes gathered.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use ring::SetupMode;
use thiserror::Error;

use crate::clock::now_ns;
use crate::control::{Control, ControlError};
use crate::generator::Generator;
use crate::insert_frontier::InsertFrontier;
use crate::key_picker::WorkerSeat;
use crate::limits::{INSERT_WINDOW, INTERVAL_NS, INTERVAL_QUEUE};
use crate::number::seconds;
use crate::operations::Verb;
use crate::phase::{Phase, PhaseOutcome};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::series::{Interval, Series, SeriesBuilder};
use crate::tls::TlsSession;
use crate::trace::TraceShare;
use crate::usage_watch::{UsageOfWindow, UsageWatch};
use crate::values::ValuePool;
use crate::worker_thread::{WorkerError, WorkerSetup, WorkerThread};

/// Why a run could not be made.
#[derive(Debug, Error)]
pub enum RunError {
    /// The server.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A worker.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// This process may not use the processors asked for.
    #[error("cannot run on the processors of --cpus: {0}")]
    Cpus(String),
    /// The generator could not test itself.
    #[error("the self-test failed: {0}")]
    Selftest(String),
    /// Ctrl-C, before there was anything to report.
    #[error("interrupted before anything was measured")]
    Interrupted,
    /// Keys could not be loaded.
    #[error("loading keys failed: {0}")]
    Load(String),
}

/// The workers.
#[derive(Debug)]
pub struct Fleet {
    workers: Vec<WorkerThread>,
    intervals: Receiver<Interval>,
}

/// How a phase went.
#[derive(Debug)]
pub struct FleetOutcome {
    /// Each worker's outcome, in their order.
    pub workers: Vec<PhaseOutcome>,
    /// The phase second by second.
    pub series: Series,
    /// CPU and memory over the window; `None` when the phase ended before it.
    pub usage: Option<UsageOfWindow>,
    /// When the last worker had ended.
    pub ended_ns: u64,
    /// Intervals left out of the series.
    pub intervals_omitted: u64,
}

/// What shows how far a phase is.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// It ends at this time.
    Until {
        /// When it began.
        start_ns: u64,
        /// When it ends.
        end_ns: u64,
    },
    /// It ends after so many requests.
    Requests,
}

impl Fleet {
    /// Opens all connections and starts all workers.
    ///
    /// # Errors
    /// When a connection cannot be made or a worker cannot work.
    pub fn start(plan: &Plan, pipeline_max: usize) -> Result<Self, RunError> {
        let workload = &plan.workload;
        let values = ValuePool::new(&workload.values, workload.seed);
        let frontier = workload
            .operations
            .draws(Verb::Insert)
            .then(|| InsertFrontier::new(workload.keys, INSERT_WINDOW));
        let (intervals_sent, intervals) = sync_channel(INTERVAL_QUEUE);
        let mut workers = Vec::new();
        for number in 0..plan.threads {
            let sockets = (0..plan.connections_of(number))
                .map(|_| Ok(Control::open(&plan.target, &plan.session)?.into_connection()?.into_owned()))
                .collect::<Result<Vec<(OwnedFd, Option<TlsSession>)>, ControlError>>()?;
            let seat = WorkerSeat { worker: u64::from(number), workers: u64::from(plan.threads) };
            let mut generator =
                Generator::new(workload, values.clone(), seat, frontier.clone(), plan.inserts_expected());
            if let Some(trace) = &plan.trace {
                generator.replay(TraceShare::new(
                    Arc::clone(trace),
                    seat.worker,
                    seat.workers,
                    workload.seed,
                ));
            }
            let position = usize::try_from(number).expect("threads are bounded");
            let setup = WorkerSetup {
                cpu: plan.cpus.get(position % plan.cpus.len().max(1)).copied(),
                sockets,
                generator,
                sampler: workload.verify.sampler(workload.seed, seat.worker),
                pipeline_max,
                intervals: intervals_sent.clone(),
            };
            workers.push(WorkerThread::start(number, setup)?);
        }
        Ok(Self { workers, intervals })
    }

    /// Mode of the workers' rings.
    #[must_use]
    pub fn mode(&self) -> Option<SetupMode> {
        self.workers.first().map(|worker| worker.mode)
    }

    /// Carries out one phase. `phase_of` gives each worker its own; `watch` samples the window, and its samples
    /// make the series. A set `interrupt` ends the phase early.
    ///
    /// # Errors
    /// When a worker fails.
    pub fn run(
        &self,
        phase_of: impl Fn(u64) -> Phase,
        extent: Extent,
        watch: Option<UsageWatch>,
        progress: &Progress,
        interrupt: &AtomicBool,
    ) -> Result<FleetOutcome, RunError> {
        let mut wait = Wait::new(self, watch);
        for (number, worker) in self.workers.iter().enumerate() {
            worker.begin(phase_of(number as u64))?;
        }
        let mut is_stopping = false;
        loop {
            wait.gather(progress)?;
            if wait.is_over() {
                break;
            }
            if interrupt.load(Ordering::Relaxed) && !is_stopping {
                is_stopping = true;
                progress.say("ending the run: waiting for outstanding replies (again to quit at once)");
                self.workers.iter().for_each(WorkerThread::stop);
            }
            wait.show(extent, progress);
            std::thread::sleep(wait.pause());
        }
        wait.gather(progress)?;
        Ok(wait.finish())
    }
}

/// The wait for one phase.
struct Wait<'a> {
    fleet: &'a Fleet,
    outcomes: Vec<Option<PhaseOutcome>>,
    series: SeriesBuilder,
    watch: Option<UsageWatch>,
    successes_before: u64,
}

impl<'a> Wait<'a> {
    fn new(fleet: &'a Fleet, watch: Option<UsageWatch>) -> Self {
        let mut wait = Self {
            fleet,
            outcomes: vec![None; fleet.workers.len()],
            series: SeriesBuilder::new(fleet.workers.len() as u64),
            watch,
            successes_before: 0,
        };
        wait.successes_before = wait.successes();
        wait
    }

    /// Takes everything that has come: samples that are due, intervals, outcomes.
    fn gather(&mut self, progress: &Progress) -> Result<(), WorkerError> {
        if let Some(sample) = self.watch.as_mut().and_then(|watch| watch.poll(now_ns())) {
            self.series.add_usage(sample);
        }
        for (worker, outcome) in self.fleet.workers.iter().zip(&mut self.outcomes) {
            if outcome.is_none() {
                *outcome = worker.try_outcome()?;
            }
        }
        for interval in self.fleet.intervals.try_iter() {
            if let Some(merged) = self.series.add(interval) {
                progress.interval(&merged, seconds(INTERVAL_NS));
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.outcomes.iter().all(Option::is_some)
    }

    fn show(&self, extent: Extent, progress: &Progress) {
        progress.set_position(match extent {
            Extent::Until { start_ns, end_ns } => {
                now_ns().min(end_ns).saturating_sub(start_ns) / NS_PER_POSITION
            }
            Extent::Requests => self.successes() - self.successes_before,
        });
    }

    fn successes(&self) -> u64 {
        self.fleet.workers.iter().map(|worker| worker.signals.successes.load(Ordering::Relaxed)).sum()
    }

    /// Time until something is due, at most a tick.
    fn pause(&self) -> Duration {
        let due_ns = self.watch.as_ref().map_or(u64::MAX, UsageWatch::next_ns);
        TICK.min(Duration::from_nanos(due_ns.saturating_sub(now_ns())))
    }

    fn finish(self) -> FleetOutcome {
        let intervals_omitted = self.series.omitted();
        FleetOutcome {
            workers: self.outcomes.into_iter().flatten().collect(),
            series: self.series.finish(),
            usage: self.watch.and_then(UsageWatch::finish),
            ended_ns: now_ns(),
            intervals_omitted,
        }
    }
}

/// How often the coordinator looks; it shares a processor with a worker when there are few.
const TICK: Duration = Duration::from_millis(50);
/// Unit of the bar for phases that end by time.
pub const NS_PER_POSITION: u64 = 1_000_000;
