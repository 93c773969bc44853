//! The border between the core and the world: I/O requests that the core emits and completions that it takes.
//!
//! The core never performs I/O. It hands out [`IoRequest`]s, the caller performs them in any order and hands back
//! one [`IoDone`] for each. Rules both sides keep:
//! - every offset and length is a multiple of [`BLOCK_BYTES`]; buffers are aligned to it (direct I/O);
//! - a write holds a frozen, shared, read-only buffer; a read owns its buffer; both come back with the completion;
//! - the performer retries interruptions (EINTR, EAGAIN) and nothing else: what an error means is decided here;
//! - a result is reported as it was: a short write or read is a smaller number, never hidden, never completed.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::types::{LogId, ShardId};

/// Unit of direct I/O: alignment of buffers, offsets and lengths.
pub const BLOCK_BYTES: usize = 4096;

/// Memory that direct I/O can use: starts on a multiple of [`BLOCK_BYTES`], its length is one too.
pub trait BlockBuffer: AsRef<[u8]> + AsMut<[u8]> + 'static {}

/// Where the core takes its buffers from and gives them back to.
pub trait BlockPool {
    /// A buffer with one owner, writable.
    type Buffer: BlockBuffer;
    /// A buffer with any number of owners, read-only.
    type Frozen: AsRef<[u8]> + Clone + 'static;

    /// A buffer of exactly `bytes` (a multiple of [`BLOCK_BYTES`], above 0): from the pool when the size is the
    /// pool's and one is free, else allocated. Its content is unspecified.
    fn take(&mut self, bytes: usize) -> Self::Buffer;

    /// Makes the buffer shared and read-only.
    fn freeze(&mut self, buffer: Self::Buffer) -> Self::Frozen;

    /// Gives one handle back; the memory is reused when it was the last.
    fn reclaim(&mut self, frozen: Self::Frozen);

    /// Gives back a buffer that was never frozen.
    fn put(&mut self, buffer: Self::Buffer) {
        let frozen = self.freeze(buffer);
        self.reclaim(frozen);
    }
}

/// Manifests have two copies, written A first, then B, each durable before the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManifestCopy {
    /// Written first.
    A,
    /// Written when A is durable.
    B,
}

impl ManifestCopy {
    /// The other copy.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A file of the store. `Display` is its name within the store directory, [`FromStr`] the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileId {
    /// What the whole store consists of (`store_manifest.rs`).
    StoreManifest(ManifestCopy),
    /// What one log consists of (`log/manifest.rs`).
    LogManifest {
        /// The log.
        log: LogId,
        /// Which of the two copies.
        copy: ManifestCopy,
    },
    /// A segment file of a log. Numbers are not generations: a file is recycled under fresh generations.
    Segment {
        /// The log.
        log: LogId,
        /// Number of the file in its log, from 1, never reused for another file while the log names it.
        file: u32,
    },
    /// What one shard consists of (`shard_manifest.rs`).
    ShardManifest {
        /// The shard.
        shard: ShardId,
        /// Which of the two copies.
        copy: ManifestCopy,
    },
    /// A snapshot of a shard's index (`snapshot/`).
    ShardSnapshot {
        /// The shard.
        shard: ShardId,
        /// Its number, from 1, rising.
        number: u32,
    },
    /// The sealed extents of a shard (`extent/`).
    ShardData {
        /// The shard.
        shard: ShardId,
    },
    /// Disk space that a worker keeps for the day the disk is full (`checkpoint/reserve.rs`); its bytes mean nothing.
    Reserve {
        /// The worker's log.
        log: LogId,
    },
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StoreManifest(ManifestCopy::A) => write!(f, "store.manifest-a"),
            Self::StoreManifest(ManifestCopy::B) => write!(f, "store.manifest-b"),
            Self::LogManifest { log, copy: ManifestCopy::A } => write!(f, "log-{:05}.manifest-a", log.0),
            Self::LogManifest { log, copy: ManifestCopy::B } => write!(f, "log-{:05}.manifest-b", log.0),
            Self::ShardManifest { shard, copy: ManifestCopy::A } => {
                write!(f, "shard-{:05}.manifest-a", shard.0)
            }
            Self::ShardManifest { shard, copy: ManifestCopy::B } => {
                write!(f, "shard-{:05}.manifest-b", shard.0)
            }
            Self::ShardSnapshot { shard, number } => {
                write!(f, "shard-{:05}.snapshot-{number:06}", shard.0)
            }
            Self::ShardData { shard } => write!(f, "shard-{:05}.data", shard.0),
            Self::Reserve { log } => write!(f, "log-{:05}.reserve", log.0),
            Self::Segment { log, file } => write!(f, "log-{:05}.segment-{file:06}", log.0),
        }
    }
}

impl FromStr for FileId {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let (stem, kind) = name.split_once('.').ok_or(())?;
        let copy = match kind {
            "manifest-a" => Some(ManifestCopy::A),
            "manifest-b" => Some(ManifestCopy::B),
            _ => None,
        };
        let file = match (stem, copy) {
            ("store", Some(copy)) => Self::StoreManifest(copy),
            (stem, copy) if stem.starts_with("shard-") => {
                let shard = ShardId(stem.strip_prefix("shard-").ok_or(())?.parse().map_err(|_| ())?);
                match (copy, kind) {
                    (Some(copy), _) => Self::ShardManifest { shard, copy },
                    (None, "data") => Self::ShardData { shard },
                    (None, _) => {
                        let number = kind.strip_prefix("snapshot-").ok_or(())?;
                        Self::ShardSnapshot { shard, number: number.parse().map_err(|_| ())? }
                    }
                }
            }
            (stem, copy) => {
                let log = LogId(stem.strip_prefix("log-").ok_or(())?.parse().map_err(|_| ())?);
                match copy {
                    Some(copy) => Self::LogManifest { log, copy },
                    None if kind == "reserve" => Self::Reserve { log },
                    None => {
                        let number = kind.strip_prefix("segment-").ok_or(())?;
                        Self::Segment { log, file: number.parse().map_err(|_| ())? }
                    }
                }
            }
        };
        // One spelling per file: "log-1.segment-1" would be a second name of the same file.
        if file.to_string() == name { Ok(file) } else { Err(()) }
    }
}

/// Ties a completion to its request. Unique within the state machine that emitted it, never reused by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One piece of I/O to perform.
pub struct IoRequest<P: BlockPool> {
    /// Handed back in [`IoDone::id`].
    pub id: RequestId,
    /// What to do.
    pub operation: IoOperation<P>,
}

/// What an [`IoRequest`] asks for. Unless an ordering is stated, requests may be performed in any order.
pub enum IoOperation<P: BlockPool> {
    /// Create the file, or cut an existing one of that name to nothing: the core asks this only for files no
    /// manifest names. `bytes` is the size it will get by [`IoOperation::Write`]s; the performer need not
    /// allocate. Done: `Ok(0)`.
    CreateFile {
        /// The file.
        file: FileId,
        /// Its size once it is written.
        bytes: u64,
    },
    /// Write `buffer[range]` at `offset`, extending the file when it ends before. Done: `Ok(bytes written)`.
    Write {
        /// The file.
        file: FileId,
        /// Offset in the file, a multiple of [`BLOCK_BYTES`].
        offset: u64,
        /// Memory to write from; comes back in [`IoBuffer::Frozen`].
        buffer: P::Frozen,
        /// The part of the buffer to write; both ends are multiples of [`BLOCK_BYTES`].
        range: Range<usize>,
        /// True: the bytes (and the metadata needed to read them) survive power loss when this completes
        /// (`RWF_DSYNC`). False: a later [`IoOperation::SyncFile`] does it.
        durable: bool,
    },
    /// Make all completed writes of the file survive power loss. Done: `Ok(0)`.
    SyncFile {
        /// The file.
        file: FileId,
        /// True: only what is needed to read the data back (`fdatasync`). False: all metadata (`fsync`).
        data_only: bool,
    },
    /// Make created and deleted names of the store directory survive power loss. Done: `Ok(0)`.
    SyncDirectory,
    /// Read `len` bytes at `offset` into the front of `buffer`. Done: `Ok(bytes read)`, less than `len` only at
    /// the end of the file.
    Read {
        /// The file.
        file: FileId,
        /// Offset in the file, a multiple of [`BLOCK_BYTES`].
        offset: u64,
        /// Memory to read into; comes back in [`IoBuffer::Owned`].
        buffer: P::Buffer,
        /// Bytes to read, at most the buffer's length, a multiple of [`BLOCK_BYTES`].
        len: usize,
    },
    /// Give the disk space of a range back. What the range holds afterwards is unspecified, the file keeps its length.
    /// Done: `Ok(0)`; an error changes nothing.
    FreeSpace {
        /// The file.
        file: FileId,
        /// Offset in the file, a multiple of [`BLOCK_BYTES`].
        offset: u64,
        /// Bytes, a multiple of [`BLOCK_BYTES`].
        bytes: u64,
    },
    /// Remove the file. Done: `Ok(0)`.
    DeleteFile {
        /// The file.
        file: FileId,
    },
    /// Take disk space for a range, so that a later write into it needs none: the file grows up to its end, what was
    /// written stays, the rest reads as zeros. Nothing is durable before a sync. Done: `Ok(0)`.
    Allocate {
        /// The file.
        file: FileId,
        /// Start of the range, a multiple of [`BLOCK_BYTES`].
        offset: u64,
        /// Its length, a multiple of [`BLOCK_BYTES`], above 0.
        bytes: u64,
    },
    /// Cut the file to a length and give the space behind it back. Asked for only when nothing that counts lies there
    /// and nothing is in flight to there. Done: `Ok(0)`.
    Truncate {
        /// The file.
        file: FileId,
        /// Its new length, a multiple of [`BLOCK_BYTES`], not above the one it has.
        bytes: u64,
    },
}

impl<P: BlockPool> IoOperation<P> {
    /// Whether it changes nothing that a later start could see.
    #[must_use]
    pub const fn only_looks(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::SyncFile { .. } | Self::SyncDirectory)
    }
}

/// Completion of an [`IoRequest`].
pub struct IoDone<P: BlockPool> {
    /// The request's id.
    pub id: RequestId,
    /// Bytes moved (0 where nothing is moved), or what went wrong.
    pub result: Result<usize, IoError>,
    /// The request's buffer, if it had one, also when it failed.
    pub buffer: IoBuffer<P>,
}

/// The buffer that comes back with a completion.
pub enum IoBuffer<P: BlockPool> {
    /// The request had none.
    None,
    /// Of a write.
    Frozen(P::Frozen),
    /// Of a read.
    Owned(P::Buffer),
}

/// What the operating system said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoError {
    /// The few classes the core decides by.
    pub kind: IoErrorKind,
    /// The errno, for the operator.
    pub code: i32,
}

/// The few classes of errors the core decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoErrorKind {
    /// ENOENT.
    NotFound,
    /// ENOSPC, EDQUOT.
    NoSpace,
    /// EOPNOTSUPP.
    Unsupported,
    /// Anything else.
    Other,
}

impl IoError {
    /// Sorts an errno into its class.
    #[must_use]
    pub const fn from_errno(code: i32) -> Self {
        const ENOENT: i32 = 2;
        const ENOSPC: i32 = 28;
        const EDQUOT: i32 = 122;
        const EOPNOTSUPP: i32 = 95;
        let kind = match code {
            ENOENT => IoErrorKind::NotFound,
            ENOSPC | EDQUOT => IoErrorKind::NoSpace,
            EOPNOTSUPP => IoErrorKind::Unsupported,
            _ => IoErrorKind::Other,
        };
        Self { kind, code }
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            IoErrorKind::NotFound => write!(f, "no such file (errno {})", self.code),
            IoErrorKind::NoSpace => write!(f, "no space left (errno {})", self.code),
            IoErrorKind::Unsupported => write!(f, "not supported (errno {})", self.code),
            IoErrorKind::Other if self.code == 0 => f.write_str("no error was reported"),
            IoErrorKind::Other => write!(f, "errno {}", self.code),
        }
    }
}

/// A write or sync that failed, or made no progress. Never retried: after an error the kernel may have dropped the
/// dirty pages, and a second attempt would report a success that is none (Rebello et al., ATC'20). The caller logs
/// it and aborts the process; nothing more may be acknowledged. Recovery decides what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} failed: {file} at offset {offset}: {error}; stopping, because what reached the disk is unknown"
)]
pub struct Fatal {
    /// What was attempted, in words.
    pub what: &'static str,
    /// The file.
    pub file: FileId,
    /// Offset of the write in the file; 0 for a sync.
    pub offset: u64,
    /// What the operating system said; `code` 0 means "no progress without an error".
    pub error: IoError,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_name_leads_back_to_its_file() {
        let log = LogId(7);
        for file in [
            FileId::StoreManifest(ManifestCopy::A),
            FileId::StoreManifest(ManifestCopy::B),
            FileId::LogManifest { log, copy: ManifestCopy::A },
            FileId::LogManifest { log, copy: ManifestCopy::B },
            FileId::Segment { log, file: 1 },
            FileId::Segment { log: LogId(u32::MAX), file: u32::MAX },
            FileId::ShardManifest { shard: ShardId(3), copy: ManifestCopy::A },
            FileId::ShardManifest { shard: ShardId(3), copy: ManifestCopy::B },
            FileId::ShardData { shard: ShardId(u16::MAX) },
            FileId::ShardSnapshot { shard: ShardId(0), number: 12 },
            FileId::Reserve { log },
        ] {
            assert_eq!(file.to_string().parse(), Ok(file));
        }
    }

    #[test]
    fn a_name_we_would_not_write_is_not_ours() {
        for name in [
            "",
            "x",
            "store.manifest-c",
            "log-1.segment-1",
            "log-00001.segment-1",
            "log-00001.segment-+00001",
            "log-1.reserve",
            "shard-1.data",
            "shard-00001.datax",
            "shard-00001.snapshot-1",
        ] {
            assert_eq!(name.parse::<FileId>(), Err(()), "{name}");
        }
    }
}
