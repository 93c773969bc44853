//! `loadgen agreement`: the same closed loop by redis-benchmark and by loadgen, in turn against one redis-server. Where the
//! server is the limit, both must find the same throughput; what differs else is the cost of the client.
//!
//! The path: `args`, then runs by `redis_benchmark` and by a `loadgen run` of its own, then the `report`.

pub mod args;
pub mod redis_benchmark;
pub mod report;

use std::path::Path;
use std::process::{Command, Stdio};

use args::AgreementArgs;
use redis_benchmark::Figures;
use report::{AgreementReport, Pair};

use crate::comparison::metric::Metric;
use crate::matrix::preset::command_of;
use crate::matrix::server::Server;
use crate::matrix::spec::{ServerSpec, Words, cpus_of};
use crate::report::Report;

/// Makes the runs, pair by pair, the two clients first by turns (ABBA).
///
/// # Errors
/// A sentence for the user: the server or a client failed.
pub fn measure(arguments: &AgreementArgs, argv: Vec<String>) -> Result<AgreementReport, String> {
    let folder = tempfile::Builder::new()
        .prefix("lg-")
        .tempdir()
        .map_err(|error| format!("cannot make a folder: {error}"))?;
    let spec = ServerSpec {
        name: "redis".to_owned(),
        preset: Some("redis-memory".to_owned()),
        program: None,
        command: Words::default(),
        args: Words::default(),
        cpus: None,
        baseline: None,
    };
    let server_cpus = cpus_of(arguments.server_cpus.as_deref())?;
    let server = Server::start(&command_of(&spec)?, &server_cpus, folder.path())?;
    let (mut report, machine_start) = AgreementReport::begin(arguments, argv);
    // All keys once, so that every GET of either client hits.
    loadgen(arguments, server.socket(), folder.path(), &["--prefill", "-n", "1000"])?;
    for number in 0..arguments.pairs {
        let requests = arguments.requests.to_string();
        let ours = || -> Result<Figures, String> {
            let run = loadgen(arguments, server.socket(), folder.path(), &["-n", &requests])?;
            figures_of(&run)
        };
        let theirs = || redis_benchmark::run(arguments, server.socket());
        let (loadgen, redis_benchmark) = if number % 2 == 0 {
            let first = theirs()?;
            (ours()?, first)
        } else {
            (ours()?, theirs()?)
        };
        report.pairs.push(Pair { redis_benchmark, loadgen });
    }
    server.stop()?;
    report.env.complete(machine_start);
    report.conclude();
    Ok(report)
}

/// A run of loadgen in a process of its own, as redis-benchmark is one.
fn loadgen(arguments: &AgreementArgs, socket: &Path, folder: &Path, more: &[&str]) -> Result<Report, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let out = folder.join("report.json");
    let ratio = if arguments.set { "1:0" } else { "0:1" };
    let mut command = Command::new(program);
    command.args(["run", "--live", "none", "--warmup", "0s", "-t", "1", "--ratio", ratio]);
    command.args(["-c", &arguments.connections.to_string(), "-P", &arguments.pipeline.to_string()]);
    command.args(["--keys", &arguments.keys.to_string(), "--value-size", &VALUE_BYTES.to_string()]);
    if let Some(cpus) = &arguments.client_cpus {
        command.args(["--cpus", cpus]);
    }
    command.args(more).arg("-o").arg(&out).arg("-s").arg(socket);
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("loadgen does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("the run of loadgen failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Report::read(&out)
}

fn figures_of(report: &Report) -> Result<Figures, String> {
    let figure = |metric: Metric| metric.of(report).ok_or_else(|| format!("a run without {metric}"));
    Ok(Figures {
        ops_s: figure(Metric::OpsS)?,
        p50_ms: figure(Metric::P50)? / 1e6,
        p99_ms: figure(Metric::P99)? / 1e6,
    })
}

/// Length of values of both clients.
const VALUE_BYTES: u32 = 64;
