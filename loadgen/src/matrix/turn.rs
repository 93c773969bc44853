//! One turn: a fresh server, all keys, one measured run by a `loadgen run` of its own, and the server's end.

use std::path::Path;
use std::process::{Command, Stdio};

use super::order::Turn;
use super::preset::command_of;
use super::server::Server;
use super::spec::{MatrixSpec, cpus_of};
use crate::report::Report;

/// What all turns share.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The matrix.
    pub spec: &'a MatrixSpec,
    /// Folder for the servers' files, on the disk to measure.
    pub base: &'a Path,
    /// This program, which makes the runs.
    pub loadgen: &'a Path,
}

impl Surroundings<'_> {
    /// The words of the run, without those that name places.
    #[must_use]
    pub fn run_words(&self, turn: &Turn<'_>) -> Vec<String> {
        let mut words = self.spec.run.list();
        words.extend(turn.scenario.run.list());
        if turn.scenario.prefill {
            words.push("--prefill".to_owned());
        }
        if let Some(cpus) = &self.spec.client_cpus {
            words.extend(["--cpus".to_owned(), cpus.clone()]);
        }
        words
    }

    /// What the report of a turn depends on: a kept report of the same description need not be made again.
    #[must_use]
    pub fn description(&self, turn: &Turn<'_>) -> String {
        let server = command_of(turn.server).unwrap_or_default().join(" ");
        let cpus = turn.server.cpus.as_ref().or(self.spec.server_cpus.as_ref());
        let program = server.split(' ').next().unwrap_or_default();
        format!(
            "{server} @{} | {} | builds {} {}",
            cpus.map_or("all", String::as_str),
            self.run_words(turn).join(" "),
            build_mark(Path::new(program)),
            build_mark(self.loadgen)
        )
    }

    /// Makes the run.
    ///
    /// # Errors
    /// A sentence for the user: the server or the run failed.
    pub fn make(&self, turn: &Turn<'_>) -> Result<Report, String> {
        let folder = tempfile::Builder::new()
            .prefix("lg-")
            .tempdir_in(self.base)
            .map_err(|error| format!("cannot make a folder in {}: {error}", self.base.display()))?;
        let cpus = cpus_of(turn.server.cpus.as_deref().or(self.spec.server_cpus.as_deref()))?;
        let server = Server::start(&command_of(turn.server)?, &cpus, folder.path())?;
        let out = folder.path().join("report.json");
        let output = Command::new(self.loadgen)
            .arg("run")
            .args(self.run_words(turn))
            .args(["--live", "none", "--label", &turn.server.name])
            .args(["--tag", &format!("{DESCRIPTION_TAG}={}", self.description(turn))])
            .args(["--server-pid", &server.pid().to_string(), "--socket"])
            .arg(server.socket())
            .arg("--out")
            .arg(&out)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| format!("{} does not start: {error}", self.loadgen.display()))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(format!("the run failed ({}): {text}", output.status));
        }
        let report = Report::read(&out)?;
        server.stop()?;
        Ok(report)
    }
}

/// A checksum of a program's file: another build is another thing to measure. Empty when it cannot be read; then the
/// server does not start either.
fn build_mark(program: &Path) -> String {
    let is_name = program.components().count() == 1;
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = if is_name {
        std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
    } else {
        Some(program.to_owned())
    };
    let content = found.and_then(|path| std::fs::read(path).ok());
    content.map_or_else(String::new, |content| format!("{:08x}", crc32fast::hash(&content)))
}

/// Tag of each report that says what it was made from.
pub const DESCRIPTION_TAG: &str = "matrix";
