//! What all connections of a worker share, apart from the connections themselves: figures, messages under way, buffers.
//! How requests run is in `routes`, `running`, `replies` and `outbox`.

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use engine::clock::Clock;
use engine::worker::Worker;
use ring::{Fd, SocketAddress};
use shard::types::SLOT_COUNT;

use super::errand::Errands;
use super::figures::Figures;
use super::held_replies::HeldReplies;
use super::hold::Holds;
use super::job::Job;
use super::limits::{FIGURES_NS, KEPT_BUFFER_BYTES, KEPT_BUFFERS_BYTES_MAX, PUBLISH_TURNS, WORKER_BYTES};
use super::message::{Peer, Requests};
use super::parked::Parked;
use super::publishing::Publishing;
use super::service::Service;
use super::slow::Clocking;
use super::swapping::Swapping;
use super::tasks::Tasks;
use super::tracking::Tracking;
use super::waiting::Waiting;
use crate::acl::Identity;
use crate::pubsub::{ClientSubscriptions, Events, Listener, Subscriptions};
use crate::server::{Counter, Server, WorkerCounters};
use crate::session::Session;

/// Where each slot belongs.
#[derive(Clone, Debug)]
pub struct SlotMap {
    /// The worker that owns each slot.
    pub owners: Arc<[u16]>,
    /// The shard of each slot.
    pub shards: Arc<[u16]>,
}

/// What all connections of a worker share.
pub(crate) struct Core {
    pub(crate) server: Arc<Server>,
    pub(crate) counters: WorkerCounters,
    /// The worker that owns each slot.
    pub(crate) owners: Arc<[u16]>,
    /// The shard of each slot.
    pub(crate) shard_of: Arc<[u16]>,
    /// Commands for other workers, by worker.
    pub(crate) outboxes: Vec<Option<Box<Requests>>>,
    #[expect(clippy::vec_box, reason = "what travels between workers is the box")]
    pub(super) spare_requests: Vec<Box<Requests>>,
    /// Bytes of memory that they take.
    pub(super) spare_requests_bytes: usize,
    /// Bytes of requests that other workers have yet to answer, by worker.
    pub(crate) remote_bytes: Vec<usize>,
    /// Of those of all workers, what a swap of databases does not wait for.
    pub(super) apart_bytes: usize,
    /// Connections that had something to ask another worker for and no place for it.
    pub(crate) askers: Vec<(u32, u32)>,
    /// Connections that are gone and had commands put off by another worker.
    pub(crate) forgotten: Vec<(usize, (u32, u32))>,
    pub(crate) held: HeldReplies,
    pub(crate) jobs: VecDeque<Job>,
    /// Work of the storage that clients wait for.
    pub(crate) tasks: Tasks,
    /// This worker's part of databases changing their numbers.
    pub(super) swapping: Swapping,
    /// Commands that wait for records on disk.
    pub(crate) parked: Parked,
    /// Commands of our connections whose keys lie on several workers.
    pub(super) errands: Errands,
    /// Keys held here for such commands.
    pub(super) holds: Holds,
    /// Connections whose replies wait for the log.
    pub(crate) waiting: Waiting,
    /// What our connections are subscribed to.
    pub(super) subscriptions: Subscriptions,
    /// Connections that are gone with subscriptions that are still to be taken away.
    pub(super) leaving: Vec<(Listener, Box<ClientSubscriptions>)>,
    /// Messages to be published.
    pub(super) publishing: Publishing,
    /// Events of the command at hand.
    pub(super) events: Events,
    /// Clients that cache what they read.
    pub(super) tracking: Tracking,
    /// Our connections that look on.
    pub(super) monitors: BTreeSet<(u32, u32)>,
    spare_buffers: Vec<Vec<u8>>,
    spare_buffers_bytes: usize,
    pub(super) scratch: Vec<u8>,
    /// Bytes of memory of all connections, as of the last sweep.
    pub(super) connection_bytes: u64,
    /// Bytes of memory of the worker that are not its shards', as counted last.
    pub(super) own_bytes: u64,
    pub(super) random: u64,
    /// Requests are looked at one by one before they run; as of the last time that something was parsed.
    pub(super) is_watched: bool,
    /// The end of a pause that a request waits for, on the monotonic clock.
    pub(super) pause_ends_ns: Option<u64>,
    /// Which commands are timed by themselves.
    pub(super) clocking: Clocking,
    next_figures_ns: u64,
    figures: Figures,
    /// Full compactions begun here, of those that were asked for.
    pub(super) compactions_begun: u64,
    /// Scrubs begun here, likewise.
    pub(super) scrubs_begun: u64,
    /// Whether memory is limited, and whether it was when the shards were last told.
    pub(super) has_memory_limit: bool,
    pub(super) had_memory_limit: bool,
}

impl Core {
    pub(crate) fn new(server: Arc<Server>, map: &SlotMap, workers: usize, random: u64) -> Self {
        assert_eq!(map.owners.len(), usize::from(SLOT_COUNT), "every slot has an owner");
        Self {
            server,
            counters: WorkerCounters::default(),
            owners: Arc::clone(&map.owners),
            shard_of: Arc::clone(&map.shards),
            outboxes: (0..workers).map(|_| None).collect(),
            spare_requests: Vec::new(),
            spare_requests_bytes: 0,
            remote_bytes: vec![0; workers],
            apart_bytes: 0,
            askers: Vec::new(),
            forgotten: Vec::new(),
            held: HeldReplies::default(),
            jobs: VecDeque::new(),
            tasks: Tasks::default(),
            swapping: Swapping::default(),
            parked: Parked::default(),
            errands: Errands::default(),
            holds: Holds::default(),
            waiting: Waiting::default(),
            subscriptions: Subscriptions::default(),
            leaving: Vec::new(),
            publishing: Publishing::default(),
            events: Events::default(),
            tracking: Tracking::default(),
            monitors: BTreeSet::new(),
            spare_buffers: Vec::new(),
            spare_buffers_bytes: 0,
            scratch: Vec::new(),
            connection_bytes: 0,
            own_bytes: WORKER_BYTES,
            random: random | 1,
            is_watched: false,
            pause_ends_ns: None,
            clocking: Clocking::default(),
            next_figures_ns: 0,
            figures: Figures::default(),
            compactions_begun: 0,
            scrubs_begun: 0,
            has_memory_limit: false,
            had_memory_limit: false,
        }
    }

    pub(crate) fn recycle_buffer(&mut self, mut buffer: Vec<u8>) {
        let bytes = buffer.capacity();
        if (1..=KEPT_BUFFER_BYTES).contains(&bytes)
            && self.spare_buffers_bytes + bytes <= KEPT_BUFFERS_BYTES_MAX
        {
            buffer.clear();
            self.spare_buffers_bytes += bytes;
            self.spare_buffers.push(buffer);
        }
    }

    /// An empty buffer, one that was used before if there is one.
    pub(crate) fn spare_buffer(&mut self) -> Vec<u8> {
        let buffer = self.spare_buffers.pop().unwrap_or_default();
        self.spare_buffers_bytes -= buffer.capacity();
        buffer
    }

    /// Bytes of memory of buffers and messages that wait for their next use.
    pub(super) fn spare_bytes(&self) -> usize {
        self.spare_buffers_bytes + self.spare_requests_bytes + self.held.spare_bytes()
    }

    pub(super) fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// The session of a connection just accepted.
    pub(crate) fn new_session(&self, socket: &Fd, peer: Peer, clock: Clock) -> Session {
        let id = self.server.next_client_id();
        let fd = socket.as_raw_fd();
        let identity = Identity::new(self.server.acl.default_user());
        if peer == Peer::Unix {
            let path = self.server.options.unix_socket.as_deref().unwrap_or(Path::new(""));
            let name = format!("{}:0", path.display());
            return Session::new(id, identity, name.clone(), name, true, fd, clock);
        }
        // A peer that is gone already has no address; its connection ends with the first receive.
        let text = |address: std::io::Result<SocketAddress>| {
            address.map_or_else(|_| "?:0".to_owned(), |address| address.to_string())
        };
        Session::new(
            id,
            identity,
            text(socket.peer_address()),
            text(socket.local_address()),
            false,
            fd,
            clock,
        )
    }

    /// Whether requests have to be looked at one by one.
    #[inline]
    pub(super) fn watches(&self) -> bool {
        self.server.is_watched() || self.swapping.holds()
    }

    /// Publishes this worker's figures as they are now.
    pub(super) fn publish_anew(&mut self, worker: &Worker<Service>, connections: usize) {
        self.next_figures_ns = 0;
        self.publish(worker, connections);
    }

    /// Publishes this worker's figures.
    pub(crate) fn publish(&mut self, worker: &Worker<Service>, connections: usize) {
        let counters = &mut self.counters;
        counters.set(Counter::Connections, connections as u64);
        counters.set(Counter::HeartbeatMs, worker.clock.now.0);
        counters.set(Counter::Turns, worker.turns());
        if worker.clock.now_ns >= self.next_figures_ns {
            self.next_figures_ns = worker.clock.now_ns + FIGURES_NS;
            self.figures.collect(counters, worker);
            Self::collect_tracking(&self.tracking, counters);
            self.own_bytes = self.count_own_bytes(worker);
            self.counters.set(Counter::WorkerBytes, self.own_bytes);
            self.server.workers[worker.index].set_figures(worker.figures());
        } else if !worker.turns().is_multiple_of(PUBLISH_TURNS) {
            return;
        }
        self.server.workers[worker.index].publish(&mut self.counters);
    }

    /// Publishes what was counted if it was set back: before that is answered.
    pub(super) fn publish_set_back(&mut self, worker: usize) {
        if self.counters.is_set_back {
            self.server.workers[worker].publish(&mut self.counters);
        }
    }
}
