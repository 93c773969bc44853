//! A thread's part of replay: its shards, and chunks of records to apply to them.

use std::sync::mpsc::{Receiver, Sender};

use shard::key::{Key, KeyHasher};
use shard::record::{Head, Record};
use shard::shard::ShardFloor;

use crate::Shard;
use crate::cold_reader::{ColdReader, ReplayError};
use crate::files::StoreDirectory;
use crate::limits::{REPLAY_READ_BYTES_MAX, REPLAY_READ_BYTES_MIN};
use crate::pool::Pool;
use crate::replay_memory::{ReplayMemory, ShardManifests};

/// Records whose index entries are brought into the cache together, before the first of them is applied.
const RECORDS: usize = 32;

/// Work for a thread. `at` is the place of the shard among those of the thread.
pub(crate) enum Job {
    /// What the shard's history starts from, as the log has it.
    Floor { at: usize, floor: Box<ShardFloor> },
    /// Whole records of one shard, one after the other as recovery has verified them.
    Records { at: usize, bytes: Vec<u8> },
    /// There is no more: what was begun on disk is to be ended.
    Settle,
}

/// Applies records to some shards.
pub(crate) struct Applier<'a> {
    shards: Vec<Shard>,
    hasher: KeyHasher,
    pool: Pool,
    scratch: Vec<u8>,
    reader: ColdReader,
    memory: Option<ReplayMemory<'a>>,
    /// Bytes that are read back in one pass.
    read_bytes: usize,
}

impl<'a> Applier<'a> {
    pub(crate) fn new(
        shards: Vec<Shard>,
        hasher: KeyHasher,
        (pool, directory): (Pool, &StoreDirectory),
        manifests: &'a ShardManifests,
    ) -> Self {
        Self {
            memory: ReplayMemory::new(directory, shards.len(), manifests),
            read_bytes: directory.memory().map_or(REPLAY_READ_BYTES_MAX, |bound| {
                bound.buffer_bytes(REPLAY_READ_BYTES_MIN, REPLAY_READ_BYTES_MAX)
            }),
            shards,
            hasher,
            pool,
            scratch: Vec::new(),
            reader: ColdReader::new(directory),
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
                Job::Settle => self.settle().map(|()| Vec::new()),
            };
            if answers.send(answer).is_err() {
                break;
            }
        }
        self.shards
    }

    /// Applies whole records of the shard at a place, verified, and keeps what that takes of memory within its bound.
    ///
    /// # Errors
    /// They do not fit, or what they need is not to be had.
    pub(crate) fn apply_noted(&mut self, at: usize, bytes: &[u8]) -> Result<(), ReplayError> {
        self.apply(at, bytes).and_then(|()| self.keep_memory())
    }

    /// The shards, as they are now.
    pub(crate) fn into_shards(self) -> Vec<Shard> {
        self.shards
    }

    fn keep_memory(&mut self) -> Result<(), ReplayError> {
        let Some(memory) = &mut self.memory else { return Ok(()) };
        memory.keep(&mut self.shards, self.reader.files()?, &mut self.pool)
    }

    /// There is no more: what was begun on disk is ended.
    ///
    /// # Errors
    /// When writing fails.
    pub(crate) fn settle(&mut self) -> Result<(), ReplayError> {
        let Some(memory) = &mut self.memory else { return Ok(()) };
        memory.settle(&mut self.shards, self.reader.files()?, &mut self.pool)
    }

    fn apply(&mut self, at: usize, mut bytes: &[u8]) -> Result<(), ReplayError> {
        while !bytes.is_empty() {
            let part = self.bring(at, bytes)?;
            let (part, rest) = bytes.split_at(part);
            self.apply_part(at, part)?;
            bytes = rest;
            if !bytes.is_empty() {
                self.keep_memory()?;
            }
        }
        Ok(())
    }

    /// Reads back what the records at the start of a chunk will look at, in one pass over the drive. Returns how many bytes
    /// of the chunk can be applied then.
    fn bring(&mut self, at: usize, bytes: &[u8]) -> Result<usize, ReplayError> {
        let Self { shards, hasher, pool, reader, read_bytes: bytes_max, .. } = self;
        let shard = &mut shards[at];
        if shard.extents().is_all_in_memory() {
            return Ok(bytes.len());
        }
        let (mut reads, mut read_bytes, mut rest) = (Vec::new(), 0, bytes);
        while !rest.is_empty() && read_bytes < *bytes_max {
            let (record, raw) = split(&mut rest);
            assert_eq!(record.shard, shard.id(), "a chunk is of one shard: {} bytes", raw.len());
            shard.replay_needs(&record, &hasher.key(record.key), |read| {
                read_bytes += read.place.len;
                reads.push(read);
            });
        }
        reader.read_back(shard, reads, pool)?;
        Ok(bytes.len() - rest.len())
    }

    fn apply_part(&mut self, at: usize, mut bytes: &[u8]) -> Result<(), ReplayError> {
        let Self { shards, hasher, pool, scratch, .. } = self;
        let shard = &mut shards[at];
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
