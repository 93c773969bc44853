//! Opens a locked store directory: manifest, recovery of every log, and a log for every worker.
//!
//! The order is the rule: nothing is decided on what was not synced first; nothing is served before every log is
//! recovered and open, durably; another number of workers than last time ends the old logs for good (clean mark,
//! their ends in the manifest) before new ones are begun. A crash anywhere on the way leaves a store that opens the
//! same.

use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use shard::cold::ColdReadError;
use shard::io::{Fatal, FileId, IoRequest};
use shard::key::KeyHasher;
use shard::log::recovery::{LogRecovery, RecoveryMode, RecoveryReport, RecoveryStart, RefuseToStart};
use shard::log::{Log, LogConfig};
use shard::shard::ApplyError;
use shard::shard_manifest::ShardManifest;
use shard::shard_open::{ShardOpenError, check_reached};
use shard::shard_set::{ShardSet, StorageConfig, first_request_id};
use shard::store_files::{StoreManifestError, StoreManifestFound, StoreManifestLoad, StoreManifestWrite};
use shard::store_manifest::{EraState, LogEntry, StoreManifest};
use shard::types::Term;

use crate::blocking_io::perform;
use crate::clock::{Clock, unix_ms};
use crate::cold_reader::ReplayError;
use crate::files::{Files, RESTORE_MARK, StoreDirectory, StoreLock};
use crate::limits::{BATCH_BUFFER_COUNT, LOG_SEGMENT_BYTES_READ_ONLY};
use crate::open_shards::{create_manifests, open_shards, remove_obsolete};
use crate::pool::Pool;
use crate::replay::Replay;
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
    /// How the logs work.
    pub log: LogConfig,
    /// When each worker makes checkpoints, and how much memory it may take.
    pub storage: StorageConfig,
}

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
    #[error("{directory}: {source}; nothing was changed; restore the directory from a copy")]
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
    #[error("{directory}: {source}; nothing was changed; restore the directory from a copy")]
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
}

/// A log recovered: its shards, itself unless its era is over, and the files it has open.
struct RecoveredLog {
    shards: Vec<Shard>,
    log: Option<Log<Pool>>,
    files: Files,
    pool: Pool,
    report: RecoveryReport,
}

/// All logs recovered.
struct RecoveredLogs {
    /// Those of the era in force.
    logs: Vec<RecoveredLog>,
    /// What recovery of each found, earlier eras included.
    reports: Vec<RecoveryReport>,
    /// The manifest of each shard; `None`: it has none yet.
    shard_manifests: Vec<Option<ShardManifest>>,
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
    let opener = Opener { config, directory: StoreDirectory::new(&config.directory) };
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
    let RecoveredLogs { mut logs, reports, mut shard_manifests } = opener.recover_all(&mut manifest)?;
    if !manifest.shard_manifests {
        create_manifests(&opener.directory, &manifest, &mut shard_manifests)?;
        manifest.note_shard_manifests();
        opener.write_manifest(&manifest, false)?;
    }
    remove_obsolete(&config.directory, &shard_manifests).map_err(|error| opener.io(error))?;
    if logs.len() != usize::from(config.workers) {
        logs = opener.begin_era(&mut manifest, logs)?;
    }
    let hasher = KeyHasher::new(manifest.seed);
    let seeds = logs
        .into_iter()
        .enumerate()
        .map(|(index, recovered)| {
            let RecoveredLog { shards, log, files, pool, .. } = recovered;
            let shard_files = shards.iter().enumerate().map(|(position, shard)| {
                let own = shard_manifests[usize::from(shard.id().0)].take();
                let own = own.expect("every shard has a manifest by now");
                ShardFiles::new(own, manifest.extent_seal(shard.id()), first_request_id(position))
            });
            let shard_files = shard_files.collect();
            let mut shards = ShardSet::new(shards, hasher, pool.clone(), log);
            shards.keep_files(shard_files, config.storage);
            WorkerSeed { shards, files: Some(files), pool, cpu: config.cpus.get(index).copied() }
        })
        .collect();
    Ok(DiskStore { open: OpenStore { manifest, seeds }, created, reports, recovery: began.elapsed() })
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
                let manifest = StoreManifest::create(random()?, random()?, unix_ms(), shards, workers);
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

    /// Recovers era after era, the logs of each in parallel, and opens the last.
    fn recover_all(&self, manifest: &mut StoreManifest) -> Result<RecoveredLogs, OpenError> {
        let opened = open_shards(&self.directory, manifest, &Progress::default())?;
        let (mut shards, shard_manifests): (Vec<Shard>, Vec<_>) =
            opened.into_iter().map(|opened| (opened.shard, opened.manifest)).unzip();
        let (mut term, mut reports) = (Term(1), Vec::new());
        let mut logs = Vec::new();
        for era in &manifest.eras {
            logs = self.recover_era(manifest, &era.logs, shards, term)?;
            term = logs.iter().map(|log| log.report.term).max().unwrap_or(term);
            term = Term(term.0 + 1);
            reports.extend(logs.iter().map(|log| log.report.clone()));
            shards = Vec::new();
            if era.state == EraState::Final {
                shards = logs.iter_mut().flat_map(|log| log.shards.drain(..)).collect();
            }
        }
        for log in &logs {
            let end = log.log.as_ref().map(|log| (log.identity().log, log.appended()));
            let end = end.expect("the era in force is open");
            for shard in &log.shards {
                let of = shard_manifests[usize::from(shard.id().0)].as_ref();
                of.map_or(Ok(()), |of| check_reached(shard, of, end)).map_err(|source| OpenError::Shard {
                    directory: self.directory.path().to_path_buf(),
                    source: Box::new(source),
                })?;
            }
        }
        if manifest.current_era().state == EraState::Opening {
            manifest.mark_open();
            self.write_manifest(manifest, false)?;
        }
        Ok(RecoveredLogs { logs, reports, shard_manifests })
    }

    /// Recovers the logs of one era in parallel. `shards` are all shards, in order; each log takes its own.
    fn recover_era(
        &self,
        manifest: &StoreManifest,
        entries: &[LogEntry],
        shards: Vec<Shard>,
        first_term: Term,
    ) -> Result<Vec<RecoveredLog>, OpenError> {
        let progress = Progress::default();
        let mut rest = shards.into_iter();
        let parts: Vec<Vec<Shard>> = entries
            .iter()
            .map(|entry| rest.by_ref().take(usize::from(entry.shard_count)).collect())
            .collect();
        assert!(rest.next().is_none(), "the logs of an era hold every shard once");
        // With one log, all cores apply its records; with one for each core, each does its own.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = cores.div_ceil(entries.len().max(1));
        let results = Mutex::new((0..entries.len()).map(|_| None).collect::<Vec<_>>());
        std::thread::scope(|scope| {
            let threads: Vec<_> = entries
                .iter()
                .zip(parts)
                .enumerate()
                .map(|(index, (entry, shards))| {
                    let (progress, results) = (&progress, &results);
                    scope.spawn(move || {
                        let start = RecoveryStart::of(manifest, entry.log, first_term);
                        let start = start.expect("the manifest names the log");
                        let result = self.recover_log(manifest, start, shards, threads, progress);
                        if let Ok(mut results) = results.lock() {
                            results[index] = Some(result);
                        }
                    })
                })
                .collect();
            progress.report_until("replaying the log", || {
                threads.iter().all(std::thread::ScopedJoinHandle::is_finished)
            });
        });
        let results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        results
            .into_iter()
            .map(|result| result.expect("a thread that ended without a panic has a result"))
            .collect()
    }

    fn recover_log(
        &self,
        manifest: &StoreManifest,
        start: RecoveryStart,
        shards: Vec<Shard>,
        threads: usize,
        progress: &Progress,
    ) -> Result<RecoveredLog, OpenError> {
        let hasher = KeyHasher::new(manifest.seed);
        let (mut files, pool) = (self.files()?, self.pool()?);
        let config = self.config.log;
        let reading = pool.keeping(config.read_bytes, config.read_depth);
        let first = start.identity.first_shard;
        let is_final = matches!(start.mode, RecoveryMode::Final(_));
        let mut recovery = LogRecovery::new(start, config, reading.clone());
        let mut seen = (0, 0);
        let failed = |source| match source {
            ReplayError::Apply(source) => {
                OpenError::Records { directory: self.directory.path().to_path_buf(), source }
            }
            ReplayError::Read(source) => {
                OpenError::ColdRead { directory: self.directory.path().to_path_buf(), source }
            }
            ReplayError::Memory => OpenError::Memory { directory: self.directory.path().to_path_buf() },
            ReplayError::Open(source) => self.io(source),
        };
        // Reads go on in a thread of their own, and what they brought is applied by others.
        let mut shards = std::thread::scope(|scope| {
            let mut replay = Replay::start(scope, first, shards, threads, hasher, (&pool, &self.directory));
            let (requests, to_perform) = channel::<IoRequest<Pool>>();
            let (performed, completions) = channel();
            let files = &mut files;
            scope.spawn(move || {
                while let Ok(request) = to_perform.recv() {
                    if performed.send(perform(files, request)).is_err() {
                        return;
                    }
                }
            });
            let mut under_way = 0;
            while !recovery.is_finished() {
                while let Some(event) = recovery.next_event() {
                    replay.take(event).map_err(failed)?;
                }
                progress.advance(&mut seen, recovery.progress());
                while let Some(request) = recovery.next_io() {
                    if !request.operation.only_looks() {
                        // Nothing is changed before it is known that all records fit together.
                        replay.settle().map_err(failed)?;
                    }
                    under_way += 1;
                    requests.send(request).expect("the thread performs until this end is gone");
                }
                if under_way > 0 {
                    let done = completions.recv().expect("every request is performed");
                    under_way -= 1;
                    recovery.on_io(done);
                }
            }
            replay.finish().map_err(failed)
        })?;
        reading.keep_no_more();
        let recovered = recovery.finish().map_err(|source| OpenError::Refused {
            directory: self.directory.path().to_path_buf(),
            source,
        })?;
        assert!(recovered.log.is_some() || is_final, "a log that is not over is open");
        for shard in &mut shards {
            shard.set_term(recovered.report.term.max(shard.term()));
        }
        Ok(RecoveredLog { shards, log: recovered.log, files, pool, report: recovered.report })
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
            term = term.max(recovered.report.term);
            shards.append(&mut recovered.shards);
        }
        manifest.begin_era(&ends, self.config.workers);
        self.write_manifest(manifest, false)?;
        let entries = manifest.current_era().logs.clone();
        let logs = self.recover_era(manifest, &entries, shards, Term(term.0 + 1))?;
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

/// Bytes of logs replayed and to be replayed, over all threads.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    shown: AtomicBool,
}

impl Progress {
    pub(crate) fn advance(&self, seen: &mut (u64, u64), now: (u64, u64)) {
        self.done.fetch_add(now.0.saturating_sub(seen.0), Ordering::Relaxed);
        self.total.fetch_add(now.1.saturating_sub(seen.1), Ordering::Relaxed);
        *seen = now;
    }

    /// A line a second while it goes on.
    pub(crate) fn report_until(&self, what: &str, finished: impl Fn() -> bool) {
        let mut next = Instant::now() + Duration::from_secs(1);
        while !finished() {
            std::thread::sleep(Duration::from_millis(2));
            if Instant::now() >= next {
                next += Duration::from_secs(1);
                self.shown.store(true, Ordering::Relaxed);
                let done = self.done.load(Ordering::Relaxed);
                let total = self.total.load(Ordering::Relaxed).max(1);
                tracing::info!(
                    "{what}: {} of {} MiB, {} %",
                    done >> 20,
                    total >> 20,
                    (done * 100 / total).min(100)
                );
            }
        }
    }
}
