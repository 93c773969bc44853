//! Extents taken over from a snapshot at a start.

use crate::index::{ExtentNumber, LengthClass, Location};
use crate::io::BlockPool;
use crate::planted::{self, PlantedBug};

use super::extent::{Disk, Extent, Memory, place_count};
use super::places::Places;
use super::{ExtentOnDisk, Extents, class_bytes};

/// Records of one extent that a snapshot's entries point at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    live_bytes: u32,
    offset_max: u32,
    has_deadlines: bool,
}

impl<P: BlockPool> Extents<P> {
    /// Takes over the file of an earlier run: so many places, all free until an extent is adopted.
    pub fn adopt_file(&mut self, places: u32) {
        assert!(self.table.count() == 0 && self.seal.is_some(), "loading comes first");
        self.places = Places::with_end(places);
    }

    /// Takes over an extent of a snapshot. False when it cannot be: its places are another's, or beyond the end of the
    /// file.
    #[must_use]
    pub fn adopt(&mut self, extent: ExtentOnDisk) -> bool {
        let fits = extent.place_count == place_count(extent.used_bytes)
            && self.table.find(extent.number).is_none()
            && self.places.claim(extent.place, extent.place_count);
        if fits {
            self.absent += 1;
            self.held_bytes += u64::from(extent.used_bytes);
            self.table.insert(
                extent.number,
                Extent {
                    memory: Memory::Absent,
                    used_bytes: extent.used_bytes,
                    live_bytes: 0,
                    tail_bytes: 0,
                    salt: extent.salt,
                    placed_bytes: 0,
                    damaged: false,
                    place: extent.place,
                    has_place: true,
                    disk: Disk::Written,
                    uses: None,
                    is_unknown: extent.deadlines.is_none(),
                    deadlines: extent.deadlines.filter(|known| !known.buckets().is_empty()).map(Box::new),
                    deadline_records: 0,
                    counted_s: 0,
                    ended_bytes: 0,
                    emptied: None,
                },
            );
            self.count_ledger(extent.number);
        }
        fits
    }

    /// Counts a record that a snapshot's entry points at, before or after its extent is adopted.
    pub fn count_live(&mut self, location: Location, class: LengthClass, has_deadline: bool) {
        let counted = self.loading.entry(location.extent.0).or_default();
        counted.live_bytes = counted.live_bytes.saturating_add(class_bytes(class));
        counted.has_deadlines |= has_deadline;
        counted.offset_max = counted.offset_max.max(location.offset);
    }

    /// All is loaded: extents without a live record are free, and numbers go on at `limit`, above all that earlier
    /// runs may have used.
    ///
    /// # Errors
    /// A location at which there is no extent, though an entry points there.
    pub fn finish_loading(&mut self, limit: ExtentNumber) -> Result<(), Location> {
        let loading = std::mem::take(&mut self.loading);
        for (&number, counted) in &loading {
            let extent = ExtentNumber(number);
            let inside = |extent: &Extent<P>| counted.offset_max < extent.used_bytes;
            if !self.table.find(extent).is_some_and(inside) {
                return Err(Location { extent, offset: counted.offset_max });
            }
            self.table.get_mut(extent).live_bytes = counted.live_bytes;
            self.live_bytes += u64::from(counted.live_bytes);
        }
        let all: Vec<ExtentNumber> = self.table.iter().map(|(number, _)| number).collect();
        for number in all {
            if self.table.get(number).live_bytes == 0 {
                self.absent -= 1;
                self.forget(number);
            } else {
                self.guess_placed(number);
                self.guess_tail(number);
                self.watch_adopted(
                    number,
                    loading.get(&number.0).is_some_and(|counted| counted.has_deadlines),
                );
            }
        }
        let limit = if planted::is(PlantedBug::ExtentIdentityReused) { 0 } else { limit.0 };
        self.table.skip_to(limit.max(self.table.next()));
        Ok(())
    }

    /// The smallest number that no extent has had.
    #[must_use]
    pub fn next_number(&self) -> ExtentNumber {
        ExtentNumber(self.table.next())
    }
}
