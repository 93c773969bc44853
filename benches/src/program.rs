//! What the programs that measure servers have in common: which programs and cores they use, and how they end.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

/// Servers and clients to use, and the cores they run on.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// Core of the servers
    #[arg(long, value_name = "CPU", default_value_t = 0)]
    pub server_cpu: usize,
    /// Core of the client
    #[arg(long, value_name = "CPU", default_value_t = 1)]
    pub client_cpu: usize,
    /// redis-server, or one that takes its arguments
    #[arg(long, value_name = "PATH", default_value = "redis-server")]
    pub redis: PathBuf,
    /// ourod [default: $OUROD, or built now]
    #[arg(long, value_name = "PATH")]
    pub ourod: Option<PathBuf>,
    /// loadgen [default: $LOADGEN, or built now]
    #[arg(long, value_name = "PATH")]
    pub loadgen: Option<PathBuf>,
    /// Exit with code 3 when a bar is missed
    #[arg(long)]
    pub check: bool,
    /// Further arguments of ourod
    #[arg(last = true)]
    pub extra: Vec<String>,
}

/// How a program ends: 0; 3 when bars are missed and that was asked about; 1, with the reason printed, on an error.
#[must_use]
pub fn exit_code(name: &str, result: Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            print_text(&format!("{name}: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

/// This program's command line without folders: reports are published.
#[must_use]
pub fn command_line() -> Vec<String> {
    std::env::args()
        .map(|word| match word.rsplit_once('/') {
            Some((_, name)) => name.to_owned(),
            None => word,
        })
        .collect()
}

/// Prints to standard output.
pub fn print_text(text: &str) {
    // A closed pipe is no reason to stop.
    let _ = write!(std::io::stdout().lock(), "{text}");
}
