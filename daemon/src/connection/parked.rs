//! Commands that wait for records on disk: put aside when they come, run when what they look at is in memory.
//!
//! A parked command is a [`Job`]: it owns its arguments, and its reply goes into the slot that was opened for it, so
//! that the connection goes on with what follows and replies keep their order. Commands on the same key keep theirs
//! (`shard/src/cold/`); a command over all keys waits at its connection until everything before it is answered.

use engine::worker::Worker;
use resp::{Args, Protocol, ReplyWriter};
use shard::cold::{Admission, ColdReadError, Need};
use shard::shard_set::SpaceFor;
use shard::types::{BatchNumber, Db};

use super::connection::Client;
use super::core::Core;
use super::disk_full::{disk_full, space_for_job};
use super::errand::ERRANDS;
use super::job::{Job, JobPart};
use super::limits::{REPLY_SLOTS_MAX, SMALL_REQUEST_BYTES};
use super::message::Address;
use super::outbox::{address, source};
use super::room::is_log_full;
use super::routes::{Flow, Request};
use super::service::Service;
use super::tracking::place_of;
use crate::commands::{Command, Execution, Merge, TogetherHandlers, scan};

/// Commands put aside, by token.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    jobs: Vec<Option<Job>>,
    free: Vec<u64>,
    /// Those that were called and wait for disk space, or for the log to take what it has, with their tickets.
    waiting: Vec<(u32, Job)>,
    /// Bytes of their arguments.
    bytes: usize,
}

impl Parked {
    /// The token that the next command put aside will have.
    pub(super) fn next_token(&self) -> u64 {
        self.free.last().copied().unwrap_or(self.jobs.len() as u64)
    }

    pub(super) fn put(&mut self, job: Job) {
        self.bytes += job.args_bytes();
        match self.free.pop() {
            Some(token) => self.jobs[usize::try_from(token).unwrap_or(usize::MAX)] = Some(job),
            None => self.jobs.push(Some(job)),
        }
    }

    fn take(&mut self, token: u64) -> Job {
        let place = usize::try_from(token).unwrap_or(usize::MAX);
        self.free.push(token);
        let job = self.jobs[place].take().expect("a token is called once");
        self.bytes -= job.args_bytes();
        job
    }

    fn wait(&mut self, ticket: u32, job: Job) {
        self.bytes += job.args_bytes();
        self.waiting.push((ticket, job));
    }

    /// Those that may be tried again.
    fn take_waiting(&mut self, is_log_full: bool) -> Vec<(u32, Job)> {
        let tried = |(_, job): &mut (u32, Job)| !(is_log_full && fills_log(job));
        let waiting: Vec<(u32, Job)> = self.waiting.extract_if(.., tried).collect();
        self.bytes -= waiting.iter().map(|(_, job)| job.args_bytes()).sum::<usize>();
        waiting
    }

    /// Bytes of the arguments of all of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub(super) fn put_waiting(&mut self, ticket: u32, job: Job) {
        self.wait(ticket, job);
    }

    fn len(&self) -> usize {
        self.jobs.len() - self.free.len() + self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those put aside, and those that wait for disk space.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().flatten().chain(self.waiting.iter().map(|(_, job)| job))
    }

    /// As [`Self::jobs`].
    pub(super) fn jobs_mut(&mut self) -> impl Iterator<Item = &mut Job> {
        self.jobs.iter_mut().flatten().chain(self.waiting.iter_mut().map(|(_, job)| job))
    }
}

/// Whether a job would add much to what waits for the log. One that holds keys goes on: others wait for it.
fn fills_log(job: &Job) -> bool {
    job.part == JobPart::Whole && job.command.is_write() && job.args_bytes() > SMALL_REQUEST_BYTES
}

impl Core {
    /// Whether a command may run now on this worker's shards. [`Admission::Parked`]: the caller puts it aside at once.
    fn admit(
        &mut self,
        worker: &mut Worker<Service>,
        command: &'static Command,
        db: Db,
        args: Args<'_>,
    ) -> Admission {
        let shards = &mut worker.shards;
        let needs: Vec<Need> = match command.execution {
            Execution::Key(_)
            | Execution::Keys { .. }
            | Execution::Checked { .. }
            | Execution::SameShard(_) => command
                .key_positions(args.len())
                .filter_map(|at| args.get(at))
                .map(|bytes| shards.key(bytes))
                .map(|key| shards.need(db, key.slot, key.hash))
                .collect(),
            Execution::Together(handlers) => (handlers.places)(args, db)
                .iter()
                .map(|place| (place.db, shards.key(args.at(place.at))))
                .map(|(db, key)| shards.need(db, key.slot, key.hash))
                .collect(),
            Execution::Scan(_) => match scan::cursor_of(args) {
                Some(cursor) => shards.scan_needs(db, cursor, scan::count_of(args)),
                None => return Admission::Run,
            },
            Execution::Everywhere { merge: Merge::WeightedPick, .. } => {
                shards.draw(db, self.draw()).into_iter().collect()
            }
            _ => return Admission::Run,
        };
        worker.shards.admit(self.parked.next_token(), needs.iter().copied())
    }

    /// Puts a request of this worker's connection aside, into a slot of its own, when it cannot run now.
    /// `None`: it can.
    #[cold]
    pub(super) fn park(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
    ) -> Option<Flow> {
        let Request { me, command, args } = request;
        if client.slots.len() >= REPLY_SLOTS_MAX || worker.shards.is_waiting_room_full() {
            return Some(Flow::Stall);
        }
        match self.admit(worker, command, client.session.db, args) {
            Admission::Run => None,
            Admission::Parked => {
                let slot = client.slots.open_waiting(source(command));
                let mut to = address(me, slot, 0);
                to.tracks = self.tracking.is_on;
                self.parked.put(Job::new(worker.index, to, command, &client.session, args).counted(true));
                Some(Flow::Forwarded)
            }
        }
    }

    /// As [`Self::park`], for a part whose slot is open already, or a command of another worker, which `counts` as a call
    /// here. Whether it was put aside.
    pub(super) fn park_part(
        &mut self,
        worker: &mut Worker<Service>,
        (origin, mut to, counts): (usize, Address, bool),
        command: &'static Command,
        of: (Db, Protocol),
        args: Args<'_>,
    ) -> bool {
        let parks = worker.shards.may_wait() && self.admit(worker, command, of.0, args) == Admission::Parked;
        if parks {
            // A part of a request at hand, or what has come with such an address.
            to.tracks |= self.tracking.is_on;
            self.parked.put(Job::of_parts(origin, to, command, of, args).counted(counts));
        }
        parks
    }

    /// Whether a step of a walk may be done now; if not it is put aside.
    pub(super) fn park_walk(&mut self, worker: &mut Worker<Service>, job: Job) -> Option<Job> {
        if !worker.shards.may_wait() {
            return Some(job);
        }
        if worker.shards.is_waiting_room_full() {
            self.jobs.push_back(job);
            return None;
        }
        let needs = match scan::walk_from(&worker.shards, &job.state) {
            Some(cursor) => worker.shards.scan_needs(job.db, cursor, scan::WALK_COUNT),
            None => Vec::new(),
        };
        match worker.shards.admit(self.parked.next_token(), needs.iter().copied()) {
            Admission::Run => Some(job),
            Admission::Parked => {
                self.parked.put(job);
                None
            }
        }
    }
}

impl Service {
    /// Runs the parked commands whose records have come.
    pub(super) fn run_called(&mut self, worker: &mut Worker<Service>) {
        if !worker.shards.may_wait() {
            self.core.holds.must_call = false;
            return;
        }
        for (ticket, job) in self.core.parked.take_waiting(is_log_full(worker)) {
            // What it looks at may have left memory meanwhile: it is called again when that is there.
            worker.shards.recall(ticket, self.core.parked.next_token());
            self.core.parked.put(job);
        }
        while let Some((ticket, token, result)) = worker.shards.next_called() {
            let job = self.core.parked.take(token);
            match result {
                Ok(()) => self.run_one_called(worker, ticket, job),
                Err(error) => {
                    self.refuse_parked(worker, &job, error);
                    self.end_refused(worker, ticket, &job);
                }
            }
        }
        self.core.holds.must_call = false;
    }

    /// Runs a command, or a part of one, whose records have come, unless it has to wait for disk space or for the log.
    /// Meanwhile it keeps its place at its keys.
    fn run_one_called(&mut self, worker: &mut Worker<Service>, ticket: u32, job: Job) {
        match space_for_job(&mut worker.shards, &job, worker.clock.now) {
            // What was put aside before the drive fell behind must not pile up there.
            SpaceFor::Ready if fills_log(&job) && is_log_full(worker) => {
                self.core.parked.wait(ticket, job);
                return;
            }
            SpaceFor::Ready => {}
            SpaceFor::Soon => {
                self.core.parked.wait(ticket, job);
                return;
            }
            SpaceFor::None => {
                self.answer_with_error(worker, &job, disk_full(job.command));
                self.core.note_refused(worker, job.command);
                self.end_refused(worker, ticket, &job);
                return;
            }
        }
        let keeps = match job.part {
            JobPart::Whole => {
                self.run_parked(worker, job);
                false
            }
            JobPart::Hold => self.run_hold(worker, ticket, &job),
            JobPart::Settle => self.run_settle(worker, ticket, &job),
        };
        if !keeps {
            worker.shards.finish(ticket);
        }
    }

    /// Lets go what a job held that got an error.
    fn end_refused(&mut self, worker: &mut Worker<Service>, ticket: u32, job: &Job) {
        if job.part != JobPart::Settle || !self.core.keeps_hold(ticket, job) {
            worker.shards.finish(ticket);
        }
    }

    fn run_parked(&mut self, worker: &mut Worker<Service>, job: Job) {
        // What a walk comes by may have changed since it was put aside: it is asked again for what it lacks now.
        let mut job = match job.command.execution {
            Execution::Walk(_) => match self.core.park_walk(worker, job) {
                Some(job) => job,
                None => return,
            },
            Execution::Scan(_) => {
                let of = (job.db, job.protocol);
                let to = (job.origin, job.address, job.counts);
                if self.core.park_part(worker, to, job.command, of, job.args()) {
                    return;
                }
                job
            }
            _ => job,
        };
        let handler = match job.command.execution {
            Execution::Key(handler)
            | Execution::Keys { handler, .. }
            | Execution::Checked { handler, .. }
            | Execution::SameShard(handler)
            | Execution::Together(TogetherHandlers { here: handler, .. })
            | Execution::Everywhere { handler, .. }
            | Execution::Scan(handler) => handler,
            Execution::Walk(_) => {
                self.walk_on(worker, job);
                return;
            }
            Execution::Sessions { .. }
            | Execution::Subscriptions { .. }
            | Execution::Subscribe(_)
            | Execution::Publish { .. }
            | Execution::EndSessions { .. }
            | Execution::Connection(_)
            | Execution::Configure { .. }
            | Execution::Track { .. }
            | Execution::Monitor
            | Execution::Storage { .. }
            | Execution::AwaitSave(_)
            | Execution::SwapDatabases(_)
            | Execution::Container => {
                unreachable!("looks at no record")
            }
        };
        let began_ns = ring::monotonic_ns();
        let mut out = Vec::new();
        let who = place_of(job.origin, &job.address);
        let of = (job.db, job.protocol, who);
        let barrier = self.core.run_for(worker, handler, of, job.args(), &mut out);
        if job.address.tracks {
            self.core.remember_reads(worker, who, job.command, job.args());
        }
        self.core.counters.note_reply(job.command.id, &out);
        self.answer_job(worker, &job, &out, 0, barrier);
        job.duration_ns = ring::monotonic_ns() - began_ns;
        if job.counts {
            self.core.counters.note_calls(job.command.id, 1, job.duration_ns);
        }
        self.note_slow_job(worker, &job, barrier);
    }

    /// Notes a job that took long, its answer being made to wait for `barrier`.
    pub(super) fn note_slow_job(&mut self, worker: &Worker<Service>, job: &Job, barrier: BatchNumber) {
        if job.duration_ns < self.core.server.settings.slow_ns() {
            return;
        }
        let of = (job.origin, job.address);
        let slow = self.note_slow_of(worker, of, (job.command, job.args()), job.duration_ns);
        if let Some(id) = slow
            && job.origin != worker.index
        {
            let batch = if barrier > worker.shards.released() { barrier } else { BatchNumber::ZERO };
            self.core.held.message(job.origin, batch).slow.push((job.address, id));
        }
    }

    fn refuse_parked(&mut self, worker: &mut Worker<Service>, job: &Job, error: ColdReadError) {
        tracing::error!(
            command = job.command.name,
            %error,
            "a record cannot be read back; the command got an error, nothing was changed"
        );
        self.answer_with_error(worker, job, &format!("ERR storage error: {error}"));
    }

    fn answer_with_error(&mut self, worker: &mut Worker<Service>, job: &Job, text: &str) {
        let mut out = Vec::new();
        ReplyWriter::new(&mut out, job.protocol).error(text);
        self.core.counters.note_reply(job.command.id, &out);
        self.answer_job(worker, job, &out, 0, BatchNumber::ZERO);
    }

    /// Delivers a job's reply to the connection that asked, here or at another worker.
    pub(super) fn answer_job(
        &mut self,
        worker: &mut Worker<Service>,
        job: &Job,
        out: &[u8],
        count: usize,
        barrier: BatchNumber,
    ) {
        if job.origin == worker.index {
            self.deliver(worker, job.address, out, count, barrier);
        } else {
            let batch = if barrier > worker.shards.released() { barrier } else { BatchNumber::ZERO };
            self.core.held.message(job.origin, batch).push(job.address, out, count);
            if job.address.connection != ERRANDS {
                self.inboxes[job.origin].allowance.note_made(job.address.connection, out.len());
            }
        }
    }
}
