//! Clients that cache are told that a key is not what it was.
//!
//! The owner of the key takes out who has read it when the write is applied, and tells them, in the queue of all that is
//! published, when the write is durable. Both moments would be safe: until then nobody is told of the new value either, and
//! who reads the key in between is remembered anew. What must not be is that a client hears of a write before it gets the
//! older value that it had asked for, and keeps that for good. So its worker puts the word behind all replies that the
//! connection still waits for: the older value is one of them, or was written out before.

use engine::worker::Worker;
use shard::types::BatchNumber;

use super::connection::{Client, Life};
use super::core::Core;
use super::publishing::Told;
use super::reply_slots::SlotBytes;
use super::service::Service;
use crate::pubsub::{Event, EventKind};
use crate::tracking::{ClientPlace, Invalidation, Reach, TrackingMode, begins_with_one_of};

impl Core {
    /// Has clients told of keys that a command has changed, when `barrier` is released.
    pub(super) fn queue_invalidations(
        &mut self,
        worker: &Worker<Service>,
        events: &[Event],
        barrier: BatchNumber,
        writer: Option<ClientPlace>,
    ) {
        if self.events.take_flush() {
            self.tracking_table().clear();
            let all = Invalidation { key: None, reach: Reach::Written, writer, targets: Vec::new() };
            // All of them: a client that begins to track before the last worker is done has to hear of it.
            let others = self.others(worker.index, |_| true);
            self.publishing.queue(Told::Invalidation(all), barrier, others);
        }
        if !self.server.settings.tracks() {
            return;
        }
        let has = |other: usize| self.server.onlookers.has_broadcasts(other);
        let broadcasts = self.others(worker.index, has);
        let is_broadcast = !broadcasts.is_empty() || !self.tracking.broadcasts.is_empty();
        let mut seen = std::collections::BTreeSet::new();
        for event in events.iter().filter(|event| event.kind.changes_key()) {
            if events.len() > 1 && !seen.insert(&event.key) {
                continue;
            }
            let readers = self.tracking_table().take(&event.key);
            let targets: Vec<ClientPlace> = readers.into_iter().flatten().collect();
            if targets.is_empty() && !is_broadcast {
                continue;
            }
            let mut others = others_of(worker.index, &targets);
            others.extend(&broadcasts);
            others.sort_unstable();
            others.dedup();
            // A key that went by itself went by nobody's command.
            let by_itself = matches!(event.kind, EventKind::Expired | EventKind::Evicted);
            let writer = writer.filter(|_| !by_itself);
            let one = Invalidation { key: Some(event.key.clone()), reach: Reach::Written, writer, targets };
            self.publishing.queue(Told::Invalidation(one), barrier, others);
        }
    }

    /// Has clients told that a key is remembered no longer.
    pub(super) fn queue_forgotten(
        &mut self,
        worker: &Worker<Service>,
        key: &[u8],
        targets: Vec<ClientPlace>,
    ) {
        let others = others_of(worker.index, &targets);
        let one = Invalidation { key: Some(key.into()), reach: Reach::Forgotten, writer: None, targets };
        self.publishing.queue(Told::Invalidation(one), BatchNumber::ZERO, others);
    }

    /// Workers but this one of which something holds.
    pub(super) fn others(&self, worker: usize, has: impl Fn(usize) -> bool) -> Vec<usize> {
        (0..self.outboxes.len()).filter(|other| *other != worker && has(*other)).collect()
    }
}

/// Workers of connections, but this one, each once.
fn others_of(worker: usize, targets: &[ClientPlace]) -> Vec<usize> {
    let mut others: Vec<usize> = targets.iter().map(|to| to.worker()).filter(|to| *to != worker).collect();
    others.sort_unstable();
    others.dedup();
    others
}

/// Writes to a client that is told of a key: behind all that it waits for.
fn tell(client: &mut Client, bytes: &[u8]) {
    // Replies that are dropped reach nobody: nothing of them can be kept.
    if client.slots.is_empty() || client.drops_replies {
        client.output.bytes_mut().extend_from_slice(bytes);
    } else {
        client.slots.push_ready(SlotBytes::from_slice(bytes), BatchNumber::ZERO);
    }
}

impl Service {
    /// Tells our connections that an invalidation concerns.
    pub(super) fn give_invalidation(&mut self, worker: &Worker<Service>, one: &Invalidation) {
        let key = one.key.as_deref();
        let ours = one.targets.iter().filter(|to| to.worker() == worker.index).map(|to| to.number());
        if one.reach == Reach::Redirected {
            ours.for_each(|me| self.tell_in_place(me, key));
            return;
        }
        for me in ours.filter(|me| !self.is_told_by_prefix(*me)).collect::<Vec<_>>() {
            self.tell_tracker(worker, me, key, one.writer);
        }
        match key {
            Some(key) if one.reach == Reach::Written => {
                let broadcasts = self.core.tracking.broadcasts.iter();
                let concerned = broadcasts.filter(|(_, prefixes)| begins_with_one_of(prefixes, key));
                let told: Vec<(u32, u32)> = concerned.map(|(me, _)| *me).collect();
                for me in told {
                    self.tell_tracker(worker, me, Some(key), one.writer);
                }
            }
            Some(_) => {}
            None => self.tell_flushes(worker),
        }
    }

    /// Whether one of our connections wants to be told by prefix: what it has read before it did means nothing then.
    fn is_told_by_prefix(&mut self, me: (u32, u32)) -> bool {
        let connection = self.connections.get_mut(me.0, me.1);
        let tracking = connection.and_then(|connection| connection.client.session.tracking.as_deref());
        tracking.is_some_and(|tracking| tracking.mode == TrackingMode::Broadcast)
    }

    /// Tells all our connections that track of flushes that are over on all workers: before, one that is told might read
    /// and keep what is about to go.
    fn tell_flushes(&mut self, worker: &Worker<Service>) {
        let over = self.core.server.onlookers.flushes();
        if over <= self.core.tracking.flushes_told {
            return;
        }
        self.core.tracking.flushes_told = over;
        let all: Vec<(u32, u32)> = self.core.tracking.clients.iter().copied().collect();
        for me in all {
            self.tell_tracker(worker, me, None, None);
        }
    }

    /// Tells one of our connections, or who is told in its place, if it tracks.
    fn tell_tracker(
        &mut self,
        worker: &Worker<Service>,
        me: (u32, u32),
        key: Option<&[u8]>,
        writer: Option<ClientPlace>,
    ) {
        let Some(connection) = self.connections.get_mut(me.0, me.1) else { return };
        let client = &mut connection.client;
        let Some(tracking) = client.session.tracking.as_deref_mut() else { return };
        let is_own = writer == Some(ClientPlace::new(worker.index, me));
        if client.life != Life::Open || (tracking.no_loop && is_own) {
            return;
        }
        let mut bytes = Vec::new();
        if let Some(id) = tracking.redirect {
            match self.core.server.onlookers.place_of(id) {
                Some(place) if place.worker() == worker.index => {
                    return self.tell_in_place(place.number(), key);
                }
                Some(place) => {
                    let targets = vec![place];
                    let key = key.map(Into::into);
                    let one = Invalidation { key, reach: Reach::Redirected, writer: None, targets };
                    let others = vec![place.worker()];
                    self.core.publishing.queue(Told::Invalidation(one), BatchNumber::ZERO, others);
                    return;
                }
                None => {
                    tracking.is_redirect_broken = true;
                    if client.session.protocol == resp::Protocol::Resp2 {
                        return;
                    }
                    Invalidation::write_broken(id, &mut bytes);
                }
            }
        } else if !Invalidation::write(key, client.session.protocol, false, &mut bytes) {
            return;
        }
        tell(client, &bytes);
        self.mark_told(me);
    }

    /// Tells one of our connections in the place of another.
    fn tell_in_place(&mut self, me: (u32, u32), key: Option<&[u8]>) {
        let Some(connection) = self.connections.get_mut(me.0, me.1) else { return };
        let client = &mut connection.client;
        let listens = client.session.is_subscribed();
        let mut bytes = Vec::new();
        if client.life != Life::Open
            || !Invalidation::write(key, client.session.protocol, listens, &mut bytes)
        {
            return;
        }
        tell(client, &bytes);
        self.mark_told(me);
    }

    /// A connection has something to send.
    pub(super) fn mark_told(&mut self, me: (u32, u32)) {
        if let Some(connection) = self.connections.get_mut(me.0, me.1)
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push(me);
        }
    }
}
