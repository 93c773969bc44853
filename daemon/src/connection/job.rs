//! Work of a request that is done step by step in later turns, on every worker: going over all keys, or over all
//! sessions.

use engine::worker::Worker;
use resp::{ArgRange, Args, Protocol, ReplyWriter};
use shard::types::{BatchNumber, Db, UnixMs};

use super::connection::Life;
use super::core::Core;
use super::message::Address;
use super::service::Service;
use crate::commands::{Command, Execution, KeyContext, WalkState};
use crate::session::Session;

/// One worker's part of such a request.
#[derive(Debug)]
pub(crate) struct Job {
    /// The worker of the connection that asked.
    pub(crate) origin: usize,
    pub(crate) address: Address,
    pub(crate) command: &'static Command,
    pub(crate) db: Db,
    pub(crate) protocol: Protocol,
    pub(crate) part: JobPart,
    pub(crate) state: WalkState,
    /// What it has seen waits for this batch.
    pub(crate) barrier: BatchNumber,
    /// How long its steps took, in nanoseconds.
    pub(super) duration_ns: u64,
    /// It is counted as a call where it runs.
    pub(super) counts: bool,
    bytes: Vec<u8>,
    ranges: Vec<ArgRange>,
}

/// What a job is of its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobPart {
    /// The command, or all of it that this worker does.
    Whole,
    /// The step of an errand that holds keys; its arguments say which.
    Hold,
    /// The step of an errand that changes a key or lets keys go.
    Settle,
}

impl Job {
    pub(crate) fn new(
        origin: usize,
        address: Address,
        command: &'static Command,
        session: &Session,
        args: Args<'_>,
    ) -> Self {
        Self::of_parts(origin, address, command, (session.db, session.protocol), args)
    }

    /// The same, counted as a call where it runs, or not.
    pub(crate) fn counted(self, counts: bool) -> Self {
        Self { counts, ..self }
    }

    pub(crate) fn of_parts(
        origin: usize,
        address: Address,
        command: &'static Command,
        (db, protocol): (Db, Protocol),
        args: Args<'_>,
    ) -> Self {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        for arg in args.iter() {
            ranges.push(ArgRange { start: bytes.len(), len: arg.len() });
            bytes.extend_from_slice(arg);
        }
        Self {
            origin,
            address,
            command,
            db,
            protocol,
            part: JobPart::Whole,
            state: WalkState::default(),
            barrier: BatchNumber::ZERO,
            duration_ns: 0,
            counts: false,
            bytes,
            ranges,
        }
    }

    pub(crate) fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.ranges)
    }

    /// Bytes of all its arguments.
    pub(crate) fn args_bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl Service {
    /// One step of each request that goes over all keys or sessions.
    pub(super) fn run_jobs(&mut self, worker: &mut Worker<Service>) {
        for _ in 0..self.core.jobs.len() {
            let Some(job) = self.core.jobs.pop_front() else { break };
            match job.command.execution {
                Execution::Walk(_) => {
                    if let Some(job) = self.core.park_walk(worker, job) {
                        self.walk_on(worker, job);
                    }
                }
                Execution::Sessions { list, .. } => {
                    let mut out = Vec::new();
                    for (_, connection) in self.connections.iter() {
                        list(&connection.client.session, job.args(), worker.clock.now, &mut out);
                    }
                    self.answer_job(worker, &job, &out, job.state.count, BatchNumber::ZERO);
                }
                Execution::Subscriptions { tell, .. } => {
                    let mut out = Vec::new();
                    let count = tell(&self.core.subscriptions, job.args(), &mut out);
                    self.answer_job(worker, &job, &out, count, BatchNumber::ZERO);
                }
                Execution::EndSessions { picks, .. } => {
                    let ended = self.end_sessions(worker, &job, picks);
                    let reply = format!(":{ended}\r\n");
                    self.answer_job(worker, &job, reply.as_bytes(), 0, BatchNumber::ZERO);
                }
                _ => unreachable!("only these become jobs"),
            }
        }
    }

    /// Ends the sessions that are picked, and tells how many. The one that asks still gets its replies; the others get
    /// no more.
    fn end_sessions(
        &mut self,
        worker: &Worker<Service>,
        job: &Job,
        picks: fn(&Session, Args<'_>, bool, UnixMs) -> bool,
    ) -> usize {
        let mut ended = 0;
        for me in self.connections.numbers() {
            let is_asker =
                job.origin == worker.index && me == (job.address.connection, job.address.generation);
            let Some(mut connection) = self.connections.take(me.0, me.1) else { continue };
            let client = &mut connection.client;
            if client.life == Life::Open && picks(&client.session, job.args(), is_asker, worker.clock.now) {
                client.life = if is_asker { Life::Closing } else { Life::Dead };
                client.session.is_closing = true;
                ended += 1;
                self.mark_dirty(&mut connection, me);
            }
            self.connections.put(me.0, connection);
        }
        ended
    }

    /// One step of a walk, whose records are in memory; the last one answers.
    pub(super) fn walk_on(&mut self, worker: &mut Worker<Service>, mut job: Job) {
        let Execution::Walk(step) = job.command.execution else { unreachable!("the caller knows") };
        let began_ns = ring::monotonic_ns();
        let (done, barrier) = self.core.walk_step(worker, step, &mut job);
        job.barrier = job.barrier.max(barrier);
        job.duration_ns += ring::monotonic_ns() - began_ns;
        if done {
            let out = std::mem::take(&mut job.state.out);
            self.answer_job(worker, &job, &out, job.state.count, job.barrier);
            self.note_slow_job(worker, &job, job.barrier);
        } else {
            self.core.jobs.push_back(job);
        }
    }
}

impl Core {
    /// One bounded step of a command that goes over all keys. Whether it is done, and what it waits for.
    fn walk_step(
        &mut self,
        worker: &mut Worker<Service>,
        step: fn(&mut KeyContext<'_>, Args<'_>, &mut WalkState) -> bool,
        job: &mut Job,
    ) -> (bool, BatchNumber) {
        let mut unused = Vec::new();
        let mut state = std::mem::take(&mut job.state);
        let mut context = KeyContext {
            store: &mut worker.shards,
            now: worker.clock.now,
            db: job.db,
            reply: ReplyWriter::new(&mut unused, job.protocol),
            settings: &self.server.settings,
            counters: &mut self.counters,
            random: &mut self.random,
            events: &mut self.events,
            key: None,
        };
        let done = step(&mut context, job.args(), &mut state);
        job.state = state;
        let barrier = worker.shards.take_barrier();
        (done, barrier)
    }
}
