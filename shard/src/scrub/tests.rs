//! What the scrub promises: it finds what is damaged and alive, and nothing else; one read at a time; what goes away
//! under it is left alone.

use super::*;
use crate::extent::ExtentSeal;
use crate::index::{ExtentNumber, Location};
use crate::io::{BLOCK_BYTES, IoBuffer, IoDone, IoError, IoOperation, IoRequest};
use crate::key::KeyHasher;
use crate::limits::{COMPACTION_READ_BYTES_MAX, EXTENT_BYTES, SCRUB_FIRST_MS};
use crate::shard::Shard;
use crate::shard_set::ShardSet;
use crate::testing::HeapPool;
use crate::types::{Db, SLOT_COUNT, StoredDb, Term};

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const FILL_BYTES: usize = 64 << 10;
const VALUE_BYTES: usize = 1000;

/// A shard on disk whose data file is a vector.
struct OnDisk {
    set: ShardSet<HeapPool>,
    file: Vec<u8>,
    /// Reads that begin at this offset of the file come to this.
    result: Option<(u64, Result<usize, IoError>)>,
    now_ns: u64,
    reads: Vec<(u64, usize)>,
}

impl OnDisk {
    /// With so many keys, all written.
    fn with(count: u32) -> Self {
        let mut shard = Shard::new(ShardId(0), 0..SLOT_COUNT, Term(1), NOW);
        shard.keep_on_disk(ExtentSeal { store: 4711, shard: ShardId(0) }, 5);
        let mut set = ShardSet::new(vec![shard], KeyHasher::new([7; 16]), HeapPool, None);
        set.set_extent_fill_bytes(FILL_BYTES);
        let mut store = Self { set, file: Vec::new(), result: None, now_ns: 1, reads: Vec::new() };
        for i in 0..count {
            store.put(&i.to_le_bytes(), &vec![7; VALUE_BYTES]);
        }
        store.write_back();
        store
    }

    fn put(&mut self, name: &[u8], value: &[u8]) {
        let key = self.set.key(name);
        self.set.put(Db(0), &key, value, None);
        let _ = self.set.take_barrier();
    }

    fn delete(&mut self, i: u32) {
        let name = name(i);
        let key = self.set.key(&name);
        assert!(self.set.delete(Db(0), &key, NOW));
        let _ = self.set.take_barrier();
    }

    fn write_back(&mut self) {
        let extents = &mut self.set.shards[0].extents;
        extents.begin_checkpoint();
        let limit = extents.seal_all(&mut HeapPool);
        while extents.next_dirty().is_some() {
            let Some(write) = extents.next_write(&mut HeapPool) else {
                extents.got_space(extents.next_growth(0, 1, false));
                continue;
            };
            let offset = usize::try_from(write.offset).unwrap();
            self.file.resize(self.file.len().max(offset + write.len), 0);
            self.file[offset..offset + write.len].copy_from_slice(&write.buffer.as_ref()[..write.len]);
            extents.on_written(write.number);
        }
        extents.on_published(limit);
    }

    fn place(&self, name: &[u8]) -> Location {
        let key = self.set.key(name);
        self.set.shards[0].candidate(StoredDb(0), key.slot, key.hash).unwrap()
    }

    fn file_offset(&self, number: ExtentNumber) -> usize {
        usize::try_from(self.set.shards[0].extents.file_offset(number)).unwrap()
    }

    /// Flips a bit of a key's record.
    fn flip(&mut self, name: &[u8], offset: usize) {
        let at = self.place(name);
        let offset = self.file_offset(at.extent) + at.offset as usize + offset;
        self.file[offset] ^= 4;
    }

    fn perform(&mut self, request: IoRequest<HeapPool>) {
        let IoOperation::Read { offset, mut buffer, len, .. } = request.operation else {
            panic!("the scrub only reads")
        };
        self.reads.push((offset, len));
        let from = usize::try_from(offset).unwrap().min(self.file.len());
        let there = len.min(self.file.len() - from);
        buffer[..there].copy_from_slice(&self.file[from..from + there]);
        let result = self.result.filter(|(at, _)| *at == offset).map_or(Ok(there), |(_, result)| result);
        self.set.on_io(IoDone { id: request.id, result, buffer: IoBuffer::Owned(buffer) }).unwrap();
    }

    /// A turn; whatever it wants to read is read.
    fn turn(&mut self) -> bool {
        let more = self.set.scrub_turn(NOW, self.now_ns);
        let request = self.set.next_scrub_io();
        assert!(self.set.next_scrub_io().is_none(), "one read at a time");
        if let Some(request) = request {
            self.perform(request);
            return true;
        }
        more
    }

    /// A round that is asked for, to its end. What it has found.
    fn scrub(&mut self) -> Vec<ScrubFinding> {
        self.set.scrub_all();
        let rounds = self.set.scrub_figures().rounds;
        while self.set.scrub_figures().asked > 0 {
            self.turn();
        }
        assert_eq!(self.set.scrub_figures().rounds, rounds + 1);
        let mut found: Vec<ScrubFinding> = std::iter::from_fn(|| self.set.next_scrub_finding()).collect();
        found.sort_by_key(|finding| finding.extent);
        found
    }

    /// As [`Self::scrub`], when there is one finding: its problem, keys, and whether there may be more.
    fn scrub_one(&mut self) -> (DamageKind, u32, bool) {
        let [finding] = self.scrub()[..] else { panic!("one extent is damaged") };
        (finding.problem, finding.keys, finding.is_least)
    }
}

fn name(i: u32) -> [u8; 4] {
    i.to_le_bytes()
}

#[test]
fn an_intact_file_is_read_whole_and_nothing_is_found() {
    let mut store = OnDisk::with(1_000);
    assert_eq!(store.scrub(), []);
    let figures = store.set.scrub_figures();
    assert_eq!((figures.done, figures.total, figures.last_ms), (0, 0, NOW.0));
    assert!(figures.read_bytes >= 1_000 * VALUE_BYTES as u64, "{figures:?}");
    let mut offsets: Vec<u64> = store.reads.iter().map(|(offset, _)| *offset / EXTENT_BYTES as u64).collect();
    // From a place that was drawn to the end, and on from the beginning.
    let turns = offsets.windows(2).filter(|two| two[1] < two[0]).count();
    assert!(turns <= 1, "in the order of places: {offsets:?}");
    offsets.sort_unstable();
    offsets.dedup();
    assert_eq!(offsets.len(), store.set.shards[0].extents.count(), "every extent");
}

#[test]
fn a_flipped_bit_of_a_live_record_is_found_each_round_wherever_it_is() {
    for offset in [0, 3, 4, 5, 6, 7, 8, 12, 15, 20, 500, VALUE_BYTES] {
        let mut store = OnDisk::with(300);
        store.flip(&name(100), offset);
        let at = store.place(&name(100));
        for _ in 0..2 {
            let [finding] = store.scrub()[..] else { panic!("offset {offset}: one extent is damaged") };
            assert_eq!((finding.extent, finding.offset), (at.extent.0, at.offset), "offset {offset}");
            assert_eq!((finding.problem, finding.keys), (DamageKind::Record, 1), "offset {offset}");
            let figures = store.set.scrub_figures();
            assert_eq!((figures.damaged_extents, figures.damaged_records), (1, 1));
        }
        store.flip(&name(100), offset);
        assert_eq!(store.scrub(), [], "what is intact again is no longer told of");
        assert_eq!(store.set.scrub_figures().damaged_extents, 0);
    }
}

#[test]
fn what_is_dead_may_rot() {
    for offset in [3, 5, 6, 7, 8, 500] {
        let mut store = OnDisk::with(300);
        store.flip(&name(100), offset);
        store.delete(100);
        assert_eq!(store.scrub(), [], "offset {offset}");
    }
}

#[test]
fn keys_behind_damage_are_counted_exactly() {
    let mut store = OnDisk::with(300);
    let extent = store.place(&name(100)).extent;
    let same: Vec<u32> = (0..300).filter(|i| store.place(&name(*i)).extent == extent).collect();
    for i in same.iter().step_by(7) {
        store.flip(&name(*i), 300);
    }
    let keys = u32::try_from(same.iter().step_by(7).count()).unwrap();
    assert_eq!(store.scrub_one(), (DamageKind::Record, keys, false));
    let text = ScrubFinding {
        shard: ShardId(3),
        extent: 9,
        file_offset: 1 << 20,
        offset: 64,
        problem: DamageKind::Record,
        keys: 2,
        is_least: true,
    };
    assert_eq!(
        text.to_string(),
        "shard 3: the scrub found extent 9, at byte 1048576 of its data file, damaged at offset 64 (a record does not \
         verify); live keys that cannot be read: 2 or more"
    );
}

#[test]
fn a_write_that_was_lost_leaves_an_old_extent_and_that_is_found() {
    let mut store = OnDisk::with(300);
    let (first, second) = (store.place(&name(0)).extent, store.place(&name(100)).extent);
    assert_ne!(first, second);
    let (from, to) = (store.file_offset(first), store.file_offset(second));
    store.file.copy_within(from..from + FILL_BYTES, to);
    let (problem, keys, is_least) = store.scrub_one();
    assert_eq!((problem, is_least), (DamageKind::Header, true));
    assert!(keys >= 1, "{keys}");
}

#[test]
fn a_read_that_fails_and_a_file_that_ends_are_findings_and_a_short_read_is_none() {
    let mut store = OnDisk::with(300);
    let offset = store.file_offset(store.place(&name(100)).extent) as u64;
    let failed = IoError::from_errno(5);
    store.result = Some((offset, Err(failed)));
    assert_eq!(store.scrub_one(), (DamageKind::Io(failed), 1, true));
    store.result = Some((offset, Ok(100)));
    assert_eq!(store.scrub_one(), (DamageKind::Short, 1, true));
    store.result = Some((offset, Ok(BLOCK_BYTES + 100)));
    assert_eq!(store.scrub(), []);
}

#[test]
fn a_run_is_hashed_window_by_window() {
    let mut store = OnDisk::with(10);
    store.put(b"large", &vec![9; 3 * EXTENT_BYTES + 12_345]);
    store.write_back();
    assert_eq!(store.scrub(), []);
    assert!(store.reads.iter().all(|(_, len)| *len <= COMPACTION_READ_BYTES_MAX));
    for offset in [2, 20, EXTENT_BYTES - 64, 2 * EXTENT_BYTES, 3 * EXTENT_BYTES + 12_000] {
        store.flip(b"large", offset);
        assert_eq!(store.scrub_one(), (DamageKind::Record, 1, false), "offset {offset}");
        store.flip(b"large", offset);
    }
    assert_eq!(store.scrub(), []);
}

#[test]
fn an_extent_that_is_emptied_while_it_is_read_is_left_alone() {
    let mut store = OnDisk::with(60);
    store.set.scrub_all();
    let request = loop {
        store.set.scrub_turn(NOW, 1);
        if let Some(request) = store.set.next_scrub_io() {
            break request;
        }
    };
    for i in 0..60 {
        store.delete(i);
    }
    // Something else lies there by now.
    store.file.fill(0xee);
    store.perform(request);
    while store.set.scrub_figures().asked > 0 {
        store.turn();
    }
    assert_eq!(store.set.next_scrub_finding(), None);
}

#[test]
fn a_round_by_itself_is_spread_over_its_period() {
    const PERIOD_MS: u64 = 3_600_000;
    let mut store = OnDisk::with(1_000);
    store.set.set_scrub_period(PERIOD_MS);
    let count = store.set.shards[0].extents.count() as u64;
    let (mut began, mut times) = (0, Vec::new());
    for ms in 0..PERIOD_MS * 2 / 100 {
        store.now_ns = ms * 100 * 1_000_000;
        let before = store.reads.len();
        while store.turn() {}
        assert!(store.reads.len() - before <= FILL_BYTES.div_ceil(COMPACTION_READ_BYTES_MAX), "no burst");
        if store.reads.len() > before {
            times.push(ms * 100);
        }
        if store.set.scrub_figures().rounds == 1 && began == 0 {
            began = ms * 100;
        }
    }
    assert!(times[0] <= SCRUB_FIRST_MS, "{}", times[0]);
    let gaps = times.windows(2).map(|two| two[1] - two[0]);
    assert!(gaps.max().unwrap() <= PERIOD_MS / count + 1_000);
    assert!((PERIOD_MS * 9 / 10..=PERIOD_MS + SCRUB_FIRST_MS).contains(&began), "a round took {began} ms");
}

#[test]
fn a_set_is_not_closed_while_a_read_of_the_scrub_is_under_way_and_begins_none_on_its_way_out() {
    let mut store = OnDisk::with(300);
    store.set.scrub_all();
    let request = loop {
        store.set.scrub_turn(NOW, 1);
        if let Some(request) = store.set.next_scrub_io() {
            break request;
        }
    };
    assert!(!store.set.is_closed(), "the read owns a buffer");
    store.perform(request);
    assert!(store.set.is_closed());
}
