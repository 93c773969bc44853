//! Options of `audit`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use super::{Live, TargetArgs};
use crate::cli_values::{parse_count, parse_duration};

/// Options of `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Where the server is.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Start the server with the command after --, kill it and start it again
    #[arg(help_heading = "Audit", long)]
    pub spawn: bool,
    /// The server's command
    #[arg(help_heading = "Audit", last = true, value_name = "COMMAND", requires = "spawn")]
    pub command: Vec<String>,
    /// File for the server's output
    #[arg(help_heading = "Audit", long, value_name = "FILE", requires = "spawn")]
    pub server_log: Option<PathBuf>,
    /// How often the server is killed; without --spawn, how often its keys are checked
    #[arg(help_heading = "Audit", long, value_name = "N", default_value_t = 5)]
    pub kills: u32,
    /// Time of writing before each kill, drawn from half of it to one and a half
    #[arg(help_heading = "Audit", long, value_name = "TIME", default_value = "3s", value_parser = parse_duration)]
    pub every: Duration,
    /// End the server by SIGTERM instead of SIGKILL
    #[arg(help_heading = "Audit", long)]
    pub gentle: bool,
    /// How long the server may take until it serves again
    #[arg(help_heading = "Audit", long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub ready: Duration,
    /// Clients, one connection each; each writes keys of its own
    #[arg(
        help_heading = "Audit",
        short = 'c',
        long,
        alias = "clients",
        value_name = "N",
        default_value_t = 8
    )]
    pub connections: u32,
    /// Keys of all clients together
    #[arg(help_heading = "Audit", long, value_name = "N", default_value = "10k", value_parser = parse_count)]
    pub keys: u64,
    /// Longest value
    #[arg(help_heading = "Audit", long, value_name = "BYTES", default_value = "256", value_parser = crate::cli_values::parse_size)]
    pub value_size: usize,
    /// Seed of all random choices
    #[arg(help_heading = "Audit", long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
    /// Progress on the terminal
    #[arg(help_heading = "Report", long, value_enum, default_value_t = Live::Auto)]
    pub live: Live,
    /// Write the report to this file
    #[arg(help_heading = "Report", short = 'o', long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print help
    #[arg(help_heading = "Options", long, action = ArgAction::Help)]
    help: Option<bool>,
}
