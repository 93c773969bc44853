//! What is promised of records on disk that have ended: they go without anybody asking, by deletes, at the price of one read
//! per extent, and only then.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::ExpiryPace;
use super::tests::{NOW, OnDisk, SALT, SEAL, put, set, shards};
use super::walk::{Departures, How};
use crate::extent::{ExtentOnDisk, Stream};
use crate::index::{Entry, Table};
use crate::limits::EXTENT_BYTES;
use crate::testing::HeapPool;
use crate::types::{Db, KeyspaceId, Slot, StoredDb, UnixMs};

fn after(ms: u64) -> UnixMs {
    UnixMs(NOW.0 + ms)
}

fn name(i: u32) -> Vec<u8> {
    format!("key:{i:08}").into_bytes()
}

/// So many keys on disk, each with a value of 200 bytes and the deadline that `deadline` says.
fn on_disk(count: u32, deadline: impl Fn(u32) -> Option<u64>) -> OnDisk {
    let mut store = OnDisk::new();
    for i in 0..count {
        put(&mut store.set, &name(i), &[7; 200], deadline(i).map(after));
    }
    store.checkpoint();
    store
}

/// The store as a start finds it: entries and extents as a snapshot has them, `known` saying whether it tells deadlines.
fn restarted(before: OnDisk, known: bool) -> OnDisk {
    let mut all = shards(1);
    all[0].keep_on_disk(SEAL, SALT);
    let old = &before.set.shards[0];
    all[0].load_file(old.extents.place_end());
    let limit = old.extents.next_number();
    let extents: Vec<ExtentOnDisk> = old.extents.on_disk_below(limit).collect();
    for mut extent in extents {
        extent.deadlines = extent.deadlines.filter(|_| known);
        all[0].load_extent(extent).unwrap();
    }
    for (number, slot) in (0..).zip(old.databases[0].slots.iter()) {
        let entries: Vec<Entry> = slot.tables().flat_map(Table::iter).copied().collect();
        all[0].load_entries(KeyspaceId(0), Slot(number), entries.into_iter()).unwrap();
    }
    all[0].finish_loading(limit).unwrap();
    OnDisk { set: set(all, EXTENT_BYTES, 75), ..before }
}

fn keys(store: &OnDisk) -> u64 {
    store.set.shards()[0].key_count(StoredDb(0))
}

#[test]
fn keys_on_disk_go_when_their_time_has_come_before_a_restart_and_after() {
    for restart in [None, Some(true), Some(false)] {
        let mut store = on_disk(20_000, |i| (i % 10 > 0).then_some(60_000));
        if let Some(known) = restart {
            store = restarted(store, known);
        }
        store.compact_at(after(59_000));
        assert_eq!(keys(&store), 20_000, "nothing goes early, restart: {restart:?}");
        let read_before = store.set.compaction_figures().read_bytes;
        store.compact_at(after(62_000));
        assert_eq!(keys(&store), 2_000, "all that has ended is gone, restart: {restart:?}");
        assert_eq!(store.set.stats().expired, 18_000);
        let file = store.file.len() as u64;
        assert!(store.set.compaction_figures().read_bytes - read_before <= file, "each extent is read once");
        for i in (0..20_000).step_by(10) {
            assert_eq!(store.get(&name(i)).as_deref(), Some(&[7; 200][..]));
        }
        store.checkpoint();
        store.checkpoint();
        let extents = &store.set.shards()[0].extents;
        assert!(extents.count() <= 3, "the places are free: {} extents", extents.count());
    }
}

#[test]
fn keys_on_disk_go_in_time_after_the_clock_was_years_ahead_and_was_set_back() {
    let mut store = OnDisk::new();
    store.compact_at(after(10 * 365 * 86_400_000));
    for i in 0..20_000 {
        put(&mut store.set, &name(i), &[7; 200], (i % 10 > 0).then_some(after(60_000)));
    }
    store.checkpoint();
    store.compact_at(after(59_000));
    assert_eq!((keys(&store), store.set.compaction_figures().read_bytes), (20_000, 0));
    store.compact_at(after(62_000));
    assert_eq!(keys(&store), 2_000, "all that has ended is gone");
}

#[test]
fn an_extent_in_which_little_has_ended_is_left_alone_until_there_is_more() {
    // As many as fill the last extent: what a checkpoint leaves unused of it would count as dead.
    let mut store = on_disk(22_700, |i| if i % 10 == 0 { Some(10_000) } else { Some(500_000) });
    store.compact_at(after(12_000));
    // The wheel still knows them, but not their records.
    assert_eq!((keys(&store), store.set.compaction_figures().read_bytes), (22_700, 0));
    store.compact_at(after(600_000));
    assert_eq!(keys(&store), 0);
}

#[test]
fn what_has_ended_in_a_dropped_keyspace_costs_no_delete() {
    let mut store = on_disk(20_000, |_| Some(10_000));
    store.set.flush_database(Db(0));
    store.compact_at(after(12_000));
    assert_eq!((keys(&store), store.set.stats().expired), (0, 0));
    assert_eq!(store.set.compaction_figures().read_bytes, 0);
}

#[test]
fn a_key_longer_than_an_extent_goes_when_its_time_has_come() {
    for restart in [None, Some(true), Some(false)] {
        let mut store = OnDisk::new();
        let key = |first: u8, len: usize| [vec![first], vec![b'k'; len - 1]].concat();
        let keys_there = [(3 << 20, 10_000), ((1 << 20) + 1, 10_000), ((2 << 20) + 77, 100_000)];
        for (nth, (len, ms)) in (1..).zip(keys_there) {
            put(&mut store.set, &key(nth, len), &vec![nth; 2 << 20], Some(after(ms)));
        }
        // Nothing but key: all of it is read.
        put(&mut store.set, &key(4, 2 << 20), b"", Some(after(10_000)));
        store.checkpoint();
        if let Some(known) = restart {
            store = restarted(store, known);
        }
        store.compact_at(after(9_000));
        assert_eq!(keys(&store), 4, "nothing goes early, restart: {restart:?}");
        store.compact_at(after(12_000));
        assert_eq!(keys(&store), 1, "what has ended is gone, restart: {restart:?}");
        assert_eq!(store.get(&key(3, (2 << 20) + 77)).map(|value| value.len()), Some(2 << 20));
        store.compact_at(after(120_000));
        assert_eq!(keys(&store), 0);
        assert!(store.set.next_damaged_extent().is_none());
    }
}

#[test]
fn what_has_ended_and_is_left_for_now_is_looked_at_again() {
    let mut store = OnDisk::new();
    put(&mut store.set, b"run", &vec![1; 9 << 20], Some(after(10_000)));
    store.checkpoint();
    // Nothing may be deleted: it waits.
    let extents = &mut store.set.shards[0].extents;
    assert!(!extents.note_time(after(12_000)) && extents.has_ripe());
    let hasher = store.set.hasher;
    for _ in 0..5 {
        let how = How {
            hasher: &hasher,
            now: after(12_000),
            may_delete: false,
            bytes_max: usize::MAX,
            records_max: usize::MAX,
        };
        store.set.shards[0].compaction_step(how, &mut HeapPool, &mut Departures::default());
        assert!(store.set.shards[0].extents.has_ripe());
    }
    // The clock goes back a little, and then on.
    store.compact_at(after(9_500));
    assert_eq!((keys(&store), store.set.shards[0].extents.has_ripe()), (1, false));
    store.compact_at(after(14_000));
    assert_eq!(keys(&store), 0);
}

#[test]
fn of_a_value_larger_than_an_extent_only_the_front_is_read() {
    for restart in [None, Some(true), Some(false)] {
        let mut store = OnDisk::new();
        put(&mut store.set, b"short", &vec![1; 9 << 20], Some(after(10_000)));
        put(&mut store.set, b"long", &vec![2; 5 << 20], Some(after(100_000)));
        put(&mut store.set, b"ever", &vec![3; 3 << 20], None);
        store.checkpoint();
        if let Some(known) = restart {
            store = restarted(store, known);
        }
        store.compact_at(after(12_000));
        assert_eq!(keys(&store), 2);
        store.compact_at(after(120_000));
        assert_eq!(keys(&store), 1);
        assert!(store.set.compaction_figures().read_bytes <= 4 << 20, "{:?}", store.set.compaction_figures());
        assert_eq!(store.get(b"ever").map(|value| value.len()), Some(3 << 20));
        assert!(store.set.next_damaged_extent().is_none());
    }
}

#[test]
fn what_is_known_of_deadlines_is_small_and_given_back() {
    let store = on_disk(50_000, |i| Some(1_000 + u64::from(i) * 7_919 % 100_000_000));
    let extents = &store.set.shards()[0].extents;
    let held = extents.deadline_bytes();
    assert!(held < extents.count() * 400 + 2_000, "{held} bytes for {} extents", extents.count());
    let mut store = store;
    store.compact_at(after(200_000_000));
    assert_eq!(keys(&store), 0);
    store.checkpoint();
    store.checkpoint();
    assert!(store.set.shards()[0].extents.deadline_bytes() < 2_000);
}

#[test]
fn the_wheel_forgets_records_that_have_left_memory_and_they_come_back_into_it_when_they_are_written() {
    let mut store = on_disk(30_000, |_| Some(100_000));
    for i in 0..5_000 {
        put(&mut store.set, &name(100_000 + i), &[7; 200], Some(after(50_000)));
    }
    assert_eq!(store.set.shards()[0].wheel_len(), 35_000);
    // Only the turn of the wheel: the open extent stays where it is.
    while store.set.tick(NOW, crate::testing::later_ns(), 10) {}
    assert_eq!(store.set.shards()[0].wheel_len(), 5_000);
    store.fetch(&name(3));
    put(&mut store.set, &name(3), &[8; 200], Some(after(60_000)));
    assert_eq!(store.set.shards()[0].wheel_len(), 5_001);
    while store.set.tick(after(61_000), crate::testing::later_ns(), 10) {}
    assert_eq!((keys(&store), store.set.shards()[0].wheel_len()), (29_999, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_lives_is_never_touched_and_what_has_ended_is_half_of_an_extent_at_most(
        deadlines in proptest::collection::vec(proptest::option::of(1u64..200_000), 1..3_000),
        looks in proptest::collection::vec(1u64..250_000, 1..5),
        restart in proptest::option::of(any::<bool>()),
    ) {
        let count = u32::try_from(deadlines.len()).unwrap();
        let mut store = on_disk(count, |i| deadlines[i as usize]);
        if let Some(known) = restart {
            store = restarted(store, known);
        }
        let mut looks = looks;
        looks.sort_unstable();
        let mut model: BTreeMap<u32, Option<u64>> = (0..).zip(deadlines.iter().copied()).collect();
        for look in looks {
            store.compact_at(after(look));
            model.retain(|_, deadline| deadline.is_none_or(|deadline| deadline > look));
            prop_assert!(keys(&store) >= model.len() as u64, "what lives is there");
            for (&i, deadline) in model.iter().take(50) {
                store.fetch(&name(i));
                let name = name(i);
                let key = store.set.key(&name);
                let found = store.set.lookup(Db(0), &key, after(look)).map(|found| found.deadline);
                prop_assert_eq!(found, Some(deadline.map(after)));
            }
        }
        store.compact_at(after(1_000_000));
        model.retain(|_, deadline| deadline.is_none());
        let (held, lasting) = (keys(&store), model.len() as u64);
        // Where less than half of an extent ends, the fill of all extents together decides.
        prop_assert!(held <= (lasting * 2).max(lasting + 6_000), "{} keys where {} last", held, lasting);
    }
}

#[test]
fn what_has_ended_waits_while_survivors_would_find_no_place() {
    let mut store = on_disk(20_000, |i| (i % 10 > 0).then_some(60_000));
    let extents = &mut store.set.shards[0].extents;
    // All that is free goes to what is not written yet.
    while !extents.is_out_of_places() {
        let _ = extents.allocate(Stream::Fresh, EXTENT_BYTES * 9 / 10, &mut HeapPool);
    }
    for _ in 0..100 {
        store.set.expiry_pace = ExpiryPace::default();
        store.set.tick(after(62_000), crate::testing::later_ns(), 10);
        assert!(store.set.next_io().is_none(), "no extent is begun");
    }
    store.compact_at(after(62_000));
    assert_eq!(keys(&store), 2_000, "with places it goes on");
}

#[test]
fn a_key_that_was_prolonged_left_memory_and_was_written_again_goes_in_time() {
    let mut store = OnDisk::new();
    put(&mut store.set, b"key", &[7; 200], Some(after(1_000)));
    put(&mut store.set, b"key", &[7; 200], Some(after(1_000_000)));
    store.checkpoint();
    let tick = |store: &mut OnDisk, ms| while store.set.tick(after(ms), crate::testing::later_ns(), 10) {};
    // What the wheel knows of it is used up while it is on disk only.
    tick(&mut store, 2_000);
    store.fetch(b"key");
    put(&mut store.set, b"key", &[7; 201], Some(after(2_000_000)));
    tick(&mut store, 2_001_000);
    assert_eq!((keys(&store), store.set.stats().expired), (0, 1));
}
