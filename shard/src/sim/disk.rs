//! A disk in memory that does to the store what disks, kernels and power cuts do.
//!
//! Each file (`file.rs`) has what reads see now and what would survive power loss. A write changes the first; a durable
//! write, or a sync, the second. Power loss keeps any subset of the unsynced 512-byte sectors: old, new or garbage, each by
//! itself; writes in flight count as unsynced. Completions come in any order.

use std::collections::{BTreeMap, BTreeSet};

use crate::io::{BLOCK_BYTES, FileId, IoBuffer, IoDone, IoError, IoOperation, IoRequest, RequestId};
use crate::planted::{self, PlantedBug};
use crate::shard_manifest::ShardManifest;
use crate::sim::fault::{Fault, FaultSet, FileClass};
pub use crate::sim::file::{SECTOR_BYTES, SimFile};
use crate::sim::options::Rates;
use crate::sim::report::SimReport;
use crate::sim::rng::Rng;
use crate::sim::stray_reads::StrayReads;
use crate::sim::strike::Strikes;
pub use crate::sim::truth::Truth;
use crate::testing::{HeapPool, SharedVec};
use crate::types::LogId;

const EIO: i32 = 5;
const ENOENT: i32 = 2;
const ENOSPC: i32 = 28;

/// A request in flight.
struct Pending {
    owner: usize,
    request: IoRequest<HeapPool>,
    submitted: u64,
}

/// The files of a directory.
pub type Files = BTreeMap<FileId, SimFile>;

/// The disk.
pub struct SimDisk {
    /// Files by identity.
    pub files: Files,
    deleted: Vec<(FileId, SimFile)>,
    pending: Vec<Pending>,
    time: u64,
    pub(super) rng: Rng,
    pub(super) rates: Rates,
    kinds: FaultSet,
    pub(super) full: bool,
    /// Blocks that lost or misdirected writes, or rot, left wrong, as they should be.
    pub truth: Truth,
    /// Reads that gave what lies in another place.
    pub(super) stray_reads: StrayReads,
    /// Whether no faults but crashes happen now.
    pub quiet: bool,
    /// Whether writes may be lost or go astray now.
    pub may_stray: bool,
    /// Counts requests, where one of them is to be hit.
    pub(super) strikes: Option<Box<Strikes>>,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64, rates: Rates, kinds: FaultSet) -> Self {
        Self {
            files: Files::new(),
            deleted: Vec::new(),
            pending: Vec::new(),
            time: 0,
            rng: Rng::new(seed ^ 0xd15c),
            rates,
            kinds,
            full: false,
            truth: Truth::new(),
            stray_reads: StrayReads::default(),
            quiet: false,
            may_stray: false,
            strikes: None,
        }
    }

    /// A disk with these files, nothing in flight.
    #[must_use]
    pub fn with_files(&self, files: Files, seed: u64) -> Self {
        Self { files, ..Self::new(seed, Rates::default(), self.kinds) }
    }

    /// A disk as this one is after a crash, which goes its own way.
    #[must_use]
    pub(super) fn fork(&self, seed: u64) -> Self {
        assert!(self.pending.is_empty(), "nothing is in flight");
        let (files, deleted) = (self.files.clone(), self.deleted.clone());
        let new = Self::new(seed, Rates::default(), self.kinds);
        Self { files, deleted, time: self.time, full: self.full, ..new }
    }

    /// A salt for the extents of a run.
    pub fn draw_salt(&mut self) -> u32 {
        let drawn = u32::try_from(self.rng.draw() >> 32).unwrap_or(0);
        if planted::is(PlantedBug::ExtentIdentityReused) { 7 } else { drawn }
    }

    /// Length of a file, if it is there.
    #[must_use]
    pub fn file_len(&self, file: FileId) -> Option<u64> {
        self.files.get(&file).map(|file| file.len() as u64)
    }

    /// Removes snapshots that no manifest names, as a start does.
    pub fn remove_obsolete_snapshots(&mut self, manifests: &[ShardManifest]) {
        self.files.retain(|file, _| match file {
            FileId::ShardSnapshot { shard, number } => manifests.iter().any(|manifest| {
                let named = manifest.snapshot.as_ref().map(|snapshot| snapshot.number);
                manifest.shard == *shard && named == Some(*number)
            }),
            _ => true,
        });
    }

    /// Numbers of a log's segment files that are there.
    #[must_use]
    pub fn segment_files(&self, of: LogId) -> Vec<u32> {
        let number = |file: &FileId| match file {
            FileId::Segment { log, file } if *log == of => Some(*file),
            _ => None,
        };
        self.files.keys().filter_map(number).collect()
    }

    /// Removes files of logs before this one, as a start does.
    pub fn remove_old_logs(&mut self, first: LogId) {
        self.files.retain(|file, _| match file {
            FileId::LogManifest { log, .. } | FileId::Segment { log, .. } => *log >= first,
            FileId::Reserve { .. } => false,
            _ => true,
        });
    }

    /// Takes a request.
    pub fn submit(&mut self, owner: usize, request: IoRequest<HeapPool>) {
        self.time += 1;
        self.pending.push(Pending { owner, request, submitted: self.time });
    }

    /// A request in flight, in words.
    #[must_use]
    pub fn in_flight(&self) -> Option<String> {
        let pending = self.pending.first()?;
        let what = match &pending.request.operation {
            IoOperation::CreateFile { file, .. } => format!("creating {file}"),
            IoOperation::Write { file, .. } => format!("a write to {file}"),
            IoOperation::SyncFile { file, .. } => format!("a sync of {file}"),
            IoOperation::SyncDirectory => "a sync of the directory".to_owned(),
            IoOperation::Read { file, .. } => format!("a read of {file}"),
            IoOperation::DeleteFile { file } => format!("the removal of {file}"),
            IoOperation::FreeSpace { file, .. } => format!("space of {file} being given back"),
            IoOperation::Allocate { file, .. } => format!("space of {file} being taken"),
            IoOperation::Truncate { file, .. } => format!("a cut of {file}"),
        };
        Some(format!("{what}, request {:#x}", pending.request.id.0))
    }

    /// The disk becomes full, or has room again.
    pub fn toggle_full(&mut self, report: &mut SimReport) {
        self.full = !self.full && self.kinds.has(Fault::DiskFull);
        if self.full {
            report.fault(Fault::DiskFull);
        }
    }

    /// The disk becomes full.
    pub(super) fn fill(&mut self) {
        self.full = true;
    }

    /// Whether the disk is full.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.full
    }

    /// The disk has room.
    pub fn make_room(&mut self) {
        self.full = false;
    }

    /// Completes one request in flight, any of them; `None` when there is none.
    pub fn complete_one(&mut self, report: &mut SimReport) -> Option<(usize, IoDone<HeapPool>)> {
        if self.pending.is_empty() {
            return None;
        }
        self.time += 1;
        let reorders = self.pending.len() > 1 && self.kinds.has(Fault::ReorderedCompletion);
        let at = if reorders { self.rng.position(self.pending.len()) } else { 0 };
        if at > 0 {
            report.fault(Fault::ReorderedCompletion);
        }
        let Pending { owner, request, submitted } = self.pending.remove(at);
        let IoRequest { id, operation } = request;
        let done = self.perform(id, operation, submitted, report);
        Some((owner, done))
    }

    /// Performs a request that is waited for, past all that is in flight.
    pub fn perform_at_once(
        &mut self,
        request: IoRequest<HeapPool>,
        report: &mut SimReport,
    ) -> IoDone<HeapPool> {
        self.time += 1;
        self.perform(request.id, request.operation, self.time, report)
    }

    pub(super) fn fault(&mut self, kind: Fault, per_100_000: u64) -> bool {
        !self.quiet && per_100_000 > 0 && self.kinds.has(kind) && self.rng.odds(per_100_000)
    }

    fn perform(
        &mut self,
        id: RequestId,
        operation: IoOperation<HeapPool>,
        submitted: u64,
        report: &mut SimReport,
    ) -> IoDone<HeapPool> {
        match self.struck(&operation) {
            Some(blow) => self.strike(blow, (id, operation, submitted), report),
            None => self.carry_out(id, operation, submitted, report),
        }
    }

    pub(super) fn carry_out(
        &mut self,
        id: RequestId,
        operation: IoOperation<HeapPool>,
        submitted: u64,
        report: &mut SimReport,
    ) -> IoDone<HeapPool> {
        let plain = |result: Result<usize, i32>| IoDone {
            id,
            result: result.map_err(IoError::from_errno),
            buffer: IoBuffer::None,
        };
        match operation {
            IoOperation::CreateFile { file, .. } => {
                if self.full {
                    return plain(Err(ENOSPC));
                }
                self.create(file);
                plain(Ok(0))
            }
            IoOperation::Write { file, offset, buffer, range, durable } => {
                let result = self.write(file, offset, &buffer.as_ref()[range], durable, report);
                IoDone { id, result: result.map_err(IoError::from_errno), buffer: IoBuffer::Frozen(buffer) }
            }
            IoOperation::SyncFile { file, .. } => plain(self.sync(file, submitted, report)),
            IoOperation::SyncDirectory => {
                for file in self.files.values_mut() {
                    file.named = true;
                }
                self.deleted.clear();
                plain(Ok(0))
            }
            IoOperation::Read { file, offset, mut buffer, len } => {
                let result = self.read(file, offset, &mut buffer[..len], report);
                IoDone { id, result: result.map_err(IoError::from_errno), buffer: IoBuffer::Owned(buffer) }
            }
            IoOperation::FreeSpace { file, offset, bytes } => {
                self.free_space(file, offset, bytes);
                plain(Ok(0))
            }
            IoOperation::DeleteFile { file } => match self.files.remove(&file) {
                Some(gone) => {
                    self.deleted.push((file, gone));
                    self.truth.retain(|(of, _), _| *of != file);
                    plain(Ok(0))
                }
                None => plain(Err(ENOENT)),
            },
            IoOperation::Allocate { .. } if self.full => plain(Err(ENOSPC)),
            IoOperation::Allocate { file, offset, bytes } => plain(self.resize(file, offset + bytes, true)),
            IoOperation::Truncate { file, bytes } => plain(self.resize(file, bytes, false)),
        }
    }

    /// Grows a file, or cuts it. What was durable behind a cut may be back after a power cut, what a file has grown by
    /// may be gone.
    pub(super) fn resize(&mut self, file: FileId, bytes: u64, grow: bool) -> Result<usize, i32> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let target = self.files.get_mut(&file).ok_or(ENOENT)?;
        if grow {
            target.extend(bytes);
            return Ok(0);
        }
        target.cut_unsynced(bytes);
        self.truth.retain(|&(of, block), _| of != file || block < bytes / BLOCK_BYTES);
        Ok(0)
    }

    pub(super) fn write(
        &mut self,
        file: FileId,
        offset: u64,
        bytes: &[u8],
        durable: bool,
        report: &mut SimReport,
    ) -> Result<usize, i32> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let Some(target) = self.files.get(&file) else { return Err(ENOENT) };
        if self.full && offset + bytes.len() > target.len() {
            return Err(ENOSPC);
        }
        // As where files are never written in place. Of a manifest that changes while the store serves that is no end.
        if self.full && !durable && matches!(file, FileId::StoreManifest(_)) && self.rng.chance(500) {
            if self.rng.chance(700) {
                self.tear(file, offset, bytes);
            }
            return Err(ENOSPC);
        }
        if self.fault(Fault::WriteError, self.rates.write_error) {
            report.fault_of(Fault::WriteError, file);
            self.tear(file, offset, bytes);
            return Err(EIO);
        }
        // Of a hundred writes one is to the file of a shard.
        let times = if FileClass::of(file).is_of_shard() { 20 } else { 1 };
        let mut bytes = bytes;
        if bytes.len() > BLOCK_BYTES && self.fault(Fault::ShortWrite, self.rates.short_write * times) {
            report.fault_of(Fault::ShortWrite, file);
            // Any number of sectors, so that the rest does not begin on a block.
            let sectors = 8 + self.rng.position(bytes.len() / SECTOR_BYTES - 8);
            bytes = &bytes[..sectors * SECTOR_BYTES];
        }
        if self.may_go_wrong() {
            if self.fault(Fault::LostWrite, self.rates.lost_write * times) {
                report.fault_of(Fault::LostWrite, file);
                self.remember_truth(file, offset, bytes);
                return Ok(bytes.len());
            }
            if self.fault(Fault::MisdirectedWrite, self.rates.misdirected_write * times) {
                report.fault_of(Fault::MisdirectedWrite, file);
                self.misdirect(file, offset, bytes);
                return Ok(bytes.len());
            }
        }
        let unsynced = (!durable).then_some(self.time);
        if let Some(target) = self.files.get_mut(&file) {
            if !self.truth.is_empty() {
                for block in offset / BLOCK_BYTES..(offset + bytes.len()).div_ceil(BLOCK_BYTES) {
                    if let Some(truth) = self.truth.remove(&(file, block)) {
                        // A power cut may undo the write: what comes back is what should be there.
                        target.tamper(block * BLOCK_BYTES, &truth);
                    }
                }
            }
            target.write(offset, bytes, unsynced);
        }
        Ok(bytes.len())
    }

    fn create(&mut self, file: FileId) {
        self.files.insert(file, SimFile::default());
        self.truth.retain(|(of, _), _| *of != file);
    }

    /// Part of a write, sector by sector.
    pub(super) fn tear(&mut self, file: FileId, offset: usize, bytes: &[u8]) {
        let time = self.time;
        for (sector, chunk) in bytes.chunks(SECTOR_BYTES).enumerate() {
            if self.rng.chance(500)
                && let Some(file) = self.files.get_mut(&file)
            {
                file.write(offset + sector * SECTOR_BYTES, chunk, Some(time));
            }
        }
    }

    fn sync(&mut self, file: FileId, submitted: u64, report: &mut SimReport) -> Result<usize, i32> {
        let fails = self.fault(Fault::SyncError, self.rates.write_error);
        let Self { files, rng, .. } = self;
        let Some(target) = files.get_mut(&file) else { return Err(ENOENT) };
        if fails {
            report.fault_of(Fault::SyncError, file);
            target.fail_sync(rng);
            return Err(EIO);
        }
        target.sync(submitted);
        Ok(0)
    }

    pub(super) fn read(
        &mut self,
        file: FileId,
        offset: u64,
        buffer: &mut [u8],
        report: &mut SimReport,
    ) -> Result<usize, i32> {
        if self.fault(Fault::ReadError, self.rates.read_error) {
            report.fault_of(Fault::ReadError, file);
            return Err(EIO);
        }
        let short = self.fault(Fault::ShortRead, self.rates.short_read);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        if self.files.contains_key(&file)
            && let Some(came) = self.read_astray(file, offset, buffer, report)
        {
            return Ok(came);
        }
        let Some(source) = self.files.get(&file) else { return Err(ENOENT) };
        let mut len = buffer.len().min(source.len().saturating_sub(offset));
        if short && len > BLOCK_BYTES {
            report.fault_of(Fault::ShortRead, file);
            len = BLOCK_BYTES + self.rng.position(len - BLOCK_BYTES);
        }
        source.read(offset, &mut buffer[..len]);
        Ok(len)
    }

    /// A disk with what a power cut at this moment would leave at the least.
    #[must_use]
    pub fn after_power_loss(&self) -> Self {
        let left = |(id, file): (&FileId, &SimFile)| {
            let mut file = file.clone();
            file.fall_back();
            file.named.then_some((*id, file))
        };
        self.with_files(self.files.iter().filter_map(left).collect(), 0)
    }

    /// The process ends: what is in flight happens, or not; what is written stays.
    pub fn kill(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            self.land(pending, 500);
        }
        self.truth_of_files();
    }

    /// Power is lost: of what is not synced any part may be there.
    pub fn lose_power(&mut self, report: &mut SimReport) {
        for pending in std::mem::take(&mut self.pending) {
            self.land(pending, 800);
        }
        let new = self.rng.pick(&[0, 100, 500, 900, 1000]);
        let new = if self.kinds.has(Fault::UnsyncedLost) { new } else { 1000 };
        let garbage = self.rng.pick(&[0, 0, 50, 300]);
        let garbage = if self.kinds.has(Fault::Garbage) { garbage } else { 0 };
        let unnamed: BTreeSet<FileId> =
            self.files.iter().filter(|(_, file)| !file.named).map(|(id, _)| *id).collect();
        for id in unnamed {
            if self.kinds.has(Fault::NameLost) && self.rng.chance(500) {
                report.fault_of(Fault::NameLost, id);
                self.files.remove(&id);
            }
        }
        for (id, file) in std::mem::take(&mut self.deleted) {
            if self.kinds.has(Fault::NameLost) && self.rng.chance(500) {
                report.fault_of(Fault::NameLost, id);
                self.files.entry(id).or_insert(file);
            }
        }
        let torn = self.files.values().any(SimFile::is_dirty);
        if torn {
            report.fault(Fault::UnsyncedLost);
            if garbage > 0 {
                report.fault(Fault::Garbage);
            }
        }
        for file in self.files.values_mut() {
            file.cut(&mut self.rng, new, garbage);
            file.named = true;
        }
        self.truth_of_files();
    }

    /// What a range holds whose space was given back is nobody's any more: zeros, here.
    pub(super) fn free_space(&mut self, file: FileId, offset: u64, bytes: u64) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let Some(target) = self.files.get_mut(&file) else { return };
        let room = target.len().saturating_sub(offset).min(bytes);
        let room = room - room % SECTOR_BYTES;
        for block in offset / BLOCK_BYTES..(offset + room).div_ceil(BLOCK_BYTES) {
            if let Some(truth) = self.truth.remove(&(file, block)) {
                target.tamper(block * BLOCK_BYTES, &truth);
            }
        }
        target.write(offset, &vec![0; room], Some(self.time));
    }

    /// A request that was in flight at a crash: done with this chance, not durable.
    fn land(&mut self, pending: Pending, per_mille: u64) {
        if !self.rng.chance(per_mille) {
            return;
        }
        let time = self.time;
        match pending.request.operation {
            IoOperation::Write { file, offset, buffer, range, .. } => {
                let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                let bytes: &SharedVec = &buffer;
                if let Some(target) = self.files.get_mut(&file) {
                    // A file does not grow by a write that was never reported.
                    let bytes = &bytes.as_ref()[range];
                    let room = target.len().saturating_sub(offset).min(bytes.len());
                    let room = room - room % SECTOR_BYTES;
                    for block in offset / BLOCK_BYTES..(offset + room).div_ceil(BLOCK_BYTES) {
                        if let Some(truth) = self.truth.remove(&(file, block)) {
                            target.tamper(block * BLOCK_BYTES, &truth);
                        }
                    }
                    target.write(offset, &bytes[..room], Some(time));
                }
            }
            IoOperation::CreateFile { file, .. } => self.create(file),
            IoOperation::FreeSpace { file, offset, bytes } => self.free_space(file, offset, bytes),
            IoOperation::DeleteFile { file } => {
                if let Some(gone) = self.files.remove(&file) {
                    self.deleted.push((file, gone));
                }
            }
            IoOperation::Allocate { file, offset, bytes } if !self.full => {
                // Only files that are there grow.
                let _ = self.resize(file, offset + bytes, true);
            }
            IoOperation::Truncate { file, bytes } => {
                let _ = self.resize(file, bytes, false);
            }
            IoOperation::Allocate { .. }
            | IoOperation::SyncFile { .. }
            | IoOperation::SyncDirectory
            | IoOperation::Read { .. } => {}
        }
    }
}
