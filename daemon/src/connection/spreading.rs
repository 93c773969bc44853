//! A request that concerns several workers, spread over them: those that own its keys, or all.

use engine::worker::Worker;
use shard::shard_set::TaskKind;
use shard::types::BatchNumber;

use super::connection::Client;
use super::core::Core;
use super::gather::{Gather, GatherKind};
use super::job::Job;
use super::message::Requests;
use super::outbox::{address, source};
use super::routes::{CheckHandler, Flow, Request};
use super::service::Service;
use crate::commands::{KeyHandler, Merge};

impl Core {
    /// Sends each worker the part of the request that is about its keys.
    pub(super) fn split(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        (handler, merge): (KeyHandler, Merge),
    ) -> Flow {
        let Request { me, command, args } = request;
        let step = command.keys.map_or(1, |keys| keys.step);
        let workers = self.outboxes.len();
        let mut part_of_worker: Vec<Option<u16>> = vec![None; workers];
        let mut parts: Vec<(usize, Vec<&[u8]>)> = Vec::new();
        let mut order = Vec::new();
        for at in command.key_positions(args.len()) {
            let owner = self.owner_of(worker, args.at(at));
            let part = *part_of_worker[owner].get_or_insert_with(|| {
                parts.push((owner, vec![args.at(0)]));
                u16::try_from(parts.len() - 1).expect("workers are fewer than 2^16")
            });
            order.push(part);
            for offset in 0..step {
                // That each key has its value is known since the command was resolved.
                parts[usize::from(part)].1.extend(args.get(at + offset));
            }
        }
        let full = |owner| {
            if owner == worker.index {
                worker.shards.is_waiting_room_full()
            } else {
                !self.has_room_for(worker, client, owner, command)
            }
        };
        if parts.iter().any(|(owner, _)| full(*owner)) {
            return Flow::Stall;
        }
        let mut gather = Gather::new(GatherKind::Replies(merge), client.session.protocol, parts.len(), 0);
        gather.set_order(order);
        let slot = client.slots.open_gather(source(command), Box::new(gather));
        for (part, (owner, part_args)) in (0u16..).zip(parts) {
            let to = address(me, slot, part);
            if owner != worker.index {
                self.send(worker, owner, to, command, &client.session, true, part_args.into_iter());
                continue;
            }
            let mut joined = Requests::default();
            let session = &client.session;
            joined.push(to, command, (session.db, session.protocol), true, part_args.into_iter());
            let part_args = joined.args(&joined.commands[0]);
            let of = (session.db, session.protocol);
            if self.park_part(worker, (worker.index, to, false), command, of, part_args) {
                continue;
            }
            let mut out = Vec::new();
            let barrier = self.run(worker, handler, (&client.session, me), part_args, &mut out);
            client.slots.fill(slot, part, &out, 0, barrier);
        }
        self.drain_slots(worker, client, me);
        Flow::Continue
    }

    /// Whether a request to all other workers cannot be sent now.
    pub(super) fn lacks_room(&self, worker: &Worker<Service>, client: &Client) -> bool {
        (0..self.outboxes.len())
            .any(|other| other != worker.index && !self.has_room(worker, client, other, 1))
    }

    /// Every worker makes a part: with its handler at once, without one as a job of later turns.
    pub(super) fn everywhere(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        handler: Option<KeyHandler>,
        kind: GatherKind,
    ) -> Flow {
        let Request { me, command, args } = request;
        let workers = self.outboxes.len();
        if self.lacks_room(worker, client) {
            return Flow::Stall;
        }
        let random = self.draw();
        let gather = Gather::new(kind, client.session.protocol, workers, random);
        let slot = client.slots.open_gather(source(command), Box::new(gather));
        for (part, other) in (0u16..).zip(0..workers) {
            let to = address(me, slot, part);
            if other != worker.index {
                self.send(worker, other, to, command, &client.session, true, args.iter());
                continue;
            }
            match handler {
                Some(handler) => {
                    let of = (client.session.db, client.session.protocol);
                    if self.park_part(worker, (worker.index, to, false), command, of, args) {
                        continue;
                    }
                    let mut out = Vec::new();
                    let barrier = self.run(worker, handler, (&client.session, me), args, &mut out);
                    self.publish_set_back(worker.index);
                    client.slots.fill(slot, part, &out, 0, barrier);
                }
                None => {
                    self.jobs.push_back(Job::new(worker.index, to, command, &client.session, args));
                    client.blocked = true;
                }
            }
        }
        self.drain_slots(worker, client, me);
        Flow::Continue
    }

    /// Every worker does a task with its storage.
    pub(super) fn storage(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        (check, kind, merge): (CheckHandler, TaskKind, Merge),
    ) -> Flow {
        let Request { me, command, args } = request;
        if !client.slots.is_empty() {
            // What was asked before may be put off on its worker, or wait there for records: it comes first.
            return Flow::Stall;
        }
        let workers = self.outboxes.len();
        // The check claims what is claimed once: it runs when nothing can be in the way any more.
        if self.lacks_room(worker, client) {
            return Flow::Stall;
        }
        if !self.check(worker, client, request, check) {
            return Flow::Continue;
        }
        let gather = Gather::new(GatherKind::Replies(merge), client.session.protocol, workers, 0);
        let slot = client.slots.open_gather(source(command), Box::new(gather));
        client.blocked = true;
        for (part, other) in (0u16..).zip(0..workers) {
            let to = address(me, slot, part);
            if other != worker.index {
                self.send(worker, other, to, command, &client.session, true, args.iter());
                continue;
            }
            let job = Job::new(worker.index, to, command, &client.session, args);
            if let Some((_, reply)) = self.begin_task(worker, kind, job) {
                client.slots.fill(slot, part, &reply, 0, BatchNumber::ZERO);
            }
        }
        self.drain_slots(worker, client, me);
        Flow::Continue
    }
}
