//! Records: encoded with and without a checksum, decoded and verified, by size of value.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use shard::record::{Effect, Head, Record};
use shard::types::{KeyspaceId, Lsn, ShardId, Term};

use crate::data::key;

const VALUE_BYTES: [usize; 3] = [8, 64, 1024];

fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Record<'a> {
    Record {
        shard: ShardId(7),
        term: Term(3),
        lsn: Lsn(1_000_000),
        keyspace: KeyspaceId(0),
        group_continues: false,
        key,
        effect: Effect::Put { value, deadline: None },
    }
}

fn bytes_of(record: &Record<'_>) -> u64 {
    u64::try_from(record.encoder().len()).unwrap()
}

pub(crate) fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record encode");
    let (key, value) = (key(77), [b'v'; 1024]);
    let mut out = vec![0; 2048];
    for len in VALUE_BYTES {
        let record = put(&key, &value[..len]);
        group.throughput(Throughput::Bytes(bytes_of(&record)));
        group.bench_with_input(BenchmarkId::new("with checksum", len), &record, |bencher, record| {
            bencher.iter(|| {
                let encoder = black_box(record).encoder();
                encoder.write(&mut out[..encoder.len()]);
            });
        });
        group.bench_with_input(BenchmarkId::new("without checksum", len), &record, |bencher, record| {
            bencher.iter(|| {
                let encoder = black_box(record).encoder();
                encoder.write_unsummed(&mut out[..encoder.len()]);
            });
        });
    }
    group.finish();
}

pub(crate) fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record decode");
    let (key, value) = (key(77), [b'v'; 1024]);
    for len in VALUE_BYTES {
        let record = put(&key, &value[..len]);
        let mut encoded = Vec::new();
        record.encode_to(&mut encoded);
        group.throughput(Throughput::Bytes(bytes_of(&record)));
        group.bench_with_input(BenchmarkId::new("verified", len), &encoded, |bencher, encoded| {
            bencher.iter(|| Record::decode(black_box(encoded), 0).unwrap().1);
        });
        group.bench_with_input(BenchmarkId::new("head", len), &encoded, |bencher, encoded| {
            bencher.iter(|| Head::decode(black_box(encoded)).unwrap());
        });
    }
    group.finish();
}
