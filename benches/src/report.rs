//! The report of a side-by-side run: every single measurement with its commands, and what follows from them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::load::Figures;
use crate::machine::Machine;
use crate::statistics::median;

/// Version of the schema. Readers refuse another one.
pub const SCHEMA_VERSION: u32 = 1;

/// A whole report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Version of the schema.
    pub schema_version: u32,
    /// Name of the report.
    pub name: String,
    /// Where and when.
    pub machine: Machine,
    /// The command that measured.
    pub command: Vec<String>,
    /// What each side says of its version.
    pub versions: BTreeMap<String, String>,
    /// File system that stores lay on.
    pub file_system: String,
    /// Every measurement, in the order made.
    pub runs: Vec<Run>,
    /// Medians and bars by scenario.
    pub summaries: Vec<Summary>,
}

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// What was measured.
    pub scenario: String,
    /// Of whom.
    pub side: String,
    /// The figures.
    pub figures: Figures,
    /// What speaks against them.
    #[serde(default)]
    pub doubts: Vec<String>,
    /// Command line of the server, folders left out.
    pub server: Vec<String>,
    /// Command line of the client, folders left out; empty where the harness itself asked.
    pub client: Vec<String>,
}

/// What the runs of one scenario amount to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// The scenario.
    pub scenario: String,
    /// What it is, for people.
    pub title: String,
    /// Its sides, the baseline first.
    pub sides: Vec<String>,
    /// Median of each figure by side.
    pub medians: BTreeMap<String, Figures>,
    /// The bars set for it.
    pub bars: Vec<BarResult>,
}

/// What a bar is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The figure of the second side.
    Value,
    /// The second side's figure divided by the first's.
    Ratio,
}

/// Which way a bar is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// At most the bound.
    AtMost,
    /// At least the bound.
    AtLeast,
}

/// A bar that a figure has to pass.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// Name of the figure.
    pub figure: &'static str,
    /// What of it counts.
    pub measure: Measure,
    /// Which way.
    pub direction: Direction,
    /// The bound.
    pub bound: f64,
}

/// How a figure did at its bar.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BarResult {
    /// Name of the figure.
    pub figure: String,
    /// Whether it is a ratio to the baseline.
    pub is_ratio: bool,
    /// Which way.
    pub direction: Direction,
    /// The bound.
    pub bound: f64,
    /// What was measured; null when the figure is missing.
    pub measured: Option<f64>,
    /// Whether it passes.
    pub passed: bool,
}

impl Summary {
    /// Of the runs of one scenario between two sides, the baseline first.
    #[must_use]
    pub fn of(runs: &[Run], scenario: &str, title: &str, sides: [&str; 2], bars: &[Bar]) -> Self {
        let medians: BTreeMap<String, Figures> =
            sides.iter().map(|side| ((*side).to_owned(), medians(runs, scenario, side))).collect();
        let figure = |side: &str, name: &str| medians.get(side)?.get(name).copied();
        let bars = bars
            .iter()
            .map(|bar| {
                let measured = match bar.measure {
                    Measure::Value => figure(sides[1], bar.figure),
                    Measure::Ratio => ratio(figure(sides[1], bar.figure), figure(sides[0], bar.figure)),
                };
                BarResult {
                    figure: bar.figure.to_owned(),
                    is_ratio: bar.measure == Measure::Ratio,
                    direction: bar.direction,
                    bound: bar.bound,
                    measured,
                    passed: measured.is_some_and(|measured| bar.direction.passes(measured, bar.bound)),
                }
            })
            .collect();
        let sides = sides.map(str::to_owned).into();
        Self { scenario: scenario.to_owned(), title: title.to_owned(), sides, medians, bars }
    }

    /// The second side's figure divided by the baseline's.
    #[must_use]
    pub fn ratio(&self, figure: &str) -> Option<f64> {
        let of = |side: &String| self.medians.get(side)?.get(figure).copied();
        ratio(of(self.sides.get(1)?), of(self.sides.first()?))
    }
}

impl Direction {
    fn passes(self, measured: f64, bound: f64) -> bool {
        match self {
            Self::AtMost => measured <= bound,
            Self::AtLeast => measured >= bound,
        }
    }
}

fn ratio(figure: Option<f64>, baseline: Option<f64>) -> Option<f64> {
    let baseline = baseline.filter(|baseline| *baseline > 0.0)?;
    Some(figure? / baseline)
}

fn medians(runs: &[Run], scenario: &str, side: &str) -> Figures {
    let mut by_name: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.scenario == scenario && run.side == side) {
        for (name, figure) in &run.figures {
            by_name.entry(name).or_default().push(*figure);
        }
    }
    by_name.into_iter().filter_map(|(name, figures)| Some((name.to_owned(), median(&figures)?))).collect()
}

impl Report {
    /// Whether every bar is passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.summaries.iter().flat_map(|summary| &summary.bars).all(|bar| bar.passed)
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads one.
    ///
    /// # Errors
    /// When there is none, or one of another schema.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let report: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no side-by-side report", path.display()))?;
        if report.schema_version != SCHEMA_VERSION {
            bail!(
                "{}: schema {}, this program reads {SCHEMA_VERSION}",
                path.display(),
                report.schema_version
            );
        }
        Ok(report)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn run(side: &str, ops_s: f64) -> Run {
        Run {
            scenario: "get".to_owned(),
            side: side.to_owned(),
            figures: Figures::from([("ops_s".to_owned(), ops_s)]),
            doubts: Vec::new(),
            server: Vec::new(),
            client: Vec::new(),
        }
    }

    pub(crate) fn bar(measure: Measure, direction: Direction, bound: f64) -> Bar {
        Bar { figure: "ops_s", measure, direction, bound }
    }

    #[test]
    fn bars_are_held_against_medians() {
        let runs =
            [run("a", 1.0), run("b", 4.0), run("b", 100.0), run("a", 2.0), run("a", 90.0), run("b", 5.0)];
        let check = |measure, direction, bound| {
            let summary = Summary::of(&runs, "get", "GET", ["a", "b"], &[bar(measure, direction, bound)]);
            (summary.bars[0].measured, summary.bars[0].passed)
        };
        assert_eq!(check(Measure::Ratio, Direction::AtLeast, 2.5), (Some(2.5), true));
        assert_eq!(check(Measure::Ratio, Direction::AtLeast, 2.6), (Some(2.5), false));
        assert_eq!(check(Measure::Value, Direction::AtMost, 5.0), (Some(5.0), true));
        assert_eq!(check(Measure::Value, Direction::AtMost, 4.9), (Some(5.0), false));
    }

    #[test]
    fn a_figure_that_is_missing_passes_no_bar() {
        let bars = [bar(Measure::Ratio, Direction::AtMost, 1.0)];
        let summary = Summary::of(&[run("a", 1.0)], "get", "GET", ["a", "b"], &bars);
        assert_eq!((summary.bars[0].measured, summary.bars[0].passed), (None, false));
        assert_eq!(summary.ratio("ops_s"), None);
    }
}
