//! Floors: where a shard's history starts when its earlier records are no longer needed.

use crate::index::{SlotIndex, Table};
use crate::io::BlockPool;
use crate::types::{KeyspaceId, Lsn, ShardId, Term};

use super::{ApplyError, Database, Shard};

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

impl<P: BlockPool> Shard<P> {
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
}
