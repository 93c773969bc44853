//! A report as a Markdown table, for the README.

use std::fmt::Write;

use crate::report::{BarResult, Direction, Report, Summary};

/// How a figure is shown.
struct Column {
    figure: &'static str,
    title: &'static str,
    show: fn(f64) -> String,
}

const COLUMNS: [Column; 7] = [
    Column { figure: "cpu_us_per_op", title: "server CPU per command", show: |us| format!("{us:.2} us") },
    Column { figure: "ops_s", title: "commands per second", show: |ops| format!("{:.0} k", ops / 1e3) },
    Column { figure: "p50_us", title: "p50", show: show_us },
    Column { figure: "p99_us", title: "p99", show: show_us },
    Column {
        figure: "rss_bytes_per_key",
        title: "memory per key",
        show: |bytes| format!("{bytes:.0} bytes"),
    },
    Column {
        figure: "recovered_keys_s",
        title: "keys recovered per second",
        show: |keys| format!("{:.0} k", keys / 1e3),
    },
    Column {
        figure: "recovery_s",
        title: "restart after kill -9",
        show: |seconds| format!("{seconds:.2} s"),
    },
];

fn show_us(us: f64) -> String {
    if us < 1000.0 { format!("{us:.0} us") } else { format!("{:.2} ms", us / 1e3) }
}

/// The whole table, with a line that says where it is from.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let machine = &report.machine;
    let versions: Vec<String> =
        report.versions.iter().map(|(side, version)| format!("{side}: {version}")).collect();
    let mut out = format!(
        "Measured on {} ({} cores, {} GiB, Linux {}) on {}, commit {}. {}. Medians of {} runs a side, taking turns.\n\n",
        machine.cpu,
        machine.cpus,
        (machine.memory_mib + 512) / 1024,
        machine.kernel,
        machine.date,
        machine.commit,
        versions.join("; "),
        repeats(report),
    );
    out.push_str("| scenario | figure | baseline | ours | ratio | bar | |\n|---|---|---|---|---|---|---|\n");
    for summary in &report.summaries {
        for column in &COLUMNS {
            add_row(&mut out, summary, column);
        }
    }
    let doubts: Vec<&str> = report.runs.iter().flat_map(|run| &run.doubts).map(String::as_str).collect();
    if !doubts.is_empty() {
        let mut kinds = doubts.clone();
        kinds.sort_unstable();
        kinds.dedup();
        let _ = writeln!(out, "\nThe client had {} doubts, such as: {}.", doubts.len(), kinds[0]);
    }
    out
}

fn repeats(report: &Report) -> usize {
    let Some(first) = report.runs.first() else { return 0 };
    report.runs.iter().filter(|run| run.scenario == first.scenario && run.side == first.side).count()
}

fn add_row(out: &mut String, summary: &Summary, column: &Column) {
    let figure = |place: usize| summary.medians.get(summary.sides.get(place)?)?.get(column.figure).copied();
    let (baseline, ours) = (figure(0), figure(1));
    if baseline.is_none() && ours.is_none() {
        return;
    }
    let show = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), column.show);
    let ratio = summary.ratio(column.figure).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    let bar = summary.bars.iter().find(|bar| bar.figure == column.figure);
    let (bound, verdict) = bar.map_or((String::new(), ""), |bar| (show_bound(bar), verdict(bar)));
    let _ = writeln!(
        out,
        "| {} | {} | {} | {} | {ratio} | {bound} | {verdict} |",
        summary.title,
        column.title,
        show(baseline),
        show(ours)
    );
}

fn show_bound(bar: &BarResult) -> String {
    let words = match bar.direction {
        Direction::AtMost => "at most",
        Direction::AtLeast => "at least",
    };
    let times = if bar.is_ratio { " x" } else { "" };
    format!("{words} {}{times}", bar.bound)
}

fn verdict(bar: &BarResult) -> &'static str {
    if bar.passed { "pass" } else { "FAIL" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{bar, run};
    use crate::report::{Measure, SCHEMA_VERSION};

    #[test]
    fn a_row_shows_both_sides_the_ratio_and_the_bar() {
        let runs = vec![run("redis", 100_000.0), run("ouro", 250_000.0)];
        let bars = [bar(Measure::Ratio, Direction::AtLeast, 3.0)];
        let summaries = vec![Summary::of(&runs, "get", "GET P=1", ["redis", "ouro"], &bars)];
        let mut report = Report {
            schema_version: SCHEMA_VERSION,
            name: "x".to_owned(),
            machine: crate::machine::Machine::default(),
            command: Vec::new(),
            versions: [("ouro".to_owned(), "1".to_owned())].into(),
            file_system: String::new(),
            runs,
            summaries,
        };
        let text = markdown(&report);
        let row = "| GET P=1 | commands per second | 100 k | 250 k | 2.50 | at least 3 x | FAIL |";
        assert!(text.lines().any(|line| line == row), "{text}");
        assert!(text.contains("Medians of 1 runs") && !text.contains("doubts"), "{text}");
        report.runs[0].doubts.push("too slow".to_owned());
        assert!(markdown(&report).contains("1 doubts, such as: too slow"));
    }
}
