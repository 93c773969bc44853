//! Which places of a data file are free: places are 1 MiB each, numbered from the start of the file.
//!
//! Only free places that are known to have disk space are given out. Of those that a file of an earlier run has free
//! nobody knows whether they have: their space is taken once more, which costs nothing where it is there.

use std::collections::BTreeSet;

/// Free and used places of one data file.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Free places below `end`.
    free: BTreeSet<u32>,
    /// Those of them that have disk space.
    spaced: BTreeSet<u32>,
    /// Those that may have it.
    unsure: BTreeSet<u32>,
    /// Places whose space is being given back: the first, and how many. They are not free meanwhile.
    leaving: Option<(u32, u32)>,
    /// Places that the file has: every place from here on is beyond its end.
    end: u32,
    /// The fewest free places with space since the last call of [`Self::begin_window`], and in the time before that.
    fewest: usize,
    surplus: usize,
    /// Places that have left since then.
    left: usize,
}

impl Places {
    /// Places from 0 to `end`, all free, of an earlier run's file.
    pub(super) fn with_end(end: u32) -> Self {
        Self { free: (0..end).collect(), unsure: (0..end).collect(), end, ..Self::default() }
    }

    /// Places the file has.
    pub(super) const fn end(&self) -> u32 {
        self.end
    }

    /// Free places within the file.
    pub(super) fn free_count(&self) -> usize {
        self.free.len()
    }

    /// Free places that have disk space for sure.
    pub(super) fn ready_count(&self) -> usize {
        self.spaced.len()
    }

    /// Places that take disk space, free or not, as far as is known.
    pub(super) fn spaced_count(&self) -> u32 {
        let holes = self.free.len() - self.spaced.len() - self.unsure.len();
        self.end - u32::try_from(holes).unwrap_or(0)
    }

    /// Places that are not free.
    pub(super) fn used_count(&self) -> u32 {
        self.end - u32::try_from(self.free.len()).unwrap_or(0)
    }

    /// Takes `count` places in a row, the lowest that are free and have disk space; `None`: there are not as many.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        assert!(count > 0, "an extent has a place");
        let first = self.ready_run(count)?;
        for place in first..first + count {
            self.free.remove(&place);
            self.spaced.remove(&place);
        }
        self.fewest = self.fewest.min(self.spare_count());
        Some(first)
    }

    /// Free places that have disk space, or may have it.
    fn spare_count(&self) -> usize {
        self.spaced.len() + self.unsure.len()
    }

    /// From now on it is counted anew how many places are free all the while.
    pub(super) fn begin_window(&mut self) {
        self.surplus = self.fewest.min(self.spare_count());
        self.fewest = self.spare_count();
        self.left = 0;
    }

    /// How many places have left in this window.
    pub(super) fn left_count(&self) -> usize {
        self.left
    }

    /// Of the free places that have space, those that were not free all the while in the window before this one: they are
    /// likely to be used again.
    pub(super) fn lately_used(&self) -> usize {
        self.spare_count().saturating_sub(self.surplus)
    }

    /// Whether [`Self::take`] would find so many in a row.
    pub(super) fn has_run(&self, count: u32) -> bool {
        self.ready_run(count).is_some()
    }

    fn ready_run(&self, count: u32) -> Option<u32> {
        if count == 1 {
            return self.spaced.first().copied();
        }
        let (mut first, mut len) = (0, 0);
        for &place in &self.spaced {
            if len > 0 && place == first + len {
                len += 1;
            } else {
                (first, len) = (place, 1);
            }
            if len == count {
                return Some(first);
            }
        }
        None
    }

    /// Free places that have disk space at the very end of the file.
    pub(super) fn ready_tail(&self) -> u32 {
        let tail =
            self.spaced.iter().rev().zip(1..).take_while(|(place, from_end)| **place + from_end == self.end);
        u32::try_from(tail.count()).unwrap_or(u32::MAX)
    }

    /// A free place whose space is to be taken: one that may have it, else one that has none.
    pub(super) fn hole(&self) -> Option<u32> {
        let unsure = self.unsure.first().copied();
        unsure.or_else(|| self.free.iter().copied().find(|place| !self.spaced.contains(place)))
    }

    /// Whether there is a free place that may have disk space.
    pub(super) fn has_unsure(&self) -> bool {
        !self.unsure.is_empty()
    }

    /// A place that may have had disk space has none. False: that was known.
    pub(super) fn forget_unsure(&mut self, place: u32) -> bool {
        self.unsure.remove(&place)
    }

    /// Places from `first` on to `end` have disk space now: free ones of the file, or those behind it.
    pub(super) fn got_space(&mut self, first: u32, end: u32) {
        assert!(
            first < end && first <= self.end,
            "space is taken for places of the file, or for the next ones"
        );
        self.free.extend(self.end.min(end)..end);
        self.end = self.end.max(end);
        for place in first..end {
            assert!(self.free.contains(&place), "space is taken for free places");
            self.unsure.remove(&place);
            self.spaced.insert(place);
        }
    }

    /// The file is so long: places behind the last that is known are free.
    pub(super) fn adopt_end(&mut self, end: u32) {
        let new = self.end.min(end)..end;
        self.free.extend(new.clone());
        self.unsure.extend(new);
        self.end = self.end.max(end);
    }

    /// Marks places as used: as they stood in a snapshot. False when one of them is used already or beyond the end.
    pub(super) fn claim(&mut self, first: u32, count: u32) -> bool {
        (first..first.saturating_add(count)).all(|place| {
            self.spaced.remove(&place);
            self.unsure.remove(&place);
            self.free.remove(&place)
        })
    }

    /// Gives places back. `is_whole`: they were taken in this run, so that they have disk space from end to end.
    pub(super) fn give_back(&mut self, first: u32, count: u32, is_whole: bool) {
        for place in first..first + count {
            assert!(place < self.end && self.free.insert(place), "a place is given back once");
            if is_whole {
                self.spaced.insert(place);
            } else {
                self.unsure.insert(place);
            }
        }
    }

    /// Free places in a row, at most `count_max`, whose space is to be given back so that `keep` free ones that have space
    /// stay: those furthest behind, those that only may have space first. One row at a time; they are free again after
    /// [`Self::on_left`].
    pub(super) fn leave(&mut self, keep: usize, count_max: u32) -> Option<(u32, u32)> {
        if !self.may_leave(keep) {
            return None;
        }
        let more = self.spare_count() - keep;
        let count_max = count_max.min(u32::try_from(more).unwrap_or(u32::MAX));
        let from = if self.unsure.is_empty() { &mut self.spaced } else { &mut self.unsure };
        let last = *from.last()?;
        let mut first = last;
        while last - first + 1 < count_max && first > 0 && from.contains(&(first - 1)) {
            first -= 1;
        }
        for place in first..=last {
            from.remove(&place);
            self.free.remove(&place);
        }
        let count = last - first + 1;
        self.fewest = self.fewest.saturating_sub(count as usize);
        self.surplus = self.surplus.saturating_sub(count as usize);
        self.left += count as usize;
        self.leaving = Some((first, count));
        self.leaving
    }

    /// Whether there are more than `keep` free places that have space, and none is leaving.
    pub(super) fn may_leave(&self, keep: usize) -> bool {
        self.leaving.is_none() && self.spare_count() > keep
    }

    /// The space of the places that were leaving has been given back, or could not be.
    pub(super) fn on_left(&mut self, is_given_back: bool) {
        let (first, count) = self.leaving.take().expect("what has left was leaving");
        for place in first..first + count {
            self.free.insert(place);
            if !is_given_back {
                self.unsure.insert(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_places_go_first_and_there_are_no_more_than_have_space() {
        let mut places = Places::default();
        assert_eq!(places.take(1), None);
        places.got_space(0, 5);
        assert_eq!((places.take(1), places.take(3), places.take(1)), (Some(0), Some(1), Some(4)));
        places.give_back(1, 3, true);
        places.give_back(0, 1, true);
        assert_eq!((places.take(1), places.take(3), places.end()), (Some(0), Some(1), 5));
        places.give_back(4, 1, true);
        assert!(!places.has_run(2) && places.ready_tail() == 1);
        assert_eq!(places.take(2), None);
        places.got_space(5, 6);
        assert_eq!(places.ready_tail(), 2);
        assert_eq!((places.take(2), places.end(), places.free_count()), (Some(4), 6, 0));
    }

    #[test]
    fn what_an_earlier_run_has_left_is_used_when_its_space_was_taken_again() {
        let mut places = Places::with_end(4);
        assert!(places.claim(1, 1) && !places.claim(1, 1) && !places.claim(4, 1));
        places.adopt_end(6);
        assert_eq!((places.take(1), places.free_count(), places.spaced_count()), (None, 5, 6));
        assert_eq!(places.hole(), Some(0));
        places.got_space(0, 1);
        assert_eq!((places.hole(), places.take(1)), (Some(2), Some(0)));
        places.give_back(1, 1, false);
        assert_eq!((places.hole(), places.take(1)), (Some(1), None), "it may not be whole");
    }

    #[test]
    fn space_of_free_places_is_given_back_from_behind_and_has_to_be_taken_again() {
        let mut places = Places::default();
        places.got_space(0, 10);
        assert!(places.claim(3, 2));
        assert_eq!(places.leave(8, 64), None, "so many are kept");
        assert_eq!(places.leave(1, 4), Some((6, 4)));
        assert_eq!(places.leave(1, 4), None, "one row at a time");
        assert_eq!((places.take(1), places.take(1)), (Some(0), Some(1)));
        places.on_left(true);
        assert_eq!((places.free_count(), places.spaced_count(), places.used_count()), (6, 6, 4));
        assert_eq!(places.leave(1, 4), Some((5, 1)));
        places.on_left(false);
        assert_eq!((places.hole(), places.ready_count()), (Some(5), 1));
        assert_eq!((places.take(1), places.take(1)), (Some(2), None));
        places.got_space(5, 6);
        places.got_space(6, 7);
        assert_eq!(places.take(2), Some(5));
        assert_eq!(places.hole(), Some(7));
        assert_eq!(places.leave(0, 64), None, "holes have nothing to give");
    }

    #[test]
    fn places_that_were_free_all_the_while_are_told_from_those_that_come_and_go() {
        let mut places = Places::default();
        places.got_space(0, 10);
        assert_eq!(places.lately_used(), 10, "nothing is known yet");
        places.begin_window();
        let taken: Vec<u32> = (0..4).map(|_| places.take(1).unwrap()).collect();
        taken.into_iter().for_each(|place| places.give_back(place, 1, true));
        assert_eq!(places.lately_used(), 10);
        places.begin_window();
        assert_eq!(places.lately_used(), 4, "six were free all the while");
        assert_eq!(places.leave(places.lately_used(), 4), Some((6, 4)));
        places.on_left(true);
        assert_eq!(places.lately_used(), 4);
        places.begin_window();
        assert_eq!(places.lately_used(), 0, "nobody took one since");
    }
}
