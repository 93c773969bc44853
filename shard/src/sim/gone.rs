//! Keys that went by themselves, because their time had come or to make room: each was told, went for a reason, and has a
//! record of its own.

use crate::shard_set::GoneWhy;
use crate::sim::driver::Driver;
use crate::sim::model::ModelKey;
use crate::types::{Lsn, ShardId};

impl Driver {
    /// The keys of a worker that went since the last look, in the order of their records.
    pub(super) fn gone_keys(&mut self, worker: usize) -> Result<Vec<(ShardId, ModelKey)>, String> {
        let (gone, _) = self.workers[worker].take_gone();
        let mut keys = Vec::new();
        for gone in gone {
            let key = (self.databases.stored(gone.db).0, gone.key.to_vec());
            let shard = self.place(&key).1;
            let Some(value) = self.models[usize::from(shard.0)].stored(&key) else {
                return Err(format!("{key:?} went, {:?}, and was not there", gone.why));
            };
            match gone.why {
                GoneWhy::Expired if value.is_live(self.now) => {
                    return Err(format!("{key:?} ended at {:?}, before {:?}", self.now, value.deadline));
                }
                GoneWhy::Expired => self.report.count("keys expired"),
                GoneWhy::Evicted => {
                    self.check_evicted(&key, value.deadline.is_some())?;
                    self.report.count("keys evicted");
                }
            }
            keys.push((shard, key));
        }
        Ok(keys)
    }

    /// Takes them out of the model.
    pub(super) fn take_gone(&mut self, worker: usize) -> Result<(), String> {
        for (shard, key) in self.gone_keys(worker)? {
            let model = &mut self.models[usize::from(shard.0)];
            model.change(Lsn(model.lsn().0 + 1), false, vec![(key, None)]);
        }
        Ok(())
    }

    /// What a worker did on its own: it deleted keys, and nothing else took an LSN.
    pub(super) fn follow(&mut self, worker: usize) -> Result<(), String> {
        self.take_gone(worker)?;
        for shard in self.workers[worker].shards() {
            let known = self.models[usize::from(shard.id().0)].lsn();
            if known != shard.lsn() {
                return Err(format!("shard {}: LSN {}, of which {known} known", shard.id(), shard.lsn()));
            }
        }
        Ok(())
    }

    /// A client was told that a key is not there: if that is because its time had come, there is a record of it. Only where
    /// nothing may be appended there is none, and the clock decides again.
    pub(super) fn check_told_absent(&mut self, worker: usize, key: &ModelKey) -> Result<(), String> {
        let shard = self.place(key).1;
        let Some(value) = self.models[usize::from(shard.0)].stored(key) else { return Ok(()) };
        let log = self.workers[worker].log();
        if log.is_some_and(|log| !log.has_start_file()) {
            self.report.count("ends told of which nothing could be appended");
            return Ok(());
        }
        Err(format!("{key:?} was told to have ended at {:?}, and no record says so", value.deadline))
    }
}
