//! A worker's shards with their log: where every command's reads and writes arrive.
//!
//! Each change gets its LSN, is applied to its shard at once and appended to the log's open batch. The set notes
//! what the command at hand has seen or done as a batch of the log, the *barrier*: its reply may leave when that
//! batch is durable. A found record counts with its own LSN, an absent one with the last delete in the table it
//! would be in, whole-shard commands with everything appended. So no reply can show what a crash could undo, and
//! no handler has to think of it.

mod cold;
mod storage;
mod walk;

use crate::checkpoint::ShardFiles;
use crate::cold::ColdReads;
use crate::compaction::Departures;
use crate::eviction::Room;
use crate::index::Location;
use crate::io::{BlockPool, Fatal, IoDone, IoRequest};
use crate::key::{Key, KeyHasher};
use crate::limits::DATABASE_COUNT;
use crate::log::{Log, SyncPolicy};
use crate::record::{Effect, KeyspaceChanges, Record};
use crate::shard::{Found, Lookup, Shard, ShardFloor, patch};
use crate::types::{BatchNumber, Db, Lsn, SLOT_COUNT, Slot, UnixMs};
use crate::wheel::WheelEntry;

use storage::{Closing, FILES_IDS, Storage, position_of_id};
pub use storage::{StorageConfig, first_request_id};
pub use walk::ScanCursor;

/// The bits of a request id that tell whose it is: those of the log are clear.
const OWNER_MASK: u64 = 0x7f << 56;
/// Requests of cold reads.
const COLD_IDS: u64 = 1 << 56;
/// Reads of compaction.
pub(crate) const COMPACTION_IDS: u64 = 3 << 56;

/// Counters of one set of shards, ever growing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSetStats {
    /// Keys deleted because their deadline had passed.
    pub expired: u64,
    /// Keys deleted to make room.
    pub evicted: u64,
}

/// The shards of one worker and their log.
pub struct ShardSet<P: BlockPool> {
    pub(crate) shards: Vec<Shard<P>>,
    /// Position in `shards` by slot; `u16::MAX` where the slot belongs to another worker.
    by_slot: Box<[u16]>,
    pub(crate) hasher: KeyHasher,
    pub(crate) pool: P,
    log: Option<Log<P>>,
    /// What the reply to the command at hand must wait for.
    pub(crate) barrier: BatchNumber,
    /// Commands that wait for records on disk.
    cold: ColdReads<P>,
    /// Whether a record may be on disk only, or a command waits for one.
    any_cold: bool,
    /// What is on disk beside the log; `None` when storage is memory-only.
    storage: Option<Storage<P>>,
    /// The record that RANDOMKEY was admitted for.
    drawn: Option<(usize, Location)>,
    in_group: bool,
    /// Shards written to by the group at hand.
    group: Vec<usize>,
    scratch: Vec<u8>,
    record_scratch: Vec<u8>,
    due: Vec<WheelEntry>,
    pub(crate) stats: ShardSetStats,
    /// Keys that a step of compaction wants deleted.
    pub(crate) departures: Departures,
    /// The shard that compaction looks at first in the next turn.
    pub(crate) next_to_compact: usize,
    /// Reads that compaction has asked for.
    pub(crate) compaction_reads: u64,
    /// How much memory there may be.
    pub(crate) room: Room,
}

impl<P: BlockPool> ShardSet<P> {
    /// A worker's set. Without a log nothing survives the process.
    #[must_use]
    pub fn new(shards: Vec<Shard<P>>, hasher: KeyHasher, pool: P, log: Option<Log<P>>) -> Self {
        let mut by_slot = vec![u16::MAX; usize::from(SLOT_COUNT)].into_boxed_slice();
        for (position, shard) in shards.iter().enumerate() {
            let position = u16::try_from(position).expect("a store has at most 2^14 shards");
            let (first, count) = shard.slots();
            let first = usize::from(first.0);
            by_slot[first..first + usize::from(count)].fill(position);
        }
        Self {
            shards,
            by_slot,
            hasher,
            pool,
            log,
            barrier: BatchNumber::ZERO,
            cold: ColdReads::new(COLD_IDS),
            any_cold: false,
            storage: None,
            drawn: None,
            in_group: false,
            group: Vec::new(),
            scratch: Vec::new(),
            record_scratch: Vec::new(),
            due: Vec::new(),
            stats: ShardSetStats::default(),
            departures: Departures::default(),
            next_to_compact: 0,
            compaction_reads: 0,
            room: Room::default(),
        }
    }

    /// Takes the set apart, to hand its shards to other workers.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Shard<P>>, Option<Log<P>>) {
        (self.shards, self.log)
    }

    /// The key with its slot and hash.
    #[must_use]
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        self.hasher.key(bytes)
    }

    /// The store's key hasher.
    #[must_use]
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Whether a slot belongs to this set.
    #[must_use]
    #[inline]
    pub fn owns(&self, slot: Slot) -> bool {
        self.by_slot[usize::from(slot.0)] != u16::MAX
    }

    /// The shards, for their figures.
    #[must_use]
    pub fn shards(&self) -> &[Shard<P>] {
        &self.shards
    }

    /// The log, if there is one.
    #[must_use]
    pub fn log(&self) -> Option<&Log<P>> {
        self.log.as_ref()
    }

    /// The log, if there is one.
    #[must_use]
    pub fn log_mut(&mut self) -> Option<&mut Log<P>> {
        self.log.as_mut()
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> ShardSetStats {
        self.stats
    }

    // ---- what the reply at hand waits for ---------------------------------------------------------------------

    /// The batch that must be durable before the reply to what was done since the last call may leave; `ZERO`:
    /// nothing. Starts afresh for the next command.
    #[inline]
    pub fn take_barrier(&mut self) -> BatchNumber {
        assert!(!self.in_group, "a command ends its group");
        std::mem::take(&mut self.barrier)
    }

    /// Replies that wait for batches up to this one may leave: those that survive power loss, or as much less as
    /// the log's sync policy asks for.
    #[must_use]
    #[inline]
    pub fn released(&self) -> BatchNumber {
        self.log.as_ref().map_or(BatchNumber::ZERO, Log::acknowledgeable)
    }

    /// The command at hand saw all that is appended: its reply waits for all of it.
    pub fn wait_for_all(&mut self) {
        for position in 0..self.shards.len() {
            self.raise_to(position, self.shards[position].lsn());
        }
    }

    /// Changes what the log's replies wait for. The reply to the change waits for all that is appended: what was
    /// revealed under a laxer policy is durable under a stricter one before the change is acknowledged.
    pub fn set_policy(&mut self, policy: SyncPolicy) {
        if let Some(log) = &mut self.log {
            log.set_policy(policy);
            self.barrier = self.barrier.max(log.appended());
        }
    }

    #[inline]
    fn raise_to(&mut self, position: usize, lsn: Lsn) {
        let barrier = self.shards[position].barrier(lsn);
        self.barrier = self.barrier.max(barrier);
    }

    #[inline]
    pub(crate) fn position(&self, slot: Slot) -> usize {
        let position = self.by_slot[usize::from(slot.0)];
        assert!(position != u16::MAX, "the router sends a slot's commands to its worker");
        usize::from(position)
    }

    // ---- reading ----------------------------------------------------------------------------------------------

    /// The live record of a key. One whose deadline has passed is deleted, and that is logged.
    #[inline]
    pub fn lookup(&mut self, db: Db, key: &Key<'_>, now: UnixMs) -> Option<Found<'_>> {
        self.note_use(db, key);
        let position = self.position(key.slot);
        match self.shards[position].lookup(db, key, now) {
            Lookup::Live(location, head) => {
                self.raise_to(position, head.lsn);
                Some(self.shards[position].found(location, &head))
            }
            Lookup::Missing(since) => {
                self.raise_to(position, since);
                None
            }
            Lookup::Expired => {
                self.expire(db, key);
                None
            }
        }
    }

    /// Brings the index entries and records of keys that are about to be used into the cache. Independent misses
    /// overlap when nothing between them waits for one: beyond the second-level cache the cost of a command is its
    /// misses. Changes nothing.
    pub fn warm(&self, db: Db, keys: &[(Slot, u32)]) {
        let mut locations = [None; WARM_KEYS_MAX];
        for (place, &(slot, hash)) in locations.iter_mut().zip(keys) {
            let position = usize::from(self.by_slot[usize::from(slot.0)]);
            *place = self
                .shards
                .get(position)
                .and_then(|shard| shard.candidate(db, slot, hash).map(|at| (position, at)));
        }
        let mut seen = 0u8;
        for &(position, location) in locations.iter().flatten() {
            seen ^= self.shards[position].touch(location);
        }
        std::hint::black_box(seen);
    }

    /// Keys of a database on this worker. The reply waits for all that is appended.
    pub fn key_count(&mut self, db: Db) -> u64 {
        self.wait_for_all();
        self.shards.iter().map(|shard| shard.key_count(db)).sum()
    }

    // ---- writing ----------------------------------------------------------------------------------------------

    /// Sets a key to a value and a deadline (`None`: it never ends).
    #[inline]
    pub fn put(&mut self, db: Db, key: &Key<'_>, value: &[u8], deadline: Option<UnixMs>) {
        self.note_use(db, key);
        let position = self.position(key.slot);
        let Self { shards, pool, log, .. } = self;
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
                shard.place(db, key, encoder.len(), deadline, pool, |bytes| encoder.write(bytes)).settle();
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
        let Some(deadline) = live else {
            value.clear();
            let len = offset as usize + bytes.len();
            patch(&mut value, offset, u32::try_from(len).unwrap_or(u32::MAX), bytes);
            self.put(db, key, &value, None);
            self.keep_scratch(value);
            return len;
        };
        let len = value.len().max(offset as usize + bytes.len());
        let total_len = u32::try_from(len).unwrap_or(u32::MAX);
        patch(&mut value, offset, total_len, bytes);
        self.change(position, db, key, Effect::Patch { offset, total_len, bytes }, &value, deadline);
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
            self.change(position, db, key, Effect::Expire { deadline }, &value, deadline);
        }
        self.keep_scratch(value);
        live
    }

    /// Deletes a key. False when it is not there.
    pub fn delete(&mut self, db: Db, key: &Key<'_>, now: UnixMs) -> bool {
        let live = self.lookup(db, key, now).is_some();
        if live {
            self.remove(db, key);
        }
        live
    }

    /// Empties a database on this worker's shards; the memory comes back in the background.
    pub fn flush_database(&mut self, db: Db) {
        self.flush(db..=db);
    }

    /// Empties all databases on this worker's shards; the memory comes back in the background.
    pub fn flush_all(&mut self) {
        self.flush(Db(0)..=Db(DATABASE_COUNT - 1));
    }

    fn flush(&mut self, dbs: std::ops::RangeInclusive<Db>) {
        self.wait_for_all();
        for position in 0..self.shards.len() {
            let mut changes = std::mem::take(&mut self.scratch);
            changes.clear();
            let numbers = (dbs.start().0..=dbs.end().0).map(Db);
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
    fn change(
        &mut self,
        position: usize,
        db: Db,
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

    fn expire(&mut self, db: Db, key: &Key<'_>) {
        self.stats.expired += 1;
        self.remove(db, key);
    }

    fn remove(&mut self, db: Db, key: &Key<'_>) {
        let position = self.position(key.slot);
        let shard = &mut self.shards[position];
        let lsn = shard.advance_lsn();
        let removed = shard.remove(usize::from(db.0), key, lsn);
        assert!(removed, "only what was found is removed");
        self.append_bare(position, lsn, Some(db), key.bytes, Effect::Delete);
    }

    /// Appends a record that leaves nothing in an extent.
    pub(crate) fn append_bare(
        &mut self,
        position: usize,
        lsn: Lsn,
        db: Option<Db>,
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

    fn append_record(&mut self, position: usize, record: &Record<'_>) {
        let Some(log) = &mut self.log else {
            self.shards[position].note_volatile();
            return;
        };
        self.record_scratch.clear();
        record.encode_to(&mut self.record_scratch);
        let batch = log.append(&self.record_scratch);
        if self.record_scratch.capacity() > SCRATCH_KEPT_BYTES {
            self.record_scratch = Vec::new();
        }
        self.appended(position, batch);
    }

    /// Notes where the newest record of a shard lies, for the reply at hand and for later ones.
    #[inline]
    fn appended(&mut self, position: usize, batch: BatchNumber) {
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

    fn keep_scratch(&mut self, scratch: Vec<u8>) {
        if scratch.capacity() <= SCRATCH_KEPT_BYTES {
            self.scratch = scratch;
        }
    }

    // ---- the turn ---------------------------------------------------------------------------------------------

    /// Ends a turn: goes on with checkpoints, closes the log's batch when the log is ready to fly another. Returns
    /// whether there is more to do at once.
    pub fn end_turn(&mut self, now: UnixMs, now_ns: u64) -> bool {
        let more = self.storage_step(now);
        if let Some(log) = &mut self.log {
            log.close_batch(now_ns);
        }
        more
    }

    /// The next I/O to perform, if any.
    pub fn next_io(&mut self) -> Option<IoRequest<P>> {
        if let Some(request) = self.log.as_mut().and_then(Log::next_io) {
            return Some(request);
        }
        let Self { shards, cold, pool, storage, .. } = self;
        if let Some(request) = cold.next_io(shards, pool) {
            return Some(request);
        }
        let files = storage.as_mut().and_then(|it| it.files.iter_mut().find_map(ShardFiles::next_io));
        files.or_else(|| self.next_compaction_io())
    }

    /// A completion. Afterwards [`Self::released`] may be higher.
    ///
    /// # Errors
    /// What was written may not survive: the process must stop and let recovery decide.
    pub fn on_io(&mut self, done: IoDone<P>) -> Result<(), Fatal> {
        if done.id.0 & OWNER_MASK == COLD_IDS {
            let Self { shards, by_slot, cold, pool, .. } = self;
            cold.on_io(done, shards, pool, |slot| usize::from(by_slot[usize::from(slot.0)]));
            return Ok(());
        }
        if done.id.0 & OWNER_MASK == FILES_IDS {
            let position = position_of_id(done.id.0);
            let Self { shards, storage: Some(storage), pool, .. } = self else {
                unreachable!("only files ask under these ids")
            };
            return storage.files[position].on_io(done, &mut shards[position], pool);
        }
        if done.id.0 & OWNER_MASK == COMPACTION_IDS {
            self.on_compaction_io(done);
            return Ok(());
        }
        let Some(log) = &mut self.log else { return Ok(()) };
        let before = log.acknowledgeable();
        log.on_io(done)?;
        let released = log.acknowledgeable();
        if released > before {
            for shard in &mut self.shards {
                shard.note_released(released);
            }
        }
        Ok(())
    }

    /// Timed work of the log, and one bounded step of expiry and of background work: at most `budget` due keys.
    /// Returns whether more is waiting, so that an idle worker goes on at once.
    pub fn tick(&mut self, now: UnixMs, now_ns: u64, budget: usize) -> bool {
        if let Some(log) = &mut self.log {
            log.tick(now_ns);
            if log.is_shutting_down() || self.storage.as_ref().is_some_and(|it| it.closing != Closing::No) {
                // Expiry logs deletes, and nothing is appended after the clean-shutdown mark: it goes on after the
                // next start.
                return false;
            }
        }
        self.storage_tick();
        let mut more = false;
        for position in 0..self.shards.len() {
            more |= self.expire_step(position, now, budget);
            more |= self.shards[position].background_step();
        }
        more |= self.compact_turn(now);
        more |= self.room_turn(now);
        more
    }

    fn expire_step(&mut self, position: usize, now: UnixMs, budget: usize) -> bool {
        let mut due = std::mem::take(&mut self.due);
        let more = self.shards[position].due(now, budget, &mut due);
        let mut key = std::mem::take(&mut self.scratch);
        for entry in due.drain(..) {
            while let Some(db) = self.shards[position].expired(entry, now, &mut key) {
                let found = self.hasher.key(&key);
                self.expire(db, &found);
            }
        }
        self.keep_scratch(key);
        self.due = due;
        // What expiry logged belongs to no command.
        self.barrier = BatchNumber::ZERO;
        more
    }
}

/// Keys that one call of [`ShardSet::warm`] looks at; further ones are passed over.
pub const WARM_KEYS_MAX: usize = 32;

/// Scratch memory above this is given back after use.
const SCRATCH_KEPT_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::HeapPool;
    use crate::types::{ShardId, Term};

    const NOW: UnixMs = UnixMs(1_700_000_000_000);

    fn set(shard_count: u16) -> ShardSet<HeapPool> {
        let width = SLOT_COUNT / shard_count;
        let slots = |id: u16| id * width..(id + 1) * width;
        let shards = (0..shard_count).map(|id| Shard::new(ShardId(id), slots(id), Term(1), NOW)).collect();
        ShardSet::new(shards, KeyHasher::new([7; 16]), HeapPool, None)
    }

    fn value_of(set: &mut ShardSet<HeapPool>, key: &[u8], now: UnixMs) -> Option<(Vec<u8>, Option<UnixMs>)> {
        let key = set.key(key);
        set.lookup(Db(0), &key, now).map(|found| (found.value.to_vec(), found.deadline))
    }

    fn scan_all(set: &mut ShardSet<HeapPool>, count: usize) -> Vec<Vec<u8>> {
        let (mut keys, mut cursor) = (Vec::new(), ScanCursor(0));
        loop {
            cursor = set.scan(Db(0), cursor, count, NOW, &mut |key, _| keys.push(key.to_vec()));
            if cursor == ScanCursor(0) {
                return keys;
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u8, usize, Option<u64>),
        Patch(u8, u32, usize),
        Delete(u8),
        Deadline(u8, Option<u64>),
        Later(u64),
        Tick,
        Flush,
    }

    fn step() -> impl Strategy<Value = Step> {
        let size = prop_oneof![0usize..200, Just(70_000usize), Just(1_100_000usize)];
        prop_oneof![
            6 => (any::<u8>(), size, proptest::option::of(1u64..5_000)).prop_map(|(k, n, d)| Step::Put(k, n, d)),
            2 => (any::<u8>(), 0u32..300, 0usize..50).prop_map(|(k, o, n)| Step::Patch(k, o, n)),
            2 => any::<u8>().prop_map(Step::Delete),
            2 => (any::<u8>(), proptest::option::of(1u64..5_000)).prop_map(|(k, d)| Step::Deadline(k, d)),
            2 => (1u64..2_000).prop_map(Step::Later),
            1 => Just(Step::Tick),
            1 => Just(Step::Flush),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_set_behaves_as_a_plain_map_does(steps in proptest::collection::vec(step(), 1..200)) {
            let mut set = set(4);
            let mut model: BTreeMap<Vec<u8>, (Vec<u8>, Option<UnixMs>)> = BTreeMap::new();
            let mut now = NOW;
            for (i, step) in steps.iter().enumerate() {
                let name = |k: &u8| format!("key:{k}").into_bytes();
                model.retain(|_, (_, deadline)| deadline.is_none_or(|d| d > now));
                match step {
                    Step::Put(k, size, after) => {
                        let value = vec![u8::try_from(i % 251).unwrap(); *size];
                        let deadline = after.map(|after| UnixMs(now.0 + after));
                        let bytes = name(k);
                        let key = set.key(&bytes);
                        set.put(Db(0), &key, &value, deadline);
                        model.insert(bytes, (value, deadline));
                    }
                    Step::Patch(k, offset, size) => {
                        let bytes = name(k);
                        let key = set.key(&bytes);
                        let part = vec![9; *size];
                        let len = set.patch(Db(0), &key, *offset, &part, now);
                        let (value, _) = model.entry(bytes.clone()).or_default();
                        value.resize(value.len().max(*offset as usize + size), 0);
                        value[*offset as usize..*offset as usize + size].fill(9);
                        prop_assert_eq!(len, value.len());
                    }
                    Step::Delete(k) => {
                        let bytes = name(k);
                        let key = set.key(&bytes);
                        prop_assert_eq!(set.delete(Db(0), &key, now), model.remove(&bytes).is_some());
                    }
                    Step::Deadline(k, after) => {
                        let bytes = name(k);
                        let key = set.key(&bytes);
                        let deadline = after.map(|after| UnixMs(now.0 + after));
                        let there = set.set_deadline(Db(0), &key, deadline, now);
                        prop_assert_eq!(there, model.contains_key(&bytes));
                        if let Some((_, old)) = model.get_mut(&bytes) {
                            *old = deadline;
                        }
                    }
                    Step::Later(ms) => now = UnixMs(now.0 + ms),
                    Step::Tick => {
                        while set.tick(now, 0, 16) {}
                    }
                    Step::Flush => {
                        set.flush_all();
                        model.clear();
                    }
                }
                let _ = set.take_barrier();
            }
            model.retain(|_, (_, deadline)| deadline.is_none_or(|d| d > now));
            for k in 0..=255u8 {
                let key = format!("key:{k}").into_bytes();
                prop_assert_eq!(value_of(&mut set, &key, now), model.get(&key).cloned());
            }
            while set.tick(UnixMs(now.0 + 1_000_000), 0, 1000) {}
            let forever: Vec<&Vec<u8>> = model.iter().filter(|(_, v)| v.1.is_none()).map(|(k, _)| k).collect();
            let mut left = scan_all(&mut set, 7);
            left.sort();
            prop_assert_eq!(left.iter().collect::<Vec<_>>(), forever);
            let live: u64 = set.shards.iter().map(|shard| shard.extents().live_bytes()).sum();
            prop_assert_eq!(set.key_count(Db(0)) == 0, live == 0, "live bytes follow the keys");
        }
    }

    #[test]
    fn scan_returns_every_key_once_in_pages_of_about_count() {
        let mut set = set(16);
        for i in 0..50_000 {
            let name = format!("{{tag}}:{i}");
            let key = set.key(name.as_bytes());
            set.put(Db(0), &key, b"v", None);
        }
        for count in [1usize, 10, 3_000] {
            let (mut seen, mut cursor, mut pages) = (BTreeMap::new(), ScanCursor(0), 0);
            loop {
                let mut here = 0;
                cursor = set.scan(Db(0), cursor, count, NOW, &mut |key, _| {
                    *seen.entry(key.to_vec()).or_insert(0) += 1;
                    here += 1;
                });
                pages += 1;
                assert!(here <= count + 2, "a page of {here} keys for COUNT {count}");
                assert!(cursor.0 < 1 << 53);
                if cursor == ScanCursor(0) {
                    break;
                }
            }
            assert_eq!(seen.len(), 50_000);
            assert!(seen.values().all(|&times| times == 1));
            assert!(pages >= 50_000 / (count + 2));
        }
    }

    #[test]
    fn expiry_takes_all_keys_that_end_at_once_and_gives_memory_back() {
        let mut set = set(2);
        for i in 0..100_000u32 {
            let name = i.to_le_bytes();
            let key = set.key(&name);
            set.put(Db(0), &key, &[1; 100], Some(UnixMs(NOW.0 + 5_000)));
        }
        let mut ticks = 0;
        while set.tick(UnixMs(NOW.0 + 4_000), 0, 100) {}
        assert_eq!(set.key_count(Db(0)), 100_000, "nothing goes before its time");
        while set.key_count(Db(0)) > 0 {
            set.tick(UnixMs(NOW.0 + 5_300), 0, 100);
            ticks += 1;
            assert!(ticks < 10_000, "expiry makes no progress");
        }
        assert_eq!(set.stats().expired, 100_000);
        assert!(set.shards.iter().all(|shard| shard.extents().count() <= 1 && shard.index_bytes() < 1 << 20));
    }

    #[test]
    fn a_deadline_that_goes_up_and_down_for_ever_does_not_fill_the_wheel() {
        let mut set = set(1);
        let key = set.key(b"k");
        set.put(Db(0), &key, b"v", None);
        for i in 0..200_000u64 {
            let after = if i % 2 == 0 { 1_000_000 } else { 500_000 };
            set.set_deadline(Db(0), &key, Some(UnixMs(NOW.0 + after)), NOW);
            if i % 50 == 0 {
                set.tick(NOW, 0, 10);
            }
        }
        for _ in 0..20_000 {
            set.tick(NOW, 0, 10);
        }
        assert!(set.shards[0].wheel_len() < 10_000, "{}", set.shards[0].wheel_len());
        while set.tick(UnixMs(NOW.0 + 600_000), 0, 10_000) {}
        assert_eq!(set.key_count(Db(0)), 0);
    }

    #[test]
    fn random_keys_are_all_equally_likely() {
        let mut set = set(16);
        for i in 0..10u8 {
            let name = [b'a' + i];
            let key = set.key(&name);
            set.put(Db(0), &key, b"v", None);
        }
        let mut counts = [0u32; 10];
        let (mut key, mut random) = (Vec::new(), 88_172_645_463_325_252u64);
        for _ in 0..10_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            assert!(set.random_key(Db(0), random, NOW, &mut key));
            counts[usize::from(key[0] - b'a')] += 1;
        }
        assert!(counts.iter().all(|&count| (800..1200).contains(&count)), "{counts:?}");
    }
}
