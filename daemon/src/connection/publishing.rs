//! Messages on their way to those who listen: those of PUBLISH, events of keys, word to those who cache, and lines to those
//! who look on.
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
use super::message::{Address, Outcome, RemoteCommand, Requests, Task};
use super::outbox::address;
use super::routes::{Flow, Request};
use super::service::Service;
use crate::commands::{Command, Merge};
use crate::pubsub::{EventKind, Events, Message};
use crate::server::Counter;
use crate::tracking::{ClientPlace, Invalidation, Reach};

/// The connection number of addresses that nobody waits at: those of events.
const NOBODY: u32 = u32::MAX - 1;

/// What is told.
#[derive(Debug)]
pub(super) enum Told {
    /// A message, to those who listen.
    Message(Message),
    /// That a key is not what it was, to those who have read it.
    Invalidation(Invalidation),
    /// The line of a request, to those who look on.
    Request(Arc<[u8]>),
}

impl Told {
    fn byte_count(&self) -> usize {
        match self {
            Self::Message(message) => message.byte_count(),
            Self::Invalidation(one) => one.byte_count(),
            Self::Request(line) => line.len(),
        }
    }

    /// Adds it to what goes to another worker.
    fn push_to(&self, other: usize, to: Address, outbox: &mut Requests) {
        match self {
            Self::Message(Message { is_sharded, channel, payload }) => {
                outbox.push_told(to, Task::Publish { is_sharded: *is_sharded }, &[channel, payload]);
            }
            Self::Invalidation(one) => {
                let key = one.key.as_deref().unwrap_or_default();
                outbox.push_told(to, Task::Invalidate, &[&one.head_for(other), key]);
            }
            Self::Request(line) => outbox.push_told(to, Task::Show, &[line]),
        }
    }
}

/// One message in the queue.
#[derive(Debug)]
struct Queued {
    told: Told,
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
        self.bytes += one.told.byte_count();
        self.queue.push_back(one);
    }

    /// Adds what nobody waits for an answer to: it leaves when `barrier` is released, to our connections and those of
    /// other workers.
    pub(super) fn queue(&mut self, told: Told, barrier: BatchNumber, others: Vec<usize>) {
        self.push(Queued { told, barrier, to: None, others });
    }

    fn pop(&mut self) -> Option<Queued> {
        let one = self.queue.pop_front()?;
        self.bytes -= one.told.byte_count();
        Some(one)
    }
}

impl Core {
    /// Other workers whose connections listen to anything.
    fn listening_workers(&self, worker: usize) -> Vec<usize> {
        self.others(worker, |other| self.server.pubsub.has_subscriptions(other))
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
        // One that listens itself gets no message before it was told how many got the one before.
        let listens = client.session.subscriptions.iter().any(|count| *count > 0);
        if listens && !client.slots.is_empty() {
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
        let told = Told::Message(message);
        self.publishing.push(Queued { told, barrier, to: Some(address(me, slot, 0)), others });
        Flow::Continue
    }

    /// Whether something happened to keys that may have to be told.
    #[inline]
    pub(super) fn has_events(&self, worker: &Worker<Service>) -> bool {
        !self.events.is_empty() || worker.shards.has_gone()
    }

    /// A worker's part of a flush that it refuses counts as over: the other workers' parts may be done, and those who
    /// track are told of as many flushes as all workers have counted.
    #[cold]
    pub(super) fn note_refused(&mut self, worker: &mut Worker<Service>, command: &Command) {
        if matches!(command.name, "flushall" | "flushdb") {
            self.events.push_flush();
            self.publish_events(worker, BatchNumber::ZERO, None);
        }
    }

    /// Has the events of what was just done published when `barrier` is released. `writer`: the connection that asked for
    /// it, where one did.
    #[cold]
    pub(super) fn publish_events(
        &mut self,
        worker: &mut Worker<Service>,
        mut barrier: BatchNumber,
        writer: Option<ClientPlace>,
    ) {
        take_gone(&mut worker.shards, &mut self.events);
        let (events, gone) = self.events.take();
        barrier = barrier.max(gone);
        self.queue_invalidations(worker, &events, barrier, writer);
        let others = self.listening_workers(worker.index);
        if others.is_empty() && self.subscriptions.is_empty() {
            return;
        }
        let classes = self.server.settings.notified_events();
        for event in events.iter().filter(|event| classes.tell(event.kind.class())) {
            for message in event.messages(classes) {
                self.publishing.queue(Told::Message(message), barrier, others.clone());
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
            self.core.publish_events(worker, BatchNumber::ZERO, None);
        }
        while let Some(first) = self.core.publishing.queue.front() {
            let lacks_room = |other: &usize| self.core.credits(worker, *other) == 0;
            if first.barrier > worker.shards.released() || first.others.iter().any(lacks_room) {
                return;
            }
            let Some(Queued { told, to, others, .. }) = self.core.publishing.pop() else { return };
            if let Told::Invalidation(Invalidation { key: None, reach: Reach::Written, .. }) = told {
                self.core.server.onlookers.note_flush(worker.index);
            }
            // Connections may wait for room in the queue, or for the answer.
            self.core.holds.must_call |= !self.ready.is_empty();
            for (part, other) in (1u16..).zip(others) {
                let mut to = to.unwrap_or_else(|| address((NOBODY, 0), 0, 0));
                to.part = part;
                let core = &mut self.core;
                let outbox = core.outbox(other);
                told.push_to(other, to, outbox);
                if outbox.bytes_len() > MESSAGE_BYTES {
                    core.post(worker, other);
                }
            }
            let count = match &told {
                Told::Message(message) => self.give_out(message),
                Told::Invalidation(one) => {
                    self.give_invalidation(worker, one);
                    0
                }
                Told::Request(line) => {
                    self.give_line(line);
                    0
                }
            };
            if let Some(to) = to {
                self.deliver(worker, to, &integer(count), 0, BatchNumber::ZERO);
            }
        }
    }

    /// Gives what another worker has told to those of our connections that it is for.
    pub(super) fn take_told(
        &mut self,
        worker: &Worker<Service>,
        other: usize,
        requests: &Requests,
        request: &RemoteCommand,
    ) {
        let args = requests.args(request);
        match request.task {
            Task::Publish { is_sharded } => return self.give_out_for(other, requests, request, is_sharded),
            Task::Invalidate => {
                let one = Invalidation::read(worker.index, args.at(0), args.at(1));
                self.give_invalidation(worker, &one);
            }
            Task::Show => self.give_line(&args.at(0).into()),
            _ => return,
        }
        self.core.held.message(other, BatchNumber::ZERO).push_outcome(request.address, Outcome::Done);
    }

    /// Gives a message of another worker to our listeners, and tells how many got it.
    fn give_out_for(&mut self, other: usize, requests: &Requests, request: &RemoteCommand, is_sharded: bool) {
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
