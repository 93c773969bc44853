//! A worker drives its connections over one ring: wait, settle every reply that came, write the next requests,
//! send. One system call a turn for all of it; nothing is allocated, timed or woken per request. With `--spin` it polls
//! in place of waiting.
//!
//! Two clock reads a turn: one right after the wait, the time of all replies it brought; one right before the
//! requests are handed to the ring, the time they are sent. So a reply's time is late by at most the turn before
//! it, whose longest is reported.

mod replies;
mod sends;
mod signals;
mod starts;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use ring::{Completion, Fd, Ring, RingError, SetupMode, Token, Waker};

pub use self::signals::WorkerSignals;
use crate::clock::{now_ns, thread_cpu_ns};
use crate::connection::{Connection, Outstanding};
use crate::generator::Generator;
use crate::insert_frontier::InsertFrontier;
use crate::number::bytes;
use crate::operations::OperationTable;
use crate::phase::{Phase, PhaseOutcome, PhasePace};
use crate::phase_run::{PhaseRun, UsageStart};
use crate::process::thread_involuntary_switches;
use crate::series::Interval;
use crate::tls::TlsSession;
use crate::verify_share::Sampler;

/// The connections of one thread and everything needed to load them.
pub struct Worker {
    ring: Ring,
    connections: Vec<Connection>,
    generator: Generator,
    operations: Arc<OperationTable>,
    frontier: Option<InsertFrontier>,
    /// Chooses the answers that are looked into: values carry key and checksum for it.
    sampler: Option<Sampler>,
    /// Reads of read-modify-writes that were answered and whose writes are not written yet.
    second_halves: Vec<Outstanding>,
    signals: Arc<WorkerSignals>,
    intervals: SyncSender<Interval>,
    completions: Vec<Completion>,
    /// Connections with bytes to send, each once.
    dirty: Vec<u32>,
    /// Connections with room for a request, each once; used in an open loop.
    available: VecDeque<u32>,
    /// Send buffers not in use.
    spare_buffers: Vec<Vec<u8>>,
    /// The connection of the next recorded request is full: its reply comes before anything can start.
    is_blocked: bool,
    in_flight: usize,
    alive: usize,
}

impl Worker {
    /// A worker over connected sockets. Arms their receives.
    #[must_use]
    pub fn new(
        mut ring: Ring,
        sockets: Vec<Fd>,
        generator: Generator,
        pipeline: usize,
        sampler: Option<Sampler>,
        signals: Arc<WorkerSignals>,
        intervals: SyncSender<Interval>,
    ) -> Self {
        let mut connections = Vec::with_capacity(sockets.len());
        for (number, socket) in sockets.into_iter().enumerate() {
            let token = Token::try_from(number).expect("an index fits a token");
            ring.recv(&socket, token);
            connections.push(Connection::new(socket, pipeline));
        }
        let count = connections.len();
        Self {
            ring,
            connections,
            operations: generator.operations(),
            frontier: generator.frontier(),
            generator,
            sampler,
            second_halves: Vec::with_capacity(pipeline),
            signals,
            intervals,
            completions: Vec::with_capacity(2 * count),
            dirty: Vec::with_capacity(count),
            available: VecDeque::with_capacity(count),
            spare_buffers: Vec::new(),
            is_blocked: false,
            in_flight: 0,
            alive: count,
        }
    }

    /// Encrypts a connection, by its number.
    pub fn encrypt(&mut self, number: usize, session: TlsSession) {
        self.connections[number].tls = Some(Box::new(session));
    }

    /// How to wake the worker, and the mode of its ring.
    #[must_use]
    pub fn introduction(&self) -> (Waker, SetupMode) {
        (self.ring.waker(), self.ring.mode())
    }

    /// Carries out one phase, to its end or until told to stop.
    ///
    /// # Errors
    /// Those of the ring; the worker is of no more use.
    pub fn run(&mut self, mut phase: Phase) -> Result<PhaseOutcome, RingError> {
        assert_eq!(self.in_flight, 0, "a phase starts with nothing in flight");
        assert!(phase.pipeline > 0);
        if let PhasePace::Load(keys) = &mut phase.pace {
            self.generator.load(Some(keys.clone()));
        }
        let mut run = PhaseRun::new(phase, Arc::clone(&self.operations));
        self.available.clear();
        for (number, connection) in self.connections.iter_mut().enumerate() {
            connection.queued = connection.alive;
            if connection.alive {
                self.available.push_back(u32::try_from(number).expect("connections are bounded"));
            }
        }
        let mut now = now_ns();
        loop {
            self.mark_time(&mut run, now);
            self.generate(&mut run, now);
            if self.is_done(&mut run, now) {
                break;
            }
            self.flush(&mut run, now);
            let mut completions = std::mem::take(&mut self.completions);
            let waited = if run.phase.spin {
                // Without anything to submit or to take this reads memory only.
                self.ring.submit_and_wait(false, &mut completions)
            } else {
                self.ring.set_timer(Some(self.next_wake_ns(&run)));
                self.ring.submit_and_wait(true, &mut completions)
            };
            now = now_ns();
            waited?;
            let (successes, failures) = (run.interval.operations, run.interval.errors);
            for completion in completions.drain(..) {
                self.complete(&mut run, completion, now);
            }
            self.completions = completions;
            // Relaxed: figures for the progress display.
            self.signals.successes.fetch_add(run.interval.operations - successes, Ordering::Relaxed);
            self.signals.failures.fetch_add(run.interval.errors - failures, Ordering::Relaxed);
        }
        self.generator.load(None);
        Ok(self.conclude(run, now))
    }

    /// Opens and closes the window and the intervals when their time has come.
    fn mark_time(&mut self, run: &mut PhaseRun, now: u64) {
        if self.signals.stop.load(Ordering::Relaxed) && !run.interrupted {
            run.interrupt(now);
        }
        if run.usage_start.is_none() && now >= run.phase.window_start_ns {
            run.usage_start = Some(self.usage(now));
        }
        while let Some(closed) = run.close_interval(now) {
            self.hand_over(run, closed);
        }
    }

    fn hand_over(&self, run: &mut PhaseRun, interval: Interval) {
        if run.phase.series && self.intervals.try_send(interval).is_err() {
            run.tally.intervals_lost += 1;
        }
    }

    fn complete(&mut self, run: &mut PhaseRun, completion: Completion, now: u64) {
        match completion {
            Completion::Received { token, result, more } => self.received(run, token, result, more, now),
            Completion::Sent { token, buffer, result } => self.sent(run, token, buffer, result),
            // The wait has ended, which is all they are for.
            Completion::Timer | Completion::Woken => {}
            other => unreachable!("a worker starts no such operation: {other:?}"),
        }
    }

    fn is_done(&self, run: &mut PhaseRun, now: u64) -> bool {
        if self.alive == 0 {
            return true;
        }
        if !run.ended && (run.nothing_left_to_start() || now >= run.start_deadline_ns()) {
            run.end(now);
        }
        run.ended && (self.in_flight == 0 || now >= run.deadline_ns)
    }

    /// The next moment at which something happens without a reply.
    fn next_wake_ns(&self, run: &PhaseRun) -> u64 {
        let mut wake_ns = if run.intervals_go_on() { run.interval_end_ns } else { u64::MAX };
        if run.usage_start.is_none() {
            wake_ns = wake_ns.min(run.phase.window_start_ns);
        }
        if run.ended {
            return wake_ns.min(run.deadline_ns);
        }
        match &run.phase.pace {
            PhasePace::Load(_) | PhasePace::Closed if !run.has_begun => wake_ns.min(run.phase.start_ns),
            // With every connection full, a reply comes before the next start.
            PhasePace::Open(schedule) if !self.available.is_empty() && !self.is_blocked => {
                wake_ns.min(schedule.next_ns())
            }
            PhasePace::Open(_) => wake_ns.min(run.start_deadline_ns()),
            PhasePace::Load(_) | PhasePace::Closed => wake_ns.min(run.phase.window_end_ns),
        }
    }

    fn usage(&self, now: u64) -> UsageStart {
        UsageStart {
            wall_ns: now,
            cpu_ns: thread_cpu_ns(),
            counters: self.ring.counters(),
            involuntary_switches: thread_involuntary_switches(),
        }
    }

    fn conclude(&mut self, mut run: PhaseRun, now: u64) -> PhaseOutcome {
        run.close_usage(self.usage(now));
        for connection in &mut self.connections {
            if connection.in_flight() > 0 {
                // Given up: a reply that still comes could not be told from those of a later phase.
                let lost = connection.fail();
                self.alive -= 1;
                self.in_flight -= lost.len();
                run.tally.dropped += bytes(lost.iter().filter(|request| request.measured).count());
                Ring::shutdown_socket(&connection.socket);
            }
        }
        run.tally.dropped += run.unstarted();
        if let Some(last) = run.last_interval(now) {
            self.hand_over(&mut run, last);
        }
        PhaseOutcome {
            tally: run.tally,
            usage: run.usage,
            connections_left: self.alive,
            interrupted: run.interrupted,
        }
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("32 bits fit")
}

fn connection_number(token: Token) -> u32 {
    u32::try_from(token).expect("tokens are connection numbers")
}
