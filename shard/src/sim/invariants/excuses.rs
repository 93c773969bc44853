//! An error that a client or the operator is told of has a cause: the drive said so, or something of that shard's data
//! file was lost, went astray, rotted or was cut off.

use crate::cold::{ColdReadError, ColdReadProblem};
use crate::compaction::{DamageKind, DamagedExtent};
use crate::io::FileId;
use crate::sim::disk::SimDisk;
use crate::types::ShardId;

fn is_damaged(disk: &SimDisk, shard: ShardId) -> bool {
    disk.truth.keys().any(|(file, _)| *file == FileId::ShardData { shard })
}

/// A record that cannot be read back.
pub(in crate::sim) fn check_read(disk: &SimDisk, error: &ColdReadError) -> Result<(), String> {
    let said = matches!(error.problem, ColdReadProblem::Io(_));
    if said || is_damaged(disk, error.shard) {
        return Ok(());
    }
    Err(format!("a record cannot be read back: {error}"))
}

/// An extent that compaction cannot read back.
pub(in crate::sim) fn check_extent(
    disk: &SimDisk,
    damaged: &DamagedExtent,
    short_reads: bool,
) -> Result<(), String> {
    let said = match damaged.problem {
        DamageKind::Io(_) => true,
        DamageKind::Short => short_reads,
        DamageKind::Header | DamageKind::Record => false,
    };
    if said || is_damaged(disk, damaged.shard) {
        return Ok(());
    }
    Err(format!("an extent cannot be read back: {damaged}"))
}
