//! What compaction promises: it changes no read, memory and places come back, a step is bounded, damage stays where
//! it is.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::walk::How;
use super::*;
use crate::extent::{ExtentSeal, ExtentWrite};
use crate::index::Table;
use crate::io::{IoBuffer, IoDone, IoOperation};
use crate::key::KeyHasher;
use crate::record::mix_checksum;
use crate::shard::Shard;
use crate::shard_set::ShardSet;
use crate::testing::HeapPool;
use crate::types::{Db, SLOT_COUNT, StoredDb, Term};

pub(super) const NOW: UnixMs = UnixMs(1_700_000_000_000);
pub(super) const SEAL: ExtentSeal = ExtentSeal { store: 4711, shard: ShardId(0) };
pub(super) const SALT: u32 = 5;

pub(super) fn shards(count: u16) -> Vec<Shard<HeapPool>> {
    let width = SLOT_COUNT / count;
    (0..count).map(|id| Shard::new(ShardId(id), id * width..(id + 1) * width, Term(1), NOW)).collect()
}

/// A set whose extents are tiny and whose compaction begins at once.
pub(super) fn set(shards: Vec<Shard<HeapPool>>, fill_bytes: usize, fill_percent: u8) -> ShardSet<HeapPool> {
    let mut set = ShardSet::new(shards, KeyHasher::new([7; 16]), HeapPool, None);
    set.set_extent_fill_bytes(fill_bytes);
    set.set_compaction(CompactionConfig {
        fill_percent,
        dead_bytes_min: 1,
        step_bytes: 2_000,
        step_records: 7,
    });
    set
}

pub(super) fn put(set: &mut ShardSet<HeapPool>, name: &[u8], value: &[u8], deadline: Option<UnixMs>) {
    let key = set.key(name);
    set.put(Db(0), &key, value, deadline);
}

fn get(set: &mut ShardSet<HeapPool>, name: &[u8], now: UnixMs) -> Option<(Vec<u8>, Option<UnixMs>)> {
    let key = set.key(name);
    set.lookup(Db(0), &key, now).map(|found| (found.value.to_vec(), found.deadline))
}

fn walked_index_bytes(shard: &Shard<HeapPool>) -> usize {
    let slots = shard.databases.iter().flat_map(|database| database.slots.iter());
    slots.map(|slot| size_of_val(slot) + slot.tables().map(Table::allocated_bytes).sum::<usize>()).sum()
}

#[derive(Clone, Debug)]
enum Action {
    Put(u8, usize, Option<u64>),
    Append(u8, usize),
    Delete(u8),
    Later(u64),
    Turns(u8),
    Full,
    Flush,
}

fn action() -> impl Strategy<Value = Action> {
    let size = prop_oneof![8 => 0usize..200, 2 => 200usize..3_000, 1 => Just(20_000usize), 1 => Just(1_200_000usize)];
    prop_oneof![
        12 => (any::<u8>(), size, proptest::option::of(1u64..9_000)).prop_map(|(k, n, d)| Action::Put(k, n, d)),
        2 => (any::<u8>(), 0usize..50).prop_map(|(k, n)| Action::Append(k, n)),
        3 => any::<u8>().prop_map(Action::Delete),
        1 => (1u64..2_000).prop_map(Action::Later),
        4 => (1u8..20).prop_map(Action::Turns),
        1 => Just(Action::Full),
        1 => proptest::bool::weighted(0.1).prop_map(|flush| if flush { Action::Flush } else { Action::Turns(1) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn compaction_changes_no_read(
        actions in proptest::collection::vec(action(), 1..400),
        fill_bytes in prop_oneof![Just(1_000usize), Just(5_000), Just(40_000)],
    ) {
        let mut set = set(shards(2), fill_bytes, 90);
        let mut model: BTreeMap<Vec<u8>, (Vec<u8>, Option<UnixMs>)> = BTreeMap::new();
        let mut now = NOW;
        for (i, action) in actions.iter().enumerate() {
            let name = |k: &u8| format!("key:{}", k % 60).into_bytes();
            model.retain(|_, (_, deadline)| deadline.is_none_or(|d| d > now));
            match action {
                Action::Put(k, size, after) => {
                    let value = vec![u8::try_from(i % 251).unwrap(); *size];
                    let deadline = after.map(|after| UnixMs(now.0 + after));
                    put(&mut set, &name(k), &value, deadline);
                    model.insert(name(k), (value, deadline));
                }
                Action::Append(k, size) => {
                    let name = name(k);
                    let (value, _) = model.entry(name.clone()).or_default();
                    let offset = u32::try_from(value.len()).unwrap();
                    value.extend(vec![3; *size]);
                    let key = set.key(&name);
                    set.patch(Db(0), &key, offset, &vec![3; *size], now);
                }
                Action::Delete(k) => {
                    let name = name(k);
                    let key = set.key(&name);
                    prop_assert_eq!(set.delete(Db(0), &key, now), model.remove(&name).is_some());
                }
                Action::Later(ms) => now = UnixMs(now.0 + ms),
                Action::Turns(turns) => {
                    for _ in 0..*turns {
                        set.tick(now, crate::testing::later_ns(), 3);
                    }
                }
                Action::Full => set.compact_all(),
                Action::Flush => {
                    set.flush_all();
                    model.clear();
                }
            }
            let _ = set.take_barrier();
            if let Action::Put(k, ..) | Action::Delete(k) = action {
                let other = name(&k.wrapping_add(1));
                model.retain(|_, (_, deadline)| deadline.is_none_or(|d| d > now));
                prop_assert_eq!(get(&mut set, &other, now), model.get(&other).cloned());
            }
        }
        model.retain(|_, (_, deadline)| deadline.is_none_or(|d| d > now));
        let mut turns = 0;
        set.compact_all();
        while set.tick(now, crate::testing::later_ns(), 100) {
            turns += 1;
            prop_assert!(turns < 100_000, "compaction comes to an end");
        }
        for k in 0..60u8 {
            let name = format!("key:{k}").into_bytes();
            prop_assert_eq!(get(&mut set, &name, now), model.get(&name).cloned());
        }
        prop_assert!(set.next_damaged_extent().is_none());
        for shard in set.shards() {
            prop_assert_eq!(shard.index_bytes(), walked_index_bytes(shard), "the index is counted exactly");
            let fill = shard.extents().fill();
            prop_assert!(fill.live_bytes <= fill.held_bytes);
        }
    }
}

/// Overwrites and deletes of many times the data: what is allocated stays near what lives.
#[test]
fn memory_comes_back_while_a_store_is_overwritten_again_and_again() {
    const KEYS: u64 = 40_000;
    const SHARDS: u16 = 4;
    for skewed in [false, true] {
        let mut set = ShardSet::new(shards(SHARDS), KeyHasher::new([7; 16]), HeapPool, None);
        let mut random = 88_172_645_463_325_252u64;
        let (mut most, mut live_then) = (0, 0);
        for i in 0..KEYS * 25 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let hot = skewed && !random.is_multiple_of(5);
            let number = if i < KEYS { i } else { (random >> 20) % if hot { KEYS / 10 } else { KEYS } };
            let name = number.to_le_bytes();
            // Sizes change, so that nothing is overwritten in place.
            let len = 300 + usize::try_from((random >> 40) % 400).unwrap();
            if i > KEYS && random.is_multiple_of(7) {
                let key = set.key(&name);
                set.delete(Db(0), &key, NOW);
            } else {
                put(&mut set, &name, &vec![1; len], None);
            }
            let _ = set.take_barrier();
            if i % 20 == 0 {
                set.tick(NOW, crate::testing::later_ns(), 10);
            }
            if i > KEYS * 3 && i % 1_000 == 0 {
                let held: u64 = set.shards().iter().map(|shard| shard.extents().allocated_bytes()).sum();
                let live: u64 = set.shards().iter().map(|shard| shard.extents().fill().live_bytes).sum();
                if held > most {
                    (most, live_then) = (held, live);
                }
            }
        }
        let figures = set.compaction_figures();
        let limit = live_then * 14 / 10 + u64::from(SHARDS) * (4 << 20);
        assert!(most <= limit, "{most} bytes held where {live_then} live, skewed: {skewed}");
        let written: u64 = set.shards().iter().map(|shard| shard.extents().fresh_bytes()).sum();
        assert!(figures.extents > 100 && figures.moved_bytes < written * 2, "{figures:?} of {written}");
    }
}

#[test]
fn a_step_looks_at_so_many_records_and_bytes_at_most() {
    let mut set = set(shards(1), EXTENT_BYTES, 75);
    for i in 0..30_000u32 {
        put(&mut set, &i.to_le_bytes(), &[7; 40], None);
    }
    for i in (0..30_000u32).filter(|i| i % 3 > 0) {
        let name = i.to_le_bytes();
        let key = set.key(&name);
        set.delete(Db(0), &key, NOW);
    }
    let hasher = *set.hasher();
    let shard = &mut set.shards[0];
    let (mut steps, mut departures) = (0, Departures::default());
    let record_bytes = 75;
    loop {
        let before = shard.compaction.figures().moved_bytes;
        let how = How { hasher: &hasher, now: NOW, may_delete: true, bytes_max: 2_000, records_max: 7 };
        match shard.compaction_step(how, &mut HeapPool, &mut departures) {
            Worked::Bytes(bytes) => {
                assert!(bytes <= 4_096 && (bytes == 4_096 || bytes <= 7 * record_bytes), "{bytes}");
                assert!(shard.compaction.figures().moved_bytes - before <= 1 << 20);
            }
            Worked::Waits => panic!("memory waits for nothing"),
            Worked::Nothing => break,
        }
        steps += 1;
    }
    assert!(steps > 1_000, "{steps}");
    assert!(shard.extents.dead_sealed_bytes() < 100_000);
}

#[test]
fn ended_keys_are_deleted_on_the_way_and_that_is_counted_as_a_change() {
    let mut set = set(shards(1), 10_000, 75);
    for i in 0..1_000u32 {
        let deadline = (i % 2 == 0).then_some(UnixMs(NOW.0 + 60_000));
        put(&mut set, &i.to_le_bytes(), &[7; 100], deadline);
    }
    // The wheel is not asked: `tick` is not called.
    for i in (0..1_000u32).filter(|i| i % 4 == 1) {
        put(&mut set, &i.to_le_bytes(), &[8; 101], None);
    }
    let before = set.shards()[0].lsn();
    set.compact_all();
    while set.shards[0].compaction.wants_full() {
        set.compact_step(0, UnixMs(NOW.0 + 70_000), StepPart::WHOLE);
    }
    let gone = set.stats().expired;
    assert!(gone > 450, "{gone}");
    assert_eq!(set.shards()[0].lsn().0 - before.0, gone);
    assert_eq!(set.key_count(Db(0)), 1_000 - gone);
    assert_eq!(set.shards()[0].deadline_count(StoredDb(0)), 500 - gone);
}

// ---- on disk ------------------------------------------------------------------------------------------------------

/// A shard on disk whose data file is a vector; nothing of it stays in memory but the open extents.
pub(super) struct OnDisk {
    pub(super) set: ShardSet<HeapPool>,
    pub(super) file: Vec<u8>,
    /// What a read at this offset comes to, if not all its bytes.
    pub(super) result: Option<(usize, Result<usize, IoError>)>,
}

impl OnDisk {
    pub(super) fn new() -> Self {
        let mut all = shards(1);
        all[0].keep_on_disk(SEAL, SALT);
        Self { set: set(all, EXTENT_BYTES, 75), file: Vec::new(), result: None }
    }

    pub(super) fn write_back(&mut self) {
        while let Some(write) = self.next_write() {
            self.write(&write);
        }
        while self.set.shards[0].extents.drop_oldest() {}
    }

    /// Takes the next sealed extent, which is on its way to disk from then on.
    fn next_write(&mut self) -> Option<ExtentWrite<HeapPool>> {
        let extents = &mut self.set.shards[0].extents;
        extents.next_dirty()?;
        while extents.places_short() > 0 {
            extents.got_space(extents.next_growth(0, 1, false));
        }
        extents.next_write(&mut HeapPool)
    }

    fn write(&mut self, write: &ExtentWrite<HeapPool>) {
        let offset = usize::try_from(write.offset).unwrap();
        self.file.resize(self.file.len().max(offset + write.len), 0);
        self.file[offset..offset + write.len].copy_from_slice(&write.buffer.as_ref()[..write.len]);
        self.set.shards[0].extents.on_written(write.number);
    }

    /// Brings what a look-up of the key looks at into memory.
    pub(super) fn fetch(&mut self, name: &[u8]) {
        let key = self.set.key(name);
        let mut cold = Vec::new();
        self.set.shards[0].for_cold(StoredDb(0), key.slot, key.hash, |at, _, place| cold.push((at, place)));
        for (at, place) in cold {
            let offset = usize::try_from(place.offset).unwrap();
            let mut record = self.file[offset + place.start..offset + place.len].to_vec();
            mix_checksum(&mut record, SEAL.mask(at, SALT));
            let (_, len) =
                crate::record::Record::decode(&record, 0).expect("what the index points at is intact");
            mix_checksum(&mut record, SEAL.mask(at, SALT));
            self.set.shards[0].remember(at, &record[..len]);
        }
    }

    pub(super) fn get(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        self.fetch(name);
        get(&mut self.set, name, NOW).map(|(value, _)| value)
    }

    /// Turns until nothing more is to do, reads being performed and sealed extents written on the way.
    fn compact(&mut self) {
        self.compact_at(NOW);
    }

    pub(super) fn compact_at(&mut self, now: UnixMs) {
        for _ in 0..100_000 {
            // What has ended is emptied at a pace, and here no time passes.
            self.set.expiry_pace = ExpiryPace::default();
            let extents = &mut self.set.shards[0].extents;
            while extents.places_short() > 0 {
                extents.got_space(extents.next_growth(0, 1, false));
            }
            let more = self.set.tick(now, crate::testing::later_ns(), 10);
            let mut read = false;
            while let Some(request) = self.set.next_io() {
                let IoOperation::Read { file, offset, mut buffer, len } = request.operation else {
                    panic!("compaction only reads")
                };
                assert_eq!(file, crate::io::FileId::ShardData { shard: ShardId(0) });
                let offset = usize::try_from(offset).unwrap();
                buffer[..len].copy_from_slice(&self.file[offset..offset + len]);
                let result =
                    self.result.filter(|(at, _)| *at == offset).map_or(Ok(len), |(_, result)| result);
                let done = IoDone { id: request.id, result, buffer: IoBuffer::Owned(buffer) };
                self.set.on_io(done).unwrap();
                read = true;
            }
            self.write_back();
            if !more && !read {
                return;
            }
        }
        panic!("compaction comes to an end");
    }

    pub(super) fn checkpoint(&mut self) {
        self.set.shards[0].extents.begin_checkpoint();
        let limit = self.set.shards[0].extents.seal_all(&mut HeapPool);
        self.write_back();
        self.set.shards[0].extents.on_published(limit);
    }
}

fn value_of(i: u32) -> Vec<u8> {
    i.to_le_bytes().repeat(250)
}

fn filled(count: u32) -> OnDisk {
    let mut store = OnDisk::new();
    for i in 0..count {
        put(&mut store.set, &i.to_le_bytes(), &value_of(i), None);
        let _ = store.set.take_barrier();
    }
    store.write_back();
    for i in (0..count).filter(|i| i % 3 > 0) {
        store.fetch(&i.to_le_bytes());
        let name = i.to_le_bytes();
        let key = store.set.key(&name);
        assert!(store.set.delete(Db(0), &key, NOW));
        let _ = store.set.take_barrier();
    }
    store
}

#[test]
fn cold_extents_are_read_whole_emptied_and_their_places_used_again() {
    let mut store = filled(12_000);
    let before = store.set.shards()[0].extents().count();
    store.compact();
    let figures = store.set.compaction_figures();
    assert!(figures.extents >= 8 && figures.read_bytes >= 8 << 20 && figures.damaged == 0, "{figures:?}");
    assert!(store.set.shards()[0].extents().emptied_bytes() >= 8 << 20, "they wait for a checkpoint");
    // The second checkpoint begins after the emptying: then their places are free.
    store.checkpoint();
    store.checkpoint();
    let after = store.set.shards()[0].extents().count();
    assert!(before >= 12 && after <= 7, "{after} of {before} extents left for a third of the data");
    for i in (12_000..16_000u32).chain((0..12_000).filter(|i| i % 3 == 0)) {
        if i >= 12_000 {
            put(&mut store.set, &i.to_le_bytes(), &value_of(i), None);
        }
    }
    store.write_back();
    for i in 0..16_000u32 {
        let expected = (i >= 12_000 || i % 3 == 0).then(|| value_of(i));
        assert_eq!(store.get(&i.to_le_bytes()), expected, "key {i}");
    }
}

#[test]
fn a_full_compaction_waits_for_an_extent_on_its_way_to_disk() {
    let mut store = OnDisk::new();
    for i in 0..3_000u32 {
        put(&mut store.set, &i.to_le_bytes(), &value_of(i), None);
    }
    for i in (0..3_000u32).filter(|i| i % 3 > 0) {
        let name = i.to_le_bytes();
        let key = store.set.key(&name);
        assert!(store.set.delete(Db(0), &key, NOW));
    }
    let _ = store.set.take_barrier();
    let write = store.next_write().expect("a sealed extent");
    store.set.compact_all();
    for _ in 0..1_000 {
        assert!(store.set.tick(NOW, crate::testing::later_ns(), 10));
    }
    assert!(store.set.rest_ns() > 0, "nothing is to be done at once");
    assert!(store.set.shards[0].compaction.wants_full());
    store.write(&write);
    store.compact();
    assert!(!store.set.shards[0].compaction.wants_full());
    let extents = &store.set.shards[0].extents;
    assert!(extents.weigh(write.number).is_none(), "it is empty");
    assert_eq!(extents.dead_sealed_bytes(), 0);
    for i in (0..3_000u32).step_by(3) {
        assert_eq!(store.get(&i.to_le_bytes()), Some(value_of(i)), "key {i}");
    }
}

#[test]
fn a_read_that_has_ended_is_gone_on_with_at_once() {
    let mut store = filled(3_000);
    store.set.compact_all();
    let mut request = None;
    for _ in 0..10 {
        store.set.tick(NOW, crate::testing::later_ns(), 10);
        request = request.or_else(|| store.set.next_io());
    }
    let request = request.expect("the victim is on disk only");
    assert!(!store.set.tick(NOW, crate::testing::later_ns(), 10), "until it is read there is nothing to do");
    assert!(!store.set.end_turn(NOW, crate::testing::later_ns()));
    let IoOperation::Read { buffer, .. } = request.operation else { panic!("compaction only reads") };
    let error = IoError::from_errno(5);
    let done = IoDone { id: request.id, result: Err(error), buffer: IoBuffer::Owned(buffer) };
    store.set.on_io(done).unwrap();
    assert!(store.set.end_turn(NOW, crate::testing::later_ns()));
    assert!(!store.set.end_turn(NOW, crate::testing::later_ns()), "that was told");
}

#[test]
fn an_extent_with_a_damaged_live_record_is_kept_reported_once_and_never_chosen_again() {
    let mut store = filled(12_000);
    // A record of the third place that lives.
    let key = (0..12_000u32)
        .filter(|i| i % 3 == 0)
        .find(|i| {
            let name = i.to_le_bytes();
            let key = store.set.key(&name);
            let at = store.set.shards[0].candidate(StoredDb(0), key.slot, key.hash).unwrap();
            at.extent.0 == 2 && at.offset > 300_000
        })
        .unwrap();
    let name = key.to_le_bytes();
    let full = store.set.key(&name);
    let at = store.set.shards[0].candidate(StoredDb(0), full.slot, full.hash).unwrap();
    let offset = usize::try_from(store.set.shards[0].extents.file_offset(at.extent)).unwrap();
    store.file[offset + at.offset as usize + 500] ^= 1;
    store.compact();
    let damaged = store.set.next_damaged_extent().unwrap();
    assert_eq!((damaged.extent, damaged.offset, damaged.problem), (2, at.offset, DamageKind::Record));
    assert!(damaged.to_string().contains("extent 2"));
    store.set.compact_all();
    store.compact();
    assert!(store.set.next_damaged_extent().is_none() && store.set.compaction_figures().damaged == 1);
    for i in (0..12_000u32).filter(|i| i % 3 == 0 && *i != key) {
        assert_eq!(store.get(&i.to_le_bytes()), Some(value_of(i)), "key {i}");
    }
}

#[test]
fn another_extent_in_its_place_a_file_too_short_and_a_failed_read_are_damage() {
    let failed = IoError::from_errno(5);
    for expected in [DamageKind::Header, DamageKind::Short, DamageKind::Io(failed)] {
        let mut store = filled(6_000);
        let offset = usize::try_from(store.set.shards[0].extents.file_offset(ExtentNumber(1))).unwrap();
        store.file.copy_within(0..1 << 20, offset);
        store.result = match expected {
            DamageKind::Short => Some((offset, Ok(100))),
            DamageKind::Io(error) => Some((offset, Err(error))),
            _ => None,
        };
        store.compact();
        let damaged = store.set.next_damaged_extent().unwrap();
        assert_eq!((damaged.extent, damaged.problem), (1, expected));
        assert!(store.set.next_damaged_extent().is_none());
    }
}

#[test]
fn a_set_is_not_closed_while_a_read_of_compaction_is_under_way() {
    let mut store = filled(3_000);
    store.checkpoint();
    let request = loop {
        store.set.tick(NOW, crate::testing::later_ns(), 10);
        if let Some(request) = store.set.next_io() {
            break request;
        }
    };
    store.set.begin_close();
    assert!(!store.set.is_closed(), "the read owns a buffer");
    let IoOperation::Read { buffer, .. } = request.operation else { panic!("compaction only reads") };
    let result = Err(IoError::from_errno(5));
    store.set.on_io(IoDone { id: request.id, result, buffer: IoBuffer::Owned(buffer) }).unwrap();
    assert!(store.set.is_closed());
}
