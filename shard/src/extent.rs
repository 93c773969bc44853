//! Extents: record memory, log-structured. Fixed-size buffers filled in order, numbered, a number never reused.
//!
//! The open extent takes records until one does not fit; then it is sealed and the next one opened. A record
//! larger than an extent gets a buffer of its own size, a run. Live bytes are counted per extent: one whose last
//! live record is gone gives its memory back. In the path: `Shard` places records here and the index points at
//! them. The data file, later, holds sealed extents; for now all of them stay in memory.

use crate::index::{ExtentNumber, Location};
use crate::io::{BlockBuffer, BlockPool};
use crate::limits::EXTENT_BYTES;

/// Extents whose places in the table are allocated together.
const PAGE: usize = 256;

/// One extent in memory.
#[derive(Debug)]
struct Extent<B> {
    buffer: B,
    used_bytes: u32,
    live_bytes: u32,
}

type Page<B> = Box<[Option<Extent<B>>]>;

/// All extents of one shard.
#[derive(Debug)]
pub struct Extents<B> {
    /// Two levels, so that numbers may grow for ever while the table's memory follows what is there.
    pages: Vec<Option<Page<B>>>,
    /// Number of the open extent, the newest of normal size; `None` before the first record.
    open: Option<ExtentNumber>,
    next: u32,
    count: usize,
    allocated_bytes: u64,
    live_bytes: u64,
}

impl<B> Default for Extents<B> {
    fn default() -> Self {
        Self { pages: Vec::new(), open: None, next: 0, count: 0, allocated_bytes: 0, live_bytes: 0 }
    }
}

impl<B: BlockBuffer> Extents<B> {
    /// Extents held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of buffers held.
    #[must_use]
    pub fn allocated_bytes(&self) -> u64 {
        self.allocated_bytes
    }

    /// Bytes of live records.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// All bytes from a record's start to the end of what its extent holds.
    ///
    /// # Panics
    /// When the location names no extent in memory: the index and the extents disagree.
    #[must_use]
    #[inline]
    pub fn bytes_at(&self, location: Location) -> &[u8] {
        let extent = self.extent(location.extent);
        &extent.buffer.as_ref()[location.offset as usize..extent.used_bytes as usize]
    }

    /// The `len` bytes of a record, to overwrite it in place with one of the same length.
    #[must_use]
    #[inline]
    pub fn bytes_at_mut(&mut self, location: Location, len: usize) -> &mut [u8] {
        let extent = self.extent_mut(location.extent);
        let start = location.offset as usize;
        assert!(start + len <= extent.used_bytes as usize, "the record lies within the extent");
        &mut extent.buffer.as_mut()[start..start + len]
    }

    /// Makes room for a record of `len` bytes, counts it as live, and returns where it goes.
    #[inline]
    pub fn allocate<P: BlockPool<Buffer = B>>(&mut self, len: usize, pool: &mut P) -> (Location, &mut [u8]) {
        if len > EXTENT_BYTES {
            return self.allocate_run(len, pool);
        }
        let fits =
            self.open.is_some_and(|number| self.extent(number).used_bytes as usize + len <= EXTENT_BYTES);
        if !fits {
            self.seal_open();
            let number = self.add(pool.take(EXTENT_BYTES));
            self.open = Some(number);
        }
        let Some(number) = self.open else { unreachable!("opened above") };
        (self.place_in(number, len), self.bytes_of_last(number, len))
    }

    fn allocate_run<P: BlockPool<Buffer = B>>(&mut self, len: usize, pool: &mut P) -> (Location, &mut [u8]) {
        let number = self.add(pool.take(len.next_multiple_of(4096)));
        (self.place_in(number, len), self.bytes_of_last(number, len))
    }

    /// Counts `len` more bytes in an extent and tells where they start.
    fn place_in(&mut self, number: ExtentNumber, len: usize) -> Location {
        let len = u32::try_from(len).expect("a record is shorter than 4 GiB: limits.rs");
        self.live_bytes += u64::from(len);
        let extent = self.extent_mut(number);
        let offset = extent.used_bytes;
        extent.used_bytes += len;
        extent.live_bytes += len;
        Location { extent: number, offset }
    }

    fn bytes_of_last(&mut self, number: ExtentNumber, len: usize) -> &mut [u8] {
        let extent = self.extent_mut(number);
        let end = extent.used_bytes as usize;
        &mut extent.buffer.as_mut()[end - len..end]
    }

    /// The record of `len` bytes at `location` is dead. Frees its extent when nothing in it lives and it takes no
    /// more records.
    #[inline]
    pub fn release(&mut self, location: Location, len: usize) {
        let number = location.extent;
        self.live_bytes -= len as u64;
        let extent = self.extent_mut(number);
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        assert!(extent.live_bytes >= len, "more released than was live");
        extent.live_bytes -= len;
        if extent.live_bytes == 0 && self.open != Some(number) {
            self.free(number);
        }
    }

    fn seal_open(&mut self) {
        if let Some(number) = self.open.take()
            && self.extent(number).live_bytes == 0
        {
            self.free(number);
        }
    }

    fn add(&mut self, buffer: B) -> ExtentNumber {
        let number = ExtentNumber(self.next);
        self.next = self.next.checked_add(1).expect("2^32 extents of 1 MiB are 4 PiB written by one shard");
        self.count += 1;
        self.allocated_bytes += buffer.as_ref().len() as u64;
        let (page, slot) = Self::split(number);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| (0..PAGE).map(|_| None).collect());
        page[slot] = Some(Extent { buffer, used_bytes: 0, live_bytes: 0 });
        number
    }

    fn free(&mut self, number: ExtentNumber) {
        let (page_number, slot) = Self::split(number);
        let Some(page) = &mut self.pages[page_number] else { unreachable!("page of a live extent") };
        let extent = page[slot].take().expect("freed once");
        self.count -= 1;
        self.allocated_bytes -= extent.buffer.as_ref().len() as u64;
        // A page whose numbers are all given out and gone is not needed again.
        if page.iter().all(Option::is_none) && self.next as usize >= (page_number + 1) * PAGE {
            self.pages[page_number] = None;
        }
    }

    #[inline]
    fn split(number: ExtentNumber) -> (usize, usize) {
        (number.0 as usize / PAGE, number.0 as usize % PAGE)
    }

    #[inline]
    fn extent(&self, number: ExtentNumber) -> &Extent<B> {
        let (page, slot) = Self::split(number);
        self.pages[page].as_ref().and_then(|page| page[slot].as_ref()).expect("the extent is in memory")
    }

    #[inline]
    fn extent_mut(&mut self, number: ExtentNumber) -> &mut Extent<B> {
        let (page, slot) = Self::split(number);
        self.pages[page].as_mut().and_then(|page| page[slot].as_mut()).expect("the extent is in memory")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::HeapPool;

    #[test]
    fn memory_comes_back_when_nothing_in_an_extent_lives() {
        let (mut extents, mut pool) = (Extents::default(), HeapPool);
        let mut places = Vec::new();
        for _ in 0..5_000 {
            let (place, bytes) = extents.allocate(1000, &mut pool);
            bytes.fill(7);
            places.push(place);
        }
        assert_eq!(extents.count(), 5);
        assert_eq!(extents.live_bytes(), 5_000_000);
        for place in places {
            extents.release(place, 1000);
        }
        assert_eq!((extents.count(), extents.live_bytes()), (1, 0), "only the open one stays");
        let _ = extents.allocate(EXTENT_BYTES, &mut pool);
        assert_eq!(extents.count(), 1, "sealing a dead extent frees it");
    }

    #[test]
    fn a_record_larger_than_an_extent_has_a_run_of_its_own() {
        let (mut extents, mut pool) = (Extents::default(), HeapPool);
        let (small, _) = extents.allocate(10, &mut pool);
        let (large, bytes) = extents.allocate(EXTENT_BYTES * 3 + 1, &mut pool);
        assert_eq!((bytes.len(), large.offset), (EXTENT_BYTES * 3 + 1, 0));
        let (next, _) = extents.allocate(10, &mut pool);
        assert_eq!((next.extent, next.offset), (small.extent, 10), "the open extent goes on");
        extents.release(large, EXTENT_BYTES * 3 + 1);
        assert_eq!(extents.count(), 1);
    }

    #[test]
    fn numbers_are_never_reused_and_emptied_pages_go() {
        let (mut extents, mut pool) = (Extents::<Vec<u8>>::default(), HeapPool);
        let mut last = None;
        for _ in 0..3 * PAGE {
            let (place, _) = extents.allocate(EXTENT_BYTES, &mut pool);
            assert!(last < Some(place.extent));
            last = Some(place.extent);
            extents.release(place, EXTENT_BYTES);
        }
        assert_eq!(extents.count(), 1);
        assert!(extents.pages.iter().filter(|page| page.is_some()).count() <= 1);
    }
}
