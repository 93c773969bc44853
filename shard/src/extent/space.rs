//! Places of the data file that extents are going to need: they are taken before they are needed, so that an extent
//! that is sealed always has somewhere to go.

use crate::io::BlockPool;
use crate::limits::{
    EXTENT_BYTES, FREE_PLACES_KEPT, FREE_PLACES_PER_STEP, FREE_PLACES_PER_WINDOW, FREE_PLACES_SHARE,
    FREE_PLACES_SHARE_MAX, PLACES_FOR_COMPACTION, PLACES_KEPT_MAX, PLACES_KEPT_MIN,
};

use super::extent::{Disk, place_count};
use super::{Extents, Stream};
use crate::index::ExtentNumber;

/// Places whose disk space is taken next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// A free place of the file.
    Hole(u32),
    /// Places behind the end of the file: from the first on to this one.
    End {
        /// The first.
        first: u32,
        /// The one behind the last.
        end: u32,
    },
}

impl Growth {
    const fn places(self) -> (u32, u32) {
        match self {
            Self::Hole(place) => (place, place + 1),
            Self::End { first, end } => (first, end),
        }
    }

    /// How many places.
    #[must_use]
    pub const fn count(self) -> u32 {
        let (first, end) = self.places();
        end - first
    }

    /// Offset in the file, and bytes.
    #[must_use]
    pub fn range(self) -> (u64, u64) {
        let (first, end) = self.places();
        (u64::from(first) * EXTENT_BYTES as u64, u64::from(end - first) * EXTENT_BYTES as u64)
    }
}

impl<P: BlockPool> Extents<P> {
    /// Places that extents in memory will take when they are sealed and written.
    #[must_use]
    #[inline]
    pub fn places_owed(&self) -> u64 {
        let open = self.open.iter().flatten().count() as u64;
        let run = self.open_run.map_or(0, |number| self.table.get(number).places_owed());
        self.dirty_places + open + u64::from(run)
    }

    /// Places that are to be free: those owed, two for extents that are opened while more are being taken, and one for
    /// what compaction is about to move; more where the file is large.
    #[must_use]
    pub fn places_wanted(&self) -> u64 {
        let owed = self.places_owed();
        if owed == 0 && self.table.count() == 0 {
            return 0;
        }
        owed + u64::from((self.places.end() / 64).clamp(PLACES_KEPT_MIN, PLACES_KEPT_MAX))
    }

    /// Free places that have disk space.
    #[must_use]
    #[inline]
    pub fn places_ready(&self) -> u64 {
        self.places.ready_count() as u64
    }

    /// Places that the file is short of: 0, or how many more have to get disk space. A run of several places that finds none
    /// in a row needs them at the end of the file, however many are free elsewhere.
    #[must_use]
    pub fn places_short(&self) -> u32 {
        let short =
            u32::try_from(self.places_wanted().saturating_sub(self.places_ready())).unwrap_or(u32::MAX);
        short.max(self.run_short())
    }

    /// By how many places the file has to grow for the run that waits to be written next, or was placed last.
    fn run_short(&self) -> u32 {
        let waiting = self
            .dirty
            .iter()
            .copied()
            .find(|&number| self.table.find(number).is_some_and(|extent| extent.disk == Disk::Dirty));
        let runs = [waiting, self.open_run].into_iter().flatten();
        let short = runs.map(|number| self.lacks_run(self.table.get(number).places_owed()));
        short.max().unwrap_or(0)
    }

    fn lacks_run(&self, count: u32) -> u32 {
        if count < 2 || self.places.has_run(count) { 0 } else { count - self.places.ready_tail().min(count) }
    }

    /// How many more places have to get disk space for a record of `bytes` bytes; 0 when there are enough now.
    #[must_use]
    pub fn places_short_for(&self, bytes: usize) -> u32 {
        let bytes = u32::try_from(bytes.saturating_add(self.head_bytes())).unwrap_or(u32::MAX);
        let count = place_count(bytes);
        let needed = self.places_owed() + u64::from(count) + PLACES_FOR_COMPACTION;
        let more = needed.saturating_sub(self.places_ready());
        u32::try_from(more).unwrap_or(u32::MAX).max(self.lacks_run(count))
    }

    /// Whether one extent more would take the place that compaction needs to give others back: whoever writes has to wait.
    #[must_use]
    #[inline]
    pub fn is_out_of_places_to_write(&self) -> bool {
        self.places_ready() <= self.places_owed() + PLACES_FOR_COMPACTION
    }

    /// Whether one extent more than there are would find no place: whoever moves records has to wait.
    #[must_use]
    #[inline]
    pub fn is_out_of_places(&self) -> bool {
        self.seal.is_some() && self.places_ready() <= self.places_owed()
    }

    /// The same of a record of `len` bytes that is to be moved: it may have room in the extent that survivors go to. A run
    /// stays where it is.
    #[must_use]
    pub fn lacks_place_for_survivor(&self, len: usize) -> bool {
        let has_room =
            |number: ExtentNumber| self.table.get(number).used_bytes as usize + len <= self.fill_bytes;
        self.is_out_of_places()
            && len <= EXTENT_BYTES
            && !self.open[Stream::Survivors as usize].is_some_and(has_room)
    }

    /// Whether the file has a free place that may have disk space, for all that is known.
    #[must_use]
    pub fn has_unsure_place(&self) -> bool {
        self.places.has_unsure()
    }

    /// Where disk space is to be taken next: for a place without, else behind the end of the file, for those that are short,
    /// or `asked` if that is more, and at least `ahead`. A run of several places goes to the end, but where space is `scarce`
    /// the places that may have some are looked at first: they may be its row, and cost the disk nothing then.
    #[must_use]
    pub fn next_growth(&self, asked: u32, ahead: u32, scarce: bool) -> Growth {
        let is_run = self.run_short() > 0 || asked > 1;
        match self.places.hole().filter(|_| !is_run || (scarce && self.places.has_unsure())) {
            Some(place) => Growth::Hole(place),
            None => {
                let first = self.places.end();
                let count = self.places_short().max(asked).max(ahead).max(1);
                let end = first.checked_add(count).expect("2^32 places of 1 MiB are 4 PiB");
                Growth::End { first, end }
            }
        }
    }

    /// Disk space was taken.
    pub fn got_space(&mut self, growth: Growth) {
        let (first, end) = growth.places();
        self.places.got_space(first, end);
    }

    /// The disk had no space. True: that was about a place that might have had it, now it is known that it has not.
    pub fn has_no_space(&mut self, growth: Growth) -> bool {
        matches!(growth, Growth::Hole(place) if self.places.forget_unsure(place))
    }

    /// A range of the data file whose space is to be given back: offset and bytes. A sixteenth of what is used is kept, so that
    /// space that is used again soon does not come and go, and what is wanted; `urgent`: that only. One at a time; see
    /// [`Self::on_space_freed`].
    pub fn next_free_space(&mut self, urgent: bool) -> Option<(u64, u64)> {
        let (first, count) = self.places.leave(self.places_kept(urgent), FREE_PLACES_PER_STEP)?;
        Some((u64::from(first) * EXTENT_BYTES as u64, u64::from(count) * EXTENT_BYTES as u64))
    }

    /// Whether [`Self::next_free_space`] has something to give back.
    #[must_use]
    pub fn has_space_to_give(&self, urgent: bool) -> bool {
        let is_enough = self.places.left_count() >= FREE_PLACES_PER_WINDOW && !urgent;
        !is_enough && self.places.may_leave(self.places_kept(urgent))
    }

    fn places_kept(&self, urgent: bool) -> usize {
        let wanted = usize::try_from(self.places_wanted()).unwrap_or(usize::MAX);
        let used = self.places.used_count() as usize;
        let usual = used / FREE_PLACES_SHARE + FREE_PLACES_KEPT;
        let lately = self.places.lately_used().min(used / FREE_PLACES_SHARE_MAX);
        if urgent { wanted } else { usual.max(wanted.saturating_mul(2)).max(lately) }
    }

    /// Free places that are not used from this call to the next may be given back afterwards, but for those that are kept
    /// always, and so many at a time.
    pub(crate) fn begin_space_window(&mut self) {
        self.places.begin_window();
    }

    /// The space has been given back, or could not be.
    pub fn on_space_freed(&mut self, is_given_back: bool) {
        self.places.on_left(is_given_back);
    }

    /// The file of an earlier run has so many places at least.
    pub fn adopt_file_end(&mut self, places: u32) {
        self.places.adopt_end(places);
    }
}
