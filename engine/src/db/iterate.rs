//! Going over all records, a bounded batch at a time.

use std::collections::VecDeque;

use shard::shard_set::ScanCursor;

use super::call::{Answer, Operation};
use super::error::DbError;
use super::handle::Db;

/// A key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

/// An iterator over records, made by [`Db::iter`] and [`Db::iter_prefix`]. It holds a batch of about 256 records, of
/// 1 MiB of values and one value more, whatever the size of the store.
pub struct Iter<'a> {
    db: &'a Db,
    prefix: Vec<u8>,
    /// Where the next batch begins; `None`: there is none.
    cursor: Option<ScanCursor>,
    batch: VecDeque<(Vec<u8>, Option<Vec<u8>>)>,
}

impl std::fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Iter").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl<'a> Iter<'a> {
    pub(super) fn new(db: &'a Db, prefix: &[u8]) -> Self {
        Self { db, prefix: prefix.to_vec(), cursor: Some(ScanCursor(0)), batch: VecDeque::new() }
    }

    fn next_batch(&mut self, cursor: ScanCursor) -> Result<(), DbError> {
        let Some(slot) = cursor.slot() else {
            self.cursor = None;
            return Ok(());
        };
        let operation = Operation::Scan { cursor, prefix: self.prefix.clone() };
        let Answer::Batch(batch) = self.db.ask(self.db.owner_of(slot), operation)? else {
            unreachable!("a scan answers a batch")
        };
        self.batch = batch.records.into();
        self.cursor = (batch.next != ScanCursor(0)).then_some(batch.next);
        Ok(())
    }
}

impl Iterator for Iter<'_> {
    type Item = Result<Record, DbError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some((key, value)) = self.batch.pop_front() {
                let value = match value {
                    Some(value) => Ok(Some(value)),
                    None => self.db.get(&key),
                };
                match value {
                    Ok(Some(value)) => return Some(Ok((key, value))),
                    // Deleted since the batch was made.
                    Ok(None) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
            if let Err(error) = self.next_batch(self.cursor?) {
                self.cursor = None;
                return Some(Err(error));
            }
        }
    }
}
