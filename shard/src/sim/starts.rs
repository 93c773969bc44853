//! How a run ends and begins again: crashes, shutdowns, damage while the store is down, and the check of what comes up.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::checkpoint::ShardFiles;
use crate::cold::Need;
use crate::log::Log;
use crate::shard_set::{ScanCursor, ShardSet};
use crate::sim::boot::{Boot, Down, Up};
use crate::sim::cold::{bring_needs, bring_scan};
use crate::sim::damage::{damage, is_followed, loss_is_excusable, mix_up};
use crate::sim::disk::{Files, SimDisk};
use crate::sim::driver::{DB_COUNT, Driver};
use crate::sim::forgery::forge;
use crate::sim::model::{ModelValue, ShardModel};
use crate::sim::operations::brief;
use crate::sim::options::Options;
use crate::sim::report::SimReport;
use crate::testing::HeapPool;
use crate::types::{BatchNumber, Db, Lsn, UnixMs};

/// Starts in a row that may be cut short by a crash.
const BOOT_CRASHES_MAX: u64 = 4;
/// Completions within which a store that nobody disturbs must come to rest.
const REST_STEPS_MAX: u64 = 200_000;
/// Times a shutdown may wait for a deadline.
const WAITS_MAX: u64 = 4;

impl Driver {
    /// Everything stops at once.
    pub(super) fn crash(&mut self) -> Result<(), String> {
        let power = self.crash_disk();
        self.start(power)
    }

    /// The process ends itself after an I/O error; what was written and never synced may have gone with it.
    pub(super) fn abort(&mut self) -> Result<(), String> {
        self.crash_disk();
        self.start(true)
    }

    pub(super) fn crash_disk(&mut self) -> bool {
        self.end_workers();
        self.report.crashes += 1;
        let power = self.rng.chance(self.options.rates.power_loss);
        if power {
            self.report.count("power losses");
            self.disk.lose_power(&mut self.report);
        } else {
            self.report.count("process kills");
            self.disk.kill();
        }
        power
    }

    fn end_workers(&mut self) {
        for worker in self.workers.drain(..) {
            let figures = worker.compaction_figures();
            self.report.count_times("extents compacted", figures.extents);
            self.report.count_times("bytes moved by compaction", figures.moved_bytes);
        }
        self.replies.clear();
    }

    /// A clean shutdown and a start. Something may still go wrong on the way.
    pub(super) fn shut_down(&mut self) -> Result<(), String> {
        self.disk.make_room();
        for worker in &mut self.workers {
            worker.begin_close();
        }
        self.submit_all();
        let crash_at = if self.rng.chance(300) { self.rng.below(20) } else { u64::MAX };
        let mut waits = 0;
        for step in 0..REST_STEPS_MAX {
            let is_down = ShardSet::is_closed;
            if self.workers.iter().all(is_down) {
                self.report.count("clean shutdowns");
                self.models.iter_mut().for_each(ShardModel::all_is_durable);
                self.end_workers();
                return self.start(false);
            }
            if step == crash_at {
                return self.crash();
            }
            let mut more = false;
            for worker in &mut self.workers {
                more |= worker.end_turn(self.now, self.now_ns);
            }
            self.submit_all();
            match self.complete_one() {
                Ok(false) if more => {}
                Ok(true) => self.deliver(),
                Ok(false) if waits < WAITS_MAX => {
                    waits += 1;
                    self.wait_for_deadlines();
                }
                Ok(false) => {
                    let files = self.workers.iter().flat_map(ShardSet::files).map(ShardFiles::describe);
                    let files: Vec<String> = files.collect();
                    return Err(format!(
                        "a shutdown hangs: it waits and nothing is in flight: {}",
                        files.join("; ")
                    ));
                }
                Err(_) => return self.abort(),
            }
        }
        Err("a shutdown does not end".into())
    }

    /// Nothing is in flight: time passes to the next deadline of any log.
    pub(super) fn wait_for_deadlines(&mut self) {
        let logs = self.workers.iter().filter_map(ShardSet::log);
        if let Some(deadline) = logs.filter_map(Log::next_deadline_ns).min() {
            self.now_ns = self.now_ns.max(deadline);
        }
        for log in self.workers.iter_mut().filter_map(ShardSet::log_mut) {
            log.tick(self.now_ns);
        }
        self.submit_all();
    }

    /// Starts the store until it is up, then compares it with the model.
    pub(super) fn start(&mut self, mut power: bool) -> Result<(), String> {
        self.disk.make_room();
        self.disk.may_stray = false;
        self.disk.quiet = false;
        if self.manifest.is_some() && self.rng.chance(self.options.rates.other_workers) {
            self.worker_count = u16::try_from(1 + self.rng.below(3)).unwrap_or(1);
        }
        let mut crashes = 0;
        loop {
            self.judge_damage(power)?;
            if self.manifest.is_some() && self.rng.chance(self.options.rates.fork) {
                self.run_fork();
            }
            let crash = crashes < BOOT_CRASHES_MAX && self.rng.chance(self.options.rates.crash_in_boot);
            let crash_after = crash.then(|| self.rng.below(60));
            match Self::boot(
                &self.options,
                self.worker_count,
                self.now,
                crash_after,
                &mut self.disk,
                &mut self.report,
            ) {
                Ok(up) => {
                    self.install(up, power)?;
                    return Ok(());
                }
                Err(Down::Crashed) => {
                    crashes += 1;
                    self.report.count("crashes during a start");
                    power |= self.crash_disk();
                }
                Err(Down::Refused { by_error: true, .. }) => {
                    // The disk itself reported an error: the operator sees to it and starts again.
                    self.report.count("starts refused after an I/O error");
                    // What was written and never synced may have gone with it.
                    power = true;
                    self.disk.kill();
                    self.disk.quiet = true;
                }
                Err(Down::Refused { why, by_error: false }) => {
                    return Err(format!("refused without a reason: {why}"));
                }
            }
        }
    }

    pub(super) fn boot(
        options: &Options,
        worker_count: u16,
        now: UnixMs,
        crash_after: Option<u64>,
        disk: &mut SimDisk,
        report: &mut SimReport,
    ) -> Result<Up, Down> {
        let (config, shard_count, storage) = (options.log, options.shard_count, options.storage);
        let salt = disk.draw_salt();
        Boot { disk, report, config, crash_after, worker_count, shard_count, now, storage, salt }.run()
    }

    /// What a shard may not be behind.
    pub(super) fn floor(model: &ShardModel, power: bool) -> Lsn {
        if power { model.durable } else { model.written.max(model.durable) }
    }

    pub(super) fn install(&mut self, mut up: Up, power: bool) -> Result<(), String> {
        self.report.checks += 1;
        self.disk.quiet = true;
        for (owner, worker) in up.workers.iter_mut().enumerate() {
            let Self { disk, report, models, now, .. } = self;
            let floor = |model: &ShardModel| Self::floor(model, power);
            check((worker, owner), models, *now, (disk, report), floor)?;
            if let Some(log) = worker.log_mut() {
                log.set_policy(self.policy);
            }
        }
        self.replies = up.workers.iter().map(|_| VecDeque::new()).collect();
        self.strict_from = vec![BatchNumber::ZERO; up.workers.len()];
        self.workers = up.workers;
        for worker in &mut self.workers {
            worker.set_extent_fill_bytes(self.options.extent_fill_bytes);
            worker.set_compaction(self.options.compaction);
        }
        self.manifest = Some(up.manifest);
        self.disk.quiet = false;
        self.disk.may_stray = true;
        Ok(())
    }

    /// If writes were lost or went astray, or if something is damaged now: what does a start make of it? Afterwards
    /// the disk is as it should be, as if from a copy.
    pub(super) fn judge_damage(&mut self, power: bool) -> Result<(), String> {
        if !self.disk.truth.is_empty() {
            let should = self.disk.true_files();
            let is = std::mem::take(&mut self.disk.files);
            self.disk.truth.clear();
            let excusable = loss_is_excusable(&should, &is, Boot::checksum_seed());
            self.judge(is, excusable, power, "stray write")?;
            self.disk.files = should;
        } else if self.rng.chance(self.options.rates.damage) {
            let mut is = self.disk.files.clone();
            if self.rng.chance(200) {
                let forged = forge(&mut is, Boot::checksum_seed(), &mut self.rng, &mut self.report);
                return forged.map_or(Ok(()), |()| self.judge_forgery(is));
            }
            let fork = if self.rng.chance(500) { self.fork.as_ref() } else { None };
            let mixed_up = fork.and_then(|fork| mix_up(&mut is, fork, &mut self.rng, &mut self.report));
            if let Some(file) = mixed_up {
                // Where a copy's last segment goes on, nothing tells it from ours.
                let excusable = !is_followed(&is, file);
                self.judge(is, excusable, power, "mix-up")?;
            } else if damage(&mut is, &mut self.rng, &mut self.report).is_some() {
                let excusable = loss_is_excusable(&self.disk.files, &is, Boot::checksum_seed());
                self.judge(is, excusable, power, "damage")?;
            }
        }
        Ok(())
    }

    /// A start must refuse these files.
    fn judge_forgery(&mut self, is: Files) -> Result<(), String> {
        let mut disk = self.disk.with_files(is, self.rng.draw());
        let workers = self.worker_count;
        match Self::boot(&self.options, workers, self.now, None, &mut disk, &mut self.report) {
            Ok(_) => Err("a forgery went unnoticed".into()),
            Err(Down::Refused { .. }) => {
                self.report.count("forgery: refused");
                Ok(())
            }
            Err(Down::Crashed) => unreachable!("no crash was asked for"),
        }
    }

    /// Someone starts a copy of the store and writes to it.
    pub(super) fn run_fork(&mut self) {
        let mut disk = self.disk.with_files(self.disk.files.clone(), self.rng.draw());
        let Ok(mut up) =
            Self::boot(&self.options, self.worker_count, self.now, None, &mut disk, &mut self.report)
        else {
            return;
        };
        for _ in 0..self.rng.below(100) {
            let name = format!("key:{}", self.rng.below(self.options.key_count));
            let value = self.rng.draw().to_le_bytes();
            for (owner, worker) in up.workers.iter_mut().enumerate() {
                let key = worker.key(name.as_bytes());
                if worker.owns(key.slot) {
                    let need = Need::Key { db: Db(0), slot: key.slot, hash: key.hash };
                    if bring_needs(worker, owner, &mut disk, &mut self.report, &[need]).is_err() {
                        return;
                    }
                    worker.put(Db(0), &key, &value, None);
                }
                worker.end_turn(self.now, self.now_ns);
                loop {
                    while let Some(request) = worker.next_io() {
                        disk.submit(owner, request);
                    }
                    let Some((_, done)) = disk.complete_one(&mut self.report) else { break };
                    if worker.on_io(done).is_err() {
                        return;
                    }
                }
            }
        }
        self.fork = Some(disk.files);
    }

    /// What a start makes of these files. If the loss is excusable, anything; else it refuses or nothing is lost.
    pub(super) fn judge(
        &mut self,
        is: Files,
        excusable: bool,
        power: bool,
        what: &str,
    ) -> Result<(), String> {
        let mut disk = self.disk.with_files(is, self.rng.draw());
        let workers = self.worker_count;
        match Self::boot(&self.options, workers, self.now, None, &mut disk, &mut self.report) {
            Ok(mut up) => {
                let mut models = self.models.clone();
                for (owner, worker) in up.workers.iter_mut().enumerate() {
                    let floor = |model: &ShardModel| {
                        if excusable { model.base_lsn() } else { Self::floor(model, power) }
                    };
                    match check((worker, owner), &mut models, self.now, (&mut disk, &mut self.report), floor)
                    {
                        Err(broken) if broken.starts_with(UNREADABLE) => {
                            self.report.count(format!("{what}: noticed when read"));
                        }
                        Err(_) if excusable => {
                            self.report.count(format!("{what}: of the unproved end, lost"))
                        }
                        Err(broken) => return Err(format!("{what} went unnoticed: {broken}")),
                        Ok(()) => self.report.count(format!("{what}: nothing lost")),
                    }
                }
            }
            Err(Down::Refused { .. }) => self.report.count(format!("{what}: refused")),
            Err(Down::Crashed) => unreachable!("no crash was asked for"),
        }
        Ok(())
    }
}

/// What a check says first when a record cannot be read back.
const UNREADABLE: &str = "unreadable";

/// Compares the shards of a worker that has just come up with their models, which take it as their new beginning.
fn check(
    (worker, owner): (&mut ShardSet<HeapPool>, usize),
    models: &mut [ShardModel],
    now: UnixMs,
    (disk, report): (&mut SimDisk, &mut SimReport),
    floor: impl Fn(&ShardModel) -> Lsn,
) -> Result<(), String> {
    let mut expected = BTreeMap::new();
    for shard in worker.shards() {
        let (id, lsn) = (shard.id(), shard.lsn());
        let model = &mut models[usize::from(id.0)];
        let floor = floor(model);
        model.come_back(lsn, floor).map_err(|broken| format!("shard {id}: {broken}"))?;
        expected.extend(model.live(now));
    }
    let Some(first) = worker.shards().first().map(|shard| shard.slots().0) else { return Ok(()) };
    let mut found = BTreeMap::new();
    for db in 0..DB_COUNT {
        let db = u8::try_from(db).unwrap_or(0);
        let mut cursor = ScanCursor::at_slot(first.0);
        while let Some(slot) = cursor.slot()
            && worker.owns(slot)
        {
            bring_scan(worker, owner, disk, report, (Db(db), cursor, 1000))
                .map_err(|error| format!("{UNREADABLE}: {error}"))?;
            cursor = worker.scan(Db(db), cursor, 1000, now, &mut |key, seen| {
                let value = ModelValue { value: Rc::new(seen.value.to_vec()), deadline: seen.deadline };
                found.insert((db, key.to_vec()), value);
            });
            if cursor == ScanCursor(0) {
                break;
            }
        }
    }
    for (key, value) in &expected {
        let seen = found.remove(key);
        if seen.as_ref() != Some(value) {
            return Err(format!("{key:?} has {}, not {}", brief(&seen), brief(&Some(value.clone()))));
        }
    }
    if let Some((key, value)) = found.pop_first() {
        return Err(format!("{key:?} has {}, and should not be there", brief(&Some(value))));
    }
    let _ = worker.take_barrier();
    Ok(())
}
