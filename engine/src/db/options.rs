//! How a store is opened by the library.

use std::path::{Path, PathBuf};
use std::time::Duration;

use shard::log::{LogConfig, SyncMethod, SyncPolicy};
use shard::shard_set::{SCRUB_MS, StorageConfig, UNSAVED_MS_MAX};

use super::error::DbError;
use super::handle::Db;
use crate::disk_store::DiskStoreConfig;

/// Shards of a new store when nobody says.
const SHARDS_DEFAULT: u16 = 16;
/// Most shards of a store: a shard has a slot at least.
const SHARDS_MAX: u16 = 1 << 12;
/// Smallest and largest log segment.
const WAL_SEGMENT_BYTES: std::ops::RangeInclusive<u64> = (1 << 20)..=(4 << 30);
/// Log segments are whole blocks.
const BLOCK_BYTES: u64 = 4096;

/// When a write with the log counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it survives power loss.
    #[default]
    Always,
    /// When the operating system has it; power loss may take the last second.
    EverySecond,
}

/// How a store is opened. Every figure has a default that serves; see [`Db`].
///
/// ```
/// # fn main() -> Result<(), engine::db::DbError> {
/// use engine::db::DbOptions;
/// let db = DbOptions::new().shards(4).workers(1).memory_limit(256 << 20).open_in_memory()?;
/// db.set("a", "1")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DbOptions {
    pub(super) shards: Option<u16>,
    pub(super) workers: Option<u16>,
    pub(super) cpus: Vec<usize>,
    wal_segment_bytes: u64,
    pub(super) memory_limit: u64,
    checkpoint_log_bytes: u64,
    checkpoint_after: Option<Duration>,
    scrub_within: Option<Duration>,
    pub(super) sync: Option<SyncMethod>,
    durability: Durability,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self {
            shards: None,
            workers: None,
            cpus: Vec::new(),
            wal_segment_bytes: 64 << 20,
            memory_limit: 0,
            checkpoint_log_bytes: 1 << 30,
            checkpoint_after: Some(Duration::from_millis(UNSAVED_MS_MAX)),
            scrub_within: Some(Duration::from_millis(SCRUB_MS)),
            sync: None,
            durability: Durability::Always,
        }
    }
}

impl DbOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hash shards of a store that is created now, 1 to 4096; 16 by default. It is fixed at creation: asking an
    /// existing store for another number is an error.
    #[must_use]
    pub fn shards(mut self, count: u16) -> Self {
        self.shards = Some(count);
        self
    }

    /// Worker threads, at most as many as shards. Each has its own log and its own io_uring. By default 1: a library
    /// leaves the processors to its host. The number may differ at every opening.
    #[must_use]
    pub fn workers(mut self, count: u16) -> Self {
        self.workers = Some(count);
        self
    }

    /// The CPU that each worker is pinned to, by worker; those without one go where the system puts them. None by
    /// default.
    #[must_use]
    pub fn pin_to(mut self, cpus: impl Into<Vec<usize>>) -> Self {
        self.cpus = cpus.into();
        self
    }

    /// Bytes of a segment file of the log: a multiple of 4096 from 1 MiB to 4 GiB; 64 MiB by default. A log has two
    /// of them at least, written full of zeros in advance, and a file of 268 KiB for a start on a full disk.
    #[must_use]
    pub fn wal_segment_bytes(mut self, bytes: u64) -> Self {
        self.wal_segment_bytes = bytes;
        self
    }

    /// Bytes of memory for records and index; 0, the default, is no limit. On disk what is over it leaves memory and
    /// is read back when asked for; in memory writes above it get [`DbError::OutOfMemory`].
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// Bytes of log within which every shard gets a checkpoint: about what an opening after a crash has to read. Without
    /// a log, bytes of records: about what a crash loses at most. 1 GiB by default, or four times what a snapshot of
    /// every shard takes, where that is more.
    #[must_use]
    pub fn checkpoint_log_bytes(mut self, bytes: u64) -> Self {
        self.checkpoint_log_bytes = bytes;
        self
    }

    /// Without a log, the time after its first change that no snapshot holds within which a shard gets a checkpoint, one
    /// shard after the other: about how much a crash loses at most. A minute by default; `None`: time makes none, and a
    /// store with few writes is saved by [`Db::checkpoint`], [`Db::flush`] and [`Db::close`] only. With a log it means
    /// nothing.
    #[must_use]
    pub fn checkpoint_after(mut self, time: Option<Duration>) -> Self {
        self.checkpoint_after = time;
        self
    }

    /// On disk, the time within which everything in the data files is read back and verified, again and again, a few
    /// extents at a time: damage is logged, and [`Db::stats`] tells of it. Seven days by default; `None`: only
    /// [`Db::scrub`] does.
    #[must_use]
    pub fn scrub_within(mut self, time: Option<Duration>) -> Self {
        self.scrub_within = time;
        self
    }

    /// How log batches are made durable. By default both ways are measured for a moment at each opening, and the
    /// faster one is taken.
    #[must_use]
    pub fn sync_method(mut self, method: SyncMethod) -> Self {
        self.sync = Some(method);
        self
    }

    /// When a write with the log counts as done; [`Durability::Always`] by default.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Opens a store in memory with these options. See [`Db::open_in_memory`].
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn open_in_memory(&self) -> Result<Db, DbError> {
        self.check()?;
        Db::start_in_memory(self)
    }

    /// Opens the store of a directory, without a log: durable at checkpoints only. See [`Db::open`].
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn open(&self, directory: impl AsRef<Path>) -> Result<Db, DbError> {
        self.check()?;
        Db::start_on_disk(self, directory.as_ref(), false)
    }

    /// Opens the store of a directory, with a log. See [`Db::open_with_wal`].
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn open_with_wal(&self, directory: impl AsRef<Path>) -> Result<Db, DbError> {
        self.check()?;
        Db::start_on_disk(self, directory.as_ref(), true)
    }

    /// Shards of a store that is created now.
    pub(super) fn shard_count(&self) -> u16 {
        self.shards.unwrap_or(SHARDS_DEFAULT)
    }

    pub(super) fn worker_count(&self) -> u16 {
        self.workers.unwrap_or(1)
    }

    fn check(&self) -> Result<(), DbError> {
        let refuse = |text: String| Err(DbError::Options(text));
        if !(1..=SHARDS_MAX).contains(&self.shard_count()) {
            return refuse(format!("{} shards: it must be 1 to {SHARDS_MAX}", self.shard_count()));
        }
        if self.worker_count() == 0 || self.worker_count() > self.shard_count() {
            return refuse(format!(
                "{} workers for {} shards: it must be 1 to as many as there are shards",
                self.worker_count(),
                self.shard_count()
            ));
        }
        let segment = self.wal_segment_bytes;
        if !WAL_SEGMENT_BYTES.contains(&segment) || !segment.is_multiple_of(BLOCK_BYTES) {
            return refuse(format!(
                "log segments of {segment} bytes: it must be a multiple of {BLOCK_BYTES} from 1 MiB to 4 GiB"
            ));
        }
        Ok(())
    }

    pub(super) fn disk_store(&self, directory: PathBuf, wal: bool, sync: SyncMethod) -> DiskStoreConfig {
        let policy = match self.durability {
            Durability::Always => SyncPolicy::EveryBatch,
            Durability::EverySecond => SyncPolicy::EverySecond,
        };
        let workers = self.worker_count();
        DiskStoreConfig {
            directory,
            workers,
            cpus: self.cpus.clone(),
            shards: self.shard_count(),
            shards_given: self.shards.is_some(),
            wal,
            log: LogConfig { segment_bytes: self.wal_segment_bytes, sync, policy, ..LogConfig::default() },
            storage: StorageConfig {
                memory_bytes_max: (self.memory_limit > 0).then(|| self.memory_limit / u64::from(workers)),
                log_bytes_max: self.checkpoint_log_bytes,
                unsaved_ms_max: self
                    .checkpoint_after
                    .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
                scrub_ms: self
                    .scrub_within
                    .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)),
                ..StorageConfig::default()
            },
        }
    }
}

/// How long a key has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// There is no such key.
    Missing,
    /// It never ends.
    Forever,
    /// It ends after this time.
    Left(Duration),
}
