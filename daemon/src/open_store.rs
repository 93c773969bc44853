//! Opens the store that the options ask for, and says what became of it.

use engine::disk_store::{self, DiskStore, DiskStoreConfig};
use engine::files::{LockError, StoreLock};
use engine::open_error::OpenError;
use engine::store::{OpenStore, open_in_memory};
use engine::sync_probe::SyncProbe;
use shard::log::recovery::{RecoveryReport, RefuseToStart};
use shard::log::{LogConfig, SyncMethod, SyncPolicy};
use shard::shard_set::StorageConfig;

use crate::control::ExitCode;
use crate::options::{AppendFsync, Options, Storage, WalSync};
use crate::server::{Server, ServerState};

/// An open store and the right to its directory.
pub struct ServedStore {
    /// Its shards.
    pub open: OpenStore,
    /// Held as long as the daemon runs; none in memory.
    pub lock: Option<StoreLock>,
}

/// Opens the store.
///
/// # Errors
/// With the exit code and what the operator has to know.
pub fn open_store(server: &Server) -> Result<ServedStore, (ExitCode, String)> {
    let options = &server.options;
    let workers = u16::try_from(options.workers).unwrap_or(u16::MAX);
    if options.storage == Storage::Memory {
        let open = open_in_memory(options.shards, workers, &options.cpus)
            .map_err(|error| (ExitCode::System, error.to_string()))?;
        return Ok(ServedStore { open, lock: None });
    }
    server.set_state(ServerState::Recovering);
    let lock = StoreLock::acquire(&options.dir).map_err(|error| match error {
        LockError::InUse { .. } => (ExitCode::Busy, error.to_string()),
        LockError::Io { .. } => (ExitCode::Storage, error.to_string()),
    })?;
    let (sync, measured) = sync_method(options)?;
    let config = DiskStoreConfig {
        directory: options.dir.clone(),
        workers,
        cpus: options.cpus.clone(),
        shards: options.shards,
        shards_given: options.shards_given,
        wal: options.wal,
        log: LogConfig {
            segment_bytes: options.wal_segment_bytes,
            sync,
            policy: policy(options.append_fsync),
            ..LogConfig::default()
        },
        storage: StorageConfig {
            memory_bytes_max: (options.max_memory > 0).then(|| options.max_memory / u64::from(workers)),
            log_bytes_max: options.checkpoint_log_bytes,
            unsaved_ms_max: (options.checkpoint_seconds > 0)
                .then(|| u64::from(options.checkpoint_seconds) * 1000),
            scrub_ms: options.scrub_ms,
            ..StorageConfig::default()
        },
    };
    let store = disk_store::open(&config, &lock).map_err(|error| {
        let hint = if names_damage(&error) {
            format!(
                "; to see all that is wrong and what can be repaired: ourod check {}",
                options.dir.display()
            )
        } else {
            String::new()
        };
        (code_of(&error), format!("{error}{hint}"))
    })?;
    let method = match sync {
        SyncMethod::Dsync => "durable writes (O_DSYNC)",
        SyncMethod::Fdatasync => "write and fdatasync",
    };
    server.set_sync_text(format!("{method}{measured}"));
    report(&store);
    Ok(ServedStore { open: store.open, lock: Some(lock) })
}

/// The log's sync policy of an `appendfsync`.
#[must_use]
pub fn policy(append_fsync: AppendFsync) -> SyncPolicy {
    match append_fsync {
        AppendFsync::Always => SyncPolicy::EveryBatch,
        AppendFsync::Everysec => SyncPolicy::EverySecond,
        AppendFsync::No => SyncPolicy::Never,
    }
}

/// The sync method that was asked for, or the better one, and what was measured.
fn sync_method(options: &Options) -> Result<(SyncMethod, String), (ExitCode, String)> {
    match options.wal_sync {
        // Nothing waits for a sync.
        _ if !options.wal => Ok((SyncMethod::Fdatasync, String::new())),
        WalSync::Dsync => Ok((SyncMethod::Dsync, String::new())),
        WalSync::Fdatasync => Ok((SyncMethod::Fdatasync, String::new())),
        WalSync::Auto => {
            let probe = SyncProbe::run(&options.dir).map_err(|error| {
                let hint = if error.raw_os_error() == Some(libc::EINVAL) {
                    ": the file system has no direct I/O (O_DIRECT); put --dir on one that has (ext4, XFS, ...)"
                } else {
                    ""
                };
                (ExitCode::Storage, format!("{}: measuring the drive: {error}{hint}", options.dir.display()))
            })?;
            let Some(probe) = probe else {
                return Ok((SyncMethod::Dsync, ", not measured: the disk is too full".to_owned()));
            };
            let text = format!(
                ", measured: O_DSYNC {} us, fdatasync {} us per 16 KiB write",
                probe.dsync.as_micros(),
                probe.fdatasync.as_micros()
            );
            Ok((probe.better(), text))
        }
    }
}

fn report(store: &DiskStore) {
    if store.created {
        tracing::info!(shards = store.open.manifest.shard_count(), "new store created");
        return;
    }
    let sum = |of: fn(&RecoveryReport) -> u64| -> u64 { store.reports.iter().map(of).sum() };
    tracing::info!(
        logs = store.reports.len(),
        segments = sum(|report| report.segments),
        batches = sum(|report| report.batches),
        records = sum(|report| report.records),
        ms = u64::try_from(store.recovery.as_millis()).unwrap_or(u64::MAX),
        "store recovered"
    );
    let (batches, bytes) = (sum(|report| report.cut.batches), sum(|report| report.cut.bytes));
    if batches > 0 {
        tracing::warn!(
            batches,
            bytes,
            "writes that were in flight when the last process ended, and never acknowledged, were dropped"
        );
    }
}

/// Whether it is the files that are wrong, and not the options or the drive.
fn names_damage(error: &OpenError) -> bool {
    if matches!(error, OpenError::Refused { source: RefuseToStart::NoSpace { .. }, .. }) {
        return false;
    }
    matches!(
        error,
        OpenError::Manifest { .. }
            | OpenError::ManifestMissing { .. }
            | OpenError::Refused { .. }
            | OpenError::Records { .. }
            | OpenError::Shard { .. }
            | OpenError::ColdRead { .. }
            | OpenError::Io { .. }
    )
}

fn code_of(error: &OpenError) -> ExitCode {
    match error {
        OpenError::ShardCount { .. }
        | OpenError::TooManyWorkers { .. }
        | OpenError::HasLog { .. }
        | OpenError::HasNoLog { .. } => ExitCode::Usage,
        OpenError::Manifest { .. }
        | OpenError::ManifestMissing { .. }
        | OpenError::NoStore { .. }
        | OpenError::Memory { .. }
        | OpenError::RestoreUnfinished { .. }
        | OpenError::Refused { .. }
        | OpenError::Records { .. }
        | OpenError::Shard { .. }
        | OpenError::ColdRead { .. }
        | OpenError::Write { .. }
        | OpenError::Io { .. } => ExitCode::Storage,
    }
}
