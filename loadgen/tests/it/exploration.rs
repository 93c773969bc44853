//! Search and sweep against servers whose limits are known.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use loadgen::report::{Report, ReportKind};
use loadgen::search::Blame;

use crate::null_server::{Behaviour, NullServer};

fn loadgen(server: &NullServer, arguments: &str, out: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(arguments.split_whitespace())
        .args(["--live", "none", "--warmup", "0s", "-s"])
        .arg(&server.path)
        .arg("-o")
        .arg(out)
        .output()
        .unwrap()
}

/// What was written keeps to the schema, and its page has the curve with all of its points.
fn check_document(path: &Path, steps: usize) {
    let document = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    crate::schema::check(&document, "exploration");
    let output =
        Command::new(env!("CARGO_BIN_EXE_loadgen")).args(["export", "html"]).arg(path).output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    crate::pages::check(&page, &["latency against throughput"]);
    let medians = page.matches("<title>p50 ").count();
    assert!(medians >= steps, "{medians} of {steps} points are on the page");
}

#[test]
fn the_search_finds_the_rate_that_a_slow_server_can_keep() {
    // Each of four connections takes 10 ms or a little more per request: no more than 400 per second.
    let delay = Some(Duration::from_millis(10));
    let server = NullServer::start(Behaviour { delay, ..Behaviour::default() });
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("search.json");
    let line = "search --slo p90<60ms --min 100 --max 5k --step 1.7 --tolerance 10% --confirm 1 -d 1s -c 4 -t 1 \
                --drain 2s";
    let output = loadgen(&server, line, &out);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let report = Report::read(&out).unwrap();
    assert_eq!(report.kind, ReportKind::Search);
    check_document(&out, report.search.as_ref().unwrap().steps.len());
    let search = report.search.unwrap();
    // Starts that wait for a server with all connections busy are its doing, not the generator's.
    // (Beside other tests the machine may be to blame as well.)
    assert!(matches!(search.limited_by, Some(Blame::Server | Blame::Machine)), "{search:?}");
    let broke: Vec<f64> = search.steps.iter().filter(|step| !step.held).map(|step| step.rate).collect();
    assert!(broke.iter().any(|rate| *rate > 400.0), "{search:?}");
    if let Some(knee) = search.knee_ops_s {
        assert_eq!(output.status.code(), Some(0));
        assert!((100.0..=420.0).contains(&knee), "{knee}");
        assert!(stdout.contains("holds up to"), "{stdout}");
    } else {
        assert_eq!(output.status.code(), Some(status_of(search.limited_by)));
    }
}

/// Status of a search without a rate: the server's fault is an answer, that of a busy machine is none.
fn status_of(blame: Option<Blame>) -> i32 {
    if blame == Some(Blame::Server) { 3 } else { 4 }
}

#[test]
fn a_limit_that_nothing_keeps_ends_with_a_status_of_its_own() {
    let delay = Some(Duration::from_millis(5));
    let server = NullServer::start(Behaviour { delay, ..Behaviour::default() });
    let directory = tempfile::tempdir().unwrap();
    let line = "search --slo p50<1ms --min 50 --max 100 -d 500ms -c 2 -t 1";
    let out = directory.path().join("search.json");
    let output = loadgen(&server, line, &out);
    let search = Report::read(&out).unwrap().search.unwrap();
    assert!(search.knee_ops_s.is_none() && search.limited_by != Some(Blame::Generator), "{search:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status_of(search.limited_by)), "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("does not hold at any rate"));
}

#[test]
fn a_stopped_search_still_writes_its_steps() {
    let server = NullServer::start(Behaviour::default());
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("search.json");
    let child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["search", "--slo", "p50<10s", "--min", "100", "--max", "1M", "--step", "1.01", "-d", "300ms"])
        .args(["--warmup", "0s", "-c", "2", "-s", server.path.to_str().unwrap(), "-o", out.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while server.requests() < 100 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let report = Report::read(&out).unwrap();
    assert!(report.search.unwrap().interrupted);
}

#[test]
fn a_sweep_measures_every_point_and_draws_them() {
    let server = NullServer::start(Behaviour::default());
    let directory = tempfile::tempdir().unwrap();
    for (line, over, values) in [
        ("sweep --rates 500..1500/500 -d 400ms -c 4", "rate", vec![500.0, 1000.0, 1500.0]),
        ("sweep --pipelines 1,4 -d 300ms -c 2", "pipeline", vec![1.0, 4.0]),
        ("sweep --connection-counts 1,3 -d 300ms -t 2", "connections", vec![1.0, 3.0]),
    ] {
        let out = directory.path().join("sweep.json");
        let output = loadgen(&server, line, &out);
        assert_eq!(output.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.contains("o p50   * p99") && stdout.contains('*'), "{stdout}");
        check_document(&out, values.len());
        let sweep = Report::read(&out).unwrap().sweep.unwrap();
        assert_eq!(sweep.over, over);
        let measured: Vec<f64> = sweep.points.iter().map(|point| point.value).collect();
        assert_eq!(measured, values, "{line}");
        assert!(
            sweep.points.iter().all(|point| point.achieved_ops_s > 0.0 && point.p50_ns.is_some()),
            "{line}"
        );
    }
}

#[test]
fn wrong_explorations_are_refused() {
    let server = NullServer::start(Behaviour::default());
    let out = tempfile::tempdir().unwrap().path().join("x.json");
    for (line, message) in [
        ("search --slo p99", "expected a limit like"),
        ("search", "--slo"),
        ("search --slo p99<1ms --rate 5k", "--rate is chosen"),
        ("search --slo p99<1ms --min 5k --max 1k", "--min lies below --max"),
        ("sweep", "needs one of --rates"),
        ("sweep --pipelines 0", "expected numbers"),
    ] {
        let output = loadgen(&server, line, &out);
        assert_eq!(output.status.code(), Some(2), "{line}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(message), "{line}: {stderr}");
    }
}
