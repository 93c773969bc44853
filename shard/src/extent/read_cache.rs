//! The read cache: records that were read from disk, kept while there is room, those used again longer.
//!
//! Records are copied into segments that fill one after the other. When room is wanted the oldest segment goes:
//! what was used since it came in moves to the newest one (a second chance), the rest is forgotten. A record is
//! known by its location, which names it for ever: what is here of a record that has moved or died is never asked
//! for again and ages out. Source of the scheme: FIFO with second chance, as in CLOCK (Corbató, 1968).

use std::cell::Cell;
use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::index::Location;
use crate::planted::{self, PlantedBug};

/// Bytes of a segment; a record larger than this has one of its own.
const SEGMENT_BYTES: usize = 256 << 10;
/// Bytes that a record takes beside its own: its entry and its part of the table.
const ENTRY_BYTES: usize = size_of::<CachedRecord>() + 2 * size_of::<Place>();

#[derive(Debug)]
struct CachedRecord {
    key: u64,
    start: u32,
    end: u32,
    /// Whether it was used since it came into this segment.
    used: Cell<bool>,
}

#[derive(Debug, Default)]
struct Segment {
    bytes: Vec<u8>,
    records: Vec<CachedRecord>,
}

/// Where a record is: number of its segment since the beginning, and its position in it.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    position: u32,
}

/// Records read from disk.
#[derive(Debug, Default)]
pub(super) struct ReadCache {
    segments: VecDeque<Segment>,
    /// Number of the first of `segments`.
    first: u64,
    table: HashTable<Place>,
    bytes: usize,
}

fn key_of(location: Location) -> u64 {
    if planted::is(PlantedBug::ReadCacheByOffset) {
        return location.offset as u64;
    }
    ((location.extent.0 as u64) << 32) | location.offset as u64
}

/// Locations are not chosen by clients, so a fixed spread is safe.
const fn spread(key: u64) -> u64 {
    let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

impl ReadCache {
    /// Bytes that it takes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records held.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    fn record(&self, place: Place) -> (&Segment, &CachedRecord) {
        let segment = &self.segments[usize::try_from(place.segment - self.first).unwrap_or(usize::MAX)];
        (segment, &segment.records[place.position as usize])
    }

    /// The record at a location, if it is here. Counts as a use.
    #[inline]
    pub(super) fn get(&self, location: Location) -> Option<&[u8]> {
        let key = key_of(location);
        let place = self.table.find(spread(key), |&place| self.record(place).1.key == key)?;
        let (segment, record) = self.record(*place);
        record.used.set(true);
        Some(&segment.bytes[record.start as usize..record.end as usize])
    }

    /// Keeps a copy of a record that was read. One that is here already stays as it is.
    pub(super) fn insert(&mut self, location: Location, record: &[u8]) {
        let key = key_of(location);
        if self.table.find(spread(key), |&place| self.record(place).1.key == key).is_none() {
            self.push(key, record);
        }
    }

    fn push(&mut self, key: u64, record: &[u8]) {
        let fits = self.segments.back().is_some_and(|last| last.bytes.len() + record.len() <= SEGMENT_BYTES);
        if !fits {
            let bytes = Vec::with_capacity(SEGMENT_BYTES.max(record.len()));
            self.bytes += bytes.capacity();
            self.segments.push_back(Segment { bytes, records: Vec::new() });
        }
        let number = self.first + self.segments.len() as u64 - 1;
        let Some(last) = self.segments.back_mut() else { unreachable!("just pushed") };
        let start = u32::try_from(last.bytes.len()).expect("a segment is below 4 GiB");
        last.bytes.extend_from_slice(record);
        let end = u32::try_from(last.bytes.len()).expect("a segment is below 4 GiB");
        let position = u32::try_from(last.records.len()).expect("a record has a byte");
        last.records.push(CachedRecord { key, start, end, used: Cell::new(false) });
        self.bytes += ENTRY_BYTES;
        let Self { table, segments, first, .. } = self;
        let hash_at = |place: &Place| {
            let segment = &segments[usize::try_from(place.segment - *first).unwrap_or(usize::MAX)];
            spread(segment.records[place.position as usize].key)
        };
        table.insert_unique(spread(key), Place { segment: number, position }, hash_at);
    }

    /// Forgets the oldest segment, one bounded step. False when there is none.
    pub(super) fn forget_oldest(&mut self) -> bool {
        let Some(oldest) = self.segments.front() else { return false };
        let number = self.first;
        for (position, record) in (0u32..).zip(&oldest.records) {
            let found = self.table.find_entry(spread(record.key), |place| {
                place.segment == number && place.position == position
            });
            if let Ok(found) = found {
                found.remove();
            }
        }
        let Some(oldest) = self.segments.pop_front() else { unreachable!("looked at above") };
        self.first += 1;
        self.bytes -= oldest.bytes.capacity() + oldest.records.len() * ENTRY_BYTES;
        for record in oldest.records.iter().filter(|record| record.used.get()) {
            self.push(record.key, &oldest.bytes[record.start as usize..record.end as usize]);
        }
        if self.table.len() * 4 < self.table.capacity() {
            let Self { table, segments, first, .. } = self;
            let hash_at = |place: &Place| {
                let segment = &segments[usize::try_from(place.segment - *first).unwrap_or(usize::MAX)];
                spread(segment.records[place.position as usize].key)
            };
            table.shrink_to(table.len() * 2, hash_at);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::ExtentNumber;

    fn at(number: u32) -> Location {
        Location { extent: ExtentNumber(number), offset: number % 1000 }
    }

    #[test]
    fn what_is_used_again_outlives_what_is_not() {
        let mut cache = ReadCache::default();
        let record = [7u8; 1000];
        for number in 0..10_000 {
            cache.insert(at(number), &record);
            assert!(cache.get(at(0)).is_some(), "a record in use stays, at {number}");
            while cache.bytes() > 2 << 20 {
                assert!(cache.forget_oldest());
            }
        }
        assert!(cache.get(at(9_999)).is_some() && cache.get(at(5)).is_none());
        assert!(cache.len() < 2_200 && cache.len() > 1_000, "{}", cache.len());
    }

    #[test]
    fn all_is_given_back() {
        let mut cache = ReadCache::default();
        for number in 0..3_000 {
            cache.insert(at(number), &number.to_le_bytes().repeat(100));
        }
        cache.insert(at(5_000), &vec![1; 3 << 20]);
        for number in 0..3_000u32 {
            assert_eq!(cache.get(at(number)), Some(&number.to_le_bytes().repeat(100)[..]));
        }
        // Every record gets its second chance once, then it goes.
        let mut steps = 0;
        while cache.forget_oldest() {
            steps += 1;
            assert!(steps < 1_000);
        }
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
    }
}
