//! What lies behind the place where a log breaks: which batches are still there, and what would go with a cut.

use std::collections::BTreeMap;

use super::source::{Source, Window};
use crate::io::{BLOCK_BYTES, FileId, IoError};
use crate::limits::LOG_BATCH_BYTES_LIMIT;
use crate::log::LogIdentity;
use crate::log::batch::{self, BATCH_HEADER_BYTES, BatchError};
use crate::log::manifest::SegmentEntry;
use crate::record::Record;
use crate::types::{BatchNumber, Lsn, ShardId};

/// What was found.
#[derive(Default)]
pub(super) struct Survey {
    /// Intact batches.
    pub(super) batches: u64,
    /// The highest of their numbers.
    pub(super) last: BatchNumber,
    /// Batches between them that are not there: file, where they should begin, the first and the last.
    pub(super) gaps: Vec<(FileId, u64, BatchNumber, BatchNumber)>,
    /// The last record of each shard in them.
    pub(super) lsns: BTreeMap<ShardId, Lsn>,
}

/// Looks at these segments, each from an offset on, for batches after `last`.
pub(super) fn survey(
    source: &mut dyn Source,
    identity: &LogIdentity,
    segments: &[(SegmentEntry, u64)],
    last: BatchNumber,
) -> Result<Survey, IoError> {
    let mut found = Survey::default();
    let mut next = last.next();
    for (entry, from) in segments {
        let file = FileId::Segment { log: identity.log, file: entry.file };
        if source.len(file)?.is_none() {
            continue;
        }
        let mut window = Window::new(file, *from, entry.file_bytes);
        let mut begun = *from;
        while window.remaining() > 0 {
            let offset = window.offset();
            let mut bytes = window.bytes(source, BLOCK_BYTES)?;
            if bytes.len() < BLOCK_BYTES {
                break;
            }
            let mut decoded = batch::decode(bytes, identity.checksum_seed);
            if matches!(decoded, Err(BatchError::Short { .. })) {
                bytes = window.bytes(source, LOG_BATCH_BYTES_LIMIT)?;
                decoded = batch::decode(bytes, identity.checksum_seed);
            }
            let ours = decoded.ok().map(|(header, _)| header).filter(|header| {
                header.log == identity.log
                    && header.generation == entry.generation
                    && u64::from(header.position) * BLOCK_BYTES as u64 == offset
                    && header.number >= next
            });
            let Some(header) = ours else {
                window.consume(BLOCK_BYTES);
                continue;
            };
            if header.number > next {
                found.gaps.push((file, begun, next, BatchNumber(header.number.0 - 1)));
            }
            let mut payload = &bytes[BATCH_HEADER_BYTES..BATCH_HEADER_BYTES + header.payload_len as usize];
            while let Ok((record, len)) = Record::decode(payload, 0) {
                let lsn = found.lsns.entry(record.shard).or_default();
                *lsn = (*lsn).max(record.lsn);
                payload = &payload[len..];
            }
            found.batches += 1;
            found.last = header.number;
            next = header.number.next();
            window.consume(header.byte_len());
            begun = window.offset();
        }
    }
    Ok(found)
}
