//! Opens the shards of a store before their logs are replayed: manifests and snapshots, all in parallel.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use shard::io::FileId;
use shard::key::KeyHasher;
use shard::shard_manifest::ShardManifest;
use shard::shard_open::{OpenedShard, ShardManifestWrite, ShardOpen, ShardOpenError};
use shard::snapshot::TailReader;
use shard::store_manifest::StoreManifest;
use shard::types::{LogId, ShardId, Term};

use crate::Shard;
use crate::applier::Applier;
use crate::blocking_io::perform;
use crate::clock::unix_ms;
use crate::files::{Files, StoreDirectory};
use crate::open_error::OpenError;
use crate::pool::Pool;
use crate::progress::Progress;
use crate::replay_memory::ShardManifests;
use crate::store::{random_bytes, slots_of};

/// A shard as of its snapshot.
pub(crate) struct Opened {
    pub(crate) shard: Shard,
    /// `None`: it has none yet.
    pub(crate) manifest: Option<ShardManifest>,
}

/// Opens all shards of a store, in their order.
///
/// # Errors
/// When one of them is not whole.
pub(crate) fn open_shards(
    directory: &StoreDirectory,
    manifest: &StoreManifest,
    progress: &Progress,
) -> Result<Vec<Opened>, OpenError> {
    let count = usize::from(manifest.shard_count());
    let next = AtomicUsize::new(0);
    let results = Mutex::new((0..count).map(|_| None).collect::<Vec<_>>());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(count);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(id) = u16::try_from(at).ok().filter(|_| at < count) else { return };
                        let result = open_shard(directory, manifest, ShardId(id), progress);
                        if let Ok(mut results) = results.lock() {
                            results[at] = Some(result);
                        }
                    }
                })
            })
            .collect();
        progress.report_until("loading snapshots", || {
            running.iter().all(std::thread::ScopedJoinHandle::is_finished)
        });
    });
    let results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results
        .into_iter()
        .map(|result| result.expect("a thread that ended without a panic has a result"))
        .collect()
}

fn open_shard(
    directory: &StoreDirectory,
    manifest: &StoreManifest,
    id: ShardId,
    progress: &Progress,
) -> Result<Opened, OpenError> {
    let io = |source| OpenError::Io { directory: directory.path().to_path_buf(), source };
    let mut files = directory.files().map_err(io)?;
    let seal = manifest.extent_seal(id);
    let mut shard = Shard::new(id, slots_of(manifest, id), Term(1), unix_ms());
    let salt = u32::from_le_bytes(random_bytes().map_err(io)?);
    shard.keep_on_disk(seal, salt);
    let pool = Pool::new(0, 0).map_err(io)?;
    let mut open = ShardOpen::new(manifest.uuid, seal, !manifest.shard_manifests, pool);
    let refused = |source: ShardOpenError| OpenError::Shard {
        directory: directory.path().to_path_buf(),
        source: Box::new(source),
    };
    let mut seen = (0, 0);
    let opened: OpenedShard<Pool> = loop {
        let request = open.next_io().expect("opening goes on until it has a result");
        let done = perform(&mut files, request);
        if let Some(opened) = open.on_io(done, &mut shard).map_err(refused)? {
            break opened;
        }
        progress.advance(&mut seen, open.progress());
    };
    if opened.repaired {
        tracing::warn!(
            shard = id.0,
            "one copy of the shard's manifest was bad and was rewritten from the other"
        );
    }
    check_data_file(&mut files, &mut shard).map_err(io)?;
    // Files are locked by whoever has them open, and what is read back for the tail is read by another.
    drop(files);
    let mut own = opened.manifest;
    if let Some(tail) = opened.tail {
        (shard, own) = replay_tail(directory, manifest, (shard, own), tail, progress)?;
    }
    Ok(Opened { shard, manifest: own })
}

/// Applies the records that a snapshot holds beside the copy of the index: with them the shard is what it was when the
/// copy ended. The shard comes back with its manifest, which changes when extents have to leave memory meanwhile.
fn replay_tail(
    directory: &StoreDirectory,
    manifest: &StoreManifest,
    (shard, own): (Shard, Option<ShardManifest>),
    mut tail: TailReader<Pool>,
    progress: &Progress,
) -> Result<(Shard, Option<ShardManifest>), OpenError> {
    let io = |source| OpenError::Io { directory: directory.path().to_path_buf(), source };
    let (mut files, pool) = (directory.files().map_err(io)?, Pool::new(0, 0).map_err(io)?);
    let path = || directory.path().to_path_buf();
    let file = tail.file();
    let hasher = KeyHasher::new(manifest.seed);
    let number = usize::from(shard.id().0);
    let mut manifests = vec![None; number];
    manifests.push(own);
    let manifests = ShardManifests::new(manifests);
    let mut applier = Applier::new(vec![shard], hasher, (pool, directory), &manifests);
    let (mut records, mut seen) = (Vec::new(), (tail.progress().0, 0));
    while !tail.is_finished() {
        let request = tail.next_io().expect("reading goes on until all is read");
        let done = perform(&mut files, request);
        tail.on_io(done, &mut records).map_err(|source| OpenError::Shard {
            directory: path(),
            source: Box::new(ShardOpenError::Tail { file, source }),
        })?;
        applier.apply_noted(0, &records).map_err(|error| OpenError::of_replay(path(), error))?;
        records.clear();
        progress.advance(&mut seen, tail.progress());
    }
    applier.settle().map_err(|error| OpenError::of_replay(path(), error))?;
    let shard = applier.into_shards().pop().expect("the shard that it was given");
    if let Some(bound) = directory.memory() {
        // Other shards are still being opened, and nobody notes this one anew.
        bound.note(0, shard.memory_bytes());
    }
    Ok((shard, manifests.into_inner().swap_remove(number)))
}

/// The data file is there, and as long as the extents that the snapshot names need. The space that it has beyond them is
/// taken over.
fn check_data_file(files: &mut Files, shard: &mut Shard) -> std::io::Result<()> {
    let end = shard.extents().last_byte_on_disk().unwrap_or(0);
    let id = FileId::ShardData { shard: shard.id() };
    let path = files.path_of(id);
    let describe = |what: String| std::io::Error::other(format!("{}: {what}", path.display()));
    let file = match files.get(id) {
        Err(error) if end == 0 && error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        result => result,
    };
    let file = file.map_err(|error| {
        describe(format!(
            "{error}; the shard's snapshot points into it; restore it from a copy of the directory"
        ))
    })?;
    let len = file.metadata()?.len();
    if len < end {
        return Err(describe(format!(
            "ends at {len} bytes, and the shard's snapshot points into it up to {end}; restore it \
             from a copy of the directory"
        )));
    }
    shard.adopt_file_length(len);
    Ok(())
}

/// Writes the first manifest of each shard that has none.
///
/// # Errors
/// When that fails.
pub(crate) fn create_manifests(
    directory: &StoreDirectory,
    manifest: &StoreManifest,
    shards: &mut [Option<ShardManifest>],
) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { directory: directory.path().to_path_buf(), source };
    let mut files = directory.files().map_err(io)?;
    for (id, of) in (0u16..).zip(shards) {
        if of.is_some() {
            continue;
        }
        let created = ShardManifest::create(manifest.uuid, ShardId(id));
        let mut write = ShardManifestWrite::new(&created, Pool::new(0, 0).map_err(io)?);
        loop {
            let request = write.next_io().expect("writing goes on until both copies are durable");
            let done = perform(&mut files, request);
            let failed = |source| OpenError::Write { directory: directory.path().to_path_buf(), source };
            if write.on_io(done).map_err(failed)? {
                break;
            }
        }
        *of = Some(created);
    }
    Ok(())
}

/// Removes snapshots that no manifest names: one that was being made when the process ended, or that was replaced.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn remove_obsolete(directory: &Path, manifests: &[Option<ShardManifest>]) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(FileId::ShardSnapshot { shard, number }) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let manifest = manifests.get(usize::from(shard.0)).and_then(Option::as_ref);
        let named = manifest.and_then(|manifest| manifest.snapshot.as_ref()).map(|snapshot| snapshot.number);
        if manifest.is_some() && named != Some(number) {
            tracing::info!(file = %entry.file_name().to_string_lossy(), "a snapshot that nothing names is removed");
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes files of logs that the store's manifest no longer names because nothing needs them.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn remove_old_logs(directory: &Path, manifest: &StoreManifest) -> std::io::Result<()> {
    let first = manifest.first_log();
    remove_files(
        directory,
        |file| matches!(file, FileId::LogManifest { log, .. } | FileId::Segment { log, .. } if log < first),
    )
}

/// The files of a store that the directory has.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn store_files(directory: &Path) -> std::io::Result<Vec<FileId>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        found.extend(entry?.file_name().to_string_lossy().parse::<FileId>());
    }
    Ok(found)
}

/// Numbers of the segment files of a log that the directory has.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn segment_files(directory: &Path, of: LogId) -> std::io::Result<Vec<u32>> {
    let number = |file| match file {
        FileId::Segment { log, file } if log == of => Some(file),
        _ => None,
    };
    Ok(store_files(directory)?.into_iter().filter_map(number).collect())
}

/// Removes the disk space that workers of an earlier run have kept, those that `is_gone` accepts: on a full disk recovery
/// needs it for the segment that a log goes on in, and the workers take theirs anew.
///
/// # Errors
/// Those of the operating system.
pub(crate) fn remove_reserves(directory: &Path, is_gone: impl Fn(LogId) -> bool) -> std::io::Result<()> {
    remove_files(directory, |file| matches!(file, FileId::Reserve { log } if is_gone(log)))
}

fn remove_files(directory: &Path, is_gone: impl Fn(FileId) -> bool) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().parse().is_ok_and(&is_gone) {
            match std::fs::remove_file(entry.path()) {
                // Recovery of another log has been quicker.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
    }
    Ok(())
}
