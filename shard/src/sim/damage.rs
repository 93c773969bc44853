//! Damage done to files while the store is down, and what a store could know about it.
//!
//! A store with one copy of each batch cannot tell a rotten last batch from a torn one (see docs/DATA_FORMAT.md);
//! everything else it must notice. [`loss_is_excusable`] draws that line from the bytes alone.

use crate::io::{BLOCK_BYTES, FileId, ManifestCopy};
use crate::log::batch::{self, BATCH_MAGIC, BatchHeader, BatchKind};
use crate::log::segment::{HeaderCopy, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::sim::disk::Files;
use crate::sim::report::SimReport;
use crate::sim::rng::Rng;
use crate::types::LogId;

/// Damages one thing. `None` when there is nothing to damage.
pub fn damage(files: &mut Files, rng: &mut Rng, report: &mut SimReport) -> Option<FileId> {
    let names: Vec<FileId> = files.keys().copied().collect();
    if names.is_empty() {
        return None;
    }
    let name = names[rng.position(names.len())];
    match rng.below(10) {
        0 => {
            report.count("fault missing file");
            files.remove(&name)?;
            Some(name)
        }
        1 => swap(files, &names, name, rng, report),
        2 => damage_both_copies(files, name, rng, report),
        3 => make_newer(files, name, report),
        4 => {
            // The newest segment of all is the one of which the store can know least.
            let generation =
                |name: &FileId| files.get(name).and_then(|of| header(&of.current)).map(|of| of.generation);
            let name = names.iter().copied().max_by_key(generation)?;
            let content = files.get_mut(&name)?;
            report.count("fault emptied segment");
            content.current.get_mut(SEGMENT_HEADER_BYTES..)?.fill(0);
            content.durable.clone_from(&content.current);
            Some(name)
        }
        5 | 6 => misplace(files, &names, name, rng, report),
        kind => damage_block(files, name, kind, rng, report),
    }
}

/// Two files change places; segments with segments if there are any others.
fn swap(
    files: &mut Files,
    names: &[FileId],
    name: FileId,
    rng: &mut Rng,
    report: &mut SimReport,
) -> Option<FileId> {
    let is_segment = |file: &FileId| matches!(file, FileId::Segment { .. });
    let alike = names.iter().filter(|other| **other != name && is_segment(other) == is_segment(&name));
    let others: Vec<FileId> = alike.copied().collect();
    if others.is_empty() {
        return None;
    }
    let other = others[rng.position(others.len())];
    let (a, b) = (files.remove(&name)?, files.remove(&other)?);
    report.count("fault swapped files");
    files.insert(name, b);
    files.insert(other, a);
    Some(name)
}

/// A bit rots in both copies of a manifest.
fn damage_both_copies(
    files: &mut Files,
    name: FileId,
    rng: &mut Rng,
    report: &mut SimReport,
) -> Option<FileId> {
    let both = [ManifestCopy::A, ManifestCopy::B].map(|copy| match name {
        FileId::LogManifest { log, .. } => FileId::LogManifest { log, copy },
        // A segment has its two copies in one file; see `damage_block`.
        FileId::StoreManifest(_) | FileId::Segment { .. } => FileId::StoreManifest(copy),
        FileId::ShardManifest { shard, .. }
        | FileId::ShardData { shard }
        | FileId::ShardSnapshot { shard, .. } => FileId::ShardManifest { shard, copy },
    });
    report.count("fault both manifests rotten");
    for name in both {
        let content = files.get_mut(&name)?;
        *content.current.get_mut(rng.position(72))? ^= 1;
        content.durable.clone_from(&content.current);
    }
    Some(name)
}

/// A later version of the program wrote the file.
fn make_newer(files: &mut Files, name: FileId, report: &mut SimReport) -> Option<FileId> {
    let content = files.get_mut(&name)?;
    let len = match name {
        FileId::Segment { .. } => BLOCK_BYTES,
        _ => content.current.len(),
    };
    let copies = if matches!(name, FileId::Segment { .. }) { 2 } else { 1 };
    for copy in 0..copies {
        let bytes = content.current.get_mut(copy * len..(copy + 1) * len)?;
        *bytes.get_mut(12)? = 99;
        let crc = crc32fast::hash(&bytes[12..]).to_le_bytes();
        bytes[8..12].copy_from_slice(&crc);
    }
    report.count("fault newer format");
    content.durable.clone_from(&content.current);
    Some(name)
}

/// Blocks of one segment stand in another place, of the same segment or another one.
fn misplace(
    files: &mut Files,
    names: &[FileId],
    name: FileId,
    rng: &mut Rng,
    report: &mut SimReport,
) -> Option<FileId> {
    let from = names[rng.position(names.len())];
    let is_segment = |file: &FileId| matches!(file, FileId::Segment { .. });
    if !is_segment(&name) || !is_segment(&from) {
        return None;
    }
    let source = files.get(&from)?.current.clone();
    let starts =
        source.chunks(BLOCK_BYTES).enumerate().skip(2).filter(|(_, block)| block.starts_with(&BATCH_MAGIC));
    let starts: Vec<usize> = starts.map(|(block, _)| block * BLOCK_BYTES).collect();
    if starts.is_empty() {
        return None;
    }
    let start = starts[rng.position(starts.len())];
    let claimed = batch_len(&source[start..]).min(source.len() - start);
    let content = files.get_mut(&name)?;
    let room = content.current.len().checked_sub(SEGMENT_HEADER_BYTES + claimed)?;
    let to = SEGMENT_HEADER_BYTES + rng.position(room / BLOCK_BYTES + 1) * BLOCK_BYTES;
    report.count("fault batch in another place");
    content.current[to..to + claimed].copy_from_slice(&source[start..start + claimed]);
    content.durable.clone_from(&content.current);
    Some(name)
}

/// What a batch claims to be long.
fn batch_len(bytes: &[u8]) -> usize {
    let claimed = bytes.get(8..12).and_then(|field| <[u8; 4]>::try_from(field).ok());
    claimed.map_or(BLOCK_BYTES, |field| u32::from_le_bytes(field) as usize)
}

/// One block of a file is cut off with all that follows, zeroed, or rots.
fn damage_block(
    files: &mut Files,
    name: FileId,
    kind: u64,
    rng: &mut Rng,
    report: &mut SimReport,
) -> Option<FileId> {
    let file = files.get_mut(&name)?;
    let block_count = file.current.len() / BLOCK_BYTES;
    if block_count == 0 {
        return None;
    }
    // Near the front there is something to hit: files are rarely full.
    let block = if rng.chance(700) { rng.position(block_count.min(12)) } else { rng.position(block_count) };
    let range = block * BLOCK_BYTES..(block + 1) * BLOCK_BYTES;
    match kind {
        7 => {
            report.count("fault short file");
            file.current.truncate(range.start);
        }
        8 => {
            report.count("fault zeroed block");
            file.current[range].fill(0);
        }
        _ => {
            report.count("fault rotten bit");
            // Rot in what was never written harms nobody: look for something that was.
            let used: Vec<usize> = range.clone().filter(|&at| file.current[at] != 0).collect();
            let at = if used.is_empty() { range.start } else { used[rng.position(used.len())] };
            file.current[at] ^= 1 << rng.below(8);
        }
    }
    file.durable.clone_from(&file.current);
    Some(name)
}

/// Puts a file of another copy of the store, which went its own way since, in the place of ours: a copy of a manifest,
/// or a segment that looks like ours, its header included. `None` when there is none.
pub fn mix_up(files: &mut Files, fork: &Files, rng: &mut Rng, report: &mut SimReport) -> Option<FileId> {
    let alike = |name: &FileId| {
        let (Some(own), Some(other)) = (files.get(name), fork.get(name)) else { return false };
        if matches!(name, FileId::LogManifest { .. }) {
            return own.current != other.current;
        }
        let heads = (own.current.get(..SEGMENT_HEADER_BYTES), other.current.get(..SEGMENT_HEADER_BYTES));
        matches!(heads, (Some(own), Some(other)) if own == other) && own.current != other.current
    };
    let names: Vec<FileId> = files.keys().copied().filter(alike).collect();
    if names.is_empty() {
        return None;
    }
    let name = names[rng.position(names.len())];
    report.count("fault file of another copy");
    files.insert(name, fork.get(&name)?.clone());
    Some(name)
}

/// Whether a later generation of the same log shows how the generation in this file ended.
#[must_use]
pub fn is_followed(files: &Files, file: FileId) -> bool {
    let head = |file: FileId| files.get(&file).and_then(|content| header(&content.current));
    head(file).is_some_and(|own| {
        files
            .keys()
            .filter_map(|other| head(*other))
            .any(|other| other.log == own.log && other.generation > own.generation)
    })
}

/// A batch on a disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnDisk {
    pub(super) file: FileId,
    pub(super) offset: usize,
    pub(super) header: BatchHeader,
}

/// The batches of a segment, in order, as far as they follow each other.
pub(super) fn batches(file: FileId, bytes: &[u8], header: &SegmentHeader, seed: u32) -> Vec<OnDisk> {
    let mut found = Vec::new();
    let mut offset = SEGMENT_HEADER_BYTES;
    let mut next = header.first_batch;
    while let Some(rest) = bytes.get(offset..)
        && let Ok((batch, _)) = batch::decode(rest, seed)
        && batch.generation == header.generation
        && batch.number == next
    {
        found.push(OnDisk { file, offset, header: batch });
        offset += batch.byte_len();
        next = next.next();
    }
    found
}

/// A segment's header, from either copy.
pub(super) fn header(bytes: &[u8]) -> Option<SegmentHeader> {
    [bytes.get(..BLOCK_BYTES), bytes.get(BLOCK_BYTES..)].into_iter().flatten().find_map(|block| {
        match SegmentHeader::decode(block) {
            HeaderCopy::Valid(header) => Some(header),
            _ => None,
        }
    })
}

/// Whether the difference between what should be there and what is there may rightly go unnoticed: it hits a batch
/// of which nothing that is left says that it was durable.
#[must_use]
pub fn loss_is_excusable(should: &Files, is: &Files, seed: u32) -> bool {
    let same = |file: FileId, offset: usize, len: usize| {
        let part = |files: &Files| {
            files.get(&file).and_then(|file| file.current.get(offset..offset + len)).map(<[u8]>::to_vec)
        };
        part(should) == part(is)
    };
    let mut logs: Vec<(LogId, SegmentHeader, FileId, Vec<OnDisk>)> = Vec::new();
    for (&file, content) in should {
        if let (FileId::Segment { log, .. }, Some(header)) = (file, header(&content.current)) {
            logs.push((log, header, file, batches(file, &content.current, &header, seed)));
        }
    }
    let header_left = |file: FileId| (0..2).any(|copy| same(file, copy * BLOCK_BYTES, BLOCK_BYTES));
    logs.iter().any(|(log, own, _, batches)| {
        let followed = logs.iter().any(|(other, header, file, _)| {
            other == log && header.generation > own.generation && header_left(*file)
        });
        let damaged = |batch: &OnDisk| !same(batch.file, batch.offset, batch.header.byte_len());
        batches.iter().filter(|batch| damaged(batch)).any(|lost| {
            let proved = batches.iter().any(|later| {
                let knows = later.header.known_durable >= lost.header.number
                    || (later.header.kind == BatchKind::Clean && later.header.number > lost.header.number);
                knows && !damaged(later)
            });
            !proved && !followed
        })
    })
}
