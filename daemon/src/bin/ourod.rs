//! The daemon's binary: options, logging, and [`daemon::run`].

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::main_with(std::env::args_os()).into()
}
