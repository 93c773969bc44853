//! What a checkpoint asks of extents: sealed and written before they are named, kept for as long as they are.

use crate::index::ExtentNumber;
use crate::io::{BLOCK_BYTES, BlockPool};
use crate::limits::{EXTENT_BYTES, EXTENTS_FREED_PER_STEP};
use crate::planted::{self, PlantedBug};

use super::extent::{Disk, Extent};
use super::{Deadlines, Extents, Stream};

/// An extent as a snapshot names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtentOnDisk {
    /// Its number.
    pub number: ExtentNumber,
    /// First of its places in the data file.
    pub place: u32,
    /// How many places.
    pub place_count: u32,
    /// Header and records.
    pub used_bytes: u32,
    /// Its salt.
    pub salt: u32,
    /// When its records end; `None`: nobody knows.
    pub deadlines: Option<Deadlines>,
}

impl<P: BlockPool> Extents<P> {
    /// A checkpoint begins: from here on nothing that its copy may point into is lost.
    pub fn begin_checkpoint(&mut self) {
        assert!(self.seal.is_some() && !self.checkpoint_runs, "one checkpoint at a time, of a store on disk");
        // The next snapshot must not name what is free.
        self.free_some(usize::MAX);
        self.checkpoints_begun += 1;
        self.checkpoint_runs = true;
    }

    /// The copy of the index is complete: all extents it may point into are sealed now. They are those with numbers
    /// below the one returned.
    pub fn seal_all(&mut self, pool: &mut P) -> ExtentNumber {
        self.seal_run();
        self.seal_unfilled(Stream::Fresh);
        if !planted::is(PlantedBug::SurvivorsNotSealed) {
            self.seal_unfilled(Stream::Survivors);
        }
        // What is written here from now on is later than the copy, and may not be durable when it is published.
        for number in std::mem::take(&mut self.dirty) {
            if self.table.find(number).is_some_and(|extent| extent.disk == Disk::Dirty) {
                if self.is_writable_extent(number) && !planted::is(PlantedBug::SealedStillWritten) {
                    self.freeze(number, pool);
                }
                self.dirty.push_back(number);
            }
        }
        ExtentNumber(self.table.next())
    }

    /// Whether every extent below `limit` has been written.
    #[must_use]
    pub fn is_written_below(&self, limit: ExtentNumber) -> bool {
        self.table
            .iter()
            .take_while(|(number, _)| *number < limit)
            .all(|(_, extent)| extent.disk == Disk::Written || is_left_out(extent.disk))
    }

    /// The extents below `limit`, as they lie on disk, once all of them are written.
    pub fn on_disk_below(&self, limit: ExtentNumber) -> impl Iterator<Item = ExtentOnDisk> {
        let below = self.table.iter().take_while(move |(number, _)| *number < limit);
        below.filter(|(_, extent)| !is_left_out(extent.disk)).map(|(number, extent)| {
            let early = planted::is(PlantedBug::PublishBeforeExtentsWritten);
            assert!(extent.disk == Disk::Written || early, "a snapshot names what is written");
            ExtentOnDisk {
                number,
                place: extent.place,
                place_count: extent.place_count(),
                used_bytes: extent.used_bytes,
                salt: extent.salt,
                deadlines: (!extent.is_unknown)
                    .then(|| extent.deadlines.as_deref().cloned().unwrap_or_default()),
            }
        })
    }

    /// The checkpoint is published: what was emptied before it began is free.
    pub fn on_published(&mut self, limit: ExtentNumber) {
        assert!(self.checkpoint_runs, "what was begun is published");
        self.checkpoint_runs = false;
        let begun = self.checkpoints_begun;
        debug_assert!(self.free.is_empty(), "all were freed when it began");
        for number in std::mem::take(&mut self.emptied) {
            let extent = self.table.get(number);
            let before = extent.emptied.is_some_and(|emptied| emptied < begun)
                || planted::is(PlantedBug::ReuseEmptiedDuringCopy);
            let never_named = number >= limit && extent.disk == Disk::Dirty;
            if before || never_named {
                match extent.disk {
                    // A write that is still under way ends before its place is used again: the next checkpoint frees it.
                    Disk::Writing => self.emptied.push(number),
                    Disk::Written => self.free.push(number),
                    Disk::None | Disk::Dirty => self.forget(number),
                }
            } else {
                self.emptied.push(number);
            }
        }
        self.free_some(EXTENTS_FREED_PER_STEP);
    }

    /// Frees so many of the extents that no snapshot points into any more; a flushed database leaves very many. Returns
    /// whether there are more.
    pub fn free_some(&mut self, count_max: usize) -> bool {
        for _ in 0..count_max {
            let Some(number) = self.free.pop() else { return false };
            self.forget(number);
        }
        !self.free.is_empty()
    }

    /// The checkpoint is given up: the snapshot before stays in force. What waited for it and was never written is
    /// gone at once; places of what was written stay taken until a later checkpoint is published.
    pub fn on_given_up(&mut self) {
        assert!(self.checkpoint_runs, "what was begun is given up");
        self.checkpoint_runs = false;
        for number in std::mem::take(&mut self.emptied) {
            if self.table.get(number).disk == Disk::Dirty {
                self.forget(number);
            } else {
                self.emptied.push(number);
            }
        }
    }

    /// Bytes of the data file that emptied extents take until the next checkpoint is published.
    #[must_use]
    pub fn emptied_bytes(&self) -> u64 {
        self.emptied.iter().map(|&number| u64::from(self.table.get(number).place_count())).sum::<u64>()
            * EXTENT_BYTES as u64
    }

    /// How long the data file has to be for what is written: the end of the last extent on disk.
    #[must_use]
    pub fn last_byte_on_disk(&self) -> Option<u64> {
        let end = |extent: &Extent<P>| {
            let used = (extent.used_bytes as usize).next_multiple_of(BLOCK_BYTES) as u64;
            u64::from(extent.place) * EXTENT_BYTES as u64 + used
        };
        self.table
            .iter()
            .filter(|(_, extent)| extent.disk == Disk::Written)
            .map(|(_, extent)| end(extent))
            .max()
    }

    /// Places the data file has.
    #[must_use]
    pub fn place_end(&self) -> u32 {
        self.places.end()
    }
}

/// What the planted mistakes overlook: an extent that has no place yet.
fn is_left_out(disk: Disk) -> bool {
    match disk {
        Disk::None => planted::is(PlantedBug::SurvivorsNotSealed),
        Disk::Dirty => planted::is(PlantedBug::PublishBeforeExtentsWritten),
        Disk::Writing | Disk::Written => false,
    }
}
