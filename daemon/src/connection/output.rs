//! What a connection has to say and how much of it may be said: replies in order, and from where on they wait for
//! which batch of the log. This is the release stage: a later watermark (multi-shard, Raft) raises the same bar.

use std::collections::VecDeque;

use shard::types::BatchNumber;

/// Replies encoded but not yet sent.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// From this offset on nothing leaves before this batch is durable. Offsets and batches both grow.
    marks: VecDeque<(usize, BatchNumber)>,
}

impl Output {
    /// Where replies are appended.
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// What was appended from `start` on waits for `batch`. False: something before it waits for no less.
    #[inline]
    pub(crate) fn wait_from(&mut self, start: usize, batch: BatchNumber) -> bool {
        if self.marks.back().is_some_and(|&(_, last)| last >= batch) {
            return false;
        }
        assert!(start <= self.bytes.len(), "a mark lies within the output");
        self.marks.push_back((start, batch));
        true
    }

    /// How many bytes may leave once everything up to `durable` is.
    #[inline]
    pub(crate) fn releasable(&mut self, durable: BatchNumber) -> usize {
        while let Some(&(start, batch)) = self.marks.front() {
            if batch > durable {
                return start;
            }
            self.marks.pop_front();
        }
        self.bytes.len()
    }

    /// The batches that something in it waits for.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = BatchNumber> {
        self.marks.iter().map(|&(_, batch)| batch)
    }

    /// Takes the first `count` bytes, leaving `spare` (empty) as the buffer for what follows.
    pub(crate) fn take(&mut self, count: usize, mut spare: Vec<u8>) -> Vec<u8> {
        assert!(count <= self.bytes.len() && spare.is_empty(), "no more is taken than there is");
        spare.extend_from_slice(&self.bytes[count..]);
        for mark in &mut self.marks {
            assert!(mark.0 >= count, "only what is released is taken");
            mark.0 -= count;
        }
        let mut taken = std::mem::replace(&mut self.bytes, spare);
        taken.truncate(count);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_before_its_batch_is_durable_and_order_is_kept() {
        let mut output = Output::default();
        output.bytes_mut().extend_from_slice(b"aa");
        output.bytes_mut().extend_from_slice(b"bb");
        assert!(output.wait_from(2, BatchNumber(5)));
        output.bytes_mut().extend_from_slice(b"cc");
        assert!(!output.wait_from(4, BatchNumber(4)), "an earlier reply waits for more");
        output.bytes_mut().extend_from_slice(b"dd");
        assert!(output.wait_from(6, BatchNumber(7)));
        assert_eq!(output.releasable(BatchNumber(4)), 2);
        assert_eq!(output.take(2, Vec::new()), b"aa");
        assert_eq!(output.releasable(BatchNumber(5)), 4);
        assert_eq!(output.take(4, Vec::new()), b"bbcc");
        assert_eq!(output.releasable(BatchNumber(6)), 0);
        assert_eq!(output.releasable(BatchNumber(7)), 2);
        assert_eq!(output.take(2, Vec::new()), b"dd");
        assert!(output.is_empty());
    }
}
