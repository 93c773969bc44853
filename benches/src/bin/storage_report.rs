//! Measures the disk engine where data is larger than memory, and holds the figures against bars.
//!
//! `cargo run --release -p benches --bin storage_report -- run --dir DIR` measures everything (about an hour, up to
//! 30 GB in DIR) and writes `results/storage.json`; `--groups` measures a part and keeps the rest of the file;
//! `... -- table results/storage.json` prints it as Markdown.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use benches::binaries::Program;
use benches::load::{ClientKind, LoadClient};
use benches::machine::Machine;
use benches::program::{ServerArgs, command_line, exit_code, print_text};
use benches::progress::Progress;
use benches::scenario::file_system;
use benches::storage::bench::{Bench, GroupRun};
use benches::storage::report::{GroupReport, StorageReport};
use benches::storage::{expiry, index_bytes, larger, space, start};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures ourod's disk engine: servers are started here, pinned to a core.
#[derive(Debug, Parser)]
#[command(name = "storage_report")]
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

/// Which measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// Memory of the index by number of keys; no server
    Index,
    /// 20 GB in 1 GiB of memory: loads, serves, starts again
    Larger,
    /// 4 GiB overwritten again and again, keys drawn uniformly
    SpaceUniform,
    /// As before, by a Zipf law
    SpaceZipfian,
    /// 10 M keys in memory, and 5 M on disk, whose time ends at once
    Expiry,
    /// Starts after a clean stop and after SIGKILL
    Start,
}

impl Group {
    fn measurement(self) -> (&'static str, GroupRun) {
        match self {
            Self::Index => ("index", index_bytes::run),
            Self::Larger => ("larger", larger::run),
            Self::SpaceUniform => ("space-uniform", space::uniform),
            Self::SpaceZipfian => ("space-zipfian", space::zipfian),
            Self::Expiry => ("expiry", expiry::run),
            Self::Start => ("start", start::run),
        }
    }
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Folder for stores, on the disk to measure; what is made there is removed
    #[arg(long, value_name = "PATH")]
    dir: PathBuf,
    /// What to measure [default: everything]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    groups: Vec<Group>,
    /// Part of the full size: 0.05 takes a minute, and its figures are a hint
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    scale: f64,
    /// Times that the space groups overwrite their data; the second half is counted
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..))]
    overwrites: u64,
    /// The report
    #[arg(short = 'o', long, value_name = "FILE", default_value = "results/storage.json")]
    out: PathBuf,
    #[command(flatten)]
    servers: ServerArgs,
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().action {
        Action::Run(args) => run(&args),
        Action::Table { file } => StorageReport::read(&file).map(|report| {
            print_text(&report.markdown());
            true
        }),
    };
    exit_code("storage_report", result)
}

fn run(args: &RunArgs) -> Result<bool> {
    std::fs::create_dir_all(&args.dir)?;
    let dir = tempfile::Builder::new().prefix("storage-report-").tempdir_in(&args.dir)?;
    let file_system = file_system(dir.path());
    if file_system == "tmpfs" {
        bail!("{} is in memory: name a folder on a disk with --dir", args.dir.display());
    }
    let program = Program::Loadgen.find(args.servers.loadgen.as_deref())?;
    let bench = Bench {
        ourod: Program::Ourod.find(args.servers.ourod.as_deref())?,
        redis: args.servers.redis.clone(),
        client: LoadClient { kind: ClientKind::Loadgen, program, cpus: vec![args.servers.client_cpu] },
        server_cpu: args.servers.server_cpu,
        dir: dir.path().to_owned(),
        scale: args.scale,
        overwrites: args.overwrites,
        extra: args.servers.extra.clone(),
    };
    let mut report = StorageReport::read(&args.out)?;
    let groups = if args.groups.is_empty() { Group::value_variants() } else { args.groups.as_slice() };
    let mut progress = Progress::new();
    for group in groups {
        let (name, measure) = group.measurement();
        let (runs, bars) = measure(&bench, &mut progress).with_context(|| format!("group {name}"))?;
        report.put(GroupReport {
            group: name.to_owned(),
            machine: Machine::this(),
            command: command_line(),
            file_system: file_system.clone(),
            scale: args.scale,
            runs,
            bars,
        });
        // What is measured is kept, whatever comes next.
        report.write(&args.out)?;
    }
    progress.clear();
    print_text(&report.markdown());
    print_text(&format!("\nreport: {}\n", args.out.display()));
    Ok(!args.servers.check || report.passed())
}
