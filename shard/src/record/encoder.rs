//! A record on its way to bytes: its length is known before one of them is written.

use super::{FLAG_GROUP_CONTINUES, FLAG_HAS_DEADLINE, FLAG_HAS_KEYSPACE, HEAD_BYTES_MAX, Record};
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::types::{KeyspaceId, Lsn, Term, UnixMs};

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
    pub(super) fn new(
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
