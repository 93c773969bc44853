//! What a log is told: who it is, and how it is to work.

use crate::io::BLOCK_BYTES;
use crate::limits::{
    LOG_BATCH_BYTES_LIMIT, LOG_IN_FLIGHT_LIMIT, LOG_SEGMENT_BYTES_MAX, LOG_SEGMENT_BYTES_MIN,
};
use crate::log::segment::SEGMENT_HEADER_BYTES;
use crate::types::{LogId, ShardId};

/// Which log of which store this is; from [`crate::store_manifest::StoreManifest::identity_of`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LogIdentity {
    /// The store.
    pub uuid: [u8; 16],
    /// The log.
    pub log: LogId,
    /// Secret that batch checksums start from.
    pub checksum_seed: u32,
    /// The first of its shards.
    pub first_shard: ShardId,
    /// How many shards.
    pub shard_count: u16,
}

impl LogIdentity {
    /// Whether records of the shard belong into this log.
    #[must_use]
    pub fn holds(&self, shard: ShardId) -> bool {
        shard >= self.first_shard && shard.0 - self.first_shard.0 < self.shard_count
    }
}

impl std::fmt::Debug for LogIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The seed is a secret: it stays out of logs.
        f.debug_struct("LogIdentity")
            .field("uuid", &self.uuid)
            .field("log", &self.log)
            .field("first_shard", &self.first_shard)
            .field("shard_count", &self.shard_count)
            .finish_non_exhaustive()
    }
}

/// How written batches are made to survive power loss. Which is faster depends on the drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMethod {
    /// Each batch is written durably (`O_DSYNC`).
    Dsync,
    /// Batches are written, then one `fdatasync` covers all that are.
    Fdatasync,
}

/// When batches are made to survive power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Every batch, before anything in it is acknowledged.
    EveryBatch,
    /// Once a second.
    EverySecond,
    /// When a segment is full and at shutdown.
    Never,
}

/// How a log works. Sizes may differ from those of the run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Size of a segment file, a multiple of [`BLOCK_BYTES`].
    pub segment_bytes: u64,
    /// Largest batch, header and padding included, a multiple of [`BLOCK_BYTES`]. Records above it are cut.
    pub batch_bytes_max: usize,
    /// Batches in flight at most.
    pub in_flight_max: usize,
    /// How batches become durable.
    pub sync: SyncMethod,
    /// When batches become durable.
    pub policy: SyncPolicy,
    /// After this long without a new record an empty batch seals the last one.
    pub seal_after_ns: u64,
    /// Bytes of one write that fills a new segment file with zeros, a multiple of [`BLOCK_BYTES`].
    pub zero_bytes: usize,
    /// Bytes of one read of recovery, a multiple of [`BLOCK_BYTES`].
    pub read_bytes: usize,
    /// Reads that recovery keeps in flight.
    pub read_depth: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            batch_bytes_max: 256 << 10,
            in_flight_max: 1,
            sync: SyncMethod::Dsync,
            policy: SyncPolicy::EveryBatch,
            seal_after_ns: 100_000_000,
            zero_bytes: 1 << 20,
            read_bytes: 1 << 20,
            read_depth: 4,
        }
    }
}

impl LogConfig {
    /// # Panics
    /// When sizes are not in proportion: the caller checks options before they come here.
    pub(crate) fn check(&self) {
        let blocks = |bytes: usize| bytes > 0 && bytes.is_multiple_of(BLOCK_BYTES);
        assert!(
            blocks(self.batch_bytes_max) && blocks(self.zero_bytes) && blocks(self.read_bytes),
            "{self:?}"
        );
        assert!(self.segment_bytes.is_multiple_of(BLOCK_BYTES as u64), "{self:?}");
        assert!((LOG_SEGMENT_BYTES_MIN..=LOG_SEGMENT_BYTES_MAX).contains(&self.segment_bytes), "{self:?}");
        assert!(self.batch_bytes_max <= LOG_BATCH_BYTES_LIMIT, "{self:?}");
        // A full batch and the clean-shutdown mark fit every segment.
        let needed = SEGMENT_HEADER_BYTES + self.batch_bytes_max + BLOCK_BYTES;
        assert!(needed as u64 <= self.segment_bytes, "a segment holds a batch: {self:?}");
        assert!((1..=LOG_IN_FLIGHT_LIMIT).contains(&self.in_flight_max), "{self:?}");
        assert!(self.read_depth > 0, "{self:?}");
    }
}
