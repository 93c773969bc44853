//! `loadgen matrix` against redis-server. Where it is not installed these tests say so and check nothing.

use std::path::Path;
use std::process::{Command, Output};

use loadgen::comparison::result::Verdict;
use loadgen::document::Document;
use loadgen::matrix::report::MatrixReport;
use serde_json::Value;

fn is_installed() -> bool {
    let is_there = Command::new("redis-server").arg("--version").output().is_ok();
    if !is_there {
        assert!(
            std::env::var_os("OURO_TESTS_MUST_RUN").is_none(),
            "redis-server is not installed, and all tests must run"
        );
        eprintln!("redis-server is not installed: not tested");
    }
    is_there
}

fn matrix(directory: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(["matrix", "run", "--live", "none", "-o", "m.json"]).args(words).current_dir(directory);
    command.output().unwrap()
}

fn read(path: &Path) -> MatrixReport {
    let Document::Matrix(report) = Document::read(path).unwrap() else { panic!("a matrix") };
    *report
}

const SPEC: &str = r#"
name = "two"
repeats = 2
run = "-c 2 -t 1 --keys 100 -n 2000 --warmup 0s"

[[server]]
name = "memory"
preset = "redis-memory"

[[server]]
name = "durable"
preset = "redis-always"

[[scenario]]
name = "get"
title = "GET, pipeline 1"
run = "--ratio 0:1"

[[scenario]]
name = "set"
run = "--ratio 1:0 -P 4"
servers = ["memory"]
"#;

#[test]
fn a_matrix_goes_on_where_it_was_stopped_and_shows_every_run() {
    if !is_installed() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("spec.toml"), SPEC).unwrap();
    // No time for a second run.
    let output = matrix(directory.path(), &["spec.toml", "--time-max", "1ms"]);
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let path = directory.path().join("m.json");
    let first = read(&path);
    assert!(!first.complete && first.runs.len() == 1);

    let output = matrix(directory.path(), &["spec.toml"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("5 runs made now, 6 of 6 there"), "{stderr}");
    let report = read(&path);
    assert_eq!(report.runs[0].report.run_id, first.runs[0].report.run_id);
    let order: Vec<String> =
        report.runs.iter().map(|run| format!("{} {} {}", run.block, run.scenario, run.server)).collect();
    let want =
        ["0 get memory", "0 get durable", "0 set memory", "1 get durable", "1 get memory", "1 set memory"];
    assert_eq!(order, want);
    for run in &report.runs {
        let result = run.report.result.as_ref().unwrap();
        // Reloaded each time: no key of the run before, none missing.
        assert_eq!((result.ops, result.misses, run.report.server.keys_before), (2000, 0, Some(100)));
        let durability = if run.server == "memory" { "none" } else { "always" };
        assert_eq!(run.report.server.durability.as_deref(), Some(durability));
    }
    let pids: std::collections::BTreeSet<_> = report.runs.iter().map(|run| run.report.server.pid).collect();
    assert_eq!(pids.len(), 6, "each run has a server of its own");
    // Different durabilities are not held against each other unasked.
    assert!(report.comparisons.is_empty());

    let text = std::fs::read_to_string(&path).unwrap();
    crate::schema::check(&serde_json::from_str::<Value>(&text).unwrap(), "matrix");
    assert!(!text.contains(directory.path().to_str().unwrap()) && !text.contains("/tmp/"));
    let page = std::fs::read_to_string(directory.path().join("m.html")).unwrap();
    crate::pages::check(&page, &["GET, pipeline 1", "durable", "appendfsync", "<svg"]);

    // Another load is measured anew.
    std::fs::write(directory.path().join("spec.toml"), SPEC.replace("-P 4", "-P 8")).unwrap();
    let output = matrix(directory.path(), &["spec.toml"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("2 runs made now"));
}

#[test]
fn a_server_taken_twice_gives_the_noise_floor() {
    if !is_installed() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let words = ["--server", "redis-memory", "--twice", "--scenario", "get=--ratio 0:1", "--repeats", "5"];
    let options = ["--run", "-c 2 -t 1 --keys 100 -n 3000 --warmup 0s", "--allow-invalid"];
    let output = matrix(directory.path(), &[&words[..], &options[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = read(&directory.path().join("m.json"));
    let comparison = &report.comparisons[0].comparison;
    assert_eq!(
        (comparison.baseline.as_str(), comparison.candidate.as_str()),
        ("redis-memory", "redis-memory-again")
    );
    assert!(comparison.refusals.is_empty(), "{:?}", comparison.refusals);
    assert_eq!(comparison.count(Verdict::Invalid), 0);

    let loadgen = |words: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(words)
            .current_dir(directory.path())
            .output()
            .unwrap()
    };
    let output = loadgen(&["noise", "m.json", "-o", "noise.json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let noise: Value =
        serde_json::from_slice(&std::fs::read(directory.path().join("noise.json")).unwrap()).unwrap();
    crate::schema::check(&noise, "noise");
    assert_eq!(noise["runs"], 10);
    let table = loadgen(&["matrix", "table", "m.json", "--metric", "ops_s"]);
    let table = String::from_utf8_lossy(&table.stdout);
    let line = table.lines().nth(2).unwrap();
    assert!(line.starts_with("| get | requests per second |") && table.lines().count() == 4, "{table}");
    // Against itself, a matrix is the same runs.
    let output = loadgen(&["compare", "m.json", "m.json", "--noise", "noise.json", "--metric", "ops_s"]);
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn a_server_that_does_not_start_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let spec = "name = 'x'\n[[server]]\nname = 's'\ncommand = ['sh', '-c', 'echo bad luck {socket}; exit 3']\n[[scenario]]\nname = 'get'\n";
    std::fs::write(directory.path().join("spec.toml"), spec).unwrap();
    let output = matrix(directory.path(), &["spec.toml"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("get s #1") && stderr.contains("bad luck"), "{stderr}");
    let output = matrix(directory.path(), &["--server", "redis-memory"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("at least one server and one scenario"));
}
