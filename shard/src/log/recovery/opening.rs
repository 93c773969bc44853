//! The last step: where the log goes on.
//!
//! Rules kept here: nothing is appended behind a torn tail. A log goes on in its last generation only when nothing
//! was in flight: behind a clean-shutdown mark, or in a generation without a batch, and nothing but zeros after it; and
//! nothing begun under its term is unfinished, for only a new term says that the rest will never come.
//! Else a new generation with a new term is opened, durably, before a record can be appended.

use std::collections::VecDeque;

use crate::io::{BlockPool, FileId, IoDone, IoOperation, RequestId};
use crate::log::batch::BatchKind;
use crate::log::copies::CopiesWrite;
use crate::log::group_commit::Resume;
use crate::log::manifest::{FreeFile, LogManifest, SegmentEntry};
use crate::log::manifest_writer::{ManifestStep, ManifestWriter};
use crate::log::pending_write::{Advance, PendingWrite, RequestIds};
use crate::log::recovery::refuse::{Proof, RefuseToStart};
use crate::log::recovery::report::{CutTail, RecoveryRule};
use crate::log::recovery::walk::Replayed;
use crate::log::recovery::{LogRecovery, RecoveryMode, Step, manifest_files};
use crate::log::rotation::{ClosedSegment, CurrentSegment, choose_standby, segment_header, write_header};
use crate::log::segment::SEGMENT_HEADER_BYTES;
use crate::log::spare::start_file;
use crate::log::standby::Standby;
use crate::log::{Log, LogConfig, LogIdentity};
use crate::planted::{self, PlantedBug};
use crate::store_manifest::LogEnd;
use crate::types::{BatchNumber, Term};

/// Where the log goes on, all of it durable.
pub(super) struct Opened<P: BlockPool> {
    manifest: LogManifest,
    current: CurrentSegment,
    closed: VecDeque<ClosedSegment>,
    standby: Option<Standby<P>>,
    end: LogEnd,
    last_kind: BatchKind,
    term: Term,
    /// The free file kept for the next start.
    start_file: Option<FreeFile>,
    /// Files that nothing names any more.
    left_over: Vec<u32>,
}

impl<P: BlockPool> Opened<P> {
    pub(super) fn into_log(
        self,
        identity: LogIdentity,
        config: LogConfig,
        pool: P,
        ids: RequestIds,
    ) -> Log<P> {
        Log::resume(Resume {
            identity,
            config,
            pool,
            term: self.term,
            ids,
            end: self.end,
            last_kind: self.last_kind,
            current: self.current,
            closed: self.closed,
            standby: self.standby,
            manifest: ManifestWriter::new(self.manifest),
            start_file: self.start_file,
            left_over: self.left_over,
        })
    }
}

/// What is being made durable.
enum OpeningStep<P: BlockPool> {
    /// A segment file.
    Prepare(Standby<P>),
    /// The first manifest of a log that is created.
    CreateManifest(CopiesWrite),
    /// The manifest that names the segment.
    Publish(Box<ManifestWriter>),
    /// The header of the new generation.
    Header(PendingWrite),
}

/// The opening of a new generation.
pub(super) struct Opening<P: BlockPool> {
    step: OpeningStep<P>,
    /// The request in flight; one at a time.
    in_flight: RequestId,
    manifest: LogManifest,
    entry: SegmentEntry,
    closed: VecDeque<ClosedSegment>,
    end: LogEnd,
    term: Term,
}

impl<P: BlockPool> Opening<P> {
    pub(super) fn owns(&self, id: RequestId) -> bool {
        self.in_flight == id
    }
}

impl<P: BlockPool> LogRecovery<P> {
    /// Creates the log: its first segment, then the manifest that names it, then the segment's header.
    pub(super) fn create(&mut self) {
        self.report.took(RecoveryRule::Created);
        let manifest = LogManifest::empty(&self.start.identity);
        self.prepare(manifest, 1, VecDeque::new(), LogEnd::default(), self.start.first_term);
    }

    /// All is read and nothing speaks against it: settle where the log goes on.
    pub(super) fn on_replayed(&mut self, replayed: Replayed, cut: CutTail) -> Result<(), RefuseToStart> {
        let log = self.start.identity.log;
        let Some(manifest) = self.manifest.clone() else { unreachable!("loaded first") };
        let Replayed { used, ahead, end, last_kind, end_offset, behind } = replayed;
        let floor = manifest.floors.iter().map(|entry| entry.batch).max().unwrap_or(BatchNumber::ZERO);
        if floor > end.batch && !used.is_empty() {
            let file = used.last().map_or(0, |(entry, ..)| entry.file);
            return Err(RefuseToStart::BatchesLost {
                file: FileId::Segment { log, file },
                offset: end_offset,
                first: end.batch.next(),
                last: floor,
                proof: Proof::Floor,
            });
        }
        self.check_reached(&manifest, end, used.last().map(|(entry, ..)| entry.file), end_offset)?;
        let last_term = used.last().map_or(Term(0), |(_, header, _)| header.term);
        let is_unfinished = self.assembler.is_unfinished_in(last_term);
        self.note_end(end, cut, behind);
        if let RecoveryMode::Final(expected) = self.start.mode {
            if expected != end {
                let (expected, found) = (expected.batch, end.batch);
                return Err(RefuseToStart::EndMismatch { log, expected, found });
            }
            self.report.took(RecoveryRule::EndedFinal);
            self.report.term = used.last().map_or(self.start.first_term, |(_, header, _)| header.term);
            self.step = Step::Done(None);
            return Ok(());
        }
        let mut closed: VecDeque<_> =
            used.iter().map(|&(entry, _, last_batch)| ClosedSegment { entry, last_batch }).collect();
        let Some(&(entry, header, _)) = used.last() else {
            // Named and never opened: the first generation of a log whose creation was cut short.
            let Some(entry) = ahead else { unreachable!("a manifest names a segment") };
            self.report.took(RecoveryRule::OpenedStandby);
            self.write_header(manifest, entry, closed, end, self.start.first_term);
            return Ok(());
        };
        let is_empty = end_offset == SEGMENT_HEADER_BYTES as u64;
        let over_the_tail = planted::is(PlantedBug::AppendBehindTornTail);
        if (!behind && !is_unfinished && (is_empty || last_kind == BatchKind::Clean)) || over_the_tail {
            let rule = if is_empty {
                RecoveryRule::ContinuedEmptyGeneration
            } else {
                RecoveryRule::ContinuedAfterCleanMark
            };
            self.report.took(rule);
            self.report.term = header.term;
            closed.pop_back();
            // Nothing needs a seal: a header or a mark already says how far the log is durable.
            let last_kind = if is_empty { BatchKind::Seal } else { last_kind };
            let current = CurrentSegment { entry, offset: end_offset };
            let standby = ahead.map(|ahead| Standby::ready(log, ahead));
            let left_over = std::mem::take(&mut self.left_over);
            let (start_file, term) = (self.start_file(&manifest), header.term);
            let opened =
                Opened { manifest, current, closed, standby, end, last_kind, term, start_file, left_over };
            self.step = Step::Done(Some(Box::new(opened)));
            return Ok(());
        }
        let new_term = if planted::is(PlantedBug::KeepOldTerm) { header.term.0 } else { header.term.0 + 1 };
        if let Some(ahead) = ahead {
            self.report.took(RecoveryRule::OpenedStandby);
            self.write_header(manifest, ahead, closed, end, Term(new_term));
        } else {
            self.report.took(RecoveryRule::OpenedNewSegment);
            self.prepare(manifest, entry.generation + 1, closed, end, Term(new_term));
        }
        Ok(())
    }

    /// Whether the log's history is that which the manifest knows of: it must have passed the batch that the manifest
    /// says was durable.
    fn check_reached(
        &self,
        manifest: &LogManifest,
        end: LogEnd,
        last_file: Option<u32>,
        end_offset: u64,
    ) -> Result<(), RefuseToStart> {
        let log = self.start.identity.log;
        let reached = manifest.reached.batch;
        if self.passed_reached || reached == BatchNumber::ZERO || planted::is(PlantedBug::ReachedNotChecked) {
            return Ok(());
        }
        if reached <= end.batch {
            return Err(RefuseToStart::ManifestOfAnotherHistory { log, batch: reached });
        }
        Err(RefuseToStart::BatchesLost {
            file: FileId::Segment { log, file: last_file.unwrap_or(0) },
            offset: end_offset,
            first: end.batch.next(),
            last: reached,
            proof: Proof::Manifest,
        })
    }

    fn note_end(&mut self, end: LogEnd, cut: CutTail, behind: bool) {
        self.assembler.finish();
        self.report.end = end.batch;
        self.report.cut = cut;
        for _ in 0..self.assembler.fragments_dropped {
            self.report.took(RecoveryRule::FragmentsDropped);
        }
        for _ in 0..self.assembler.groups_dropped {
            self.report.took(RecoveryRule::GroupDropped);
        }
        self.report.took(match (cut.batches, behind) {
            (1.., _) => RecoveryRule::InFlightDropped,
            (0, true) => RecoveryRule::TornTail,
            (0, false) => RecoveryRule::NothingBehindEnd,
        });
    }

    /// Makes a segment file for the new generation.
    fn prepare(
        &mut self,
        manifest: LogManifest,
        generation: u64,
        closed: VecDeque<ClosedSegment>,
        end: LogEnd,
        term: Term,
    ) {
        let new = (generation, manifest.next_file);
        let kept = self.start_file(&manifest).map(|free| free.file);
        let mut standby = choose_standby(&manifest, |file| Some(file) != kept, &self.config, new);
        let entry = standby.entry();
        let request = standby.start(0, &mut self.ids);
        let step = OpeningStep::Prepare(standby);
        let in_flight = request.as_ref().map_or(RequestId(0), |request| request.id);
        let opening = Opening { step, in_flight, manifest, entry, closed, end, term };
        self.step = Step::Open(Box::new(opening));
        match request {
            Some(request) => self.requests.push_back(request),
            // A recycled file needs no preparation.
            None => self.name_segment(),
        }
    }

    fn start_file(&self, manifest: &LogManifest) -> Option<FreeFile> {
        start_file(manifest, &self.unused, &self.config)
    }

    /// The disk is full: the log goes on in the file that was kept for this.
    fn open_in_start_file(&mut self) -> Result<(), RefuseToStart> {
        let Step::Open(opening) = &mut self.step else { unreachable!("the caller is at this step") };
        let Some(FreeFile { file, file_bytes }) = start_file(&opening.manifest, &self.unused, &self.config)
        else {
            return Err(RefuseToStart::NoSpace {
                file: FileId::Segment { log: opening.manifest.log, file: opening.entry.file },
                bytes: opening.entry.file_bytes,
            });
        };
        self.report.took(RecoveryRule::OpenedStartFile);
        opening.entry = SegmentEntry { generation: opening.entry.generation, file, file_bytes };
        self.name_segment();
        Ok(())
    }

    /// The file is prepared: name it in the manifest.
    fn name_segment(&mut self) {
        let Self { pool, ids, .. } = self;
        let Step::Open(opening) = &mut self.step else { unreachable!("the caller is at this step") };
        let entry = opening.entry;
        let mut next = opening.manifest.successor(opening.end);
        next.free.retain(|free| free.file != entry.file);
        next.next_file = next.next_file.max(entry.file + 1);
        next.segments.push(entry);
        let request = if next.sequence == 1 {
            let files = manifest_files(next.log);
            let (write, request) = CopiesWrite::start(&next, files, [true; 2], [true; 2], pool, ids);
            opening.step = OpeningStep::CreateManifest(write);
            request
        } else {
            let mut writer = ManifestWriter::new(opening.manifest.clone());
            let request = writer.start(next.clone(), pool, ids);
            opening.step = OpeningStep::Publish(Box::new(writer));
            request
        };
        opening.manifest = next;
        opening.in_flight = request.id;
        self.requests.push_back(request);
    }

    /// The manifest names the segment: write its header.
    fn write_header(
        &mut self,
        manifest: LogManifest,
        entry: SegmentEntry,
        closed: VecDeque<ClosedSegment>,
        end: LogEnd,
        term: Term,
    ) {
        let header = segment_header(&self.start.identity, entry, end, term);
        let (write, mut request) = write_header(&header, &mut self.pool, &mut self.ids);
        if planted::is(PlantedBug::ServeBeforeHeader)
            && let IoOperation::Write { durable, .. } = &mut request.operation
        {
            *durable = false;
        }
        let in_flight = request.id;
        self.requests.push_back(request);
        let step = OpeningStep::Header(write);
        self.step = Step::Open(Box::new(Opening { step, in_flight, manifest, entry, closed, end, term }));
    }

    /// A completion for the opening.
    pub(super) fn on_opening_io(&mut self, done: IoDone<P>) -> Result<(), RefuseToStart> {
        let Self { pool, ids, .. } = self;
        let Step::Open(opening) = &mut self.step else { unreachable!("the caller is at this step") };
        let next = match &mut opening.step {
            OpeningStep::Prepare(standby) => {
                let next = standby.on_io(done, 0, pool, ids)?;
                if next.is_none() && standby.is_out_of_space() {
                    return self.open_in_start_file();
                }
                if next.is_none() {
                    self.name_segment();
                    return Ok(());
                }
                next
            }
            OpeningStep::CreateManifest(write) => write.on_io(done, pool, ids)?,
            OpeningStep::Publish(writer) => match writer.on_io(done, pool, ids)? {
                ManifestStep::Request(request) => Some(request),
                ManifestStep::Published => {
                    assert_eq!(*writer.current(), opening.manifest, "what was published is what is used");
                    None
                }
            },
            OpeningStep::Header(write) => match write.advance(done, ids)? {
                Advance::Continue(request) => Some(request),
                Advance::Written(buffer) => {
                    pool.reclaim(buffer);
                    self.on_header_written();
                    return Ok(());
                }
            },
        };
        if let Some(request) = next {
            opening.in_flight = request.id;
            self.requests.push_back(request);
            return Ok(());
        }
        let Step::Open(opening) = std::mem::replace(&mut self.step, Step::Done(None)) else { unreachable!() };
        let Opening { manifest, entry, closed, end, term, .. } = *opening;
        self.write_header(manifest, entry, closed, end, term);
        Ok(())
    }

    fn on_header_written(&mut self) {
        let Step::Open(opening) = std::mem::replace(&mut self.step, Step::Done(None)) else {
            unreachable!("the caller is at this step")
        };
        let Opening { manifest, entry, closed, end, term, .. } = *opening;
        self.report.term = term;
        let current = CurrentSegment::fresh(entry);
        // The header itself says that everything before it is durable: nothing needs a seal.
        let last_kind = BatchKind::Seal;
        let left_over = std::mem::take(&mut self.left_over);
        let start_file = self.start_file(&manifest);
        let standby = None;
        let opened =
            Opened { manifest, current, closed, standby, end, last_kind, term, start_file, left_over };
        self.step = Step::Done(Some(Box::new(opened)));
    }
}
