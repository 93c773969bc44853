//! The bytes of a dump (little-endian). A header, then blocks, the last of them the end block:
//!
//! | offset | bytes | field of the header | meaning |
//! |---|---|---|---|
//! | 0 | 8 | magic | `OURODUMP` |
//! | 8 | 4 | checksum | CRC-32 (IEEE) of bytes 12 to 63 |
//! | 12 | 4 | format | 1 |
//! | 16 | 8 | created | Unix ms |
//! | 24 | 16 | uuid | of the store that was dumped; for people only |
//! | 40 | 24 | reserved | 0 |
//!
//! | offset | bytes | field of a block | meaning |
//! |---|---|---|---|
//! | 0 | 4 | magic | `ODBL` |
//! | 4 | 4 | checksum | CRC-32 of bytes 8 to the end of the block, continued from the checksum before it |
//! | 8 | 4 | kind | 1 records, 2 end |
//! | 12 | 4 | payload length | 1 to 1 MiB |
//! | 16 | 8 | number | from 0 |
//! | 24 | 8 | reserved | 0 |
//! | 32 | | payload | |
//!
//! The payloads of the *records* blocks, joined, are the records back to back; a record may go on in the next block:
//!
//! | bytes | field | meaning |
//! |---|---|---|
//! | 1 | flags | 1 has a deadline |
//! | 1 | database | 0 to 15 |
//! | 2 | reserved | 0 |
//! | 4 | key length | |
//! | 4 | value length | |
//! | 8 | deadline | Unix ms; only with flag 1 |
//! | | key, value | |
//!
//! The payload of the *end* block: records 8, bytes of the joined payloads 8, blocks before it 8, then records of each
//! of the 16 databases, 8 bytes each. Nothing follows it.

use crate::limits::{DATABASE_COUNT, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::log::fields::{FieldReader, FieldWriter};
use crate::types::{Db, UnixMs};

/// First bytes of a dump.
pub const DUMP_MAGIC: [u8; 8] = *b"OURODUMP";
/// Version of the layout that this program writes, and the newest it reads.
pub const DUMP_FORMAT: u32 = 1;
/// Bytes before the first block.
pub const DUMP_HEADER_BYTES: usize = 64;

/// First bytes of a block.
pub(super) const BLOCK_MAGIC: [u8; 4] = *b"ODBL";
/// Bytes of a block before its payload.
pub(super) const BLOCK_HEADER_BYTES: usize = 32;
/// A block of records.
pub(super) const KIND_RECORDS: u32 = 1;
/// The block that makes a dump whole.
pub(super) const KIND_END: u32 = 2;
/// Bytes of a record before its deadline or key.
pub(super) const RECORD_HEAD_BYTES: usize = 12;
/// The record has a deadline.
pub(super) const FLAG_HAS_DEADLINE: u8 = 1;

/// One key of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DumpRecord<'a> {
    /// The database it is in.
    pub db: Db,
    /// When it ends, or never.
    pub deadline: Option<UnixMs>,
    /// The key.
    pub key: &'a [u8],
    /// The whole value.
    pub value: &'a [u8],
}

/// What a dump holds, as its end block says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DumpCounts {
    /// Records.
    pub records: u64,
    /// Bytes of all records, heads included.
    pub bytes: u64,
    /// Blocks of records.
    pub blocks: u64,
    /// Records of each database.
    pub by_database: [u64; DATABASE_COUNT as usize],
}

impl DumpCounts {
    pub(super) fn note(&mut self, record: &DumpRecord<'_>, bytes: usize) {
        self.records += 1;
        self.bytes += bytes as u64;
        self.by_database[usize::from(record.db.0)] += 1;
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut fields = FieldWriter::default();
        fields.u64(self.records).u64(self.bytes).u64(self.blocks);
        for count in self.by_database {
            fields.u64(count);
        }
        fields.finish(1)
    }

    pub(super) fn decode(payload: &[u8]) -> Option<Self> {
        let mut fields = FieldReader::new(payload);
        let mut counts = Self {
            records: fields.u64()?,
            bytes: fields.u64()?,
            blocks: fields.u64()?,
            by_database: Default::default(),
        };
        for count in &mut counts.by_database {
            *count = fields.u64()?;
        }
        (payload.len() == (3 + usize::from(DATABASE_COUNT)) * 8).then_some(counts)
    }
}

/// The head of a record, its key and value to follow.
pub(super) struct RecordHead {
    pub(super) db: Db,
    pub(super) deadline: Option<UnixMs>,
    pub(super) key_len: usize,
    pub(super) value_len: usize,
    /// Bytes before the key.
    pub(super) len: usize,
}

impl RecordHead {
    /// `Ok(None)`: more bytes are needed. An error: no record begins like this.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>, ()> {
        let Some(head) = bytes.first_chunk::<RECORD_HEAD_BYTES>() else { return Ok(None) };
        let [flags, db, reserved @ .., k0, k1, k2, k3, v0, v1, v2, v3] = *head;
        let (key_len, value_len) =
            (u32::from_le_bytes([k0, k1, k2, k3]), u32::from_le_bytes([v0, v1, v2, v3]));
        let (key_len, value_len) = (key_len as usize, value_len as usize);
        let bounded = key_len <= KEY_BYTES_MAX && value_len <= VALUE_BYTES_MAX;
        if flags & !FLAG_HAS_DEADLINE != 0 || db >= DATABASE_COUNT || reserved != [0; 2] || !bounded {
            return Err(());
        }
        let (mut deadline, mut len) = (None, RECORD_HEAD_BYTES);
        if flags & FLAG_HAS_DEADLINE != 0 {
            let Some(field) = bytes[len..].first_chunk() else { return Ok(None) };
            deadline = Some(UnixMs(u64::from_le_bytes(*field)));
            len += field.len();
        }
        Ok(Some(Self { db: Db(db), deadline, key_len, value_len, len }))
    }

    /// Bytes of the whole record.
    pub(super) fn record_len(&self) -> usize {
        self.len + self.key_len + self.value_len
    }
}

/// Checksum of a block's bytes behind the checksum itself.
pub(super) fn checksum(previous: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(previous);
    hasher.update(bytes);
    hasher.finalize()
}
