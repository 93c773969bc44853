//! Figures of a worker's shards and log, collected now and then for INFO and the metrics.

use engine::Shards;
use shard::types::Db;

use crate::server::{Counter, WorkerCounters};

/// Sets the gauges and totals that the store keeps itself.
pub(crate) fn collect(counters: &mut WorkerCounters, shards: &Shards) {
    let sum = |of: fn(&engine::Shard) -> u64| shards.shards().iter().map(of).sum();
    counters.set(Counter::Keys, sum(|shard| shard.key_count(Db(0))));
    counters.set(Counter::KeysWithDeadline, sum(|shard| shard.deadline_count(Db(0))));
    counters.set(Counter::RecordBytes, sum(|shard| shard.extents().allocated_bytes()));
    counters.set(Counter::LiveBytes, sum(|shard| shard.extents().live_bytes()));
    counters.set(Counter::Expired, shards.stats().expired);
    if let Some(log) = shards.log() {
        let stats = log.stats();
        counters.set(Counter::LogBatches, stats.batches);
        counters.set(Counter::LogRecords, stats.records);
        counters.set(Counter::LogBytes, stats.written_bytes);
        counters.set(Counter::LogWriteUs, stats.flush.sum_ns / 1000);
        counters.set(Counter::LogWriteMaxUs, stats.flush.max_ns / 1000);
        counters.set(Counter::LogInFlight, stats.in_flight as u64);
        counters.set(Counter::LogDurableBatch, log.durable().0);
    }
}
