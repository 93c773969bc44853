//! Chunks: the pieces that a snapshot is made of, as bytes.
//!
//! A chunk is a multiple of 4096 bytes, at most 256 KiB: a header of 64 bytes, items back to back, zeros. Header
//! (little-endian):
//!
//! | offset | bytes | field | meaning |
//! |---|---|---|---|
//! | 0 | 4 | magic | `OSNP` |
//! | 4 | 4 | checksum | CRC-32 of bytes 8 to the end of the chunk, continued from the store's checksum seed |
//! | 8 | 4 | format | 3 (2: no records; 1: and extents tell no deadlines) |
//! | 12 | 4 | kind | 1 entries, 2 extents, 3 footer, 4 records |
//! | 16 | 4 | byte length | of the chunk |
//! | 20 | 4 | payload length | bytes of items |
//! | 24 | 4 | shard | |
//! | 28 | 4 | snapshot number | |
//! | 32 | 8 | offset | of the chunk in the file |
//! | 40 | 4 | previous checksum | of the chunk before; 0 for the first |
//! | 44 | 20 | reserved | 0 |
//!
//! Items of *entries*: a table, or a piece of one: keyspace 4, slot 2, reserved 2, count 4, then `count` entries of 12
//! bytes: hash, extent number, and (offset | length class << 20 | flags << 28). Items of *extents*: number 4, first
//! place 4, place count 4, used bytes 4, salt 4, bucket count 4 (2^32 - 1: deadlines unknown), base second 4, and so many
//! buckets of 8 bytes: end second 4, bytes 4; in format 1 only the first 20 bytes. *Records*: the next bytes of the tail,
//! a row of records of which one may begin in one chunk and end in another (`tail.rs`). The *footer*: entries 8, extents 8,
//! chunks 8 (itself left out), records of the tail 8, bytes of the tail 8, end LSN 8 (0 without a tail); before format 3
//! only the first 24 bytes.

use crate::extent::{DeadlineBucket, Deadlines, ExtentOnDisk};
use crate::index::{Entry, ExtentNumber};
use crate::io::BLOCK_BYTES;
use crate::log::fields::FieldReader;
use crate::planted::{self, PlantedBug};
use crate::types::{KeyspaceId, Lsn, ShardId, Slot};

/// Bytes of a chunk at most.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;
/// Bytes before the first item of a chunk.
pub(crate) const CHUNK_HEADER_BYTES: usize = 64;
/// Bytes before the entries of a table.
pub(crate) const TABLE_HEAD_BYTES: usize = 12;
/// Bytes of an entry.
pub(crate) const ENTRY_BYTES: usize = 12;
/// Bytes of an extent in format 1.
const EXTENT_BYTES_1: usize = 20;
/// Bytes of an extent without its buckets.
const EXTENT_BYTES: usize = 28;
/// Bytes of a bucket of deadlines.
const BUCKET_BYTES: usize = 8;
/// Bucket count of an extent of whose deadlines nothing is known.
const UNKNOWN: u32 = u32::MAX;

const MAGIC: [u8; 4] = *b"OSNP";
const FORMAT: u32 = 3;
/// The oldest format that is read.
const FORMAT_MIN: u32 = 1;
/// The first format with records, and a footer that counts them.
const FORMAT_WITH_TAIL: u32 = 3;

/// Which snapshot of which shard of which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotIdentity {
    /// Checksum seed of the store: chunk checksums continue from it.
    pub store: u32,
    /// The shard.
    pub shard: ShardId,
    /// Number of the snapshot, from 1.
    pub number: u32,
}

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkKind {
    Entries,
    Extents,
    Footer,
    Records,
}

impl ChunkKind {
    const fn code(self) -> u32 {
        match self {
            Self::Entries => 1,
            Self::Extents => 2,
            Self::Footer => 3,
            Self::Records => 4,
        }
    }

    const fn of(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::Entries),
            2 => Some(Self::Extents),
            3 => Some(Self::Footer),
            4 => Some(Self::Records),
            _ => None,
        }
    }
}

/// The counts that close a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) entries: u64,
    pub(crate) extents: u64,
    pub(crate) chunks: u64,
    pub(crate) tail: TailCounts,
}

/// What the tail of a snapshot comes to; all 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailCounts {
    /// Records.
    pub records: u64,
    /// Their bytes, without the headers of chunks.
    pub bytes: u64,
    /// The last record of the shard when the copy ended: the tail ends with it, unless it is empty.
    pub end: Lsn,
}

/// What a chunk's header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkHeader {
    pub(crate) kind: ChunkKind,
    pub(crate) bytes: usize,
    pub(crate) payload: usize,
    pub(crate) crc: u32,
    pub(crate) format: u32,
}

/// Why bytes are not the chunk that should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkError {
    Damaged,
    Newer(u32),
    /// The bytes end before the chunk does: so many are needed.
    Short(usize),
}

/// Closes a chunk: writes its header around a payload that starts at [`CHUNK_HEADER_BYTES`]. Returns the chunk's
/// length and checksum.
pub(crate) fn seal(
    identity: &SnapshotIdentity,
    kind: ChunkKind,
    payload: usize,
    offset: u64,
    previous: u32,
    chunk: &mut [u8],
) -> (usize, u32) {
    let bytes = (CHUNK_HEADER_BYTES + payload).next_multiple_of(BLOCK_BYTES);
    let chunk = &mut chunk[..bytes];
    chunk[CHUNK_HEADER_BYTES + payload..].fill(0);
    let header = &mut chunk[..CHUNK_HEADER_BYTES];
    header.fill(0);
    header[..4].copy_from_slice(&MAGIC);
    let mut put = |at: usize, value: u32| header[at..at + 4].copy_from_slice(&value.to_le_bytes());
    put(8, FORMAT);
    put(12, kind.code());
    put(16, len_u32(bytes));
    put(20, len_u32(payload));
    put(24, u32::from(identity.shard.0));
    put(28, identity.number);
    put(40, previous);
    header[32..40].copy_from_slice(&offset.to_le_bytes());
    let crc = checksum(identity, chunk);
    chunk[4..8].copy_from_slice(&crc.to_le_bytes());
    (bytes, crc)
}

/// Verifies the chunk at the front of `bytes`, which must be the one at `offset` after `previous`.
pub(crate) fn open(
    identity: &SnapshotIdentity,
    offset: u64,
    previous: u32,
    bytes: &[u8],
) -> Result<ChunkHeader, ChunkError> {
    let header = bytes.get(..CHUNK_HEADER_BYTES).ok_or(ChunkError::Short(BLOCK_BYTES))?;
    let u32_at = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (len, payload) = (u32_at(16) as usize, u32_at(20) as usize);
    let sized = len.is_multiple_of(BLOCK_BYTES) && (BLOCK_BYTES..=CHUNK_BYTES).contains(&len);
    if header[..4] != MAGIC || !sized || CHUNK_HEADER_BYTES + payload > len {
        return Err(ChunkError::Damaged);
    }
    let chunk = bytes.get(..len).ok_or(ChunkError::Short(len))?;
    if u32_at(4) != checksum(identity, chunk) && !planted::is(PlantedBug::SnapshotUnverified) {
        return Err(ChunkError::Damaged);
    }
    if u32_at(8) > FORMAT {
        return Err(ChunkError::Newer(u32_at(8)));
    }
    let own = u32_at(24) == u32::from(identity.shard.0)
        && u32_at(28) == identity.number
        && header[32..40] == offset.to_le_bytes()
        && u32_at(40) == previous;
    let first_format = |kind| if kind == ChunkKind::Records { FORMAT_WITH_TAIL } else { FORMAT_MIN };
    match ChunkKind::of(u32_at(12)) {
        Some(kind) if own && u32_at(8) >= first_format(kind) => {
            Ok(ChunkHeader { kind, bytes: len, payload, crc: u32_at(4), format: u32_at(8) })
        }
        _ => Err(ChunkError::Damaged),
    }
}

/// Makes all checksums of a whole snapshot right again after a forgery, the chain of them too. Returns the footer's;
/// `None` when it is not a row of chunks.
#[cfg(feature = "sim")]
pub(crate) fn reseal(store: u32, snapshot: &mut [u8]) -> Option<u32> {
    let (mut at, mut previous) = (0, 0u32);
    while at < snapshot.len() {
        let len = snapshot.get(at + 16..at + 20)?.try_into().map(u32::from_le_bytes).ok()? as usize;
        if len < CHUNK_HEADER_BYTES {
            return None;
        }
        let chunk = snapshot.get_mut(at..at + len)?;
        chunk[40..44].copy_from_slice(&previous.to_le_bytes());
        let identity = SnapshotIdentity { store, shard: ShardId(0), number: 0 };
        previous = checksum(&identity, chunk);
        chunk[4..8].copy_from_slice(&previous.to_le_bytes());
        at += len;
    }
    Some(previous)
}

fn checksum(identity: &SnapshotIdentity, chunk: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(identity.store);
    hasher.update(&chunk[8..]);
    hasher.finalize()
}

fn len_u32(len: usize) -> u32 {
    let Ok(len) = u32::try_from(len) else { unreachable!("a chunk is below 4 GiB") };
    len
}

/// Writes the head of a table's entries.
pub(crate) fn put_table_head(keyspace: KeyspaceId, slot: Slot, count: usize, out: &mut [u8]) {
    out[..4].copy_from_slice(&keyspace.0.to_le_bytes());
    out[4..6].copy_from_slice(&slot.0.to_le_bytes());
    out[6..8].fill(0);
    out[8..12].copy_from_slice(&len_u32(count).to_le_bytes());
}

/// Writes an entry.
pub(crate) fn put_entry(entry: Entry, out: &mut [u8]) {
    for (word, out) in entry.to_words().into_iter().zip(out.chunks_exact_mut(4)) {
        out.copy_from_slice(&word.to_le_bytes());
    }
}

/// Bytes that an extent takes in a chunk.
pub(crate) fn extent_bytes(extent: &ExtentOnDisk) -> usize {
    let buckets = extent.deadlines.as_ref().map_or(0, |deadlines| deadlines.buckets().len());
    EXTENT_BYTES + buckets * BUCKET_BYTES
}

/// Writes an extent.
pub(crate) fn put_extent(extent: &ExtentOnDisk, out: &mut [u8]) {
    assert_eq!(out.len(), extent_bytes(extent), "room for an extent");
    let known = extent.deadlines.as_ref();
    let count = known.map_or(UNKNOWN, |deadlines| len_u32(deadlines.buckets().len()));
    let base_s = known.map_or(0, Deadlines::base_s);
    let words =
        [extent.number.0, extent.place, extent.place_count, extent.used_bytes, extent.salt, count, base_s];
    let buckets = known.map_or(&[][..], Deadlines::buckets).iter();
    let buckets = buckets.flat_map(|bucket| [bucket.end_s, bucket.bytes]);
    for (word, out) in words.into_iter().chain(buckets).zip(out.chunks_exact_mut(4)) {
        out.copy_from_slice(&word.to_le_bytes());
    }
}

/// A table, or a piece of one, as it stands in a chunk.
pub(crate) struct TablePiece<'a> {
    pub(crate) keyspace: KeyspaceId,
    pub(crate) slot: Slot,
    entries: &'a [u8],
}

impl<'a> TablePiece<'a> {
    /// The piece at the front of `payload`, and what follows it; `None` when that is no piece.
    pub(crate) fn split(payload: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let mut fields = FieldReader::new(payload);
        let (keyspace, slot) = (KeyspaceId(fields.u32()?), Slot(fields.u16()?));
        let (reserved, count) = (fields.u16()?, fields.u32()? as usize);
        let rest = payload.get(TABLE_HEAD_BYTES..)?;
        let bytes = count.checked_mul(ENTRY_BYTES)?;
        if reserved != 0 || bytes > rest.len() {
            return None;
        }
        let (entries, rest) = rest.split_at(bytes);
        Some((Self { keyspace, slot, entries }, rest))
    }

    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = Entry> + 'a {
        self.entries.chunks_exact(ENTRY_BYTES).map(|bytes| {
            let word =
                |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            Entry::from_words([word(0), word(4), word(8)])
        })
    }
}

/// The extent at the front of a payload of this format, and what follows it; `None` when that is no extent.
pub(crate) fn split_extent(format: u32, payload: &[u8]) -> Option<(ExtentOnDisk, &[u8])> {
    let mut fields = FieldReader::new(payload);
    let mut extent = ExtentOnDisk {
        number: ExtentNumber(fields.u32()?),
        place: fields.u32()?,
        place_count: fields.u32()?,
        used_bytes: fields.u32()?,
        salt: fields.u32()?,
        deadlines: None,
    };
    if format == FORMAT_MIN {
        return Some((extent, payload.get(EXTENT_BYTES_1..)?));
    }
    let (count, base_s) = (fields.u32()?, fields.u32()?);
    if count == UNKNOWN {
        return (base_s == 0).then_some((extent, payload.get(EXTENT_BYTES..)?));
    }
    let bytes = usize::try_from(count).ok()?.checked_mul(BUCKET_BYTES)?;
    let rest = payload.get(EXTENT_BYTES.checked_add(bytes)?..)?;
    let bucket = |_| Some(DeadlineBucket { end_s: fields.u32()?, bytes: fields.u32()? });
    let buckets: Option<Vec<DeadlineBucket>> = (0..count).map(bucket).collect();
    extent.deadlines = Some(Deadlines::from_parts(base_s, buckets?)?);
    Some((extent, rest))
}

impl Footer {
    pub(crate) const BYTES: usize = 48;
    /// Bytes before format 3.
    const BYTES_2: usize = 24;

    pub(crate) fn put(&self, out: &mut [u8]) {
        let TailCounts { records, bytes, end } = self.tail;
        let counts = [self.entries, self.extents, self.chunks, records, bytes, end.0];
        for (count, out) in counts.into_iter().zip(out.chunks_exact_mut(8)) {
            out.copy_from_slice(&count.to_le_bytes());
        }
    }

    pub(crate) fn read(format: u32, payload: &[u8]) -> Option<Self> {
        let mut fields = FieldReader::new(payload);
        let (entries, extents, chunks) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let mut footer = Self { entries, extents, chunks, tail: TailCounts::default() };
        if format < FORMAT_WITH_TAIL {
            return (payload.len() == Self::BYTES_2).then_some(footer);
        }
        footer.tail = TailCounts { records: fields.u64()?, bytes: fields.u64()?, end: Lsn(fields.u64()?) };
        (payload.len() == Self::BYTES).then_some(footer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Location;

    const IDENTITY: SnapshotIdentity = SnapshotIdentity { store: 5, shard: ShardId(2), number: 9 };

    #[test]
    fn golden_bytes_of_a_chunk() {
        let mut chunk = vec![0xee; 8192];
        let at = Location { extent: ExtentNumber(0x0403_0201), offset: 0x0a_bcde };
        put_table_head(KeyspaceId(6), Slot(0x0107), 1, &mut chunk[64..]);
        put_entry(Entry::new(0x1122_3344, at, 8), &mut chunk[76..]);
        let (bytes, crc) = seal(&IDENTITY, ChunkKind::Entries, 24, 0x2000, 0x0d0c_0b0a, &mut chunk);
        assert_eq!(bytes, 4096);
        let mut expected =
            b"OSNP\0\0\0\0\x03\0\0\0\x01\0\0\0\0\x10\0\0\x18\0\0\0\x02\0\0\0\x09\0\0\0".to_vec();
        expected.extend([0, 0x20, 0, 0, 0, 0, 0, 0, 0x0a, 0x0b, 0x0c, 0x0d]);
        expected.resize(64, 0);
        expected.extend([6, 0, 0, 0, 7, 1, 0, 0, 1, 0, 0, 0]);
        // The entry: hash, extent, offset with length class 8 (8 to 8 bytes) above it.
        expected.extend([0x44, 0x33, 0x22, 0x11, 1, 2, 3, 4, 0xde, 0xbc, 0x8a, 0]);
        expected.resize(4096, 0);
        expected[4..8].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(chunk[..4096], expected[..]);
        let mut hasher = crc32fast::Hasher::new_with_initial(5);
        hasher.update(&expected[8..]);
        assert_eq!(crc, hasher.finalize());
        let header = open(&IDENTITY, 0x2000, 0x0d0c_0b0a, &chunk).unwrap();
        assert_eq!((header.kind, header.bytes, header.payload), (ChunkKind::Entries, 4096, 24));
    }

    fn extent(deadlines: Option<Deadlines>) -> ExtentOnDisk {
        ExtentOnDisk {
            number: ExtentNumber(0x0403_0201),
            place: 5,
            place_count: 1,
            used_bytes: 0x1000,
            salt: 9,
            deadlines,
        }
    }

    #[test]
    fn golden_bytes_of_an_extent() {
        let buckets =
            vec![DeadlineBucket { end_s: 0x0a, bytes: 0x0b }, DeadlineBucket { end_s: 0x0c, bytes: 0x0d }];
        let mut expected = vec![1, 2, 3, 4, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0x10, 0, 0, 9, 0, 0, 0];
        let older = expected.clone();
        let known = extent(Deadlines::from_parts(7, buckets));
        expected.extend([2, 0, 0, 0, 7, 0, 0, 0, 10, 0, 0, 0, 11, 0, 0, 0, 12, 0, 0, 0, 13, 0, 0, 0]);
        let mut bytes = vec![0; extent_bytes(&known)];
        put_extent(&known, &mut bytes);
        assert_eq!(bytes, expected);
        bytes.push(77);
        assert_eq!(split_extent(2, &bytes), Some((known, &[77][..])));
        assert!(split_extent(2, &bytes[..43]).is_none(), "cut short");
        bytes[36..40].fill(0);
        assert!(split_extent(2, &bytes).is_none(), "buckets out of order");
        assert_eq!(split_extent(1, &older), Some((extent(None), &[][..])), "an older snapshot does not tell");
        let mut bytes = vec![0; EXTENT_BYTES];
        put_extent(&extent(None), &mut bytes);
        assert_eq!(split_extent(2, &bytes), Some((extent(None), &[][..])), "what is unknown stays so");
    }

    #[test]
    fn golden_bytes_of_a_footer() {
        let tail = TailCounts { records: 5, bytes: 0x0607, end: Lsn(8) };
        let footer = Footer { entries: 0x0102, extents: 3, chunks: 4, tail };
        let mut bytes = [0xee; Footer::BYTES];
        footer.put(&mut bytes);
        let mut expected = vec![2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([5, 0, 0, 0, 0, 0, 0, 0, 7, 6, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes, expected[..]);
        assert_eq!(Footer::read(3, &bytes), Some(footer));
        assert_eq!(Footer::read(3, &bytes[..24]), None, "cut short");
        let older = Footer { tail: TailCounts::default(), ..footer };
        assert_eq!(Footer::read(2, &bytes[..24]), Some(older), "an older snapshot has no tail");
        assert_eq!(Footer::read(2, &bytes), None, "too long");
    }

    #[test]
    fn golden_bytes_of_a_chunk_of_records() {
        let mut chunk = vec![0xee; 4096];
        chunk[64..67].copy_from_slice(b"abc");
        let (bytes, crc) = seal(&IDENTITY, ChunkKind::Records, 3, 0x1000, 0x0d0c_0b0a, &mut chunk);
        let mut expected =
            b"OSNP\0\0\0\0\x03\0\0\0\x04\0\0\0\0\x10\0\0\x03\0\0\0\x02\0\0\0\x09\0\0\0".to_vec();
        expected.extend([0, 0x10, 0, 0, 0, 0, 0, 0, 0x0a, 0x0b, 0x0c, 0x0d]);
        expected.resize(64, 0);
        expected.extend(b"abc");
        expected.resize(4096, 0);
        expected[4..8].copy_from_slice(&crc.to_le_bytes());
        assert_eq!((bytes, &chunk), (4096, &expected));
        chunk[8] = 2;
        let mut hasher = crc32fast::Hasher::new_with_initial(5);
        hasher.update(&chunk[8..]);
        chunk[4..8].copy_from_slice(&hasher.finalize().to_le_bytes());
        let older = open(&IDENTITY, 0x1000, 0x0d0c_0b0a, &chunk);
        assert_eq!(older, Err(ChunkError::Damaged), "records came with format 3");
    }

    #[test]
    fn a_chunk_of_another_place_file_or_time_and_every_flipped_bit_are_noticed() {
        let mut chunk = vec![0; 4096];
        let footer = Footer { entries: 1, extents: 2, chunks: 3, tail: TailCounts::default() };
        footer.put(&mut chunk[64..]);
        seal(&IDENTITY, ChunkKind::Footer, Footer::BYTES, 8192, 7, &mut chunk);
        assert!(open(&IDENTITY, 8192, 7, &chunk).is_ok());
        assert_eq!(Footer::read(3, &chunk[64..64 + Footer::BYTES]), Some(footer));
        for (identity, offset, previous) in [
            (SnapshotIdentity { store: 6, ..IDENTITY }, 8192, 7),
            (SnapshotIdentity { shard: ShardId(3), ..IDENTITY }, 8192, 7),
            (SnapshotIdentity { number: 8, ..IDENTITY }, 8192, 7),
            (IDENTITY, 4096, 7),
            (IDENTITY, 8192, 8),
        ] {
            assert_eq!(open(&identity, offset, previous, &chunk), Err(ChunkError::Damaged));
        }
        for bit in 0..chunk.len() * 8 {
            chunk[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&IDENTITY, 8192, 7, &chunk).is_err(), "bit {bit}");
            chunk[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
