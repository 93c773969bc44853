//! One run: operations, turns, completions, crashes and starts, drawn from a seed, checked against the model.

use std::collections::{BTreeMap, BTreeSet};

use crate::databases::DatabaseMap;
use crate::io::{Fatal, FileId, IoError, ManifestCopy};
use crate::key::keep_hash_bits;
use crate::log::SyncPolicy;
use crate::planted::{self, PlantedBug};
use crate::shard_set::{ShardSet, StorageTask, TaskError, TaskKind};
use crate::sim::disk::{Files, SimDisk};
use crate::sim::every_io::Again;
use crate::sim::invariants::{order::KeyOrder, published, watermarks::Watermarks};
use crate::sim::memory_only::Asked;
use crate::sim::model::ShardModel;
use crate::sim::options::Options;
use crate::sim::plan::Plan;
use crate::sim::replies::{Replies, Reply};
use crate::sim::report::SimReport;
use crate::sim::rng::Rng;
use crate::sim::swaps::{STORE, Swap};
use crate::store_manifest::StoreManifest;
use crate::testing::HeapPool;
use crate::types::{BatchNumber, ShardId, UnixMs};

/// Databases that operations use.
pub(super) const DB_COUNT: u64 = 2;
/// Bytes of records that a log may have waiting before clients are held back.
const LOG_QUEUE_BYTES_MAX: usize = 1 << 20;

/// A store, its disk and its model.
pub struct Driver {
    pub(super) options: Options,
    pub(super) rng: Rng,
    pub(super) disk: SimDisk,
    pub(super) models: Vec<ShardModel>,
    pub(super) workers: Vec<ShardSet<HeapPool>>,
    pub(super) manifest: Option<StoreManifest>,
    /// The same as it is on disk: without a log a start shares shards out anew and writes nothing of it.
    pub(super) on_disk: Option<StoreManifest>,
    /// What the numbers of databases show, as of the last swap.
    pub(super) databases: DatabaseMap,
    pub(super) swap: Option<Swap>,
    /// The copy of the store manifest that a full disk has damaged.
    pub(super) stale_manifest: Option<ManifestCopy>,
    /// Draws swaps, by itself: what else happens does not depend on them.
    pub(super) swap_rng: Rng,
    /// Draws scrubs, by itself.
    pub(super) scrub_rng: Rng,
    /// Extents that scrubs have told of.
    pub(super) scrubbed: BTreeSet<(ShardId, u32)>,
    /// Damaged blocks of data files when a round that nothing disturbed was drawn last.
    pub(super) damaged_blocks_scrubbed: usize,
    pub(super) replies: Vec<Replies>,
    pub(super) policy: SyncPolicy,
    /// The change to [`SyncPolicy::EveryBatch`] is in force when this batch of each worker is durable: what was written
    /// under a laxer policy is known to readers until then.
    pub(super) strict_from: Vec<BatchNumber>,
    /// Files of a copy of the store that went its own way.
    pub(super) fork: Option<Files>,
    pub(super) worker_count: u16,
    pub(super) now: UnixMs,
    /// What the wall clock would show had it never jumped.
    pub(super) right_now: UnixMs,
    /// In memory only, by worker: how much memory there may be.
    pub(super) asked: Vec<Asked>,
    /// Draws jumps of the clock, by itself.
    pub(super) clock_rng: Rng,
    pub(super) now_ns: u64,
    pub(super) value_counter: u64,
    /// Operations that have arrived so far.
    pub(super) arrived: u64,
    /// Operations that wait for records on disk, by their number.
    pub(super) parked: BTreeMap<u64, Plan>,
    pub(super) order: KeyOrder,
    pub(super) watermarks: Vec<Watermarks>,
    pub(super) published: published::Seen,
    /// Work of a worker's storage that somebody waits for.
    pub(super) tasks: Vec<(usize, TaskKind, StorageTask)>,
    pub(super) report: SimReport,
    /// Crashes of the start that follows a crash, where each of its requests is to be hit by one.
    pub(super) again: Option<Again>,
}

/// Runs a seed's options to the end.
///
/// # Errors
/// What the store broke.
pub fn run(options: &Options) -> (SimReport, Result<(), String>) {
    planted::choose(options.planted);
    let mut driver = Driver::new(options.clone());
    let result = driver.run();
    driver.report.seeds = 1;
    (driver.report, result)
}

impl Driver {
    pub(super) fn new(options: Options) -> Self {
        keep_hash_bits(options.hash_bits);
        let disk = SimDisk::new(options.seed, options.rates, options.faults);
        let models = (0..options.shard_count).map(|_| ShardModel::default()).collect();
        Self {
            rng: Rng::new(options.seed),
            disk,
            models,
            workers: Vec::new(),
            manifest: None,
            on_disk: None,
            databases: DatabaseMap::default(),
            swap: None,
            stale_manifest: None,
            swap_rng: Rng::new(options.seed ^ 0x0053_7761_7064_6200),
            scrub_rng: Rng::new(options.seed ^ 0x0073_6372_7562_0000),
            scrubbed: BTreeSet::new(),
            damaged_blocks_scrubbed: 0,
            replies: Vec::new(),
            strict_from: Vec::new(),
            fork: None,
            policy: options.log.policy,
            worker_count: options.worker_count,
            now: UnixMs(1_700_000_000_000),
            right_now: UnixMs(1_700_000_000_000),
            asked: Vec::new(),
            clock_rng: Rng::new(options.seed ^ 0x0063_6c6f_636b_0000),
            now_ns: 1_000_000_000,
            value_counter: 0,
            arrived: 0,
            parked: BTreeMap::new(),
            order: KeyOrder::default(),
            watermarks: Vec::new(),
            published: published::Seen::new(),
            tasks: Vec::new(),
            report: SimReport::default(),
            again: None,
            options,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        self.start(false)?;
        while self.report.operations < self.options.operations {
            self.round()?;
        }
        self.shut_down()?;
        Ok(())
    }

    pub(super) fn round(&mut self) -> Result<(), String> {
        let rates = self.options.rates;
        if self.rng.odds(rates.crash) {
            return self.crash();
        }
        if self.rng.odds(rates.shutdown) {
            return self.shut_down();
        }
        if rates.disk_full > 0 && self.rng.odds(rates.disk_full) {
            self.disk.toggle_full(&mut self.report);
        }
        self.disk.rot(&mut self.report);
        self.disk.cut(&mut self.report);
        let pause = self.rng.pick(&[1, 5, 20, 150, 1200]);
        self.pass_ms(pause);
        self.maybe_jump();
        self.now_ns += pause * 1_000_000;
        for _ in 0..=self.rng.below(self.options.turn_max) {
            // Whoever serves clients holds them back while the log is behind.
            let is_behind = |log: &crate::log::Log<HeapPool>| log.queued_bytes() > LOG_QUEUE_BYTES_MAX;
            if self.workers.iter().filter_map(ShardSet::log).any(is_behind) {
                self.report.count("turns held back by the log");
                break;
            }
            if self.workers.iter().any(ShardSet::is_tail_full) {
                self.report.count("turns held back by the tail of a snapshot");
                break;
            }
            if !self.may_append() {
                self.report.count("turns held back by a full disk");
                break;
            }
            self.operation()?;
        }
        self.intervene();
        if self.turn()?.is_err() {
            return self.abort();
        }
        if self.draws_quiet_scrub() && self.scrub_quietly()?.is_err() {
            return self.abort();
        }
        Ok(())
    }

    /// Workers have come up.
    pub(super) fn serve_with(&mut self, workers: Vec<ShardSet<HeapPool>>) {
        self.replies = workers.iter().map(|_| Replies::default()).collect();
        self.strict_from = vec![BatchNumber::ZERO; workers.len()];
        self.watermarks = vec![Watermarks::default(); workers.len()];
        self.published.clear();
        self.workers = workers;
        for worker in &mut self.workers {
            worker.set_extent_fill_bytes(self.options.extent_fill_bytes);
            worker.set_compaction(self.options.compaction);
            worker.watch_gone(true, true);
        }
    }

    /// Whoever serves clients appends nothing while a log has no file that a start could go on in.
    pub(super) fn may_append(&self) -> bool {
        self.workers.iter().filter_map(ShardSet::log).all(crate::log::Log::has_start_file)
    }

    /// What an operator, or a client with a command over everything, does now and then.
    fn intervene(&mut self) {
        if self.rng.chance(self.options.flush) && self.may_append() {
            self.flush();
        }
        if self.rng.chance(10) {
            let at = self.rng.position(self.workers.len());
            if let Some(log) = self.workers[at].log_mut() {
                log.rotate();
            }
        }
        if self.rng.chance(self.options.checkpoints) {
            let at = self.rng.position(self.workers.len());
            self.workers[at].checkpoint();
        }
        if self.options.compact_all > 0 && self.rng.chance(self.options.compact_all) {
            let at = self.rng.position(self.workers.len());
            self.workers[at].compact_all();
            self.report.count("full compactions");
        }
        if self.options.tasks > 0 && self.rng.chance(self.options.tasks) {
            let at = self.rng.position(self.workers.len());
            let kinds = [TaskKind::ClearLog, TaskKind::ClearLog, TaskKind::RotateLog, TaskKind::Checkpoint];
            let kind = self.rng.pick(&kinds);
            if let Ok(task) = StorageTask::begin(kind, &mut self.workers[at]) {
                self.tasks.push((at, kind, task));
            }
        }
        if self.rng.chance(3) {
            self.change_policy();
        }
        self.maybe_swap();
        self.maybe_limit_memory();
        self.maybe_scrub();
    }

    /// The end of a turn on every worker, then some completions. `Ok(Err)`: a write failed, the process must end.
    pub(super) fn turn(&mut self) -> Result<Result<(), Fatal>, String> {
        let tick = self.rng.chance(300);
        for at in 0..self.workers.len() {
            if tick {
                self.workers[at].tick(self.now, self.now_ns, 4);
            }
            self.follow(at)?;
            self.workers[at].end_turn(self.now, self.now_ns);
            if self.workers[at].log().is_some_and(crate::log::Log::stands_still) {
                return Err(format!("the log of worker {at} writes nothing of what it has to write"));
            }
        }
        self.step_tasks()?;
        self.submit_all();
        for _ in 0..self.rng.below(self.options.completions_max + 1) {
            if let Err(fatal) = self.complete_one() {
                return Ok(Err(fatal));
            }
        }
        // Sometimes those whose reads have come wait a turn longer, while others run and extents move.
        if self.rng.chance(800) {
            self.run_called()?;
        }
        self.take_damaged()?;
        self.watch()?;
        self.deliver();
        Ok(Ok(()))
    }

    /// Looks at the tasks under way.
    fn step_tasks(&mut self) -> Result<(), String> {
        let mut tasks = std::mem::take(&mut self.tasks);
        let mut wrong = Ok(());
        tasks.retain_mut(|(at, kind, task)| match task.step(&mut self.workers[*at]) {
            Ok(done) => {
                if done {
                    self.report.count(format!("tasks done: {kind:?}"));
                }
                !done
            }
            Err(TaskError::NoSpace | TaskError::NoSpaceForSnapshot) => false,
            Err(error) => {
                wrong = Err(format!("{kind:?}: {error}"));
                false
            }
        });
        self.tasks = tasks;
        wrong
    }

    /// Looks at what must be true all the time.
    pub(super) fn watch(&mut self) -> Result<(), String> {
        for (worker, watermarks) in self.workers.iter().zip(&mut self.watermarks) {
            if let Some(log) = worker.log() {
                watermarks.check(log)?;
                if let Some(file) = log.segment_files().find(|&file| self.disk.file_len(file).is_none()) {
                    return Err(format!("{file} is gone, and the log's manifest names it"));
                }
            }
            published::check(worker, &mut self.published, &self.disk, &mut self.report)?;
        }
        Ok(())
    }

    pub(super) fn submit_all(&mut self) {
        for (owner, worker) in self.workers.iter_mut().enumerate() {
            while let Some(request) = worker.next_io() {
                self.disk.submit(owner, request);
            }
        }
    }

    pub(super) fn complete_one(&mut self) -> Result<bool, Fatal> {
        let Some((owner, done)) = self.disk.complete_one(&mut self.report) else { return Ok(false) };
        if self.disk.is_down() {
            return Err(crashed());
        }
        if owner == STORE {
            return match self.on_swap_io(done) {
                Ok(()) => {
                    self.disk.goes_on();
                    Ok(true)
                }
                Err(fatal) => {
                    self.report.count("aborts after a write error");
                    Err(fatal)
                }
            };
        }
        let now_ns = self.now_ns;
        let worker = &mut self.workers[owner];
        if let Some(log) = worker.log_mut() {
            log.advance_clock(now_ns);
        }
        if let Err(fatal) = worker.on_io(done) {
            self.report.count("aborts after a write error");
            return Err(fatal);
        }
        self.disk.goes_on();
        self.submit_all();
        Ok(true)
    }

    /// Delivers every reply whose batch has been passed.
    pub(super) fn deliver(&mut self) {
        let Self { workers, replies, models, report, policy, options, .. } = self;
        let every_batch = *policy == SyncPolicy::EveryBatch;
        for (worker, replies) in workers.iter().zip(replies) {
            replies.deliver(worker.released(), |reply| {
                report.replies += 1;
                if !options.wal {
                    // A reply promises nothing: what survives is what was saved.
                    return;
                }
                for &(shard, lsn) in &reply.tells {
                    let model = &mut models[usize::from(shard.0)];
                    model.written = model.written.max(lsn);
                    if reply.strict && every_batch {
                        model.durable = model.durable.max(lsn);
                    }
                }
            });
        }
    }

    fn change_policy(&mut self) {
        let policy = self.rng.pick(&[
            SyncPolicy::EveryBatch,
            SyncPolicy::EveryBatch,
            SyncPolicy::EverySecond,
            SyncPolicy::Never,
        ]);
        self.set_policy(policy);
    }

    pub(super) fn set_policy(&mut self, policy: SyncPolicy) {
        self.policy = policy;
        let planted = self.options.planted;
        let barriers: Vec<BatchNumber> = self
            .workers
            .iter_mut()
            .map(|worker| {
                worker.set_policy(self.policy);
                let barrier = worker.take_barrier();
                let gated = planted != Some(PlantedBug::StrictPolicyNotGated);
                if gated { barrier } else { BatchNumber::ZERO }
            })
            .collect();
        self.strict_from =
            self.workers.iter().filter_map(ShardSet::log).map(crate::log::Log::appended).collect();
        if self.policy == SyncPolicy::EveryBatch {
            self.report.count("changes to the strict policy");
            // The reply to the change waits for all that is appended, and tells that it is durable.
            for ((worker, replies), barrier) in self.workers.iter().zip(&mut self.replies).zip(barriers) {
                let tells = worker.shards().iter().map(|shard| (shard.id(), shard.lsn())).collect();
                replies.push(Reply { barrier, tells, strict: true });
            }
        }
    }
}

/// The process is gone: nothing it was told counts.
fn crashed() -> Fatal {
    let error = IoError::from_errno(0);
    Fatal { what: "a simulated crash", file: FileId::StoreManifest(ManifestCopy::A), offset: 0, error }
}
