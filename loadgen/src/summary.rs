//! A report as text for the terminal.

use std::fmt::Write as _;

use crate::keys::KeyDistribution;
use crate::latency::{LatencySummary, format_ns};
use crate::number::floor_u64;
use crate::progress::group_digits;
use crate::report::{Mode, Outcome, Report, ReportKind};

/// The report in words and tables.
#[must_use]
pub fn describe(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(&mut text, report);
    text
}

fn write_all(text: &mut String, report: &Report) -> std::fmt::Result {
    write_head(text, report)?;
    if let Some(prefill) = &report.prefill {
        writeln!(
            text,
            "loaded     {} keys in {:.2} s, {} per second",
            group_digits(prefill.keys),
            prefill.elapsed_s,
            whole(prefill.ops_s)
        )?;
    }
    if let Some(outcome) = &report.result {
        write_outcome(text, report, outcome)?;
    }
    for warning in &report.warnings {
        writeln!(text, "note       {warning}")?;
    }
    if report.kind == ReportKind::Run && report.validity.ok {
        writeln!(text, "valid      nothing speaks against these figures")?;
    }
    for reason in &report.validity.reasons {
        writeln!(text, "NOT VALID  {}: {}", reason.code, reason.text)?;
    }
    Ok(())
}

fn write_head(text: &mut String, report: &Report) -> std::fmt::Result {
    let config = &report.config;
    let server = &report.server;
    let name = server.name.as_deref().unwrap_or("unknown server");
    writeln!(
        text,
        "server     {name} {} at {} (RESP{}{})",
        server.version.as_deref().unwrap_or(""),
        config.target.addr,
        config.target.resp,
        server.fsync_mode.as_deref().map_or_else(String::new, |mode| format!(
            ", {}, appendfsync {mode}",
            server.persist_mode.as_deref().unwrap_or("")
        )),
    )?;
    let workload = &config.workload;
    let distribution = distribution_text(workload.dist);
    writeln!(
        text,
        "workload   {}, {} keys {distribution}, key {} B, value {} B, seed {}",
        workload.name,
        group_digits(workload.keys),
        workload.key_bytes,
        workload.value_bytes,
        config.seed
    )?;
    if let Some(note) = workload.details.as_ref().and_then(|details| details.note.as_ref()) {
        writeln!(text, "           {note}")?;
    }
    if report.kind == ReportKind::Run {
        let pace = match (config.mode, config.rate_target_ops_s) {
            (Mode::Open, None) => "open loop at recorded times".to_owned(),
            (Mode::Open, Some(rate)) => format!("open loop at {} per second", whole(rate)),
            _ => "closed loop".to_owned(),
        };
        writeln!(
            text,
            "load       {pace}, {} connections, {} thread(s), pipeline {}",
            config.connections_total, config.threads, config.pipeline
        )?;
    }
    Ok(())
}

fn distribution_text(distribution: KeyDistribution) -> String {
    match distribution {
        KeyDistribution::Uniform => "uniform".to_owned(),
        KeyDistribution::Sequential => "sequential".to_owned(),
        KeyDistribution::Zipf { theta } => format!("zipf {theta}"),
        KeyDistribution::YcsbZipfian => "ycsb-zipfian".to_owned(),
        KeyDistribution::Latest { theta } => format!("latest {theta}"),
        KeyDistribution::YcsbLatest => "ycsb-latest".to_owned(),
        KeyDistribution::Hotspot { keys, requests } => format!("hotspot {keys}:{requests}"),
        KeyDistribution::Gaussian { median, stddev } => {
            format!("gaussian around {median}, deviation {stddev:.3}")
        }
        KeyDistribution::Exponential { requests, keys } => format!("exponential {keys:.3}:{requests}"),
    }
}

fn write_outcome(text: &mut String, report: &Report, outcome: &Outcome) -> std::fmt::Result {
    writeln!(
        text,
        "result     {} op/s: {} requests in {:.2} s, {} errors, {} hits, {} misses",
        whole(outcome.ops_s),
        group_digits(outcome.ops),
        outcome.elapsed_s,
        group_digits(outcome.errors.total),
        group_digits(outcome.hits),
        group_digits(outcome.misses)
    )?;
    if let Some(verify) = &outcome.verify {
        writeln!(
            text,
            "verified   {} values, {} wrong",
            group_digits(verify.checked),
            group_digits(verify.bad)
        )?;
    }
    if let Some(cpu) = report.server.cpu_us_per_op {
        let rss_mib = report.server.rss_bytes.unwrap_or(0) as f64 / f64::from(1 << 20);
        writeln!(text, "server CPU {cpu:.3} us per request, resident {rss_mib:.1} MiB")?;
    }
    if let Some(cpu) = report.client.cpu_us_per_op {
        let threads: Vec<String> =
            report.client.per_thread.iter().map(|thread| format!("{:.0} %", thread.cpu_pct)).collect();
        writeln!(text, "client CPU {cpu:.3} us per request, threads at {}", threads.join(", "))?;
    }
    writeln!(text)?;
    writeln!(
        text,
        "{:<21}{:>11}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "latency", "count", "min", "p50", "p90", "p99", "p99.9", "p99.99", "max"
    )?;
    let rows = outcome.ops_by_type.iter().map(|(name, figures)| {
        (name.as_str(), figures.latency_ns.corrected.as_ref(), Some(&figures.latency_ns.service))
    });
    let all = [("all", outcome.all.corrected.as_ref(), Some(&outcome.all.service))];
    for (name, corrected, service) in rows.chain(all) {
        if let Some(corrected) = corrected {
            write_row(text, &format!("{name} from schedule"), corrected)?;
        }
        if let Some(service) = service {
            write_row(text, &format!("{name} from send"), service)?;
        }
    }
    if let Some(slip) = &outcome.all.slip {
        write_row(text, "slip (send - due)", slip)?;
    }
    writeln!(text)
}

fn write_row(text: &mut String, name: &str, summary: &LatencySummary) -> std::fmt::Result {
    writeln!(
        text,
        "{name:<21}{:>11}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        group_digits(summary.count),
        format_ns(summary.min),
        format_ns(summary.p50),
        format_ns(summary.p90),
        format_ns(summary.p99),
        format_ns(summary.p99_9),
        format_ns(summary.p99_99),
        format_ns(summary.max)
    )
}

fn whole(number: f64) -> String {
    group_digits(floor_u64(number.round()))
}
