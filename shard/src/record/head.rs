//! The head of a record: all before its key, decoded without a look at what lies behind it.

use super::{
    FLAG_HAS_DEADLINE, FLAG_HAS_KEYSPACE, KIND_FRAGMENT_FIRST, KIND_FRAGMENT_LAST, KIND_FRAGMENT_MIDDLE,
    KIND_MASK, KIND_PATCH, RecordError,
};
use crate::types::{KeyspaceId, Lsn, ShardId, Term, UnixMs};

/// Head of a record: everything before its key. Lengths and places within the record's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub(super) kind: u8,
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
    pub(super) offset: u32,
    pub(super) total_len: u32,
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
