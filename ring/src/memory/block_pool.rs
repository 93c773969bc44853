//! A pool of equal blocks in one mapping: taken by a worker, back on the free list when the last handle drops.
//!
//! Rule: taking and returning allocate nothing and may happen on different threads. The free list is a stack of
//! indexes with a counter in its head, so that a pop that was overtaken cannot mistake a re-used index (ABA).

use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use super::blocks::Blocks;
use super::mapping::{HugePages, Mapping};
use crate::limits::BLOCK_BYTES;

/// Index that means "end of the free list".
const NONE: u32 = u32::MAX;

/// A bounded set of equally large [`Blocks`]. Copies of the pool are handles to the same set.
#[derive(Clone)]
pub struct BlockPool {
    shared: Arc<PoolShared>,
}

impl BlockPool {
    /// A pool of `count` buffers of `buffer_bytes` each (a multiple of 4096). Pages appear on first touch.
    /// Error: `ENOMEM`.
    pub fn new(buffer_bytes: usize, count: u32, huge: HugePages) -> io::Result<Self> {
        assert!(count > 0 && count < NONE, "a pool has at least one buffer");
        assert!(buffer_bytes > 0 && buffer_bytes.is_multiple_of(BLOCK_BYTES), "buffers are whole blocks");
        let count_bytes = usize::try_from(count).expect("u32 fits usize on 64-bit Linux");
        let total = buffer_bytes.checked_mul(count_bytes).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Mapping::new(total, huge)?;
        let next =
            (1..=count).map(|index| AtomicU32::new(if index == count { NONE } else { index })).collect();
        let handles = (0..count).map(|_| AtomicU32::new(0)).collect();
        let shared = PoolShared {
            mapping,
            buffer_bytes,
            head: AtomicU64::new(pack(0, 0)),
            next,
            handles,
            free: AtomicU32::new(count),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A buffer, or `None` if all are in use: wait for one to come back. Its bytes are what the last user left.
    pub fn take(&self) -> Option<Blocks> {
        let index = self.shared.pop()?;
        let previous = self.shared.handles[at(index)].swap(1, Ordering::Relaxed);
        assert_eq!(previous, 0, "a buffer on the free list has no handles");
        let slot = PoolSlot { pool: Arc::clone(&self.shared), index };
        Some(Blocks::of_pool(self.shared.address(index), self.shared.buffer_bytes, slot))
    }

    /// Size of each buffer.
    pub fn buffer_bytes(&self) -> usize {
        self.shared.buffer_bytes
    }

    /// Number of buffers, in use or not.
    pub fn count(&self) -> usize {
        self.shared.next.len()
    }

    /// Number of buffers not in use at this moment.
    pub fn free(&self) -> usize {
        at(self.shared.free.load(Ordering::Relaxed))
    }

    pub(crate) fn shared(&self) -> &Arc<PoolShared> {
        &self.shared
    }
}

impl std::fmt::Debug for BlockPool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "BlockPool({} x {} bytes, {} free)", self.count(), self.buffer_bytes(), self.free())
    }
}

/// The mapping and the free list; lives until the last buffer is back.
pub(crate) struct PoolShared {
    mapping: Mapping,
    buffer_bytes: usize,
    /// Low half: first free index or `NONE`. High half: counts changes.
    head: AtomicU64,
    next: Box<[AtomicU32]>,
    /// Handles out per buffer; 0 on the free list.
    handles: Box<[AtomicU32]>,
    free: AtomicU32,
}

impl PoolShared {
    /// The whole mapping, for registration with a ring.
    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Size of each buffer.
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    fn address(&self, index: u32) -> NonNull<u8> {
        let offset = at(index) * self.buffer_bytes;
        assert!(offset + self.buffer_bytes <= self.mapping.bytes());
        // SAFETY: offset is inside the mapping, asserted above.
        unsafe { self.mapping.start().add(offset) }
    }

    fn pop(&self) -> Option<u32> {
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let (changes, index) = unpack(head);
            if index == NONE {
                return None;
            }
            // A stale `next` is caught by the change counter in the exchange below.
            let next = self.next[at(index)].load(Ordering::Relaxed);
            let replacement = pack(changes.wrapping_add(1), next);
            match self.head.compare_exchange_weak(head, replacement, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    self.free.fetch_sub(1, Ordering::Relaxed);
                    return Some(index);
                }
                Err(seen) => head = seen,
            }
        }
    }

    fn push(&self, index: u32) {
        // Counted before it can be taken again, so that `free` never goes below zero.
        self.free.fetch_add(1, Ordering::Relaxed);
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let (changes, first) = unpack(head);
            self.next[at(index)].store(first, Ordering::Relaxed);
            let replacement = pack(changes.wrapping_add(1), index);
            match self.head.compare_exchange_weak(head, replacement, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }
}

/// One counted handle to a buffer of a pool.
pub(super) struct PoolSlot {
    pool: Arc<PoolShared>,
    index: u32,
}

impl PoolSlot {
    pub(super) fn pool(&self) -> &Arc<PoolShared> {
        &self.pool
    }

    /// Whether this is the only handle; `&mut` keeps it from being copied while the caller decides.
    pub(super) fn is_only(&mut self) -> bool {
        // Acquire pairs with the Release of the drop that left us alone: its reads happen before our writes.
        self.pool.handles[at(self.index)].load(Ordering::Acquire) == 1
    }
}

impl Clone for PoolSlot {
    fn clone(&self) -> Self {
        let previous = self.pool.handles[at(self.index)].fetch_add(1, Ordering::Relaxed);
        assert!((1..u32::MAX / 2).contains(&previous), "a copied handle is alive and copies are few");
        Self { pool: Arc::clone(&self.pool), index: self.index }
    }
}

impl Drop for PoolSlot {
    fn drop(&mut self) {
        if self.pool.handles[at(self.index)].fetch_sub(1, Ordering::Release) == 1 {
            // Everything other holders did with the bytes happens before the next taker sees them.
            fence(Ordering::Acquire);
            self.pool.push(self.index);
        }
    }
}

fn pack(changes: u32, index: u32) -> u64 {
    u64::from(changes) << 32 | u64::from(index)
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of the packed word")]
fn unpack(head: u64) -> (u32, u32) {
    ((head >> 32) as u32, head as u32)
}

fn at(index: u32) -> usize {
    usize::try_from(index).expect("u32 fits usize on 64-bit Linux")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(count: u32) -> BlockPool {
        BlockPool::new(4096, count, HugePages::No).unwrap()
    }

    #[test]
    fn pool_is_bounded_and_buffers_return_on_drop() {
        let pool = pool(2);
        let first = pool.take().unwrap();
        let second = pool.take().unwrap();
        assert_ne!(first.as_ptr(), second.as_ptr());
        assert!(pool.take().is_none());
        assert_eq!(pool.free(), 0);
        drop(first);
        assert_eq!(pool.free(), 1);
        assert!(pool.take().is_some());
    }

    #[test]
    fn frozen_copies_keep_a_buffer_out_of_the_pool() {
        let pool = pool(1);
        let frozen = pool.take().unwrap().freeze();
        let copy = frozen.clone();
        assert!(frozen.try_thaw().is_none());
        assert!(pool.take().is_none());
        let thawed = copy.try_thaw().expect("the last handle");
        drop(thawed);
        assert!(pool.take().is_some());
    }

    #[test]
    fn buffers_outlive_the_pool_handle() {
        let pool = pool(1);
        let mut blocks = pool.take().unwrap();
        drop(pool);
        blocks.fill(9);
        assert_eq!(blocks[4095], 9);
    }

    #[test]
    fn threads_never_hold_the_same_buffer() {
        let pool = pool(3);
        let workers: Vec<_> = (1..=4u8)
            .map(|mark| {
                let pool = pool.clone();
                std::thread::spawn(move || {
                    let mut taken = 0;
                    while taken < 20_000 {
                        let Some(mut blocks) = pool.take() else {
                            std::thread::yield_now();
                            continue;
                        };
                        taken += 1;
                        blocks[0] = mark;
                        let frozen = blocks.freeze();
                        let copy = frozen.clone();
                        assert_eq!(frozen[0], mark);
                        drop(frozen);
                        assert_eq!(copy[0], mark);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(pool.free(), 3);
    }
}
