//! Whole runs against servers that behave in known ways, and against redis-server where it is installed.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "these are tests")]

mod allocations;
mod audit;
mod closed_loop;
mod command_line;
mod comparison;
mod exploration;
mod matrix;
mod null_server;
mod open_loop;
mod pages;
mod redis;
mod replay;
mod reports;
mod results;
mod schema;
mod statistics;
mod tls;
mod truth;
mod workloads;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use loadgen::cli::{Cli, Command};
use loadgen::plan::Plan;
use loadgen::report::{Outcome, Report};

/// The plan of a command line, against a Unix socket.
fn plan(socket: &Path, line: &str) -> Plan {
    let words = format!("loadgen run --live none -s {} {line}", socket.display());
    let Command::Run(arguments) = Cli::try_parse_from(words.split_whitespace()).unwrap().command else {
        panic!("a run")
    };
    Plan::for_run(*arguments).unwrap()
}

/// Makes a run in this process.
fn run(socket: &Path, line: &str) -> Report {
    loadgen::run::execute(&plan(socket, line), Vec::new(), &AtomicBool::new(false)).unwrap()
}

fn outcome(report: &Report) -> &Outcome {
    report.result.as_ref().expect("a run has figures")
}

fn reason_codes(report: &Report) -> Vec<&str> {
    report.validity.reasons.iter().map(|reason| reason.code.as_str()).collect()
}
