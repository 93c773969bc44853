//! Small scripted lives of a store, which between them ask for every kind of I/O that there is.

use crate::compaction::CompactionConfig;
use crate::log::{LogConfig, SyncMethod, SyncPolicy};
use crate::planted::PlantedBug;
use crate::shard_set::{StorageConfig, TaskKind};
use crate::sim::life_steps::Step;
use crate::sim::options::{Options, Rates};
use crate::sim::site::{Action, Place, Site};

use Step::{
    Append, Checkpoint, Compact, CountKeys, CutPower, Delete, Expire, Flush, Full, FullAfter, Get, Group,
    Kill, Pass, Policy, Rest, Rotate, Set, Stop, Swap, Task, Workers,
};

/// Bytes of a value that takes a run of extents.
const RUN_BYTES: usize = (1 << 20) + 100_000;

const SEGMENT_CREATE: Site = Site { place: Place::Segment, action: Action::Create };

/// A life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    /// With a log, nothing acknowledged before it is durable; little memory.
    Strict,
    /// With a log and changing policies, `fdatasync`, another number of workers on the way.
    Relaxed,
    /// Without a log.
    WithoutLog,
    /// With a log, on a disk that is full now and then.
    FullDisk,
}

impl Life {
    /// All of them, the shortest first.
    pub const ALL: [Self; 4] = [Self::FullDisk, Self::WithoutLog, Self::Relaxed, Self::Strict];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict log",
            Self::Relaxed => "relaxed log",
            Self::WithoutLog => "without a log",
            Self::FullDisk => "full disk",
        }
    }

    /// The options of its runs.
    pub(super) fn options(self, seed: u64, planted: Option<PlantedBug>) -> Options {
        let drawn = Options::draw(seed, 0, planted);
        let log = LogConfig {
            segment_bytes: 128 << 10,
            batch_bytes_max: 64 << 10,
            in_flight_max: 2,
            sync: if self == Self::Relaxed { SyncMethod::Fdatasync } else { SyncMethod::Dsync },
            policy: SyncPolicy::EveryBatch,
            zero_bytes: 128 << 10,
            read_bytes: 64 << 10,
            read_depth: 2,
            ..LogConfig::default()
        };
        let storage = StorageConfig {
            scrub_ms: 0,
            memory_bytes_max: matches!(self, Self::Strict | Self::WithoutLog).then_some(0),
            log_bytes_max: 256 << 10,
            emptied_bytes_max: 64 << 10,
            unsaved_ms_max: Some(2000),
            waiting_per_flight: 1,
            reads_in_flight_max: 256,
        };
        let compaction =
            CompactionConfig { fill_percent: 75, dead_bytes_min: 1, step_bytes: 16 << 10, step_records: 100 };
        Options {
            log,
            wal: self != Self::WithoutLog,
            worker_count: 1,
            shard_count: 2,
            hash_bits: u32::BITS,
            rates: Rates::default(),
            storage,
            completions_max: 8,
            extent_fill_bytes: 16 << 10,
            compaction,
            planted,
            ..drawn
        }
    }

    /// What happens in it.
    pub(super) fn script(self) -> Vec<Step> {
        match self {
            Self::Strict => strict(),
            Self::Relaxed => relaxed(),
            Self::WithoutLog => without_log(),
            Self::FullDisk => full_disk(),
        }
    }
}

fn strict() -> Vec<Step> {
    vec![
        Set(0..12, 100, 0),
        Set(12..16, 5_000, 0),
        Group(0..6, 30),
        Rest,
        Set(16..20, 3_000, 40),
        Checkpoint,
        Set(20..21, RUN_BYTES, 0),
        Rest,
        Set(21..27, 9_000, 0),
        Get(0..27),
        Rest,
        Pass(60),
        Delete(12..16),
        Set(0..4, 12_000, 0),
        Append(0..3, 10),
        Rest,
        Compact,
        Rest,
        Rotate,
        Append(4..6, 5_000),
        Expire(6..8, 10_000),
        Swap(0, 1),
        Task(TaskKind::RotateLog),
        Rest,
        Stop,
        Get(0..10),
        CountKeys,
        Set(30..36, 8_000, 0),
        Rest,
        Kill,
        Append(0..4, 0),
        Set(30..33, 500, 0),
        Swap(0, 2),
        Task(TaskKind::ClearLog),
        Rest,
        Delete(20..21),
        Flush(Some(0)),
        Set(40..44, 9_000, 0),
        Checkpoint,
        Rest,
        Delete(40..44),
        Checkpoint,
        Rest,
        Checkpoint,
        Rest,
        Set(44..48, 700, 0),
        CutPower,
        Get(44..48),
        Rest,
        Kill,
        Stop,
    ]
}

fn relaxed() -> Vec<Step> {
    vec![
        Set(0..8, 300, 0),
        Policy(SyncPolicy::EverySecond),
        Set(8..14, 6_000, 30),
        Pass(1200),
        Group(0..8, 50),
        Rest,
        Policy(SyncPolicy::Never),
        Set(14..20, 9_000, 0),
        Checkpoint,
        Delete(0..4),
        Rest,
        Policy(SyncPolicy::EveryBatch),
        Append(14..18, 3),
        Rest,
        CutPower,
        Set(20..26, 7_000, 0),
        Policy(SyncPolicy::EverySecond),
        Set(20..23, 2_000, 0),
        Rotate,
        Rest,
        Workers(2),
        Stop,
        Set(30..38, 6_000, 0),
        Swap(0, 1),
        Rest,
        Policy(SyncPolicy::EveryBatch),
        Set(38..40, 70_000, 0),
        Flush(None),
        Set(40..46, 4_000, 0),
        Workers(1),
        Kill,
        Get(30..46),
        Checkpoint,
        Rest,
        Task(TaskKind::ClearLog),
        Rest,
        CutPower,
        Kill,
        Stop,
    ]
}

fn without_log() -> Vec<Step> {
    vec![
        Set(0..12, 200, 0),
        Set(12..18, 6_000, 30),
        Checkpoint,
        Set(0..4, 9_000, 0),
        Group(4..8, 40),
        Rest,
        Set(20..21, RUN_BYTES, 0),
        Pass(60),
        Delete(12..16),
        Append(0..3, 4),
        Checkpoint,
        Delete(4..6),
        Rest,
        Get(0..21),
        Compact,
        Rest,
        Swap(0, 1),
        Kill,
        Set(30..36, 8_000, 0),
        Flush(Some(0)),
        Pass(3000),
        Rest,
        Set(36..40, 8_000, 0),
        Stop,
        Get(30..40),
        Set(40..44, 300, 0),
        Task(TaskKind::Checkpoint),
        Append(36..38, 0),
        Rest,
        Workers(2),
        CutPower,
        Delete(20..40),
        Checkpoint,
        Rest,
        Checkpoint,
        Rest,
        Stop,
        Kill,
    ]
}

fn full_disk() -> Vec<Step> {
    vec![
        Set(0..10, 9_000, 0),
        Checkpoint,
        Rest,
        Full(true),
        Set(10..16, 9_000, 0),
        Rotate,
        Rest,
        Delete(0..6),
        Checkpoint,
        Rest,
        Kill,
        Set(0..4, 500, 0),
        Swap(0, 1),
        Rest,
        Full(false),
        Pass(5000),
        FullAfter(SEGMENT_CREATE),
        Rotate,
        Set(16..20, 9_000, 0),
        Rest,
        Full(false),
        Pass(5000),
        Set(20..28, 9_000, 0),
        Rest,
        Full(true),
        Task(TaskKind::ClearLog),
        Pass(5000),
        Rest,
        Stop,
        Delete(20..28),
        Checkpoint,
        Rest,
        CutPower,
        Stop,
    ]
}
