//! What compaction sees of the extents: how full they are, which may be emptied, and their bytes.

use super::extent::Extent;
use super::{Disk, Extents, Memory, Stream, touched_bytes};
use crate::index::{ExtentNumber, Location};
use crate::io::BlockPool;
use crate::limits::EXTENT_BYTES;

/// Bytes of records, dead ones included, and how many of them live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// All of them, and what checkpoints left unused behind them.
    pub held_bytes: u64,
    /// Those of live records that have not ended on disk: an estimate, because a record's share is known by its length
    /// class only.
    pub live_bytes: u64,
}

impl Fill {
    /// Bytes of dead records.
    #[must_use]
    pub const fn dead_bytes(&self) -> u64 {
        self.held_bytes - self.live_bytes
    }

    /// The estimate: what lives now has the share of all bytes that it had of the classes that were placed.
    fn of(held_bytes: u64, live_classes: u64, placed_classes: u64) -> Self {
        let live = u128::from(held_bytes) * u128::from(live_classes) / u128::from(placed_classes.max(1));
        let live_bytes = u64::try_from(live).unwrap_or(u64::MAX).min(held_bytes);
        Self { held_bytes, live_bytes }
    }

    const fn with_tail(self, tail_bytes: u64) -> Self {
        Self { held_bytes: self.held_bytes + tail_bytes, live_bytes: self.live_bytes }
    }
}

/// An extent that may be emptied by compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Its number: the lower, the older its records.
    pub number: ExtentNumber,
    /// How full it is.
    pub fill: Fill,
    /// Whether it has to be read from disk.
    pub is_cold: bool,
    /// Whether it holds one record larger than an extent.
    pub is_run: bool,
    /// Whether it is on its way to disk: until it is there it cannot be emptied.
    pub is_moving: bool,
}

impl<P: BlockPool> Extents<P> {
    /// How full all extents together are, those that wait for a checkpoint left out.
    #[must_use]
    pub fn fill(&self) -> Fill {
        let lasting_bytes = self.live_bytes - self.expiry.ended_bytes;
        Fill::of(self.held_bytes, lasting_bytes, self.placed_bytes).with_tail(self.tail_bytes)
    }

    /// Dead bytes in extents that take no more records: those that compaction can win back.
    #[must_use]
    pub fn dead_sealed_bytes(&self) -> u64 {
        let open = self.open.iter().flatten().map(|&number| self.fill_of(number).dead_bytes());
        self.fill().dead_bytes().saturating_sub(open.sum())
    }

    pub(super) fn fill_of(&self, number: ExtentNumber) -> Fill {
        let extent = self.table.get(number);
        let lasting_bytes = extent.live_bytes - extent.ended_bytes;
        Fill::of(extent.used_bytes.into(), lasting_bytes.into(), extent.placed_bytes.into())
            .with_tail(extent.tail_bytes.into())
    }

    /// What all fresh records ever placed counted as: how fast the shard is written to.
    #[must_use]
    pub fn fresh_bytes(&self) -> u64 {
        self.fresh_bytes
    }

    /// Seals extents at so many used bytes instead of when they are full: for tests of small stores.
    pub fn set_fill_bytes(&mut self, bytes: usize) {
        assert!((1..=EXTENT_BYTES).contains(&bytes), "an extent holds a record");
        self.fill_bytes = bytes;
    }

    /// What an adopted extent's records counted as when they were placed: unknown, so a sixteenth more than they
    /// have, which is what length classes round up on average.
    pub(super) fn guess_placed(&mut self, number: ExtentNumber) {
        let extent = self.table.get_mut(number);
        extent.placed_bytes = (extent.used_bytes + extent.used_bytes / 16).max(extent.live_bytes);
        self.placed_bytes += u64::from(extent.placed_bytes);
    }

    /// Seals a stream's open extent before it is full. What is left unused takes up a place of the data file, and comes
    /// back as other dead bytes do. An extent that is sealed because the next record does not fit has no such tail: with
    /// large records that is how it is, and moving them would change nothing.
    pub(super) fn seal_unfilled(&mut self, stream: Stream) {
        let Some(number) = self.open[stream as usize] else { return };
        self.seal_open(stream);
        let sealed = |extent: &Extent<P>| extent.disk == Disk::Dirty && extent.emptied.is_none();
        if self.table.find(number).is_some_and(sealed) {
            self.count_tail(number);
        }
    }

    fn count_tail(&mut self, number: ExtentNumber) {
        let extent = self.table.get_mut(number);
        let tail = self.fill_bytes.saturating_sub(extent.used_bytes as usize);
        extent.tail_bytes = u32::try_from(tail).expect("less than an extent");
        self.tail_bytes += u64::from(extent.tail_bytes);
    }

    /// Why an adopted extent was sealed is unknown: one that is not even half full was hardly sealed by a large record.
    pub(super) fn guess_tail(&mut self, number: ExtentNumber) {
        if (self.table.get(number).used_bytes as usize) < self.fill_bytes / 2 {
            self.count_tail(number);
        }
    }

    /// An extent as compaction weighs it; `None` when it may not be emptied: it is open, on its way to disk, damaged,
    /// or nothing in it lives.
    #[must_use]
    pub fn weigh(&self, number: ExtentNumber) -> Option<Weight> {
        self.weigh_moving(number).filter(|weight| !weight.is_moving)
    }

    fn weigh_moving(&self, number: ExtentNumber) -> Option<Weight> {
        let extent = self.table.find(number)?;
        let open = self.open.contains(&Some(number)) || self.open_run == Some(number);
        if open || extent.damaged || extent.live_bytes == 0 || extent.emptied.is_some() {
            return None;
        }
        Some(Weight {
            number,
            fill: self.fill_of(number),
            is_cold: matches!(extent.memory, Memory::Absent),
            is_run: extent.used_bytes as usize > EXTENT_BYTES,
            is_moving: extent.disk == Disk::Writing,
        })
    }

    /// Weighs extents from a number on, at most `count`, those on their way to disk too. Returns where to go on, if there are
    /// more.
    pub fn weigh_from(
        &self,
        from: ExtentNumber,
        count: usize,
        mut visit: impl FnMut(Weight),
    ) -> Option<ExtentNumber> {
        let mut all = self.table.iter_from(from);
        for (number, _) in all.by_ref().take(count) {
            if let Some(weight) = self.weigh_moving(number) {
                visit(weight);
            }
        }
        all.next().map(|(number, _)| number)
    }

    /// The oldest extent from a number on, open ones included.
    #[must_use]
    pub fn oldest_from(&self, from: ExtentNumber) -> Option<ExtentNumber> {
        self.table.iter_from(from).map(|(number, _)| number).next()
    }

    /// Seals an extent if it is open. One in which nothing lives is gone then.
    pub fn close(&mut self, number: ExtentNumber) {
        if self.open_run == Some(number) {
            self.open_run = None;
            self.seal(number);
        }
        for stream in 0..self.open.len() {
            if self.open[stream] == Some(number) {
                self.open[stream] = None;
                self.seal(number);
            }
        }
    }

    /// Seals open extents of which a quarter or more is dead, if that is at least `least` bytes: a full compaction
    /// is to empty them too.
    pub fn close_wasteful(&mut self, least: u64) {
        for number in self.open.into_iter().flatten() {
            let fill = self.fill_of(number);
            if fill.dead_bytes() >= least.max(fill.held_bytes / 4) {
                self.close(number);
            }
        }
    }

    /// Used bytes of an extent; `None` when it is gone or nothing in it lives.
    #[must_use]
    pub fn used_bytes(&self, number: ExtentNumber) -> Option<u32> {
        let extent = self.table.find(number).filter(|extent| extent.live_bytes > 0)?;
        Some(extent.used_bytes)
    }

    /// The used bytes of an extent; `None` when they are on disk only.
    ///
    /// # Panics
    /// When there is no such extent.
    #[must_use]
    pub fn bytes_of(&self, number: ExtentNumber) -> Option<&[u8]> {
        self.table.get(number).bytes()
    }

    /// Where the first record of an extent starts.
    #[must_use]
    pub fn first_offset(&self) -> u32 {
        u32::try_from(self.head_bytes()).unwrap_or(0)
    }

    /// Where in the data file an extent that is on disk lies.
    #[must_use]
    pub fn file_offset(&self, number: ExtentNumber) -> u64 {
        u64::from(self.table.get(number).place) * EXTENT_BYTES as u64
    }

    /// An extent cannot be read back whole: it stays as it is.
    pub fn mark_damaged(&mut self, number: ExtentNumber) {
        self.table.get_mut(number).damaged = true;
    }

    /// Gives a run of memory-only storage the next number, so that it counts as young. Returns where its record is
    /// now.
    pub fn renumber_run(&mut self, location: Location) -> Location {
        let extent = self.table.get(location.extent);
        assert!(self.seal.is_none() && extent.used_bytes as usize > EXTENT_BYTES, "a run, in memory only");
        assert!(touched_bytes(extent.used_bytes) > 0 && self.open_run != Some(location.extent), "sealed");
        let extent = self.table.remove(location.extent);
        Location { extent: self.table.add(extent), offset: location.offset }
    }
}
