//! Files of a copy of the store that went its own way: a start refuses rather than take them for its own, and changes
//! neither; a check names them; a repair, also one that is killed anywhere, heals what was named.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use engine::offline::{check, repair};
use shard::check::{CheckReport, Severity};
use tempfile::TempDir;

use crate::store::{Content, Store, fill, mixed, snapshot};

/// A store, and a copy of it as it was when both went their own ways.
struct Diverged {
    temp: TempDir,
    ours: PathBuf,
    expected: Content,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Writes so much that the log goes on in further segments.
fn write(directory: &Path, rounds: u32, word: &str, workers: u16, content: &mut Content) {
    let mut store = Store::open(directory, 2, workers);
    for number in 0..rounds {
        let key = format!("{word}:{}", number % 70).into_bytes();
        store.put(0, &key, &vec![7; 3000 + number as usize], None);
        store.turn();
        content.insert((0, key), (vec![7; 3000 + number as usize], None));
    }
    store.idle();
}

fn diverged() -> Diverged {
    let temp = tempfile::tempdir().unwrap();
    let [ours, before, theirs] = ["ours", "before", "theirs"].map(|name| temp.path().join(name));
    let mut expected = mixed(100);
    let mut store = Store::open(&ours, 2, 1);
    fill(&mut store, &expected);
    store.checkpoint();
    drop(store);
    copy(&ours, &before);
    copy(&ours, &theirs);
    write(&ours, 150, "ours", 1, &mut expected);
    let mut other = Content::new();
    for word in ["theirs", "their second", "their third"] {
        write(&theirs, 150, word, 1, &mut other);
        let mut store = Store::open(&theirs, 2, 1);
        store.checkpoint();
        store.idle();
    }
    Diverged { temp, ours, expected }
}

impl Diverged {
    fn file(&self, of: &str, name: &str) -> PathBuf {
        self.temp.path().join(of).join(name)
    }

    /// Files of another copy in the place of ours.
    fn with(&self, of: &str, names: &[&str]) -> (TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("store");
        copy(&self.ours, &directory);
        for name in names {
            fs::copy(self.file(of, name), directory.join(name)).unwrap();
        }
        (temp, directory)
    }
}

fn damages(directory: &Path) -> Vec<String> {
    let report: CheckReport = check(directory, None, &mut |_| ()).unwrap();
    let damaged = report.problems.into_iter().filter(|problem| problem.severity == Severity::Damage);
    damaged.map(|problem| problem.name).collect()
}

fn refuses(directory: &Path) -> String {
    let before = snapshot(directory);
    let error = Store::try_open(directory, 2, 1).err().expect("a start must refuse");
    for (path, (bytes, _)) in before {
        let name = path.file_name().unwrap().to_string_lossy();
        // The reserve is space that is kept; a start frees it first.
        if name != "ouro.lock" && !name.ends_with(".reserve") {
            assert!(fs::read(&path).unwrap() == bytes, "{} is as it was: {error}", path.display());
        }
    }
    error
}

const MANIFESTS: [&str; 2] = ["log-00001.manifest", "shard-00000.manifest"];

#[test]
fn of_two_histories_a_start_takes_neither_and_a_repair_the_one_that_is_named() {
    let diverged = diverged();
    for manifest in MANIFESTS {
        for copy in ["a", "b"] {
            let name = format!("{manifest}-{copy}");
            let (_temp, directory) = diverged.with("theirs", &[&name]);
            let error = refuses(&directory);
            assert!(error.contains("went its own way"), "{error}");
            let problem = format!("{name}:contradiction");
            assert!(damages(&directory).contains(&problem), "{:?}", damages(&directory));
            let repaired = repair(&directory, &[problem], None, &mut |_| ()).unwrap();
            assert!(!repaired.after.is_damaged(), "{:?}", repaired.after.problems);
            let theirs = fs::read(diverged.file("theirs", &name)).unwrap();
            assert!(fs::read(repaired.copies.join(&name)).unwrap() == theirs, "the copy is kept");
            assert!(Store::open(&directory, 2, 1).content() == diverged.expected);
        }
    }
}

#[test]
fn manifests_of_another_history_alone_are_refused() {
    let diverged = diverged();
    for manifest in MANIFESTS {
        let names = ["a", "b"].map(|copy| format!("{manifest}-{copy}"));
        let (_temp, directory) = diverged.with("theirs", &[&names[0], &names[1]]);
        let error = Store::try_open(&directory, 2, 1).err().expect("a start must refuse");
        assert!(!damages(&directory).is_empty(), "a check reports what a start refuses: {error}");
    }
}

#[test]
fn a_log_manifest_older_than_its_log_is_refused_and_the_log_can_be_cut_to_it() {
    let diverged = diverged();
    let names = ["log-00001.manifest-a", "log-00001.manifest-b"];
    let (_temp, directory) = diverged.with("before", &names);
    let error = refuses(&directory);
    assert!(error.contains("does not name it"), "{error}");
    let named = damages(&directory);
    assert!(named.iter().all(|name| name.ends_with(":not-named")) && !named.is_empty(), "{named:?}");
    let repaired = repair(&directory, &named, None, &mut |_| ()).unwrap();
    assert!(!repaired.after.is_damaged(), "{:?}", repaired.after.problems);
    let content = Store::open(&directory, 2, 1).content();
    assert!(content.len() > 90);
    for (key, (value, deadline)) in content {
        let (last, of_last) = &diverged.expected[&key];
        assert!(value.len() <= last.len() && deadline == *of_last, "nothing is invented: {key:?}");
    }
}

#[test]
fn a_store_manifest_older_than_its_logs_is_refused() {
    let diverged = diverged();
    let mut content = diverged.expected.clone();
    let (_temp, directory) = diverged.with("ours", &[]);
    write(&directory, 20, "two", 2, &mut content);
    for copy in ["a", "b"] {
        let name = format!("store.manifest-{copy}");
        fs::copy(diverged.file("ours", &name), directory.join(&name)).unwrap();
    }
    let error = refuses(&directory);
    assert!(error.contains("names logs up to 1 only"), "{error}");
    let named = damages(&directory);
    assert!(named.iter().any(|name| name == "log-00003.manifest-a:not-named"), "{named:?}");
}

#[test]
fn a_repair_that_is_killed_anywhere_can_be_made_again() {
    let diverged = diverged();
    let names = ["log-00001.manifest-a", "log-00001.manifest-b"];
    let (_temp, whole) = diverged.with("before", &names);
    let mut steps = 1;
    let mut killed = 0;
    while killed < steps {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("store");
        copy(&whole, &directory);
        let named = damages(&directory);
        let result = catch_unwind(AssertUnwindSafe(|| {
            repair(&directory, &named, None, &mut |step| {
                if step.what == "repairing" {
                    steps = step.total;
                    assert!(step.done < killed, "the process is killed");
                }
            })
        }));
        assert!(result.is_err(), "killed before change {killed}");
        let left = damages(&directory);
        if !left.is_empty() {
            // It may make the copies of a manifest alike: they are of one history.
            assert!(Store::try_open(&directory, 2, 1).is_err(), "what a check reports is not started with");
            let repaired = repair(&directory, &left, None, &mut |_| ()).unwrap();
            assert!(!repaired.after.is_damaged(), "{:?}", repaired.after.problems);
        }
        assert!(Store::open(&directory, 2, 1).content().len() > 90);
        killed += 1;
    }
    assert!(steps > 1, "there are changes to be killed between");
}
