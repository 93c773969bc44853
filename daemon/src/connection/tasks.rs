//! Work of the storage that a client asked for: begun here, looked at after every turn, answered when it is done. A
//! worker that has nothing else to do sleeps meanwhile: completions of the work itself wake it.

use engine::worker::Worker;
use resp::{Protocol, ReplyWriter};
use shard::shard_set::{StorageTask, TaskError, TaskKind};
use shard::types::BatchNumber;

use super::core::Core;
use super::job::Job;
use super::service::Service;

/// Who waits for a task.
#[derive(Debug)]
enum Waits {
    /// A client, for its reply.
    Client(Job),
    /// Nobody: BGSAVE has been answered.
    Nobody,
}

/// Tasks under way on this worker.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    tasks: Vec<(StorageTask, Waits, TaskKind)>,
    /// Saves begun here, of those that all workers were asked for.
    saves_begun: u64,
}

impl Tasks {
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
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
                self.tasks.tasks.push((task, Waits::Client(job), kind));
                None
            }
            Err(error) => {
                self.end_save(worker, kind, false);
                let reply = reply_of(job.protocol, Err(error));
                Some((job, reply))
            }
        }
    }

    /// The worker's part of a BGSAVE, when one was asked for.
    pub(super) fn begin_saves(&mut self, worker: &mut Worker<Service>) {
        let asked = self.server.saves.asked();
        if asked == self.tasks.saves_begun {
            return;
        }
        self.tasks.saves_begun = asked;
        match StorageTask::begin(TaskKind::Checkpoint, &mut worker.shards) {
            Ok(task) => self.tasks.tasks.push((task, Waits::Nobody, TaskKind::Checkpoint)),
            Err(error) => {
                tracing::warn!(worker = worker.index, %error, "BGSAVE: this worker's part was not done");
                self.end_save(worker, TaskKind::Checkpoint, false);
            }
        }
    }

    /// Checkpoints are asked for by saves only.
    fn end_save(&self, worker: &Worker<Service>, kind: TaskKind, done: bool) {
        if kind == TaskKind::Checkpoint {
            self.server.saves.end_part(done, worker.clock.now.0);
        }
    }
}

impl Service {
    /// Looks at the tasks under way and answers those that are done.
    pub(super) fn step_tasks(&mut self, worker: &mut Worker<Service>) {
        let mut at = 0;
        while at < self.core.tasks.tasks.len() {
            let (task, ..) = &mut self.core.tasks.tasks[at];
            let result = match task.step(&mut worker.shards) {
                Ok(false) => {
                    at += 1;
                    continue;
                }
                Ok(true) => Ok(()),
                Err(error) => Err(error),
            };
            let (_, waits, kind) = self.core.tasks.tasks.swap_remove(at);
            self.core.end_save(worker, kind, result.is_ok());
            if let Waits::Client(job) = waits {
                let reply = reply_of(job.protocol, result);
                self.core.counters.note_reply(job.command.id, &reply);
                self.answer_job(worker, &job, &reply, 0, BatchNumber::ZERO);
            }
        }
    }
}

fn reply_of(protocol: Protocol, result: Result<(), TaskError>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reply = ReplyWriter::new(&mut out, protocol);
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(&format!("ERR {error}")),
    }
    out
}
