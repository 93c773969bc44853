//! Where the core's buffers come from: a fixed pool for log batches, mappings of their own for all else, of which some are
//! kept for their next use.

use std::collections::VecDeque;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::{BlockPool as RingPool, Blocks, FrozenBlocks, HugePages};
use shard::io::BLOCK_BYTES;

use crate::limits::{
    LARGE_BUFFER_BYTES_MAX, LARGE_BUFFERS_KEPT_BYTES, SMALL_BUFFER_BYTES_MAX, SMALL_BUFFERS_KEPT_BYTES,
};

/// A block buffer as the core sees it.
#[derive(Debug)]
pub struct Buffer(pub(crate) Blocks);

impl AsRef<[u8]> for Buffer {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.0.deref()
    }
}

impl AsMut<[u8]> for Buffer {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        self.0.deref_mut()
    }
}

impl shard::io::BlockBuffer for Buffer {}

/// A shared, read-only block buffer as the core sees it.
#[derive(Clone, Debug)]
pub struct Frozen(pub(crate) FrozenBlocks);

impl AsRef<[u8]> for Frozen {
    fn as_ref(&self) -> &[u8] {
        self.0.deref()
    }
}

/// Buffers of one size that are kept for their next use: mapping memory afresh costs more than reading into it.
#[derive(Debug)]
struct Kept {
    bytes: usize,
    count_max: usize,
    /// `None` once nothing is kept any more.
    buffers: Mutex<Option<Vec<Blocks>>>,
}

impl Kept {
    /// Runs with the buffers, unless nothing is kept any more. A panic elsewhere leaves them as good as they were.
    fn with<T>(&self, work: impl FnOnce(&mut Vec<Blocks>) -> T) -> Option<T> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(work)
    }
}

/// Small buffers that wait for their next use, by size in blocks. A read of a record takes a buffer for a hundred
/// microseconds: to map and unmap one for it was two fifths of the cost of a cold GET.
#[derive(Debug)]
struct Small {
    /// Position i: buffers of i + 1 blocks.
    by_size: [Vec<Blocks>; SMALL_BUFFER_BYTES_MAX / BLOCK_BYTES],
    /// Bytes of all of them.
    bytes: usize,
}

impl Small {
    const fn new() -> Self {
        Self { by_size: [const { Vec::new() }; SMALL_BUFFER_BYTES_MAX / BLOCK_BYTES], bytes: 0 }
    }

    /// The buffers of a size that is kept.
    fn of_size(&mut self, bytes: usize) -> Option<&mut Vec<Blocks>> {
        self.by_size.get_mut((bytes / BLOCK_BYTES).checked_sub(1)?)
    }

    fn take(&mut self, bytes: usize) -> Option<Blocks> {
        let blocks = self.of_size(bytes)?.pop()?;
        self.bytes -= bytes;
        Some(blocks)
    }

    fn put(&mut self, blocks: Blocks) {
        let bytes = blocks.len();
        let Some(buffers) = self.of_size(bytes) else { return };
        buffers.push(blocks);
        self.bytes += bytes;
        // Sizes that are not used any more make way for those that are.
        while self.bytes > SMALL_BUFFERS_KEPT_BYTES {
            let most =
                self.by_size.iter_mut().max_by_key(|of| of.len() * of.first().map_or(0, |one| one.len()));
            let Some(gone) = most.and_then(Vec::pop) else { return };
            self.bytes -= gone.len();
        }
    }
}

/// Large buffers that wait for their next use, the one that came first in front. Extents come and go all the time where data
/// is larger than memory: to map, fault in and unmap them was a sixth of the cost of a SET then, and came in bursts.
#[derive(Debug)]
struct Large {
    buffers: VecDeque<Blocks>,
    /// Bytes of all of them.
    bytes: usize,
}

impl Large {
    const fn new() -> Self {
        Self { buffers: VecDeque::new(), bytes: 0 }
    }

    fn take(&mut self, bytes: usize) -> Option<Blocks> {
        let at = self.buffers.iter().rposition(|buffer| buffer.len() == bytes)?;
        self.bytes -= bytes;
        self.buffers.remove(at)
    }

    fn put(&mut self, blocks: Blocks) {
        self.bytes += blocks.len();
        self.buffers.push_back(blocks);
        while self.bytes > LARGE_BUFFERS_KEPT_BYTES {
            let Some(gone) = self.buffers.pop_front() else { return };
            self.bytes -= gone.len();
        }
    }
}

/// Gives buffers to one worker's log and shards. Copies share the batch buffers and those that are kept.
#[derive(Clone)]
pub struct Pool {
    batches: Option<RingPool>,
    small: Arc<Mutex<Small>>,
    large: Arc<Mutex<Large>>,
    kept: Option<Arc<Kept>>,
}

impl Pool {
    /// A pool with `count` buffers for log batches of `batch_bytes` each; without any when `count` is 0.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(batch_bytes: usize, count: u32) -> io::Result<Self> {
        let batches = if count == 0 { None } else { Some(RingPool::new(batch_bytes, count, HugePages::No)?) };
        let (small, large) = (Mutex::new(Small::new()), Mutex::new(Large::new()));
        Ok(Self { batches, small: Arc::new(small), large: Arc::new(large), kept: None })
    }

    /// A copy that, with its own copies, keeps up to `count_max` buffers of `bytes` for their next use, until
    /// [`Self::keep_no_more`].
    pub(crate) fn keeping(&self, bytes: usize, count_max: usize) -> Self {
        let kept = Kept { bytes, count_max, buffers: Mutex::new(Some(Vec::new())) };
        Self { kept: Some(Arc::new(kept)), ..self.clone() }
    }

    /// Gives back what is kept, and keeps nothing from now on.
    pub(crate) fn keep_no_more(&self) {
        if let Some(kept) = &self.kept {
            *kept.buffers.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// A panic elsewhere leaves the buffers as good as they were.
    fn small(&self) -> MutexGuard<'_, Small> {
        self.small.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As for the small ones.
    fn large(&self) -> MutexGuard<'_, Large> {
        self.large.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of memory that wait for their next use, those for batches not counted.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.small().bytes + self.large().bytes
    }

    /// The batch buffers, to register them with a ring.
    #[must_use]
    pub fn batches(&self) -> Option<&RingPool> {
        self.batches.as_ref()
    }
}

impl shard::io::BlockPool for Pool {
    type Buffer = Buffer;
    type Frozen = Frozen;

    fn take(&mut self, bytes: usize) -> Buffer {
        let pooled = match &self.batches {
            Some(batches) if batches.buffer_bytes() == bytes => batches.take(),
            _ if bytes <= SMALL_BUFFER_BYTES_MAX => self.small().take(bytes),
            _ => self
                .kept
                .as_ref()
                .filter(|kept| kept.bytes == bytes)
                .and_then(|kept| kept.with(Vec::pop).flatten())
                .or_else(|| self.large().take(bytes)),
        };
        // Out of address space or over an rlimit: as everywhere in Rust, running out of memory ends the process.
        let blocks = pooled.unwrap_or_else(|| {
            Blocks::zeroed(bytes, HugePages::No).expect("out of memory for a block buffer")
        });
        Buffer(blocks)
    }

    fn freeze(&mut self, buffer: Buffer) -> Frozen {
        Frozen(buffer.0.freeze())
    }

    fn reclaim(&mut self, frozen: Frozen) {
        // A pool's buffer goes back on its free list with the last handle, a mapping is unmapped unless it is kept.
        if self.batches.as_ref().is_some_and(|batches| batches.buffer_bytes() == frozen.as_ref().len()) {
            return;
        }
        if frozen.as_ref().len() <= SMALL_BUFFER_BYTES_MAX {
            if let Some(blocks) = frozen.0.try_thaw() {
                self.small().put(blocks);
            }
            return;
        }
        let bytes = frozen.as_ref().len();
        if let Some(kept) = self.kept.as_ref().filter(|kept| kept.bytes == bytes) {
            if let Some(blocks) = frozen.0.try_thaw() {
                kept.with(|buffers| {
                    if buffers.len() < kept.count_max {
                        buffers.push(blocks);
                    }
                });
            }
        } else if bytes <= LARGE_BUFFER_BYTES_MAX
            && let Some(blocks) = frozen.0.try_thaw()
        {
            self.large().put(blocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use shard::io::BlockPool as _;

    use super::*;

    #[test]
    fn small_buffers_are_used_again_and_too_many_are_not_kept() {
        let mut pool = Pool::new(1 << 20, 0).unwrap();
        let first = pool.take(2 * BLOCK_BYTES);
        let address = first.as_ref().as_ptr();
        pool.put(first);
        let other_size = pool.take(BLOCK_BYTES);
        assert_eq!(other_size.as_ref().len(), BLOCK_BYTES, "a buffer has the size that was asked for");
        assert_eq!(
            pool.clone().take(2 * BLOCK_BYTES).as_ref().as_ptr(),
            address,
            "copies share what is kept"
        );
        let many: Vec<_> =
            (0..2 * SMALL_BUFFERS_KEPT_BYTES / BLOCK_BYTES).map(|_| pool.take(BLOCK_BYTES)).collect();
        for buffer in many {
            pool.put(buffer);
        }
        let kept = pool.small().by_size[0].len();
        assert_eq!(kept, SMALL_BUFFERS_KEPT_BYTES / BLOCK_BYTES);
        assert!(pool.small().by_size.iter().skip(1).all(Vec::is_empty));
    }

    #[test]
    fn the_large_buffers_of_last_use_are_used_again() {
        let mut pool = Pool::new(8 << 20, 0).unwrap();
        let sizes =
            [LARGE_BUFFER_BYTES_MAX, SMALL_BUFFER_BYTES_MAX + BLOCK_BYTES, 2 * LARGE_BUFFER_BYTES_MAX];
        let buffers = sizes.map(|bytes| pool.take(bytes));
        let addresses: Vec<_> = buffers.iter().map(|buffer| buffer.as_ref().as_ptr()).collect();
        buffers.into_iter().for_each(|buffer| pool.put(buffer));
        assert_eq!(pool.kept_bytes(), sizes[0] + sizes[1], "what is above the bound is not kept");
        for (bytes, address) in sizes.into_iter().zip(addresses).take(2) {
            assert_eq!(pool.clone().take(bytes).as_ref().as_ptr(), address);
        }
        assert_eq!(pool.kept_bytes(), 0);
        let many: Vec<_> = (0..2 * LARGE_BUFFERS_KEPT_BYTES / LARGE_BUFFER_BYTES_MAX)
            .map(|_| pool.take(LARGE_BUFFER_BYTES_MAX))
            .collect();
        many.into_iter().for_each(|buffer| pool.put(buffer));
        assert_eq!(pool.kept_bytes(), LARGE_BUFFERS_KEPT_BYTES);
    }

    #[test]
    fn a_buffer_that_somebody_still_reads_is_not_used_again() {
        let mut pool = Pool::new(1 << 20, 0).unwrap();
        let buffer = pool.take(BLOCK_BYTES);
        let frozen = pool.freeze(buffer);
        let copy = frozen.clone();
        pool.reclaim(frozen);
        assert_ne!(pool.take(BLOCK_BYTES).as_ref().as_ptr(), copy.as_ref().as_ptr());
    }
}
