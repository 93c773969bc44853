//! The report of `loadgen selftest`: what the generator can do on this machine, at each pipeline.

use serde::{Deserialize, Serialize};

use crate::clock::wall_clock_rfc3339;
use crate::environment::{Environment, MachineStart};
use crate::report::{SCHEMA_VERSION, Tool};
use crate::selftest::{SelftestFigures, describe};

/// A report of `loadgen selftest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelftestReport {
    /// As in reports of runs.
    pub schema_version: String,
    /// `selftest`.
    pub kind: String,
    /// The program that measured itself.
    pub tool: Tool,
    /// Start of the first measurement, RFC 3339 in UTC.
    pub started_at: String,
    /// The command line.
    pub argv: Vec<String>,
    /// Where it ran.
    pub env: Environment,
    /// The figures, one entry for each pipeline.
    pub figures: Vec<SelftestFigures>,
}

impl SelftestReport {
    /// A report without figures yet: they are pushed as they are measured.
    #[must_use]
    pub fn begin(argv: Vec<String>) -> (Self, MachineStart) {
        let report = Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            kind: "selftest".to_owned(),
            tool: Tool::this(),
            started_at: wall_clock_rfc3339(),
            argv,
            env: Environment::capture(),
            figures: Vec::new(),
        };
        (report, MachineStart::now())
    }

    /// For the terminal.
    #[must_use]
    pub fn describe(&self) -> String {
        self.figures.iter().map(describe).collect()
    }
}
