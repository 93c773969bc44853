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
pub const ASPECTS: [&str; 9] = [
    "workload",
    "database",
    "pipeline",
    "connections",
    "pace",
    "transport",
    "machine",
    "durability",
    "generator",
];

/// All conditions that differ, each once: between the first run that tells one and the first that tells another.
#[must_use]
pub fn differences(runs: &[&MeasuredRun]) -> Vec<Difference> {
    let all: Vec<_> = runs.iter().map(|run| (&run.source, conditions(&run.report))).collect();
    let count = all.first().map_or(0, |(_, conditions)| conditions.len());
    let difference = |place: usize| {
        let told = all.iter().map(|(source, conditions)| (source, &conditions[place]));
        let mut told = told.filter(|(_, (_, _, value))| !value.is_null());
        let (first, (aspect, name, left)) = told.next()?;
        let (other, (_, _, right)) = told.find(|(_, (_, _, value))| value != left)?;
        let text = format!("{name}: {} in {first}, {} in {other}", shown(left), shown(right));
        Some(Difference { aspect, text })
    };
    (0..count).filter_map(difference).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Everything that must be equal, in the same places for every report; null where one does not tell, which differs from
/// nothing.
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
    let window = match (config.duration_s, config.requests) {
        (Some(duration_s), _) => Value::from(format!("{duration_s} s")),
        (None, Some(requests)) => Value::from(format!("{requests} requests")),
        (None, None) => Value::Null,
    };
    // Whoever loaded them. What expires or is evicted is missing soon after the run itself has loaded it.
    let holds_keys = report.server.keys_before.map(|keys| keys >= config.workload.keys);
    let is_loaded = if report.prefill.is_some() { Some(true) } else { holds_keys };
    let writes_files = durability.as_deref().is_some_and(|word| word != "none");
    vec![
        ("workload", "workload", workload),
        ("workload", "details of the workload", details),
        ("database", "number of the database", config.target.db.into()),
        ("database", "all keys loaded before", is_loaded.map_or(Value::Null, Value::from)),
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
        ("pace", "length of the window", window),
        ("pace", "warm-up in seconds", config.warmup_s.into()),
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
    fn each_condition_is_held_against_the_first_run_that_tells_it() {
        let check = |aspect: &str, words: &str, change: fn(&mut Report)| {
            let (left, right) = (run("a", |_| {}), run("b", change));
            let found = differences(&[&left, &left, &right, &right]);
            assert_eq!(found.len(), 1, "{aspect}: {found:?}");
            assert_eq!(found[0].aspect, aspect);
            assert!(found[0].text.contains(words), "{found:?}");
            assert!(ASPECTS.contains(&found[0].aspect));
        };
        check("workload", "\"keys\":7", |report| report.config.workload.keys = 7);
        check("database", "database: 0 in a, 3 in b", |report| report.config.target.db = 3);
        check("database", "loaded before: true in a, false in b", |report| {
            (report.prefill, report.server.keys_before) = (None, Some(999));
        });
        check("pipeline", "pipeline: 1 in a, 16 in b", |report| report.config.pipeline = 16);
        check("connections", "connections: 4", |report| report.config.connections_total = 9);
        check("pace", "rate: 2000.0 in a, 5.0", |report| report.config.rate_target_ops_s = Some(5.0));
        check("pace", "warm-up in seconds: 0.0 in a, 2.0 in b", |report| report.config.warmup_s = 2.0);
        check("pace", "window: 2 s in a, 60 s in b", |report| report.config.duration_s = Some(60.0));
        check("pace", "window: 2 s in a, 1000 requests in b", |report| {
            (report.config.duration_s, report.config.requests) = (None, Some(1000));
        });
        check("transport", "tcp", |report| report.config.target.transport = "tcp".to_owned());
        check("machine", "Other", |report| report.env.cpu_model = Some("Other".to_owned()));
        check("durability", "none in a, always", |report| {
            report.server.durability = Some("always".to_owned())
        });
        check("generator", "debug", |report| report.tool.profile = "debug".to_owned());
    }

    #[test]
    fn a_first_run_that_does_not_tell_hides_no_difference_of_the_others() {
        let on_host = |source: &str, host: Option<&str>| {
            run(source, |report| report.env.host_hash = host.map(str::to_owned))
        };
        let (silent, left, right) =
            (on_host("a", None), on_host("b", Some("one")), on_host("c", Some("two")));
        let found = differences(&[&silent, &left, &silent, &right]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].aspect, found[0].text.as_str()), ("machine", "host: one in b, two in c"));
    }

    #[test]
    fn keys_are_loaded_whoever_did_it() {
        let held = |source: &str, keys_before: Option<u64>| {
            run(source, |report| (report.prefill, report.server.keys_before) = (None, keys_before))
        };
        let loaded = run("a", |report| report.server.keys_before = Some(999));
        // By another command, more of them by inserts, or by nobody knows whom.
        for keys_before in [Some(1000), Some(5000), None] {
            assert_eq!(differences(&[&loaded, &held("b", keys_before)]), []);
        }
        assert_eq!(differences(&[&held("a", Some(1000)), &held("b", Some(0))]).len(), 1);
    }

    #[test]
    fn a_store_on_disk_without_a_log_differs_from_one_in_memory() {
        let ouro = |source: &str, storage: &str| {
            run(source, |report| {
                report.server.durability = None;
                report.server.config.insert("storage".to_owned(), storage.to_owned());
                report.env.fs = None;
            })
        };
        let found = differences(&[&ouro("a", "memory"), &ouro("b", "disk")]);
        let texts: Vec<&str> = found.iter().map(|difference| difference.text.as_str()).collect();
        assert_eq!(texts, ["durability: none in a, snapshots in b"]);
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
