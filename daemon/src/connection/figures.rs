//! Figures of a worker's shards and log, collected now and then for INFO and the metrics.

use engine::worker::Worker;
use shard::shard_set::DiskSpace;
use shard::types::{BatchNumber, Db};

use super::service::Service;
use crate::server::{Counter, WorkerCounters};

/// What collecting remembers from one time to the next.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// The watermark, and since when it stands there, on the monotonic clock.
    durable: BatchNumber,
    durable_since_ns: u64,
    /// How the disk stood.
    disk: DiskSpace,
}

impl Figures {
    /// Sets the gauges and totals that the store keeps itself.
    pub(crate) fn collect(&mut self, counters: &mut WorkerCounters, worker: &Worker<Service>) {
        let shards = &worker.shards;
        let sum = |of: fn(&engine::Shard) -> u64| shards.shards().iter().map(of).sum();
        for (db, figures) in (0..).map(Db).zip(&mut counters.databases) {
            (figures.keys, figures.deadlines) = shards.database_figures(db);
        }
        counters.set(Counter::Keys, counters.databases.iter().map(|figures| figures.keys).sum());
        let deadlines = counters.databases.iter().map(|figures| figures.deadlines).sum();
        counters.set(Counter::KeysWithDeadline, deadlines);
        counters.set(Counter::RecordBytes, sum(|shard| shard.extents().allocated_bytes()));
        counters.set(Counter::LiveBytes, sum(|shard| shard.extents().live_bytes()));
        counters.set(Counter::Expired, shards.stats().expired);
        counters.set(Counter::Wakes, worker.wakes());
        counters.set(Counter::Evicted, shards.stats().evicted);
        counters.set(Counter::IndexBytes, sum(|shard| shard.index_bytes() as u64));
        counters.set(Counter::IndexRoundingBytes, sum(|shard| shard.index_rounding_bytes() as u64));
        counters.set(Counter::WheelBytes, sum(|shard| shard.wheel_bytes() as u64));
        counters.set(Counter::DeadlineBytes, sum(|shard| shard.extents().deadline_bytes() as u64));
        counters.set(Counter::CachedRecords, sum(|shard| shard.extents().cached_records() as u64));
        counters.set(Counter::CachedBytes, sum(|shard| shard.extents().cache_bytes() as u64));
        let cold = shards.cold_figures();
        counters.set(Counter::DiskReads, cold.reads);
        counters.set(Counter::DiskReadBytes, cold.read_bytes);
        counters.set(Counter::DiskWaits, cold.parked);
        let compaction = shards.compaction_figures();
        counters.set(Counter::CompactionExtents, compaction.extents);
        counters.set(Counter::CompactionMovedBytes, compaction.moved_bytes);
        counters.set(Counter::CompactionReclaimedBytes, compaction.reclaimed_bytes);
        counters.set(Counter::CompactionReadBytes, compaction.read_bytes);
        counters.set(Counter::CompactionDamaged, compaction.damaged);
        counters.set(Counter::CompactionRunning, compaction.running);
        counters.set(Counter::CompactionFullDone, compaction.full_done);
        counters.set(Counter::CompactionFullTotal, compaction.full_total);
        Self::collect_storage(counters, worker);
        if let Some(disk) = shards.disk_space() {
            counters.set(Counter::DiskLow, disk.is_low.into());
            counters.set(Counter::DiskReserveBytes, disk.reserve_bytes);
            counters.set(Counter::CheckpointsGivenUp, disk.checkpoints_given_up);
            self.tell_of_disk(worker.index, disk);
        }
        let Some(log) = shards.log() else { return };
        let stats = log.stats();
        counters.set(Counter::LogBatches, stats.batches);
        counters.set(Counter::LogRecords, stats.records);
        counters.set(Counter::LogBytes, stats.written_bytes);
        counters.set(Counter::LogWriteUs, stats.flush.sum_ns / 1000);
        counters.set(Counter::LogWriteMaxUs, stats.flush.max_ns / 1000);
        counters.set(Counter::LogInFlight, stats.in_flight as u64);
        counters.set(Counter::LogSegments, log.segments() as u64);
        counters.set(Counter::LogDurableBatch, log.durable().0);
        let now_ns = worker.clock.now_ns;
        if log.durable() != self.durable || log.durable() == log.appended() {
            (self.durable, self.durable_since_ns) = (log.durable(), now_ns);
        }
        counters.set(Counter::LogOldestUnflushedMs, (now_ns - self.durable_since_ns) / 1_000_000);
    }

    /// What the shards have on disk beside the log, and what it costs to read it back.
    fn collect_storage(counters: &mut WorkerCounters, worker: &Worker<Service>) {
        let shards = &worker.shards;
        let sum = |of: fn(&engine::Shard) -> u64| shards.shards().iter().map(of).sum();
        let cold = shards.cold_figures();
        counters.set(Counter::ColdWaits, cold.parked);
        counters.set(Counter::ColdReads, cold.reads);
        counters.set(Counter::ColdReadBytes, cold.read_bytes);
        counters.set(Counter::CacheBytes, sum(|shard| shard.extents().cache_bytes() as u64));
        if shards.files().is_empty() {
            return;
        }
        let checkpoints = || shards.files().iter().map(engine::ShardFiles::figures);
        counters.set(Counter::Checkpoints, checkpoints().map(|of| of.published).sum());
        counters.set(Counter::CheckpointsRunning, checkpoints().map(|of| u64::from(of.running)).sum());
        counters.set(Counter::DataWrittenBytes, checkpoints().map(|of| of.data_written_bytes).sum());
        counters.set(Counter::DataFileBytes, sum(|shard| shard.extents().file_bytes()));
        counters.set(Counter::DataFreeBytes, sum(|shard| shard.extents().free_bytes()));
        counters.set(Counter::DataEmptiedBytes, sum(|shard| shard.extents().emptied_bytes()));
    }

    /// Says once that the disk is full, and once that it no longer is.
    fn tell_of_disk(&mut self, worker: usize, disk: DiskSpace) {
        let before = std::mem::replace(&mut self.disk, disk);
        if disk.is_low && !before.is_low {
            tracing::warn!(
                worker,
                "the disk is full: writes are refused until keys are deleted or space is freed on the file system of \
                 --dir; reads and deletes go on"
            );
        } else if before.is_low && !disk.is_low {
            tracing::info!(worker, "the disk has space again: writes are accepted");
        }
        if disk.checkpoints_given_up > 0 && before.checkpoints_given_up == 0 {
            tracing::warn!(
                worker,
                "a checkpoint was given up because the disk is full; the one before stays in force, and it is tried \
                 again (INFO counts them: checkpoints_given_up)"
            );
        }
    }
}
