//! The report of a run: one JSON file with everything needed to believe, repeat and compare it.
//!
//! Rule of the schema: every name carries its unit, nothing is ever not-a-number (null instead), fields are
//! only added within version 1, and readers ignore those they do not know.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::search::SearchOutcome;
use crate::series::Series;
use crate::sweep_command::SweepOutcome;

/// The generator.
pub mod client;
/// What was asked for.
pub mod config;
/// Writing and reading.
pub mod file;
/// The figures.
pub mod outcome;
/// The server.
pub mod server;
/// Whether to trust the figures.
pub mod validity;

pub use client::{Client, ClientThread};
pub use config::{Config, Mode, TargetConfig, WorkloadConfig};
pub use file::{check_version, write_json, write_whole};
pub use outcome::{AllOutcome, Errors, LatencyOutcome, OperationOutcome, Outcome, Prefill};
pub use server::Server;
pub use validity::{Check, Reason, Validity};

/// Version of the schema that this program writes.
pub const SCHEMA_VERSION: &str = "1.2";

/// A whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `major.minor`; readers refuse another major version.
    pub schema_version: String,
    /// What was done.
    pub kind: ReportKind,
    /// The program that measured.
    pub tool: Tool,
    /// Names this run.
    pub run_id: String,
    /// Start of the run, RFC 3339 in UTC.
    pub started_at: String,
    /// The user's name for the run.
    pub label: Option<String>,
    /// The user's own marks.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// The command line.
    pub argv: Vec<String>,
    /// What was asked for.
    pub config: Config,
    /// Where it ran.
    pub env: Environment,
    /// What was measured.
    pub server: Server,
    /// How the generator itself did.
    pub client: Client,
    /// The loading of keys, when there was one.
    #[serde(default)]
    pub prefill: Option<Prefill>,
    /// The figures; null for a report of loading only.
    pub result: Option<Outcome>,
    /// The figures second by second.
    pub series: Option<Series>,
    /// Whether the figures can be trusted.
    pub validity: Validity,
    /// The steps of a search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchOutcome>,
    /// The points of a sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepOutcome>,
    /// What the user should know although the figures stand.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Kinds of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// A measured run.
    Run,
    /// Keys were loaded, nothing was measured.
    Load,
    /// Many runs to find the highest rate that keeps its limits; the figures are those of the rate found.
    Search,
    /// Many runs over an axis; the figures are those of the fastest.
    Sweep,
}

/// The program that measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `loadgen`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Commit it was built from.
    pub git_commit: Option<String>,
    /// Whether the tree had changes when it was built.
    pub git_dirty: Option<bool>,
    /// Compiler.
    pub rustc: Option<String>,
    /// `release` or `debug`.
    pub profile: String,
    /// Instruction set that it was built for.
    #[serde(default)]
    pub target: Option<String>,
}

impl Tool {
    /// This program.
    #[must_use]
    pub fn this() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git_commit: option_env!("LOADGEN_GIT_COMMIT").map(str::to_owned),
            git_dirty: option_env!("LOADGEN_GIT_DIRTY").map(|text| text == "true"),
            rustc: option_env!("LOADGEN_RUSTC").map(str::to_owned),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            target: Some(format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)),
        }
    }
}

impl Report {
    /// Writes the report, whole or not at all: a reader never finds half a file.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        write_json(self, path)
    }

    /// Reads a report.
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
        check_version(text)?;
        serde_json::from_slice(text).map_err(|error| format!("damaged report: {error}"))
    }
}

/// A fresh random name for a run, in the form of a version 4 UUID.
#[must_use]
pub fn new_run_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    let high = RandomState::new().hash_one(1_u8);
    let low = RandomState::new().hash_one(2_u8);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&high.to_be_bytes());
    bytes[8..].copy_from_slice(&low.to_be_bytes());
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_have_the_form_of_a_uuid_and_differ() {
        let id = new_run_id();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        assert_ne!(id, new_run_id());
    }

    #[test]
    fn other_major_versions_are_refused_with_advice() {
        let error = Report::parse(br#"{"schema_version": "2.0"}"#).unwrap_err();
        assert!(error.contains("2.0") && error.contains("use the loadgen"), "{error}");
        assert!(Report::parse(b"{}").unwrap_err().contains("not a loadgen report"));
        assert!(Report::parse(b"hello").unwrap_err().contains("not a loadgen report"));
        assert!(Report::parse(br#"{"schema_version": "1.7"}"#).unwrap_err().contains("damaged"));
    }
}
