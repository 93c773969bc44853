//! The page of several runs: their percentile curves over each other, and throughput against latency.

use super::{Cell, number, page as whole_page, table, words};
use crate::comparison::groups::MeasuredRun;
use crate::comparison::metric::Metric;
use crate::plot::svg::{COLOURS, Style};
use crate::plot::{curve, percentile};

/// The page.
#[must_use]
pub fn page(runs: &[MeasuredRun]) -> String {
    let mut body = format!("<h1>{} runs</h1>\n", runs.len());
    let points = curve::points_of(runs.iter().map(|run| &run.report));
    body.push_str(&curve::chart(&points).figure());
    let curves: Vec<_> = runs
        .iter()
        .take(COLOURS)
        .enumerate()
        .filter_map(|(colour, run)| {
            let all = &run.report.result.as_ref()?.all;
            Some((name(run), all.corrected.as_ref().unwrap_or(&all.service), Style::Line, colour))
        })
        .collect();
    let title =
        if runs.len() > COLOURS { "latency by percentile, first runs" } else { "latency by percentile" };
    body.push_str(&percentile::chart(title, &curves).figure());
    let mut heads = vec!["run"];
    heads.extend(Metric::ALL.map(Metric::short_title));
    heads.push("valid");
    let rows: Vec<Vec<Cell>> = runs
        .iter()
        .map(|run| {
            let mut cells = vec![words(name(run))];
            let show = |metric: Metric| {
                metric.of(&run.report).map_or_else(|| "-".to_owned(), |value| metric.show(value))
            };
            cells.extend(Metric::ALL.map(|metric| number(show(metric))));
            let reasons: Vec<&str> =
                run.report.validity.reasons.iter().map(|reason| reason.code.as_str()).collect();
            let is_valid = reasons.is_empty();
            let text = if is_valid { "yes".to_owned() } else { reasons.join(", ") };
            cells.push(Cell { text, class: if is_valid { "same" } else { "invalid" } });
            cells
        })
        .collect();
    body.push_str(&table(&heads, &rows));
    whole_page("runs", &body)
}

fn name(run: &MeasuredRun) -> String {
    let file = run.source.rsplit('/').next().unwrap_or(&run.source);
    run.report.label.as_ref().map_or_else(|| file.to_owned(), |label| format!("{label} ({file})"))
}
