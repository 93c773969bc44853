//! Criterion benches of the parts on the data's path: bytes of the protocol, records, slots and hashes, shards, log.
//!
//! `cargo bench -p benches` runs all in about two minutes; `cargo bench -p benches -- record` those whose name has
//! the word. They show where a command's time goes and whether a change helped; claims about servers come from
//! `side_by_side`.

#![allow(missing_docs, reason = "criterion's macros write public functions")]
#![expect(clippy::unwrap_used, reason = "a bench that goes wrong stops")]

mod data;
mod log;
mod record;
mod resp;
mod shard_set;
mod slot;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args()
}

criterion_group! {
    name = parts;
    config = short();
    targets = resp::requests, resp::replies, record::encode, record::decode, slot::slots,
        slot::hashes, shard_set::shard_set, log::append
}
criterion_main!(parts);
