//! The part of GET /metrics that is about turns, logs and shards: what each worker last published of them.
//!
//! Totals here count from the start: CONFIG RESETSTAT does not touch them.

use std::sync::Arc;

use engine::figures::{LogFigures, ShardFigures, WorkerFigures};

use super::exposition::{Exposition, Kind, Seconds};
use crate::server::Server;

/// How a shard's figure is told.
type OfShard = (&'static str, Kind, &'static str, fn(&ShardFigures) -> u64);

const SHARD_FIGURES: [OfShard; 21] = [
    ("ouro_shard_keys", Kind::Gauge, "Keys of a shard.", |it| it.keys),
    ("ouro_shard_extents", Kind::Gauge, "Extents, in memory and on disk.", |it| it.extents),
    ("ouro_shard_live_bytes", Kind::Gauge, "Records that live.", |it| it.live_bytes),
    ("ouro_shard_dead_bytes", Kind::Gauge, "Records that are dead, not yet given back.", |it| it.dead_bytes),
    ("ouro_shard_data_file_bytes", Kind::Gauge, "The data file.", |it| it.data_file_bytes),
    ("ouro_shard_snapshot_bytes", Kind::Gauge, "The newest snapshot.", |it| it.checkpoint.snapshot_bytes),
    ("ouro_shard_appended_lsn", Kind::Gauge, "LSN of the newest record.", |it| it.appended.0),
    ("ouro_shard_released_lsn", Kind::Gauge, "LSN up to which replies are released.", |it| it.released.0),
    ("ouro_shard_floor_lsn", Kind::Gauge, "LSN up to which a start needs no log.", |it| it.floor.0),
    ("ouro_shard_checkpointed_lsn", Kind::Gauge, "LSN that the newest snapshot holds.", |it| {
        it.checkpointed.0
    }),
    ("ouro_shard_checkpoint_running", Kind::Gauge, "1 while a checkpoint runs.", |it| {
        u64::from(it.checkpoint.running)
    }),
    ("ouro_shard_checkpoints_total", Kind::Counter, "Checkpoints published.", |it| it.checkpoint.published),
    ("ouro_shard_checkpoint_written_bytes_total", Kind::Counter, "Bytes written to the data file.", |it| {
        it.checkpoint.data_written_bytes
    }),
    ("ouro_shard_compaction_running", Kind::Gauge, "1 while the shard is compacted.", |it| {
        it.compaction.running
    }),
    ("ouro_shard_compaction_victims_total", Kind::Counter, "Extents emptied by compaction.", |it| {
        it.compaction.extents
    }),
    ("ouro_shard_compaction_moved_bytes_total", Kind::Counter, "Bytes moved by compaction.", |it| {
        it.compaction.moved_bytes
    }),
    ("ouro_shard_scrub_read_bytes_total", Kind::Counter, "Bytes read back to verify them.", |it| {
        it.scrub.read_bytes
    }),
    (
        "ouro_shard_scrub_last_round_ms",
        Kind::Gauge,
        "When all was last read back, Unix ms; 0: not yet.",
        |it| it.scrub.last_ms,
    ),
    ("ouro_shard_damaged_extents", Kind::Gauge, "Extents that the scrub knows to be damaged.", |it| {
        it.scrub.damaged_extents
    }),
    ("ouro_shard_written_bytes_total", Kind::Counter, "Bytes of records written by commands.", |it| {
        it.written_bytes
    }),
    ("ouro_shard_memory_bytes", Kind::Gauge, "Memory of records, index and timing wheel.", |it| {
        it.memory_bytes
    }),
];

/// How a log's figure is told.
type OfLog = (&'static str, Kind, &'static str, fn(&LogFigures) -> u64);

const LOG_FIGURES: [OfLog; 6] = [
    ("ouro_wal_file_bytes", Kind::Gauge, "All segment files of the log.", |it| it.file_bytes),
    ("ouro_wal_replay_bytes", Kind::Gauge, "What a start would have to read of the log.", |it| {
        it.replay_bytes
    }),
    ("ouro_wal_generation", Kind::Gauge, "Number of the segment being written.", |it| it.generation),
    ("ouro_wal_appended_batch", Kind::Gauge, "Number of the last batch given out.", |it| it.appended.0),
    ("ouro_wal_rotations_total", Kind::Counter, "Times the log went on in a new segment.", |it| {
        it.stats.rotations
    }),
    ("ouro_wal_recycled_total", Kind::Counter, "Segments given back.", |it| it.stats.recycled),
];

/// Writes all of it.
pub(super) fn write(text: &mut Exposition, server: &Server) {
    let workers: Vec<Arc<WorkerFigures>> = server.workers.iter().map(|worker| worker.figures()).collect();
    write_turns(text, &workers);
    write_logs(text, &workers);
    for (name, kind, help, value) in SHARD_FIGURES {
        text.family(name, kind, help);
        of_shards(&workers, |labels, shard| text.sample(labels, value(shard)));
    }
    let help = "How long the last checkpoint took.";
    text.family("ouro_shard_checkpoint_duration_seconds", Kind::Gauge, help);
    of_shards(&workers, |labels, shard| {
        text.sample(labels, Seconds::Milli(shard.checkpoint.last_duration_ms));
    });
    let help =
        "Without a log: when the oldest change came that no snapshot holds, in Unix time; 0 without one.";
    text.family("ouro_shard_unsaved_since_timestamp_seconds", Kind::Gauge, help);
    of_shards(&workers, |labels, shard| text.sample(labels, Seconds::Milli(shard.unsaved_since_ms)));
    let help = "When the last checkpoint was published, in Unix time; 0 before the first since the start.";
    text.family("ouro_shard_checkpoint_timestamp_seconds", Kind::Gauge, help);
    of_shards(&workers, |labels, shard| text.sample(labels, Seconds::Milli(shard.checkpoint.last_ms)));
}

fn of_shards(workers: &[Arc<WorkerFigures>], mut tell: impl FnMut(&[(&'static str, &str)], &ShardFigures)) {
    for (index, worker) in workers.iter().enumerate() {
        for shard in &worker.shards {
            tell(&[("worker", &index.to_string()), ("shard", &shard.shard.to_string())], shard);
        }
    }
}

fn write_turns(text: &mut Exposition, workers: &[Arc<WorkerFigures>]) {
    let help = "How long a worker's turns took: a long one holds up all its clients.";
    text.family("ouro_turn_duration_seconds", Kind::Histogram, help);
    for (index, worker) in workers.iter().enumerate() {
        let turns = &worker.turns.histogram_us;
        text.histogram(&[("worker", &index.to_string())], &turns.counts, Seconds::Micro(turns.sum));
    }
    text.family("ouro_turn_duration_max_seconds", Kind::Gauge, "Longest turn since the start.");
    for (index, worker) in workers.iter().enumerate() {
        let longest = Seconds::Micro(worker.turns.histogram_us.max);
        text.sample(&[("worker", &index.to_string())], longest);
    }
    text.family("ouro_slow_turns_total", Kind::Counter, "Turns that took longer than 20 ms.");
    for (index, worker) in workers.iter().enumerate() {
        text.sample(&[("worker", &index.to_string())], worker.turns.slow);
    }
}

fn write_logs(text: &mut Exposition, workers: &[Arc<WorkerFigures>]) {
    let logs = || {
        let logs = workers.iter().enumerate();
        logs.filter_map(|(index, worker)| worker.log.as_ref().map(|log| (index.to_string(), log)))
    };
    for (name, kind, help, value) in LOG_FIGURES {
        text.family(name, kind, help);
        for (worker, log) in logs() {
            text.sample(&[("worker", &worker)], value(log));
        }
    }
    let help = "From the submission of a log batch until it is durable.";
    text.family("ouro_wal_flush_duration_seconds", Kind::Histogram, help);
    for (worker, log) in logs() {
        let flush = &log.stats.flush.histogram_us;
        text.histogram(&[("worker", &worker)], &flush.counts, Seconds::Micro(flush.sum));
    }
    text.family(
        "ouro_wal_batch_bytes",
        Kind::Histogram,
        "Sizes of log batches, headers and padding included.",
    );
    for (worker, log) in logs() {
        let sizes = &log.stats.batch_kib;
        let bytes = log.stats.written_bytes;
        text.histogram_of(&[("worker", &worker)], &sizes.counts, &bytes, |kib| (kib << 10).to_string());
    }
}
