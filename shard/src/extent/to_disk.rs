//! Extents on their way to disk, and out of memory once they are there.

use crate::index::{ExtentNumber, Location};
use crate::io::{BLOCK_BYTES, BlockPool};
use crate::limits::EXTENT_BYTES;
use crate::record::Head;

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
    /// The next sealed extent to write, which gets its place now; `None` also when the file has no place for it yet. Its
    /// bytes are readable all the while.
    pub fn next_write(&mut self, pool: &mut P) -> Option<ExtentWrite<P>> {
        let number = self.next_dirty()?;
        let extent = self.table.get(number);
        let count = extent.places_owed();
        let place = if extent.has_place { extent.place } else { self.places.take(count)? };
        self.dirty.pop_front();
        if self.is_writable_extent(number) {
            self.freeze(number, pool);
        }
        self.dirty_count -= 1;
        self.dirty_places -= u64::from(count);
        let extent = self.table.get_mut(number);
        assert_eq!(extent.disk, Disk::Dirty, "an extent is written once");
        (extent.place, extent.has_place) = (place, true);
        extent.disk = Disk::Writing;
        self.writing += 1;
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

    /// A record larger than an extent, if it was placed last, may be written.
    pub(crate) fn seal_run(&mut self) {
        if let Some(run) = self.open_run.take() {
            self.seal(run);
        }
    }

    /// Bytes of memory of extents that may still take records.
    #[must_use]
    pub fn open_bytes(&self) -> u64 {
        let open = self.open.iter().flatten().chain(&self.open_run);
        open.map(|&number| self.table.get(number).memory_bytes()).sum()
    }

    /// Sealed extents that are not on their way to disk yet.
    #[must_use]
    #[inline]
    pub fn dirty_count(&self) -> usize {
        self.dirty_count
    }

    /// Whether memory comes back when what is sealed has been written, or what is emptied is forgotten.
    #[must_use]
    pub fn is_moving_to_disk(&self) -> bool {
        self.dirty_count > 0 || self.writing > 0
    }

    pub(super) fn is_writable_extent(&self, number: ExtentNumber) -> bool {
        matches!(self.table.get(number).memory, Memory::Owned(_))
    }

    /// The write of an extent has completed.
    pub fn on_written(&mut self, number: ExtentNumber) {
        let extent = self.table.get_mut(number);
        assert_eq!(extent.disk, Disk::Writing, "a completion has its write");
        extent.disk = Disk::Written;
        self.writing -= 1;
        if extent.emptied.is_some() {
            self.drop_memory(number);
        } else {
            self.resident_bytes += extent.memory_bytes();
            self.resident.push_back(number);
        }
    }

    /// Drops the memory of the extent that was written longest ago and still has it; records in it that were looked at
    /// stay, in the read cache. False when there is none.
    pub fn drop_oldest(&mut self) -> bool {
        while let Some(number) = self.resident.pop_front() {
            let in_memory = |extent: &Extent<P>| !matches!(extent.memory, Memory::Absent);
            if self.table.find(number).is_some_and(in_memory) {
                self.keep_used(number);
                self.resident_bytes -= self.table.get(number).memory_bytes();
                self.drop_memory(number);
                self.absent += 1;
                return true;
            }
        }
        false
    }

    /// Copies the records of an extent that were looked at to the read cache.
    fn keep_used(&mut self, number: ExtentNumber) {
        let first = self.head_bytes();
        let Self { table, cache, .. } = self;
        let extent = table.get(number);
        let (Some(uses), Some(bytes)) = (&extent.uses, extent.bytes()) else { return };
        if !uses.any() {
            return;
        }
        let mut at = first;
        while let Ok(head) = Head::decode(&bytes[at..]) {
            let end = at + head.record_len();
            let offset = u32::try_from(at).expect("an extent is below 4 GiB");
            if uses.contains(offset) && end <= bytes.len() {
                cache.keep(Location { extent: number, offset }, &bytes[at..end]);
            }
            at = end;
            if at >= bytes.len() {
                break;
            }
        }
    }

    /// Bytes of memory of extents that are on disk too.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.resident_bytes
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
