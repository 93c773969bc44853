//! What must be true: a plain map per shard, every change with its LSN, and how far replies have gone.
//!
//! After a crash a shard may have come back as of any LSN, as long as it is not before what a reply acknowledged or
//! revealed, not beyond what was ever written, and not inside a group. At that LSN it must show exactly what the map
//! showed. A key whose deadline has passed counts as absent, and stays so for good when its delete was logged: where it was not,
//! a clock that is set back brings it back.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::types::{Lsn, UnixMs};

/// A database number and a key.
pub type ModelKey = (u8, Vec<u8>);

/// A value and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelValue {
    /// The value.
    pub value: Rc<Vec<u8>>,
    /// When it ends.
    pub deadline: Option<UnixMs>,
}

impl ModelValue {
    pub(super) fn is_live(&self, now: UnixMs) -> bool {
        self.deadline.is_none_or(|deadline| deadline > now)
    }
}

/// What one record, or one group of records, did.
#[derive(Clone, Debug)]
struct Change {
    /// LSN before it.
    before: Lsn,
    /// LSN of its last record.
    after: Lsn,
    /// Whether all its records count together.
    group: bool,
    effects: Vec<(ModelKey, Option<ModelValue>)>,
}

/// Changes kept apart before the oldest are taken together.
const CHANGES_MAX: usize = 4096;

/// The map of one shard.
#[derive(Clone, Debug, Default)]
pub struct ShardModel {
    /// As of the last start, or later: what every start from now on must have.
    base: BTreeMap<ModelKey, ModelValue>,
    base_lsn: Lsn,
    changes: Vec<Change>,
    /// As of now.
    current: BTreeMap<ModelKey, ModelValue>,
    lsn: Lsn,
    /// LSN of the last visible change of a key.
    changed: BTreeMap<ModelKey, Lsn>,
    /// What a reply acknowledged or revealed that must survive power loss.
    pub durable: Lsn,
    /// What a reply acknowledged or revealed that must survive the end of the process.
    pub written: Lsn,
    /// Without a log: the one other state that a start may bring back beside what was saved last.
    saved_too: Option<Lsn>,
    /// Without a log: whether that and what was saved last are all that may come back.
    only_saved: bool,
}

impl ShardModel {
    /// The value a read must see.
    #[must_use]
    pub fn get(&self, key: &ModelKey, now: UnixMs) -> Option<&ModelValue> {
        self.current.get(key).filter(|value| value.is_live(now))
    }

    /// What is stored of a key, whether its deadline has passed or not.
    #[must_use]
    pub fn stored(&self, key: &ModelKey) -> Option<&ModelValue> {
        self.current.get(key)
    }

    /// Whether any key is stored.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.current.is_empty()
    }

    /// Keys of a database that are stored.
    #[must_use]
    pub fn stored_count(&self, db: u8) -> u64 {
        self.current.keys().filter(|(of, _)| *of == db).count() as u64
    }

    /// Highest LSN written.
    #[must_use]
    pub const fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// What a reply about this key reveals.
    #[must_use]
    pub fn changed(&self, key: &ModelKey) -> Lsn {
        self.changed.get(key).copied().unwrap_or(Lsn::ZERO)
    }

    /// Something was written up to LSN `after`: these effects, together if `group`.
    pub fn change(&mut self, after: Lsn, group: bool, effects: Vec<(ModelKey, Option<ModelValue>)>) {
        assert!(after >= self.lsn, "LSNs never go back while a shard is up");
        for (key, value) in &effects {
            self.changed.insert(key.clone(), after);
            match value {
                Some(value) => self.current.insert(key.clone(), value.clone()),
                None => self.current.remove(key),
            };
        }
        if after > self.lsn {
            self.changes.push(Change { before: self.lsn, after, group, effects });
            self.lsn = after;
            if self.changes.len() > CHANGES_MAX {
                self.forget();
            }
        }
    }

    /// Takes the older half of the changes into the base, as far as they must survive: no start may go behind them.
    fn forget(&mut self) {
        let old = self.changes.iter().take(CHANGES_MAX / 2);
        let old = old.take_while(|change| change.after <= self.durable).count();
        for change in self.changes.drain(..old) {
            self.base_lsn = change.after;
            for (key, value) in change.effects {
                match value {
                    Some(value) => self.base.insert(key, value),
                    None => self.base.remove(&key),
                };
            }
        }
    }

    /// All keys of the database, or of all, are gone, if that took a record at all.
    pub fn flush(&mut self, after: Lsn, db: Option<u8>) {
        if after == self.lsn {
            return;
        }
        let is_flushed = |(of, _): &&ModelKey| db.is_none_or(|db| db == *of);
        let effects = self.current.keys().filter(is_flushed).map(|key| (key.clone(), None)).collect();
        self.change(after, false, effects);
    }

    /// First LSN this shard can come back as of.
    #[must_use]
    pub const fn base_lsn(&self) -> Lsn {
        self.base_lsn
    }

    /// Everything written survives, as after a clean shutdown.
    pub fn all_is_durable(&mut self) {
        (self.durable, self.written) = (self.lsn, self.lsn);
    }

    /// Without a log, the process ends: the newest snapshot is the state at `saved`, and a later one was just being
    /// published, or not.
    pub fn is_saved(&mut self, saved: Option<Lsn>, publishing: Option<Lsn>) {
        let saved = saved.unwrap_or(Lsn::ZERO);
        assert!(saved >= self.durable, "what was saved stays so");
        (self.durable, self.written, self.saved_too, self.only_saved) = (saved, saved, publishing, true);
    }

    /// The shard came back as of `lsn`. `floor` is what it may not be behind. Takes that as the new beginning.
    ///
    /// # Errors
    /// What the store broke.
    pub fn come_back(&mut self, lsn: Lsn, floor: Lsn) -> Result<(), String> {
        if lsn < floor {
            return Err(format!("came back as of LSN {lsn}, but {floor} was acknowledged or revealed"));
        }
        if lsn > self.lsn || lsn < self.base_lsn {
            return Err(format!("came back as of LSN {lsn}, written were {} to {}", self.base_lsn, self.lsn));
        }
        if self.only_saved && lsn != self.durable && Some(lsn) != self.saved_too {
            return Err(format!(
                "came back as of LSN {lsn}, saved were {} and perhaps {:?}",
                self.durable, self.saved_too
            ));
        }
        for change in std::mem::take(&mut self.changes) {
            if change.after <= lsn {
                for (key, value) in change.effects {
                    match value {
                        Some(value) => self.base.insert(key, value),
                        None => self.base.remove(&key),
                    };
                }
            } else if change.before < lsn && change.group {
                return Err(format!(
                    "came back as of LSN {lsn}, inside the group from {} to {}",
                    change.before, change.after
                ));
            }
        }
        self.current.clone_from(&self.base);
        (self.base_lsn, self.lsn) = (lsn, lsn);
        for changed in self.changed.values_mut() {
            *changed = (*changed).min(lsn);
        }
        // What a store serves after a start it serves without waiting: all of it must survive the next crash.
        (self.durable, self.written) = (lsn, lsn);
        Ok(())
    }

    /// What reads must see.
    #[must_use]
    pub fn live(&self, now: UnixMs) -> BTreeMap<ModelKey, ModelValue> {
        self.current
            .iter()
            .filter(|(_, value)| value.is_live(now))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(model: &mut ShardModel, lsn: u64, key: &str) {
        let value = ModelValue { value: Rc::new(vec![1]), deadline: None };
        model.change(Lsn(lsn), false, vec![((0, key.into()), Some(value))]);
    }

    #[test]
    fn a_shard_comes_back_as_of_any_lsn_between_what_was_told_and_what_was_written() {
        let mut model = ShardModel::default();
        put(&mut model, 1, "a");
        put(&mut model, 2, "b");
        put(&mut model, 3, "c");
        assert!(model.clone().come_back(Lsn(1), Lsn(2)).is_err());
        assert!(model.clone().come_back(Lsn(4), Lsn(2)).is_err());
        model.come_back(Lsn(2), Lsn(2)).unwrap();
        assert_eq!(model.live(UnixMs(0)).len(), 2);
        assert_eq!(model.changed(&(0, "c".into())), Lsn(2));
    }

    #[test]
    fn without_a_log_a_shard_comes_back_as_it_was_saved_last() {
        let mut model = ShardModel::default();
        put(&mut model, 1, "a");
        put(&mut model, 2, "b");
        put(&mut model, 3, "c");
        model.is_saved(Some(Lsn(1)), Some(Lsn(3)));
        assert!(model.clone().come_back(Lsn(2), Lsn(1)).is_err(), "no state of a checkpoint");
        assert!(model.clone().come_back(Lsn(1), Lsn(1)).is_ok());
        assert!(model.clone().come_back(Lsn(3), Lsn(1)).is_ok());
    }

    #[test]
    fn no_shard_comes_back_inside_a_group() {
        let mut model = ShardModel::default();
        put(&mut model, 1, "a");
        model.change(Lsn(4), true, vec![((0, "a".into()), None)]);
        assert!(model.clone().come_back(Lsn(3), Lsn(0)).is_err());
        assert!(model.clone().come_back(Lsn(1), Lsn(0)).is_ok());
        assert!(model.clone().come_back(Lsn(4), Lsn(0)).is_ok());
    }
}
