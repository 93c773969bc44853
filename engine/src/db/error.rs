//! Why a call of the library did not do what it was asked.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use shard::cold::ColdReadError;
use shard::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use shard::shard_set::TaskError;

use crate::files::LockError;
use crate::open_error::OpenError;
use crate::start::StartError;

/// Why a call did not do what it was asked. Unless the variant says otherwise nothing was changed, and the handle
/// stays usable.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The directory is in use by another process (or another handle of this one), or cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The store is not provably whole, or does not fit the options. It was left as it was.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The workers could not be started: io_uring, threads or memory are not to be had.
    #[error(transparent)]
    Start(#[from] StartError),
    /// An option that cannot be served.
    #[error("{0}")]
    Options(String),
    /// The operating system refused something while opening or looking at the directory.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// The key is longer than a store holds.
    #[error("the key has {bytes} bytes, at most {KEY_BYTES_MAX} are possible")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The value is longer than a store holds.
    #[error("the value has {bytes} bytes, at most {VALUE_BYTES_MAX} are possible")]
    ValueTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The disk is too full for what would be written: nothing was changed. Reads go on, and deletes as long as there is room
    /// to log them; delete something or free space, and try again.
    #[error(
        "the disk is too full for more data: delete keys or free space on the file system of the store, then try again"
    )]
    DiskFull,
    /// A store in memory has reached its limit. Delete something, or open it with a higher limit.
    #[error("the memory limit is reached: delete keys, or open the store with a higher memory_limit")]
    OutOfMemory,
    /// The record is on disk and cannot be read back whole: never "no such key". Restore it from a copy.
    #[error("storage error: {0}; restore the key from a copy")]
    Unreadable(#[from] ColdReadError),
    /// The store cannot do this: it has no log, or nothing on disk.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// Something written may not survive, or an invariant broke: nothing is acknowledged from then on, by any handle.
    /// Writes under way have not been acknowledged and may or may not be there later. Drop all handles and open the
    /// store again: recovery decides.
    #[error("the store has failed and answers nothing more: {reason}; drop all handles and open it again")]
    Failed {
        /// What happened.
        reason: Arc<str>,
    },
    /// The store was closed by a handle.
    #[error("the store is closed")]
    Closed,
}
