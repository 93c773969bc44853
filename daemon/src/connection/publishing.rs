//! Messages on their way to those who listen: those of PUBLISH, and events of keys.
//!
//! A worker publishes in one queue, in the order in which things happened there. A message leaves it when what it tells is
//! durable: an event when the write is, a message of PUBLISH when all that its connection was told before it is. It then
//! goes to the worker's own listeners, and in this turn's mail to the other workers that have listeners at all; these give
//! it to theirs before anything else of that mail. So messages of one worker reach every listener in one order.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::worker::Worker;
use shard::shard_set::GoneWhy;
use shard::types::BatchNumber;

use super::connection::{Client, Life};
use super::core::Core;
use super::gather::{Gather, GatherKind};
use super::limits::{MESSAGE_BYTES, PUBLISH_BYTES_MAX, PUBLISH_COUNT_MAX};
use super::message::{Address, Outcome, RemoteCommand, Requests};
use super::outbox::address;
use super::routes::{Flow, Request};
use super::service::Service;
use crate::commands::Merge;
use crate::pubsub::{EventKind, Events, Message};
use crate::server::Counter;

/// The connection number of addresses that nobody waits at: those of events.
const NOBODY: u32 = u32::MAX - 1;

/// One message in the queue.
#[derive(Debug)]
struct Queued {
    message: Message,
    /// It leaves when this batch of our log is released.
    barrier: BatchNumber,
    /// Who is told how many got it.
    to: Option<Address>,
    /// Other workers that it goes to.
    others: Vec<usize>,
}

/// Messages to be published.
#[derive(Debug, Default)]
pub(crate) struct Publishing {
    queue: VecDeque<Queued>,
    bytes: usize,
}

impl Publishing {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether so much waits that nothing is to be added.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.bytes > PUBLISH_BYTES_MAX || self.queue.len() > PUBLISH_COUNT_MAX
    }

    fn push(&mut self, mut one: Queued) {
        if let Some(last) = self.queue.back() {
            one.barrier = one.barrier.max(last.barrier);
        }
        self.bytes += one.message.byte_count();
        self.queue.push_back(one);
    }

    fn pop(&mut self) -> Option<Queued> {
        let one = self.queue.pop_front()?;
        self.bytes -= one.message.byte_count();
        Some(one)
    }
}

impl Core {
    /// Other workers whose connections listen to anything.
    fn listening_workers(&self, worker: usize) -> Vec<usize> {
        let totals = &self.server.pubsub;
        (0..self.outboxes.len())
            .filter(|other| *other != worker && totals.has_subscriptions(*other))
            .collect()
    }

    /// PUBLISH and SPUBLISH.
    pub(super) fn publish_message(
        &mut self,
        worker: &Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        is_sharded: bool,
    ) -> Flow {
        let Request { me, args, .. } = request;
        let others = self.listening_workers(worker.index);
        if others.is_empty() && self.subscriptions.is_empty() {
            self.answer(worker, client, me, |_, mut reply| reply.integer(0));
            return Flow::Continue;
        }
        // What was asked before comes first: who gets the message may look for it.
        if !client.slots.has_only_publishes() || self.publishing.is_full() {
            return Flow::Stall;
        }
        if others.iter().any(|other| !self.has_room(worker, client, *other, 1)) {
            return Flow::Stall;
        }
        let barrier = client.output.awaited().next_back().unwrap_or(BatchNumber::ZERO);
        let sum = GatherKind::Replies(Merge::Sum);
        let gather = Gather::new(sum, client.session.protocol, 1 + others.len(), 0);
        let slot = client.slots.open_for_message(Box::new(gather));
        let message = Message { is_sharded, channel: args.at(1).into(), payload: args.at(2).into() };
        self.publishing.push(Queued { message, barrier, to: Some(address(me, slot, 0)), others });
        Flow::Continue
    }

    /// Whether something happened to keys that may have to be told.
    #[inline]
    pub(super) fn has_events(&self, worker: &Worker<Service>) -> bool {
        !self.events.is_empty() || worker.shards.has_gone()
    }

    /// Has the events of what was just done published when `barrier` is released.
    #[cold]
    pub(super) fn publish_events(&mut self, worker: &mut Worker<Service>, mut barrier: BatchNumber) {
        take_gone(&mut worker.shards, &mut self.events);
        let (events, gone) = self.events.take();
        barrier = barrier.max(gone);
        let others = self.listening_workers(worker.index);
        if others.is_empty() && self.subscriptions.is_empty() {
            return;
        }
        let classes = self.server.settings.notified_events();
        for event in events.iter().filter(|event| classes.tell(event.kind.class())) {
            for message in event.messages(classes) {
                self.publishing.push(Queued { message, barrier, to: None, others: others.clone() });
            }
        }
    }
}

/// Moves the keys that went by themselves to the events.
pub(crate) fn take_gone(shards: &mut engine::Shards, events: &mut Events) {
    if !shards.has_gone() {
        return;
    }
    let (gone, batch) = shards.take_gone();
    events.wait_for(batch);
    for key in &gone {
        let kind = match key.why {
            GoneWhy::Expired => EventKind::Expired,
            GoneWhy::Evicted => EventKind::Evicted,
        };
        events.push(kind, key.db, &key.key);
    }
}

impl Service {
    /// Publishes what may be.
    pub(super) fn publish_released(&mut self, worker: &mut Worker<Service>) {
        if self.core.has_events(worker) {
            // Keys that went since the last command.
            self.core.publish_events(worker, BatchNumber::ZERO);
        }
        while let Some(first) = self.core.publishing.queue.front() {
            let lacks_room = |other: &usize| self.core.credits(worker, *other) == 0;
            if first.barrier > worker.shards.released() || first.others.iter().any(lacks_room) {
                return;
            }
            let Some(Queued { message, to, others, .. }) = self.core.publishing.pop() else { return };
            // Connections may wait for room in the queue, or for the answer.
            self.core.holds.must_call |= !self.ready.is_empty();
            for (part, other) in (1u16..).zip(others) {
                let mut to = to.unwrap_or_else(|| address((NOBODY, 0), 0, 0));
                to.part = part;
                let core = &mut self.core;
                let spare = &mut core.spare_requests;
                let outbox = core.outboxes[other].get_or_insert_with(|| spare.pop().unwrap_or_default());
                outbox.push_message(to, &message);
                if outbox.bytes_len() > MESSAGE_BYTES {
                    core.post(worker, other);
                }
            }
            let count = self.give_out(&message);
            if let Some(to) = to {
                self.deliver(worker, to, &integer(count), 0, BatchNumber::ZERO);
            }
        }
    }

    /// Gives a message of another worker to our listeners, and tells how many got it.
    pub(super) fn give_out_for(
        &mut self,
        other: usize,
        requests: &Requests,
        request: &RemoteCommand,
        is_sharded: bool,
    ) {
        let args = requests.args(request);
        let message = Message { is_sharded, channel: args.at(0).into(), payload: args.at(1).into() };
        let count = self.give_out(&message);
        let replies = self.core.held.message(other, BatchNumber::ZERO);
        if request.address.connection == NOBODY {
            replies.push_outcome(request.address, Outcome::Done);
        } else {
            replies.push(request.address, &integer(count), 0);
        }
    }

    /// Gives a message to our listeners. Returns how many got it: who listens twice gets it twice.
    fn give_out(&mut self, message: &Message) -> usize {
        let Self { core, connections, dirty, .. } = self;
        if core.subscriptions.is_empty() {
            return 0;
        }
        let mut body: Option<Arc<[u8]>> = None;
        // One for each protocol, of the pattern at hand.
        let mut heads = [Vec::new(), Vec::new()];
        let (mut last_pattern, mut count) = (None, 0);
        core.subscriptions.receivers(message, |pattern: Option<&[u8]>, who| {
            let Some(connection) = connections.get_mut(who.0, who.1) else { return };
            if connection.client.life != Life::Open {
                return;
            }
            if !connection.is_dirty {
                connection.is_dirty = true;
                dirty.push(who);
            }
            let client = &mut connection.client;
            if !Core::keeps_subscriptions(client) {
                return;
            }
            if last_pattern != pattern {
                last_pattern = pattern;
                heads.iter_mut().for_each(Vec::clear);
            }
            let protocol = client.session.protocol;
            let head = &mut heads[usize::from(protocol == resp::Protocol::Resp3)];
            if head.is_empty() {
                message.write_head(pattern, protocol, head);
            }
            client.output.push_message(head, body.get_or_insert_with(|| message.body()));
            count += 1;
        });
        core.counters.add(Counter::MessagesDelivered, count as u64);
        count
    }
}

fn integer(count: usize) -> Vec<u8> {
    format!(":{count}\r\n").into_bytes()
}
