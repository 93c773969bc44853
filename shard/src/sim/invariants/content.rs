//! A store that comes up holds, shard by shard, exactly what it held as of one LSN: not before what a reply
//! acknowledged or revealed, not beyond what was written, not inside a group, and not one key more.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::cold::ColdReadError;
use crate::shard_set::{ScanCursor, ShardSet};
use crate::sim::cold::{bring_needs, bring_scan};
use crate::sim::disk::SimDisk;
use crate::sim::driver::DB_COUNT;
use crate::sim::model::{ModelKey, ModelValue, ShardModel};
use crate::sim::operations::brief;
use crate::sim::report::SimReport;
use crate::testing::HeapPool;
use crate::types::{Lsn, StoredDb, UnixMs};

/// A worker's shards that have just come up, and where they came up.
pub(in crate::sim) struct CameUp<'a> {
    pub(in crate::sim) worker: &'a mut ShardSet<HeapPool>,
    /// Its position among the workers.
    pub(in crate::sim) owner: usize,
    pub(in crate::sim) now: UnixMs,
    pub(in crate::sim) disk: &'a mut SimDisk,
    pub(in crate::sim) report: &'a mut SimReport,
}

impl CameUp<'_> {
    /// Compares the shards with their models, which take what came up as their new beginning. Returns the errors of
    /// records that cannot be read back: the keys of all others have been looked at.
    pub(in crate::sim) fn check(
        &mut self,
        models: &mut [ShardModel],
        floor: impl Fn(&ShardModel) -> Lsn,
    ) -> Result<Vec<ColdReadError>, String> {
        let mut expected = BTreeMap::new();
        for shard in self.worker.shards() {
            let (id, lsn) = (shard.id(), shard.lsn());
            let model = &mut models[usize::from(id.0)];
            let floor = floor(model);
            model.come_back(lsn, floor).map_err(|broken| format!("shard {id}: {broken}"))?;
            expected.extend(model.live(self.now));
        }
        let unreadable = match self.walk(&mut expected)? {
            None => Vec::new(),
            Some(_) => self.key_by_key(&expected)?,
        };
        let _ = self.worker.take_barrier();
        Ok(unreadable)
    }

    /// Walks over everything there is. An error of a read ends the walk.
    fn walk(
        &mut self,
        expected: &mut BTreeMap<ModelKey, ModelValue>,
    ) -> Result<Option<ColdReadError>, String> {
        let Some(first) = self.worker.shards().first().map(|shard| shard.slots().0) else { return Ok(None) };
        let mut seen_keys = 0;
        for db in 0..DB_COUNT {
            let db = u8::try_from(db).unwrap_or(0);
            let shown = self.worker.databases().shown_as(StoredDb(db));
            let mut cursor = ScanCursor::at_slot(first.0);
            while let Some(slot) = cursor.slot()
                && self.worker.owns(slot)
            {
                let at = (shown, cursor, 1000);
                if let Err(error) = bring_scan(self.worker, self.owner, self.disk, self.report, at) {
                    return Ok(Some(error));
                }
                let mut broken = None;
                cursor = self.worker.scan(shown, cursor, 1000, self.now, &mut |key, seen| {
                    seen_keys += 1;
                    let key = (db, key.to_vec());
                    let is_right = expected.get(&key).is_some_and(|value| {
                        seen.value == value.value.as_slice() && seen.deadline == value.deadline
                    });
                    if !is_right {
                        let seen =
                            ModelValue { value: Rc::new(seen.value.to_vec()), deadline: seen.deadline };
                        broken = broken.take().or(Some((key, seen)));
                    }
                });
                if let Some((key, seen)) = broken {
                    let should = brief(&expected.get(&key).cloned());
                    return Err(format!("{key:?} has {}, not {should}", brief(&Some(seen))));
                }
                if cursor == ScanCursor(0) {
                    break;
                }
            }
        }
        if seen_keys == expected.len() {
            return Ok(None);
        }
        // A scan may show a key twice and must not leave one out: look for each.
        self.key_by_key(expected).map(|_| None)
    }

    /// Looks at every key there should be: it is there, or it cannot be read and says so.
    fn key_by_key(
        &mut self,
        expected: &BTreeMap<ModelKey, ModelValue>,
    ) -> Result<Vec<ColdReadError>, String> {
        let mut unreadable = Vec::new();
        for (key, value) in expected {
            let full = self.worker.key(&key.1);
            let shown = self.worker.databases().shown_as(StoredDb(key.0));
            let need = self.worker.need(shown, full.slot, full.hash);
            match bring_needs(self.worker, self.owner, self.disk, self.report, &[need]) {
                Ok(true) => {}
                Ok(false) => {}
                Err(error) => {
                    unreadable.push(error);
                    continue;
                }
            }
            let found = self.worker.lookup(shown, &full, self.now);
            let is_right = found
                .as_ref()
                .is_some_and(|seen| seen.value == value.value.as_slice() && seen.deadline == value.deadline);
            if !is_right {
                let found = found
                    .map(|seen| ModelValue { value: Rc::new(seen.value.to_vec()), deadline: seen.deadline });
                return Err(format!("{key:?} has {}, not {}", brief(&found), brief(&Some(value.clone()))));
            }
        }
        Ok(unreadable)
    }
}
