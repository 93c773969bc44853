//! `ourod check`: the report, for people and for machines.

use engine::offline::CheckError;
use serde_json::{Value, json};
use shard::check::{CheckReport, Looked, Problem, Remedy, Severity};

use super::arguments::Check;
use super::progress::Progress;
use super::{Failure, answer, lock_code, memory_bound};
use crate::control::ExitCode;

/// Version of the JSON document.
const REPORT_VERSION: u32 = 1;

pub(super) fn run(check: &Check) -> Result<ExitCode, Failure> {
    let mut progress = Progress::new();
    let report =
        engine::offline::check(&check.dir, memory_bound(check.maxmemory), &mut |step| progress.show(step))
            .map_err(|error| failure(&error))?;
    drop(progress);
    if check.json {
        answer(&format!("{:#}\n", document(&check.dir.display().to_string(), &report)))?;
    } else {
        answer(&text(&report, check.list_keys))?;
        if let Some(hint) = hint(&check.dir.display().to_string(), &report) {
            answer(&hint)?;
        }
    }
    Ok(code_of(&report))
}

pub(super) fn failure(error: &CheckError) -> Failure {
    let code = match error {
        CheckError::Lock(error) => lock_code(error),
        CheckError::NoStore(_) | CheckError::NoDirectory(_) => ExitCode::Usage,
    };
    (code, error.to_string())
}

/// The exit code that says how a store is.
pub(super) fn code_of(report: &CheckReport) -> ExitCode {
    if report.is_damaged() {
        ExitCode::Damaged
    } else if report.problems.is_empty() {
        ExitCode::Ok
    } else {
        ExitCode::Notes
    }
}

/// The report for people.
pub(super) fn text(report: &CheckReport, list_keys: bool) -> String {
    let Looked { files, bytes, batches, log_records, extents, records, entries } = report.looked;
    let mut text = String::new();
    for problem in &report.problems {
        text += &problem_text(problem, list_keys);
    }
    let damages = report.problems.iter().filter(|problem| problem.severity == Severity::Damage).count();
    let notes = report.problems.len() - damages;
    text += &format!(
        "looked at {files} files, {} MiB: {batches} log batches with {log_records} records, {extents} extents with {records} \
         records, {entries} index entries\n",
        bytes >> 20
    );
    text + &match (damages, notes) {
        (0, 0) => "intact\n".to_owned(),
        (0, notes) => format!("{notes} to note, nothing is lost\n"),
        (damages, notes) => format!("DAMAGED: {damages} problems, {notes} to note\n"),
    }
}

/// One problem for people.
pub(super) fn problem_text(problem: &Problem, list_keys: bool) -> String {
    let word = match problem.severity {
        Severity::Damage => "damage",
        Severity::Note => "note",
    };
    let place = problem.offset.map(|offset| format!(" at offset {offset}")).unwrap_or_default();
    let mut text = format!("{word}: {}\n  {}{place}: {}\n", problem.name, problem.file, problem.what);
    text += &match &problem.remedy {
        Remedy::None => String::new(),
        Remedy::Impossible(why) => format!("  cannot be repaired: {why}\n"),
        Remedy::With(other) => format!("  goes with {other}\n"),
        _ if problem.lost.is_empty() => "  repair loses nothing\n".to_owned(),
        _ => format!("  repair loses {}\n", problem.lost),
    };
    if list_keys {
        for key in problem.entries.iter().filter_map(|entry| entry.key.as_ref()) {
            text += &format!("    key \"{}\"\n", key.escape_ascii());
        }
        let unknown = problem.entries.iter().filter(|entry| entry.key.is_none()).count();
        if unknown > 0 {
            text += &format!("    {unknown} keys that cannot be read any more\n");
        }
    }
    text
}

/// How to go on, where something can be repaired.
fn hint(directory: &str, report: &CheckReport) -> Option<String> {
    let names: Vec<&str> =
        report.problems.iter().filter(|problem| problem.is_repairable()).map(|it| it.name.as_str()).collect();
    (!names.is_empty())
        .then(|| format!("to repair: ourod repair {directory} --accept-loss {}\n", names.join(" ")))
}

/// The report for machines.
pub(super) fn document(directory: &str, report: &CheckReport) -> Value {
    let Looked { files, bytes, batches, log_records, extents, records, entries } = report.looked;
    let state = match code_of(report) {
        ExitCode::Ok => "intact",
        ExitCode::Notes => "notes",
        _ => "damaged",
    };
    json!({
        "version": REPORT_VERSION,
        "directory": directory,
        "state": state,
        "looked": {
            "files": files, "bytes": bytes, "log_batches": batches, "log_records": log_records, "extents": extents,
            "records": records, "entries": entries,
        },
        "problems": report.problems.iter().map(problem_document).collect::<Vec<_>>(),
    })
}

fn problem_document(problem: &Problem) -> Value {
    let why = match &problem.remedy {
        Remedy::Impossible(why) => Some(why.clone()),
        Remedy::With(other) => Some(format!("goes with {other}")),
        _ => None,
    };
    json!({
        "name": problem.name,
        "severity": if problem.severity == Severity::Damage { "damage" } else { "note" },
        "file": problem.file,
        "offset": problem.offset,
        "what": problem.what,
        "repairable": problem.is_repairable(),
        "not_repairable_because": why,
        "lost": problem.lost,
        "lost_key_count": problem.entries.len(),
        "lost_keys": problem.entries.iter().filter_map(|entry| entry.key.as_ref())
            .map(|key| key.escape_ascii().to_string()).collect::<Vec<_>>(),
    })
}
