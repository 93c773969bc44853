//! The daemon's part of a worker's turn: sockets to requests, requests to replies, replies to sockets.
//!
//! In a turn: bytes that arrive are parsed and run at once; then mail of other workers is served and sent; then,
//! when the turn's writes are under way, every connection with something releasable gets one send.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::start::ControlSender;
use engine::worker::{Service as EngineService, Worker};
use resp::RequestLimits;
use ring::{Completion, Fd};
use shard::types::BatchNumber;

use super::connection::Connection;
use super::core::{Core, SlotMap};
use super::foresight;
use super::inbox::Inbox;
use super::limits::DRAIN_POLL_NS;
use super::message::{Control, Peer, Replies, Requests};
use super::plan::Plan;
use super::stalls::Stalls;
use super::table::ConnectionTable;
use super::timing::Timing;
use super::upkeep::{Stopping, Sweep};
use crate::commands::watch_departures;
use crate::server::Server;

/// What the services of all workers share.
#[derive(Debug, Default)]
pub struct Shared {
    /// Connections of all workers.
    pub connections: AtomicUsize,
    /// Workers that have no connection and nothing under way any more, once told to stop.
    pub drained: AtomicUsize,
}

/// A listening socket of this worker.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: Fd,
    /// How clients come in by it. Those of the Unix socket, which has one listener only, go to all workers in turn.
    pub peer: Peer,
    /// Whether connections are being accepted. After an error they are not, for a while.
    pub accepting: bool,
}

/// The connections of one worker.
pub struct Service {
    pub(super) core: Core,
    pub(super) connections: ConnectionTable,
    pub(super) listeners: Vec<Listener>,
    /// When to accept again after running out of descriptors.
    pub(super) accept_again_ns: Option<u64>,
    /// When it is said again that clients cannot be accepted.
    pub(super) next_accept_warning_ns: u64,
    pub(super) shared: Arc<Shared>,
    /// All workers, to hand connections on.
    pub(super) workers: Vec<ControlSender<Control>>,
    pub(super) next_worker: usize,
    /// Connections with something to look at in this turn's flush.
    pub(super) dirty: Vec<(u32, u32)>,
    /// Connections with input to parse.
    pub(super) ready: VecDeque<(u32, u32)>,
    pub(super) released: Vec<(u32, u32)>,
    pub(super) seen_released: BatchNumber,
    pub(super) sweep: Sweep,
    pub(super) stalls: Stalls,
    pub(super) stopping: Option<Stopping>,
    pub(super) limits: RequestLimits,
    pub(super) timing: Timing,
    pub(super) plan: Plan,
    /// Requests of other workers that are not yet run, by worker.
    pub(super) inboxes: Vec<Inbox>,
    /// A connection goes on, or ends, with the end of a send.
    pub(super) awaits_sends: bool,
    /// TLS connections whose handshake is not done.
    pub(super) handshakes: usize,
    /// Of those, how many went on in this turn with what came, and which wait to go on with what has come.
    pub(super) handshakes_gone_on: usize,
    pub(super) waiting_handshakes: VecDeque<(u32, u32)>,
    /// What the bytes of a TLS connection say; empty between them.
    pub(super) plain: Vec<u8>,
    /// The number of the turn at hand, from 1.
    pub(super) turn: u64,
    /// No more commands may wait for records on disk: what other workers ask waits until a read completes.
    pub(super) log_is_full: bool,
}

impl Service {
    /// The service of a worker.
    #[must_use]
    pub fn new(
        server: Arc<Server>,
        shared: Arc<Shared>,
        map: &SlotMap,
        workers: Vec<ControlSender<Control>>,
        listeners: Vec<Listener>,
        random: u64,
    ) -> Self {
        let count = workers.len();
        Self {
            core: Core::new(server, map, count, random),
            connections: ConnectionTable::default(),
            listeners,
            accept_again_ns: Some(0),
            next_accept_warning_ns: 0,
            shared,
            workers,
            next_worker: 0,
            dirty: Vec::new(),
            ready: VecDeque::new(),
            released: Vec::new(),
            seen_released: BatchNumber::ZERO,
            sweep: Sweep::default(),
            stalls: Stalls::default(),
            stopping: None,
            limits: RequestLimits::AUTHENTICATED,
            timing: Timing::default(),
            plan: Plan::default(),
            inboxes: (0..count).map(|_| Inbox::default()).collect(),
            awaits_sends: false,
            handshakes: 0,
            handshakes_gone_on: 0,
            waiting_handshakes: VecDeque::new(),
            plain: Vec::new(),
            turn: 1,
            log_is_full: false,
        }
    }

    pub(super) fn mark_ready(&mut self, connection: &mut Connection, me: (u32, u32)) {
        if !connection.is_ready {
            connection.is_ready = true;
            self.ready.push_back(me);
        }
    }

    pub(super) fn mark_dirty(&mut self, connection: &mut Connection, me: (u32, u32)) {
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(me);
        }
    }
}

impl EngineService for Service {
    type Request = Box<Requests>;
    type Reply = Box<Replies>;
    type Control = Control;

    fn on_completion(&mut self, worker: &mut Worker<Self>, completion: Completion) {
        match completion {
            Completion::Received { token, result, more } => self.on_received(worker, token, result, more),
            Completion::Sent { token, buffer, result } => self.on_sent(worker, token, buffer, result),
            Completion::Accepted { token, result, more } => self.on_accepted(worker, token, result, more),
            other => unreachable!("nothing of this kind is started here: {other:?}"),
        }
    }

    fn foresee(&mut self, worker: &Worker<Self>, completions: &[Completion]) {
        foresight::warm(&worker.shards, completions);
    }

    fn on_control(&mut self, worker: &mut Worker<Self>, message: Control) {
        match message {
            Control::Connection(socket, peer) => self.open(worker, Fd::from(socket), peer),
            Control::Stop(request) => self.begin_stop(worker, request),
        }
    }

    fn turn(&mut self, worker: &mut Worker<Self>) {
        if self.stopping.is_none() && self.accept_again_ns.is_some_and(|at| at <= worker.clock.now_ns) {
            self.accept_all(worker);
        }
        if self.core.pause_ends_ns.is_some_and(|at| at <= worker.clock.now_ns) {
            self.core.pause_ends_ns = None;
        }
        self.core.look_after_memory(worker);
        watch_departures(&mut worker.shards, &self.core.server.settings);
        self.pay_owed(worker);
        self.run_called(worker);
        self.core.let_leave(worker);
        self.run_handshakes(worker);
        self.run_ready(worker);
        self.serve_mail(worker);
        self.run_jobs(worker);
        if worker.clock.now_ns >= self.sweep.next_ns {
            self.sweep(worker);
        }
        if self.stopping.is_some() {
            self.advance_stop(worker);
        }
        self.turn += 1;
    }

    fn flush(&mut self, worker: &mut Worker<Self>) {
        self.core.publish_set_back(worker.index);
        self.begin_saves(worker);
        self.step_tasks(worker);
        self.publish_released(worker);
        self.flush_dirty(worker);
        self.send_mail(worker);
        self.step_swap(worker);
        self.core.publish(worker, self.connections.len());
    }

    fn has_work(&self) -> bool {
        // A connection that is blocked or waits for room goes on with a completion or with mail.
        let runnable = |&(number, generation): &(u32, u32)| self.connections.is_runnable(number, generation);
        let serving = !self.log_is_full && self.inboxes.iter().any(Inbox::has_work);
        serving
            || self.core.holds.must_call
            || self.core.swapping.must_look
            || self.ready.iter().any(runnable)
            || !self.core.jobs.is_empty()
            || !self.core.leaving.is_empty()
            || !self.waiting_handshakes.is_empty()
            || !self.dirty.is_empty()
    }

    fn awaits_sends(&self) -> bool {
        self.awaits_sends || !self.ready.is_empty() || self.stopping.is_some()
    }

    fn next_deadline_ns(&self) -> Option<u64> {
        let stop = self.stopping.map(|_| ring::monotonic_ns() + DRAIN_POLL_NS);
        let patience = self.core.tasks.next_deadline_ns();
        let stalled = self.stalls.deadline_ns();
        [Some(self.sweep.next_ns), self.accept_again_ns, stop, self.core.pause_ends_ns, patience, stalled]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_finished(&self) -> bool {
        let all = self.shared.drained.load(Ordering::Acquire) == self.workers.len();
        self.stopping.is_some_and(|stopping| stopping.announced) && all
    }
}
