//! One log, front to back: manifest, segments, headers, every batch and record, and what lies behind the end.
//!
//! The rules are recovery's own (`log/recovery/`), with one difference: a check does not stop at the first thing wrong.
//! What breaks the log first is where a repair would cut it; what follows is counted, so that the cost is known.

use std::collections::BTreeMap;

use super::copies::check_copies;
use super::problem::{CheckReport, Cut, Problem, Remedy, Severity};
use super::segment::{Header, check_header};
use super::source::{Source, Window};
use super::survey::{Survey, survey};
use super::unnamed::check_unnamed;
use crate::io::{BLOCK_BYTES, FileId, IoError, ManifestCopy};
use crate::limits::{LOG_BATCH_BYTES_LIMIT, LOG_MANIFEST_BYTES_MAX};
use crate::log::LogIdentity;
use crate::log::batch::{self, BATCH_HEADER_BYTES, BatchHeader};
use crate::log::manifest::{LogManifest, SegmentEntry};
use crate::log::recovery::judge::{Evidence, Next, Place, evidence, next_batch};
use crate::log::recovery::{RecoveryMode, RecoveryStart};
use crate::log::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::record::Record;
use crate::store_manifest::LogEnd;
use crate::types::{BatchNumber, Lsn, ShardId};

/// Where an intact log ends.
pub(super) struct LogSummary {
    /// Nothing breaks it.
    pub(super) whole: bool,
    /// Its last batch.
    pub(super) end: BatchNumber,
    /// The last record of each shard.
    pub(super) lsns: BTreeMap<ShardId, Lsn>,
}

/// What breaks a log.
struct Break {
    /// Position of the segment.
    at: usize,
    /// Where in it; `None`: it counts for nothing at all.
    offset: Option<u64>,
    /// Place within the file, for the name.
    place: String,
    what: String,
}

/// Where a segment ends that breaks the log, the place for the name, and what is wrong.
type Ends = (u64, String, String);
/// What could not be read, where, and why.
type Unreadable = (FileId, u64, IoError);

/// What comes after a segment.
#[derive(Clone, Copy)]
enum Following {
    /// A segment with this header.
    Header(SegmentHeader),
    /// A segment in use whose header is gone.
    Unknown,
    /// Nothing that is in use.
    Nothing,
}

/// The pass over one log.
pub(super) struct LogCheck<'a> {
    pub(super) source: &'a mut dyn Source,
    pub(super) start: RecoveryStart,
    /// The last batch that a shard's snapshot needs, and the shard.
    pub(super) needed: Option<(ShardId, BatchNumber)>,
    /// Takes every record that counts.
    pub(super) each: &'a mut dyn FnMut(&Record<'_>),
    pub(super) report: &'a mut CheckReport,
}

impl LogCheck<'_> {
    fn identity(&self) -> LogIdentity {
        self.start.identity
    }

    fn file(&self, entry: &SegmentEntry) -> FileId {
        FileId::Segment { log: self.identity().log, file: entry.file }
    }

    /// Checks it all. `None`: without a manifest there is nothing to go by.
    pub(super) fn run(mut self) -> Option<LogSummary> {
        let log = self.identity().log;
        let files = [ManifestCopy::A, ManifestCopy::B].map(|copy| FileId::LogManifest { log, copy });
        let required = self.start.mode != RecoveryMode::Create;
        let manifest: LogManifest =
            check_copies(self.source, files, LOG_MANIFEST_BYTES_MAX, required, self.report)?;
        if !manifest.belongs_to(&self.identity()) {
            let what = "it belongs to another store or log: files are swapped";
            self.report.damage(&files[0], "foreign", what.to_owned());
            return None;
        }
        self.check_free_files(&manifest);
        check_unnamed(self.source, &self.start.identity, &manifest, self.report);
        let headers: Vec<Header> = manifest
            .segments
            .iter()
            .map(|entry| check_header(self.source, &self.start.identity, entry, self.report))
            .collect();
        let mut walk = LogWalk { reached: manifest.reached, ..LogWalk::default() };
        let broken = match self.walk(&manifest, &headers, &mut walk) {
            Ok(broken) => broken,
            Err((file, offset, error)) => {
                let what = format!("it cannot be read: {error}; check the drive");
                let problem = Problem::new(Severity::Damage, &file, "unreadable", what);
                self.report.problems.push(problem.at(offset));
                return None;
            }
        };
        let whole = broken.is_none();
        if let Some(broken) = broken {
            self.report_break(&manifest, &headers, &walk, &broken);
        } else {
            self.check_end(&manifest, &walk);
        }
        Some(LogSummary { whole, end: walk.last.batch, lsns: walk.lsns })
    }

    fn check_free_files(&mut self, manifest: &LogManifest) {
        for free in &manifest.free {
            let file = FileId::Segment { log: manifest.log, file: free.file };
            self.report.looked.files += 1;
            let (place, severity, remove, is) = match self.source.len(file) {
                Ok(None) => ("missing", Severity::Damage, None, "missing".to_owned()),
                // A start does not mind: the file grows again, if the disk has room.
                Ok(Some(len)) if len < free.file_bytes => {
                    let is = format!("cut to {len} of {} bytes", free.file_bytes);
                    ("short", Severity::Note, Some(file), is)
                }
                _ => continue,
            };
            let mut without = manifest.successor(manifest.reached);
            without.free.retain(|other| other.file != free.file);
            let what = format!("it is {is}: the log keeps it for later use, there is nothing in it");
            let problem = Problem::new(severity, &file, place, what);
            let remedy = Remedy::ForgetFile { log: manifest.log, manifest: without, remove };
            self.report.problems.push(problem.healed_by(remedy));
        }
    }

    /// Goes through the segments until something breaks the log.
    fn walk(
        &mut self,
        manifest: &LogManifest,
        headers: &[Header],
        walk: &mut LogWalk,
    ) -> Result<Option<Break>, Unreadable> {
        let used = headers.iter().rposition(|header| header.get().is_some()).map_or(0, |last| last + 1);
        for (at, entry) in manifest.segments.iter().enumerate() {
            let broken = |place: &str, what: String| {
                Ok(Some(Break { at, offset: None, place: place.to_owned(), what }))
            };
            let Some(header) = headers[at].get() else {
                let (place, what) = match &headers[at] {
                    Header::Bad(place, what) => (*place, what.clone()),
                    Header::Newer(format) => {
                        ("newer", format!("it has format {format}, newer than this program reads"))
                    }
                    // The one behind the last in use is prepared ahead.
                    _ if at == used && (at > 0 || entry.generation == 1) => {
                        let found = survey(
                            self.source,
                            &self.start.identity,
                            &[(*entry, SEGMENT_HEADER_BYTES as u64)],
                            walk.last.batch,
                        )
                        .map_err(|error| (self.file(entry), 0, error))?;
                        if found.batches == 0 {
                            continue;
                        }
                        ("header", "both its headers are damaged, and it holds batches".to_owned())
                    }
                    _ => ("header", "both its headers are damaged".to_owned()),
                };
                return broken(place, what);
            };
            if let Some(what) = walk.does_not_continue(manifest, at, &header) {
                return broken("chain", what);
            }
            if at == 0 {
                walk.pass(LogEnd { batch: header.previous_end(), crc: header.previous_end_crc });
            }
            let next = match headers.get(at + 1).filter(|_| at + 1 < used) {
                None => Following::Nothing,
                Some(next) => next.get().map_or(Following::Unknown, Following::Header),
            };
            if let Some((offset, place, what)) = self.walk_segment(entry, next, walk)? {
                return Ok(Some(Break { at, offset: Some(offset), place, what }));
            }
        }
        Ok(None)
    }

    /// The batches of one segment. What comes back breaks the log: where, and what it is.
    fn walk_segment(
        &mut self,
        entry: &SegmentEntry,
        next: Following,
        walk: &mut LogWalk,
    ) -> Result<Option<Ends>, Unreadable> {
        let (file, identity) = (self.file(entry), self.identity());
        let mut window = Window::new(file, SEGMENT_HEADER_BYTES as u64, entry.file_bytes);
        loop {
            let (offset, remaining) = (window.offset(), window.remaining());
            walk.end_offset = offset;
            if matches!(next, Following::Header(next) if next.previous_end() == walk.last.batch) {
                return Ok(None);
            }
            let place = Place { generation: entry.generation, offset, remaining };
            let mut wanted = BLOCK_BYTES;
            let found = loop {
                let bytes = window.bytes(self.source, wanted).map_err(|error| (file, offset, error))?;
                match next_batch(bytes, place, walk.last, &identity, true) {
                    Next::NeedMore if wanted < LOG_BATCH_BYTES_LIMIT && remaining > 0 => {
                        wanted = LOG_BATCH_BYTES_LIMIT;
                    }
                    Next::Valid(header, crc) => break Some((header, crc)),
                    Next::NeedMore | Next::Invalid => break None,
                }
            };
            if let Some((header, crc)) = found {
                let bytes =
                    window.bytes(self.source, header.byte_len()).map_err(|error| (file, offset, error))?;
                let payload = &bytes[BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + header.payload_len as usize];
                if let Some(what) = walk.take_batch(&header, crc, payload, self.each, self.report) {
                    let place = format!("batch-{}", header.number);
                    return Ok(Some((offset, place, what)));
                }
                window.consume(header.byte_len());
                continue;
            }
            let first = walk.last.batch.next();
            return match next {
                Following::Header(next) => {
                    Ok(Some(lost(offset, first, next.previous_end(), "the header of the next segment")))
                }
                // What follows breaks the log; where this one ended is not known any better.
                Following::Unknown => Ok(None),
                Following::Nothing => {
                    self.look_behind(window, entry.generation, first).map_err(|error| (file, offset, error))
                }
            };
        }
    }

    /// What lies behind the last valid batch of the last segment.
    fn look_behind(
        &mut self,
        mut window: Window,
        generation: u64,
        missing: BatchNumber,
    ) -> Result<Option<Ends>, IoError> {
        let (identity, end) = (self.identity(), window.offset());
        let (mut dropped, mut behind, mut file) = (0u64, false, None);
        while window.remaining() > 0 {
            let (offset, remaining) = (window.offset(), window.remaining());
            let place = Place { generation, offset, remaining };
            let mut step = BLOCK_BYTES;
            let mut bytes = window.bytes(self.source, BLOCK_BYTES)?;
            let mut found = evidence(bytes, place, missing, &identity);
            if found == Evidence::NeedMore {
                bytes = window.bytes(self.source, LOG_BATCH_BYTES_LIMIT)?;
                found = evidence(bytes, place, missing, &identity);
            }
            match found {
                Evidence::NeedMore => {
                    let what = format!("the file ends at offset {offset}");
                    return Ok(Some((end, "short".to_owned(), what)));
                }
                Evidence::Zero => {}
                Evidence::Nothing => behind = true,
                Evidence::InFlight { byte_len } => {
                    (behind, dropped, step) = (true, dropped + 1, byte_len);
                }
                Evidence::Durable { number, known } => {
                    let proof = format!("batch {number} at offset {offset}");
                    return Ok(Some(lost(end, missing, known, &proof)));
                }
                Evidence::Misplaced { number } => {
                    let what =
                        format!("an intact batch (number {number}) at offset {offset} belongs elsewhere");
                    return Ok(Some((end, "misplaced".to_owned(), what)));
                }
            }
            file = Some(window.file());
            window.consume(step);
        }
        if let Some(file) = file.filter(|_| behind) {
            let what = format!(
                "a torn write behind the last batch ({dropped} later batches with it), never acknowledged: a start cuts it"
            );
            let problem = Problem::new(Severity::Note, &file, "torn-tail", what);
            self.report.problems.push(problem.at(end));
        }
        Ok(None)
    }

    fn report_break(&mut self, manifest: &LogManifest, headers: &[Header], walk: &LogWalk, broken: &Break) {
        let entry = manifest.segments[broken.at];
        let file = self.file(&entry);
        let from = broken.offset.unwrap_or(SEGMENT_HEADER_BYTES as u64);
        let mut rest = vec![(entry, from)];
        rest.extend(
            manifest.segments[broken.at + 1..].iter().map(|entry| (*entry, SEGMENT_HEADER_BYTES as u64)),
        );
        let identity = self.identity();
        let found = survey(self.source, &identity, &rest, walk.last.batch).unwrap_or_default();
        let problem = Problem::new(Severity::Damage, &file, &broken.place, broken.what.clone());
        let problem = match broken.offset {
            Some(offset) => problem.at(offset),
            None => problem,
        };
        let remedy = self.cut(manifest, headers, walk, broken);
        let name = problem.name.clone();
        let lost = if matches!(remedy, Remedy::CutLog(_)) { loss(walk, &found) } else { String::new() };
        self.report.problems.push(problem.losing(lost).healed_by(remedy));
        for (file, offset, first, last) in found.gaps.iter().skip(1) {
            let what = format!("batches {first} to {last} are damaged or missing too");
            let problem = Problem::new(Severity::Damage, file, &range(*first, *last), what).at(*offset);
            self.report.problems.push(problem.healed_by(Remedy::With(name.clone())));
        }
    }

    /// The cut in front of what breaks the log, unless something else needs what follows.
    fn cut(&self, manifest: &LogManifest, headers: &[Header], walk: &LogWalk, broken: &Break) -> Remedy {
        let impossible =
            |why: &str| Remedy::Impossible(format!("{why}: restore the file from a copy of the directory"));
        let end = walk.last.batch;
        let newer = |(_, header): &(_, &Header)| matches!(header, Header::Newer(_));
        if let Some((entry, _)) = manifest.segments.iter().zip(headers).skip(broken.at).find(newer) {
            return Remedy::Impossible(format!(
                "a newer program wrote {}, and this one cannot tell what is in it: check and repair with that program",
                self.file(entry)
            ));
        }
        if let RecoveryMode::Final(_) = self.start.mode {
            return impossible("this log has ended, and a later one goes on from its end");
        }
        let floor = manifest.floors.iter().max_by_key(|entry| entry.batch).filter(|entry| entry.batch > end);
        let needed = self.needed.filter(|(_, batch)| *batch > end);
        if let Some((shard, batch)) = needed.or(floor.map(|entry| (entry.floor.shard, entry.batch))) {
            return impossible(&format!(
                "the snapshot of shard {shard} was made while batches up to {batch} were written, and is no state of any \
                 moment without them"
            ));
        }
        let kept = broken.at + usize::from(broken.offset.is_some());
        let Some(last) = kept.checked_sub(1).and_then(|last| manifest.segments.get(last)) else {
            return impossible("nothing of the log would be left");
        };
        let mut after = manifest.successor(walk.last);
        after.segments.truncate(kept);
        let dropped = manifest.segments[kept..].iter().map(|entry| self.file(entry)).collect();
        Remedy::CutLog(Box::new(Cut {
            log: manifest.log,
            manifest: after,
            last: self.file(last),
            from: walk.end_offset,
            file_bytes: last.file_bytes,
            dropped,
        }))
    }

    /// What else speaks against an end that nothing in the segments does.
    fn check_end(&mut self, manifest: &LogManifest, walk: &LogWalk) {
        let file = FileId::LogManifest { log: manifest.log, copy: ManifestCopy::A };
        let end = walk.last.batch;
        if let RecoveryMode::Final(expected) = self.start.mode
            && expected != walk.last
        {
            let what = format!(
                "the log ended for good with batch {}, and ends with batch {end} now",
                expected.batch
            );
            self.report.damage(&file, "end", what);
        }
        let reached = manifest.reached.batch;
        if !walk.passed_reached && reached > BatchNumber::ZERO {
            let (what, lost) = if reached > end {
                let lost = format!(
                    "batches {} to {reached}, which are not there, if they were this log's",
                    end.next()
                );
                (
                    format!(
                        "batches {} to {reached} are lost: the manifest says they were durable",
                        end.next()
                    ),
                    lost,
                )
            } else {
                let what = format!(
                    "it knows another batch {reached} than the log has: manifest or segments are from a copy of the store \
                     that went its own way"
                );
                (what, "whatever the other history holds, if it is the store's own".to_owned())
            };
            let mut problem = Problem::new(Severity::Damage, &file, "reached", what);
            if !matches!(self.start.mode, RecoveryMode::Final(_)) {
                let (log, manifest) = (manifest.log, manifest.successor(walk.last));
                problem = problem.losing(lost).healed_by(Remedy::TieManifest { log, manifest });
            }
            self.report.problems.push(problem);
        }
        if let Some(floor) = manifest.floors.iter().find(|floor| floor.batch > end && end > BatchNumber::ZERO)
        {
            let what =
                format!("batches {} to {} are lost: a floor says they were there", end.next(), floor.batch);
            self.report.damage(&file, "floor", what);
        }
    }
}

/// How far a pass has come.
#[derive(Default)]
pub(super) struct LogWalk {
    last: LogEnd,
    /// Where the last segment in use ends.
    end_offset: u64,
    lsns: BTreeMap<ShardId, Lsn>,
    previous: Option<SegmentHeader>,
    /// The batch that the manifest knows as durable.
    reached: LogEnd,
    /// The walk has come to it.
    passed_reached: bool,
}

impl LogWalk {
    /// The log has come to this batch.
    fn pass(&mut self, batch: LogEnd) {
        self.last = batch;
        self.passed_reached |= batch == self.reached;
    }

    /// Why a segment is not the continuation of what came before; `None`: it is.
    fn does_not_continue(
        &mut self,
        manifest: &LogManifest,
        at: usize,
        header: &SegmentHeader,
    ) -> Option<String> {
        let previous = self.previous.replace(*header);
        if at == 0 {
            let given_up =
                if header.generation == 1 { BatchNumber::ZERO } else { manifest.obsolete_through() };
            return (header.previous_end() > given_up).then(|| {
                format!("it begins with batch {}, and earlier ones are needed", header.first_batch)
            });
        }
        let older = previous.is_some_and(|previous| header.term < previous.term);
        if header.previous_end() != self.last.batch || header.previous_end_crc != self.last.crc || older {
            return Some("it does not continue the segment before it".to_owned());
        }
        None
    }

    /// Takes a valid batch; what comes back is wrong with a record in it.
    fn take_batch(
        &mut self,
        header: &BatchHeader,
        crc: u32,
        mut payload: &[u8],
        each: &mut dyn FnMut(&Record<'_>),
        report: &mut CheckReport,
    ) -> Option<String> {
        for _ in 0..header.record_count {
            let Ok((record, len)) = Record::decode(payload, 0) else {
                return Some(format!("batch {} is intact and holds a malformed record", header.number));
            };
            each(&record);
            let lsn = self.lsns.entry(record.shard).or_default();
            *lsn = (*lsn).max(record.lsn);
            payload = &payload[len..];
            report.looked.log_records += 1;
        }
        if !payload.is_empty() {
            return Some(format!("batch {} is intact and its records do not fill it", header.number));
        }
        self.pass(LogEnd { batch: header.number, crc });
        report.looked.batches += 1;
        report.looked.bytes += batch::batch_byte_len(header.payload_len as usize) as u64;
        None
    }
}

fn range(first: BatchNumber, last: BatchNumber) -> String {
    format!("batch-{first}..{last}")
}

fn lost(offset: u64, first: BatchNumber, last: BatchNumber, proof: &str) -> Ends {
    let what =
        format!("batches {first} to {last} were acknowledged and are damaged or missing (proof: {proof})");
    (offset, range(first, last), what)
}

/// What a cut costs, in words.
fn loss(walk: &LogWalk, found: &Survey) -> String {
    let first = walk.last.batch.next();
    let mut text = format!("all batches of this log from {first} on");
    if found.last > walk.last.batch {
        text = format!("batches {first} to {} of this log", found.last);
    }
    for (shard, &last) in &found.lsns {
        let kept = walk.lsns.get(shard).copied().unwrap_or_default();
        if last > kept {
            text += &format!("; shard {shard}: records {} to {last}", kept.next());
        }
    }
    text + "; and whatever the damaged batches held"
}
