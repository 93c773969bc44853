//! Runs the simulator over seeds:
//! `sim --seeds A..B [--operations N] [--planted NAME] [--rule-minimum N] [--report json]`.
//!
//! Prints what was counted; on a failure the command that replays it, and exits with 1. With `--rule-minimum` it also
//! fails when a rule of recovery or a refusal was taken fewer times: what a run does not reach, it does not test.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

use std::process::ExitCode;

use shard::log::PlantedBug;
use shard::sim::driver::run;
use shard::sim::options::Options;
use shard::sim::report::SimReport;

struct Arguments {
    seeds: std::ops::Range<u64>,
    operations: u64,
    planted: Option<PlantedBug>,
    rule_minimum: u64,
    json: bool,
}

fn arguments() -> Option<Arguments> {
    let mut parsed =
        Arguments { seeds: 0..100, operations: 1000, planted: None, rule_minimum: 0, json: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--seeds" => {
                let (first, end) = value.split_once("..")?;
                parsed.seeds = first.parse().ok()?..end.parse().ok()?;
            }
            "--operations" => parsed.operations = value.parse().ok()?,
            "--planted" => {
                parsed.planted = Some(PlantedBug::ALL.into_iter().find(|bug| format!("{bug:?}") == value)?);
            }
            "--rule-minimum" => parsed.rule_minimum = value.parse().ok()?,
            "--report" => parsed.json = value == "json",
            _ => return None,
        }
    }
    Some(parsed)
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!(
            "usage: sim [--seeds A..B] [--operations N] [--planted NAME] [--rule-minimum N] [--report json|text]"
        );
        return ExitCode::from(2);
    };
    let mut total = SimReport::default();
    for seed in arguments.seeds {
        let options = Options::draw(seed, arguments.operations, arguments.planted);
        let (report, result) = run(&options);
        total.add(&report);
        if let Err(broken) = result {
            eprintln!("{broken}");
            return ExitCode::FAILURE;
        }
    }
    if arguments.json {
        print!("{}", total.to_json());
    } else {
        println!(
            "seeds {} operations {} replies {} crashes {} checks {}",
            total.seeds, total.operations, total.replies, total.crashes, total.checks
        );
        for (name, count) in &total.counts {
            println!("{count:>10}  {name}");
        }
    }
    let below = total.rules_below(arguments.rule_minimum);
    for (name, times) in &below {
        eprintln!("{name}: taken {times} times, fewer than {}", arguments.rule_minimum);
    }
    if below.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
