//! Which places of a data file are free: places are 1 MiB each, numbered from the start of the file.

use std::collections::BTreeSet;

/// Free and used places of one data file.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Free places below `end`.
    free: BTreeSet<u32>,
    /// Places that the file has room for: every place from here on is beyond its end.
    end: u32,
}

impl Places {
    /// Places from 0 to `end`, all free.
    pub(super) fn with_end(end: u32) -> Self {
        Self { free: (0..end).collect(), end }
    }

    /// Places the file has.
    pub(super) const fn end(&self) -> u32 {
        self.end
    }

    /// Free places within the file.
    pub(super) fn free_count(&self) -> usize {
        self.free.len()
    }

    /// Takes `count` places in a row: the lowest that are free, else the file grows.
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
        }
        first
    }

    fn free_run(&self, count: u32) -> Option<u32> {
        if count == 1 {
            return self.free.first().copied();
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
        (first..first.saturating_add(count)).all(|place| self.free.remove(&place))
    }

    /// Gives places back.
    pub(super) fn give_back(&mut self, first: u32, count: u32) {
        for place in first..first + count {
            assert!(place < self.end && self.free.insert(place), "a place is given back once");
        }
    }

    /// Takes the free places at the end of the file out of it, all but `keep`. The new end, if it moved.
    pub(super) fn cut_tail(&mut self, keep: u32) -> Option<u32> {
        let mut end = self.end;
        while end > 0 && self.free.contains(&(end - 1)) {
            end -= 1;
        }
        let end = end.saturating_add(keep).min(self.end);
        if end == self.end {
            return None;
        }
        self.free.split_off(&end);
        self.end = end;
        Some(end)
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
    fn a_free_tail_is_given_back() {
        let mut places = Places::with_end(10);
        assert!(places.claim(3, 2) && !places.claim(4, 1) && !places.claim(10, 1));
        assert_eq!(places.cut_tail(2), Some(7));
        assert_eq!(places.cut_tail(2), None);
        assert_eq!((places.end(), places.free_count()), (7, 5));
    }
}
