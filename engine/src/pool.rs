//! Where the core's buffers come from: a fixed pool for log batches, mappings of their own for all else.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use ring::{BlockPool as RingPool, Blocks, FrozenBlocks, HugePages};

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

/// Gives buffers to one worker's log and shards. Copies share the batch buffers.
#[derive(Clone)]
pub struct Pool {
    batches: Option<RingPool>,
    kept: Option<Arc<Kept>>,
}

impl Pool {
    /// A pool with `count` buffers for log batches of `batch_bytes` each; without any when `count` is 0.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(batch_bytes: usize, count: u32) -> io::Result<Self> {
        let batches = if count == 0 { None } else { Some(RingPool::new(batch_bytes, count, HugePages::No)?) };
        Ok(Self { batches, kept: None })
    }

    /// A copy that, with its own copies, keeps up to `count_max` buffers of `bytes` for their next use, until
    /// [`Self::keep_no_more`].
    pub(crate) fn keeping(&self, bytes: usize, count_max: usize) -> Self {
        let kept = Kept { bytes, count_max, buffers: Mutex::new(Some(Vec::new())) };
        Self { batches: self.batches.clone(), kept: Some(Arc::new(kept)) }
    }

    /// Gives back what is kept, and keeps nothing from now on.
    pub(crate) fn keep_no_more(&self) {
        if let Some(kept) = &self.kept {
            *kept.buffers.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
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
            _ => self
                .kept
                .as_ref()
                .filter(|kept| kept.bytes == bytes)
                .and_then(|kept| kept.with(Vec::pop).flatten()),
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
        let Some(kept) = &self.kept else { return };
        if frozen.as_ref().len() == kept.bytes
            && let Some(blocks) = frozen.0.try_thaw()
        {
            kept.with(|buffers| {
                if buffers.len() < kept.count_max {
                    buffers.push(blocks);
                }
            });
        }
    }
}
