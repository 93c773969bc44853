//! `ourod repair`: does what a check named, and no more.
//!
//! Order is the rule: check again; refuse a name that the check does not report now; copy every file that will change
//! or go into `repair-<time>/`, files and folder synced; only then change, each file synced before the next. What is cut
//! short anywhere leaves a directory that a start still refuses or that is whole, and the copies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use shard::check::{CheckReport, Problem, Remedy, Rewritten, Source, rewrite_snapshot};
use shard::io::{FileId, ManifestCopy};
use shard::log::manifest::{LogManifest, ManifestRead};
use shard::log::segment::SEGMENT_HEADER_BYTES;
use shard::shard_manifest::ShardManifest;
use shard::store_manifest::StoreManifest;
use shard::types::ShardId;

use super::check::{CheckError, check_locked};
use super::view::View;
use super::{OnStep, Step};
use crate::clock::unix_ms;
use crate::files::{FILE_MODE, StoreLock};

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The folder with the copies.
    pub copies: PathBuf,
    /// The problems that were healed, as they were.
    pub healed: Vec<Problem>,
    /// What a check says now.
    pub after: CheckReport,
}

/// Why nothing was repaired, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The directory cannot be checked.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A name that is not reported.
    #[error("{0}: check does not report this now; nothing was changed; take the names from ourod check")]
    Unknown(String),
    /// A problem that has no remedy here.
    #[error("{name}: this cannot be repaired: {why}; nothing was changed")]
    Impossible {
        /// Its name.
        name: String,
        /// Why not.
        why: String,
    },
    /// Something failed before anything was changed.
    #[error("{path}: {source}; nothing was changed")]
    Before {
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// Something failed on the way.
    #[error("{path}: {source}; the repair is not finished, the files as they were are in {copies}")]
    During {
        /// The file.
        path: PathBuf,
        /// The error.
        source: io::Error,
        /// The copies.
        copies: PathBuf,
    },
}

/// One change of one file.
enum Change {
    /// The file has these bytes from an offset on; it is made when it is missing.
    Write { file: FileId, offset: u64, bytes: Vec<u8>, whole: bool },
    /// Zeros from an offset to the end.
    Zero { file: FileId, from: u64, to: u64 },
    /// It goes: its copy is all that is left.
    Remove { file: FileId },
}

impl Change {
    const fn file(&self) -> FileId {
        match self {
            Self::Write { file, .. } | Self::Zero { file, .. } | Self::Remove { file } => *file,
        }
    }
}

/// Repairs the problems of these names. On return all of it is durable. `memory_bytes_max`: as of
/// [`check`](super::check()), before and after the repair.
///
/// # Errors
/// Says whether anything was changed, and where the copies are.
pub fn repair(
    directory: &Path,
    names: &[String],
    memory_bytes_max: Option<u64>,
    on_step: OnStep<'_>,
) -> Result<Repaired, RepairError> {
    let lock = StoreLock::acquire_to_read(directory).map_err(CheckError::from)?;
    let report = check_locked(directory, memory_bytes_max, &lock, on_step)?;
    let names: BTreeSet<&String> = names.iter().collect();
    let mut chosen = Vec::new();
    for name in names {
        let problem = report.problem(name).ok_or_else(|| RepairError::Unknown(name.clone()))?;
        let impossible = |why: String| RepairError::Impossible { name: name.clone(), why };
        match &problem.remedy {
            Remedy::Impossible(why) => return Err(impossible(why.clone())),
            Remedy::With(other) => return Err(impossible(format!("it goes with {other}: repair that"))),
            Remedy::None => {
                return Err(impossible("there is nothing to do: a start takes care of it".to_owned()));
            }
            _ => chosen.push(problem.clone()),
        }
    }
    let changes = plan(directory, &chosen)?;
    let copies = keep_copies(directory, &changes, &chosen)?;
    for (done, change) in (0..).zip(&changes) {
        on_step(Step { what: "repairing", done, total: changes.len() as u64, unit: "changes" });
        let path = directory.join(change.file().to_string());
        let failed = |source| RepairError::During { path: path.clone(), source, copies: copies.clone() };
        apply(&path, change).map_err(failed)?;
        sync_directory(directory).map_err(failed)?;
    }
    let after = check_locked(directory, memory_bytes_max, &lock, on_step)?;
    Ok(Repaired { copies, healed: chosen, after })
}

/// The changes, in the order in which they are made.
fn plan(directory: &Path, chosen: &[Problem]) -> Result<Vec<Change>, RepairError> {
    let mut changes = Vec::new();
    let mut manifests: BTreeMap<u32, LogManifest> = BTreeMap::new();
    let (mut removed, mut drops) = (Vec::new(), BTreeMap::<ShardId, BTreeSet<(u32, u32)>>::new());
    for problem in chosen {
        match &problem.remedy {
            Remedy::WriteCopy { file, bytes } => changes.push(whole(*file, bytes.clone())),
            Remedy::WriteHeader { file, header } => {
                let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
                header.encode(&mut bytes);
                changes.push(Change::Write { file: *file, offset: 0, bytes, whole: false });
            }
            Remedy::ForgetFile { log, manifest, remove } => {
                removed.extend(remove.map(|file| Change::Remove { file }));
                let free = &manifest.free;
                let of = manifests.entry(log.0).or_insert_with(|| manifest.clone());
                of.free.retain(|kept| free.contains(kept));
            }
            Remedy::TieManifest { log, manifest } => {
                let of = manifests.entry(log.0).or_insert_with(|| manifest.clone());
                of.reached = manifest.reached;
            }
            Remedy::RemoveFile { file } => removed.push(Change::Remove { file: *file }),
            Remedy::CutLog(cut) => {
                changes.push(Change::Zero { file: cut.last, from: cut.from, to: cut.file_bytes });
                let of = manifests.entry(cut.log.0).or_insert_with(|| cut.manifest.clone());
                of.segments.clone_from(&cut.manifest.segments);
                of.reached = cut.manifest.reached;
                removed.extend(cut.dropped.iter().map(|&file| Change::Remove { file }));
            }
            Remedy::DropEntries { shard, extent, offsets } => {
                let drop = drops.entry(*shard).or_default();
                drop.extend(offsets.iter().map(|&offset| (*extent, offset)));
            }
            Remedy::None | Remedy::Impossible(_) | Remedy::With(_) => unreachable!("looked at before"),
        }
    }
    for manifest in manifests.into_values() {
        let log = manifest.log;
        let files = [ManifestCopy::A, ManifestCopy::B].map(|copy| FileId::LogManifest { log, copy });
        let files = by_age(directory, files, |bytes| match LogManifest::decode(bytes) {
            ManifestRead::Valid(manifest) => Some((manifest.sequence, ())),
            _ => None,
        });
        changes.extend(files.map(|file| whole(file, manifest.encode())));
    }
    for (shard, drop) in drops {
        let Rewritten { file, bytes, manifest, replaced, .. } = rewritten(directory, shard, &drop)?;
        changes.push(whole(file, bytes));
        let files =
            by_age(directory, ShardManifest::files(shard), |bytes| match ShardManifest::decode(bytes) {
                ManifestRead::Valid(manifest) => Some((manifest.sequence, ())),
                _ => None,
            });
        changes.extend(files.map(|file| whole(file, manifest.encode())));
        removed.push(Change::Remove { file: replaced });
    }
    changes.extend(removed);
    Ok(changes)
}

/// The copies in the order in which they are written anew: the one that counts comes last, so that what a kill leaves is
/// always two versions of which one was made of the other.
fn by_age(directory: &Path, files: [FileId; 2], decode: impl Fn(&[u8]) -> Option<(u64, ())>) -> [FileId; 2] {
    let mut view = View::new(directory);
    let mut sequence = |file| read_copy(&mut view, file, &decode).map_or(0, |(sequence, ())| sequence);
    if sequence(files[0]) > sequence(files[1]) { [files[1], files[0]] } else { files }
}

fn whole(file: FileId, bytes: Vec<u8>) -> Change {
    Change::Write { file, offset: 0, bytes, whole: true }
}

fn rewritten(
    directory: &Path,
    shard: ShardId,
    drop: &BTreeSet<(u32, u32)>,
) -> Result<Rewritten, RepairError> {
    let mut view = View::new(directory);
    let store = best(&mut view, [ManifestCopy::A, ManifestCopy::B].map(FileId::StoreManifest), |bytes| {
        match StoreManifest::decode(bytes) {
            ManifestRead::Valid(manifest) => Some((manifest.sequence, manifest)),
            _ => None,
        }
    });
    let manifest = best(&mut view, ShardManifest::files(shard), |bytes| match ShardManifest::decode(bytes) {
        ManifestRead::Valid(manifest) => Some((manifest.sequence, manifest)),
        _ => None,
    });
    let made = store.zip(manifest).map(|(store, manifest)| {
        rewrite_snapshot(&mut view, store.extent_seal(shard).store, &manifest, drop)
    });
    let path = directory.join(ShardManifest::files(shard)[0].to_string());
    let failed = |text: String| RepairError::Before { path: path.clone(), source: io::Error::other(text) };
    made.ok_or_else(|| failed("it cannot be read any more".to_owned()))?
        .map_err(|error| failed(error.to_string()))
}

/// The copy with the higher sequence number of those that are intact.
fn best<M>(view: &mut View, files: [FileId; 2], decode: impl Fn(&[u8]) -> Option<(u64, M)>) -> Option<M> {
    let copies = files.into_iter().filter_map(|file| read_copy(view, file, &decode));
    copies.max_by_key(|(sequence, _)| *sequence).map(|(_, manifest)| manifest)
}

/// A copy and its sequence number, when it is intact.
fn read_copy<M>(
    view: &mut View,
    file: FileId,
    decode: impl Fn(&[u8]) -> Option<(u64, M)>,
) -> Option<(u64, M)> {
    let len = view.len(file).ok()??;
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    let read = view.read(file, 0, &mut bytes).ok()?;
    decode(&bytes[..read])
}

/// Copies every file that will change, and a text that says why, all of it durable.
fn keep_copies(directory: &Path, changes: &[Change], chosen: &[Problem]) -> Result<PathBuf, RepairError> {
    let copies = directory.join(format!("repair-{}", unix_ms().0));
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| RepairError::Before { path, source }
    };
    fs::create_dir(&copies).map_err(failed(&copies))?;
    let files: BTreeSet<FileId> = changes.iter().map(Change::file).collect();
    for file in files {
        let (from, to) = (directory.join(file.to_string()), copies.join(file.to_string()));
        if from.exists() {
            fs::copy(&from, &to).and_then(|_| File::open(&to)?.sync_all()).map_err(failed(&to))?;
        }
    }
    let mut text =
        String::from("Files of the directory above as they were before ourod repair changed them:\n");
    for problem in chosen {
        let lost = if problem.lost.is_empty() { "nothing" } else { &problem.lost };
        text += &format!("\n{}\n  {}\n  lost: {lost}\n", problem.name, problem.what);
    }
    let why = copies.join("repair.txt");
    let written = File::create(&why).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(failed(&why))?;
    sync_directory(&copies).and_then(|()| sync_directory(directory)).map_err(failed(&copies))?;
    Ok(copies)
}

fn apply(path: &Path, change: &Change) -> io::Result<()> {
    if let Change::Remove { .. } = change {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
    match change {
        Change::Write { offset, bytes, whole, .. } => {
            file.write_all_at(bytes, *offset)?;
            if *whole {
                file.set_len(offset + bytes.len() as u64)?;
            }
        }
        Change::Zero { from, to, .. } => {
            let zeros = vec![0; 1 << 20];
            let mut at = *from;
            while at < *to {
                let len = usize::try_from(to - at).unwrap_or(usize::MAX).min(zeros.len());
                file.write_all_at(&zeros[..len], at)?;
                at += len as u64;
            }
        }
        Change::Remove { .. } => {}
    }
    file.sync_all()
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
