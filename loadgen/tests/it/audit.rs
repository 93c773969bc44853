//! The audit against redis-server, where it is installed: with its log it loses nothing to a kill, without it
//! everything, and the verdict says so.

use std::path::Path;
use std::process::{Command, Output};

use loadgen::audit::{AuditReport, AuditVerdict};

fn audit(directory: &Path, appendonly: &str, kills: &str) -> (Output, Option<AuditReport>) {
    let (socket, out) = (directory.join("redis.sock"), directory.join("audit.json"));
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args([
            "audit", "--kills", kills, "--every", "400ms", "--keys", "2000", "--live", "none", "--spawn",
            "-s",
        ])
        .arg(&socket)
        .arg("-o")
        .arg(&out)
        .args(["--", "redis-server", "--port", "0", "--save", "", "--appendfsync", "always", "--appendonly"])
        .args([appendonly, "--dir"])
        .arg(directory)
        .arg("--unixsocket")
        .arg(&socket)
        .output()
        .unwrap();
    let report = std::fs::read(&out).ok().map(|text| serde_json::from_slice(&text).unwrap());
    (output, report)
}

fn has_redis() -> bool {
    let found = Command::new("redis-server").arg("--version").output().is_ok();
    if !found {
        assert!(
            std::env::var_os("OURO_TESTS_MUST_RUN").is_none(),
            "redis-server is not installed, and all tests must run"
        );
        eprintln!("redis-server is not installed: not tested");
    }
    found
}

#[test]
fn a_server_that_logs_before_it_answers_passes() {
    if !has_redis() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (output, report) = audit(directory.path(), "yes", "3");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout} {}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("HELD: nothing acknowledged was lost"), "{stdout}");
    let report = report.unwrap();
    crate::schema::check(&serde_json::to_value(&report).unwrap(), "audit");
    let shown = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .arg("show")
        .arg(directory.path().join("audit.json"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout), stdout);
    assert_eq!((report.verdict, report.violations, report.rounds.len()), (AuditVerdict::Held, 0, 3));
    assert_eq!(report.checked, 3 * 2000);
    assert!(report.acknowledged > 100 && report.in_doubt > 0, "{report:?}");
}

#[test]
fn a_server_that_forgets_is_found_out_with_status_3_and_examples() {
    if !has_redis() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (output, report) = audit(directory.path(), "no", "1");
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("VIOLATION  audit:") && stdout.contains("no value was found"), "{stdout}");
    let report = report.unwrap();
    assert_eq!(report.verdict, AuditVerdict::Broken);
    assert!(report.violations > 1000, "{}", report.violations);
}

#[test]
fn a_server_that_does_not_start_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["audit", "-s", "/nowhere/x.sock", "--live", "none", "--spawn", "--", "false"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the server ended at its start"));
}
