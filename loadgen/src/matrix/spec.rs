//! What a matrix measures: servers, scenarios, repeats. Read from a TOML file or made from flags.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::preset::command_of;
use crate::comparison::metric::Metric;

/// A matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatrixSpec {
    /// Name of the report.
    pub name: String,
    /// Runs of each server under each scenario.
    #[serde(default = "repeats_default")]
    pub repeats: u32,
    /// Processors of the servers, like `0` or `0-3`; all when absent.
    #[serde(default)]
    pub server_cpus: Option<String>,
    /// Processors of the generator; all when absent.
    #[serde(default)]
    pub client_cpus: Option<String>,
    /// Options of `loadgen run` in every scenario.
    #[serde(default)]
    pub run: Words,
    /// The servers.
    #[serde(default, rename = "server")]
    pub servers: Vec<ServerSpec>,
    /// The scenarios.
    #[serde(default, rename = "scenario")]
    pub scenarios: Vec<ScenarioSpec>,
}

/// A server that is started for each run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSpec {
    /// Its name in the report.
    pub name: String,
    /// A known way to start it, like `redis-always`.
    #[serde(default)]
    pub preset: Option<String>,
    /// The program of the preset, when it is not found by its name.
    #[serde(default)]
    pub program: Option<PathBuf>,
    /// A whole command line in place of a preset, with `{socket}`, `{dir}` and `{cpus}` to be filled in.
    #[serde(default)]
    pub command: Words,
    /// Further arguments.
    #[serde(default)]
    pub args: Words,
    /// Its processors, when not those of all servers.
    #[serde(default)]
    pub cpus: Option<String>,
    /// The server it is compared with [default: the first one with the same durability].
    #[serde(default)]
    pub baseline: Option<String>,
}

/// A load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioSpec {
    /// Its name in the report and in file names.
    pub name: String,
    /// Its name for people.
    #[serde(default)]
    pub title: Option<String>,
    /// Options of `loadgen run`, after those of all scenarios.
    #[serde(default)]
    pub run: Words,
    /// Servers that take part; all when empty.
    #[serde(default)]
    pub servers: Vec<String>,
    /// Figures that tables for a README show; all that were judged when empty.
    #[serde(default)]
    pub figures: Vec<Metric>,
    /// Whether all keys are written before the run.
    #[serde(default = "yes")]
    pub prefill: bool,
}

/// Words of a command line: one text, cut at spaces, or a list where words hold spaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Words {
    /// Cut at spaces.
    Text(String),
    /// As they are.
    List(Vec<String>),
}

impl Default for Words {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Words {
    /// The words.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        match self {
            Self::Text(text) => text.split_whitespace().map(str::to_owned).collect(),
            Self::List(words) => words.clone(),
        }
    }
}

const fn yes() -> bool {
    true
}

/// Eight pairs are the least that can judge four figures at 0.05, and then all eight must agree. Twelve bear pairs that
/// do not, and find a change of ten percent also where the groups are compared without pairs (`tests/it/statistics.rs`).
const fn repeats_default() -> u32 {
    12
}

impl MatrixSpec {
    /// An empty matrix.
    #[must_use]
    pub fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            repeats: repeats_default(),
            server_cpus: None,
            client_cpus: None,
            run: Words::default(),
            servers: Vec::new(),
            scenarios: Vec::new(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
        toml::from_str(&text).map_err(|error| format!("{shown}: {error}"))
    }

    /// Checks that the matrix can be measured.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn check(&self) -> Result<(), String> {
        if self.servers.is_empty() || self.scenarios.is_empty() {
            return Err(
                "a matrix needs at least one server and one scenario (--server, --scenario or a file)"
                    .to_owned(),
            );
        }
        if !(1..=REPEATS_MAX).contains(&self.repeats) {
            return Err(format!("repeats go from 1 to {REPEATS_MAX}"));
        }
        let servers: Vec<&str> = self.servers.iter().map(|server| server.name.as_str()).collect();
        let scenarios: Vec<&str> = self.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
        check_names("server", &servers)?;
        check_names("scenario", &scenarios)?;
        for server in &self.servers {
            command_of(server)?;
            cpus_of(server.cpus.as_deref().or(self.server_cpus.as_deref()))?;
            check_known(&servers, server.baseline.iter(), &server.name)?;
        }
        for scenario in &self.scenarios {
            check_known(&servers, scenario.servers.iter(), &scenario.name)?;
        }
        Ok(())
    }

    /// The servers that take part in a scenario, in the order of the file.
    #[must_use]
    pub fn servers_of(&self, scenario: &ScenarioSpec) -> Vec<&ServerSpec> {
        let takes_part =
            |server: &&ServerSpec| scenario.servers.is_empty() || scenario.servers.contains(&server.name);
        self.servers.iter().filter(takes_part).collect()
    }
}

/// Names become parts of file names.
fn check_names(what: &str, names: &[&str]) -> Result<(), String> {
    for (place, name) in names.iter().enumerate() {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(format!("{what} {name:?}: names hold letters, digits, - and _"));
        }
        if names[..place].contains(name) {
            return Err(format!("there are two {what}s named {name}"));
        }
    }
    Ok(())
}

fn check_known<'a>(
    servers: &[&str],
    mut names: impl Iterator<Item = &'a String>,
    of: &str,
) -> Result<(), String> {
    match names.find(|name| !servers.contains(&name.as_str())) {
        Some(unknown) => Err(format!("{of}: there is no server {unknown}")),
        None => Ok(()),
    }
}

/// Processors by number; none means all.
///
/// # Errors
/// A sentence for the user.
pub fn cpus_of(text: Option<&str>) -> Result<Vec<usize>, String> {
    text.map_or_else(|| Ok(Vec::new()), |text| crate::cli_values::parse_cpus(text).map(|list| list.0))
}

const REPEATS_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
name = "two"
server_cpus = "0"
client_cpus = "1"
run = "-c 50 --keys 100k -d 2s"

[[server]]
name = "redis"
preset = "redis-memory"

[[server]]
name = "other"
command = ["my-server", "--socket", "{socket}"]
baseline = "redis"

[[scenario]]
name = "get"
title = "GET, pipeline 1"
run = "--ratio 0:1"
"#;

    #[test]
    fn a_file_is_read_and_checked() {
        let spec: MatrixSpec = toml::from_str(FILE).unwrap();
        spec.check().unwrap();
        assert_eq!(spec.repeats, 12);
        assert_eq!(spec.run.list()[..2], ["-c", "50"]);
        assert!(spec.scenarios[0].prefill);
    }

    #[test]
    fn wrong_specs_are_refused_with_the_reason() {
        let check = |change: fn(&mut MatrixSpec), words: &str| {
            let mut spec: MatrixSpec = toml::from_str(FILE).unwrap();
            change(&mut spec);
            let error = spec.check().unwrap_err();
            assert!(error.contains(words), "{error}");
        };
        check(|spec| spec.scenarios.clear(), "at least one");
        check(|spec| spec.repeats = 0, "repeats");
        check(|spec| spec.servers[1].name = "redis".to_owned(), "two servers named redis");
        check(|spec| spec.servers[0].name = "../x".to_owned(), "letters");
        check(|spec| spec.servers[1].baseline = Some("who".to_owned()), "no server who");
        check(|spec| spec.servers[1].command = Words::default(), "preset");
        check(|spec| spec.servers[0].preset = Some("redis-sometimes".to_owned()), "redis-sometimes");
        check(|spec| spec.server_cpus = Some("x".to_owned()), "processors");
        assert!(
            toml::from_str::<MatrixSpec>("name = 'x'\nrepeat = 3")
                .unwrap_err()
                .to_string()
                .contains("repeat")
        );
    }
}
