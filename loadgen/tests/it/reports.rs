//! Reports: written, read back, shown; those of old versions are still read.

use std::path::Path;
use std::process::Command;

use loadgen::report::Report;

use crate::null_server::{Behaviour, NullServer};
use crate::run;

#[test]
fn a_written_report_reads_back_equal() {
    let server = NullServer::start(Behaviour::default());
    let directory = tempfile::tempdir().unwrap();
    for line in ["-n 3000 --warmup 0s", "--rate 3000 -d 1s --dist zipf --warmup 0s --label x --tag a=b"] {
        let report = run(&server.path, line);
        let path = directory.path().join("report.json");
        report.write(&path).unwrap();
        let read = Report::read(&path).unwrap();
        assert_eq!(read, report, "{line}");
        let result = read.result.unwrap();
        let histogram = result.all.service.histogram().unwrap();
        assert_eq!(histogram.len(), result.ops);
        assert_eq!(Some(histogram.value_at_quantile(0.5)), result.all.service.p50);
        let merged: u64 = result
            .ops_by_type
            .values()
            .map(|figures| figures.latency_ns.service.histogram().unwrap().len())
            .sum();
        assert_eq!(merged, result.ops);
        assert!(!directory.path().join("report.json.part").exists());
    }
}

#[test]
fn percentiles_of_a_few_samples_are_null_in_the_file() {
    let server = NullServer::start(Behaviour { all_miss: true, ..Behaviour::default() });
    let report = run(&server.path, "-n 5 --warmup 0s -c 1");
    let text = serde_json::to_string(&report).unwrap();
    // Five samples carry no percentile, but a smallest and a largest.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let service = &value["result"]["all"]["service"];
    for percentile in ["p50", "p99", "p99_9", "p99_99", "p99_999"] {
        assert!(service[percentile].is_null(), "{percentile}");
    }
    assert!(service["min"].is_u64() && service["max"].is_u64());
}

#[test]
fn reports_of_schema_1_0_are_still_read_and_shown() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report-1.0.json");
    let report = Report::read(&path).unwrap();
    let result = report.result.as_ref().unwrap();
    assert_eq!(result.all.service.histogram().unwrap().len(), result.ops);
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen")).arg("show").arg(&path).output().unwrap();
    assert!(output.status.success());
    let shown = String::from_utf8_lossy(&output.stdout);
    for part in ["redis 7.0.15", "open loop at 2,000 per second", "GET from schedule", "slip", "server CPU"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn unknown_fields_of_later_versions_are_ignored() {
    let server = NullServer::start(Behaviour::default());
    let report = run(&server.path, "-n 100 --warmup 0s");
    let mut value = serde_json::to_value(&report).unwrap();
    value["schema_version"] = "1.9".into();
    value["later"] = serde_json::json!({ "a": [1, 2] });
    value["result"]["later"] = 1.into();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("later.json");
    std::fs::write(&path, value.to_string()).unwrap();
    assert_eq!(Report::read(&path).unwrap().result, report.result);
}
