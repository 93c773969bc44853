//! How much storage lets wait before it writes, makes checkpoints or drops what is in memory.

use crate::limits::{COLD_READS_IN_FLIGHT_MAX, EMPTIED_BYTES_MIN};

/// When storage does things of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// Bytes that extents, read cache and index of all shards of the set may take together; `None`: no limit.
    pub memory_bytes_max: Option<u64>,
    /// Bytes of log that a start may have to read, about: within so many written, every shard gets a checkpoint, one
    /// after the other at even distances.
    pub log_bytes_max: u64,
    /// Bytes of a shard's data file in emptied extents above which it gets a checkpoint at the latest.
    pub emptied_bytes_max: u64,
    /// Without a log: milliseconds after the first change of a shard that no snapshot holds within which a checkpoint of it
    /// is asked for, one shard after the other; `None`: time asks for none.
    pub unsaved_ms_max: Option<u64>,
    /// Milliseconds within which everything in each data file is read back and verified, again and again, at most ten
    /// years; 0: only when somebody asks.
    pub scrub_ms: u64,
    /// Writes of extents and snapshots that wait for each one of a worker that may fly, 1 or more: 1 lets all fly, for where
    /// nobody waits for flushes of the log (`write_pace.rs`).
    pub waiting_per_flight: usize,
    /// Reads of records from data files that a worker has in flight at most, 1 or more. Where the drive has no place for one
    /// more, the worker would stand still until it has.
    pub reads_in_flight_max: usize,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            memory_bytes_max: None,
            log_bytes_max: 1 << 30,
            emptied_bytes_max: u64::MAX,
            unsaved_ms_max: Some(UNSAVED_MS_MAX),
            scrub_ms: 0,
            waiting_per_flight: WAITING_PER_FLIGHT,
            reads_in_flight_max: COLD_READS_IN_FLIGHT_MAX,
        }
    }
}

impl StorageConfig {
    /// Bytes in emptied extents above which a shard with such a data file and so many entries gets a checkpoint. What
    /// waits, and what was freed and waits to be written again, is a small share of the file; but the snapshot that
    /// frees it is a small share of what it frees.
    pub(super) fn emptied_bytes_max(&self, file_bytes: u64, entry_count: u64) -> u64 {
        let share = file_bytes / EMPTIED_SHARE;
        let worth = entry_count.saturating_mul(ENTRY_BYTES * EMPTIED_PER_SNAPSHOT);
        share.max(worth).max(EMPTIED_BYTES_MIN).min(self.emptied_bytes_max)
    }
}

/// Writes that wait for each one that may fly where clients are served.
const WAITING_PER_FLIGHT: usize = 4;
/// Everything in a data file is read back within seven days, unless somebody wants it otherwise.
pub const SCRUB_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// Changes of a store without a log are in a snapshot after a minute, unless somebody wants it otherwise.
pub const UNSAVED_MS_MAX: u64 = 60_000;

/// Part of a data file that may wait for a checkpoint.
const EMPTIED_SHARE: u64 = 16;
/// Bytes that a checkpoint frees for each byte of its snapshot at least.
const EMPTIED_PER_SNAPSHOT: u64 = 4;
/// Bytes of an entry in a snapshot.
pub(super) const ENTRY_BYTES: u64 = 12;
