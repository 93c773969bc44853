//! Load on a server, by one of two clients: our `loadgen`, or `redis-benchmark` as a second opinion.
//!
//! Both are pinned to cores of their own. What counts most is the server's CPU time per command, which a slow client
//! does not blur.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use resp::Reply;
use serde::Deserialize;

use crate::client::Client;
use crate::limits::{LOAD_TIME_MAX, PIPELINE_MAX, POLL_INTERVAL};
use crate::process::{Process, cpu_seconds};
use crate::server::Server;

/// Length of a key: `key:` and twelve digits, as both clients write it.
pub(crate) const KEY_DIGITS: usize = 12;
/// Requests of the run that estimates how many fill the window, where the client only takes a number.
const ESTIMATE_REQUESTS: u64 = 100_000;

/// Figures by name; the unit is the end of the name.
pub type Figures = BTreeMap<String, f64>;

/// Kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// GET of a key that is there.
    Get,
    /// SET of a key that is there.
    Set,
}

/// What is sent, and how hard.
#[derive(Clone, Debug)]
pub struct Load {
    /// Kind of request.
    pub request: Request,
    /// Requests in flight on one connection.
    pub pipeline: u32,
    /// Connections.
    pub connections: u32,
    /// Keys, all there.
    pub keys: u64,
    /// Exponent of the Zipf law that they are drawn by; `None`: uniformly.
    pub zipf: Option<f64>,
    /// Requests to send instead of a measured window.
    pub requests: Option<u64>,
    /// Length of a value.
    pub value_bytes: usize,
    /// Measured window.
    pub window_s: f64,
    /// Time at full load before it.
    pub warmup_s: f64,
    /// Requests per second on a fixed schedule; `None`: as fast as replies come.
    pub rate: Option<f64>,
}

/// What a run of a client gave.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The figures.
    pub figures: Figures,
    /// What speaks against them; empty when nothing does.
    pub doubts: Vec<String>,
    /// The client's command line.
    pub command: Vec<String>,
}

/// Which client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientKind {
    /// Our own.
    Loadgen,
    /// That of Redis.
    RedisBenchmark,
}

/// A client's program and its cores.
#[derive(Clone, Debug)]
pub struct LoadClient {
    /// Which.
    pub kind: ClientKind,
    /// Its program.
    pub program: PathBuf,
    /// Its cores.
    pub cpus: Vec<usize>,
}

/// Writes keys 0 to `keys` - 1, each with a value of so many bytes, and makes sure that they are there.
///
/// # Errors
/// When the server does not take them.
pub fn prefill(server: &Server, keys: u64, value_bytes: usize) -> Result<()> {
    let mut client = server.connect()?;
    let value = vec![b'v'; value_bytes];
    let pipeline = PIPELINE_MAX as u64;
    for first in (0..keys).step_by(PIPELINE_MAX) {
        let last = keys.min(first + pipeline);
        for number in first..last {
            client.push(&[b"SET", format!("key:{number:0KEY_DIGITS$}").as_bytes(), &value]);
        }
        client.send()?;
        for _ in first..last {
            expect_ok(&mut client)?;
        }
    }
    match client.key_count()? {
        Some(count) if count == keys => Ok(()),
        count => bail!("{keys} keys were written, the server has {count:?}"),
    }
}

fn expect_ok(client: &mut Client) -> Result<()> {
    match client.reply()? {
        Reply::Simple(text) if text == b"OK" => Ok(()),
        other => bail!("SET answers {other:?}"),
    }
}

impl LoadClient {
    /// Loads the server and measures. Files go to `scratch`.
    ///
    /// # Errors
    /// When the client fails.
    pub fn run(&self, server: &Server, load: &Load, scratch: &Path) -> Result<Measured> {
        match self.kind {
            ClientKind::Loadgen => self.run_loadgen(server, load, scratch),
            ClientKind::RedisBenchmark => self.run_redis_benchmark(server, load, scratch),
        }
    }

    fn run_loadgen(&self, server: &Server, load: &Load, scratch: &Path) -> Result<Measured> {
        let report = scratch.join("loadgen.json");
        let cpus: Vec<String> = self.cpus.iter().map(ToString::to_string).collect();
        let mut args = vec![
            "run".to_owned(),
            format!("--socket={}", server.socket().display()),
            format!("--keys={}", load.keys),
            format!("--key-size={}", KEY_DIGITS + 4),
            format!("--value-size={}", load.value_bytes),
            format!("--connections={}", load.connections),
            format!("--pipeline={}", load.pipeline),
            format!("--ratio={}", if load.request == Request::Get { "0:1" } else { "1:0" }),
            format!("--warmup={}s", load.warmup_s),
            format!("--server-pid={}", server.pid()),
            format!("--threads={}", self.cpus.len()),
            format!("--cpus={}", cpus.join(",")),
            "--live=none".to_owned(),
        ];
        args.push(match load.requests {
            Some(requests) => format!("--requests={requests}"),
            None => format!("--duration={}s", load.window_s),
        });
        args.extend(
            load.zipf.into_iter().flat_map(|theta| ["--dist=zipf".to_owned(), format!("--theta={theta}")]),
        );
        args.extend(load.rate.map(|rate| format!("--rate={rate:.0}")));
        args.push(format!("--out={}", report.display()));
        self.execute(&args, scratch)?;
        let text = fs::read(&report).context("loadgen wrote no report")?;
        fs::remove_file(&report)?;
        let report: LoadgenReport = serde_json::from_slice(&text).context("loadgen's report")?;
        Ok(Measured { figures: report.figures(), doubts: report.doubts(load), command: self.command(args) })
    }

    /// Writes keys 0 to `keys` - 1 as [`prefill`] does, by loadgen: many at a time. Returns its command line.
    ///
    /// # Errors
    /// When it fails.
    pub fn load(
        &self,
        server: &Server,
        keys: u64,
        value_bytes: usize,
        scratch: &Path,
    ) -> Result<Vec<String>> {
        let cpus: Vec<String> = self.cpus.iter().map(ToString::to_string).collect();
        let args = vec![
            "load".to_owned(),
            format!("--socket={}", server.socket().display()),
            format!("--keys={keys}"),
            format!("--key-size={}", KEY_DIGITS + 4),
            format!("--value-size={value_bytes}"),
            format!("--threads={}", self.cpus.len()),
            format!("--cpus={}", cpus.join(",")),
            "--live=none".to_owned(),
        ];
        self.execute(&args, scratch)?;
        Ok(self.command(args))
    }

    fn run_redis_benchmark(&self, server: &Server, load: &Load, scratch: &Path) -> Result<Measured> {
        if load.rate.is_some() || load.zipf.is_some() || load.requests.is_some() {
            bail!("redis-benchmark knows no fixed rate, Zipf law or number; measure this with loadgen");
        }
        let estimate = self.redis_benchmark(server, load, ESTIMATE_REQUESTS, scratch)?;
        let rate = estimate.figures["ops_s"];
        let requests = format!("{:.0}", (rate * load.window_s).max(ESTIMATE_REQUESTS as f64));
        self.redis_benchmark(server, load, requests.parse().context("a number of requests")?, scratch)
    }

    fn redis_benchmark(
        &self,
        server: &Server,
        load: &Load,
        requests: u64,
        scratch: &Path,
    ) -> Result<Measured> {
        let args: Vec<String> = [
            "-s",
            &server.socket().display().to_string(),
            "-c",
            &load.connections.to_string(),
            "-P",
            &load.pipeline.to_string(),
            "-d",
            &load.value_bytes.to_string(),
            "-r",
            &load.keys.to_string(),
            "-n",
            &requests.to_string(),
            "-t",
            if load.request == Request::Get { "get" } else { "set" },
            "--csv",
        ]
        .map(str::to_owned)
        .into();
        let before = cpu_seconds(server.pid()).context("the server has no CPU time")?;
        let text = self.execute(&args, scratch)?;
        let after = cpu_seconds(server.pid()).context("the server has no CPU time")?;
        let mut figures =
            parse_redis_benchmark(&text).with_context(|| format!("redis-benchmark says: {text}"))?;
        figures.insert("cpu_us_per_op".to_owned(), (after - before) * 1e6 / requests as f64);
        Ok(Measured { figures, doubts: Vec::new(), command: self.command(args) })
    }

    fn command(&self, args: Vec<String>) -> Vec<String> {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        std::iter::once(name).chain(args).collect()
    }

    /// Runs the client to its end and returns what it printed.
    fn execute(&self, args: &[String], scratch: &Path) -> Result<String> {
        let log = scratch.join("client.log");
        let _ = fs::remove_file(&log);
        let mut command = Command::new(&self.program);
        command.args(args).stdin(Stdio::null());
        let mut process = Process::start(&mut command, &self.cpus, &log)
            .with_context(|| format!("{} does not start", self.program.display()))?;
        let started = Instant::now();
        let status = loop {
            if let Some(status) = process.ended()? {
                break status;
            }
            if started.elapsed() > LOAD_TIME_MAX {
                bail!("{} does not end", self.program.display());
            }
            std::thread::sleep(POLL_INTERVAL);
        };
        let text = fs::read_to_string(&log).unwrap_or_default();
        if !status.success() {
            bail!("{} fails: {text}", self.program.display());
        }
        Ok(text)
    }
}

/// The part of a loadgen report that is used here.
#[derive(Debug, Deserialize)]
struct LoadgenReport {
    server: LoadgenServer,
    client: LoadgenClient,
    result: LoadgenResult,
    validity: LoadgenValidity,
}

#[derive(Debug, Deserialize)]
struct LoadgenServer {
    cpu_us_per_op: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct LoadgenClient {
    cpu_us_per_op: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct LoadgenResult {
    ops_s: f64,
    misses: u64,
    errors: LoadgenErrors,
    all: LoadgenLatencies,
}

#[derive(Debug, Deserialize)]
struct LoadgenErrors {
    total: u64,
}

#[derive(Debug, Deserialize)]
struct LoadgenLatencies {
    corrected: Option<LoadgenLatency>,
    service: LoadgenLatency,
}

#[derive(Debug, Deserialize)]
struct LoadgenLatency {
    p50: Option<f64>,
    p99: Option<f64>,
    p99_9: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct LoadgenValidity {
    reasons: Vec<LoadgenReason>,
}

#[derive(Debug, Deserialize)]
struct LoadgenReason {
    text: String,
}

impl LoadgenReport {
    fn figures(&self) -> Figures {
        let latency = self.result.all.corrected.as_ref().unwrap_or(&self.result.all.service);
        let us = |ns: Option<f64>| ns.map(|ns| ns / 1e3);
        [
            ("ops_s", Some(self.result.ops_s)),
            ("cpu_us_per_op", self.server.cpu_us_per_op),
            ("client_cpu_us_per_op", self.client.cpu_us_per_op),
            ("p50_us", us(latency.p50)),
            ("p99_us", us(latency.p99)),
            ("p99_9_us", us(latency.p99_9)),
        ]
        .into_iter()
        .filter_map(|(name, figure)| Some((name.to_owned(), figure?)))
        .collect()
    }

    fn doubts(&self, load: &Load) -> Vec<String> {
        let mut doubts: Vec<String> =
            self.validity.reasons.iter().map(|reason| reason.text.clone()).collect();
        if load.request == Request::Get && self.result.misses > 0 {
            doubts.push(format!("{} GETs found nothing", self.result.misses));
        }
        if self.result.errors.total > 0 {
            doubts.push(format!("{} requests failed", self.result.errors.total));
        }
        doubts
    }
}

/// The CSV of redis-benchmark: a line of names, a line of figures, latencies in ms.
fn parse_redis_benchmark(text: &str) -> Option<Figures> {
    let mut lines = text.lines().filter(|line| line.starts_with('"'));
    let fields = |line: &str| -> Vec<String> {
        line.split(',').map(|field| field.trim_matches('"').to_owned()).collect()
    };
    let (names, values) = (fields(lines.next()?), fields(lines.next()?));
    let value = |name: &str| -> Option<f64> {
        values.get(names.iter().position(|field| field == name)?)?.parse().ok()
    };
    Some(BTreeMap::from([
        ("ops_s".to_owned(), value("rps")?),
        ("p50_us".to_owned(), value("p50_latency_ms")? * 1e3),
        ("p99_us".to_owned(), value("p99_latency_ms")? * 1e3),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_csv_of_redis_benchmark_is_read() {
        let text = "WARNING: x\n\
            \"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\
            \"p99_latency_ms\",\"max_latency_ms\"\n\
            \"GET\",\"277008.31\",\"2.564\",\"0.240\",\"2.311\",\"5.159\",\"6.695\",\"11.015\"\n";
        let figures = parse_redis_benchmark(text).unwrap();
        assert_eq!(figures["ops_s"], 277_008.31);
        assert_eq!(figures["p99_us"], 6695.0);
        assert!(parse_redis_benchmark("Could not connect").is_none());
    }

    #[test]
    fn a_loadgen_report_gives_corrected_latency_where_there_is_one_and_its_doubts() {
        let text = r#"{"schema_version": "1.0", "server": {"cpu_us_per_op": 1.5, "pid": 3},
            "client": {"cpu_us_per_op": null},
            "result": {"ops_s": 10.0, "misses": 2, "errors": {"total": 0}, "all": {
                "corrected": {"p50": 2000, "p99": 5000, "p99_9": null},
                "service": {"p50": 1000, "p99": 1000, "p99_9": 1000}}},
            "validity": {"ok": false, "reasons": [{"code": "x", "text": "too slow"}]}}"#;
        let report: LoadgenReport = serde_json::from_str(text).unwrap();
        let figures = report.figures();
        assert_eq!((figures["p50_us"], figures["cpu_us_per_op"]), (2.0, 1.5));
        assert!(!figures.contains_key("p99_9_us") && !figures.contains_key("client_cpu_us_per_op"));
        let load = Load {
            request: Request::Get,
            pipeline: 1,
            connections: 1,
            keys: 1,
            zipf: None,
            requests: None,
            value_bytes: 1,
            window_s: 1.0,
            warmup_s: 0.0,
            rate: None,
        };
        assert_eq!(report.doubts(&load), ["too slow", "2 GETs found nothing"]);
        assert_eq!(report.doubts(&Load { request: Request::Set, ..load }), ["too slow"]);
    }
}
