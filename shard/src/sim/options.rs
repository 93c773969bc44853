//! What is drawn once per seed: sizes, rates and which faults happen at all (swarm testing: a run that has few kinds
//! of faults reaches states that a run with all of them never does).

use crate::compaction::CompactionConfig;
use crate::eviction::MemoryLimit;
use crate::limits::EXTENT_BYTES;
use crate::log::{LogConfig, SyncMethod, SyncPolicy};
use crate::planted::PlantedBug;
use crate::shard_set::StorageConfig;
use crate::sim::clock::TIMES_TO_LIVE_MS;
use crate::sim::fault::FaultSet;
use crate::sim::memory_only;
use crate::sim::rng::Rng;
use crate::sim::scrubbing::ScrubRates;

/// Faults per 100,000 chances; 0: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Per write: only part of it is written, and said so.
    pub short_write: u64,
    /// Per read: only part of it is read, and said so.
    pub short_read: u64,
    /// Per write or sync: it fails, part of it may be done.
    pub write_error: u64,
    /// Per read: it fails.
    pub read_error: u64,
    /// Per write: said to be done, not done.
    pub lost_write: u64,
    /// Per write: done somewhere else.
    pub misdirected_write: u64,
    /// Per read of a record or an extent: done somewhere else. Where it is not 0, reads of starts go astray too.
    pub misdirected_read: u64,
    /// Per round: a bit of a snapshot or a data file rots.
    pub rot: u64,
    /// Per round: the end of a snapshot or a data file is gone.
    pub cut: u64,
    /// Per round: the disk becomes full, or has room again.
    pub disk_full: u64,
    /// Per round: a crash.
    pub crash: u64,
    /// Per crash: power is lost too, else only the process ends.
    pub power_loss: u64,
    /// Per start: another crash before it is up.
    pub crash_in_boot: u64,
    /// Per crash: something on disk is damaged while the store is down.
    pub damage: u64,
    /// Per start: someone starts a copy of the store elsewhere, whose files may get mixed up with ours later.
    pub fork: u64,
    /// Per round: a clean shutdown.
    pub shutdown: u64,
    /// Per start: another number of workers.
    pub other_workers: u64,
}

/// One run's options.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed they were drawn from.
    pub seed: u64,
    /// Few crashes and faults, so that much happens between them.
    pub is_calm: bool,
    /// Kinds of faults that happen at all.
    pub faults: FaultSet,
    /// Client operations of the run.
    pub operations: u64,
    /// How the logs work; the sizes are small so that everything happens often.
    pub log: LogConfig,
    /// Whether there is a log.
    pub wal: bool,
    /// Storage in memory only: how much memory each worker may take, and which keys go beyond that.
    pub memory_only: Option<MemoryLimit>,
    /// Per 1000 rounds: the wall clock is set to another time.
    pub clock_jumps: u64,
    /// Times to live to draw from, in milliseconds; 0: for ever.
    pub times_to_live: &'static [u64],
    /// Workers at the start.
    pub worker_count: u16,
    /// Shards of the store.
    pub shard_count: u16,
    /// Different keys.
    pub key_count: u64,
    /// Bits of a key's hash; where they are few, keys lie in few slots and many share theirs.
    pub hash_bits: u32,
    /// Value sizes to draw from.
    pub value_bytes: Vec<u64>,
    /// Faults.
    pub rates: Rates,
    /// Per 1000 rounds: FLUSHALL.
    pub flush: u64,
    /// When storage does things of its own accord.
    pub storage: StorageConfig,
    /// Per 1000 rounds: a checkpoint is asked for.
    pub checkpoints: u64,
    /// Operations per turn at most.
    pub turn_max: u64,
    /// Completions per round at most.
    pub completions_max: u64,
    /// Bytes at which extents are sealed: tiny, so that there are many.
    pub extent_fill_bytes: usize,
    /// When compaction begins and how large its steps are.
    pub compaction: CompactionConfig,
    /// Per 1000 rounds: a full compaction.
    pub compact_all: u64,
    /// Per 1000 rounds: somebody asks for a checkpoint, the log's next segment or a small log, and waits for it.
    pub tasks: u64,
    /// Per 1000 rounds: two databases change their numbers.
    pub swaps: u64,
    /// How much scrubbing there is.
    pub scrub: ScrubRates,
    /// The mistake planted, if any.
    pub planted: Option<PlantedBug>,
}

impl Options {
    /// Whether the run of a seed is a long one with few crashes: every eighth is.
    #[must_use]
    pub const fn is_calm(seed: u64) -> bool {
        seed % 8 == 7
    }

    /// Whether some values of the run of a seed are larger than an extent; it takes ten times as long.
    #[must_use]
    pub fn has_runs(seed: u64) -> bool {
        Rng::new(seed ^ 0x00a1_0000_0000_0009).chance(20)
    }

    /// The options of a seed.
    #[must_use]
    pub fn draw(seed: u64, operations: u64, planted: Option<PlantedBug>) -> Self {
        let mut rng = Rng::new(seed ^ 0x05e1_ec70_0000_0000);
        let batch_bytes_max = rng.pick(&[8 << 10, 16 << 10, 32 << 10]);
        let log = LogConfig {
            segment_bytes: rng.pick(&[64 << 10, 96 << 10, 256 << 10]),
            batch_bytes_max,
            in_flight_max: rng.pick(&[1, 2, 4, 4, 8]),
            sync: rng.pick(&[SyncMethod::Dsync, SyncMethod::Dsync, SyncMethod::Fdatasync]),
            policy: rng.pick(&[
                SyncPolicy::EveryBatch,
                SyncPolicy::EveryBatch,
                SyncPolicy::EveryBatch,
                SyncPolicy::EveryBatch,
                SyncPolicy::EverySecond,
                SyncPolicy::Never,
            ]),
            zero_bytes: rng.pick(&[16 << 10, 64 << 10]),
            read_bytes: rng.pick(&[16 << 10, 64 << 10]),
            read_depth: rng.pick(&[1, 3]),
            ..LogConfig::default()
        };
        let rates = if Self::is_calm(seed) { draw_calm(&mut rng) } else { draw_rough(&mut rng) };
        let batch = batch_bytes_max as u64;
        let sizes: [&[u64]; 4] = [
            &[8, 100],
            &[8, 100, 1000, 4000],
            &[8, 8, 100, 4000, batch - 200, batch],
            &[8, 8, 8, 100, 100, 100, batch, 3 * batch],
        ];
        let misdirected_read = draw_misdirected_read(seed);
        let clock_jumps = Rng::new(seed ^ 0x00a1_0000_0000_0003).pick(&[0, 0, 5, 50]);
        let rates = Rates { misdirected_read, ..rates };
        let rates = match planted {
            Some(bug) if bug.shows_in_mixed_copies() => Rates { fork: 100_000, damage: 300_000, ..rates },
            _ => rates,
        };
        let drawn = Self {
            seed,
            is_calm: Self::is_calm(seed),
            faults: FaultSet::all(),
            operations,
            log,
            wal: Rng::new(seed ^ 0x00a1_0000_0000_0000).chance(750),
            memory_only: None,
            clock_jumps,
            times_to_live: if clock_jumps > 0 { &TIMES_TO_LIVE_MS } else { &[0, 0, 0, 5, 100, 3000] },
            worker_count: rng.pick(&[1, 1, 2, 3]),
            shard_count: rng.pick(&[3, 4]),
            key_count: rng.pick(&[4, 20, 20, 60, 60, 60, 60, 1500]),
            hash_bits: Rng::new(seed ^ 0x00a1_0000_0000_0008).pick(&[32, 32, 2, 5]),
            value_bytes: Some(rng.pick(&sizes).to_vec())
                .filter(|_| !Self::has_runs(seed))
                .unwrap_or_else(with_runs),
            rates,
            flush: rng.pick(&[2, 10, 30]),
            storage: StorageConfig {
                memory_bytes_max: rng.pick(&[None, Some(0), Some(0), Some(4 << 20)]),
                log_bytes_max: rng.pick(&[64 << 10, 256 << 10, 1 << 20]),
                emptied_bytes_max: rng.pick(&[1 << 20, 8 << 20]),
                unsaved_ms_max: None,
                scrub_ms: Rng::new(seed ^ 0x00a1_0000_0000_0004).pick(&[0, 0, 3_000, 60_000, 3_600_000]),
                waiting_per_flight: Rng::new(seed ^ 0x00a1_0000_0000_0006).pick(&[1, 1, 4, 16]),
                reads_in_flight_max: Rng::new(seed ^ 0x00a1_0000_0000_0007).pick(&[1, 4, 256]),
            },
            checkpoints: rng.pick(&[0, 5, 50]),
            turn_max: rng.pick(&[1, 4, 16]),
            completions_max: rng.pick(&[2, 6, 12]),
            extent_fill_bytes: rng.pick(&[4 << 10, 16 << 10, 64 << 10, 1 << 20]),
            compaction: CompactionConfig {
                fill_percent: rng.pick(&[50, 75, 95]),
                dead_bytes_min: rng.pick(&[1, 1, 10_000]),
                step_bytes: rng.pick(&[500, 5_000, 64 << 10]),
                step_records: rng.pick(&[1, 5, 500]),
            },
            compact_all: rng.pick(&[0, 5, 30]),
            tasks: rng.pick(&[0, 0, 0, 0, 0, 0, 10, 60]),
            swaps: Rng::new(seed ^ 0x00a1_0000_0000_0002).pick(&[0, 0, 10, 60]),
            scrub: draw_scrub(&mut Rng::new(seed ^ 0x00a1_0000_0000_0003)),
            planted,
        };
        if memory_only::is_drawn(seed, planted) {
            return drawn.in_memory_only(Rng::new(seed ^ 0x00a1_0000_0000_0005));
        }
        if drawn.wal { drawn } else { drawn.without_log(Rng::new(seed ^ 0x00a1_0000_0000_0001)) }
    }

    /// The name of one of the keys.
    pub(super) fn key_name(&self, number: u64) -> String {
        /// Slots of the keys that share hash bits.
        const SLOTS: u64 = 5;
        if self.hash_bits == u32::BITS {
            return format!("key:{number}");
        }
        format!("key:{{{}}}:{number}", number % SLOTS)
    }

    /// Without a log all depends on checkpoints: there are many, of an index that takes turns to copy.
    fn without_log(self, mut rng: Rng) -> Self {
        let key_count = rng.pick(&[self.key_count, 300, 1500]);
        let checkpoints = rng.pick(&[5, 50, 200]);
        let unsaved_ms_max = rng.pick(&[None, None, Some(20), Some(2000)]);
        Self { key_count, checkpoints, storage: StorageConfig { unsaved_ms_max, ..self.storage }, ..self }
    }
}

/// By itself: what else is drawn does not depend on it.
fn draw_misdirected_read(seed: u64) -> u64 {
    let mut rng = Rng::new(seed ^ 0x00a1_0000_0000_0004);
    some(&mut rng, if Options::is_calm(seed) { &[5, 30] } else { &[300, 2000] })
}

/// One of these, or nothing: half of the runs do without.
fn some(rng: &mut Rng, of: &[u64]) -> u64 {
    if rng.chance(500) { 0 } else { rng.pick(of) }
}

/// Few values that are about as long as an extent, or longer, among many short ones.
fn with_runs() -> Vec<u64> {
    let short = [8, 100, 1000].into_iter().cycle().take(19);
    short.chain([EXTENT_BYTES as u64 * 3 / 4]).collect()
}

/// How often somebody asks for a round.
fn draw_scrub(rng: &mut Rng) -> ScrubRates {
    ScrubRates {
        asked: rng.pick(&[0, 10, 50]),
        quiet: rng.pick(&[0, 1, 3]),
        quiet_when_damaged: rng.pick(&[0, 100, 300]),
    }
}

/// Something happens all the time.
fn draw_rough(rng: &mut Rng) -> Rates {
    Rates {
        short_write: some(rng, &[500, 5000]),
        short_read: some(rng, &[500, 5000]),
        write_error: some(rng, &[100, 300]),
        read_error: some(rng, &[100, 300]),
        lost_write: some(rng, &[100, 300]),
        misdirected_write: some(rng, &[100, 300]),
        misdirected_read: 0,
        rot: some(rng, &[500, 3000]),
        cut: some(rng, &[200, 1000]),
        disk_full: some(rng, &[500]),
        crash: rng.pick(&[200, 500, 2000, 5000]),
        power_loss: rng.pick(&[30_000, 70_000, 100_000]),
        crash_in_boot: some(rng, &[10_000, 50_000]),
        damage: some(rng, &[20_000, 50_000]),
        fork: some(rng, &[20_000, 50_000]),
        shutdown: some(rng, &[500, 1000]),
        other_workers: some(rng, &[10_000, 30_000]),
    }
}

/// Little happens but what storage does of its own accord.
fn draw_calm(rng: &mut Rng) -> Rates {
    Rates {
        short_write: some(rng, &[100, 1000]),
        short_read: some(rng, &[100, 1000]),
        write_error: some(rng, &[1, 5]),
        read_error: some(rng, &[5, 20]),
        lost_write: some(rng, &[1, 5]),
        misdirected_write: some(rng, &[1, 5]),
        misdirected_read: 0,
        rot: some(rng, &[2, 10]),
        cut: some(rng, &[1, 5]),
        disk_full: some(rng, &[2]),
        crash: rng.pick(&[5, 20, 60]),
        power_loss: rng.pick(&[30_000, 70_000, 100_000]),
        crash_in_boot: some(rng, &[10_000]),
        damage: some(rng, &[20_000]),
        fork: 0,
        shutdown: some(rng, &[5, 10]),
        other_workers: some(rng, &[10_000]),
    }
}
