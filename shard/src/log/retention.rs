//! What of a log is needed: floors of its shards, the changes of the manifest that follow from them, files that are used again
//! or deleted.
//!
//! Rule kept here: a segment is reused, and a file deleted, after the manifest no longer needs it, in both copies.

use crate::io::{BlockPool, FileId, IoOperation, IoRequest};
use crate::log::group_commit::Log;
use crate::log::manifest::{FloorEntry, FreeFile, LogManifest, SegmentEntry};
use crate::log::standby::Standby;
use crate::planted::{self, PlantedBug};
use crate::shard::ShardFloor;
use crate::types::BatchNumber;

impl<P: BlockPool> Log<P> {
    /// Of these shards no record up to the floor is needed any more: the floor, kept in the manifest, says it all.
    /// `batch` is [`Self::appended`] at the time the floors were taken. Segments that no shard needs are reused, once all this is durable.
    ///
    /// # Panics
    /// When a shard is not of this log, or the batch was not given out yet.
    pub fn publish_floor(&mut self, floors: &[ShardFloor], batch: BatchNumber) {
        assert!(batch <= self.appended(), "a floor lies in the past");
        for floor in floors {
            assert!(self.identity.holds(floor.shard), "a floor is of one of the log's shards");
            self.floors.retain(|entry| entry.floor.shard != floor.shard);
            self.floors.push(FloorEntry { floor: floor.clone(), batch });
        }
        self.pump();
    }

    /// Starts the next change of the manifest, if one is wanted and none is under way.
    pub(super) fn pump_manifest(&mut self) {
        if !self.manifest.is_idle() {
            return;
        }
        let durable = self.flights.durable();
        let too_soon = planted::is(PlantedBug::RecycleTooSoon);
        let is_due = |entry: &FloorEntry| entry.batch <= durable || too_soon;
        let due = self.floors.iter().any(is_due);
        let prepared = self.standby.as_ref().filter(|standby| standby.is_prepared()).map(Standby::entry);
        let spare = self.prepared_spare();
        let drops_free = self.manifest.current().free.len() > self.free_files_max();
        if !due && prepared.is_none() && spare.is_none() && !drops_free {
            return;
        }
        let mut next = self.manifest.current().successor(self.flights.durable_end());
        if let Some(entry) = prepared {
            next.free.retain(|free| free.file != entry.file);
            next.next_file = next.next_file.max(entry.file + 1);
            next.segments.push(entry);
        }
        let (due, later) = self.floors.drain(..).partition(is_due);
        self.floors = later;
        for entry in due {
            set_floor(&mut next, entry);
        }
        self.drop_obsolete(&mut next);
        self.drop_free(&mut next);
        if let Some(free) = spare {
            // Last: what is dropped was named before, and is deleted for that.
            next.next_file = next.next_file.max(free.file + 1);
            next.free.push(free);
        }
        let current = self.manifest.current();
        if (&next.segments, &next.free, &next.floors) == (&current.segments, &current.free, &current.floors) {
            return;
        }
        // Deleted once both copies no longer name them. One that the next segment is to be made of stays.
        let ahead = self.standby.as_ref().map(|standby| standby.entry().file);
        let named = |file| ahead == Some(file) || next.segments.iter().any(|entry| entry.file == file);
        let kept = |file| named(file) || next.free.iter().any(|free| free.file == file);
        let free = self.manifest.current().free.iter().map(|free| free.file);
        self.unnamed.extend(free.filter(|&file| !kept(file)));
        let request = self.manifest.start(next, &mut self.pool, &mut self.ids);
        self.request(request);
    }

    /// Takes the segments that no shard needs out of the manifest and makes their files free.
    fn drop_obsolete(&self, next: &mut LogManifest) {
        let mut obsolete = next.obsolete_through();
        if planted::is(PlantedBug::RecycleByHighestFloor) {
            obsolete = next.floors.iter().map(|entry| entry.batch).max().unwrap_or(obsolete);
        }
        if planted::is(PlantedBug::RecycleBatchAtFloor) {
            obsolete = obsolete.next();
        }
        for closed in &self.closed {
            if closed.last_batch > obsolete || next.segments[0] != closed.entry {
                break;
            }
            let SegmentEntry { file, file_bytes, .. } = next.segments.remove(0);
            // One that is smaller than a segment served a start. Too many are taken out at the end.
            if file_bytes >= self.config.segment_bytes {
                next.free.push(FreeFile { file, file_bytes });
            }
        }
        assert!(next.segments.contains(&self.current.entry), "the current segment is needed");
    }

    /// Whether files of old segments are kept to be used again. On a full disk they are given back.
    pub fn keep_free_files(&mut self, keep: bool) {
        if self.is_disk_low == keep {
            self.is_disk_low = !keep;
            self.pump();
        }
    }

    /// From now on, until `false`, segment files that no shard needs are deleted; else they are kept for reuse.
    pub fn drop_free_files(&mut self, drops: bool) {
        self.drops_free = drops;
        self.pump();
    }

    /// Both copies are durable: what they name may be used, what they no longer name may go.
    pub(super) fn on_published(&mut self) {
        self.on_free_published();
        let manifest = self.manifest.current();
        let first = manifest.segments[0].generation;
        let published = manifest.segments.last().copied();
        if let Some(standby) = self.standby.as_mut().filter(|standby| standby.is_prepared())
            && published == Some(standby.entry())
        {
            standby.set_ready();
        }
        for file in std::mem::take(&mut self.unnamed) {
            self.delete(file);
        }
        while self.closed.front().is_some_and(|closed| closed.entry.generation < first) {
            let Some(gone) = self.closed.pop_front() else { unreachable!("looked at") };
            self.stats.recycled += 1;
            let file = gone.entry.file;
            let manifest = self.manifest.current();
            let named = manifest.free.iter().any(|free| free.file == file)
                || manifest.segments.iter().any(|entry| entry.file == file);
            if !named {
                self.delete(file);
            }
        }
    }

    pub(super) fn delete(&mut self, file: u32) {
        let id = self.ids.next();
        let file = FileId::Segment { log: self.identity.log, file };
        self.deleting += 1;
        self.request(IoRequest { id, operation: IoOperation::DeleteFile { file } });
    }

    /// Whether segment files that nothing names any more are still being deleted.
    #[must_use]
    pub const fn is_deleting(&self) -> bool {
        self.deleting > 0
    }

    /// Number of the oldest segment that is kept because a start may need it.
    #[must_use]
    pub fn oldest_generation(&self) -> u64 {
        self.closed.front().map_or(self.generation(), |closed| closed.entry.generation)
    }

    /// Whether files are kept for reuse, beside that for the next start, or are on their way out.
    #[must_use]
    pub fn has_free_files(&self) -> bool {
        let ahead = self.standby.as_ref().map(|standby| standby.entry().file);
        let kept = self.start_file_number();
        let is_other = |free: &FreeFile| Some(free.file) != ahead && Some(free.file) != kept;
        self.manifest.current().free.iter().any(is_other) || !self.unnamed.is_empty()
    }
}

/// Puts a floor into the manifest, in order of shards; a floor never goes back, neither in the shard's history nor in the
/// log: what lies before it may be gone already.
fn set_floor(manifest: &mut LogManifest, entry: FloorEntry) {
    let shard = entry.floor.shard;
    match manifest.floors.binary_search_by_key(&shard, |entry| entry.floor.shard) {
        Ok(at) => {
            let old = &mut manifest.floors[at];
            if old.floor.lsn <= entry.floor.lsn && old.batch <= entry.batch {
                *old = entry;
            }
        }
        Err(at) => manifest.floors.insert(at, entry),
    }
}
