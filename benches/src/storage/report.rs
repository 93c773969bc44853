//! The report: a part for each group, with machine, commit and command lines of its own, because groups take long and
//! are measured one at a time.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::bar::Bar;
use crate::machine::Machine;
use crate::report::{Direction, Run};

/// Version of the schema. Readers refuse another one.
const SCHEMA_VERSION: u32 = 1;

/// All that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StorageReport {
    /// Version of the schema.
    pub schema_version: u32,
    /// The groups, each as it was measured last.
    pub groups: Vec<GroupReport>,
}

/// One group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupReport {
    /// Its name.
    pub group: String,
    /// Where and when.
    pub machine: Machine,
    /// The command that measured.
    pub command: Vec<String>,
    /// File system that stores lay on.
    pub file_system: String,
    /// Part of the full size that was measured: the bars are meant for 1.
    pub scale: f64,
    /// Every measurement, in the order made.
    pub runs: Vec<Run>,
    /// What is held against them.
    pub bars: Vec<Bar>,
}

impl Default for StorageReport {
    fn default() -> Self {
        Self { schema_version: SCHEMA_VERSION, groups: Vec::new() }
    }
}

impl StorageReport {
    /// Reads one; an empty one where there is no file yet.
    ///
    /// # Errors
    /// When it is no such report, or one of another schema.
    pub fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read(path)?;
        let report: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no storage report", path.display()))?;
        if report.schema_version != SCHEMA_VERSION {
            bail!(
                "{}: schema {}, this program reads {SCHEMA_VERSION}",
                path.display(),
                report.schema_version
            );
        }
        Ok(report)
    }

    /// Takes in a group, in place of what was measured of it before.
    pub fn put(&mut self, group: GroupReport) {
        match self.groups.iter_mut().find(|other| other.group == group.group) {
            Some(other) => *other = group,
            None => self.groups.push(group),
        }
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

    /// Whether every bar is kept.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.groups.iter().flat_map(|group| &group.bars).all(|bar| bar.kept)
    }

    /// The bars as a Markdown table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = String::from("| group | what | measured | bar | |\n|---|---|---|---|---|\n");
        for group in &self.groups {
            for bar in &group.bars {
                let words = match bar.direction {
                    Direction::AtMost => "at most",
                    Direction::AtLeast => "at least",
                };
                let measured = bar.measured.map_or_else(|| "-".to_owned(), show);
                let verdict = if bar.kept { "kept" } else { "missed" };
                let bound = show(bar.bound);
                let _ = writeln!(
                    out,
                    "| {} | {} | {measured} | {words} {bound} | {verdict} |",
                    group.group, bar.what
                );
            }
        }
        for group in &self.groups {
            let machine = &group.machine;
            let _ = writeln!(
                out,
                "\n`{}`: {} ({} cores, {} GiB, Linux {}), {}, commit {}, {}{}.",
                group.group,
                machine.cpu,
                machine.cpus,
                (machine.memory_mib + 512) / 1024,
                machine.kernel,
                group.file_system,
                machine.commit,
                machine.date,
                if (group.scale - 1.0).abs() < 1e-9 {
                    String::new()
                } else {
                    format!(", at {} of the full size", group.scale)
                },
            );
        }
        out
    }
}

/// Three digits that matter, no more.
fn show(figure: f64) -> String {
    match figure.abs() {
        at if at >= 100.0 => format!("{figure:.0}"),
        at if at >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, measured: f64) -> GroupReport {
        GroupReport {
            group: name.to_owned(),
            machine: Machine::default(),
            command: Vec::new(),
            file_system: "ext4".to_owned(),
            scale: 0.5,
            runs: Vec::new(),
            bars: vec![Bar::at_most("bytes per key", 24.0, Some(measured))],
        }
    }

    #[test]
    fn a_group_that_is_measured_again_replaces_itself_and_the_table_has_words() {
        let mut report = StorageReport::default();
        report.put(group("larger", 30.0));
        report.put(group("space", 1.0));
        report.put(group("larger", 22.25));
        assert_eq!(report.groups.len(), 2);
        let text = report.markdown();
        assert!(text.contains("| larger | bytes per key | 22.2 | at most 24.0 | kept |"), "{text}");
        assert!(text.contains("at 0.5 of the full size") && report.passed());
        report.put(group("larger", 30.0));
        assert!(!report.passed() && report.markdown().contains("| missed |"));
    }

    #[test]
    fn what_is_written_is_read_and_another_schema_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        assert!(StorageReport::read(&path).unwrap().groups.is_empty());
        let mut report = StorageReport::default();
        report.put(group("larger", 30.0));
        report.write(&path).unwrap();
        assert_eq!(StorageReport::read(&path).unwrap().groups[0].bars, report.groups[0].bars);
        report.schema_version += 1;
        report.write(&path).unwrap();
        assert!(StorageReport::read(&path).is_err());
    }
}
