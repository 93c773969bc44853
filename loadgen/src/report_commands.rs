//! The subcommands that work on reports: show, export, compare, noise, matrix, schema. Each gives the exit status.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::agreement::args::AgreementArgs;
use crate::audit_command;
use crate::cli::ShowArgs;
use crate::clock::wall_clock_rfc3339;
use crate::comparison::args::{CompareArgs, CompareFormat, FailOn, RulesArgs};
use crate::comparison::groups::{Group, MeasuredRun, by_cell, read_all, two_groups};
use crate::comparison::judge::{Rules, Side, compare};
use crate::comparison::result::{Comparison, ComparisonReport, ExitStatus};
use crate::comparison::text;
use crate::document::Document;
use crate::export::args::{ExportArgs, ExportFormat, NoiseArgs};
use crate::export::{csv, hlog, memtier, prometheus};
use crate::html;
use crate::matrix::args::{MatrixRunArgs, MatrixTableArgs, TableFormat};
use crate::matrix::execute::execute;
use crate::matrix::marks::put_between_marks;
use crate::matrix::report::{MatrixReport, base_name};
use crate::matrix::turn::Surroundings;
use crate::matrix::{args::MatrixCommand, table};
use crate::noise::NoiseReport;
use crate::plot::terminal;
use crate::report::{Report, SCHEMA_VERSION, Tool, write_whole};
use crate::summary;

/// The published schema of all reports.
pub const SCHEMA: &str = include_str!("../schema/report-1.json");

/// `loadgen show`.
///
/// # Errors
/// A sentence for the user.
pub fn show(arguments: &ShowArgs) -> Result<u8, String> {
    let text = match Document::read(&arguments.file)? {
        Document::Run(report) => {
            let mut text = summary::describe(&report);
            text.push_str(&terminal::plots(&report));
            text
        }
        Document::Matrix(report) => table::describe(&report),
        Document::Compare(report) => text::describe(&report.comparisons, report.alpha),
        Document::Audit(report) => audit_command::describe(&report),
        Document::Noise(report) => report.describe(),
        Document::Selftest(report) => report.describe(),
        Document::Agreement(report) => report.describe(),
    };
    give(&text, None)?;
    Ok(0)
}

/// `loadgen export`.
///
/// # Errors
/// A sentence for the user.
pub fn export(arguments: &ExportArgs) -> Result<u8, String> {
    let documents = arguments.files.iter().map(|path| Document::read(path)).collect::<Result<Vec<_>, _>>()?;
    let text = match (arguments.format, documents.as_slice()) {
        (ExportFormat::Html, [document]) => html::page_of(document),
        (ExportFormat::Html, _) => html::runs::page(&read_all(&arguments.files)?),
        (_, [_, _, ..]) => return Err("several files make one page with html only".to_owned()),
        (ExportFormat::Markdown, [Document::Compare(report)]) => {
            text::markdown(&report.comparisons, report.alpha)
        }
        (ExportFormat::Markdown, [Document::Matrix(report)]) => {
            table::markdown(report, &crate::comparison::metric::Metric::ALL)
        }
        (format, [Document::Run(report)]) => export_run(format, report)?,
        _ => {
            return Err("this form is for reports of runs; a comparison or a matrix gives html or markdown"
                .to_owned());
        }
    };
    give(&text, arguments.out.as_deref())?;
    Ok(0)
}

fn export_run(format: ExportFormat, report: &Report) -> Result<String, String> {
    match format {
        ExportFormat::Hlog => Ok(hlog::hlog(report)),
        ExportFormat::Csv => Ok(csv::percentile_table(report)),
        ExportFormat::CsvSeries => Ok(csv::series_table(report)),
        ExportFormat::Prometheus => Ok(prometheus::prometheus(report)),
        ExportFormat::Memtier => pretty(&memtier::memtier(report)),
        ExportFormat::Html | ExportFormat::Markdown => {
            Err("markdown is for comparisons and matrices; a run gives html".to_owned())
        }
    }
}

/// `loadgen compare`.
///
/// # Errors
/// A sentence for the user: the options or files are wrong. What must not be compared is no error but a status.
pub fn compare_command(arguments: &CompareArgs, argv: Vec<String>) -> Result<u8, String> {
    let groups = two_groups(&arguments.files, &arguments.groups, &arguments.group_by)?;
    let runs: Vec<&MeasuredRun> = groups.iter().flat_map(|group| &group.runs).collect();
    let rules = rules(&arguments.rules, runs.first().map(|run| &run.report))?;
    let report = ComparisonReport {
        schema_version: SCHEMA_VERSION.to_owned(),
        kind: "compare".to_owned(),
        tool: Tool::this(),
        started_at: wall_clock_rfc3339(),
        argv: public(argv),
        alpha: rules.alpha,
        comparisons: comparisons(&groups, &rules)?,
    };
    let text = match arguments.format {
        CompareFormat::Text => text::describe(&report.comparisons, report.alpha),
        CompareFormat::Markdown => text::markdown(&report.comparisons, report.alpha),
        CompareFormat::Html => html::compare::page(&report),
        CompareFormat::Json => pretty(&report)?,
    };
    give(&text, arguments.out.as_deref())?;
    let status = ExitStatus::of(&report.comparisons);
    let is_refused = report.comparisons.iter().any(|comparison| !comparison.refusals.is_empty());
    Ok(match (arguments.fail_on, status) {
        (FailOn::Never, _) => 0,
        (FailOn::Regression, ExitStatus::Inconclusive) if !is_refused => 0,
        _ => status.code(),
    })
}

/// One comparison for plain runs; one for each cell that two matrices share.
fn comparisons(groups: &[Group; 2], rules: &Rules) -> Result<Vec<Comparison>, String> {
    let [left, right] = groups;
    let (left_cells, right_cells) = (by_cell(left), by_cell(right));
    let shared: Vec<Comparison> = left_cells
        .iter()
        .filter_map(|(cell, left_runs)| {
            let right_runs = right_cells.get(cell)?;
            let title = cell.as_ref().map(|cell| format!("{}, {}", cell.scenario, cell.server));
            // Blocks of two matrices were not made side by side.
            let rules = Rules { pairing: unpaired_between_matrices(cell.is_some(), rules), ..rules.clone() };
            let side = |name, runs| Side { name, runs };
            Some(compare(title, side(&left.name, left_runs), side(&right.name, right_runs), &rules))
        })
        .collect();
    if shared.is_empty() {
        return Err("the two sides have no scenario and server in common".to_owned());
    }
    Ok(shared)
}

fn unpaired_between_matrices(has_cell: bool, rules: &Rules) -> crate::comparison::judge::Pairing {
    use crate::comparison::judge::Pairing;
    if has_cell && rules.pairing == Pairing::Auto { Pairing::Unpaired } else { rules.pairing }
}

/// The rules, with the noise floor of the machine where one is given; it must be that of the runs' machine.
fn rules(arguments: &RulesArgs, first: Option<&Report>) -> Result<Rules, String> {
    let Some(path) = &arguments.noise else { return Ok(arguments.rules(Default::default())) };
    let Document::Noise(noise) = Document::read(path)? else {
        return Err(format!("{}: no report of `loadgen noise`", path.display()));
    };
    if let Some(report) = first {
        let (ours, theirs) = (&report.env, &noise.env);
        if ours.host_hash != theirs.host_hash || ours.cpu_model != theirs.cpu_model {
            return Err(format!("{}: the noise floor of another machine", path.display()));
        }
    }
    Ok(arguments.rules(noise.floors()))
}

/// `loadgen noise`.
///
/// # Errors
/// A sentence for the user.
pub fn noise(arguments: &NoiseArgs, argv: Vec<String>) -> Result<u8, String> {
    let report = NoiseReport::of(&read_all(&arguments.files)?, arguments.group_size, public(argv))?;
    if let Some(path) = &arguments.out {
        write_text(path, &pretty(&report)?)?;
    }
    give(&report.describe(), None)?;
    Ok(0)
}

/// `loadgen matrix`.
///
/// # Errors
/// A sentence for the user.
pub fn matrix(command: &MatrixCommand, argv: Vec<String>, interrupt: &AtomicBool) -> Result<u8, String> {
    match command {
        MatrixCommand::Run(arguments) => matrix_run(arguments, argv, interrupt),
        MatrixCommand::Table(arguments) => matrix_table(arguments),
    }
}

fn matrix_run(arguments: &MatrixRunArgs, argv: Vec<String>, interrupt: &AtomicBool) -> Result<u8, String> {
    let spec = arguments.spec()?;
    let rules = rules(&arguments.rules, None)?;
    if Tool::this().git_dirty == Some(true) {
        complain("note: this program was built from changed files, and the report will say so (git_dirty)");
    }
    let base = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
    let loadgen = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let surroundings = Surroundings { spec: &spec, base: &base, loadgen: &loadgen };
    let mut folder = arguments.out.clone().into_os_string();
    folder.push(".runs");
    let folder = PathBuf::from(folder);
    let progressed = execute(&surroundings, &folder, arguments.time_max, arguments.live, interrupt)?;
    let (made, planned, there) = (progressed.made, progressed.planned, progressed.reports.len());
    if there == 0 {
        return Err("stopped before the first run had ended".to_owned());
    }
    let report = MatrixReport::of(&spec, progressed, argv, &rules)?;
    let page = arguments.out.with_extension("html");
    write_text(&arguments.out, &compact(&report)?)?;
    write_text(&page, &html::matrix::page(&report))?;
    give(&table::describe(&report), None)?;
    complain(&format!(
        "{made} runs made now, {there} of {planned} there; report: {} and {}{}",
        arguments.out.display(),
        page.display(),
        if report.complete { "" } else { "; start it again to go on" }
    ));
    if let Some(path) = arguments.into.as_ref().filter(|_| report.complete) {
        put_tables(&report, &[], path)?;
    }
    Ok(if report.complete { 0 } else { ExitStatus::Inconclusive.code() })
}

fn matrix_table(arguments: &MatrixTableArgs) -> Result<u8, String> {
    let Document::Matrix(report) = Document::read(&arguments.file)? else {
        return Err(format!("{}: no report of `loadgen matrix`", arguments.file.display()));
    };
    if let Some(path) = &arguments.into {
        return put_tables(&report, &arguments.metrics, path).map(|()| 0);
    }
    let text = match arguments.format {
        TableFormat::Markdown => table::markdown(&report, &arguments.metrics),
        TableFormat::Text => table::describe(&report),
    };
    give(&text, None)?;
    Ok(0)
}

/// `loadgen agreement`.
///
/// # Errors
/// A sentence for the user.
pub fn agreement(arguments: &AgreementArgs, argv: Vec<String>) -> Result<u8, String> {
    let report = crate::agreement::measure(arguments, argv)?;
    if let Some(path) = &arguments.out {
        give(&pretty(&report)?, Some(path))?;
    }
    give(&report.describe(), None)?;
    Ok(0)
}

/// Puts the tables of a matrix between the marks of a file.
fn put_tables(
    report: &MatrixReport,
    metrics: &[crate::comparison::metric::Metric],
    path: &Path,
) -> Result<(), String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let text = put_between_marks(&text, &table::markdown(report, metrics))
        .map_err(|error| format!("{shown}: {error}"))?;
    write_text(path, &text)?;
    complain(&format!("tables: {shown}"));
    Ok(())
}

/// `loadgen schema`.
///
/// # Errors
/// When standard output cannot be written.
pub fn schema() -> Result<u8, String> {
    give(SCHEMA, None)?;
    Ok(0)
}

/// The command line without folders of this machine: reports are published.
fn public(argv: Vec<String>) -> Vec<String> {
    argv.iter().map(|word| base_name(word)).collect()
}

fn pretty(value: &impl serde::Serialize) -> Result<String, String> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}

/// A line for each run: small, and still readable by `git diff`.
fn compact(report: &MatrixReport) -> Result<String, String> {
    let mut text = serde_json::to_string(report).map_err(|error| error.to_string())?;
    text = text.replace("{\"block\":", "\n{\"block\":").replace("{\"scenario\":\"", "\n{\"scenario\":\"");
    text.push('\n');
    Ok(text)
}

/// Writes to a file, or to standard output.
fn give(text: &str, path: Option<&Path>) -> Result<(), String> {
    if let Some(path) = path {
        write_text(path, text)?;
        complain(&format!("written: {}", path.display()));
        return Ok(());
    }
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // `loadgen show FILE | head` is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn write_text(path: &Path, text: &str) -> Result<(), String> {
    write_whole(path, text.as_bytes()).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn complain(text: &str) {
    // Nobody reads a closed standard error.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
