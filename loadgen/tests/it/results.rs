//! The reports that the repository publishes: they keep to the schema, and the README says what they say.

use std::path::{Path, PathBuf};

use loadgen::document::Document;
use loadgen::matrix::marks::between_marks;
use loadgen::matrix::table::markdown;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn check_schema(name: &str) -> Document {
    let path = root().join("results").join(name);
    let text = std::fs::read(&path).unwrap();
    // No places of the machine that measured.
    let shown = String::from_utf8_lossy(&text);
    for folder in ["/tmp/", "/home/", "/root/", "bind=/"] {
        assert!(!shown.contains(folder), "{name} names {folder}");
    }
    crate::schema::check(&serde_json::from_slice(&text).unwrap(), name);
    Document::parse(&text).unwrap()
}

#[test]
fn the_tables_of_the_readme_are_those_of_the_matrix() {
    let Document::Matrix(report) = check_schema("matrix.json") else { panic!("a matrix") };
    assert!(report.complete && report.tool.profile == "release" && report.tool.git_dirty == Some(false));
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let how = "loadgen matrix table results/matrix.json --into README.md";
    assert_eq!(between_marks(&readme).unwrap().trim(), markdown(&report, &[]).trim(), "made by: {how}");
    // What was measured is what the file in the repository asks for.
    let text = std::fs::read_to_string(root().join("results/matrix.toml")).unwrap();
    let spec: loadgen::matrix::spec::MatrixSpec = toml::from_str(&text).unwrap();
    let scenarios = |spec: &loadgen::matrix::spec::MatrixSpec| {
        spec.scenarios.iter().map(|each| (each.name.clone(), each.run.list())).collect::<Vec<_>>()
    };
    assert_eq!((spec.repeats, scenarios(&spec)), (report.spec.repeats, scenarios(&report.spec)));
    // The page is made from the same report.
    let page = std::fs::read_to_string(root().join("results/matrix.html")).unwrap();
    assert!(page.contains(&report.started_at) && page.contains("<svg"));
}

#[test]
fn the_reports_on_agreement_keep_to_the_schema_and_to_their_pairs() {
    check_agreement("agreement.json");
    check_agreement("agreement_p1.json");
}

fn check_agreement(name: &str) {
    let Document::Agreement(report) = check_schema(name) else { panic!("an agreement") };
    let mut again = report.clone();
    again.conclude();
    assert!(report.pairs.len() >= 6);
    for (ratio, other) in report.ratios.iter().zip(&again.ratios) {
        assert!((ratio.ratio - other.ratio).abs() < 1e-9, "{}", ratio.figure);
    }
}
