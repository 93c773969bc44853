//! One shard: the keyspaces of a range of slots as an index over extents, and the one `apply` that changes them.
//!
//! A shard knows nothing of logs and disks. `ShardSet` gives each change its LSN, places it here and appends it to
//! the log; recovery feeds [`Shard::apply`] the records of the log. Both paths end in the same few methods.

use std::collections::VecDeque;
use std::ops::Range;

use crate::compaction::Compaction;
use crate::extent::{ColdPlace, ExtentSeal, Extents, Stream};
use crate::index::{Entry, LengthClass, Location, SlotIndex, Table};
use crate::io::BlockPool;
use crate::key::Key;
use crate::limits::{DATABASE_COUNT, DROP_TABLES_PER_STEP, WHEEL_REBUILD_SLOTS_PER_STEP, WHEEL_SLACK};
use crate::record::{self, Effect, Head, KeyspaceChanges, Record};
use crate::types::{BatchNumber, Db, KeyspaceId, Lsn, SLOT_COUNT, ShardId, Slot, Term, UnixMs};
use crate::wheel::{Wheel, WheelEntry};

/// Why a record cannot be applied: the log and the state do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Records are missing.
    #[error(
        "shard {shard}: record {found} follows record {expected_after}: records between them are missing"
    )]
    Gap {
        /// The shard.
        shard: ShardId,
        /// LSN of the record found.
        found: Lsn,
        /// LSN of the last record applied.
        expected_after: Lsn,
    },
    /// The record's term is older than one seen before.
    #[error("shard {shard}: record {lsn} was written under an older term than its predecessor")]
    Term {
        /// The shard.
        shard: ShardId,
        /// LSN of the record.
        lsn: Lsn,
    },
    /// The log holds records only from a later state on than the shard's snapshot is.
    #[error(
        "shard {shard}: its snapshot is the state at record {found}, and the log goes back only to record {floor}:          an older copy of the shard's files is mixed in"
    )]
    SnapshotOlder {
        /// The shard.
        shard: ShardId,
        /// LSN that the log goes back to.
        floor: Lsn,
        /// LSN that the snapshot starts at.
        found: Lsn,
    },
    /// The record belongs elsewhere or names what does not exist.
    #[error("shard {shard}: record {lsn} does not belong here")]
    Foreign {
        /// The shard that was to apply it.
        shard: ShardId,
        /// LSN of the record.
        lsn: Lsn,
    },
}

/// What stands for the records before a floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloorKind {
    /// Nothing: the state at the floor is its keyspaces, all empty.
    Empty,
    /// The snapshot that the shard's manifest names, which starts at this floor or later.
    Snapshot,
}

/// Where a shard's history starts when its earlier records are no longer needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardFloor {
    /// What stands for the records before it.
    pub kind: FloorKind,
    /// The shard.
    pub shard: ShardId,
    /// Records up to this one are not needed.
    pub lsn: Lsn,
    /// Term of that record.
    pub term: Term,
    /// Smallest keyspace id not given out yet.
    pub next_keyspace: u32,
    /// Keyspace of each database, by database number.
    pub keyspaces: Vec<KeyspaceId>,
}

/// What a database number shows in one shard.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) keyspace: KeyspaceId,
    /// LSN of the record that made the keyspace: what a miss waits for where no table is.
    created: Lsn,
    pub(crate) key_count: u64,
    pub(crate) deadline_count: u64,
    /// One per slot of the shard; empty until the first key.
    pub(crate) slots: Box<[SlotIndex]>,
}

impl Database {
    fn new(keyspace: KeyspaceId, created: Lsn) -> Self {
        Self { keyspace, created, key_count: 0, deadline_count: 0, slots: Box::default() }
    }
}

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

/// What a look-up met.
pub(crate) enum Lookup {
    /// A record that has not ended: where it is, and its head.
    Live(Location, Head),
    /// A record whose deadline has passed.
    Expired,
    /// No record; the last delete that could be the reason.
    Missing(Lsn),
}

/// A place in a walk over all keys of a shard: slot within the shard and first hash to visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WalkPlace {
    pub(crate) slot: u16,
    pub(crate) hash: u32,
}

#[derive(Debug)]
struct WheelRebuild {
    old: Wheel,
    db: usize,
    slot: usize,
}

/// One hash shard of the store.
#[derive(Debug)]
pub struct Shard<P: BlockPool> {
    id: ShardId,
    term: Term,
    lsn: Lsn,
    released_lsn: Lsn,
    /// Batches not yet released and the last LSN of this shard in each.
    waiting: VecDeque<(BatchNumber, Lsn)>,
    first_slot: u16,
    slot_count: u16,
    pub(crate) databases: Vec<Database>,
    next_keyspace: u32,
    pub(crate) extents: Extents<P>,
    pub(crate) wheel: Wheel,
    rebuild: Option<WheelRebuild>,
    dropping: Vec<Vec<SlotIndex>>,
    /// Bytes of memory of all index tables.
    index_bytes: usize,
    pub(crate) compaction: Compaction<P>,
}

impl<P: BlockPool> Shard<P> {
    /// An empty shard of these slots, at time `now`, whose first record will be written under `term`.
    #[must_use]
    pub fn new(id: ShardId, slots: Range<u16>, term: Term, now: UnixMs) -> Self {
        assert!(slots.start < slots.end && slots.end <= SLOT_COUNT, "a shard has slots");
        Self {
            id,
            term,
            lsn: Lsn::ZERO,
            released_lsn: Lsn::ZERO,
            waiting: VecDeque::with_capacity(64),
            first_slot: slots.start,
            slot_count: slots.end - slots.start,
            databases: (0..DATABASE_COUNT)
                .map(|db| Database::new(KeyspaceId(u32::from(db)), Lsn::ZERO))
                .collect(),
            next_keyspace: u32::from(DATABASE_COUNT),
            extents: Extents::new(None, 0),
            wheel: Wheel::new(now),
            rebuild: None,
            dropping: Vec::new(),
            index_bytes: 0,
            compaction: Compaction::default(),
        }
    }

    /// Goes on at a floor: all that was here before is gone, in one step. For a start, where nobody waits.
    ///
    /// # Panics
    /// When the floor is another shard's, or lies behind.
    pub fn start_at(&mut self, floor: &ShardFloor) {
        assert!(self.lsn <= floor.lsn && floor.shard == self.id, "a floor lies ahead");
        for database in &mut self.databases {
            for entry in database.slots.iter().flat_map(SlotIndex::tables).flat_map(Table::iter) {
                self.extents.release(entry.location(), entry.length_class());
            }
            database.slots = Box::default();
        }
        (self.lsn, self.released_lsn, self.term) = (floor.lsn, floor.lsn, floor.term);
        self.next_keyspace = floor.next_keyspace;
        for (database, &keyspace) in self.databases.iter_mut().zip(&floor.keyspaces) {
            *database = Database::new(keyspace, floor.lsn);
        }
    }

    /// Makes the empty shard one whose extents go to disk. `salt`: drawn at random at each start.
    pub fn keep_on_disk(&mut self, seal: ExtentSeal, salt: u32) {
        assert!(
            self.extents.count() == 0 && seal.shard == self.id,
            "a shard has its home before its first record"
        );
        self.extents = Extents::new(Some(seal), salt);
    }

    /// Takes a floor of a log: what the log does not hold must be there, or be nothing.
    ///
    /// # Errors
    /// [`ApplyError::SnapshotOlder`].
    pub fn take_floor(&mut self, floor: &ShardFloor) -> Result<(), ApplyError> {
        if floor.lsn <= self.lsn {
            return Ok(());
        }
        match floor.kind {
            FloorKind::Empty => {
                self.start_at(floor);
                Ok(())
            }
            FloorKind::Snapshot => {
                Err(ApplyError::SnapshotOlder { shard: self.id, floor: floor.lsn, found: self.lsn })
            }
        }
    }

    /// Goes on at the start of a snapshot, which is loaded next.
    ///
    /// # Panics
    /// When the shard is not fresh.
    pub fn start_snapshot(&mut self, start: &ShardFloor) {
        assert_eq!(self.lsn, Lsn::ZERO, "a snapshot is loaded into a fresh shard");
        self.start_at(start);
    }

    /// The floor at which this shard could start again: its present LSN, when it holds no key at all.
    #[must_use]
    pub fn empty_floor(&self) -> Option<ShardFloor> {
        self.databases.iter().all(|database| database.key_count == 0).then(|| ShardFloor {
            kind: FloorKind::Empty,
            shard: self.id,
            lsn: self.lsn,
            term: self.term,
            next_keyspace: self.next_keyspace,
            keyspaces: self.databases.iter().map(|database| database.keyspace).collect(),
        })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Reign that its next record is written under.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// Starts a new reign.
    ///
    /// # Panics
    /// When the term is older than the present one.
    pub fn set_term(&mut self, term: Term) {
        assert!(term >= self.term, "terms never decrease");
        self.term = term;
    }

    /// LSN of the last record.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Highest LSN that replies may reveal, with all before it: the durable one, unless the log's sync policy asks
    /// for less.
    #[must_use]
    pub fn released_lsn(&self) -> Lsn {
        self.released_lsn
    }

    /// Its slots: the first, and how many.
    #[must_use]
    pub fn slots(&self) -> (Slot, u16) {
        (Slot(self.first_slot), self.slot_count)
    }

    /// Keys of a database, those included whose deadline has passed but that nobody has met yet.
    #[must_use]
    pub fn key_count(&self, db: Db) -> u64 {
        self.databases[usize::from(db.0)].key_count
    }

    /// Keys of a database that have a deadline.
    #[must_use]
    pub fn deadline_count(&self, db: Db) -> u64 {
        self.databases[usize::from(db.0)].deadline_count
    }

    /// Keys of all databases.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.databases.iter().map(|database| database.key_count).sum()
    }

    /// Entries of the timing wheel, those out of date included.
    #[must_use]
    pub fn wheel_len(&self) -> usize {
        self.wheel.len() + self.rebuild.as_ref().map_or(0, |rebuild| rebuild.old.len())
    }

    /// The extents, for their figures.
    #[must_use]
    pub fn extents(&self) -> &Extents<P> {
        &self.extents
    }

    /// Bytes of memory that all index tables take.
    #[must_use]
    pub fn index_bytes(&self) -> usize {
        self.index_bytes
    }

    /// Bytes of memory that the timing wheel takes.
    #[must_use]
    pub fn wheel_bytes(&self) -> usize {
        self.wheel.allocated_bytes()
            + self.rebuild.as_ref().map_or(0, |rebuild| rebuild.old.allocated_bytes())
    }

    /// Bytes of memory that the shard takes: records, index, timing wheel.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.extents.allocated_bytes() + (self.index_bytes() + self.wheel_bytes()) as u64
    }

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

    // ---- what a reply must wait for ---------------------------------------------------------------------------

    /// The next record's LSN.
    pub(crate) fn advance_lsn(&mut self) -> Lsn {
        self.lsn = self.lsn.next();
        self.lsn
    }

    /// Notes that all records up to `lsn` are in batches up to `batch`.
    pub(crate) fn note_appended(&mut self, batch: BatchNumber, lsn: Lsn) {
        match self.waiting.back_mut() {
            Some((last, up_to)) if *last == batch => *up_to = lsn,
            Some((last, _)) => {
                assert!(*last < batch, "batches only grow");
                self.waiting.push_back((batch, lsn));
            }
            None => self.waiting.push_back((batch, lsn)),
        }
    }

    /// Without a log there is nothing to wait for.
    pub(crate) fn note_volatile(&mut self) {
        self.released_lsn = self.lsn;
    }

    /// Replies may reveal all batches up to `released`.
    pub(crate) fn note_released(&mut self, released: BatchNumber) {
        while let Some(&(batch, lsn)) = self.waiting.front() {
            if batch > released {
                break;
            }
            self.released_lsn = lsn;
            self.waiting.pop_front();
        }
        assert!(self.released_lsn <= self.lsn, "released <= appended");
    }

    /// The batch that must be durable before a reply may reveal the state after `lsn`.
    #[inline]
    pub(crate) fn barrier(&self, lsn: Lsn) -> BatchNumber {
        if lsn <= self.released_lsn {
            return BatchNumber::ZERO;
        }
        let position = self.waiting.partition_point(|&(_, up_to)| up_to < lsn);
        self.waiting.get(position).map_or(BatchNumber::ZERO, |&(batch, _)| batch)
    }

    // ---- looking up -------------------------------------------------------------------------------------------

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
    pub(crate) fn lookup(&self, db: Db, key: &Key<'_>, now: UnixMs) -> Lookup {
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
    pub(crate) fn candidate(&self, db: Db, slot: Slot, hash: u32) -> Option<Location> {
        let database = &self.databases[usize::from(db.0)];
        let table = database.slots.get(self.local(slot))?.table(hash)?;
        table.find(hash, |_| true).map(Entry::location)
    }

    /// As [`Self::candidate`], the entry itself, to change it.
    #[inline]
    pub(crate) fn candidate_mut(&mut self, db: Db, slot: Slot, hash: u32) -> Option<&mut Entry> {
        let local = self.local(slot);
        let table = self.databases[usize::from(db.0)].slots.get_mut(local)?.table_mut(hash)?;
        table.find_mut(hash, |_| true)
    }

    /// Calls `visit` for every record that a look-up of these hash bits would look at and that is on disk only.
    pub(crate) fn for_cold(
        &self,
        db: Db,
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
    pub(crate) fn db_of(&self, keyspace: KeyspaceId) -> Option<Db> {
        (0u8..).zip(&self.databases).find(|(_, database)| database.keyspace == keyspace).map(|(db, _)| Db(db))
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
        table.and_then(|table| table.find(hash, |_| true)).map_or(0, |entry| entry.location().offset)
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

    // ---- changing ---------------------------------------------------------------------------------------------

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
                write(extents.bytes_at_mut(location, len));
            } else {
                // The old bytes are released last: `write` may read from them no longer, but a run's memory is
                // given back only now.
                let bytes;
                (location, bytes) = extents.allocate(Stream::Fresh, len, pool);
                write(bytes);
                extents.release(entry.location(), entry.length_class());
                entry.move_to(location, len);
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
    pub(crate) fn remove_at(&mut self, db: Db, slot: Slot, hash: u32, location: Location, lsn: Lsn) -> bool {
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
    pub(crate) fn encode_flush(&self, dbs: impl Iterator<Item = Db>, out: &mut Vec<u8>) {
        let mut next = self.next_keyspace;
        for db in dbs {
            if self.key_count(db) > 0 {
                KeyspaceChanges::encode(out, db, KeyspaceId(next));
                next += 1;
            }
        }
    }

    /// Applies one record of the log to the state: the only way recovery changes it. `raw` is the record's
    /// encoding, `key` its key as the store hashes it. A record at or below the shard's LSN has been applied and is
    /// passed over.
    ///
    /// # Errors
    /// When the record cannot be the next one.
    pub fn apply(
        &mut self,
        record: &Record<'_>,
        key: &Key<'_>,
        raw: &[u8],
        pool: &mut P,
        scratch: &mut Vec<u8>,
    ) -> Result<(), ApplyError> {
        assert_eq!(record.key, key.bytes, "the key is that of the record");
        let foreign = ApplyError::Foreign { shard: self.id, lsn: record.lsn };
        if record.shard != self.id {
            return Err(foreign);
        }
        if record.lsn <= self.lsn {
            return Ok(());
        }
        if record.lsn != self.lsn.next() {
            return Err(ApplyError::Gap { shard: self.id, found: record.lsn, expected_after: self.lsn });
        }
        if record.term < self.term {
            return Err(ApplyError::Term { shard: self.id, lsn: record.lsn });
        }
        match record.effect {
            Effect::Keyspaces(changes) => {
                if changes
                    .iter()
                    .any(|(db, keyspace)| db.0 >= DATABASE_COUNT || keyspace.0 < self.next_keyspace)
                {
                    return Err(foreign);
                }
                self.change_keyspaces(changes, record.lsn);
            }
            Effect::GroupEnd => {}
            Effect::Fragment { .. } => return Err(foreign),
            Effect::Put { .. } | Effect::Delete | Effect::Expire { .. } | Effect::Patch { .. } => {
                let db = self.databases.iter().position(|database| database.keyspace == record.keyspace);
                let db = db.ok_or(foreign)?;
                let (first, count) = (self.first_slot, self.slot_count);
                if key.slot.0 < first || key.slot.0 - first >= count {
                    return Err(foreign);
                }
                self.apply_to_key(db, key, record, raw, pool, scratch);
            }
        }
        (self.lsn, self.released_lsn, self.term) = (record.lsn, record.lsn, record.term);
        Ok(())
    }

    fn apply_to_key(
        &mut self,
        db: usize,
        key: &Key<'_>,
        record: &Record<'_>,
        raw: &[u8],
        pool: &mut P,
        scratch: &mut Vec<u8>,
    ) {
        match record.effect {
            Effect::Put { deadline, .. } => {
                self.place(db, key, raw.len(), deadline, pool, |bytes| bytes.copy_from_slice(raw)).settle();
            }
            Effect::Delete => {
                self.remove(db, key, record.lsn);
            }
            Effect::Expire { deadline } => {
                if self.copy_out(db, key, scratch).is_some() {
                    self.place_value(db, key, record, scratch, deadline, pool);
                }
            }
            Effect::Patch { offset, total_len, bytes } => {
                let deadline = self.copy_out(db, key, scratch).unwrap_or_else(|| {
                    scratch.clear();
                    None
                });
                patch(scratch, offset, total_len, bytes);
                self.place_value(db, key, record, scratch, deadline, pool);
            }
            Effect::Keyspaces(_) | Effect::Fragment { .. } | Effect::GroupEnd => {
                unreachable!("not an effect on a key")
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
    pub(crate) fn keyspace(&self, db: Db) -> KeyspaceId {
        self.databases[usize::from(db.0)].keyspace
    }

    // ---- walking ----------------------------------------------------------------------------------------------

    /// Entries of one slot from a hash on, at most about `count` (all of one hash together), and where to go on in
    /// this slot; `None` when it is done.
    pub(crate) fn walk_entries(
        &self,
        db: Db,
        place: WalkPlace,
        count: usize,
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
        if entries.len() > count.max(1) {
            let (_, last, _) = entries.select_nth_unstable_by_key(count.max(1) - 1, Entry::hash);
            let last = last.hash();
            if let Some(after) = last.checked_add(1) {
                entries.retain(|entry| entry.hash() <= last);
                next = Some(after);
            }
        }
        (entries, next.map(|hash| WalkPlace { slot: place.slot, hash }))
    }

    /// Visits live records of one slot from a hash on, as [`Self::walk_entries`] finds them. Returns how many entries
    /// there were, and where to go on.
    pub(crate) fn walk_slot(
        &self,
        db: Db,
        place: WalkPlace,
        count: usize,
        now: UnixMs,
        visit: &mut dyn FnMut(&[u8], &Found<'_>),
    ) -> (usize, Option<WalkPlace>) {
        let (entries, next) = self.walk_entries(db, place, count);
        for entry in &entries {
            let bytes = self.extents.bytes_at(entry.location());
            let head = head_in_memory(bytes);
            if head.deadline.is_none_or(|deadline| deadline > now)
                && let (Some(key), Some(value)) = (head.key(bytes), head.value(bytes))
            {
                visit(key, &Found { value, deadline: head.deadline, lsn: head.lsn });
            }
        }
        (entries.len(), next)
    }

    /// The entry that is `nth` of a database in the order of its tables, its key live or not.
    pub(crate) fn nth_entry(&self, db: Db, nth: u64) -> Option<Entry> {
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

    // ---- for copies of the index, see shard_copy.rs -----------------------------------------------------------

    pub(crate) fn extents_mut(&mut self) -> &mut Extents<P> {
        &mut self.extents
    }

    pub(crate) fn next_keyspace(&self) -> u32 {
        self.next_keyspace
    }

    /// The index of a database by slot of the shard; `None` when it never had a key.
    pub(crate) fn slot_indexes(&self, db: Db) -> Option<&[SlotIndex]> {
        let slots = &self.databases[usize::from(db.0)].slots;
        (!slots.is_empty()).then_some(slots)
    }

    pub(crate) fn place_loaded(
        &mut self,
        keyspace: KeyspaceId,
        slot: Slot,
        entries: impl Iterator<Item = Entry>,
    ) {
        let local = self.local(slot);
        let Self { databases, extents, index_bytes, .. } = self;
        let Some(database) = databases.iter_mut().find(|database| database.keyspace == keyspace) else {
            return;
        };
        if database.slots.is_empty() {
            database.slots = (0..self.slot_count).map(|_| SlotIndex::default()).collect();
            *index_bytes += size_of_val(&*database.slots);
        }
        for mut entry in entries {
            extents.count_live(entry.location(), entry.length_class());
            // No wheel holds an entry for it yet.
            database.deadline_count += u64::from(entry.has_deadline());
            entry.set_in_wheel(false);
            *index_bytes = index_bytes.wrapping_add_signed(database.slots[local].insert(entry));
            database.key_count += 1;
        }
    }

    // ---- work in the background -------------------------------------------------------------------------------

    /// Entries of the timing wheel that are due. Returns whether there are more at this time.
    pub(crate) fn due(&mut self, now: UnixMs, budget: usize, due: &mut Vec<WheelEntry>) -> bool {
        let mut more = self.wheel.advance(now, budget, due);
        if let Some(rebuild) = &mut self.rebuild {
            more |= rebuild.old.advance(now, budget, due);
        }
        more
    }

    /// What a due entry of the wheel leads to: the database of an expired key, its bytes copied to `key`; the
    /// entry of a key that lives longer goes back into the wheel.
    pub(crate) fn expired(&mut self, due: WheelEntry, now: UnixMs, key: &mut Vec<u8>) -> Option<Db> {
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
            let mut again = None;
            // Usually one entry has these hash bits; where several have, each call takes out one that has ended.
            let entry = table.find_mut(due.hash, |entry| {
                if !entry.in_wheel() {
                    return false;
                }
                // What is on disk only is looked after by extent.
                let Some(bytes) = extents.find(entry.location()) else { return false };
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
            if entry.is_some() {
                return Some(Db(db));
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

    /// One bounded step of what nobody waits for: freeing dropped keyspaces, rebuilding a wheel full of entries
    /// that are out of date. Returns whether there is more to do.
    pub(crate) fn background_step(&mut self) -> bool {
        let dropping = self.drop_step();
        let rebuilding = self.rebuild_step();
        dropping || rebuilding
    }

    fn drop_step(&mut self) -> bool {
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

    /// Walks the index in bounded steps and enters every key with a deadline into a fresh wheel; the old one goes
    /// on until the walk is done.
    fn rebuild_step(&mut self) -> bool {
        let Some(rebuild) = &mut self.rebuild else {
            let keys: u64 = self.databases.iter().map(|database| database.deadline_count).sum();
            let keys = usize::try_from(keys).unwrap_or(usize::MAX);
            if self.wheel.len() <= keys.saturating_mul(2).saturating_add(WHEEL_SLACK) {
                return false;
            }
            let fresh = self.wheel.successor();
            let old = std::mem::replace(&mut self.wheel, fresh);
            self.rebuild = Some(WheelRebuild { old, db: 0, slot: 0 });
            return true;
        };
        for _ in 0..WHEEL_REBUILD_SLOTS_PER_STEP {
            let Some(database) = self.databases.get(rebuild.db) else {
                self.rebuild = None;
                return false;
            };
            let Some(slot) = database.slots.get(rebuild.slot) else {
                (rebuild.db, rebuild.slot) = (rebuild.db + 1, 0);
                continue;
            };
            for entry in slot.tables().flat_map(Table::iter) {
                if !entry.in_wheel() {
                    continue;
                }
                let Some(bytes) = self.extents.find(entry.location()) else { continue };
                if let Some(deadline) = head_in_memory(bytes).deadline {
                    let number = u16::try_from(rebuild.slot).unwrap_or(0);
                    let slot = Slot(self.first_slot + number);
                    self.wheel.insert(entry.hash(), slot, low_bits(database.keyspace), deadline);
                }
            }
            rebuild.slot += 1;
        }
        true
    }
}

/// Head of a record in an extent.
///
/// # Panics
/// When the bytes are not a record: the index points at what this process did not write.
#[inline]
fn head_in_memory(bytes: &[u8]) -> Head {
    Head::decode(bytes).expect("the index points at a record")
}

pub(crate) fn low_bits(keyspace: KeyspaceId) -> u16 {
    #[expect(clippy::cast_possible_truncation, reason = "low bits by design")]
    let low = keyspace.0 as u16;
    low
}

/// Puts `bytes` at `offset` of a value that then has `total_len` bytes; what was not there is zero.
pub(crate) fn patch(value: &mut Vec<u8>, offset: u32, total_len: u32, bytes: &[u8]) {
    value.resize(total_len as usize, 0);
    let start = offset as usize;
    value[start..start + bytes.len()].copy_from_slice(bytes);
}
