//! `ourod dump`: to a file, which is durable when this ends, or to stdout.

use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::path::Path;

use engine::offline::{DumpConfig, DumpOutcome, DumpStoreError};

use super::arguments::Dump;
use super::progress::Progress;
use super::{Failure, lock_code, memory_bound, say};
use crate::control::ExitCode;

pub(super) fn run(arguments: &Dump) -> Result<ExitCode, Failure> {
    let memory_bytes_max = memory_bound(arguments.maxmemory);
    let config = DumpConfig { directory: arguments.dir.clone(), memory_bytes_max };
    let outcome = if arguments.output == Path::new("-") {
        if std::io::stdout().is_terminal() {
            let message =
                "a dump is no text for a terminal: give a file with -o, or send it into another command";
            return Err((ExitCode::Usage, message.to_owned()));
        }
        perform(&config, &mut std::io::stdout().lock())?
    } else {
        to_file(&config, &arguments.output)?
    };
    say(&format!("dumped {} records, {} bytes", outcome.counts.records, outcome.bytes));
    Ok(ExitCode::Ok)
}

fn to_file(config: &DumpConfig, path: &Path) -> Result<DumpOutcome, Failure> {
    let failed = |error: std::io::Error| (ExitCode::Storage, format!("{}: {error}", path.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    let result = perform(config, &mut file).and_then(|outcome| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        file.sync_all().and_then(|()| File::open(parent)?.sync_all()).map_err(failed)?;
        Ok(outcome)
    });
    if result.is_err() {
        // What is there is no dump; that it cannot be removed changes nothing about that.
        let _ = std::fs::remove_file(path);
    }
    result
}

fn perform(config: &DumpConfig, output: &mut dyn std::io::Write) -> Result<DumpOutcome, Failure> {
    let mut progress = Progress::new();
    engine::offline::dump(config, output, &mut |step| progress.show(step)).map_err(|error| {
        let hint = match &error {
            DumpStoreError::Open(_) | DumpStoreError::Record { .. } => {
                format!("; ourod check {} says all that is wrong", config.directory.display())
            }
            DumpStoreError::Lock(_) | DumpStoreError::Write(_) => String::new(),
        };
        let code = match &error {
            DumpStoreError::Lock(error) => lock_code(error),
            _ => ExitCode::Storage,
        };
        (code, format!("{error}{hint}"))
    })
}
