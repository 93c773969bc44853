//! What operations do when they run, each checked against the model as it happens.

use std::rc::Rc;

use crate::log::SyncPolicy;
use crate::planted::PlantedBug;
use crate::sim::driver::Driver;
use crate::sim::invariants::reads;
use crate::sim::model::{ModelKey, ModelValue};
use crate::sim::plan::Plan;
use crate::sim::replies::Reply;
use crate::types::{BatchNumber, Lsn, ShardId};

/// A value longer than this is deleted instead of appended to.
const APPEND_BYTES_MAX: usize = 100_000;

impl Driver {
    /// The worker and the shard of a key.
    pub(super) fn place(&self, key: &ModelKey) -> (usize, ShardId) {
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

    /// Runs an operation: what it looks at is in memory.
    pub(super) fn perform(&mut self, worker: usize, number: u64, plan: Plan) -> Result<(), String> {
        self.order.check(number, &plan.keys())?;
        match plan {
            Plan::Set(key, value, time_to_live) => self.set(worker, key, value, time_to_live),
            Plan::Get(key) => return self.get(worker, &key),
            Plan::Delete(key) => return self.delete(worker, key),
            Plan::Expire(key, time_to_live) => return self.expire(worker, key, time_to_live),
            Plan::Append(key, gap, bytes) => return self.append(worker, key, gap, bytes),
            Plan::Group(writes) => return self.group(worker, writes),
            Plan::CountKeys => return self.count_keys(worker),
        }
        Ok(())
    }

    fn reply(&mut self, worker: usize, tells: Vec<(ShardId, Lsn)>) {
        let barrier = self.workers[worker].take_barrier();
        let in_force =
            self.workers[worker].log().is_some_and(|log| log.durable() >= self.strict_from[worker]);
        let strict = self.policy == SyncPolicy::EveryBatch && in_force;
        self.replies[worker].push(Reply { barrier, tells, strict });
    }

    fn set(&mut self, worker: usize, key: ModelKey, value: Rc<Vec<u8>>, time_to_live: u64) {
        let value = self.value(value, time_to_live);
        let shard = self.place(&key).1;
        let db = self.db(key.0);
        let set = &mut self.workers[worker];
        let full = set.key(&key.1);
        set.put(db, &full, &value.value, value.deadline);
        let after = self.lsn_of(worker, shard);
        self.models[usize::from(shard.0)].change(after, false, vec![(key, Some(value))]);
        self.reply(worker, vec![(shard, after)]);
    }

    fn get(&mut self, worker: usize, key: &ModelKey) -> Result<(), String> {
        let shard = self.place(key).1;
        let db = self.db(key.0);
        let set = &mut self.workers[worker];
        let full = set.key(&key.1);
        let found = set.lookup(db, &full, self.now);
        let found =
            found.map(|found| ModelValue { value: Rc::new(found.value.to_vec()), deadline: found.deadline });
        self.take_gone(worker)?;
        let model = &self.models[usize::from(shard.0)];
        let expected = model.get(key, self.now).cloned();
        let tells = vec![(shard, model.changed(key))];
        reads::check(key, &found, &expected)?;
        if found.is_none() {
            self.check_told_absent(worker, key)?;
        }
        let ungated = if found.is_some() { PlantedBug::ReadNotGated } else { PlantedBug::MissNotGated };
        self.reply(worker, tells);
        if self.options.planted == Some(ungated)
            && let Some(reply) = self.replies[worker].last_mut()
        {
            reply.barrier = BatchNumber::ZERO;
        }
        Ok(())
    }

    /// What a command that changes an existing key did: `effect` when it was there.
    fn changed(
        &mut self,
        worker: usize,
        key: ModelKey,
        there: bool,
        effect: impl FnOnce(&ModelValue) -> Option<ModelValue>,
    ) -> Result<(), String> {
        self.take_gone(worker)?;
        let shard = self.place(&key).1;
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
                self.check_told_absent(worker, &key)?;
                changed
            }
        };
        self.reply(worker, vec![(shard, tells)]);
        Ok(())
    }

    fn delete(&mut self, worker: usize, key: ModelKey) -> Result<(), String> {
        let db = self.db(key.0);
        let set = &mut self.workers[worker];
        let full = set.key(&key.1);
        let there = set.delete(db, &full, self.now);
        self.changed(worker, key, there, |_| None)
    }

    fn expire(&mut self, worker: usize, key: ModelKey, time_to_live: u64) -> Result<(), String> {
        let deadline = self.deadline(time_to_live);
        let db = self.db(key.0);
        let set = &mut self.workers[worker];
        let full = set.key(&key.1);
        let there = set.set_deadline(db, &full, deadline, self.now);
        self.changed(worker, key, there, |before| Some(ModelValue { deadline, ..before.clone() }))
    }

    fn append(&mut self, worker: usize, key: ModelKey, gap: usize, bytes: [u8; 8]) -> Result<(), String> {
        let shard = self.place(&key).1;
        let before = self.models[usize::from(shard.0)].get(&key, self.now).cloned();
        let (len, deadline) = before.as_ref().map_or((0, None), |value| (value.value.len(), value.deadline));
        if len > APPEND_BYTES_MAX {
            return self.delete(worker, key);
        }
        let db = self.db(key.0);
        let set = &mut self.workers[worker];
        let full = set.key(&key.1);
        let offset = u32::try_from(len + gap).unwrap_or(u32::MAX);
        let new_len = set.patch(db, &full, offset, &bytes, self.now);
        if new_len != len + gap + bytes.len() {
            return Err(format!("a patch of {key:?} made it {new_len} bytes long"));
        }
        let is_new = before.is_none();
        let mut value = before.map_or(Vec::new(), |value| value.value.to_vec());
        value.resize(len + gap, 0);
        value.extend_from_slice(&bytes);
        let after = self.lsn_of(worker, shard);
        let value = ModelValue { value: Rc::new(value), deadline };
        // A key that had ended was deleted first: that counts by itself.
        self.take_gone(worker)?;
        let model = &mut self.models[usize::from(shard.0)];
        // Of a new key it may be several records, all or none.
        model.change(after, is_new, vec![(key, Some(value))]);
        self.reply(worker, vec![(shard, after)]);
        Ok(())
    }

    fn group(&mut self, worker: usize, writes: Vec<(ModelKey, Option<Rc<Vec<u8>>>)>) -> Result<(), String> {
        let mut effects: Vec<(ShardId, ModelKey, Option<ModelValue>)> = Vec::new();
        self.workers[worker].begin_group();
        for (key, value) in writes {
            let shard = self.place(&key).1;
            let db = self.db(key.0);
            let set = &mut self.workers[worker];
            let full = set.key(&key.1);
            match value {
                None => {
                    if set.delete(db, &full, self.now) {
                        effects.push((shard, key, None));
                    }
                }
                Some(value) => {
                    set.put(db, &full, &value, None);
                    effects.push((shard, key, Some(ModelValue { value, deadline: None })));
                }
            }
        }
        self.workers[worker].end_group();
        // Of those that had ended the end is part of the group.
        let gone = self.gone_keys(worker)?;
        effects.extend(gone.into_iter().map(|(shard, key)| (shard, key, None)));
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
        Ok(())
    }

    fn count_keys(&mut self, worker: usize) -> Result<(), String> {
        let db = self.db(0);
        let set = &mut self.workers[worker];
        let count = set.key_count(db);
        let models = set.shards().iter().map(|shard| &self.models[usize::from(shard.id().0)]);
        let known: u64 = models.map(|model| model.stored_count(0)).sum();
        if count != known {
            return Err(format!("worker {worker} has {count} keys, not {known}"));
        }
        let tells = set.shards().iter().map(|shard| (shard.id(), shard.lsn())).collect();
        self.reply(worker, tells);
        Ok(())
    }

    pub(super) fn flush(&mut self) {
        let db = if self.rng.chance(700) { None } else { Some(0) };
        self.flush_stored(db);
    }

    /// All keys are gone, or those of the first stored database.
    pub(super) fn flush_stored(&mut self, db: Option<u8>) {
        let shown = self.db(0);
        for worker in 0..self.workers.len() {
            match db {
                Some(_) => self.workers[worker].flush_database(shown),
                None => self.workers[worker].flush_all(),
            }
            let mut tells = Vec::new();
            for shard in self.workers[worker].shards() {
                self.models[usize::from(shard.id().0)].flush(shard.lsn(), db);
                tells.push((shard.id(), shard.lsn()));
            }
            self.reply(worker, tells);
        }
        self.report.count("flushes");
    }
}

/// A value in words.
pub(super) fn brief(value: &Option<ModelValue>) -> String {
    value
        .as_ref()
        .map_or("nothing".into(), |value| format!("{} bytes until {:?}", value.value.len(), value.deadline))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::options::{Options, Rates};
    use crate::types::UnixMs;

    #[test]
    fn of_an_append_to_a_key_that_had_ended_only_the_delete_counts_by_itself() {
        // How far behind the end, and at which records no start may come up.
        for (gap, inside) in [(0, 4..4), (5000, 3..5)] {
            let options = Options {
                wal: true,
                memory_only: None,
                clock_jumps: 0,
                rates: Rates::default(),
                ..Options::draw(0, 0, None)
            };
            let mut driver = Driver::new(options);
            driver.start(false).unwrap();
            // Until the log has a file for the next start, what has ended is not deleted.
            driver.submit_all();
            while driver.complete_one().unwrap() {}
            let key = (0, b"key".to_vec());
            let (worker, shard) = driver.place(&key);
            driver.perform(worker, 1, Plan::Set(key.clone(), Rc::new(vec![1]), 5)).unwrap();
            driver.now = UnixMs(driver.now.0 + 5);
            driver.perform(worker, 2, Plan::Append(key.clone(), gap, [2; 8])).unwrap();
            let model = &driver.models[usize::from(shard.0)];
            // The put, its delete, and what the append left: one put, or an empty one, a patch and the group's end.
            assert_eq!(model.lsn(), Lsn(if gap == 0 { 3 } else { 5 }));
            for lsn in 1..=model.lsn().0 {
                let mut back = model.clone();
                let result = back.come_back(Lsn(lsn), Lsn::ZERO);
                assert_eq!(result.is_err(), inside.contains(&lsn), "{lsn}, gap {gap}: {result:?}");
                let is_there = back.get(&key, driver.now).is_some();
                assert!(result.is_err() || is_there == (Lsn(lsn) == model.lsn()), "{lsn}, gap {gap}");
            }
        }
    }
}
