//! How fast requests and replies are parsed and written, on the core it runs on: a first look while working on a
//! hot path. Claims are made from the benches, not from here.
//!
//! `cargo run --profile bench-fast -p resp --example throughput`

use std::hint::black_box;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use resp::{Parsed, Protocol, ReplyParser, ReplyWriter, RequestLimits, RequestParser, write_request};

/// Requests or replies of one buffer: what a busy connection brings in one turn.
const BATCH: usize = 64;

fn requests(args: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    (0..BATCH).for_each(|_| write_request(&mut out, args));
    out
}

fn parse_requests(parser: &mut RequestParser, input: &[u8]) -> usize {
    let limits = RequestLimits::default();
    let (mut rest, mut sum) = (input, 0);
    while let Ok(Parsed::Request { consumed }) = parser.parse(rest, &limits) {
        let args = parser.args(rest);
        sum += args.at(0).len() + args.at(args.len() - 1).len();
        rest = &rest[consumed..];
    }
    assert!(rest.is_empty());
    sum
}

fn skip_replies(parser: &mut ReplyParser, input: &[u8]) -> usize {
    let (mut rest, mut sum) = (input, 0);
    while let Ok(Some(head)) = parser.skip(rest) {
        sum += head.body.len();
        rest = &rest[head.consumed..];
    }
    assert!(rest.is_empty());
    sum
}

/// Repeats `work`, which goes over `bytes` bytes of [`BATCH`] messages, and says how fast it went.
fn measure(name: &str, bytes: usize, mut work: impl FnMut() -> usize) -> io::Result<()> {
    let started = Instant::now();
    let mut rounds = 0_u32;
    while started.elapsed() < Duration::from_millis(400) {
        for _ in 0..100 {
            black_box(work());
        }
        rounds += 100;
    }
    let seconds = started.elapsed().as_secs_f64() / f64::from(rounds);
    let batch = f64::from(u32::try_from(BATCH).unwrap_or(u32::MAX));
    let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
    let (ns_each, gb_per_s) = (seconds * 1e9 / batch, bytes / seconds / 1e9);
    writeln!(io::stdout(), "{name:<34} {ns_each:7.1} ns each {gb_per_s:6.2} GB/s")
}

fn main() -> io::Result<()> {
    let (key, value) = (b"key:000000000042", [b'v'; 64]);
    for (name, args) in [
        ("parse PING", vec![&b"PING"[..]]),
        ("parse GET, key of 16", vec![b"GET", key]),
        ("parse SET, key of 16, value of 16", vec![b"SET", key, &value[..16]]),
        ("parse SET, key of 16, value of 64", vec![b"SET", key, &value]),
        ("parse SET, value of 4096", vec![b"SET", key, &[b'v'; 4096]]),
        ("parse MGET of 20 keys", std::iter::repeat_n(&key[..], 21).collect()),
    ] {
        let input = requests(&args);
        let mut parser = RequestParser::new();
        measure(name, input.len(), || parse_requests(&mut parser, black_box(&input)))?;
    }

    let mut out = Vec::new();
    type Write<'a> = &'a dyn Fn(&mut ReplyWriter<'_>);
    let writes: [(&str, Write<'_>); 5] = [
        ("write +OK", &|reply| reply.ok()),
        ("write bulk of 64", &|reply| reply.bulk(black_box(&value))),
        ("write bulk of 4096", &|reply| reply.bulk(black_box(&[b'v'; 4096]))),
        ("write integer 42", &|reply| reply.integer(black_box(42))),
        ("write integer 1234567890", &|reply| reply.integer(black_box(1_234_567_890))),
    ];
    for (name, write) in writes {
        let batch = |out: &mut Vec<u8>| {
            out.clear();
            let mut writer = ReplyWriter::new(out, Protocol::Resp2);
            (0..BATCH).for_each(|_| write(&mut writer));
            out.len()
        };
        let bytes = batch(&mut out);
        measure(name, bytes, || batch(&mut out))?;
        let replies = out.clone();
        let mut parser = ReplyParser::new();
        measure(&name.replace("write", "skip"), replies.len(), || {
            skip_replies(&mut parser, black_box(&replies))
        })?;
    }
    measure("write SET request, value of 64", requests(&[b"SET", key, &value]).len(), || {
        out.clear();
        (0..BATCH).for_each(|_| write_request(&mut out, black_box(&[b"SET", key, &value])));
        out.len()
    })
}
