//! The read cache: records that were read from disk, kept while there is room, those used again longer.
//!
//! Records are copied into segments that fill one after the other, in two queues. What was read is on *probation*: when it
//! was used again by the time its segment is the oldest one there it is *kept*, otherwise it is forgotten, so that records
//! that are read once take little room. The oldest segment of what is kept goes round: records used since they came into it
//! move to the newest one, the rest is forgotten. Of records that failed their probation a few bits are remembered for a
//! while: one that is read again is kept at once. A record is known by its location, which names it for ever: what is here of
//! a record that has moved or died is never asked for again and ages out. Source of the scheme: S3-FIFO (Yang et al., "FIFO
//! queues are all you need for cache eviction", SOSP 2023).

use std::cell::Cell;
use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::index::{ExtentNumber, Location};
use crate::limits::EXTENT_BYTES;
use crate::planted::{self, PlantedBug};

/// Bytes of a segment; a record larger than this has one of its own.
const SEGMENT_BYTES: usize = 64 << 10;
/// Uses of a record that are counted, at most.
const USES_MAX: u8 = 3;
/// One of so many parts of a segment that is forgotten goes at least.
const SEGMENT_PARTS: usize = 16;
/// Share of all bytes that records on probation take, in percent.
const PROBATION_PERCENT: usize = 4;
/// Records that a segment is made for at first.
const RECORDS_AT_FIRST: usize = 64;

#[derive(Debug)]
struct CachedRecord {
    extent: u32,
    /// The offset in the extent, and above it the uses that have not been held against its age yet.
    offset_and_uses: Cell<u32>,
    /// Where it starts in its segment; it ends where the next one starts.
    start: u32,
}

const _: () = assert!(size_of::<CachedRecord>() == 12);
/// Bits of an offset.
const OFFSET_BITS: u32 = EXTENT_BYTES.ilog2();
const _: () = assert!(OFFSET_BITS + USES_MAX.ilog2() < u32::BITS);

impl CachedRecord {
    fn new(key: u64, start: u32, uses: u8) -> Self {
        let location = location_of(key);
        assert!(location.offset >> OFFSET_BITS == 0, "offset within an extent");
        let offset_and_uses = Cell::new(location.offset | (u32::from(uses) << OFFSET_BITS));
        Self { extent: location.extent.0, offset_and_uses, start }
    }

    fn key(&self) -> u64 {
        let offset = self.offset_and_uses.get() & ((1 << OFFSET_BITS) - 1);
        key_of(Location { extent: ExtentNumber(self.extent), offset })
    }

    fn uses(&self) -> u8 {
        u8::try_from(self.offset_and_uses.get() >> OFFSET_BITS).unwrap_or(USES_MAX)
    }

    fn set_uses(&self, uses: u8) {
        let offset = self.offset_and_uses.get() & ((1 << OFFSET_BITS) - 1);
        self.offset_and_uses.set(offset | (u32::from(uses) << OFFSET_BITS));
    }
}

#[derive(Debug, Default)]
struct Segment {
    bytes: Vec<u8>,
    records: Vec<CachedRecord>,
}

impl Segment {
    fn record(&self, position: usize) -> (&CachedRecord, &[u8]) {
        let end = self.records.get(position + 1).map_or(self.bytes.len(), |next| next.start as usize);
        let record = &self.records[position];
        (record, &self.bytes[record.start as usize..end])
    }

    /// Bytes of records with at least so many uses.
    fn bytes_used(&self, least: u8) -> usize {
        let records = (0..self.records.len()).map(|position| self.record(position));
        records.filter(|(record, _)| record.uses() >= least).map(|(_, bytes)| bytes.len()).sum()
    }

    fn allocated_bytes(&self) -> usize {
        self.bytes.capacity() + self.records.capacity() * size_of::<CachedRecord>() + size_of::<Self>()
    }
}

/// Segments in the order in which they were filled.
#[derive(Debug, Default)]
struct Queue {
    segments: VecDeque<Segment>,
    /// Number of the first of `segments`, low 32 bits.
    first: u32,
    /// Bytes of memory of all segments.
    bytes: usize,
}

impl Queue {
    fn segment(&self, number: u32) -> &Segment {
        &self.segments[number.wrapping_sub(self.first) as usize]
    }

    /// Records that a new segment is made for: as many as the last one has, for they are mostly of one size.
    fn records_at_first(&self, record_bytes: usize) -> usize {
        if record_bytes > SEGMENT_BYTES {
            return 1;
        }
        self.segments.back().map_or(RECORDS_AT_FIRST, |last| last.records.len() + 1)
    }

    fn push(&mut self, key: u64, record: &[u8], uses: u8) -> (u32, u32) {
        let fits = self.segments.back().is_some_and(|last| last.bytes.len() + record.len() <= SEGMENT_BYTES);
        if !fits {
            let segment = Segment {
                bytes: Vec::with_capacity(SEGMENT_BYTES.max(record.len())),
                records: Vec::with_capacity(self.records_at_first(record.len())),
            };
            self.bytes += segment.allocated_bytes();
            self.segments.push_back(segment);
        }
        let behind = u32::try_from(self.segments.len() - 1).expect("segments are few");
        let Some(last) = self.segments.back_mut() else { unreachable!("just pushed") };
        let before = last.allocated_bytes();
        let start = u32::try_from(last.bytes.len()).expect("a segment is below 4 GiB");
        last.bytes.extend_from_slice(record);
        let position = u32::try_from(last.records.len()).expect("a record has a byte");
        last.records.push(CachedRecord::new(key, start, uses));
        self.bytes += last.allocated_bytes() - before;
        (self.first.wrapping_add(behind), position)
    }

    fn pop(&mut self) -> Option<(u32, Segment)> {
        let oldest = self.segments.pop_front()?;
        self.bytes -= oldest.allocated_bytes();
        self.first = self.first.wrapping_add(1);
        Some((self.first.wrapping_sub(1), oldest))
    }
}

/// Where a record is: in which queue, the number of its segment, and its position in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    segment: u32,
    /// The position, above the bit that tells the queue.
    position: u32,
}

const _: () = assert!(size_of::<Place>() == 8);

const PROBATION: usize = 0;
const KEPT: usize = 1;

impl Place {
    fn new(queue: usize, (segment, position): (u32, u32)) -> Self {
        Self { segment, position: (position << 1) | u32::from(queue == KEPT) }
    }

    fn record(self, queues: &[Queue; 2]) -> (&CachedRecord, &[u8]) {
        let queue = (self.position & 1) as usize;
        queues[queue].segment(self.segment).record((self.position >> 1) as usize)
    }
}

/// Keys that failed their probation lately: a few bits of each, where the next one that falls there replaces it.
#[derive(Debug, Default)]
struct Ghosts(Vec<u16>);

impl Ghosts {
    fn at(&self, key: u64) -> Option<(usize, u16)> {
        let hash = spread(key);
        let mask = self.0.len().checked_sub(1)?;
        #[expect(clippy::cast_possible_truncation, reason = "some of the bits")]
        let (low, high) = (hash as usize & mask, (hash >> 40) as u16 | 1);
        Some((low, high))
    }

    fn note(&mut self, key: u64, records: usize) {
        // About as many as there are records; made anew when that has changed much.
        let records = records.max(RECORDS_AT_FIRST);
        if self.0.len() < records || self.0.len() / 8 > records {
            self.0 = vec![0; records.next_power_of_two() * 2];
        }
        if let Some((at, bits)) = self.at(key) {
            self.0[at] = bits;
        }
    }

    fn contains(&self, key: u64) -> bool {
        self.at(key).is_some_and(|(at, bits)| self.0[at] == bits)
    }
}

/// Records read from disk.
#[derive(Debug, Default)]
pub(super) struct ReadCache {
    queues: [Queue; 2],
    table: HashTable<Place>,
    ghosts: Ghosts,
}

fn key_of(location: Location) -> u64 {
    if planted::is(PlantedBug::ReadCacheByOffset) {
        return location.offset as u64;
    }
    ((location.extent.0 as u64) << 32) | location.offset as u64
}

const fn location_of(key: u64) -> Location {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the key")]
    let (extent, offset) = ((key >> 32) as u32, key as u32);
    Location { extent: ExtentNumber(extent), offset }
}

/// Locations are not chosen by clients, so a fixed spread is safe.
const fn spread(key: u64) -> u64 {
    let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

impl ReadCache {
    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.queues[PROBATION].bytes
            + self.queues[KEPT].bytes
            + self.table.allocation_size()
            + self.ghosts.0.capacity() * size_of::<u16>()
    }

    /// Records held.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    #[inline]
    fn find(&self, key: u64) -> Option<(&CachedRecord, &[u8])> {
        let place = self.table.find(spread(key), |place| place.record(&self.queues).0.key() == key)?;
        Some(place.record(&self.queues))
    }

    /// The record at a location, if it is here. Counts as a use.
    #[inline]
    pub(super) fn get(&self, location: Location) -> Option<&[u8]> {
        let (record, bytes) = self.find(key_of(location))?;
        record.set_uses((record.uses() + 1).min(USES_MAX));
        Some(bytes)
    }

    /// What was used so far was by the command that the record was read for: that is no second use.
    pub(super) fn forget_use(&self, location: Location) {
        if let Some((record, _)) = self.find(key_of(location)) {
            record.set_uses(0);
        }
    }

    /// Whether the record at a location is here. Does not count as a use.
    pub(super) fn contains(&self, location: Location) -> bool {
        self.find(key_of(location)).is_some()
    }

    /// Keeps a copy of a record that was read. One that is here already stays as it is.
    pub(super) fn insert(&mut self, location: Location, record: &[u8]) {
        let key = key_of(location);
        if self.find(key).is_none() {
            let queue = if self.ghosts.contains(key) { KEPT } else { PROBATION };
            self.push(queue, key, record, 0);
        }
    }

    /// Keeps a copy of a record that was used before: it has no probation to pass.
    pub(super) fn keep(&mut self, location: Location, record: &[u8]) {
        let key = key_of(location);
        if self.find(key).is_none() {
            self.push(KEPT, key, record, 0);
        }
    }

    fn push(&mut self, queue: usize, key: u64, record: &[u8], uses: u8) {
        let place = Place::new(queue, self.queues[queue].push(key, record, uses));
        let Self { table, queues, .. } = self;
        table.insert_unique(spread(key), place, |place| spread(place.record(queues).0.key()));
    }

    /// Forgets the oldest segment of one queue, but for the records in it that were used. False when there is none.
    pub(super) fn forget_oldest(&mut self) -> bool {
        let (probation, kept) = (self.queues[PROBATION].bytes, self.queues[KEPT].bytes);
        let share = (probation + kept) / 100 * PROBATION_PERCENT;
        let queue = if probation > share.max(SEGMENT_BYTES) || kept == 0 { PROBATION } else { KEPT };
        let number = self.queues[queue].first;
        let Some(oldest) = self.queues[queue].segments.front() else { return false };
        for (position, record) in (0u32..).zip(&oldest.records) {
            let place = Place::new(queue, (number, position));
            if let Ok(found) = self.table.find_entry(spread(record.key()), |other| *other == place) {
                found.remove();
            }
        }
        let Some((_, oldest)) = self.queues[queue].pop() else { unreachable!("looked at above") };
        // Those used most stay first. Of the next ones as many as there is room for, so that room is made for certain.
        let most = oldest.bytes.len() / SEGMENT_PARTS * (SEGMENT_PARTS - 1);
        let least = (1..USES_MAX).find(|&least| oldest.bytes_used(least + 1) <= most).unwrap_or(USES_MAX);
        let mut room = most.saturating_sub(oldest.bytes_used(least + 1));
        for position in 0..oldest.records.len() {
            let (record, bytes) = oldest.record(position);
            let uses = record.uses();
            let fits = uses == least && bytes.len() <= room;
            if uses > least || fits {
                room -= if fits { bytes.len() } else { 0 };
                self.push(KEPT, record.key(), bytes, if queue == KEPT { uses - 1 } else { 0 });
            } else if queue == PROBATION {
                self.ghosts.note(record.key(), self.table.len());
            }
        }
        if self.table.is_empty() {
            // Its capacity does not count places of what was taken out, and would not tell that it has memory.
            self.table = HashTable::new();
            self.ghosts = Ghosts::default();
        }
        if self.table.len() * 4 < self.table.capacity() {
            let Self { table, queues, .. } = self;
            table.shrink_to(table.len() * 2, |place| spread(place.record(queues).0.key()));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// Exact LRU over the same bytes, records alone being counted: how often it hits.
    fn lru_hits(trace: &[u32], record_bytes: usize, bytes: usize) -> usize {
        let (mut last_use, mut by_use) =
            (std::collections::BTreeMap::new(), std::collections::BTreeMap::new());
        let mut hits = 0;
        for (now, &number) in trace.iter().enumerate() {
            if now == trace.len() / 2 {
                hits = 0;
            }
            match last_use.insert(number, now) {
                Some(before) => {
                    hits += 1;
                    by_use.remove(&before);
                }
                None if last_use.len() * record_bytes > bytes => {
                    if let Some((_, oldest)) = by_use.pop_first() {
                        last_use.remove(&oldest);
                    }
                }
                None => {}
            }
            by_use.insert(now, number);
        }
        hits
    }

    #[test]
    fn on_a_skewed_trace_it_hits_at_least_as_often_as_an_exact_lru_of_the_bytes_of_a_tenth_of_the_records() {
        const RECORDS: u32 = 200_000;
        let mut cumulated = Vec::new();
        let mut sum = 0.0;
        for rank in 1..=RECORDS {
            sum += 1.0 / f64::from(rank).powf(0.99);
            cumulated.push(sum);
        }
        let mut random = 88_172_645_463_325_252u64;
        let trace: Vec<u32> = (0..2_000_000)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let drawn = f64::from(u32::try_from(random >> 32).unwrap()) / 4_294_967_296.0 * sum;
                let rank = cumulated.partition_point(|&until| until < drawn);
                u32::try_from(rank).unwrap().wrapping_mul(2_654_435_761) % RECORDS
            })
            .collect();
        let record = [5u8; 220];
        for bytes in [1 << 20, 2 << 20, 4 << 20, 8 << 20] {
            let (mut cache, mut hits) = (ReadCache::default(), 0);
            for (now, &number) in trace.iter().enumerate() {
                if now == trace.len() / 2 {
                    hits = 0;
                }
                if cache.get(at(number)).is_some() {
                    hits += 1;
                } else {
                    cache.insert(at(number), &record);
                    while cache.bytes() > bytes {
                        assert!(cache.forget_oldest());
                    }
                }
            }
            let lru = lru_hits(&trace, record.len(), bytes);
            // Its own bytes are counted too. With room for a tenth of the records that is made up for, with room for a fifth
            // nearly.
            let least = if bytes > 4 << 20 { lru - lru / 200 } else { lru };
            assert!(hits >= least, "{hits} hits where an exact LRU of {bytes} bytes has {lru}");
        }
    }
}
