//! Measures `ourod` against `redis-server`, each in turn under the same load, and holds the figures against bars.
//!
//! `cargo run --release -p benches --bin side_by_side -- run` measures everything (about twenty minutes) and writes
//! `results/side_by_side.json`; `... -- table results/side_by_side.json` prints it as Markdown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use benches::binaries::Program;
use benches::load::{ClientKind, LoadClient};
use benches::machine::Machine;
use benches::program::{ServerArgs, command_line, exit_code, print_text};
use benches::progress::Progress;
use benches::report::{Report, SCHEMA_VERSION};
use benches::scenario::{Group, Measurement, Side, Sizes, file_system};
use benches::server::{ServerKind, ServerSpec};
use benches::table::markdown;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures ourod against redis-server: servers are started here, pinned to a core, and loaded in turns.
#[derive(Debug, Parser)]
#[command(name = "side_by_side")]
struct CommandLine {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Measure, and write a report
    Run(Box<RunArgs>),
    /// Print a report as a Markdown table
    Table {
        /// The report
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Name of the report: results/NAME.json
    #[arg(long, value_name = "NAME", default_value = "side_by_side")]
    name: String,
    /// Write the report to this file instead
    #[arg(short = 'o', long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What to measure [default: everything]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    groups: Vec<Group>,
    /// Lives of each server per group; they take turns
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    repeats: u16,
    /// Measured window of each load, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    window: f64,
    /// Load before each window, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    warmup: f64,
    /// Keys under load
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    keys: u64,
    /// Keys for memory per key and recovery
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    many_keys: u64,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 50)]
    connections: u32,
    /// Commands per second for two workers against one [default: 70 % of what the slower one can do]
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// One life each, short windows, a tenth of the keys: to see that everything runs
    #[arg(long)]
    quick: bool,
    /// Who loads the servers
    #[arg(long, value_enum, default_value_t = ClientKind::Loadgen)]
    client: ClientKind,
    /// Measure redis against itself: what differs is noise
    #[arg(long)]
    noise: bool,
    /// redis-benchmark
    #[arg(long, value_name = "PATH", default_value = "redis-benchmark")]
    redis_benchmark: PathBuf,
    /// Folder for stores, on the disk to measure [default: the system's temporary folder]
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    servers: ServerArgs,
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().action {
        Action::Run(args) => run(&args),
        Action::Table { file } => Report::read(&file).map(|report| {
            print_text(&markdown(&report));
            true
        }),
    };
    exit_code("side_by_side", result)
}

fn run(args: &RunArgs) -> Result<bool> {
    let programs = Programs::find(args)?;
    let base = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&base)?;
    let dir = tempfile::Builder::new().prefix("side-by-side-").tempdir_in(&base)?;
    let groups = if args.groups.is_empty() { default_groups(args) } else { args.groups.clone() };
    let file_system = file_system(dir.path());
    let on_disk = groups.iter().any(|group| matches!(group, Group::Durable | Group::Recovery));
    if on_disk && file_system == "tmpfs" {
        bail!("{} is in memory: name a folder on a disk with --dir", base.display());
    }
    let sizes = sizes(args);
    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        name: args.name.clone(),
        machine: Machine::this(),
        command: command_line(),
        versions: programs.versions(args)?,
        file_system,
        runs: Vec::new(),
        summaries: Vec::new(),
    };
    let out =
        args.out.clone().unwrap_or_else(|| Path::new("results").join(&args.name).with_extension("json"));
    let mut progress = Progress::new();
    for group in groups {
        let sides = programs.sides(args, group);
        let (client, dir) = (&programs.client, dir.path());
        let measurement = Measurement { sizes: &sizes, sides, client, dir, has_bars: !args.noise };
        let (runs, summaries) = measurement.run(group, &mut progress)?;
        report.runs.extend(runs);
        report.summaries.extend(summaries);
        // What is measured is kept, whatever comes next.
        report.write(&out)?;
    }
    progress.clear();
    print_text(&markdown(&report));
    print_text(&format!("\nreport: {}\n", out.display()));
    Ok(!args.servers.check || report.passed())
}

struct Programs {
    ourod: PathBuf,
    client: LoadClient,
}

impl Programs {
    fn find(args: &RunArgs) -> Result<Self> {
        // Redis against itself needs no ourod.
        let ourod =
            if args.noise { PathBuf::new() } else { Program::Ourod.find(args.servers.ourod.as_deref())? };
        let program = match args.client {
            ClientKind::Loadgen => Program::Loadgen.find(args.servers.loadgen.as_deref())?,
            ClientKind::RedisBenchmark => args.redis_benchmark.clone(),
        };
        let client = LoadClient { kind: args.client, program, cpus: vec![args.servers.client_cpu] };
        Ok(Self { ourod, client })
    }

    /// The two sides of a group, the baseline first.
    fn sides(&self, args: &RunArgs, group: Group) -> [Side; 2] {
        let side = |name: &str, kind: ServerKind, workers: usize, cpus: Vec<usize>| {
            let (program, extra) = match kind {
                ServerKind::Redis => (args.servers.redis.clone(), Vec::new()),
                ServerKind::Ouro => (self.ourod.clone(), args.servers.extra.clone()),
            };
            let spec = ServerSpec { kind, program, durability: group.durability(), workers, cpus, extra };
            Side { name: name.to_owned(), spec }
        };
        // No client loads a server that is starting: either side may use both cores then.
        let alone = match group {
            Group::Recovery => vec![args.servers.server_cpu, args.servers.client_cpu],
            _ => vec![args.servers.server_cpu],
        };
        let redis = side("redis", ServerKind::Redis, 1, alone.clone());
        match (args.noise, group) {
            (true, _) => [redis, side("redis again", ServerKind::Redis, 1, alone)],
            (false, Group::TwoWorkers) => [
                side("ouro, one worker", ServerKind::Ouro, 1, alone),
                side(
                    "ouro, two workers",
                    ServerKind::Ouro,
                    2,
                    vec![args.servers.server_cpu, args.servers.client_cpu],
                ),
            ],
            (false, _) => [redis, side("ouro", ServerKind::Ouro, 1, alone)],
        }
    }

    fn versions(&self, args: &RunArgs) -> Result<BTreeMap<String, String>> {
        let mut versions = BTreeMap::from([("redis".to_owned(), version(&args.servers.redis)?)]);
        if !args.noise {
            versions.insert("ouro".to_owned(), version(&self.ourod)?);
        }
        versions.insert("client".to_owned(), version(&self.client.program)?);
        Ok(versions)
    }
}

fn version(program: &Path) -> Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .with_context(|| format!("{} does not start", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn default_groups(args: &RunArgs) -> Vec<Group> {
    // Neither redis nor its client has part in the comparison of one worker with two.
    let comparable = !args.noise && args.client == ClientKind::Loadgen;
    let all = Group::value_variants().iter().copied();
    all.filter(|group| comparable || *group != Group::TwoWorkers).collect()
}

fn sizes(args: &RunArgs) -> Sizes {
    let sizes = Sizes {
        repeats: args.repeats.into(),
        window_s: args.window,
        warmup_s: args.warmup,
        keys: args.keys,
        many_keys: args.many_keys,
        connections: args.connections,
        rate: args.rate,
    };
    if !args.quick {
        return sizes;
    }
    Sizes {
        repeats: 1,
        window_s: sizes.window_s.min(1.0),
        warmup_s: sizes.warmup_s.min(0.2),
        keys: (sizes.keys / 10).max(1),
        many_keys: (sizes.many_keys / 10).max(1),
        ..sizes
    }
}
