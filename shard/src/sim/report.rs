//! What runs did: counts of operations, crashes, faults that fired and rules of recovery that were taken.

use std::collections::BTreeMap;

use crate::log::recovery::{Proof, RecoveryReport, RecoveryRule, RefuseToStart};
use crate::shard_open::ShardOpenError;
use crate::snapshot::SnapshotError;
use crate::store_files::StoreManifestError;

/// All that [`kind_of`], [`kind_of_store`] and a start without a store manifest can answer.
const REFUSALS: [&str; 21] = [
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
    "BatchMisplaced",
    "RecordMalformed",
    "EndMismatch",
    "Io",
    "StoreManifestMissing",
    "StoreManifestDamaged",
    "StoreManifestContradiction",
];

/// A refusal's name; a new kind belongs in [`REFUSALS`] too.
const fn kind_of(refused: &RefuseToStart) -> &'static str {
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
        RefuseToStart::BatchMisplaced { .. } => "BatchMisplaced",
        RefuseToStart::RecordMalformed { .. } => "RecordMalformed",
        RefuseToStart::EndMismatch { .. } => "EndMismatch",
        RefuseToStart::Io(_) => "Io",
    }
}

/// The name of a refusal of the store manifest; a new kind belongs in [`REFUSALS`] too.
const fn kind_of_store(refused: &StoreManifestError) -> &'static str {
    match refused {
        StoreManifestError::Damaged => "StoreManifestDamaged",
        StoreManifestError::Newer(_) => "Newer",
        StoreManifestError::Contradiction => "StoreManifestContradiction",
        StoreManifestError::Io(_) => "Io",
    }
}

/// Counts by name, ordered by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimReport {
    /// Runs.
    pub seeds: u64,
    /// Client operations.
    pub operations: u64,
    /// Replies delivered.
    pub replies: u64,
    /// Crashes, those during a start included.
    pub crashes: u64,
    /// Stores brought up and compared with the model.
    pub checks: u64,
    /// Everything else that was counted.
    pub counts: BTreeMap<String, u64>,
}

impl SimReport {
    /// Counts one more.
    pub fn count(&mut self, name: impl Into<String>) {
        *self.counts.entry(name.into()).or_insert(0) += 1;
    }

    /// Counts some more.
    pub fn count_times(&mut self, name: &str, times: u64) {
        if times > 0 {
            *self.counts.entry(name.into()).or_insert(0) += times;
        }
    }

    /// Counts the rules that a recovery took.
    pub fn count_rules(&mut self, report: &RecoveryReport) {
        for rule in RecoveryRule::ALL {
            let times = report.count(rule);
            if times > 0 {
                *self.counts.entry(format!("rule {rule:?}")).or_insert(0) += times;
            }
        }
    }

    /// Counts a refusal by its kind.
    pub fn count_refusal(&mut self, refused: &RefuseToStart) {
        self.count(format!("refused {}", kind_of(refused)));
    }

    /// Counts a refusal of a shard's files by its kind.
    pub fn count_shard_refusal(&mut self, refused: &ShardOpenError) {
        let kind = match refused {
            ShardOpenError::Missing(_) => "ShardManifestMissing",
            ShardOpenError::Damaged(_) => "ShardManifestDamaged",
            ShardOpenError::Contradiction(_) => "ShardManifestContradiction",
            ShardOpenError::Newer { .. } => "ShardManifestNewer",
            ShardOpenError::Foreign(_) => "ShardManifestForeign",
            ShardOpenError::LogBehind { .. } => "LogBehindSnapshot",
            ShardOpenError::Io(_) => "ShardManifestIo",
            ShardOpenError::Content { .. } => "SnapshotContent",
            ShardOpenError::Snapshot(error) => match error {
                SnapshotError::Missing(_) => "SnapshotMissing",
                SnapshotError::Io { .. } => "SnapshotIo",
                SnapshotError::Short { .. } => "SnapshotShort",
                SnapshotError::Damaged { .. } => "SnapshotDamaged",
                SnapshotError::Newer { .. } => "SnapshotNewer",
            },
        };
        self.count(format!("refused {kind}"));
    }

    /// Counts a refusal of the store manifest by its kind.
    pub fn count_store_refusal(&mut self, refused: &StoreManifestError) {
        self.count(format!("refused {}", kind_of_store(refused)));
    }

    /// Rules of recovery and refusals that were taken fewer times than this, and how often they were.
    #[must_use]
    pub fn rules_below(&self, minimum: u64) -> Vec<(String, u64)> {
        let rules = RecoveryRule::ALL.iter().map(|rule| format!("rule {rule:?}"));
        let refusals = REFUSALS.iter().map(|kind| format!("refused {kind}"));
        let all = rules.chain(refusals).chain(["rule StoreManifestRepaired".to_owned()]);
        let counted = all.map(|name| {
            let times = self.counts.get(&name).copied().unwrap_or(0);
            (name, times)
        });
        counted.filter(|(_, times)| *times < minimum).collect()
    }

    /// Adds another report.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.operations += other.operations;
        self.replies += other.replies;
        self.crashes += other.crashes;
        self.checks += other.checks;
        for (name, times) in &other.counts {
            *self.counts.entry(name.clone()).or_insert(0) += times;
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        use std::fmt::Write;
        let mut out = String::from("{\n  \"format\": 1,\n");
        let fields = [
            ("seeds", self.seeds),
            ("operations", self.operations),
            ("replies", self.replies),
            ("crashes", self.crashes),
            ("checks", self.checks),
        ];
        for (name, value) in fields {
            let _ = writeln!(out, "  \"{name}\": {value},");
        }
        out.push_str("  \"counts\": {\n");
        let last = self.counts.len();
        for (position, (name, value)) in (1..).zip(&self.counts) {
            let comma = if position == last { "" } else { "," };
            let _ = writeln!(out, "    \"{name}\": {value}{comma}");
        }
        out.push_str("  }\n}\n");
        out
    }
}
