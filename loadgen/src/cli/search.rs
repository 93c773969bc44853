//! Options of `search` and `sweep`: those of `run` and what changes between the runs.

use clap::Args;

use super::RunArgs;
use crate::cli_values::{NumberList, parse_list, parse_plain_rate, parse_share};
use crate::slo::Slo;

/// Options of `search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// Each step is such a run.
    #[command(flatten)]
    pub run: RunArgs,
    /// A limit that must hold, like p99<1ms; may be repeated
    #[arg(help_heading = "Search", long, value_name = "LIMIT", required = true, value_parser = Slo::parse)]
    pub slo: Vec<Slo>,
    /// First rate
    #[arg(help_heading = "Search", long, value_name = "RATE", default_value = "1k", value_parser = parse_plain_rate)]
    pub min: f64,
    /// Highest rate that is tried
    #[arg(help_heading = "Search", long, value_name = "RATE", default_value = "10M", value_parser = parse_plain_rate)]
    pub max: f64,
    /// Factor of the climb
    #[arg(help_heading = "Search", long, value_name = "FACTOR", default_value_t = 1.5)]
    pub step: f64,
    /// How close the bisection goes
    #[arg(help_heading = "Search", long, value_name = "SHARE", default_value = "2%", value_parser = parse_share)]
    pub tolerance: f64,
    /// How often the rate found must hold again
    #[arg(help_heading = "Search", long, value_name = "N", default_value_t = 3)]
    pub confirm: u32,
}

/// Options of `sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Each point is such a run.
    #[command(flatten)]
    pub run: RunArgs,
    /// Rates: 10k,20k,50k or 10k..100k/10k
    #[arg(help_heading = "Sweep", long, value_name = "LIST", value_parser = parse_list)]
    pub rates: Option<NumberList>,
    /// Connections in total
    #[arg(help_heading = "Sweep", long, value_name = "LIST", value_parser = parse_list)]
    pub connection_counts: Option<NumberList>,
    /// Requests in flight per connection
    #[arg(help_heading = "Sweep", long, value_name = "LIST", value_parser = parse_list)]
    pub pipelines: Option<NumberList>,
}
