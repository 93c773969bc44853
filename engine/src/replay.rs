//! Replay: hands what recovery brings to the threads that apply it, sorted by shard.
//!
//! The records of different shards touch nothing in common, so one log can be applied by several threads; those of one
//! shard go to one thread, in the order of the log. They travel in chunks of one shard each: while a chunk is
//! applied, the part of the index that it needs stays in the cache.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};

use shard::key::KeyHasher;
use shard::log::recovery::RecoveryEvent;
use shard::types::{Lsn, ShardId};

use crate::Shard;
use crate::applier::{Applier, Job};
use crate::cold_reader::ReplayError;
use crate::files::StoreDirectory;
use crate::limits::{
    REPLAY_CHUNK_BYTES_MAX, REPLAY_CHUNK_BYTES_MIN, REPLAY_CHUNKS_AHEAD, REPLAY_FILLING_BYTES_MAX,
    REPLAY_FILLING_BYTES_MIN,
};
use crate::pool::Pool;
use crate::replay_memory::ShardManifests;

/// A thread that applies, seen from the one that reads.
struct Link<'scope> {
    jobs: Sender<Job>,
    /// One answer per job: its chunk, emptied, or why it cannot be applied.
    done: Receiver<Result<Vec<u8>, ReplayError>>,
    under_way: usize,
    thread: ScopedJoinHandle<'scope, Vec<Shard>>,
}

/// Records on their way to the threads that apply them.
pub(crate) struct Replay<'scope> {
    /// Number of the first of the shards.
    first: ShardId,
    /// By position of the shard: what its snapshot holds already.
    held: Vec<Lsn>,
    links: Vec<Link<'scope>>,
    /// By position of the shard: records that wait to be a chunk, and how many bytes make it one.
    filling: Vec<(Vec<u8>, usize)>,
    emptied: VecDeque<Vec<u8>>,
    chunk_bytes: usize,
    /// Bytes of chunks that are under way to any thread.
    bytes_under_way: usize,
}

impl<'scope> Replay<'scope> {
    /// Starts `threads` threads, at most one for each of the `shards`, which follow each other from `first` on.
    pub(crate) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        first: ShardId,
        shards: Vec<Shard>,
        threads: usize,
        hasher: KeyHasher,
        (pool, directory): (&Pool, &StoreDirectory),
        manifests: &'env ShardManifests,
    ) -> Self {
        let held = shards.iter().map(Shard::lsn).collect();
        let count = shards.len();
        let filling_bytes = directory.memory().map_or(REPLAY_FILLING_BYTES_MAX, |bound| {
            bound.buffer_bytes(REPLAY_FILLING_BYTES_MIN, REPLAY_FILLING_BYTES_MAX)
        });
        let chunk_bytes =
            (filling_bytes / count.max(1)).clamp(REPLAY_CHUNK_BYTES_MIN, REPLAY_CHUNK_BYTES_MAX);
        // The first chunks are of different sizes, so that not all shards fill theirs at the same moment.
        let filling = (1..=count).map(|nth| (Vec::new(), chunk_bytes * nth / count)).collect();
        let threads = threads.clamp(1, count.max(1));
        let mut parts: Vec<Vec<Shard>> = (0..threads).map(|_| Vec::new()).collect();
        for (position, shard) in shards.into_iter().enumerate() {
            parts[position % threads].push(shard);
        }
        let links = parts
            .into_iter()
            .map(|shards| {
                let (jobs, to_do) = channel();
                let (answers, done) = channel();
                let applier = Applier::new(shards, hasher, (pool.clone(), directory), manifests);
                let thread = scope.spawn(move || applier.run(&to_do, &answers));
                Link { jobs, done, under_way: 0, thread }
            })
            .collect();
        Self { first, held, links, filling, emptied: VecDeque::new(), chunk_bytes, bytes_under_way: 0 }
    }

    /// Takes an event. It takes effect later, after those of its shard before it.
    ///
    /// # Errors
    /// When records taken before do not fit together.
    pub(crate) fn take(&mut self, event: RecoveryEvent<'_>) -> Result<(), ReplayError> {
        match event {
            RecoveryEvent::Floor(floor) => {
                let position = self.position(floor.shard);
                self.send_chunk(position)?;
                let at = position / self.links.len();
                self.send(position, Job::Floor { at, floor: Box::new(floor.clone()) })
            }
            RecoveryEvent::Record { record, bytes } => {
                let position = self.position(record.shard);
                if record.lsn <= self.held[position] {
                    return Ok(());
                }
                let (filling, limit) = &self.filling[position];
                if filling.len() + bytes.len() > *limit {
                    self.send_chunk(position)?;
                }
                self.filling[position].0.extend_from_slice(bytes);
                // A record larger than a chunk does not wait for the next one: there may be one of each shard.
                if bytes.len() > self.chunk_bytes { self.send_chunk(position) } else { Ok(()) }
            }
        }
    }

    /// Returns when everything taken is applied.
    ///
    /// # Errors
    /// When records do not fit together.
    pub(crate) fn settle(&mut self) -> Result<(), ReplayError> {
        for position in 0..self.filling.len() {
            self.send_chunk(position)?;
        }
        (0..self.links.len()).try_for_each(|link| self.wait(link, 0))
    }

    /// Ends the threads and gives the shards back, in their order.
    ///
    /// # Errors
    /// When records do not fit together, or what left memory cannot be written.
    pub(crate) fn finish(mut self) -> Result<Vec<Shard>, ReplayError> {
        self.settle()?;
        for link in &mut self.links {
            link.under_way += 1;
            link.jobs.send(Job::Settle).expect("the thread works until this end is gone");
        }
        (0..self.links.len()).try_for_each(|link| self.wait(link, 0))?;
        let mut shards = Vec::with_capacity(self.filling.len());
        for link in self.links {
            drop(link.jobs);
            shards.extend(link.thread.join().expect("a thread that answered every job ends without a panic"));
        }
        shards.sort_unstable_by_key(Shard::id);
        Ok(shards)
    }

    fn position(&self, shard: ShardId) -> usize {
        usize::from(shard.0) - usize::from(self.first.0)
    }

    fn send_chunk(&mut self, position: usize) -> Result<(), ReplayError> {
        if self.filling[position].0.is_empty() {
            return Ok(());
        }
        let fresh = self.emptied.pop_front().unwrap_or_else(|| Vec::with_capacity(self.chunk_bytes));
        let (bytes, _) = std::mem::replace(&mut self.filling[position], (fresh, self.chunk_bytes));
        self.make_room(bytes.len())?;
        self.bytes_under_way += bytes.len();
        self.send(position, Job::Records { at: position / self.links.len(), bytes })
    }

    /// Waits until so many bytes more may be under way: as many as all threads' usual chunks, or one record of any size.
    fn make_room(&mut self, bytes: usize) -> Result<(), ReplayError> {
        let bytes_max = REPLAY_CHUNKS_AHEAD * self.chunk_bytes * self.links.len();
        while self.bytes_under_way > 0 && self.bytes_under_way + bytes > bytes_max {
            let busiest = (0..self.links.len()).max_by_key(|&number| self.links[number].under_way);
            let busiest = busiest.expect("what is under way is so to a thread");
            self.wait(busiest, self.links[busiest].under_way - 1)?;
        }
        Ok(())
    }

    fn send(&mut self, position: usize, job: Job) -> Result<(), ReplayError> {
        let number = position % self.links.len();
        self.wait(number, REPLAY_CHUNKS_AHEAD - 1)?;
        let link = &mut self.links[number];
        link.under_way += 1;
        link.jobs.send(job).expect("the thread works until this end is gone");
        Ok(())
    }

    /// Waits until at most `left` jobs of a thread are under way.
    fn wait(&mut self, number: usize, left: usize) -> Result<(), ReplayError> {
        let link = &mut self.links[number];
        while link.under_way > left {
            let mut emptied = link.done.recv().expect("every job is answered")?;
            link.under_way -= 1;
            self.bytes_under_way -= emptied.len();
            // A chunk of one huge record is not kept.
            if emptied.capacity() <= 2 * self.chunk_bytes && emptied.capacity() > 0 {
                emptied.clear();
                self.emptied.push_back(emptied);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shard::record::{Effect, Record};
    use shard::shard::ApplyError;
    use shard::types::{KeyspaceId, Lsn, StoredDb, Term, UnixMs};

    const HASHER_SEED: [u8; 16] = [7; 16];
    const SLOTS_EACH: u16 = 4096;
    const SHARDS: u16 = 4;

    fn shards() -> Vec<Shard> {
        let slots = |id| id * SLOTS_EACH..(id + 1) * SLOTS_EACH;
        (0..SHARDS).map(|id| Shard::new(ShardId(id), slots(id), Term(1), UnixMs(0))).collect()
    }

    /// Replays a put for each of these keys, the LSNs of each shard dense but for a gap of `skipped` before the last.
    fn replay(threads: usize, keys: u32, value: &[u8], skipped: u64) -> Result<Vec<Shard>, ReplayError> {
        let hasher = KeyHasher::new(HASHER_SEED);
        let pool = Pool::new(4096, 0).unwrap();
        let directory = StoreDirectory::new(std::path::Path::new("."));
        let manifests = ShardManifests::new(Vec::new());
        std::thread::scope(|scope| {
            let (shards, tools) = (shards(), (&pool, &directory));
            let mut replay = Replay::start(scope, ShardId(0), shards, threads, hasher, tools, &manifests);
            let mut lsns = [0; SHARDS as usize];
            for number in 0..keys {
                let key = number.to_le_bytes();
                let shard = hasher.key(&key).slot.0 / SLOTS_EACH;
                let lsn = &mut lsns[usize::from(shard)];
                *lsn += if number + 1 == keys { 1 + skipped } else { 1 };
                let record = Record {
                    shard: ShardId(shard),
                    term: Term(1),
                    lsn: Lsn(*lsn),
                    keyspace: KeyspaceId(0),
                    group_continues: false,
                    key: &key,
                    effect: Effect::Put { value, deadline: None },
                };
                let mut bytes = Vec::new();
                record.encode_to(&mut bytes);
                replay.take(RecoveryEvent::Record { record, bytes: &bytes })?;
            }
            replay.settle()?;
            replay.finish()
        })
    }

    #[test]
    fn every_record_reaches_its_shard_whatever_the_number_of_threads() {
        // Values that fill many chunks, and one that is larger than any.
        for (keys, value_bytes) in [(60_000, 200), (5, 3 * REPLAY_CHUNK_BYTES_MAX), (0, 0)] {
            for threads in [1, 2, 3, 9] {
                let shards = replay(threads, keys, &vec![1; value_bytes], 0).unwrap();
                assert_eq!(
                    shards.iter().map(|shard| shard.id().0).collect::<Vec<_>>(),
                    (0..SHARDS).collect::<Vec<_>>()
                );
                let found: u64 = shards.iter().map(|shard| shard.key_count(StoredDb(0))).sum();
                assert_eq!(found, u64::from(keys), "{threads} threads");
            }
        }
    }

    #[test]
    fn a_missing_record_is_known_when_replay_has_settled() {
        for threads in [1, 3] {
            let error = replay(threads, 1000, b"value", 1).err().expect("a record is missing");
            assert!(matches!(error, ReplayError::Apply(ApplyError::Gap { .. })), "{error:?}");
        }
    }
}
