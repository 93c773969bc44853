//! A shard's index on its way to a snapshot and back: copied table by table while the shard goes on, loaded at a start.
//!
//! The copy is fuzzy: tables are copied one after the other, each as it is when its turn comes. Replaying the log from
//! where the copy began makes it exact, because every record is an absolute effect.

use crate::extent::ExtentOnDisk;
use crate::index::{Entry, ExtentNumber, Location, Table};
use crate::io::BlockPool;
use crate::limits::EXTENT_BYTES;
use crate::shard::{FloorKind, Shard, ShardFloor};
use crate::types::{KeyspaceId, Slot, StoredDb};

/// How far the copy of an index has come: the first hash of a slot of a database that is not copied yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CopyPlace {
    db: u8,
    slot: u16,
    hash: u32,
}

/// What one step of a copy came to.
pub(crate) enum CopyStep<'a> {
    /// A table of these, in no order; go on at the place.
    Table(KeyspaceId, Slot, &'a Table, CopyPlace),
    /// Nothing there; go on at the place.
    Empty(CopyPlace),
    /// All is copied.
    Done,
}

/// Why a snapshot cannot be loaded into a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// An entry points where no extent is.
    #[error("its index points at offset {offset} of extent {extent}, which it does not name")]
    NoSuchExtent {
        /// The extent.
        extent: u32,
        /// The offset.
        offset: u32,
    },
    /// Two extents in one place, or one beyond the end of the file.
    #[error("extent {0} has no place of its own in the data file")]
    NoPlace(u32),
    /// A table of a slot that is not the shard's.
    #[error("it holds slot {0}, which is another shard's")]
    Slot(u16),
}

impl<P: BlockPool> Shard<P> {
    /// Looks at the table at a place, and tells where the next one is. Passes over databases whose keyspace is no
    /// longer the one that `start` names: the log drops what they were.
    pub(crate) fn copy_step(&self, start: &ShardFloor, mut place: CopyPlace) -> CopyStep<'_> {
        let Some(keyspace) = start.keyspaces.get(usize::from(place.db)) else {
            return CopyStep::Done;
        };
        let next_db = CopyPlace { db: place.db + 1, slot: 0, hash: 0 };
        if self.keyspace(StoredDb(place.db)) != *keyspace {
            return CopyStep::Empty(next_db);
        }
        let Some(slots) = self.slot_indexes(StoredDb(place.db)) else { return CopyStep::Empty(next_db) };
        // Empty slots are cheap: many of them are one step.
        while let Some(index) = slots.get(usize::from(place.slot)) {
            let Some((table, end)) = index.table_at(place.hash) else {
                place = CopyPlace { slot: place.slot + 1, hash: 0, ..place };
                continue;
            };
            let slot = Slot(self.slots().0.0 + place.slot);
            let next = match end {
                Some(hash) => CopyPlace { hash, ..place },
                None => CopyPlace { slot: place.slot + 1, hash: 0, ..place },
            };
            return CopyStep::Table(*keyspace, slot, table, next);
        }
        CopyStep::Empty(next_db)
    }

    /// Where a checkpoint that begins now starts from: this LSN, term and these keyspaces.
    pub(crate) fn copy_start(&self) -> ShardFloor {
        let databases = (0..crate::limits::DATABASE_COUNT).map(StoredDb);
        ShardFloor {
            kind: FloorKind::Snapshot,
            shard: self.id(),
            lsn: self.lsn(),
            term: self.term(),
            next_keyspace: self.next_keyspace(),
            keyspaces: databases.map(|db| self.keyspace(db)).collect(),
        }
    }

    /// The data file has so many places, as a snapshot's manifest says.
    pub fn load_file(&mut self, places: u32) {
        self.extents_mut().adopt_file(places);
    }

    /// The data file, of which a snapshot names places, is so long: what it has behind the last extent is free places. On a
    /// full disk what is replayed needs them.
    pub fn adopt_file_length(&mut self, bytes: u64) {
        let places = u32::try_from(bytes / EXTENT_BYTES as u64).unwrap_or(u32::MAX);
        self.extents_mut().adopt_file_end(places);
    }

    /// Takes over an extent that a snapshot names.
    ///
    /// # Errors
    /// [`LoadError::NoPlace`].
    pub fn load_extent(&mut self, extent: ExtentOnDisk) -> Result<(), LoadError> {
        let number = extent.number.0;
        if self.extents_mut().adopt(extent) { Ok(()) } else { Err(LoadError::NoPlace(number)) }
    }

    /// Takes over entries of one table of a snapshot. Those of a keyspace that no database
    /// shows are passed over. The entries are distinct.
    ///
    /// # Errors
    /// When the snapshot contradicts itself.
    pub fn load_entries(
        &mut self,
        keyspace: KeyspaceId,
        slot: Slot,
        entries: impl Iterator<Item = Entry>,
    ) -> Result<(), LoadError> {
        let (first, count) = self.slots();
        if slot.0 < first.0 || slot.0 - first.0 >= count {
            return Err(LoadError::Slot(slot.0));
        }
        self.place_loaded(keyspace, slot, entries);
        Ok(())
    }

    /// All of a snapshot is loaded: extents without a live record are free; numbers go on at `limit`.
    ///
    /// # Errors
    /// [`LoadError::NoSuchExtent`].
    pub fn finish_loading(&mut self, limit: ExtentNumber) -> Result<(), LoadError> {
        let missing = |at: Location| LoadError::NoSuchExtent { extent: at.extent.0, offset: at.offset };
        self.extents_mut().finish_loading(limit).map_err(missing)
    }
}
