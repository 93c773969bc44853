//! The report of a matrix: every run, and each server held against its baseline under each scenario.

use serde::{Deserialize, Serialize};

use super::execute::Progressed;
use super::spec::MatrixSpec;
use crate::clock::wall_clock_rfc3339;
use crate::comparison::groups::{Cell, MeasuredRun};
use crate::comparison::judge::{Rules, Side, compare};
use crate::comparison::result::Comparison;
use crate::environment::Environment;
use crate::report::{Report, SCHEMA_VERSION, Tool};

/// A report of `loadgen matrix`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MatrixReport {
    /// As in reports of runs.
    pub schema_version: String,
    /// `matrix`.
    pub kind: String,
    /// The program that measured.
    pub tool: Tool,
    /// Name of the matrix.
    pub name: String,
    /// Start of the first run.
    pub started_at: String,
    /// When the report was written.
    pub finished_at: String,
    /// The command line.
    pub argv: Vec<String>,
    /// Where the first run was made; each run has its own too.
    pub env: Environment,
    /// What was asked for.
    pub spec: MatrixSpec,
    /// Whether all runs are there.
    pub complete: bool,
    /// The runs, in the order in which they were made.
    pub runs: Vec<MatrixRun>,
    /// Chance of any false alarm in one comparison.
    pub alpha: f64,
    /// Each server against its baseline.
    pub comparisons: Vec<MatrixComparison>,
}

/// One run of a matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MatrixRun {
    /// Repeat, from 0.
    pub block: u32,
    /// The load.
    pub scenario: String,
    /// The server.
    pub server: String,
    /// Its report. INFO stands in the reports of the first block only, and places of the machine in none.
    pub report: Report,
}

/// One server held against another under one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MatrixComparison {
    /// The load.
    pub scenario: String,
    /// What was found.
    #[serde(flatten)]
    pub comparison: Comparison,
}

impl MatrixReport {
    /// The report of what was measured.
    ///
    /// # Errors
    /// When there is no run.
    pub fn of(
        spec: &MatrixSpec,
        progressed: Progressed,
        argv: Vec<String>,
        rules: &Rules,
    ) -> Result<Self, String> {
        let complete = progressed.is_complete();
        let mut runs: Vec<MatrixRun> = progressed
            .reports
            .into_iter()
            .map(|(block, scenario, server, report)| MatrixRun { block, scenario, server, report })
            .collect();
        runs.iter_mut().for_each(|run| make_public(&mut run.report, run.block == 0));
        let first = &runs.first().ok_or("no run was made")?.report;
        let mut report = Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            kind: "matrix".to_owned(),
            tool: Tool::this(),
            name: spec.name.clone(),
            started_at: first.started_at.clone(),
            finished_at: wall_clock_rfc3339(),
            argv: argv.into_iter().map(|word| base_name(&word)).collect(),
            env: first.env.clone(),
            spec: public_spec(spec.clone()),
            complete,
            runs,
            alpha: rules.alpha,
            comparisons: Vec::new(),
        };
        report.comparisons = report.compare(rules);
        Ok(report)
    }

    /// Holds each server against its baseline, under each scenario.
    #[must_use]
    pub fn compare(&self, rules: &Rules) -> Vec<MatrixComparison> {
        let mut comparisons = Vec::new();
        for scenario in &self.spec.scenarios {
            for server in self.spec.servers_of(scenario) {
                let Some(baseline) = self.baseline(&scenario.name, &server.name) else { continue };
                let title = scenario.title.clone().unwrap_or_else(|| scenario.name.clone());
                let (left, right) =
                    (self.cell(&scenario.name, &baseline), self.cell(&scenario.name, &server.name));
                let (left_runs, right_runs): (Vec<_>, Vec<_>) =
                    (left.iter().collect(), right.iter().collect());
                let comparison = compare(
                    Some(title),
                    Side { name: &baseline, runs: &left_runs },
                    Side { name: &server.name, runs: &right_runs },
                    rules,
                );
                comparisons.push(MatrixComparison { scenario: scenario.name.clone(), comparison });
            }
        }
        comparisons
    }

    /// The server that another one is held against under a scenario: the one the spec names, else the first of the same
    /// durability, if that is not itself.
    fn baseline(&self, scenario: &str, server: &str) -> Option<String> {
        let spec = self.spec.servers.iter().find(|spec| spec.name == server)?;
        let takes_part =
            |name: &str| self.runs.iter().any(|run| run.scenario == scenario && run.server == name);
        if let Some(baseline) = &spec.baseline {
            return (baseline != server && takes_part(baseline)).then(|| baseline.clone());
        }
        let durability = |name: &str| {
            let run = self.runs.iter().find(|run| run.scenario == scenario && run.server == name)?;
            run.report.server.durability.clone()
        };
        let own = durability(server);
        let first = self
            .spec
            .servers
            .iter()
            .find(|other| takes_part(&other.name) && durability(&other.name) == own)?;
        (first.name != server && takes_part(server)).then(|| first.name.clone())
    }

    /// All runs of one server under one scenario.
    #[must_use]
    pub fn cell(&self, scenario: &str, server: &str) -> Vec<MeasuredRun> {
        let runs = self.runs.iter().filter(|run| run.scenario == scenario && run.server == server);
        runs.map(|run| MeasuredRun {
            source: format!("{scenario}:{server}:{}", run.block),
            cell: Some(Cell { scenario: scenario.to_owned(), server: server.to_owned() }),
            block: Some(run.block),
            report: run.report.clone(),
        })
        .collect()
    }
}

/// Takes out what a published report must not tell: folders of the machine. INFO is long and says the same in each
/// block.
fn make_public(report: &mut Report, with_info: bool) {
    report.argv.iter_mut().for_each(|word| *word = base_name(word));
    report.config.target.addr = base_name(&report.config.target.addr);
    report.tags.values_mut().for_each(|words| *words = without_folders(words));
    for info in [&mut report.server.info_before, &mut report.server.info_after] {
        if with_info {
            info.values_mut().for_each(|value| *value = without_places(value));
        } else {
            info.clear();
        }
    }
}

fn public_spec(mut spec: MatrixSpec) -> MatrixSpec {
    for server in &mut spec.servers {
        let program = server.program.as_ref().and_then(|path| path.file_name());
        server.program = program.map(Into::into);
        let words = server.command.list();
        server.command = super::spec::Words::List(words.iter().map(|word| base_name(word)).collect());
    }
    spec
}

fn without_folders(words: &str) -> String {
    words.split(' ').map(base_name).collect::<Vec<_>>().join(" ")
}

/// INFO names places as whole values and, of listeners, as `name=unix,bind=PLACE`.
fn without_places(value: &str) -> String {
    let shown = |part: &str| match part.split_once('=') {
        Some((name, place)) => format!("{name}={}", base_name(place)),
        None => base_name(part),
    };
    value.split(',').map(shown).collect::<Vec<_>>().join(",")
}

/// The last part of a path; anything else as it is.
pub(crate) fn base_name(word: &str) -> String {
    let is_path = word.starts_with('/') || word.starts_with("./") || word.starts_with("../");
    match word.rsplit_once('/') {
        Some((_, name)) if is_path && !name.is_empty() => name.to_owned(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_do_not_reach_a_published_report() {
        for (word, shown) in [
            ("/home/me/x.sock", "x.sock"),
            ("./target/loadgen", "loadgen"),
            ("1/2", "1/2"),
            ("127.0.0.1:1", "127.0.0.1:1"),
        ] {
            assert_eq!(base_name(word), shown);
        }
        assert_eq!(without_folders("/opt/bin/ourod --dir {dir} | -c 5"), "ourod --dir {dir} | -c 5");
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report-1.0.json");
        let mut report = Report::read(&path).unwrap();
        report.config.target.addr = "/secret/folder/x.sock".to_owned();
        report.server.info_before.insert("executable".to_owned(), "/secret/redis-server".to_owned());
        let listener = "name=unix,bind=/secret/s.sock".to_owned();
        report.server.info_after.insert("listener0".to_owned(), listener);
        report.argv.push("/secret/out.json".to_owned());
        make_public(&mut report, true);
        assert!(!serde_json::to_string(&report).unwrap().contains("secret"));
    }
}
