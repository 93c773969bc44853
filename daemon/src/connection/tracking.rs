//! Clients that cache what they read: which of our connections do, and which keys of this worker were read by whom.
//!
//! A key is remembered in the step in which it is read, by its owner: here, or where the request is sent, with an address
//! that says so ([`Address::tracks`](super::message::Address::tracks)). Requests of such clients come by `watched.rs`; others
//! are not touched by any of this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::worker::Worker;
use resp::Args;

use super::connection::Client;
use super::core::Core;
use super::limits::{FORGOTTEN_PER_READ_MAX, TRACKED_BYTES_MAX};
use super::message::Address;
use super::service::Service;
use crate::commands::{Command, Flags};
use crate::server::{Counter, WorkerCounters};
use crate::tracking::{ClientPlace, ClientTracking, TrackingMode, TrackingTable};

/// What this worker knows of clients that cache.
#[derive(Debug, Default)]
pub(crate) struct Tracking {
    /// Keys of this worker that connections of any worker have read.
    table: TrackingTable,
    /// [`Onlookers::lapses`](crate::tracking::Onlookers::lapses) when that was begun.
    lapses: u64,
    /// Our connections that track.
    pub(super) clients: BTreeSet<(u32, u32)>,
    /// Those of them that are told of keys by prefix, and the prefixes.
    pub(super) broadcasts: BTreeMap<(u32, u32), Vec<Box<[u8]>>>,
    /// Flushes that our connections were told of.
    pub(super) flushes_told: u64,
    /// The request at hand is of a client that is to be told of the keys that it reads.
    pub(super) is_on: bool,
}

/// Whether the keys of a request are to be remembered for its client.
pub(super) fn remembers(tracking: Option<&ClientTracking>, command: &Command) -> bool {
    command.flags.contains(Flags::READONLY) && tracking.is_some_and(ClientTracking::remembers)
}

/// Where the connection of an address is.
pub(super) fn place_of(origin: usize, address: &Address) -> ClientPlace {
    ClientPlace::new(origin, (address.connection, address.generation))
}

impl Core {
    /// What connections have read since somebody tracks.
    pub(super) fn tracking_table(&mut self) -> &mut TrackingTable {
        let lapses = self.server.onlookers.lapses();
        if self.tracking.lapses != lapses {
            self.tracking.lapses = lapses;
            self.tracking.table.clear();
        }
        &mut self.tracking.table
    }

    /// Remembers that a connection has read those keys of a request that are ours.
    #[cold]
    pub(super) fn remember_reads(
        &mut self,
        worker: &Worker<Service>,
        reader: ClientPlace,
        command: &Command,
        args: Args<'_>,
    ) {
        for key in command.key_positions(args.len()).filter_map(|at| args.get(at)) {
            if self.owner_of(worker, key) == worker.index {
                self.remember_read(worker, reader, key);
            }
        }
    }

    /// Remembers that a connection has read a key of ours; where there are too many, others are forgotten.
    pub(super) fn remember_read(&mut self, worker: &Worker<Service>, reader: ClientPlace, key: &[u8]) {
        self.tracking_table().remember(key, reader);
        for _ in 0..FORGOTTEN_PER_READ_MAX {
            if !self.is_tracking_full() {
                return;
            }
            let random = self.draw();
            let Some(key) = self.tracking_table().draw(random) else { return };
            self.forget_key(worker, &key);
        }
    }

    /// Whether this worker's part of what may be remembered is used up.
    fn is_tracking_full(&self) -> bool {
        let keys_max = self.server.settings.tracking_keys_max();
        let part = usize::try_from(keys_max.div_ceil(self.outboxes.len() as u64)).unwrap_or(usize::MAX);
        let table = &self.tracking.table;
        (keys_max > 0 && table.len() > part) || table.memory_bytes() > TRACKED_BYTES_MAX
    }

    /// A key is remembered no longer, to make room: who has read it drops it.
    fn forget_key(&mut self, worker: &Worker<Service>, key: &Arc<[u8]>) {
        let targets: Vec<ClientPlace> = self.tracking_table().take(key).into_iter().flatten().collect();
        self.queue_forgotten(worker, key, targets);
    }

    /// Takes over what a client of ours has asked for now.
    pub(super) fn note_tracking(&mut self, worker: &Worker<Service>, client: &Client, me: (u32, u32)) {
        let tracking = client.session.tracking.as_deref();
        let prefixes = tracking
            .filter(|tracking| tracking.mode == TrackingMode::Broadcast)
            .map(|tracking| tracking.prefixes.clone());
        let onlookers = &self.server.onlookers;
        prefixes.iter().flatten().for_each(|prefix| onlookers.add_prefix(prefix));
        let before = match prefixes {
            Some(prefixes) => self.tracking.broadcasts.insert(me, prefixes),
            None => self.tracking.broadcasts.remove(&me),
        };
        before.iter().flatten().for_each(|prefix| onlookers.remove_prefix(prefix));
        if tracking.is_some() {
            self.tracking.clients.insert(me);
        } else {
            self.tracking.clients.remove(&me);
        }
        let (all, by_prefix) = (self.tracking.clients.len(), self.tracking.broadcasts.len());
        onlookers.set_trackers(worker.index, all, by_prefix, &self.server.settings);
    }

    /// A connection ends, or is set back: it is told nothing more.
    pub(super) fn forget_onlooker(&mut self, worker: &Worker<Service>, client: &mut Client, me: (u32, u32)) {
        if self.tracking.clients.contains(&me) {
            client.session.tracking = None;
            self.note_tracking(worker, client, me);
        }
        if self.monitors.remove(&me) {
            client.session.is_monitor = false;
            self.server.onlookers.set_monitors(worker.index, self.monitors.len());
        }
    }

    /// Now and then: nothing stays remembered when nobody tracks.
    pub(super) fn tidy_tracking(&mut self) {
        if !self.tracking.table.is_empty() && !self.server.settings.tracks() {
            self.tracking.table.clear();
        }
    }

    /// Sets the figures.
    pub(super) fn collect_tracking(tracking: &Tracking, counters: &mut WorkerCounters) {
        counters.set(Counter::TrackedKeys, tracking.table.len() as u64);
        counters.set(Counter::TrackedItems, tracking.table.items() as u64);
    }
}
