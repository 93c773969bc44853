//! Which runs may be compared: those that differ in what is being compared and in nothing else.

use serde_json::Value;

use super::groups::MeasuredRun;
use crate::report::Report;
use crate::server_facts::durability;

/// A condition that differs between runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Aspect, for `--ignore`.
    pub aspect: &'static str,
    /// What differs, with both values.
    pub text: String,
}

/// Aspects that runs are held against, in the order of messages.
pub const ASPECTS: [&str; 8] =
    ["workload", "pipeline", "connections", "pace", "transport", "machine", "durability", "generator"];

/// All differences between the first run and the others, each once.
#[must_use]
pub fn differences(runs: &[&MeasuredRun]) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    let Some((first, others)) = runs.split_first() else { return found };
    let want = conditions(&first.report);
    for run in others {
        for ((aspect, name, left), (_, _, right)) in want.iter().zip(conditions(&run.report)) {
            let is_known = !left.is_null() && !right.is_null();
            let is_new = found.iter().all(|difference| !difference.text.starts_with(&format!("{name}:")));
            if is_known && *left != right && is_new {
                let text = format!(
                    "{name}: {} in {}, {} in {}",
                    shown(left),
                    first.source,
                    shown(&right),
                    run.source
                );
                found.push(Difference { aspect, text });
            }
        }
    }
    found
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Everything that must be equal; null where the report does not tell, which differs from nothing.
fn conditions(report: &Report) -> Vec<(&'static str, &'static str, Value)> {
    let config = &report.config;
    // As JSON, so that fields of later versions are held against each other too.
    let mut workload = serde_json::to_value(&config.workload).unwrap_or_default();
    // Reports of schema 1.0 have no details: such a run differs from nothing in them.
    let mut details =
        workload.as_object_mut().and_then(|fields| fields.remove("details")).unwrap_or_default();
    let curve = details
        .as_object_mut()
        .map_or(Value::Null, |fields| fields.remove("rate_curve").unwrap_or_else(|| Value::from("one rate")));
    let number = |value: Option<f64>| value.map_or(Value::Null, Value::from);
    let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::from);
    let env = &report.env;
    let server = &report.server;
    let durability = server.durability.clone().or_else(|| durability(&server.config));
    let file_system = env.fs.as_ref().map(|fs| fs.r#type.clone());
    let writes_files = durability.as_deref().is_some_and(|word| word != "none");
    vec![
        ("workload", "workload", workload),
        ("workload", "details of the workload", details),
        ("pipeline", "pipeline", config.pipeline.into()),
        ("connections", "connections", config.connections_total.into()),
        ("connections", "threads", config.threads.into()),
        ("pace", "mode", serde_json::to_value(config.mode).unwrap_or_default()),
        ("pace", "rate", number(config.rate_target_ops_s)),
        ("pace", "rate over time", curve),
        (
            "pace",
            "arrival",
            config.arrival.map_or(Value::Null, |arrival| serde_json::to_value(arrival).unwrap_or_default()),
        ),
        ("generator", "polls instead of sleeping", config.spin.into()),
        ("pace", "length of the window in seconds", number(config.duration_s)),
        ("pace", "number of requests", config.requests.map_or(Value::Null, Value::from)),
        ("transport", "transport", config.target.transport.clone().into()),
        ("transport", "TLS", config.target.tls.into()),
        ("transport", "protocol version", config.target.resp.into()),
        ("machine", "host", text(&env.host_hash)),
        ("machine", "processor", text(&env.cpu_model)),
        ("machine", "number of processors", env.cores_online.map_or(Value::Null, Value::from)),
        ("machine", "kernel", text(&env.kernel)),
        ("machine", "governor", text(&env.governor)),
        ("machine", "processors of the generator", config.cpus.clone().into()),
        ("durability", "durability", text(&durability)),
        ("durability", "file system", if writes_files { text(&file_system) } else { Value::Null }),
        ("generator", "build of loadgen", report.tool.profile.clone().into()),
        ("generator", "version of loadgen", report.tool.version.clone().into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_details::WorkloadDetails;
    use crate::sizes::Sizes;
    use std::path::Path;

    fn run(source: &str, change: impl FnOnce(&mut Report)) -> MeasuredRun {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report-1.0.json");
        let mut report = Report::read(&path).unwrap();
        change(&mut report);
        MeasuredRun { source: source.to_owned(), cell: None, block: None, report }
    }

    #[test]
    fn each_condition_is_held_against_the_first_run() {
        let check = |aspect: &str, words: &str, change: fn(&mut Report)| {
            let (left, right) = (run("a", |_| {}), run("b", change));
            let found = differences(&[&left, &left, &right, &right]);
            assert_eq!(found.len(), 1, "{aspect}: {found:?}");
            assert_eq!(found[0].aspect, aspect);
            assert!(found[0].text.contains(words), "{found:?}");
            assert!(ASPECTS.contains(&found[0].aspect));
        };
        check("workload", "\"keys\":7", |report| report.config.workload.keys = 7);
        check("pipeline", "pipeline: 1 in a, 16 in b", |report| report.config.pipeline = 16);
        check("connections", "connections: 4", |report| report.config.connections_total = 9);
        check("pace", "rate: 2000.0 in a, 5.0", |report| report.config.rate_target_ops_s = Some(5.0));
        check("transport", "tcp", |report| report.config.target.transport = "tcp".to_owned());
        check("machine", "Other", |report| report.env.cpu_model = Some("Other".to_owned()));
        check("durability", "none in a, always", |report| {
            report.server.durability = Some("always".to_owned())
        });
        check("generator", "debug", |report| report.tool.profile = "debug".to_owned());
    }

    #[test]
    fn details_are_held_against_details_only() {
        let detailed = |source: &str, rate_curve: Option<&str>, data: &str| {
            run(source, |report| {
                report.config.workload.details = Some(WorkloadDetails {
                    key_sizes: "fixed".to_owned(),
                    value_sizes: Sizes::Fixed(64),
                    data: data.to_owned(),
                    ttl_ms: None,
                    scan_keys: None,
                    commands: Vec::new(),
                    verify: false,
                    verify_share: None,
                    note: None,
                    rate_curve: rate_curve.map(str::to_owned),
                });
            })
        };
        let aspects = |left: &MeasuredRun, right: &MeasuredRun| -> Vec<&str> {
            differences(&[left, right]).iter().map(|difference| difference.aspect).collect()
        };
        let plain = detailed("a", None, "random");
        assert_eq!(aspects(&run("old", |_| {}), &plain), Vec::<&str>::new());
        assert_eq!(aspects(&plain, &detailed("b", None, "compressible:2")), ["workload"]);
        assert_eq!(aspects(&plain, &detailed("b", Some("1k..2k"), "random")), ["pace"]);
    }

    #[test]
    fn the_server_may_differ_and_what_a_report_does_not_tell_differs_from_nothing() {
        let left = run("a", |_| {});
        let right = run("b", |report| {
            report.server.version = Some("9".to_owned());
            report.server.name = Some("ouro".to_owned());
            report.env.governor = Some("performance".to_owned());
            report.env.host_hash = None;
        });
        assert_eq!(differences(&[&left, &right]), []);
    }
}
