//! Why a store is not opened: texts that name file, offset, range and what to do.

use crate::io::{Fatal, FileId, IoError};
use crate::types::{BatchNumber, LogId};

/// The store must not be opened: data that was acknowledged is, or may be, lost. Nothing was changed but repairs of
/// redundant copies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefuseToStart {
    /// Both copies of the log manifest are gone.
    #[error("both manifests of log {log} are missing; {RESTORE}")]
    ManifestMissing {
        /// The log.
        log: LogId,
    },
    /// Neither copy of the log manifest is intact.
    #[error("both manifests of log {log} are damaged; {RESTORE}")]
    ManifestDamaged {
        /// The log.
        log: LogId,
    },
    /// Two intact copies contradict each other.
    #[error(
        "both manifests of log {log} are intact, and the newer is not made of the older: one is from a copy of the store that went its own way; nothing was changed; remove the one that is not this store's, or restore it from a copy of the directory"
    )]
    ManifestContradiction {
        /// The log.
        log: LogId,
    },
    /// The manifest is of another store, log or shard range.
    #[error("the manifest of log {log} belongs to another store or log: files are swapped; {RESTORE}")]
    ManifestForeign {
        /// The log.
        log: LogId,
    },
    /// The manifest knows a batch that this log never had: it is of a copy of the store that went its own way.
    #[error(
        "the manifest of log {log} knows another batch {batch} than the log has: manifest or segments are from a copy of the store that went its own way; {RESTORE}"
    )]
    ManifestOfAnotherHistory {
        /// The log.
        log: LogId,
        /// The batch.
        batch: BatchNumber,
    },
    /// A segment is there that the manifest does not name, and that is not older than all it names.
    #[error(
        "{file} holds generation {generation} of this log, and the log's manifest does not name it: the manifest is older than the log, or from a copy of the store that went its own way; nothing was changed; restore the manifest from a copy of the directory, or move the file away if it is not of this store"
    )]
    SegmentNotNamed {
        /// The file.
        file: FileId,
        /// Its generation.
        generation: u64,
    },
    /// A file is of a later format.
    #[error("{file} has format {format}, newer than this program reads; start the version that wrote it")]
    Newer {
        /// The file.
        file: FileId,
        /// Its format.
        format: u32,
    },
    /// A file that the manifest names is not there.
    #[error("{file} (generation {generation}), which the log's manifest names, is missing; {RESTORE}")]
    SegmentMissing {
        /// The file.
        file: FileId,
        /// Its generation.
        generation: u64,
    },
    /// A file is shorter than the manifest says.
    #[error("{file} ends at offset {offset}, its manifest says {expected}; {RESTORE}")]
    SegmentShort {
        /// The file.
        file: FileId,
        /// Where it ends.
        offset: u64,
        /// Where it should end.
        expected: u64,
    },
    /// Bytes cannot be read. They are not taken for a torn tail.
    #[error(
        "reading {file}, {bytes} bytes at offset {offset}, failed: {error}; check the drive, then start again, or restore the file from a copy of the directory"
    )]
    ReadFailed {
        /// The file.
        file: FileId,
        /// Start of the range.
        offset: u64,
        /// Length of the range.
        bytes: u64,
        /// What the operating system said.
        error: IoError,
    },
    /// Both copies of a segment's header are bad though the segment is in use.
    #[error("both headers of {file} (generation {generation}, offset 0 to 8191) are damaged; {RESTORE}")]
    HeaderLost {
        /// The file.
        file: FileId,
        /// Its generation.
        generation: u64,
    },
    /// A segment's header is intact but of another store, log, file or generation.
    #[error(
        "{file} should hold generation {generation} of this log, but its header says it is another file; {RESTORE}"
    )]
    HeaderForeign {
        /// The file.
        file: FileId,
        /// The generation that the manifest says.
        generation: u64,
    },
    /// A segment does not begin where the one before ended.
    #[error("{file} (generation {generation}) does not continue the segment before it; {RESTORE}")]
    ChainBroken {
        /// The file.
        file: FileId,
        /// Its generation.
        generation: u64,
    },
    /// Batches that were durable are damaged: something later proves it.
    #[error(
        "{file} is damaged from offset {offset} on: batches {first} to {last} were acknowledged and are lost ({proof}); {RESTORE}"
    )]
    BatchesLost {
        /// The file.
        file: FileId,
        /// Where the first lost batch should be.
        offset: u64,
        /// The first lost batch.
        first: BatchNumber,
        /// The last batch known to have been durable.
        last: BatchNumber,
        /// What proves it.
        proof: Proof,
    },
    /// An intact batch stands where it does not belong.
    #[error(
        "{file} has at offset {offset} a batch (number {number}) that belongs elsewhere: a write went astray; {RESTORE}"
    )]
    BatchMisplaced {
        /// The file.
        file: FileId,
        /// Where it stands.
        offset: u64,
        /// Its number.
        number: BatchNumber,
    },
    /// An intact batch holds what no version of this program wrote.
    #[error(
        "{file} has at offset {offset} an intact batch with a malformed record: {reason}; this is a fault of the program, please report it and keep the files"
    )]
    RecordMalformed {
        /// The file.
        file: FileId,
        /// Where the batch stands.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A log whose era is over does not end as the store manifest says.
    #[error("log {log} should end with batch {expected} and ends with batch {found}; {RESTORE}")]
    EndMismatch {
        /// The log.
        log: LogId,
        /// What the store manifest says.
        expected: BatchNumber,
        /// What is there.
        found: BatchNumber,
    },
    /// The disk is full, and the log has no file to go on in: it was moved to a disk without room, or an earlier version
    /// wrote it.
    #[error(
        "the disk is too full for {file}, in which the log is to go on: free {bytes} bytes on the file system of the store and start again; nothing is lost"
    )]
    NoSpace {
        /// The file.
        file: FileId,
        /// Bytes that it needs.
        bytes: u64,
    },
    /// A write or sync of recovery itself failed.
    #[error(transparent)]
    Io(#[from] Fatal),
}

const RESTORE: &str = "nothing was changed; restore the file from a copy of the directory";

/// What proves that lost batches were durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The next segment's header: it is written when all before it is durable.
    NextHeader,
    /// A later batch, which says how far the log was durable.
    LaterBatch {
        /// Its number.
        number: BatchNumber,
        /// Its offset in the same file.
        offset: u64,
    },
    /// The manifest: a floor lies behind the end of the log.
    Floor,
    /// The manifest: it knows a batch behind the end of the log as durable.
    Manifest,
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NextHeader => write!(f, "the next segment's header proves it"),
            Self::LaterBatch { number, offset } => write!(f, "batch {number} at offset {offset} proves it"),
            Self::Floor | Self::Manifest => write!(f, "the log's manifest proves it"),
        }
    }
}
