//! A disk in memory that does to the store what disks, kernels and power cuts do.
//!
//! Each file has what reads see now and what would survive power loss. A write changes the first; a durable write, or
//! a sync, the second. Power loss keeps any subset of the unsynced 512-byte sectors: old, new or garbage, each by
//! itself; writes in flight count as unsynced. Completions come in any order.

use std::collections::{BTreeMap, BTreeSet};

use crate::io::{BLOCK_BYTES, FileId, IoBuffer, IoDone, IoError, IoOperation, IoRequest, RequestId};
use crate::shard_manifest::ShardManifest;
use crate::sim::options::Rates;
use crate::sim::report::SimReport;
use crate::sim::rng::Rng;
use crate::testing::{HeapPool, SharedVec};

/// What a power cut tears at.
pub const SECTOR_BYTES: usize = 512;

const EIO: i32 = 5;
const ENOENT: i32 = 2;
const ENOSPC: i32 = 28;

/// A file.
#[derive(Clone, Debug, Default)]
pub struct SimFile {
    /// What reads see.
    pub current: Vec<u8>,
    /// What survives power loss, but for the dirty sectors, of which anything may.
    pub durable: Vec<u8>,
    /// Time of the last write of each sector that is not synced; 0 where it is.
    dirty: Vec<u64>,
    /// Sectors that are not synced.
    dirty_count: usize,
    /// Whether its name survives power loss.
    named: bool,
}

impl SimFile {
    fn write(&mut self, offset: usize, bytes: &[u8], durable: bool, time: u64) {
        let end = offset + bytes.len();
        if self.current.len() < end {
            self.current.resize(end, 0);
        }
        self.current[offset..end].copy_from_slice(bytes);
        if durable {
            self.make_durable(offset / SECTOR_BYTES..end / SECTOR_BYTES);
        } else {
            assert!(time > 0, "time 0 means clean");
            self.dirty.resize(self.dirty.len().max(end / SECTOR_BYTES), 0);
            for dirty in &mut self.dirty[offset / SECTOR_BYTES..end / SECTOR_BYTES] {
                self.dirty_count += usize::from(*dirty == 0);
                *dirty = time;
            }
        }
    }

    fn make_durable(&mut self, sectors: std::ops::Range<usize>) {
        let range = sectors.start * SECTOR_BYTES..sectors.end * SECTOR_BYTES;
        if self.durable.len() < range.end {
            self.durable.resize(range.end, 0);
        }
        self.durable[range.clone()].copy_from_slice(&self.current[range]);
        let end = sectors.end.min(self.dirty.len());
        for dirty in self.dirty.get_mut(sectors.start..end).unwrap_or_default() {
            self.dirty_count -= usize::from(*dirty != 0);
            *dirty = 0;
        }
    }

    /// The sectors last written up to a time and not synced.
    fn dirty_sectors(&self, before: u64) -> Vec<usize> {
        if self.dirty_count == 0 {
            return Vec::new();
        }
        let dirty = self.dirty.iter().enumerate().filter(|(_, time)| **time > 0 && **time <= before);
        dirty.map(|(sector, _)| sector).collect()
    }

    /// Nothing is dirty any more.
    fn forget_dirty(&mut self) {
        self.dirty.clear();
        self.dirty_count = 0;
    }

    fn sync(&mut self, before: u64) {
        for sector in self.dirty_sectors(before) {
            self.make_durable(sector..sector + 1);
        }
    }

    /// What is left after power loss.
    fn cut(&mut self, rng: &mut Rng, new: u64, garbage: u64) {
        for sector in self.dirty_sectors(u64::MAX) {
            let range = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
            if rng.chance(garbage) {
                self.durable.resize(self.durable.len().max(range.end), 0);
                for byte in &mut self.durable[range] {
                    *byte = u8::try_from(rng.below(256)).unwrap_or(0);
                }
            } else if rng.chance(new) {
                self.make_durable(sector..sector + 1);
            }
        }
        self.current.clone_from(&self.durable);
        self.forget_dirty();
    }
}

/// A request in flight.
struct Pending {
    owner: usize,
    request: IoRequest<HeapPool>,
    submitted: u64,
}

/// What a write should have left in a block that it did not reach, or wrongly overwrote.
pub type Truth = BTreeMap<(FileId, usize), Vec<u8>>;

/// The files of a directory.
pub type Files = BTreeMap<FileId, SimFile>;

/// The disk.
pub struct SimDisk {
    /// Files by identity.
    pub files: Files,
    deleted: Vec<(FileId, SimFile)>,
    pending: Vec<Pending>,
    time: u64,
    rng: Rng,
    rates: Rates,
    full: bool,
    /// Blocks that lost or misdirected writes left wrong, as they should be.
    pub truth: Truth,
    /// Whether no faults but crashes happen now.
    pub quiet: bool,
    /// Whether writes may be lost or go astray now.
    pub may_stray: bool,
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64, rates: Rates) -> Self {
        Self {
            files: Files::new(),
            deleted: Vec::new(),
            pending: Vec::new(),
            time: 0,
            rng: Rng::new(seed ^ 0xd15c),
            rates,
            full: false,
            truth: Truth::new(),
            quiet: false,
            may_stray: false,
        }
    }

    /// A disk with these files, nothing in flight.
    #[must_use]
    pub fn with_files(&self, files: Files, seed: u64) -> Self {
        Self { files, ..Self::new(seed, Rates { crash_in_boot: 0, ..Rates::default() }) }
    }

    /// A salt for the extents of a run.
    pub fn draw_salt(&mut self) -> u32 {
        u32::try_from(self.rng.draw() >> 32).unwrap_or(0)
    }

    /// Length of a file, if it is there.
    #[must_use]
    pub fn file_len(&self, file: FileId) -> Option<u64> {
        self.files.get(&file).map(|file| file.current.len() as u64)
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

    /// The files as they would be had no write been lost or gone astray.
    #[must_use]
    pub fn true_files(&self) -> Files {
        let mut files = self.files.clone();
        for ((file, block), bytes) in &self.truth {
            if let Some(file) = files.get_mut(file) {
                file.write(block * BLOCK_BYTES, bytes, true, 0);
            }
        }
        files
    }

    /// Takes a request.
    pub fn submit(&mut self, owner: usize, request: IoRequest<HeapPool>) {
        self.time += 1;
        self.pending.push(Pending { owner, request, submitted: self.time });
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// The disk becomes full, or has room again.
    pub fn toggle_full(&mut self, report: &mut SimReport) {
        self.full = !self.full;
        if self.full {
            report.count("fault disk full");
        }
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
        let at = self.rng.position(self.pending.len());
        if at > 0 {
            report.count("fault reordered completion");
        }
        let Pending { owner, request, submitted } = self.pending.swap_remove(at);
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

    fn fault(&mut self, per_mille: u64) -> bool {
        !self.quiet && per_mille > 0 && self.rng.chance(per_mille)
    }

    fn perform(
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
            IoOperation::DeleteFile { file } => match self.files.remove(&file) {
                Some(gone) => {
                    self.deleted.push((file, gone));
                    plain(Ok(0))
                }
                None => plain(Err(ENOENT)),
            },
        }
    }

    fn write(
        &mut self,
        file: FileId,
        offset: u64,
        bytes: &[u8],
        durable: bool,
        report: &mut SimReport,
    ) -> Result<usize, i32> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let Some(target) = self.files.get(&file) else { return Err(ENOENT) };
        if self.full && offset + bytes.len() > target.current.len() {
            return Err(ENOSPC);
        }
        if self.fault(self.rates.write_error) {
            report.count("fault write error");
            self.tear(file, offset, bytes);
            return Err(EIO);
        }
        let mut bytes = bytes;
        if bytes.len() > BLOCK_BYTES && self.fault(self.rates.short_write) {
            report.count("fault short write");
            // Any number of sectors, so that the rest does not begin on a block.
            let sectors = 8 + self.rng.position(bytes.len() / SECTOR_BYTES - 8);
            bytes = &bytes[..sectors * SECTOR_BYTES];
        }
        let blocks = offset / BLOCK_BYTES..(offset + bytes.len()).div_ceil(BLOCK_BYTES);
        // One such fault at a time: what two of them together may hide is beyond what one copy can prove.
        let may_stray = durable && self.may_stray && self.truth.is_empty();
        if may_stray && self.fault(self.rates.lost_write) {
            report.count("fault lost write");
            self.remember_truth(file, offset, bytes);
            return Ok(bytes.len());
        }
        if may_stray && self.fault(self.rates.misdirected_write) {
            report.count("fault misdirected write");
            self.misdirect(file, offset, bytes);
            return Ok(bytes.len());
        }
        for block in blocks {
            self.truth.remove(&(file, block));
        }
        let time = self.time;
        if let Some(target) = self.files.get_mut(&file) {
            target.write(offset, bytes, durable, time);
        }
        Ok(bytes.len())
    }

    fn create(&mut self, file: FileId) {
        self.files.insert(file, SimFile::default());
        self.truth.retain(|(of, _), _| *of != file);
    }

    /// Keeps what the blocks of a write should hold.
    fn remember_truth(&mut self, file: FileId, offset: usize, bytes: &[u8]) {
        for (block, chunk) in (offset / BLOCK_BYTES..).zip(bytes.chunks(BLOCK_BYTES)) {
            let mut truth = self.true_block(file, block);
            truth[..chunk.len()].copy_from_slice(chunk);
            self.truth.insert((file, block), truth);
        }
    }

    fn true_block(&self, file: FileId, block: usize) -> Vec<u8> {
        if let Some(truth) = self.truth.get(&(file, block)) {
            return truth.clone();
        }
        let mut bytes = vec![0; BLOCK_BYTES];
        if let Some(file) = self.files.get(&file) {
            let start = (block * BLOCK_BYTES).min(file.current.len());
            let end = (start + BLOCK_BYTES).min(file.current.len());
            bytes[..end - start].copy_from_slice(&file.current[start..end]);
        }
        bytes
    }

    /// Writes to another place: of the same file, or of another one.
    fn misdirect(&mut self, file: FileId, offset: usize, bytes: &[u8]) {
        self.remember_truth(file, offset, bytes);
        let long: Vec<FileId> = self
            .files
            .iter()
            .filter(|(_, file)| file.current.len() >= bytes.len().next_multiple_of(BLOCK_BYTES))
            .map(|(id, _)| *id)
            .collect();
        if long.is_empty() {
            return;
        }
        let victim = long[self.rng.position(long.len())];
        let room = self.files[&victim].current.len() - bytes.len();
        let place = self.rng.position(room / BLOCK_BYTES + 1);
        if (victim, place * BLOCK_BYTES) == (file, offset) {
            return;
        }
        for block in place..place + bytes.len().div_ceil(BLOCK_BYTES) {
            let truth = self.true_block(victim, block);
            self.truth.insert((victim, block), truth);
        }
        let time = self.time;
        if let Some(victim) = self.files.get_mut(&victim) {
            victim.write(place * BLOCK_BYTES, bytes, true, time);
        }
    }

    /// Part of a write, sector by sector.
    fn tear(&mut self, file: FileId, offset: usize, bytes: &[u8]) {
        let time = self.time;
        for (sector, chunk) in bytes.chunks(SECTOR_BYTES).enumerate() {
            if self.rng.chance(500)
                && let Some(file) = self.files.get_mut(&file)
            {
                file.write(offset + sector * SECTOR_BYTES, chunk, false, time);
            }
        }
    }

    fn sync(&mut self, file: FileId, submitted: u64, report: &mut SimReport) -> Result<usize, i32> {
        let fails = self.fault(self.rates.write_error);
        let Self { files, rng, .. } = self;
        let Some(file) = files.get_mut(&file) else { return Err(ENOENT) };
        if fails {
            report.count("fault sync error");
            // What the drive dropped is gone, and it will not say so again.
            for sector in file.dirty_sectors(u64::MAX) {
                let range = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
                if rng.chance(500) {
                    file.make_durable(sector..sector + 1);
                } else {
                    let mut old = vec![0; SECTOR_BYTES];
                    if let Some(durable) = file.durable.get(range.clone()) {
                        old.copy_from_slice(durable);
                    }
                    file.current[range].copy_from_slice(&old);
                }
            }
            file.forget_dirty();
            return Err(EIO);
        }
        file.sync(submitted);
        Ok(0)
    }

    fn read(
        &mut self,
        file: FileId,
        offset: u64,
        buffer: &mut [u8],
        report: &mut SimReport,
    ) -> Result<usize, i32> {
        if self.fault(self.rates.read_error) {
            report.count("fault read error");
            return Err(EIO);
        }
        let short = self.fault(self.rates.short_read);
        let Some(file) = self.files.get(&file) else { return Err(ENOENT) };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(file.current.len());
        let mut len = buffer.len().min(file.current.len() - start);
        if short && len > BLOCK_BYTES {
            report.count("fault short read");
            len = BLOCK_BYTES + self.rng.position(len - BLOCK_BYTES);
        }
        buffer[..len].copy_from_slice(&file.current[start..start + len]);
        Ok(len)
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
        let garbage = self.rng.pick(&[0, 0, 50, 300]);
        let unnamed: BTreeSet<FileId> =
            self.files.iter().filter(|(_, file)| !file.named).map(|(id, _)| *id).collect();
        for id in unnamed {
            if self.rng.chance(500) {
                self.files.remove(&id);
            }
        }
        for (id, file) in std::mem::take(&mut self.deleted) {
            if self.rng.chance(500) {
                self.files.entry(id).or_insert(file);
            }
        }
        let torn = self.files.values().any(|file| file.dirty_count > 0);
        if torn {
            report.count("fault unsynced sectors lost");
            if garbage > 0 {
                report.count("fault garbage sectors");
            }
        }
        for file in self.files.values_mut() {
            file.cut(&mut self.rng, new, garbage);
            file.named = true;
        }
        self.truth_of_files();
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
                    let room = target.current.len().saturating_sub(offset).min(bytes.len());
                    for block in offset / BLOCK_BYTES..(offset + room).div_ceil(BLOCK_BYTES) {
                        if let Some(truth) = self.truth.remove(&(file, block)) {
                            target.write(block * BLOCK_BYTES, &truth, true, time);
                        }
                    }
                    target.write(offset, &bytes[..room - room % SECTOR_BYTES], false, time);
                }
            }
            IoOperation::CreateFile { file, .. } => self.create(file),
            IoOperation::DeleteFile { file } => {
                if let Some(gone) = self.files.remove(&file) {
                    self.deleted.push((file, gone));
                }
            }
            IoOperation::SyncFile { .. } | IoOperation::SyncDirectory | IoOperation::Read { .. } => {}
        }
    }

    /// Drops the truth about files that are gone.
    fn truth_of_files(&mut self) {
        let Self { truth, files, .. } = self;
        truth.retain(|(file, _), _| files.contains_key(file));
    }
}
