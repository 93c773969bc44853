//! The published schema: it holds for every document that the program writes and wrote, and names every field.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::null_server::{Behaviour, NullServer};
use crate::run;

fn schema() -> Value {
    serde_json::from_str(loadgen::report_commands::SCHEMA).unwrap()
}

pub(crate) fn check(document: &Value, name: &str) {
    let validator = jsonschema::validator_for(&schema()).expect("the schema is a schema");
    // With oneOf at the top an error says little; the definition of the kind says where.
    let definition = match document["kind"].as_str() {
        Some("matrix") => "MatrixReport",
        Some("compare") => "ComparisonReport",
        Some("noise") => "NoiseReport",
        Some("audit") => "AuditReport",
        Some("agreement") => "AgreementReport",
        Some("selftest") => "SelftestReport",
        _ => "Report",
    };
    let mut of_kind = schema();
    of_kind.as_object_mut().unwrap().remove("oneOf");
    of_kind["$ref"] = format!("#/$defs/{definition}").into();
    let of_kind = jsonschema::validator_for(&of_kind).unwrap();
    let errors: Vec<String> = of_kind
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .take(5)
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
    assert!(validator.is_valid(document), "{name}: not exactly one kind");
    assert_named(document, &schema(), &serde_json::json!({ "$ref": format!("#/$defs/{definition}") }), name);
}

/// Every field of a document has a description in the schema.
fn assert_named(value: &Value, root: &Value, schema: &Value, place: &str) {
    let mut options = Vec::new();
    resolve(root, schema, &mut options);
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let known = options.iter().find_map(|option| {
                    let named = option.get("properties").and_then(|properties| properties.get(name));
                    named.or_else(|| option.get("additionalProperties"))
                });
                let place = format!("{place}.{name}");
                let known = known.unwrap_or_else(|| panic!("{place} is not in the schema"));
                assert_named(field, root, known, &place);
            }
        }
        Value::Array(items) => {
            let of_items = options.iter().find_map(|option| option.get("items"));
            for item in items.iter().take(2) {
                assert_named(item, root, of_items.unwrap_or(&Value::Null), &format!("{place}[]"));
            }
        }
        _ => {}
    }
}

/// The schema itself and all that it refers to.
fn resolve<'a>(root: &'a Value, schema: &'a Value, options: &mut Vec<&'a Value>) {
    options.push(schema);
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let definition = &root["$defs"][name.rsplit('/').next().unwrap()];
        assert!(!definition.is_null(), "{name} is not defined");
        resolve(root, definition, options);
    }
    for list in ["allOf", "oneOf"] {
        for each in schema.get(list).and_then(Value::as_array).into_iter().flatten() {
            resolve(root, each, options);
        }
    }
}

#[test]
fn the_schema_holds_for_the_first_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report-1.0.json");
    check(&serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap(), "1.0");
}

#[test]
fn the_schema_holds_for_every_kind_of_run() {
    let server = NullServer::start(Behaviour { error: Some((50, "-ERR no\r\n")), ..Behaviour::default() });
    for line in [
        "-n 2000 --warmup 0s",
        "--rate 2000 -d 1s --dist zipf --warmup 0s --tag a=b",
        "--rate 2000 -d 500ms --warmup 0s --spin -c 4",
        "-n 3 --warmup 0s -c 1",
        "-n 500 --warmup 0s --dist hotspot --value-size 10..100 --ttl 1s..2s",
        "-n 500 --warmup 0s --verify --selftest --value-size 64:80,1024:20",
    ] {
        let report = run(&server.path, line);
        assert_eq!(report.schema_version, "1.2");
        assert!(!report.validity.checks.is_empty());
        check(&serde_json::to_value(&report).unwrap(), line);
    }
}

#[test]
fn a_self_test_writes_a_report_within_the_schema_that_can_be_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("self.json");
    let loadgen = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_loadgen")).args(words).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = loadgen(&["selftest", "-c", "2", "-t", "1", "-d", "200ms", "-P", "1", "-P", "4", "-o"]);
    let document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    check(&document, "selftest");
    assert_eq!(document["figures"].as_array().unwrap().len(), 2);
    assert_eq!(document["figures"][1]["pipeline"], 4);
    assert_eq!(loadgen(&["show"]), printed);
}

#[test]
fn documents_that_are_none_are_refused_by_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report-1.0.json");
    let good: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(validator.is_valid(&good));
    let broken = |change: fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        !validator.is_valid(&value)
    };
    assert!(broken(|value| value["schema_version"] = "2.0".into()));
    assert!(broken(|value| value["result"]["ops"] = (-1).into()));
    assert!(broken(|value| value["result"]["all"]["service"]["p99"] = "fast".into()));
    assert!(broken(|value| drop(value.as_object_mut().unwrap().remove("validity"))));
}

#[test]
fn the_program_prints_the_schema() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen")).arg("schema").output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), schema());
}
