//! Replay, batch by batch, and the look at what lies behind the end.
//!
//! Rules kept here: a generation that is followed by another ends exactly where the next header says, anything else
//! is a loss; the last one ends at its first invalid batch, unless something behind it proves that batch durable.

use std::ops::Range;

use crate::io::{BLOCK_BYTES, BlockPool, FileId};
use crate::log::batch::{BATCH_HEADER_BYTES, BatchKind};
use crate::log::manifest::SegmentEntry;
use crate::log::recovery::judge::{Evidence, Next, Place, evidence, next_batch};
use crate::log::recovery::reader::SegmentReader;
use crate::log::recovery::records::Assembled;
use crate::log::recovery::refuse::{Proof, RefuseToStart};
use crate::log::recovery::report::{CutTail, RecoveryRule};
use crate::log::recovery::segments::{HeaderFound, check_headers, split_used};
use crate::log::recovery::{LogRecovery, Step};
use crate::log::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::planted::{self, PlantedBug};
use crate::record::Head;
use crate::store_manifest::LogEnd;
use crate::types::{BatchNumber, LogId};

/// Something to hand out.
pub(super) enum Ready {
    /// A floor, by its position in the manifest.
    Floor(usize),
    /// A record: its head, and its place in the window.
    Window(Head, Range<usize>),
    /// The record in `assembled`.
    Assembled,
}

/// The records of one batch that are not looked at yet.
struct Cursor {
    at: usize,
    payload_end: usize,
    records_left: u32,
    byte_len: usize,
}

/// Replay of the segments in use.
pub(super) struct Walk<P: BlockPool> {
    pub(super) reader: SegmentReader<P>,
    used: Vec<(SegmentEntry, SegmentHeader)>,
    ahead: Option<SegmentEntry>,
    at: usize,
    last: LogEnd,
    last_kind: BatchKind,
    cursor: Option<Cursor>,
    /// Last batch of each segment that is replayed.
    ends: Vec<BatchNumber>,
}

/// What replay found, once it is at its end.
#[derive(Clone, Debug)]
pub(super) struct Replayed {
    /// Segments in use with the last batch of each; empty for a log that was never opened.
    pub(super) used: Vec<(SegmentEntry, SegmentHeader, BatchNumber)>,
    /// The segment named ahead.
    pub(super) ahead: Option<SegmentEntry>,
    /// The last batch.
    pub(super) end: LogEnd,
    /// Its kind.
    pub(super) last_kind: BatchKind,
    /// Where the first invalid batch should stand in the last segment.
    pub(super) end_offset: u64,
    /// Whether anything but zeros lies behind it.
    pub(super) behind: bool,
}

/// The look behind the end.
pub(super) struct Tail<P: BlockPool> {
    pub(super) reader: SegmentReader<P>,
    replayed: Replayed,
    /// Generation of the segment that is looked at.
    generation: u64,
    /// Whether it is the segment ahead, which must hold no batch of its generation at all.
    is_ahead: bool,
    cut: CutTail,
}

const fn segment(log: LogId, entry: &SegmentEntry) -> FileId {
    FileId::Segment { log, file: entry.file }
}

impl<P: BlockPool> LogRecovery<P> {
    fn log_id(&self) -> LogId {
        self.start.identity.log
    }

    /// All headers are there: judge them and start the replay.
    pub(super) fn on_segments_open(&mut self) -> Result<(), RefuseToStart> {
        let log = self.log_id();
        let Step::OpenSegments(open) = std::mem::replace(&mut self.step, Step::Done(None)) else {
            unreachable!("the caller is at this step")
        };
        let Some(manifest) = &self.manifest else { unreachable!("loaded before its segments") };
        // One that is numbered as never used is made anew when its turn comes.
        self.left_over = open.left_over().filter(|&file| file < manifest.next_file).collect();
        self.unused = open.unused().collect();
        let reached = manifest.reached;
        let found = open.into_found();
        for (_, found) in &found {
            if matches!(found, HeaderFound::Valid { copy_bad: true, .. }) {
                self.report.took(RecoveryRule::HeaderCopyBad);
            }
        }
        let tolerate = planted::is(PlantedBug::IgnoreMissingSegment);
        let used = split_used(&found, |entry| segment(log, entry), tolerate)?;
        check_headers(&used, manifest.obsolete_through(), |entry| segment(log, entry))?;
        let ahead = found.last().map(|(entry, _)| *entry);
        let ahead = ahead.filter(|ahead| used.last().is_none_or(|(entry, _)| entry != ahead));
        if ahead.is_some() {
            self.report.took(RecoveryRule::StandbyUnused);
        }
        self.report.segments = used.len() as u64;
        self.bytes_total = used.iter().map(|(entry, _)| entry.file_bytes).sum();
        let Some(&(entry, header)) = used.first() else {
            let end = LogEnd::default();
            let last_kind = BatchKind::Records;
            let used = Vec::new();
            self.look_ahead(
                Replayed { used, ahead, end, last_kind, end_offset: 0, behind: false },
                CutTail::default(),
            );
            return Ok(());
        };
        let last = LogEnd { batch: header.previous_end(), crc: header.previous_end_crc };
        self.passed_reached = last == reached;
        let reader = batches_of(log, &entry);
        let last_kind = BatchKind::Records;
        self.step =
            Step::Walk(Walk { reader, used, ahead, at: 0, last, last_kind, cursor: None, ends: Vec::new() });
        Ok(())
    }

    /// Goes on until there is something to hand out or nothing to do without I/O.
    pub(super) fn advance(&mut self) -> Result<Option<Ready>, RefuseToStart> {
        loop {
            let judged = matches!(self.step, Step::Walk(_) | Step::Tail(_) | Step::Open(_) | Step::Done(_));
            let floors = self.manifest.as_ref().map_or(0, |manifest| manifest.floors.len());
            if judged && self.floors_handed_out < floors {
                self.floors_handed_out += 1;
                return Ok(Some(Ready::Floor(self.floors_handed_out - 1)));
            }
            match &self.step {
                Step::Walk(_) => {}
                Step::Tail(_) => {
                    if !self.advance_tail()? {
                        return Ok(None);
                    }
                    continue;
                }
                // Only planted mistakes leave something after the end.
                Step::Done(_) => return Ok(self.assembler_has_ready().then_some(Ready::Assembled)),
                _ => return Ok(None),
            }
            if self.assembler_has_ready() {
                self.report.records += 1;
                return Ok(Some(Ready::Assembled));
            }
            let Step::Walk(walk) = &mut self.step else { unreachable!("looked at") };
            if let Some(cursor) = &walk.cursor {
                if cursor.records_left == 0 {
                    self.finish_batch()?;
                } else if let Some((head, range)) = self.next_record()? {
                    self.report.records += 1;
                    return Ok(Some(Ready::Window(head, range)));
                }
            } else if !self.advance_walk()? {
                return Ok(None);
            }
        }
    }

    fn assembler_has_ready(&mut self) -> bool {
        match self.assembler.pop() {
            Some(assembled) => {
                self.assembled = assembled;
                true
            }
            None => false,
        }
    }

    /// The next record of the batch at hand; `None` when it was taken in or passed over.
    fn next_record(&mut self) -> Result<Option<(Head, Range<usize>)>, RefuseToStart> {
        let identity = self.start.identity;
        let Step::Walk(walk) = &mut self.step else { unreachable!("the caller is at this step") };
        let Some(cursor) = &mut walk.cursor else { unreachable!("the caller looked") };
        let malformed = |reason| RefuseToStart::RecordMalformed {
            file: walk.reader.file(),
            offset: walk.reader.offset(),
            reason,
        };
        let bytes = &walk.reader.available()[..cursor.payload_end];
        let head = Head::decode(&bytes[cursor.at..]).map_err(|_| malformed("no head"))?;
        let range = cursor.at..cursor.at + head.record_len();
        let record = bytes.get(range.clone()).ok_or_else(|| malformed("it does not fit its batch"))?;
        cursor.at = range.end;
        cursor.records_left -= 1;
        if !identity.holds(head.shard) {
            return Err(malformed("its shard belongs to another log"));
        }
        let batch = walk.last.batch;
        let floor = self.manifest.as_ref().and_then(|manifest| manifest.floor(head.shard));
        // Before the batch at the floor there is nothing beyond it, but what an earlier recovery dropped.
        if floor.is_some_and(|entry| head.lsn <= entry.floor.lsn || batch < entry.batch) {
            self.report.took(RecoveryRule::BelowFloor);
            return Ok(None);
        }
        let may_be_remains = floor.is_some_and(|entry| batch == entry.batch);
        match self.assembler.push(&head, record, may_be_remains).map_err(malformed)? {
            Assembled::Whole => Ok(Some((head, range))),
            Assembled::Taken => Ok(None),
        }
    }

    fn finish_batch(&mut self) -> Result<(), RefuseToStart> {
        let Step::Walk(walk) = &mut self.step else { unreachable!("the caller is at this step") };
        let Some(cursor) = walk.cursor.take() else { unreachable!("the caller looked") };
        if cursor.at != cursor.payload_end {
            let (file, offset) = (walk.reader.file(), walk.reader.offset());
            let reason = "records do not fill their batch";
            return Err(RefuseToStart::RecordMalformed { file, offset, reason });
        }
        walk.reader.consume(cursor.byte_len);
        self.bytes_done += cursor.byte_len as u64;
        Ok(())
    }

    /// The next batch, or the end of the segment. False: more I/O is needed.
    fn advance_walk(&mut self) -> Result<bool, RefuseToStart> {
        let Self { pool, .. } = self;
        let Step::Walk(walk) = &mut self.step else { unreachable!("the caller is at this step") };
        let following = walk.used.get(walk.at + 1).copied();
        if let Some((entry, header)) = following
            && header.previous_end() == walk.last.batch
        {
            if header.previous_end_crc != walk.last.crc && !planted::is(PlantedBug::SkipChainCheck) {
                let file = segment(self.start.identity.log, &entry);
                return Err(RefuseToStart::ChainBroken { file, generation: entry.generation });
            }
            self.report.took(RecoveryRule::EndedByNextHeader);
            walk.next_segment(self.start.identity.log, entry);
            return Ok(true);
        }
        let (entry, _) = walk.used[walk.at];
        let place = walk.place(entry.generation);
        let check_chain = !planted::is(PlantedBug::SkipChainCheck);
        match next_batch(walk.reader.available(), place, walk.last, &self.start.identity, check_chain) {
            Next::NeedMore if place.remaining > 0 => return Ok(walk.reader.fill(pool)),
            Next::Valid(header, crc) => {
                self.report.batches += 1;
                walk.last = LogEnd { batch: header.number, crc };
                self.passed_reached |=
                    Some(walk.last) == self.manifest.as_ref().map(|manifest| manifest.reached);
                walk.last_kind = header.kind;
                let payload_end = BATCH_HEADER_BYTES + header.payload_len as usize;
                let (records_left, byte_len) = (header.record_count, header.byte_len());
                walk.cursor = Some(Cursor { at: BATCH_HEADER_BYTES, payload_end, records_left, byte_len });
                return Ok(true);
            }
            Next::Invalid | Next::NeedMore => {}
        }
        if let Some((_, header)) = following {
            if planted::is(PlantedBug::IgnoreMissingSegment) {
                let end = LogEnd { batch: header.previous_end(), crc: header.previous_end_crc };
                walk.last = end;
                return Ok(true);
            }
            if !planted::is(PlantedBug::StopAtFirstInvalid) {
                return Err(RefuseToStart::BatchesLost {
                    file: walk.reader.file(),
                    offset: walk.reader.offset(),
                    first: walk.last.batch.next(),
                    last: header.previous_end(),
                    proof: Proof::NextHeader,
                });
            }
        }
        self.look_behind();
        Ok(true)
    }

    /// Replay is at its end: look at what lies behind it.
    fn look_behind(&mut self) {
        let Step::Walk(walk) = std::mem::replace(&mut self.step, Step::Done(None)) else {
            unreachable!("the caller is at this step")
        };
        let mut ends = walk.ends;
        ends.push(walk.last.batch);
        let end_offset = walk.reader.offset();
        let generation = walk.used[walk.at].0.generation;
        let used = walk.used.iter().zip(ends).map(|(&(entry, header), end)| (entry, header, end)).collect();
        let (ahead, end, last_kind) = (walk.ahead, walk.last, walk.last_kind);
        let replayed = Replayed { used, ahead, end, last_kind, end_offset, behind: false };
        let reader = walk.reader;
        self.step =
            Step::Tail(Tail { reader, replayed, generation, is_ahead: false, cut: CutTail::default() });
    }

    /// Looks at the segment ahead, if there is one, else decides.
    fn look_ahead(&mut self, replayed: Replayed, cut: CutTail) {
        match replayed.ahead {
            Some(entry) => {
                let reader = batches_of(self.log_id(), &entry);
                let generation = entry.generation;
                self.step = Step::Tail(Tail { reader, replayed, generation, is_ahead: true, cut });
            }
            None => self.on_replayed_or_refuse(replayed, cut),
        }
    }

    fn on_replayed_or_refuse(&mut self, replayed: Replayed, cut: CutTail) {
        if let Err(refused) = self.on_replayed(replayed, cut) {
            self.refuse(refused);
        }
    }

    /// One step behind the end. False: more I/O is needed.
    fn advance_tail(&mut self) -> Result<bool, RefuseToStart> {
        let identity = self.start.identity;
        let Self { pool, .. } = self;
        let Step::Tail(tail) = &mut self.step else { unreachable!("the caller is at this step") };
        let reader = &mut tail.reader;
        let (file, offset, remaining) = (reader.file(), reader.offset(), reader.remaining());
        let missing = tail.replayed.end.batch.next();
        let place = Place { generation: tail.generation, offset, remaining };
        if remaining == 0 {
            let Step::Tail(tail) = std::mem::replace(&mut self.step, Step::Done(None)) else {
                unreachable!()
            };
            if tail.is_ahead {
                self.on_replayed(tail.replayed, tail.cut)?;
            } else {
                self.look_ahead(tail.replayed, tail.cut);
            }
            return Ok(true);
        }
        let mut step = BLOCK_BYTES;
        let proves = !planted::is(PlantedBug::DropKnownDurableProof);
        match evidence(reader.available(), place, missing, &identity) {
            Evidence::NeedMore => return Ok(reader.fill(pool)),
            Evidence::Zero => {}
            Evidence::Nothing => tail.replayed.behind |= !tail.is_ahead,
            // A batch of a generation is written when its header is durable: here the header is gone.
            Evidence::InFlight { .. } | Evidence::Durable { .. } if tail.is_ahead => {
                return Err(RefuseToStart::HeaderLost { file, generation: tail.generation });
            }
            Evidence::Misplaced { number } if proves => {
                return Err(RefuseToStart::BatchMisplaced { file, offset, number });
            }
            Evidence::Durable { number, known } if proves => {
                let proof = Proof::LaterBatch { number, offset };
                let (first, offset) = (missing, tail.replayed.end_offset);
                return Err(RefuseToStart::BatchesLost { file, offset, first, last: known, proof });
            }
            Evidence::Misplaced { .. } | Evidence::Durable { .. } => tail.replayed.behind = true,
            Evidence::InFlight { byte_len } => {
                tail.replayed.behind = true;
                tail.cut.batches += 1;
                tail.cut.bytes += byte_len as u64;
                step = byte_len;
            }
        }
        tail.reader.consume(step);
        Ok(true)
    }
}

impl<P: BlockPool> Walk<P> {
    fn place(&self, generation: u64) -> Place {
        Place { generation, offset: self.reader.offset(), remaining: self.reader.remaining() }
    }

    fn next_segment(&mut self, log: LogId, entry: SegmentEntry) {
        self.ends.push(self.last.batch);
        self.at += 1;
        self.reader = batches_of(log, &entry);
    }
}

/// A pass over the batches of a segment.
fn batches_of<P: BlockPool>(log: LogId, entry: &SegmentEntry) -> SegmentReader<P> {
    SegmentReader::new(segment(log, entry), SEGMENT_HEADER_BYTES as u64, entry.file_bytes)
}
