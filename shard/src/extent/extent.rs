//! One extent: its bytes as far as they are in memory, and how far it has come on its way to disk.

use std::cell::Cell;

use super::deadlines::Deadlines;
use crate::io::{BLOCK_BYTES, BlockPool};
use crate::limits::EXTENT_BYTES;

/// Bytes of an extent, as far as they are in memory.
pub(super) enum Memory<P: BlockPool> {
    /// May still be written to.
    Owned(P::Buffer),
    /// Sealed; a write to the file may hold another handle.
    Frozen(P::Frozen),
    /// On disk only.
    Absent,
}

/// How far an extent has come on its way to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    /// Nowhere: it is open, or storage is memory-only.
    None,
    /// Sealed, not yet written.
    Dirty,
    /// A write is under way.
    Writing,
    /// Written. Whether it survives power loss is the checkpoint's business.
    Written,
}

/// Which records of an extent on its way to disk were looked at: one bit per stretch of bytes that one may start in.
pub(super) struct Uses(Box<[Cell<u64>]>);

/// Bytes of a stretch: about the size of a small record.
const STRETCH_BYTES: u32 = 64;

impl Uses {
    pub(super) fn new(used_bytes: u32) -> Self {
        Self((0..used_bytes.div_ceil(STRETCH_BYTES * u64::BITS)).map(|_| Cell::new(0)).collect())
    }

    #[inline]
    fn at(&self, offset: u32) -> (&Cell<u64>, u64) {
        let stretch = offset / STRETCH_BYTES;
        (&self.0[(stretch / u64::BITS) as usize], 1 << (stretch % u64::BITS))
    }

    #[inline]
    pub(super) fn note(&self, offset: u32) {
        let (cell, bit) = self.at(offset);
        cell.set(cell.get() | bit);
    }

    pub(super) fn clear(&self, offset: u32) {
        let (cell, bit) = self.at(offset);
        cell.set(cell.get() & !bit);
    }

    pub(super) fn contains(&self, offset: u32) -> bool {
        let (cell, bit) = self.at(offset);
        cell.get() & bit != 0
    }

    pub(super) fn any(&self) -> bool {
        self.0.iter().any(|cell| cell.get() != 0)
    }
}

pub(super) struct Extent<P: BlockPool> {
    pub(super) memory: Memory<P>,
    pub(super) used_bytes: u32,
    pub(super) live_bytes: u32,
    /// What a checkpoint left unused when it sealed the extent before it was full: dead space like any other.
    pub(super) tail_bytes: u32,
    /// Drawn at the start of the process that made it.
    pub(super) salt: u32,
    /// What its records counted as, by length class, when they were placed.
    pub(super) placed_bytes: u32,
    /// It cannot be read back whole: left alone for as long as something in it lives.
    pub(super) damaged: bool,
    /// First of its places in the data file, if it has them.
    pub(super) place: u32,
    /// Whether it has its places: from when it is written on. A run takes them where it is begun: a row of free places that
    /// one record was let in for is not to be promised to another.
    pub(super) has_place: bool,
    pub(super) disk: Disk,
    /// Which of its records were looked at since it was frozen; `None`: it is not, or has left memory.
    pub(super) uses: Option<Uses>,
    /// Whether nobody knows when its records end: an older snapshot did not tell.
    pub(super) is_unknown: bool,
    /// When its records end; `None`: none of them does, as far as is known.
    pub(super) deadlines: Option<Box<Deadlines>>,
    /// Records with a deadline that were placed in it by this process.
    pub(super) deadline_records: u32,
    /// What ended until this second is counted.
    pub(super) counted_s: u32,
    /// What live records that have ended count as, an estimate.
    pub(super) ended_bytes: u32,
    /// Checkpoints begun when its last live record went; `None` while it has one or may get one.
    pub(super) emptied: Option<u64>,
}

impl<P: BlockPool> std::fmt::Debug for Extent<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extent")
            .field("used_bytes", &self.used_bytes)
            .field("live_bytes", &self.live_bytes)
            .field("disk", &self.disk)
            .field("emptied", &self.emptied)
            .finish_non_exhaustive()
    }
}

impl<P: BlockPool> Extent<P> {
    #[inline]
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        let bytes = match &self.memory {
            Memory::Owned(buffer) => buffer.as_ref(),
            Memory::Frozen(frozen) => frozen.as_ref(),
            Memory::Absent => return None,
        };
        Some(&bytes[..self.used_bytes as usize])
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        match &self.memory {
            Memory::Owned(_) | Memory::Frozen(_) => touched_bytes(self.used_bytes),
            Memory::Absent => 0,
        }
    }

    pub(super) fn place_count(&self) -> u32 {
        place_count(self.used_bytes)
    }

    /// Places that it has yet to get.
    pub(super) fn places_owed(&self) -> u32 {
        if self.has_place { 0 } else { self.place_count() }
    }
}

/// Memory that an extent with so many used bytes takes: its pages appear when they are first written to.
#[inline]
pub(super) fn touched_bytes(used_bytes: u32) -> u64 {
    u64::from(used_bytes).next_multiple_of(BLOCK_BYTES as u64)
}

/// Places that an extent with so many used bytes takes: one, unless it is a run.
pub(super) fn place_count(used_bytes: u32) -> u32 {
    let count = (used_bytes as usize).div_ceil(EXTENT_BYTES).max(1);
    u32::try_from(count).unwrap_or(u32::MAX)
}
