//! Work of the storage that a client asked for: begun here, looked at after every turn, answered when it is done. A
//! worker that has nothing else to do sleeps meanwhile: completions of the work itself wake it.

use engine::worker::Worker;
use resp::{Protocol, ReplyWriter};
use shard::shard_set::{StorageTask, TaskError, TaskKind};
use shard::types::BatchNumber;

use super::core::Core;
use super::job::Job;
use super::service::Service;
use crate::commands::Execution;

/// A task and the client that waits for it.
#[derive(Debug)]
struct Awaited {
    task: StorageTask,
    job: Job,
    /// Until when the client waits, on the monotonic clock; `None`: until it is done.
    until_ns: Option<u64>,
}

/// Tasks under way on this worker.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    tasks: Vec<Awaited>,
    /// This worker's part of the save under way.
    save: Option<StorageTask>,
    /// Saves whose part was begun here.
    saves_begun: u64,
    /// Clients that wait for a save to be complete, and which.
    savers: Vec<(u64, Job)>,
}

impl Tasks {
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.save.is_none() && self.savers.is_empty()
    }

    /// When the next client has waited for long enough.
    pub(crate) fn next_deadline_ns(&self) -> Option<u64> {
        self.tasks.iter().filter_map(|awaited| awaited.until_ns).min()
    }

    /// Answers when so many saves have ended.
    pub(crate) fn await_save(&mut self, job: Job, number: u64) {
        self.savers.push((number, job));
    }
}

impl Core {
    /// Begins a client's task. `Some`: it cannot be, this is the reply.
    pub(super) fn begin_task(
        &mut self,
        worker: &mut Worker<Service>,
        kind: TaskKind,
        job: Job,
    ) -> Option<(Job, Vec<u8>)> {
        match StorageTask::begin(kind, &mut worker.shards) {
            Ok(task) => {
                let Execution::Storage { patience, .. } = job.command.execution else {
                    unreachable!("only these are tasks")
                };
                let until_ns = patience(job.args())
                    .map(|ms| worker.clock.now_ns.saturating_add(ms.saturating_mul(1_000_000)));
                self.tasks.tasks.push(Awaited { task, job, until_ns });
                None
            }
            Err(error) => {
                let reply = reply_of(job.protocol, Err(error));
                Some((job, reply))
            }
        }
    }
}

impl Service {
    /// Begins this worker's part of a save that somebody has begun.
    pub(super) fn begin_saves(&mut self, worker: &mut Worker<Service>) {
        let begun = self.core.server.saves.begun();
        if begun == self.core.tasks.saves_begun {
            return;
        }
        assert!(self.core.tasks.save.is_none(), "the next save begins when all parts of the last have ended");
        self.core.tasks.saves_begun = begun;
        self.wake_others(worker);
        match StorageTask::begin(TaskKind::Checkpoint, &mut worker.shards) {
            Ok(task) => self.core.tasks.save = Some(task),
            Err(error) => self.end_save_part(worker, Err(error)),
        }
    }

    fn end_save_part(&mut self, worker: &Worker<Service>, result: Result<(), TaskError>) {
        if let Err(error) = result {
            tracing::warn!(worker = worker.index, %error, "this worker's part of a save was not done");
        }
        self.core.server.saves.end_part(result.is_ok(), worker.clock.now.0);
        // The client that waits may be another worker's.
        self.wake_others(worker);
    }

    pub(super) fn wake_others(&self, worker: &Worker<Service>) {
        for (index, other) in self.workers.iter().enumerate() {
            if index != worker.index {
                other.wake();
            }
        }
    }

    /// Looks at the tasks under way and answers those that are done.
    pub(super) fn step_tasks(&mut self, worker: &mut Worker<Service>) {
        if self.core.tasks.is_empty() {
            return;
        }
        if let Some(mut save) = self.core.tasks.save.take() {
            match save.step(&mut worker.shards) {
                Ok(false) => self.core.tasks.save = Some(save),
                Ok(true) => self.end_save_part(worker, Ok(())),
                Err(error) => self.end_save_part(worker, Err(error)),
            }
        }
        let mut at = 0;
        while at < self.core.tasks.tasks.len() {
            let awaited = &mut self.core.tasks.tasks[at];
            let reply = match awaited.task.step(&mut worker.shards) {
                Ok(true) => reply_of(awaited.job.protocol, Ok(())),
                Err(error) => reply_of(awaited.job.protocol, Err(error)),
                Ok(false) if awaited.until_ns.is_some_and(|until| until <= worker.clock.now_ns) => {
                    NOT_DONE.to_vec()
                }
                Ok(false) => {
                    at += 1;
                    continue;
                }
            };
            let Awaited { job, .. } = self.core.tasks.tasks.swap_remove(at);
            self.answer_task(worker, &job, &reply);
        }
        let status = self.core.server.saves.status();
        while let Some(at) = self.core.tasks.savers.iter().position(|(number, _)| *number <= status.ended) {
            let (_, job) = self.core.tasks.savers.swap_remove(at);
            let result = if status.failed { Err(TaskError::Closing) } else { Ok(()) };
            let reply = reply_of(job.protocol, result);
            self.answer_task(worker, &job, &reply);
        }
    }

    fn answer_task(&mut self, worker: &mut Worker<Service>, job: &Job, reply: &[u8]) {
        self.core.counters.note_reply(job.command.id, reply);
        self.answer_job(worker, job, reply, 0, BatchNumber::ZERO);
    }
}

/// The answer for a task that is not done when its client has waited for long enough.
const NOT_DONE: &[u8] = b":0\r\n";

fn reply_of(protocol: Protocol, result: Result<(), TaskError>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reply = ReplyWriter::new(&mut out, protocol);
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(&format!("ERR {error}")),
    }
    out
}
