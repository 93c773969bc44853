//! Records: the absolute effects that a log and an extent are made of, as bytes.
//!
//! A record says what a key is after it, never how it came about, with clocks and randomness resolved, so that
//! applying it again in log order changes nothing. Extents hold whole `Put` records in this same encoding.
//!
//! Layout (integers little-endian, `var` is LEB128 of 1 to 10 bytes, shortest form only):
//!
//! | field | bytes | meaning |
//! |---|---|---|
//! | checksum | 4 | CRC-32 (IEEE) of everything after it, mixed by XOR with the place it is kept in (0 in a log) |
//! | kind | 1 | low 4 bits the kind, high 4 bits flags |
//! | key length | var | 0 to 2^32 - 1 |
//! | value length | var | 0 to 2^32 - 1 |
//! | shard | var | 0 to 65,535 |
//! | term | var | 1 to 2^32 - 1 |
//! | LSN | var | from 1 |
//! | deadline | var | Unix ms, only with flag `HAS_DEADLINE` |
//! | keyspace | var | only with flag `HAS_KEYSPACE`; 0 without it |
//! | offset, total length | var, var | only for `Patch` |
//! | key, value | | |

mod encoder;
mod head;

use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::types::{KeyspaceId, Lsn, ShardId, StoredDb, Term, UnixMs};

pub use encoder::Encoder;
pub use head::Head;

/// Longest head (all before the key) that the encoder can produce.
pub const HEAD_BYTES_MAX: usize = 4 + 1 + 5 + 5 + 3 + 5 + 10 + 10 + 5 + 10 + 10;
/// Bytes of a record at most.
pub const RECORD_BYTES_MAX: usize = HEAD_BYTES_MAX + KEY_BYTES_MAX + VALUE_BYTES_MAX;
/// Shortest possible record: every variable-width number in one byte, no key, no value.
pub const RECORD_BYTES_MIN: usize = 4 + 1 + 5;

const KIND_PUT: u8 = 1;
const KIND_DELETE: u8 = 2;
const KIND_EXPIRE: u8 = 3;
const KIND_PATCH: u8 = 4;
const KIND_KEYSPACES: u8 = 5;
const KIND_FRAGMENT_FIRST: u8 = 6;
const KIND_FRAGMENT_MIDDLE: u8 = 7;
const KIND_FRAGMENT_LAST: u8 = 8;
const KIND_GROUP_END: u8 = 9;

const KIND_MASK: u8 = 0x0f;
const FLAG_HAS_DEADLINE: u8 = 0x10;
const FLAG_HAS_KEYSPACE: u8 = 0x20;
const FLAG_GROUP_CONTINUES: u8 = 0x40;
const FLAGS_KNOWN: u8 = FLAG_HAS_DEADLINE | FLAG_HAS_KEYSPACE | FLAG_GROUP_CONTINUES;

/// Which piece of a record too large for one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FragmentPart {
    /// The first piece.
    First,
    /// Neither the first nor the last.
    Middle,
    /// The last piece: with it the record counts.
    Last,
}

/// What a record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// The key has this value and this deadline.
    Put {
        /// The whole value.
        value: &'a [u8],
        /// When the key ends, or never.
        deadline: Option<UnixMs>,
    },
    /// The key is gone.
    Delete,
    /// The key ends at this time, or never; its value stays.
    Expire {
        /// The new deadline.
        deadline: Option<UnixMs>,
    },
    /// The key's value has these bytes at this offset and this total length; a gap is zeros. The deadline stays.
    Patch {
        /// Where the bytes go.
        offset: u32,
        /// Length of the value afterwards.
        total_len: u32,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// These databases show these keyspaces from here on; the keyspaces they showed before are dropped.
    Keyspaces(KeyspaceChanges<'a>),
    /// One piece of the encoding of a larger record of the same shard, term and LSN.
    Fragment {
        /// Which piece.
        part: FragmentPart,
        /// The piece.
        bytes: &'a [u8],
    },
    /// Closes the group of records that carry `group_continues` before it. Changes nothing.
    GroupEnd,
}

/// The (database, keyspace) pairs of a keyspace change, still encoded: 5 bytes a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyspaceChanges<'a>(&'a [u8]);

impl<'a> KeyspaceChanges<'a> {
    /// Bytes of one pair.
    const PAIR_BYTES: usize = 5;

    /// Reads pairs encoded by [`Self::encode`]; `None` when the length is not that of whole pairs.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.len().is_multiple_of(Self::PAIR_BYTES).then_some(Self(bytes))
    }

    /// Appends one pair to `out`.
    pub fn encode(out: &mut Vec<u8>, db: StoredDb, keyspace: KeyspaceId) {
        out.push(db.0);
        out.extend_from_slice(&keyspace.0.to_le_bytes());
    }

    /// The pairs in order.
    pub fn iter(self) -> impl Iterator<Item = (StoredDb, KeyspaceId)> + 'a {
        self.0.chunks_exact(Self::PAIR_BYTES).map(|pair| {
            let mut id = [0; 4];
            id.copy_from_slice(&pair[1..]);
            (StoredDb(pair[0]), KeyspaceId(u32::from_le_bytes(id)))
        })
    }
}

/// One record, borrowed from the bytes it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The shard whose history it belongs to.
    pub shard: ShardId,
    /// Reign it was written under.
    pub term: Term,
    /// Its place in the shard's history.
    pub lsn: Lsn,
    /// The keyspace of its key; 0 where it has none.
    pub keyspace: KeyspaceId,
    /// Whether more records of the same command follow: recovery applies all of them or none.
    pub group_continues: bool,
    /// The key; empty where the effect has none.
    pub key: &'a [u8],
    /// What it does.
    pub effect: Effect<'a>,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end before the record does.
    #[error("record is cut short")]
    Short,
    /// The checksum does not match.
    #[error("record checksum mismatch")]
    Checksum,
    /// A field holds what the encoder never writes.
    #[error("record field out of range")]
    Field,
}

impl<'a> Record<'a> {
    /// Decodes and verifies the record at the start of `bytes`; the number is how many bytes it takes.
    /// `mask` is what its place was mixed into the checksum with: 0 in a log.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(bytes: &'a [u8], mask: u32) -> Result<(Self, usize), RecordError> {
        let head = Head::decode(bytes)?;
        let len = head.record_len();
        let record = bytes.get(..len).ok_or(RecordError::Short)?;
        if stored_checksum(record) ^ mask != crc32fast::hash(&record[4..]) {
            return Err(RecordError::Checksum);
        }
        Ok((Self::from_head(&head, record)?, len))
    }

    /// Builds the record of a decoded head and the bytes it was decoded from, the checksum being settled.
    ///
    /// # Errors
    /// [`RecordError::Field`] when a field holds what the encoder never writes.
    pub fn from_head(head: &Head, record: &'a [u8]) -> Result<Self, RecordError> {
        let key = head.key(record).ok_or(RecordError::Short)?;
        let value = head.value(record).ok_or(RecordError::Short)?;
        if head.kind & !(KIND_MASK | FLAGS_KNOWN) != 0 || head.lsn == Lsn::ZERO || head.term == Term(0) {
            return Err(RecordError::Field);
        }
        let kind = head.kind & KIND_MASK;
        if head.deadline.is_some() && kind != KIND_PUT && kind != KIND_EXPIRE {
            return Err(RecordError::Field);
        }
        let effect = match kind {
            KIND_PUT => Effect::Put { value, deadline: head.deadline },
            KIND_DELETE if value.is_empty() => Effect::Delete,
            KIND_EXPIRE if value.is_empty() => Effect::Expire { deadline: head.deadline },
            KIND_PATCH if u64::from(head.offset) + value.len() as u64 <= u64::from(head.total_len) => {
                Effect::Patch { offset: head.offset, total_len: head.total_len, bytes: value }
            }
            KIND_KEYSPACES if key.is_empty() => {
                Effect::Keyspaces(KeyspaceChanges::new(value).ok_or(RecordError::Field)?)
            }
            KIND_FRAGMENT_FIRST => Effect::Fragment { part: FragmentPart::First, bytes: value },
            KIND_FRAGMENT_MIDDLE => Effect::Fragment { part: FragmentPart::Middle, bytes: value },
            KIND_FRAGMENT_LAST => Effect::Fragment { part: FragmentPart::Last, bytes: value },
            KIND_GROUP_END if key.is_empty() && value.is_empty() => Effect::GroupEnd,
            _ => return Err(RecordError::Field),
        };
        Ok(Self {
            shard: head.shard,
            term: head.term,
            lsn: head.lsn,
            keyspace: head.keyspace,
            group_continues: head.kind & FLAG_GROUP_CONTINUES != 0,
            key,
            effect,
        })
    }

    /// Prepares the encoding: its length is known before a byte is written.
    #[must_use]
    #[inline]
    pub fn encoder(&self) -> Encoder<'a> {
        let (kind, value, deadline, patch) = match self.effect {
            Effect::Put { value, deadline } => (KIND_PUT, value, deadline, None),
            Effect::Delete => (KIND_DELETE, &[][..], None, None),
            Effect::Expire { deadline } => (KIND_EXPIRE, &[][..], deadline, None),
            Effect::Patch { offset, total_len, bytes } => {
                assert!(
                    u64::from(offset) + bytes.len() as u64 <= u64::from(total_len),
                    "patch beyond the value"
                );
                (KIND_PATCH, bytes, None, Some((offset, total_len)))
            }
            Effect::Keyspaces(changes) => (KIND_KEYSPACES, changes.0, None, None),
            Effect::Fragment { part, bytes } => {
                let kind = match part {
                    FragmentPart::First => KIND_FRAGMENT_FIRST,
                    FragmentPart::Middle => KIND_FRAGMENT_MIDDLE,
                    FragmentPart::Last => KIND_FRAGMENT_LAST,
                };
                (kind, bytes, None, None)
            }
            Effect::GroupEnd => (KIND_GROUP_END, &[][..], None, None),
        };
        Encoder::new(self, kind, value, deadline, patch)
    }

    /// Appends the encoding to `out`, for a log (checksum mask 0).
    pub fn encode_to(&self, out: &mut Vec<u8>) {
        let encoder = self.encoder();
        let start = out.len();
        out.resize(start + encoder.len(), 0);
        encoder.write(&mut out[start..]);
    }
}

/// The checksum as stored at the start of a record of at least four bytes.
pub(crate) fn stored_checksum(record: &[u8]) -> u32 {
    u32::from_le_bytes([record[0], record[1], record[2], record[3]])
}

/// Mixes a place into the checksum of a record of at least four bytes, or takes it out again.
#[inline]
pub fn mix_checksum(record: &mut [u8], mask: u32) {
    let mixed = stored_checksum(record) ^ mask;
    record[..4].copy_from_slice(&mixed.to_le_bytes());
}

#[cfg(test)]
mod tests;
