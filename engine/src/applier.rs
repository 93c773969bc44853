//! A thread's part of replay: its shards, and chunks of records to apply to them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use shard::key::{Key, KeyHasher};
use shard::record::{Head, Record};
use shard::shard::ShardFloor;

use crate::Shard;
use crate::cold_reader::{ColdReader, ReplayError};
use crate::files::{MemoryBound, StoreDirectory};
use crate::pool::Pool;

/// Records whose index entries are brought into the cache together, before the first of them is applied.
const RECORDS: usize = 32;

/// Work for a thread. `at` is the place of the shard among those of the thread.
pub(crate) enum Job {
    /// What the shard's history starts from, as the log has it.
    Floor { at: usize, floor: Box<ShardFloor> },
    /// Whole records of one shard, one after the other as recovery has verified them.
    Records { at: usize, bytes: Vec<u8> },
}

/// Applies records to some shards.
pub(crate) struct Applier {
    shards: Vec<Shard>,
    hasher: KeyHasher,
    pool: Pool,
    scratch: Vec<u8>,
    reader: ColdReader,
    memory: Option<Arc<MemoryBound>>,
    /// What the shards took when it was noted last.
    memory_noted: u64,
}

impl Applier {
    pub(crate) fn new(
        shards: Vec<Shard>,
        hasher: KeyHasher,
        (pool, directory): (Pool, &StoreDirectory),
    ) -> Self {
        Self {
            shards,
            hasher,
            pool,
            scratch: Vec::new(),
            reader: ColdReader::new(directory),
            memory: directory.memory(),
            memory_noted: 0,
        }
    }

    /// Does and answers one job after the other until there are no more, or nobody listens; the shards come back.
    pub(crate) fn run(
        mut self,
        jobs: &Receiver<Job>,
        answers: &Sender<Result<Vec<u8>, ReplayError>>,
    ) -> Vec<Shard> {
        while let Ok(job) = jobs.recv() {
            let answer = match job {
                Job::Floor { at, floor } => {
                    self.shards[at].take_floor(&floor).map(|()| Vec::new()).map_err(ReplayError::from)
                }
                Job::Records { at, bytes } => self.apply_noted(at, &bytes).map(|()| bytes),
            };
            if answers.send(answer).is_err() {
                break;
            }
        }
        self.shards
    }

    /// Applies whole records of the shard at a place, verified, and notes what that takes of memory.
    ///
    /// # Errors
    /// They do not fit, or what they need is not to be had.
    pub(crate) fn apply_noted(&mut self, at: usize, bytes: &[u8]) -> Result<(), ReplayError> {
        self.apply(at, bytes).and_then(|()| self.note_memory())
    }

    /// The shards, as they are now.
    pub(crate) fn into_shards(self) -> Vec<Shard> {
        self.shards
    }

    fn note_memory(&mut self) -> Result<(), ReplayError> {
        let Some(bound) = &self.memory else { return Ok(()) };
        let now = self.shards.iter().map(Shard::memory_bytes).sum();
        let fits = bound.note(self.memory_noted, now);
        self.memory_noted = now;
        if fits { Ok(()) } else { Err(ReplayError::Memory) }
    }

    fn apply(&mut self, at: usize, mut bytes: &[u8]) -> Result<(), ReplayError> {
        let Self { shards, hasher, pool, scratch, reader, .. } = self;
        let shard = &mut shards[at];
        if !shard.extents().is_all_in_memory() {
            // One pass over the drive for all that the chunk looks at.
            let (mut reads, mut rest) = (Vec::new(), bytes);
            while !rest.is_empty() {
                let (record, raw) = split(&mut rest);
                assert_eq!(record.shard, shard.id(), "a chunk is of one shard: {} bytes", raw.len());
                shard.replay_needs(&record, &hasher.key(record.key), |read| reads.push(read));
            }
            reader.read_back(shard, reads, pool)?;
        }
        let mut together: Vec<(Record<'_>, Key<'_>, &[u8])> = Vec::with_capacity(RECORDS);
        while !bytes.is_empty() {
            while together.len() < RECORDS && !bytes.is_empty() {
                let (record, raw) = split(&mut bytes);
                together.push((record, hasher.key(record.key), raw));
            }
            let warm = |seen, (record, key, _): &(Record<'_>, Key<'_>, _)| {
                seen ^ shard.warm(record.keyspace, key.slot, key.hash)
            };
            std::hint::black_box(together.iter().fold(0, warm));
            for (record, key, raw) in together.drain(..) {
                shard.apply(&record, &key, raw, pool, scratch)?;
            }
        }
        Ok(())
    }
}

/// Takes the first record off a chunk, which recovery has verified.
fn split<'a>(bytes: &mut &'a [u8]) -> (Record<'a>, &'a [u8]) {
    let head = Head::decode(bytes).expect("recovery hands out what it has verified");
    let (raw, rest) = bytes.split_at(head.record_len());
    let record = Record::from_head(&head, raw).expect("recovery hands out what it has verified");
    *bytes = rest;
    (record, raw)
}
