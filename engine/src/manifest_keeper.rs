//! The store manifest of a store that serves: the one thing in it that changes then is which database each number shows.
//!
//! Rare and small, so it is written by a thread that may wait for the drive; no worker does. Whoever asks sees to it that
//! one change is made after the other.

use std::io;
use std::path::{Path, PathBuf};

use shard::databases::DatabaseMap;
use shard::io::{Fatal, FileId, ManifestCopy};
use shard::limits::STORE_MANIFEST_BYTES_MAX;
use shard::store_files::StoreManifestWrite;
use shard::store_manifest::StoreManifest;
use shard::types::Db;

use crate::blocking_io::perform;
use crate::files::Files;
use crate::pool::Pool;

/// Why the manifest was not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// Nothing was written: all is as it was, and may be tried again.
    #[error("the store manifest cannot be opened, nothing was changed: {0}")]
    Unchanged(io::Error),
    /// What is on disk is unknown: the process must end, and recovery decides.
    #[error(transparent)]
    Unknown(Fatal),
}

/// The manifest as both copies on disk have it.
#[derive(Debug)]
pub struct ManifestKeeper {
    directory: PathBuf,
    manifest: StoreManifest,
}

impl ManifestKeeper {
    /// Of a store directory that is locked and whose copies are both this manifest.
    pub(crate) fn new(directory: &Path, manifest: StoreManifest) -> Self {
        Self { directory: directory.to_path_buf(), manifest }
    }

    /// Has two databases change their numbers. On return the change survives power loss; after a crash on the way it is
    /// there as a whole or not at all. Waits for the drive.
    ///
    /// # Errors
    /// [`KeeperError::Unchanged`]: nothing happened. [`KeeperError::Unknown`]: end the process, with nothing more
    /// acknowledged.
    ///
    /// # Panics
    /// When there are no such databases.
    pub fn swap_databases(&mut self, first: Db, second: Db) -> Result<DatabaseMap, KeeperError> {
        let mut next = self.manifest.clone();
        next.swap_databases(first, second);
        let (mut files, pool) = self.prepare().map_err(KeeperError::Unchanged)?;
        let mut write = StoreManifestWrite::new(&next, false, pool);
        loop {
            let request = write.next_io().expect("writing goes on until both copies are durable");
            if write.on_io(perform(&mut files, request)).map_err(KeeperError::Unknown)? {
                break;
            }
        }
        self.manifest = next;
        Ok(self.manifest.databases)
    }

    /// All that can be missing before the first write: both files, open, and memory.
    fn prepare(&self) -> io::Result<(Files, Pool)> {
        let mut files = Files::new(&self.directory)?;
        for copy in [ManifestCopy::A, ManifestCopy::B] {
            files.get(FileId::StoreManifest(copy))?;
        }
        Ok((files, Pool::new(STORE_MANIFEST_BYTES_MAX, 0)?))
    }
}
