//! Walking over the keys of a shard, and drawing one.

use crate::index::{Entry, Location, SlotIndex, Table};
use crate::io::BlockPool;
use crate::types::{StoredDb, UnixMs};

use super::{Found, Shard, head_in_memory};

/// A place in a walk over all keys of a shard: slot within the shard and first hash to visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WalkPlace {
    pub(crate) slot: u16,
    pub(crate) hash: u32,
}

/// How much a walk comes by before it rests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalkLimit {
    /// Entries.
    pub(crate) entries: usize,
    /// Bytes of their records, by length class.
    pub(crate) bytes: u64,
}

impl WalkLimit {
    pub(crate) const fn is_reached(self) -> bool {
        self.entries == 0 || self.bytes == 0
    }

    /// What is left behind these.
    pub(crate) fn less(self, entries: &[Entry]) -> Self {
        Self {
            entries: self.entries.saturating_sub(entries.len()),
            bytes: self.bytes.saturating_sub(entries.iter().map(record_bytes).sum()),
        }
    }
}

fn record_bytes(entry: &Entry) -> u64 {
    entry.length_class().bytes_max() as u64
}

impl<P: BlockPool> Shard<P> {
    /// Entries of one slot from a hash on, at most about as many as `limit` says (all of one hash together, and at least
    /// one), and where to go on in this slot; `None` when it is done.
    pub(crate) fn walk_entries(
        &self,
        db: StoredDb,
        place: WalkPlace,
        limit: WalkLimit,
    ) -> (Vec<Entry>, Option<WalkPlace>) {
        let slots = &self.databases[usize::from(db.0)].slots;
        let Some((table, end)) =
            slots.get(usize::from(place.slot)).and_then(|slot| slot.table_at(place.hash))
        else {
            return (Vec::new(), None);
        };
        let mut entries: Vec<Entry> =
            table.iter().filter(|entry| entry.hash() >= place.hash).copied().collect();
        let mut next = end;
        let mut end_behind = |entries: &mut Vec<Entry>, last: u32| {
            if let Some(after) = last.checked_add(1) {
                let before = entries.len();
                entries.retain(|entry| entry.hash() <= last);
                if entries.len() < before {
                    next = Some(after);
                }
            }
        };
        if entries.len() > limit.entries.max(1) {
            let (_, last, _) = entries.select_nth_unstable_by_key(limit.entries.max(1) - 1, Entry::hash);
            let last = last.hash();
            end_behind(&mut entries, last);
        }
        if entries.iter().map(record_bytes).sum::<u64>() > limit.bytes {
            entries.sort_unstable_by_key(Entry::hash);
            let mut bytes = 0;
            let reaches = |entry: &&Entry| {
                bytes += record_bytes(entry);
                bytes >= limit.bytes
            };
            if let Some(last) = entries.iter().find(reaches).map(Entry::hash) {
                end_behind(&mut entries, last);
            }
        }
        (entries, next.map(|hash| WalkPlace { slot: place.slot, hash }))
    }

    /// All entries of a database, in no order.
    pub fn entries(&self, db: StoredDb) -> impl Iterator<Item = Entry> {
        let slots = &self.databases[usize::from(db.0)].slots;
        slots.iter().flat_map(SlotIndex::tables).flat_map(Table::iter).copied()
    }

    /// Visits live records of one slot from a hash on, as [`Self::walk_entries`] finds them. Returns what is left of the
    /// limit, and where to go on.
    pub(crate) fn walk_slot(
        &self,
        db: StoredDb,
        place: WalkPlace,
        limit: WalkLimit,
        now: UnixMs,
        visit: &mut dyn FnMut(&[u8], &Found<'_>),
    ) -> (WalkLimit, Option<WalkPlace>) {
        let (entries, next) = self.walk_entries(db, place, limit);
        for entry in &entries {
            let bytes = self.extents.bytes_at(entry.location());
            let head = head_in_memory(bytes);
            if head.deadline.is_none_or(|deadline| deadline > now)
                && let (Some(key), Some(value)) = (head.key(bytes), head.value(bytes))
            {
                visit(key, &Found { value, deadline: head.deadline, lsn: head.lsn });
            }
        }
        (limit.less(&entries), next)
    }

    /// The entry that is `nth` of a database in the order of its tables, its key live or not.
    pub(crate) fn nth_entry(&self, db: StoredDb, nth: u64) -> Option<Entry> {
        let mut left = usize::try_from(nth).ok()?;
        for table in self.databases[usize::from(db.0)].slots.iter().flat_map(SlotIndex::tables) {
            if left < table.len() {
                return table.iter().nth(left).copied();
            }
            left -= table.len();
        }
        None
    }

    /// Copies the key of the record at a location, when that is in memory and has not ended.
    pub(crate) fn key_at(&self, location: Location, now: UnixMs, key: &mut Vec<u8>) -> bool {
        if !self.extents.contains(location.extent) {
            return false;
        }
        let Some(bytes) = self.extents.find(location) else { return false };
        let head = head_in_memory(bytes);
        let live = head.deadline.is_none_or(|deadline| deadline > now);
        if let (true, Some(found)) = (live, head.key(bytes)) {
            key.clear();
            key.extend_from_slice(found);
            return true;
        }
        false
    }
}
