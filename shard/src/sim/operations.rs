//! What clients do in a run, each operation checked against the model as it happens.

use std::rc::Rc;

use crate::log::{PlantedBug, SyncPolicy};
use crate::sim::driver::{DB_COUNT, Driver, Reply};
use crate::sim::model::{ModelKey, ModelValue};
use crate::types::{BatchNumber, Db, Lsn, ShardId, UnixMs};

impl Driver {
    pub(super) fn any_key(&mut self) -> ModelKey {
        let db = if self.rng.chance(800) { 0 } else { self.rng.below(DB_COUNT) };
        let db = u8::try_from(db).unwrap_or(0);
        (db, format!("key:{}", self.rng.below(self.options.key_count)).into_bytes())
    }

    pub(super) fn any_value(&mut self, deadline: Option<UnixMs>) -> ModelValue {
        self.value_counter += 1;
        let len = self.rng.pick(&self.options.value_bytes).max(1);
        let len = usize::try_from(len + self.rng.below(len)).unwrap_or(1);
        let stamp = self.value_counter.to_le_bytes();
        let mut value = stamp.repeat(len.div_ceil(stamp.len()));
        value.truncate(len);
        ModelValue { value: Rc::new(value), deadline }
    }

    pub(super) fn any_deadline(&mut self) -> Option<UnixMs> {
        let after = self.rng.pick(&[0, 0, 0, 5, 100, 3000]);
        (after > 0).then(|| UnixMs(self.now.0 + after))
    }

    /// The worker and the shard of a key.
    pub(super) fn place(&self, key: &ModelKey) -> (usize, ShardId) {
        let Some(manifest) = &self.manifest else { unreachable!("the store is up") };
        let shard = manifest.shard_of(crate::slot::slot_of(&key.1));
        let logs = &manifest.current_era().logs;
        let worker = logs.iter().rposition(|log| log.first_shard <= shard);
        (worker.unwrap_or(0), shard)
    }

    pub(super) fn lsn_of(&self, worker: usize, shard: ShardId) -> Lsn {
        let shards = self.workers[worker].shards();
        shards.iter().find(|of| of.id() == shard).map_or(Lsn::ZERO, |shard| shard.lsn())
    }

    pub(super) fn operation(&mut self) -> Result<(), String> {
        self.report.operations += 1;
        match self.rng.below(100) {
            0..45 => self.set()?,
            45..70 => self.get()?,
            70..78 => self.delete()?,
            78..84 => self.expire()?,
            84..92 => self.append()?,
            92..98 => self.group()?,
            _ => self.count_keys(),
        }
        if let Some((worker, ticket)) = self.ticket.take() {
            self.workers[worker].finish(ticket);
        }
        Ok(())
    }

    pub(super) fn reply(&mut self, worker: usize, tells: Vec<(ShardId, Lsn)>) {
        let barrier = self.workers[worker].take_barrier();
        let in_force =
            self.workers[worker].log().is_some_and(|log| log.durable() >= self.strict_from[worker]);
        let strict = self.policy == SyncPolicy::EveryBatch && in_force;
        self.replies[worker].push_back(Reply { barrier, tells, strict });
    }

    pub(super) fn set(&mut self) -> Result<(), String> {
        let key = self.any_key();
        let deadline = self.any_deadline();
        let value = self.any_value(deadline);
        let (worker, shard) = self.place(&key);
        if !self.bring(worker, &[&key])? {
            return Ok(());
        }
        let set = &mut self.workers[worker];
        let full = set.key(&key.1);
        set.put(Db(key.0), &full, &value.value, deadline);
        let after = self.lsn_of(worker, shard);
        self.models[usize::from(shard.0)].change(after, false, vec![(key, Some(value))]);
        self.reply(worker, vec![(shard, after)]);
        Ok(())
    }

    pub(super) fn get(&mut self) -> Result<(), String> {
        let key = self.any_key();
        let (worker, shard) = self.place(&key);
        if !self.bring(worker, &[&key])? {
            return Ok(());
        }
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
    pub(super) fn changed(
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

    pub(super) fn delete(&mut self) -> Result<(), String> {
        let key = self.any_key();
        let (worker, _) = self.place(&key);
        if !self.bring(worker, &[&key])? {
            return Ok(());
        }
        let set = &mut self.workers[worker];
        let full = set.key(&key.1);
        let there = set.delete(Db(key.0), &full, self.now);
        self.changed(key, there, |_| None)
    }

    pub(super) fn expire(&mut self) -> Result<(), String> {
        let key = self.any_key();
        let deadline = self.any_deadline();
        let (worker, _) = self.place(&key);
        if !self.bring(worker, &[&key])? {
            return Ok(());
        }
        let set = &mut self.workers[worker];
        let full = set.key(&key.1);
        let there = set.set_deadline(Db(key.0), &full, deadline, self.now);
        self.changed(key, there, |before| Some(ModelValue { deadline, ..before.clone() }))
    }

    pub(super) fn append(&mut self) -> Result<(), String> {
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
        if !self.bring(worker, &[&key])? {
            return Ok(());
        }
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
    pub(super) fn group(&mut self) -> Result<(), String> {
        let (worker, _) = {
            let key = self.any_key();
            self.place(&key)
        };
        let mut effects: Vec<(ShardId, ModelKey, Option<ModelValue>)> = Vec::new();
        let mut keys: Vec<ModelKey> = Vec::new();
        for _ in 0..2 + self.rng.below(6) {
            let key = self.any_key();
            if self.place(&key).0 == worker && !keys.contains(&key) {
                keys.push(key);
            }
        }
        if !self.bring(worker, &keys.iter().collect::<Vec<_>>())? {
            return Ok(());
        }
        self.workers[worker].begin_group();
        for key in keys {
            let (_, shard) = self.place(&key);
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
        Ok(())
    }

    pub(super) fn count_keys(&mut self) {
        let worker = self.rng.position(self.workers.len());
        let set = &mut self.workers[worker];
        set.key_count(Db(0));
        let tells = set.shards().iter().map(|shard| (shard.id(), shard.lsn())).collect();
        self.reply(worker, tells);
    }

    pub(super) fn flush(&mut self) {
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
}

/// A value in words.
pub(super) fn brief(value: &Option<ModelValue>) -> String {
    value
        .as_ref()
        .map_or("nothing".into(), |value| format!("{} bytes until {:?}", value.value.len(), value.deadline))
}
