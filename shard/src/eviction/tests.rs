//! What eviction promises: the limit holds, memory really comes back, and the right keys go.

use super::*;
use crate::compaction::EvictRule;
use crate::key::KeyHasher;
use crate::shard::Shard;
use crate::shard_set::ShardSet;
use crate::testing::HeapPool;
use crate::types::{Db, SLOT_COUNT, ShardId, Term, UnixMs};

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const LATER: UnixMs = UnixMs(NOW.0 + 1_000_000);

fn set(shards: u16, bytes: u64, policy: EvictionPolicy) -> ShardSet<HeapPool> {
    let width = SLOT_COUNT / shards;
    let all = (0..shards).map(|id| Shard::new(ShardId(id), id * width..(id + 1) * width, Term(1), NOW));
    let mut set = ShardSet::new(all.collect(), KeyHasher::new([7; 16]), HeapPool, None);
    set.set_memory_limit(MemoryLimit { bytes, policy });
    set
}

fn put(set: &mut ShardSet<HeapPool>, i: u64, len: usize, deadline: Option<UnixMs>) -> bool {
    let name = i.to_le_bytes();
    let key = set.key(&name);
    let room = set.make_room(len as u64 + 30, NOW);
    if room {
        set.put(Db(0), &key, &vec![1; len], deadline);
        let _ = set.take_barrier();
    }
    room
}

fn has(set: &mut ShardSet<HeapPool>, i: u64) -> bool {
    let name = i.to_le_bytes();
    let key = set.key(&name);
    set.lookup(Db(0), &key, NOW).is_some()
}

/// Writes many times the limit: never more than 5 % above it, and at the end most of it is live records.
fn check_limit(policy: EvictionPolicy, shards: u16, limit: u64, len: usize) {
    let mut set = set(shards, limit, policy);
    #[allow(clippy::disallowed_methods)]
    let mut random = 1u64;
    let count = limit * 4 / (len as u64 + 40);
    for i in 0..count {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let varied = len / 2 + usize::try_from(random >> 33).unwrap() % (len + 1);
        assert!(put(&mut set, i, varied, Some(LATER)), "there is something to evict, at {i}");
        let used = set.memory_bytes();
        assert!(used <= limit + limit / 20, "{policy}: {used} bytes used of {limit}");
        if i % 64 == 0 {
            set.tick(NOW, crate::testing::later_ns(), 8);
        }
    }
    let live: u64 = set.shards().iter().map(|shard| shard.extents().fill().live_bytes).sum();
    assert!(set.stats().evicted > count / 3, "{policy}");
    assert!(live * 2 > limit, "{policy}: {live} live bytes of {limit}");
}

#[test]
fn the_limit_holds_under_every_policy_and_most_of_the_memory_is_live() {
    for policy in EvictionPolicy::ALL.into_iter().filter(|policy| *policy != EvictionPolicy::NoEviction) {
        check_limit(policy, 4, 12 << 20, 200);
    }
    check_limit(EvictionPolicy::AllKeysLru, 16, 8 << 20, 300);
    check_limit(EvictionPolicy::AllKeysLru, 2, 40 << 20, 200_000);
    check_limit(EvictionPolicy::AllKeysLru, 2, 64 << 20, 1_500_000);
    check_limit(EvictionPolicy::VolatileTtl, 2, 64 << 20, 1_500_000);
}

#[test]
fn without_eviction_writes_are_refused_at_the_limit_and_accepted_after_deletes() {
    let limit = 16 << 20;
    let mut set = set(2, limit, EvictionPolicy::NoEviction);
    let mut count = 0;
    while put(&mut set, count, 500, None) {
        count += 1;
        assert!(set.memory_bytes() <= limit);
    }
    assert!(count * 550 > limit * 9 / 10, "{count} keys");
    assert!(!put(&mut set, count, 500, None) && (0..count).all(|i| has(&mut set, i)));
    for i in (0..count).filter(|i| i % 3 == 0) {
        let name = i.to_le_bytes();
        let key = set.key(&name);
        set.delete(Db(0), &key, NOW);
    }
    let again = (count..count * 2).take_while(|i| put(&mut set, *i, 500, None)).count() as u64;
    assert!(again > count / 5, "{again} more after {} were deleted", count / 3);
    assert_eq!(set.stats().evicted, 0);
}

#[test]
fn a_value_larger_than_the_limit_evicts_nothing() {
    let mut set = set(2, 8 << 20, EvictionPolicy::AllKeysLru);
    for i in 0..1_000 {
        assert!(put(&mut set, i, 500, None));
    }
    assert!(!put(&mut set, 5_000, 9 << 20, None));
    assert_eq!((set.stats().evicted, set.key_count(Db(0))), (0, 1_000));
}

#[test]
fn keys_in_use_stay_and_keys_without_a_deadline_are_no_volatile_ones() {
    for policy in [EvictionPolicy::AllKeysLru, EvictionPolicy::AllKeysLfu, EvictionPolicy::VolatileLru] {
        let mut set = set(2, 16 << 20, policy);
        let deadline = (policy == EvictionPolicy::VolatileLru).then_some(LATER);
        for i in 0..200_000u64 {
            assert!(put(&mut set, i, 200, deadline));
            // A thousand keys are asked for again and again.
            for _ in 0..3 {
                has(&mut set, i.wrapping_mul(2_654_435_761) % 1_000);
            }
        }
        let kept = (0..1_000).filter(|i| has(&mut set, *i)).count();
        assert!(kept > 950, "{policy}: {kept} of 1000 keys in use");
    }
    let mut set = set(2, 16 << 20, EvictionPolicy::VolatileRandom);
    for i in 0..200_000u64 {
        assert!(put(&mut set, i, 200, (i >= 20_000).then_some(LATER)));
    }
    assert!((0..20_000).all(|i| has(&mut set, i)), "keys without a deadline stay");
    let mut refused = 0;
    for i in 200_000..300_000u64 {
        refused += u64::from(!put(&mut set, i, 200, None));
    }
    assert!(refused > 20_000, "when no key with a deadline is left, writes are refused");
}

#[test]
fn the_nearest_deadlines_go_first() {
    let mut set = set(2, 16 << 20, EvictionPolicy::VolatileTtl);
    let deadline = |i: u64| Some(UnixMs(NOW.0 + 1_000_000 + (i * 7_919 % 60_000) * 1_000));
    for i in 0..60_000u64 {
        assert!(put(&mut set, i, 400, deadline(i)));
    }
    let near = |i: &u64| i * 7_919 % 60_000 < 12_000;
    let far = |i: &u64| i * 7_919 % 60_000 >= 48_000;
    let near_left = (0..60_000).filter(near).filter(|i| has(&mut set, *i)).count();
    let far_left = (0..60_000).filter(far).filter(|i| has(&mut set, *i)).count();
    assert!(far_left > 10_000 && near_left < 3_000, "{near_left} near and {far_left} far of 12000 each");
}

#[test]
fn a_policy_that_is_set_holds_for_the_extent_that_is_being_emptied_too() {
    const COUNT: u64 = 30_000;
    for rule in [EvictRule::Unused, EvictRule::Rare, EvictRule::All] {
        let mut set = set(1, 8 << 20, EvictionPolicy::AllKeysLru);
        for i in 0..COUNT {
            assert!(put(&mut set, i, 40, None));
        }
        set.evict_extent(0, rule, NOW);
        let gone = set.stats().evicted;
        assert!(gone > 0 && gone < 1_000 && set.shards()[0].compaction.has_victim(), "{gone} in one step");
        set.set_memory_limit(MemoryLimit { bytes: 8 << 20, policy: EvictionPolicy::NoEviction });
        while set.shards()[0].compaction.has_victim() {
            set.compact_step(0, NOW, crate::compaction::StepPart::WHOLE);
        }
        assert_eq!(set.stats().evicted, gone, "{rule:?}");
        assert_eq!((0..COUNT).filter(|&i| has(&mut set, i)).count() as u64, COUNT - gone);
    }
}

#[test]
fn a_limit_that_is_lowered_is_reached_by_turns_alone() {
    let mut set = set(4, 0, EvictionPolicy::AllKeysLru);
    for i in 0..100_000 {
        assert!(put(&mut set, i, 300, None));
    }
    set.set_memory_limit(MemoryLimit { bytes: 12 << 20, policy: EvictionPolicy::AllKeysLru });
    let mut turns = 0;
    while set.tick(NOW, crate::testing::later_ns(), 10) {
        turns += 1;
        assert!(turns < 10_000);
    }
    assert!(set.memory_bytes() <= 12 << 20 && turns > 20, "{} bytes after {turns} turns", set.memory_bytes());
}
