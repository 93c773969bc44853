//! Changing a shard: records placed and removed, keyspaces changed. `ShardSet` and `apply.rs` both end here.

use crate::extent::Stream;
use crate::index::{Entry, LengthClass, Location, SlotIndex};
use crate::io::BlockPool;
use crate::key::Key;
use crate::record::{self, Effect, KeyspaceChanges, Record};
use crate::types::{KeyspaceId, Lsn, Slot, StoredDb, UnixMs};

use super::{Database, Shard, head_in_memory, low_bits};

/// An index entry, by the place of its record: no record need be looked at to tell it from others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryPlace {
    pub(crate) db: StoredDb,
    pub(crate) slot: Slot,
    pub(crate) hash: u32,
    pub(crate) location: Location,
}

/// A record just placed, its checksum still that of a log.
#[must_use = "the checksum is to be settled"]
pub(crate) struct Placed<'a> {
    pub(crate) bytes: &'a mut [u8],
    mask: u32,
}

impl Placed<'_> {
    /// Mixes the record's place into its checksum.
    #[inline]
    pub(crate) fn settle(self) {
        record::mix_checksum(self.bytes, self.mask);
    }
}

impl<P: BlockPool> Shard<P> {
    /// Places a whole record and points the index at it. Returns its bytes, for the log, as `write` left them; they
    /// are to be settled.
    #[inline]
    pub(crate) fn place(
        &mut self,
        db: usize,
        key: &Key<'_>,
        len: usize,
        deadline: Option<UnixMs>,
        pool: &mut P,
        write: impl FnOnce(&mut [u8]),
    ) -> Placed<'_> {
        let local = self.local(key.slot);
        let Self { databases, extents, wheel, index_bytes, .. } = self;
        let database = &mut databases[db];
        if database.slots.is_empty() {
            database.slots = (0..self.slot_count).map(|_| SlotIndex::default()).collect();
            *index_bytes += size_of_val(&*database.slots);
        }
        let slot = &mut database.slots[local];
        let mut old = None;
        let entry = slot.table_mut(key.hash).and_then(|table| {
            table.find_mut(key.hash, |entry| {
                let bytes = extents.bytes_at(entry.location());
                let head = head_in_memory(bytes);
                let same = head.key(bytes) == Some(key.bytes);
                if same {
                    old = Some((head.record_len(), head.deadline));
                }
                same
            })
        });
        let location;
        if let (Some(entry), Some((old_len, old_deadline))) = (entry, old) {
            if old_len == len && extents.is_writable(entry.location()) {
                location = entry.location();
                extents.change_deadline(location.extent, LengthClass::of(len), old_deadline, deadline);
                write(extents.bytes_at_mut(location, len));
            } else {
                // The old bytes are released last: `write` may read from them no longer, but a run's memory is
                // given back only now.
                let bytes;
                (location, bytes) = extents.allocate(Stream::Fresh, len, pool);
                write(bytes);
                extents.release(entry.location(), entry.length_class());
                entry.move_to(location, len);
                extents.note_deadline(location.extent, entry.length_class(), deadline);
            }
            database.deadline_count -= u64::from(entry.has_deadline());
            database.deadline_count += u64::from(deadline.is_some());
            entry.set_has_deadline(deadline.is_some());
            if let Some(deadline) = deadline
                && (!entry.in_wheel() || old_deadline.is_none_or(|old| deadline < old))
            {
                wheel.insert(key.hash, key.slot, low_bits(database.keyspace), deadline);
                entry.set_in_wheel(true);
            }
        } else {
            let bytes;
            (location, bytes) = extents.allocate(Stream::Fresh, len, pool);
            write(bytes);
            let mut entry = Entry::new(key.hash, location, len);
            if let Some(deadline) = deadline {
                wheel.insert(key.hash, key.slot, low_bits(database.keyspace), deadline);
                entry.set_in_wheel(true);
                entry.set_has_deadline(true);
                extents.note_deadline(location.extent, entry.length_class(), Some(deadline));
                database.deadline_count += 1;
            }
            *index_bytes = index_bytes.wrapping_add_signed(slot.insert(entry));
            database.key_count += 1;
        }
        let mask = self.extents.mask(location);
        Placed { bytes: self.extents.bytes_at_mut(location, len), mask }
    }

    /// Takes a key out of the index at `lsn`. Returns whether it was there.
    pub(crate) fn remove(&mut self, db: usize, key: &Key<'_>, lsn: Lsn) -> bool {
        let local = self.local(key.slot);
        let Self { databases, extents, index_bytes, .. } = self;
        let database = &mut databases[db];
        let Some(table) = database.slots.get_mut(local).and_then(|slot| slot.table_mut(key.hash)) else {
            return false;
        };
        let before = table.allocated_bytes();
        let entry = table.remove(key.hash, |entry| {
            let bytes = extents.bytes_at(entry.location());
            head_in_memory(bytes).key(bytes) == Some(key.bytes)
        });
        let Some(entry) = entry else { return false };
        *index_bytes -= before - table.allocated_bytes();
        table.note_delete(lsn);
        extents.release(entry.location(), entry.length_class());
        database.key_count -= 1;
        database.deadline_count -= u64::from(entry.has_deadline());
        true
    }

    /// Takes the entry of a record at a place out of the index at `lsn`, without a look at the record. Returns whether
    /// it was there.
    pub(crate) fn remove_at(&mut self, entry: EntryPlace, lsn: Lsn) -> bool {
        let EntryPlace { db, slot, hash, location } = entry;
        let local = self.local(slot);
        let Self { databases, extents, index_bytes, .. } = self;
        let database = &mut databases[usize::from(db.0)];
        let Some(table) = database.slots.get_mut(local).and_then(|slot| slot.table_mut(hash)) else {
            return false;
        };
        let before = table.allocated_bytes();
        let Some(entry) = table.remove(hash, |entry| entry.location() == location) else { return false };
        *index_bytes -= before - table.allocated_bytes();
        table.note_delete(lsn);
        extents.release(location, entry.length_class());
        database.key_count -= 1;
        database.deadline_count -= u64::from(entry.has_deadline());
        true
    }

    /// The record of a key, expired or not: its value copied to `value`, its deadline returned.
    pub(crate) fn copy_out(&self, db: usize, key: &Key<'_>, value: &mut Vec<u8>) -> Option<Option<UnixMs>> {
        let table = self.databases[db].slots.get(self.local(key.slot))?.table(key.hash)?;
        let mut found = None;
        table.find(key.hash, |entry| {
            let bytes = self.extents.bytes_at(entry.location());
            let head = head_in_memory(bytes);
            let same = head.key(bytes) == Some(key.bytes);
            if same {
                found = Some((bytes, head));
            }
            same
        })?;
        let (bytes, head) = found?;
        value.clear();
        value.extend_from_slice(head.value(bytes)?);
        Some(head.deadline)
    }

    /// Shows these keyspaces from `lsn` on and drops what was shown before, in the background.
    pub(crate) fn change_keyspaces(&mut self, changes: KeyspaceChanges<'_>, lsn: Lsn) {
        for (db, keyspace) in changes.iter() {
            let fresh = Database::new(keyspace, lsn);
            let old = std::mem::replace(&mut self.databases[usize::from(db.0)], fresh);
            if !old.slots.is_empty() {
                self.dropping.push(old.slots.into_vec());
            }
            self.next_keyspace = self.next_keyspace.max(keyspace.0 + 1);
        }
    }

    /// Encodes the changes that empty the given databases, those without keys left out.
    pub(crate) fn encode_flush(&self, dbs: impl Iterator<Item = StoredDb>, out: &mut Vec<u8>) {
        let mut next = self.next_keyspace;
        for db in dbs {
            if self.key_count(db) > 0 {
                KeyspaceChanges::encode(out, db, KeyspaceId(next));
                next += 1;
            }
        }
    }

    /// Places a record that holds `value` whole, under the identity of a record that changed only part of it.
    pub(crate) fn place_value(
        &mut self,
        db: usize,
        key: &Key<'_>,
        identity: &Record<'_>,
        value: &[u8],
        deadline: Option<UnixMs>,
        pool: &mut P,
    ) {
        let whole = Record { effect: Effect::Put { value, deadline }, ..*identity };
        let encoder = whole.encoder();
        self.place(db, key, encoder.len(), deadline, pool, |bytes| encoder.write(bytes)).settle();
    }

    /// Keyspace that a database shows.
    #[inline]
    pub(crate) fn keyspace(&self, db: StoredDb) -> KeyspaceId {
        self.databases[usize::from(db.0)].keyspace
    }
}
