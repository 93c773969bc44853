//! Pages and other forms of a report.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report-1.0.json")
}

/// A page is whole, names nothing outside of itself, and has no figure that is none.
pub(crate) fn check(page: &str, words: &[&str]) {
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for outside in ["http:", "https:", "src=", "href=", "@import", "url(", "<script", "NaN", "inf "] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("prefers-color-scheme:dark"));
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    for word in words {
        assert!(page.contains(word), "{word:?} is not on the page");
    }
}

fn export(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen")).arg("export").args(arguments).output().unwrap()
}

fn text(arguments: &[&str]) -> String {
    let output = export(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_run_of_the_first_version_makes_a_page_with_its_plots() {
    let path = golden();
    let page = text(&["html", path.to_str().unwrap()]);
    check(&page, &["golden", "p99.9", "Not valid, slip", "from schedule", "Second by second", "Example CPU"]);
    assert_eq!(page.matches("<svg").count(), 4);
}

#[test]
fn several_runs_make_one_page_with_the_curve() {
    let path = golden();
    let path = path.to_str().unwrap();
    let page = text(&["html", path, path, path]);
    check(&page, &["3 runs", "latency against throughput", "class=\"hollow c0\""]);
}

#[test]
fn every_form_is_given() {
    let path = golden();
    let path = path.to_str().unwrap();
    assert!(text(&["hlog", path]).contains("Tag=GET.response,0.000,2.000,9.478,HISTFAAA"));
    assert!(text(&["csv", path]).starts_with("operation,kind,count"));
    assert!(text(&["csv-series", path]).contains("\n1,2000,0,100863,6160383,"));
    assert!(text(&["prometheus", path]).contains("loadgen_requests_per_second{server=\"redis\""));
    let memtier: Value = serde_json::from_str(&text(&["memtier", path])).unwrap();
    assert_eq!(memtier["ALL STATS"]["Totals"]["Count"], 4000);
    let refused = export(&["csv", path, path]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("html only"));
}

#[test]
fn the_terminal_shows_plots() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen")).arg("show").arg(golden()).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("latency by percentile") && shown.contains("p99.75"), "{shown}");
}
