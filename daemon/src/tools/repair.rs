//! `ourod repair`: what was done, and how the store is now.

use engine::offline::RepairError;

use super::arguments::Repair;
use super::check::{code_of, failure, problem_text, text};
use super::progress::Progress;
use super::{Failure, answer, memory_bound};
use crate::control::ExitCode;

pub(super) fn run(repair: &Repair) -> Result<ExitCode, Failure> {
    let mut progress = Progress::new();
    let bound = memory_bound(repair.maxmemory);
    let repaired =
        engine::offline::repair(&repair.dir, &repair.accept_loss, bound, &mut |step| progress.show(step));
    drop(progress);
    let repaired = repaired.map_err(|error| match &error {
        RepairError::Check(error) => failure(error),
        RepairError::Unknown(_) | RepairError::Impossible { .. } => (ExitCode::Usage, error.to_string()),
        RepairError::Before { .. } | RepairError::During { .. } => (ExitCode::Storage, error.to_string()),
    })?;
    let mut lines = String::new();
    for problem in &repaired.healed {
        lines += &format!("repaired {}", problem_text(problem, repair.list_keys));
    }
    lines += &format!("the files as they were: {}\n\nafter the repair:\n", repaired.copies.display());
    answer(&(lines + &text(&repaired.after, false)))?;
    Ok(code_of(&repaired.after))
}
