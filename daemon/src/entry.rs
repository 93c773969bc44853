//! From the command line to a running daemon.

use std::ffi::OsString;
use std::sync::Arc;

use crate::control::{ExitCode, end_process_on_panic, log_to_stderr};
use crate::options::{Machine, OptionsError, parse};
use crate::run::run;
use crate::server::Server;
use crate::tools::{asks_for_tool, run_tool};

/// Runs the daemon with these arguments, the program's name first.
pub fn main_with(args: impl Iterator<Item = OsString>) -> ExitCode {
    let machine = match Machine::this() {
        Ok(machine) => machine,
        Err(error) => return complain(ExitCode::System, &format!("which CPUs may be used: {error}")),
    };
    let args: Vec<OsString> = args.collect();
    if asks_for_tool(&args) {
        return run_tool(args, &machine);
    }
    let options = match parse(args.into_iter(), &machine) {
        Ok(options) => options,
        Err(OptionsError::CommandLine(error)) => {
            // --help and --version come here too; they print to stdout and are no failure.
            let wanted = !error.use_stderr();
            if let Err(error) = error.print() {
                return complain(ExitCode::System, &error.to_string());
            }
            return if wanted { ExitCode::Ok } else { ExitCode::Usage };
        }
        Err(error) => return complain(ExitCode::Usage, &error.to_string()),
    };
    let seed = match engine::store::random_bytes() {
        Ok(seed) => seed,
        Err(error) => return complain(ExitCode::System, &format!("no randomness: {error}")),
    };
    let (server, stops) = Server::new(options, seed, engine::clock::unix_ms());
    let server = Arc::new(server);
    let levels = Arc::clone(&server);
    log_to_stderr(move || levels.settings.log_level());
    end_process_on_panic();
    run(&server, &stops)
}

/// Before there is a log.
#[expect(clippy::print_stderr, reason = "the operator's terminal is all there is yet")]
fn complain(code: ExitCode, message: &str) -> ExitCode {
    eprintln!("ourod: {message}");
    code
}
