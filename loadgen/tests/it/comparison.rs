//! `loadgen compare` as users start it: words, exit statuses, refusals, forms of output.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use loadgen::report::{Reason, Report};
use loadgen::rng::Rng;
use serde_json::Value;

/// A folder of reports made from the golden one.
struct Runs {
    directory: tempfile::TempDir,
}

impl Runs {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// `count` runs whose throughput is `ops_s` and whose latencies fit it, with noise of a percent.
    fn make(&self, group: &str, count: u64, ops_s: f64, change: impl Fn(&mut Report)) -> PathBuf {
        let folder = self.directory.path().join(group);
        let mut rng = Rng::new(count + u64::from(group.as_bytes()[0]), 0);
        for number in 0..count {
            let mut report = golden();
            let factor = 1.0 + 0.01 * (rng.unit() - 0.5);
            report.run_id = format!("{group}-{number}");
            report.label = Some(group.to_owned());
            report.validity.ok = true;
            report.validity.reasons.clear();
            let result = report.result.as_mut().unwrap();
            result.ops_s = ops_s * factor;
            let latency = result.all.corrected.as_mut().unwrap();
            for percentile in [&mut latency.p50, &mut latency.p99] {
                *percentile =
                    percentile.map(|ns| loadgen::number::floor_u64(ns as f64 * 2000.0 / (ops_s * factor)));
            }
            report.server.cpu_us_per_op = Some(25.0 * 2000.0 / ops_s * factor);
            change(&mut report);
            report.write(&folder.join(format!("{number:02}.json"))).unwrap();
        }
        folder
    }
}

fn golden() -> Report {
    Report::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report-1.0.json")).unwrap()
}

fn compare(left: &Path, right: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .arg("compare")
        .arg(left)
        .arg(right)
        .args(options)
        .output()
        .unwrap()
}

fn check(output: &Output, code: i32, words: &[&str]) {
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn the_exit_status_says_what_was_found() {
    let runs = Runs::new();
    let old = runs.make("old", 6, 2000.0, |_| {});
    let same = runs.make("same", 6, 2000.0, |_| {});
    let slow = runs.make("slow", 6, 1700.0, |_| {});
    check(&compare(&old, &same, &[]), 0, &["same", "Mann-Whitney"]);
    check(&compare(&old, &slow, &[]), 3, &["slower", "-15."]);
    check(&compare(&slow, &old, &[]), 0, &["faster", "+17."]);
    check(&compare(&old, &slow, &["--fail-on", "never"]), 0, &["slower"]);
    // The change is real, but the user does not mind so much.
    check(&compare(&old, &slow, &["--threshold", "30%"]), 0, &["same"]);
}

#[test]
fn too_few_runs_and_noise_are_no_verdict() {
    let runs = Runs::new();
    let (few, other) = (runs.make("few", 4, 2000.0, |_| {}), runs.make("other", 4, 1700.0, |_| {}));
    check(&compare(&few, &other, &[]), 4, &["too few runs", "at least 5", "4 figure"]);
    check(&compare(&few, &other, &["--metric", "ops_s"]), 3, &["slower"]);
    let three = runs.make("three", 3, 2000.0, |_| {});
    check(&compare(&few, &three, &["--metric", "ops_s"]), 4, &["too few runs"]);
    check(&compare(&few, &other, &["--metric", "ops_s", "--paired"]), 4, &["at least 6 pairs"]);
    // Runs that differ among themselves more than the groups do.
    let wild = |report: &mut Report| {
        let number = report.run_id.as_bytes().last().copied().unwrap_or(0) % 5;
        report.result.as_mut().unwrap().ops_s *= 1.0 + 0.1 * f64::from(number);
    };
    let (left, right) = (runs.make("left", 6, 2000.0, wild), runs.make("right", 6, 2050.0, wild));
    check(&compare(&left, &right, &["--metric", "ops_s"]), 4, &["inconclusive", "more runs"]);
}

#[test]
fn what_is_not_comparable_is_refused_with_the_reason() {
    let runs = Runs::new();
    let old = runs.make("old", 6, 2000.0, |_| {});
    let durable =
        runs.make("durable", 6, 1000.0, |report| report.server.durability = Some("always".to_owned()));
    check(
        &compare(&old, &durable, &[]),
        4,
        &["REFUSED", "durability: none", "always", "--ignore durability"],
    );
    check(&compare(&old, &durable, &["--ignore", "durability"]), 3, &["ignored: durability", "slower"]);
    let deep = runs.make("deep", 6, 2000.0, |report| report.config.pipeline = 16);
    check(&compare(&old, &deep, &["--fail-on", "regression"]), 4, &["pipeline: 1", "16"]);
    check(&compare(&old, &old, &[]), 4, &["the same run is given twice"]);
}

#[test]
fn invalid_runs_are_judged_only_as_far_as_they_can_be() {
    let against = |code: &'static str| {
        move |report: &mut Report| {
            report.validity.ok = false;
            report.validity.reasons = vec![Reason { code: code.to_owned(), text: String::new() }];
        }
    };
    let runs = Runs::new();
    let old = runs.make("old", 6, 2000.0, |_| {});
    let held_back = runs.make("held", 6, 2600.0, against("client_saturated"));
    // The generator hides how much better the new one is.
    check(&compare(&old, &held_back, &["--metric", "ops_s"]), 0, &["faster (at least)"]);
    // It may also be all that is wrong with a worse one.
    check(
        &compare(&old, &runs.make("slow", 6, 1700.0, against("client_saturated")), &["--metric", "ops_s"]),
        4,
        &["invalid"],
    );
    check(
        &compare(
            &old,
            &runs.make("cpu", 6, 1700.0, against("client_saturated")),
            &["--metric", "server_cpu"],
        ),
        3,
        &["slower"],
    );
    let failed = runs.make("failed", 6, 2600.0, against("errors"));
    check(&compare(&old, &failed, &["--metric", "server_cpu"]), 4, &["invalid", "errors"]);
    check(&compare(&old, &failed, &["--metric", "ops_s", "--allow-invalid"]), 0, &["faster"]);
}

#[test]
fn every_form_of_output_says_the_same() {
    let runs = Runs::new();
    let (old, slow) = (runs.make("old", 6, 2000.0, |_| {}), runs.make("slow", 6, 1700.0, |_| {}));
    check(&compare(&old, &slow, &["--format", "markdown"]), 3, &["| figure | old | slow |", "**slower**"]);
    let json = compare(&old, &slow, &["--format", "json"]);
    let document: Value = serde_json::from_slice(&json.stdout).unwrap();
    crate::schema::check(&document, "compare");
    assert_eq!(document["comparisons"][0]["metrics"][0]["verdict"], "slower");
    let page = runs.directory.path().join("page.html");
    let output = compare(&old, &slow, &["--format", "html", "-o", page.to_str().unwrap()]);
    check(&output, 3, &[]);
    crate::pages::check(&std::fs::read_to_string(page).unwrap(), &["slower", "<svg", "old", "slow"]);
}

#[test]
fn reports_of_the_first_version_compare_with_new_ones() {
    let runs = Runs::new();
    let old = runs.make("old", 6, 2000.0, |report| report.schema_version = "1.0".to_owned());
    let new = runs.make("new", 6, 2400.0, |report| {
        report.schema_version = "1.1".to_owned();
        report.server.durability = Some("none".to_owned());
        report.tool.target = Some("x86_64-linux".to_owned());
    });
    check(&compare(&old, &new, &[]), 0, &["faster"]);
}

#[test]
fn groups_can_be_separated_or_named() {
    let runs = Runs::new();
    let (old, slow) = (runs.make("old", 5, 2000.0, |_| {}), runs.make("slow", 5, 1700.0, |_| {}));
    let loadgen =
        |words: &[String]| Command::new(env!("CARGO_BIN_EXE_loadgen")).args(words).output().unwrap();
    let file = |folder: &Path, number: u32| folder.join(format!("{number:02}.json")).display().to_string();
    let mut words = vec!["compare".to_owned()];
    words.extend((0..5).map(|number| file(&old, number)));
    words.push("vs".to_owned());
    words.extend((0..5).map(|number| file(&slow, number)));
    check(&loadgen(&words), 3, &["slow against old"]);
    let group = |name: &str, folder: &Path| format!("--group={name}={}", folder.display());
    check(&loadgen(&["compare".to_owned(), group("a", &old), group("b", &slow)]), 3, &["b against a"]);
    check(&loadgen(&["compare".to_owned(), group("a", &old)]), 1, &["two are compared"]);
}
