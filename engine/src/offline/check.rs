//! `ourod check`: everything that is wrong with a directory. Nothing in it is changed.
//!
//! First the core's own checks over all files; where they find no damage, the recovery of a start runs in memory: what
//! it would refuse is damage too.

use std::path::{Path, PathBuf};

use shard::check::{CheckReport, Looked, Problem, Remedy, Severity, check_store};

use super::view::View;
use super::{OnStep, Step};
use crate::disk_store::open_read_only;
use crate::files::{LockError, RESTORE_MARK, StoreLock};
use crate::open_error::OpenError;

/// Why a directory cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It is in use, or cannot be read.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is no store.
    #[error(transparent)]
    NoStore(OpenError),
    /// It is no directory.
    #[error("{0}: this is no directory")]
    NoDirectory(PathBuf),
}

/// Checks a directory. Where recovery in memory would take more than `memory_bytes_max` bytes (`None`: no limit), it
/// ends there, and the report notes that it was not done.
///
/// # Errors
/// There is nothing to check, or a daemon has it.
pub fn check(
    directory: &Path,
    memory_bytes_max: Option<u64>,
    on_step: OnStep<'_>,
) -> Result<CheckReport, CheckError> {
    if directory.exists() && !directory.is_dir() {
        return Err(CheckError::NoDirectory(directory.to_path_buf()));
    }
    let lock = StoreLock::acquire_to_read(directory)?;
    check_locked(directory, memory_bytes_max, &lock, on_step)
}

/// The same where the directory is locked already.
pub(super) fn check_locked(
    directory: &Path,
    memory_bytes_max: Option<u64>,
    lock: &StoreLock,
    on_step: OnStep<'_>,
) -> Result<CheckReport, CheckError> {
    let total = total_bytes(directory);
    let mut on_file = |looked: &Looked| {
        on_step(Step { what: "checking", done: looked.bytes, total, unit: "bytes" });
    };
    let mut report = check_store(&mut View::new(directory), &mut on_file);
    if directory.join(RESTORE_MARK).exists() {
        let what = "a restore into this directory was not finished: it holds only a part of the dump";
        let remedy = Remedy::Impossible("remove the directory and restore again".to_owned());
        report.problems.push(Problem { remedy, ..damage(RESTORE_MARK, "unfinished", what.to_owned()) });
    }
    if !report.is_damaged() {
        on_step(Step { what: "recovering in memory", done: 0, total: 0, unit: "records" });
        match open_read_only(directory, memory_bytes_max, lock) {
            Ok(_) => {}
            Err(OpenError::Memory { .. }) => {
                let what = "the recovery of a start was not done: it takes more memory than --maxmemory allows; all \
                            else was checked";
                let remedy = Remedy::None;
                let problem = Problem {
                    severity: Severity::Note,
                    remedy,
                    ..damage("start", "memory", what.to_owned())
                };
                report.problems.push(problem);
            }
            Err(error @ OpenError::NoStore { .. }) => return Err(CheckError::NoStore(error)),
            Err(error) => report.problems.push(damage("start", "", error.to_string())),
        }
    } else if report.looked.files <= 2
        && let Err(error @ OpenError::NoStore { .. }) = open_read_only(directory, memory_bytes_max, lock)
    {
        return Err(CheckError::NoStore(error));
    }
    Ok(report)
}

fn damage(file: &str, place: &str, what: String) -> Problem {
    let name = if place.is_empty() { file.to_owned() } else { format!("{file}:{place}") };
    Problem {
        name,
        severity: Severity::Damage,
        file: file.to_owned(),
        offset: None,
        what,
        lost: String::new(),
        entries: Vec::new(),
        remedy: Remedy::Impossible("restore the directory from a copy".to_owned()),
    }
}

/// Bytes of all files: what the progress counts towards, about.
fn total_bytes(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}
