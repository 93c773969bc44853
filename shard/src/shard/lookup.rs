//! Finding records: nothing here changes a shard.

use crate::extent::ColdPlace;
use crate::index::{Entry, LengthClass, Location};
use crate::io::BlockPool;
use crate::key::Key;
use crate::record::Head;
use crate::types::{KeyspaceId, Lsn, Slot, StoredDb, UnixMs};

use super::{Shard, head_in_memory};

/// A live record as found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The whole value.
    pub value: &'a [u8],
    /// When the key ends, or never.
    pub deadline: Option<UnixMs>,
    /// LSN of the key's last change: its version.
    pub lsn: Lsn,
}

/// What a look-up met.
pub(crate) enum Lookup {
    /// A record that has not ended: where it is, and its head.
    Live(Location, Head),
    /// A record whose deadline has passed.
    Expired,
    /// No record; the last delete that could be the reason.
    Missing(Lsn),
}

impl<P: BlockPool> Shard<P> {
    #[inline]
    pub(crate) fn local(&self, slot: Slot) -> usize {
        assert!(
            slot.0 >= self.first_slot && slot.0 - self.first_slot < self.slot_count,
            "slot of another shard"
        );
        usize::from(slot.0 - self.first_slot)
    }

    /// Finds a key's record.
    #[inline]
    pub(crate) fn lookup(&self, db: StoredDb, key: &Key<'_>, now: UnixMs) -> Lookup {
        let database = &self.databases[usize::from(db.0)];
        let Some(table) = database.slots.get(self.local(key.slot)).and_then(|slot| slot.table(key.hash))
        else {
            return Lookup::Missing(database.created);
        };
        let mut found = None;
        let entry = table.find(key.hash, |entry| {
            let bytes = self.extents.bytes_at(entry.location());
            let head = head_in_memory(bytes);
            let same = head.key(bytes) == Some(key.bytes);
            if same {
                found = Some(head);
            }
            same
        });
        let (Some(entry), Some(head)) = (entry, found) else {
            return Lookup::Missing(table.last_delete().max(database.created));
        };
        if head.deadline.is_some_and(|deadline| deadline <= now) {
            return Lookup::Expired;
        }
        Lookup::Live(entry.location(), head)
    }

    /// Where a key with these hash bits may be. Looks at no record.
    #[inline]
    pub(crate) fn candidate(&self, db: StoredDb, slot: Slot, hash: u32) -> Option<Location> {
        let database = &self.databases[usize::from(db.0)];
        let table = database.slots.get(self.local(slot))?.table(hash)?;
        table.find(hash, |_| true).map(Entry::location)
    }

    /// Brings the place in the index of a key that has no candidate into the cache. The number means nothing.
    #[inline]
    pub(crate) fn warm_place(&self, db: StoredDb, slot: Slot, hash: u32) -> u32 {
        let slots = &self.databases[usize::from(db.0)].slots;
        let table = slots.get(self.local(slot)).and_then(|slot| slot.table(hash));
        table.map_or(0, |table| table.warm_place(hash))
    }

    /// As [`Self::candidate`], the entry itself, to change it.
    #[inline]
    pub(crate) fn candidate_mut(&mut self, db: StoredDb, slot: Slot, hash: u32) -> Option<&mut Entry> {
        let local = self.local(slot);
        let table = self.databases[usize::from(db.0)].slots.get_mut(local)?.table_mut(hash)?;
        table.find_mut(hash, |_| true)
    }

    /// Calls `visit` for every record that a look-up of these hash bits would look at and that is on disk only.
    pub(crate) fn for_cold(
        &self,
        db: StoredDb,
        slot: Slot,
        hash: u32,
        mut visit: impl FnMut(Location, LengthClass, ColdPlace),
    ) {
        let database = &self.databases[usize::from(db.0)];
        let Some(table) = database.slots.get(self.local(slot)).and_then(|slot| slot.table(hash)) else {
            return;
        };
        table.find(hash, |entry| {
            if let Some(place) = self.cold_record(entry.location(), entry.length_class()) {
                visit(entry.location(), entry.length_class(), place);
            }
            false
        });
    }

    /// The database that shows a keyspace.
    pub(crate) fn db_of(&self, keyspace: KeyspaceId) -> Option<StoredDb> {
        (0u8..)
            .zip(&self.databases)
            .find(|(_, database)| database.keyspace == keyspace)
            .map(|(db, _)| StoredDb(db))
    }

    /// Whether a slot is one of this shard's.
    pub(crate) fn holds(&self, slot: Slot) -> bool {
        slot.0 >= self.first_slot && slot.0 - self.first_slot < self.slot_count
    }

    /// The read that brings back a record which is on disk only.
    pub(crate) fn cold_record(&self, location: Location, class: LengthClass) -> Option<ColdPlace> {
        self.extents.cold_place(location, class)
    }

    /// Keeps a record that was read from disk.
    pub(crate) fn remember(&mut self, location: Location, record: &[u8]) {
        self.extents.remember(location, record);
    }

    /// Brings the index entry of a key that is about to be applied into the cache. The number means nothing: it makes
    /// the reads happen.
    pub fn warm(&self, keyspace: KeyspaceId, slot: Slot, hash: u32) -> u32 {
        let database = self.databases.iter().find(|database| database.keyspace == keyspace);
        let table = database
            .filter(|_| slot.0 >= self.first_slot && slot.0 - self.first_slot < self.slot_count)
            .and_then(|database| database.slots.get(self.local(slot))?.table(hash));
        table.map_or(0, |table| table.warm(hash))
    }

    /// Reads a little of a record, so that it is in the cache.
    #[inline]
    pub(crate) fn touch(&self, location: Location) -> u8 {
        const LINE: usize = 64;
        let bytes = self.extents.find(location).unwrap_or_default();
        bytes.first().copied().unwrap_or(0) ^ bytes.get(LINE).copied().unwrap_or(0)
    }

    /// The record that a look-up met.
    #[inline]
    pub(crate) fn found(&self, location: Location, head: &Head) -> Found<'_> {
        let value = head.value(self.extents.bytes_at(location)).expect("a record in memory is whole");
        Found { value, deadline: head.deadline, lsn: head.lsn }
    }
}
