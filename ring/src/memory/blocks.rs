//! Blocks: a 4096-aligned byte buffer, writable by its one owner or frozen and shared.
//!
//! Rule: a [`Blocks`] is the only handle to its bytes; a [`FrozenBlocks`] may have copies and none of them writes.
//! The kernel counts as a holder: while it reads or writes, the ring's operation table holds the handle.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use super::block_pool::{PoolShared, PoolSlot};
use super::mapping::{HugePages, Mapping};

/// What keeps the bytes of a handle mapped. Copies share one count of holders.
#[derive(Clone)]
pub(super) enum Owner {
    /// A mapping of its own, unmapped with the last handle.
    Mapping(Arc<Mapping>),
    /// A buffer of a pool, back on its free list with the last handle.
    Slot(PoolSlot),
}

impl Owner {
    /// Whether this is the only handle. The holder of the only handle may write: nobody can copy it meanwhile.
    fn is_only(&mut self) -> bool {
        match self {
            Self::Mapping(mapping) => Arc::get_mut(mapping).is_some(),
            Self::Slot(slot) => slot.is_only(),
        }
    }
}

/// Address and size of a buffer, without ownership.
#[derive(Clone, Copy)]
struct Span {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a span is plain memory of the process; the owner stored beside it decides who may touch it.
unsafe impl Send for Span {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for Span {}

/// A zero-initialised, 4096-aligned buffer with one owner. Length is a multiple of 4096 (for a pool: its buffer size).
pub struct Blocks {
    span: Span,
    owner: Owner,
}

impl Blocks {
    /// A buffer of its own with `bytes` rounded up to whole blocks, all zero, pages appearing on first touch.
    /// Error: `ENOMEM`.
    pub fn zeroed(bytes: usize, huge: HugePages) -> io::Result<Self> {
        let mapping = Mapping::new(bytes, huge)?;
        let span = Span { start: mapping.start(), bytes: mapping.bytes() };
        Ok(Self { span, owner: Owner::Mapping(Arc::new(mapping)) })
    }

    /// The pool buffer that `slot` has just taken from the free list.
    pub(super) fn of_pool(start: NonNull<u8>, bytes: usize, slot: PoolSlot) -> Self {
        Self { span: Span { start, bytes }, owner: Owner::Slot(slot) }
    }

    /// Gives up writing in exchange for handles that can be copied. Costs nothing.
    pub fn freeze(self) -> FrozenBlocks {
        FrozenBlocks { span: self.span, owner: self.owner }
    }

    /// Address for a kernel operation that writes. The caller stores `self` in the operation table first.
    pub(crate) fn as_kernel_target(&mut self) -> NonNull<u8> {
        self.span.start
    }

    /// The pool this buffer belongs to, if any: registered buffers are looked up by it.
    pub(crate) fn pool(&self) -> Option<&Arc<PoolShared>> {
        pool_of(&self.owner)
    }
}

impl Deref for Blocks {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the owner keeps the span mapped and initialised; as the only handle, `&self` excludes writers.
        unsafe { slice::from_raw_parts(self.span.start.as_ptr(), self.span.bytes) }
    }
}

impl DerefMut for Blocks {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` of the only handle excludes all other access.
        unsafe { slice::from_raw_parts_mut(self.span.start.as_ptr(), self.span.bytes) }
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Blocks({} bytes)", self.span.bytes)
    }
}

/// A shared, read-only handle to a buffer. A copy costs one or two atomic additions and no allocation.
#[derive(Clone)]
pub struct FrozenBlocks {
    span: Span,
    owner: Owner,
}

impl FrozenBlocks {
    /// The writable buffer again, if this is the last handle; `None` drops this handle and leaves the others.
    pub fn try_thaw(mut self) -> Option<Blocks> {
        self.owner.is_only().then_some(Blocks { span: self.span, owner: self.owner })
    }

    /// Address for a kernel operation that reads. The caller stores a handle in the operation table first.
    pub(crate) fn as_kernel_source(&self) -> NonNull<u8> {
        self.span.start
    }

    /// The pool this buffer belongs to, if any: registered buffers are looked up by it.
    pub(crate) fn pool(&self) -> Option<&Arc<PoolShared>> {
        pool_of(&self.owner)
    }
}

impl Deref for FrozenBlocks {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the owner keeps the span mapped and initialised; no handle to frozen bytes writes them.
        unsafe { slice::from_raw_parts(self.span.start.as_ptr(), self.span.bytes) }
    }
}

impl fmt::Debug for FrozenBlocks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FrozenBlocks({} bytes)", self.span.bytes)
    }
}

fn pool_of(owner: &Owner) -> Option<&Arc<PoolShared>> {
    match owner {
        Owner::Mapping(_) => None,
        Owner::Slot(slot) => Some(slot.pool()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BLOCK_BYTES;

    #[test]
    fn blocks_start_zeroed_and_aligned() {
        let blocks = Blocks::zeroed(5000, HugePages::No).unwrap();
        assert_eq!(blocks.len(), 2 * BLOCK_BYTES);
        assert!(blocks.iter().all(|byte| *byte == 0));
        assert_eq!(blocks.as_ptr().addr() % BLOCK_BYTES, 0);
    }

    #[test]
    fn frozen_blocks_thaw_only_as_the_last_handle() {
        let mut blocks = Blocks::zeroed(4096, HugePages::No).unwrap();
        blocks[7] = 42;
        let first = blocks.freeze();
        let second = first.clone();
        assert_eq!(second[7], 42);
        assert!(first.try_thaw().is_none());
        let mut thawed = second.try_thaw().expect("the last handle");
        thawed[7] = 43;
        assert_eq!(thawed[7], 43);
    }

    #[test]
    fn blocks_move_between_threads() {
        let mut blocks = Blocks::zeroed(4096, HugePages::No).unwrap();
        blocks[0] = 1;
        let frozen = std::thread::spawn(move || {
            blocks[1] = 2;
            blocks.freeze()
        })
        .join()
        .unwrap();
        assert_eq!(&frozen[..3], &[1, 2, 0]);
    }
}
