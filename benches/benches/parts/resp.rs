//! Bytes of the protocol: a buffer of 64 pipelined messages, parsed and written.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use resp::{Parsed, Protocol, ReplyParser, ReplyWriter, RequestLimits, RequestParser, write_request};

use crate::data::{VALUE, key};

/// Messages of one buffer: what a busy connection brings in one turn.
const BATCH: u64 = 64;

fn buffer(args_of: impl Fn(u64) -> Vec<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    for number in 0..BATCH {
        let args = args_of(number);
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        write_request(&mut out, &args);
    }
    out
}

fn parse_all(parser: &mut RequestParser, limits: &RequestLimits, input: &[u8]) -> u64 {
    let (mut rest, mut count) = (input, 0);
    while let Ok(Parsed::Request { consumed }) = parser.parse(rest, limits) {
        black_box(parser.args(rest).at(1));
        count += 1;
        rest = &rest[consumed..];
    }
    count
}

pub(crate) fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resp request");
    let limits = RequestLimits::default();
    let get = buffer(|number| vec![b"GET".to_vec(), key(number).to_vec()]);
    let set = buffer(|number| vec![b"SET".to_vec(), key(number).to_vec(), VALUE.to_vec()]);
    group.throughput(Throughput::Elements(BATCH));
    for (name, input) in [("parse GET", &get), ("parse SET", &set)] {
        group.bench_function(name, |bencher| {
            let mut parser = RequestParser::new();
            bencher.iter(|| assert_eq!(parse_all(&mut parser, &limits, black_box(input)), BATCH));
        });
    }
    group.bench_function("write SET", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            for number in 0..BATCH {
                write_request(&mut out, &[b"SET", &key(number), &VALUE]);
            }
            black_box(out.len())
        });
    });
    group.finish();
}

pub(crate) fn replies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resp reply");
    group.throughput(Throughput::Elements(BATCH));
    let mut bulks = Vec::new();
    let mut writer = ReplyWriter::new(&mut bulks, Protocol::Resp2);
    (0..BATCH).for_each(|_| writer.bulk(&VALUE));
    group.bench_function("skip bulk", |bencher| {
        let mut parser = ReplyParser::new();
        bencher.iter(|| {
            let mut rest = black_box(bulks.as_slice());
            while let Ok(Some(head)) = parser.skip(rest) {
                rest = &rest[head.consumed..];
            }
            assert!(rest.is_empty());
        });
    });
    let mut out = Vec::new();
    group.bench_function("write bulk", |bencher| {
        bencher.iter(|| {
            out.clear();
            let mut writer = ReplyWriter::new(&mut out, Protocol::Resp2);
            (0..BATCH).for_each(|_| writer.bulk(black_box(&VALUE)));
            black_box(out.len())
        });
    });
    group.bench_function("write OK", |bencher| {
        bencher.iter(|| {
            out.clear();
            let mut writer = ReplyWriter::new(&mut out, Protocol::Resp2);
            (0..BATCH).for_each(|_| writer.ok());
            black_box(out.len())
        });
    });
    group.finish();
}
