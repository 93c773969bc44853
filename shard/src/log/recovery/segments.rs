//! Opening the segments a manifest names: each is synced, then its header read.
//!
//! Rule: a named file is there and is what the manifest says, or the store refuses. A header of an earlier
//! generation of the same file means that the segment was named and not used yet. What is there and not named is looked
//! into too: it is older than all that is named, or never had a header, else the manifest is not that of this log.

use std::collections::VecDeque;

use crate::io::{
    BLOCK_BYTES, BlockPool, FileId, IoBuffer, IoDone, IoErrorKind, IoOperation, IoRequest, RequestId,
};
use crate::log::LogIdentity;
use crate::log::manifest::{FreeFile, LogManifest, SegmentEntry};
use crate::log::pending_write::RequestIds;
use crate::log::recovery::refuse::RefuseToStart;
use crate::log::segment::{HeaderCopy, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::planted::{self, PlantedBug};
use crate::types::BatchNumber;

/// Segments that are opened at the same time.
const DEPTH: usize = 16;

/// A segment's header as found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderFound {
    /// Intact, in both copies or in one.
    Valid {
        /// What it says.
        header: SegmentHeader,
        /// Whether the other copy differs.
        copy_bad: bool,
    },
    /// None of this generation.
    None,
}

/// What a request in flight is for.
enum Stage {
    Sync,
    Read,
}

/// The pass over all segments.
pub(super) struct SegmentsOpen {
    identity: LogIdentity,
    entries: Vec<SegmentEntry>,
    /// How many of them are segments in the manifest; behind them come its free files, which must be there.
    segment_count: usize,
    /// How many the manifest names; behind them come files that are there and not named.
    named_count: usize,
    found: Vec<Option<HeaderFound>>,
    /// What was read of each header so far.
    bytes: Vec<Vec<u8>>,
    next: usize,
    to_read: VecDeque<usize>,
    in_flight: Vec<(RequestId, usize, Stage)>,
}

impl SegmentsOpen {
    pub(super) fn new(identity: LogIdentity, manifest: &LogManifest, present: &[u32]) -> Self {
        let mut entries = manifest.segments.clone();
        let segment_count = entries.len();
        let free = manifest.free.iter();
        entries.extend(free.map(|&FreeFile { file, file_bytes }| SegmentEntry {
            generation: 0,
            file,
            file_bytes,
        }));
        let named_count = entries.len();
        for &file in present {
            if !entries[..named_count].iter().any(|entry| entry.file == file) {
                entries.push(SegmentEntry { generation: 0, file, file_bytes: 0 });
            }
        }
        let (found, bytes) = (vec![None; entries.len()], vec![Vec::new(); entries.len()]);
        Self {
            identity,
            entries,
            segment_count,
            named_count,
            found,
            bytes,
            next: 0,
            to_read: VecDeque::new(),
            in_flight: Vec::new(),
        }
    }

    fn file(&self, at: usize) -> FileId {
        FileId::Segment { log: self.identity.log, file: self.entries[at].file }
    }

    /// The next I/O to perform.
    pub(super) fn next_io<P: BlockPool>(
        &mut self,
        pool: &mut P,
        ids: &mut RequestIds,
    ) -> Option<IoRequest<P>> {
        if let Some(at) = self.to_read.pop_front() {
            let id = ids.next();
            self.in_flight.push((id, at, Stage::Read));
            let offset = self.bytes[at].len();
            let len = SEGMENT_HEADER_BYTES - offset;
            let (buffer, offset) = (pool.take(SEGMENT_HEADER_BYTES), offset as u64);
            let operation = IoOperation::Read { file: self.file(at), offset, buffer, len };
            return Some(IoRequest { id, operation });
        }
        if self.next == self.entries.len() || self.in_flight.len() >= DEPTH {
            return None;
        }
        let (id, at) = (ids.next(), self.next);
        self.next += 1;
        if planted::is(PlantedBug::ReadWithoutSync) && at < self.segment_count {
            self.to_read.push_back(at);
            return self.next_io(pool, ids);
        }
        self.in_flight.push((id, at, Stage::Sync));
        Some(IoRequest { id, operation: IoOperation::SyncFile { file: self.file(at), data_only: false } })
    }

    /// Takes a completion.
    pub(super) fn on_io<P: BlockPool>(&mut self, done: IoDone<P>, pool: &mut P) -> Result<(), RefuseToStart> {
        let Some(position) = self.in_flight.iter().position(|(id, ..)| *id == done.id) else {
            unreachable!("a completion goes to its request")
        };
        let (_, at, stage) = self.in_flight.swap_remove(position);
        let (file, entry) = (self.file(at), self.entries[at]);
        if matches!(&done.result, Err(error) if error.kind == IoErrorKind::NotFound) {
            if at >= self.named_count || planted::is(PlantedBug::IgnoreMissingSegment) {
                self.found[at] = Some(HeaderFound::None);
                return Ok(());
            }
            let generation = entry.generation;
            return Err(RefuseToStart::SegmentMissing { file, generation });
        }
        let bytes = if matches!(stage, Stage::Read) { SEGMENT_HEADER_BYTES as u64 } else { entry.file_bytes };
        let len = done.result.map_err(|error| RefuseToStart::ReadFailed { file, offset: 0, bytes, error })?;
        match (stage, done.buffer) {
            (Stage::Sync, _) => self.to_read.push_back(at),
            (Stage::Read, IoBuffer::Owned(buffer)) => {
                // A read may be cut short anywhere; only a read of nothing is the end of the file.
                let header = &mut self.bytes[at];
                let whole = len - len % BLOCK_BYTES;
                header.extend_from_slice(&buffer.as_ref()[..whole]);
                if whole > 0 && header.len() < SEGMENT_HEADER_BYTES {
                    self.to_read.push_back(at);
                } else {
                    let offset = header.len() as u64;
                    if at >= self.segment_count {
                        self.judge_unused(at, &self.bytes[at])?;
                        self.found[at] = Some(HeaderFound::None);
                        pool.put(buffer);
                        return Ok(());
                    }
                    let found = self.judge(at, &self.bytes[at])?;
                    if found == HeaderFound::None && offset < SEGMENT_HEADER_BYTES as u64 {
                        return Err(RefuseToStart::SegmentShort { file, offset, expected: entry.file_bytes });
                    }
                    self.found[at] = Some(found);
                }
                pool.put(buffer);
            }
            (Stage::Read, _) => unreachable!("a read's buffer comes back with it"),
        }
        Ok(())
    }

    /// What the two copies of a header amount to.
    fn judge(&self, at: usize, bytes: &[u8]) -> Result<HeaderFound, RefuseToStart> {
        let (file, entry) = (self.file(at), self.entries[at]);
        let copies = [bytes.get(..BLOCK_BYTES), bytes.get(BLOCK_BYTES..)]
            .map(|block| block.map_or(HeaderCopy::Invalid, SegmentHeader::decode));
        let own = |copy: &HeaderCopy| match copy {
            HeaderCopy::Valid(header)
                if header.belongs_to(&self.identity)
                    && header.generation == entry.generation
                    && (header.file, header.file_bytes) == (entry.file, entry.file_bytes) =>
            {
                Some(*header)
            }
            _ => None,
        };
        if let Some(header) = copies.iter().find_map(own) {
            let copy_bad = copies.iter().any(|copy| own(copy) != Some(header));
            return Ok(HeaderFound::Valid { header, copy_bad });
        }
        for copy in copies {
            match copy {
                HeaderCopy::Newer(format) => return Err(RefuseToStart::Newer { file, format }),
                HeaderCopy::Valid(header) => {
                    let earlier_use = header.belongs_to(&self.identity)
                        && header.generation < entry.generation
                        && header.file == entry.file;
                    if !earlier_use {
                        return Err(RefuseToStart::HeaderForeign { file, generation: entry.generation });
                    }
                }
                HeaderCopy::Invalid => {}
            }
        }
        Ok(HeaderFound::None)
    }

    /// A file that serves as no segment now has no header, or one of before all that do.
    fn judge_unused(&self, at: usize, bytes: &[u8]) -> Result<(), RefuseToStart> {
        let file = self.file(at);
        let first = self.entries[0].generation;
        for block in bytes.chunks_exact(BLOCK_BYTES) {
            match SegmentHeader::decode(block) {
                HeaderCopy::Newer(format) => return Err(RefuseToStart::Newer { file, format }),
                HeaderCopy::Valid(header) if !header.belongs_to(&self.identity) => {
                    return Err(RefuseToStart::HeaderForeign { file, generation: header.generation });
                }
                HeaderCopy::Valid(header)
                    if header.generation >= first && !planted::is(PlantedBug::UnnamedSegmentPassedOver) =>
                {
                    return Err(RefuseToStart::SegmentNotNamed { file, generation: header.generation });
                }
                HeaderCopy::Valid(_) | HeaderCopy::Invalid => {}
            }
        }
        Ok(())
    }

    /// Free files that have never been a segment: their header is zeros, and so is what comes behind it.
    pub(super) fn unused(&self) -> impl Iterator<Item = u32> {
        let free = self.segment_count..self.named_count;
        let is_unused = |at: &usize| {
            let header = &self.bytes[*at];
            header.len() == SEGMENT_HEADER_BYTES && header.iter().all(|&byte| byte == 0)
        };
        free.filter(is_unused).map(|at| self.entries[at].file)
    }

    /// Files that nothing names, once all are found to be older than what is named.
    pub(super) fn left_over(&self) -> impl Iterator<Item = u32> {
        self.entries[self.named_count..].iter().map(|entry| entry.file)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.found.iter().all(Option::is_some)
    }

    /// What was found, by the order of the manifest.
    pub(super) fn into_found(self) -> Vec<(SegmentEntry, HeaderFound)> {
        let found = self.found.into_iter().map(|found| found.unwrap_or(HeaderFound::None));
        self.entries.into_iter().zip(found).take(self.segment_count).collect()
    }
}

/// Splits segments into those in use and those named ahead: all in use have a header, none ahead has one.
pub(super) fn split_used(
    found: &[(SegmentEntry, HeaderFound)],
    file: impl Fn(&SegmentEntry) -> FileId,
    tolerate_missing: bool,
) -> Result<Vec<(SegmentEntry, SegmentHeader)>, RefuseToStart> {
    let is_valid = |found: &HeaderFound| matches!(found, HeaderFound::Valid { .. });
    let used = found.iter().rposition(|(_, found)| is_valid(found)).map_or(0, |last| last + 1);
    let lost =
        |entry: &SegmentEntry| RefuseToStart::HeaderLost { file: file(entry), generation: entry.generation };
    let mut headers = Vec::new();
    for (entry, found) in &found[..used] {
        match found {
            HeaderFound::Valid { header, .. } => headers.push((*entry, *header)),
            HeaderFound::None if tolerate_missing => {}
            HeaderFound::None => return Err(lost(entry)),
        }
    }
    // One segment is named ahead of its use, no more; and the first generation of a log is only ahead until it is
    // opened for the first time.
    if let Some((entry, _)) = found.get(used + 1) {
        return Err(lost(entry));
    }
    match found.first() {
        Some((entry, _)) if headers.is_empty() && entry.generation > 1 && !tolerate_missing => {
            Err(lost(entry))
        }
        _ => Ok(headers),
    }
}

/// Whether each header continues the one before it.
pub(super) fn check_headers(
    used: &[(SegmentEntry, SegmentHeader)],
    obsolete_through: BatchNumber,
    file: impl Fn(&SegmentEntry) -> FileId,
) -> Result<(), RefuseToStart> {
    let broken =
        |entry: &SegmentEntry| RefuseToStart::ChainBroken { file: file(entry), generation: entry.generation };
    if let Some((entry, header)) = used.first() {
        // What came before the first segment was given up because nobody needed it.
        let given_up = if entry.generation == 1 { BatchNumber::ZERO } else { obsolete_through };
        if header.previous_end() > given_up {
            return Err(broken(entry));
        }
    }
    for pair in used.windows(2) {
        let ((_, header), (entry, next)) = (pair[0], pair[1]);
        if next.first_batch < header.first_batch || next.term < header.term {
            return Err(broken(&entry));
        }
    }
    Ok(())
}
