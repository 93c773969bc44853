//! Room in memory during a replay: sealed extents of a shard are written to its data file, and leave memory, before the
//! shard serves anybody.
//!
//! The rules are those of normal running, and the code is: an extent goes only to a free place, so never over anything that
//! the published snapshot points into; its number is below the limit that both copies of the shard's manifest name first. So
//! a start that is cut short, or refuses after all, leaves a store that means what it meant before. Whoever replays calls
//! [`ReplayRoom::step`] while too much memory is taken, and performs what it asks for, one request at a time.

use super::checkpoint::LogState;
use super::shard_files::ShardFiles;
use crate::extent::ExtentSeal;
use crate::io::{BlockPool, Fatal, FileId, IoDone, IoOperation, IoRequest, RequestId};
use crate::shard::Shard;
use crate::shard_manifest::ShardManifest;
use crate::types::UnixMs;

/// Id of the sync at the end; those of all other requests count from 1.
const SYNC_ID: RequestId = RequestId(u64::MAX);

/// What one step came to.
pub enum RoomStep<P: BlockPool> {
    /// Some memory was given back, or is closer to be.
    Freed,
    /// This is to be performed, and its completion given to [`ReplayRoom::on_io`], before the next step.
    Perform(IoRequest<P>),
    /// Nothing more can leave memory now: what is left is index, open extents, or more than the disk has space for.
    Stuck,
}

/// Gives back memory of one shard during a replay.
pub struct ReplayRoom<P: BlockPool> {
    files: ShardFiles<P>,
    /// Whether the sync at the end has been asked for.
    syncing: bool,
}

impl<P: BlockPool> ReplayRoom<P> {
    /// For a shard whose manifest this is, durable in both copies.
    #[must_use]
    pub fn new(manifest: ShardManifest, seal: ExtentSeal, shard: &Shard<P>) -> Self {
        let mut files = ShardFiles::new(manifest, seal, 1);
        if shard.extents().place_end() > 0 {
            files.adopt_data_file();
        }
        Self { files, syncing: false }
    }

    /// One bounded step to take less memory.
    ///
    /// # Panics
    /// When the request of the step before has not been performed.
    pub fn step(&mut self, shard: &mut Shard<P>, now: UnixMs, pool: &mut P) -> RoomStep<P> {
        assert!(!self.syncing, "a replay that has ended takes no more memory");
        let extents = shard.extents_mut();
        // What was read back was for records that are applied by now.
        if extents.drop_oldest() || extents.forget_oldest_reads() || shard.background_step() {
            return RoomStep::Freed;
        }
        shard.extents_mut().seal_run();
        if shard.extents().is_moving_to_disk() {
            self.files.set_dirty_max(0);
            self.files.step(shard, LogState::default(), now, pool);
        }
        self.files.next_io().map_or(RoomStep::Stuck, RoomStep::Perform)
    }

    /// Takes the completion of what was performed last.
    ///
    /// # Errors
    /// What is on disk is unknown: the start must end here.
    pub fn on_io(&mut self, done: IoDone<P>, shard: &mut Shard<P>, pool: &mut P) -> Result<(), Fatal> {
        if self.syncing && done.id == SYNC_ID {
            let file = FileId::ShardData { shard: shard.id() };
            let failed = |error| Fatal { what: "syncing a data file", file, offset: 0, error };
            return done.result.map(|_| ()).map_err(failed);
        }
        self.files.on_io(done, shard, pool)
    }

    /// The replay is over: what has been begun is to be ended. Perform this, give its completion to [`Self::on_io`], and
    /// ask again until there is nothing. Then [`Self::manifest`] is the one on disk.
    ///
    /// The data file is synced at last through the descriptor that wrote it, which is the one that learns of an error.
    #[must_use]
    pub fn settle(&mut self) -> Option<IoRequest<P>> {
        self.files.set_dirty_max(usize::MAX);
        if let Some(request) = self.files.next_io() {
            return Some(request);
        }
        if self.syncing || self.files.figures().data_written_bytes == 0 {
            return None;
        }
        self.syncing = true;
        let file = FileId::ShardData { shard: self.files.manifest().shard };
        Some(IoRequest { id: SYNC_ID, operation: IoOperation::SyncFile { file, data_only: true } })
    }

    /// The shard's manifest as it is on disk in both copies.
    ///
    /// # Panics
    /// While something is under way.
    #[must_use]
    pub fn manifest(&self) -> &ShardManifest {
        assert!(self.files.is_idle(), "a manifest is handed on when nothing changes it any more");
        self.files.manifest()
    }
}
