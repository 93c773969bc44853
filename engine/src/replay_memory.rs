//! Memory during a replay: how much the shards of a store take together, and how a thread that applies records keeps its
//! own within the bound.
//!
//! Where the directory may be changed, extents are written to the data files and leave memory, and the thread goes on when
//! they have: so replay is as fast as the drive. Where it is only read there is nowhere to go, and the replay ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use shard::checkpoint::{ReplayRoom, RoomStep};
use shard::io::IoRequest;
use shard::shard_manifest::ShardManifest;

use crate::Shard;
use crate::blocking_io::perform;
use crate::clock::unix_ms;
use crate::cold_reader::ReplayError;
use crate::files::{Files, StoreDirectory};
use crate::pool::Pool;

/// Part of the bound that is kept free: for what threads add before they note it, and for the buffers of the replay itself.
const FREE_PART: u64 = 8;
/// Part of the bound that one buffer may take.
const BUFFER_PART: u64 = 64;

/// Bytes of memory that recovered shards may take together.
#[derive(Debug)]
pub(crate) struct MemoryBound {
    max: u64,
    used: AtomicU64,
    peak: AtomicU64,
    /// Whether it has been said that the bound cannot be kept.
    is_told: AtomicBool,
}

impl MemoryBound {
    pub(crate) fn new(max: u64) -> Self {
        Self { max, used: AtomicU64::new(0), peak: AtomicU64::new(0), is_told: AtomicBool::new(false) }
    }

    /// What one buffer of a replay may take: a small share of the bound, between `least` and `most` bytes.
    pub(crate) fn buffer_bytes(&self, least: usize, most: usize) -> usize {
        usize::try_from(self.max / BUFFER_PART).unwrap_or(most).clamp(least, most)
    }

    /// The most that was ever noted, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Notes that `before` bytes have become `now`. False: all together are too many.
    pub(crate) fn note(&self, before: u64, now: u64) -> bool {
        let change = now.wrapping_sub(before);
        let used = self.used.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        self.peak.fetch_max(used, Ordering::Relaxed);
        used <= self.max - self.max / FREE_PART
    }

    fn tell_once(&self) {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the replay takes more memory than --maxmemory allows: the index alone does, or the disk has no space for \
                 what is to leave memory"
            );
        }
    }
}

/// The manifests of all shards of a store, by number; `None`: the shard has none yet. A replay that has extents written
/// changes them.
#[derive(Debug)]
pub(crate) struct ShardManifests(Mutex<Vec<Option<ShardManifest>>>);

impl ShardManifests {
    pub(crate) fn new(manifests: Vec<Option<ShardManifest>>) -> Self {
        Self(Mutex::new(manifests))
    }

    pub(crate) fn into_inner(self) -> Vec<Option<ShardManifest>> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, shard: &Shard, work: impl FnOnce(&mut Option<ShardManifest>) -> T) -> Option<T> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get_mut(usize::from(shard.id().0)).map(work)
    }
}

/// Keeps the memory of some shards, those of one thread, within the bound of all.
pub(crate) struct ReplayMemory<'a> {
    bound: Arc<MemoryBound>,
    is_read_only: bool,
    manifests: &'a ShardManifests,
    /// By position of the shard; made when one has to give memory back.
    rooms: Vec<Option<ReplayRoom<Pool>>>,
    /// What the shards took when it was noted last.
    noted: u64,
}

impl<'a> ReplayMemory<'a> {
    /// For `count` shards; `None` where memory has no bound.
    pub(crate) fn new(
        directory: &StoreDirectory,
        count: usize,
        manifests: &'a ShardManifests,
    ) -> Option<Self> {
        let is_read_only = directory.is_read_only();
        let rooms = (0..count).map(|_| None).collect();
        directory.memory().map(|bound| Self { bound, is_read_only, manifests, rooms, noted: 0 })
    }

    /// Notes what the shards take, and while all shards of the store take too much has these give memory back, those with
    /// the most first. Where that is not enough the replay goes on all the same: the bound is no reason to refuse a store.
    ///
    /// # Errors
    /// When the directory is only read and the bound is reached; when writing fails.
    pub(crate) fn keep(
        &mut self,
        shards: &mut [Shard],
        files: &mut Files,
        pool: &mut Pool,
    ) -> Result<(), ReplayError> {
        let mut stuck = vec![false; shards.len()];
        while !self.note(shards) {
            if self.is_read_only {
                return Err(ReplayError::Memory);
            }
            let free = shards.iter().enumerate().filter(|(position, _)| !stuck[*position]);
            let Some((position, _)) = free.max_by_key(|(_, shard)| shard.extents().allocated_bytes()) else {
                // Others may hold what this thread's shards do not.
                if self.noted > self.bound.max {
                    self.bound.tell_once();
                }
                return Ok(());
            };
            stuck[position] = !self.step(position, &mut shards[position], files, pool)?;
        }
        Ok(())
    }

    fn note(&mut self, shards: &[Shard]) -> bool {
        let now = shards.iter().map(Shard::memory_bytes).sum();
        let fits = self.bound.note(self.noted, now);
        self.noted = now;
        fits
    }

    /// One step of a shard. False: nothing more of it can leave memory.
    fn step(
        &mut self,
        position: usize,
        shard: &mut Shard,
        files: &mut Files,
        pool: &mut Pool,
    ) -> Result<bool, ReplayError> {
        if self.rooms[position].is_none() {
            let manifest = self.manifests.with(shard, |of| of.clone()).flatten();
            // What has no manifest yet is of a format that had none: its first one is written after the replay.
            let (Some(manifest), Some(seal)) = (manifest, shard.extents().identity()) else {
                return Ok(false);
            };
            self.rooms[position] = Some(ReplayRoom::new(manifest, seal, shard));
        }
        let Some(room) = &mut self.rooms[position] else { unreachable!("made above") };
        match room.step(shard, unix_ms(), pool) {
            RoomStep::Freed => Ok(true),
            RoomStep::Perform(request) => perform_for(room, request, shard, files, pool).map(|()| true),
            RoomStep::Stuck => Ok(false),
        }
    }

    /// The replay is over: what was begun is ended, and the manifests are those on disk.
    ///
    /// # Errors
    /// When writing fails.
    pub(crate) fn settle(
        &mut self,
        shards: &mut [Shard],
        files: &mut Files,
        pool: &mut Pool,
    ) -> Result<(), ReplayError> {
        for (room, shard) in self.rooms.iter_mut().zip(shards) {
            let Some(mut room) = room.take() else { continue };
            while let Some(request) = room.settle() {
                perform_for(&mut room, request, shard, files, pool)?;
            }
            self.manifests.with(shard, |of| *of = Some(room.manifest().clone()));
        }
        // Whoever goes on with the shards notes them anew.
        self.bound.note(self.noted, 0);
        self.noted = 0;
        Ok(())
    }
}

fn perform_for(
    room: &mut ReplayRoom<Pool>,
    request: IoRequest<Pool>,
    shard: &mut Shard,
    files: &mut Files,
    pool: &mut Pool,
) -> Result<(), ReplayError> {
    let done = perform(files, request);
    room.on_io(done, shard, pool).map_err(ReplayError::Write)
}
