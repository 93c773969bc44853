//! Reads that give what lies in another place and say nothing: of a record or an extent while the store is up, of anything
//! in a start. The answer is an error, a refusal or the right data, never another record.
//!
//! What a start makes of one is tried on a copy of the disk, like damage: of the end of a log, which nothing proves, a read
//! that goes astray looks like a torn tail.

use crate::io::{BLOCK_BYTES, FileId};
use crate::sim::boot::Boot;
use crate::sim::damage::loss_is_excusable;
use crate::sim::disk::{Files, SimDisk};
use crate::sim::driver::Driver;
use crate::sim::fault::{Fault, FileClass};
use crate::sim::report::SimReport;
use crate::types::ShardId;

/// Per 1000 starts: one read of it goes astray, where reads do at all.
const STARTS: u64 = 300;
/// Reads of a start before the one that goes astray, at most.
const READS_MAX: u64 = 60;

/// The reads that went astray since the start.
#[derive(Debug, Default)]
pub(super) struct StrayReads {
    /// So many reads from now one does, whatever it reads.
    planned: Option<u64>,
    /// Where they should have read, and what they gave.
    given: Vec<(FileId, usize, Vec<u8>)>,
}

impl StrayReads {
    /// Whether a record or an extent of this shard was not what was asked for.
    pub(super) fn has_hit(&self, shard: ShardId) -> bool {
        self.given.iter().any(|(file, ..)| *file == FileId::ShardData { shard })
    }

    /// The store starts again.
    pub(super) fn forget(&mut self) {
        self.given.clear();
    }

    /// Files that hold what was read.
    fn as_if_written(&self, files: &Files) -> Files {
        let mut files = files.clone();
        for (file, offset, bytes) in &self.given {
            if let Some(file) = files.get_mut(file)
                && offset + bytes.len() <= file.len()
            {
                file.tamper(*offset, bytes);
            }
        }
        files
    }
}

impl SimDisk {
    /// Reads from another place, if this read is one that goes astray. How much came.
    pub(super) fn read_astray(
        &mut self,
        file: FileId,
        offset: usize,
        buffer: &mut [u8],
        report: &mut SimReport,
    ) -> Option<usize> {
        let planned = match &mut self.stray_reads.planned {
            Some(0) => self.stray_reads.planned.take().is_some(),
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        let by_rate = self.may_stray
            && FileClass::of(file) == FileClass::Data
            && self.fault(Fault::MisdirectedRead, self.rates.misdirected_read);
        if !planned && !by_rate {
            return None;
        }
        let (from, place) = self.another_place(file, offset, buffer.len())?;
        report.fault_of(Fault::MisdirectedRead, file);
        self.files.get(&from)?.read(place, buffer);
        self.stray_reads.given.push((file, offset, buffer.to_vec()));
        Some(buffer.len())
    }

    /// A place that holds as much: often of a file of the same kind.
    fn another_place(&mut self, file: FileId, offset: usize, len: usize) -> Option<(FileId, usize)> {
        let same_kind = self.rng.chance(700);
        let is_meant = |id: FileId| !same_kind || FileClass::of(id) == FileClass::of(file);
        let long: Vec<(FileId, usize)> = self
            .files
            .iter()
            .filter(|(id, content)| content.len() >= len && is_meant(**id))
            .map(|(id, content)| (*id, content.len() - len))
            .collect();
        if long.is_empty() {
            return None;
        }
        let (from, room) = long[self.rng.position(long.len())];
        // What lies at the same offset of another file is most like what should have come.
        let place = self.rng.position(room / BLOCK_BYTES + 1) * BLOCK_BYTES;
        let place = if from != file && offset <= room && self.rng.chance(300) { offset } else { place };
        ((from, place) != (file, offset)).then_some((from, place))
    }
}

impl Driver {
    /// What would a start make of it if one of its reads went astray?
    pub(super) fn judge_stray_read(&mut self, power: bool) -> Result<(), String> {
        let happens =
            self.options.rates.misdirected_read > 0 && self.options.faults.has(Fault::MisdirectedRead);
        if !happens || !self.disk.rng.chance(STARTS) {
            return Ok(());
        }
        let seed = self.disk.rng.draw();
        let mut disk = self.disk.with_files(self.disk.files.clone(), seed);
        disk.stray_reads.planned = Some(disk.rng.below(READS_MAX));
        let should = self.disk.files.clone();
        let excusable = |disk: &SimDisk| {
            let is = disk.stray_reads.as_if_written(&should);
            loss_is_excusable(&should, &is, Boot::checksum_seed())
        };
        self.judge_start(disk, &excusable, power, "stray read").map(|_| ())
    }
}
