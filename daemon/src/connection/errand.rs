//! A command whose keys lie on several workers, led through by the worker of its connection.
//!
//! The keys are held on their owners, in the order of the workers; each owner tells what its keys hold. Then the command
//! decides what changes, and the changes are made one after the other: each is durable before the next begins, so a
//! crash may leave the first ones done and never a later one alone. Whoever comes for a held key meanwhile waits, so
//! nobody sees a state between. Nothing waits in a circle: who holds keys on one worker waits only for workers after it,
//! and what lets keys go waits behind nothing.

use std::collections::{BTreeMap, VecDeque};

use engine::worker::Worker;
use resp::ReplyWriter;
use shard::types::{BatchNumber, UnixMs};

use super::connection::Client;
use super::core::Core;
use super::job::Job;
use super::limits::ERRANDS_MAX;
use super::message::{Address, Task};
use super::outbox::{address, source};
use super::routes::{Flow, Request};
use super::service::Service;
use crate::commands::{Change, KeyPlace, Seen, TogetherContext, TogetherHandlers};
use crate::pubsub::EventKind;

/// The connection number of addresses that are steps of errands: the slot is the errand's number.
pub(super) const ERRANDS: u32 = u32::MAX;

/// One such command under way.
#[derive(Debug)]
struct Errand {
    /// The command; its address is the slot of its connection.
    job: Job,
    handlers: TogetherHandlers,
    places: Vec<KeyPlace>,
    /// Workers, in order, and which places are theirs.
    owners: Vec<(usize, Vec<usize>)>,
    /// How many of them hold their keys.
    held: usize,
    seen: Vec<Option<Seen>>,
    /// Changes not yet made, the one under way included.
    changes: VecDeque<Change>,
    /// What happens with them, by the index of the key's place.
    events: Vec<(usize, EventKind)>,
    reply: Vec<u8>,
    /// Batch of this worker's log that the reply waits for.
    barrier: BatchNumber,
    /// Answers that have to come.
    unanswered: usize,
    is_decided: bool,
    is_answered: bool,
}

/// Errands of this worker's connections, by number.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    all: BTreeMap<u64, Errand>,
    next: u64,
}

impl Errands {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// What a client is answered at an errand's end.
type Answer = (Address, Vec<u8>, BatchNumber);

impl Core {
    /// Begins a command whose keys lie on several workers. Its connection waits until it is done.
    pub(super) fn begin_errand(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        handlers: &TogetherHandlers,
        places: Vec<KeyPlace>,
    ) -> Flow {
        let Request { me, command, args } = request;
        let mut owners: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, place) in places.iter().enumerate() {
            owners.entry(self.owner_of(worker, args.at(place.at))).or_default().push(number);
        }
        if !client.slots.is_empty() {
            // What was asked before may be put off on its worker, or wait there for records: it comes first.
            return Flow::Stall;
        }
        let lacks_room = |owner: &usize| {
            if *owner == worker.index {
                worker.shards.is_waiting_room_full()
            } else {
                !self.has_room(worker, client, *owner, 1)
            }
        };
        if self.errands.all.len() >= ERRANDS_MAX || owners.keys().any(lacks_room) {
            return Flow::Stall;
        }
        let slot = client.slots.open_waiting(source(command));
        client.blocked = true;
        let mut to = address(me, slot, 0);
        to.tracks = self.tracking.is_on;
        let job = Job::new(worker.index, to, command, &client.session, args);
        let number = self.errands.next;
        self.errands.next += 1;
        let errand = Errand {
            job,
            handlers: *handlers,
            seen: vec![None; places.len()],
            places,
            owners: owners.into_iter().collect(),
            held: 0,
            changes: VecDeque::new(),
            events: Vec::new(),
            reply: Vec::new(),
            barrier: BatchNumber::ZERO,
            unanswered: 0,
            is_decided: false,
            is_answered: false,
        };
        self.errands.all.insert(number, errand);
        self.hold_next(worker, number);
        Flow::Forwarded
    }

    /// Asks the next owner to hold its keys.
    fn hold_next(&mut self, worker: &mut Worker<Service>, number: u64) {
        let errand = &self.errands.all[&number];
        let (owner, places) = &errand.owners[errand.held];
        let mut words = Vec::new();
        for place in places.iter().map(|place| &errand.places[*place]) {
            let mut head = vec![place.db.0, u8::from(place.wants_value) | u8::from(place.is_read) << 1];
            if errand.job.address.tracks {
                head.extend_from_slice(&errand.job.address.connection.to_le_bytes());
                head.extend_from_slice(&errand.job.address.generation.to_le_bytes());
            }
            words.push(head);
            words.push(errand.job.args().at(place.at).to_vec());
        }
        let (owner, command) = (*owner, errand.job.command);
        self.send_step(worker, owner, number, Task::Hold(command), &words);
    }

    fn send_step(
        &mut self,
        worker: &mut Worker<Service>,
        owner: usize,
        number: u64,
        task: Task,
        words: &[Vec<u8>],
    ) {
        let errand = self.errands.all.get_mut(&number).expect("who sends is there");
        errand.unanswered += 1;
        let protocol = errand.job.protocol;
        let to = Address {
            connection: ERRANDS,
            generation: 0,
            slot: number,
            part: 0,
            request_bytes: 0,
            is_apart: false,
            asked: false,
            tracks: false,
        };
        let words = words.iter().map(Vec::as_slice);
        if owner == worker.index {
            self.step_here(worker, to, task, protocol, words);
            return;
        }
        let bytes = self.outbox(owner).push_step(to, task, protocol, words);
        self.remote_bytes[owner] += bytes;
    }

    /// A step has been answered. What the client is told, when it was the last one that it waits for.
    fn on_step(
        &mut self,
        worker: &mut Worker<Service>,
        number: u64,
        bytes: &[u8],
        barrier: BatchNumber,
    ) -> Option<Answer> {
        let errand = self.errands.all.get_mut(&number)?;
        errand.unanswered -= 1;
        errand.barrier = errand.barrier.max(barrier);
        if errand.is_answered {
            // Keys were let go.
            if errand.unanswered == 0 {
                self.errands.all.remove(&number);
                self.holds.must_call = true;
            }
            return None;
        }
        let has_failed = bytes.first() == Some(&b'-');
        if has_failed {
            errand.reply = bytes.to_vec();
        }
        if !errand.is_decided {
            if has_failed {
                let held = errand.owners[..errand.held].iter().map(|(owner, _)| *owner).collect();
                return self.end_errand(worker, number, held);
            }
            let (_, places) = &errand.owners[errand.held];
            take_seen(bytes, places, &mut errand.seen);
            errand.held += 1;
            if errand.held < errand.owners.len() {
                self.hold_next(worker, number);
                return None;
            }
            return self.decide(worker, number);
        }
        // An answer of keys let go carries nothing; that of a change says so.
        if bytes.is_empty() {
            return None;
        }
        let change = errand.changes.pop_front().expect("a change was under way");
        let owner_of = |place: usize| {
            let owner = errand.owners.iter().find(|(_, places)| places.contains(&place));
            owner.expect("every place has its owner").0
        };
        if has_failed {
            let _ = change;
            let mut left: Vec<usize> = errand.changes.iter().map(|change| owner_of(change.place())).collect();
            left.dedup();
            return self.end_errand(worker, number, left);
        }
        self.change_next(worker, number)
    }

    /// All keys are held.
    fn decide(&mut self, worker: &mut Worker<Service>, number: u64) -> Option<Answer> {
        let errand = self.errands.all.get_mut(&number).expect("the caller has it");
        let (mut changes, mut events, mut reply) = (Vec::new(), Vec::new(), Vec::new());
        let mut context = TogetherContext {
            seen: &mut errand.seen,
            changes: &mut changes,
            events: &mut events,
            db: errand.job.db,
            now: worker.clock.now,
            settings: &self.server.settings,
            reply: ReplyWriter::new(&mut reply, errand.job.protocol),
        };
        (errand.handlers.decide)(&mut context, errand.job.args());
        errand.seen.clear();
        errand.reply = reply;
        errand.is_decided = true;
        errand.changes = changes.into();
        errand.events = events;
        if errand.changes.is_empty() {
            let all = errand.owners.iter().map(|(owner, _)| *owner).collect();
            return self.end_errand(worker, number, all);
        }
        let is_idle =
            |places: &[usize]| !errand.changes.iter().any(|change| places.contains(&change.place()));
        let idle: Vec<usize> =
            errand.owners.iter().filter(|(_, places)| is_idle(places)).map(|(owner, _)| *owner).collect();
        for owner in idle {
            self.let_go(worker, number, owner);
        }
        self.change_next(worker, number)
    }

    /// Makes the next change; ends when there is none.
    fn change_next(&mut self, worker: &mut Worker<Service>, number: u64) -> Option<Answer> {
        let errand = &self.errands.all[&number];
        let Some(change) = errand.changes.front() else { return self.end_errand(worker, number, Vec::new()) };
        let (owner, places) = errand
            .owners
            .iter()
            .find(|(_, places)| places.contains(&change.place()))
            .expect("a place has its owner");
        let is_last = !errand.changes.iter().skip(1).any(|change| places.contains(&change.place()));
        let place = &errand.places[change.place()];
        let key = errand.job.args().at(place.at).to_vec();
        // Its owner tells what happens to a key, in the order in which things happen to it.
        let of_place = errand.events.iter().filter(|(place, _)| *place == change.place());
        let mut head = vec![place.db.0, u8::from(is_last)];
        // Who asked for it may not want to be told of it.
        head.extend_from_slice(&errand.job.address.connection.to_le_bytes());
        head.extend_from_slice(&errand.job.address.generation.to_le_bytes());
        head.extend(of_place.map(|(_, kind)| kind.byte()));
        let mut words = vec![head, key];
        if let Change::Put { value, deadline, .. } = change {
            words.push(value.clone());
            words.push(deadline.map_or_else(Vec::new, |deadline| deadline.0.to_le_bytes().to_vec()));
        }
        let (owner, command) = (*owner, errand.job.command);
        self.send_step(worker, owner, number, Task::Settle(command), &words);
        None
    }

    fn let_go(&mut self, worker: &mut Worker<Service>, number: u64, owner: usize) {
        if owner == worker.index {
            self.let_go_here(worker, owner, number);
            return;
        }
        let command = self.errands.all[&number].job.command;
        self.send_step(worker, owner, number, Task::Settle(command), &[vec![0, 1]]);
    }

    /// Lets the keys of these workers go and answers the client.
    fn end_errand(&mut self, worker: &mut Worker<Service>, number: u64, held: Vec<usize>) -> Option<Answer> {
        for owner in held {
            self.let_go(worker, number, owner);
        }
        let errand = self.errands.all.get_mut(&number).expect("the caller has it");
        errand.is_answered = true;
        let answer = (errand.job.address, std::mem::take(&mut errand.reply), errand.barrier);
        self.counters.note_reply(errand.job.command.id, &answer.1);
        self.counters.note_calls(errand.job.command.id, 1, 0);
        if errand.unanswered == 0 {
            self.errands.all.remove(&number);
        }
        // Connections may wait for room for an errand of their own.
        self.holds.must_call = true;
        Some(answer)
    }
}

/// Reads what an owner tells of its places; see `hold`.
fn take_seen(mut bytes: &[u8], places: &[usize], seen: &mut [Option<Seen>]) {
    let mut take = |len: usize| {
        let (taken, rest) = bytes.split_at(len);
        bytes = rest;
        taken
    };
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    for place in places {
        if take(1) == b"0" {
            continue;
        }
        let deadline = number(take(8));
        let len = usize::try_from(number(take(8))).expect("a value fits memory");
        let value = take(len).to_vec();
        seen[*place] = Some(Seen { value, deadline: (deadline > 0).then_some(UnixMs(deadline)) });
    }
}

/// Writes what [`take_seen`] reads.
pub(super) fn put_seen(seen: Option<&Seen>, out: &mut Vec<u8>) {
    match seen {
        None => out.push(b'0'),
        Some(Seen { value, deadline }) => {
            out.push(b'1');
            out.extend_from_slice(&deadline.map_or(0, |deadline| deadline.0).to_le_bytes());
            out.extend_from_slice(&(value.len() as u64).to_le_bytes());
            out.extend_from_slice(value);
        }
    }
}

impl Service {
    /// A step of an errand of ours has been answered.
    pub(super) fn on_errand(
        &mut self,
        worker: &mut Worker<Service>,
        number: u64,
        bytes: &[u8],
        barrier: BatchNumber,
    ) {
        if let Some((to, reply, barrier)) = self.core.on_step(worker, number, bytes, barrier) {
            self.deliver(worker, to, &reply, 0, barrier);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_owner_tells_is_what_is_read() {
        let told = [
            None,
            Some(Seen { value: b"value".to_vec(), deadline: Some(UnixMs(1 << 40)) }),
            Some(Seen { value: Vec::new(), deadline: None }),
        ];
        let mut bytes = Vec::new();
        told.iter().for_each(|seen| put_seen(seen.as_ref(), &mut bytes));
        let mut seen = vec![None; 4];
        take_seen(&bytes, &[3, 0, 1], &mut seen);
        assert_eq!((&seen[3], &seen[0], &seen[1], &seen[2]), (&told[0], &told[1], &told[2], &None));
    }
}
