//! Runs the simulator over seeds, or does something with what it reported.
//!
//! - `sim --seeds A..B [--operations N] [--calm-operations N] [--planted NAME] [--without FAULT,FAULT]`: every eighth
//!   seed is a calm one, with few crashes and many operations. On a failure it prints the smallest run that still
//!   fails, as a command, and exits with 1 (`--shrink no`: prints the run as it was).
//! - `--report json [--commit TEXT]`: prints the counts as JSON, for [`reports`] to merge.
//! - `--rule-minimum N`: fails when a rule of recovery, a refusal or an answer was taken, or a kind of fault hit a kind
//!   of file, fewer times: what a run does not reach, it does not test. `--fault-minimum N`: likewise for kinds of
//!   faults.
//! - `sim --merge FILE,FILE,...` with the same minimums: adds reports up.
//! - `sim --flip-bits STRIDE`: flips every bit of every STRIDE-th byte of three small stores.
//! - `sim --every-io [--stride N] [--again-stride N]`: [`every_io`].

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod arguments;
mod every_io;
mod reports;
mod shrink;

use std::process::ExitCode;

use arguments::{Arguments, USAGE};
use reports::Recorded;
use shard::sim::bit_flips::{Flipped, SmallStore};
use shard::sim::driver::run;
use shard::sim::report::SimReport;
use shrink::Case;

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if let Some(stride) = arguments.flip_bits {
        return flip_bits(stride);
    }
    if arguments.every_io {
        return every_io::run(&arguments);
    }
    let recorded = if arguments.merge.is_empty() { simulate(&arguments) } else { merge(&arguments) };
    match recorded {
        Ok(recorded) => conclude(&arguments, &recorded),
        Err(broken) => {
            eprintln!("{broken}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the seeds.
fn simulate(arguments: &Arguments) -> Result<Recorded, String> {
    let mut total = SimReport::default();
    for seed in arguments.seeds.clone() {
        let case = Case::of(arguments, seed);
        if arguments.shrink {
            shrink::on_panic(case.clone());
        }
        let (report, result) = run(&case.options());
        total.add(&report);
        if let Err(broken) = result {
            let case = if arguments.shrink { case.shrink() } else { case };
            return Err(format!("{}: {broken}", case.command()));
        }
    }
    Ok(Recorded::new(arguments, total))
}

fn merge(arguments: &Arguments) -> Result<Recorded, String> {
    let mut merged: Option<Recorded> = None;
    for file in &arguments.merge {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        let read = Recorded::read(&text).map_err(|problem| format!("{file}: {problem}"))?;
        match &mut merged {
            None => merged = Some(read),
            Some(merged) => merged.join(read).map_err(|problem| format!("{file}: {problem}"))?,
        }
    }
    merged.ok_or_else(|| "nothing to merge".to_owned())
}

/// Prints what was counted, and what was not reached.
fn conclude(arguments: &Arguments, recorded: &Recorded) -> ExitCode {
    if arguments.json {
        print!("{}", recorded.to_json());
    } else {
        let totals = recorded.report.totals().map(|(name, value)| format!("{name} {value}"));
        println!("{}", totals.join(" "));
        for (name, count) in &recorded.report.by_name() {
            println!("{count:>10}  {name}");
        }
    }
    let rules = recorded.report.rules_below(arguments.rule_minimum);
    let faults = recorded.report.faults_below(arguments.fault_minimum);
    let rules = rules.iter().map(|below| (below, arguments.rule_minimum));
    let below: Vec<_> = rules.chain(faults.iter().map(|below| (below, arguments.fault_minimum))).collect();
    for ((name, times), minimum) in &below {
        eprintln!("{name}: {times} times, fewer than {minimum}");
    }
    if below.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn flip_bits(stride: usize) -> ExitCode {
    let mut total = Flipped::default();
    for store in [SmallStore::of_log(), SmallStore::stopped(), SmallStore::killed()] {
        match store.flip_every(stride, |_| true, |_| (0..8).map(|bit| 1 << bit).collect()) {
            Ok(flipped) => total.join(&flipped),
            Err(broken) => {
                eprintln!("{broken}");
                return ExitCode::FAILURE;
            }
        }
    }
    print!("{}", total.to_json());
    ExitCode::SUCCESS
}
