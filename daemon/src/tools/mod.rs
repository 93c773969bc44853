//! `ourod check`, `repair`, `dump` and `restore`: what is done to a store that no daemon has open. Thin: the work is in
//! `engine::offline`; here are arguments, texts, JSON, progress and exit codes.

mod arguments;
mod check;
mod dump;
mod progress;
mod repair;
mod restore;

use std::ffi::OsString;

use clap::Parser;

use self::arguments::{Arguments, Tool};
use crate::control::ExitCode;
use crate::options::Machine;

pub(crate) use self::arguments::tools_help;
pub use self::arguments::whole_command_line;

/// Whether these arguments, the program's name first, ask for a tool and not for the daemon.
#[must_use]
pub fn asks_for_tool(args: &[OsString]) -> bool {
    let first = args.get(1).and_then(|word| word.to_str());
    first.is_some_and(|word| ["check", "repair", "dump", "restore"].contains(&word))
}

/// Runs the tool that the arguments ask for.
pub fn run_tool(args: Vec<OsString>, machine: &Machine) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            let wanted = !error.use_stderr();
            return match error.print() {
                Ok(()) if wanted => ExitCode::Ok,
                Ok(()) => ExitCode::Usage,
                Err(_) => ExitCode::System,
            };
        }
    };
    let result = match arguments.tool {
        Tool::Check(check) => check::run(&check),
        Tool::Repair(repair) => repair::run(&repair),
        Tool::Dump(dump) => dump::run(&dump),
        Tool::Restore(restore) => restore::run(&restore, machine),
    };
    match result {
        Ok(code) => code,
        Err((code, message)) => {
            say(&format!("ourod: {message}"));
            code
        }
    }
}

/// A failure: its exit code, and what the operator has to know.
type Failure = (ExitCode, String);

/// A line on stderr.
#[expect(clippy::print_stderr, reason = "a tool talks to the operator's terminal")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// A line on stdout: what was asked for.
///
/// # Errors
/// When nobody takes it.
fn answer(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| (ExitCode::Storage, format!("writing to stdout: {error}")))
}

/// `--maxmemory` of a tool as the engine takes it: 0 is no limit.
fn memory_bound(maxmemory: u64) -> Option<u64> {
    (maxmemory > 0).then_some(maxmemory)
}

/// The exit code of a lock that was not got.
fn lock_code(error: &engine::files::LockError) -> ExitCode {
    match error {
        engine::files::LockError::InUse { .. } => ExitCode::Busy,
        engine::files::LockError::Io { .. } => ExitCode::Storage,
    }
}
