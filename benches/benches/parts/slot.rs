//! What every command pays to find its place: the slot of a key, and its hash.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use shard::key::KeyHasher;
use shard::slot::{crc16, slot_of};

use crate::data::key;

pub(crate) fn slots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("slot");
    let bytes = [b'k'; 256];
    for len in [8, 16, 64, 256] {
        group.bench_with_input(BenchmarkId::new("crc16", len), &bytes[..len], |bencher, bytes| {
            bencher.iter(|| crc16(black_box(bytes)));
        });
    }
    group.bench_function("slot_of 16", |bencher| bencher.iter(|| slot_of(black_box(&key(77)))));
    group.bench_function("slot_of {tag} 24", |bencher| {
        bencher.iter(|| slot_of(black_box(b"{user:0000001}.following")));
    });
    group.finish();
}

pub(crate) fn hashes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("key hash");
    let hasher = KeyHasher::new([7; 16]);
    let bytes = [b'k'; 256];
    for len in [8, 16, 64, 256] {
        group.bench_with_input(BenchmarkId::new("hash", len), &bytes[..len], |bencher, bytes| {
            bencher.iter(|| hasher.hash(black_box(bytes)));
        });
    }
    group.bench_function("slot and hash 16", |bencher| bencher.iter(|| hasher.key(black_box(&key(77))).hash));
    group.finish();
}
