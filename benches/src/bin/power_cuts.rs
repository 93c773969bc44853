//! Cuts the power of the drive under a loaded server, mounts it anew, restarts, and checks that what was promised holds.
//!
//! `cargo run --release -p benches --bin power_cuts -- --cuts 50`. The drive is an ext4 image on a loop device: takes
//! root and xfsprogs. Checkpoints and compaction run all the while. Exit code 0: every promise was kept; 3: one was
//! broken, with the store and the histories kept where the message says; 1: the test itself failed.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use benches::binaries::Program;
use benches::crash::cycles::{Cycles, Plan};
use benches::crash::power::PowerSwitch;
use benches::crash::tally::Tally;
use benches::machine::Machine;
use benches::progress::Progress;
use benches::server::{Durability, ServerKind, ServerSpec};
use clap::Parser;
use serde::Serialize;

/// Cuts the power of the drive under a loaded server and checks that nothing acknowledged or read is lost.
#[derive(Debug, Parser)]
#[command(name = "power_cuts")]
struct CommandLine {
    /// Power cuts under load to survive
    #[arg(long, value_name = "N", default_value_t = 50)]
    cuts: u64,
    /// Seed of all that is random here [default: drawn, and printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Numbers of workers; with several each start draws one
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "2")]
    workers: Vec<usize>,
    /// Size of the drive, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 768)]
    drive_mib: u64,
    /// Shortest time under load, in ms
    #[arg(long, value_name = "MS", default_value_t = 50)]
    load_ms_min: u64,
    /// Longest time under load, in ms
    #[arg(long, value_name = "MS", default_value_t = 600)]
    load_ms_max: u64,
    /// Its program [default: $OUROD, or built now]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Write a report to this file
    #[arg(short = 'o', long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Broken promises printed at most: one cause breaks many.
const SHOWN_MAX: usize = 10;
/// So that checkpoints follow each other and segments are used again.
const EXTRA: [&str; 6] =
    ["--wal-segment-bytes", "2mb", "--checkpoint-log-bytes", "2mb", "--maxmemory", "32mb"];

#[derive(Serialize)]
struct Report<'a> {
    machine: Machine,
    seed: u64,
    workers: &'a [usize],
    server_arguments: [&'static str; 6],
    tally: &'a Tally,
    violations: Vec<String>,
}

fn main() -> ExitCode {
    match run(&CommandLine::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            print_line(&format!("power_cuts: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(line: &CommandLine) -> Result<bool> {
    let mut temporary = tempfile::Builder::new().prefix("power-cuts-").tempdir()?;
    let dir = temporary.path().to_owned();
    let seed = line.seed.unwrap_or_else(benches::machine::fresh_seed);
    print_line(&format!("power_cuts --cuts {} --seed {seed} (histories in {})", line.cuts, dir.display()));
    let power = PowerSwitch::install(&dir.join("drive"), line.drive_mib, &dir.join("store"))?;
    let plan = Plan {
        server: ServerSpec {
            kind: ServerKind::Ouro,
            program: Program::Ourod.find(line.program.as_deref())?,
            durability: Durability::Always,
            workers: 1,
            cpus: Vec::new(),
            extra: EXTRA.map(str::to_owned).to_vec(),
        },
        workers: line.workers.clone(),
        cycles: line.cuts,
        seed,
        writers: 6,
        readers: 2,
        load_ms: (line.load_ms_min, line.load_ms_max),
        stop_one_in: 0,
        kill_again_one_in: 6,
        flush_every: 25,
        dir: dir.clone(),
        copy_store: false,
        power: Some(power),
    };
    // Before the cycles: what runs is what is there now.
    let machine = Machine::this();
    let mut progress = Progress::new();
    let (tally, violations) = Cycles::new(plan)?.run(&mut progress)?;
    progress.clear();
    if let Some(path) = &line.out {
        let report = Report {
            machine,
            seed,
            workers: &line.workers,
            server_arguments: EXTRA,
            tally: &tally,
            violations: violations.iter().map(ToString::to_string).collect(),
        };
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    print_line(&serde_json::to_string_pretty(&tally)?);
    for violation in violations.iter().take(SHOWN_MAX) {
        print_line(&format!("BROKEN: {violation}"));
    }
    if violations.is_empty() {
        print_line(&format!("every promise was kept over {} power cuts", tally.power_cuts));
    } else {
        temporary.disable_cleanup(true);
        print_line(&format!("{} promises broken; see {}", violations.len(), dir.display()));
    }
    Ok(violations.is_empty())
}

fn print_line(text: &str) {
    // A closed pipe is no reason to stop.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
