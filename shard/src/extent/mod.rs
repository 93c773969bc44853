//! Extents: record memory, log-structured. Fixed-size buffers filled in order, numbered, a number never reused.
//!
//! An open extent takes records until one does not fit; then it is sealed and the next one opened. A record larger
//! than an extent gets a buffer of its own size, a run. In memory-only storage extents are the store. In a disk
//! store a sealed extent is written to its place in the shard's data file, when there are many or a checkpoint wants
//! it; from then on it never changes again. It serves reads meanwhile, and may leave memory when it is there: then its records are read back one by one (`read_cache.rs`).
//!
//! Live bytes are counted per extent, by length class, so that dropping a record takes no look at it. In the path:
//! `Shard` places records here and the index points at them; the checkpoint writes extents out, compaction empties
//! them. `seal.rs`: what makes an extent on disk recognisable. `places.rs`: where in the file they lie.

mod compact;
mod deadlines;
mod expiry;
#[expect(clippy::module_inception, reason = "the file holds one extent, the folder all of them")]
mod extent;
mod for_checkpoint;
mod for_scrub;
mod loading;
mod open;
mod places;
mod read_cache;
mod seal;
mod space;
mod table;
mod to_disk;

use std::collections::VecDeque;

use crate::index::{ExtentNumber, LengthClass, Location};
use crate::io::{BLOCK_BYTES, BlockPool};
use crate::limits::EXTENT_BYTES;
use crate::planted::{self, PlantedBug};

pub use compact::{Fill, Weight};
pub use deadlines::{DeadlineBucket, Deadlines};
use expiry::Expiry;
use extent::{Disk, Extent, Memory, touched_bytes};
pub use for_checkpoint::ExtentOnDisk;
pub(crate) use for_scrub::Written;
use loading::Counted;
use places::Places;
use read_cache::ReadCache;
pub use seal::{EXTENT_HEADER_BYTES, ExtentError, ExtentSeal};
pub use space::Growth;
use table::ExtentTable;
pub use to_disk::ExtentWrite;

/// Which records go together: fresh ones come and go, those that outlived a compaction stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Records just written.
    Fresh,
    /// Records moved by compaction.
    Survivors,
}

/// Entries of the queue of sealed extents that may be out of date before it is cleaned.
const DIRTY_SLACK: usize = 64;

/// Open extents at most, one per stream.
const STREAMS: usize = 2;

/// One read from the data file that covers a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColdPlace {
    /// Offset in the data file, a multiple of [`BLOCK_BYTES`].
    pub offset: u64,
    /// Bytes to read, a multiple of [`BLOCK_BYTES`].
    pub len: usize,
    /// Where in them the record starts.
    pub start: usize,
    /// What the record's checksum is XORed with.
    pub mask: u32,
}

/// All extents of one shard.
pub struct Extents<P: BlockPool> {
    /// Whose they are on disk; `None`: memory-only.
    seal: Option<ExtentSeal>,
    /// Salt of extents that are made now.
    salt: u32,
    table: ExtentTable<Extent<P>>,
    /// The open extent of each stream; `None` before its first record.
    open: [Option<ExtentNumber>; STREAMS],
    /// The run placed last: sealed when the next record is placed.
    open_run: Option<ExtentNumber>,
    places: Places,
    /// Sealed extents that wait to be written, oldest first; those that went meanwhile are passed over.
    dirty: VecDeque<ExtentNumber>,
    /// How many of them are still there.
    dirty_count: usize,
    /// Extents that are being written.
    writing: usize,
    /// Places that they need.
    dirty_places: u64,
    /// Emptied extents that a snapshot may still point into.
    emptied: Vec<ExtentNumber>,
    /// Extents that no snapshot points into any more, still to be freed.
    free: Vec<ExtentNumber>,
    checkpoints_begun: u64,
    checkpoint_runs: bool,
    /// Written extents that are in memory too, oldest first.
    resident: VecDeque<ExtentNumber>,
    /// Bytes of memory that they take.
    resident_bytes: u64,
    cache: ReadCache,
    memory_bytes: u64,
    live_bytes: u64,
    /// What the entries of a snapshot point at, while it is loaded.
    loading: std::collections::BTreeMap<u32, Counted>,
    /// Used bytes of all extents that are not emptied, and what their records counted as when they were placed.
    held_bytes: u64,
    /// What checkpoints left unused of the same extents.
    tail_bytes: u64,
    placed_bytes: u64,
    /// What all records ever placed as [`Stream::Fresh`] counted as.
    fresh_bytes: u64,
    /// An extent is sealed when this many bytes are used.
    fill_bytes: usize,
    /// Extents with live records that are on disk only.
    absent: usize,
    expiry: Expiry,
}

impl<P: BlockPool> std::fmt::Debug for Extents<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extents")
            .field("count", &self.table.count())
            .field("memory_bytes", &self.memory_bytes)
            .field("live_bytes", &self.live_bytes)
            .finish_non_exhaustive()
    }
}

impl<P: BlockPool> Extents<P> {
    /// No extents yet; with a seal they are to go to disk, those made now under this salt.
    #[must_use]
    pub fn new(seal: Option<ExtentSeal>, salt: u32) -> Self {
        Self {
            seal,
            salt,
            table: ExtentTable::default(),
            open: [None; STREAMS],
            open_run: None,
            places: Places::default(),
            dirty: VecDeque::new(),
            dirty_count: 0,
            writing: 0,
            dirty_places: 0,
            emptied: Vec::new(),
            free: Vec::new(),
            checkpoints_begun: 0,
            checkpoint_runs: false,
            resident: VecDeque::new(),
            resident_bytes: 0,
            cache: ReadCache::default(),
            memory_bytes: 0,
            live_bytes: 0,
            loading: std::collections::BTreeMap::new(),
            held_bytes: 0,
            tail_bytes: 0,
            placed_bytes: 0,
            fresh_bytes: 0,
            fill_bytes: EXTENT_BYTES,
            absent: 0,
            expiry: Expiry::default(),
        }
    }

    /// Extents held, on disk or in memory.
    #[must_use]
    pub fn count(&self) -> usize {
        self.table.count()
    }

    /// Bytes of memory that extents and the read cache take.
    #[must_use]
    pub fn allocated_bytes(&self) -> u64 {
        self.memory_bytes + self.cache.bytes() as u64
    }

    /// Bytes of live records, each counted as its length class allows at most.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Records in the read cache.
    #[must_use]
    pub fn cached_records(&self) -> usize {
        self.cache.len()
    }

    /// Bytes of disk space that the data file takes, free places with space included; 0 when storage is memory-only.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        u64::from(self.places.spaced_count()) * EXTENT_BYTES as u64
    }

    /// Free places of the data file.
    #[must_use]
    pub fn free_places(&self) -> usize {
        self.places.free_count()
    }

    /// Bytes of those free places.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.free_places() as u64 * EXTENT_BYTES as u64
    }

    /// The seal, when extents go to disk.
    #[must_use]
    pub fn identity(&self) -> Option<ExtentSeal> {
        self.seal
    }

    /// Whether every record is in memory, however it is looked at.
    #[must_use]
    #[inline]
    pub fn is_all_in_memory(&self) -> bool {
        self.absent == 0
    }

    /// Whether there is an extent of this number.
    #[must_use]
    pub fn contains(&self, number: ExtentNumber) -> bool {
        self.table.find(number).is_some()
    }

    /// Whether the bytes of an extent are in memory.
    #[must_use]
    pub fn is_in_memory(&self, number: ExtentNumber) -> bool {
        !matches!(self.table.get(number).memory, Memory::Absent)
    }

    /// Salt of an extent.
    #[must_use]
    pub fn salt_of(&self, number: ExtentNumber) -> u32 {
        self.table.get(number).salt
    }

    // ---- reading ----------------------------------------------------------------------------------------------

    /// All bytes from a record's start to the end of what its extent (or the read cache) holds of it; `None` when
    /// the record is on disk only.
    ///
    /// # Panics
    /// When the location names no extent: the index and the extents disagree.
    #[must_use]
    #[inline]
    pub fn find(&self, location: Location) -> Option<&[u8]> {
        let extent = self.table.get(location.extent);
        match extent.bytes() {
            Some(bytes) => {
                if let Some(uses) = &extent.uses {
                    uses.note(location.offset);
                }
                Some(&bytes[location.offset as usize..])
            }
            None => self.cache.get(location),
        }
    }

    /// As [`Self::find`], for a record that is known to be in memory.
    ///
    /// # Panics
    /// When it is not: whoever runs a command has made sure of it before.
    #[must_use]
    #[inline]
    pub fn bytes_at(&self, location: Location) -> &[u8] {
        self.find(location).expect("the record was brought into memory before it is looked at")
    }

    /// The read that brings back a record which is on disk only.
    #[must_use]
    pub fn cold_place(&self, location: Location, class: LengthClass) -> Option<ColdPlace> {
        let extent = self.table.find(location.extent)?;
        if !matches!(extent.memory, Memory::Absent) || self.cache.contains(location) {
            return None;
        }
        let at = location.offset as usize;
        let first = at - at % BLOCK_BYTES;
        let end = (at + class.bytes_max()).min(extent.used_bytes as usize).next_multiple_of(BLOCK_BYTES);
        let offset = u64::from(extent.place) * EXTENT_BYTES as u64 + first as u64;
        let mask = self.seal?.mask(location, extent.salt);
        Some(ColdPlace { offset, len: end - first, start: at - first, mask })
    }

    /// The command that a record was read for has run: uses of the record count from here on.
    pub fn forget_use(&self, location: Location) {
        self.cache.forget_use(location);
    }

    /// Keeps a record that was read from disk.
    pub fn remember(&mut self, location: Location, record: &[u8]) {
        self.cache.insert(location, record);
    }

    // ---- writing ----------------------------------------------------------------------------------------------

    /// What the checksum of the record at a location is XORed with; 0 when storage is memory-only.
    #[must_use]
    #[inline]
    pub fn mask(&self, location: Location) -> u32 {
        self.seal.map_or(0, |seal| seal.mask(location, self.table.get(location.extent).salt))
    }

    /// Whether a record may be overwritten where it is: its extent is in memory and not sealed for the disk.
    #[must_use]
    #[inline]
    pub fn is_writable(&self, location: Location) -> bool {
        matches!(self.table.get(location.extent).memory, Memory::Owned(_))
    }

    /// The `len` bytes of a writable record, to overwrite it in place with one of the same length.
    ///
    /// # Panics
    /// When it is not writable.
    #[must_use]
    #[inline]
    pub fn bytes_at_mut(&mut self, location: Location, len: usize) -> &mut [u8] {
        let extent = self.table.get_mut(location.extent);
        let start = location.offset as usize;
        assert!(start + len <= extent.used_bytes as usize, "the record lies within the extent");
        let Memory::Owned(buffer) = &mut extent.memory else { panic!("a sealed extent never changes") };
        &mut buffer.as_mut()[start..start + len]
    }

    /// Bytes at the start of an extent that hold no record.
    #[inline]
    const fn head_bytes(&self) -> usize {
        if self.seal.is_some() { EXTENT_HEADER_BYTES } else { 0 }
    }

    /// The record at `location` is dead. An extent in which nothing lives and that takes no more records is freed,
    /// or waits until no snapshot points into it.
    #[inline]
    pub fn release(&mut self, location: Location, class: LengthClass) {
        let number = location.extent;
        let bytes = class_bytes(class);
        self.live_bytes -= u64::from(bytes);
        let extent = self.table.get_mut(number);
        assert!(extent.live_bytes >= bytes, "more released than was live");
        extent.live_bytes -= bytes;
        if let Some(uses) = &extent.uses {
            uses.clear(location.offset);
        }
        if extent.ended_bytes > 0 {
            // What goes from an extent in which something has ended is taken for that.
            let ended = extent.ended_bytes.min(bytes);
            extent.ended_bytes -= ended;
            self.expiry.ended_bytes -= u64::from(ended);
        }
        if extent.live_bytes == 0 && !self.open.contains(&Some(number)) && self.open_run != Some(number) {
            self.on_emptied(number);
        }
    }

    #[cold]
    fn on_emptied(&mut self, number: ExtentNumber) {
        let unwritten = matches!(self.table.get(number).disk, Disk::None | Disk::Dirty);
        let at_once = planted::is(PlantedBug::ReuseEmptiedAtOnce)
            && self.table.get(number).disk == Disk::Written
            || planted::is(PlantedBug::ForgetUnwrittenDuringCopy) && unwritten;
        if self.seal.is_none() || (unwritten && !self.checkpoint_runs) || at_once {
            self.forget(number);
        } else {
            self.note_emptied(number);
        }
    }

    fn note_emptied(&mut self, number: ExtentNumber) {
        let extent = self.table.get_mut(number);
        assert!(extent.emptied.is_none(), "an extent is emptied once");
        extent.emptied = Some(self.checkpoints_begun);
        self.held_bytes -= u64::from(extent.used_bytes);
        self.tail_bytes -= u64::from(extent.tail_bytes);
        self.placed_bytes -= u64::from(extent.placed_bytes);
        self.emptied.push(number);
        self.forget_deadlines(number);
        let extent = self.table.get(number);
        if matches!(extent.memory, Memory::Absent) {
            self.absent -= 1;
        } else if extent.disk == Disk::Written {
            self.resident_bytes -= extent.memory_bytes();
            self.drop_memory(number);
        }
    }

    fn drop_memory(&mut self, number: ExtentNumber) {
        let extent = self.table.get_mut(number);
        self.memory_bytes -= extent.memory_bytes();
        extent.memory = Memory::Absent;
        extent.uses = None;
        self.expiry.in_memory -= u64::from(extent.deadline_records);
    }

    /// Takes an extent out that no snapshot points into; its places are free again.
    fn forget(&mut self, number: ExtentNumber) {
        self.forget_deadlines(number);
        let extent = self.table.remove(number);
        assert_eq!(extent.live_bytes, 0, "only what is dead is forgotten");
        self.memory_bytes -= extent.memory_bytes();
        if !matches!(extent.memory, Memory::Absent) {
            self.expiry.in_memory -= u64::from(extent.deadline_records);
        }
        if extent.emptied.is_none() {
            self.held_bytes -= u64::from(extent.used_bytes);
            self.tail_bytes -= u64::from(extent.tail_bytes);
            self.placed_bytes -= u64::from(extent.placed_bytes);
        }
        if extent.disk == Disk::Dirty {
            self.dirty_count -= 1;
            self.dirty_places -= u64::from(extent.places_owed());
        }
        if extent.has_place {
            // Another run may have left its last place half a hole.
            let is_whole = extent.salt == self.salt;
            self.places.give_back(extent.place, extent.place_count(), is_whole);
        }
    }
}

/// Bytes that a record of this class counts as.
#[inline]
fn class_bytes(class: LengthClass) -> u32 {
    u32::try_from(class.bytes_max()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
