//! A worker's shards with their log: where every command's reads and writes arrive.
//!
//! Each change gets its LSN, is applied to its shard at once and appended to the log's open batch. The set notes
//! what the command at hand has seen or done as a batch of the log, the *barrier*: its reply may leave when that
//! batch is durable. A found record counts with its own LSN, an absent one with the last delete in the table it
//! would be in, whole-shard commands with everything appended. So no reply can show what a crash could undo, and
//! no handler has to think of it.

mod cold;
mod gone;
mod low_water;
mod on_demand;
mod reading;
mod storage;
mod storage_config;
mod turn;
mod unsaved;
mod walk;
mod write_pace;
mod writing;

use crate::cold::ColdReads;
use crate::compaction::{Departures, ExpiryPace, Spread};
use crate::databases::DatabaseMap;
use crate::eviction::Room;
use crate::index::Location;
use crate::io::BlockPool;
use crate::key::{Key, KeyHasher};
use crate::log::{Log, SyncPolicy};
use crate::scrub::ScrubTurns;
use crate::shard::Shard;
use crate::types::{BatchNumber, Lsn, SLOT_COUNT, Slot};
use crate::wheel::WheelEntry;

pub use crate::checkpoint::SpaceFor;
use gone::Gone;
pub use gone::{GoneKey, GoneWhy};
pub use low_water::DiskSpace;
pub use on_demand::{StorageTask, TaskError, TaskKind};
pub use reading::WARM_KEYS_MAX;
use storage::Storage;
pub use storage::first_request_id;
pub use storage_config::{SCRUB_MS, StorageConfig, UNSAVED_MS_MAX};
pub use walk::ScanCursor;

/// The bits of a request id that tell whose it is: those of the log are clear.
const OWNER_MASK: u64 = 0x7f << 56;
/// Requests of cold reads.
const COLD_IDS: u64 = 1 << 56;
/// Reads of compaction.
pub(crate) const COMPACTION_IDS: u64 = 3 << 56;
/// Reads of the scrub.
pub(crate) const SCRUB_IDS: u64 = 5 << 56;

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
    /// Which stored database each number shows.
    pub(crate) databases: DatabaseMap,
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
    /// Whether a tick deletes keys whose time has come.
    active_expiry: bool,
    pub(crate) stats: ShardSetStats,
    /// Keys that a step of compaction wants deleted.
    pub(crate) departures: Departures,
    /// The shard that compaction looks at first in the next turn.
    pub(crate) next_to_compact: usize,
    /// How fast extents in which much has ended are emptied.
    pub(crate) expiry_pace: ExpiryPace,
    /// How what compaction owes is spread over time.
    pub(crate) compaction_spread: Spread,
    /// How long what the last tick left may be left alone.
    rest_ns: u64,
    /// Reads that compaction has asked for.
    pub(crate) compaction_reads: u64,
    /// A read of compaction has ended since the last turn.
    pub(crate) compaction_has_read: bool,
    /// The scrub of all shards.
    pub(crate) scrub: ScrubTurns,
    /// How much memory there may be.
    pub(crate) room: Room,
    /// Keys that went by themselves, for those who are told.
    pub(crate) gone: Gone,
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
            databases: DatabaseMap::default(),
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
            active_expiry: true,
            stats: ShardSetStats::default(),
            departures: Departures::default(),
            next_to_compact: 0,
            expiry_pace: ExpiryPace::default(),
            compaction_spread: Spread::default(),
            rest_ns: 0,
            compaction_reads: 0,
            compaction_has_read: false,
            scrub: ScrubTurns::default(),
            room: Room::default(),
            gone: Gone::default(),
        }
    }

    /// Where its buffers come from.
    #[must_use]
    pub const fn pool(&self) -> &P {
        &self.pool
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

    /// Whether two slots of this set are of one shard: then what a group does in both is there as a whole or not at all
    /// after a crash.
    #[must_use]
    pub fn in_one_shard(&self, a: Slot, b: Slot) -> bool {
        self.position(a) == self.position(b)
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

    /// From here on numbers of databases show what the map says. Shards and log know nothing of it: that it is durable
    /// first, and that all workers take it together, is the caller's.
    pub fn show_databases(&mut self, map: DatabaseMap) {
        assert!(!self.in_group, "a command ends before databases change places");
        self.databases = map;
        for files in self.storage.iter_mut().flat_map(|storage| &mut storage.files) {
            files.note_swaps(map.mark());
        }
    }

    /// Which stored database each number shows.
    #[must_use]
    pub const fn databases(&self) -> DatabaseMap {
        self.databases
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
}

#[cfg(test)]
mod bound_tests;
#[cfg(test)]
mod tests;
