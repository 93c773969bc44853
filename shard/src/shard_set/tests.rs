//! The set as a plain map, its walks, its expiry.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::testing::HeapPool;
use crate::types::{Db, ShardId, Term, UnixMs};

const NOW: UnixMs = UnixMs(1_700_000_000_000);

fn set(shard_count: u16) -> ShardSet<HeapPool> {
    let width = SLOT_COUNT / shard_count;
    let slots = |id: u16| id * width..(id + 1) * width;
    let shards = (0..shard_count).map(|id| Shard::new(ShardId(id), slots(id), Term(1), NOW)).collect();
    ShardSet::new(shards, KeyHasher::new([7; 16]), HeapPool, None)
}

fn value_of(set: &mut ShardSet<HeapPool>, key: &[u8], now: UnixMs) -> Option<(Vec<u8>, Option<UnixMs>)> {
    let key = set.key(key);
    set.lookup(Db(0), &key, now).map(|found| (found.value.to_vec(), found.deadline))
}

fn scan_all(set: &mut ShardSet<HeapPool>, count: usize) -> Vec<Vec<u8>> {
    let (mut keys, mut cursor) = (Vec::new(), ScanCursor(0));
    loop {
        cursor = set.scan(Db(0), cursor, count, NOW, &mut |key, _| keys.push(key.to_vec()));
        if cursor == ScanCursor(0) {
            return keys;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, usize, Option<u64>),
    Patch(u8, u32, usize),
    Delete(u8),
    Deadline(u8, Option<u64>),
    Later(u64),
    Tick,
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![0usize..200, Just(70_000usize), Just(1_100_000usize)];
    prop_oneof![
        6 => (any::<u8>(), size, proptest::option::of(1u64..5_000)).prop_map(|(k, n, d)| Step::Put(k, n, d)),
        2 => (any::<u8>(), 0u32..300, 0usize..50).prop_map(|(k, o, n)| Step::Patch(k, o, n)),
        2 => any::<u8>().prop_map(Step::Delete),
        2 => (any::<u8>(), proptest::option::of(1u64..5_000)).prop_map(|(k, d)| Step::Deadline(k, d)),
        2 => (1u64..2_000).prop_map(Step::Later),
        1 => Just(Step::Tick),
        1 => Just(Step::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_set_behaves_as_a_plain_map_does(steps in proptest::collection::vec(step(), 1..200)) {
        let mut set = set(4);
        let mut model: BTreeMap<Vec<u8>, (Vec<u8>, Option<UnixMs>)> = BTreeMap::new();
        let mut now = NOW;
        for (i, step) in steps.iter().enumerate() {
            let name = |k: &u8| format!("key:{k}").into_bytes();
            model.retain(|_, (_, deadline)| deadline.is_none_or(|d| d > now));
            match step {
                Step::Put(k, size, after) => {
                    let value = vec![u8::try_from(i % 251).unwrap(); *size];
                    let deadline = after.map(|after| UnixMs(now.0 + after));
                    let bytes = name(k);
                    let key = set.key(&bytes);
                    set.put(Db(0), &key, &value, deadline);
                    model.insert(bytes, (value, deadline));
                }
                Step::Patch(k, offset, size) => {
                    let bytes = name(k);
                    let key = set.key(&bytes);
                    let part = vec![9; *size];
                    let len = set.patch(Db(0), &key, *offset, &part, now);
                    let (value, _) = model.entry(bytes.clone()).or_default();
                    value.resize(value.len().max(*offset as usize + size), 0);
                    value[*offset as usize..*offset as usize + size].fill(9);
                    prop_assert_eq!(len, value.len());
                }
                Step::Delete(k) => {
                    let bytes = name(k);
                    let key = set.key(&bytes);
                    prop_assert_eq!(set.delete(Db(0), &key, now), model.remove(&bytes).is_some());
                }
                Step::Deadline(k, after) => {
                    let bytes = name(k);
                    let key = set.key(&bytes);
                    let deadline = after.map(|after| UnixMs(now.0 + after));
                    let there = set.set_deadline(Db(0), &key, deadline, now);
                    prop_assert_eq!(there, model.contains_key(&bytes));
                    if let Some((_, old)) = model.get_mut(&bytes) {
                        *old = deadline;
                    }
                }
                Step::Later(ms) => now = UnixMs(now.0 + ms),
                Step::Tick => {
                    while set.tick(now, crate::testing::later_ns(), 16) {}
                }
                Step::Flush => {
                    set.flush_all();
                    model.clear();
                }
            }
            let _ = set.take_barrier();
        }
        model.retain(|_, (_, deadline)| deadline.is_none_or(|d| d > now));
        for k in 0..=255u8 {
            let key = format!("key:{k}").into_bytes();
            prop_assert_eq!(value_of(&mut set, &key, now), model.get(&key).cloned());
        }
        while set.tick(UnixMs(now.0 + 1_000_000), crate::testing::later_ns(), 1000) {}
        let forever: Vec<&Vec<u8>> = model.iter().filter(|(_, v)| v.1.is_none()).map(|(k, _)| k).collect();
        let mut left = scan_all(&mut set, 7);
        left.sort();
        prop_assert_eq!(left.iter().collect::<Vec<_>>(), forever);
        let live: u64 = set.shards.iter().map(|shard| shard.extents().live_bytes()).sum();
        prop_assert_eq!(set.key_count(Db(0)) == 0, live == 0, "live bytes follow the keys");
    }
}

#[test]
fn scan_returns_every_key_once_in_pages_of_about_count() {
    let mut set = set(16);
    for i in 0..50_000 {
        let name = format!("{{tag}}:{i}");
        let key = set.key(name.as_bytes());
        set.put(Db(0), &key, b"v", None);
    }
    for count in [1usize, 10, 3_000] {
        let (mut seen, mut cursor, mut pages) = (BTreeMap::new(), ScanCursor(0), 0);
        loop {
            let mut here = 0;
            cursor = set.scan(Db(0), cursor, count, NOW, &mut |key, _| {
                *seen.entry(key.to_vec()).or_insert(0) += 1;
                here += 1;
            });
            pages += 1;
            assert!(here <= count + 2, "a page of {here} keys for COUNT {count}");
            assert!(cursor.0 < 1 << 53);
            if cursor == ScanCursor(0) {
                break;
            }
        }
        assert_eq!(seen.len(), 50_000);
        assert!(seen.values().all(|&times| times == 1));
        assert!(pages >= 50_000 / (count + 2));
    }
}

#[test]
fn expiry_takes_all_keys_that_end_at_once_and_gives_memory_back() {
    let mut set = set(2);
    for i in 0..100_000u32 {
        let name = i.to_le_bytes();
        let key = set.key(&name);
        set.put(Db(0), &key, &[1; 100], Some(UnixMs(NOW.0 + 5_000)));
    }
    let mut ticks = 0;
    while set.tick(UnixMs(NOW.0 + 4_000), crate::testing::later_ns(), 100) {}
    assert_eq!(set.key_count(Db(0)), 100_000, "nothing goes before its time");
    while set.key_count(Db(0)) > 0 {
        set.tick(UnixMs(NOW.0 + 5_300), crate::testing::later_ns(), 100);
        ticks += 1;
        assert!(ticks < 10_000, "expiry makes no progress");
    }
    assert_eq!(set.stats().expired, 100_000);
    assert!(set.shards.iter().all(|shard| shard.extents().count() <= 1 && shard.index_bytes() < 1 << 20));
}

#[test]
fn without_active_expiry_what_ended_stays_but_is_not_found() {
    let mut set = set(4);
    for i in 0..100_u64 {
        let name = i.to_le_bytes();
        let key = set.key(&name);
        set.put(Db(0), &key, b"v", Some(UnixMs(NOW.0 + 1_000)));
    }
    let later = UnixMs(NOW.0 + 60_000);
    set.set_active_expiry(false);
    while set.tick(later, crate::testing::later_ns(), 10) {}
    assert_eq!(set.key_count(Db(0)), 100);
    assert_eq!(value_of(&mut set, &7_u64.to_le_bytes(), later), None);
    set.set_active_expiry(true);
    while set.tick(later, crate::testing::later_ns(), 10) {}
    assert_eq!(set.key_count(Db(0)), 0);
    assert_eq!(set.stats().expired, 100);
}

#[test]
fn a_deadline_that_goes_up_and_down_for_ever_does_not_fill_the_wheel() {
    let mut set = set(1);
    let key = set.key(b"k");
    set.put(Db(0), &key, b"v", None);
    for i in 0..200_000u64 {
        let after = if i % 2 == 0 { 1_000_000 } else { 500_000 };
        set.set_deadline(Db(0), &key, Some(UnixMs(NOW.0 + after)), NOW);
        if i % 50 == 0 {
            set.tick(NOW, crate::testing::later_ns(), 10);
        }
    }
    for _ in 0..20_000 {
        set.tick(NOW, crate::testing::later_ns(), 10);
    }
    assert!(set.shards[0].wheel_len() < 10_000, "{}", set.shards[0].wheel_len());
    while set.tick(UnixMs(NOW.0 + 600_000), crate::testing::later_ns(), 10_000) {}
    assert_eq!(set.key_count(Db(0)), 0);
}

#[test]
fn random_keys_are_all_equally_likely() {
    let mut set = set(16);
    for i in 0..10u8 {
        let name = [b'a' + i];
        let key = set.key(&name);
        set.put(Db(0), &key, b"v", None);
    }
    let mut counts = [0u32; 10];
    let (mut key, mut random) = (Vec::new(), 88_172_645_463_325_252u64);
    for _ in 0..10_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        assert!(set.random_key(Db(0), random, NOW, &mut key));
        counts[usize::from(key[0] - b'a')] += 1;
    }
    assert!(counts.iter().all(|&count| (800..1200).contains(&count)), "{counts:?}");
}

#[test]
fn held_keys_make_others_wait_in_order_until_they_are_let_go() {
    use crate::cold::Admission;
    let mut set = set(4);
    let need = |set: &ShardSet<HeapPool>, name: &'static [u8]| {
        let key = set.key(name);
        set.need(Db(0), key.slot, key.hash)
    };
    let (a, b) = (need(&set, b"a"), need(&set, b"b"));
    set.hold(1, vec![a, a, b]);
    assert!(set.may_wait() && set.has_parked());
    assert_eq!(set.admit(2, [a].into_iter()), Admission::Parked);
    set.hold(3, vec![b]);
    let (first, token, result) = set.next_called().unwrap();
    assert_eq!((token, result), (1, Ok(())));
    assert!(set.next_called().is_none(), "the keys are held");
    // The holder comes back before anybody else, as often as it wants.
    for token in [7, 8] {
        set.recall(first, token);
        assert_eq!(set.next_called(), Some((first, token, Ok(()))));
    }
    set.finish(first);
    let called: Vec<(u32, u64)> =
        std::iter::from_fn(|| set.next_called()).map(|(ticket, token, _)| (ticket, token)).collect();
    assert_eq!(called.iter().map(|(_, token)| *token).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(set.admit(4, [b].into_iter()), Admission::Parked);
    for (ticket, _) in called {
        set.finish(ticket);
    }
    let (last, token, _) = set.next_called().unwrap();
    assert_eq!(token, 4);
    set.finish(last);
    assert!(!set.may_wait(), "nobody waits and everything is in memory");
    assert_eq!(set.admit(5, [a, b].into_iter()), Admission::Run);
}

#[test]
fn a_key_ends_by_itself_after_the_clock_was_years_ahead_and_was_set_back() {
    const YEAR_MS: u64 = 365 * 86_400_000;
    let mut set = set(1);
    let after = |ms: u64| UnixMs(NOW.0 + ms);
    let settle = |set: &mut ShardSet<HeapPool>, now: UnixMs| {
        let ticks = (0..100_000).take_while(|_| set.tick(now, crate::testing::later_ns(), 100)).count();
        assert!(ticks < 100_000, "it comes to rest");
    };
    let (long, short) = (set.key(b"long"), set.key(b"short"));
    set.put(Db(0), &long, b"1", Some(after(20 * YEAR_MS)));
    settle(&mut set, after(10 * YEAR_MS));
    set.put(Db(0), &short, b"1", Some(after(5_000)));
    settle(&mut set, after(4_000));
    assert_eq!(set.stats().expired, 0);
    settle(&mut set, after(6_000));
    assert_eq!(set.stats().expired, 1, "nobody asks for it");
    settle(&mut set, after(21 * YEAR_MS));
    assert_eq!(set.stats().expired, 2);
}

#[test]
fn a_scan_visits_so_many_keys_at_most_whatever_it_is_asked_for() {
    let mut set = set(1);
    for number in 0..30_000u32 {
        let name = format!("{{tag}}{number}").into_bytes();
        let key = set.key(&name);
        set.put(Db(0), &key, b"", None);
    }
    let (mut cursor, mut seen) = (ScanCursor(0), 0);
    loop {
        let mut visited = 0;
        cursor = set.scan(Db(0), cursor, usize::MAX, NOW, &mut |_, _| visited += 1);
        assert!(visited <= crate::limits::SCAN_KEYS_PER_CALL + 10, "{visited}");
        seen += visited;
        if cursor == ScanCursor(0) {
            break;
        }
    }
    assert_eq!(seen, 30_000);
}

#[test]
fn the_wheel_of_a_flushed_database_is_taken_apart_bit_by_bit() {
    let mut set = set(1);
    for number in 0..50_000u32 {
        let name = number.to_le_bytes();
        let key = set.key(&name);
        set.put(Db(0), &key, b"", Some(UnixMs(NOW.0 + 3_600_000)));
    }
    set.flush_database(Db(0));
    let mut before = set.shards()[0].wheel_len();
    assert_eq!(before, 50_000);
    while set.tick(NOW, crate::testing::later_ns(), 10) {
        let now = set.shards()[0].wheel_len();
        assert!(before - now <= 2_000, "{before} to {now} in one turn");
        before = now;
    }
    assert_eq!(set.shards()[0].wheel_len(), 0);
}

#[test]
fn the_wheel_stays_in_proportion_to_the_keys_however_often_deadlines_are_set_anew() {
    let mut set = set(16);
    let all = (0..4_000u32).map(u32::to_le_bytes);
    let names: Vec<[u8; 4]> = all.filter(|name| set.key(name).slot < Slot(SLOT_COUNT / 16)).collect();
    let mut most = 0;
    for turn in 0..10_000 {
        for number in 0..60 {
            let key = set.key(&names[(turn * 60 + number) % names.len()]);
            set.put(Db(0), &key, b"", None);
            set.set_deadline(Db(0), &key, Some(UnixMs(NOW.0 + 3_600_000)), NOW);
        }
        set.tick(NOW, crate::testing::later_ns(), 10);
        most = most.max(set.shards()[0].wheel_len());
    }
    assert!(most < 60_000, "{most} entries for {} keys", names.len());
}
