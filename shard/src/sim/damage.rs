//! Damage done to files while the store is down, and what a store could know about it.
//!
//! A store with one copy of each batch cannot tell a rotten last batch from a torn one (see docs/DATA_FORMAT.md);
//! everything else it must notice. [`loss_is_excusable`] draws that line from the bytes alone.

use crate::io::{BLOCK_BYTES, FileId, ManifestCopy};
use crate::log::batch::{self, BATCH_MAGIC, BatchHeader, BatchKind};
use crate::log::segment::{HeaderCopy, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::sim::disk::{Files, SimFile};
use crate::sim::fault::{Fault, FaultSet, FileClass};
use crate::sim::report::SimReport;
use crate::sim::rng::Rng;
use crate::snapshot::reseal;
use crate::types::LogId;

/// What damage is done with.
pub struct Damage<'a> {
    /// The files.
    pub files: &'a mut Files,
    /// Kinds that may be done.
    pub kinds: FaultSet,
    /// Checksum seed of the store.
    pub seed: u32,
    /// Chance.
    pub rng: &'a mut Rng,
    /// What is counted.
    pub report: &'a mut SimReport,
}

impl Damage<'_> {
    /// Damages one thing. `None` when there is nothing to damage, or the kind that was drawn is not to happen.
    pub fn any(&mut self) -> Option<FileId> {
        let name = self.any_file()?;
        let kinds = [
            Fault::MissingFile,
            Fault::SwappedFiles,
            Fault::BothCopiesRotten,
            Fault::NewerFormat,
            Fault::EmptiedSegment,
            Fault::MisplacedBlocks,
            Fault::MisplacedBlocks,
            Fault::ShortFile,
            Fault::ZeroedBlock,
            Fault::RottenBit,
            Fault::RottenBit,
        ];
        let kind = self.rng.pick(&kinds);
        if !self.kinds.has(kind) {
            return None;
        }
        match kind {
            Fault::MissingFile => {
                self.files.remove(&name)?;
                self.report.fault_of(kind, name);
                Some(name)
            }
            Fault::SwappedFiles => self.swap(name),
            Fault::BothCopiesRotten => self.rot_both_copies(name),
            Fault::NewerFormat => self.make_newer(name),
            Fault::EmptiedSegment => self.empty_newest_segment(),
            Fault::MisplacedBlocks => self.misplace(name),
            kind => self.damage_block(name, kind),
        }
    }

    /// Nothing is kept in the reserve: what becomes of it is nobody's loss.
    fn damageable(&self) -> impl Iterator<Item = FileId> + '_ {
        self.files.keys().copied().filter(|file| !matches!(file, FileId::Reserve { .. }))
    }

    /// A file; those of classes with few files as often as others.
    fn any_file(&mut self) -> Option<FileId> {
        let class = FileClass::ALL[self.rng.position(FileClass::ALL.len())];
        let any = self.rng.chance(400);
        let names: Vec<FileId> =
            self.damageable().filter(|name| any || FileClass::of(*name) == class).collect();
        (!names.is_empty()).then(|| names[self.rng.position(names.len())])
    }

    /// Files of the same class, but for this one.
    fn alike(&self, name: FileId) -> Vec<FileId> {
        let class = FileClass::of(name);
        self.damageable().filter(|other| *other != name && FileClass::of(*other) == class).collect()
    }

    /// Two files of one class change places.
    fn swap(&mut self, name: FileId) -> Option<FileId> {
        let others = self.alike(name);
        if others.is_empty() {
            return None;
        }
        let other = others[self.rng.position(others.len())];
        let (a, b) = (self.files.remove(&name)?, self.files.remove(&other)?);
        self.report.fault_of(Fault::SwappedFiles, name);
        self.files.insert(name, b);
        self.files.insert(other, a);
        Some(name)
    }

    /// A bit rots in both copies of a manifest.
    fn rot_both_copies(&mut self, name: FileId) -> Option<FileId> {
        let both = [ManifestCopy::A, ManifestCopy::B].map(|copy| match name {
            FileId::LogManifest { log, .. } | FileId::Reserve { log } => FileId::LogManifest { log, copy },
            // A segment has its two copies in one file; see `damage_block`.
            FileId::StoreManifest(_) | FileId::Segment { .. } => FileId::StoreManifest(copy),
            FileId::ShardManifest { shard, .. }
            | FileId::ShardData { shard }
            | FileId::ShardSnapshot { shard, .. } => FileId::ShardManifest { shard, copy },
        });
        for name in both {
            let at = self.rng.position(72);
            let file = self.files.get_mut(&name).filter(|file| file.len() > 72)?;
            file.flip(at, 1);
        }
        self.report.fault_of(Fault::BothCopiesRotten, both[0]);
        Some(both[0])
    }

    /// A later version of the program wrote the file.
    fn make_newer(&mut self, name: FileId) -> Option<FileId> {
        let file = self.files.get_mut(&name)?;
        match FileClass::of(name) {
            FileClass::Snapshot => {
                let mut bytes = file.bytes();
                *bytes.get_mut(8)? = 99;
                reseal(self.seed, &mut bytes)?;
                file.tamper(0, &bytes);
            }
            FileClass::Data => {
                let mut header = file.bytes_in(0..64)?;
                header[8] = 99;
                let crc = crc32fast::hash(&header[8..]).to_le_bytes();
                header[4..8].copy_from_slice(&crc);
                file.tamper(0, &header);
            }
            class => {
                let (len, copies) = match class {
                    FileClass::Segment => (BLOCK_BYTES, 2),
                    _ => (file.len(), 1),
                };
                for copy in 0..copies {
                    let mut bytes = file.bytes_in(copy * len..(copy + 1) * len)?;
                    *bytes.get_mut(12)? = 99;
                    let crc = crc32fast::hash(&bytes[12..]).to_le_bytes();
                    bytes[8..12].copy_from_slice(&crc);
                    file.tamper(copy * len, &bytes);
                }
            }
        }
        self.report.fault_of(Fault::NewerFormat, name);
        Some(name)
    }

    /// The newest segment of all, of which the store can know least, is as if nothing had been written.
    fn empty_newest_segment(&mut self) -> Option<FileId> {
        let generation = |name: &FileId| self.files.get(name).and_then(header).map(|of| of.generation);
        let name = self.files.keys().copied().max_by_key(generation)?;
        let file = self.files.get_mut(&name)?;
        let rest = file.len().checked_sub(SEGMENT_HEADER_BYTES)?;
        file.tamper(SEGMENT_HEADER_BYTES, &vec![0; rest]);
        self.report.fault(Fault::EmptiedSegment);
        Some(name)
    }

    /// Blocks of one file stand in another place, of the same file or another one.
    fn misplace(&mut self, name: FileId) -> Option<FileId> {
        let mut sources = self.alike(name);
        sources.push(name);
        let from = sources[self.rng.position(sources.len())];
        let source = self.files.get(&from)?;
        let starts: Vec<usize> = match FileClass::of(name) {
            FileClass::Segment => {
                let used = source.used_blocks().filter(|block| *block >= 2);
                used.filter(|block| source.block(*block).starts_with(&BATCH_MAGIC)).collect()
            }
            FileClass::Snapshot | FileClass::Data => source.used_blocks().collect(),
            _ => return None,
        };
        if starts.is_empty() {
            return None;
        }
        let start = starts[self.rng.position(starts.len())] * BLOCK_BYTES;
        let head_bytes = if FileClass::of(name) == FileClass::Segment { SEGMENT_HEADER_BYTES } else { 0 };
        let claimed = if head_bytes > 0 { batch_len(source.block(start / BLOCK_BYTES)) } else { BLOCK_BYTES };
        let bytes = source.bytes_in(start..start + claimed.min(source.len() - start))?;
        let target = self.files.get_mut(&name)?;
        let room = target.len().checked_sub(head_bytes + bytes.len())?;
        let mut to = head_bytes + self.rng.position(room / BLOCK_BYTES + 1) * BLOCK_BYTES;
        if head_bytes == 0 {
            let used: Vec<usize> = target.used_blocks().collect();
            if used.is_empty() {
                // A file that was just made, or has only been given space.
                return None;
            }
            to = used[self.rng.position(used.len())] * BLOCK_BYTES;
            if to + bytes.len() > target.len() {
                return None;
            }
        }
        target.tamper(to, &bytes);
        self.report.fault_of(Fault::MisplacedBlocks, name);
        Some(name)
    }

    /// One block of a file is cut off with all that follows, zeroed, or rots.
    fn damage_block(&mut self, name: FileId, kind: Fault) -> Option<FileId> {
        let file = self.files.get_mut(&name)?;
        let block_count = file.len() / BLOCK_BYTES;
        if block_count == 0 {
            return None;
        }
        let used: Vec<usize> = file.used_blocks().collect();
        // Near the front there is something to hit: segments are rarely full.
        let block = match FileClass::of(name) {
            FileClass::Data | FileClass::Snapshot if !used.is_empty() => used[self.rng.position(used.len())],
            _ if self.rng.chance(700) => self.rng.position(block_count.min(12)),
            _ => self.rng.position(block_count),
        };
        let start = block * BLOCK_BYTES;
        match kind {
            Fault::ShortFile => file.truncate(start),
            Fault::ZeroedBlock => file.tamper(start, &[0; BLOCK_BYTES]),
            _ => {
                // Rot in what was never written harms nobody: look for something that was.
                let bytes = file.block(block);
                let used: Vec<usize> = (0..BLOCK_BYTES).filter(|&at| bytes[at] != 0).collect();
                let at = if used.is_empty() { 0 } else { used[self.rng.position(used.len())] };
                file.flip(start + at, 1 << self.rng.below(8));
            }
        }
        self.report.fault_of(kind, name);
        Some(name)
    }

    /// Puts a file of another copy of the store, which went its own way since, in the place of ours: a copy of a
    /// manifest, a file of a shard, or a segment that looks like ours, its header included. `None` when there is none.
    pub fn mix_up(&mut self, fork: &Files) -> Option<FileId> {
        if !self.kinds.has(Fault::FileOfAnotherCopy) {
            return None;
        }
        let alike = |name: &FileId| {
            let (Some(own), Some(other)) = (self.files.get(name), fork.get(name)) else { return false };
            let differ = !own.is_same(other, 0..own.len().max(other.len()));
            let head = SEGMENT_HEADER_BYTES;
            match FileClass::of(*name) {
                FileClass::Segment => {
                    differ && own.len().min(other.len()) >= head && own.is_same(other, 0..head)
                }
                _ => differ,
            }
        };
        let names: Vec<FileId> = self.files.keys().copied().filter(alike).collect();
        // Those of classes with few files as often as others.
        let mut classes: Vec<FileClass> = names.iter().map(|name| FileClass::of(*name)).collect();
        classes.sort_unstable();
        classes.dedup();
        if classes.is_empty() {
            return None;
        }
        let class = classes[self.rng.position(classes.len())];
        let names: Vec<FileId> = names.into_iter().filter(|name| FileClass::of(*name) == class).collect();
        let name = names[self.rng.position(names.len())];
        self.report.fault_of(Fault::FileOfAnotherCopy, name);
        self.files.insert(name, fork.get(&name)?.clone());
        // As when a crash has just torn the other copy: only the foreign one is left. Where there is no log, that an older
        // manifest of a shard is not the one before the next checkpoint nothing can tell (see docs/DATA_FORMAT.md).
        let has_log = self.files.keys().any(|file| FileClass::of(*file) == FileClass::LogManifest);
        if let Some(other) = other_copy(name)
            && (has_log || class != FileClass::ShardManifest)
            && self.rng.chance(500)
            && let Some(file) = self.files.get_mut(&other)
        {
            self.report.fault(Fault::OnlyCopyOfAnother);
            file.flip(20, 1);
        }
        Some(name)
    }
}

/// The other copy of a manifest.
pub(super) fn other_copy(name: FileId) -> Option<FileId> {
    let other = |copy| match copy {
        ManifestCopy::A => ManifestCopy::B,
        ManifestCopy::B => ManifestCopy::A,
    };
    match name {
        FileId::StoreManifest(copy) => Some(FileId::StoreManifest(other(copy))),
        FileId::LogManifest { log, copy } => Some(FileId::LogManifest { log, copy: other(copy) }),
        FileId::ShardManifest { shard, copy } => Some(FileId::ShardManifest { shard, copy: other(copy) }),
        FileId::Segment { .. }
        | FileId::Reserve { .. }
        | FileId::ShardData { .. }
        | FileId::ShardSnapshot { .. } => None,
    }
}

/// What a batch claims to be long.
fn batch_len(bytes: &[u8]) -> usize {
    let claimed = bytes.get(8..12).and_then(|field| <[u8; 4]>::try_from(field).ok());
    claimed.map_or(BLOCK_BYTES, |field| u32::from_le_bytes(field) as usize)
}

/// Whether a later generation of the same log shows how the generation in this file ended.
#[must_use]
pub fn is_followed(files: &Files, file: FileId) -> bool {
    let head = |file: FileId| files.get(&file).and_then(header);
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
pub(super) fn batches(file: FileId, content: &SimFile, header: &SegmentHeader, seed: u32) -> Vec<OnDisk> {
    let bytes = content.bytes();
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
pub(super) fn header(file: &SimFile) -> Option<SegmentHeader> {
    (0..2).filter(|copy| (copy + 1) * BLOCK_BYTES <= file.len()).find_map(|copy| match SegmentHeader::decode(
        file.block(copy),
    ) {
        HeaderCopy::Valid(header) => Some(header),
        _ => None,
    })
}

/// Whether the difference between what should be there and what is there may rightly go unnoticed: it hits a batch
/// of which nothing that is left says that it was durable.
#[must_use]
pub fn loss_is_excusable(should: &Files, is: &Files, seed: u32) -> bool {
    let same = |file: FileId, offset: usize, len: usize| match (should.get(&file), is.get(&file)) {
        (Some(should), Some(is)) => should.is_same(is, offset..offset + len),
        (should, is) => should.is_none() && is.is_none(),
    };
    let segments = should.iter().filter_map(|(&file, content)| match file {
        FileId::Segment { log, .. } => Some((log, header(content)?, file, content)),
        _ => None,
    });
    let logs: Vec<(LogId, SegmentHeader, FileId, &SimFile)> = segments.collect();
    let header_left = |file: FileId| (0..2).any(|copy| same(file, copy * BLOCK_BYTES, BLOCK_BYTES));
    logs.iter().any(|(log, own, file, content)| {
        if same(*file, 0, content.len()) {
            return false;
        }
        let batches = batches(*file, content, own, seed);
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
