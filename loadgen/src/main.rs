//! The program: reads the command line, makes the run, prints and writes its report.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser as _;
use loadgen::audit::{AuditPlan, AuditVerdict};
use loadgen::audit_command;
use loadgen::cli::{AuditArgs, Cli, Command, SelftestArgs, hints};
use loadgen::null_server::NullServer;
use loadgen::plan::Plan;
use loadgen::report::{Report, write_json};
use loadgen::search::{Blame, SearchOptions};
use loadgen::selftest_report::SelftestReport;
use loadgen::slo::Slo;
use loadgen::sweep_command::{self, SweepAxis};
use loadgen::verdict::{MISS_LIMIT, WRONG_ANSWERS};
use loadgen::{report_commands, run, search_command, selftest, summary};

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
        Command::Replay(arguments) => arguments
            .read()
            .map_err(Failure::Run)
            .and_then(|trace| Plan::for_replay(&arguments, trace).map_err(Failure::Usage))
            .and_then(|plan| make(&plan, argv)),
        Command::Selftest(SelftestArgs { serve: Some(socket), load, .. }) => {
            serve_nothing(&socket, load.cpus.map(|list| list.0).unwrap_or_default())
        }
        Command::Selftest(arguments) => selftest_plan(&arguments)
            .map_err(Failure::Usage)
            .and_then(|plan| run_selftest(&plan, &arguments, argv)),
        Command::Search(arguments) => search_command::search_plan(*arguments)
            .map_err(Failure::Usage)
            .and_then(|(plan, options, slo)| search(&plan, &options, &slo, &argv)),
        Command::Sweep(arguments) => sweep_command::sweep_plan(*arguments)
            .map_err(Failure::Usage)
            .and_then(|(plan, axis)| sweep(&plan, &axis, &argv)),
        Command::Audit(arguments) => audit_command::plan(&arguments)
            .map_err(Failure::Usage)
            .and_then(|plan| audit(plan, &arguments, argv)),
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
        Err(Failure::Broken(text)) => {
            complain(&format!("FAILED: {text}"));
            ExitCode::from(3)
        }
        Err(Failure::Inconclusive(text)) => {
            complain(&format!("INCONCLUSIVE: {text}"));
            ExitCode::from(4)
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
        Command::Agreement(arguments) => report_commands::agreement(&arguments, argv),
        Command::Schema => report_commands::schema(),
        Command::Run(_)
        | Command::Load(_)
        | Command::Replay(_)
        | Command::Selftest(_)
        | Command::Search(_)
        | Command::Sweep(_)
        | Command::Audit(_) => unreachable!("these are runs"),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(text) => {
            complain(&format!("error: {text}"));
            ExitCode::from(1)
        }
    }
}

/// Exit 1: the run failed. Exit 2: it was asked for wrongly. Exit 3: a limit that the user set does not hold, or an
/// answer was wrong. Exit 4: nothing can be said.
enum Failure {
    Run(String),
    Usage(String),
    Broken(String),
    Inconclusive(String),
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
    print(&report)?;
    let breaks =
        |reason: &&loadgen::report::Reason| [WRONG_ANSWERS, MISS_LIMIT].contains(&reason.code.as_str());
    let reasons = &report.validity.reasons;
    match (reasons.iter().find(breaks), reasons.first()) {
        (Some(reason), _) => Err(Failure::Broken(reason.text.clone())),
        (None, Some(reason)) if plan.strict => {
            Err(Failure::Inconclusive(format!("the run is not valid (--strict): {}", reason.text)))
        }
        _ => Ok(()),
    }
}

/// The plan of a run that goes nowhere else: only its load counts.
fn selftest_plan(arguments: &SelftestArgs) -> Result<Plan, String> {
    Plan::for_selftest(arguments.load.clone())
}

fn run_selftest(plan: &Plan, arguments: &SelftestArgs, argv: Vec<String>) -> Result<(), Failure> {
    let interrupt =
        watch_signals().map_err(|error| Failure::Run(format!("cannot watch signals: {error}")))?;
    let pipelines = if arguments.pipeline.is_empty() { vec![1, 16] } else { arguments.pipeline.clone() };
    let (mut report, machine_start) = SelftestReport::begin(argv);
    for pipeline in pipelines {
        let plan = plan.with_pipeline(pipeline).map_err(Failure::Usage)?;
        let figures = selftest::measure(&plan, arguments.duration, &interrupt)
            .map_err(|error| Failure::Run(error.to_string()))?;
        print_text(&selftest::describe(&figures))?;
        report.figures.push(figures);
    }
    report.env.complete(machine_start);
    if let Some(path) = &arguments.out {
        write_json(&report, path).map_err(|error| {
            Failure::Run(format!("cannot write the report to {}: {error}", path.display()))
        })?;
        complain(&format!("report: {}", path.display()));
    }
    Ok(())
}

/// Lets other generators measure themselves.
fn serve_nothing(socket: &Path, cpus: Vec<usize>) -> Result<(), Failure> {
    let interrupt =
        watch_signals().map_err(|error| Failure::Run(format!("cannot watch signals: {error}")))?;
    let server = NullServer::start(socket, &cpus)
        .map_err(|error| Failure::Run(format!("cannot serve at {}: {error}", socket.display())))?;
    complain(&format!("a server that does nothing answers at {} until Ctrl-C", socket.display()));
    while !interrupt.load(Ordering::Relaxed) {
        std::thread::sleep(SIGNAL_POLL);
    }
    drop(server);
    std::fs::remove_file(socket)
        .map_err(|error| Failure::Run(format!("cannot remove {}: {error}", socket.display())))
}

const SIGNAL_POLL: Duration = Duration::from_millis(50);

fn search(plan: &Plan, options: &SearchOptions, slo: &[Slo], argv: &[String]) -> Result<(), Failure> {
    let interrupt =
        watch_signals().map_err(|error| Failure::Run(format!("cannot watch signals: {error}")))?;
    let report = search_command::run_search(plan, options, slo, argv, &interrupt)
        .map_err(|error| Failure::Run(error.to_string()))?;
    if let Some(path) = &plan.out {
        write(&report, path)?;
    }
    print(&report)?;
    let Some(outcome) = &report.search else { return Ok(()) };
    print_text(&search_command::describe_search(outcome))?;
    match (outcome.knee_ops_s, outcome.limited_by) {
        (Some(_), _) => Ok(()),
        (None, _) if outcome.interrupted => {
            Err(Failure::Inconclusive("stopped before a rate was confirmed".to_owned()))
        }
        (None, Some(Blame::Generator | Blame::Machine)) => Err(Failure::Inconclusive(
            "no rate kept the limits, and it was not the server that broke them".to_owned(),
        )),
        (None, _) => Err(Failure::Broken("no rate kept the limits".to_owned())),
    }
}

fn sweep(plan: &Plan, axis: &SweepAxis, argv: &[String]) -> Result<(), Failure> {
    let interrupt =
        watch_signals().map_err(|error| Failure::Run(format!("cannot watch signals: {error}")))?;
    let report = sweep_command::run_sweep(plan, axis, argv, &interrupt)
        .map_err(|error| Failure::Run(error.to_string()))?;
    if let Some(path) = &plan.out {
        write(&report, path)?;
    }
    let Some(outcome) = &report.sweep else { return Ok(()) };
    print_text(&sweep_command::describe_sweep(outcome))?;
    match outcome.points.iter().find(|point| !point.against.is_empty()) {
        Some(point) if plan.strict => Err(Failure::Inconclusive(format!(
            "a point is not valid (--strict): {} {}: {}",
            outcome.over,
            point.value,
            point.against.join(", ")
        ))),
        _ => Ok(()),
    }
}

fn audit(plan: AuditPlan, arguments: &AuditArgs, argv: Vec<String>) -> Result<(), Failure> {
    let interrupt =
        watch_signals().map_err(|error| Failure::Run(format!("cannot watch signals: {error}")))?;
    let report = audit_command::execute(plan, arguments.live, argv, &interrupt).map_err(Failure::Run)?;
    if let Some(path) = &arguments.out {
        write_json(&report, path).map_err(|error| {
            Failure::Run(format!("cannot write the report to {}: {error}", path.display()))
        })?;
    }
    print_text(&audit_command::describe(&report))?;
    match report.verdict {
        AuditVerdict::Held => Ok(()),
        AuditVerdict::Broken | AuditVerdict::Unavailable => Err(Failure::Broken(report.text)),
        AuditVerdict::Inconclusive => Err(Failure::Inconclusive(report.text)),
    }
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
    print_text(&summary::describe(report))
}

fn print_text(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // `loadgen show FILE | head` is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Run(error.to_string())),
        _ => Ok(()),
    }
}

fn complain(text: &str) {
    // Nobody reads a closed standard error.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
