//! Going over all keys: SCAN and its cursor, and a key drawn by lot.

use super::ShardSet;
use crate::cold::Need;
use crate::io::BlockPool;
use crate::limits::{SCAN_BYTES_PER_CALL, SCAN_KEYS_PER_CALL, SCAN_SLOTS_PER_CALL};
use crate::shard::{Found, WalkLimit, WalkPlace};
use crate::types::{Db, SLOT_COUNT, Slot, UnixMs};

/// Where a SCAN goes on: slot and next hash prefix, within 46 bits. 0 is the start, and the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanCursor(pub u64);

impl ScanCursor {
    /// The slot the cursor stands in; `None` when no cursor has this value.
    #[must_use]
    pub fn slot(self) -> Option<Slot> {
        let slot = u16::try_from(self.0 >> 32).ok()?;
        (slot < SLOT_COUNT).then_some(Slot(slot))
    }

    /// A cursor at the start of a slot; the end when there is no such slot.
    #[must_use]
    pub fn at_slot(slot: u16) -> Self {
        if slot < SLOT_COUNT { Self(u64::from(slot) << 32) } else { Self(0) }
    }

    fn hash(self) -> u32 {
        u32::try_from(self.0 & u64::from(u32::MAX)).unwrap_or(0)
    }
}

impl<P: BlockPool> ShardSet<P> {
    /// Visits live keys from `cursor` on, about `count` of them, at most [`SCAN_KEYS_PER_CALL`], and fewer where their
    /// records are large and may be on disk only; within this worker's slots. Returns where to go on: a cursor in the next
    /// slot that is not this worker's, or 0 at the end of all slots. A key that is there from the first call to the last is
    /// visited at least once.
    pub fn scan(
        &mut self,
        db: Db,
        cursor: ScanCursor,
        count: usize,
        now: UnixMs,
        visit: &mut dyn FnMut(&[u8], &Found<'_>),
    ) -> ScanCursor {
        let db = self.databases.stored(db);
        let Some(mut slot) = cursor.slot() else { return ScanCursor(0) };
        let mut hash = cursor.hash();
        let mut left = self.scan_limit(count);
        for _ in 0..SCAN_SLOTS_PER_CALL {
            if slot.0 >= SLOT_COUNT || !self.owns(slot) || left.is_reached() {
                break;
            }
            let position = self.position(slot);
            self.raise_to(position, self.shards[position].lsn());
            let shard = &self.shards[position];
            let place = WalkPlace { slot: slot.0 - shard.slots().0.0, hash };
            let next;
            (left, next) = shard.walk_slot(db, place, left, now, visit);
            match next {
                Some(next) => hash = next.hash,
                None => (slot, hash) = (Slot(slot.0 + 1), 0),
            }
        }
        if slot.0 >= SLOT_COUNT {
            ScanCursor(0)
        } else {
            ScanCursor((u64::from(slot.0) << 32) | u64::from(hash))
        }
    }

    /// How far one call of [`Self::scan`] goes: what it may have to read from disk is held in memory together.
    fn scan_limit(&self, count: usize) -> WalkLimit {
        let bytes = if self.may_wait() { SCAN_BYTES_PER_CALL } else { u64::MAX };
        WalkLimit { entries: count.clamp(1, SCAN_KEYS_PER_CALL), bytes }
    }

    /// What [`Self::scan`] from `cursor` on would look at. All of it, in memory or not: what is there now may have left when
    /// the rest has come.
    #[must_use]
    pub fn scan_needs(&self, db: Db, cursor: ScanCursor, count: usize) -> Vec<Need> {
        let db = self.databases.stored(db);
        let mut needs = Vec::new();
        let Some(mut slot) = cursor.slot() else { return needs };
        let (mut hash, mut left) = (cursor.hash(), self.scan_limit(count));
        for _ in 0..SCAN_SLOTS_PER_CALL {
            if slot.0 >= SLOT_COUNT || !self.owns(slot) || left.is_reached() {
                break;
            }
            let shard = &self.shards[self.position(slot)];
            let place = WalkPlace { slot: slot.0 - shard.slots().0.0, hash };
            let (entries, next) = shard.walk_entries(db, place, left);
            for entry in &entries {
                let (location, class) = (entry.location(), entry.length_class());
                needs.push(Need::Record { slot, location, class });
            }
            left = left.less(&entries);
            match next {
                Some(next) => hash = next.hash,
                None => (slot, hash) = (Slot(slot.0 + 1), 0),
            }
        }
        needs
    }

    /// Draws the key that the next [`Self::random_key`] will return, all equally likely; what it needs. None: there is
    /// no key.
    pub fn draw(&mut self, db: Db, random: u64) -> Option<Need> {
        let db = self.databases.stored(db);
        let count: u64 = self.shards.iter().map(|shard| shard.key_count(db)).sum();
        let mut nth = random.checked_rem(count)?;
        for (position, shard) in self.shards.iter().enumerate() {
            let here = shard.key_count(db);
            if nth >= here {
                nth -= here;
                continue;
            }
            let entry = shard.nth_entry(db, nth)?;
            let (location, class) = (entry.location(), entry.length_class());
            self.drawn = Some((position, location));
            return Some(Need::Record { slot: shard.slots().0, location, class });
        }
        None
    }

    /// A live key of a database, all equally likely, drawn by `random` where [`Self::draw`] has drawn none; copied to
    /// `key`. The reply waits for all that is appended.
    pub fn random_key(&mut self, db: Db, random: u64, now: UnixMs, key: &mut Vec<u8>) -> bool {
        const TRIES: u32 = 32;
        self.wait_for_all();
        for attempt in 0..TRIES {
            if self.drawn.is_none() {
                let spread = random.rotate_left(attempt) ^ u64::from(attempt).wrapping_mul(0x9e37_79b9);
                if self.draw(db, spread).is_none() {
                    return false;
                }
            }
            if let Some((position, location)) = self.drawn.take()
                && self.shards[position].key_at(location, now, key)
            {
                return true;
            }
        }
        false
    }
}
