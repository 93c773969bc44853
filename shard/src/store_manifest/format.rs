//! The bytes of a store manifest (little-endian), padded with zeros to 4096:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | magic | `OUROSTOR` |
//! | 8 | 4 | checksum | CRC-32 (IEEE) of bytes 12 to the end of the padding |
//! | 12 | 4 | format version | 5 (4: no databases; 3: and no parent, no flag 2; 2: eras are numbered from 1; 1: and no flags, all are 0) |
//! | 16 | 16 | store | uuid, random at creation |
//! | 32 | 4 | parent | checksum of the version before; 0 in the first, and before format 4 |
//! | 36 | 4 | byte length | with padding |
//! | 40 | 8 | sequence | of this version of the manifest, from 1; the highest intact copy counts |
//! | 48 | 8 | created | Unix ms |
//! | 56 | 16 | seed | secret: key hash, and checksum seed of batches |
//! | 72 | 2 | shard count | |
//! | 74 | 2 | era count | |
//! | 76 | 4 | flags | 1: every shard has a manifest of its own, and its files; 2: there is no log |
//! | 80 | 16 | databases | the stored database that each number shows; not before format 5, where the slots stand at 80 |
//! | 96 | 8 | swaps | of databases since the store was created |
//! | 104 | 4 | swap checksum | what each of them came to: CRC-32 of the databases after it, begun with the one before; 0 before the first |
//! | 108 | 2 each | first slots | of each shard; a shard ends where the next begins, the last at 16384 |
//! | | 8 + 20n each | eras | era 4, state 1 (1 opening, 2 open, 3 final), reserved 1, log count n 2; then n logs |
//! | | 20 | a log | id 4, first shard 2, shard count 2, final batch 8, final checksum 4; the last two 0 unless final |

use super::{Era, EraState, LogEnd, LogEntry, StoreManifest};
use crate::databases::DatabaseMap;
use crate::limits::STORE_MANIFEST_BYTES_MAX;
use crate::log::fields::{FieldReader, FieldWriter};
use crate::log::manifest::ManifestRead;
use crate::log::manifest::envelope::{read_manifest, seal_manifest};
use crate::types::{BatchNumber, LogId, SLOT_COUNT, ShardId, Slot, UnixMs};

/// First bytes of a store manifest.
pub const STORE_MANIFEST_MAGIC: [u8; 8] = *b"OUROSTOR";
/// Version of the layout that this program writes, and the newest it reads.
pub const STORE_MANIFEST_FORMAT: u32 = 5;
/// The first layout with a parent.
const FORMAT_TIED: u32 = 4;
/// The first layout in which databases may be shown under other numbers than they are stored under.
const FORMAT_SHOWN: u32 = 5;

/// Every shard has a manifest of its own.
const FLAG_SHARD_MANIFESTS: u32 = 1;
/// There is no log.
const FLAG_WITHOUT_LOG: u32 = 2;

impl StoreManifest {
    /// Checksum of the version before; `None`: the format does not say.
    pub(crate) fn known_parent(&self) -> Option<u32> {
        (self.format >= FORMAT_TIED).then_some(self.parent)
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
        if self.format >= FORMAT_SHOWN {
            fields.bytes(&self.databases.encode());
        }
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
                2..FORMAT_TIED => FLAG_SHARD_MANIFESTS,
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
        let databases = match format {
            FORMAT_SHOWN.. => DatabaseMap::decode(fields.array()?)?,
            _ => DatabaseMap::default(),
        };
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
            databases,
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
        let shown = self.format >= FORMAT_SHOWN || self.databases == DatabaseMap::default();
        let tied =
            (self.format >= FORMAT_TIED || self.parent == 0) && (self.format > 1 || !self.shard_manifests);
        let logs = || self.eras.iter().flat_map(|era| &era.logs).map(|entry| entry.log);
        let distinct = logs().zip(logs().skip(1)).all(|(log, next)| LogId(0) < log && log < next);
        self.sequence > 0
            && slotted
            && numbered
            && stated
            && fits_mode
            && covered
            && distinct
            && tied
            && shown
    }

    fn shard_count_or_zero(&self) -> u16 {
        u16::try_from(self.first_slots.len()).unwrap_or(0)
    }
}

fn count_u16(count: usize) -> u16 {
    let Ok(count) = u16::try_from(count) else { unreachable!("bounded by the manifest's size") };
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Db;

    fn manifest() -> StoreManifest {
        StoreManifest::create(*b"0123456789abcdef", *b"ABCDEFGHIJKLMNOP", UnixMs(0x0102), 3, 2)
    }

    /// The bytes of [`noted`] in a format, up to the databases, from there to the end, and sealed.
    fn golden(format: u8, databases: &[u8]) -> Vec<u8> {
        let mut bytes = b"OUROSTOR".to_vec();
        bytes.extend([0; 4]);
        bytes.extend([format, 0, 0, 0]);
        bytes.extend(b"0123456789abcdef");
        bytes.extend([1, 2, 3, 4]); // parent
        bytes.extend([0, 0x10, 0, 0]); // byte length 4096
        bytes.extend([2, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]); // sequence, created
        bytes.extend(b"ABCDEFGHIJKLMNOP");
        bytes.extend([3, 0, 1, 0, 1, 0, 0, 0]); // shards, eras, flags
        bytes.extend(databases);
        bytes.extend([0, 0, 0x56, 0x15, 0xab, 0x2a]); // slots 0, 5462, 10923
        bytes.extend([1, 0, 0, 0, 1, 0, 2, 0]); // era 1, opening, two logs
        bytes.extend([1, 0, 0, 0, 0, 0, 2, 0]); // log 1: shards 0 and 1
        bytes.extend([0; 12]);
        bytes.extend([2, 0, 0, 0, 2, 0, 1, 0]); // log 2: shard 2
        bytes.extend([0; 12]);
        bytes.resize(4096, 0);
        seal(&mut bytes);
        bytes
    }

    fn seal(bytes: &mut [u8]) {
        let crc = crc32fast::hash(&bytes[12..]).to_le_bytes();
        bytes[8..12].copy_from_slice(&crc);
    }

    /// The second version of a manifest, whose parent is made up.
    fn noted() -> StoreManifest {
        let mut manifest = manifest();
        manifest.note_shard_manifests();
        manifest.parent = 0x0403_0201;
        manifest
    }

    #[test]
    fn golden_bytes_of_a_store_manifest() {
        let mut shown = vec![3, 1, 2, 0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let first = crc32fast::hash(&shown);
        shown.swap(14, 15);
        let mut hasher = crc32fast::Hasher::new_with_initial(first);
        hasher.update(&shown);
        shown.extend([2, 0, 0, 0, 0, 0, 0, 0]);
        shown.extend(hasher.finalize().to_le_bytes());
        let databases = DatabaseMap::default().swapped(Db(0), Db(3)).swapped(Db(15), Db(14));
        let manifest = StoreManifest { databases, ..noted() };
        assert_eq!(manifest.encode(), golden(5, &shown));
        assert_eq!(StoreManifest::decode(&golden(5, &shown)), ManifestRead::Valid(manifest));
    }

    #[test]
    fn golden_bytes_of_the_format_before_databases_could_change_their_numbers() {
        let manifest = StoreManifest { format: 4, ..noted() };
        assert_eq!(manifest.encode(), golden(4, &[]));
        assert_eq!(StoreManifest::decode(&golden(4, &[])), ManifestRead::Valid(manifest.clone()));
        let mut next = manifest;
        next.swap_databases(Db(0), Db(1));
        assert_eq!(
            (next.format, next.sequence, next.parent.to_le_bytes()),
            (5, 3, golden(4, &[])[8..12].try_into().unwrap())
        );
        assert_eq!(next.databases, DatabaseMap::default().swapped(Db(0), Db(1)));
    }

    #[test]
    fn a_manifest_that_shows_a_database_under_two_numbers_is_none() {
        let mut shown = DatabaseMap::default().swapped(Db(0), Db(1)).encode();
        shown[9] = 3;
        assert_eq!(StoreManifest::decode(&golden(5, &shown)), ManifestRead::Invalid);
        shown[9] = 16;
        assert_eq!(StoreManifest::decode(&golden(5, &shown)), ManifestRead::Invalid);
    }

    #[test]
    fn a_store_without_a_log_says_so_in_a_format_that_older_programs_do_not_read() {
        let mut without = manifest().without_log();
        without.note_shard_manifests();
        let mut with = manifest();
        with.note_shard_manifests();
        with.parent = without.parent;
        let mut expected = with.encode();
        expected[76] = 3;
        seal(&mut expected);
        assert_eq!(without.encode(), expected);
        assert_eq!(StoreManifest::decode(&expected), ManifestRead::Valid(without.clone()));
        // It is known in the format before, and in the one before that it is no manifest.
        for (format, is_valid) in [(4, true), (3, false)] {
            let mut older = golden(format, &[]);
            older[76] = 3;
            if format == 3 {
                older[32..36].fill(0);
            }
            seal(&mut older);
            assert_eq!(matches!(StoreManifest::decode(&older), ManifestRead::Valid(_)), is_valid, "{format}");
        }
        without.share_out(3);
        assert_eq!((without.current_era().logs.len(), without.sequence), (3, with.sequence));
    }

    #[test]
    fn older_formats_are_read_and_their_successor_is_of_the_newest() {
        for format in 1..STORE_MANIFEST_FORMAT {
            let old = StoreManifest { format, ..manifest() };
            let bytes = old.encode();
            assert_eq!((&bytes[12..16], &bytes[32..36]), (&format.to_le_bytes()[..], &[0; 4][..]));
            assert_eq!(bytes[80..86], [0, 0, 0x56, 0x15, 0xab, 0x2a], "no databases before the slots");
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
}
