//! When the records of one extent end, in a few bytes: how many bytes end by which second.
//!
//! The timing wheel knows the keys in memory; of an extent that is on disk only, this is all that is known of its
//! deadlines. Deadlines lie together in a bucket when they are about equally far from the time the first of them was
//! noted: the width of a bucket is at most an eighth of that distance. A bucket ends with the latest second in it, so
//! nothing counts as ended too early, and deadlines that are all the same are known to the second.

use crate::index::LengthClass;
use crate::limits::DEADLINE_BUCKETS_MAX;
use crate::types::UnixMs;

/// Records that end by the same second, or not much earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineBucket {
    /// Second after the latest deadline, counted from 1970; `u32::MAX`: never.
    pub end_s: u32,
    /// What its records counted as when they were placed.
    pub bytes: u32,
}

/// The deadlines of one extent's records, those of dead records included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// Second that distances count from.
    base_s: u32,
    /// By their ends, which differ.
    buckets: Vec<DeadlineBucket>,
}

/// The second at whose beginning a deadline has passed.
pub(super) fn end_of(deadline: UnixMs) -> u32 {
    u32::try_from(deadline.0 / 1000 + 1).unwrap_or(u32::MAX)
}

impl Deadlines {
    /// None yet, distances counting from `now_s`.
    pub(super) const fn new(now_s: u32) -> Self {
        Self { base_s: now_s, buckets: Vec::new() }
    }

    /// As they stand in a snapshot; `None` when they cannot be: too many, or not in order.
    #[must_use]
    pub fn from_parts(base_s: u32, buckets: Vec<DeadlineBucket>) -> Option<Self> {
        let in_order = buckets.windows(2).all(|pair| pair[0].end_s < pair[1].end_s);
        (buckets.len() <= DEADLINE_BUCKETS_MAX && in_order).then_some(Self { base_s, buckets })
    }

    /// The second that distances count from.
    #[must_use]
    pub const fn base_s(&self) -> u32 {
        self.base_s
    }

    /// The buckets, by their ends.
    #[must_use]
    pub fn buckets(&self) -> &[DeadlineBucket] {
        &self.buckets
    }

    /// Bytes of memory that it takes.
    pub(super) fn allocated_bytes(&self) -> usize {
        size_of::<Self>() + self.buckets.capacity() * size_of::<DeadlineBucket>()
    }

    fn class(&self, end_s: u32) -> LengthClass {
        // Distances go to 2^30 s, 34 years; whatever is later lies with that.
        const FAR: u32 = 1 << 30;
        LengthClass::of(end_s.saturating_sub(self.base_s).min(FAR) as usize)
    }

    /// Adds bytes that end at a deadline.
    pub(super) fn add(&mut self, deadline: UnixMs, bytes: u32) {
        let end_s = end_of(deadline);
        let class = self.class(end_s);
        let at = self.buckets.partition_point(|bucket| self.class(bucket.end_s) < class);
        if self.buckets.get(at).is_some_and(|bucket| self.class(bucket.end_s) == class) {
            let bucket = &mut self.buckets[at];
            bucket.bytes = bucket.bytes.saturating_add(bytes);
            bucket.end_s = bucket.end_s.max(end_s);
        } else {
            self.buckets.insert(at, DeadlineBucket { end_s, bytes });
            if self.buckets.len() > DEADLINE_BUCKETS_MAX {
                self.merge_smallest();
            }
        }
        assert!(self.buckets.len() <= DEADLINE_BUCKETS_MAX, "a few bytes per extent");
    }

    /// Takes back what [`Self::add`] added.
    pub(super) fn take_back(&mut self, deadline: UnixMs, bytes: u32) {
        let end_s = end_of(deadline);
        let at = self.buckets.partition_point(|bucket| bucket.end_s < end_s);
        let Some(bucket) = self.buckets.get_mut(at) else { return };
        bucket.bytes = bucket.bytes.saturating_sub(bytes);
        if bucket.bytes == 0 {
            self.buckets.remove(at);
        }
    }

    /// Puts the two neighbours with the fewest bytes together, under the later end.
    fn merge_smallest(&mut self) {
        let bytes = |pair: &[DeadlineBucket]| u64::from(pair[0].bytes) + u64::from(pair[1].bytes);
        let smallest = (0..).zip(self.buckets.windows(2)).min_by_key(|(_, pair)| bytes(pair));
        let Some((at, _)) = smallest else { return };
        let earlier = self.buckets.remove(at);
        self.buckets[at].bytes = self.buckets[at].bytes.saturating_add(earlier.bytes);
    }

    /// Bytes of the buckets that end after `from_s` and no later than `to_s`.
    pub(super) fn ended_between(&self, from_s: u32, to_s: u32) -> u64 {
        let ended = self.buckets.iter().filter(|bucket| bucket.end_s > from_s && bucket.end_s <= to_s);
        ended.map(|bucket| u64::from(bucket.bytes)).sum()
    }

    /// The first end after `now_s`; `None`: nothing ends any more.
    pub(super) fn next_end(&self, now_s: u32) -> Option<u32> {
        let later = self.buckets.iter().map(|bucket| bucket.end_s).find(|&end_s| end_s > now_s)?;
        (later < u32::MAX).then_some(later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_S: u32 = 1_700_000_000;

    fn after(seconds: u64) -> UnixMs {
        UnixMs((u64::from(NOW_S) + seconds) * 1000)
    }

    #[test]
    fn equal_deadlines_are_known_to_the_second_and_different_ones_within_an_eighth() {
        let mut deadlines = Deadlines::new(NOW_S);
        for _ in 0..10 {
            deadlines.add(after(100_000), 7);
        }
        assert_eq!(deadlines.buckets(), [DeadlineBucket { end_s: NOW_S + 100_001, bytes: 70 }]);
        assert_eq!(deadlines.next_end(NOW_S), Some(NOW_S + 100_001));
        deadlines.add(after(99_999), 1);
        deadlines.add(after(1), 1);
        assert_eq!(deadlines.buckets().len(), 2);
        assert_eq!(deadlines.ended_between(0, NOW_S + 2), 1);
        assert_eq!(deadlines.next_end(NOW_S + 2), Some(NOW_S + 100_001));
        deadlines.take_back(after(1), 1);
        assert_eq!(deadlines.ended_between(0, NOW_S + 2), 0);
    }

    #[test]
    fn deadlines_beyond_all_time_never_end() {
        let mut deadlines = Deadlines::new(NOW_S);
        deadlines.add(UnixMs(u64::MAX), 1);
        assert_eq!(deadlines.next_end(NOW_S), None);
        assert_eq!(deadlines.ended_between(0, u32::MAX - 1), 0);
    }

    #[test]
    fn what_a_snapshot_may_not_hold_is_refused() {
        let bucket = |end_s| DeadlineBucket { end_s, bytes: 1 };
        assert!(Deadlines::from_parts(1, vec![bucket(2), bucket(3)]).is_some());
        assert!(Deadlines::from_parts(1, vec![bucket(3), bucket(3)]).is_none());
        let many = (0..).take(DEADLINE_BUCKETS_MAX + 1).map(bucket).collect();
        assert!(Deadlines::from_parts(1, many).is_none());
    }

    proptest! {
        #[test]
        fn nothing_ends_early_and_no_byte_is_lost(
            noted in proptest::collection::vec((0u64..10_000_000, 1u32..1000), 1..200),
            at in 0u64..11_000_000,
        ) {
            let mut deadlines = Deadlines::new(NOW_S);
            for (seconds, bytes) in &noted {
                deadlines.add(after(*seconds), *bytes);
            }
            let all: u64 = noted.iter().map(|(_, bytes)| u64::from(*bytes)).sum();
            prop_assert_eq!(deadlines.ended_between(0, u32::MAX), all);
            let now_s = NOW_S + u32::try_from(at).unwrap();
            let ended: u64 =
                noted.iter().filter(|(seconds, _)| *seconds < at).map(|(_, bytes)| u64::from(*bytes)).sum();
            prop_assert!(deadlines.ended_between(0, now_s) <= ended);
            prop_assert!(Deadlines::from_parts(deadlines.base_s(), deadlines.buckets().to_vec()).is_some());
            if noted.iter().all(|(seconds, _)| *seconds < at) {
                prop_assert_eq!(deadlines.ended_between(0, now_s), all, "in the end everything has ended");
            }
        }
    }
}
