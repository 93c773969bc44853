//! What a worker tells of itself: its shards, its log, its turns. Collected now and then, never on the hot path.

use std::time::Duration;

use shard::checkpoint::CheckpointFigures;
use shard::compaction::CompactionFigures;
use shard::histogram::Histogram;
use shard::log::{LogStats, SyncMethod, SyncPolicy};
use shard::scrub::ScrubFigures;
use shard::types::{BatchNumber, Db, Lsn, StoredDb};

use crate::Shards;

/// A turn that took longer than this counts as slow, in nanoseconds.
pub const SLOW_TURN_NS: u64 = 20_000_000;

/// Figures of one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerFigures {
    /// Its shards, in their order.
    pub shards: Vec<ShardFigures>,
    /// Its log; `None` without one.
    pub log: Option<LogFigures>,
    /// How long its turns took.
    pub turns: TurnFigures,
}

/// How long the turns of a worker took, from their completions to their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnFigures {
    /// All turns since the start, in microseconds.
    pub histogram_us: Histogram,
    /// Those longer than [`SLOW_TURN_NS`].
    pub slow: u64,
}

impl TurnFigures {
    /// Counts a turn.
    #[inline]
    pub(crate) fn note(&mut self, ns: u64) {
        self.histogram_us.note(ns / 1000);
        self.slow += u64::from(ns > SLOW_TURN_NS);
    }
}

/// Figures of one shard. Sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardFigures {
    /// Number of the shard.
    pub shard: u16,
    /// Keys of database 0.
    pub keys: u64,
    /// Extents, in memory and on disk.
    pub extents: u64,
    /// Records that live.
    pub live_bytes: u64,
    /// Records that are dead and not yet given back.
    pub dead_bytes: u64,
    /// Memory of records, index and timing wheel.
    pub memory_bytes: u64,
    /// The data file, free places within it included; 0 in memory-only storage.
    pub data_file_bytes: u64,
    /// Those free places.
    pub free_places: u64,
    /// Extents of the data file that wait for a checkpoint to be free.
    pub emptied_bytes: u64,
    /// LSN of the newest record.
    pub appended: Lsn,
    /// Records up to this one are released: durable, or as durable as the sync policy asks for.
    pub released: Lsn,
    /// A start needs no record of the log up to this one.
    pub floor: Lsn,
    /// The newest snapshot holds everything up to this one.
    pub checkpointed: Lsn,
    /// Without a log: when the oldest change came that no snapshot holds, in Unix ms; 0: there is none.
    pub unsaved_since_ms: u64,
    /// Its checkpoints.
    pub checkpoint: CheckpointFigures,
    /// Its compaction.
    pub compaction: CompactionFigures,
    /// Its scrub.
    pub scrub: ScrubFigures,
    /// Bytes of records that commands wrote.
    pub written_bytes: u64,
}

impl ShardFigures {
    /// Bytes that were written to extents for each byte that a command wrote, in hundredths; 100 when nothing was
    /// moved.
    #[must_use]
    pub fn write_amplification_percent(&self) -> u64 {
        let all = u128::from(self.written_bytes) + u128::from(self.compaction.moved_bytes);
        (all * 100)
            .checked_div(self.written_bytes.into())
            .map_or(100, |it| u64::try_from(it).unwrap_or(u64::MAX))
    }

    /// Bytes of its own files.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.data_file_bytes + self.checkpoint.snapshot_bytes
    }
}

/// Figures of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFigures {
    /// Number of the log.
    pub log: u32,
    /// All its segment files, the one ahead and those kept for reuse included, in bytes.
    pub file_bytes: u64,
    /// What a start would have to read of it, in bytes.
    pub replay_bytes: u64,
    /// Segments that hold batches.
    pub segments: u64,
    /// Number of the segment that is being written; it rises with each rotation.
    pub generation: u64,
    /// Number of the last batch given out.
    pub appended: BatchNumber,
    /// Number of the last batch that survives power loss.
    pub durable: BatchNumber,
    /// How a batch is made durable.
    pub sync: SyncMethod,
    /// When it is.
    pub policy: SyncPolicy,
    /// Counters since the start.
    pub stats: LogStats,
}

impl WorkerFigures {
    /// Collects them from a worker's shards.
    #[must_use]
    pub fn collect(set: &Shards, turns: TurnFigures) -> Self {
        let shards = set.shards().iter().enumerate();
        let figures_of = |(position, shard)| ShardFigures {
            unsaved_since_ms: set.unsaved_since(position).map_or(0, |since| since.0),
            ..shard_figures(shard, set.databases().stored(Db(0)), set.files().get(position))
        };
        let shards = shards.map(figures_of).collect();
        let log = set.log().map(|log| LogFigures {
            log: log.identity().log.0,
            file_bytes: log.bytes_in_use(),
            replay_bytes: log.bytes_to_replay(),
            segments: log.segments() as u64,
            generation: log.generation(),
            appended: log.appended(),
            durable: log.durable(),
            sync: log.config().sync,
            policy: log.config().policy,
            stats: log.stats(),
        });
        Self { shards, log, turns }
    }

    /// Bytes of all files that the worker writes.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        let shards: u64 = self.shards.iter().map(ShardFigures::disk_bytes).sum();
        shards + self.log.map_or(0, |log| log.file_bytes)
    }

    /// Records that no snapshot holds yet: what a store without a log would lose now.
    #[must_use]
    pub fn changes_since_checkpoint(&self) -> u64 {
        self.shards.iter().map(|shard| shard.appended.0.saturating_sub(shard.checkpointed.0)).sum()
    }

    /// Without a log: when the oldest change came that no snapshot holds, in Unix ms; 0: there is none.
    #[must_use]
    pub fn unsaved_since_ms(&self) -> u64 {
        self.shards.iter().map(|shard| shard.unsaved_since_ms).filter(|since| *since > 0).min().unwrap_or(0)
    }

    /// How the scrub of all its shards stands; `None`: it has none.
    #[must_use]
    pub fn scrub(&self) -> Option<ScrubFigures> {
        self.shards.iter().map(|shard| shard.scrub).reduce(|mut sum, figures| {
            sum.add(&figures);
            sum
        })
    }

    /// When every shard had published a checkpoint since the start, in Unix ms; 0 while one has not.
    #[must_use]
    pub fn checkpointed_ms(&self) -> u64 {
        self.shards.iter().map(|shard| shard.checkpoint.last_ms).min().unwrap_or(0)
    }
}

fn shard_figures(shard: &crate::Shard, first: StoredDb, files: Option<&crate::ShardFiles>) -> ShardFigures {
    let extents = shard.extents();
    let fill = extents.fill();
    ShardFigures {
        shard: shard.id().0,
        keys: shard.key_count(first),
        extents: extents.count() as u64,
        live_bytes: extents.live_bytes(),
        dead_bytes: fill.dead_bytes(),
        memory_bytes: shard.memory_bytes(),
        data_file_bytes: if files.is_some() { extents.file_bytes() } else { 0 },
        free_places: if files.is_some() { extents.free_places() as u64 } else { 0 },
        emptied_bytes: extents.emptied_bytes(),
        appended: shard.lsn(),
        released: shard.released_lsn(),
        floor: files.map(crate::ShardFiles::floor_lsn).unwrap_or_default(),
        checkpointed: files.and_then(crate::ShardFiles::end_lsn).unwrap_or_default(),
        unsaved_since_ms: 0,
        checkpoint: files.map(crate::ShardFiles::figures).unwrap_or_default(),
        compaction: shard.compaction_figures(),
        scrub: shard.scrub_figures(),
        written_bytes: extents.fresh_bytes(),
    }
}

/// The value below which the given share of what was counted lies, as a duration. See [`Histogram::percentile`].
#[must_use]
pub fn percentile(histogram_us: &Histogram, per_mille: u64) -> Duration {
    Duration::from_micros(histogram_us.percentile(per_mille))
}
