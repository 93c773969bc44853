//! Every bit of a small store, one flipped at a time: the same data, an error for a key, a refusal, or the unprovable
//! end cut. A share of them here; `sim --flip-bits` goes through all.

use shard::sim::bit_flips::{Flipped, SmallStore};

/// Rot in the middle of large values all looks the same: every byte of heads and edges, and a sample of those.
fn share(at: usize) -> bool {
    at % 4096 < 160 || at.is_multiple_of(61)
}

fn check(store: &SmallStore, refused_min: u64, unreadable_min: u64) {
    let flipped =
        store.flip_every(1, share, |at| vec![1 << (at % 8)]).expect("no flipped bit goes unnoticed");
    let Flipped { refused, unreadable, same, .. } = flipped;
    assert!(refused >= refused_min, "batches, headers and snapshots are not redundant: {flipped:?}");
    assert!(unreadable >= unreadable_min, "records on disk are not redundant: {flipped:?}");
    assert!(same > 0, "manifests have two copies");
}

#[test]
fn no_flipped_bit_of_a_log_goes_unnoticed() {
    check(&SmallStore::of_log(), 500, 0);
}

#[test]
fn no_flipped_bit_of_a_store_that_was_stopped_goes_unnoticed() {
    check(&SmallStore::stopped(), 100, 100);
}

#[test]
fn no_flipped_bit_of_a_store_without_a_log_goes_unnoticed() {
    check(&SmallStore::without_log(), 100, 100);
}

#[test]
fn no_flipped_bit_of_a_store_that_was_killed_goes_unnoticed() {
    check(&SmallStore::killed(), 500, 50);
}
