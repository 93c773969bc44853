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

use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::types::{KeyspaceId, Lsn, ShardId, StoredDb, Term, UnixMs};

/// Longest head (all before the key) that the encoder can produce.
pub const HEAD_BYTES_MAX: usize = 4 + 1 + 5 + 5 + 3 + 5 + 10 + 10 + 5 + 10 + 10;
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

/// Head of a record: everything before its key. Lengths and places within the record's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    kind: u8,
    key_len: u32,
    value_len: u32,
    /// The shard whose history the record belongs to.
    pub shard: ShardId,
    /// Reign it was written under.
    pub term: Term,
    /// Its place in the shard's history.
    pub lsn: Lsn,
    /// Deadline, if it has one.
    pub deadline: Option<UnixMs>,
    /// The keyspace of its key.
    pub keyspace: KeyspaceId,
    offset: u32,
    total_len: u32,
    head_len: u32,
}

impl Head {
    /// Decodes the head at the start of `bytes` without looking at the checksum or at what lies behind.
    ///
    /// # Errors
    /// [`RecordError::Short`] or [`RecordError::Field`].
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let kind = *bytes.get(4).ok_or(RecordError::Short)?;
        let mut at = 5;
        let key_len = var_u32(bytes, &mut at)?;
        let value_len = var_u32(bytes, &mut at)?;
        let shard = var_u32(bytes, &mut at)?;
        let term = var_u32(bytes, &mut at)?;
        let lsn = var_u64(bytes, &mut at)?;
        let deadline =
            if kind & FLAG_HAS_DEADLINE != 0 { Some(UnixMs(var_u64(bytes, &mut at)?)) } else { None };
        let keyspace = if kind & FLAG_HAS_KEYSPACE != 0 { var_u32(bytes, &mut at)? } else { 0 };
        let (offset, total_len) = if kind & KIND_MASK == KIND_PATCH {
            (var_u32(bytes, &mut at)?, var_u32(bytes, &mut at)?)
        } else {
            (0, 0)
        };
        let shard = u16::try_from(shard).map_err(|_| RecordError::Field)?;
        let head_len = u32::try_from(at).map_err(|_| RecordError::Field)?;
        Ok(Self {
            kind,
            key_len,
            value_len,
            shard: ShardId(shard),
            term: Term(term),
            lsn: Lsn(lsn),
            deadline,
            keyspace: KeyspaceId(keyspace),
            offset,
            total_len,
            head_len,
        })
    }

    /// Bytes of the whole record.
    #[must_use]
    #[inline]
    pub fn record_len(&self) -> usize {
        self.head_len as usize + self.key_len as usize + self.value_len as usize
    }

    /// Length of the value in bytes.
    #[must_use]
    pub fn value_len(&self) -> usize {
        self.value_len as usize
    }

    /// The key, out of the record's bytes; `None` when they are too short.
    #[must_use]
    #[inline]
    pub fn key<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        let start = self.head_len as usize;
        record.get(start..start + self.key_len as usize)
    }

    /// The value, out of the record's bytes; `None` when they are too short.
    #[must_use]
    #[inline]
    pub fn value<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        let start = self.head_len as usize + self.key_len as usize;
        record.get(start..start + self.value_len as usize)
    }

    /// Whether the record changes only a part of a value.
    #[must_use]
    pub fn is_patch(&self) -> bool {
        self.kind & KIND_MASK == KIND_PATCH
    }

    /// Whether this is one piece of a larger record.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        matches!(self.kind & KIND_MASK, KIND_FRAGMENT_FIRST | KIND_FRAGMENT_MIDDLE | KIND_FRAGMENT_LAST)
    }
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

/// A record about to be written: head encoded, key and value still where they were.
#[derive(Debug)]
pub struct Encoder<'a> {
    head: [u8; HEAD_BYTES_MAX],
    head_len: usize,
    key: &'a [u8],
    value: &'a [u8],
}

impl<'a> Encoder<'a> {
    #[inline]
    fn new(
        record: &Record<'a>,
        kind: u8,
        value: &'a [u8],
        deadline: Option<UnixMs>,
        patch: Option<(u32, u32)>,
    ) -> Self {
        assert!(record.lsn > Lsn::ZERO && record.term > Term(0), "a record has an LSN and a term");
        assert!(record.key.len() <= KEY_BYTES_MAX && value.len() <= VALUE_BYTES_MAX, "key or value too long");
        let mut head = [0; HEAD_BYTES_MAX];
        let mut flags = 0;
        if deadline.is_some() {
            flags |= FLAG_HAS_DEADLINE;
        }
        if record.keyspace != KeyspaceId(0) {
            flags |= FLAG_HAS_KEYSPACE;
        }
        if record.group_continues {
            flags |= FLAG_GROUP_CONTINUES;
        }
        head[4] = kind | flags;
        let mut at = 5;
        put_var(&mut head, &mut at, record.key.len() as u64);
        put_var(&mut head, &mut at, value.len() as u64);
        put_var(&mut head, &mut at, u64::from(record.shard.0));
        put_var(&mut head, &mut at, u64::from(record.term.0));
        put_var(&mut head, &mut at, record.lsn.0);
        if let Some(deadline) = deadline {
            put_var(&mut head, &mut at, deadline.0);
        }
        if record.keyspace != KeyspaceId(0) {
            put_var(&mut head, &mut at, u64::from(record.keyspace.0));
        }
        if let Some((offset, total_len)) = patch {
            put_var(&mut head, &mut at, u64::from(offset));
            put_var(&mut head, &mut at, u64::from(total_len));
        }
        Self { head, head_len: at, key: record.key, value }
    }

    /// Bytes of the encoding.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.head_len + self.key.len() + self.value.len()
    }

    /// Never: a record has a head.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Writes the encoding with its checksum (mask 0) into `out`, which has exactly [`Self::len`] bytes.
    #[inline]
    pub fn write(&self, out: &mut [u8]) {
        self.write_unsummed(out);
        let checksum = crc32fast::hash(&out[4..]);
        out[..4].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Writes the encoding with a checksum of 0, for memory that no disk will ever see.
    #[inline]
    pub fn write_unsummed(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.len(), "the place fits the record");
        let (head, rest) = out.split_at_mut(self.head_len);
        let (key, value) = rest.split_at_mut(self.key.len());
        head.copy_from_slice(&self.head[..self.head_len]);
        key.copy_from_slice(self.key);
        value.copy_from_slice(self.value);
    }
}

/// The checksum as stored at the start of a record of at least four bytes.
fn stored_checksum(record: &[u8]) -> u32 {
    u32::from_le_bytes([record[0], record[1], record[2], record[3]])
}

/// Mixes a place into the checksum of a record of at least four bytes, or takes it out again.
#[inline]
pub fn mix_checksum(record: &mut [u8], mask: u32) {
    let mixed = stored_checksum(record) ^ mask;
    record[..4].copy_from_slice(&mixed.to_le_bytes());
}

/// LEB128 of `value` at `at`.
#[inline]
fn put_var(out: &mut [u8; HEAD_BYTES_MAX], at: &mut usize, mut value: u64) {
    while value >= 0x80 {
        out[*at] = (value & 0x7f) as u8 | 0x80;
        *at += 1;
        value >>= 7;
    }
    out[*at] = (value & 0x7f) as u8;
    *at += 1;
}

#[inline]
fn var_u64(bytes: &[u8], at: &mut usize) -> Result<u64, RecordError> {
    let first = *bytes.get(*at).ok_or(RecordError::Short)?;
    *at += 1;
    if first < 0x80 {
        return Ok(u64::from(first));
    }
    let mut value = u64::from(first & 0x7f);
    let mut shift = 7;
    loop {
        let byte = *bytes.get(*at).ok_or(RecordError::Short)?;
        *at += 1;
        let part = u64::from(byte & 0x7f);
        // The last byte is never 0 (shortest form only) and the tenth has one bit of room.
        if (byte == 0) || (shift == 63 && part > 1) {
            return Err(RecordError::Field);
        }
        value |= part << shift;
        if byte < 0x80 {
            return Ok(value);
        }
        shift += 7;
        if shift > 63 {
            return Err(RecordError::Field);
        }
    }
}

#[inline]
fn var_u32(bytes: &[u8], at: &mut usize) -> Result<u32, RecordError> {
    u32::try_from(var_u64(bytes, at)?).map_err(|_| RecordError::Field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record<'a>(key: &'a [u8], effect: Effect<'a>) -> Record<'a> {
        Record {
            shard: ShardId(3),
            term: Term(1),
            lsn: Lsn(300),
            keyspace: KeyspaceId(0),
            group_continues: false,
            key,
            effect,
        }
    }

    #[test]
    fn golden_bytes_of_a_put_and_a_delete() {
        let mut bytes = Vec::new();
        record(b"k1", Effect::Put { value: b"hello", deadline: None }).encode_to(&mut bytes);
        // kind 1, key 2, value 5, shard 3, term 1, LSN 300 = 0xAC 0x02
        let body = [1, 2, 5, 3, 1, 0xac, 0x02, b'k', b'1', b'h', b'e', b'l', b'l', b'o'];
        assert_eq!(&bytes[4..], &body);
        assert_eq!(bytes[..4], crc32fast::hash(&body).to_le_bytes());

        bytes.clear();
        record(b"k", Effect::Expire { deadline: Some(UnixMs(128)) }).encode_to(&mut bytes);
        assert_eq!(&bytes[4..], &[0x13, 1, 0, 3, 1, 0xac, 0x02, 0x80, 0x01, b'k']);
    }

    #[test]
    fn golden_bytes_of_all_other_kinds() {
        fn check(record: Record<'_>, body: &[u8]) {
            let mut bytes = Vec::new();
            record.encode_to(&mut bytes);
            assert_eq!(&bytes[4..], body, "{record:?}");
            assert_eq!(bytes[..4], crc32fast::hash(body).to_le_bytes());
        }
        // kind, key length, value length, shard 3, term 1, LSN 300 = 0xAC 0x02
        check(record(b"k", Effect::Delete), &[2, 1, 0, 3, 1, 0xac, 0x02, b'k']);
        let patch = Effect::Patch { offset: 3, total_len: 130, bytes: b"ab" };
        check(record(b"k", patch), &[4, 1, 2, 3, 1, 0xac, 0x02, 3, 0x82, 0x01, b'k', b'a', b'b']);
        let mut pairs = Vec::new();
        KeyspaceChanges::encode(&mut pairs, StoredDb(7), KeyspaceId(0x0403_0201));
        let changes = KeyspaceChanges::new(&pairs).expect("whole pairs");
        check(record(b"", Effect::Keyspaces(changes)), &[5, 0, 5, 3, 1, 0xac, 0x02, 7, 1, 2, 3, 4]);
        for (part, kind) in [(FragmentPart::First, 6), (FragmentPart::Middle, 7), (FragmentPart::Last, 8)] {
            let piece = Effect::Fragment { part, bytes: b"xy" };
            check(record(b"", piece), &[kind, 0, 2, 3, 1, 0xac, 0x02, b'x', b'y']);
        }
        check(record(b"", Effect::GroupEnd), &[9, 0, 0, 3, 1, 0xac, 0x02]);
        // Flags: has deadline 0x10, has keyspace 0x20, group continues 0x40; deadline 128, keyspace 16.
        let put = Effect::Put { value: b"v", deadline: Some(UnixMs(128)) };
        let flagged = Record { keyspace: KeyspaceId(16), group_continues: true, ..record(b"k", put) };
        check(flagged, &[0x71, 1, 1, 3, 1, 0xac, 0x02, 0x80, 0x01, 16, b'k', b'v']);
    }

    #[test]
    fn head_of_a_small_record_takes_twelve_bytes() {
        let encoder = record(b"0123456789abcdef", Effect::Put { value: &[0; 64], deadline: None }).encoder();
        assert_eq!(encoder.len(), 11 + 16 + 64);
    }

    #[test]
    fn every_single_bit_flip_is_noticed() {
        let mut bytes = Vec::new();
        record(b"key", Effect::Patch { offset: 3, total_len: 9, bytes: b"abcdef" }).encode_to(&mut bytes);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::decode(&bad, 0).is_err(), "bit {bit}");
        }
        assert!(Record::decode(&bytes, 1).is_err(), "another place");
        assert!(Record::decode(&bytes, 0).is_ok());
    }

    proptest! {
        #[test]
        fn decode_of_encode_is_the_record(
            shard in any::<u16>(), term in 1u32.., lsn in 1u64.., keyspace in any::<u32>(), group in any::<bool>(),
            key in proptest::collection::vec(any::<u8>(), 0..40), value in proptest::collection::vec(any::<u8>(), 0..200),
            deadline in proptest::option::of(any::<u64>()), kind in 0..6, offset in 0u32..1000,
        ) {
            let deadline = deadline.map(UnixMs);
            let mut pairs = Vec::new();
            KeyspaceChanges::encode(&mut pairs, StoredDb(7), KeyspaceId(keyspace));
            let effect = match kind {
                0 => Effect::Put { value: &value, deadline },
                1 => Effect::Delete,
                2 => Effect::Expire { deadline },
                3 => Effect::Patch { offset, total_len: offset + 200, bytes: &value },
                4 => Effect::Fragment { part: FragmentPart::Middle, bytes: &value },
                _ => Effect::Keyspaces(KeyspaceChanges::new(&pairs).unwrap()),
            };
            let key = if kind == 5 { &[][..] } else { &key };
            let record = Record {
                shard: ShardId(shard), term: Term(term), lsn: Lsn(lsn), keyspace: KeyspaceId(keyspace),
                group_continues: group, key, effect,
            };
            let mut bytes = vec![9; 3];
            record.encode_to(&mut bytes);
            bytes.push(77);
            let (decoded, len) = Record::decode(&bytes[3..], 0).unwrap();
            prop_assert_eq!(decoded, record);
            prop_assert_eq!(len, bytes.len() - 4);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Record::decode(&bytes, 0);
        }
    }
}
