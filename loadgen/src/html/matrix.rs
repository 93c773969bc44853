//! The page of a matrix: medians of every cell, then each server against its baseline, then the machine.

use super::compare::section;
use super::run::{machine, server_name};
use super::{Cell, list, number, page as whole_page, table, words};
use crate::comparison::groups::MeasuredRun;
use crate::comparison::metric::Metric;
use crate::comparison::result::Verdict;
use crate::comparison::text::{interval, percent, word};
use crate::matrix::report::MatrixReport;
use crate::matrix::table::median_of;
use crate::plot::percentile;
use crate::plot::scale::Spread;
use crate::plot::svg::{Axis, Chart, Point, Series, Style, escape};

/// The page.
#[must_use]
pub fn page(report: &MatrixReport) -> String {
    let mut body = format!("<h1>{}</h1>\n", escape(&report.name));
    body.push_str(&format!(
        "<p class=soft>{} runs, {} to {}. Servers take turns (ABBA); each run has a server of its own, started and \
         loaded afresh.</p>\n",
        report.runs.len(),
        escape(&report.started_at),
        escape(&report.finished_at)
    ));
    if !report.complete {
        body.push_str(&list("bad", &["Not complete: runs are missing.".to_owned()]));
    }
    body.push_str("<h2>Verdicts</h2>\n");
    body.push_str(&verdicts(report));
    body.push_str(&ratios(report));
    body.push_str("<h2>Medians</h2>\n");
    body.push_str(&medians(report));
    for scenario in &report.spec.scenarios {
        let title = scenario.title.as_ref().unwrap_or(&scenario.name);
        body.push_str(&format!("<h2>{}</h2>\n", escape(title)));
        body.push_str(&format!("<p class=soft>loadgen run {}</p>\n", escape(&run_words(report, scenario))));
        body.push_str(&percentiles(report, &scenario.name));
        for each in report.comparisons.iter().filter(|each| each.scenario == scenario.name) {
            let mut comparison = each.comparison.clone();
            // The heading above names the scenario.
            comparison.title = None;
            body.push_str(&section(&comparison, report.alpha, 3));
        }
    }
    if let Some(first) = report.runs.first() {
        body.push_str("<h2>How it was measured</h2>\n");
        body.push_str(&servers(report));
        body.push_str(&machine(&first.report));
    }
    whole_page(&report.name, &body)
}

fn run_words(report: &MatrixReport, scenario: &crate::matrix::spec::ScenarioSpec) -> String {
    let mut words = report.spec.run.list();
    words.extend(scenario.run.list());
    words.join(" ")
}

/// One line for each comparison: change and word of each figure.
fn verdicts(report: &MatrixReport) -> String {
    let judged: Vec<Metric> = Metric::ALL
        .into_iter()
        .filter(|metric| {
            report
                .comparisons
                .iter()
                .any(|each| each.comparison.metrics.iter().any(|result| result.metric == *metric))
        })
        .collect();
    let mut heads = vec!["scenario", "server", "against"];
    heads.extend(judged.iter().map(|metric| metric.short_title()));
    let rows: Vec<Vec<Cell>> = report
        .comparisons
        .iter()
        .map(|each| {
            let comparison = &each.comparison;
            let title = comparison.title.as_ref().unwrap_or(&each.scenario);
            let mut cells = vec![words(title), words(&comparison.candidate), words(&comparison.baseline)];
            cells.extend(judged.iter().map(|metric| {
                let Some(result) = comparison.metrics.iter().find(|result| result.metric == *metric) else {
                    let text = if comparison.refusals.is_empty() { "-" } else { "refused" };
                    return Cell { text: text.to_owned(), class: Verdict::Invalid.word() };
                };
                Cell {
                    text: format!("{}\n{}", percent(result.ratio), word(result)),
                    class: result.verdict.word(),
                }
            }));
            cells
        })
        .collect();
    table(&heads, &rows)
}

/// The ratios of all comparisons with their intervals, on one scale.
fn ratios(report: &MatrixReport) -> String {
    let mut series = Vec::new();
    for (colour, metric) in [Metric::OpsS, Metric::P99, Metric::ServerCpu].into_iter().enumerate() {
        let mut points = Vec::new();
        for (place, each) in report.comparisons.iter().enumerate() {
            let Some(result) = each.comparison.metrics.iter().find(|result| result.metric == metric) else {
                continue;
            };
            let x = place as f64 + 0.2 * (colour as f64 - 1.0);
            let note = format!(
                "{}: {} {} ({})",
                each.scenario,
                metric.title(),
                percent(result.ratio),
                interval(result)
            );
            let hollow = result.verdict == Verdict::Invalid;
            points.push(Point { x, y: Some(result.ratio), hollow, note: Some(note) });
            let ends = [result.ratio_low, result.ratio_high].map(|end| Point::new(x, end));
            series.push(Series { name: String::new(), points: ends.to_vec(), style: Style::Line, colour });
        }
        series.push(Series { name: metric.title().to_owned(), points, style: Style::Points, colour });
    }
    let ticks = report.comparisons.iter().enumerate();
    let chart = Chart {
        title: "ratio to the baseline, with its interval; hollow where runs are not valid".to_owned(),
        x: Axis {
            label: String::new(),
            spread: Spread::Linear,
            format: |_| String::new(),
            ticks: Some(ticks.map(|(place, each)| (place as f64, each.scenario.clone())).collect()),
        },
        y: Axis {
            label: "ratio".to_owned(),
            spread: Spread::Log,
            format: |ratio| format!("{ratio:.2}"),
            ticks: None,
        },
        series,
    };
    if report.comparisons.is_empty() { String::new() } else { chart.figure() }
}

fn medians(report: &MatrixReport) -> String {
    let mut heads = vec!["scenario", "server", "runs"];
    heads.extend(Metric::ALL.map(Metric::short_title));
    heads.push("not valid");
    let mut rows = Vec::new();
    for scenario in &report.spec.scenarios {
        for server in report.spec.servers_of(scenario) {
            let cell = report.cell(&scenario.name, &server.name);
            if cell.is_empty() {
                continue;
            }
            let title = scenario.title.as_ref().unwrap_or(&scenario.name);
            let mut cells = vec![words(title), words(&server.name), number(cell.len().to_string())];
            let show = |metric: Metric| {
                median_of(metric, &cell).map_or_else(|| "-".to_owned(), |value| metric.show(value))
            };
            cells.extend(Metric::ALL.map(|metric| number(show(metric))));
            cells.push(not_valid(&cell));
            rows.push(cells);
        }
    }
    table(&heads, &rows)
}

/// How many runs are not valid, and why.
fn not_valid(cell: &[MeasuredRun]) -> Cell {
    let mut codes: Vec<&str> =
        cell.iter().flat_map(|run| &run.report.validity.reasons).map(|reason| reason.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    let count = cell.iter().filter(|run| !run.report.validity.ok).count();
    match count {
        0 => Cell { text: "0".to_owned(), class: Verdict::Same.word() },
        _ => Cell { text: format!("{count}\n{}", codes.join(", ")), class: Verdict::Invalid.word() },
    }
}

/// The curves of the run in the middle of each server's, by p99.
fn percentiles(report: &MatrixReport, scenario: &str) -> String {
    let mut middle: Vec<MeasuredRun> = Vec::new();
    for server in &report.spec.servers {
        let mut cell = report.cell(scenario, &server.name);
        let p99 = |run: &MeasuredRun| Metric::P99.of(&run.report).unwrap_or(f64::MAX);
        cell.sort_by(|left, right| p99(left).total_cmp(&p99(right)));
        if !cell.is_empty() {
            middle.push(cell.swap_remove(cell.len() / 2));
        }
    }
    let curves: Vec<_> = middle
        .iter()
        .enumerate()
        .filter_map(|(colour, run)| {
            let all = &run.report.result.as_ref()?.all;
            let name = run.cell.as_ref().map(|cell| cell.server.clone()).unwrap_or_default();
            Some((name, all.corrected.as_ref().unwrap_or(&all.service), Style::Line, colour))
        })
        .collect();
    percentile::chart("latency by percentile, the middle run of each server", &curves).figure()
}

fn servers(report: &MatrixReport) -> String {
    let rows: Vec<Vec<Cell>> = report
        .spec
        .servers
        .iter()
        .filter_map(|server| {
            let run = report.runs.iter().find(|run| run.server == server.name)?;
            let facts = &run.report.server;
            let description = run.report.tags.get(crate::matrix::turn::DESCRIPTION_TAG);
            let command = description.and_then(|text| text.split(" | ").next()).unwrap_or_default();
            Some(vec![
                words(&server.name),
                words(server_name(&run.report)),
                words(facts.durability.clone().unwrap_or_default()),
                words(command),
            ])
        })
        .collect();
    format!("<h3>Servers</h3>\n{}", table(&["name", "version", "durability", "command"], &rows))
}
