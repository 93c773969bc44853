//! The ring of provided buffers: memory that the kernel picks from when bytes arrive at any socket.
//!
//! Rule: a buffer is with the kernel or in one [`RecvBuffer`], never both. Dropping the handle puts the buffer back;
//! the kernel sees it at the next publication, once per turn. So an idle connection holds no buffer.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;
use std::slice;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use crate::limits::RECV_BUFFERS_MAX;
use crate::memory::{HugePages, Mapping};

/// Buffer group id; a ring has one group.
pub(crate) const GROUP: u16 = 0;

const ENTRY_BYTES: usize = 16;
const _: () = assert!(size_of::<BufRingEntry>() == ENTRY_BYTES);

/// The shared memory: entries read by the kernel, and the buffers they name.
pub(crate) struct RecvBuffers {
    entries: Mapping,
    data: Mapping,
    count: u16,
    buffer_bytes: u32,
    /// Position after the last entry written; runs freely, the kernel masks it.
    tail: Cell<u16>,
    /// Position the kernel was last told.
    published: Cell<u16>,
    /// Buffers in `RecvBuffer` handles.
    lent: Cell<u16>,
}

impl RecvBuffers {
    /// `count` is a power of two. All buffers are written as entries; `publish` shows them to the kernel.
    pub(crate) fn new(count: u16, buffer_bytes: u32) -> io::Result<Rc<Self>> {
        assert!(count.is_power_of_two() && count <= RECV_BUFFERS_MAX && buffer_bytes > 0);
        let bytes = usize::from(count) * to_usize(buffer_bytes);
        let buffers = Self {
            entries: Mapping::new(usize::from(count) * ENTRY_BYTES, HugePages::No)?,
            // Buffers are used in turn, so all of them are touched soon: few large pages spare the TLB.
            data: Mapping::new(bytes, HugePages::Yes)?,
            count,
            buffer_bytes,
            tail: Cell::new(0),
            published: Cell::new(0),
            lent: Cell::new(0),
        };
        for id in 0..count {
            buffers.write_entry(id);
        }
        Ok(Rc::new(buffers))
    }

    /// Address of the entries for registration. Valid as long as `self`.
    pub(crate) fn entries_address(&self) -> u64 {
        u64::try_from(self.entries.start().as_ptr().expose_provenance()).expect("addresses have 64 bits")
    }

    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    /// Buffers in the hands of the caller.
    pub(crate) fn lent(&self) -> u16 {
        self.lent.get()
    }

    /// Shows the kernel all buffers given back since the last call.
    pub(crate) fn publish(&self) {
        let tail = self.tail.get();
        if tail != self.published.get() {
            self.kernel_tail().store(tail, Ordering::Release);
            self.published.set(tail);
        }
    }

    /// The handle to a buffer that a completion says the kernel has filled with `bytes` bytes.
    pub(crate) fn lend(self: &Rc<Self>, id: u16, bytes: u32) -> RecvBuffer {
        assert!(id < self.count && bytes <= self.buffer_bytes, "the kernel names our buffers only");
        self.lent.set(self.lent.get() + 1);
        RecvBuffer { buffers: Rc::clone(self), id, bytes }
    }

    /// Returns a buffer that the kernel took for a receive that failed.
    pub(crate) fn reclaim(&self, id: u16) {
        assert!(id < self.count, "the kernel names our buffers only");
        self.write_entry(id);
    }

    fn write_entry(&self, id: u16) {
        let tail = self.tail.get();
        let position = usize::from(tail & (self.count - 1));
        let entry: NonNull<BufRingEntry> = self.entries.start().cast();
        // SAFETY: position is below count, and the mapping holds count entries.
        let mut entry = unsafe { entry.add(position) };
        // SAFETY: mapped, aligned, zero-initialised memory; the kernel reads entries before the published tail only,
        // and this one is not: each of the count buffers is in the ring at most once. The setters leave the field
        // alone that doubles as the kernel's tail.
        let entry = unsafe { entry.as_mut() };
        entry.set_addr(u64::try_from(self.address(id).as_ptr().expose_provenance()).expect("64 bits"));
        entry.set_len(self.buffer_bytes);
        entry.set_bid(id);
        self.tail.set(tail.wrapping_add(1));
    }

    fn address(&self, id: u16) -> NonNull<u8> {
        // SAFETY: id is below count (asserted by callers) and the mapping holds count buffers.
        unsafe { self.data.start().add(usize::from(id) * to_usize(self.buffer_bytes)) }
    }

    fn kernel_tail(&self) -> &AtomicU16 {
        let first: *const BufRingEntry = self.entries.start().as_ptr().cast();
        // SAFETY: the first entry is mapped and initialised; only the address of its last field is taken.
        let tail = unsafe { BufRingEntry::tail(first) };
        // SAFETY: aligned (offset 14), mapped as long as self, and accessed atomically by us from here on; the kernel
        // only reads it.
        unsafe { AtomicU16::from_ptr(tail.cast_mut()) }
    }
}

/// Bytes received, in a buffer lent by the kernel. Dropping it gives the buffer back.
/// Hold it no longer than the turn: when all are held, every socket of the ring stops receiving.
pub struct RecvBuffer {
    buffers: Rc<RecvBuffers>,
    id: u16,
    bytes: u32,
}

impl Deref for RecvBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = self.buffers.address(self.id);
        // SAFETY: mapped as long as `buffers`; at most buffer_bytes long (checked in `lend`); the kernel does not
        // touch the buffer until it is back in the ring, which the drop of this only handle does.
        unsafe { slice::from_raw_parts(start.as_ptr(), to_usize(self.bytes)) }
    }
}

impl Drop for RecvBuffer {
    fn drop(&mut self) {
        self.buffers.lent.set(self.buffers.lent.get() - 1);
        self.buffers.write_entry(self.id);
    }
}

impl fmt::Debug for RecvBuffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RecvBuffer({} bytes)", self.bytes)
    }
}

fn to_usize(bytes: u32) -> usize {
    usize::try_from(bytes).expect("u32 fits usize on 64-bit Linux")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_return_in_the_order_they_are_dropped_and_are_published_together() {
        let buffers = RecvBuffers::new(4, 64).unwrap();
        buffers.publish();
        assert_eq!(buffers.kernel_tail().load(Ordering::Relaxed), 4);
        let first = buffers.lend(2, 10);
        let second = buffers.lend(0, 64);
        assert_eq!((first.len(), second.len(), buffers.lent()), (10, 64, 2));
        drop(first);
        drop(second);
        assert_eq!(buffers.kernel_tail().load(Ordering::Relaxed), 4, "not before publication");
        buffers.publish();
        assert_eq!((buffers.kernel_tail().load(Ordering::Relaxed), buffers.lent()), (6, 0));
    }

    #[test]
    fn tail_wraps_around_without_touching_other_entries() {
        let buffers = RecvBuffers::new(2, 64).unwrap();
        for round in 0..70_000u32 {
            drop(buffers.lend(u16::try_from(round % 2).unwrap(), 1));
            buffers.publish();
        }
        let expected = u16::try_from(70_002u32 % 65_536).unwrap();
        assert_eq!(buffers.kernel_tail().load(Ordering::Relaxed), expected);
    }
}
