//! What a reply must wait for: LSNs of a shard by the batch of the log that holds them.

use crate::io::BlockPool;
use crate::types::{BatchNumber, Lsn};

use super::Shard;

impl<P: BlockPool> Shard<P> {
    /// The next record's LSN.
    pub(crate) fn advance_lsn(&mut self) -> Lsn {
        self.lsn = self.lsn.next();
        self.lsn
    }

    /// Notes that all records up to `lsn` are in batches up to `batch`.
    pub(crate) fn note_appended(&mut self, batch: BatchNumber, lsn: Lsn) {
        match self.waiting.back_mut() {
            Some((last, up_to)) if *last == batch => *up_to = lsn,
            Some((last, _)) => {
                assert!(*last < batch, "batches only grow");
                self.waiting.push_back((batch, lsn));
            }
            None => self.waiting.push_back((batch, lsn)),
        }
    }

    /// Without a log there is nothing to wait for.
    pub(crate) fn note_volatile(&mut self) {
        self.released_lsn = self.lsn;
    }

    /// Replies may reveal all batches up to `released`.
    pub(crate) fn note_released(&mut self, released: BatchNumber) {
        while let Some(&(batch, lsn)) = self.waiting.front() {
            if batch > released {
                break;
            }
            self.released_lsn = lsn;
            self.waiting.pop_front();
        }
        assert!(self.released_lsn <= self.lsn, "released <= appended");
    }

    /// The batch that must be durable before a reply may reveal the state after `lsn`.
    #[inline]
    pub(crate) fn barrier(&self, lsn: Lsn) -> BatchNumber {
        if lsn <= self.released_lsn {
            return BatchNumber::ZERO;
        }
        let position = self.waiting.partition_point(|&(_, up_to)| up_to < lsn);
        self.waiting.get(position).map_or(BatchNumber::ZERO, |&(batch, _)| batch)
    }
}
