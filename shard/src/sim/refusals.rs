//! Names of everything that a store can answer instead of data: what a run has to reach to have tested it.

use crate::cold::ColdReadProblem;
use crate::compaction::DamageKind;
use crate::log::recovery::{Proof, RecoveryRule, RefuseToStart};
use crate::shard_open::ShardOpenError;
use crate::snapshot::SnapshotError;
use crate::store_files::StoreManifestError;

/// All that the functions of this file can answer, and what the simulated start itself refuses. A replay never comes to
/// the end of a data file: a file too short for its extents is refused before.
const REFUSALS: [&str; 45] = [
    "ManifestMissing",
    "ManifestDamaged",
    "ManifestContradiction",
    "ManifestForeign",
    "Newer",
    "SegmentMissing",
    "SegmentShort",
    "ReadFailed",
    "HeaderLost",
    "HeaderForeign",
    "ChainBroken",
    "BatchesLost by NextHeader",
    "BatchesLost by LaterBatch",
    "BatchesLost by Floor",
    "BatchesLost by Manifest",
    "ManifestOfAnotherHistory",
    "SegmentNotNamed",
    "BatchMisplaced",
    "RecordMalformed",
    "EndMismatch",
    "Io",
    "StoreManifestMissing",
    "StoreManifestDamaged",
    "StoreManifestContradiction",
    "LogNotNamed",
    "ShardOfOtherLogs",
    "StoreOlderThanShard",
    "StoreSwappedOtherwise",
    "ShardManifestMissing",
    "ShardManifestDamaged",
    "ShardManifestContradiction",
    "ShardManifestNewer",
    "ShardManifestForeign",
    "ShardManifestIo",
    "LogBehindSnapshot",
    "SnapshotMissing",
    "SnapshotIo",
    "SnapshotShort",
    "SnapshotDamaged",
    "SnapshotNewer",
    "SnapshotContent",
    "SnapshotTail",
    "DataFileShort",
    "ReplayRead failed",
    "ReplayRead damaged",
];

/// What a running store answers for a key, or does about an extent, instead of giving data out.
const ANSWERS: [&str; 11] = [
    "cold read failed",
    "cold read short",
    "cold read damaged",
    "extent kept: read failed",
    "extent kept: short",
    "extent kept: header damaged",
    "extent kept: record damaged",
    "scrub: read failed",
    "scrub: short",
    "scrub: header damaged",
    "scrub: record damaged",
];

/// Everything that a run has to reach: rules of recovery, refusals, answers.
pub fn all() -> impl Iterator<Item = String> {
    let rules = RecoveryRule::ALL.iter().map(|rule| format!("rule {rule:?}"));
    let repairs = ["StoreManifestRepaired", "ShardManifestRepaired"].map(|rule| format!("rule {rule}"));
    let refusals = REFUSALS.iter().map(|kind| format!("refused {kind}"));
    rules.chain(repairs).chain(refusals).chain(ANSWERS.iter().map(|answer| format!("answer {answer}")))
}

/// A refusal of a log; a new kind belongs in the list above too.
pub(super) const fn of_log(refused: &RefuseToStart) -> &'static str {
    match refused {
        RefuseToStart::ManifestMissing { .. } => "ManifestMissing",
        RefuseToStart::ManifestDamaged { .. } => "ManifestDamaged",
        RefuseToStart::ManifestContradiction { .. } => "ManifestContradiction",
        RefuseToStart::ManifestForeign { .. } => "ManifestForeign",
        RefuseToStart::Newer { .. } => "Newer",
        RefuseToStart::SegmentMissing { .. } => "SegmentMissing",
        RefuseToStart::SegmentShort { .. } => "SegmentShort",
        RefuseToStart::ReadFailed { .. } => "ReadFailed",
        RefuseToStart::HeaderLost { .. } => "HeaderLost",
        RefuseToStart::HeaderForeign { .. } => "HeaderForeign",
        RefuseToStart::ChainBroken { .. } => "ChainBroken",
        RefuseToStart::BatchesLost { proof: Proof::NextHeader, .. } => "BatchesLost by NextHeader",
        RefuseToStart::BatchesLost { proof: Proof::LaterBatch { .. }, .. } => "BatchesLost by LaterBatch",
        RefuseToStart::BatchesLost { proof: Proof::Floor, .. } => "BatchesLost by Floor",
        RefuseToStart::BatchesLost { proof: Proof::Manifest, .. } => "BatchesLost by Manifest",
        RefuseToStart::ManifestOfAnotherHistory { .. } => "ManifestOfAnotherHistory",
        RefuseToStart::SegmentNotNamed { .. } => "SegmentNotNamed",
        RefuseToStart::BatchMisplaced { .. } => "BatchMisplaced",
        RefuseToStart::RecordMalformed { .. } => "RecordMalformed",
        RefuseToStart::EndMismatch { .. } => "EndMismatch",
        RefuseToStart::NoSpace { .. } | RefuseToStart::Io(_) => "Io",
    }
}

/// A refusal of the store manifest.
pub(super) const fn of_store(refused: &StoreManifestError) -> &'static str {
    match refused {
        StoreManifestError::Damaged => "StoreManifestDamaged",
        StoreManifestError::Newer(_) => "Newer",
        StoreManifestError::Contradiction => "StoreManifestContradiction",
        StoreManifestError::LogNotNamed { .. } => "LogNotNamed",
        StoreManifestError::ShardOfOtherLogs { .. } => "ShardOfOtherLogs",
        StoreManifestError::OlderThanShard { .. } => "StoreOlderThanShard",
        StoreManifestError::SwappedOtherwise { .. } => "StoreSwappedOtherwise",
        StoreManifestError::Io(_) => "Io",
    }
}

/// A refusal of a shard's files.
pub(super) const fn of_shard(refused: &ShardOpenError) -> &'static str {
    match refused {
        ShardOpenError::Missing(_) => "ShardManifestMissing",
        ShardOpenError::Damaged(_) => "ShardManifestDamaged",
        ShardOpenError::Contradiction(_) => "ShardManifestContradiction",
        ShardOpenError::Newer { .. } => "ShardManifestNewer",
        ShardOpenError::Foreign(_) => "ShardManifestForeign",
        ShardOpenError::LogBehind { .. } => "LogBehindSnapshot",
        ShardOpenError::Io(_) => "ShardManifestIo",
        ShardOpenError::Content { .. } => "SnapshotContent",
        ShardOpenError::Tail { .. } => "SnapshotTail",
        ShardOpenError::Snapshot(error) => match error {
            SnapshotError::Missing(_) => "SnapshotMissing",
            SnapshotError::Io { .. } => "SnapshotIo",
            SnapshotError::Short { .. } => "SnapshotShort",
            SnapshotError::Damaged { .. } => "SnapshotDamaged",
            SnapshotError::Newer { .. } => "SnapshotNewer",
        },
    }
}

/// A replay that cannot read a record back.
pub(super) const fn of_replay(problem: ColdReadProblem) -> &'static str {
    match problem {
        ColdReadProblem::Io(_) => "ReplayRead failed",
        ColdReadProblem::Short => "ReplayRead short",
        ColdReadProblem::Damaged => "ReplayRead damaged",
    }
}

/// What a client is told about a key.
pub(super) const fn of_cold_read(problem: ColdReadProblem) -> &'static str {
    match problem {
        ColdReadProblem::Io(_) => "answer cold read failed",
        ColdReadProblem::Short => "answer cold read short",
        ColdReadProblem::Damaged => "answer cold read damaged",
    }
}

/// What compaction tells the operator about an extent.
pub(super) const fn of_extent(problem: DamageKind) -> &'static str {
    match problem {
        DamageKind::Io(_) => "answer extent kept: read failed",
        DamageKind::Short => "answer extent kept: short",
        DamageKind::Header => "answer extent kept: header damaged",
        DamageKind::Record => "answer extent kept: record damaged",
    }
}

/// What a scrub tells the operator about an extent.
pub(super) const fn of_scrub(problem: DamageKind) -> &'static str {
    match problem {
        DamageKind::Io(_) => "answer scrub: read failed",
        DamageKind::Short => "answer scrub: short",
        DamageKind::Header => "answer scrub: header damaged",
        DamageKind::Record => "answer scrub: record damaged",
    }
}
