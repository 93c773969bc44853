//! Reading: what a look-up finds, and what its reply must wait for.

use crate::io::BlockPool;
use crate::key::Key;
use crate::shard::{Found, Lookup};
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
                self.expire(db, key);
                None
            }
        }
    }

    /// Brings the index entries and records of keys that are about to be used into the cache. Independent misses
    /// overlap when nothing between them waits for one: beyond the second-level cache the cost of a command is its
    /// misses. Changes nothing.
    pub fn warm(&self, db: Db, keys: &[(Slot, u32)]) {
        let db = self.databases.stored(db);
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
