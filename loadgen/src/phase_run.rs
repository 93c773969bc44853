//! The state of one phase on one worker: whether a request may start, whether it counts, and the counts.
//!
//! A request belongs to the window in which it started (in an open loop: was meant to start), whenever its reply
//! comes. It knows no socket and no clock: times are given.

use std::sync::Arc;

use resp::{ReplyHead, ReplyKind};

use crate::answer_check::check_answer;
use crate::connection::Outstanding;
use crate::error_counts::kind;
use crate::limits::INTERVAL_NS;
use crate::operations::{OperationTable, Verb};
use crate::phase::{Phase, PhasePace, WorkerUsage};
use crate::series::Interval;
use crate::tally::{LATE_NS, Tally, WAITED_NS};
use crate::walk::next_cursor;

/// The state of the phase under way.
#[derive(Debug)]
pub struct PhaseRun {
    /// What was ordered.
    pub phase: Phase,
    /// The counts.
    pub tally: Tally,
    /// The counts of the present interval.
    pub interval: Interval,
    /// When the present interval ends.
    pub interval_end_ns: u64,
    /// A request was started.
    pub has_begun: bool,
    /// No request starts any more.
    pub ended: bool,
    /// After this, outstanding replies are given up.
    pub deadline_ns: u64,
    /// The phase was ended from outside.
    pub interrupted: bool,
    /// When all connections were last found full with a request due.
    pub full_ns: u64,
    /// How the worker itself does.
    pub usage: WorkerUsage,
    /// The worker's figures at the start of the window, once it has come.
    pub usage_start: Option<UsageStart>,
    operations: Arc<OperationTable>,
}

/// A worker's figures at one moment.
#[derive(Clone, Copy, Debug)]
pub struct UsageStart {
    /// When.
    pub wall_ns: u64,
    /// CPU time of its thread.
    pub cpu_ns: u64,
    /// Its ring's counters.
    pub counters: ring::Counters,
    /// Times its core was taken away.
    pub involuntary_switches: u64,
}

impl PhaseRun {
    /// A phase about to begin.
    #[must_use]
    pub fn new(phase: Phase, operations: Arc<OperationTable>) -> Self {
        Self {
            interval_end_ns: phase.window_start_ns.saturating_add(INTERVAL_NS),
            phase,
            tally: Tally::new(&operations),
            operations,
            interval: Interval::new(0),
            has_begun: false,
            ended: false,
            deadline_ns: u64::MAX,
            interrupted: false,
            full_ns: 0,
            usage: WorkerUsage::default(),
            usage_start: None,
        }
    }

    /// The start of the next request, if it may start now.
    pub fn next_start(&mut self, now: u64) -> Option<u64> {
        match &mut self.phase.pace {
            PhasePace::Open(schedule) => {
                let next_ns = schedule.next_ns();
                let is_due = next_ns <= now && next_ns < self.phase.window_end_ns;
                is_due.then(|| schedule.take())
            }
            PhasePace::Load(_) | PhasePace::Closed => (now >= self.phase.start_ns).then_some(now),
        }
    }

    /// Every connection is full: what is due by now waits for a reply, which is the server's doing.
    pub fn note_full(&mut self, now: u64) {
        if let PhasePace::Open(schedule) = &self.phase.pace
            && schedule.next_ns() <= now
        {
            self.full_ns = now;
        }
    }

    /// Notes a measured start; one of an open loop that waited is counted, and what for.
    pub fn note_start(&mut self, intended_ns: u64, now: u64) {
        self.tally.last_start_ns = self.tally.last_start_ns.max(intended_ns);
        if now.saturating_sub(intended_ns) > WAITED_NS && matches!(self.phase.pace, PhasePace::Open(_)) {
            self.tally.waited += 1;
            self.tally.held_back += u64::from(intended_ns <= self.full_ns);
        }
    }

    /// No request starts from now on.
    pub fn end(&mut self, now: u64) {
        self.ended = true;
        // What an open loop could not send in time uses up the time for its replies.
        let last_start_ns = now.min(self.phase.window_end_ns);
        self.deadline_ns = last_start_ns.saturating_add(self.phase.drain_ns);
    }

    /// Until here an open loop may send what was due in the window.
    #[must_use]
    pub fn start_deadline_ns(&self) -> u64 {
        self.phase.window_end_ns.saturating_add(self.phase.drain_ns)
    }

    /// In a closed loop the last replies belong to the last interval of the window; an open one works off what was
    /// due, and shows it.
    #[must_use]
    pub const fn intervals_go_on(&self) -> bool {
        matches!(self.phase.pace, PhasePace::Open(_)) || self.interval_end_ns < self.phase.window_end_ns
    }

    /// Whether the schedule has no more starts in the window.
    #[must_use]
    pub fn nothing_left_to_start(&self) -> bool {
        matches!(&self.phase.pace, PhasePace::Open(schedule) if schedule.next_ns() >= self.phase.window_end_ns)
    }

    /// Measured starts of the schedule that were not made.
    pub fn unstarted(&mut self) -> u64 {
        let end_ns = self.phase.window_end_ns;
        let left = self.phase.budget.left();
        match &mut self.phase.pace {
            PhasePace::Open(schedule) if end_ns < u64::MAX => {
                schedule.drain_before(self.phase.window_start_ns);
                schedule.drain_before(end_ns).min(left.unwrap_or(u64::MAX))
            }
            PhasePace::Open(_) => left.unwrap_or(0),
            PhasePace::Load(_) | PhasePace::Closed => 0,
        }
    }

    /// Whether a moment lies in the measured window.
    #[must_use]
    pub const fn is_in_window(&self, now: u64) -> bool {
        now >= self.phase.window_start_ns && now < self.phase.window_end_ns
    }

    /// Ends the phase from outside: nothing starts any more, outstanding replies get a moment.
    pub fn interrupt(&mut self, now: u64) {
        self.interrupted = true;
        self.phase.window_end_ns = self.phase.window_end_ns.min(now);
        self.phase.drain_ns = self.phase.drain_ns.min(INTERRUPTED_DRAIN_NS);
    }

    /// Closes the present interval if its time is over.
    pub fn close_interval(&mut self, now: u64) -> Option<Interval> {
        if now < self.interval_end_ns || !self.intervals_go_on() {
            return None;
        }
        let next = Interval::new(self.interval.number + 1);
        self.interval_end_ns += INTERVAL_NS;
        Some(std::mem::replace(&mut self.interval, next))
    }

    /// The last interval, if any of it lies in the window or anything happened in it.
    pub fn last_interval(&mut self, now: u64) -> Option<Interval> {
        let last = std::mem::replace(&mut self.interval, Interval::new(0));
        let began_ns = self.interval_end_ns - INTERVAL_NS;
        let is_due = began_ns < now.min(self.phase.window_end_ns);
        (is_due || last.operations > 0 || last.errors > 0).then_some(last)
    }

    /// Notes how long a turn took from waking up to sending.
    pub fn note_turn(&mut self, took_ns: u64) {
        if self.usage_start.is_some() && !self.ended {
            self.usage.stall_max_ns = self.usage.stall_max_ns.max(took_ns);
        }
    }

    /// The worker's figures over the window, whose end is now.
    pub fn close_usage(&mut self, end: UsageStart) {
        let Some(start) = self.usage_start else { return };
        self.usage = WorkerUsage {
            wall_ns: end.wall_ns - start.wall_ns,
            cpu_ns: end.cpu_ns.saturating_sub(start.cpu_ns),
            enters: end.counters.enters - start.counters.enters,
            completions: end.counters.completions - start.counters.completions,
            starved_receives: end.counters.starved_receives - start.counters.starved_receives,
            involuntary_switches: end.involuntary_switches.saturating_sub(start.involuntary_switches),
            ..self.usage
        };
    }

    /// Counts one measured request and its reply. True: the second half of a read-modify-write is to follow.
    pub fn count(&mut self, request: Outstanding, head: &ReplyHead, input: &[u8], now: u64) -> bool {
        let operations = Arc::clone(&self.operations);
        let operation = operations.get(request.operation);
        self.tally.last_reply_ns = now;
        if !self.is_success(operation.verb, &operation.name, head, input) {
            self.interval.errors += 1;
            self.note_answer(false, now);
            return false;
        }
        match operation.verb {
            Verb::ReadModifyWrite => {
                self.record(&request, operations.of(Verb::RmwRead).index(), request.sent_ns, now);
                return true;
            }
            Verb::RmwWrite => {
                self.record(&request, request.operation.index(), request.sent_ns, now);
                let whole = operations.of(Verb::ReadModifyWrite).index();
                self.record(&request, whole, request.begun_ns, now);
            }
            _ => self.record(&request, request.operation.index(), request.sent_ns, now),
        }
        self.interval.operations += 1;
        self.note_answer(true, now);
        false
    }

    /// Counts the reply to a request of the warm-up, which is in no histogram. True: the second half of a
    /// read-modify-write is to follow.
    pub fn count_of_warm_up(&mut self, request: &Outstanding, head: &ReplyHead, now: u64) -> bool {
        let is_success = !head.is_error();
        if is_success && self.operations.get(request.operation).verb == Verb::ReadModifyWrite {
            return true;
        }
        self.note_answer(is_success, now);
        false
    }

    /// An operation was answered, whenever it started.
    fn note_answer(&mut self, is_success: bool, now: u64) {
        if now >= self.phase.window_start_ns && now < self.phase.watch_end_ns {
            self.tally.window_answers += 1;
            self.tally.window_successes += u64::from(is_success);
        }
    }

    fn is_success(&mut self, verb: Verb, name: &str, head: &ReplyHead, input: &[u8]) -> bool {
        let tally = &mut self.tally;
        match (verb, head.kind) {
            (_, ReplyKind::Error | ReplyKind::BulkError) => {
                tally.errors.record_reply(&input[head.body.clone()]);
                return false;
            }
            (Verb::Get | Verb::ReadModifyWrite | Verb::Command(_), ReplyKind::Bulk) => tally.hits += 1,
            (Verb::Get | Verb::ReadModifyWrite | Verb::Command(_), ReplyKind::Null) => tally.misses += 1,
            (Verb::Set | Verb::Insert | Verb::RmwWrite, ReplyKind::Simple)
            | (Verb::Delete, ReplyKind::Integer)
            | (Verb::Scan, ReplyKind::Array)
            | (Verb::Command(_), _) => {}
            (Verb::Walk, ReplyKind::Array) if next_cursor(input).is_some() => {}
            (_, kind) => {
                let text = format!("{name} answered with a reply of type {kind:?}");
                tally.errors.record(kind::UNEXPECTED_REPLY, text.as_bytes(), 1);
                return false;
            }
        }
        true
    }

    /// Records the latencies of one operation that was begun by a send at `sent_ns`.
    fn record(&mut self, request: &Outstanding, place: usize, sent_ns: u64, now: u64) {
        let service_ns = now.saturating_sub(sent_ns);
        let figures = &mut self.tally.operations[place];
        figures.service.record(service_ns);
        let mut latency_ns = service_ns;
        let is_whole = !figures.is_part;
        if matches!(self.phase.pace, PhasePace::Open(_)) {
            latency_ns = now.saturating_sub(request.intended_ns);
            let slip_ns = sent_ns.saturating_sub(request.intended_ns);
            figures.corrected.record(latency_ns);
            figures.slip.record(slip_ns);
            if is_whole {
                self.tally.late += u64::from(slip_ns > LATE_NS);
                self.interval.slip.record(slip_ns);
            }
        }
        if is_whole {
            self.interval.latency.record(latency_ns);
        }
    }

    /// Looks into the answer to a read of sealed values.
    pub fn verify(&mut self, request: &Outstanding, head: &ReplyHead, input: &[u8]) {
        let verb = self.operations.get(request.operation).verb;
        let Some(outcome) = check_answer(verb, request.key, head, input) else { return };
        let tally = &mut self.tally;
        tally.checked += outcome.checked;
        if let Some(bad) = outcome.bad {
            tally.bad += 1;
            tally.bad_example.get_or_insert_with(|| bad.to_string());
        }
    }
}

/// How long replies are waited for after Ctrl-C.
const INTERRUPTED_DRAIN_NS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Budget;
    use crate::rate_curve::RateCurve;
    use crate::schedule::{Arrival, Schedule};

    const WINDOW_NS: u64 = 10 * INTERVAL_NS;

    fn run(pace: PhasePace) -> PhaseRun {
        let phase = Phase {
            pace,
            pipeline: 1,
            start_ns: 100,
            window_start_ns: 1_000,
            window_end_ns: 1_000 + WINDOW_NS,
            watch_end_ns: 1_000 + WINDOW_NS,
            drain_ns: 50,
            budget: Budget::unlimited(),
            series: true,
            spin: false,
        };
        PhaseRun::new(phase, table())
    }

    fn table() -> Arc<OperationTable> {
        let mix = crate::operations::parse_mix("set=1,get=1,rmw=1,scan=1,del=1").unwrap();
        Arc::new(OperationTable::new(&mix).unwrap())
    }

    fn open() -> PhaseRun {
        // One start every millisecond from 0.
        run(PhasePace::Open(Schedule::new(Arrival::Constant, RateCurve::constant(1000.0), 0, 0, 1, 0)))
    }

    fn settle(run: &mut PhaseRun, verb: Verb, kind: ReplyKind, now: u64) -> bool {
        let new = Outstanding::new(table().of(verb), 0, 1_000, true);
        let request = Outstanding { sent_ns: 3_000, begun_ns: 2_000, ..new };
        let head = ReplyHead { kind, consumed: 5, body: 1..3, value: 0 };
        run.count(request, &head, b"-NO\r\n", now)
    }

    #[test]
    fn a_read_modify_write_is_one_operation_and_its_halves_are_counted_apart() {
        let mut run = open();
        assert!(settle(&mut run, Verb::ReadModifyWrite, ReplyKind::Bulk, 4_000));
        assert_eq!((run.tally.successes(), run.interval.operations), (0, 0));
        assert!(!settle(&mut run, Verb::RmwWrite, ReplyKind::Simple, 9_000));
        assert_eq!((run.tally.successes(), run.interval.operations, run.tally.hits), (1, 1, 1));
        let figures = |verb| &run.tally.operations[table().of(verb).index()];
        let near = |got: u64, want: u64| assert!(got.abs_diff(want) <= want / 500, "{got} instead of {want}");
        near(figures(Verb::RmwRead).service.max(), 1_000);
        near(figures(Verb::RmwWrite).service.max(), 6_000);
        near(figures(Verb::ReadModifyWrite).service.max(), 7_000);
        near(figures(Verb::ReadModifyWrite).corrected.max(), 8_000);
        assert!(
            !settle(&mut run, Verb::ReadModifyWrite, ReplyKind::Error, 4_000),
            "nothing follows an error"
        );
    }

    #[test]
    fn a_closed_loop_starts_when_it_may_and_an_open_one_when_it_is_due() {
        let mut closed = run(PhasePace::Closed);
        assert_eq!(closed.next_start(99), None);
        assert_eq!(closed.next_start(100), Some(100));
        let mut open = open();
        assert_eq!(open.next_start(0), Some(0));
        assert_eq!(open.next_start(999_999), None);
        assert_eq!(open.next_start(5_000_000), Some(1_000_000));
        assert_eq!(open.next_start(5_000_000), Some(2_000_000));
    }

    #[test]
    fn starts_beyond_the_window_are_not_made_and_those_missed_in_it_are_counted() {
        let mut open = open();
        let starts = std::iter::from_fn(|| open.next_start(u64::MAX)).count();
        assert_eq!(starts, 10_001);
        assert!(open.nothing_left_to_start());
        assert_eq!(open.unstarted(), 0);
        let mut missed = self::open();
        // The start at 0 lies before the window.
        assert_eq!(missed.unstarted(), 10_000);
    }

    #[test]
    fn latency_counts_from_the_intended_start_in_an_open_loop_only() {
        let mut open = open();
        settle(&mut open, Verb::Get, ReplyKind::Bulk, 10_000);
        let figures = &open.tally.operations[table().of(Verb::Get).index()];
        let near =
            |got: u64, want: u64| assert!(got.abs_diff(want) <= want / 1000, "{got} instead of {want}");
        near(figures.service.max(), 7_000);
        near(figures.corrected.max(), 9_000);
        near(figures.slip.max(), 2_000);
        let mut closed = run(PhasePace::Closed);
        settle(&mut closed, Verb::Set, ReplyKind::Simple, 10_000);
        let figures = &closed.tally.operations[table().of(Verb::Set).index()];
        assert_eq!((figures.service.count(), figures.corrected.count()), (1, 0));
        assert_eq!(figures.slip.count(), 0);
    }

    #[test]
    fn what_is_answered_in_the_window_is_counted_whenever_it_started() {
        let mut run = run(PhasePace::Closed);
        let of_warm_up = |run: &mut PhaseRun, verb: Verb, kind: ReplyKind, now: u64| {
            let request = Outstanding::new(table().of(verb), 0, 500, false);
            run.count_of_warm_up(&request, &ReplyHead { kind, consumed: 5, body: 1..3, value: 0 }, now)
        };
        assert!(!of_warm_up(&mut run, Verb::Get, ReplyKind::Bulk, 999), "answered before the window");
        assert!(of_warm_up(&mut run, Verb::ReadModifyWrite, ReplyKind::Bulk, 1_000), "half an operation");
        assert_eq!((run.tally.window_answers, run.tally.window_successes), (0, 0));
        of_warm_up(&mut run, Verb::RmwWrite, ReplyKind::Simple, 1_000);
        of_warm_up(&mut run, Verb::ReadModifyWrite, ReplyKind::Error, 2_000);
        settle(&mut run, Verb::Set, ReplyKind::Simple, 5_000);
        settle(&mut run, Verb::Get, ReplyKind::Error, 999 + WINDOW_NS);
        assert_eq!((run.tally.window_answers, run.tally.window_successes), (4, 2));
        // The histograms hold the replies of the drain too, and none of the warm-up.
        settle(&mut run, Verb::Set, ReplyKind::Simple, 1_000 + WINDOW_NS);
        assert_eq!((run.tally.window_answers, run.tally.successes()), (4, 2));
    }

    #[test]
    fn starts_left_of_a_number_are_missed_and_no_others() {
        let check = |count: u64, window_end_ns: u64, want: u64| {
            let mut open = open();
            open.phase.budget = Budget::of(count);
            open.phase.window_end_ns = window_end_ns;
            assert!(open.phase.budget.take());
            assert_eq!(open.unstarted(), want, "{count} until {window_end_ns}");
        };
        // The worker has lost its connections.
        check(300, u64::MAX, 299);
        // The run was interrupted: after ten more starts, or when all had been made.
        check(300, 1_000 + 10_000_000, 10);
        check(1, 1_000 + 10_000_000, 0);
    }

    #[test]
    fn replies_of_wrong_types_are_errors() {
        let mut run = run(PhasePace::Closed);
        settle(&mut run, Verb::Set, ReplyKind::Bulk, 5_000);
        settle(&mut run, Verb::Get, ReplyKind::Integer, 5_000);
        settle(&mut run, Verb::Get, ReplyKind::Error, 5_000);
        settle(&mut run, Verb::Get, ReplyKind::Null, 5_000);
        assert_eq!(run.tally.errors.by_kind()[kind::UNEXPECTED_REPLY].count, 2);
        assert_eq!(run.tally.errors.by_kind()["NO"].count, 1);
        assert_eq!((run.tally.successes(), run.tally.misses, run.tally.hits), (1, 1, 0));
        assert_eq!((run.interval.operations, run.interval.errors), (1, 3));
    }

    #[test]
    fn the_last_interval_of_a_closed_loop_takes_the_last_replies() {
        let mut run = run(PhasePace::Closed);
        let mut numbers = Vec::new();
        while let Some(interval) = run.close_interval(2_000 + WINDOW_NS) {
            numbers.push(interval.number);
        }
        assert_eq!(numbers, (0..9).collect::<Vec<_>>());
        assert_eq!(run.last_interval(2_000 + WINDOW_NS).map(|interval| interval.number), Some(9));
    }

    #[test]
    fn an_interrupt_shortens_window_and_wait() {
        let mut run = run(PhasePace::Closed);
        run.phase.drain_ns = u64::MAX;
        run.interrupt(5_000);
        run.end(5_000);
        assert_eq!((run.phase.window_end_ns, run.deadline_ns), (5_000, 5_000 + INTERRUPTED_DRAIN_NS));
        assert!(run.interrupted && run.ended);
    }
}
