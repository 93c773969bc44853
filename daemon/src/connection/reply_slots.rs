//! Replies that other workers still owe a connection, in the order of its requests.
//!
//! A slot is opened for each request whose reply cannot be written at once: because another worker makes it, or
//! because an earlier one is still missing. The longest finished prefix moves to the output.

use std::collections::VecDeque;

use shard::types::BatchNumber;
use smallvec::SmallVec;

use super::gather::Gather;
use super::limits::{READ_BYTES_GUESS_MIN, REPLY_BYTES_GUESS, WRITE_BYTES_GUESS_MIN};

/// A reply of up to 96 bytes needs no allocation.
pub(crate) type SlotBytes = SmallVec<[u8; 96]>;

/// What kind of command a reply is of: how large replies get differs between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Reads: as large as values are.
    Read,
    /// Writes: most answer a word or a number.
    Write,
}

/// Replies of one kind that are missing.
#[derive(Debug)]
struct Missing {
    count: usize,
    /// How large one is taken to be: the largest of late.
    expected_bytes: usize,
}

impl Missing {
    const fn new() -> Self {
        Self { count: 0, expected_bytes: REPLY_BYTES_GUESS }
    }
}

/// Place of one reply.
#[derive(Debug)]
enum Slot {
    /// One worker makes it.
    Waiting(Source),
    /// Several workers make it.
    Gathering(Source, Box<Gather>),
    /// It is there, and waits for this batch of this worker's log.
    Ready(SlotBytes, BatchNumber),
}

/// The open slots of one connection.
#[derive(Debug)]
pub(crate) struct ReplySlots {
    /// Number of the first open slot.
    first: u64,
    slots: VecDeque<Slot>,
    /// Bytes in those that are filled.
    ready_bytes: usize,
    missing_reads: Missing,
    missing_writes: Missing,
    /// The number after that of the last slot that was opened for anything but a message being published.
    other_until: u64,
}

impl Default for ReplySlots {
    fn default() -> Self {
        Self {
            first: 0,
            slots: VecDeque::new(),
            ready_bytes: 0,
            missing_reads: Missing::new(),
            missing_writes: Missing::new(),
            other_until: 0,
        }
    }
}

impl ReplySlots {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether this slot is the first that is open.
    pub(crate) fn is_first(&self, slot: u64) -> bool {
        slot == self.first
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of the replies that are there.
    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Bytes of the places in which replies wait, of those that are there and of those that are not.
    #[inline]
    pub(crate) fn place_bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }

    /// Bytes of memory, but for replies that are larger than a place.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    /// Bytes of the replies that are there, and likely bytes of those that are not.
    #[inline]
    pub(crate) fn owed_bytes(&self) -> usize {
        let owed = |missing: &Missing| missing.count * missing.expected_bytes;
        self.ready_bytes + owed(&self.missing_reads) + owed(&self.missing_writes)
    }

    fn note_opened(&mut self, source: Source) {
        match source {
            Source::Read => self.missing_reads.count += 1,
            Source::Write => self.missing_writes.count += 1,
        }
    }

    /// A reply of this size has come.
    fn note_filled(&mut self, source: Source, bytes: usize) {
        self.ready_bytes += bytes;
        let (missing, least) = match source {
            Source::Read => (&mut self.missing_reads, READ_BYTES_GUESS_MIN),
            Source::Write => (&mut self.missing_writes, WRITE_BYTES_GUESS_MIN),
        };
        missing.count -= 1;
        let faded = missing.expected_bytes - missing.expected_bytes / 8;
        missing.expected_bytes = faded.max(bytes).max(least);
    }

    fn open(&mut self, slot: Slot) -> u64 {
        let number = self.open_publish(slot);
        self.other_until = number + 1;
        number
    }

    fn open_publish(&mut self, slot: Slot) -> u64 {
        self.slots.push_back(slot);
        self.first + self.slots.len() as u64 - 1
    }

    /// Whether all that is open is for messages being published.
    pub(crate) fn has_only_publishes(&self) -> bool {
        self.other_until <= self.first
    }

    /// A slot that the workers fill which a message is published to. Returns its number.
    pub(crate) fn open_for_message(&mut self, gather: Box<Gather>) -> u64 {
        self.note_opened(Source::Write);
        self.open_publish(Slot::Gathering(Source::Write, gather))
    }

    /// A slot that one other worker fills. Returns its number.
    pub(crate) fn open_waiting(&mut self, source: Source) -> u64 {
        self.note_opened(source);
        self.open(Slot::Waiting(source))
    }

    /// A slot that several workers fill. Returns its number.
    pub(crate) fn open_gather(&mut self, source: Source, gather: Box<Gather>) -> u64 {
        self.note_opened(source);
        self.open(Slot::Gathering(source, gather))
    }

    /// A reply that is there, behind others that are not.
    pub(crate) fn push_ready(&mut self, bytes: SlotBytes, barrier: BatchNumber) {
        self.ready_bytes += bytes.len();
        self.open(Slot::Ready(bytes, barrier));
    }

    /// One part of a slot's reply has come. A slot that is no longer open is passed over.
    pub(crate) fn fill(&mut self, slot: u64, part: u16, bytes: &[u8], count: usize, barrier: BatchNumber) {
        let Some(position) = slot.checked_sub(self.first).and_then(|at| usize::try_from(at).ok()) else {
            return;
        };
        let Some(slot) = self.slots.get_mut(position) else { return };
        match slot {
            Slot::Waiting(source) => {
                let source = *source;
                *slot = Slot::Ready(SlotBytes::from_slice(bytes), barrier);
                self.note_filled(source, bytes.len());
            }
            Slot::Gathering(source, gather) => {
                let source = *source;
                if gather.add(part, bytes, count, barrier) {
                    let (bytes, barrier) = gather.merge();
                    let len = bytes.len();
                    *slot = Slot::Ready(SlotBytes::from_vec(bytes), barrier);
                    self.note_filled(source, len);
                }
            }
            Slot::Ready(..) => unreachable!("a slot is filled once"),
        }
    }

    /// Takes the first reply if it is there.
    pub(crate) fn pop_ready(&mut self) -> Option<(SlotBytes, BatchNumber)> {
        if !matches!(self.slots.front(), Some(Slot::Ready(..))) {
            return None;
        }
        self.first += 1;
        match self.slots.pop_front() {
            Some(Slot::Ready(bytes, barrier)) => {
                self.ready_bytes -= bytes.len();
                if self.slots.is_empty() && self.slots.capacity() > 64 {
                    self.slots = VecDeque::new();
                }
                Some((bytes, barrier))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_leave_in_the_order_of_their_requests() {
        let mut slots = ReplySlots::default();
        let a = slots.open_waiting(Source::Read);
        slots.push_ready(SlotBytes::from_slice(b"b"), BatchNumber(3));
        let c = slots.open_waiting(Source::Write);
        assert!(slots.pop_ready().is_none());
        slots.fill(c, 0, b"c", 0, BatchNumber::ZERO);
        assert!(slots.pop_ready().is_none());
        slots.fill(a, 0, b"a", 0, BatchNumber::ZERO);
        let order: Vec<_> = std::iter::from_fn(|| slots.pop_ready()).collect();
        let order: Vec<_> = order.iter().map(|(bytes, barrier)| (&bytes[..], barrier.0)).collect();
        assert_eq!(order, [(&b"a"[..], 0), (b"b", 3), (b"c", 0)]);
        slots.fill(a, 0, b"late", 0, BatchNumber::ZERO);
        assert!(slots.is_empty() && slots.owed_bytes() == 0);
    }

    #[test]
    fn what_is_owed_follows_the_size_of_recent_replies_of_the_same_kind() {
        let mut slots = ReplySlots::default();
        let fill = |slots: &mut ReplySlots, source, bytes: usize| {
            let slot = slots.open_waiting(source);
            slots.fill(slot, 0, &vec![0; bytes], 0, BatchNumber::ZERO);
            assert_eq!(slots.owed_bytes(), bytes);
            slots.pop_ready().unwrap();
        };
        (0..100).for_each(|_| fill(&mut slots, Source::Write, 5));
        let write = slots.open_waiting(Source::Write);
        assert_eq!(slots.owed_bytes(), WRITE_BYTES_GUESS_MIN, "writes answer little");
        slots.open_waiting(Source::Read);
        assert_eq!(
            slots.owed_bytes(),
            WRITE_BYTES_GUESS_MIN + REPLY_BYTES_GUESS,
            "of reads nothing is known yet"
        );
        slots.fill(write, 0, b"", 0, BatchNumber::ZERO);
        slots.fill(write + 1, 0, b"", 0, BatchNumber::ZERO);
        while slots.pop_ready().is_some() {}
        (0..100).for_each(|_| fill(&mut slots, Source::Read, 5));
        let read = slots.open_waiting(Source::Read);
        slots.push_ready(SlotBytes::from_slice(b"abc"), BatchNumber::ZERO);
        assert_eq!(slots.owed_bytes(), READ_BYTES_GUESS_MIN + 3);
        slots.fill(read, 0, &vec![0; 1 << 20], 0, BatchNumber::ZERO);
        while slots.pop_ready().is_some() {}
        slots.open_waiting(Source::Read);
        assert_eq!(slots.owed_bytes(), 1 << 20, "one large reply is enough to expect another");
    }
}
