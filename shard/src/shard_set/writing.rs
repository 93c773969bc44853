//! Writing: each change gets its LSN, is applied at once and appended to the log's open batch.

use crate::io::BlockPool;
use crate::key::Key;
use crate::limits::DATABASE_COUNT;
use crate::record::{Effect, KeyspaceChanges, Record};
use crate::shard::{EntryPlace, Shard, ShardFloor, patch};
use crate::types::{BatchNumber, Db, Lsn, StoredDb, UnixMs};

use super::{GoneWhy, ShardSet};

impl<P: BlockPool> ShardSet<P> {
    /// Sets a key to a value and a deadline (`None`: it never ends).
    #[inline]
    pub fn put(&mut self, db: Db, key: &Key<'_>, value: &[u8], deadline: Option<UnixMs>) {
        let db = self.databases.stored(db);
        self.note_use(db, key);
        let position = self.position(key.slot);
        let Self { shards, pool, log, storage, .. } = self;
        let shard = &mut shards[position];
        let record = Record {
            shard: shard.id(),
            term: shard.term(),
            lsn: shard.advance_lsn(),
            keyspace: shard.keyspace(db),
            group_continues: self.in_group,
            key: key.bytes,
            effect: Effect::Put { value, deadline },
        };
        let encoder = record.encoder();
        let db = usize::from(db.0);
        let Some(log) = log else {
            if shard.extents().identity().is_some() {
                let placed =
                    shard.place(db, key, encoder.len(), deadline, pool, |bytes| encoder.write(bytes));
                if let Some(storage) = storage {
                    let bytes = &*placed.bytes;
                    storage.note_change(position, bytes.len(), |files| files.take_record(bytes, pool));
                }
                placed.settle();
            } else {
                let write = |bytes: &mut [u8]| encoder.write_unsummed(bytes);
                let _ = shard.place(db, key, encoder.len(), deadline, pool, write);
            }
            shard.note_volatile();
            return;
        };
        let placed = shard.place(db, key, encoder.len(), deadline, pool, |bytes| encoder.write(bytes));
        let batch = log.append(placed.bytes);
        placed.settle();
        self.appended(position, batch);
    }

    /// As [`Self::put`], the value being the parts joined.
    pub fn put_parts(&mut self, db: Db, key: &Key<'_>, value: &[&[u8]], deadline: Option<UnixMs>) {
        let mut joined = std::mem::take(&mut self.scratch);
        joined.clear();
        for part in value {
            joined.extend_from_slice(part);
        }
        self.put(db, key, &joined, deadline);
        self.keep_scratch(joined);
    }

    /// Writes `bytes` at `offset` of a key's value, which grows with zeros as needed; a missing key is made. The
    /// deadline stays. Returns the value's length afterwards.
    pub fn patch(&mut self, db: Db, key: &Key<'_>, offset: u32, bytes: &[u8], now: UnixMs) -> usize {
        let position = self.position(key.slot);
        let mut value = std::mem::take(&mut self.scratch);
        let live = self.lookup(db, key, now).map(|found| {
            value.clear();
            value.extend_from_slice(found.value);
            found.deadline
        });
        if live.is_none() {
            value.clear();
        }
        let len = value.len().max(offset as usize + bytes.len());
        let total_len = u32::try_from(len).unwrap_or(u32::MAX);
        patch(&mut value, offset, total_len, bytes);
        let stored = self.databases.stored(db);
        let effect = Effect::Patch { offset, total_len, bytes };
        match live {
            Some(deadline) => self.change(position, stored, key, effect, &value, deadline),
            None if offset < PATCHED_ZEROS_MIN => self.put(db, key, &value, None),
            None => {
                // The log is spared the zeros: an empty value first, then the patch, both or none.
                let ends_group = !std::mem::replace(&mut self.in_group, true);
                self.put(db, key, &[], None);
                self.change(position, stored, key, effect, &value, None);
                if ends_group {
                    self.end_group();
                }
            }
        }
        self.keep_scratch(value);
        len
    }

    /// Sets when a key ends (`None`: never). False when it is not there.
    pub fn set_deadline(&mut self, db: Db, key: &Key<'_>, deadline: Option<UnixMs>, now: UnixMs) -> bool {
        let position = self.position(key.slot);
        let mut value = std::mem::take(&mut self.scratch);
        let live = self.lookup(db, key, now).is_some_and(|found| {
            value.clear();
            value.extend_from_slice(found.value);
            true
        });
        if live {
            let db = self.databases.stored(db);
            self.change(position, db, key, Effect::Expire { deadline }, &value, deadline);
        }
        self.keep_scratch(value);
        live
    }

    /// Deletes a key. False when it is not there.
    pub fn delete(&mut self, db: Db, key: &Key<'_>, now: UnixMs) -> bool {
        let live = self.lookup(db, key, now).is_some();
        if live {
            self.remove(self.databases.stored(db), key);
        }
        live
    }

    /// Empties a database on this worker's shards; the memory comes back in the background.
    pub fn flush_database(&mut self, db: Db) {
        let db = self.databases.stored(db);
        self.flush(db..=db);
    }

    /// Empties all databases on this worker's shards; the memory comes back in the background.
    pub fn flush_all(&mut self) {
        self.flush(StoredDb(0)..=StoredDb(DATABASE_COUNT - 1));
    }

    pub(super) fn flush(&mut self, dbs: std::ops::RangeInclusive<StoredDb>) {
        self.wait_for_all();
        for position in 0..self.shards.len() {
            let mut changes = std::mem::take(&mut self.scratch);
            changes.clear();
            let numbers = (dbs.start().0..=dbs.end().0).map(StoredDb);
            self.shards[position].encode_flush(numbers, &mut changes);
            if let Some(changes) = KeyspaceChanges::new(&changes)
                && changes.iter().next().is_some()
            {
                let shard = &mut self.shards[position];
                let lsn = shard.advance_lsn();
                shard.change_keyspaces(changes, lsn);
                self.append_bare(position, lsn, None, &[], Effect::Keyspaces(changes));
            }
            self.keep_scratch(changes);
        }
        let floors: Option<Vec<ShardFloor>> = self.shards.iter().map(Shard::empty_floor).collect();
        if let (Some(floors), Some(log)) = (floors, &mut self.log) {
            // Nothing before this is needed any more: the log gives its segments back once this is durable.
            log.publish_floor(&floors, log.appended());
        }
    }

    /// All writes until [`Self::end_group`] count together per shard: recovery applies all or none of them.
    pub fn begin_group(&mut self) {
        assert!(!self.in_group, "groups do not nest");
        self.in_group = true;
    }

    pub(crate) fn in_group(&self) -> bool {
        self.in_group
    }

    /// Closes the group.
    pub fn end_group(&mut self) {
        assert!(self.in_group, "a group was begun");
        self.in_group = false;
        while let Some(position) = self.group.pop() {
            let lsn = self.shards[position].advance_lsn();
            self.append_bare(position, lsn, None, &[], Effect::GroupEnd);
        }
    }

    // ---- the parts of a write ---------------------------------------------------------------------------------

    /// Logs `effect`, which leaves the key with `value` and `deadline`, and places that.
    pub(super) fn change(
        &mut self,
        position: usize,
        db: StoredDb,
        key: &Key<'_>,
        effect: Effect<'_>,
        value: &[u8],
        deadline: Option<UnixMs>,
    ) {
        let shard = &mut self.shards[position];
        let record = Record {
            shard: shard.id(),
            term: shard.term(),
            lsn: shard.advance_lsn(),
            keyspace: shard.keyspace(db),
            group_continues: self.in_group,
            key: key.bytes,
            effect,
        };
        shard.place_value(usize::from(db.0), key, &record, value, deadline, &mut self.pool);
        self.append_record(position, &record);
    }

    pub(super) fn expire(&mut self, db: StoredDb, key: &Key<'_>) {
        self.stats.expired += 1;
        self.note_gone(db, key.bytes, GoneWhy::Expired);
        self.remove(db, key);
    }

    pub(super) fn remove(&mut self, db: StoredDb, key: &Key<'_>) {
        let position = self.position(key.slot);
        let shard = &mut self.shards[position];
        let lsn = shard.advance_lsn();
        let removed = shard.remove(usize::from(db.0), key, lsn);
        assert!(removed, "only what was found is removed");
        self.append_bare(position, lsn, Some(db), key.bytes, Effect::Delete);
    }

    /// Deletes a key that goes by itself: by the place of its record, as others that share its hash bits may be on disk only.
    pub(crate) fn let_go(&mut self, position: usize, entry: EntryPlace, key: &[u8], why: GoneWhy) {
        let shard = &mut self.shards[position];
        let lsn = shard.advance_lsn();
        let removed = shard.remove_at(entry, lsn);
        assert!(removed, "only what was found is removed");
        self.append_bare(position, lsn, Some(entry.db), key, Effect::Delete);
        match why {
            GoneWhy::Expired => self.stats.expired += 1,
            GoneWhy::Evicted => self.stats.evicted += 1,
        }
        self.note_gone(entry.db, key, why);
    }

    /// Appends a record that leaves nothing in an extent.
    pub(crate) fn append_bare(
        &mut self,
        position: usize,
        lsn: Lsn,
        db: Option<StoredDb>,
        key: &[u8],
        effect: Effect<'_>,
    ) {
        let shard = &self.shards[position];
        let record = Record {
            shard: shard.id(),
            term: shard.term(),
            lsn,
            keyspace: db.map(|db| shard.keyspace(db)).unwrap_or_default(),
            group_continues: self.in_group,
            key,
            effect,
        };
        self.append_record(position, &record);
    }

    pub(super) fn append_record(&mut self, position: usize, record: &Record<'_>) {
        let Self { log, storage, record_scratch, pool, .. } = self;
        let Some(log) = log else {
            if let Some(storage) = storage {
                storage.note_change(position, record.encoder().len(), |files| {
                    record_scratch.clear();
                    record.encode_to(record_scratch);
                    files.take_record(record_scratch, pool);
                });
            }
            self.shards[position].note_volatile();
            self.keep_record_scratch();
            return;
        };
        record_scratch.clear();
        record.encode_to(record_scratch);
        let batch = log.append(record_scratch);
        self.keep_record_scratch();
        self.appended(position, batch);
    }

    /// Notes where the newest record of a shard lies, for the reply at hand and for later ones.
    #[inline]
    pub(super) fn appended(&mut self, position: usize, batch: BatchNumber) {
        if self.in_group {
            // Until the group is closed none of it counts, so nothing in it can become durable by itself.
            if !self.group.contains(&position) {
                self.group.push(position);
            }
            return;
        }
        let shard = &mut self.shards[position];
        shard.note_appended(batch, shard.lsn());
        self.barrier = self.barrier.max(batch);
    }

    fn keep_record_scratch(&mut self) {
        if self.record_scratch.capacity() > SCRATCH_KEPT_BYTES {
            self.record_scratch = Vec::new();
        }
    }

    pub(super) fn keep_scratch(&mut self, scratch: Vec<u8>) {
        if scratch.capacity() <= SCRATCH_KEPT_BYTES {
            self.scratch = scratch;
        }
    }
}

/// A new value with so many zeros in front is logged as an empty one and a patch.
const PATCHED_ZEROS_MIN: u32 = 4096;
/// Scratch memory above this is given back after use.
const SCRATCH_KEPT_BYTES: usize = 1 << 20;
