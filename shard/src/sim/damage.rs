//! Damage done to files while the store is down, and what a store could know about it.
//!
//! A store with one copy of each batch cannot tell a rotten last batch from a torn one (see docs/DATA_FORMAT.md);
//! everything else it must notice. [`loss_is_excusable`] draws that line from the bytes alone.

use crate::io::{BLOCK_BYTES, FileId};
use crate::log::batch::{self, BatchHeader, BatchKind};
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
    let kind = rng.below(7);
    if kind == 0 {
        report.count("fault missing file");
        files.remove(&name);
        return Some(name);
    }
    if kind == 1 {
        let other = *names.iter().find(|other| **other != name)?;
        let (Some(a), Some(b)) = (files.remove(&name), files.remove(&other)) else {
            unreachable!("both are there")
        };
        report.count("fault swapped files");
        files.insert(name, b);
        files.insert(other, a);
        return Some(name);
    }
    let file = files.get_mut(&name)?;
    let block_count = file.current.len() / BLOCK_BYTES;
    if block_count == 0 {
        return None;
    }
    // Near the front there is something to hit: files are rarely full.
    let block = if rng.chance(700) { rng.position(block_count.min(12)) } else { rng.position(block_count) };
    let range = block * BLOCK_BYTES..(block + 1) * BLOCK_BYTES;
    match kind {
        2 => {
            report.count("fault short file");
            file.current.truncate(range.start);
        }
        3 => {
            report.count("fault zeroed block");
            file.current[range].fill(0);
        }
        4 => {
            report.count("fault block of another place");
            let from = rng.position(block_count) * BLOCK_BYTES;
            file.current.copy_within(from..from + BLOCK_BYTES, range.start);
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

/// Puts a segment of another copy of the store, which went its own way since, in the place of ours. `None` when there
/// is none that looks like ours, its header included.
pub fn mix_up(files: &mut Files, fork: &Files, rng: &mut Rng, report: &mut SimReport) -> Option<FileId> {
    let alike = |name: &FileId| {
        let (Some(own), Some(other)) = (files.get(name), fork.get(name)) else { return false };
        let heads = (own.current.get(..SEGMENT_HEADER_BYTES), other.current.get(..SEGMENT_HEADER_BYTES));
        matches!(heads, (Some(own), Some(other)) if own == other) && own.current != other.current
    };
    let names: Vec<FileId> = files.keys().copied().filter(alike).collect();
    if names.is_empty() {
        return None;
    }
    let name = names[rng.position(names.len())];
    report.count("fault segment of another copy");
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
struct OnDisk {
    file: FileId,
    offset: usize,
    header: BatchHeader,
}

/// The batches of a segment, in order, as far as they follow each other.
fn batches(file: FileId, bytes: &[u8], header: &SegmentHeader, seed: u32) -> Vec<OnDisk> {
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
fn header(bytes: &[u8]) -> Option<SegmentHeader> {
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
