//! The store manifest: what a whole store consists of. Read first at start, changed hardly ever.
//!
//! Two copies, A then B, each durable before the next step; a change counts when both are. It fixes for the life of
//! the store its uuid, the number of shards, the slot ranges and the seed of the key hash. The number of workers
//! may change from start to start: each such change is an *era* with logs of its own. Layout (little-endian),
//! padded with zeros to 4096:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | magic | `OUROSTOR` |
//! | 8 | 4 | checksum | CRC-32 (IEEE) of bytes 12 to the end of the padding |
//! | 12 | 4 | format version | 4 (3: no parent, no flag 2; 2: eras are numbered from 1; 1: and no flags, all are 0) |
//! | 16 | 16 | store | uuid, random at creation |
//! | 32 | 4 | parent | checksum of the version before; 0 in the first, and before format 4 |
//! | 36 | 4 | byte length | with padding |
//! | 40 | 8 | sequence | of this version of the manifest, from 1; the highest intact copy counts |
//! | 48 | 8 | created | Unix ms |
//! | 56 | 16 | seed | secret: key hash, and checksum seed of batches |
//! | 72 | 2 | shard count | |
//! | 74 | 2 | era count | |
//! | 76 | 4 | flags | 1: every shard has a manifest of its own, and its files; 2: there is no log |
//! | 80 | 2 each | first slots | of each shard; a shard ends where the next begins, the last at 16384 |
//! | | 8 + 20n each | eras | era 4, state 1 (1 opening, 2 open, 3 final), reserved 1, log count n 2; then n logs |
//! | | 20 | a log | id 4, first shard 2, shard count 2, final batch 8, final checksum 4; the last two 0 unless final |

use crate::extent::ExtentSeal;
use crate::limits::STORE_MANIFEST_BYTES_MAX;
use crate::log::LogIdentity;
use crate::log::fields::{FieldReader, FieldWriter};
use crate::log::manifest::{ManifestRead, checksum_of, read_manifest, seal_manifest};
use crate::types::{BatchNumber, LogId, SLOT_COUNT, ShardId, Slot, UnixMs};

/// First bytes of a store manifest.
pub const STORE_MANIFEST_MAGIC: [u8; 8] = *b"OUROSTOR";
/// Version of the layout that this program writes, and the newest it reads.
pub const STORE_MANIFEST_FORMAT: u32 = 4;
/// The first layout with a parent.
const FORMAT_TIED: u32 = 4;

/// Every shard has a manifest of its own.
const FLAG_SHARD_MANIFESTS: u32 = 1;
/// There is no log.
const FLAG_WITHOUT_LOG: u32 = 2;

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

    /// Without a log: shares the shards out among so many workers. Nothing on disk depends on it.
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

    /// Checksum of the version before; `None`: the format does not say.
    pub(crate) fn known_parent(&self) -> Option<u32> {
        (self.format >= FORMAT_TIED).then_some(self.parent)
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

    /// Its bytes: whole blocks.
    ///
    /// # Panics
    /// When it contradicts itself: what is asserted here is what [`Self::decode`] demands.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.is_consistent(), "only what recovery accepts is written: {self:?}");
        let mut fields = FieldWriter::default();
        fields
            .bytes(&STORE_MANIFEST_MAGIC)
            .u32(0)
            .u32(self.format)
            .bytes(&self.uuid)
            .u32(self.parent)
            .u32(0)
            .u64(self.sequence)
            .u64(self.created.0)
            .bytes(&self.seed)
            .u16(self.shard_count())
            .u16(count_u16(self.eras.len()))
            .u32(self.flags());
        for slot in &self.first_slots {
            fields.u16(slot.0);
        }
        for era in &self.eras {
            let state = match era.state {
                EraState::Opening => 1,
                EraState::Open => 2,
                EraState::Final => 3,
            };
            fields.u32(era.era).u8(state).u8(0).u16(count_u16(era.logs.len()));
            for log in &era.logs {
                fields.u32(log.log.0).u16(log.first_shard.0).u16(log.shard_count);
                fields.u64(log.end.batch.0).u32(log.end.crc);
            }
        }
        let bytes = seal_manifest(fields);
        assert!(bytes.len() <= STORE_MANIFEST_BYTES_MAX, "a store manifest has a bound");
        bytes
    }

    const fn flags(&self) -> u32 {
        let shard_manifests = if self.shard_manifests { FLAG_SHARD_MANIFESTS } else { 0 };
        shard_manifests | if self.without_log { FLAG_WITHOUT_LOG } else { 0 }
    }

    /// Reads one copy; `bytes` is the file from its start, it may be longer than the manifest.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> ManifestRead<Self> {
        read_manifest(bytes, &STORE_MANIFEST_MAGIC, STORE_MANIFEST_FORMAT, |format, fields| {
            let flags_known = match format {
                1 => 0,
                2..STORE_MANIFEST_FORMAT => FLAG_SHARD_MANIFESTS,
                _ => FLAG_SHARD_MANIFESTS | FLAG_WITHOUT_LOG,
            };
            Self::decode_fields(fields, format, flags_known).filter(Self::is_consistent)
        })
    }

    fn decode_fields(mut fields: FieldReader<'_>, format: u32, flags_known: u32) -> Option<Self> {
        let uuid = fields.array()?;
        let parent = fields.u32()?;
        fields.u32()?;
        let sequence = fields.u64()?;
        let created = UnixMs(fields.u64()?);
        let seed = fields.array()?;
        let (shard_count, era_count) = (fields.u16()?, fields.u16()?);
        let flags = fields.u32()?;
        if flags & !flags_known != 0 {
            return None;
        }
        let shard_manifests = flags & FLAG_SHARD_MANIFESTS != 0;
        let without_log = flags & FLAG_WITHOUT_LOG != 0;
        let mut first_slots = Vec::new();
        for _ in 0..shard_count {
            first_slots.push(Slot(fields.u16()?));
        }
        let mut eras = Vec::new();
        for _ in 0..era_count {
            let era = fields.u32()?;
            let state = match fields.u8()? {
                1 => EraState::Opening,
                2 => EraState::Open,
                3 => EraState::Final,
                _ => return None,
            };
            fields.u8()?;
            let mut logs = Vec::new();
            for _ in 0..fields.u16()? {
                logs.push(LogEntry {
                    log: LogId(fields.u32()?),
                    first_shard: ShardId(fields.u16()?),
                    shard_count: fields.u16()?,
                    end: LogEnd { batch: BatchNumber(fields.u64()?), crc: fields.u32()? },
                });
            }
            eras.push(Era { era, state, logs });
        }
        fields.rest_is_zero().then_some(Self {
            uuid,
            format,
            sequence,
            parent,
            created,
            seed,
            shard_manifests,
            without_log,
            first_slots,
            eras,
        })
    }

    /// What every manifest ever written fulfils.
    fn is_consistent(&self) -> bool {
        let slots = &self.first_slots;
        let slotted = slots.first() == Some(&Slot(0))
            && slots.windows(2).all(|pair| pair[0] < pair[1])
            && slots.last().is_some_and(|last| last.0 < SLOT_COUNT);
        let first = self.eras.first().map_or(0, |era| era.era);
        let numbered = first > 0 && self.eras.iter().zip(first..).all(|(era, number)| era.era == number);
        let (last, earlier) = match self.eras.split_last() {
            Some(split) => split,
            None => return false,
        };
        let stated = earlier.iter().all(|era| era.state == EraState::Final) && last.state != EraState::Final;
        let fits_mode = !self.without_log || earlier.is_empty() && last.state == EraState::Opening;
        let covered = self.eras.iter().all(|era| {
            let mut next = 0;
            let joined = era.logs.iter().all(|log| {
                let joins = u32::from(log.first_shard.0) == next && log.shard_count > 0;
                next += u32::from(log.shard_count);
                joins
            });
            joined && next == u32::from(self.shard_count_or_zero())
        });
        let tied =
            (self.format >= FORMAT_TIED || self.parent == 0) && (self.format > 1 || !self.shard_manifests);
        let logs = || self.eras.iter().flat_map(|era| &era.logs).map(|entry| entry.log);
        let distinct = logs().zip(logs().skip(1)).all(|(log, next)| LogId(0) < log && log < next);
        self.sequence > 0 && slotted && numbered && stated && fits_mode && covered && distinct && tied
    }

    fn shard_count_or_zero(&self) -> u16 {
        u16::try_from(self.first_slots.len()).unwrap_or(0)
    }
}

/// Cuts `total` into `parts` contiguous (first, count) ranges whose sizes differ by at most one.
fn ranges(total: u16, parts: u16) -> impl Iterator<Item = (u16, u16)> {
    let (size, larger) = (total / parts, total % parts);
    (0..parts).map(move |part| (part * size + part.min(larger), size + u16::from(part < larger)))
}

fn count_u16(count: usize) -> u16 {
    let Ok(count) = u16::try_from(count) else { unreachable!("bounded by the manifest's size") };
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> StoreManifest {
        StoreManifest::create(*b"0123456789abcdef", *b"ABCDEFGHIJKLMNOP", UnixMs(0x0102), 3, 2)
    }

    #[test]
    fn golden_bytes_of_a_store_manifest() {
        let mut expected = b"OUROSTOR".to_vec();
        expected.extend([0; 4]);
        expected.extend([4, 0, 0, 0]);
        expected.extend(b"0123456789abcdef");
        expected.extend([1, 2, 3, 4]); // parent
        expected.extend([0, 0x10, 0, 0]); // byte length 4096
        expected.extend([2, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]); // sequence, created
        expected.extend(b"ABCDEFGHIJKLMNOP");
        expected.extend([3, 0, 1, 0, 1, 0, 0, 0]); // shards, eras, flags
        expected.extend([0, 0, 0x56, 0x15, 0xab, 0x2a]); // slots 0, 5462, 10923
        expected.extend([1, 0, 0, 0, 1, 0, 2, 0]); // era 1, opening, two logs
        expected.extend([1, 0, 0, 0, 0, 0, 2, 0]); // log 1: shards 0 and 1
        expected.extend([0; 12]);
        expected.extend([2, 0, 0, 0, 2, 0, 1, 0]); // log 2: shard 2
        expected.extend([0; 12]);
        expected.resize(4096, 0);
        let crc = crc32fast::hash(&expected[12..]).to_le_bytes();
        expected[8..12].copy_from_slice(&crc);
        let mut manifest = manifest();
        manifest.note_shard_manifests();
        manifest.parent = 0x0403_0201;
        assert_eq!(manifest.encode(), expected);
    }

    #[test]
    fn a_store_without_a_log_says_so_in_a_format_that_older_programs_do_not_read() {
        let mut without = manifest().without_log();
        without.note_shard_manifests();
        let mut with = manifest();
        with.note_shard_manifests();
        with.parent = without.parent;
        let mut expected = with.encode();
        (expected[12], expected[76]) = (4, 3);
        let crc = crc32fast::hash(&expected[12..]).to_le_bytes();
        expected[8..12].copy_from_slice(&crc);
        assert_eq!(without.encode(), expected);
        assert_eq!(StoreManifest::decode(&expected), ManifestRead::Valid(without.clone()));
        // The flag in the format before it is no manifest.
        expected[12] = 3;
        let crc = crc32fast::hash(&expected[12..]).to_le_bytes();
        expected[8..12].copy_from_slice(&crc);
        assert_eq!(StoreManifest::decode(&expected), ManifestRead::Invalid);
        without.share_out(3);
        assert_eq!((without.current_era().logs.len(), without.sequence), (3, with.sequence));
    }

    #[test]
    fn older_formats_are_read_and_their_successor_is_of_the_newest() {
        for format in 1..STORE_MANIFEST_FORMAT {
            let old = StoreManifest { format, ..manifest() };
            let bytes = old.encode();
            assert_eq!((&bytes[12..16], &bytes[32..36]), (&format.to_le_bytes()[..], &[0; 4][..]));
            assert_eq!(StoreManifest::decode(&bytes), ManifestRead::Valid(old.clone()));
            let mut next = old;
            next.mark_open();
            assert_eq!((next.format, next.sequence), (STORE_MANIFEST_FORMAT, 2));
            assert_eq!(next.parent.to_le_bytes(), bytes[8..12]);
            assert_eq!(StoreManifest::decode(&next.encode()), ManifestRead::Valid(next));
        }
    }

    #[test]
    fn decode_of_encode_is_the_manifest_and_a_flipped_bit_is_noticed() {
        let mut manifest = manifest();
        manifest.mark_open();
        manifest.begin_era(&[LogEnd { batch: BatchNumber(9), crc: 8 }, LogEnd::default()], 3);
        let mut bytes = manifest.encode();
        assert_eq!(StoreManifest::decode(&bytes), ManifestRead::Valid(manifest));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(StoreManifest::decode(&bytes), ManifestRead::Invalid, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
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
