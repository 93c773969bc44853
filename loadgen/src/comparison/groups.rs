//! From file names to two groups of runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::document::Document;
use crate::report::Report;

/// One measured run, wherever it came from.
#[derive(Clone, Debug)]
pub struct MeasuredRun {
    /// File, or place in a matrix, for messages.
    pub source: String,
    /// What is compared with what: scenario and server of a matrix. Runs of plain reports have none.
    pub cell: Option<Cell>,
    /// Block of a matrix: runs of one block were made side by side.
    pub block: Option<u32>,
    /// The report.
    pub report: Report,
}

/// A place in a matrix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Scenario.
    pub scenario: String,
    /// Server.
    pub server: String,
}

/// Runs that were made under the same conditions.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name for people.
    pub name: String,
    /// Its runs, in the order given.
    pub runs: Vec<MeasuredRun>,
}

/// How plain files are put into groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// By `--label` of the run.
    Label,
    /// By the name and version that the server gives itself.
    Server,
    /// By the value of a tag.
    Tag(String),
}

impl std::str::FromStr for GroupBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("tag:")) {
            ("label", _) => Ok(Self::Label),
            ("server", _) => Ok(Self::Server),
            (_, Some(key)) if !key.is_empty() => Ok(Self::Tag(key.to_owned())),
            _ => Err("expected label, server or tag:KEY".to_owned()),
        }
    }
}

/// The word between two lists of files.
pub const SEPARATOR: &str = "vs";

/// Two groups, the baseline first, from the words of the command line.
///
/// With `--group NAME=FILE,FILE` those are the groups. Else `vs` separates them. Else two words are two groups. Else all
/// files are read and grouped by `by`, in the order in which the groups are met. A folder stands for all its reports.
///
/// # Errors
/// A sentence for the user.
pub fn two_groups(
    words: &[String],
    named: &[(String, Vec<PathBuf>)],
    by: &GroupBy,
) -> Result<[Group; 2], String> {
    let groups = if !named.is_empty() {
        if !words.is_empty() {
            return Err("files stand either in --group or alone, not both".to_owned());
        }
        named.iter().map(|(name, paths)| group(name, paths)).collect::<Result<Vec<_>, _>>()?
    } else if words.iter().any(|word| word == SEPARATOR) {
        let lists = words.split(|word| word == SEPARATOR);
        lists.map(|list| unnamed_group(&paths(list))).collect::<Result<Vec<_>, _>>()?
    } else if words.len() == 2 {
        words.iter().map(|word| unnamed_group(&[PathBuf::from(word)])).collect::<Result<Vec<_>, _>>()?
    } else {
        grouped(read_all(&paths(words))?, by)?
    };
    let count = groups.len();
    let mut groups: [Group; 2] = groups.try_into().map_err(|_| {
        format!(
            "{count} group(s) of runs, and two are compared: write A.json... {SEPARATOR} B.json..., or --group \
             OLD=A1.json,A2.json --group NEW=B1.json,B2.json, or give the runs a --label each"
        )
    })?;
    if groups[0].name == groups[1].name {
        groups[0].name.push_str(" (A)");
        groups[1].name.push_str(" (B)");
    }
    Ok(groups)
}

fn paths(words: &[String]) -> Vec<PathBuf> {
    words.iter().map(PathBuf::from).collect()
}

fn group(name: &str, paths: &[PathBuf]) -> Result<Group, String> {
    let runs = read_all(paths)?;
    if runs.is_empty() {
        return Err(format!("group {name} has no run"));
    }
    Ok(Group { name: name.to_owned(), runs })
}

/// A group named by what its runs have in common: label, else folder or file.
fn unnamed_group(paths: &[PathBuf]) -> Result<Group, String> {
    let [first, ..] = paths else { return Err(format!("no file on one side of {SEPARATOR:?}")) };
    let mut group = group(&name_of(first), paths)?;
    let label = group.runs[0].report.label.clone();
    if let Some(label) = label
        && group.runs.iter().all(|run| run.report.label.as_ref() == Some(&label))
    {
        group.name = label;
    }
    Ok(group)
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn grouped(runs: Vec<MeasuredRun>, by: &GroupBy) -> Result<Vec<Group>, String> {
    let mut groups: Vec<Group> = Vec::new();
    for run in runs {
        let report = &run.report;
        let name = match by {
            GroupBy::Label => report.label.clone(),
            GroupBy::Server => report.server.name.as_ref().map(|name| {
                format!("{name} {}", report.server.version.as_deref().unwrap_or("")).trim().to_owned()
            }),
            GroupBy::Tag(key) => report.tags.get(key).cloned(),
        };
        let name = name.ok_or_else(|| {
            format!(
                "{}: nothing to group it by; separate the two lists of files with {SEPARATOR:?}",
                run.source
            )
        })?;
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.runs.push(run),
            None => groups.push(Group { name, runs: vec![run] }),
        }
    }
    Ok(groups)
}

/// All measured runs of these files and folders.
///
/// # Errors
/// A sentence for the user when one cannot be read or holds no measured run.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<MeasuredRun>, String> {
    let mut runs = Vec::new();
    for path in paths {
        for file in files(path)? {
            runs.extend(Document::read(&file)?.into_runs(&file.display().to_string())?);
        }
    }
    Ok(runs)
}

/// The file itself, or all reports of a folder by name.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let shown = path.display();
    let entries = std::fs::read_dir(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("{shown}: no reports (*.json) in this folder"));
    }
    Ok(files)
}

/// The runs of each cell, so that like is compared with like.
#[must_use]
pub fn by_cell(group: &Group) -> BTreeMap<Option<Cell>, Vec<&MeasuredRun>> {
    let mut cells: BTreeMap<Option<Cell>, Vec<&MeasuredRun>> = BTreeMap::new();
    for run in &group.runs {
        cells.entry(run.cell.clone()).or_default().push(run);
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(directory: &Path, name: &str, label: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report-1.0.json");
        let mut report = Report::read(&path).unwrap();
        report.label = Some(label.to_owned());
        let path = directory.join(name);
        report.write(&path).unwrap();
        path.display().to_string()
    }

    fn names_and_sizes(words: &[String], named: &[(String, Vec<PathBuf>)]) -> Vec<(String, usize)> {
        let groups = two_groups(words, named, &GroupBy::Label).unwrap();
        groups.into_iter().map(|group| (group.name, group.runs.len())).collect()
    }

    #[test]
    fn groups_are_named_separated_or_found_by_label() {
        let directory = tempfile::tempdir().unwrap();
        let file =
            |folder: &str, name: &str, label: &str| golden(&directory.path().join(folder), name, label);
        let words = [file("a", "1.json", "old"), file("a", "2.json", "old"), file("b", "3.json", "new")];
        let want = |left, right| [("old".to_owned(), left), ("new".to_owned(), right)];
        assert_eq!(names_and_sizes(&words, &[]), want(2, 1));
        let separated = [words[0].clone(), words[1].clone(), SEPARATOR.to_owned(), words[2].clone()];
        assert_eq!(names_and_sizes(&separated, &[]), want(2, 1));
        let folder = |name: &str| directory.path().join(name).display().to_string();
        assert_eq!(names_and_sizes(&[folder("a"), folder("b")], &[]), want(2, 1));
        let named = [
            ("x".to_owned(), vec![words[0].clone().into()]),
            ("y".to_owned(), vec![words[1].clone().into()]),
        ];
        assert_eq!(names_and_sizes(&[], &named), [("x".to_owned(), 1), ("y".to_owned(), 1)]);
        assert_eq!(names_and_sizes(&words[..2], &[]), [("old (A)".to_owned(), 1), ("old (B)".to_owned(), 1)]);
    }

    #[test]
    fn what_is_not_two_groups_is_refused_with_the_way_to_write_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = golden(directory.path(), "1.json", "same");
        let error = two_groups(&[file.clone(), file.clone(), file], &[], &GroupBy::Label).unwrap_err();
        assert!(error.contains("vs") && error.contains("--group"), "{error}");
        assert!(two_groups(&["/nowhere".into(), "/either".into()], &[], &GroupBy::Label).is_err());
    }
}
