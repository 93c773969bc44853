//! Opens a locked store directory: manifest, recovery of every log, and a log for every worker.
//!
//! The order is the rule: nothing is decided on what was not synced first; nothing is served before every log is
//! recovered and open, durably; another number of workers than last time ends the old logs for good (clean mark,
//! their ends in the manifest) before new ones are begun. A crash anywhere on the way leaves a store that opens the
//! same. A store without a log is what the snapshots of its shards hold.

mod recovery;

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use shard::io::{Fatal, FileId};
use shard::key::KeyHasher;
use shard::log::recovery::RecoveryReport;
use shard::log::{Log, LogConfig};
use shard::shard_set::{ShardSet, StorageConfig, first_request_id};
use shard::store_files::{StoreManifestFound, StoreManifestLoad, StoreManifestWrite};
use shard::store_manifest::StoreManifest;
use shard::types::Term;

use self::recovery::{RecoveredLog, RecoveredLogs};
use crate::blocking_io::perform;
use crate::clock::{Clock, unix_ms};
use crate::drive_queue;
use crate::files::{Files, RESTORE_MARK, StoreDirectory, StoreLock};
use crate::limits::{BATCH_BUFFER_COUNT, LOG_SEGMENT_BYTES_READ_ONLY};
use crate::manifest_keeper::ManifestKeeper;
use crate::open_error::OpenError;
use crate::open_shards::create_manifests;
use crate::pool::Pool;
use crate::replay_memory::ShardManifests;
use crate::start::WorkerSeed;
use crate::store::{OpenStore, random_bytes};
use crate::{Shard, ShardFiles};

/// How to open a store directory.
#[derive(Clone, Debug)]
pub struct DiskStoreConfig {
    /// The directory.
    pub directory: PathBuf,
    /// Workers, one log each.
    pub workers: u16,
    /// The CPU of each worker.
    pub cpus: Vec<usize>,
    /// Shards of a store that is created now.
    pub shards: u16,
    /// Whether an existing store must have that many.
    pub shards_given: bool,
    /// Whether there is a write-ahead log. Without one the store is durable at checkpoints only. It is fixed at creation:
    /// a store of the other kind is not opened.
    pub wal: bool,
    /// How the logs work.
    pub log: LogConfig,
    /// When each worker makes checkpoints, and how much memory it may take.
    pub storage: StorageConfig,
}

/// An open store directory.
pub struct DiskStore {
    /// Its shards.
    pub open: OpenStore,
    /// Whether it was created now.
    pub created: bool,
    /// What recovery of each log found.
    pub reports: Vec<RecoveryReport>,
    /// How long recovery took.
    pub recovery: Duration,
    /// Most bytes of memory that the shards took during recovery, where memory has a bound.
    pub recovery_memory_bytes_max: Option<u64>,
}

/// Opens, or creates, the store of a directory that is locked: `lock` shows it.
///
/// # Errors
/// When the store is not provably whole, or cannot be used: it is then left as it was, but for redundant copies.
pub fn open(config: &DiskStoreConfig, lock: &StoreLock) -> Result<DiskStore, OpenError> {
    Opener { config, directory: StoreDirectory::new(&config.directory) }.check_finished()?;
    create(config, lock)
}

/// As [`open`], also where a restore has not come to its end: for the restore itself.
pub(crate) fn create(config: &DiskStoreConfig, _lock: &StoreLock) -> Result<DiskStore, OpenError> {
    let began = Instant::now();
    let memory_bytes_max = config.storage.memory_bytes_max;
    let memory_bytes_max = memory_bytes_max.map(|of_one| of_one.saturating_mul(u64::from(config.workers)));
    let directory = StoreDirectory::new(&config.directory).within(memory_bytes_max);
    let opener = Opener { config, directory };
    let (mut manifest, created) = opener.manifest()?;
    let shard_count = manifest.shard_count();
    if config.shards_given && shard_count != config.shards {
        let directory = config.directory.clone();
        return Err(OpenError::ShardCount { directory, found: shard_count, wanted: config.shards });
    }
    if config.workers > shard_count {
        let directory = config.directory.clone();
        return Err(OpenError::TooManyWorkers { directory, workers: config.workers, shards: shard_count });
    }
    if manifest.without_log == config.wal {
        let directory = config.directory.clone();
        return Err(match config.wal {
            true => OpenError::HasNoLog { directory },
            false => OpenError::HasLog { directory },
        });
    }
    let RecoveredLogs { mut logs, reports, mut shard_manifests } = opener.recover_all(&mut manifest)?;
    if !manifest.shard_manifests {
        create_manifests(&opener.directory, &manifest, &mut shard_manifests)?;
        manifest.note_shard_manifests();
        opener.write_manifest(&manifest, false)?;
    }
    if config.wal && logs.len() != usize::from(config.workers) {
        logs = opener.begin_era(&mut manifest, logs)?;
    }
    let keeper = ManifestKeeper::new(&config.directory, manifest.clone());
    if manifest.without_log {
        manifest.share_out(config.workers);
    }
    let hasher = KeyHasher::new(manifest.seed);
    let reads_in_flight_max = drive_queue::reads_in_flight(&config.directory, config.workers);
    let storage = StorageConfig { reads_in_flight_max, ..config.storage };
    let seeds = logs
        .into_iter()
        .enumerate()
        .map(|(index, recovered)| {
            let RecoveredLog { shards, log, files, pool, .. } = recovered;
            let shard_files = shards.iter().enumerate().map(|(position, shard)| {
                let own = shard_manifests[usize::from(shard.id().0)].take();
                let own = own.expect("every shard has a manifest by now");
                let seal = manifest.extent_seal(shard.id());
                let mut files = ShardFiles::new(own, seal, first_request_id(position));
                if shard.extents().place_end() > 0 {
                    files.adopt_data_file();
                }
                files
            });
            let shard_files = shard_files.collect();
            let mut shards = ShardSet::new(shards, hasher, pool.clone(), log);
            shards.keep_files(shard_files, storage);
            shards.show_databases(manifest.databases);
            WorkerSeed { shards, files: Some(files), pool, cpu: config.cpus.get(index).copied() }
        })
        .collect();
    let recovery_memory_bytes_max = opener.directory.memory().map(|bound| bound.peak());
    let open = OpenStore { manifest, keeper: Some(keeper), seeds };
    let recovery = began.elapsed();
    Ok(DiskStore { open, created, reports, recovery, recovery_memory_bytes_max })
}

/// A store directory as a start would find it, with nothing on disk changed: what recovery writes stays in memory.
pub struct ReadOnlyStore {
    /// What the store consists of.
    pub manifest: StoreManifest,
    /// Its shards, in order, recovered.
    pub shards: Vec<Shard>,
    /// What recovery of each log found.
    pub reports: Vec<RecoveryReport>,
}

/// Runs the recovery of a start over a directory that is only read and is locked: `_lock` shows it. Its shards may take
/// so many bytes of memory.
///
/// # Errors
/// When a start would refuse the store.
pub fn open_read_only(
    directory: &Path,
    memory_bytes_max: Option<u64>,
    _lock: &StoreLock,
) -> Result<ReadOnlyStore, OpenError> {
    let log = LogConfig { segment_bytes: LOG_SEGMENT_BYTES_READ_ONLY, ..LogConfig::default() };
    let config = DiskStoreConfig {
        directory: directory.to_path_buf(),
        workers: 1,
        cpus: Vec::new(),
        shards: 1,
        shards_given: false,
        wal: true,
        log,
        storage: StorageConfig::default(),
    };
    let opener =
        Opener { config: &config, directory: StoreDirectory::read_only(directory).within(memory_bytes_max) };
    opener.check_finished()?;
    let (mut manifest, _) = opener.manifest()?;
    let RecoveredLogs { logs, reports, .. } = opener.recover_all(&mut manifest)?;
    let mut shards: Vec<Shard> = logs.into_iter().flat_map(|log| log.shards).collect();
    shards.sort_by_key(Shard::id);
    assert_eq!(shards.len(), usize::from(manifest.shard_count()), "the era in force has every shard");
    Ok(ReadOnlyStore { manifest, shards, reports })
}

struct Opener<'a> {
    config: &'a DiskStoreConfig,
    directory: StoreDirectory,
}

impl Opener<'_> {
    fn io(&self, source: io::Error) -> OpenError {
        OpenError::Io { directory: self.directory.path().to_path_buf(), source }
    }

    fn write_failed(&self, source: Fatal) -> OpenError {
        OpenError::Write { directory: self.directory.path().to_path_buf(), source }
    }

    fn files(&self) -> Result<Files, OpenError> {
        self.directory.files().map_err(|error| self.io(error))
    }

    fn pool(&self) -> Result<Pool, OpenError> {
        Pool::new(self.config.log.batch_bytes_max, BATCH_BUFFER_COUNT).map_err(|error| self.io(error))
    }

    /// The manifest of the directory, or of a store that is created now; whether it was.
    fn manifest(&self) -> Result<(StoreManifest, bool), OpenError> {
        let mut files = self.files()?;
        let mut load = StoreManifestLoad::new(self.pool()?);
        let found = loop {
            let request = load.next_io().expect("loading goes on until it has a result");
            let done = perform(&mut files, request);
            let result = load.on_io(done).map_err(|source| OpenError::Manifest {
                directory: self.directory.path().to_path_buf(),
                source,
            })?;
            if let Some(found) = result {
                break found;
            }
        };
        match found {
            StoreManifestFound::Manifest { manifest, repaired } => {
                if repaired {
                    tracing::warn!("one copy of the store manifest was bad and was rewritten from the other");
                }
                Ok((manifest, false))
            }
            StoreManifestFound::None => {
                self.check_empty()?;
                if self.directory.is_read_only() {
                    let directory = self.directory.path().to_path_buf();
                    return Err(OpenError::NoStore { directory });
                }
                let random = || random_bytes().map_err(|error| self.io(error));
                let (shards, workers) = (self.config.shards, self.config.workers);
                if workers > shards {
                    let directory = self.directory.path().to_path_buf();
                    return Err(OpenError::TooManyWorkers { directory, workers, shards });
                }
                let mut manifest = StoreManifest::create(random()?, random()?, unix_ms(), shards, workers);
                if !self.config.wal {
                    manifest = manifest.without_log();
                }
                self.write_manifest(&manifest, true)?;
                Ok((manifest, true))
            }
        }
    }

    /// What a restore left half done is no store.
    fn check_finished(&self) -> Result<(), OpenError> {
        if self.directory.path().join(RESTORE_MARK).exists() {
            let directory = self.directory.path().to_path_buf();
            return Err(OpenError::RestoreUnfinished { directory, file: RESTORE_MARK });
        }
        Ok(())
    }

    /// A fresh store is never made over the remains of another.
    fn check_empty(&self) -> Result<(), OpenError> {
        for entry in std::fs::read_dir(self.directory.path()).map_err(|error| self.io(error))? {
            let name = entry.map_err(|error| self.io(error))?.file_name();
            let name = name.to_string_lossy();
            if FileId::from_str(&name).is_ok() {
                let directory = self.directory.path().to_path_buf();
                return Err(OpenError::ManifestMissing { directory, file: name.into_owned() });
            }
        }
        Ok(())
    }

    fn write_manifest(&self, manifest: &StoreManifest, create: bool) -> Result<(), OpenError> {
        let mut files = self.files()?;
        let mut write = StoreManifestWrite::new(manifest, create, self.pool()?);
        loop {
            let request = write.next_io().expect("writing goes on until both copies are durable");
            let done = perform(&mut files, request);
            if write.on_io(done).map_err(|fatal| self.write_failed(fatal))? {
                return Ok(());
            }
        }
    }

    /// Ends the logs of the era in force and begins one with as many logs as there are workers now.
    fn begin_era(
        &self,
        manifest: &mut StoreManifest,
        logs: Vec<RecoveredLog>,
    ) -> Result<Vec<RecoveredLog>, OpenError> {
        tracing::info!(
            from = logs.len(),
            to = self.config.workers,
            "number of workers changes: new logs are begun"
        );
        let (mut shards, mut ends, mut term) = (Vec::new(), Vec::new(), Term(1));
        for mut recovered in logs {
            let log = recovered.log.as_mut().expect("the era in force is open");
            ends.push(self.close(log, &mut recovered.files)?);
            term = term.max(recovered.report.as_ref().map_or(term, |report| report.term));
            shards.append(&mut recovered.shards);
        }
        manifest.begin_era(&ends, self.config.workers);
        self.write_manifest(manifest, false)?;
        let entries = manifest.current_era().logs.clone();
        // They are empty: nothing is replayed.
        let none = ShardManifests::new(Vec::new());
        let logs = self.recover_era(manifest, &entries, shards, Term(term.0 + 1), &none)?;
        manifest.mark_open();
        self.write_manifest(manifest, false)?;
        Ok(logs)
    }

    /// Shuts a log down cleanly.
    fn close(
        &self,
        log: &mut Log<Pool>,
        files: &mut Files,
    ) -> Result<shard::store_manifest::LogEnd, OpenError> {
        log.begin_shutdown();
        while !log.is_shut_down() {
            match log.next_io() {
                Some(request) => {
                    let done = perform(files, request);
                    log.on_io(done).map_err(|fatal| self.write_failed(fatal))?;
                }
                None => log.tick(Clock::read().now_ns),
            }
        }
        Ok(log.end())
    }
}
