//! The page of a comparison: the verdicts, and every run as a dot, so that nothing hides behind a median.

use super::{Cell, list, number, page as whole_page, table, words};
use crate::comparison::result::{Comparison, ComparisonReport, MetricResult};
use crate::comparison::text::{interval, method, percent, show_p, word};
use crate::plot::scale::Spread;
use crate::plot::svg::{Axis, Chart, Point, Series, Style, escape};

/// The page.
#[must_use]
pub fn page(report: &ComparisonReport) -> String {
    let mut body = "<h1>Comparison</h1>\n".to_owned();
    for comparison in &report.comparisons {
        body.push_str(&section(comparison, report.alpha, 2));
    }
    whole_page("comparison", &body)
}

/// One comparison, under a heading of this level.
#[must_use]
pub fn section(comparison: &Comparison, alpha: f64, level: u8) -> String {
    let pair = format!("{} against {}", comparison.candidate, comparison.baseline);
    let heading = comparison.title.as_ref().map_or(pair.clone(), |title| format!("{title}: {pair}"));
    let mut body = format!("<h{level}>{}</h{level}>\n", escape(&heading));
    let refused: Vec<String> =
        comparison.refusals.iter().map(|refusal| format!("Refused: {refusal}")).collect();
    body.push_str(&list("bad", &refused));
    body.push_str(&list("soft", &comparison.notes));
    if !comparison.refusals.is_empty() {
        return body;
    }
    let heads = [
        "figure",
        &comparison.baseline,
        &comparison.candidate,
        "change",
        "interval",
        "p",
        "threshold",
        "verdict",
    ];
    let rows: Vec<Vec<Cell>> = comparison.metrics.iter().map(row).collect();
    body.push_str(&table(&heads, &rows));
    body.push_str(&format!("<p class=soft>{}.</p>\n", escape(&method(comparison, alpha))));
    let reasons: Vec<String> = comparison
        .metrics
        .iter()
        .flat_map(|result| result.reasons.iter().map(|reason| format!("{}: {reason}", result.metric.title())))
        .collect();
    body.push_str(&list("soft", &reasons));
    body.push_str(&dots(comparison).figure());
    body
}

fn row(result: &MetricResult) -> Vec<Cell> {
    vec![
        words(result.metric.title()),
        number(result.metric.show(result.baseline_median)),
        number(result.metric.show(result.candidate_median)),
        number(percent(result.ratio)),
        number(interval(result)),
        number(show_p(result.p_corrected)),
        number(format!("{:.1} %", 100.0 * result.threshold)),
        Cell { text: word(result), class: result.verdict.word() },
    ]
}

/// Every run of both groups, as its ratio to the median of the first: figures of all units on one axis.
fn dots(comparison: &Comparison) -> Chart {
    let side = |name: &str, colour: usize, offset: f64, of: fn(&MetricResult) -> &Vec<f64>| {
        let points = comparison.metrics.iter().enumerate().flat_map(|(place, result)| {
            of(result).iter().enumerate().map(move |(number, value)| {
                // Runs stand side by side in their order, so that drift shows.
                let spread = 0.22 * (number as f64 / of(result).len().max(1) as f64 - 0.5);
                let note = format!(
                    "{}: {} in run {}",
                    result.metric.title(),
                    result.metric.show(*value),
                    number + 1
                );
                Point {
                    x: place as f64 + offset + spread,
                    y: Some(value / result.baseline_median),
                    hollow: false,
                    note: Some(note),
                }
            })
        });
        Series { name: name.to_owned(), points: points.collect(), style: Style::Points, colour }
    };
    let ticks = comparison.metrics.iter().enumerate();
    Chart {
        title: "every run, by the median of the first group".to_owned(),
        x: Axis {
            label: String::new(),
            spread: Spread::Linear,
            format: |_| String::new(),
            ticks: Some(
                ticks.map(|(place, result)| (place as f64, result.metric.title().to_owned())).collect(),
            ),
        },
        y: Axis {
            label: "ratio".to_owned(),
            spread: Spread::Log,
            format: |ratio| format!("{ratio:.2}"),
            ticks: None,
        },
        series: vec![
            side(&comparison.baseline, 0, -0.16, |result| &result.baseline),
            side(&comparison.candidate, 1, 0.16, |result| &result.candidate),
        ],
    }
}
