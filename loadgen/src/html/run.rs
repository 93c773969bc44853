//! The page of one run.

use super::{Cell, facts, list, number, page as whole_page, table, words};
use crate::latency::{LatencySummary, format_ns};
use crate::number::floor_u64;
use crate::plot::scale::{Spread, short, short_ns};
use crate::plot::svg::{Axis, Chart, Point, Series as Line, Style, escape};
use crate::plot::{curve, percentile};
use crate::progress::group_digits;
use crate::report::{Mode, Outcome, Report};
use crate::series::Series;

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let name = report.label.clone().unwrap_or_else(|| server_name(report));
    let mut body = format!("<h1>{}</h1>\n", escape(&name));
    body.push_str(&format!("<p class=soft>{}</p>\n", escape(&subtitle(report))));
    body.push_str(&validity(report));
    body.push_str(&list("warn", &report.warnings));
    if let Some(result) = &report.result {
        body.push_str(&headline(report, result));
        body.push_str(&percentile_chart(result));
        body.push_str(&latency_table(result));
    }
    let steps = curve::steps_of(report);
    if !steps.is_empty() {
        body.push_str(&curve::chart(&steps).figure());
    }
    if let Some(series) = report.series.as_ref().filter(|series| !series.ops.is_empty()) {
        body.push_str("<h2>Second by second</h2>\n");
        charts_of_series(series).iter().for_each(|chart| body.push_str(&chart.figure()));
    }
    body.push_str(&circumstances(report));
    whole_page(&name, &body)
}

/// Name and version that the server gives itself.
#[must_use]
pub fn server_name(report: &Report) -> String {
    let name = report.server.name.as_deref().unwrap_or("unknown server");
    format!("{name} {}", report.server.version.as_deref().unwrap_or("")).trim().to_owned()
}

fn subtitle(report: &Report) -> String {
    let config = &report.config;
    let pace = match config.rate_target_ops_s {
        Some(rate) if config.mode == Mode::Open => {
            format!("open loop at {} requests per second", short(rate))
        }
        _ => "closed loop".to_owned(),
    };
    format!(
        "{}, {}, {pace}, {} connections, pipeline {}; {}",
        server_name(report),
        config.workload.name,
        config.connections_total,
        config.pipeline,
        report.started_at
    )
}

fn validity(report: &Report) -> String {
    if report.validity.ok {
        return "<p class=ok>Valid: nothing speaks against these figures.</p>\n".to_owned();
    }
    let reasons: Vec<String> = report
        .validity
        .reasons
        .iter()
        .map(|reason| format!("Not valid, {}: {}", reason.code, reason.text))
        .collect();
    list("bad", &reasons)
}

fn headline(report: &Report, result: &Outcome) -> String {
    let latency = result.all.corrected.as_ref().unwrap_or(&result.all.service);
    let micros = |value: Option<f64>| value.map(|value| format!("{value:.2} us"));
    facts(&[
        ("requests per second", Some(group_digits(floor_u64(result.ops_s.round())))),
        ("p50", Some(format_ns(latency.p50))),
        ("p99", Some(format_ns(latency.p99))),
        ("p99.9", Some(format_ns(latency.p99_9))),
        ("longest", Some(format_ns(latency.max))),
        ("server CPU per request", micros(report.server.cpu_us_per_op)),
        ("client CPU per request", micros(report.client.cpu_us_per_op)),
        ("requests", Some(format!("{} in {:.2} s", group_digits(result.ops), result.elapsed_s))),
        ("errors", Some(group_digits(result.errors.total))),
        ("hits, misses", Some(format!("{}, {}", group_digits(result.hits), group_digits(result.misses)))),
    ])
}

fn percentile_chart(result: &Outcome) -> String {
    let mut curves: Vec<(String, &LatencySummary, Style, usize)> = Vec::new();
    let rows = result.ops_by_type.iter().map(|(name, figures)| {
        (name.clone(), figures.latency_ns.corrected.as_ref(), &figures.latency_ns.service)
    });
    for (colour, (name, corrected, service)) in rows.enumerate() {
        match corrected {
            Some(corrected) => {
                curves.push((format!("{name} from schedule"), corrected, Style::Line, colour));
                curves.push((format!("{name} from send"), service, Style::Dashed, colour));
            }
            None => curves.push((format!("{name} from send"), service, Style::Line, colour)),
        }
    }
    percentile::chart("latency by percentile", &curves).figure()
}

fn latency_table(result: &Outcome) -> String {
    let heads = ["latency", "count", "min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"];
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut row = |name: String, summary: &LatencySummary| {
        let mean = summary.mean.map(|mean| floor_u64(mean.round()));
        let figures = [
            summary.min,
            mean,
            summary.p50,
            summary.p90,
            summary.p99,
            summary.p99_9,
            summary.p99_99,
            summary.max,
        ];
        let mut cells = vec![words(name), number(group_digits(summary.count))];
        cells.extend(figures.map(|ns| number(format_ns(ns))));
        rows.push(cells);
    };
    for (name, figures) in &result.ops_by_type {
        if let Some(corrected) = &figures.latency_ns.corrected {
            row(format!("{name} from schedule"), corrected);
        }
        row(format!("{name} from send"), &figures.latency_ns.service);
    }
    if let Some(corrected) = &result.all.corrected {
        row("all from schedule".to_owned(), corrected);
    }
    row("all from send".to_owned(), &result.all.service);
    if let Some(slip) = &result.all.slip {
        row("slip (send - due)".to_owned(), slip);
    }
    table(&heads, &rows)
}

fn charts_of_series(series: &Series) -> Vec<Chart> {
    let axis = |label: &str, spread, format| Axis { label: label.to_owned(), spread, format, ticks: None };
    let line = |name: &str, colour, values: Vec<Option<f64>>| Line {
        name: name.to_owned(),
        points: series.t_s.iter().zip(values).map(|(&t_s, y)| Point::new(t_s, y)).collect(),
        style: Style::Line,
        colour,
    };
    let ns = |column: &[Option<u64>]| column.iter().map(|ns| ns.map(|ns| ns as f64)).collect::<Vec<_>>();
    let seconds = || axis("seconds since the start of the window", Spread::Linear, short);
    let rate = series.ops.iter().map(|&ops| Some(ops as f64 / series.interval_s.max(1e-9))).collect();
    let mut charts = vec![
        Chart {
            title: "throughput".to_owned(),
            x: seconds(),
            y: axis("requests per second", Spread::Linear, short),
            series: vec![line("requests per second", 0, rate)],
        },
        Chart {
            title: "latency".to_owned(),
            x: seconds(),
            y: axis("latency", Spread::Log, short_ns),
            series: vec![
                line("p50", 0, ns(&series.p50_ns)),
                line("p99", 1, ns(&series.p99_ns)),
                line("longest", 2, ns(&series.max_ns)),
            ],
        },
    ];
    let has_cpu = series.server_cpu_pct.iter().chain(&series.client_cpu_pct).any(Option::is_some);
    if has_cpu {
        charts.push(Chart {
            title: "processor time".to_owned(),
            x: seconds(),
            y: axis("percent of one processor", Spread::Linear, short),
            series: vec![
                line("server", 0, series.server_cpu_pct.clone()),
                line("client", 1, series.client_cpu_pct.clone()),
            ],
        });
    }
    charts
}

fn circumstances(report: &Report) -> String {
    let mut body = "<h2>How it was measured</h2>\n<h3>Load</h3>\n".to_owned();
    let config = &report.config;
    let workload = &config.workload;
    body.push_str(&facts(&[
        ("workload", Some(workload.name.clone())),
        ("keys", Some(group_digits(workload.keys))),
        ("key bytes", Some(workload.key_bytes.to_string())),
        (
            "distribution",
            serde_json::to_value(workload.dist).ok().map(|value| value.to_string().replace('"', "")),
        ),
        ("connections, threads", Some(format!("{}, {}", config.connections_total, config.threads))),
        ("pipeline", Some(config.pipeline.to_string())),
        ("warm-up", Some(format!("{} s", config.warmup_s))),
        ("transport", Some(format!("{}, RESP{}", config.target.transport, config.target.resp))),
        ("seed", Some(config.seed.to_string())),
    ]));
    body.push_str("<h3>Server</h3>\n");
    let server = &report.server;
    body.push_str(&facts(&[
        ("server", Some(server_name(report))),
        ("durability", server.durability.clone().or_else(|| server.fsync_mode.clone())),
        ("keys before", server.keys_before.map(group_digits)),
        ("memory", server.rss_bytes.map(|bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)))),
        (
            "written to storage",
            server.io_write_bytes.map(|bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))),
        ),
        (
            "settings",
            Some(
                server
                    .config
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect::<Vec<_>>()
                    .join(" "),
            ),
        ),
    ]));
    body.push_str(&machine(report));
    body.push_str(&checks(report));
    body.push_str(&format!(
        "<details><summary>command line</summary><pre>{}</pre></details>\n",
        escape(&report.argv.join(" "))
    ));
    body
}

/// The machine that a run was made on.
#[must_use]
pub fn machine(report: &Report) -> String {
    let env = &report.env;
    let percent = |value: Option<f64>| value.map(|value| format!("{value:.1} %"));
    let pressure = env.pressure.clone().unwrap_or_default();
    let mut body = "<h3>Machine</h3>\n".to_owned();
    body.push_str(&facts(&[
        ("processor", env.cpu_model.clone()),
        ("processors", env.cores_online.map(|count| count.to_string())),
        ("memory", env.mem_bytes.map(|bytes| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)))),
        ("kernel", env.kernel.clone()),
        ("system", env.distro.clone()),
        ("governor", env.governor.clone()),
        ("virtual", env.virt.map(|virt| if virt { "yes" } else { "no" }.to_owned())),
        ("file system", env.fs.as_ref().map(|fs| format!("{} ({})", fs.r#type, fs.mount_opts))),
        ("processor limit", env.cgroup.as_ref().and_then(|group| group.cpu_max.clone())),
        (
            "load before, after",
            env.loadavg_before.clone().zip(env.loadavg_after.clone()).map(|(a, b)| format!("{a} / {b}")),
        ),
        ("waited for a processor", percent(pressure.cpu_some_pct)),
        ("waited for a disk", percent(pressure.io_some_pct)),
        ("stolen by the hypervisor", percent(env.steal_pct)),
    ]));
    body
}

fn checks(report: &Report) -> String {
    if report.validity.checks.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<Cell>> = report
        .validity
        .checks
        .iter()
        .map(|check| {
            let verdict = if check.ok { "same" } else { "slower" };
            let shown = |value: f64| if value.abs() >= 1000.0 { short(value) } else { format!("{value:.3}") };
            vec![
                words(&check.name),
                number(check.value.map_or_else(|| "-".to_owned(), shown)),
                number(shown(check.limit)),
                Cell { text: if check.ok { "kept".to_owned() } else { check.code.clone() }, class: verdict },
            ]
        })
        .collect();
    format!("<h3>Checks</h3>\n{}", table(&["figure", "value", "limit", ""], &rows))
}
