//! The bytes of a log manifest (little-endian), padded with zeros to 4096:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | magic | `OUROLOGM` |
//! | 8 | 4 | checksum | CRC-32 (IEEE) of bytes 12 to the end of the padding |
//! | 12 | 4 | format version | 3 (2: what stands here of it; 1: and floors have no kind, all are 0) |
//! | 16 | 16 | store | uuid |
//! | 32 | 4 | log | id of the worker log |
//! | 36 | 4 | byte length | with padding |
//! | 40 | 8 | sequence | of this version of the manifest, from 1; the highest intact copy counts |
//! | 48 | 2, 2 | first shard, shard count | the shards whose records the log holds |
//! | 52 | 4 | next file | lowest segment file number never used |
//! | 56 | 4, 4, 4 | counts | of segments, free files, floors |
//! | 68 | 4 | parent | checksum of the version before; 0 in the first; not in formats 1 and 2: reserved |
//! | 72 | 8, 4 | reached | number and checksum of the last batch that was durable when this version was made; 0, 0: none |
//! | 84 | 4 | reserved | 0 |
//! | 88 | 24 each | segments | generation 8, file bytes 8, file number 4, reserved 4; in order of generation |
//! | | 16 each | free files | file bytes 8, file number 4, reserved 4 |
//! | | 32 + 4n each | floors | shard 2, database count n 2, term 4, LSN 8, batch 8, next keyspace 4, kind 4 (0 empty, 1 snapshot); then the keyspace 4 of each database |
//!
//! In formats 1 and 2 the segments stand at 72, and nothing is known of parent and reached. A version is read and written
//! again in its own format; the next one is of the newest.

use super::envelope::{count_u32, read_manifest, seal_manifest};
use super::{FloorEntry, FreeFile, LogManifest, ManifestRead, SegmentEntry};
use crate::io::BLOCK_BYTES;
use crate::limits::{LOG_MANIFEST_BYTES_MAX, LOG_SEGMENT_BYTES_MIN};
use crate::log::fields::{FieldReader, FieldWriter};
use crate::shard::{FloorKind, ShardFloor};
use crate::store_manifest::LogEnd;
use crate::types::{BatchNumber, KeyspaceId, LogId, Lsn, ShardId, Term};

/// First bytes of a log manifest.
pub const LOG_MANIFEST_MAGIC: [u8; 8] = *b"OUROLOGM";
/// Version of the layout that this program writes, and the newest it reads.
pub const LOG_MANIFEST_FORMAT: u32 = 3;
/// The first layout with parent and reached.
pub(super) const FORMAT_TIED: u32 = 3;

impl LogManifest {
    /// Its bytes: a multiple of [`BLOCK_BYTES`].
    ///
    /// # Panics
    /// When it contradicts itself: what is asserted here is what [`Self::decode`] demands.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.is_consistent(), "only what recovery accepts is written: {self:?}");
        let mut fields = FieldWriter::default();
        fields
            .bytes(&LOG_MANIFEST_MAGIC)
            .u32(0)
            .u32(self.format)
            .bytes(&self.uuid)
            .u32(self.log.0)
            .u32(0)
            .u64(self.sequence)
            .u16(self.first_shard.0)
            .u16(self.shard_count)
            .u32(self.next_file)
            .u32(count_u32(self.segments.len()))
            .u32(count_u32(self.free.len()))
            .u32(count_u32(self.floors.len()))
            .u32(self.parent);
        if self.format >= FORMAT_TIED {
            fields.u64(self.reached.batch.0).u32(self.reached.crc).u32(0);
        }
        for segment in &self.segments {
            fields.u64(segment.generation).u64(segment.file_bytes).u32(segment.file).u32(0);
        }
        for free in &self.free {
            fields.u64(free.file_bytes).u32(free.file).u32(0);
        }
        for FloorEntry { floor, batch } in &self.floors {
            let Ok(count) = u16::try_from(floor.keyspaces.len()) else { unreachable!("databases are u8") };
            fields.u16(floor.shard.0).u16(count).u32(floor.term.0).u64(floor.lsn.0).u64(batch.0);
            let kind = match floor.kind {
                FloorKind::Empty => 0,
                FloorKind::Snapshot => 1,
            };
            fields.u32(floor.next_keyspace).u32(kind);
            for keyspace in &floor.keyspaces {
                fields.u32(keyspace.0);
            }
        }
        let bytes = seal_manifest(fields);
        assert!(bytes.len() <= LOG_MANIFEST_BYTES_MAX, "a log manifest has a bound");
        bytes
    }

    /// Reads one copy; `bytes` is the file from its start, it may be longer than the manifest.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> ManifestRead<Self> {
        read_manifest(bytes, &LOG_MANIFEST_MAGIC, LOG_MANIFEST_FORMAT, |format, fields| {
            Self::decode_fields(fields, format).filter(Self::is_consistent)
        })
    }

    fn decode_fields(mut fields: FieldReader<'_>, format: u32) -> Option<Self> {
        let uuid = fields.array()?;
        let log = LogId(fields.u32()?);
        fields.u32()?;
        let sequence = fields.u64()?;
        let first_shard = ShardId(fields.u16()?);
        let shard_count = fields.u16()?;
        let next_file = fields.u32()?;
        let (segment_count, free_count, floor_count) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let parent = fields.u32()?;
        let mut reached = LogEnd::default();
        if format >= FORMAT_TIED {
            reached = LogEnd { batch: BatchNumber(fields.u64()?), crc: fields.u32()? };
            fields.u32()?;
        }
        // Nothing is allocated by a count that was only claimed: each entry must be there to be pushed.
        let mut segments = Vec::new();
        for _ in 0..segment_count {
            let (generation, file_bytes, file) = (fields.u64()?, fields.u64()?, fields.u32()?);
            fields.u32()?;
            segments.push(SegmentEntry { generation, file, file_bytes });
        }
        let mut free = Vec::new();
        for _ in 0..free_count {
            let (file_bytes, file) = (fields.u64()?, fields.u32()?);
            fields.u32()?;
            free.push(FreeFile { file, file_bytes });
        }
        let mut floors = Vec::new();
        for _ in 0..floor_count {
            let (shard, database_count, term) = (ShardId(fields.u16()?), fields.u16()?, Term(fields.u32()?));
            let (lsn, batch) = (Lsn(fields.u64()?), BatchNumber(fields.u64()?));
            let next_keyspace = fields.u32()?;
            let kind = match fields.u32()? {
                0 => FloorKind::Empty,
                1 if format > 1 => FloorKind::Snapshot,
                _ => return None,
            };
            let mut keyspaces = Vec::new();
            for _ in 0..database_count {
                keyspaces.push(KeyspaceId(fields.u32()?));
            }
            floors.push(FloorEntry {
                floor: ShardFloor { kind, shard, lsn, term, next_keyspace, keyspaces },
                batch,
            });
        }
        fields.rest_is_zero().then_some(Self {
            uuid,
            log,
            format,
            sequence,
            parent,
            reached,
            first_shard,
            shard_count,
            next_file,
            segments,
            free,
            floors,
        })
    }

    /// What every manifest ever written fulfils.
    fn is_consistent(&self) -> bool {
        let contiguous = self.segments.windows(2).all(|pair| pair[0].generation + 1 == pair[1].generation);
        let mut files: Vec<u32> = self.segments.iter().map(|segment| segment.file).collect();
        files.extend(self.free.iter().map(|free| free.file));
        let numbered = files.iter().all(|&file| file > 0 && file < self.next_file);
        files.sort_unstable();
        let distinct = files.windows(2).all(|pair| pair[0] < pair[1]);
        let sizes = self.segments.iter().map(|segment| segment.file_bytes);
        let sized = sizes
            .chain(self.free.iter().map(|free| free.file_bytes))
            .all(|bytes| bytes >= LOG_SEGMENT_BYTES_MIN && bytes.is_multiple_of(BLOCK_BYTES as u64));
        let first = self.first_shard.0;
        let shards = || self.floors.iter().map(|entry| entry.floor.shard);
        let own = shards().all(|shard| shard.0 >= first && shard.0 - first < self.shard_count);
        let ordered = shards().zip(shards().skip(1)).all(|(shard, next)| shard < next);
        let counted = self.sequence > 0 && !self.segments.is_empty() && self.segments[0].generation > 0;
        let tied = match self.format {
            1 => self.floors.iter().all(|entry| entry.floor.kind == FloorKind::Empty),
            _ => true,
        };
        let tied =
            tied && (self.format >= FORMAT_TIED || (self.parent, self.reached) == (0, LogEnd::default()));
        counted && contiguous && numbered && distinct && sized && own && ordered && tied
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::log::manifest) fn manifest() -> LogManifest {
        LogManifest {
            uuid: *b"0123456789abcdef",
            log: LogId(2),
            format: LOG_MANIFEST_FORMAT,
            sequence: 5,
            parent: 0x0403_0201,
            reached: LogEnd { batch: BatchNumber(45), crc: 0x0807_0605 },
            first_shard: ShardId(4),
            shard_count: 2,
            next_file: 9,
            segments: vec![
                SegmentEntry { generation: 7, file: 3, file_bytes: 0x0010_0000 },
                SegmentEntry { generation: 8, file: 8, file_bytes: 0x0010_0000 },
            ],
            free: vec![FreeFile { file: 1, file_bytes: 0x0010_0000 }],
            floors: vec![FloorEntry {
                floor: ShardFloor {
                    kind: FloorKind::Snapshot,
                    shard: ShardId(5),
                    lsn: Lsn(99),
                    term: Term(2),
                    next_keyspace: 6,
                    keyspaces: vec![KeyspaceId(5)],
                },
                batch: BatchNumber(44),
            }],
        }
    }

    #[test]
    fn golden_bytes_of_a_log_manifest() {
        let bytes = manifest().encode();
        let mut expected = b"OUROLOGM".to_vec();
        expected.extend([0; 4]);
        expected.extend([3, 0, 0, 0]);
        expected.extend(b"0123456789abcdef");
        expected.extend([2, 0, 0, 0, 0, 0x10, 0, 0]); // log, byte length 4096
        expected.extend([5, 0, 0, 0, 0, 0, 0, 0]); // sequence
        expected.extend([4, 0, 2, 0, 9, 0, 0, 0]); // shards, next file
        expected.extend([2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]); // counts
        expected.extend([1, 2, 3, 4, 45, 0, 0, 0, 0, 0, 0, 0, 5, 6, 7, 8, 0, 0, 0, 0]); // parent, reached
        expected.extend([7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 0, 0x10, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]); // free file 1
        expected.extend([5, 0, 1, 0, 2, 0, 0, 0]); // floor: shard, keyspaces, term
        expected.extend([99, 0, 0, 0, 0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0]); // LSN, batch
        expected.extend([6, 0, 0, 0, 1, 0, 0, 0]); // next keyspace, kind
        expected.extend([5, 0, 0, 0]); // database 0 shows keyspace 5
        expected.resize(4096, 0);
        let crc = crc32fast::hash(&expected[12..]).to_le_bytes();
        expected[8..12].copy_from_slice(&crc);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn decode_of_encode_is_the_manifest_and_a_flipped_bit_is_noticed() {
        let mut bytes = manifest().encode();
        assert_eq!(LogManifest::decode(&bytes), ManifestRead::Valid(manifest()));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(LogManifest::decode(&bytes), ManifestRead::Invalid, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        bytes.extend([7; 4096]);
        assert_eq!(LogManifest::decode(&bytes), ManifestRead::Valid(manifest()), "a longer file is fine");
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut bytes = manifest().encode();
        bytes[12] = 9;
        let crc = crc32fast::hash(&bytes[12..]).to_le_bytes();
        bytes[8..12].copy_from_slice(&crc);
        assert_eq!(LogManifest::decode(&bytes), ManifestRead::Newer(9));
    }

    /// As an earlier version of the program wrote it.
    fn of_format(format: u32) -> LogManifest {
        LogManifest { format, parent: 0, reached: LogEnd::default(), ..manifest() }
    }

    #[test]
    fn older_formats_are_read_and_their_successor_is_of_the_newest() {
        let mut first = of_format(1);
        first.floors[0].floor.kind = FloorKind::Empty;
        for old in [first, of_format(2)] {
            let bytes = old.encode();
            assert_eq!(bytes[12..16], old.format.to_le_bytes());
            assert_eq!(bytes[72..80], 7u64.to_le_bytes(), "the segments stand behind the counts");
            assert_eq!(LogManifest::decode(&bytes), ManifestRead::Valid(old.clone()));
            let reached = LogEnd { batch: BatchNumber(50), crc: 1 };
            let next = old.successor(reached);
            assert_eq!((next.format, next.sequence, next.reached), (LOG_MANIFEST_FORMAT, 6, reached));
            assert_eq!(next.parent.to_le_bytes(), bytes[8..12]);
            assert_eq!(LogManifest::decode(&next.encode()), ManifestRead::Valid(next));
        }
    }

    #[test]
    fn format_1_had_floors_of_one_kind() {
        let mut bytes = of_format(2).encode();
        bytes[12] = 1;
        let crc = crc32fast::hash(&bytes[12..]).to_le_bytes();
        bytes[8..12].copy_from_slice(&crc);
        assert_eq!(LogManifest::decode(&bytes), ManifestRead::Invalid);
    }

    #[test]
    fn a_gap_in_the_generations_is_no_manifest() {
        let mut gap = manifest();
        gap.segments[1].generation = 9;
        assert!(!gap.is_consistent());
        let mut twice = manifest();
        twice.free[0].file = 3;
        assert!(!twice.is_consistent());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(at in 0usize..200, bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
            let mut image = manifest().encode();
            image[at..at + bytes.len()].copy_from_slice(&bytes);
            let _ = LogManifest::decode(&image);
            // The same with a checksum that agrees: what lies behind it must not be trusted either.
            let crc = crc32fast::hash(&image[12..]).to_le_bytes();
            image[8..12].copy_from_slice(&crc);
            let _ = LogManifest::decode(&image);
        }
    }
}
