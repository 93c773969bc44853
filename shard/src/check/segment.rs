//! The header of a segment: two copies, and what its first batch says when both are gone.

use super::problem::{CheckReport, Problem, Remedy, Severity};
use super::source::Source;
use crate::io::{BLOCK_BYTES, FileId};
use crate::limits::LOG_BATCH_BYTES_LIMIT;
use crate::log::LogIdentity;
use crate::log::batch::{self, BATCH_HEADER_BYTES};
use crate::log::manifest::SegmentEntry;
use crate::log::segment::{HeaderCopy, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::record::Head;

/// What a segment's header amounts to.
pub(super) enum Header {
    /// This, by one of its copies or by its first batch.
    Good(SegmentHeader),
    /// None of this generation: the segment was not used yet, or its headers are gone.
    None,
    /// A newer program wrote it: its format.
    Newer(u32),
    /// The file is not what it should be: place for the name, and what is wrong.
    Bad(&'static str, String),
}

impl Header {
    pub(super) fn get(&self) -> Option<SegmentHeader> {
        match self {
            Self::Good(header) => Some(*header),
            Self::None | Self::Newer(_) | Self::Bad(..) => None,
        }
    }
}

/// Reads and judges the header of the segment that a manifest names.
pub(super) fn check_header(
    source: &mut dyn Source,
    identity: &LogIdentity,
    entry: &SegmentEntry,
    report: &mut CheckReport,
) -> Header {
    let file = FileId::Segment { log: identity.log, file: entry.file };
    report.looked.files += 1;
    let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
    let read = match source.len(file) {
        Ok(None) => {
            return Header::Bad("missing", "it is missing, and the log's manifest names it".to_owned());
        }
        Ok(Some(len)) if len < entry.file_bytes => {
            return Header::Bad("short", format!("it has {len} bytes and should have {}", entry.file_bytes));
        }
        Ok(Some(_)) => source.read(file, 0, &mut bytes),
        Err(error) => Err(error),
    };
    if let Err(error) = read {
        return Header::Bad("unreadable", format!("it cannot be read: {error}"));
    }
    let copies = [&bytes[..BLOCK_BYTES], &bytes[BLOCK_BYTES..]].map(SegmentHeader::decode);
    let own = |copy: &HeaderCopy| match copy {
        HeaderCopy::Valid(header)
            if header.belongs_to(identity)
                && header.generation == entry.generation
                && (header.file, header.file_bytes) == (entry.file, entry.file_bytes) =>
        {
            Some(*header)
        }
        _ => None,
    };
    if let Some(header) = copies.iter().find_map(own) {
        if copies.iter().any(|copy| own(copy) != Some(header)) {
            let what = "one of its two headers is damaged; the other is intact".to_owned();
            let problem = Problem::new(Severity::Note, &file, "header-copy", what).at(0);
            report.problems.push(problem.healed_by(Remedy::WriteHeader { file, header }));
        }
        return Header::Good(header);
    }
    for copy in copies {
        match copy {
            HeaderCopy::Newer(format) => return Header::Newer(format),
            HeaderCopy::Valid(header) => {
                let earlier_use = header.belongs_to(identity)
                    && header.generation < entry.generation
                    && header.file == entry.file;
                if !earlier_use {
                    return Header::Bad(
                        "foreign",
                        "its header says it is another file: files are swapped".to_owned(),
                    );
                }
            }
            HeaderCopy::Invalid => {}
        }
    }
    match from_first_batch(source, identity, entry) {
        Some(header) => {
            let what = "both its headers are damaged; its first batch says what they were".to_owned();
            let problem = Problem::new(Severity::Damage, &file, "header", what).at(0);
            report.problems.push(problem.healed_by(Remedy::WriteHeader { file, header }));
            Header::Good(header)
        }
        None => Header::None,
    }
}

/// The header that a segment must have had, by its first batch. The term is that of the batch's records.
fn from_first_batch(
    source: &mut dyn Source,
    identity: &LogIdentity,
    entry: &SegmentEntry,
) -> Option<SegmentHeader> {
    let file = FileId::Segment { log: identity.log, file: entry.file };
    let room = usize::try_from(entry.file_bytes).ok()?.checked_sub(SEGMENT_HEADER_BYTES)?;
    let mut bytes = vec![0; room.min(LOG_BATCH_BYTES_LIMIT)];
    let read = source.read(file, SEGMENT_HEADER_BYTES as u64, &mut bytes).ok()?;
    let (batch, _) = batch::decode(&bytes[..read], identity.checksum_seed).ok()?;
    let first_position = SEGMENT_HEADER_BYTES / BLOCK_BYTES;
    let ours = batch.log == identity.log
        && batch.generation == entry.generation
        && batch.position as usize == first_position
        && batch.record_count > 0;
    let record = Head::decode(&bytes[BATCH_HEADER_BYTES..]).ok()?;
    ours.then_some(SegmentHeader {
        uuid: identity.uuid,
        log: identity.log,
        file: entry.file,
        generation: entry.generation,
        first_batch: batch.number,
        file_bytes: entry.file_bytes,
        previous_end_crc: batch.previous_crc,
        term: record.term,
    })
}
