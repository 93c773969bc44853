//! Why a store directory is not opened, in words that tell an operator what to do.

use std::io;
use std::path::PathBuf;

use shard::cold::ColdReadError;
use shard::io::Fatal;
use shard::log::recovery::RefuseToStart;
use shard::shard::ApplyError;
use shard::shard_open::ShardOpenError;
use shard::store_files::StoreManifestError;

use crate::cold_reader::ReplayError;

/// Why a store directory is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its manifest says no.
    #[error("{directory}: {source}")]
    Manifest {
        /// The directory.
        directory: PathBuf,
        /// The reason.
        source: StoreManifestError,
    },
    /// There are files of a store, but no manifest.
    #[error(
        "{directory}: {file} is there, but both store manifests are missing; nothing was changed; restore them from \
         a copy of the directory, or use an empty --dir"
    )]
    ManifestMissing {
        /// The directory.
        directory: PathBuf,
        /// One of the files.
        file: String,
    },
    /// There is no store.
    #[error(
        "{directory}: there is no store in this directory: it has no store.manifest-a and no other file of one"
    )]
    NoStore {
        /// The directory.
        directory: PathBuf,
    },
    /// Recovery in memory takes more of it than is allowed.
    #[error(
        "{directory}: the index and what the log holds since the last checkpoint take more memory than --maxmemory \
         allows; start and stop the daemon once, which makes a checkpoint, or allow more"
    )]
    Memory {
        /// The directory.
        directory: PathBuf,
    },
    /// `ourod restore` began to fill it and did not come to its end.
    #[error(
        "{directory}: a restore into this directory was not finished ({file} is still there): it holds only a part of \
         the dump; remove the directory and restore again"
    )]
    RestoreUnfinished {
        /// The directory.
        directory: PathBuf,
        /// The file that says so.
        file: &'static str,
    },
    /// The store has another number of shards than asked for.
    #[error(
        "{directory}: the store has {found} shards and --shards asks for {wanted}; the number is fixed at creation: \
         leave --shards out"
    )]
    ShardCount {
        /// The directory.
        directory: PathBuf,
        /// What it has.
        found: u16,
        /// What was asked for.
        wanted: u16,
    },
    /// There is a log, and the store was to be opened without one.
    #[error(
        "{directory}: the store has a write-ahead log, and was to be opened without one: nothing was changed; leave \
         --wal no out, or move its data into a new store without a log: ourod dump {directory} -o FILE, then ourod \
         restore --wal no NEW-DIRECTORY FILE"
    )]
    HasLog {
        /// The directory.
        directory: PathBuf,
    },
    /// There is no log, and the store was to be opened with one.
    #[error(
        "{directory}: the store was made without a write-ahead log, and was to be opened with one: nothing was changed; \
         give --wal no, or move its data into a new store with a log: ourod dump {directory} -o FILE, then ourod \
         restore NEW-DIRECTORY FILE"
    )]
    HasNoLog {
        /// The directory.
        directory: PathBuf,
    },
    /// More workers than shards.
    #[error("{directory}: {workers} workers cannot share {shards} shards; give --workers at most {shards}")]
    TooManyWorkers {
        /// The directory.
        directory: PathBuf,
        /// What was asked for.
        workers: u16,
        /// What there is to share.
        shards: u16,
    },
    /// A log says no.
    #[error("{directory}: {source}")]
    Refused {
        /// The directory.
        directory: PathBuf,
        /// The reason.
        source: RefuseToStart,
    },
    /// The records of a log do not fit together.
    #[error("{directory}: {source}; no data was changed; restore the directory from a copy")]
    Records {
        /// The directory.
        directory: PathBuf,
        /// The reason.
        source: ApplyError,
    },
    /// A shard's own files say no.
    #[error("{directory}: {source}")]
    Shard {
        /// The directory.
        directory: PathBuf,
        /// The reason.
        source: Box<ShardOpenError>,
    },
    /// A record on disk that the log's replay needs cannot be read back.
    #[error("{directory}: {source}; no data was changed; restore the directory from a copy")]
    ColdRead {
        /// The directory.
        directory: PathBuf,
        /// The reason.
        source: ColdReadError,
    },
    /// Writing failed.
    #[error("{directory}: {source}")]
    Write {
        /// The directory.
        directory: PathBuf,
        /// What failed.
        source: Fatal,
    },
    /// Another failure of the operating system.
    #[error("{directory}: {source}")]
    Io {
        /// The directory.
        directory: PathBuf,
        /// The error.
        source: io::Error,
    },
}

impl OpenError {
    /// What a replay that cannot go on means for the store.
    pub(crate) fn of_replay(directory: PathBuf, error: ReplayError) -> Self {
        match error {
            ReplayError::Apply(source) => Self::Records { directory, source },
            ReplayError::Read(source) => Self::ColdRead { directory, source },
            ReplayError::Memory => Self::Memory { directory },
            ReplayError::Write(source) => Self::Write { directory, source },
            ReplayError::Open(source) => Self::Io { directory, source },
        }
    }
}
