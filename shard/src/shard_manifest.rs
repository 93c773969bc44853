//! The manifest of a shard: which snapshot is in force, and which extent numbers may have been used.
//!
//! Two copies, A then B, each durable before the next step; a change counts when both are. Layout (little-endian),
//! padded with zeros to 4096:
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 8 | magic | `OUROSHRD` |
//! | 8 | 4 | checksum | CRC-32 (IEEE) of bytes 12 to the end of the padding |
//! | 12 | 4 | format version | 3 (2: no swaps; 1: and no parent) |
//! | 16 | 16 | store | uuid |
//! | 32 | 4 | shard | |
//! | 36 | 4 | byte length | with padding |
//! | 40 | 8 | sequence | of this version of the manifest, from 1; the highest intact copy counts |
//! | 48 | 4 | extent limit | numbers below it may have been used |
//! | 52 | 4 | snapshot number | 0: none was published yet, and all that follows is 0 |
//! | 56 | 8 | snapshot bytes | length of the file |
//! | 64 | 4 | snapshot checksum | of its footer, which covers the whole file |
//! | 68 | 4 | place count | of the data file when the snapshot was made |
//! | 72 | 8 | start LSN | the snapshot with all records after this one is the state |
//! | 80 | 8 | end LSN | last record that the snapshot may hold something of |
//! | 88 | 4 | start term | |
//! | 92 | 4 | next keyspace | as of the start LSN |
//! | 96 | 4 | database count | |
//! | 100 | 4 | log | id of the log that held the end LSN; 0: there was none, the snapshot's tail holds it |
//! | 104 | 8 | end batch | batch of that log that held it: the log reaches it |
//! | 112 | 4 | parent | checksum of the version before; 0 in the first. Not in format 1, where what follows stands here |
//! | 116 | 8 | swaps | of databases, as of this version; not before format 3, where what follows stands here |
//! | 124 | 4 | swap checksum | what they came to, as in the store manifest |
//! | 128 | 4 each | keyspaces | by database number, as of the start LSN |
//!
//! A version is read and written again in its own format; the next one is of the newest.

use crate::databases::SwapMark;
use crate::io::{BLOCK_BYTES, FileId, ManifestCopy};
use crate::limits::{DATABASE_COUNT, SHARD_MANIFEST_BYTES_MAX};
use crate::log::fields::{FieldReader, FieldWriter};
use crate::log::manifest::ManifestRead;
use crate::log::manifest::envelope::{checksum_of, count_u32, read_manifest, seal_manifest};
use crate::shard::{FloorKind, ShardFloor};
use crate::snapshot::TailCounts;
use crate::types::{BatchNumber, KeyspaceId, LogId, Lsn, ShardId, Term};

/// First bytes of a shard manifest.
pub const SHARD_MANIFEST_MAGIC: [u8; 8] = *b"OUROSHRD";
/// Version of the layout that this program writes, and the newest it reads.
pub const SHARD_MANIFEST_FORMAT: u32 = 3;
/// The first layout with a parent.
const FORMAT_TIED: u32 = 2;
/// The first layout that tells of swaps.
const FORMAT_SWAPS: u32 = 3;
/// Bytes of the fields of a snapshot in front of the parent.
const SNAPSHOT_BYTES: usize = 56;

/// The snapshot in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedSnapshot {
    /// Number of its file, from 1, rising.
    pub number: u32,
    /// Length of its file.
    pub bytes: u64,
    /// Checksum of its footer.
    pub crc: u32,
    /// Places of the data file when it was made: the file is at least as long as the last extent named needs.
    pub place_count: u32,
    /// Where it starts: it and all records after this LSN are the state.
    pub start: ShardFloor,
    /// Last record that it may hold something of: the log reaches it.
    pub end: Lsn,
    /// The log that held this record; 0: there was none.
    pub log: LogId,
    /// The batch that held it. The log was durable up to it before the snapshot was published.
    pub end_batch: BatchNumber,
}

impl PublishedSnapshot {
    /// What its tail comes to, if it has so many bytes: without a log it holds every record from the start to the end,
    /// with one none.
    #[must_use]
    pub fn tail(&self, bytes: u64) -> TailCounts {
        if self.log == LogId(0) {
            TailCounts { records: self.end.0 - self.start.lsn.0, bytes, end: self.end }
        } else {
            TailCounts::default()
        }
    }
}

/// What a shard keeps on disk beside the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardManifest {
    /// Identity of the store.
    pub uuid: [u8; 16],
    /// The shard.
    pub shard: ShardId,
    /// Layout that this version is written in.
    pub format: u32,
    /// Version of its content, rising by 1.
    pub sequence: u64,
    /// Checksum of the version before; 0 in the first, and where the format has none.
    pub parent: u32,
    /// Swaps of databases that the store manifest is known to hold: it is no older.
    pub swaps: SwapMark,
    /// Extent numbers below this may have been used by any run so far.
    pub extent_limit: u32,
    /// The snapshot in force, once there is one.
    pub snapshot: Option<PublishedSnapshot>,
}

impl ShardManifest {
    /// The manifest of a new shard.
    #[must_use]
    pub const fn create(uuid: [u8; 16], shard: ShardId) -> Self {
        let format = SHARD_MANIFEST_FORMAT;
        let swaps = SwapMark { count: 0, checksum: 0 };
        Self { uuid, shard, format, sequence: 1, parent: 0, swaps, extent_limit: 0, snapshot: None }
    }

    /// The next version, the same but for its number: to be changed, then written.
    #[must_use]
    pub fn successor(&self) -> Self {
        let parent = checksum_of(&self.encode());
        Self { format: SHARD_MANIFEST_FORMAT, sequence: self.sequence + 1, parent, ..self.clone() }
    }

    /// Checksum of the version before; `None`: the format does not say.
    pub(crate) fn known_parent(&self) -> Option<u32> {
        (self.format >= FORMAT_TIED).then_some(self.parent)
    }

    /// The names of its two copies.
    #[must_use]
    pub const fn files(shard: ShardId) -> [FileId; 2] {
        [
            FileId::ShardManifest { shard, copy: ManifestCopy::A },
            FileId::ShardManifest { shard, copy: ManifestCopy::B },
        ]
    }

    /// Its bytes: a multiple of [`BLOCK_BYTES`].
    ///
    /// # Panics
    /// When it contradicts itself: what is asserted here is what [`Self::decode`] demands.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.is_consistent(), "only what recovery accepts is written: {self:?}");
        let mut fields = FieldWriter::default();
        fields
            .bytes(&SHARD_MANIFEST_MAGIC)
            .u32(0)
            .u32(self.format)
            .bytes(&self.uuid)
            .u32(u32::from(self.shard.0))
            .u32(0)
            .u64(self.sequence)
            .u32(self.extent_limit);
        if let Some(snapshot) = &self.snapshot {
            fields
                .u32(snapshot.number)
                .u64(snapshot.bytes)
                .u32(snapshot.crc)
                .u32(snapshot.place_count)
                .u64(snapshot.start.lsn.0)
                .u64(snapshot.end.0)
                .u32(snapshot.start.term.0)
                .u32(snapshot.start.next_keyspace)
                .u32(count_u32(snapshot.start.keyspaces.len()))
                .u32(snapshot.log.0)
                .u64(snapshot.end_batch.0);
        } else {
            // Number 0, and nothing that follows.
            fields.u32(0).bytes(&[0; SNAPSHOT_BYTES]);
        }
        if self.format >= FORMAT_TIED {
            fields.u32(self.parent);
        }
        if self.format >= FORMAT_SWAPS {
            fields.bytes(&self.swaps.encode());
        }
        let keyspaces = self.snapshot.iter().flat_map(|snapshot| &snapshot.start.keyspaces);
        for keyspace in keyspaces {
            fields.u32(keyspace.0);
        }
        let bytes = seal_manifest(fields);
        assert!(bytes.len() <= SHARD_MANIFEST_BYTES_MAX, "a shard manifest has a bound");
        bytes
    }

    /// Reads one copy; `bytes` is the file from its start, it may be longer than the manifest.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> ManifestRead<Self> {
        read_manifest(bytes, &SHARD_MANIFEST_MAGIC, SHARD_MANIFEST_FORMAT, |format, fields| {
            Self::decode_fields(fields, format).filter(Self::is_consistent)
        })
    }

    fn decode_fields(mut fields: FieldReader<'_>, format: u32) -> Option<Self> {
        let uuid = fields.array()?;
        let shard = ShardId(u16::try_from(fields.u32()?).ok()?);
        fields.u32()?;
        let (sequence, extent_limit, number) = (fields.u64()?, fields.u32()?, fields.u32()?);
        let (mut snapshot, mut parent, mut swaps) = (None, 0, SwapMark::default());
        if number > 0 {
            let (bytes, crc, place_count) = (fields.u64()?, fields.u32()?, fields.u32()?);
            let (lsn, end) = (Lsn(fields.u64()?), Lsn(fields.u64()?));
            let (term, next_keyspace) = (Term(fields.u32()?), fields.u32()?);
            let count = fields.u32()?;
            let (log, end_batch) = (LogId(fields.u32()?), BatchNumber(fields.u64()?));
            if format >= FORMAT_TIED {
                parent = fields.u32()?;
            }
            if format >= FORMAT_SWAPS {
                swaps = SwapMark::decode(fields.array()?)?;
            }
            let mut keyspaces = Vec::new();
            for _ in 0..count {
                keyspaces.push(KeyspaceId(fields.u32()?));
            }
            let kind = FloorKind::Snapshot;
            let start = ShardFloor { kind, shard, lsn, term, next_keyspace, keyspaces };
            snapshot =
                Some(PublishedSnapshot { number, bytes, crc, place_count, start, end, log, end_batch });
        } else if format >= FORMAT_TIED {
            if fields.array::<SNAPSHOT_BYTES>()? != [0; SNAPSHOT_BYTES] {
                return None;
            }
            parent = fields.u32()?;
            if format >= FORMAT_SWAPS {
                swaps = SwapMark::decode(fields.array()?)?;
            }
        }
        fields.rest_is_zero().then_some(Self {
            uuid,
            shard,
            format,
            sequence,
            parent,
            swaps,
            extent_limit,
            snapshot,
        })
    }

    /// What every manifest ever written fulfils.
    fn is_consistent(&self) -> bool {
        let sound = |snapshot: &PublishedSnapshot| {
            let start = &snapshot.start;
            snapshot.number > 0
                && snapshot.bytes >= BLOCK_BYTES as u64
                && snapshot.bytes.is_multiple_of(BLOCK_BYTES as u64)
                && start.shard == self.shard
                && start.lsn <= snapshot.end
                && start.term > Term(0)
                && start.keyspaces.len() == usize::from(DATABASE_COUNT)
                && start.keyspaces.iter().all(|keyspace| keyspace.0 < start.next_keyspace)
        };
        let tied = self.format >= FORMAT_TIED || self.parent == 0;
        let marked = self.format >= FORMAT_SWAPS || self.swaps == SwapMark::default();
        tied && marked && self.sequence > 0 && self.snapshot.as_ref().is_none_or(sound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn manifest() -> ShardManifest {
        let keyspaces = (0..u32::from(DATABASE_COUNT)).map(KeyspaceId).collect();
        ShardManifest {
            uuid: *b"0123456789abcdef",
            shard: ShardId(9),
            format: SHARD_MANIFEST_FORMAT,
            sequence: 4,
            parent: 0x0403_0201,
            swaps: SwapMark { count: 0x0105, checksum: 0x0807_0605 },
            extent_limit: 0x1002,
            snapshot: Some(PublishedSnapshot {
                number: 3,
                bytes: 0x5000,
                crc: 0xaabb_ccdd,
                place_count: 7,
                start: ShardFloor {
                    kind: FloorKind::Snapshot,
                    shard: ShardId(9),
                    lsn: Lsn(100),
                    term: Term(2),
                    next_keyspace: 16,
                    keyspaces,
                },
                end: Lsn(120),
                log: LogId(6),
                end_batch: BatchNumber(0x0203),
            }),
        }
    }

    #[test]
    fn golden_bytes_of_a_shard_manifest() {
        let mut expected = b"OUROSHRD".to_vec();
        expected.extend([0; 4]);
        expected.extend([3, 0, 0, 0]);
        expected.extend(b"0123456789abcdef");
        expected.extend([9, 0, 0, 0, 0, 0x10, 0, 0]); // shard, byte length 4096
        expected.extend([4, 0, 0, 0, 0, 0, 0, 0]); // sequence
        expected.extend([2, 0x10, 0, 0, 3, 0, 0, 0]); // extent limit, snapshot number
        expected.extend([0, 0x50, 0, 0, 0, 0, 0, 0]); // its bytes
        expected.extend([0xdd, 0xcc, 0xbb, 0xaa, 7, 0, 0, 0]); // its checksum, places
        expected.extend([100, 0, 0, 0, 0, 0, 0, 0, 120, 0, 0, 0, 0, 0, 0, 0]); // start and end LSN
        expected.extend([2, 0, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0]); // term, next keyspace, databases
        expected.extend([6, 0, 0, 0, 3, 2, 0, 0, 0, 0, 0, 0]); // log, end batch
        expected.extend([1, 2, 3, 4]); // parent
        expected.extend([5, 1, 0, 0, 0, 0, 0, 0, 5, 6, 7, 8]); // swaps and their checksum
        for keyspace in 0..16u8 {
            expected.extend([keyspace, 0, 0, 0]);
        }
        expected.resize(4096, 0);
        let crc = crc32fast::hash(&expected[12..]).to_le_bytes();
        expected[8..12].copy_from_slice(&crc);
        assert_eq!(manifest().encode(), expected);
    }

    #[test]
    fn decode_of_encode_is_the_manifest_and_a_flipped_bit_is_noticed() {
        let fresh = ShardManifest::create([7; 16], ShardId(0));
        assert_eq!(ShardManifest::decode(&fresh.encode()), ManifestRead::Valid(fresh));
        let mut bytes = manifest().encode();
        assert_eq!(ShardManifest::decode(&bytes), ManifestRead::Valid(manifest()));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ShardManifest::decode(&bytes), ManifestRead::Invalid, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        bytes[12] = 9;
        let crc = crc32fast::hash(&bytes[12..]).to_le_bytes();
        bytes[8..12].copy_from_slice(&crc);
        assert_eq!(ShardManifest::decode(&bytes), ManifestRead::Newer(9));
    }

    #[test]
    fn older_formats_are_read_and_their_successor_is_of_the_newest() {
        let without = ShardManifest { snapshot: None, ..manifest() };
        for (format, keyspaces_at) in [(1, 112), (2, 116)] {
            for of in [manifest(), without.clone()] {
                let parent = if format < FORMAT_TIED { 0 } else { of.parent };
                let old = ShardManifest { format, parent, swaps: SwapMark::default(), ..of };
                let bytes = old.encode();
                if old.snapshot.is_some() {
                    let first = &bytes[keyspaces_at..keyspaces_at + 8];
                    assert_eq!(first, [0, 0, 0, 0, 1, 0, 0, 0], "the keyspaces of format {format}");
                }
                assert_eq!(ShardManifest::decode(&bytes), ManifestRead::Valid(old.clone()));
                let next = old.successor();
                assert_eq!((next.format, next.sequence), (SHARD_MANIFEST_FORMAT, 5));
                assert_eq!(next.parent.to_le_bytes(), bytes[8..12]);
                assert_eq!(ShardManifest::decode(&next.encode()), ManifestRead::Valid(next));
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(at in 0usize..200, bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
            let mut image = manifest().encode();
            image[at..at + bytes.len()].copy_from_slice(&bytes);
            let _ = ShardManifest::decode(&image);
            // The same with a checksum that agrees: what lies behind it must not be trusted either.
            let crc = crc32fast::hash(&image[12..]).to_le_bytes();
            image[8..12].copy_from_slice(&crc);
            let _ = ShardManifest::decode(&image);
        }
    }
}
