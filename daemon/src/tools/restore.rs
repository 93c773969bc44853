//! `ourod restore`: a dump from a file, which is read once before anything is made, or from stdin.

use std::fs::File;
use std::io::{IsTerminal, Seek};
use std::path::Path;

use engine::offline::{RestoreConfig, RestoreError, verify_dump};

use super::arguments::Restore;
use super::progress::Progress;
use super::{Failure, lock_code, say};
use crate::control::ExitCode;
use crate::options::Machine;

/// Smallest segment that a restore makes: a log batch and its surroundings fit it.
const SEGMENT_BYTES_MIN: u64 = 1 << 20;

pub(super) fn run(arguments: &Restore, machine: &Machine) -> Result<ExitCode, Failure> {
    let cpus = u16::try_from(machine.allowed_cpus.len()).unwrap_or(u16::MAX);
    let workers = arguments.workers.unwrap_or_else(|| cpus.clamp(1, arguments.shards));
    let segment_bytes = arguments.wal_segment_bytes;
    if workers > arguments.shards {
        let message = format!("{workers} workers cannot share {} shards", arguments.shards);
        return Err((ExitCode::Usage, message));
    }
    if !segment_bytes.is_multiple_of(4096) || segment_bytes < SEGMENT_BYTES_MIN {
        let message = "--wal-segment-bytes must be a multiple of 4096 and at least 1mb".to_owned();
        return Err((ExitCode::Usage, message));
    }
    let config = RestoreConfig {
        directory: arguments.dir.clone(),
        shards: arguments.shards,
        workers,
        wal: arguments.wal.eq_ignore_ascii_case("yes"),
        memory_bytes_max: (arguments.maxmemory > 0).then_some(arguments.maxmemory),
        segment_bytes,
    };
    let mut progress = Progress::new();
    let mut on_step = |step| progress.show(step);
    let result = if arguments.file == Path::new("-") {
        if std::io::stdin().is_terminal() {
            return Err((ExitCode::Usage, "give the dump as a file, or send it to stdin".to_owned()));
        }
        engine::offline::restore(&config, &mut std::io::stdin().lock(), &mut on_step)
    } else {
        let path = &arguments.file;
        let failed = |error: std::io::Error| (ExitCode::Storage, format!("{}: {error}", path.display()));
        let mut file = File::open(path).map_err(failed)?;
        let verified = if file.metadata().map_err(failed)?.is_file() {
            let verified = verify_dump(&mut file, &mut on_step).map(|_| ());
            file.rewind().map_err(failed)?;
            verified
        } else {
            Ok(())
        };
        verified.and_then(|()| engine::offline::restore(&config, &mut file, &mut on_step))
    };
    drop(progress);
    let outcome = result.map_err(|error| (code_of(&error), error.to_string()))?;
    let expired = match outcome.expired {
        0 => String::new(),
        count => format!(", {count} left out because their deadline has passed"),
    };
    say(&format!(
        "restored {} records into {} ({} shards){expired}",
        outcome.counts.records - outcome.expired,
        arguments.dir.display(),
        arguments.shards
    ));
    Ok(ExitCode::Ok)
}

fn code_of(error: &RestoreError) -> ExitCode {
    match error {
        RestoreError::Lock(error) => lock_code(error),
        RestoreError::NotEmpty { .. } => ExitCode::Usage,
        RestoreError::Remains { first, .. } => code_of(first),
        RestoreError::Dump(_)
        | RestoreError::Twice { .. }
        | RestoreError::Read(_)
        | RestoreError::Open(_)
        | RestoreError::Write { .. } => ExitCode::Storage,
    }
}
