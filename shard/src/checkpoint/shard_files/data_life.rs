//! The life of a shard's data file: made with the first record, given space before it is needed, and relieved of what is not;
//! which sealed extents are written to it now. The writes themselves are in `data_file.rs`, what space there is to be in
//! `data_space.rs`.

use super::ShardFiles;
use crate::checkpoint::checkpoint::Step;
use crate::checkpoint::data_space::{Pressure, SpaceFor};
use crate::index::ExtentNumber;
use crate::io::{BlockPool, Fatal, FileId, IoError, IoErrorKind, IoOperation, IoRequest, RequestId};
use crate::shard::Shard;
use crate::types::UnixMs;

/// How far the data file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataFileState {
    /// Not there, or of a run that published nothing.
    Unmade,
    /// It is being made.
    Creating(RequestId),
    /// Its name is being made durable.
    Syncing(RequestId),
    /// There.
    There,
}

impl<P: BlockPool> ShardFiles<P> {
    /// The data file is there though no snapshot names a place of it: nothing in it counts, its space does.
    pub fn adopt_data_file(&mut self) {
        if self.data_file == DataFileState::Unmade {
            self.data_file = DataFileState::There;
        }
    }

    /// Whether the file needs more space than it has, and it is time to ask for it.
    pub(crate) fn wants_space(&self, shard: &Shard<P>, now: UnixMs) -> bool {
        self.space.is_due(shard.extents(), now)
    }

    /// Whether the file has space that is not needed, and it is time to give it back.
    pub(crate) fn has_space_to_give(&self, shard: &Shard<P>) -> bool {
        let may = self.freeing.is_none() && !self.cannot_free && self.space.may_give_back();
        may && self.data_file == DataFileState::There
            && shard.extents().has_space_to_give(self.space.is_pressed())
    }

    /// How the worker stands with its disk.
    pub(crate) const fn press(&mut self, pressure: Pressure, now: UnixMs) {
        self.space.press(pressure, now);
    }

    /// Whether the disk is too full for what the shard has in memory.
    #[must_use]
    pub fn is_low(&self, shard: &Shard<P>) -> bool {
        self.space.is_low(shard.extents())
    }

    /// Whether a record of so many bytes may be placed.
    pub(crate) fn space_for(&mut self, shard: &Shard<P>, bytes: usize) -> SpaceFor {
        self.space.space_for(shard.extents(), bytes)
    }

    /// So many sealed extents may stay in memory only, until a checkpoint writes them.
    pub(crate) fn set_dirty_max(&mut self, extents: usize) {
        self.dirty_max = extents;
    }

    /// The file is made with the first record, and has its places before they are needed.
    pub(super) fn take_space(&mut self, shard: &Shard<P>, now: UnixMs) {
        if self.data_file == DataFileState::Unmade && self.space.is_due(shard.extents(), now) {
            let file = FileId::ShardData { shard: self.seal.shard };
            let id = self.ids.next();
            self.data_file = DataFileState::Creating(id);
            self.requests.push_back(IoRequest { id, operation: IoOperation::CreateFile { file, bytes: 0 } });
        }
        if self.data_file == DataFileState::There {
            self.requests.extend(self.space.next_io(shard.extents(), now, &mut self.ids));
        }
    }

    /// Whether this is a request that makes the file, or its name durable.
    pub(super) fn is_making(&self, id: RequestId) -> bool {
        matches!(self.data_file, DataFileState::Creating(own) | DataFileState::Syncing(own) if own == id)
    }

    /// The completion of such a request.
    pub(super) fn on_making_io(
        &mut self,
        result: Result<usize, IoError>,
        shard: &Shard<P>,
    ) -> Result<(), Fatal> {
        let file = FileId::ShardData { shard: self.seal.shard };
        if matches!(&result, Err(error) if error.kind == IoErrorKind::NoSpace) {
            self.data_file = DataFileState::Unmade;
            self.space.on_refused(shard.extents().places_short());
        } else if matches!(self.data_file, DataFileState::Creating(_)) {
            result.map_err(|error| Fatal { what: "creating a data file", file, offset: 0, error })?;
            let id = self.ids.next();
            self.data_file = DataFileState::Syncing(id);
            self.requests.push_back(IoRequest { id, operation: IoOperation::SyncDirectory });
        } else {
            result.map_err(|error| Fatal { what: "syncing the store directory", file, offset: 0, error })?;
            self.data_file = DataFileState::There;
        }
        Ok(())
    }

    /// Gives back space that is not likely to be used again soon. Nothing on disk counts on it: the places are free.
    pub(super) fn free_space(&mut self, shard: &mut Shard<P>) {
        if !self.has_space_to_give(shard) {
            return;
        }
        if let Some((offset, bytes)) = shard.extents_mut().next_free_space(self.space.is_pressed()) {
            let file = FileId::ShardData { shard: self.seal.shard };
            let id = self.ids.next();
            self.freeing = Some(id);
            let request = IoRequest { id, operation: IoOperation::FreeSpace { file, offset, bytes } };
            // Where the disk is full it is waited for; otherwise it is the drive that has to do with it.
            if self.space.is_pressed() {
                self.requests.push_back(request)
            } else {
                self.writes.push_back(request)
            }
        }
    }

    pub(super) fn on_space_freed(
        &mut self,
        result: Result<usize, IoError>,
        shard: &mut Shard<P>,
    ) -> Result<(), Fatal> {
        self.freeing = None;
        shard.extents_mut().on_space_freed(result.is_ok());
        match result {
            Err(error) if error.kind == IoErrorKind::Unsupported => self.cannot_free = true,
            Err(error) => {
                let file = FileId::ShardData { shard: self.seal.shard };
                return Err(Fatal { what: "giving back space of a data file", file, offset: 0, error });
            }
            Ok(_) => {}
        }
        Ok(())
    }

    /// Whether a sealed extent is to be written now. Until a checkpoint wants them, some stay in memory only: records in
    /// them are overwritten in place, and those that die first never cost a write.
    pub(super) fn is_due(&self, number: ExtentNumber, dirty_count: usize) -> bool {
        match self.checkpoint.as_ref().map(|checkpoint| checkpoint.step) {
            Some(Step::WriteExtents(limit)) if number < limit => true,
            // The sync waits until nothing flies.
            Some(Step::SyncData(_)) => false,
            _ => dirty_count > self.dirty_max,
        }
    }
}
