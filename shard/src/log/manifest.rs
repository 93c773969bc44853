//! The log manifest: which segment files a log consists of, under which generations, and what of them is needed.
//!
//! It names every segment before its first use, so a missing file is noticed. Two copies, A then B, each durable
//! before the next step; a change counts when both are. Generations of the segments are contiguous. All but the last are
//! in use; the last may be a standby. `manifest/format.rs` has its bytes, `manifest/envelope.rs` what those of every
//! manifest begin with.

pub(crate) mod envelope;
mod format;

pub use envelope::ManifestRead;
pub use format::{LOG_MANIFEST_FORMAT, LOG_MANIFEST_MAGIC};

use crate::log::LogIdentity;
use crate::shard::ShardFloor;
use crate::store_manifest::LogEnd;
use crate::types::{BatchNumber, LogId, ShardId};
use envelope::checksum_of;
use format::FORMAT_TIED;

/// A file that serves, or is about to serve, as the segment of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// The generation.
    pub generation: u64,
    /// Number of the file.
    pub file: u32,
    /// Size of the file.
    pub file_bytes: u64,
}

/// A file that was a segment once and may become one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeFile {
    /// Number of the file.
    pub file: u32,
    /// Size of the file.
    pub file_bytes: u64,
}

/// From where on a shard's records are needed, and where in the log that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloorEntry {
    /// The state that sums up everything before.
    pub floor: ShardFloor,
    /// The highest batch number given out when the floor was taken: no record of the shard up to the floor lies
    /// behind it, none after the floor before it.
    pub batch: BatchNumber,
}

/// What a log consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogManifest {
    /// The store it belongs to.
    pub uuid: [u8; 16],
    /// The log it describes.
    pub log: LogId,
    /// Layout that this version is written in.
    pub format: u32,
    /// Version of its content, rising by 1.
    pub sequence: u64,
    /// Checksum of the version before; 0 in the first, and where the format has none.
    pub parent: u32,
    /// The last batch that was durable when this version was made: what ties it to this log's history. Number 0: none
    /// was, or the format does not say.
    pub reached: LogEnd,
    /// The first of its shards.
    pub first_shard: ShardId,
    /// How many shards.
    pub shard_count: u16,
    /// Lowest segment file number never used.
    pub next_file: u32,
    /// Segments by generation, contiguous.
    pub segments: Vec<SegmentEntry>,
    /// Files to recycle.
    pub free: Vec<FreeFile>,
    /// Floors, by shard.
    pub floors: Vec<FloorEntry>,
}

impl LogManifest {
    /// The manifest of a log that has nothing yet.
    #[must_use]
    pub fn empty(identity: &LogIdentity) -> Self {
        Self {
            uuid: identity.uuid,
            log: identity.log,
            format: LOG_MANIFEST_FORMAT,
            sequence: 0,
            parent: 0,
            reached: LogEnd::default(),
            first_shard: identity.first_shard,
            shard_count: identity.shard_count,
            next_file: 1,
            segments: Vec::new(),
            free: Vec::new(),
            floors: Vec::new(),
        }
    }

    /// Whether it describes this log of this store.
    #[must_use]
    pub fn belongs_to(&self, identity: &LogIdentity) -> bool {
        self.uuid == identity.uuid
            && self.log == identity.log
            && self.first_shard == identity.first_shard
            && self.shard_count == identity.shard_count
    }

    /// The next version, the same but for its number: to be changed, then written. `reached` is the last durable batch.
    #[must_use]
    pub fn successor(&self, reached: LogEnd) -> Self {
        let parent = if self.sequence == 0 { 0 } else { checksum_of(&self.encode()) };
        Self { format: LOG_MANIFEST_FORMAT, sequence: self.sequence + 1, parent, reached, ..self.clone() }
    }

    /// Checksum of the version before; `None`: the format does not say.
    pub(crate) fn known_parent(&self) -> Option<u32> {
        (self.format >= FORMAT_TIED).then_some(self.parent)
    }

    /// The floor of a shard, if one was published.
    #[must_use]
    pub fn floor(&self, shard: ShardId) -> Option<&FloorEntry> {
        self.floors.iter().find(|entry| entry.floor.shard == shard)
    }

    /// Every batch up to this number is needed by no shard. The batch at a floor is: it may hold later records.
    #[must_use]
    pub fn obsolete_through(&self) -> BatchNumber {
        if self.floors.len() < usize::from(self.shard_count) {
            return BatchNumber::ZERO;
        }
        let lowest = self.floors.iter().map(|entry| entry.batch).min().unwrap_or(BatchNumber::ZERO);
        BatchNumber(lowest.0.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::format::tests::manifest;
    use super::*;

    #[test]
    fn nothing_is_obsolete_until_every_shard_has_a_floor() {
        let mut manifest = manifest();
        assert_eq!(manifest.obsolete_through(), BatchNumber::ZERO);
        let mut other = manifest.floors[0].clone();
        other.floor.shard = ShardId(4);
        other.batch = BatchNumber(40);
        manifest.floors.insert(0, other);
        assert_eq!(manifest.obsolete_through(), BatchNumber(39), "batch 40 may hold later records");
    }
}
