//! The store manifest: what a whole store consists of, and which database each number shows. Read first at start,
//! changed hardly ever.
//!
//! Two copies, A then B, each durable before the next step; a change counts when both are. It fixes for the life of
//! the store its uuid, the number of shards, the slot ranges and the seed of the key hash. The number of workers
//! may change from start to start: each such change is an *era* with logs of its own.
//! `store_manifest/format.rs` has its bytes.

mod format;

pub use format::{STORE_MANIFEST_FORMAT, STORE_MANIFEST_MAGIC};

use crate::databases::DatabaseMap;
use crate::extent::ExtentSeal;
use crate::log::LogIdentity;
use crate::log::manifest::envelope::checksum_of;
use crate::types::{BatchNumber, Db, LogId, SLOT_COUNT, ShardId, Slot, UnixMs};

/// How far an era has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EraState {
    /// Its logs are being created: they may be missing, nothing in them was ever acknowledged.
    Opening,
    /// Its logs exist and are written to. At most the last era is in this state.
    Open,
    /// Its logs ended for good; each must end with exactly the batch that stands here.
    Final,
}

/// A log of an era.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The log.
    pub log: LogId,
    /// The first of its shards.
    pub first_shard: ShardId,
    /// How many shards.
    pub shard_count: u16,
    /// Number of its last batch and that batch's checksum, once the era is final.
    pub end: LogEnd,
}

/// The end of a log: its last batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// Number of the batch; 0 when there is none.
    pub batch: BatchNumber,
    /// Its checksum; 0 when there is none.
    pub crc: u32,
}

/// The logs of one assignment of shards to workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Era {
    /// Its number, from 1.
    pub era: u32,
    /// How far it has come.
    pub state: EraState,
    /// Its logs, by first shard; together they hold every shard once.
    pub logs: Vec<LogEntry>,
}

/// What a store consists of.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreManifest {
    /// Identity of the store, random at creation.
    pub uuid: [u8; 16],
    /// Layout that this version is written in. It is read and written again in its own; the next one is of the newest.
    pub format: u32,
    /// Version of its content, rising by 1.
    pub sequence: u64,
    /// Checksum of the version before; 0 in the first, and where the format has none.
    pub parent: u32,
    /// When the store was created.
    pub created: UnixMs,
    /// Secret seed of the key hash and of batch checksums, random at creation.
    pub seed: [u8; 16],
    /// Whether every shard has a manifest of its own (`shard_manifest.rs`): from then on it must be there.
    pub shard_manifests: bool,
    /// Whether there is no log: the snapshots of the shards are all there is. Its one era tells only which worker has
    /// which shards, and that is decided anew at each start.
    pub without_log: bool,
    /// Which stored database each number shows.
    pub databases: DatabaseMap,
    /// First slot of each shard.
    pub first_slots: Vec<Slot>,
    /// Eras, oldest first; those that nothing needs any more are gone.
    pub eras: Vec<Era>,
}

impl std::fmt::Debug for StoreManifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The seed is a secret: it stays out of logs.
        f.debug_struct("StoreManifest")
            .field("uuid", &self.uuid)
            .field("sequence", &self.sequence)
            .field("created", &self.created)
            .field("databases", &self.databases)
            .field("first_slots", &self.first_slots)
            .field("eras", &self.eras)
            .finish_non_exhaustive()
    }
}

impl StoreManifest {
    /// The manifest of a new store: `shard_count` shards of nearly equal slot ranges, era 1 opening with
    /// `worker_count` logs of nearly equal shard ranges.
    ///
    /// # Panics
    /// When there is not at least one worker, one shard per worker and one slot per shard.
    #[must_use]
    pub fn create(
        uuid: [u8; 16],
        seed: [u8; 16],
        created: UnixMs,
        shard_count: u16,
        worker_count: u16,
    ) -> Self {
        assert!(shard_count > 0 && shard_count <= SLOT_COUNT, "a shard has a slot");
        let first_slots = ranges(SLOT_COUNT, shard_count).map(|(first, _)| Slot(first)).collect();
        let shard_manifests = false;
        let mut manifest = Self {
            uuid,
            format: STORE_MANIFEST_FORMAT,
            sequence: 1,
            parent: 0,
            created,
            seed,
            shard_manifests,
            without_log: false,
            databases: DatabaseMap::default(),
            first_slots,
            eras: Vec::new(),
        };
        manifest.push_era(worker_count);
        manifest
    }

    /// The same, of a new store that has no log.
    #[must_use]
    pub fn without_log(self) -> Self {
        assert_eq!(self.sequence, 1, "a new store");
        Self { without_log: true, ..self }
    }

    /// Without a log: shares the shards out among so many workers. Nothing on disk depends on it, and what this gives is
    /// never written: the next version is made of the one that was read.
    ///
    /// # Panics
    /// When there is a log, or not a shard for each worker.
    pub fn share_out(&mut self, worker_count: u16) {
        assert!(self.without_log, "the logs of an era are of its workers");
        self.eras.clear();
        self.push_era(worker_count);
    }

    /// Number of shards.
    ///
    /// # Panics
    /// Never: [`Self::decode`] and [`Self::create`] bound it.
    #[must_use]
    pub fn shard_count(&self) -> u16 {
        let Ok(count) = u16::try_from(self.first_slots.len()) else { unreachable!("at most {SLOT_COUNT}") };
        count
    }

    /// The shard of a slot is the last one whose first slot is not above it.
    ///
    /// # Panics
    /// When the slot is not below 16384.
    #[must_use]
    pub fn shard_of(&self, slot: Slot) -> ShardId {
        assert!(slot.0 < SLOT_COUNT, "slots are below {SLOT_COUNT}");
        let above = self.first_slots.partition_point(|&first| first <= slot);
        let Ok(shard) = u16::try_from(above - 1) else { unreachable!("at most {SLOT_COUNT} shards") };
        ShardId(shard)
    }

    /// The era in force: the last.
    ///
    /// # Panics
    /// Never: a manifest has an era.
    #[must_use]
    pub fn current_era(&self) -> &Era {
        let Some(era) = self.eras.last() else { unreachable!("a manifest has an era") };
        era
    }

    /// Declares the logs of the era in force created: from now on they must be there.
    /// The caller writes both copies before anything is acknowledged.
    ///
    /// # Panics
    /// When the last era is not opening.
    pub fn mark_open(&mut self) {
        self.begin_version();
        let Some(era) = self.eras.last_mut() else { unreachable!("a manifest has an era") };
        assert_eq!(era.state, EraState::Opening, "an era opens once");
        era.state = EraState::Open;
    }

    /// Declares that every shard has a manifest of its own. The caller writes both copies before any of them is
    /// changed.
    pub fn note_shard_manifests(&mut self) {
        self.begin_version();
        self.shard_manifests = true;
    }

    /// Has two databases change their numbers. The caller writes both copies before anything is shown under the new ones.
    ///
    /// # Panics
    /// When there are no such databases.
    pub fn swap_databases(&mut self, first: Db, second: Db) {
        self.begin_version();
        self.databases = self.databases.swapped(first, second);
    }

    /// What extents of a shard are recognised by.
    #[must_use]
    pub fn extent_seal(&self, shard: ShardId) -> ExtentSeal {
        ExtentSeal { store: self.checksum_seed(), shard }
    }

    /// Ends the era in force, whose logs were shut down cleanly at `ends` (in the order of its logs), and begins
    /// one with another number of workers. The caller writes both copies, creates the logs, then marks it open.
    ///
    /// # Panics
    /// When the era is not open or `ends` does not fit its logs.
    pub fn begin_era(&mut self, ends: &[LogEnd], worker_count: u16) {
        self.begin_version();
        let Some(era) = self.eras.last_mut() else { unreachable!("a manifest has an era") };
        assert_eq!(era.state, EraState::Open, "only an open era ends");
        assert_eq!(era.logs.len(), ends.len(), "each log has its end");
        era.state = EraState::Final;
        for (log, end) in era.logs.iter_mut().zip(ends) {
            log.end = *end;
        }
        self.push_era(worker_count);
    }

    /// Drops final eras that nothing needs: those with logs before `oldest`, the log in which the oldest snapshot of any
    /// shard was made. The caller writes both copies, then the files of logs before [`Self::first_log`] may go.
    /// Returns whether there were any.
    pub fn drop_eras_before(&mut self, oldest: LogId) -> bool {
        let is_needed =
            |era: &Era| era.state != EraState::Final || era.logs.iter().any(|entry| entry.log >= oldest);
        let gone = self.eras.iter().position(is_needed).unwrap_or(0);
        // A new era takes its first term from the one before: that stays until the new one is open.
        if gone == 0 || self.current_era().state != EraState::Open {
            return false;
        }
        self.begin_version();
        self.eras.drain(..gone);
        true
    }

    /// The next version begins, the same so far. It is made of this one: each is written, both copies, before the next
    /// begins, so that a crash never leaves two copies of which one was not made of the other.
    fn begin_version(&mut self) {
        self.parent = checksum_of(&self.encode());
        (self.format, self.sequence) = (STORE_MANIFEST_FORMAT, self.sequence + 1);
    }

    /// The first log that is named. Those with lower numbers are gone for good.
    ///
    /// # Panics
    /// Never: an era has a log.
    #[must_use]
    pub fn first_log(&self) -> LogId {
        let Some(entry) = self.eras.first().and_then(|era| era.logs.first()) else {
            unreachable!("an era has a log")
        };
        entry.log
    }

    /// The last log that is named. Higher numbers were never given out.
    ///
    /// # Panics
    /// Never: an era has a log.
    #[must_use]
    pub fn last_log(&self) -> LogId {
        let Some(entry) = self.current_era().logs.last() else { unreachable!("an era has a log") };
        entry.log
    }

    /// What the log with this id is, for [`crate::log::recovery::LogRecovery`]; `None` when no era has it.
    #[must_use]
    pub fn identity_of(&self, log: LogId) -> Option<LogIdentity> {
        let entry = self.eras.iter().flat_map(|era| &era.logs).find(|entry| entry.log == log)?;
        Some(LogIdentity {
            uuid: self.uuid,
            log,
            checksum_seed: self.checksum_seed(),
            first_shard: entry.first_shard,
            shard_count: entry.shard_count,
        })
    }

    fn checksum_seed(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.uuid);
        hasher.update(&self.seed);
        hasher.finalize()
    }

    fn push_era(&mut self, worker_count: u16) {
        assert!(worker_count > 0 && worker_count <= self.shard_count(), "a worker has a shard");
        let last_log = self.eras.iter().flat_map(|era| &era.logs).map(|entry| entry.log.0).max().unwrap_or(0);
        let logs =
            (last_log + 1..).zip(ranges(self.shard_count(), worker_count)).map(|(log, (first, count))| {
                LogEntry {
                    log: LogId(log),
                    first_shard: ShardId(first),
                    shard_count: count,
                    end: LogEnd::default(),
                }
            });
        let era = self.eras.last().map_or(1, |era| era.era + 1);
        let logs = logs.collect();
        self.eras.push(Era { era, state: EraState::Opening, logs });
    }
}

/// Cuts `total` into `parts` contiguous (first, count) ranges whose sizes differ by at most one.
fn ranges(total: u16, parts: u16) -> impl Iterator<Item = (u16, u16)> {
    let (size, larger) = (total / parts, total % parts);
    (0..parts).map(move |part| (part * size + part.min(larger), size + u16::from(part < larger)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::manifest::ManifestRead;

    fn manifest() -> StoreManifest {
        StoreManifest::create(*b"0123456789abcdef", *b"ABCDEFGHIJKLMNOP", UnixMs(0x0102), 3, 2)
    }

    #[test]
    fn every_slot_has_a_shard_and_every_shard_a_log() {
        for shard_count in [1, 2, 3, 16, 100] {
            let manifest = StoreManifest::create([1; 16], [2; 16], UnixMs(0), shard_count, 1);
            let mut before = ShardId(0);
            for slot in 0..SLOT_COUNT {
                let shard = manifest.shard_of(Slot(slot));
                assert!(shard.0 == before.0 || shard.0 == before.0 + 1);
                before = shard;
            }
            assert_eq!(before.0, shard_count - 1);
        }
        let logs = &manifest().eras[0].logs;
        assert_eq!(logs.iter().map(|log| log.shard_count).sum::<u16>(), 3);
    }

    #[test]
    fn eras_that_no_snapshot_needs_are_dropped_once_the_last_is_open() {
        let mut manifest = manifest();
        manifest.mark_open();
        manifest.begin_era(&[LogEnd::default(); 2], 1);
        assert!(!manifest.drop_eras_before(LogId(9)), "the new one is not open yet");
        manifest.mark_open();
        let before = manifest.sequence;
        for oldest in [1, 2] {
            assert!(!manifest.drop_eras_before(LogId(oldest)), "a snapshot was made in log {oldest}");
        }
        assert!(manifest.drop_eras_before(LogId(3)) && !manifest.drop_eras_before(LogId(3)));
        assert_eq!((manifest.sequence, manifest.first_log(), manifest.eras.len()), (before + 1, LogId(3), 1));
        assert_eq!(StoreManifest::decode(&manifest.encode()), ManifestRead::Valid(manifest.clone()));
        assert!(!manifest.drop_eras_before(LogId(99)), "the last stays");
        manifest.begin_era(&[LogEnd::default()], 2);
        assert_eq!((manifest.eras[1].era, manifest.eras[1].logs[0].log), (3, LogId(4)), "numbers go on");
    }

    #[test]
    fn a_new_era_takes_new_logs() {
        let mut manifest = manifest();
        manifest.mark_open();
        manifest.begin_era(&[LogEnd::default(); 2], 1);
        assert_eq!(manifest.current_era().logs[0].log, LogId(3));
        assert_eq!(manifest.eras[0].state, EraState::Final);
        assert!(manifest.identity_of(LogId(1)).is_some() && manifest.identity_of(LogId(9)).is_none());
    }
}
