//! Opening a shard: its manifest, then the snapshot that names, before the log is replayed.
//!
//! Nothing on disk is changed but a bad copy of the manifest. What is not whole makes the store refuse.

use std::collections::VecDeque;

use crate::extent::ExtentSeal;
use crate::index::ExtentNumber;
use crate::io::{BlockPool, Fatal, FileId, IoDone, IoRequest};
use crate::limits::SHARD_MANIFEST_BYTES_MAX;
use crate::log::copies::{CopiesLoad, CopiesWrite, Loaded};
use crate::log::pending_write::RequestIds;
use crate::planted::{self, PlantedBug};
use crate::shard::Shard;
use crate::shard_copy::LoadError;
use crate::shard_manifest::ShardManifest;
use crate::snapshot::{
    SnapshotError, SnapshotEvent, SnapshotIdentity, SnapshotReader, TailError, TailReader,
};
use crate::types::{BatchNumber, LogId, Lsn, ShardId};

/// Why a shard cannot be opened: the store must not be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardOpenError {
    /// Neither copy of its manifest is there.
    #[error("{0} and its other copy are missing; restore them from a copy of the directory")]
    Missing(FileId),
    /// Neither copy of its manifest is intact.
    #[error(
        "{0} and its other copy are both damaged: nothing was changed; restore one of them from a copy of the directory"
    )]
    Damaged(FileId),
    /// Two intact copies contradict each other.
    #[error(
        "{0} and its other copy contradict each other, neither was made of the other: nothing was changed; one is from a copy of the store that went its own way: remove the one that is not this store's, or restore it from a copy of the directory"
    )]
    Contradiction(FileId),
    /// A later version wrote the manifest.
    #[error(
        "{file} has format {format}, newer than this program reads; start the version that wrote it, or a later one"
    )]
    Newer {
        /// The file.
        file: FileId,
        /// Its format.
        format: u32,
    },
    /// The manifest is of another store or another shard.
    #[error(
        "{0} belongs to another store or another shard: files were mixed up; restore it from a copy of the directory"
    )]
    Foreign(FileId),
    /// The log ends before the snapshot does: what was acknowledged is gone.
    #[error(
        "shard {shard}: its snapshot holds records up to {end} (log {log}, batch {batch}), and the log ends before that \
         (record {found}): acknowledged data is lost, or an older log is mixed in; nothing was changed; restore the log's \
         files from a copy of the directory"
    )]
    LogBehind {
        /// The shard.
        shard: ShardId,
        /// Last record of the snapshot.
        end: Lsn,
        /// The log that held it.
        log: LogId,
        /// The batch that held it.
        batch: BatchNumber,
        /// Last record of the shard that there is now.
        found: Lsn,
    },
    /// I/O failed.
    #[error(transparent)]
    Io(#[from] Fatal),
    /// The snapshot is not what the manifest names.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The tail of the snapshot is not what was written.
    #[error("{file}: {source}: nothing was changed; restore it from a copy of the directory")]
    Tail {
        /// The file.
        file: FileId,
        /// How.
        source: TailError,
    },
    /// The snapshot contradicts itself.
    #[error("{file}: {source}: nothing was changed; restore it from a copy of the directory")]
    Content {
        /// The file.
        file: FileId,
        /// How.
        source: LoadError,
    },
}

/// A shard that has been opened, as of the start of its snapshot.
pub struct OpenedShard<P: BlockPool> {
    /// Its manifest; `None`: it has none yet, see [`ShardManifestWrite`].
    pub manifest: Option<ShardManifest>,
    /// Whether a copy of the manifest was bad and has been rewritten.
    pub repaired: bool,
    /// What is to be applied before any log: the records of the snapshot itself, up to its end. They may look at what the
    /// data file holds.
    pub tail: Option<TailReader<P>>,
}

enum Step<P: BlockPool> {
    Manifest(CopiesLoad<ShardManifest>),
    Repair(CopiesWrite, ShardManifest),
    Snapshot(Box<SnapshotReader<P>>, ShardManifest),
    Done(Option<ShardManifest>, Option<TailReader<P>>),
    Over,
}

/// Opens one shard. Step it by `next_io` and `on_io` until it is finished.
pub struct ShardOpen<P: BlockPool> {
    uuid: [u8; 16],
    seal: ExtentSeal,
    may_be_missing: bool,
    repaired: bool,
    pool: P,
    ids: RequestIds,
    requests: VecDeque<IoRequest<P>>,
    step: Step<P>,
}

impl<P: BlockPool + Clone> ShardOpen<P> {
    /// Begins. `may_be_missing`: the store's manifest does not promise that shards have manifests yet.
    #[must_use]
    pub fn new(uuid: [u8; 16], seal: ExtentSeal, may_be_missing: bool, pool: P) -> Self {
        let mut ids = RequestIds::new();
        let mut requests = VecDeque::new();
        let files = ShardManifest::files(seal.shard);
        let load = CopiesLoad::start(files, SHARD_MANIFEST_BYTES_MAX, &mut ids, &mut requests);
        let step = Step::Manifest(load);
        Self { uuid, seal, may_be_missing, repaired: false, pool, ids, requests, step }
    }

    /// The next I/O to perform.
    #[must_use]
    pub fn next_io(&mut self) -> Option<IoRequest<P>> {
        match &mut self.step {
            Step::Snapshot(reader, _) => reader.next_io(),
            _ => self.requests.pop_front(),
        }
    }

    /// Bytes of the snapshot read and to be read.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        match &self.step {
            Step::Snapshot(reader, _) => reader.progress(),
            _ => (0, 0),
        }
    }

    /// Takes a completion, and loads what it brought into the shard, which is fresh at first. The result is there when
    /// all is loaded.
    ///
    /// # Errors
    /// The store must not be opened.
    pub fn on_io(
        &mut self,
        done: IoDone<P>,
        shard: &mut Shard<P>,
    ) -> Result<Option<OpenedShard<P>>, ShardOpenError> {
        match &mut self.step {
            Step::Manifest(load) => {
                let loaded = load.on_io(done, &mut self.pool, &mut self.ids, &mut self.requests)?;
                if let Some(loaded) = loaded {
                    self.on_loaded(loaded, shard)?;
                }
            }
            Step::Repair(write, manifest) => match write.on_io(done, &mut self.pool, &mut self.ids)? {
                Some(request) => self.requests.push_back(request),
                None => {
                    let manifest = manifest.clone();
                    self.begin_snapshot(manifest, shard);
                }
            },
            Step::Snapshot(reader, manifest) => {
                let number = manifest.snapshot.as_ref().map_or(0, |snapshot| snapshot.number);
                let file = FileId::ShardSnapshot { shard: manifest.shard, number };
                let content = |source| ShardOpenError::Content { file, source };
                reader.on_io(done, &mut |event| match event {
                    SnapshotEvent::Entries { keyspace, slot, entries } => {
                        shard.load_entries(keyspace, slot, entries).map_err(content)
                    }
                    SnapshotEvent::Extent(extent) => shard.load_extent(extent).map_err(content),
                    // They are applied when all is loaded.
                    SnapshotEvent::Records(_) => Ok(()),
                })?;
                if reader.is_finished() {
                    shard.finish_loading(ExtentNumber(manifest.extent_limit)).map_err(content)?;
                    self.end_snapshot()?;
                }
            }
            Step::Done(..) | Step::Over => unreachable!("nothing is asked for any more"),
        }
        if let Step::Done(manifest, tail) = &mut self.step {
            let (manifest, tail) = (manifest.take(), tail.take());
            self.step = Step::Over;
            return Ok(Some(OpenedShard { manifest, repaired: self.repaired, tail }));
        }
        Ok(None)
    }

    /// All of the snapshot is read: its tail is what the manifest promises.
    fn end_snapshot(&mut self) -> Result<(), ShardOpenError> {
        let Step::Snapshot(reader, manifest) = std::mem::replace(&mut self.step, Step::Over) else {
            unreachable!("a snapshot was read")
        };
        let (file, tail) = (reader.file(), reader.tail());
        let snapshot = manifest.snapshot.as_ref().expect("the manifest names the snapshot");
        let end = snapshot.tail(tail.bytes);
        if tail != end && !planted::is(PlantedBug::SnapshotEndUnverified) {
            let source = TailError::End { found: tail.end, end: snapshot.end };
            return Err(ShardOpenError::Tail { file, source });
        }
        let tail = TailReader::new(*reader).filter(|_| !planted::is(PlantedBug::TailIgnored));
        self.step = Step::Done(Some(manifest), tail);
        Ok(())
    }

    fn on_loaded(
        &mut self,
        loaded: Loaded<ShardManifest>,
        shard: &mut Shard<P>,
    ) -> Result<(), ShardOpenError> {
        let [file, _] = ShardManifest::files(self.seal.shard);
        match loaded {
            // Nothing was ever decided by what was never promised to be there.
            Loaded::Missing | Loaded::Damaged if self.may_be_missing => {
                shard
                    .finish_loading(ExtentNumber(0))
                    .map_err(|source| ShardOpenError::Content { file, source })?;
                self.step = Step::Done(None, None);
                Ok(())
            }
            Loaded::Missing => Err(ShardOpenError::Missing(file)),
            Loaded::Damaged => Err(ShardOpenError::Damaged(file)),
            Loaded::Newer(format) => Err(ShardOpenError::Newer { file, format }),
            Loaded::Unreadable(file, error) => {
                Err(Fatal { what: "reading a shard's manifest", file, offset: 0, error }.into())
            }
            Loaded::Contradiction => Err(ShardOpenError::Contradiction(file)),
            Loaded::Manifest { manifest, .. }
                if (manifest.uuid != self.uuid || manifest.shard != self.seal.shard)
                    && !planted::is(PlantedBug::ForeignShardManifest) =>
            {
                Err(ShardOpenError::Foreign(file))
            }
            Loaded::Manifest { manifest, stale: [false, false], .. } => {
                self.begin_snapshot(manifest, shard);
                Ok(())
            }
            Loaded::Manifest { manifest, stale, missing } => {
                self.repaired = true;
                let files = ShardManifest::files(self.seal.shard);
                let (write, request) =
                    CopiesWrite::start(&manifest, files, stale, missing, &mut self.pool, &mut self.ids);
                self.requests.push_back(request);
                self.step = Step::Repair(write, manifest);
                Ok(())
            }
        }
    }

    fn begin_snapshot(&mut self, manifest: ShardManifest, shard: &mut Shard<P>) {
        let Some(snapshot) = &manifest.snapshot else {
            let loaded = shard.finish_loading(ExtentNumber(manifest.extent_limit));
            assert!(loaded.is_ok(), "nothing points anywhere");
            self.step = Step::Done(Some(manifest), None);
            return;
        };
        shard.start_snapshot(&snapshot.start);
        shard.load_file(snapshot.place_count);
        let identity =
            SnapshotIdentity { store: self.seal.store, shard: self.seal.shard, number: snapshot.number };
        let reader = SnapshotReader::new(identity, snapshot, self.pool.clone());
        self.step = Step::Snapshot(Box::new(reader), manifest);
    }
}

/// Whether the replayed log reaches what the shard's snapshot proves was durable in it. `log_end`: the log and its last
/// batch.
///
/// # Errors
/// [`ShardOpenError::LogBehind`].
pub fn check_reached<P: BlockPool>(
    shard: &Shard<P>,
    manifest: &ShardManifest,
    (log, last): (LogId, BatchNumber),
) -> Result<(), ShardOpenError> {
    let Some(snapshot) = &manifest.snapshot else { return Ok(()) };
    let behind = snapshot.log == log && last < snapshot.end_batch;
    if (shard.lsn() < snapshot.end || behind) && !planted::is(PlantedBug::LogBehindAccepted) {
        return Err(ShardOpenError::LogBehind {
            shard: shard.id(),
            end: snapshot.end,
            log: snapshot.log,
            batch: snapshot.end_batch,
            found: shard.lsn(),
        });
    }
    Ok(())
}

/// Writes the first manifest of a shard that has none, both copies. Step it by `next_io` and `on_io` until `on_io` says
/// true: then it counts.
pub struct ShardManifestWrite<P: BlockPool> {
    pool: P,
    ids: RequestIds,
    request: Option<IoRequest<P>>,
    write: CopiesWrite,
}

impl<P: BlockPool> ShardManifestWrite<P> {
    /// Starts.
    #[must_use]
    pub fn new(manifest: &ShardManifest, mut pool: P) -> Self {
        let mut ids = RequestIds::new();
        let files = ShardManifest::files(manifest.shard);
        let (write, request) = CopiesWrite::start(manifest, files, [true; 2], [true; 2], &mut pool, &mut ids);
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
