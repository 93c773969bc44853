//! Makes room: how much is evicted, when, and from which shard.

use super::{EvictionPolicy, MemoryLimit};
use crate::compaction::{EvictRule, StepPart, Worked};
use crate::index::{ExtentNumber, USES_MAX};
use crate::io::BlockPool;
use crate::key::Key;
use crate::limits::{EVICTION_STEPS_MAX, EVICTION_STEPS_PER_TURN};
use crate::planted::{self, PlantedBug};
use crate::shard_set::ShardSet;
use crate::types::{Db, StoredDb, UnixMs};

/// Work per byte written while the limit is near: enough when nine of ten bytes passed are kept.
const PACE: u64 = 10;
/// Room that is kept below the limit so that work can be spread: a part of it, but never more than these bytes.
const SLACK_PART: u64 = 50;
const SLACK_BYTES_MAX: u64 = 8 << 20;
/// A shard of which this part is dead is compacted before anything is evicted.
const DEAD_PART: u64 = 8;
/// Work that evicting some drawn keys, or taking apart a dropped keyspace, counts as, in bytes.
const SMALL_STEP_BYTES: u64 = 4096;
/// Keys drawn and evicted in one step.
const DRAWN_PER_STEP: usize = 16;
/// Open extents with at least so many dead bytes are closed, so that they can be emptied.
const OPEN_DEAD_BYTES_MIN: u64 = 64 << 10;

/// What making room remembers.
#[derive(Debug)]
pub(crate) struct Room {
    limit: MemoryLimit,
    /// State of a seeded generator, never 0: nothing that is kept depends on it.
    random: u64,
    /// Bytes written when last looked at, and work owed for what was written since.
    fresh_seen: u64,
    owed_bytes: u64,
    /// The shard that is being worked on.
    position: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            limit: MemoryLimit::default(),
            random: 0x9e37_79b9_7f4a_7c15,
            fresh_seen: 0,
            owed_bytes: 0,
            position: 0,
        }
    }
}

impl Room {
    /// Draws a number (xorshift64, Marsaglia 2003).
    pub(super) fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    pub(crate) fn counts_uses(&self) -> bool {
        self.limit.bytes > 0 && self.limit.policy.counts_uses()
    }

    /// Bytes above which room is made.
    fn comfortable(&self) -> u64 {
        self.limit.bytes - (self.limit.bytes / SLACK_PART).min(SLACK_BYTES_MAX)
    }
}

impl<P: BlockPool> ShardSet<P> {
    /// How much memory the set may take, and which keys go beyond that. Takes effect with the next write, or turn.
    ///
    /// # Panics
    /// When keys are to be evicted from a store on disk.
    pub fn set_memory_limit(&mut self, limit: MemoryLimit) {
        let on_disk = self.shards.iter().any(|shard| shard.extents.identity().is_some());
        assert!(limit.policy == EvictionPolicy::NoEviction || !on_disk, "what is on disk is not evicted");
        if limit != self.room.limit {
            // What is being emptied by the policy before is emptied without anybody's key from here on.
            self.shards.iter_mut().for_each(|shard| shard.compaction.evict_no_more());
        }
        self.room.limit = limit;
    }

    /// Bytes of memory that the shards take: records, index, timing wheels.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.shards.iter().map(crate::shard::Shard::memory_bytes).sum()
    }

    /// Asked before a command that may make the data grow by about `incoming` bytes. Makes room as the policy says,
    /// in bounded work that follows what is written. False: there is none, the command is to be refused.
    #[inline]
    pub fn make_room(&mut self, incoming: u64, now: UnixMs) -> bool {
        if self.room.limit.bytes == 0 || planted::is(PlantedBug::NoRoomMade) {
            return true;
        }
        self.memory_bytes() + incoming <= self.room.comfortable() || self.reclaim(incoming, now)
    }

    fn reclaim(&mut self, incoming: u64, now: UnixMs) -> bool {
        let MemoryLimit { bytes: limit, policy } = self.room.limit;
        if incoming > limit {
            return false;
        }
        assert!(!self.in_group(), "room is made before a command");
        let fresh: u64 = self.shards.iter().map(|shard| shard.extents.fresh_bytes()).sum();
        let written = fresh - self.room.fresh_seen;
        self.room.fresh_seen = fresh;
        self.room.owed_bytes = self.room.owed_bytes.saturating_add((written + incoming) * PACE).min(limit);
        let steps_max = EVICTION_STEPS_MAX + usize::try_from(incoming >> 12).unwrap_or(usize::MAX);
        for _ in 0..steps_max {
            let used = self.memory_bytes() + incoming;
            if used <= self.room.comfortable() {
                self.room.owed_bytes = 0;
                return true;
            }
            if used <= limit && self.room.owed_bytes == 0 {
                return true;
            }
            match self.reclaim_step(now) {
                Some(bytes) => self.room.owed_bytes = self.room.owed_bytes.saturating_sub(bytes),
                None => return used <= limit,
            }
        }
        // More is under way than one command can be asked to wait for.
        policy != EvictionPolicy::NoEviction || self.memory_bytes() + incoming <= limit
    }

    /// The turn's part of it: a limit that was lowered is reached without any command. Returns whether more is
    /// waiting.
    pub(crate) fn room_turn(&mut self, now: UnixMs) -> bool {
        if self.room.limit.bytes == 0 {
            return false;
        }
        for _ in 0..EVICTION_STEPS_PER_TURN {
            if self.memory_bytes() <= self.room.limit.bytes {
                return false;
            }
            if self.reclaim_step(now).is_none() {
                return false;
            }
        }
        true
    }

    /// One bounded step towards more room. How much work it was; `None`: there is nothing to be had.
    fn reclaim_step(&mut self, now: UnixMs) -> Option<u64> {
        let at = self.room.position;
        if self.shards[at].compaction.has_victim()
            && let Worked::Bytes(bytes) = self.compact_step(at, now, StepPart::WHOLE)
        {
            return Some(bytes.max(1));
        }
        let sizes = self.shards.iter().map(|shard| shard.extents.allocated_bytes());
        let (largest, _) = (0..).zip(sizes).max_by_key(|(_, bytes)| *bytes)?;
        let count = self.shards.len();
        (largest..count).chain(0..largest).find_map(|position| {
            self.room.position = position;
            self.reclaim_in(position, now)
        })
    }

    fn reclaim_in(&mut self, position: usize, now: UnixMs) -> Option<u64> {
        let policy = self.room.limit.policy;
        let Self { shards, .. } = self;
        let shard = &mut shards[position];
        if shard.is_dropping() {
            shard.background_step();
            return Some(SMALL_STEP_BYTES);
        }
        if !shard.compaction.has_victim() {
            shard.extents.close_wasteful(OPEN_DEAD_BYTES_MIN);
        }
        let dead = shard.extents.dead_sealed_bytes();
        let worthwhile = dead * DEAD_PART > shard.extents.fill().held_bytes && !shard.compaction.rests();
        if (shard.compaction.has_victim() || worthwhile)
            && let Worked::Bytes(bytes) = self.compact_step(position, now, StepPart::WHOLE)
        {
            return Some(bytes.max(1));
        }
        match policy {
            EvictionPolicy::NoEviction => None,
            EvictionPolicy::AllKeysLru => self.evict_extent(position, EvictRule::Unused, now),
            EvictionPolicy::AllKeysLfu => self.evict_extent(position, EvictRule::Rare, now),
            EvictionPolicy::AllKeysRandom => self.evict_extent(position, EvictRule::All, now),
            EvictionPolicy::VolatileLru
            | EvictionPolicy::VolatileLfu
            | EvictionPolicy::VolatileRandom
            | EvictionPolicy::VolatileTtl => {
                let evicted = (0..DRAWN_PER_STEP).take_while(|_| self.evict_drawn(position, policy)).count();
                (evicted > 0).then_some(SMALL_STEP_BYTES)
            }
        }
    }

    /// Begins to empty an extent of its keys: the oldest, or any.
    pub(super) fn evict_extent(&mut self, position: usize, rule: EvictRule, now: UnixMs) -> Option<u64> {
        let Self { shards, room, .. } = self;
        let shard = &mut shards[position];
        let start = match rule {
            EvictRule::All => {
                let first = shard.extents.oldest_from(ExtentNumber(0))?.0;
                let width = u64::from(shard.extents.next_number().0 - first).max(1);
                ExtentNumber(first + u32::try_from(room.draw() % width).unwrap_or(0))
            }
            EvictRule::Unused | EvictRule::Rare | EvictRule::Keep | EvictRule::EndedOnly => ExtentNumber(0),
        };
        let extents = &mut shard.extents;
        let number = extents.oldest_from(start).or_else(|| extents.oldest_from(ExtentNumber(0)))?;
        extents.close(number);
        if extents.weigh(number).is_none() {
            // Nothing in it lived: closing it has given it back.
            return Some(1);
        }
        shard.begin_victim(number, rule);
        match self.compact_step(position, now, StepPart::WHOLE) {
            Worked::Bytes(bytes) => Some(bytes.max(1)),
            Worked::Waits | Worked::Nothing => None,
        }
    }

    /// How often a key was used lately, on a scale that only compares keys with each other; 0 where that is not counted.
    #[must_use]
    pub fn uses(&mut self, db: Db, key: &Key<'_>) -> u32 {
        let (db, position) = (self.databases.stored(db), self.position(key.slot));
        self.shards[position].candidate_mut(db, key.slot, key.hash).map_or(0, |entry| entry.uses())
    }

    /// Counts a use of a key, where uses count.
    #[inline]
    pub(crate) fn note_use(&mut self, db: StoredDb, key: &Key<'_>) {
        if !self.room.counts_uses() {
            return;
        }
        let position = self.position(key.slot);
        let Some(entry) = self.shards[position].candidate_mut(db, key.slot, key.hash) else { return };
        let uses = entry.uses();
        if uses < USES_MAX {
            entry.set_uses(uses + 1);
        }
    }
}
