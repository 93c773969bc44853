//! Replay: hands what recovery brings to the threads that apply it, sorted by shard.
//!
//! The records of different shards touch nothing in common, so one log can be applied by several threads; those of one
//! shard go to one thread, in the order of the log. They travel in chunks of one shard each: while a chunk is
//! applied, the part of the index that it needs stays in the cache.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};

use shard::key::KeyHasher;
use shard::log::recovery::RecoveryEvent;
use shard::types::{Lsn, ShardId};

use crate::Shard;
use crate::applier::{Applier, Job};
use crate::cold_reader::ReplayError;
use crate::limits::{
    REPLAY_CHUNK_BYTES_MAX, REPLAY_CHUNK_BYTES_MIN, REPLAY_CHUNKS_AHEAD, REPLAY_FILLING_BYTES,
};
use crate::pool::Pool;

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
}

impl<'scope> Replay<'scope> {
    /// Starts `threads` threads, at most one for each of the `shards`, which follow each other from `first` on.
    pub(crate) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        first: ShardId,
        shards: Vec<Shard>,
        threads: usize,
        hasher: KeyHasher,
        (pool, directory): (&Pool, &Path),
    ) -> Self {
        let held = shards.iter().map(Shard::lsn).collect();
        let count = shards.len();
        let chunk_bytes =
            (REPLAY_FILLING_BYTES / count.max(1)).clamp(REPLAY_CHUNK_BYTES_MIN, REPLAY_CHUNK_BYTES_MAX);
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
                let applier = Applier::new(shards, hasher, (pool.clone(), directory));
                let thread = scope.spawn(move || applier.run(&to_do, &answers));
                Link { jobs, done, under_way: 0, thread }
            })
            .collect();
        Self { first, held, links, filling, emptied: VecDeque::new(), chunk_bytes }
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
                Ok(())
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
    /// When records do not fit together.
    pub(crate) fn finish(mut self) -> Result<Vec<Shard>, ReplayError> {
        self.settle()?;
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
        self.send(position, Job::Records { at: position / self.links.len(), bytes })
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
            // A chunk of one huge record is not kept.
            if emptied.capacity() <= 2 * self.chunk_bytes && emptied.capacity() > 0 {
                emptied.clear();
                self.emptied.push_back(emptied);
            }
        }
        Ok(())
    }
}
