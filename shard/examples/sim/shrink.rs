//! The smallest run that still fails: fewest operations, fewest kinds of faults.
//!
//! Each attempt is a process of its own: an assertion of the core that fails ends the process, in release builds at
//! once.

use std::process::{Command, Stdio};

use shard::planted::PlantedBug;
use shard::sim::fault::{Fault, FaultSet};
use shard::sim::options::Options;

use crate::arguments::Arguments;

/// One run.
#[derive(Clone)]
pub(crate) struct Case {
    seed: u64,
    operations: u64,
    planted: Option<PlantedBug>,
    faults: FaultSet,
}

impl Case {
    /// The run of a seed.
    pub(crate) fn of(arguments: &Arguments, seed: u64) -> Self {
        let calm = Options::is_calm(seed);
        let operations = if calm { arguments.calm_operations } else { arguments.operations };
        Self { seed, operations, planted: arguments.planted, faults: arguments.faults }
    }

    /// Its options.
    pub(crate) fn options(&self) -> Options {
        Options { faults: self.faults, ..Options::draw(self.seed, self.operations, self.planted) }
    }

    fn words(&self) -> Vec<String> {
        let mut words = vec!["--seeds".into(), format!("{}..{}", self.seed, self.seed + 1)];
        let operations = if Options::is_calm(self.seed) { "--calm-operations" } else { "--operations" };
        words.extend([operations.into(), self.operations.to_string()]);
        if let Some(bug) = self.planted {
            words.extend(["--planted".into(), format!("{bug:?}")]);
        }
        let without: Vec<String> = self.faults.missing().map(Fault::word).collect();
        if !without.is_empty() {
            words.extend(["--without".into(), without.join(",")]);
        }
        words
    }

    /// The command that replays it.
    pub(crate) fn command(&self) -> String {
        format!("sim {} --shrink no", self.words().join(" "))
    }

    fn fails(&self) -> bool {
        let Ok(program) = std::env::current_exe() else { return false };
        let mut command = Command::new(program);
        command.args(self.words()).args(["--shrink", "no"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| !status.success())
    }

    /// With as few operations as still fail.
    fn with_fewest_operations(mut self) -> Self {
        let (mut passes, mut fails) = (0, self.operations);
        while fails - passes > 1 {
            let operations = passes + (fails - passes) / 2;
            if (Self { operations, ..self.clone() }).fails() {
                fails = operations;
            } else {
                passes = operations;
            }
        }
        self.operations = fails;
        self
    }

    /// The smallest run found that still fails.
    pub(crate) fn shrink(self) -> Self {
        if !self.fails() {
            return self;
        }
        let mut smallest = self.with_fewest_operations();
        for &fault in Fault::ALL {
            let less = Self { faults: smallest.faults.without(fault), ..smallest.clone() };
            if smallest.faults.has(fault) && less.fails() {
                smallest = less;
            }
        }
        smallest.with_fewest_operations()
    }
}

/// When an assertion fails in this run, tells how to replay it.
#[expect(clippy::print_stderr, reason = "a command-line tool")]
pub(crate) fn on_panic(case: Case) {
    let _ = std::panic::take_hook();
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        default(info);
        eprintln!("{}", case.clone().shrink().command());
    }));
}
