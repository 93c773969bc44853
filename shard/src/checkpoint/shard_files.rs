//! All that one shard keeps on disk beside the log: manifest, data file, snapshot; and what asks for a checkpoint.
//!
//! Here are the checkpoint under way and the paths of requests and completions; `shard_files/data_life.rs` has the data file,
//! `shard_files/publication.rs` the changes of the manifest.

mod data_life;
mod publication;

use std::collections::VecDeque;

use super::checkpoint::{Checkpoint, LogState, Step, Tools};
use super::data_file::DataFile;
use super::data_space::DataSpace;
use crate::databases::SwapMark;
use crate::extent::ExtentSeal;
use crate::io::{BlockPool, Fatal, FileId, IoDone, IoOperation, IoRequest, RequestId};
use crate::limits::EXTENT_NUMBERS_AHEAD;
use crate::log::copies::CopiesWrite;
use crate::log::pending_write::RequestIds;
use crate::shard::Shard;
use crate::shard_manifest::ShardManifest;
use crate::snapshot::{SnapshotIdentity, SnapshotWriter};
use crate::types::{BatchNumber, Lsn, UnixMs};
use data_life::DataFileState;
use publication::{Published, Writing};

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
    /// Writes of extents and of the snapshot, and space to give back: nobody waits for them.
    writes: VecDeque<IoRequest<P>>,
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
            writes: VecDeque::new(),
            outstanding: 0,
            figures: CheckpointFigures::default(),
            began_ms: 0,
            publishing_ms: 0,
        }
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
        !self.is_busy() && self.outstanding == 0 && self.requests.is_empty() && self.writes.is_empty()
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
            self.requests.len() + self.writes.len(),
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
            self.publish(limit, shard, log, now, pool);
        }
        more
    }

    /// Gathers what the machines want performed.
    fn collect(&mut self, shard: &mut Shard<P>, pool: &mut P) {
        if let Some(checkpoint) = self.checkpoint.as_mut().filter(|_| !self.space.awaits_reserve()) {
            while let Some(request) = checkpoint.writer.next_io(&mut self.ids) {
                match request.operation {
                    IoOperation::Write { .. } => self.writes.push_back(request),
                    _ => self.requests.push_back(request),
                }
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
            self.writes.push_back(request);
        }
    }

    /// The next I/O to perform.
    pub(crate) fn next_io(&mut self) -> Option<IoRequest<P>> {
        self.next_in_time().or_else(|| self.next_write())
    }

    /// The next I/O that is not to be held up: all but what [`Self::next_write`] gives out.
    pub(crate) fn next_in_time(&mut self) -> Option<IoRequest<P>> {
        let request = self.requests.pop_front()?;
        self.outstanding += 1;
        Some(request)
    }

    /// Writes of extents and of the snapshot, and space to give back: what is ready to be performed, and nobody waits for.
    pub(crate) fn writes_waiting(&self) -> usize {
        self.writes.len()
    }

    /// The next of them.
    pub(crate) fn next_write(&mut self) -> Option<IoRequest<P>> {
        let request = self.writes.pop_front()?;
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
        } else if self.is_making(done.id) {
            self.on_making_io(done.result, shard)?;
        } else if self.data.owns(done.id) {
            let (request, synced) = self.data.on_io(done, shard.extents_mut(), pool, &mut self.ids)?;
            self.writes.extend(request);
            if synced && let Some(checkpoint) = &mut self.checkpoint {
                checkpoint.on_data_synced(pool, &mut self.ids);
            }
        } else if let Some(checkpoint) = self.checkpoint.as_mut().filter(|one| one.writer.owns(done.id)) {
            let request = checkpoint.writer.on_io(done, pool, &mut self.ids)?;
            // A write goes on, or a sync follows.
            self.requests.extend(request);
        } else {
            self.on_manifest_io(done, shard, pool)?;
        }
        self.collect(shard, pool);
        Ok(())
    }
}
