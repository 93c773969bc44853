//! A worker: one thread, one ring, its shards and its log; and its turn.
//!
//! One turn: submit and wait -> take all completions -> the service parses and runs what came, local and remote ->
//! close the log batch and start its write -> the service releases replies and sends -> wake peers. Everything is
//! batched by the turn: one system call, one log batch, one send per connection, one wake-up per peer.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use ring::{Completion, Ring, RingError};
use shard::io::Fatal;

use crate::Shards;
use crate::clock::Clock;
use crate::figures::{TurnFigures, WorkerFigures};
use crate::limits::{
    BACKGROUND_REST_NS, EXPIRE_BUDGET_PER_BUSY_TURN, EXPIRE_BUDGET_PER_TURN, HOUSEKEEPING_NS,
};
use crate::mailbox::{Link, Sleep};
use crate::ring_io::{RingIo, is_storage};

/// Who serves clients: plugged into the worker's turn. Its tokens leave [`crate::ring_io::STORAGE_TOKEN`] clear.
pub trait Service: Sized {
    /// What it sends to another worker to be done there.
    type Request: Send;
    /// What comes back.
    type Reply: Send;
    /// What the control plane sends.
    type Control: Send;

    /// What is about to come in this turn, before any of it is taken: a chance to have misses of the cache overlap.
    fn foresee(&mut self, _worker: &Worker<Self>, _completions: &[Completion]) {}
    /// A completion of an operation it started.
    fn on_completion(&mut self, worker: &mut Worker<Self>, completion: Completion);
    /// A message of the control plane.
    fn on_control(&mut self, worker: &mut Worker<Self>, message: Self::Control);
    /// All completions have been seen: run what is at hand, answer what other workers ask.
    fn turn(&mut self, worker: &mut Worker<Self>);
    /// The turn's writes are under way: release what is durable, send.
    fn flush(&mut self, worker: &mut Worker<Self>);
    /// Whether it has something to do without a new completion.
    fn has_work(&self) -> bool;
    /// Whether the end of a send is something to go on with, beyond getting its buffer back.
    fn awaits_sends(&self) -> bool;
    /// Its next deadline on the monotonic clock, in nanoseconds.
    fn next_deadline_ns(&self) -> Option<u64>;
    /// The worker cannot go on: nothing that waits may be acknowledged any more. Called once, last of all.
    fn on_failure(&mut self, _error: &WorkerError) {}
    /// Whether it has finished: everything said, every connection closed. Asked once it was told to stop.
    fn is_finished(&self) -> bool;
}

/// Why a worker stopped before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Something written may not survive: recovery decides what does.
    #[error("{0}")]
    Storage(Fatal),
    /// The ring is unusable.
    #[error(transparent)]
    Ring(#[from] RingError),
}

/// How far the worker is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    /// The service finishes what it has begun.
    Draining,
    /// The log writes its last batches and the clean-shutdown mark.
    Closing,
    /// Everything is left as it is: recovery decides.
    Abandoned,
}

/// One worker's resources, lent to its service.
pub struct Worker<S: Service> {
    /// Number of the worker, from 0.
    pub index: usize,
    /// Its ring.
    pub ring: Ring,
    /// Its shards and its log.
    pub shards: Shards,
    /// Time of the turn at hand.
    pub clock: Clock,
    /// Links to the other workers, by their number; `None` at its own.
    pub links: Vec<Option<Link<S::Request, S::Reply>>>,
    io: Option<RingIo>,
    control: Receiver<S::Control>,
    sleep: Arc<Sleep>,
    stage: Stage,
    /// Work of checkpoints is waiting: go on soon.
    more: bool,
    /// Expiry or background work is waiting: go on then.
    tick_at_ns: Option<u64>,
    /// A client, or another worker, had something for the service in this turn.
    serves: bool,
    next_housekeeping_ns: u64,
    turns: u64,
    wakes: u64,
    turn_figures: TurnFigures,
}

/// What a worker is made of.
pub struct WorkerParts<S: Service> {
    /// Number of the worker.
    pub index: usize,
    /// Its ring, made on its own thread.
    pub ring: Ring,
    /// Its shards and its log.
    pub shards: Shards,
    /// Links to the other workers.
    pub links: Vec<Option<Link<S::Request, S::Reply>>>,
    /// The files of its log; `None` without a log.
    pub io: Option<RingIo>,
    /// Messages of the control plane.
    pub control: Receiver<S::Control>,
    /// How others see that it sleeps.
    pub sleep: Arc<Sleep>,
}

impl<S: Service> Worker<S> {
    /// Puts a worker together on its own thread.
    #[must_use]
    pub fn new(parts: WorkerParts<S>) -> Self {
        Self {
            index: parts.index,
            ring: parts.ring,
            shards: parts.shards,
            clock: Clock::read(),
            links: parts.links,
            io: parts.io,
            control: parts.control,
            sleep: parts.sleep,
            stage: Stage::Serving,
            more: false,
            tick_at_ns: None,
            serves: false,
            next_housekeeping_ns: 0,
            turns: 0,
            wakes: 0,
            turn_figures: TurnFigures::default(),
        }
    }

    /// Begins the way out: once the service has finished, the log is closed with its clean-shutdown mark.
    pub fn stop(&mut self) {
        if self.stage == Stage::Serving {
            self.stage = Stage::Draining;
        }
    }

    /// Whether it was told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stage != Stage::Serving
    }

    /// Turns so far.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Wake-ups sent to other workers so far.
    #[must_use]
    pub fn wakes(&self) -> u64 {
        self.wakes
    }

    /// How long its turns took, from their completions to their end.
    #[must_use]
    pub const fn turn_figures(&self) -> &TurnFigures {
        &self.turn_figures
    }

    /// Figures of its shards, its log and its turns. Looks at every shard.
    #[must_use]
    pub fn figures(&self) -> WorkerFigures {
        WorkerFigures::collect(&self.shards, self.turn_figures)
    }

    /// Ends the worker after this turn, with everything as it is: another worker has failed, so nothing more may be
    /// acknowledged by any.
    pub fn abandon(&mut self) {
        self.stage = Stage::Abandoned;
    }

    /// Serves until told to stop and finished.
    ///
    /// # Errors
    /// When the worker cannot go on: nothing more may be acknowledged and the process must end.
    pub fn run(mut self, service: &mut S) -> Result<(), WorkerError> {
        let result = self.serve(service);
        if let Err(error) = &result {
            service.on_failure(error);
        }
        result
    }

    fn serve(&mut self, service: &mut S) -> Result<(), WorkerError> {
        let mut completions = Vec::with_capacity(1024);
        loop {
            self.wait(service, &mut completions)?;
            self.clock.update();
            if let Some(log) = self.shards.log_mut() {
                log.advance_clock(self.clock.now_ns);
            }
            self.serves = service.has_work() || self.links.iter().flatten().any(Link::has_mail);
            service.foresee(self, &completions);
            for completion in completions.drain(..) {
                self.dispatch(service, completion)?;
            }
            self.finish_immediate_io()?;
            while let Ok(message) = self.control.try_recv() {
                service.on_control(self, message);
            }
            service.turn(self);
            self.storage_turn();
            self.finish_immediate_io()?;
            service.flush(self);
            self.wake_peers();
            self.turns += 1;
            self.turn_figures.note(ring::monotonic_ns() - self.clock.now_ns);
            if self.stage != Stage::Serving && self.advance_stop(service) {
                return Ok(());
            }
        }
    }

    fn wait(&mut self, service: &S, completions: &mut Vec<Completion>) -> Result<(), WorkerError> {
        let mut wait = !service.has_work();
        if wait {
            self.sleep.announce();
            wait = !self.links.iter().flatten().any(Link::has_mail);
            let log = self.shards.log().and_then(|log| log.next_deadline_ns());
            // Work that nobody waits for leaves the processor to others in between.
            let more = self.more.then_some(0).or(self.tick_at_ns);
            let more = more.map(|at| at.max(ring::monotonic_ns() + BACKGROUND_REST_NS));
            let deadline = [Some(self.next_housekeeping_ns), log, service.next_deadline_ns(), more];
            self.ring.set_timer(deadline.into_iter().flatten().min());
        }
        let result = if wait && !service.awaits_sends() {
            self.ring.submit_and_wait_past_sends(completions)
        } else {
            self.ring.submit_and_wait(wait, completions)
        };
        self.sleep.end();
        Ok(result?)
    }

    fn dispatch(&mut self, service: &mut S, completion: Completion) -> Result<(), WorkerError> {
        match completion {
            Completion::Timer | Completion::Woken => {}
            completion if is_storage(&completion) => {
                let io = self.io.as_mut().expect("storage operations belong to a log");
                if let Some(done) = io.complete(completion, &mut self.ring) {
                    self.shards.on_io(done).map_err(WorkerError::Storage)?;
                }
            }
            completion => {
                self.serves = true;
                service.on_completion(self, completion);
            }
        }
        Ok(())
    }

    /// Hands the core what could not even be started, and starts what it asks for in return.
    fn finish_immediate_io(&mut self) -> Result<(), WorkerError> {
        let Some(io) = &mut self.io else { return Ok(()) };
        while let Some(done) = io.next_done() {
            self.shards.on_io(done).map_err(WorkerError::Storage)?;
            io.start_all(|| self.shards.next_io(), &mut self.ring);
        }
        Ok(())
    }

    fn storage_turn(&mut self) {
        let now_ns = self.clock.now_ns;
        let due = now_ns >= self.next_housekeeping_ns;
        let log_due = self.shards.log().and_then(|log| log.next_deadline_ns()).is_some_and(|at| at <= now_ns);
        // Checkpoints go on: places and victims may have come free with what was just done.
        if due || log_due || self.more || self.tick_at_ns.is_some_and(|at| at <= now_ns) {
            let keys = if self.serves { EXPIRE_BUDGET_PER_BUSY_TURN } else { EXPIRE_BUDGET_PER_TURN };
            let budget = (keys / self.shards.shards().len().max(1)).max(1);
            let more = self.shards.tick(self.clock.now, now_ns, budget);
            self.tick_at_ns = more.then(|| now_ns + self.shards.rest_ns());
            self.next_housekeeping_ns = now_ns + HOUSEKEEPING_NS;
        }
        self.more = self.shards.end_turn(self.clock.now, now_ns);
        let Some(io) = &mut self.io else { return };
        io.remove_next(&mut self.ring);
        io.start_all(|| self.shards.next_io(), &mut self.ring);
    }

    fn wake_peers(&mut self) {
        for link in self.links.iter_mut().flatten() {
            self.wakes += u64::from(link.wake_peer(&mut self.ring));
        }
    }

    /// One step on the way out. True: everything is closed.
    fn advance_stop(&mut self, service: &S) -> bool {
        if self.stage == Stage::Abandoned {
            return true;
        }
        if self.stage == Stage::Draining && service.is_finished() {
            self.stage = Stage::Closing;
            self.shards.begin_close();
        }
        if self.stage != Stage::Closing {
            return false;
        }
        // Without a new completion the next turn goes on with what the shutdown asks for.
        self.next_housekeeping_ns = 0;
        self.shards.is_closed() && self.io.as_ref().is_none_or(|io| io.in_flight() == 0)
    }
}
