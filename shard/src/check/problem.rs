//! What a check finds: each problem has a name that does not change from one check to the next, and says what it costs.

use crate::io::FileId;
use crate::log::manifest::LogManifest;
use crate::log::segment::SegmentHeader;
use crate::types::{KeyspaceId, LogId, ShardId, Slot};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth saying; a start takes care of it, or nothing is lost by it.
    Note,
    /// Data is lost, or a start refuses.
    Damage,
}

/// An entry of a snapshot whose record is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostEntry {
    /// Its keyspace.
    pub keyspace: KeyspaceId,
    /// Its slot.
    pub slot: Slot,
    /// Its hash bits.
    pub hash: u32,
    /// Its offset in the extent.
    pub offset: u32,
    /// The key, where it can still be read.
    pub key: Option<Vec<u8>>,
}

/// What would heal a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing is to be done: a start does, or it does not matter.
    None,
    /// Nothing here can. Why not.
    Impossible(String),
    /// It goes with another problem.
    With(String),
    /// Copy the other copy of a manifest over this one.
    WriteCopy {
        /// The bad copy.
        file: FileId,
        /// What it should be.
        bytes: Vec<u8>,
    },
    /// Write both copies of a segment's header anew, as its own batches and the other copy say it was.
    WriteHeader {
        /// The segment.
        file: FileId,
        /// The header.
        header: SegmentHeader,
    },
    /// Drop a free segment file from the log's manifest.
    ForgetFile {
        /// The log.
        log: LogId,
        /// The manifest without it.
        manifest: LogManifest,
        /// The file goes too: what is in it is of the log, and newer than its manifest.
        remove: Option<FileId>,
    },
    /// Write the log's manifest anew as tied to the segments that are there.
    TieManifest {
        /// The log.
        log: LogId,
        /// The manifest afterwards.
        manifest: LogManifest,
    },
    /// Remove a file that no manifest names.
    RemoveFile {
        /// The file.
        file: FileId,
    },
    /// Cut the log: nothing from there on counts any more.
    CutLog(Box<Cut>),
    /// Drop the entries of damaged records from the shard's snapshot.
    DropEntries {
        /// The shard.
        shard: ShardId,
        /// The extent they lie in.
        extent: u32,
        /// Offsets of their records.
        offsets: Vec<u32>,
    },
}

/// Where a log is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The log.
    pub log: LogId,
    /// Its manifest afterwards: the segments up to the cut.
    pub manifest: LogManifest,
    /// The segment that is the last one then.
    pub last: FileId,
    /// Its bytes from here to its end become zeros.
    pub from: u64,
    /// Its length.
    pub file_bytes: u64,
    /// Segments that go.
    pub dropped: Vec<FileId>,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What `repair` knows it by: the file, a colon, the place in it.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// Where in it, in bytes.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What is lost by the remedy; empty: nothing.
    pub lost: String,
    /// Keys that are lost, where they are known one by one.
    pub entries: Vec<LostEntry>,
    /// What would heal it.
    pub remedy: Remedy,
}

impl Problem {
    pub(super) fn new(severity: Severity, file: &dyn std::fmt::Display, place: &str, what: String) -> Self {
        let file = file.to_string();
        let name = if place.is_empty() { file.clone() } else { format!("{file}:{place}") };
        let remedy = match severity {
            Severity::Note => Remedy::None,
            Severity::Damage => {
                Remedy::Impossible("restore the file from a copy of the directory".to_owned())
            }
        };
        Self { name, severity, file, offset: None, what, lost: String::new(), entries: Vec::new(), remedy }
    }

    pub(super) fn at(self, offset: u64) -> Self {
        Self { offset: Some(offset), ..self }
    }

    pub(super) fn losing(self, lost: String) -> Self {
        Self { lost, ..self }
    }

    pub(super) fn healed_by(self, remedy: Remedy) -> Self {
        Self { remedy, ..self }
    }

    /// Whether `repair` takes its name.
    #[must_use]
    pub const fn is_repairable(&self) -> bool {
        !matches!(self.remedy, Remedy::None | Remedy::Impossible(_) | Remedy::With(_))
    }
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Files.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Log batches that are as they should be.
    pub batches: u64,
    /// Records in them.
    pub log_records: u64,
    /// Extents that snapshots name.
    pub extents: u64,
    /// Intact records in them.
    pub records: u64,
    /// Index entries that point at their record.
    pub entries: u64,
}

/// All that a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// What was looked at.
    pub looked: Looked,
    /// What is wrong, by file.
    pub problems: Vec<Problem>,
}

impl CheckReport {
    pub(super) fn note(&mut self, file: &dyn std::fmt::Display, place: &str, what: String) {
        self.problems.push(Problem::new(Severity::Note, file, place, what));
    }

    pub(super) fn damage(&mut self, file: &dyn std::fmt::Display, place: &str, what: String) {
        self.problems.push(Problem::new(Severity::Damage, file, place, what));
    }

    /// Whether data is lost, or a start refuses.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Damage)
    }

    /// The problem of this name.
    #[must_use]
    pub fn problem(&self, name: &str) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.name == name)
    }
}
