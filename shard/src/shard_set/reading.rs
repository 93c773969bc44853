//! Reading: what a look-up finds, and what its reply must wait for.

use crate::io::BlockPool;
use crate::key::Key;
use crate::log::Log;
use crate::planted::{self, PlantedBug};
use crate::shard::{Found, Lookup, Shard};
use crate::types::{Db, Slot, UnixMs};

use super::ShardSet;

impl<P: BlockPool> ShardSet<P> {
    /// The live record of a key. One whose deadline has passed is deleted, and that is logged.
    #[inline]
    pub fn lookup(&mut self, db: Db, key: &Key<'_>, now: UnixMs) -> Option<Found<'_>> {
        let db = self.databases.stored(db);
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
                if self.may_append() && !planted::is(PlantedBug::ExpiryNotLogged) {
                    self.expire(db, key);
                } else {
                    // It is gone for whoever asks, once the record that says so is durable.
                    self.raise_to(position, self.shards[position].lsn());
                }
                None
            }
        }
    }

    /// Bytes of the value of a key that is in memory; 0 where there is none. What is about to be written of it: no reply
    /// may tell of it.
    #[must_use]
    pub fn value_bytes(&self, db: Db, key: &Key<'_>, now: UnixMs) -> usize {
        let db = self.databases.stored(db);
        let shard = self.shards.get(usize::from(self.by_slot[usize::from(key.slot.0)]));
        let is_cold = |shard: &Shard<P>| {
            let mut is_cold = false;
            shard.for_cold(db, key.slot, key.hash, |_, _, _| is_cold = true);
            is_cold
        };
        match shard.filter(|shard| !is_cold(shard)).map(|shard| (shard, shard.lookup(db, key, now))) {
            Some((shard, Lookup::Live(location, head))) => shard.found(location, &head).value.len(),
            _ => 0,
        }
    }

    /// Whether anything may be appended at all: a start after a crash would find a file to go on in.
    pub(super) fn may_append(&self) -> bool {
        self.log.as_ref().is_none_or(Log::has_start_file)
    }

    /// Brings the index entries and records of keys that are about to be used into the cache, of a new key the place of its
    /// entry. Independent misses overlap when nothing between them waits for one: beyond the second-level cache the cost
    /// of a command is its misses. Changes nothing.
    pub fn warm(&self, db: Db, keys: &[(Slot, u32)]) {
        let db = self.databases.stored(db);
        let (mut locations, mut seen) = ([None; WARM_KEYS_MAX], 0u32);
        for (place, &(slot, hash)) in locations.iter_mut().zip(keys) {
            let position = usize::from(self.by_slot[usize::from(slot.0)]);
            let Some(shard) = self.shards.get(position) else { continue };
            match shard.candidate(db, slot, hash) {
                Some(location) => *place = Some((position, location)),
                None => seen ^= shard.warm_place(db, slot, hash),
            }
        }
        for &(position, location) in locations.iter().flatten() {
            seen ^= u32::from(self.shards[position].touch(location));
        }
        std::hint::black_box(seen);
    }

    /// Keys of a database on this worker. The reply waits for all that is appended.
    pub fn key_count(&mut self, db: Db) -> u64 {
        self.wait_for_all();
        self.database_figures(db).0
    }

    /// Keys of a database on this worker, and those with a deadline, as figures: no reply waits for anything.
    #[must_use]
    pub fn database_figures(&self, db: Db) -> (u64, u64) {
        let db = self.databases.stored(db);
        let keys = self.shards.iter().map(|shard| shard.key_count(db)).sum();
        (keys, self.shards.iter().map(|shard| shard.deadline_count(db)).sum())
    }
}

/// Keys that one call of [`ShardSet::warm`] looks at; further ones are passed over.
pub const WARM_KEYS_MAX: usize = 32;
