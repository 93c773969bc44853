//! An error that a client or the operator is told of has a cause: the drive said so, or something of that shard's data
//! file was lost, went astray, rotted or was cut off, or a read of it went astray.

use crate::cold::{ColdReadError, ColdReadProblem};
use crate::compaction::{DamageKind, DamagedExtent};
use crate::io::FileId;
use crate::scrub::ScrubFinding;
use crate::sim::disk::SimDisk;
use crate::types::ShardId;

fn is_damaged(disk: &SimDisk, shard: ShardId) -> bool {
    disk.truth.keys().any(|(file, _)| *file == FileId::ShardData { shard }) || disk.stray_reads.has_hit(shard)
}

/// A record that cannot be read back.
pub(in crate::sim) fn check_read(disk: &SimDisk, error: &ColdReadError) -> Result<(), String> {
    let said = match error.problem {
        ColdReadProblem::Io(_) => true,
        ColdReadProblem::Short => disk.has_cut_short(),
        ColdReadProblem::Damaged => false,
    };
    if said || is_damaged(disk, error.shard) {
        return Ok(());
    }
    Err(format!("a record cannot be read back: {error}"))
}

/// Whether the drive said so: by an error, or by giving less than the last block of what was asked for, as at the end of a
/// file.
fn says_so(disk: &SimDisk, problem: DamageKind) -> bool {
    match problem {
        DamageKind::Io(_) => true,
        DamageKind::Short => disk.has_cut_short(),
        DamageKind::Header | DamageKind::Record => false,
    }
}

/// An extent that compaction cannot read back.
pub(in crate::sim) fn check_extent(disk: &SimDisk, damaged: &DamagedExtent) -> Result<(), String> {
    let said = says_so(disk, damaged.problem);
    if said || is_damaged(disk, damaged.shard) {
        return Ok(());
    }
    Err(format!("an extent cannot be read back: {damaged}"))
}

/// An extent that a scrub found damaged.
pub(in crate::sim) fn check_scrub(disk: &SimDisk, finding: &ScrubFinding) -> Result<(), String> {
    let said = says_so(disk, finding.problem);
    if said || is_damaged(disk, finding.shard) {
        return Ok(());
    }
    Err(format!("nothing is damaged: {finding}"))
}
