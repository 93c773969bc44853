//! The command line: options named as users of redis-benchmark, memtier and wrk2 know them, read into numbers.
//!
//! Nothing is checked against each other here; `plan.rs` does that.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::cli_values::{
    CpuList, NumberList, Rate, Ratio, parse_count, parse_counts, parse_cpus, parse_data, parse_duration,
    parse_list, parse_plain_rate, parse_rate, parse_ratio, parse_share, parse_shares, parse_sizes, parse_tag,
    parse_ttl,
};
use crate::operations::{Verb, parse_mix};
use crate::schedule::Arrival;
use crate::sizes::Sizes;
use crate::slo::Slo;
use crate::values::DataKind;
use crate::verify_share::VerifyShare;
use crate::workloads::Preset;

/// Measures any RESP server (Ouro, Redis, Valkey, ...) with latency histograms that do not lie.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load the server and measure it
    #[command(disable_help_flag = true, after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Only write all keys of the key space, as `run --prefill` does first
    #[command(disable_help_flag = true, after_help = LOAD_EXAMPLES)]
    Load(Box<LoadArgs>),
    /// Send a recorded load: a log of MONITOR or a CSV
    #[command(disable_help_flag = true, after_help = REPLAY_EXAMPLES)]
    Replay(Box<ReplayArgs>),
    /// Measure the generator itself against a server that does nothing
    #[command(after_help = SELFTEST_EXAMPLES)]
    Selftest(SelftestArgs),
    /// Find the highest rate that keeps limits on latency
    #[command(disable_help_flag = true, after_help = SEARCH_EXAMPLES)]
    Search(Box<SearchArgs>),
    /// Draw throughput against latency over rates, connections or pipelines
    #[command(disable_help_flag = true, after_help = SWEEP_EXAMPLES)]
    Sweep(Box<SweepArgs>),
    /// Write while the server is killed and restarted; prove that nothing acknowledged is lost
    #[command(disable_help_flag = true, after_help = AUDIT_EXAMPLES)]
    Audit(Box<AuditArgs>),
    /// Print a report
    Show(ShowArgs),
    /// Write a report in a form that other tools read
    #[command(after_help = crate::export::args::EXPORT_EXAMPLES)]
    Export(crate::export::args::ExportArgs),
    /// Say whether two groups of runs differ, and by how much
    #[command(after_help = crate::comparison::args::COMPARE_EXAMPLES)]
    Compare(Box<crate::comparison::args::CompareArgs>),
    /// Find the noise floor of this machine from runs that are all alike
    Noise(crate::export::args::NoiseArgs),
    /// Measure several servers in turn under several loads
    #[command(after_help = crate::matrix::args::MATRIX_EXAMPLES)]
    Matrix(crate::matrix::args::MatrixArgs),
    /// Run redis-benchmark and loadgen in turn against redis-server, and say how far they agree
    #[command(after_help = crate::agreement::args::AGREEMENT_EXAMPLES)]
    Agreement(crate::agreement::args::AgreementArgs),
    /// Print the JSON Schema of all reports
    Schema,
}

const RUN_EXAMPLES: &str = "\
Examples:
  loadgen run                                        the default socket, 50 connections, 10 seconds
  loadgen run -s /tmp/redis.sock --prefill           write all keys first, so that GETs find them
  loadgen run -h 10.0.0.5 -p 6379 -t 4 -c 200 -P 16  over TCP with deep pipelines
  loadgen run --rate 50k --dist zipf --out r.json    open loop: latency at a fixed rate
  loadgen run --rate 10k..100k -d 60s                the rate rises evenly over the window
  loadgen run --ratio 1:0 -n 1M --value-size 512     one million SETs
  loadgen run --workload ycsb-a --prefill --verify   YCSB's update-heavy mix, every answer checked
  loadgen run --rate 20k --arrival burst:100 --strict   100 requests at once, status 4 when the run is not valid
  loadgen run --mix get=80,set=15,rmw=5 --value-size 64:80,1k:20 --ttl 60s
  loadgen run --command 'LPUSH list:{key} {value}' --command-ratio 3 --command 'LPOP list:{key}'
";

const REPLAY_EXAMPLES: &str = "\
Examples:
  redis-cli monitor > load.log; loadgen replay load.log            as it was
  loadgen replay load.log --speed 10                               ten times as fast
  loadgen replay trace.csv --speed max                             as fast as replies come
  loadgen replay cluster.csv --format csv --columns time_s,key,key_bytes,value_bytes,client,op,ttl_s

Columns of a CSV: time_s, time_ms or time_us; op (get, set, delete, incr, ...); key; value_bytes; ttl_s; client.
";

const SELFTEST_EXAMPLES: &str = "\
Examples:
  loadgen selftest                        the ceiling at pipeline 1 and 16, the floor of latency, the timing error
  loadgen selftest -c 200 -t 2 -P 64 -o self.json
";

const SEARCH_EXAMPLES: &str = "\
Examples:
  loadgen search --slo 'p99<1ms' -d 5s --prefill
  loadgen search --slo 'p99<1ms' --slo 'p99.9<5ms' --min 10k --max 500k --confirm 3 -o search.json

Climbs by --step until a limit breaks, bisects to --tolerance, and confirms. Exit status 3: no rate held.
";

const SWEEP_EXAMPLES: &str = "\
Examples:
  loadgen sweep --rates 10k..100k/10k -d 5s
  loadgen sweep --connection-counts 1,10,50,200 -P 1
  loadgen sweep --pipelines 1,2,4,8,16,32 -o sweep.json
";

const AUDIT_EXAMPLES: &str = "\
Examples:
  loadgen audit -s /tmp/o.sock --kills 10 --spawn -- ourod --dir /tmp/data --unixsocket /tmp/o.sock
  loadgen audit -p 6379 --kills 3 --every 10s        somebody else restarts the server meanwhile

Exit status: 0 everything acknowledged was there, 3 something was lost or the server did not come back,
4 too little happened to say.
";

const LOAD_EXAMPLES: &str = "\
Examples:
  loadgen load --keys 2M --value-size 64
  loadgen load -s /tmp/redis.sock --keys 100k
";

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
    /// Kinds of requests by weight: get, set, insert, del, scan, rmw (get=80,set=15,del=5)
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
    /// Keys read by one scan: 10 or 1..100
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

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The recorded load
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the server is.
    #[command(flatten)]
    pub target: TargetArgs,
    /// How hard.
    #[command(flatten)]
    pub load: LoadShape,
    /// What the file is [default: csv when its name ends so, else monitor]
    #[arg(help_heading = "Replay", long, value_enum)]
    pub format: Option<TraceFormat>,
    /// Names of the columns of a CSV without a first line that names them
    #[arg(help_heading = "Replay", long, value_name = "NAMES")]
    pub columns: Option<String>,
    /// Times as fast as recorded: 1, 0.5, 10; max = as fast as replies come
    #[arg(help_heading = "Replay", long, value_name = "FACTOR", default_value = "1", value_parser = parse_speed)]
    pub speed: Speed,
    /// Requests in flight on one connection
    #[arg(help_heading = "Load", short = 'P', long, value_name = "N", default_value_t = 16)]
    pub pipeline: u32,
    /// How long to wait for outstanding replies at the end
    #[arg(help_heading = "Load", long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub drain: Duration,
    /// Write the report to this file
    #[arg(help_heading = "Report", short = 'o', long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// A name for the run, kept in the report
    #[arg(help_heading = "Report", long, value_name = "TEXT")]
    pub label: Option<String>,
    /// Print help
    #[arg(help_heading = "Options", long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Formats of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceFormat {
    /// What MONITOR prints
    Monitor,
    /// Columns with names
    Csv,
}

/// A factor, or as fast as replies come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as replies come.
    Max,
    /// So many times as fast as recorded.
    Times(f64),
}

fn parse_speed(text: &str) -> Result<Speed, String> {
    match text.trim_end_matches('x').parse::<f64>() {
        _ if text == "max" => Ok(Speed::Max),
        Ok(factor) if (1e-3..=1e6).contains(&factor) => Ok(Speed::Times(factor)),
        _ => Err("expected a factor from 0.001 to 1000000, or max".to_owned()),
    }
}

impl ReplayArgs {
    /// Reads the file.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn read(&self) -> Result<crate::trace::Trace, String> {
        let shown = self.file.display();
        let file =
            std::fs::File::open(&self.file).map_err(|error| format!("cannot read {shown}: {error}"))?;
        let input = std::io::BufReader::with_capacity(1 << 20, file);
        let is_csv = self.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let default = if is_csv { TraceFormat::Csv } else { TraceFormat::Monitor };
        match self.format.unwrap_or(default) {
            TraceFormat::Csv => crate::trace_file::read_csv(input, self.columns.as_deref()),
            TraceFormat::Monitor => crate::trace_file::read_monitor(input),
        }
        .map_err(|error| format!("{shown}: {error}"))
    }
}

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
}

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

/// Options of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The report
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Where the server is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct TargetArgs {
    /// Unix socket [default: ./ouro-data/ouro.sock, $XDG_RUNTIME_DIR/ouro.sock or /run/ouro/ouro.sock]
    #[arg(short = 's', long, short_alias = 'S', alias = "unix-socket", value_name = "PATH", conflicts_with_all = ["host", "port"])]
    pub socket: Option<PathBuf>,
    /// Host name or address, for TCP
    #[arg(short = 'h', long, value_name = "HOST")]
    pub host: Option<String>,
    /// TCP port [default: 6379]
    #[arg(short = 'p', long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Encrypt the connection; TCP only
    #[arg(long, conflicts_with = "socket")]
    pub tls: bool,
    /// Certificates to trust [default: those of the system]
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub cacert: Option<PathBuf>,
    /// Certificate of this client
    #[arg(long, value_name = "FILE", requires = "tls", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Key of the certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Name in the server's certificate, when it is not --host
    #[arg(long, value_name = "NAME", requires = "tls")]
    pub sni: Option<String>,
    /// Trust any server
    #[arg(long, requires = "tls", conflicts_with = "cacert")]
    pub insecure: bool,
    /// Password [default: $REDISCLI_AUTH]
    #[arg(short = 'a', long, value_name = "PASSWORD")]
    pub pass: Option<String>,
    /// User of the password
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Speak RESP3
    #[arg(short = '3', long)]
    pub resp3: bool,
    /// Database number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub db: u32,
}

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

/// Names of key distributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DistributionName {
    /// Every key is equally likely
    Uniform,
    /// All keys in order, again and again
    Sequential,
    /// Exact zipf over all keys, the hot ones scattered
    Zipf,
    /// YCSB's scrambled zipfian as published
    YcsbZipfian,
    /// The newest keys are the hottest: exact zipf over their age
    Latest,
    /// YCSB's latest as published
    YcsbLatest,
    /// Most requests go to few keys, evenly
    Hotspot,
    /// Normal distribution over the key numbers
    Gaussian,
    /// Exponential distribution over the age of keys
    Exponential,
}

/// Kinds of requests with their weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix(pub Vec<(Verb, String, u32)>);

fn parse_mix_option(text: &str) -> Result<Mix, String> {
    parse_mix(text).map(Mix)
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

/// Hints for options whose letter means something else in another tool.
#[must_use]
pub fn hints(arguments: &[String]) -> Vec<String> {
    let mut hints = Vec::new();
    let value_of = |letter: &str| {
        let position = arguments.iter().position(|argument| argument == letter)?;
        arguments.get(position + 1).cloned()
    };
    if let Some(value) = value_of("-d").filter(|value| value.bytes().all(|byte| byte.is_ascii_digit())) {
        hints.push(format!(
            "-d {value} is a duration of {value} seconds here (write -d {value}s); the size of values is --value-size"
        ));
    }
    if let Some(value) = value_of("-r").filter(|value| value.bytes().all(|byte| byte.is_ascii_digit())) {
        hints.push(format!(
            "-r {value} is a rate of {value} requests per second here; the number of keys is --keys"
        ));
    }
    if let Some(value) =
        value_of("-h").filter(|value| value.parse::<IpAddr>().is_err() && value.starts_with('-'))
    {
        hints.push(format!("-h {value}: -h is the host here; help is --help"));
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn letters_of_other_tools_are_explained() {
        let arguments = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(hints(&arguments("run -d 64"))[0].contains("--value-size"));
        assert!(hints(&arguments("run -r 100000"))[0].contains("--keys"));
        assert!(hints(&arguments("run -d 64s -r 100k")).is_empty());
    }

    #[test]
    fn the_short_names_of_redis_tools_work() {
        let line = "loadgen run -h 127.0.0.1 -p 7000 -a secret -c 10 -P 4 -n 1000 -3 --ratio 1:1";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Run(run) = cli.command else { panic!("a run") };
        assert_eq!((run.target.port, run.load.connections, run.pipeline), (Some(7000), 10, 4));
        assert_eq!(run.requests, Some(1000));
        assert!(run.target.resp3);
    }
}
