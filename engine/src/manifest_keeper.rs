//! The store manifest of a store that serves: the one thing in it that changes then is which database each number shows.
//!
//! Rare and small, so it is written by a thread that may wait for the drive; no worker does. Whoever asks sees to it that
//! one change is made after the other.

use std::io;
use std::path::{Path, PathBuf};

use shard::databases::DatabaseMap;
use shard::io::{Fatal, FileId, IoErrorKind, ManifestCopy};
use shard::limits::STORE_MANIFEST_BYTES_MAX;
use shard::store_manifest::StoreManifest;
use shard::store_manifest_change::{ChangeOutcome, StoreManifestChange};
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
    /// Nothing was written: all is as it was.
    #[error("the store manifest cannot be read, nothing was changed: {}: {}", .0.file, .0.error)]
    Unreadable(Fatal),
    /// All is as it was, durably, and may be tried again.
    #[error(
        "the disk is too full to write the store manifest, nothing was changed: free space on the file system of --dir; {}: {}",
        .0.file, .0.error
    )]
    NoSpace(Fatal),
    /// What is on disk is unknown: the process must end, and recovery decides.
    #[error(transparent)]
    Unknown(Fatal),
}

/// The manifest as both copies on disk have it, but for one that a full disk has damaged.
#[derive(Debug)]
pub struct ManifestKeeper {
    directory: PathBuf,
    manifest: StoreManifest,
    /// By a full disk: until it is written again, by the next change or by the next start.
    damaged: Option<ManifestCopy>,
}

impl ManifestKeeper {
    /// Of a store directory that is locked and whose copies are both this manifest.
    pub(crate) fn new(directory: &Path, manifest: StoreManifest) -> Self {
        Self { directory: directory.to_path_buf(), manifest, damaged: None }
    }

    /// Has two databases change their numbers. On return the change survives power loss; after a crash on the way it is
    /// there as a whole or not at all. Waits for the drive.
    ///
    /// # Errors
    /// [`KeeperError::Unchanged`], [`KeeperError::Unreadable`], [`KeeperError::NoSpace`]: nothing was changed.
    /// [`KeeperError::Unknown`]: end the process, with nothing more acknowledged.
    ///
    /// # Panics
    /// When there are no such databases.
    pub fn swap_databases(&mut self, first: Db, second: Db) -> Result<DatabaseMap, KeeperError> {
        let mut next = self.manifest.clone();
        next.swap_databases(first, second);
        let (mut files, pool) = self.prepare().map_err(KeeperError::Unchanged)?;
        let mut change = StoreManifestChange::new(&self.manifest, &next, pool);
        let outcome = loop {
            let request = change.next_io().expect("it goes on until there is an outcome");
            if let Some(outcome) = change.on_io(perform(&mut files, request)).map_err(KeeperError::Unknown)? {
                break outcome;
            }
        };
        match outcome {
            ChangeOutcome::Changed { stale, again } => {
                if let Some(copy) = stale.filter(|_| self.damaged.is_none()) {
                    let file = FileId::StoreManifest(copy);
                    tracing::error!(
                        "{file} was not as it had been written, and was written again: look at the drive"
                    );
                }
                if again {
                    tracing::error!(
                        "the drive has not done a write of the store manifest that it acknowledged; it was written again: \
                         look at the drive"
                    );
                }
                (self.manifest, self.damaged) = (next, None);
                Ok(self.manifest.databases)
            }
            ChangeOutcome::Kept { why, .. } if why.error.kind != IoErrorKind::NoSpace => {
                Err(KeeperError::Unreadable(why))
            }
            ChangeOutcome::Kept { stale, why } => {
                self.damaged = stale;
                if let Some(copy) = stale {
                    let (file, other) = (FileId::StoreManifest(copy), FileId::StoreManifest(copy.other()));
                    tracing::error!(
                        "a full disk has damaged {file}: {other} holds all; the next SWAPDB or the next start writes it again"
                    );
                }
                Err(KeeperError::NoSpace(why))
            }
        }
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
