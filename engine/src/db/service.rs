//! A worker's side of the library: calls come by message, run on the worker's shards, and are answered when what they
//! did and saw is durable.
//!
//! Callers that come within one turn share its log batch: that is the group commit. A call whose record is on disk
//! only waits for it without holding up the others.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ring::Completion;
use shard::cold::Admission;
use shard::eviction::{EvictionPolicy, MemoryLimit};
use shard::limits::LOG_QUEUED_BYTES_MAX;
use shard::shard_set::{ScanCursor, SpaceFor, StorageTask};
use shard::types::{BatchNumber, Db as Database, UnixMs};

use super::call::{Answer, Batch, Call, Message, Operation, OwnedKey, ReplyTo};
use super::error::DbError;
use super::options::Ttl;
use super::state::State;
use crate::limits::{DB_SCAN_BYTES, DB_SCAN_RECORDS, DB_SCAN_ROUNDS};
use crate::start::ControlSender;
use crate::worker::{Service, Worker, WorkerError};

/// The database that the library uses.
const DATABASE: Database = Database(0);
/// Bytes that a record takes beside its key and value, its part of the index included.
const RECORD_OVERHEAD_BYTES: u64 = 40;

/// Calls that wait for records on disk, by token.
#[derive(Default)]
struct Parked {
    calls: Vec<Option<Call>>,
    free: Vec<u64>,
}

impl Parked {
    fn next_token(&self) -> u64 {
        self.free.last().copied().unwrap_or(self.calls.len() as u64)
    }

    fn put(&mut self, call: Call) {
        match self.free.pop() {
            Some(token) => self.calls[usize::try_from(token).unwrap_or(usize::MAX)] = Some(call),
            None => self.calls.push(Some(call)),
        }
    }

    fn take(&mut self, token: u64) -> Call {
        self.free.push(token);
        self.calls[usize::try_from(token).unwrap_or(usize::MAX)].take().expect("a token is called once")
    }

    fn is_empty(&self) -> bool {
        self.calls.len() == self.free.len()
    }
}

/// A worker's side of the library.
pub(super) struct DbService {
    state: Arc<State>,
    workers: Vec<ControlSender<Message>>,
    /// Calls that have come and not yet run: at most one of each thread of the host.
    queue: VecDeque<Call>,
    parked: Parked,
    /// Calls that were called and wait for disk space, with their tickets.
    waiting: Vec<(u32, Call)>,
    /// Answers that wait for a batch of the log.
    held: BTreeMap<BatchNumber, Vec<(ReplyTo, Answer)>>,
    tasks: Vec<(StorageTask, ReplyTo)>,
    /// The log takes no more for now, or too many calls wait for the drive.
    stalled: bool,
    closing: bool,
    /// It ended as it should: closed, or after saying why not.
    ended: bool,
}

impl DbService {
    pub(super) fn new(state: Arc<State>, workers: Vec<ControlSender<Message>>) -> Self {
        Self {
            state,
            workers,
            queue: VecDeque::new(),
            parked: Parked::default(),
            waiting: Vec::new(),
            held: BTreeMap::new(),
            tasks: Vec::new(),
            stalled: false,
            closing: false,
            ended: false,
        }
    }

    /// Tells everybody that nothing is acknowledged any more.
    fn fail(&mut self, reason: &str) {
        self.ended = true;
        self.state.fail(reason);
        for worker in &self.workers {
            worker.send(Message::Fail);
        }
    }

    fn run_queue(&mut self, worker: &mut Worker<Self>) {
        let shards = &mut worker.shards;
        if self.state.memory_limit > 0 && shards.files().is_empty() {
            self.state.memory_bytes[worker.index].store(shards.memory_bytes(), Ordering::Relaxed);
            let bytes = self.state.memory_share(worker.index);
            shards.set_memory_limit(MemoryLimit { bytes, policy: EvictionPolicy::NoEviction });
        }
        self.stalled = false;
        let mut waiting = 0;
        // Calls that are put back run in a later turn.
        for _ in 0..self.queue.len() {
            let queued = worker.shards.log().is_some_and(|log| log.queued_bytes() > LOG_QUEUED_BYTES_MAX / 2);
            if queued || worker.shards.is_waiting_room_full() {
                self.stalled = true;
                return;
            }
            let Some(call) = self.queue.pop_front() else { return };
            // At the memory limit what grows waits for the drive, and all else goes on.
            if worker.shards.holds_writes() && matches!(call.operation, Operation::Set { .. }) {
                waiting += 1;
                self.queue.push_back(call);
                continue;
            }
            match space_for(&mut worker.shards, &call.operation) {
                SpaceFor::Ready => self.admit(worker, call),
                SpaceFor::Soon => {
                    waiting += 1;
                    self.queue.push_back(call);
                }
                SpaceFor::None => answer(&call.reply, Err(DbError::DiskFull)),
            }
        }
        // They go on after a completion.
        self.stalled = waiting > 0 && waiting == self.queue.len();
    }

    /// Runs a call, or puts it aside until what it looks at is in memory.
    fn admit(&mut self, worker: &mut Worker<Self>, call: Call) {
        let need = match &call.operation {
            Operation::Set { key, .. }
            | Operation::Get(key)
            | Operation::Delete(key)
            | Operation::Exists(key)
            | Operation::Ttl(key) => worker.shards.need(DATABASE, key.slot, key.hash),
            Operation::Scan { .. } => return self.scan(worker, call),
            Operation::Task(_) | Operation::Figures => return self.run(worker, call),
        };
        match worker.shards.admit(self.parked.next_token(), std::iter::once(need)) {
            Admission::Run => self.run(worker, call),
            Admission::Parked => self.parked.put(call),
        }
    }

    fn run_called(&mut self, worker: &mut Worker<Self>) {
        if !worker.shards.may_wait() {
            return;
        }
        for (ticket, call) in std::mem::take(&mut self.waiting) {
            // What it looks at may have left memory meanwhile: it is called again when that is there.
            worker.shards.recall(ticket, self.parked.next_token());
            self.parked.put(call);
        }
        while let Some((ticket, token, result)) = worker.shards.next_called() {
            let call = self.parked.take(token);
            match result {
                Ok(()) => self.run_one_called(worker, ticket, call),
                Err(error) => {
                    answer(&call.reply, Err(error.into()));
                    worker.shards.finish(ticket);
                }
            }
        }
    }

    /// Runs a call whose records have come, unless it has to wait for disk space.
    fn run_one_called(&mut self, worker: &mut Worker<Self>, ticket: u32, call: Call) {
        match space_for(&mut worker.shards, &call.operation) {
            SpaceFor::Soon => return self.waiting.push((ticket, call)),
            SpaceFor::None => answer(&call.reply, Err(DbError::DiskFull)),
            // What a scan comes by may have changed meanwhile: it asks again.
            SpaceFor::Ready if matches!(call.operation, Operation::Scan { .. }) => self.scan(worker, call),
            SpaceFor::Ready => self.run(worker, call),
        }
        worker.shards.finish(ticket);
    }

    fn run(&mut self, worker: &mut Worker<Self>, call: Call) {
        let Call { operation, reply } = call;
        let now = worker.clock.now;
        let set = &mut worker.shards;
        let result = match operation {
            Operation::Set { key, value, ttl } => write(set, &key, &value, ttl, now),
            Operation::Get(key) => {
                let found = set.lookup(DATABASE, &key.as_key(), now);
                Ok(Answer::Value(found.map(|found| found.value.to_vec())))
            }
            Operation::Delete(key) => Ok(Answer::Flag(set.delete(DATABASE, &key.as_key(), now))),
            Operation::Exists(key) => Ok(Answer::Flag(set.lookup(DATABASE, &key.as_key(), now).is_some())),
            Operation::Ttl(key) => {
                let found = set.lookup(DATABASE, &key.as_key(), now);
                Ok(Answer::Ttl(found.map_or(Ttl::Missing, |found| ttl_of(found.deadline, now))))
            }
            Operation::Figures => return answer(&reply, Ok(Answer::Figures(Box::new(worker.figures())))),
            Operation::Task(kind) => {
                match StorageTask::begin(kind, set) {
                    Ok(task) => self.tasks.push((task, reply)),
                    Err(error) => answer(&reply, Err(error.into())),
                }
                return;
            }
            Operation::Scan { .. } => unreachable!("a scan has a way of its own"),
        };
        let barrier = set.take_barrier();
        match result {
            Ok(done) => self.hold(worker, barrier, reply, done),
            Err(error) => answer(&reply, Err(error)),
        }
    }

    /// Some steps of a scan; where it finds nothing it goes on in the next turn.
    fn scan(&mut self, worker: &mut Worker<Self>, call: Call) {
        let Call { operation: Operation::Scan { mut cursor, prefix }, reply } = call else {
            unreachable!("the caller looked")
        };
        let (mut records, mut bytes) = (Vec::new(), 0);
        for _ in 0..DB_SCAN_ROUNDS {
            let needs = match worker.shards.may_wait() {
                true => worker.shards.scan_needs(DATABASE, cursor, DB_SCAN_RECORDS),
                false => Vec::new(),
            };
            let token = self.parked.next_token();
            if worker.shards.admit(token, needs.iter().copied()) == Admission::Parked {
                self.parked.put(Call { operation: Operation::Scan { cursor, prefix }, reply });
                return;
            }
            let mut visit = |key: &[u8], found: &shard::shard::Found<'_>| {
                if !key.starts_with(&prefix) {
                    return;
                }
                bytes += key.len() + found.value.len();
                // The values of a large batch are fetched one by one: memory stays bounded.
                let value = (bytes <= DB_SCAN_BYTES).then(|| found.value.to_vec());
                records.push((key.to_vec(), value));
            };
            let now = worker.clock.now;
            cursor = worker.shards.scan(DATABASE, cursor, DB_SCAN_RECORDS, now, &mut visit);
            let ends = cursor == ScanCursor(0) || !cursor.slot().is_some_and(|slot| worker.shards.owns(slot));
            if ends || !records.is_empty() {
                let barrier = worker.shards.take_barrier();
                self.hold(worker, barrier, reply, Answer::Batch(Batch { records, next: cursor }));
                return;
            }
        }
        // Nothing was revealed so far: what it saw is nobody's to wait for.
        let _ = worker.shards.take_barrier();
        self.queue.push_back(Call { operation: Operation::Scan { cursor, prefix }, reply });
    }

    /// Answers when a batch is released, which may be now.
    fn hold(&mut self, worker: &Worker<Self>, barrier: BatchNumber, reply: ReplyTo, done: Answer) {
        if barrier <= worker.shards.released() {
            answer(&reply, Ok(done));
        } else {
            self.held.entry(barrier).or_default().push((reply, done));
        }
    }

    fn release(&mut self, worker: &Worker<Self>) {
        let mark = worker.shards.released();
        while let Some(first) = self.held.first_entry()
            && *first.key() <= mark
        {
            for (reply, done) in first.remove() {
                answer(&reply, Ok(done));
            }
        }
    }

    fn step_tasks(&mut self, worker: &mut Worker<Self>) {
        self.tasks.retain_mut(|(task, reply)| {
            let result = match task.step(&mut worker.shards) {
                Ok(false) => return true,
                Ok(true) => Ok(Answer::Done),
                Err(error) => Err(error.into()),
            };
            answer(reply, result);
            false
        });
    }
}

/// Sends an answer. A caller that is gone, with its thread, needs none.
fn answer(reply: &ReplyTo, result: Result<Answer, DbError>) {
    let _ = reply.try_send(result);
}

/// Whether there is disk space for what a call writes.
fn space_for(set: &mut crate::Shards, operation: &Operation) -> SpaceFor {
    match operation {
        Operation::Set { key, value, .. } => {
            let bytes = key.bytes.len() + value.len();
            set.space_for(std::iter::once(key.slot), bytes, bytes)
        }
        Operation::Delete(_) => set.space_for_deletes(),
        _ => SpaceFor::Ready,
    }
}

fn write(
    set: &mut crate::Shards,
    key: &OwnedKey,
    value: &[u8],
    ttl: Option<Duration>,
    now: UnixMs,
) -> Result<Answer, DbError> {
    let bytes = key.bytes.len() + value.len();
    if !set.make_room(bytes as u64 + RECORD_OVERHEAD_BYTES, now) {
        return Err(DbError::OutOfMemory);
    }
    let deadline = ttl.map(|ttl| {
        let ms = u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        UnixMs(now.0.saturating_add(ms))
    });
    if deadline.is_some_and(|deadline| deadline <= now) {
        set.delete(DATABASE, &key.as_key(), now);
    } else {
        set.put(DATABASE, &key.as_key(), value, deadline);
    }
    Ok(Answer::Done)
}

fn ttl_of(deadline: Option<UnixMs>, now: UnixMs) -> Ttl {
    deadline
        .map_or(Ttl::Forever, |deadline| Ttl::Left(Duration::from_millis(deadline.0.saturating_sub(now.0))))
}

impl Service for DbService {
    type Request = ();
    type Reply = ();
    type Control = Message;

    fn on_completion(&mut self, _: &mut Worker<Self>, completion: Completion) {
        unreachable!("nothing but storage is started here: {completion:?}");
    }

    fn on_control(&mut self, worker: &mut Worker<Self>, message: Message) {
        match message {
            Message::Call(call) if self.closing => answer(&call.reply, Err(self.state.no_answer())),
            Message::Call(call) => self.queue.push_back(call),
            Message::Close => {
                self.closing = true;
                worker.stop();
            }
            Message::Fail => {
                self.ended = true;
                worker.abandon();
            }
        }
    }

    fn turn(&mut self, worker: &mut Worker<Self>) {
        self.run_called(worker);
        self.run_queue(worker);
        while let Some(damaged) = worker.shards.next_damaged_extent() {
            tracing::error!("{damaged}; keep the data file and restore the keys from a copy");
        }
        while let Some(finding) = worker.shards.next_scrub_finding() {
            tracing::error!("{finding}; keep the data file and restore the keys from a copy");
        }
    }

    fn flush(&mut self, worker: &mut Worker<Self>) {
        self.release(worker);
        self.step_tasks(worker);
    }

    fn has_work(&self) -> bool {
        !self.queue.is_empty() && !self.stalled
    }

    fn awaits_sends(&self) -> bool {
        false
    }

    fn next_deadline_ns(&self) -> Option<u64> {
        None
    }

    fn is_finished(&self) -> bool {
        let quiet = self.queue.is_empty() && self.parked.is_empty() && self.waiting.is_empty();
        self.closing && quiet && self.held.is_empty() && self.tasks.is_empty()
    }

    fn on_failure(&mut self, error: &WorkerError) {
        self.fail(&error.to_string());
    }
}

impl Drop for DbService {
    fn drop(&mut self) {
        // Callers whose answers are dropped here learn why from the state, which is told first.
        if !self.ended && !self.closing {
            self.fail("a worker thread has panicked: a bug; its message is where panics of this process go");
        }
    }
}
