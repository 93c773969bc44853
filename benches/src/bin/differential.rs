//! Sends random requests to `ourod` and to `redis-server` and compares replies and what is left, byte for byte.
//!
//! `cargo run --release -p benches --bin differential -- --commands 1000000`. Exit code 0: no difference but those that
//! are meant; 3: one was found, its session is printed at its smallest; 1: the comparison itself failed.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use benches::binaries::Program;
use benches::differential::{Comparison, run};
use benches::server::{Durability, Server, ServerKind, ServerSpec};
use clap::Parser;

/// Compares ourod with redis-server by random requests.
#[derive(Debug, Parser)]
#[command(name = "differential")]
struct CommandLine {
    /// Requests to send
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    commands: u64,
    /// Seed of all that is random here [default: drawn, and printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Workers of ourod
    #[arg(long, value_name = "N", default_value_t = 2)]
    workers: usize,
    /// Keep the store on disk, with a log
    #[arg(long)]
    disk: bool,
    /// Further arguments of ourod
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    extra: Vec<String>,
    /// Program of ourod [default: $OUROD, or built now]
    #[arg(long, value_name = "PATH")]
    ourod: Option<PathBuf>,
    /// Program of redis-server
    #[arg(long, value_name = "PATH", default_value = "redis-server")]
    redis: PathBuf,
}

fn main() -> ExitCode {
    match compare(&CommandLine::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "differential: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Tells how it goes. Nobody may be there to read it, which stops nothing.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn compare(line: &CommandLine) -> Result<bool> {
    let nanoseconds = || std::time::UNIX_EPOCH.elapsed().map_or(1, |since| u64::from(since.subsec_nanos()));
    let seed = line.seed.unwrap_or_else(nanoseconds);
    say(&format!("seed {seed}"));
    let dir = tempfile::tempdir()?;
    let durability = if line.disk { Durability::Always } else { Durability::Memory };
    let spec = |kind, program: PathBuf, durability, extra| ServerSpec {
        kind,
        program,
        durability,
        workers: line.workers,
        cpus: Vec::new(),
        extra,
    };
    let ourod = Program::Ourod.find(line.ourod.as_deref())?;
    let specs = [
        spec(ServerKind::Ouro, ourod, durability, line.extra.clone()),
        spec(ServerKind::Redis, line.redis.clone(), Durability::Memory, Vec::new()),
    ];
    let mut servers = Vec::new();
    for spec in &specs {
        let mut server = Server::start(spec, dir.path())?;
        server.wait_until_serving(None)?;
        servers.push(server);
    }
    let [ours, theirs] = &servers[..] else { unreachable!("two were started") };
    let comparison = Comparison {
        ours: ours.socket().to_owned(),
        theirs: theirs.socket().to_owned(),
        commands: line.commands,
        seed,
    };
    let (begun, mut told) = (Instant::now(), 0);
    let (tally, difference) = run(&comparison, |tally| {
        if tally.commands / 100_000 > told {
            told = tally.commands / 100_000;
            say(&format!("{} commands in {:.1} s", tally.commands, begun.elapsed().as_secs_f64()));
        }
    })?;
    say(&format!(
        "{} sessions, {} commands, {} keys compared, {} told, {} to receivers, {} of receivers gone, in {:.1} s",
        tally.sessions,
        tally.commands,
        tally.keys,
        tally.told,
        tally.redirected,
        tally.broken,
        begun.elapsed().as_secs_f64()
    ));
    if let Some(difference) = &difference {
        say(&difference.to_string());
    }
    for server in &mut servers {
        server.stop()?;
    }
    Ok(difference.is_none())
}
