//! The command line: options named as users of redis-benchmark, memtier and wrk2 know them, read into numbers.
//!
//! Nothing is checked against each other here; `plan.rs` does that.

use clap::{Parser, Subcommand};

use examples::{
    AUDIT_EXAMPLES, LOAD_EXAMPLES, NOISE_EXAMPLES, REPLAY_EXAMPLES, RUN_EXAMPLES, SCHEMA_EXAMPLES,
    SEARCH_EXAMPLES, SELFTEST_EXAMPLES, SHOW_EXAMPLES, SWEEP_EXAMPLES,
};

mod audit;
mod distribution;
mod examples;
mod hints;
mod load;
mod load_shape;
mod replay;
mod reports;
mod run;
mod search;
mod target;
mod workload;

pub use audit::AuditArgs;
pub use distribution::{DistributionName, Mix};
pub use hints::hints;
pub use load::LoadArgs;
pub use load_shape::{Live, LoadShape};
pub use replay::{ReplayArgs, Speed, TraceFormat};
pub use reports::{SelftestArgs, ShowArgs};
pub use run::RunArgs;
pub use search::{SearchArgs, SweepArgs};
pub use target::TargetArgs;
pub use workload::WorkloadArgs;

/// Measures any RESP server (Ouro, Redis, Valkey, ...) with latency histograms that do not lie.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load the server and measure it
    #[command(disable_help_flag = true, after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Only write all keys of the key space, as `run --prefill` does first
    #[command(disable_help_flag = true, after_help = LOAD_EXAMPLES)]
    Load(Box<LoadArgs>),
    /// Send a recorded load: a log of MONITOR or a CSV
    #[command(disable_help_flag = true, after_help = REPLAY_EXAMPLES)]
    Replay(Box<ReplayArgs>),
    /// Measure the generator itself against a server that does nothing
    #[command(after_help = SELFTEST_EXAMPLES)]
    Selftest(SelftestArgs),
    /// Find the highest rate that keeps limits on latency
    #[command(disable_help_flag = true, after_help = SEARCH_EXAMPLES)]
    Search(Box<SearchArgs>),
    /// Draw throughput against latency over rates, connections or pipelines
    #[command(disable_help_flag = true, after_help = SWEEP_EXAMPLES)]
    Sweep(Box<SweepArgs>),
    /// Write while the server is killed and restarted; prove that nothing acknowledged is lost
    #[command(disable_help_flag = true, after_help = AUDIT_EXAMPLES)]
    Audit(Box<AuditArgs>),
    /// Print a report
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowArgs),
    /// Write a report in a form that other tools read
    #[command(after_help = crate::export::args::EXPORT_EXAMPLES)]
    Export(crate::export::args::ExportArgs),
    /// Say whether two groups of runs differ, and by how much
    #[command(after_help = crate::comparison::args::COMPARE_EXAMPLES)]
    Compare(Box<crate::comparison::args::CompareArgs>),
    /// Find the noise floor of this machine from runs that are all alike
    #[command(after_help = NOISE_EXAMPLES)]
    Noise(crate::export::args::NoiseArgs),
    /// Measure several servers in turn under several loads
    #[command(after_help = crate::matrix::args::MATRIX_EXAMPLES)]
    Matrix(crate::matrix::args::MatrixArgs),
    /// Run redis-benchmark and loadgen in turn against redis-server, and say how far they agree
    #[command(after_help = crate::agreement::args::AGREEMENT_EXAMPLES)]
    Agreement(crate::agreement::args::AgreementArgs),
    /// Print the JSON Schema of all reports
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The words of a command line as a shell has them: quotes of one kind, nothing else.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        for (number, part) in line.split('\'').enumerate() {
            if number % 2 == 1 {
                words.last_mut().unwrap().push_str(part);
                continue;
            }
            for (number, word) in part.split(' ').enumerate() {
                if number > 0 {
                    words.push(String::new());
                }
                words.last_mut().unwrap().push_str(word);
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn every_command_has_examples_and_they_are_lines_that_it_takes() {
        for command in Cli::command().get_subcommands().filter(|command| command.get_name() != "help") {
            let text =
                command.get_after_help().unwrap_or_else(|| panic!("examples of {}", command.get_name()));
            let text = text.to_string();
            let mut count = 0;
            for line in text.lines().filter_map(|line| line.strip_prefix("  ")) {
                // An explanation stands after two spaces; a shell has its own pipes and files.
                let line = line.split("  ").next().unwrap();
                let line = line.rsplit("; ").next().unwrap().split(" > ").next().unwrap();
                if !line.starts_with("loadgen ") {
                    continue;
                }
                let words = words(line);
                assert_eq!(words[1], command.get_name(), "{line}");
                let taken = Cli::try_parse_from(words);
                assert!(taken.is_ok(), "{line}: {}", taken.unwrap_err());
                count += 1;
            }
            assert!(count > 0, "{} has no example: {text}", command.get_name());
        }
    }

    #[test]
    fn letters_of_other_tools_are_explained() {
        let arguments = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(hints(&arguments("run -d 64"))[0].contains("--value-size"));
        assert!(hints(&arguments("run -r 100000"))[0].contains("--keys"));
        assert!(hints(&arguments("run -d 64s -r 100k")).is_empty());
    }

    #[test]
    fn the_short_names_of_redis_tools_work() {
        let line = "loadgen run -h 127.0.0.1 -p 7000 -a secret -c 10 -P 4 -n 1000 -3 --ratio 1:1";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Run(run) = cli.command else { panic!("a run") };
        assert_eq!((run.target.port, run.load.connections, run.pipeline), (Some(7000), 10, 4));
        assert_eq!(run.requests, Some(1000));
        assert!(run.target.resp3);
    }
}
