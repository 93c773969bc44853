//! Keys held here for a command that another worker, or this one, leads through (`errand`).
//!
//! A hold is a ticket of the store's cold reads that is not finished when it is called: so it queues behind commands that
//! wait for the same keys, and later ones queue behind it. Each step that looks at a record has the ticket called once
//! more, since the record may have left memory meanwhile.

use std::collections::BTreeMap;

use engine::worker::Worker;
use resp::{Args, Protocol, ReplyWriter};
use shard::cold::Need;
use shard::types::{BatchNumber, Db, UnixMs};

use super::core::Core;
use super::disk_full::{disk_full, refuses_record};
use super::errand::put_seen;
use super::job::{Job, JobPart};
use super::message::{Address, Task};
use super::room::OUT_OF_MEMORY;
use super::service::Service;
use crate::commands::{Change, KeyPlace, apply, look};
use crate::pubsub::EventKind;
use crate::tracking::ClientPlace;

/// What is held here and what is owed for it.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// Tickets by the worker and number of their errand.
    tickets: BTreeMap<(usize, u64), u32>,
    /// Changes made whose answers wait until they survive power loss, whatever the log's policy.
    owed: Vec<(BatchNumber, Job)>,
    /// A ticket may be ready to be called, or somebody waits for an errand's end: go on with another turn.
    pub(super) must_call: bool,
}

impl Holds {
    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty() && self.owed.is_empty()
    }
}

/// The places in the arguments of a step that holds: pairs of database and want, and key.
fn held_places(args: Args<'_>) -> impl Iterator<Item = KeyPlace> {
    (0..args.len()).step_by(2).map(move |at| {
        let word = args.at(at);
        KeyPlace { db: Db(word[0]), at: at + 1, wants_value: word[1] & 1 == 1, is_read: word[1] & 2 == 2 }
    })
}

/// Bytes in the first word of a step that changes a key before the events: database, whether it is the last step of the
/// worker, and the connection that asked.
const SETTLE_HEAD_BYTES: usize = 10;

/// The connection that asked, of a step that changes a key; and the one that is to be told when a place is not what it was,
/// of a step that holds.
fn client_of(job: &Job, word: &[u8]) -> Option<ClientPlace> {
    let number = |at: usize| word.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    Some(ClientPlace::new(job.origin, (number(2)?, number(6)?)))
}

impl Core {
    /// Does a step of an errand that concerns this worker, which leads it too.
    pub(super) fn step_here<'a>(
        &mut self,
        worker: &mut Worker<Service>,
        to: Address,
        task: Task,
        protocol: Protocol,
        words: impl Iterator<Item = &'a [u8]>,
    ) {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        for word in words {
            ranges.push(resp::ArgRange { start: bytes.len(), len: word.len() });
            bytes.extend_from_slice(word);
        }
        let args = Args::new(&bytes, &ranges);
        match task {
            Task::Hold(command) => {
                self.hold(worker, Job::of_parts(worker.index, to, command, (Db(0), protocol), args));
            }
            Task::Settle(command) => {
                let mut job = Job::of_parts(worker.index, to, command, (Db(0), protocol), args);
                job.part = JobPart::Settle;
                self.recall(worker, job);
            }
            _ => unreachable!("no step of an errand"),
        }
    }

    /// Holds keys as soon as nobody is before.
    pub(super) fn hold(&mut self, worker: &mut Worker<Service>, mut job: Job) {
        job.part = JobPart::Hold;
        let args = job.args();
        let needs: Vec<Need> = held_places(args)
            .map(|place| (place.db, worker.shards.key(args.at(place.at))))
            .map(|(db, key)| worker.shards.need(db, key.slot, key.hash))
            .collect();
        worker.shards.hold(self.parked.next_token(), needs);
        self.parked.put(job);
        self.holds.must_call = true;
    }

    /// Has the ticket of a step called once more.
    fn recall(&mut self, worker: &mut Worker<Service>, job: Job) {
        let ticket = self.holds.tickets[&(job.origin, job.address.slot)];
        worker.shards.recall(ticket, self.parked.next_token());
        self.parked.put(job);
        self.holds.must_call = true;
    }

    /// Lets the keys of an errand go, nothing being changed.
    pub(super) fn let_go_here(&mut self, worker: &mut Worker<Service>, origin: usize, number: u64) {
        let ticket = self.holds.tickets.remove(&(origin, number)).expect("a hold is let go once");
        worker.shards.finish(ticket);
        self.holds.must_call = true;
    }

    /// Whether a hold stays after a step: until the last one. The ticket is that of the job.
    pub(super) fn keeps_hold(&mut self, ticket: u32, job: &Job) -> bool {
        let is_last = job.args().at(0)[1] == 1;
        if is_last {
            let removed = self.holds.tickets.remove(&(job.origin, job.address.slot));
            assert_eq!(removed, Some(ticket), "a hold is let go once");
        }
        !is_last
    }
}

impl Service {
    /// A step of another worker's errand that changes a key or lets keys go.
    pub(super) fn settle(&mut self, worker: &mut Worker<Service>, mut job: Job) {
        if job.args().len() == 1 {
            self.core.let_go_here(worker, job.origin, job.address.slot);
            self.answer_job(worker, &job, &[], 0, BatchNumber::ZERO);
            return;
        }
        job.part = JobPart::Settle;
        self.core.recall(worker, job);
    }

    /// The keys are held and in memory: tells what they hold. True: the ticket stays.
    pub(super) fn run_hold(&mut self, worker: &mut Worker<Service>, ticket: u32, job: &Job) -> bool {
        let (args, now) = (job.args(), worker.clock.now);
        let mut out = Vec::new();
        for place in held_places(args) {
            let seen = look(&mut worker.shards, &place, args.at(place.at), now);
            put_seen(seen.as_ref(), &mut out);
            if let Some(reader) = client_of(job, args.at(place.at - 1)) {
                self.core.remember_read(worker, reader, args.at(place.at));
            }
            if seen.is_none() && place.is_read {
                self.core.events.push(EventKind::Miss, place.db, args.at(place.at));
            }
        }
        let barrier = worker.shards.take_barrier();
        if self.core.has_events(worker) {
            self.core.publish_events(worker, barrier, None);
        }
        let old = self.core.holds.tickets.insert((job.origin, job.address.slot), ticket);
        assert!(old.is_none(), "an errand holds the keys of a worker once");
        self.answer_job(worker, job, &out, 0, barrier);
        true
    }

    /// A held key is changed. True: the ticket stays.
    pub(super) fn run_settle(&mut self, worker: &mut Worker<Service>, ticket: u32, job: &Job) -> bool {
        let keeps = self.core.keeps_hold(ticket, job);
        let (args, now) = (job.args(), worker.clock.now);
        let change = match args.get(2) {
            None => Change::Delete { place: 0 },
            Some(value) => {
                let deadline = args.get(3).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
                Change::Put { place: 0, value: value.to_vec(), deadline: deadline.map(UnixMs) }
            }
        };
        if let Some(error) = self.refuses_change(worker, job, &change) {
            let mut out = Vec::new();
            ReplyWriter::new(&mut out, job.protocol).error(error);
            self.answer_job(worker, job, &out, 0, BatchNumber::ZERO);
            return keeps;
        }
        let place = KeyPlace { db: Db(args.at(0)[0]), at: 1, wants_value: false, is_read: false };
        apply(&mut worker.shards, &place, args.at(1), &change, now);
        let barrier = worker.shards.take_barrier();
        for kind in args.at(0)[SETTLE_HEAD_BYTES..].iter().copied().filter_map(EventKind::from_byte) {
            self.core.events.push(kind, place.db, args.at(1));
        }
        if self.core.has_events(worker) {
            self.core.publish_events(worker, barrier, client_of(job, args.at(0)));
        }
        let owed =
            Job::of_parts(job.origin, job.address, job.command, (job.db, job.protocol), Args::new(&[], &[]));
        match worker.shards.log_mut() {
            Some(log) if barrier > log.durable() => {
                log.want_durable(barrier);
                self.core.holds.owed.push((barrier, owed));
            }
            _ => self.answer_job(worker, &owed, b"+", 0, BatchNumber::ZERO),
        }
        keeps
    }

    fn refuses_change(
        &self,
        worker: &mut Worker<Service>,
        job: &Job,
        change: &Change,
    ) -> Option<&'static str> {
        let Change::Put { value, .. } = change else { return None };
        let bytes = || value.len() + job.args().at(1).len();
        if refuses_record(&mut worker.shards, job.command, job.args().at(1), bytes()) {
            return Some(disk_full(job.command));
        }
        let lacks = self.core.lacks_memory(worker, job.command, bytes, worker.clock.now);
        lacks.then_some(OUT_OF_MEMORY)
    }

    /// Answers for changes that are durable by now.
    pub(super) fn pay_owed(&mut self, worker: &mut Worker<Service>) {
        if self.core.holds.owed.is_empty() {
            return;
        }
        let durable = worker.shards.log().map_or(BatchNumber::ZERO, shard::log::Log::durable);
        let (paid, owed) =
            std::mem::take(&mut self.core.holds.owed).into_iter().partition(|(batch, _)| *batch <= durable);
        self.core.holds.owed = owed;
        let paid: Vec<(BatchNumber, Job)> = paid;
        for (_, job) in paid {
            self.answer_job(worker, &job, b"+", 0, BatchNumber::ZERO);
        }
    }
}
