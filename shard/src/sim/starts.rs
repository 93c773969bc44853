//! How a run ends and begins again: crashes, shutdowns, damage while the store is down, and the check of what comes up.

use crate::checkpoint::ShardFiles;
use crate::io::FileId;
use crate::limits::SPACE_RETRY_MS;
use crate::log::Log;
use crate::shard_manifest::ShardManifest;
use crate::shard_set::ShardSet;
use crate::sim::boot::{Boot, Down, Up};
use crate::sim::cold::bring_needs;
use crate::sim::damage::{Damage, is_followed, loss_is_excusable};
use crate::sim::disk::{Files, SimDisk};
use crate::sim::driver::Driver;
use crate::sim::fault::Fault;
use crate::sim::histories::{has_other_copy, other_of_two_histories};
use crate::sim::invariants::{content::CameUp, order::KeyOrder};
use crate::sim::model::ShardModel;
use crate::sim::options::Options;
use crate::sim::refusals;
use crate::sim::report::SimReport;
use crate::sim::strike::End;
use crate::types::{Db, Lsn, ShardId, UnixMs};

/// Starts in a row that may be cut short by a crash.
const BOOT_CRASHES_MAX: u64 = 4;
/// Completions within which a store that nobody disturbs must come to rest.
const REST_STEPS_MAX: u64 = 200_000;
/// Times a shutdown may wait for a deadline.
const WAITS_MAX: u64 = 4;

impl Driver {
    /// Everything stops at once.
    pub(super) fn crash(&mut self) -> Result<(), String> {
        if self.options.memory_only.is_some() {
            return self.end_in_memory();
        }
        let power = self.crash_disk();
        self.start(power)
    }

    /// The process ends itself after an I/O error; what was written and never synced may have gone with it.
    pub(super) fn abort(&mut self) -> Result<(), String> {
        let by_error = !self.disk.is_down();
        if by_error {
            self.disk.has_ended_process();
        }
        let power = self.crash_disk();
        self.start(power || by_error)
    }

    pub(super) fn crash_disk(&mut self) -> bool {
        self.end_workers();
        self.report.crashes += 1;
        let kinds = self.options.faults;
        let power = match self.disk.take_down() {
            Some(end) => end == End::Power,
            None => {
                !kinds.has(Fault::Kill)
                    || (kinds.has(Fault::PowerLoss) && self.rng.odds(self.options.rates.power_loss))
            }
        };
        if power {
            self.report.fault(Fault::PowerLoss);
            self.disk.lose_power(&mut self.report);
        } else {
            self.report.fault(Fault::Kill);
            self.disk.kill();
        }
        power
    }

    pub(super) fn end_workers(&mut self) {
        for worker in self.workers.drain(..) {
            let figures = worker.compaction_figures();
            self.report.count_times("extents compacted", figures.extents);
            self.report.count_times("bytes moved by compaction", figures.moved_bytes);
            let scrub = worker.scrub_figures();
            self.report.count_times("scrub rounds ended", scrub.rounds);
            self.report.count_times("bytes read by scrubs", scrub.read_bytes);
            for files in worker.files().iter().filter(|_| !self.options.wal) {
                self.models[usize::from(files.manifest().shard.0)]
                    .is_saved(files.end_lsn(), files.publishing_lsn());
            }
        }
        self.tasks.clear();
        self.replies.clear();
        self.parked.clear();
        self.order = KeyOrder::default();
    }

    /// A clean shutdown and a start. Something may still go wrong on the way.
    pub(super) fn shut_down(&mut self) -> Result<(), String> {
        if self.options.memory_only.is_some() {
            return self.end_in_memory();
        }
        self.disk.make_room();
        if !self.drain()? {
            return self.abort();
        }
        for worker in &mut self.workers {
            worker.begin_close();
        }
        self.submit_all();
        // Where one request is to be hit, nothing else is.
        let may_crash = self.disk.strikes.is_none();
        let crash_at = if may_crash && self.rng.chance(300) { self.rng.below(20) } else { u64::MAX };
        let mut waits = 0;
        for step in 0..REST_STEPS_MAX {
            let is_down = ShardSet::is_closed;
            if self.workers.iter().all(is_down) {
                if let Some(request) = self.disk.in_flight() {
                    return Err(format!("all is closed, and something is in flight: {request}"));
                }
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
            self.watch()?;
            match self.complete_one() {
                Ok(false) if more => {}
                Ok(true) => self.deliver(),
                Ok(false) if waits < WAITS_MAX => {
                    waits += 1;
                    self.wait_for_deadlines();
                }
                Ok(false) if self.disk.is_full() => {
                    // Without a log it waits for room: somebody makes some.
                    self.disk.make_room();
                    waits = 0;
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
        if !self.options.wal {
            // What a full disk has refused is tried again after a while.
            self.pass_ms(SPACE_RETRY_MS);
        }
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
        if let Some(limit) = self.options.memory_only {
            return self.start_in_memory(limit);
        }
        self.disk.may_stray = false;
        self.disk.quiet = false;
        self.disk.stray_reads.forget();
        self.maybe_jump_while_down();
        if self.manifest.is_some() && self.rng.odds(self.options.rates.other_workers) {
            self.worker_count = u16::try_from(1 + self.rng.below(3)).unwrap_or(1);
            self.disk.make_room();
        }
        self.may_stay_full();
        let mut crashes = 0;
        loop {
            self.judge_damage(power)?;
            self.judge_stray_read(power)?;
            self.crash_again(power)?;
            if self.manifest.is_some() && self.rng.odds(self.options.rates.fork) {
                self.run_fork();
            }
            let crash = crashes < BOOT_CRASHES_MAX
                && self.options.faults.has(Fault::CrashInBoot)
                && self.rng.odds(self.options.rates.crash_in_boot);
            let crash_after = crash.then(|| self.rng.below(60));
            let failed_syncs = self.report.faults(Fault::SyncError);
            match Self::boot(
                &self.options,
                self.worker_count,
                self.now,
                crash_after,
                &mut self.disk,
                &mut self.report,
            ) {
                Ok(up) => {
                    self.disk.goes_on();
                    self.install(up, power)?;
                    return Ok(());
                }
                Err(Down::Crashed) => {
                    crashes += 1;
                    self.report.fault(Fault::CrashInBoot);
                    power |= self.crash_disk();
                    // A sync that failed before the crash has taken what it was to make durable with it.
                    power |= self.report.faults(Fault::SyncError) > failed_syncs;
                }
                Err(Down::Refused { by_error: true, .. }) => {
                    // The disk itself reported an error: the operator sees to it and starts again.
                    self.report.count("starts refused after an I/O error");
                    // What was written and never synced may have gone with it.
                    power = true;
                    self.disk.kill();
                    self.disk.mend();
                    self.disk.quiet = true;
                    self.disk.make_room();
                }
                Err(Down::Refused { why, by_error: false }) => {
                    return Err(format!("refused without a reason: {why}"));
                }
            }
        }
    }

    /// A disk that was full when the store crashed may be full when it starts. What was appended has a file to go on in; a
    /// store that is made, or served by another number of workers, needs more, and so does a replay within little memory.
    fn may_stay_full(&mut self) {
        let goes_on = self.options.wal && self.manifest.is_some();
        if !goes_on || self.options.storage.memory_bytes_max.is_some() || self.rng.chance(300) {
            self.disk.make_room();
        }
        if self.disk.is_full() {
            self.report.count("starts on a full disk");
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
        let extent_fill_bytes = options.extent_fill_bytes;
        Boot {
            disk,
            report,
            config,
            wal: options.wal,
            crash_after,
            worker_count,
            shard_count,
            now,
            storage,
            salt,
            extent_fill_bytes,
        }
        .run()
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
            let unreadable = CameUp { worker, owner, now: *now, disk, report }.check(models, floor)?;
            if let Some(error) = unreadable.first() {
                return Err(format!("after a start without damage: {error}"));
            }
            if let Some(log) = worker.log_mut() {
                log.set_policy(self.policy);
            }
        }
        self.serve_with(up.workers);
        self.manifest = Some(up.manifest);
        self.take_databases(up.on_disk)?;
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
            let files: Vec<String> =
                self.disk.truth.keys().map(|(file, block)| format!("{file} block {block}")).collect();
            let files = files.join(", ");
            // A crash has torn the other copy, and no log says which snapshot is the oldest that will do.
            let is_only_copy = |file: FileId| {
                let is_of_shard = matches!(file, FileId::ShardManifest { .. });
                is_of_shard && !self.options.wal && !has_other_copy::<ShardManifest>(&is, file)
            };
            let is_lone = self.disk.truth.keys().any(|(file, _)| is_only_copy(*file));
            self.disk.truth.clear();
            let excusable = is_lone || loss_is_excusable(&should, &is, Boot::checksum_seed());
            self.disk.files = should;
            self.judge(is, excusable, power, "stray write")
                .map_err(|broken| format!("{broken} ({files})"))?;
        } else if self.rng.odds(self.options.rates.damage) {
            let mut is = self.disk.files.clone();
            let Self { rng, report, .. } = self;
            let (kinds, seed) = (self.options.faults, Boot::checksum_seed());
            let forges = rng.chance(300);
            let mut damage = Damage { files: &mut is, kinds, seed, rng, report };
            if forges {
                return damage.forge().map_or(Ok(()), |()| self.judge_forgery(is));
            }
            let fork = if damage.rng.chance(500) { self.fork.as_ref() } else { None };
            if let Some(file) = fork.and_then(|fork| damage.mix_up(fork)) {
                let excusable = match file {
                    // Where a copy's last segment goes on, nothing tells it from ours.
                    FileId::Segment { .. } => !is_followed(&is, file),
                    // A crash has torn the other copy, and no log says which snapshot is the oldest that will do.
                    FileId::ShardManifest { .. } => {
                        !self.options.wal && !has_other_copy::<ShardManifest>(&is, file)
                    }
                    _ => false,
                };
                let other = other_of_two_histories(&is, file);
                let kept = other.and_then(|other| Some((other, is.get(&other)?.clone())));
                let refused = self
                    .judge(is, excusable, power, "mix-up")
                    .map_err(|broken| format!("{broken} ({file})"))?;
                if let Some((other, kept)) = kept {
                    self.report.count("mix-up: two histories");
                    let is_kept =
                        |files: Files| files.get(&other).is_some_and(|is| is.bytes() == kept.bytes());
                    if !refused.is_some_and(is_kept) {
                        return Err(format!("of two histories one was taken and {other} given up ({file})"));
                    }
                }
            } else if let Some(file) = damage.any() {
                let excusable = loss_is_excusable(&self.disk.files, &is, Boot::checksum_seed());
                self.judge(is, excusable, power, "damage").map_err(|broken| format!("{broken} ({file})"))?;
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

    /// Someone starts a copy of the store, once or twice, and writes to it.
    pub(super) fn run_fork(&mut self) {
        let mut disk = self.disk.with_files(self.disk.files.clone(), self.rng.draw());
        for _ in 0..=self.rng.below(2) {
            let mut workers = self.worker_count;
            if self.rng.chance(300) {
                workers = u16::try_from(1 + self.rng.below(3)).unwrap_or(1);
            }
            if !self.write_to_fork(&mut disk, workers) {
                return;
            }
            disk.kill();
        }
        self.fork = Some(disk.files);
    }

    /// One start of the copy and some writes. False: it does not come up, or the disk reports an error.
    fn write_to_fork(&mut self, disk: &mut SimDisk, workers: u16) -> bool {
        let Ok(mut up) = Self::boot(&self.options, workers, self.now, None, disk, &mut self.report) else {
            return false;
        };
        let mut checkpoints = self.rng.below(3);
        for _ in 0..self.rng.below(100) {
            let name = self.options.key_name(self.rng.below(self.options.key_count));
            let value = self.rng.draw().to_le_bytes();
            for (owner, worker) in up.workers.iter_mut().enumerate() {
                let key = worker.key(name.as_bytes());
                if worker.owns(key.slot) {
                    let need = worker.need(Db(0), key.slot, key.hash);
                    if bring_needs(worker, owner, disk, &mut self.report, &[need]).is_err() {
                        return false;
                    }
                    worker.put(Db(0), &key, &value, None);
                }
                if checkpoints > 0 && self.rng.chance(50) {
                    checkpoints -= 1;
                    worker.checkpoint();
                }
                loop {
                    let more = worker.end_turn(self.now, self.now_ns);
                    while let Some(request) = worker.next_io() {
                        disk.submit(owner, request);
                    }
                    match disk.complete_one(&mut self.report) {
                        Some((_, done)) => {
                            if worker.on_io(done).is_err() {
                                return false;
                            }
                        }
                        None if more => {}
                        None => break,
                    }
                }
            }
        }
        true
    }

    /// What a start makes of these files. If the loss is excusable, anything; else it refuses or nothing is lost.
    /// Returns the files as a start that refuses leaves them.
    pub(super) fn judge(
        &mut self,
        is: Files,
        excusable: bool,
        power: bool,
        what: &str,
    ) -> Result<Option<Files>, String> {
        let disk = self.disk.with_files(is, self.rng.draw());
        self.judge_start(disk, &|_| excusable, power, what)
    }

    /// What a start makes of this disk. Whether the loss is excusable is asked when the start is through.
    pub(super) fn judge_start(
        &mut self,
        mut disk: SimDisk,
        excusable: &dyn Fn(&SimDisk) -> bool,
        power: bool,
        what: &str,
    ) -> Result<Option<Files>, String> {
        let damaged: Vec<ShardId> = disk
            .files
            .iter()
            .filter_map(|(name, file)| match name {
                FileId::ShardData { shard } => Some((*shard, file, self.disk.files.get(name))),
                _ => None,
            })
            .filter(|(_, file, should)| {
                should.is_none_or(|should| !file.is_same(should, 0..file.len().max(should.len())))
            })
            .map(|(shard, ..)| shard)
            .collect();
        let has_store_manifest = self.has_store_manifest(&disk.files);
        let workers = self.worker_count;
        match Self::boot(&self.options, workers, self.now, None, &mut disk, &mut self.report) {
            Ok(mut up) => {
                let excusable = excusable(&disk);
                if has_store_manifest {
                    self.check_databases(up.on_disk.databases)
                        .map_err(|broken| format!("{what} went unnoticed: {broken}"))?;
                }
                let mut models = self.models.clone();
                for (owner, worker) in up.workers.iter_mut().enumerate() {
                    let floor = |model: &ShardModel| {
                        if excusable { model.base_lsn() } else { Self::floor(model, power) }
                    };
                    let Self { report, now, .. } = self;
                    let mut came_up = CameUp { worker, owner, now: *now, disk: &mut disk, report };
                    match came_up.check(&mut models, floor) {
                        Err(_) if excusable => {
                            report.count(format!("{what}: of the unproved end, lost"));
                        }
                        Err(broken) => return Err(format!("{what} went unnoticed: {broken}")),
                        Ok(unreadable) if unreadable.is_empty() => {
                            report.count(format!("{what}: nothing lost"));
                        }
                        Ok(unreadable) => {
                            for error in unreadable {
                                report.count(refusals::of_cold_read(error.problem));
                                if !damaged.contains(&error.shard) && !disk.stray_reads.has_hit(error.shard) {
                                    return Err(format!(
                                        "{what}: of a shard whose data file is whole: {error}"
                                    ));
                                }
                            }
                            report.count(format!("{what}: noticed when read"));
                        }
                    }
                }
            }
            Err(Down::Refused { .. }) => {
                self.report.count(format!("{what}: refused"));
                return Ok(Some(disk.files));
            }
            Err(Down::Crashed) => unreachable!("no crash was asked for"),
        }
        Ok(None)
    }
}
