//! All that one shard keeps on disk beside the log: manifest, data file, snapshot; and what asks for a checkpoint.

use std::collections::VecDeque;

use super::checkpoint::{Checkpoint, LogState, Step, Tools};
use super::data_file::DataFile;
use super::data_space::{DataSpace, Pressure, SpaceFor};
use crate::databases::SwapMark;
use crate::extent::ExtentSeal;
use crate::index::ExtentNumber;
use crate::io::{BlockPool, Fatal, FileId, IoDone, IoError, IoErrorKind, IoOperation, IoRequest, RequestId};
use crate::limits::EXTENT_NUMBERS_AHEAD;
use crate::log::copies::CopiesWrite;
use crate::log::pending_write::RequestIds;
use crate::planted::{self, PlantedBug};
use crate::shard::{Shard, ShardFloor};
use crate::shard_manifest::{PublishedSnapshot, ShardManifest};
use crate::snapshot::{SnapshotIdentity, SnapshotWriter};
use crate::types::{BatchNumber, Lsn, UnixMs};

/// A checkpoint that has just been published: what the log need not keep any more.
pub(crate) struct Published {
    pub(crate) floor: ShardFloor,
    /// Highest batch number given out when it began.
    pub(crate) batch: BatchNumber,
    /// When that was.
    pub(crate) began: UnixMs,
}

/// Figures of the checkpoints of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CheckpointFigures {
    /// Checkpoints published since the start.
    pub published: u64,
    /// Whether one is under way.
    pub running: bool,
    /// When the last one was published, in Unix ms; 0: none since the start.
    pub last_ms: u64,
    /// Bytes written to the data file since the start.
    pub data_written_bytes: u64,
    /// Entries that the last one copied.
    pub entries: u64,
    /// What the one under way is doing, in a word; `idle` without one.
    pub step: &'static str,
    /// How long the last one took from its beginning to its publication, in milliseconds.
    pub last_duration_ms: u64,
    /// Bytes of the newest snapshot file; 0 before the first.
    pub snapshot_bytes: u64,
    /// Checkpoints given up since the start, because the disk was full.
    pub given_up: u64,
}

/// What the manifest is being written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    /// More extent numbers, or databases that have changed theirs.
    Numbers,
    /// A checkpoint is published; extents below this one are the snapshot's.
    Snapshot(ExtentNumber),
}

/// How far the data file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DataFileState {
    /// Not there, or of a run that published nothing.
    Unmade,
    /// It is being made.
    Creating(RequestId),
    /// Its name is being made durable.
    Syncing(RequestId),
    /// There.
    There,
}

/// What one shard keeps on disk beside the log.
pub struct ShardFiles<P: BlockPool> {
    seal: ExtentSeal,
    ids: RequestIds,
    data: DataFile<P>,
    /// Whether the data file is there for good: before the first snapshot nothing in it counts, and it is made anew.
    data_file: DataFileState,
    /// Its disk space.
    space: DataSpace,
    manifest: ShardManifest,
    /// Swaps of databases that the store manifest holds, durably.
    swaps: SwapMark,
    manifest_write: Option<(CopiesWrite, ShardManifest, Writing)>,
    checkpoint: Option<Checkpoint<P>>,
    /// A checkpoint is wanted when the one under way, if any, is done.
    wanted: bool,
    /// Sealed extents that may wait for a checkpoint.
    dirty_max: usize,
    /// The snapshot file that the newest one has replaced, being removed.
    removal: Option<(RequestId, FileId)>,
    /// Space of the data file that is being given back.
    freeing: Option<RequestId>,
    /// The file system gives back no space of a part of a file.
    cannot_free: bool,
    published: Option<Published>,
    requests: VecDeque<IoRequest<P>>,
    outstanding: usize,
    figures: CheckpointFigures,
    /// When the checkpoint under way began, and when its publication did, in Unix ms.
    began_ms: u64,
    publishing_ms: u64,
}

impl<P: BlockPool> ShardFiles<P> {
    /// The files of a shard whose manifest this is, on disk in both copies; the data file is there. The ids of its
    /// requests are `first_id` and above.
    #[must_use]
    pub fn new(manifest: ShardManifest, seal: ExtentSeal, first_id: u64) -> Self {
        assert_eq!(manifest.shard, seal.shard, "the files of one shard");
        let has_data = manifest.snapshot.as_ref().is_some_and(|snapshot| snapshot.place_count > 0);
        Self {
            seal,
            ids: RequestIds::starting_at(first_id),
            data: DataFile::new(manifest.shard),
            space: DataSpace::new(FileId::ShardData { shard: manifest.shard }),
            data_file: if has_data { DataFileState::There } else { DataFileState::Unmade },
            swaps: manifest.swaps,
            manifest,
            manifest_write: None,
            checkpoint: None,
            wanted: false,
            dirty_max: 0,
            removal: None,
            freeing: None,
            cannot_free: false,
            published: None,
            requests: VecDeque::new(),
            outstanding: 0,
            figures: CheckpointFigures::default(),
            began_ms: 0,
            publishing_ms: 0,
        }
    }

    /// The data file is there though no snapshot names a place of it: nothing in it counts, its space does.
    pub fn adopt_data_file(&mut self) {
        if self.data_file == DataFileState::Unmade {
            self.data_file = DataFileState::There;
        }
    }

    /// The store manifest holds these swaps of databases, durably: the shard's soon says so, that no older one passes for
    /// it.
    pub fn note_swaps(&mut self, swaps: SwapMark) {
        assert!(self.swaps.leads_to(&swaps), "the shard goes with the store manifest");
        self.swaps = swaps;
    }

    /// The manifest as it is on disk.
    #[must_use]
    pub fn manifest(&self) -> &ShardManifest {
        &self.manifest
    }

    /// Figures of its checkpoints.
    #[must_use]
    pub fn figures(&self) -> CheckpointFigures {
        CheckpointFigures {
            running: self.is_busy(),
            data_written_bytes: self.data.written_bytes(),
            step: self.checkpoint.as_ref().map_or("idle", |checkpoint| checkpoint.step.name()),
            snapshot_bytes: self.manifest.snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes),
            ..self.figures
        }
    }

    /// Last record that the newest snapshot holds something of; `None` before the first.
    #[must_use]
    pub fn end_lsn(&self) -> Option<Lsn> {
        self.manifest.snapshot.as_ref().map(|snapshot| snapshot.end)
    }

    /// Last record of the snapshot that is being published, if one is: a crash may leave either it or the one before.
    #[cfg(feature = "sim")]
    pub(crate) fn publishing_lsn(&self) -> Option<Lsn> {
        let (_, manifest, what) = self.manifest_write.as_ref()?;
        let end = manifest.snapshot.as_ref().map(|snapshot| snapshot.end);
        end.filter(|_| *what != Writing::Numbers)
    }

    /// Whether a checkpoint runs or is to run, or anything else is under way; also until the log has been told of one
    /// that was published.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let is_told = self.published.is_none();
        self.checkpoint.is_some()
            || self.wanted
            || self.manifest_write.is_some()
            || self.manifest.swaps != self.swaps
            || self.removal.is_some()
            || !is_told
    }

    /// Whether a checkpoint runs or is to run.
    #[must_use]
    pub(crate) fn has_checkpoint(&self) -> bool {
        self.checkpoint.is_some() || self.wanted
    }

    /// Whether nothing at all is in flight.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.is_busy() && self.outstanding == 0 && self.requests.is_empty()
    }

    /// What it is at, in words, for whoever finds it standing still.
    #[must_use]
    pub fn describe(&self) -> String {
        let step = self.checkpoint.as_ref().map(|checkpoint| checkpoint.step);
        format!(
            "shard {}: checkpoint {step:?}, wanted {}, manifest being written {}, removal {}, outstanding {}, requests {}, {:?}",
            self.seal.shard,
            self.wanted,
            self.manifest_write.is_some(),
            self.removal.is_some(),
            self.outstanding,
            self.requests.len(),
            self.data_file,
        )
    }

    /// Asks for a checkpoint that begins now or later. One that runs is not what is asked for: it began earlier.
    /// Returns what [`CheckpointFigures::published`] will be when it is published.
    pub(crate) fn want_checkpoint(&mut self) -> u64 {
        self.wanted = true;
        self.figures.published + 1 + u64::from(self.checkpoint.is_some())
    }

    /// Record up to which the newest snapshot needs none before it; `ZERO` before the first.
    #[must_use]
    pub fn floor_lsn(&self) -> Lsn {
        self.manifest.snapshot.as_ref().map_or(Lsn::ZERO, |snapshot| snapshot.start.lsn)
    }

    /// What was published since the last call.
    pub(crate) fn take_published(&mut self) -> Option<Published> {
        self.published.take()
    }

    /// The batch up to which the log has to become durable for the checkpoint to go on, if that is what it waits for.
    pub(crate) fn awaits_log(&self) -> Option<BatchNumber> {
        let checkpoint = self.checkpoint.as_ref()?;
        matches!(checkpoint.step, Step::AwaitLog(_)).then_some(checkpoint.end.1)
    }

    /// Whether records that are written now are to be handed to [`Self::take_record`].
    #[inline]
    pub(crate) fn takes_records(&self) -> bool {
        self.checkpoint.as_ref().is_some_and(Checkpoint::takes_records)
    }

    /// Takes a record that was just written, as a log would hold it.
    pub(crate) fn take_record(&mut self, record: &[u8], pool: &mut P) {
        if let Some(checkpoint) = self.checkpoint.as_mut().filter(|one| one.takes_records()) {
            checkpoint.writer.push_record(record, pool, &mut self.ids);
        }
    }

    /// Whether so many of them are on their way that writes should wait.
    pub(crate) fn is_tail_full(&self) -> bool {
        self.checkpoint.as_ref().is_some_and(|one| one.takes_records() && one.writer.is_tail_full())
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

    /// Work without a completion, bounded: begins what is wanted, goes on with what runs. Returns whether there is more
    /// to do at once.
    pub(crate) fn step(&mut self, shard: &mut Shard<P>, log: LogState, now: UnixMs, pool: &mut P) -> bool {
        let next = shard.extents().next_number().0;
        let ahead = self.manifest.extent_limit.saturating_sub(next);
        let is_short = ahead < EXTENT_NUMBERS_AHEAD / 2;
        if (is_short || self.manifest.swaps != self.swaps) && self.manifest_write.is_none() {
            let extent_limit = match is_short {
                true => next.saturating_add(EXTENT_NUMBERS_AHEAD),
                false => self.manifest.extent_limit,
            };
            self.write_manifest(
                ShardManifest { extent_limit, ..self.next_manifest() },
                Writing::Numbers,
                pool,
            );
        }
        if self.wanted && self.checkpoint.is_none() && self.removal.is_none() {
            self.wanted = false;
            let number = self.manifest.snapshot.as_ref().map_or(0, |snapshot| snapshot.number) + 1;
            let identity = SnapshotIdentity { store: self.seal.store, shard: self.seal.shard, number };
            self.began_ms = now.0;
            self.checkpoint = Some(Checkpoint::begin(number, shard, log, SnapshotWriter::new(identity)));
        }
        let more = self.advance_checkpoint(shard, log, now, pool);
        self.take_space(shard, now);
        self.collect(shard, pool);
        self.give_up_if_stuck(shard, pool);
        more
    }

    /// The file is made with the first record, and has its places before they are needed.
    fn take_space(&mut self, shard: &Shard<P>, now: UnixMs) {
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

    /// A checkpoint for which the disk is too full is given up: the snapshot before stays in force.
    fn give_up_if_stuck(&mut self, shard: &mut Shard<P>, pool: &mut P) {
        let Some(checkpoint) = &mut self.checkpoint else { return };
        let waits = checkpoint.awaits_extents() && self.data.is_idle() && self.manifest_write.is_none();
        if waits && shard.extents_mut().next_dirty().is_some() && self.space.is_low(shard.extents()) {
            checkpoint.writer.give_up(pool);
        }
        if !checkpoint.is_given_up() {
            return;
        }
        let Some(checkpoint) = self.checkpoint.take() else { unreachable!("looked at above") };
        shard.extents_mut().on_given_up();
        self.figures.given_up += 1;
        self.wanted = false;
        if let Some(file) = checkpoint.writer.file_made() {
            let id = self.ids.next();
            self.removal = Some((id, file));
            self.requests.push_back(IoRequest { id, operation: IoOperation::DeleteFile { file } });
        }
    }

    fn advance_checkpoint(&mut self, shard: &mut Shard<P>, log: LogState, now: UnixMs, pool: &mut P) -> bool {
        let Some(checkpoint) = &mut self.checkpoint else { return false };
        let Self { data, ids, requests, .. } = self;
        let has_data = self.data_file == DataFileState::There;
        let more = checkpoint.advance(shard, log, &mut Tools { data, has_data, ids, requests, pool });
        if let Step::Publish(limit) = checkpoint.step
            && self.manifest_write.is_none()
        {
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
        more
    }

    fn next_manifest(&self) -> ShardManifest {
        ShardManifest { swaps: self.swaps, ..self.manifest.successor() }
    }

    fn write_manifest(&mut self, manifest: ShardManifest, what: Writing, pool: &mut P) {
        assert!(self.manifest_write.is_none(), "one change of a manifest at a time");
        let files = ShardManifest::files(self.seal.shard);
        let (write, request) =
            CopiesWrite::start(&manifest, files, [true; 2], [false; 2], pool, &mut self.ids);
        self.requests.push_back(request);
        self.manifest_write = Some((write, manifest, what));
    }

    /// Gathers what the machines want performed.
    fn collect(&mut self, shard: &mut Shard<P>, pool: &mut P) {
        if let Some(checkpoint) = self.checkpoint.as_mut().filter(|_| !self.space.awaits_reserve()) {
            while let Some(request) = checkpoint.writer.next_io(&mut self.ids) {
                self.requests.push_back(request);
            }
        }
        if self.data_file != DataFileState::There {
            return;
        }
        self.free_space(shard);
        // A number above the limit could have been used by a run before: its extent must not reach the disk yet.
        while self.data.is_amid_extent()
            || shard.extents_mut().next_dirty().is_some_and(|number| {
                number.0 < self.manifest.extent_limit && self.is_due(number, shard.extents().dirty_count())
            })
        {
            let Some(request) = self.data.next_write(shard.extents_mut(), pool, &mut self.ids) else { break };
            self.requests.push_back(request);
        }
    }

    /// Gives back space that is not likely to be used again soon. Nothing on disk counts on it: the places are free.
    fn free_space(&mut self, shard: &mut Shard<P>) {
        if !self.has_space_to_give(shard) {
            return;
        }
        if let Some((offset, bytes)) = shard.extents_mut().next_free_space(self.space.is_pressed()) {
            let file = FileId::ShardData { shard: self.seal.shard };
            let id = self.ids.next();
            self.freeing = Some(id);
            self.requests
                .push_back(IoRequest { id, operation: IoOperation::FreeSpace { file, offset, bytes } });
        }
    }

    fn on_space_freed(&mut self, result: Result<usize, IoError>, shard: &mut Shard<P>) -> Result<(), Fatal> {
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
    fn is_due(&self, number: ExtentNumber, dirty_count: usize) -> bool {
        match self.checkpoint.as_ref().map(|checkpoint| checkpoint.step) {
            Some(Step::WriteExtents(limit)) if number < limit => true,
            // The sync waits until nothing flies.
            Some(Step::SyncData(_)) => false,
            _ => dirty_count > self.dirty_max,
        }
    }

    /// So many sealed extents may stay in memory only, until a checkpoint writes them.
    pub(crate) fn set_dirty_max(&mut self, extents: usize) {
        self.dirty_max = extents;
    }

    /// The next I/O to perform.
    pub(crate) fn next_io(&mut self) -> Option<IoRequest<P>> {
        let request = self.requests.pop_front()?;
        self.outstanding += 1;
        Some(request)
    }

    /// Takes a completion.
    ///
    /// # Errors
    /// What is on disk is unknown: the process must stop.
    pub(crate) fn on_io(&mut self, done: IoDone<P>, shard: &mut Shard<P>, pool: &mut P) -> Result<(), Fatal> {
        assert!(self.outstanding > 0, "a completion has its request");
        self.outstanding -= 1;
        if let Some((id, file)) = self.removal
            && id == done.id
        {
            let failed = |error| Fatal { what: "removing a snapshot", file, offset: 0, error };
            done.result.map_err(failed)?;
            self.removal = None;
        } else if self.freeing == Some(done.id) {
            self.on_space_freed(done.result, shard)?;
        } else if self.space.owns(done.id) {
            self.requests.extend(self.space.on_io(&done, shard.extents_mut(), &mut self.ids)?);
        } else if matches!(self.data_file, DataFileState::Creating(id) | DataFileState::Syncing(id) if id == done.id)
            && matches!(&done.result, Err(error) if error.kind == IoErrorKind::NoSpace)
        {
            self.data_file = DataFileState::Unmade;
            self.space.on_refused(shard.extents().places_short());
        } else if self.data_file == DataFileState::Creating(done.id) {
            let file = FileId::ShardData { shard: self.seal.shard };
            done.result.map_err(|error| Fatal { what: "creating a data file", file, offset: 0, error })?;
            let id = self.ids.next();
            self.data_file = DataFileState::Syncing(id);
            self.requests.push_back(IoRequest { id, operation: IoOperation::SyncDirectory });
        } else if self.data_file == DataFileState::Syncing(done.id) {
            let file = FileId::ShardData { shard: self.seal.shard };
            done.result.map_err(|error| Fatal {
                what: "syncing the store directory",
                file,
                offset: 0,
                error,
            })?;
            self.data_file = DataFileState::There;
        } else if self.data.owns(done.id) {
            let (request, synced) = self.data.on_io(done, shard.extents_mut(), pool, &mut self.ids)?;
            self.requests.extend(request);
            if synced && let Some(checkpoint) = &mut self.checkpoint {
                checkpoint.on_data_synced(pool, &mut self.ids);
            }
        } else if let Some(checkpoint) = self.checkpoint.as_mut().filter(|one| one.writer.owns(done.id)) {
            let request = checkpoint.writer.on_io(done, pool, &mut self.ids)?;
            self.requests.extend(request);
        } else {
            self.on_manifest_io(done, shard, pool)?;
        }
        self.collect(shard, pool);
        Ok(())
    }

    fn on_manifest_io(&mut self, done: IoDone<P>, shard: &mut Shard<P>, pool: &mut P) -> Result<(), Fatal> {
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
