//! Any file that loadgen wrote, told apart by its `kind`.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::agreement::report::AgreementReport;
use crate::audit::AuditReport;
use crate::comparison::groups::{Cell, MeasuredRun};
use crate::comparison::result::ComparisonReport;
use crate::matrix::report::MatrixReport;
use crate::noise::NoiseReport;
use crate::report::{Report, check_version};
use crate::selftest_report::SelftestReport;

/// One report file.
#[derive(Clone, Debug)]
pub enum Document {
    /// One run, or anything else that has the form of a run's report: a load, a search, a sweep.
    Run(Box<Report>),
    /// Kills and restarts of a server, and what it kept.
    Audit(Box<AuditReport>),
    /// Several servers under several scenarios.
    Matrix(Box<MatrixReport>),
    /// Two groups of runs held against each other.
    Compare(Box<ComparisonReport>),
    /// What runs that are all alike differ by.
    Noise(Box<NoiseReport>),
    /// How far redis-benchmark and loadgen agree.
    Agreement(Box<AgreementReport>),
    /// What the generator itself can do.
    Selftest(Box<SelftestReport>),
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// A sentence for the user: no file, no report, or one of a version that this program does not know.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = fs::read(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
        Self::parse(&text).map_err(|error| format!("{shown}: {error}"))
    }

    /// Reads a report from its text.
    ///
    /// # Errors
    /// As those of [`read`](Self::read).
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Kind {
            kind: String,
        }
        check_version(text)?;
        let damaged = |error: serde_json::Error| format!("damaged report: {error}");
        let Kind { kind } = serde_json::from_slice(text).map_err(damaged)?;
        match kind.as_str() {
            "matrix" => {
                serde_json::from_slice(text).map(|report| Self::Matrix(Box::new(report))).map_err(damaged)
            }
            "compare" => {
                serde_json::from_slice(text).map(|report| Self::Compare(Box::new(report))).map_err(damaged)
            }
            "noise" => {
                serde_json::from_slice(text).map(|report| Self::Noise(Box::new(report))).map_err(damaged)
            }
            "audit" => {
                serde_json::from_slice(text).map(|report| Self::Audit(Box::new(report))).map_err(damaged)
            }
            "agreement" => {
                serde_json::from_slice(text).map(|report| Self::Agreement(Box::new(report))).map_err(damaged)
            }
            "selftest" => {
                serde_json::from_slice(text).map(|report| Self::Selftest(Box::new(report))).map_err(damaged)
            }
            _ => Report::parse(text).map(|report| Self::Run(Box::new(report))),
        }
    }

    /// The measured runs in it; `source` names it in messages.
    ///
    /// # Errors
    /// When there are none in such a document.
    pub fn into_runs(self, source: &str) -> Result<Vec<MeasuredRun>, String> {
        match self {
            Self::Run(report) => {
                Ok(vec![MeasuredRun { source: source.to_owned(), cell: None, block: None, report: *report }])
            }
            Self::Matrix(matrix) => {
                let runs = matrix.runs.into_iter().map(|run| MeasuredRun {
                    source: format!("{source}:{}:{}:{}", run.scenario, run.server, run.block),
                    cell: Some(Cell { scenario: run.scenario, server: run.server }),
                    block: Some(run.block),
                    report: run.report,
                });
                Ok(runs.collect())
            }
            Self::Compare(_) | Self::Noise(_) | Self::Audit(_) | Self::Selftest(_) | Self::Agreement(_) => {
                Err(format!("{source}: this report holds no runs"))
            }
        }
    }
}
