//! Extents on their way to disk, and out of memory once they are there.

use crate::index::ExtentNumber;
use crate::io::{BLOCK_BYTES, BlockPool};
use crate::limits::EXTENT_BYTES;

use super::Extents;
use super::extent::{Disk, Extent, Memory};

/// A sealed extent on its way to its place.
pub struct ExtentWrite<P: BlockPool> {
    /// The extent.
    pub number: ExtentNumber,
    /// Where in the data file.
    pub offset: u64,
    /// What to write.
    pub buffer: P::Frozen,
    /// How much of it, a multiple of [`BLOCK_BYTES`].
    pub len: usize,
}

impl<P: BlockPool> Extents<P> {
    /// The next sealed extent to write, which gets its place now. Its bytes are readable all the while.
    pub fn next_write(&mut self, pool: &mut P) -> Option<ExtentWrite<P>> {
        let number = self.next_dirty()?;
        self.dirty.pop_front();
        if self.is_writable_extent(number) {
            self.freeze(number, pool);
        }
        self.dirty_count -= 1;
        let extent = self.table.get_mut(number);
        assert_eq!(extent.disk, Disk::Dirty, "an extent is written once");
        extent.place = self.places.take(extent.place_count());
        extent.disk = Disk::Writing;
        let Memory::Frozen(frozen) = &extent.memory else { unreachable!("a dirty extent is in memory") };
        Some(ExtentWrite {
            number,
            offset: u64::from(extent.place) * EXTENT_BYTES as u64,
            buffer: frozen.clone(),
            len: (extent.used_bytes as usize).next_multiple_of(BLOCK_BYTES),
        })
    }

    /// The sealed extent that [`Self::next_write`] would give out; those that are gone are passed over for good.
    pub fn next_dirty(&mut self) -> Option<ExtentNumber> {
        while let Some(&number) = self.dirty.front() {
            if self.table.find(number).is_some_and(|extent| extent.disk == Disk::Dirty) {
                return Some(number);
            }
            self.dirty.pop_front();
        }
        None
    }

    /// Sealed extents that are not on their way to disk yet.
    #[must_use]
    #[inline]
    pub fn dirty_count(&self) -> usize {
        self.dirty_count
    }

    pub(super) fn is_writable_extent(&self, number: ExtentNumber) -> bool {
        matches!(self.table.get(number).memory, Memory::Owned(_))
    }

    /// The write of an extent has completed.
    pub fn on_written(&mut self, number: ExtentNumber) {
        let extent = self.table.get_mut(number);
        assert_eq!(extent.disk, Disk::Writing, "a completion has its write");
        extent.disk = Disk::Written;
        if extent.emptied.is_some() {
            self.drop_memory(number);
        } else {
            self.resident.push_back(number);
        }
    }

    /// Drops the memory of the extent that was written longest ago and still has it. False when there is none.
    pub fn drop_oldest(&mut self) -> bool {
        while let Some(number) = self.resident.pop_front() {
            let in_memory = |extent: &Extent<P>| !matches!(extent.memory, Memory::Absent);
            if self.table.find(number).is_some_and(in_memory) {
                self.drop_memory(number);
                self.absent += 1;
                return true;
            }
        }
        false
    }

    /// Forgets the oldest records of the read cache. False when there are none.
    pub fn forget_oldest_reads(&mut self) -> bool {
        self.cache.forget_oldest()
    }

    /// Bytes of the read cache.
    #[must_use]
    pub fn cache_bytes(&self) -> usize {
        self.cache.bytes()
    }
}
