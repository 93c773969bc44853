//! The program: reads the command line, makes the run, prints and writes its report.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser as _;
use loadgen::cli::{Cli, Command, hints};
use loadgen::plan::Plan;
use loadgen::report::Report;
use loadgen::{report_commands, run, summary};

fn main() -> ExitCode {
    let argv: Vec<String> = std::env::args().collect();
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Run(arguments) => {
            for hint in hints(&argv) {
                complain(&format!("hint: {hint}"));
            }
            Plan::for_run(*arguments).map_err(Failure::Usage).and_then(|plan| make(&plan, argv))
        }
        Command::Load(arguments) => {
            Plan::for_load(*arguments).map_err(Failure::Usage).and_then(|plan| make(&plan, argv))
        }
        on_reports => return work_on_reports(on_reports, argv),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Run(text)) => {
            complain(&format!("error: {text}"));
            ExitCode::from(1)
        }
        Err(Failure::Usage(text)) => {
            complain(&format!("error: {text}"));
            ExitCode::from(2)
        }
    }
}

/// The subcommands that make no run of their own. Exit 1: something failed; 3 and 4 are verdicts.
fn work_on_reports(command: Command, argv: Vec<String>) -> ExitCode {
    let result = match command {
        Command::Show(arguments) => report_commands::show(&arguments),
        Command::Export(arguments) => report_commands::export(&arguments),
        Command::Compare(arguments) => report_commands::compare_command(&arguments, argv),
        Command::Noise(arguments) => report_commands::noise(&arguments, argv),
        Command::Matrix(arguments) => watch_signals()
            .map_err(|error| format!("cannot watch signals: {error}"))
            .and_then(|interrupt| report_commands::matrix(&arguments.command, argv, &interrupt)),
        Command::Schema => report_commands::schema(),
        Command::Run(_) | Command::Load(_) => unreachable!("these are runs"),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(text) => {
            complain(&format!("error: {text}"));
            ExitCode::from(1)
        }
    }
}

/// Exit 1: the run failed. Exit 2: it was asked for wrongly.
enum Failure {
    Run(String),
    Usage(String),
}

fn make(plan: &Plan, argv: Vec<String>) -> Result<(), Failure> {
    if plan.target_is_default {
        complain(&format!("no address given: taking {} (see --socket, --host, --port)", plan.target));
    }
    let interrupt =
        watch_signals().map_err(|error| Failure::Run(format!("cannot watch signals: {error}")))?;
    let report = run::execute(plan, argv, &interrupt).map_err(|error| Failure::Run(error.to_string()))?;
    // Written before it is printed: a broken pipe must not cost the report.
    if let Some(path) = &plan.out {
        write(&report, path)?;
    }
    print(&report)
}

/// The first Ctrl-C (or SIGTERM) sets the flag, the second ends the process.
fn watch_signals() -> std::io::Result<Arc<AtomicBool>> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let interrupt = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, EXIT_INTERRUPTED, Arc::clone(&interrupt))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupt))?;
    }
    Ok(interrupt)
}

const EXIT_INTERRUPTED: i32 = 130;

fn write(report: &Report, path: &Path) -> Result<(), Failure> {
    report
        .write(path)
        .map_err(|error| Failure::Run(format!("cannot write the report to {}: {error}", path.display())))?;
    complain(&format!("report: {}", path.display()));
    Ok(())
}

fn print(report: &Report) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(summary::describe(report).as_bytes()).and_then(|()| stdout.flush()) {
        // `loadgen show FILE | head` is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Run(error.to_string())),
        _ => Ok(()),
    }
}

fn complain(text: &str) {
    // Nobody reads a closed standard error.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
