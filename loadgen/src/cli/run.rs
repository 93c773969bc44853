//! Options of `run`, which searches and sweeps have too.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use super::distribution::{DistributionName, Mix, parse_mix_option};
use super::{LoadShape, TargetArgs, WorkloadArgs};
use crate::cli_values::{
    Rate, Ratio, parse_count, parse_counts, parse_duration, parse_rate, parse_ratio, parse_share,
    parse_shares, parse_tag,
};
use crate::schedule::Arrival;
use crate::sizes::Sizes;

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Where the server is.
    #[command(flatten)]
    pub target: TargetArgs,
    /// What is sent.
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// How hard.
    #[command(flatten)]
    pub load: LoadShape,
    /// SETs to GETs, by weight [default: 1:10]
    #[arg(help_heading = "Workload", long, value_name = "SET:GET", value_parser = parse_ratio, conflicts_with = "mix")]
    pub ratio: Option<Ratio>,
    /// Kinds of requests by weight: get, set, insert, del, scan, walk, rmw (get=80,set=15,del=5)
    #[arg(help_heading = "Workload", long, value_name = "KIND=N,...", value_parser = parse_mix_option)]
    pub mix: Option<Mix>,
    /// A command of your own, with {key}, {value}, {random}; may be repeated
    #[arg(help_heading = "Workload", long = "command", value_name = "LINE")]
    pub commands: Vec<String>,
    /// Weight of the --command of the same place [default: 1]
    #[arg(help_heading = "Workload", long = "command-ratio", value_name = "N", requires = "commands")]
    pub command_ratios: Vec<u32>,
    /// How keys are chosen [default: uniform]
    #[arg(help_heading = "Workload", long, value_enum)]
    pub dist: Option<DistributionName>,
    /// Exponent of --dist zipf and latest [default: 0.99]
    #[arg(help_heading = "Workload", long, value_name = "THETA")]
    pub theta: Option<f64>,
    /// Share of the keys and of the requests of --dist hotspot and exponential [default: 0.2:0.8, 0.857:0.95]
    #[arg(help_heading = "Workload", long, alias = "hot", value_name = "KEYS:REQUESTS", value_parser = parse_shares)]
    pub hot: Option<(f64, f64)>,
    /// Standard deviation of --dist gaussian in keys [default: a sixth of --keys]
    #[arg(help_heading = "Workload", long, alias = "key-stddev", value_name = "KEYS")]
    pub stddev: Option<f64>,
    /// Middle of --dist gaussian [default: half of --keys]
    #[arg(help_heading = "Workload", long, alias = "key-median", value_name = "KEY")]
    pub median: Option<f64>,
    /// Keys read by one scan, and COUNT of a step of a walk: 10 or 1..100
    #[arg(help_heading = "Workload", long, value_name = "N", default_value = "1..100", value_parser = parse_counts)]
    pub scan_keys: Sizes,
    /// Largest share of reads that may miss; above it the run fails with status 3
    #[arg(help_heading = "Workload", long, value_name = "SHARE", value_parser = parse_share)]
    pub miss_limit: Option<f64>,
    /// Requests in flight on one connection, kept full as replies arrive
    #[arg(help_heading = "Load", short = 'P', long, value_name = "N", default_value_t = 1)]
    pub pipeline: u32,
    /// Write every key once before the run
    #[arg(help_heading = "Workload", long)]
    pub prefill: bool,
    /// Time at full load that is not measured
    #[arg(help_heading = "Load", long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub warmup: Duration,
    /// Length of the measured window: 30s, 500ms, 5m [default: 10s]
    #[arg(help_heading = "Load", short = 'd', long, alias = "test-time", value_name = "TIME", value_parser = parse_duration, conflicts_with = "requests")]
    pub duration: Option<Duration>,
    /// Requests to measure, in place of a duration: 100000, 1M
    #[arg(help_heading = "Load", short = 'n', long, value_name = "N", value_parser = parse_count)]
    pub requests: Option<u64>,
    /// Requests per second (50k), a ramp (10k..90k) or steps (10k..90k/10k@5s), on a schedule that no slow reply moves; max = closed loop
    #[arg(help_heading = "Load", short = 'r', long, alias = "rps", value_name = "RATE", default_value = "max", value_parser = parse_rate)]
    pub rate: Rate,
    /// Spacing of the start times under --rate: even, as of independent users, or N at once
    #[arg(help_heading = "Load", long, value_name = "constant|poisson|burst:N", default_value_t = Arrival::Constant)]
    pub arrival: Arrival,
    /// Poll instead of sleeping until the next start: requests leave on time to a few microseconds, for all the time of a processor per thread, which nobody else should need (--cpus)
    #[arg(help_heading = "Load", long)]
    pub spin: bool,
    /// How long to wait for outstanding replies after the window
    #[arg(help_heading = "Load", long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub drain: Duration,
    /// Test the generator itself first, and hold the figures against its own ceiling
    #[arg(help_heading = "Report", long)]
    pub selftest: bool,
    /// End with status 4 when anything speaks against the figures
    #[arg(help_heading = "Report", long)]
    pub strict: bool,
    /// Process of the server, for its CPU time per request [default: the peer of the Unix socket]
    #[arg(help_heading = "Report", long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Write the report to this file
    #[arg(help_heading = "Report", short = 'o', long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// A name for the run, kept in the report
    #[arg(help_heading = "Report", long, value_name = "TEXT")]
    pub label: Option<String>,
    /// A mark kept in the report; may be repeated
    #[arg(help_heading = "Report", long = "tag", value_name = "KEY=VALUE", value_parser = parse_tag)]
    pub tags: Vec<(String, String)>,
    /// Print help
    #[arg(help_heading = "Options", long, action = ArgAction::Help)]
    help: Option<bool>,
}
