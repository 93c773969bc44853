//! Options of `selftest` and `show`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::LoadShape;
use crate::cli_values::parse_duration;

/// Options of `selftest`.
#[derive(Debug, Args)]
pub struct SelftestArgs {
    /// How hard.
    #[command(flatten)]
    pub load: LoadShape,
    /// Requests in flight on one connection; may be repeated [default: 1 and 16]
    #[arg(short = 'P', long, value_name = "N")]
    pub pipeline: Vec<u32>,
    /// Length of each of the three parts of each pipeline
    #[arg(short = 'd', long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Write the figures to this file
    #[arg(short = 'o', long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Measure nothing: let the server that does nothing answer at this Unix socket until Ctrl-C, on the processors of
    /// --cpus, so that other generators can be measured against it
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["out", "pipeline", "duration"])]
    pub serve: Option<PathBuf>,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The report
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}
