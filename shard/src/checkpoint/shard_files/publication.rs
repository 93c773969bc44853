//! Changes of a shard's manifest, one at a time: a checkpoint is published, extents get numbers, databases have changed theirs.
//!
//! Rule kept here: what a change promises is done when both copies of the manifest are durable, and not before (conditions 6
//! and 7 of `checkpoint.rs`).

use super::ShardFiles;
use crate::checkpoint::checkpoint::LogState;
use crate::databases::SwapMark;
use crate::index::ExtentNumber;
use crate::io::{BlockPool, Fatal, FileId, IoDone, IoOperation, IoRequest};
use crate::limits::EXTENT_NUMBERS_AHEAD;
use crate::log::copies::CopiesWrite;
use crate::planted::{self, PlantedBug};
use crate::shard::{Shard, ShardFloor};
use crate::shard_manifest::{PublishedSnapshot, ShardManifest};
#[cfg(feature = "sim")]
use crate::types::Lsn;
use crate::types::{BatchNumber, UnixMs};

/// A checkpoint that has just been published: what the log need not keep any more.
pub(crate) struct Published {
    pub(crate) floor: ShardFloor,
    /// Highest batch number given out when it began.
    pub(crate) batch: BatchNumber,
    /// When that was.
    pub(crate) began: UnixMs,
}

/// What the manifest is being written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// More extent numbers, or databases that have changed theirs.
    Numbers,
    /// A checkpoint is published; extents below this one are the snapshot's.
    Snapshot(ExtentNumber),
}

impl<P: BlockPool> ShardFiles<P> {
    /// The store manifest holds these swaps of databases, durably: the shard's soon says so, that no older one passes for
    /// it.
    pub fn note_swaps(&mut self, swaps: SwapMark) {
        assert!(self.swaps.leads_to(&swaps), "the shard goes with the store manifest");
        self.swaps = swaps;
    }

    /// Last record of the snapshot that is being published, if one is: a crash may leave either it or the one before.
    #[cfg(feature = "sim")]
    pub(crate) fn publishing_lsn(&self) -> Option<Lsn> {
        let (_, manifest, what) = self.manifest_write.as_ref()?;
        let end = manifest.snapshot.as_ref().map(|snapshot| snapshot.end);
        end.filter(|_| *what != Writing::Numbers)
    }

    /// What was published since the last call.
    pub(crate) fn take_published(&mut self) -> Option<Published> {
        self.published.take()
    }

    pub(super) fn next_manifest(&self) -> ShardManifest {
        ShardManifest { swaps: self.swaps, ..self.manifest.successor() }
    }

    pub(super) fn write_manifest(&mut self, manifest: ShardManifest, what: Writing, pool: &mut P) {
        assert!(self.manifest_write.is_none(), "one change of a manifest at a time");
        let files = ShardManifest::files(self.seal.shard);
        let (write, request) =
            CopiesWrite::start(&manifest, files, [true; 2], [false; 2], pool, &mut self.ids);
        self.requests.push_back(request);
        self.manifest_write = Some((write, manifest, what));
    }

    /// Condition 6: the snapshot is complete and durable, and the manifest begins to be written.
    pub(super) fn publish(
        &mut self,
        limit: ExtentNumber,
        shard: &Shard<P>,
        log: LogState,
        now: UnixMs,
        pool: &mut P,
    ) {
        let checkpoint = self.checkpoint.as_ref().expect("what is published was begun");
        let (bytes, crc) = checkpoint.writer.summary();
        let began = UnixMs(self.began_ms);
        let begun = Published { floor: checkpoint.start.clone(), batch: checkpoint.start_batch, began };
        let snapshot = PublishedSnapshot {
            number: checkpoint.number,
            bytes,
            crc,
            place_count: shard.extents().place_end(),
            start: checkpoint.start.clone(),
            end: checkpoint.end.0,
            log: log.log,
            end_batch: checkpoint.end.1,
        };
        let next = shard.extents().next_number().0;
        let mut manifest = self.next_manifest();
        manifest.extent_limit = manifest.extent_limit.max(next.saturating_add(EXTENT_NUMBERS_AHEAD));
        manifest.snapshot = Some(snapshot);
        self.publishing_ms = now.0;
        if planted::is(PlantedBug::FloorBeforeBothCopies) {
            self.published = Some(begun);
        }
        if planted::is(PlantedBug::RemoveSnapshotTooSoon)
            && let Some(old) = &self.manifest.snapshot
        {
            let file = FileId::ShardSnapshot { shard: self.seal.shard, number: old.number };
            let id = self.ids.next();
            self.removal = Some((id, file));
            self.requests.push_back(IoRequest { id, operation: IoOperation::DeleteFile { file } });
        }
        self.write_manifest(manifest, Writing::Snapshot(limit), pool);
    }

    /// A completion of the manifest's writes. When both copies are durable the change counts.
    pub(super) fn on_manifest_io(
        &mut self,
        done: IoDone<P>,
        shard: &mut Shard<P>,
        pool: &mut P,
    ) -> Result<(), Fatal> {
        let (write, ..) = self.manifest_write.as_mut().expect("a completion goes to its request");
        if let Some(request) = write.on_io(done, pool, &mut self.ids)? {
            self.requests.push_back(request);
            return Ok(());
        }
        let Some((_, manifest, what)) = self.manifest_write.take() else { unreachable!("looked at above") };
        let before = std::mem::replace(&mut self.manifest, manifest);
        if let Writing::Snapshot(limit) = what {
            let checkpoint = self.checkpoint.take().expect("what is published was begun");
            self.figures.published += 1;
            self.figures.last_ms = self.publishing_ms;
            self.figures.last_duration_ms = self.publishing_ms.saturating_sub(self.began_ms);
            self.figures.entries = checkpoint.entries;
            // Condition 7.
            shard.extents_mut().on_published(limit);
            let began = UnixMs(self.began_ms);
            self.published =
                Some(Published { floor: checkpoint.start, batch: checkpoint.start_batch, began });
            if let Some(old) = before.snapshot
                && !planted::is(PlantedBug::RemoveSnapshotTooSoon)
            {
                let file = FileId::ShardSnapshot { shard: self.seal.shard, number: old.number };
                let id = self.ids.next();
                self.removal = Some((id, file));
                self.requests.push_back(IoRequest { id, operation: IoOperation::DeleteFile { file } });
            }
        }
        Ok(())
    }
}
