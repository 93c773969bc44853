//! Records of the log applied to a shard: the only way recovery changes it.

use crate::io::BlockPool;
use crate::key::Key;
use crate::limits::DATABASE_COUNT;
use crate::record::{Effect, Record};
use crate::types::{Lsn, ShardId};

use super::Shard;

/// Why a record cannot be applied: the log and the state do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Records are missing.
    #[error(
        "shard {shard}: record {found} follows record {expected_after}: records between them are missing"
    )]
    Gap {
        /// The shard.
        shard: ShardId,
        /// LSN of the record found.
        found: Lsn,
        /// LSN of the last record applied.
        expected_after: Lsn,
    },
    /// The record's term is older than one seen before.
    #[error("shard {shard}: record {lsn} was written under an older term than its predecessor")]
    Term {
        /// The shard.
        shard: ShardId,
        /// LSN of the record.
        lsn: Lsn,
    },
    /// The log holds records only from a later state on than the shard's snapshot is.
    #[error(
        "shard {shard}: its snapshot is the state at record {found}, and the log goes back only to record {floor}:          an older copy of the shard's files is mixed in"
    )]
    SnapshotOlder {
        /// The shard.
        shard: ShardId,
        /// LSN that the log goes back to.
        floor: Lsn,
        /// LSN that the snapshot starts at.
        found: Lsn,
    },
    /// The record belongs elsewhere or names what does not exist.
    #[error("shard {shard}: record {lsn} does not belong here")]
    Foreign {
        /// The shard that was to apply it.
        shard: ShardId,
        /// LSN of the record.
        lsn: Lsn,
    },
}

impl<P: BlockPool> Shard<P> {
    /// Applies one record of the log to the state: the only way recovery changes it. `raw` is the record's
    /// encoding, `key` its key as the store hashes it. A record at or below the shard's LSN has been applied and is
    /// passed over.
    ///
    /// # Errors
    /// When the record cannot be the next one.
    pub fn apply(
        &mut self,
        record: &Record<'_>,
        key: &Key<'_>,
        raw: &[u8],
        pool: &mut P,
        scratch: &mut Vec<u8>,
    ) -> Result<(), ApplyError> {
        assert_eq!(record.key, key.bytes, "the key is that of the record");
        let foreign = ApplyError::Foreign { shard: self.id, lsn: record.lsn };
        if record.shard != self.id {
            return Err(foreign);
        }
        if record.lsn <= self.lsn {
            return Ok(());
        }
        if record.lsn != self.lsn.next() {
            return Err(ApplyError::Gap { shard: self.id, found: record.lsn, expected_after: self.lsn });
        }
        if record.term < self.term {
            return Err(ApplyError::Term { shard: self.id, lsn: record.lsn });
        }
        match record.effect {
            Effect::Keyspaces(changes) => {
                if changes
                    .iter()
                    .any(|(db, keyspace)| db.0 >= DATABASE_COUNT || keyspace.0 < self.next_keyspace)
                {
                    return Err(foreign);
                }
                self.change_keyspaces(changes, record.lsn);
            }
            Effect::GroupEnd => {}
            Effect::Fragment { .. } => return Err(foreign),
            Effect::Put { .. } | Effect::Delete | Effect::Expire { .. } | Effect::Patch { .. } => {
                let db = self.databases.iter().position(|database| database.keyspace == record.keyspace);
                let db = db.ok_or(foreign)?;
                let (first, count) = (self.first_slot, self.slot_count);
                if key.slot.0 < first || key.slot.0 - first >= count {
                    return Err(foreign);
                }
                self.apply_to_key(db, key, record, raw, pool, scratch);
            }
        }
        (self.lsn, self.released_lsn, self.term) = (record.lsn, record.lsn, record.term);
        Ok(())
    }

    pub(super) fn apply_to_key(
        &mut self,
        db: usize,
        key: &Key<'_>,
        record: &Record<'_>,
        raw: &[u8],
        pool: &mut P,
        scratch: &mut Vec<u8>,
    ) {
        match record.effect {
            Effect::Put { deadline, .. } => {
                self.place(db, key, raw.len(), deadline, pool, |bytes| bytes.copy_from_slice(raw)).settle();
            }
            Effect::Delete => {
                self.remove(db, key, record.lsn);
            }
            Effect::Expire { deadline } => {
                if self.copy_out(db, key, scratch).is_some() {
                    self.place_value(db, key, record, scratch, deadline, pool);
                }
            }
            Effect::Patch { offset, total_len, bytes } => {
                let deadline = self.copy_out(db, key, scratch).unwrap_or_else(|| {
                    scratch.clear();
                    None
                });
                patch(scratch, offset, total_len, bytes);
                self.place_value(db, key, record, scratch, deadline, pool);
            }
            Effect::Keyspaces(_) | Effect::Fragment { .. } | Effect::GroupEnd => {
                unreachable!("not an effect on a key")
            }
        }
    }
}

/// Puts `bytes` at `offset` of a value that then has `total_len` bytes; what was not there is zero.
pub(crate) fn patch(value: &mut Vec<u8>, offset: u32, total_len: u32, bytes: &[u8]) {
    value.resize(total_len as usize, 0);
    let start = offset as usize;
    value[start..start + bytes.len()].copy_from_slice(bytes);
}
