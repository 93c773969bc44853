//! Options that say which keys and values there are.

use clap::Args;

use crate::cli_values::{parse_count, parse_data, parse_sizes, parse_ttl};
use crate::sizes::Sizes;
use crate::values::DataKind;
use crate::verify_share::VerifyShare;
use crate::workloads::Preset;

/// What is sent.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Workload")]
pub struct WorkloadArgs {
    /// Number of keys
    #[arg(long, value_name = "N", default_value = "1M", value_parser = parse_count)]
    pub keys: u64,
    /// A named workload; other options of this section change parts of it
    #[arg(long, value_enum)]
    pub workload: Option<Preset>,
    /// Text before the key number [default: key:]
    #[arg(long, value_name = "TEXT")]
    pub key_prefix: Option<String>,
    /// Length of a key with its prefix, padded with zeros: 16, 16..40 or 16:80,40:20 [default: 16]
    #[arg(long, value_name = "BYTES", value_parser = parse_sizes)]
    pub key_size: Option<Sizes>,
    /// Length of a value: 64, 64..1k or 64:80,1k:20 [default: 64]
    #[arg(long, value_name = "BYTES", value_parser = parse_sizes)]
    pub value_size: Option<Sizes>,
    /// Bytes of values: random, compressible or compressible:RATIO
    #[arg(long, value_name = "KIND", default_value = "random", value_parser = parse_data)]
    pub data: DataKind,
    /// Time to live of written keys: 60s or 10m..60m
    #[arg(long, value_name = "TIME", value_parser = parse_ttl)]
    pub ttl: Option<Sizes>,
    /// Put key, version and checksum into each value and look into answers: all, sample (1 %), sample:5% or none; wrong
    /// ones end with status 3 [default: none, all when given alone]
    #[arg(long, value_name = "WHICH", num_args = 0..=1, default_value = "none", default_missing_value = "all", hide_default_value = true)]
    pub verify: VerifyShare,
    /// Seed of all random choices: the same seed sends the same requests
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
}
