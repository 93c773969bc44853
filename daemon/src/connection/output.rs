//! What a connection has to say and how much of it may be said: replies in order, and from where on they wait for
//! which batch of the log. This is the release stage: a later watermark (multi-shard, Raft) raises the same bar.

use std::collections::VecDeque;
use std::sync::Arc;

use shard::types::BatchNumber;

use super::limits::{SEND_BYTES_MAX, SHARED_BYTES_MIN};

/// Bytes that leave before what is appended.
#[derive(Debug)]
enum Piece {
    /// This connection's own.
    Own(Vec<u8>),
    /// Of a message that others get too: one copy for all of them.
    Shared(Arc<[u8]>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// Replies encoded but not yet sent.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// What leaves before `bytes`; only where messages that are shared with others are among it.
    front: VecDeque<Piece>,
    /// Bytes in `front` that have not been taken.
    front_len: usize,
    /// Bytes of its first piece that have.
    front_taken: usize,
    /// From this offset on nothing leaves before this batch is durable. Offsets and batches both grow.
    marks: VecDeque<(usize, BatchNumber)>,
}

impl Output {
    /// Where replies are appended.
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How many bytes stand where replies are appended: what [`Self::wait_from`] counts from.
    #[inline]
    pub(crate) fn appended_len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.front_len + self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn capacity(&self) -> usize {
        self.front_len + self.bytes.capacity()
    }

    /// Appends a message: its head, and its body, which others get too.
    pub(crate) fn push_message(&mut self, head: &[u8], body: &Arc<[u8]>) {
        self.bytes.extend_from_slice(head);
        if body.len() < SHARED_BYTES_MIN {
            self.bytes.extend_from_slice(body);
            return;
        }
        let own = std::mem::take(&mut self.bytes);
        self.front_len += own.len() + body.len();
        self.front.push_back(Piece::Own(own));
        self.front.push_back(Piece::Shared(Arc::clone(body)));
    }

    /// What was appended from `start` on waits for `batch`. False: something before it waits for no less.
    #[inline]
    pub(crate) fn wait_from(&mut self, start: usize, batch: BatchNumber) -> bool {
        if self.marks.back().is_some_and(|&(_, last)| last >= batch) {
            return false;
        }
        assert!(start <= self.bytes.len(), "a mark lies within the output");
        self.marks.push_back((self.front_len + start, batch));
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
        self.len()
    }

    /// The batches that something in it waits for.
    pub(crate) fn awaited(&self) -> impl DoubleEndedIterator<Item = BatchNumber> {
        self.marks.iter().map(|&(_, batch)| batch)
    }

    /// Takes the first `count` bytes, or the first [`SEND_BYTES_MAX`] of them where messages shared with others are among
    /// them; `spare` (empty) is the buffer for that or for what follows.
    pub(crate) fn take(&mut self, count: usize, mut spare: Vec<u8>) -> Vec<u8> {
        assert!(count <= self.len() && spare.is_empty(), "no more is taken than there is");
        if self.front_len > 0 {
            return self.take_front(count.min(SEND_BYTES_MAX), spare);
        }
        spare.extend_from_slice(&self.bytes[count..]);
        self.pass_marks(count);
        let mut taken = std::mem::replace(&mut self.bytes, spare);
        taken.truncate(count);
        taken
    }

    fn take_front(&mut self, count: usize, mut taken: Vec<u8>) -> Vec<u8> {
        while taken.len() < count
            && let Some(piece) = self.front.front()
        {
            let rest = &piece.bytes()[self.front_taken..];
            let part = rest.len().min(count - taken.len());
            taken.extend_from_slice(&rest[..part]);
            self.front_taken += part;
            if part == rest.len() {
                self.front.pop_front();
                self.front_taken = 0;
            }
        }
        self.front_len -= taken.len();
        // What stands behind the last of them leaves with it: nobody is woken for a rest.
        taken.extend(self.bytes.drain(..count - taken.len()));
        self.pass_marks(taken.len());
        taken
    }

    /// So many bytes at the start are gone.
    fn pass_marks(&mut self, count: usize) {
        for mark in &mut self.marks {
            assert!(mark.0 >= count, "only what is released is taken");
            mark.0 -= count;
        }
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

    #[test]
    fn a_shared_message_leaves_in_its_place_and_in_parts() {
        let mut output = Output::default();
        let body: Arc<[u8]> = vec![b'm'; SEND_BYTES_MAX].into();
        output.bytes_mut().extend_from_slice(b"aa");
        output.push_message(b"head", &body);
        output.push_message(b"h", &b"tiny"[..].into());
        output.bytes_mut().extend_from_slice(b"bb");
        assert!(output.wait_from(output.appended_len() - 2, BatchNumber(3)));
        let expected = [&b"aahead"[..], &body, b"htiny", b"bb"].concat();
        assert_eq!((output.len(), Arc::strong_count(&body)), (expected.len(), 2));
        let (mut got, mut parts) = (Vec::new(), 0);
        for durable in [BatchNumber(2), BatchNumber(3)] {
            loop {
                let count = output.releasable(durable);
                if count == 0 {
                    break;
                }
                let part = output.take(count, Vec::new());
                assert!(!part.is_empty() && part.len() <= SEND_BYTES_MAX);
                got.extend(part);
                parts += 1;
            }
            let missing = if durable == BatchNumber(2) { 2 } else { 0 };
            assert_eq!(got[..], expected[..expected.len() - missing]);
        }
        assert!(output.is_empty() && parts == 3, "{parts}");
        assert_eq!(Arc::strong_count(&body), 1);
    }

    #[test]
    fn what_follows_a_shared_message_leaves_with_it_up_to_the_size_of_a_send() {
        let body: Arc<[u8]> = vec![b'm'; 1000].into();
        for follows in [&b""[..], b"+OK\r\n", &[b'x'; SEND_BYTES_MAX]] {
            let mut output = Output::default();
            output.push_message(b"head", &body);
            output.bytes_mut().extend_from_slice(follows);
            let whole = [&b"head"[..], &body, follows].concat();
            let count = output.releasable(BatchNumber::ZERO);
            assert_eq!(count, whole.len());
            let taken = output.take(count, Vec::new());
            assert_eq!(taken, whole[..count.min(SEND_BYTES_MAX)], "all that one send takes");
            assert_eq!(output.take(output.len(), Vec::new()), whole[taken.len()..]);
            assert!(output.is_empty());
        }
    }

    #[test]
    fn what_waits_behind_a_shared_message_does_not_leave_with_it() {
        let mut output = Output::default();
        output.push_message(b"head", &vec![b'm'; 1000].into());
        output.bytes_mut().extend_from_slice(b"now");
        output.bytes_mut().extend_from_slice(b"later");
        assert!(output.wait_from(3, BatchNumber(4)));
        let count = output.releasable(BatchNumber(3));
        assert!(output.take(count, Vec::new()).ends_with(b"mnow"));
        assert_eq!(output.releasable(BatchNumber(3)), 0);
        let count = output.releasable(BatchNumber(4));
        assert_eq!(output.take(count, Vec::new()), b"later");
    }
}
