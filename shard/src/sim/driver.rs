//! One run: operations, turns, completions, crashes and starts, drawn from a seed, checked against the model.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::io::Fatal;
use crate::log::{PlantedBug, SyncPolicy};
use crate::shard_set::{ScanCursor, ShardSet};
use crate::sim::boot::{Boot, Down, Up};
use crate::sim::damage::{damage, is_followed, loss_is_excusable, mix_up};
use crate::sim::disk::{Files, SimDisk};
use crate::sim::model::{ModelKey, ModelValue, ShardModel};
use crate::sim::options::Options;
use crate::sim::report::SimReport;
use crate::sim::rng::Rng;
use crate::store_manifest::StoreManifest;
use crate::testing::HeapPool;
use crate::types::{BatchNumber, Db, Lsn, ShardId, UnixMs};

/// Starts in a row that may be cut short by a crash.
const BOOT_CRASHES_MAX: u64 = 4;
/// Completions within which a store that nobody disturbs must come to rest.
const REST_STEPS_MAX: u64 = 200_000;
/// Times a shutdown may wait for a deadline.
const WAITS_MAX: u64 = 4;
/// Databases that operations use.
const DB_COUNT: u64 = 2;

/// A reply that waits for its batch.
struct Reply {
    barrier: BatchNumber,
    /// What it acknowledges or reveals.
    tells: Vec<(ShardId, Lsn)>,
    /// Whether it promises that this survives power loss.
    strict: bool,
}

/// A store, its disk and its model.
pub struct Driver {
    options: Options,
    rng: Rng,
    disk: SimDisk,
    models: Vec<ShardModel>,
    workers: Vec<ShardSet<HeapPool>>,
    manifest: Option<StoreManifest>,
    replies: Vec<VecDeque<Reply>>,
    policy: SyncPolicy,
    /// The change to [`SyncPolicy::EveryBatch`] is in force when this batch of each worker is durable: what was written
    /// under a laxer policy is known to readers until then.
    strict_from: Vec<BatchNumber>,
    /// Files of a copy of the store that went its own way.
    fork: Option<Files>,
    worker_count: u16,
    now: UnixMs,
    now_ns: u64,
    value_counter: u64,
    report: SimReport,
}

/// Runs a seed's options to the end.
///
/// # Errors
/// What the store broke, with the command that replays it.
pub fn run(options: &Options) -> (SimReport, Result<(), String>) {
    let mut driver = Driver::new(options.clone());
    let result = driver.run();
    driver.report.seeds = 1;
    let planted = options.planted.map_or(String::new(), |bug| format!(" --planted {bug:?}"));
    let result = result.map_err(|what| {
        format!(
            "sim --seeds {0}..{1} --operations {2}{planted}: {what}",
            options.seed,
            options.seed + 1,
            options.operations
        )
    });
    (driver.report, result)
}

impl Driver {
    fn new(options: Options) -> Self {
        let disk = SimDisk::new(options.seed, options.rates);
        let models = (0..options.shard_count).map(|_| ShardModel::default()).collect();
        Self {
            rng: Rng::new(options.seed),
            disk,
            models,
            workers: Vec::new(),
            manifest: None,
            replies: Vec::new(),
            strict_from: Vec::new(),
            fork: None,
            policy: options.log.policy,
            worker_count: options.worker_count,
            now: UnixMs(1_700_000_000_000),
            now_ns: 1_000_000_000,
            value_counter: 0,
            report: SimReport::default(),
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

    // ---- a round ----------------------------------------------------------------------------------------------

    fn round(&mut self) -> Result<(), String> {
        let rates = self.options.rates;
        if self.rng.chance(rates.crash) {
            return self.crash();
        }
        if self.rng.chance(rates.shutdown) {
            return self.shut_down();
        }
        if rates.disk_full > 0 && self.rng.chance(rates.disk_full) {
            self.disk.toggle_full(&mut self.report);
        }
        let pause = self.rng.pick(&[1, 5, 20, 150, 1200]);
        self.now = UnixMs(self.now.0 + pause);
        self.now_ns += pause * 1_000_000;
        for _ in 0..=self.rng.below(self.options.turn_max) {
            self.operation()?;
        }
        if self.rng.chance(self.options.flush) {
            self.flush();
        }
        if self.rng.chance(10) {
            let at = self.rng.position(self.workers.len());
            if let Some(log) = self.workers[at].log_mut() {
                log.rotate();
            }
        }
        if self.rng.chance(3) {
            self.change_policy();
        }
        if self.turn().is_err() {
            return self.abort();
        }
        Ok(())
    }

    /// The end of a turn on every worker, then some completions.
    fn turn(&mut self) -> Result<(), Fatal> {
        let tick = self.rng.chance(300);
        for at in 0..self.workers.len() {
            if tick {
                self.workers[at].tick(self.now, self.now_ns, 4);
                self.follow(at);
            }
            self.workers[at].close_batch(self.now_ns);
        }
        self.submit_all();
        for _ in 0..self.rng.below(self.options.completions_max + 1) {
            self.complete_one()?;
        }
        self.deliver();
        Ok(())
    }

    /// Records that the worker wrote on its own, deletes of ended keys, change nothing visible.
    fn follow(&mut self, at: usize) {
        for shard in self.workers[at].shards() {
            self.models[usize::from(shard.id().0)].pass(shard.lsn());
        }
    }

    fn submit_all(&mut self) {
        for (owner, worker) in self.workers.iter_mut().enumerate() {
            while let Some(request) = worker.next_io() {
                self.disk.submit(owner, request);
            }
        }
    }

    fn complete_one(&mut self) -> Result<bool, Fatal> {
        let Some((owner, done)) = self.disk.complete_one(&mut self.report) else { return Ok(false) };
        let now_ns = self.now_ns;
        let worker = &mut self.workers[owner];
        if let Some(log) = worker.log_mut() {
            log.advance_clock(now_ns);
        }
        if let Err(fatal) = worker.on_io(done) {
            self.report.count("aborts after a write error");
            return Err(fatal);
        }
        self.submit_all();
        Ok(true)
    }

    /// Delivers every reply whose batch has been passed.
    fn deliver(&mut self) {
        for (worker, replies) in self.workers.iter().zip(&mut self.replies) {
            let released = worker.released();
            let ready = replies.iter().filter(|reply| reply.barrier <= released).count();
            self.report.replies += ready as u64;
            for reply in replies.iter().filter(|reply| reply.barrier <= released) {
                for &(shard, lsn) in &reply.tells {
                    let model = &mut self.models[usize::from(shard.0)];
                    model.written = model.written.max(lsn);
                    if reply.strict && self.policy == SyncPolicy::EveryBatch {
                        model.durable = model.durable.max(lsn);
                    }
                }
            }
            replies.retain(|reply| reply.barrier > released);
        }
    }

    fn change_policy(&mut self) {
        self.policy = self.rng.pick(&[
            SyncPolicy::EveryBatch,
            SyncPolicy::EveryBatch,
            SyncPolicy::EverySecond,
            SyncPolicy::Never,
        ]);
        for worker in &mut self.workers {
            if let Some(log) = worker.log_mut() {
                log.set_policy(self.policy);
            }
        }
        self.strict_from =
            self.workers.iter().filter_map(ShardSet::log).map(crate::log::Log::appended).collect();
    }

    // ---- operations -------------------------------------------------------------------------------------------

    fn any_key(&mut self) -> ModelKey {
        let db = if self.rng.chance(800) { 0 } else { self.rng.below(DB_COUNT) };
        let db = u8::try_from(db).unwrap_or(0);
        (db, format!("key:{}", self.rng.below(self.options.key_count)).into_bytes())
    }

    fn any_value(&mut self, deadline: Option<UnixMs>) -> ModelValue {
        self.value_counter += 1;
        let len = self.rng.pick(&self.options.value_bytes).max(1);
        let len = usize::try_from(len + self.rng.below(len)).unwrap_or(1);
        let stamp = self.value_counter.to_le_bytes();
        let mut value = stamp.repeat(len.div_ceil(stamp.len()));
        value.truncate(len);
        ModelValue { value: Rc::new(value), deadline }
    }

    fn any_deadline(&mut self) -> Option<UnixMs> {
        let after = self.rng.pick(&[0, 0, 0, 5, 100, 3000]);
        (after > 0).then(|| UnixMs(self.now.0 + after))
    }

    /// The worker and the shard of a key.
    fn place(&self, key: &ModelKey) -> (usize, ShardId) {
        let Some(manifest) = &self.manifest else { unreachable!("the store is up") };
        let shard = manifest.shard_of(crate::slot::slot_of(&key.1));
        let logs = &manifest.current_era().logs;
        let worker = logs.iter().rposition(|log| log.first_shard <= shard);
        (worker.unwrap_or(0), shard)
    }

    fn lsn_of(&self, worker: usize, shard: ShardId) -> Lsn {
        let shards = self.workers[worker].shards();
        shards.iter().find(|of| of.id() == shard).map_or(Lsn::ZERO, |shard| shard.lsn())
    }

    fn operation(&mut self) -> Result<(), String> {
        self.report.operations += 1;
        match self.rng.below(100) {
            0..45 => self.set(),
            45..70 => self.get()?,
            70..78 => self.delete()?,
            78..84 => self.expire()?,
            84..92 => self.append()?,
            92..98 => self.group(),
            _ => self.count_keys(),
        }
        Ok(())
    }

    fn reply(&mut self, worker: usize, tells: Vec<(ShardId, Lsn)>) {
        let barrier = self.workers[worker].take_barrier();
        let in_force =
            self.workers[worker].log().is_some_and(|log| log.durable() >= self.strict_from[worker]);
        let strict = self.policy == SyncPolicy::EveryBatch && in_force;
        self.replies[worker].push_back(Reply { barrier, tells, strict });
    }

    fn set(&mut self) {
        let key = self.any_key();
        let deadline = self.any_deadline();
        let value = self.any_value(deadline);
        let (worker, shard) = self.place(&key);
        let set = &mut self.workers[worker];
        let full = set.key(&key.1);
        set.put(Db(key.0), &full, &value.value, deadline);
        let after = self.lsn_of(worker, shard);
        self.models[usize::from(shard.0)].change(after, false, vec![(key, Some(value))]);
        self.reply(worker, vec![(shard, after)]);
    }

    fn get(&mut self) -> Result<(), String> {
        let key = self.any_key();
        let (worker, shard) = self.place(&key);
        let set = &mut self.workers[worker];
        let full = set.key(&key.1);
        let found = set.lookup(Db(key.0), &full, self.now);
        let found =
            found.map(|found| ModelValue { value: Rc::new(found.value.to_vec()), deadline: found.deadline });
        let after = self.lsn_of(worker, shard);
        let model = &mut self.models[usize::from(shard.0)];
        let expected = model.get(&key, self.now).cloned();
        let tells = vec![(shard, model.changed(&key))];
        model.pass(after);
        if found != expected {
            return Err(format!("a read of {key:?} found {}, not {}", brief(&found), brief(&expected)));
        }
        let ungated = if found.is_some() { PlantedBug::ReadNotGated } else { PlantedBug::MissNotGated };
        self.reply(worker, tells);
        if self.options.planted == Some(ungated)
            && let Some(reply) = self.replies[worker].back_mut()
        {
            reply.barrier = BatchNumber::ZERO;
        }
        Ok(())
    }

    /// What a command that changes an existing key did: `effect` when it was there.
    fn changed(
        &mut self,
        key: ModelKey,
        there: bool,
        effect: impl FnOnce(&ModelValue) -> Option<ModelValue>,
    ) -> Result<(), String> {
        let (worker, shard) = self.place(&key);
        let after = self.lsn_of(worker, shard);
        let model = &mut self.models[usize::from(shard.0)];
        let before = model.get(&key, self.now).cloned();
        if there != before.is_some() {
            return Err(format!("{key:?} was there: {there}, and should be: {}", before.is_some()));
        }
        let tells = match before {
            Some(before) => {
                let effect = effect(&before);
                model.change(after, false, vec![(key, effect)]);
                after
            }
            None => {
                let changed = model.changed(&key);
                model.pass(after);
                changed
            }
        };
        self.reply(worker, vec![(shard, tells)]);
        Ok(())
    }

    fn delete(&mut self) -> Result<(), String> {
        let key = self.any_key();
        let (worker, _) = self.place(&key);
        let set = &mut self.workers[worker];
        let full = set.key(&key.1);
        let there = set.delete(Db(key.0), &full, self.now);
        self.changed(key, there, |_| None)
    }

    fn expire(&mut self) -> Result<(), String> {
        let key = self.any_key();
        let deadline = self.any_deadline();
        let (worker, _) = self.place(&key);
        let set = &mut self.workers[worker];
        let full = set.key(&key.1);
        let there = set.set_deadline(Db(key.0), &full, deadline, self.now);
        self.changed(key, there, |before| Some(ModelValue { deadline, ..before.clone() }))
    }

    fn append(&mut self) -> Result<(), String> {
        let key = self.any_key();
        let (worker, shard) = self.place(&key);
        let before = self.models[usize::from(shard.0)].get(&key, self.now).cloned();
        let (len, deadline) = before.as_ref().map_or((0, None), |value| (value.value.len(), value.deadline));
        if len > 100_000 {
            return self.delete();
        }
        self.value_counter += 1;
        let bytes = self.value_counter.to_le_bytes();
        let gap = usize::try_from(self.rng.below(20)).unwrap_or(0);
        let set = &mut self.workers[worker];
        let full = set.key(&key.1);
        let offset = u32::try_from(len + gap).unwrap_or(u32::MAX);
        let new_len = set.patch(Db(key.0), &full, offset, &bytes, self.now);
        if new_len != len + gap + bytes.len() {
            return Err(format!("a patch of {key:?} made it {new_len} bytes long"));
        }
        let mut value = before.map_or(Vec::new(), |value| value.value.to_vec());
        value.resize(len + gap, 0);
        value.extend_from_slice(&bytes);
        let after = self.lsn_of(worker, shard);
        let value = ModelValue { value: Rc::new(value), deadline };
        self.models[usize::from(shard.0)].change(after, false, vec![(key, Some(value))]);
        self.reply(worker, vec![(shard, after)]);
        Ok(())
    }

    /// Several writes that count together per shard, on one worker.
    fn group(&mut self) {
        let (worker, _) = {
            let key = self.any_key();
            self.place(&key)
        };
        let mut effects: Vec<(ShardId, ModelKey, Option<ModelValue>)> = Vec::new();
        self.workers[worker].begin_group();
        for _ in 0..2 + self.rng.below(6) {
            let key = self.any_key();
            let (own, shard) = self.place(&key);
            if own != worker || effects.iter().any(|(_, of, _)| *of == key) {
                continue;
            }
            let deletes = self.rng.chance(200);
            let value = self.any_value(None);
            let set = &mut self.workers[worker];
            let full = set.key(&key.1);
            if deletes {
                if set.delete(Db(key.0), &full, self.now) {
                    effects.push((shard, key, None));
                }
            } else {
                set.put(Db(key.0), &full, &value.value, None);
                effects.push((shard, key, Some(value)));
            }
        }
        self.workers[worker].end_group();
        let mut tells = Vec::new();
        for at in 0..self.workers[worker].shards().len() {
            let (shard, after) =
                (self.workers[worker].shards()[at].id(), self.workers[worker].shards()[at].lsn());
            let own = effects.iter().filter(|(of, ..)| *of == shard);
            let own: Vec<_> = own.map(|(_, key, value)| (key.clone(), value.clone())).collect();
            if after > self.models[usize::from(shard.0)].lsn() {
                tells.push((shard, after));
            }
            self.models[usize::from(shard.0)].change(after, true, own);
        }
        self.reply(worker, tells);
    }

    fn count_keys(&mut self) {
        let worker = self.rng.position(self.workers.len());
        let set = &mut self.workers[worker];
        set.key_count(Db(0));
        let tells = set.shards().iter().map(|shard| (shard.id(), shard.lsn())).collect();
        self.reply(worker, tells);
    }

    fn flush(&mut self) {
        let db = if self.rng.chance(700) { None } else { Some(0) };
        for worker in 0..self.workers.len() {
            match db {
                Some(db) => self.workers[worker].flush_database(Db(db)),
                None => self.workers[worker].flush_all(),
            }
            let mut tells = Vec::new();
            for shard in self.workers[worker].shards() {
                self.models[usize::from(shard.id().0)].flush(shard.lsn(), db, self.now);
                tells.push((shard.id(), shard.lsn()));
            }
            self.reply(worker, tells);
        }
        self.report.count("flushes");
    }

    // ---- the end, and the beginning ---------------------------------------------------------------------------

    /// Everything stops at once.
    fn crash(&mut self) -> Result<(), String> {
        let power = self.crash_disk();
        self.start(power)
    }

    /// The process ends itself after an I/O error; what was written and never synced may have gone with it.
    fn abort(&mut self) -> Result<(), String> {
        self.crash_disk();
        self.start(true)
    }

    fn crash_disk(&mut self) -> bool {
        self.workers.clear();
        self.replies.clear();
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

    /// A clean shutdown and a start. Something may still go wrong on the way.
    fn shut_down(&mut self) -> Result<(), String> {
        self.disk.make_room();
        for worker in &mut self.workers {
            if let Some(log) = worker.log_mut() {
                log.begin_shutdown();
            }
        }
        self.submit_all();
        let crash_at = if self.rng.chance(300) { self.rng.below(20) } else { u64::MAX };
        let mut waits = 0;
        for step in 0..REST_STEPS_MAX {
            let is_down =
                |worker: &ShardSet<HeapPool>| worker.log().is_none_or(crate::log::Log::is_shut_down);
            if self.workers.iter().all(is_down) {
                self.report.count("clean shutdowns");
                self.models.iter_mut().for_each(ShardModel::all_is_durable);
                self.workers.clear();
                self.replies.clear();
                return self.start(false);
            }
            if step == crash_at {
                return self.crash();
            }
            match self.complete_one() {
                Ok(true) => self.deliver(),
                Ok(false) if waits < WAITS_MAX => {
                    waits += 1;
                    self.wait_for_deadlines();
                }
                Ok(false) => return Err("a shutdown hangs: it waits and nothing is in flight".into()),
                Err(_) => return self.abort(),
            }
        }
        Err("a shutdown does not end".into())
    }

    /// Nothing is in flight: time passes to the next deadline of any log.
    fn wait_for_deadlines(&mut self) {
        let logs = self.workers.iter().filter_map(ShardSet::log);
        if let Some(deadline) = logs.filter_map(crate::log::Log::next_deadline_ns).min() {
            self.now_ns = self.now_ns.max(deadline);
        }
        for log in self.workers.iter_mut().filter_map(ShardSet::log_mut) {
            log.tick(self.now_ns);
        }
        self.submit_all();
    }

    /// Starts the store until it is up, then compares it with the model.
    fn start(&mut self, mut power: bool) -> Result<(), String> {
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

    fn boot(
        options: &Options,
        worker_count: u16,
        now: UnixMs,
        crash_after: Option<u64>,
        disk: &mut SimDisk,
        report: &mut SimReport,
    ) -> Result<Up, Down> {
        let (config, shard_count) = (options.log, options.shard_count);
        Boot { disk, report, config, crash_after, worker_count, shard_count, now }.run()
    }

    /// What a shard may not be behind.
    fn floor(model: &ShardModel, power: bool) -> Lsn {
        if power { model.durable } else { model.written.max(model.durable) }
    }

    fn install(&mut self, mut up: Up, power: bool) -> Result<(), String> {
        self.report.checks += 1;
        for worker in &mut up.workers {
            check(worker, &mut self.models, self.now, |model| Self::floor(model, power))?;
            if let Some(log) = worker.log_mut() {
                log.set_policy(self.policy);
            }
        }
        self.replies = up.workers.iter().map(|_| VecDeque::new()).collect();
        self.strict_from = vec![BatchNumber::ZERO; up.workers.len()];
        self.workers = up.workers;
        self.manifest = Some(up.manifest);
        self.disk.quiet = false;
        self.disk.may_stray = true;
        Ok(())
    }

    /// If writes were lost or went astray, or if something is damaged now: what does a start make of it? Afterwards
    /// the disk is as it should be, as if from a copy.
    fn judge_damage(&mut self, power: bool) -> Result<(), String> {
        if !self.disk.truth.is_empty() {
            let should = self.disk.true_files();
            let is = std::mem::take(&mut self.disk.files);
            self.disk.truth.clear();
            let excusable = loss_is_excusable(&should, &is, Boot::checksum_seed());
            self.judge(is, excusable, power, "stray write")?;
            self.disk.files = should;
        } else if self.rng.chance(self.options.rates.damage) {
            let mut is = self.disk.files.clone();
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

    /// Someone starts a copy of the store and writes to it.
    fn run_fork(&mut self) {
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
                    worker.put(Db(0), &key, &value, None);
                }
                worker.close_batch(self.now_ns);
                while let Some(request) = worker.next_io() {
                    disk.submit(owner, request);
                }
            }
            while let Some((owner, done)) = disk.complete_one(&mut self.report) {
                if up.workers[owner].on_io(done).is_err() {
                    return;
                }
                while let Some(request) = up.workers[owner].next_io() {
                    disk.submit(owner, request);
                }
            }
        }
        self.fork = Some(disk.files);
    }

    /// What a start makes of these files. If the loss is excusable, anything; else it refuses or nothing is lost.
    fn judge(&mut self, is: Files, excusable: bool, power: bool, what: &str) -> Result<(), String> {
        let mut disk = self.disk.with_files(is, self.rng.draw());
        let workers = self.worker_count;
        match Self::boot(&self.options, workers, self.now, None, &mut disk, &mut self.report) {
            Ok(mut up) => {
                let mut models = self.models.clone();
                for worker in &mut up.workers {
                    let floor = |model: &ShardModel| {
                        if excusable { model.base_lsn() } else { Self::floor(model, power) }
                    };
                    match check(worker, &mut models, self.now, floor) {
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

/// Compares the shards of a worker that has just come up with their models, which take it as their new beginning.
fn check(
    worker: &mut ShardSet<HeapPool>,
    models: &mut [ShardModel],
    now: UnixMs,
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

fn brief(value: &Option<ModelValue>) -> String {
    value
        .as_ref()
        .map_or("nothing".into(), |value| format!("{} bytes until {:?}", value.value.len(), value.deadline))
}
