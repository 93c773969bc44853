//! Options of `loadgen agreement`.

use std::path::PathBuf;

use clap::Args;

use crate::cli_values::parse_count;

/// Examples for `--help`.
pub const AGREEMENT_EXAMPLES: &str = "\
Examples:
  loadgen agreement --server-cpus 0 --client-cpus 1 -o results/agreement.json

Needs redis-server and redis-benchmark.
";

/// Options of `agreement`.
#[derive(Clone, Debug, Args)]
pub struct AgreementArgs {
    /// Pairs of runs; six are the least that can show a difference
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(6..=40))]
    pub pairs: u32,
    /// Requests of each run
    #[arg(short = 'n', long, value_name = "N", default_value = "500k", value_parser = parse_count)]
    pub requests: u64,
    /// Connections of each client
    #[arg(short = 'c', long, value_name = "TOTAL", default_value_t = 50)]
    pub connections: u32,
    /// Requests in flight on one connection
    #[arg(short = 'P', long, value_name = "N", default_value_t = 1)]
    pub pipeline: u32,
    /// Number of keys
    #[arg(long, value_name = "N", default_value = "100k", value_parser = parse_count)]
    pub keys: u64,
    /// SETs instead of GETs
    #[arg(long)]
    pub set: bool,
    /// Processors of the server
    #[arg(long, value_name = "LIST")]
    pub server_cpus: Option<String>,
    /// Processors of the clients, one thread each
    #[arg(long, value_name = "LIST")]
    pub client_cpus: Option<String>,
    /// Write the report to this file
    #[arg(short = 'o', long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
