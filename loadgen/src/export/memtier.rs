//! JSON in the shape of memtier_benchmark's, so that scripts made for it read our reports: latencies in milliseconds,
//! `null` where there is no figure. Response times are taken where there are any (open loop), else service times.

use serde_json::{Map, Value, json};

use super::percentiles;
use crate::latency::LatencySummary;
use crate::number::ratio;
use crate::report::Report;

/// The document.
#[must_use]
pub fn memtier(report: &Report) -> Value {
    let config = &report.config;
    let threads = config.threads.max(1);
    let mut stats = Map::new();
    if let Some(result) = &report.result {
        let duration_ms = (result.elapsed_s * 1000.0).round();
        stats.insert(
            "Runtime".to_owned(),
            json!({ "Total duration": duration_ms, "Time unit": "MILLISECONDS" }),
        );
        // The time in which so many requests are made; not quite that of a closed loop's window, see `Outcome::ops_s`.
        let length_s = ratio(result.ops as f64, result.ops_s);
        for (name, figures) in &result.ops_by_type {
            let latency = figures.latency_ns.corrected.as_ref().unwrap_or(&figures.latency_ns.service);
            let hits = (name == "GET").then_some((result.hits, result.misses));
            stats.insert(section(name), command(figures.count, length_s, latency, hits, None));
        }
        let latency = result.all.corrected.as_ref().unwrap_or(&result.all.service);
        let series = time_series(report);
        let hits = Some((result.hits, result.misses));
        let mut totals = command(result.ops, length_s, latency, hits, Some(series));
        totals["KB/sec"] =
            json!(ratio((result.bytes_tx + result.bytes_rx) as f64 / 1024.0, result.elapsed_s));
        totals["Connection Errors"] = json!(result.errors.total);
        stats.insert("Totals".to_owned(), totals);
    }
    json!({
        "Format version": 2,
        "configuration": {
            "server": config.target.addr,
            "unix socket": (config.target.transport == "unix").then_some(&config.target.addr),
            "run_count": 1,
            "clients": config.connections_total / threads,
            "threads": threads,
            "pipeline": config.pipeline,
            "requests": config.requests,
            "test_time": config.duration_s,
            "rate_limit": config.rate_target_ops_s,
            "seed": config.seed,
            "key_prefix": config.workload.key_prefix,
            "key_maximum": config.workload.keys,
        },
        "run information": { "Threads count": threads, "Connections per thread": config.connections_total / threads },
        "ALL STATS": stats,
    })
}

/// memtier says `Sets` and `Gets`.
fn section(operation: &str) -> String {
    let lower = operation.to_lowercase();
    let mut letters = lower.chars();
    let first: String = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}s", letters.as_str())
}

fn command(
    count: u64,
    length_s: f64,
    latency: &LatencySummary,
    hits: Option<(u64, u64)>,
    series: Option<Value>,
) -> Value {
    let mut shares = Map::new();
    for (share, value) in percentiles(latency) {
        shares.insert(percentile_name(share), milliseconds(value));
    }
    shares.insert(
        "Histogram log format".to_owned(),
        json!({ "Compressed Histogram": latency.hdr_v2_deflate_b64 }),
    );
    let (hits, misses) = hits.unwrap_or_default();
    json!({
        "Count": count,
        "Ops/sec": ratio(count as f64, length_s),
        "Hits/sec": ratio(hits as f64, length_s),
        "Misses/sec": ratio(misses as f64, length_s),
        "Average Latency": latency.mean.map(|mean| mean / 1e6),
        "Latency": latency.mean.map(|mean| mean / 1e6),
        "Min Latency": milliseconds(latency.min),
        "Max Latency": milliseconds(latency.max),
        "Percentile Latencies": shares,
        "Time-Serie": series.unwrap_or_else(|| json!({})),
    })
}

/// `p99.90`: memtier writes two digits at least; more where two would make equal names.
fn percentile_name(share: f64) -> String {
    let percent = share * 100.0;
    let two = format!("p{percent:.2}");
    let is_exact = ((percent * 100.0).round() - percent * 100.0).abs() < 1e-6;
    if is_exact { two } else { format!("p{percent:.3}") }
}

fn time_series(report: &Report) -> Value {
    let mut seconds = Map::new();
    if let Some(series) = &report.series {
        for (place, t_s) in series.t_s.iter().enumerate() {
            let at = |column: &[Option<u64>]| milliseconds(column.get(place).copied().flatten());
            let second = json!({
                "Count": series.ops.get(place),
                "Max Latency": at(&series.max_ns),
                "p50.00": at(&series.p50_ns),
                "p99.00": at(&series.p99_ns),
            });
            seconds.insert(format!("{t_s:.0}"), second);
        }
    }
    Value::Object(seconds)
}

fn milliseconds(ns: Option<u64>) -> Value {
    ns.map_or(Value::Null, |ns| json!(ns as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::golden;

    #[test]
    fn sections_and_units_are_those_of_memtier() {
        let value = memtier(&golden());
        let stats = &value["ALL STATS"];
        assert_eq!(stats["Gets"]["Count"], 1988);
        assert_eq!(stats["Sets"]["Count"], 2012);
        assert_eq!(stats["Totals"]["Ops/sec"], 2000.0);
        assert_eq!(stats["Totals"]["Percentile Latencies"]["p99.00"], 5.496_831);
        assert!(stats["Totals"]["Percentile Latencies"]["p99.90"].is_null());
        assert_eq!(stats["Totals"]["Time-Serie"]["1"]["Count"], 2000);
        assert_eq!(value["configuration"]["pipeline"], 1);
    }

    #[test]
    fn names_of_percentiles_do_not_collide() {
        let names: std::collections::BTreeSet<String> =
            [0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999].into_iter().map(percentile_name).collect();
        assert_eq!(names.len(), 7, "{names:?}");
        assert!(names.contains("p99.90") && names.contains("p99.999"));
    }
}
