//! Work that nobody waits for, in bounded steps: expiry by the timing wheel, freeing dropped keyspaces, rebuilding a
//! wheel full of entries that are out of date.

use crate::index::{Entry, SlotIndex, Table};
use crate::io::BlockPool;
use crate::limits::{
    DROP_TABLES_PER_STEP, EXTENTS_FREED_PER_STEP, WHEEL_CHUNKS_PER_STEP, WHEEL_REBUILD_SLOTS_PER_STEP,
    WHEEL_SIFT_PER_NEW, WHEEL_SIFT_PER_STEP, WHEEL_SLACK,
};
use crate::types::{Slot, StoredDb, UnixMs};
use crate::wheel::{Wheel, WheelEntry};

use super::{EntryPlace, Shard, head_in_memory, low_bits};

#[derive(Debug)]
pub(super) struct WheelRebuild {
    pub(super) old: Wheel,
    way: RebuildWay,
    /// Entries of the fresh wheel after the step before.
    fresh_len: usize,
}

/// How the fresh wheel is filled.
#[derive(Clone, Copy, Debug)]
enum RebuildWay {
    /// By a walk over the index, which leaves out what is out of date: the database and slot it has come to.
    Walk { db: usize, slot: usize },
    /// From the old wheel, entries of records that have left memory left out.
    Sift,
    /// It is: the old wheel is given back, bit by bit as it may be large, and faster than entries come.
    Discard,
}

impl<P: BlockPool> Shard<P> {
    /// An entry of the timing wheel drawn by `random`; while it is rebuilt, of the old one and the new one together.
    pub(crate) fn draw_from_wheels(&self, random: u64) -> Option<WheelEntry> {
        let old = self.rebuild.as_ref().map(|rebuild| &rebuild.old);
        let old_len = old.map_or(0, Wheel::len) as u64;
        let nth = random.checked_rem(old_len + self.wheel.len() as u64)?;
        if nth < old_len { old?.draw(nth) } else { self.wheel.draw(nth - old_len) }
    }

    /// Whether dropped keyspaces are not yet taken apart: their records count as live until they are.
    pub(crate) fn is_dropping(&self) -> bool {
        !self.dropping.is_empty()
    }

    /// Entries of the timing wheel that are due. Returns whether there are more at this time.
    pub(crate) fn due(&mut self, now: UnixMs, budget: usize, due: &mut Vec<WheelEntry>) -> bool {
        if self.wheel.is_ahead_of(now) && self.rebuild.is_none() {
            // The clock was ahead and has been set back. A wheel only turns forward.
            self.begin_rebuild(Wheel::new(now), RebuildWay::Walk { db: 0, slot: 0 });
        }
        let mut more = self.wheel.advance(now, budget, due);
        if let Some(rebuild) = &mut self.rebuild {
            more |= rebuild.old.advance(now, budget, due);
        }
        more
    }

    /// What a due entry of the wheel leads to: the entry of an expired key, its bytes copied to `key`; the
    /// entry of a key that lives longer goes back into the wheel.
    pub(crate) fn expired(&mut self, due: WheelEntry, now: UnixMs, key: &mut Vec<u8>) -> Option<EntryPlace> {
        let local = self.local(due.slot);
        let Self { databases, extents, wheel, .. } = self;
        for (db, database) in (0u8..).zip(databases.iter_mut()) {
            if low_bits(database.keyspace) != due.keyspace_low {
                continue;
            }
            let Some(table) = database.slots.get_mut(local).and_then(|slot| slot.table_mut(due.hash)) else {
                continue;
            };
            let mut expired = false;
            let mut any_cold = false;
            let mut again = None;
            // Usually one entry has these hash bits; where several have, each call takes out one that has ended.
            let entry = table.find_mut(due.hash, |entry| {
                if !entry.in_wheel() {
                    return false;
                }
                let Some(bytes) = extents.find(entry.location()) else {
                    any_cold = true;
                    return false;
                };
                let head = head_in_memory(bytes);
                expired = head.deadline.is_some_and(|deadline| deadline <= now);
                if expired {
                    key.clear();
                    key.extend_from_slice(head.key(bytes).unwrap_or_default());
                } else if again.is_none() {
                    again = Some(head.deadline);
                }
                expired
            });
            if let Some(entry) = entry {
                let (db, location) = (StoredDb(db), entry.location());
                return Some(EntryPlace { db, slot: due.slot, hash: due.hash, location });
            }
            // What is on disk only is looked after by extent, until it is written again.
            let is_cold = |entry: &Entry| entry.in_wheel() && extents.find(entry.location()).is_none();
            while any_cold && let Some(entry) = table.find_mut(due.hash, is_cold) {
                entry.set_in_wheel(false);
            }
            match again {
                Some(Some(deadline)) => wheel.insert(due.hash, due.slot, due.keyspace_low, deadline),
                Some(None) => {
                    // The deadline was taken away since: nothing in the wheel stands for these bits any more,
                    // unless another key shares them, which then only costs it a second entry.
                    if let Some(entry) = table.find_mut(due.hash, Entry::in_wheel) {
                        entry.set_in_wheel(false);
                    }
                }
                None => {}
            }
        }
        None
    }

    /// One bounded step of what nobody waits for: freeing dropped keyspaces and extents, rebuilding a wheel full of entries
    /// that are out of date. Returns whether there is more to do.
    pub(crate) fn background_step(&mut self) -> bool {
        let dropping = self.drop_step();
        let rebuilding = self.rebuild_step();
        let freeing = self.extents.free_some(EXTENTS_FREED_PER_STEP);
        dropping || rebuilding || freeing
    }

    pub(super) fn drop_step(&mut self) -> bool {
        let Some(slots) = self.dropping.last_mut() else { return false };
        let mut budget = DROP_TABLES_PER_STEP;
        while budget > 0 {
            let Some(slot) = slots.last_mut() else { break };
            let Some(table) = slot.pop_table() else {
                slots.pop();
                self.index_bytes -= size_of::<SlotIndex>();
                continue;
            };
            self.index_bytes -= table.allocated_bytes();
            for entry in table.iter() {
                self.extents.release(entry.location(), entry.length_class());
            }
            budget -= 1;
        }
        if slots.is_empty() {
            self.dropping.pop();
        }
        !self.dropping.is_empty()
    }

    fn begin_rebuild(&mut self, fresh: Wheel, way: RebuildWay) {
        let old = std::mem::replace(&mut self.wheel, fresh);
        self.rebuild = Some(WheelRebuild { old, way, fresh_len: 0 });
    }

    /// Walks the index in bounded steps and enters every key with a deadline into a fresh wheel; the old one goes
    /// on until the walk is done.
    pub(super) fn rebuild_step(&mut self) -> bool {
        let Some(rebuild) = &mut self.rebuild else {
            let keys: u64 = self.databases.iter().map(|database| database.deadline_count).sum();
            let keys = usize::try_from(keys).unwrap_or(usize::MAX);
            let is_over = |keys: usize| self.wheel.len() > keys.saturating_mul(2).saturating_add(WHEEL_SLACK);
            let in_memory = usize::try_from(self.extents.deadlines_in_memory()).unwrap_or(usize::MAX);
            let way = if is_over(keys) {
                RebuildWay::Walk { db: 0, slot: 0 }
            } else if self.extents.identity().is_some() && is_over(in_memory) {
                RebuildWay::Sift
            } else {
                return false;
            };
            self.begin_rebuild(self.wheel.successor(), way);
            return true;
        };
        let (mut db, mut slot) = match rebuild.way {
            RebuildWay::Walk { db, slot } => (db, slot),
            RebuildWay::Sift => return self.sift_step(),
            RebuildWay::Discard => {
                let is_empty = rebuild.old.discard(WHEEL_CHUNKS_PER_STEP);
                if is_empty {
                    self.rebuild = None;
                }
                return !is_empty;
            }
        };
        for _ in 0..WHEEL_REBUILD_SLOTS_PER_STEP {
            let Some(database) = self.databases.get_mut(db) else {
                rebuild.way = RebuildWay::Discard;
                return true;
            };
            let keyspace_low = low_bits(database.keyspace);
            let Some(index) = database.slots.get_mut(slot) else {
                (db, slot) = (db + 1, 0);
                continue;
            };
            let number = Slot(self.first_slot + u16::try_from(slot).unwrap_or(0));
            for entry in index.tables_mut().flat_map(Table::iter_mut).filter(|entry| entry.in_wheel()) {
                let bytes = self.extents.find(entry.location());
                match bytes.and_then(|bytes| head_in_memory(bytes).deadline) {
                    Some(deadline) => self.wheel.insert(entry.hash(), number, keyspace_low, deadline),
                    // Gone from memory: its extent's deadlines stand for it.
                    None => entry.set_in_wheel(false),
                }
            }
            slot += 1;
        }
        rebuild.way = RebuildWay::Walk { db, slot };
        true
    }

    /// Moves some entries from the old wheel to the fresh one, but for those of records that have left memory.
    fn sift_step(&mut self) -> bool {
        let Self { databases, extents, wheel, rebuild, first_slot, .. } = self;
        let Some(WheelRebuild { old, fresh_len, .. }) = rebuild else { return false };
        let came = wheel.len().saturating_sub(*fresh_len);
        for _ in 0..WHEEL_SIFT_PER_STEP + came * WHEEL_SIFT_PER_NEW {
            let Some((due, at)) = old.take_any() else {
                *rebuild = None;
                return false;
            };
            let local = usize::from(due.slot.0 - *first_slot);
            let mut stays = false;
            for database in databases.iter_mut().filter(|one| low_bits(one.keyspace) == due.keyspace_low) {
                let table = database.slots.get_mut(local).and_then(|slot| slot.table_mut(due.hash));
                let Some(table) = table else { continue };
                table.find_mut(due.hash, |entry| {
                    stays |= entry.in_wheel() && extents.is_in_memory(entry.location().extent);
                    false
                });
                while !stays && let Some(entry) = table.find_mut(due.hash, Entry::in_wheel) {
                    entry.set_in_wheel(false);
                }
            }
            if stays {
                wheel.put_back(due, at);
            }
        }
        *fresh_len = wheel.len();
        true
    }
}
