//! Options of `load`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::{LoadShape, TargetArgs, WorkloadArgs};

/// Options of `load`.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Where the server is.
    #[command(flatten)]
    pub target: TargetArgs,
    /// What is sent.
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// How hard.
    #[command(flatten)]
    pub load: LoadShape,
    /// Write the report to this file
    #[arg(help_heading = "Report", short = 'o', long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print help
    #[arg(help_heading = "Options", long, action = ArgAction::Help)]
    help: Option<bool>,
}
