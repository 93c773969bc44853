//! Faults that leave something wrong on the disk and say nothing: lost and misdirected writes, rot, and cut-off files,
//! while the store is up. What should be there is kept, for the start that judges what became of it.

use std::collections::BTreeMap;

use crate::io::{BLOCK_BYTES, FileId, ManifestCopy};
use crate::sim::disk::{Files, SimDisk};
use crate::sim::fault::Fault;
use crate::sim::report::SimReport;

/// What a write should have left in a block that it did not reach, or wrongly overwrote.
pub type Truth = BTreeMap<(FileId, usize), Vec<u8>>;

impl SimDisk {
    /// The files as they would be had no write been lost or gone astray.
    #[must_use]
    pub fn true_files(&self) -> Files {
        let mut files = self.files.clone();
        for ((file, block), bytes) in &self.truth {
            if let Some(file) = files.get_mut(file) {
                file.tamper(block * BLOCK_BYTES, bytes);
            }
        }
        files
    }

    /// What is in a file from an offset on, at most so many bytes.
    pub(super) fn bytes(&self, file: FileId, offset: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let came = self.files.get(&file).map_or(0, |file| {
            let there = file.len().saturating_sub(offset).min(len);
            file.read(offset, &mut bytes[..there]);
            there
        });
        bytes.truncate(came);
        bytes
    }

    /// What should be there.
    pub(super) fn true_bytes(&self, file: FileId, offset: usize, len: usize) -> Vec<u8> {
        let mut bytes = self.bytes(file, offset, len);
        bytes.resize(len, 0);
        for block in offset / BLOCK_BYTES..(offset + len).div_ceil(BLOCK_BYTES) {
            let Some(truth) = self.truth.get(&(file, block)) else { continue };
            let (from, to) =
                ((block * BLOCK_BYTES).max(offset), ((block + 1) * BLOCK_BYTES).min(offset + len));
            let of_block = from - block * BLOCK_BYTES..to - block * BLOCK_BYTES;
            bytes[from - offset..to - offset].copy_from_slice(&truth[of_block]);
        }
        bytes
    }

    /// One such fault at a time: what two of them together may hide is beyond what one copy can prove.
    pub(super) fn may_go_wrong(&self) -> bool {
        self.may_stray && self.truth.is_empty()
    }

    /// Keeps what the blocks of a write should hold.
    pub(super) fn remember_truth(&mut self, file: FileId, offset: usize, bytes: &[u8]) {
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
            bytes.copy_from_slice(file.block(block));
        }
        bytes
    }

    /// Writes to another place: of the same file, or of another one.
    pub(super) fn misdirect(&mut self, file: FileId, offset: usize, bytes: &[u8]) {
        self.remember_truth(file, offset, bytes);
        let long: Vec<FileId> = self
            .files
            .iter()
            .filter(|(_, file)| file.len() >= bytes.len().next_multiple_of(BLOCK_BYTES))
            .map(|(id, _)| *id)
            .collect();
        if long.is_empty() {
            return;
        }
        let victim = long[self.rng.position(long.len())];
        let room = self.files[&victim].len() - bytes.len();
        let place = self.rng.position(room / BLOCK_BYTES + 1);
        if (victim, place * BLOCK_BYTES) == (file, offset) {
            return;
        }
        for block in place..place + bytes.len().div_ceil(BLOCK_BYTES) {
            let truth = self.true_block(victim, block);
            self.truth.insert((victim, block), truth);
        }
        if let Some(victim) = self.files.get_mut(&victim) {
            victim.tamper(place * BLOCK_BYTES, bytes);
        }
    }

    /// A bit rots in a snapshot or a data file, at this rate, while the store is up.
    pub fn rot(&mut self, report: &mut SimReport) {
        if !self.may_go_wrong() || !self.fault(Fault::RotWhileUp, self.rates.rot) {
            return;
        }
        let Some((file, block)) = self.any_used_block() else { return };
        let truth = self.true_block(file, block);
        let used: Vec<usize> = (0..BLOCK_BYTES).filter(|&at| truth[at] != 0).collect();
        let at = if used.is_empty() { 0 } else { used[self.rng.position(used.len())] };
        let bits = 1 << self.rng.below(8);
        if let Some(target) = self.files.get_mut(&file)
            && block * BLOCK_BYTES + at < target.len()
        {
            report.fault_of(Fault::RotWhileUp, file);
            target.flip(block * BLOCK_BYTES + at, bits);
            self.truth.insert((file, block), truth);
        }
    }

    /// The end of a snapshot or a data file is gone, at this rate, while the store is up.
    pub fn cut(&mut self, report: &mut SimReport) {
        if !self.may_go_wrong() || !self.fault(Fault::CutWhileUp, self.rates.cut) {
            return;
        }
        let Some((file, first)) = self.any_used_block() else { return };
        let Some(target) = self.files.get_mut(&file) else { return };
        let last = target.len().div_ceil(BLOCK_BYTES) - 1;
        let gone: Vec<usize> = target.used_blocks().filter(|block| *block >= first).chain([last]).collect();
        report.fault_of(Fault::CutWhileUp, file);
        let truth = gone.into_iter().map(|block| ((file, block), target.block(block).to_vec()));
        self.truth.extend(truth);
        target.truncate(first * BLOCK_BYTES);
    }

    /// A block of a snapshot or a data file in which something is.
    fn any_used_block(&mut self) -> Option<(FileId, usize)> {
        let is_shard =
            |file: &FileId| matches!(file, FileId::ShardSnapshot { .. } | FileId::ShardData { .. });
        let names: Vec<FileId> = self.files.keys().copied().filter(is_shard).collect();
        if names.is_empty() {
            return None;
        }
        let name = names[self.rng.position(names.len())];
        let blocks: Vec<usize> = self.files[&name].used_blocks().collect();
        (!blocks.is_empty()).then(|| (name, blocks[self.rng.position(blocks.len())]))
    }

    /// A change of the store manifest was looked at and has come to nothing: what a lost write was to leave, and what lies
    /// under one that went astray, may be the change. A copy that counts should hold what it did before; of a damaged one
    /// nothing is to come back.
    pub(super) fn keep_store_manifest(&mut self, manifest: &[u8], damaged: Option<ManifestCopy>) {
        self.truth.retain(|(file, block), truth| {
            let FileId::StoreManifest(copy) = *file else { return true };
            if let Some(kept) = manifest.chunks(BLOCK_BYTES).nth(*block) {
                truth[..kept.len()].copy_from_slice(kept);
            }
            damaged != Some(copy)
        });
    }

    /// Drops the truth about files that are gone.
    pub(super) fn truth_of_files(&mut self) {
        let Self { truth, files, .. } = self;
        truth.retain(|(file, _), _| files.contains_key(file));
    }
}
