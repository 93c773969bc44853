//! Records on disk that a replay has to look at: before a record of the log is applied, those that may be of its key.

use super::read::{ColdReadError, verify};
use crate::extent::ColdPlace;
use crate::index::Location;
use crate::io::{BlockPool, IoError};
use crate::key::Key;
use crate::record::{Effect, Record};
use crate::shard::Shard;

/// A record to read back before a replay goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayRead {
    /// Where it is.
    pub location: Location,
    /// The read, from the shard's data file.
    pub place: ColdPlace,
}

impl<P: BlockPool> Shard<P> {
    /// Calls `visit` for every record that applying `record`, of this key, would look at and that is on disk only.
    pub fn replay_needs(&self, record: &Record<'_>, key: &Key<'_>, mut visit: impl FnMut(ReplayRead)) {
        let on_key = match record.effect {
            Effect::Put { .. } | Effect::Delete | Effect::Expire { .. } | Effect::Patch { .. } => true,
            Effect::Keyspaces(_) | Effect::Fragment { .. } | Effect::GroupEnd => false,
        };
        if !on_key || record.lsn <= self.lsn() || self.extents().is_all_in_memory() || !self.holds(key.slot) {
            return;
        }
        if let Some(db) = self.db_of(record.keyspace) {
            self.for_cold(db, key.slot, key.hash, |location, _, place| visit(ReplayRead { location, place }));
        }
    }

    /// Takes what a read brought.
    ///
    /// # Errors
    /// It is not the record: the store must not be opened.
    pub fn replay_take(
        &mut self,
        read: ReplayRead,
        bytes: &mut [u8],
        result: Result<usize, IoError>,
    ) -> Result<(), ColdReadError> {
        let seal = self.extents().identity().expect("only extents on disk are read");
        let record = verify(seal, read.location, read.place, bytes, result)?;
        self.remember(read.location, record);
        Ok(())
    }

    /// Forgets what was read back for a replay, beyond so many bytes.
    pub fn replay_forget(&mut self, bytes_max: usize) {
        while self.extents().cache_bytes() > bytes_max && self.extents_mut().forget_oldest_reads() {}
    }
}
