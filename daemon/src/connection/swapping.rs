//! SWAPDB on one worker: what it does in each step of a swap (`server/swaps.rs`), looked at at the end of every turn.
//!
//! From the first step to the end requests on databases wait at their connections. What was begun before has ended
//! everywhere when the manifest is written: what other workers sent has come and has run, keys are held no longer,
//! records on disk were read, replies that were put off were asked for. Only walks over all keys (KEYS), which may take
//! long, go on: over the database that they began with, whatever number it has by then. And nobody waits for a client that
//! does not read: what was put off for it (`allowance.rs`) counts as not begun.

use std::sync::Arc;

use engine::manifest_keeper::KeeperError;
use engine::worker::Worker;
use resp::ReplyWriter;
use shard::shard_set::{StorageTask, TaskKind};
use shard::types::BatchNumber;

use super::connection::Client;
use super::core::Core;
use super::inbox::Inbox;
use super::job::Job;
use super::outbox::{address, source};
use super::routes::{Flow, Request};
use super::service::Service;
use crate::commands::{Command, Execution, PairHandler};
use crate::control::ExitCode;
use crate::server::{Swap, SwapStep, Swaps};

/// How far a swap of one of our connections has come, before its steps begin.
#[derive(Debug)]
enum Stage {
    /// It is claimed.
    Asked,
    /// Without a log: the save with this number comes first, or a crash would show what was there before it, swapped.
    Saving(u64),
    /// That save was not done.
    GivenUp,
    /// All workers take part.
    Begun,
}

/// A swap that one of our connections has asked for.
#[derive(Debug)]
struct Led {
    job: Job,
    stage: Stage,
}

/// This worker's part of a swap.
#[derive(Debug, Default)]
pub(crate) struct Swapping {
    /// The number of the step that it knows of.
    seen: u64,
    /// It has a part of that to do.
    owes_part: bool,
    /// The log on its way to be durable.
    flush: Option<StorageTask>,
    led: Option<Led>,
    /// Another turn is to be taken at once.
    pub(super) must_look: bool,
}

impl Swapping {
    /// Whether requests on databases wait.
    #[inline]
    pub(super) fn holds(&self) -> bool {
        Swaps::step_of(self.seen) != SwapStep::Idle
    }

    /// Whether replies that were put off are not asked for: from the moment on at which this worker has stopped.
    pub(super) fn holds_asking(&self) -> bool {
        match Swaps::step_of(self.seen) {
            SwapStep::Idle => false,
            SwapStep::Stop => !self.owes_part,
            SwapStep::Finish | SwapStep::Write | SwapStep::Take => true,
        }
    }

    /// Whether a swap is under way that needs this worker.
    pub(super) fn needs_worker(&self) -> bool {
        self.led.is_some() || self.holds()
    }
}

/// Whether a command looks at what a database holds.
const fn is_on_databases(command: &Command) -> bool {
    match command.execution {
        Execution::Key(_)
        | Execution::Keys { .. }
        | Execution::Checked { .. }
        | Execution::SameShard(_)
        | Execution::Together(_)
        | Execution::Everywhere { .. }
        | Execution::Walk(_)
        | Execution::Scan(_)
        | Execution::SwapDatabases(_) => true,
        Execution::Connection(_)
        | Execution::Sessions { .. }
        | Execution::EndSessions { .. }
        | Execution::Configure { .. }
        | Execution::Track { .. }
        | Execution::Monitor
        | Execution::Storage { .. }
        | Execution::AwaitSave(_)
        | Execution::Subscribe(_)
        | Execution::Publish { .. }
        | Execution::Subscriptions { .. }
        | Execution::Container => false,
    }
}

/// Whether a swap does not wait for a command on its way.
pub(super) const fn is_apart(command: &Command) -> bool {
    !is_on_databases(command) || matches!(command.execution, Execution::Walk(_))
}

const fn is_walk(job: &Job) -> bool {
    matches!(job.command.execution, Execution::Walk(_))
}

impl Core {
    /// Whether a swap holds the command up.
    pub(super) fn is_held_up(&self, command: &Command) -> bool {
        self.swapping.holds() && is_on_databases(command)
    }

    /// A connection asks for a swap, which begins at the end of the turn.
    pub(super) fn begin_swap(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        pair: PairHandler,
    ) -> Flow {
        let Request { me, command, args } = request;
        if !client.slots.is_empty() {
            // What was asked before may be put off on its worker: it comes first.
            return Flow::Stall;
        }
        let Some((first, second)) = self.ask(worker, client, request, pair) else { return Flow::Continue };
        if !self.server.swaps.claim(Swap { first, second, leader: worker.index }) {
            return Flow::Stall;
        }
        let slot = client.slots.open_waiting(source(command));
        client.blocked = true;
        let job = Job::new(worker.index, address(me, slot, 0), command, &client.session, args);
        self.swapping.led = Some(Led { job, stage: Stage::Asked });
        Flow::Continue
    }
}

impl Service {
    /// Does this worker's part of a swap, as far as it can be done now.
    pub(super) fn step_swap(&mut self, worker: &mut Worker<Service>) {
        self.core.swapping.must_look = false;
        if self.core.swapping.led.is_some() {
            self.lead_swap(worker);
        }
        loop {
            let number = self.core.server.swaps.number();
            let (step, swapping) = (Swaps::step_of(number), &mut self.core.swapping);
            if number != swapping.seen {
                (swapping.seen, swapping.owes_part) = (number, true);
                match step {
                    // What was held up goes on in the next turn.
                    SwapStep::Idle => return self.end_swap(worker),
                    SwapStep::Finish => {
                        // What others sent before they stopped is there, and is taken in the next turn.
                        swapping.must_look = true;
                        return;
                    }
                    SwapStep::Stop | SwapStep::Write | SwapStep::Take => {}
                }
            }
            if !self.core.swapping.owes_part {
                return;
            }
            let result = match step {
                SwapStep::Stop => self.has_stopped().then_some(Ok(())),
                SwapStep::Finish => self.finish_for_swap(worker),
                SwapStep::Write => {
                    self.core.swapping.owes_part = false;
                    return self.write_swap(worker, number);
                }
                SwapStep::Take => {
                    self.take_swap(worker);
                    Some(Ok(()))
                }
                SwapStep::Idle => Some(Ok(())),
            };
            let Some(result) = result else { return };
            self.core.swapping.owes_part = false;
            if !self.core.server.swaps.end_part(number, result) {
                return;
            }
            self.wake_others(worker);
            if step == SwapStep::Idle {
                // Another swap may wait for this.
                self.core.swapping.must_look = true;
                return;
            }
        }
    }

    /// Brings a swap of one of our connections to its first step.
    fn lead_swap(&mut self, worker: &Worker<Service>) {
        let Self { core: Core { server, swapping, .. }, .. } = self;
        let Some(led) = &mut swapping.led else { return };
        match led.stage {
            Stage::Asked if server.swaps.is_kept() && !server.has_log() => {
                if server.saves.begin(worker.clock.now.0) {
                    led.stage = Stage::Saving(server.saves.begun());
                    swapping.must_look = true;
                }
                return;
            }
            Stage::Saving(number) => {
                let status = server.saves.status();
                if status.ended < number {
                    return;
                }
                if status.failed {
                    led.stage = Stage::GivenUp;
                    server.swaps.give_up();
                    self.wake_others(worker);
                    return;
                }
            }
            Stage::Asked => {}
            Stage::GivenUp | Stage::Begun => return,
        }
        led.stage = Stage::Begun;
        server.swaps.start();
        self.wake_others(worker);
    }

    /// Whether all that our connections have begun at other workers has ended, but for what their clients do not read.
    fn has_stopped(&self) -> bool {
        let core = &self.core;
        let sent: usize = core.remote_bytes.iter().sum();
        let asks = |client: &Client| client.asked > 0 || client.can_ask();
        sent == core.apart_bytes
            && core.errands.is_empty()
            && core.outboxes.iter().all(Option::is_none)
            && !self.connections.iter().any(|(_, connection)| asks(&connection.client))
    }

    /// Connections for which replies were put off see whether they can ask for them.
    fn ask_again(&mut self) {
        for me in self.connections.numbers() {
            if let Some(mut connection) = self.connections.take(me.0, me.1) {
                if !connection.client.deferred.is_empty() {
                    self.mark_dirty(&mut connection, me);
                }
                self.connections.put(me.0, connection);
            }
        }
    }

    /// Whether all that was begun before has ended here and survives power loss; or why that cannot be.
    fn finish_for_swap(&mut self, worker: &mut Worker<Service>) -> Option<Result<(), String>> {
        let Some(task) = &mut self.core.swapping.flush else {
            if !self.has_run() {
                return None;
            }
            if worker.shards.log().is_none() {
                return Some(Ok(()));
            }
            // Else a crash could show the swap without the writes before it, where replies do not wait for the log.
            return match StorageTask::begin(TaskKind::FlushLog, &mut worker.shards) {
                Ok(task) => {
                    self.core.swapping.flush = Some(task);
                    self.core.swapping.must_look = true;
                    None
                }
                Err(error) => Some(Err(format!("ERR {error}"))),
            };
        };
        let result = match task.step(&mut worker.shards) {
            Ok(false) => return None,
            Ok(true) => Ok(()),
            Err(error) => Err(format!("ERR {error}")),
        };
        self.core.swapping.flush = None;
        // What ran meanwhile may have written: then the log is flushed once more.
        (result.is_err() || self.has_run()).then_some(result)
    }

    /// Whether nothing that was begun before is left here, but for walks.
    fn has_run(&self) -> bool {
        self.inboxes.iter().all(Inbox::is_done)
            && self.core.holds.is_empty()
            && self.core.parked.jobs().all(is_walk)
    }

    /// Has the swap written to the store's manifest, where it is led from here.
    fn write_swap(&mut self, worker: &Worker<Service>, number: u64) {
        let server = Arc::clone(&self.core.server);
        if server.swaps.at_hand().is_none_or(|swap| swap.leader != worker.index) {
            return;
        }
        let (shown, workers) = (worker.shards.databases(), self.workers.clone());
        let write = move || {
            let result = match server.swaps.write(shown) {
                Ok(()) => Ok(()),
                Err(error @ (KeeperError::Unchanged(_) | KeeperError::Unreadable(_))) => {
                    Err(format!("ERR {error}"))
                }
                Err(error @ KeeperError::NoSpace(_)) => Err(format!("MISCONF {error}")),
                Err(KeeperError::Unknown(fatal)) => {
                    tracing::error!("SWAPDB: {fatal}; the next start finds the databases swapped, or not");
                    ExitCode::Storage.exit();
                }
            };
            server.swaps.end_part(number, result);
            for worker in &workers {
                worker.wake();
            }
        };
        if !self.core.server.swaps.is_kept() {
            return write();
        }
        let started = std::thread::Builder::new().name("swapdb".to_owned()).spawn(write);
        if let Err(error) = started {
            let text = format!(
                "ERR no thread can be started to write the store manifest, nothing was changed: {error}"
            );
            self.core.server.swaps.end_part(number, Err(text));
            self.wake_others(worker);
            self.core.swapping.must_look = true;
        }
    }

    /// Numbers show other databases from here on.
    fn take_swap(&mut self, worker: &mut Worker<Service>) {
        let swaps = &self.core.server.swaps;
        let (swap, map) = swaps.at_hand().zip(swaps.map()).expect("what is taken was written");
        let Core { jobs, parked, .. } = &mut self.core;
        assert!(parked.jobs().all(is_walk), "what was begun has ended, and nothing else has begun");
        for job in jobs.iter_mut().filter(|job| is_walk(job)).chain(parked.jobs_mut()) {
            job.db = match job.db {
                db if db == swap.first => swap.second,
                db if db == swap.second => swap.first,
                db => db,
            };
        }
        worker.shards.show_databases(map);
        // What clients have of any key may be another database's.
        self.core.events.push_flush();
        self.core.publish_events(worker, BatchNumber::ZERO, None);
        self.core.publish_anew(worker, self.connections.len());
    }

    /// The swap is over, or was given up: what it held up goes on.
    fn end_swap(&mut self, worker: &mut Worker<Service>) {
        self.core.swapping.must_look = true;
        self.ask_again();
        let result = match &self.core.swapping.led {
            Some(Led { stage: Stage::Begun, .. }) => self.core.server.swaps.release(),
            Some(Led { stage: Stage::GivenUp, .. }) => Err(
                "ERR without a log a save comes first, and it was not done: the daemon's log says why; nothing \
                     was changed"
                    .to_owned(),
            ),
            // It was claimed when another one had been given up.
            Some(Led { stage: Stage::Asked | Stage::Saving(_), .. }) | None => return,
        };
        let Some(Led { job, .. }) = self.core.swapping.led.take() else { return };
        let mut out = Vec::new();
        let mut reply = ReplyWriter::new(&mut out, job.protocol);
        match result {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(&error),
        }
        self.core.counters.note_reply(job.command.id, &out);
        self.answer_job(worker, &job, &out, 0, BatchNumber::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Driven, job, request};
    use super::*;

    /// Brings the swap to a step, in which the worker has its part to do.
    fn at(step: SwapStep) -> Driven {
        let mut driven = Driven::with_log();
        let swapping = &mut driven.service.core.swapping;
        (swapping.seen, swapping.owes_part) = (step as u64, true);
        assert_eq!(Swaps::step_of(swapping.seen), step);
        driven
    }

    fn finish(driven: &mut Driven) -> Option<Result<(), String>> {
        driven.service.finish_for_swap(&mut driven.worker)
    }

    #[test]
    fn a_swap_waits_for_commands_that_wait_for_disk_space() {
        let mut driven = at(SwapStep::Finish);
        driven.service.core.parked.put_waiting(0, job(&["SET", "key", "value"]));
        for _ in 0..3 {
            assert_eq!(finish(&mut driven), None, "it would write into another database");
        }
        assert!(driven.service.core.swapping.flush.is_none());
        driven.service.core.parked = Default::default();
        assert_eq!(finish(&mut driven), None, "the log is flushed first");
        assert_eq!(finish(&mut driven), Some(Ok(())));
    }

    #[test]
    fn what_runs_while_the_log_is_flushed_for_a_swap_is_flushed_too() {
        let mut driven = at(SwapStep::Finish);
        assert_eq!(finish(&mut driven), None);
        assert!(driven.service.core.swapping.flush.is_some());
        // Put off by its client's worker, asked for before that one stopped.
        driven.service.inboxes[1].messages.push_back(request(&["SET", "key", "value"]));
        assert_eq!(finish(&mut driven), None, "it has not run");
        assert!(driven.service.core.swapping.flush.is_none());
        driven.service.inboxes[1].messages.clear();
        assert_eq!(finish(&mut driven), None);
        assert!(driven.service.core.swapping.flush.is_some(), "what it wrote is flushed");
        assert_eq!(finish(&mut driven), Some(Ok(())));
    }

    #[test]
    fn a_worker_that_has_stopped_for_a_swap_asks_for_no_reply_that_was_put_off() {
        for (has_stopped, asked) in [(false, 1), (true, 0)] {
            let mut driven = at(SwapStep::Stop);
            driven.service.core.swapping.owes_part = !has_stopped;
            let (me, _client) = driven.connect();
            let Driven { worker, service, .. } = &mut driven;
            let mut connection = service.connections.take(me.0, me.1).unwrap();
            let slot = connection.client.slots.open_waiting(super::super::reply_slots::Source::Read);
            connection.client.deferred.insert((slot, 1));
            service.core.ask_for_deferred(worker, &mut connection.client, me);
            assert_eq!(connection.client.asked, asked);
            assert_eq!(
                service.core.outboxes[1].is_some(),
                asked > 0,
                "it has said that nothing is under way"
            );
        }
    }
}
