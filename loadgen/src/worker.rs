//! A worker drives its connections over one ring: wait, settle every reply that came, write the next requests,
//! send. One system call a turn for all of it; nothing is allocated, timed or woken per request.
//!
//! Two clock reads a turn: one right after the wait, the time of all replies it brought; one right before the
//! requests are handed to the ring, the time they are sent. So a reply's time is late by at most the turn before
//! it, whose longest is reported.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use resp::{ReplyHead, ReplyKind};
use ring::{Completion, Fd, Received, Ring, RingError, SetupMode, Token, Waker};

use crate::clock::{now_ns, thread_cpu_ns};
use crate::connection::{Connection, Outstanding};
use crate::error_counts::kind;
use crate::generator::Generator;
use crate::limits::{INTERVAL_NS, SPARE_BUFFERS_MAX};
use crate::number::bytes;
use crate::phase::{Phase, PhaseOutcome, PhasePace, WorkerUsage};
use crate::process::thread_involuntary_switches;
use crate::requests::Operation;
use crate::series::Interval;
use crate::tally::{LATE_NS, Tally};

/// What a worker shows while it works, and how it is told to end.
#[derive(Debug, Default)]
pub struct WorkerSignals {
    /// Successful requests of all phases so far.
    pub successes: AtomicU64,
    /// Failed requests of all phases so far.
    pub failures: AtomicU64,
    /// Set from outside, for good: end the phase now.
    pub stop: AtomicBool,
}

/// The connections of one thread and everything needed to load them.
pub struct Worker {
    ring: Ring,
    connections: Vec<Connection>,
    generator: Generator,
    signals: Arc<WorkerSignals>,
    intervals: SyncSender<Interval>,
    completions: Vec<Completion>,
    /// Connections with bytes to send, each once.
    dirty: Vec<u32>,
    /// Connections with room for a request, each once; used in an open loop.
    available: VecDeque<u32>,
    /// Send buffers not in use.
    spare_buffers: Vec<Vec<u8>>,
    in_flight: usize,
    alive: usize,
}

/// The state of the phase under way.
struct Run {
    phase: Phase,
    tally: Tally,
    interval: Interval,
    /// When the present interval ends.
    interval_end_ns: u64,
    /// A request was started.
    has_begun: bool,
    /// No request starts any more.
    ended: bool,
    /// After this, outstanding replies are given up.
    deadline_ns: u64,
    interrupted: bool,
    usage: WorkerUsage,
    /// The worker's figures at the start of the window, once it has come.
    usage_start: Option<UsageStart>,
    usage_done: bool,
}

#[derive(Clone, Copy)]
struct UsageStart {
    wall_ns: u64,
    cpu_ns: u64,
    counters: ring::Counters,
    involuntary_switches: u64,
}

impl Worker {
    /// A worker over connected sockets. Arms their receives.
    #[must_use]
    pub fn new(
        mut ring: Ring,
        sockets: Vec<Fd>,
        generator: Generator,
        pipeline: usize,
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
            generator,
            signals,
            intervals,
            completions: Vec::with_capacity(2 * count),
            dirty: Vec::with_capacity(count),
            available: VecDeque::with_capacity(count),
            spare_buffers: Vec::new(),
            in_flight: 0,
            alive: count,
        }
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
        let mut run = Run::new(phase);
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
            self.ring.set_timer(Some(self.next_wake_ns(&run)));
            let mut completions = std::mem::take(&mut self.completions);
            let waited = self.ring.submit_and_wait(true, &mut completions);
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
    fn mark_time(&mut self, run: &mut Run, now: u64) {
        if self.signals.stop.load(Ordering::Relaxed) && !run.interrupted {
            run.interrupted = true;
            run.phase.window_end_ns = run.phase.window_end_ns.min(now);
            run.phase.drain_ns = run.phase.drain_ns.min(INTERRUPTED_DRAIN_NS);
        }
        if run.usage_start.is_none() && now >= run.phase.window_start_ns {
            run.usage_start = Some(self.usage_start(now));
        }
        while now >= run.interval_end_ns && run.intervals_go_on() {
            let next = Interval::new(run.interval.number + 1);
            let closed = std::mem::replace(&mut run.interval, next);
            run.interval_end_ns += INTERVAL_NS;
            if run.phase.series && self.intervals.try_send(closed).is_err() {
                run.tally.intervals_lost += 1;
            }
        }
    }

    /// Writes the requests that may start now.
    fn generate(&mut self, run: &mut Run, now: u64) {
        if run.ended {
            return;
        }
        if now >= run.phase.window_end_ns && !matches!(run.phase.pace, PhasePace::Open(_)) {
            run.end(now);
            return;
        }
        while let Some(&number) = self.available.front() {
            let connection = &mut self.connections[index(number)];
            if !connection.alive || connection.in_flight() >= run.phase.pipeline {
                connection.queued = false;
                self.available.pop_front();
                continue;
            }
            let Some(intended_ns) = run.next_start(now) else { break };
            run.has_begun = true;
            let measured = intended_ns >= run.phase.window_start_ns;
            if measured && !run.phase.budget.take() {
                run.end(now);
                break;
            }
            if connection.out.capacity() == 0 {
                connection.out = self.spare_buffers.pop().unwrap_or_default();
            }
            let Some(operation) = self.generator.write_next(&mut connection.out) else {
                run.end(now);
                break;
            };
            connection.push(operation, intended_ns, measured);
            self.in_flight += 1;
            if !std::mem::replace(&mut connection.dirty, true) {
                self.dirty.push(number);
            }
            // An open loop spreads requests over the connections in turn; a closed one fills each.
            if matches!(run.phase.pace, PhasePace::Open(_)) {
                self.available.pop_front();
                self.available.push_back(number);
            }
        }
    }

    /// Hands the bytes of every connection that has some to the ring.
    fn flush(&mut self, run: &mut Run, now: u64) {
        if self.dirty.is_empty() {
            return;
        }
        let sent_ns = now_ns();
        if run.usage_start.is_some() && !run.usage_done {
            run.usage.stall_max_ns = run.usage.stall_max_ns.max(sent_ns.saturating_sub(now));
        }
        for number in self.dirty.drain(..) {
            let connection = &mut self.connections[index(number)];
            connection.dirty = false;
            if connection.sending || connection.out.is_empty() {
                continue;
            }
            connection.stamp(sent_ns);
            connection.sending = true;
            let buffer = std::mem::take(&mut connection.out);
            if run.is_in_window(sent_ns) {
                run.tally.bytes_sent += bytes(buffer.len());
            }
            self.ring.send(&connection.socket, buffer, Token::from(number));
        }
    }

    fn complete(&mut self, run: &mut Run, completion: Completion, now: u64) {
        match completion {
            Completion::Received { token, result, more } => self.received(run, token, result, more, now),
            Completion::Sent { token, buffer, result } => self.sent(run, token, buffer, result),
            // The wait has ended, which is all they are for.
            Completion::Timer | Completion::Woken => {}
            other => unreachable!("a worker starts no such operation: {other:?}"),
        }
    }

    fn received(
        &mut self,
        run: &mut Run,
        token: Token,
        result: std::io::Result<Received>,
        more: bool,
        now: u64,
    ) {
        let number = connection_number(token);
        if !self.connections[index(number)].alive {
            return;
        }
        match result {
            Ok(Received::Data(buffer)) => self.settle(run, number, &buffer, now),
            Ok(Received::NoBuffers) => {}
            Ok(Received::Closed) => {
                self.fail(run, number, kind::CONNECTION_LOST, "the server closed the connection");
            }
            Err(error) => self.fail(run, number, kind::CONNECTION_LOST, &error.to_string()),
        }
        let connection = &self.connections[index(number)];
        if !more && connection.alive {
            self.ring.recv(&connection.socket, token);
        }
    }

    fn settle(&mut self, run: &mut Run, number: u32, received: &[u8], now: u64) {
        if run.is_in_window(now) {
            run.tally.bytes_received += bytes(received.len());
        }
        let connection = &mut self.connections[index(number)];
        let before = connection.in_flight();
        let outcome = connection.receive(received, |request, head, input| {
            if request.measured {
                run.count(request, head, input, now);
            }
        });
        self.in_flight -= before - connection.in_flight();
        if let Err(fault) = outcome {
            self.fail(run, number, kind::PROTOCOL, &fault.text());
        } else if !std::mem::replace(&mut connection.queued, true) {
            self.available.push_back(number);
        }
    }

    fn sent(&mut self, run: &mut Run, token: Token, mut buffer: Vec<u8>, result: std::io::Result<usize>) {
        buffer.clear();
        if self.spare_buffers.len() < SPARE_BUFFERS_MAX {
            self.spare_buffers.push(buffer);
        }
        let number = connection_number(token);
        let connection = &mut self.connections[index(number)];
        connection.sending = false;
        if !connection.alive {
            return;
        }
        if let Err(error) = result {
            self.fail(run, number, kind::CONNECTION_LOST, &error.to_string());
        } else if !connection.out.is_empty() && !std::mem::replace(&mut connection.dirty, true) {
            self.dirty.push(number);
        }
    }

    /// Gives a connection up: what was in flight on it is counted as failed.
    fn fail(&mut self, run: &mut Run, number: u32, error_kind: &str, text: &str) {
        let connection = &mut self.connections[index(number)];
        let lost = connection.fail();
        self.in_flight -= lost.len();
        self.alive -= 1;
        Ring::shutdown_socket(&connection.socket);
        let measured = lost.iter().filter(|request| request.measured).count();
        // A connection that breaks with nothing in flight is an error too, or nobody would learn of it.
        let count = bytes(measured.max(1));
        run.interval.errors += count;
        run.tally.errors.record(error_kind, text.as_bytes(), count);
    }

    fn is_done(&self, run: &mut Run, now: u64) -> bool {
        if self.alive == 0 {
            return true;
        }
        if !run.ended && (run.nothing_left_to_start() || now >= run.start_deadline_ns()) {
            run.end(now);
        }
        run.ended && (self.in_flight == 0 || now >= run.deadline_ns)
    }

    /// The next moment at which something happens without a reply.
    fn next_wake_ns(&self, run: &Run) -> u64 {
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
            PhasePace::Open(schedule) if !self.available.is_empty() => wake_ns.min(schedule.next_ns()),
            PhasePace::Open(_) => wake_ns.min(run.start_deadline_ns()),
            PhasePace::Load(_) | PhasePace::Closed => wake_ns.min(run.phase.window_end_ns),
        }
    }

    fn usage_start(&self, now: u64) -> UsageStart {
        UsageStart {
            wall_ns: now,
            cpu_ns: thread_cpu_ns(),
            counters: self.ring.counters(),
            involuntary_switches: thread_involuntary_switches(),
        }
    }

    fn conclude(&mut self, mut run: Run, now: u64) -> PhaseOutcome {
        if let Some(start) = run.usage_start {
            let end = self.usage_start(now);
            run.usage = WorkerUsage {
                wall_ns: end.wall_ns - start.wall_ns,
                cpu_ns: end.cpu_ns.saturating_sub(start.cpu_ns),
                enters: end.counters.enters - start.counters.enters,
                completions: end.counters.completions - start.counters.completions,
                starved_receives: end.counters.starved_receives - start.counters.starved_receives,
                involuntary_switches: end.involuntary_switches.saturating_sub(start.involuntary_switches),
                ..run.usage
            };
        }
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
        if run.phase.series {
            let last = std::mem::replace(&mut run.interval, Interval::new(0));
            let began_ns = run.interval_end_ns - INTERVAL_NS;
            let is_due = began_ns < now.min(run.phase.window_end_ns);
            let is_empty = last.operations == 0 && last.errors == 0;
            if (is_due || !is_empty) && self.intervals.try_send(last).is_err() {
                run.tally.intervals_lost += 1;
            }
        }
        PhaseOutcome {
            tally: run.tally,
            usage: run.usage,
            connections_left: self.alive,
            interrupted: run.interrupted,
        }
    }
}

impl Run {
    fn new(phase: Phase) -> Self {
        Self {
            interval_end_ns: phase.window_start_ns.saturating_add(INTERVAL_NS),
            phase,
            tally: Tally::default(),
            interval: Interval::new(0),
            has_begun: false,
            ended: false,
            deadline_ns: u64::MAX,
            interrupted: false,
            usage: WorkerUsage::default(),
            usage_start: None,
            usage_done: false,
        }
    }

    /// The start of the next request, if it may start now.
    fn next_start(&mut self, now: u64) -> Option<u64> {
        match &mut self.phase.pace {
            PhasePace::Open(schedule) => {
                let next_ns = schedule.next_ns();
                let is_due = next_ns <= now && next_ns < self.phase.window_end_ns;
                is_due.then(|| schedule.take())
            }
            PhasePace::Load(_) | PhasePace::Closed => (now >= self.phase.start_ns).then_some(now),
        }
    }

    /// No request starts from now on.
    fn end(&mut self, now: u64) {
        self.ended = true;
        self.usage_done = true;
        // What an open loop could not send in time uses up the time for its replies.
        let last_start_ns = now.min(self.phase.window_end_ns);
        self.deadline_ns = last_start_ns.saturating_add(self.phase.drain_ns);
    }

    /// Until here an open loop may send what was due in the window.
    fn start_deadline_ns(&self) -> u64 {
        self.phase.window_end_ns.saturating_add(self.phase.drain_ns)
    }

    /// In a closed loop the last replies belong to the last interval of the window; an open one works off what was
    /// due, and shows it.
    const fn intervals_go_on(&self) -> bool {
        matches!(self.phase.pace, PhasePace::Open(_)) || self.interval_end_ns < self.phase.window_end_ns
    }

    fn nothing_left_to_start(&self) -> bool {
        matches!(&self.phase.pace, PhasePace::Open(schedule) if schedule.next_ns() >= self.phase.window_end_ns)
    }

    /// Measured starts of the schedule that were not made.
    fn unstarted(&mut self) -> u64 {
        let end_ns = self.phase.window_end_ns;
        match &mut self.phase.pace {
            PhasePace::Open(schedule) if end_ns < u64::MAX => {
                schedule.drain_before(self.phase.window_start_ns);
                schedule.drain_before(end_ns)
            }
            _ => 0,
        }
    }

    const fn is_in_window(&self, now: u64) -> bool {
        now >= self.phase.window_start_ns && now < self.phase.window_end_ns
    }

    /// Counts one measured request and its reply.
    fn count(&mut self, request: Outstanding, head: &ReplyHead, input: &[u8], now: u64) {
        let tally = &mut self.tally;
        let is_success = match (request.operation, head.kind) {
            (_, ReplyKind::Error | ReplyKind::BulkError) => {
                tally.errors.record_reply(&input[head.body.clone()]);
                false
            }
            (Operation::Set, ReplyKind::Simple) => true,
            (Operation::Get, ReplyKind::Bulk) => {
                tally.hits += 1;
                true
            }
            (Operation::Get, ReplyKind::Null) => {
                tally.misses += 1;
                true
            }
            (operation, kind) => {
                let text = format!("{} answered with a reply of type {kind:?}", operation.name());
                tally.errors.record(kind::UNEXPECTED_REPLY, text.as_bytes(), 1);
                false
            }
        };
        tally.last_reply_ns = now;
        if !is_success {
            self.interval.errors += 1;
            return;
        }
        self.interval.operations += 1;
        let service_ns = now.saturating_sub(request.sent_ns);
        let operation = &mut tally.operations[request.operation.index()];
        operation.service.record(service_ns);
        if matches!(self.phase.pace, PhasePace::Open(_)) {
            let corrected_ns = now.saturating_sub(request.intended_ns);
            let slip_ns = request.sent_ns.saturating_sub(request.intended_ns);
            operation.corrected.record(corrected_ns);
            tally.slip.record(slip_ns);
            tally.late += u64::from(slip_ns > LATE_NS);
            self.interval.latency.record(corrected_ns);
            self.interval.slip.record(slip_ns);
        } else {
            self.interval.latency.record(service_ns);
        }
    }
}

/// How long replies are waited for after Ctrl-C.
const INTERRUPTED_DRAIN_NS: u64 = 1_000_000_000;

fn index(number: u32) -> usize {
    usize::try_from(number).expect("32 bits fit")
}

fn connection_number(token: Token) -> u32 {
    u32::try_from(token).expect("tokens are connection numbers")
}
