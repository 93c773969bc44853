//! Loading and writing the store manifest: the first and the last word on what a store is.

use std::collections::VecDeque;

use crate::io::{BlockPool, Fatal, FileId, IoDone, IoRequest, ManifestCopy};
use crate::limits::STORE_MANIFEST_BYTES_MAX;
use crate::log::copies::{CopiesLoad, CopiesWrite, Loaded};
use crate::log::pending_write::RequestIds;
use crate::planted::{self, PlantedBug};
use crate::shard_manifest::ShardManifest;
use crate::store_manifest::StoreManifest;
use crate::types::{LogId, ShardId};

pub(crate) const FILES: [FileId; 2] =
    [FileId::StoreManifest(ManifestCopy::A), FileId::StoreManifest(ManifestCopy::B)];

/// Why a store manifest cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreManifestError {
    /// Neither copy is intact, though there is at least one.
    #[error(
        "{} and {} are both damaged: nothing was changed; restore one of them from a copy of the directory",
        FILES[0], FILES[1]
    )]
    Damaged,
    /// A later version wrote it.
    #[error(
        "the store has format {0}, newer than this program reads; start the version that wrote it, or a later one"
    )]
    Newer(u32),
    /// Two intact copies contradict each other.
    #[error("{} and {} contradict each other, neither was made of the other: nothing was changed; one is from a copy of the store that went its own way: remove the one that is not this store's, or restore it from a copy of the directory", FILES[0], FILES[1])]
    Contradiction,
    /// A file of a log is there that was begun after all that the manifest names.
    #[error(
        "{file} is there, and {} names logs up to {last} only: the manifest is older than the store, or from a copy of it that went its own way; nothing was changed; restore the manifest from a copy of the directory, or move the log's files away if they are not of this store",
        FILES[0]
    )]
    LogNotNamed {
        /// The file.
        file: FileId,
        /// The last log that is named.
        last: LogId,
    },
    /// A shard was saved in a log that the manifest does not name, or needs one that it has given up.
    #[error(
        "{} names the logs {first} to {last}, and the snapshot of shard {shard} does not go with them: one of the manifests is from a copy of the store that went its own way; nothing was changed; restore it from a copy of the directory",
        FILES[0]
    )]
    ShardOfOtherLogs {
        /// The shard.
        shard: ShardId,
        /// The first log that is named.
        first: LogId,
        /// The last one.
        last: LogId,
    },
    /// The manifest says that shards have no manifests yet, and one has been written to.
    #[error(
        "{} is older than the manifest of shard {shard}: nothing was changed; restore it from a copy of the directory",
        FILES[0]
    )]
    OlderThanShard {
        /// The shard.
        shard: ShardId,
    },
    /// A shard knows of a swap of databases that the manifest does not hold.
    #[error(
        "{} is older than the manifest of shard {shard}, or from a copy of the store that went its own way: databases have changed their numbers otherwise (SWAPDB); nothing was changed; restore it from a copy of the directory",
        FILES[0]
    )]
    SwappedOtherwise {
        /// The shard.
        shard: ShardId,
    },
    /// I/O failed.
    #[error(transparent)]
    Io(#[from] Fatal),
}

impl StoreManifest {
    /// Whether the manifest is as new as the files of the directory. A log's files are made after both copies of the
    /// manifest name it.
    ///
    /// # Errors
    /// [`StoreManifestError::LogNotNamed`].
    pub fn check_files(&self, files: impl IntoIterator<Item = FileId>) -> Result<(), StoreManifestError> {
        let last = self.last_log();
        let is_later = |file: &FileId| match file {
            FileId::LogManifest { log, .. } | FileId::Segment { log, .. } => *log > last,
            _ => false,
        };
        match files.into_iter().find(is_later) {
            Some(file) if !planted::is(PlantedBug::UnnamedLogPassedOver) => {
                Err(StoreManifestError::LogNotNamed { file, last })
            }
            _ => Ok(()),
        }
    }

    /// Whether the manifest goes with those of the shards, in their order; `None`: one that has none yet. Logs are given
    /// up when every shard has a snapshot that was made in a later one.
    ///
    /// # Errors
    /// [`StoreManifestError::ShardOfOtherLogs`], [`StoreManifestError::OlderThanShard`],
    /// [`StoreManifestError::SwappedOtherwise`].
    pub fn check_shards<'a>(
        &self,
        shards: impl IntoIterator<Item = Option<&'a ShardManifest>>,
    ) -> Result<(), StoreManifestError> {
        let (first, last) = (self.first_log(), self.last_log());
        for (number, of) in (0..).zip(shards) {
            let shard = ShardId(number);
            if !self.shard_manifests && of.is_some_and(|of| of.sequence > 1) {
                return Err(StoreManifestError::OlderThanShard { shard });
            }
            if of.is_some_and(|of| !of.swaps.leads_to(&self.databases.mark())) {
                return Err(StoreManifestError::SwappedOtherwise { shard });
            }
            let made_in = of.and_then(|of| of.snapshot.as_ref()).map_or(LogId(0), |snapshot| snapshot.log);
            let needs_older = first > LogId(1) && made_in < first;
            if needs_older || made_in > last {
                return Err(StoreManifestError::ShardOfOtherLogs { shard, first, last });
            }
        }
        Ok(())
    }
}

/// Loads the store manifest and repairs a bad copy. Step it by `next_io` and `on_io` until `on_io` has a result.
pub struct StoreManifestLoad<P: BlockPool> {
    pool: P,
    ids: RequestIds,
    requests: VecDeque<IoRequest<P>>,
    load: CopiesLoad<StoreManifest>,
    repair: Option<(CopiesWrite, StoreManifest)>,
}

/// What was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreManifestFound {
    /// The manifest, now intact in both copies.
    Manifest {
        /// What the store is.
        manifest: StoreManifest,
        /// Whether a copy had to be rewritten.
        repaired: bool,
    },
    /// Neither copy is there: no store, unless the directory has other files of one.
    None,
}

impl<P: BlockPool> StoreManifestLoad<P> {
    /// Starts.
    #[must_use]
    pub fn new(pool: P) -> Self {
        let mut ids = RequestIds::new();
        let mut requests = VecDeque::new();
        let load = CopiesLoad::start(FILES, STORE_MANIFEST_BYTES_MAX, &mut ids, &mut requests);
        Self { pool, ids, requests, load, repair: None }
    }

    /// The next I/O to perform.
    #[must_use]
    pub fn next_io(&mut self) -> Option<IoRequest<P>> {
        self.requests.pop_front()
    }

    /// Takes a completion; the result is there when loading is done.
    ///
    /// # Errors
    /// The store must not be opened.
    pub fn on_io(&mut self, done: IoDone<P>) -> Result<Option<StoreManifestFound>, StoreManifestError> {
        if let Some((repair, manifest)) = &mut self.repair {
            return match repair.on_io(done, &mut self.pool, &mut self.ids)? {
                Some(request) => {
                    self.requests.push_back(request);
                    Ok(None)
                }
                None => Ok(Some(StoreManifestFound::Manifest { manifest: manifest.clone(), repaired: true })),
            };
        }
        let loaded = self.load.on_io(done, &mut self.pool, &mut self.ids, &mut self.requests)?;
        match loaded {
            None => Ok(None),
            Some(Loaded::Missing) => Ok(Some(StoreManifestFound::None)),
            Some(Loaded::Damaged) => Err(StoreManifestError::Damaged),
            Some(Loaded::Newer(format)) => Err(StoreManifestError::Newer(format)),
            Some(Loaded::Unreadable(file, error)) => {
                Err(Fatal { what: "reading the store manifest", file, offset: 0, error }.into())
            }
            Some(Loaded::Contradiction) => Err(StoreManifestError::Contradiction),
            Some(Loaded::Manifest { manifest, stale: [false, false], .. }) => {
                Ok(Some(StoreManifestFound::Manifest { manifest, repaired: false }))
            }
            Some(Loaded::Manifest { manifest, stale, missing }) => {
                let (write, request) =
                    CopiesWrite::start(&manifest, FILES, stale, missing, &mut self.pool, &mut self.ids);
                self.requests.push_back(request);
                self.repair = Some((write, manifest));
                Ok(None)
            }
        }
    }
}

/// Writes both copies of the store manifest. Step it by `next_io` and `on_io` until `on_io` says true: then the
/// manifest counts.
pub struct StoreManifestWrite<P: BlockPool> {
    pool: P,
    ids: RequestIds,
    request: Option<IoRequest<P>>,
    write: CopiesWrite,
}

impl<P: BlockPool> StoreManifestWrite<P> {
    /// Starts. `create`: the files do not exist yet, or hold nothing that counts.
    #[must_use]
    pub fn new(manifest: &StoreManifest, create: bool, mut pool: P) -> Self {
        let mut ids = RequestIds::new();
        let (write, request) =
            CopiesWrite::start(manifest, FILES, [true; 2], [create; 2], &mut pool, &mut ids);
        Self { pool, ids, request: Some(request), write }
    }

    /// The next I/O to perform.
    #[must_use]
    pub fn next_io(&mut self) -> Option<IoRequest<P>> {
        self.request.take()
    }

    /// Takes a completion; true when both copies are durable.
    ///
    /// # Errors
    /// What is on disk is unknown: the process must stop.
    pub fn on_io(&mut self, done: IoDone<P>) -> Result<bool, Fatal> {
        self.request = self.write.on_io(done, &mut self.pool, &mut self.ids)?;
        Ok(self.request.is_none())
    }
}
