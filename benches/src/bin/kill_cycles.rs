//! Kills a server under load, restarts it, and checks that what it promised holds.
//!
//! `cargo run --release -p benches --bin kill_cycles` kills `ourod` 200 times. Exit code 0: every promise was kept;
//! 3: one was broken, with the histories of the last cycles kept where the message says; 1: the test itself failed.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use benches::binaries::Program;
use benches::crash::cycles::{Cycles, Plan};
use benches::crash::tally::Tally;
use benches::crash::violation::Violation;
use benches::machine::Machine;
use benches::progress::Progress;
use benches::server::{Durability, ServerKind, ServerSpec};
use clap::{Parser, ValueEnum};
use serde::Serialize;

/// Kills a server under load, restarts it, and checks that nothing acknowledged is lost, nothing invented, and
/// nothing taken back that a reader saw.
#[derive(Debug, Parser)]
#[command(name = "kill_cycles")]
struct CommandLine {
    /// Kills to survive
    #[arg(long, value_name = "N", default_value_t = 200)]
    cycles: u64,
    /// Seed of all that is random here [default: drawn, and printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Numbers of workers; with several each start draws one
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "2")]
    workers: Vec<usize>,
    /// Writing connections
    #[arg(long, value_name = "N", default_value_t = 6)]
    writers: usize,
    /// Reading connections
    #[arg(long, value_name = "N", default_value_t = 2)]
    readers: usize,
    /// Shortest time under load, in ms
    #[arg(long, value_name = "MS", default_value_t = 20)]
    load_ms_min: u64,
    /// Longest time under load, in ms
    #[arg(long, value_name = "MS", default_value_t = 400)]
    load_ms_max: u64,
    /// One cycle in so many ends in order (SIGTERM), beside the kills; 0: none
    #[arg(long, value_name = "N", default_value_t = 12)]
    stop_one_in: u64,
    /// One restart in so many is killed while it recovers; 0: none
    #[arg(long, value_name = "N", default_value_t = 8)]
    kill_again_one_in: u64,
    /// FLUSHALL after so many cycles; 0: never
    #[arg(long, value_name = "N", default_value_t = 25)]
    flush_every: u64,
    /// Which server
    #[arg(long, value_enum, default_value_t = Which::Ouro)]
    server: Which,
    /// Its program [default: $OUROD, or built now; redis-server]
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Where store and histories go, kept afterwards [default: a temporary directory, kept when a promise breaks]
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// Copy the store after each kill, for a closer look
    #[arg(long)]
    copy_store: bool,
    /// Write a report to this file
    #[arg(short = 'o', long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Further arguments of the server
    #[arg(last = true)]
    extra: Vec<String>,
}

/// Broken promises printed at most: one cause breaks many.
const SHOWN_MAX: usize = 10;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    /// ourod, durable by default
    Ouro,
    /// redis-server with appendfsync always
    Redis,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: Machine,
    seed: u64,
    workers: &'a [usize],
    server_arguments: &'a [String],
    writers: usize,
    readers: usize,
    tally: &'a Tally,
    violations: Vec<String>,
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    match run(&line) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            print_line(&format!("kill_cycles: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(line: &CommandLine) -> Result<bool> {
    let (kind, program) = match line.server {
        Which::Ouro => (ServerKind::Ouro, Program::Ourod.find(line.program.as_deref())?),
        Which::Redis => (ServerKind::Redis, line.program.clone().unwrap_or_else(|| "redis-server".into())),
    };
    let mut temporary = tempfile::Builder::new().prefix("kill-cycles-").tempdir()?;
    let dir = line.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let seed = line.seed.unwrap_or_else(benches::machine::fresh_seed);
    print_line(&format!(
        "kill_cycles --cycles {} --seed {seed} (histories in {})",
        line.cycles,
        dir.display()
    ));
    let plan = Plan {
        server: ServerSpec {
            kind,
            program,
            durability: Durability::Always,
            workers: 1,
            cpus: Vec::new(),
            extra: line.extra.clone(),
        },
        workers: line.workers.clone(),
        cycles: line.cycles,
        seed,
        writers: line.writers,
        readers: line.readers,
        load_ms: (line.load_ms_min, line.load_ms_max),
        stop_one_in: line.stop_one_in,
        kill_again_one_in: line.kill_again_one_in,
        flush_every: line.flush_every,
        dir: dir.clone(),
        copy_store: line.copy_store,
        power: None,
    };
    // Before the cycles: what runs is what is there now.
    let machine = Machine::this();
    let mut progress = Progress::new();
    let (tally, violations) = Cycles::new(plan)?.run(&mut progress)?;
    progress.clear();
    report(line, machine, seed, &tally, &violations)?;
    print_line(&serde_json::to_string_pretty(&tally)?);
    for violation in violations.iter().take(SHOWN_MAX) {
        print_line(&format!("BROKEN: {violation}"));
    }
    if violations.is_empty() {
        print_line(&format!("every promise was kept over {} kills", tally.kills));
    } else {
        temporary.disable_cleanup(true);
        print_line(&format!(
            "{} promises broken; store and histories are in {}",
            violations.len(),
            dir.display()
        ));
    }
    Ok(violations.is_empty())
}

fn report(
    line: &CommandLine,
    machine: Machine,
    seed: u64,
    tally: &Tally,
    violations: &[Violation],
) -> Result<()> {
    let Some(path) = &line.out else { return Ok(()) };
    let report = Report {
        machine,
        seed,
        workers: &line.workers,
        server_arguments: &line.extra,
        writers: line.writers,
        readers: line.readers,
        tally,
        violations: violations.iter().map(ToString::to_string).collect(),
    };
    let text = serde_json::to_string_pretty(&report)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn print_line(text: &str) {
    // A closed pipe is no reason to stop.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
