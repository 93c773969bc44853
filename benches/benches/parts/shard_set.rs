//! A worker's shards without a log, a million keys in them: what a command costs beyond socket and protocol.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use shard::key::KeyHasher;
use shard::shard::Shard;
use shard::shard_set::ShardSet;
use shard::testing::HeapPool;
use shard::types::{Db, SLOT_COUNT, ShardId, Term, UnixMs};

use crate::data::{Scatter, VALUE, key};

const KEYS: u64 = 1_000_000;
const SHARDS: u16 = 16;
const NOW: UnixMs = UnixMs(1_700_000_000_000);
const DB: Db = Db(0);

/// The default shards of a store, empty.
pub(crate) fn empty_shards() -> Vec<Shard<HeapPool>> {
    let slots = SLOT_COUNT / SHARDS;
    (0..SHARDS)
        .map(|number| Shard::new(ShardId(number), number * slots..(number + 1) * slots, Term(1), NOW))
        .collect()
}

fn full_set() -> ShardSet<HeapPool> {
    let mut set = ShardSet::new(empty_shards(), KeyHasher::new([7; 16]), HeapPool, None);
    for number in 0..KEYS {
        let bytes = key(number);
        let key = set.key(&bytes);
        set.put(DB, &key, &VALUE, None);
    }
    set
}

pub(crate) fn shard_set(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shard set of 1 M keys");
    group.throughput(Throughput::Elements(1));
    let mut set = full_set();
    assert_eq!(set.key_count(DB), KEYS);
    let mut numbers = Scatter::below(KEYS);
    group.bench_function("lookup", |bencher| {
        bencher.iter(|| {
            let bytes = key(numbers.next().unwrap());
            let key = set.key(&bytes);
            set.lookup(DB, &key, NOW).unwrap().value.len()
        });
    });
    group.bench_function("lookup of one key", |bencher| {
        let bytes = key(77);
        bencher.iter(|| {
            let key = set.key(black_box(&bytes));
            set.lookup(DB, &key, NOW).unwrap().value.len()
        });
    });
    group.bench_function("lookup of an absent key", |bencher| {
        bencher.iter(|| {
            let bytes = key(KEYS + numbers.next().unwrap());
            let key = set.key(&bytes);
            assert!(set.lookup(DB, &key, NOW).is_none());
        });
    });
    group.bench_function("put over a key", |bencher| {
        bencher.iter(|| {
            let bytes = key(numbers.next().unwrap());
            let key = set.key(&bytes);
            set.put(DB, &key, &VALUE, None);
        });
    });
    group.bench_function("delete and put", |bencher| {
        bencher.iter(|| {
            let bytes = key(numbers.next().unwrap());
            let key = set.key(&bytes);
            assert!(set.delete(DB, &key, NOW));
            set.put(DB, &key, &VALUE, None);
        });
    });
    group.finish();
}
