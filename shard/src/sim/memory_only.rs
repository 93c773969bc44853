//! Memory-only storage: a store that is empty after each start, whose keys go to make room as the policy says, or whose
//! writes are refused.
//!
//! The rule: a key is missing only where it was told to have been evicted, which the policy must allow, or to have ended; it
//! stays away until it is written again; and memory is within the limit, as far as whoever writes asked for room.

use std::rc::Rc;

use crate::eviction::{EvictionPolicy, MemoryLimit};
use crate::planted::PlantedBug;
use crate::shard::Shard;
use crate::shard_set::ShardSet;
use crate::sim::boot::{Boot, empty_shards};
use crate::sim::driver::Driver;
use crate::sim::invariants::content::CameUp;
use crate::sim::model::{ModelKey, ShardModel};
use crate::sim::options::{Options, Rates};
use crate::sim::plan::Plan;
use crate::sim::rng::Rng;
use crate::testing::HeapPool;
use crate::types::Lsn;

/// Seeds of 1000 that run in memory only.
const SHARE: u64 = 125;
/// Bytes that a record takes beside its key and its value, as whoever serves clients counts.
const RECORD_OVERHEAD_BYTES: usize = 40;
/// The part of the limit by which it may be passed for a moment where keys are evicted: one command makes only so much room.
const BEYOND_PART: u64 = 20;
/// Ticks within which a store that nobody disturbs has made all the room it can.
const TICKS_MAX: u64 = 100_000;
/// Limits of all workers together to draw from: the index of an almost empty store takes 1 MiB, in two databases. The last is
/// more than there ever is.
const LIMITS: [u64; 6] = [1100 << 10, 1300 << 10, 1600 << 10, 2500 << 10, 4 << 20, 64 << 20];
/// Sizes of values: some are longer than an extent of a small store.
const VALUE_BYTES: [&[u64]; 3] = [&[100, 1000, 4000], &[8, 100, 100, 20_000], &[8, 4000, 4000, 60_000]];

/// How much memory a worker may take, beside its limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// What it takes at most, as whoever writes has asked for room.
    expected_bytes: u64,
    /// What came beyond that since the limit held last.
    owed_bytes: u64,
}

/// Whether the run of a seed is one. Most planted bugs show on disk only.
pub(super) fn is_drawn(seed: u64, planted: Option<PlantedBug>) -> bool {
    let is_for = planted.is_none_or(PlantedBug::shows_in_memory);
    is_for && Rng::new(seed ^ 0x00a1_0000_0000_0006).chance(SHARE)
}

impl Options {
    /// Few ends, so that memory fills; small and large values, many keys.
    pub(super) fn in_memory_only(self, mut rng: Rng) -> Self {
        let end = if self.is_calm { 5 } else { 100 };
        Self {
            wal: false,
            memory_only: Some(draw_limit(&mut rng, self.worker_count)),
            key_count: rng.pick(&[60, 300, 300, 1500]),
            value_bytes: rng.pick(&VALUE_BYTES).to_vec(),
            rates: Rates { crash: rng.pick(&[0, end, 10 * end]), ..Rates::default() },
            swaps: 0,
            compact_all: rng.pick(&[0, 5, 30]),
            ..self
        }
    }
}

/// What an operation asks room for; `None`: it does not ask.
fn bytes_asked_for(plan: &Plan) -> Option<u64> {
    let bytes_of = |key: &ModelKey, value: usize| key.1.len() + value + RECORD_OVERHEAD_BYTES;
    let bytes: usize = match plan {
        Plan::Set(key, value, _) => bytes_of(key, value.len()),
        Plan::Append(key, gap, bytes) => bytes_of(key, gap + bytes.len()),
        Plan::Group(writes) => {
            let one = |(key, value): &(ModelKey, Option<Rc<Vec<u8>>>)| {
                bytes_of(key, value.as_ref().map_or(0, |value| value.len()))
            };
            writes.iter().map(one).sum()
        }
        Plan::Get(_) | Plan::Delete(_) | Plan::Expire(..) | Plan::CountKeys => return None,
    };
    Some(bytes as u64)
}

/// Of one worker.
fn draw_limit(rng: &mut Rng, workers: u16) -> MemoryLimit {
    MemoryLimit { bytes: rng.pick(&LIMITS) / u64::from(workers), policy: rng.pick(&EvictionPolicy::ALL) }
}

impl Driver {
    /// A store with nothing in it.
    pub(super) fn start_in_memory(&mut self, limit: MemoryLimit) -> Result<(), String> {
        self.maybe_jump_while_down();
        let manifest = Boot::manifest(self.now, self.options.shard_count, self.worker_count).without_log();
        let hasher = Boot::hasher();
        let mut shards = empty_shards(&manifest, self.now).into_iter();
        let mut workers = Vec::new();
        for entry in &manifest.current_era().logs {
            let own: Vec<Shard<HeapPool>> = shards.by_ref().take(usize::from(entry.shard_count)).collect();
            workers.push(ShardSet::new(own, hasher, HeapPool, None));
        }
        self.models.fill_with(ShardModel::default);
        self.manifest = Some(manifest);
        self.serve_with(workers);
        self.limit_memory(limit);
        self.report.checks += 1;
        self.report.count("starts in memory only");
        Ok(())
    }

    fn limit_memory(&mut self, limit: MemoryLimit) {
        self.options.memory_only = Some(limit);
        self.workers.iter_mut().for_each(|worker| worker.set_memory_limit(limit));
        // One that was lowered is reached in turns: a command waits for no more than a part of that.
        let asked = self.workers.iter().map(|worker| {
            let used = worker.memory_bytes();
            Asked { expected_bytes: used, owed_bytes: used.saturating_sub(limit.bytes) }
        });
        self.asked = asked.collect();
    }

    /// Now and then the operator sets another limit, or another policy.
    pub(super) fn maybe_limit_memory(&mut self) {
        if self.options.memory_only.is_some() && self.rng.chance(3) {
            let limit = draw_limit(&mut self.rng, self.worker_count);
            self.limit_memory(limit);
            self.report.count("memory limits changed");
        }
    }

    /// Whether there is memory for what an operation writes; room is made for it.
    pub(super) fn has_room(&mut self, worker: usize, plan: &Plan) -> Result<bool, String> {
        let Some(MemoryLimit { bytes: limit, policy }) = self.options.memory_only else { return Ok(true) };
        let before = self.workers[worker].memory_bytes();
        let bytes = bytes_asked_for(plan);
        let asked = &mut self.asked[worker];
        // What came without being asked for, as a new deadline of a long value does, is made up for in turns.
        asked.owed_bytes += before.saturating_sub(asked.expected_bytes);
        asked.expected_bytes = before;
        let Some(bytes) = bytes else { return Ok(true) };
        let has_room = self.workers[worker].make_room(bytes, self.now);
        self.follow(worker)?;
        let used = self.workers[worker].memory_bytes() + bytes;
        let asked = &mut self.asked[worker];
        // Survivors of an extent take memory until it is emptied.
        let moving = self.options.extent_fill_bytes as u64;
        let beyond = match policy {
            EvictionPolicy::NoEviction => 0,
            _ => limit / BEYOND_PART + moving + asked.owed_bytes,
        };
        if has_room && used > limit + beyond {
            return Err(format!("{policy}: {used} bytes with {bytes} to come, of {limit}"));
        }
        if used <= limit {
            asked.owed_bytes = 0;
        }
        asked.expected_bytes = if has_room { used } else { used - bytes };
        if !has_room {
            self.report.count(format!("writes refused for want of memory: {policy}"));
            if bytes <= limit && self.may_evict_any(worker, policy) {
                return Err(format!("{policy}: {bytes} bytes refused, and keys to evict are left"));
            }
        }
        Ok(has_room)
    }

    /// Whether a worker has a key that the policy lets go: under `volatile-*` they are drawn by lot, perhaps in vain.
    fn may_evict_any(&self, worker: usize, policy: EvictionPolicy) -> bool {
        use EvictionPolicy::{AllKeysLfu, AllKeysLru, AllKeysRandom};
        matches!(policy, AllKeysLru | AllKeysLfu | AllKeysRandom)
            && self.workers[worker]
                .shards()
                .iter()
                .any(|shard| self.models[usize::from(shard.id().0)].has_keys())
    }

    /// A key was evicted.
    pub(super) fn check_evicted(&self, key: &ModelKey, has_deadline: bool) -> Result<(), String> {
        use EvictionPolicy::{AllKeysLfu, AllKeysLru, AllKeysRandom, NoEviction};
        let policy = self.options.memory_only.map(|limit| limit.policy);
        match policy {
            None | Some(NoEviction) => Err(format!("{key:?} was evicted, under {policy:?}")),
            Some(AllKeysLru | AllKeysLfu | AllKeysRandom) => Ok(()),
            Some(_) if has_deadline => Ok(()),
            Some(policy) => Err(format!("{key:?} was evicted, without a deadline, under {policy}")),
        }
    }

    /// The process ends, and with it the store: it made what room it had to, holds what it should, and the next begins with
    /// nothing.
    pub(super) fn end_in_memory(&mut self) -> Result<(), String> {
        for owner in 0..self.workers.len() {
            self.settle_in_memory(owner)?;
            let Self { disk, report, models, now, workers, .. } = self;
            let worker = &mut workers[owner];
            let mut live = CameUp { worker, owner, now: *now, disk, report };
            live.check(models, |_| Lsn::ZERO).map_err(|broken| format!("in memory: {broken}"))?;
        }
        self.report.crashes += 1;
        self.end_workers();
        let Some(limit) = self.options.memory_only else { unreachable!("it is in memory only") };
        self.start_in_memory(limit)
    }

    /// Turns until nothing is left to do.
    fn settle_in_memory(&mut self, owner: usize) -> Result<(), String> {
        let mut ticks = 0;
        while self.workers[owner].tick(self.now, self.now_ns, 100) {
            self.follow(owner)?;
            // What is owed is paid over time.
            self.now_ns += 1_000_000;
            ticks += 1;
            if ticks == TICKS_MAX {
                return Err("ticks without an end".into());
            }
        }
        self.follow(owner)?;
        let Some(MemoryLimit { bytes: limit, policy }) = self.options.memory_only else { return Ok(()) };
        let used = self.workers[owner].memory_bytes();
        if used > limit && self.may_evict_any(owner, policy) {
            return Err(format!("{policy}: {used} bytes of {limit} after {ticks} ticks"));
        }
        Ok(())
    }
}
