//! Which places of a data file are free: places are 1 MiB each, numbered from the start of the file.

use std::collections::BTreeSet;

/// Free and used places of one data file.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Free places below `end`.
    free: BTreeSet<u32>,
    /// Those of them that take disk space.
    spaced: BTreeSet<u32>,
    /// Places whose space is being given back: the first, and how many. They are not free meanwhile.
    leaving: Option<(u32, u32)>,
    /// Places that the file has room for: every place from here on is beyond its end.
    end: u32,
}

impl Places {
    /// Places from 0 to `end`, all free.
    pub(super) fn with_end(end: u32) -> Self {
        Self { free: (0..end).collect(), spaced: (0..end).collect(), leaving: None, end }
    }

    /// Places the file has.
    pub(super) const fn end(&self) -> u32 {
        self.end
    }

    /// Free places within the file.
    pub(super) fn free_count(&self) -> usize {
        self.free.len()
    }

    /// Places that take disk space, free or not.
    pub(super) fn spaced_count(&self) -> u32 {
        self.end - u32::try_from(self.free.len() - self.spaced.len()).unwrap_or(0)
    }

    /// Places that are not free.
    pub(super) fn used_count(&self) -> u32 {
        self.end - u32::try_from(self.free.len()).unwrap_or(0)
    }

    /// Takes `count` places in a row: the lowest that are free, of single ones those first that take disk space; else the
    /// file grows.
    pub(super) fn take(&mut self, count: u32) -> u32 {
        assert!(count > 0, "an extent has a place");
        let first = self.free_run(count).unwrap_or_else(|| {
            // Free places at the very end of the file are part of the run.
            let mut first = self.end;
            while first > 0 && self.end - first < count && self.free.contains(&(first - 1)) {
                first -= 1;
            }
            self.end = first.checked_add(count).expect("2^32 places of 1 MiB are 4 PiB");
            first
        });
        for place in first..first + count {
            self.free.remove(&place);
            self.spaced.remove(&place);
        }
        first
    }

    fn free_run(&self, count: u32) -> Option<u32> {
        if count == 1 {
            return self.spaced.first().or_else(|| self.free.first()).copied();
        }
        let (mut first, mut len) = (0, 0);
        for &place in &self.free {
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

    /// Marks places as used: as they stood in a snapshot. False when one of them is used already or beyond the end.
    pub(super) fn claim(&mut self, first: u32, count: u32) -> bool {
        (first..first.saturating_add(count)).all(|place| {
            self.spaced.remove(&place);
            self.free.remove(&place)
        })
    }

    /// Gives places back.
    pub(super) fn give_back(&mut self, first: u32, count: u32) {
        for place in first..first + count {
            assert!(place < self.end && self.free.insert(place), "a place is given back once");
            self.spaced.insert(place);
        }
    }

    /// Free places in a row, at most `count_max`, whose space is to be given back so that `keep` free ones that have space
    /// stay: those furthest behind. One row at a time; they are free again after [`Self::on_left`].
    pub(super) fn leave(&mut self, keep: usize, count_max: u32) -> Option<(u32, u32)> {
        let more = self.spaced.len().checked_sub(keep).filter(|&more| more > 0)?;
        if self.leaving.is_some() {
            return None;
        }
        let count_max = count_max.min(u32::try_from(more).unwrap_or(u32::MAX));
        let last = *self.spaced.last()?;
        let mut first = last;
        while last - first + 1 < count_max && first > 0 && self.spaced.contains(&(first - 1)) {
            first -= 1;
        }
        for place in first..=last {
            self.spaced.remove(&place);
            self.free.remove(&place);
        }
        self.leaving = Some((first, last - first + 1));
        self.leaving
    }

    /// The space of the places that were leaving has been given back, or could not be.
    pub(super) fn on_left(&mut self, is_given_back: bool) {
        let (first, count) = self.leaving.take().expect("what has left was leaving");
        for place in first..first + count {
            self.free.insert(place);
            if !is_given_back {
                self.spaced.insert(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_places_go_first_and_the_file_grows_when_none_is() {
        let mut places = Places::default();
        assert_eq!((places.take(1), places.take(3), places.take(1)), (0, 1, 4));
        places.give_back(1, 3);
        places.give_back(0, 1);
        assert_eq!((places.take(1), places.take(3), places.end()), (0, 1, 5));
        places.give_back(4, 1);
        assert_eq!(places.take(2), 4, "a free end is part of a run");
        assert_eq!((places.end(), places.free_count()), (6, 0));
    }

    #[test]
    fn space_of_free_places_is_given_back_from_behind_and_they_are_used_last() {
        let mut places = Places::with_end(10);
        assert!(places.claim(3, 2) && !places.claim(4, 1) && !places.claim(10, 1));
        assert_eq!(places.leave(8, 64), None, "so many are kept");
        assert_eq!(places.leave(1, 4), Some((6, 4)));
        assert_eq!(places.leave(1, 4), None, "one row at a time");
        assert_eq!((places.take(1), places.take(1)), (0, 1));
        places.on_left(true);
        assert_eq!((places.free_count(), places.spaced_count(), places.used_count()), (6, 6, 4));
        assert_eq!(places.leave(1, 4), Some((5, 1)));
        places.on_left(false);
        assert_eq!((places.take(1), places.take(1), places.take(1)), (2, 5, 6), "what has space goes first");
        assert_eq!(places.take(3), 7, "a row may be of both kinds");
        assert_eq!((places.free_count(), places.spaced_count(), places.end()), (0, 10, 10));
        places.give_back(2, 1);
        assert_eq!(places.leave(0, 64), Some((2, 1)));
    }
}
