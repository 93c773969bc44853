//! The command line: options named as users of redis-benchmark, memtier and wrk2 know them, read into numbers.
//!
//! Nothing is checked against each other here; `plan.rs` does that.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::schedule::Arrival;

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
    /// Print the JSON Schema of all reports
    Schema,
}

const RUN_EXAMPLES: &str = "\
Examples:
  loadgen run                                        the default socket, 50 connections, 10 seconds
  loadgen run -s /tmp/redis.sock --prefill           write all keys first, so that GETs find them
  loadgen run -h 10.0.0.5 -p 6379 -t 4 -c 200 -P 16  over TCP with deep pipelines
  loadgen run --rate 50k --dist zipf --out r.json    open loop: latency at a fixed rate
  loadgen run --ratio 1:0 -n 1M --value-size 512     one million SETs
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
    /// SETs to GETs, by weight
    #[arg(help_heading = "Workload", long, value_name = "SET:GET", default_value = "1:10", value_parser = parse_ratio)]
    pub ratio: Ratio,
    /// How keys are chosen
    #[arg(help_heading = "Workload", long, value_enum, default_value_t = DistributionName::Uniform)]
    pub dist: DistributionName,
    /// Exponent of --dist zipf [default: 0.99]
    #[arg(help_heading = "Workload", long, value_name = "THETA")]
    pub theta: Option<f64>,
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
    /// Requests per second (50k, 1.5M), on a fixed schedule that no slow reply moves; max = closed loop
    #[arg(help_heading = "Load", short = 'r', long, alias = "rps", value_name = "N|max", default_value = "max", value_parser = parse_rate)]
    pub rate: Rate,
    /// Spacing of the start times under --rate
    #[arg(help_heading = "Load", long, value_enum, default_value_t = Arrival::Constant)]
    pub arrival: Arrival,
    /// How long to wait for outstanding replies after the window
    #[arg(help_heading = "Load", long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub drain: Duration,
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
    /// Text before the key number
    #[arg(long, value_name = "TEXT", default_value = "key:")]
    pub key_prefix: String,
    /// Length of a key with its prefix: the number is padded with zeros
    #[arg(long, value_name = "BYTES", default_value = "16", value_parser = parse_size)]
    pub key_size: usize,
    /// Length of a value
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = parse_size)]
    pub value_size: usize,
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
    /// Exact zipf over all keys, the hot ones scattered
    Zipf,
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

/// Weights of SET and GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// Weight of SET.
    pub set: u32,
    /// Weight of GET.
    pub get: u32,
}

/// Requests per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// As fast as replies come: closed loop.
    Max,
    /// On schedule: open loop.
    PerSecond(f64),
}

/// Processors by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(pub Vec<usize>);

fn parse_ratio(text: &str) -> Result<Ratio, String> {
    let usage = || "expected two weights as SET:GET, like 1:10, 1:0 or 0:1".to_owned();
    let (set, get) = text.split_once(':').ok_or_else(usage)?;
    let weight = |text: &str| text.trim().parse::<u32>().map_err(|_| usage());
    let ratio = Ratio { set: weight(set)?, get: weight(get)? };
    if ratio.set == 0 && ratio.get == 0 {
        return Err("at least one weight must be above 0".to_owned());
    }
    Ok(ratio)
}

/// `30s`, `500ms`, `1.5m`, `2h`; a bare number is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit_s = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err("expected a time like 30s, 500ms, 5m or 1h".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|_| "expected a time like 30s, 500ms, 5m or 1h".to_owned())?;
    let seconds = number * unit_s;
    if !(0.0..=DURATION_MAX_S).contains(&seconds) {
        return Err("times go from 0 to 30 days".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

const DURATION_MAX_S: f64 = 30.0 * 86_400.0;

/// A number with an optional decimal unit: `50k`, `1.5M`, `1e6`.
fn parse_scaled(text: &str) -> Option<f64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1e3),
        b'm' | b'M' => (&text[..text.len() - 1], 1e6),
        b'g' | b'G' => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    let number: f64 = digits.parse().ok()?;
    let scaled = number * unit;
    (scaled.is_finite() && scaled >= 0.0).then_some(scaled)
}

fn parse_count(text: &str) -> Result<u64, String> {
    if let Ok(exact) = text.parse::<u64>() {
        return Ok(exact);
    }
    let scaled = parse_scaled(text).ok_or("expected a number like 100000, 50k or 1.5M")?;
    // Above 2^53 a float skips numbers; nobody counts that far with a unit.
    if scaled.fract() != 0.0 || scaled > 9e15 {
        return Err("expected a whole number like 100000, 50k or 1.5M".to_owned());
    }
    Ok(crate::number::floor_u64(scaled))
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    match parse_scaled(text) {
        Some(rate) if rate > 0.0 => Ok(Rate::PerSecond(rate)),
        _ => Err("expected requests per second like 50000, 50k or 1.5M, or max".to_owned()),
    }
}

/// Bytes with an optional binary unit: `64`, `4k` = 4096, `1M`.
fn parse_size(text: &str) -> Result<usize, String> {
    let usage = || "expected bytes like 64, 4k or 1M (binary units)".to_owned();
    let lower = text.to_ascii_lowercase();
    let lower = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, unit) = match lower.as_bytes().last().ok_or_else(usage)? {
        b'k' => (&lower[..lower.len() - 1], 1 << 10),
        b'm' => (&lower[..lower.len() - 1], 1 << 20),
        b'g' => (&lower[..lower.len() - 1], 1 << 30),
        _ => (lower, 1),
    };
    digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(usage)
}

pub(crate) fn parse_cpus(text: &str) -> Result<CpuList, String> {
    let usage = || "expected processors like 1 or 0-3 or 1,3".to_owned();
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| usage())?;
        let last: usize = last.trim().parse().map_err(|_| usage())?;
        if first > last || last > CPU_NUMBER_MAX {
            return Err(usage());
        }
        cpus.extend(first..=last);
    }
    Ok(CpuList(cpus))
}

/// What the kernel's set of processors holds.
const CPU_NUMBER_MAX: usize = 1023;

fn parse_tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
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
    fn times_have_units_and_bare_numbers_are_seconds() {
        assert_eq!(parse_duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        for wrong in ["", "s", "3x", "-1s", "1e30s", "nan"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_take_decimal_units() {
        assert_eq!(parse_count("123"), Ok(123));
        assert_eq!(parse_count("50k"), Ok(50_000));
        assert_eq!(parse_count("1.5M"), Ok(1_500_000));
        for wrong in ["", "k", "1.5", "-3", "1e300", "inf", "1.0001k"] {
            assert!(parse_count(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_take_binary_units() {
        assert_eq!(parse_size("64"), Ok(64));
        assert_eq!(parse_size("4k"), Ok(4096));
        assert_eq!(parse_size("1MiB"), Ok(1 << 20));
        assert!(parse_size("").is_err());
        assert!(parse_size("99999999999999g").is_err());
    }

    #[test]
    fn rates_are_positive_or_max() {
        assert_eq!(parse_rate("max"), Ok(Rate::Max));
        assert_eq!(parse_rate("50k"), Ok(Rate::PerSecond(50_000.0)));
        assert_eq!(parse_rate("0.5"), Ok(Rate::PerSecond(0.5)));
        for wrong in ["0", "-1", "fast", "", "nan"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ratios_and_processors_are_read() {
        assert_eq!(parse_ratio("1:10"), Ok(Ratio { set: 1, get: 10 }));
        assert!(parse_ratio("0:0").is_err());
        assert!(parse_ratio("1").is_err());
        assert_eq!(parse_cpus("1,3-5"), Ok(CpuList(vec![1, 3, 4, 5])));
        assert!(parse_cpus("5-3").is_err());
        assert!(parse_cpus("0-9999999999").is_err());
        assert!(parse_cpus("").is_err());
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
