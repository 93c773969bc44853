//! One shard: the keyspaces of a range of slots as an index over extents, and the one `apply` that changes them.
//!
//! A shard knows nothing of logs and disks. `ShardSet` gives each change its LSN, places it here and appends it to
//! the log; recovery feeds [`Shard::apply`] the records of the log. Both paths end in the same few methods.

mod apply;
mod background;
mod change;
mod floor;
mod lookup;
mod waiting;
mod walk;

use std::collections::VecDeque;
use std::ops::Range;

use crate::compaction::Compaction;
use crate::extent::{ExtentSeal, Extents};
use crate::index::{Entry, SlotIndex};
use crate::io::BlockPool;
use crate::limits::{DATABASE_COUNT, INDEX_ROUNDING_PART};
use crate::record::Head;
use crate::scrub::Scrub;
use crate::types::{BatchNumber, KeyspaceId, Lsn, SLOT_COUNT, ShardId, Slot, StoredDb, Term, UnixMs};
use crate::wheel::Wheel;

pub use apply::ApplyError;
pub(crate) use apply::patch;
use background::WheelRebuild;
pub(crate) use change::EntryPlace;
pub use floor::{FloorKind, ShardFloor};
pub use lookup::Found;
pub(crate) use lookup::Lookup;
pub(crate) use walk::{WalkLimit, WalkPlace};

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
    pub(crate) scrub: Scrub<P>,
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
            scrub: Scrub::default(),
        }
    }

    /// Makes the empty shard one whose extents go to disk. `salt`: drawn at random at each start.
    pub fn keep_on_disk(&mut self, seal: ExtentSeal, salt: u32) {
        assert!(
            self.extents.count() == 0 && seal.shard == self.id,
            "a shard has its home before its first record"
        );
        let now = self.wheel.now();
        self.extents = Extents::new(Some(seal), salt);
        self.extents.note_time(now);
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
    pub fn key_count(&self, db: StoredDb) -> u64 {
        self.databases[usize::from(db.0)].key_count
    }

    /// Keys of a database that have a deadline.
    #[must_use]
    pub fn deadline_count(&self, db: StoredDb) -> u64 {
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

    /// Bytes of memory that the allocator adds to them: tables of 1024 and 2048 buckets take 13,328 and 26,640 bytes, for
    /// which it has blocks of 14,336 and 28,672. Counted where records may leave memory instead; 0 in memory-only storage.
    #[must_use]
    pub fn index_rounding_bytes(&self) -> usize {
        if self.extents.identity().is_some() { self.index_bytes / INDEX_ROUNDING_PART } else { 0 }
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
        self.extents.allocated_bytes() + self.unmovable_bytes()
    }

    /// Bytes of memory that the shard takes whatever leaves memory: index, timing wheel, deadlines of extents.
    #[must_use]
    pub fn unmovable_bytes(&self) -> u64 {
        let index = self.index_bytes() + self.index_rounding_bytes();
        (index + self.wheel_bytes() + self.extents.deadline_bytes()) as u64
    }

    // ---- for copies of the index, see shard_copy.rs -----------------------------------------------------------

    pub(crate) fn extents_mut(&mut self) -> &mut Extents<P> {
        &mut self.extents
    }

    pub(crate) fn next_keyspace(&self) -> u32 {
        self.next_keyspace
    }

    /// The index of a database by slot of the shard; `None` when it never had a key.
    pub(crate) fn slot_indexes(&self, db: StoredDb) -> Option<&[SlotIndex]> {
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
            extents.count_live(entry.location(), entry.length_class(), entry.has_deadline());
            // No wheel holds an entry for it yet.
            database.deadline_count += u64::from(entry.has_deadline());
            entry.set_in_wheel(false);
            *index_bytes = index_bytes.wrapping_add_signed(database.slots[local].insert(entry));
            database.key_count += 1;
        }
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
