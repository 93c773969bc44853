//! What clients ask for: drawn when it arrives, run at once or when what it looks at is in memory.

use std::rc::Rc;

use crate::cold::{Admission, ColdReadError, Need};
use crate::planted::{self, PlantedBug};
use crate::shard_set::{ShardSet, SpaceFor};
use crate::sim::driver::{DB_COUNT, Driver};
use crate::sim::invariants::{excuses, reads};
use crate::sim::model::{ModelKey, ModelValue};
use crate::sim::refusals;
use crate::slot::slot_of;
use crate::types::{Slot, StoredDb, UnixMs};

/// One operation.
#[derive(Debug)]
pub(super) enum Plan {
    /// The value, its deadline so many milliseconds after it runs; 0: none.
    Set(ModelKey, Rc<Vec<u8>>, u64),
    Get(ModelKey),
    Delete(ModelKey),
    /// A new deadline, as for `Set`.
    Expire(ModelKey, u64),
    /// These bytes behind the value and so many zeros.
    Append(ModelKey, usize, [u8; 8]),
    /// Several writes that count together per shard, all of one worker; `None` deletes.
    Group(Vec<(ModelKey, Option<Rc<Vec<u8>>>)>),
    /// How many keys a worker has.
    CountKeys,
}

impl Plan {
    /// The keys that it looks at.
    pub(super) fn keys(&self) -> Vec<&ModelKey> {
        match self {
            Self::Set(key, ..)
            | Self::Get(key)
            | Self::Delete(key)
            | Self::Expire(key, _)
            | Self::Append(key, ..) => vec![key],
            Self::Group(writes) => writes.iter().map(|(key, _)| key).collect(),
            Self::CountKeys => Vec::new(),
        }
    }
}

impl Driver {
    fn any_key(&mut self) -> ModelKey {
        let db = if self.rng.chance(800) { 0 } else { self.rng.below(DB_COUNT) };
        let db = u8::try_from(db).unwrap_or(0);
        let number = self.rng.below(self.options.key_count);
        (db, self.options.key_name(number).into_bytes())
    }

    fn any_value(&mut self) -> Rc<Vec<u8>> {
        self.value_counter += 1;
        let len = self.rng.pick(&self.options.value_bytes).max(1);
        let len = usize::try_from(len + self.rng.below(len)).unwrap_or(1);
        let stamp = self.value_counter.to_le_bytes();
        let mut value = stamp.repeat(len.div_ceil(stamp.len()));
        value.truncate(len);
        Rc::new(value)
    }

    fn any_time_to_live(&mut self) -> u64 {
        self.rng.pick(self.options.times_to_live)
    }

    /// What a client asks for next, and the worker that it goes to.
    fn any_plan(&mut self) -> (usize, Plan) {
        let key = self.any_key();
        let worker = self.place(&key).0;
        let plan = match self.rng.below(100) {
            0..45 => Plan::Set(key, self.any_value(), self.any_time_to_live()),
            45..70 => Plan::Get(key),
            70..78 => Plan::Delete(key),
            78..84 => Plan::Expire(key, self.any_time_to_live()),
            84..92 => {
                self.value_counter += 1;
                // Some so far behind that the zeros in between are not logged.
                let gap = if self.rng.chance(30) { 4000 + self.rng.below(3000) } else { self.rng.below(20) };
                let gap = usize::try_from(gap).unwrap_or(0);
                Plan::Append(key, gap, self.value_counter.to_le_bytes())
            }
            92..98 => Plan::Group(self.any_group(worker)),
            _ => return (self.rng.position(self.workers.len()), Plan::CountKeys),
        };
        (worker, plan)
    }

    fn any_group(&mut self, worker: usize) -> Vec<(ModelKey, Option<Rc<Vec<u8>>>)> {
        let mut writes: Vec<(ModelKey, Option<Rc<Vec<u8>>>)> = Vec::new();
        for _ in 0..2 + self.rng.below(6) {
            let key = self.any_key();
            if self.place(&key).0 == worker && !writes.iter().any(|(own, _)| *own == key) {
                let value = if self.rng.chance(200) { None } else { Some(self.any_value()) };
                writes.push((key, value));
            }
        }
        writes
    }

    /// An operation arrives.
    pub(super) fn operation(&mut self) -> Result<(), String> {
        self.report.operations += 1;
        let (worker, plan) = self.any_plan();
        self.arrive(worker, plan)
    }

    /// This operation arrives.
    pub(super) fn arrive(&mut self, worker: usize, plan: Plan) -> Result<(), String> {
        if self.workers[worker].is_waiting_room_full() {
            self.report.count("operations held back");
            return Ok(());
        }
        if !self.has_room(worker, &plan)? || !self.has_space(worker, &plan) {
            return Ok(());
        }
        self.arrived += 1;
        let number = self.arrived;
        let databases = self.databases;
        let set = &mut self.workers[worker];
        let needs: Vec<Need> = plan
            .keys()
            .into_iter()
            .map(|key| {
                let full = set.key(&key.1);
                set.need(databases.shown_as(StoredDb(key.0)), full.slot, full.hash)
            })
            .collect();
        if set.admit(number, needs.iter().copied()) == Admission::Run {
            return self.perform(worker, number, plan);
        }
        self.report.count("operations that waited for reads");
        self.parked.insert(number, plan);
        Ok(())
    }

    /// Half of the clients ask whether there is space for a large value, and leave it where there is none yet.
    fn has_space(&mut self, worker: usize, plan: &Plan) -> bool {
        let bytes = match plan {
            Plan::Set(_, value, _) => value.len(),
            Plan::Group(writes) => writes.iter().filter_map(|(_, value)| Some(value.as_ref()?.len())).sum(),
            _ => 0,
        };
        if !self.options.wal || bytes <= self.options.log.batch_bytes_max || self.rng.chance(500) {
            return true;
        }
        let slots: Vec<Slot> = plan.keys().iter().map(|key| slot_of(&key.1)).collect();
        match self.workers[worker].space_for(slots.into_iter(), bytes, bytes) {
            SpaceFor::Ready => {
                self.report.count("large values that found space");
                true
            }
            SpaceFor::Soon => {
                self.report.count("large values that space was made for");
                false
            }
            SpaceFor::None => {
                self.report.count("large values refused");
                false
            }
        }
    }

    /// Runs every operation whose turn has come.
    pub(super) fn run_called(&mut self) -> Result<(), String> {
        for worker in 0..self.workers.len() {
            while let Some((ticket, number, result)) = self.workers[worker].next_called() {
                let plan = self.parked.remove(&number).ok_or("a ticket of nobody was called")?;
                match result {
                    Ok(()) => self.perform(worker, number, plan)?,
                    Err(_) if planted::is(PlantedBug::ColdErrorIsAbsence) => {
                        self.answer_as_absent(&plan)?;
                    }
                    Err(error) => self.answer_with_error(worker, error)?,
                }
                self.workers[worker].finish(ticket);
            }
        }
        Ok(())
    }

    /// The client is told that a record cannot be read.
    fn answer_with_error(&mut self, worker: usize, error: ColdReadError) -> Result<(), String> {
        self.report.count(refusals::of_cold_read(error.problem));
        excuses::check_read(&self.disk, &error)?;
        let _ = self.workers[worker].take_barrier();
        Ok(())
    }

    /// What a mistaken server would answer to a read.
    fn answer_as_absent(&self, plan: &Plan) -> Result<(), String> {
        let Plan::Get(key) = plan else { return Ok(()) };
        let shard = self.place(key).1;
        let expected = self.models[usize::from(shard.0)].get(key, self.now).cloned();
        reads::check(key, &None, &expected)
    }

    /// Tells of extents that compaction or a scrub has found damaged.
    pub(super) fn take_damaged(&mut self) -> Result<(), String> {
        for worker in &mut self.workers {
            while let Some(damaged) = worker.next_damaged_extent() {
                self.report.count(refusals::of_extent(damaged.problem));
                excuses::check_extent(&self.disk, &damaged)?;
            }
        }
        self.take_scrub_findings()
    }

    /// Finishes what has arrived: all reads are waited for. False: a write failed meanwhile.
    pub(super) fn drain(&mut self) -> Result<bool, String> {
        let waits = |driver: &Self| driver.swap.is_some() || driver.workers.iter().any(ShardSet::has_parked);
        while waits(self) {
            self.run_called()?;
            self.submit_all();
            if !waits(self) {
                break;
            }
            match self.complete_one() {
                Ok(true) => {}
                Ok(false) => return Err("a read hangs: nothing is in flight".into()),
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The deadline of what runs now.
    pub(super) fn deadline(&self, time_to_live: u64) -> Option<UnixMs> {
        (time_to_live > 0).then(|| UnixMs(self.now.0 + time_to_live))
    }

    /// A value as it runs now.
    pub(super) fn value(&self, value: Rc<Vec<u8>>, time_to_live: u64) -> ModelValue {
        ModelValue { value, deadline: self.deadline(time_to_live) }
    }
}
