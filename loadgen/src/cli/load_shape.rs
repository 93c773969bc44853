//! Options that say how hard the server is driven, and how that is shown.

use clap::{Args, ValueEnum};

use crate::cli_values::{CpuList, parse_cpus};

/// How hard.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Load")]
pub struct LoadShape {
    /// Connections in total, over all threads
    #[arg(short = 'c', long, alias = "clients", value_name = "TOTAL", default_value_t = 50)]
    pub connections: u32,
    /// Worker threads, one ring each [default: half of the processors, at most 4]
    #[arg(short = 't', long, value_name = "N")]
    pub threads: Option<u32>,
    /// Processors to run on, one worker each in turn: 1 or 2-5 or 1,3
    #[arg(long, value_name = "LIST", value_parser = parse_cpus)]
    pub cpus: Option<CpuList>,
    /// Progress on the terminal
    #[arg(long, value_enum, default_value_t = Live::Auto)]
    pub live: Live,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Live {
    /// A bar on a terminal, else a line per second
    Auto,
    /// A line per second
    Plain,
    /// Nothing
    None,
}
