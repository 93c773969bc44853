//! GET /metrics: all figures there are, for Prometheus.
//!
//! Every figure of a worker has its label `worker`; commands are added up over the workers, and only those are told
//! that were ever called, as in INFO commandstats. Durations are in seconds, sizes in bytes. CONFIG RESETSTAT sets
//! totals back, which Prometheus takes for a start anew.

use shard::types::UnixMs;

use super::exposition::{CONTENT_TYPE, Exposition, Kind, Seconds};
use super::health::state_name;
use super::http_response::{Response, StatusCode};
use super::process_figures::ProcessFigures;
use super::storage_metrics;
use crate::commands::COMMANDS;
use crate::server::{
    CommandSnapshot, Counter, ErrorCode, OURO_VERSION, REDIS_VERSION, Server, ServerState, WorkerSnapshot,
};

/// The answer at this time.
pub(super) fn metrics(server: &Server, now: UnixMs, process: &ProcessFigures) -> Response {
    let workers: Vec<WorkerSnapshot> = server.workers.iter().map(|stats| stats.snapshot()).collect();
    let mut totals = WorkerSnapshot::default();
    for worker in &workers {
        totals.add(worker);
    }
    let mut text = Exposition::default();
    write_server(&mut text, server, now);
    write_workers(&mut text, &workers);
    storage_metrics::write(&mut text, server);
    write_errors(&mut text, &totals);
    write_commands(&mut text, &totals);
    write_process(&mut text, process, server.started());
    Response { status: StatusCode::Ok, content_type: CONTENT_TYPE, body: text.finish() }
}

fn write_server(text: &mut Exposition, server: &Server, now: UnixMs) {
    text.family("ouro_build_info", Kind::Gauge, "Versions, as labels.");
    text.sample(&[("version", OURO_VERSION), ("redis_version", REDIS_VERSION)], 1);
    text.family("ouro_server_info", Kind::Gauge, "What this run was started with, as labels.");
    let (storage, fsync) = (server.options.storage.to_string(), server.settings.append_fsync().to_string());
    let labels = [
        ("run_id", server.run_id()),
        ("storage", &storage),
        ("wal", if server.options.wal { "yes" } else { "no" }),
        ("appendfsync", &fsync),
        ("durability", &server.durability_text()),
    ];
    text.sample(&labels, 1);
    text.family("ouro_state", Kind::Gauge, "1 for what the server is doing, 0 for what it is not.");
    let state = server.state();
    for of in [ServerState::Starting, ServerState::Recovering, ServerState::Serving, ServerState::Stopping] {
        text.sample(&[("state", state_name(of))], u8::from(of == state));
    }
    text.family("ouro_uptime_seconds", Kind::Gauge, "Time since the start.");
    text.sample(&[], Seconds::Milli(now.0.saturating_sub(server.started().0)));
    text.family("ouro_connections_max", Kind::Gauge, "Most clients at one time (maxclients).");
    text.sample(&[], server.settings.max_clients());
}

/// How a worker's figure is told.
struct Told {
    name: String,
    kind: Kind,
    value: fn(u64) -> String,
}

/// Name, kind and unit of a worker's figure. Its own name ends in its unit; Prometheus wants seconds.
fn told(counter: Counter) -> Told {
    // The longest of its kind is set back like a total, but is none.
    let kind =
        if counter.is_gauge() || counter == Counter::LogWriteMaxUs { Kind::Gauge } else { Kind::Counter };
    let name = counter.name();
    let (stem, value): (String, fn(u64) -> String) = if counter == Counter::HeartbeatMs {
        ("heartbeat_timestamp_seconds".into(), |ms| Seconds::Milli(ms).to_string())
    } else if let Some(stem) = name.strip_suffix("_us") {
        (format!("{stem}_seconds"), |us| Seconds::Micro(us).to_string())
    } else if let Some(stem) = name.strip_suffix("_ms") {
        (format!("{stem}_seconds"), |ms| Seconds::Milli(ms).to_string())
    } else {
        (name.into(), |number| number.to_string())
    };
    let total = if kind == Kind::Counter { "_total" } else { "" };
    Told { name: format!("ouro_{stem}{total}"), kind, value }
}

fn write_workers(text: &mut Exposition, workers: &[WorkerSnapshot]) {
    for &counter in Counter::ALL {
        let Told { name, kind, value } = told(counter);
        text.family(&name, kind, help(counter));
        for (worker, snapshot) in workers.iter().enumerate() {
            text.sample(&[("worker", &worker.to_string())], value(snapshot.get(counter)));
        }
    }
}

const fn help(counter: Counter) -> &'static str {
    match counter {
        Counter::Commands => "Commands run.",
        Counter::Errors => "Error replies.",
        Counter::ConnectionsAccepted => "Connections accepted.",
        Counter::ConnectionsRefused => "Connections refused because there were too many.",
        Counter::TlsHandshakes => "TLS handshakes done.",
        Counter::TlsErrors => "TLS connections closed because of what their client sent or showed.",
        Counter::OutputLimitClosed => "Connections closed because of too much unsent output.",
        Counter::QueryLimitClosed => "Connections closed because of a request that was too large.",
        Counter::Connections => "Connections now open.",
        Counter::BytesIn => "Bytes received from clients.",
        Counter::BytesOut => "Bytes sent to clients.",
        Counter::Receives => "Receives completed.",
        Counter::Sends => "Sends completed.",
        Counter::Hits => "Look-ups by reading commands that found their key.",
        Counter::Misses => "Look-ups by reading commands that did not find their key.",
        Counter::DiskReads => "Records read from disk for commands.",
        Counter::DiskReadBytes => "Bytes read from disk for commands.",
        Counter::DiskWaits => "Commands that had to wait for records on disk.",
        Counter::CachedRecords => "Records read from disk that are kept in memory.",
        Counter::CachedBytes => "Memory of records that were read from disk.",
        Counter::DeadlineBytes => "Memory of what is known of the deadlines of records on disk.",
        Counter::Expired => "Keys deleted because their time had come.",
        Counter::Keys => "Keys there are.",
        Counter::KeysWithDeadline => "Keys with a deadline.",
        Counter::IndexBytes => "Memory of the index.",
        Counter::IndexRoundingBytes => "Memory that the allocator adds to the index.",
        Counter::WorkerBytes => "Memory of buffers, connections, and what waits for the log.",
        Counter::RecordBytes => "Memory of records.",
        Counter::LiveBytes => "Memory of records that are live.",
        Counter::HopsOut => "Commands sent on to the worker that owns their key.",
        Counter::HopsIn => "Commands run for clients of other workers.",
        Counter::Turns => "Turns of the worker's loop.",
        Counter::ColdWaits => "Commands that waited for a record on disk.",
        Counter::ColdReads => "Reads of records from data files.",
        Counter::ColdReadBytes => "Bytes that reads of records brought.",
        Counter::CacheBytes => "Memory of records kept because they were read.",
        Counter::Checkpoints => "Checkpoints of shards published.",
        Counter::CheckpointsRunning => "Shards of which a checkpoint runs.",
        Counter::DataWrittenBytes => "Bytes written to data files.",
        Counter::DataFileBytes => "Bytes of data files, free places included.",
        Counter::DataFreeBytes => "Bytes of free places in data files.",
        Counter::DataEmptiedBytes => "Bytes of data files in emptied extents that wait for a checkpoint.",
        Counter::CompactionReadBytes => "Bytes that compaction read from data files.",
        Counter::Wakes => "Wake-ups sent to other workers.",
        Counter::LogBatches => "Batches written to the log.",
        Counter::LogRecords => "Records written to the log.",
        Counter::LogBytes => "Bytes written to the log, padding included.",
        Counter::LogWriteUs => "Time that log writes took, added up.",
        Counter::LogWriteMaxUs => "Longest log write since the figures were set back.",
        Counter::LogInFlight => "Log batches now in flight.",
        Counter::LogSegments => "Segment files of the log.",
        Counter::LogDurableBatch => "Number of the last log batch that is durable.",
        Counter::LogOldestUnflushedMs => "Age of the oldest log batch not yet durable.",
        Counter::HeartbeatMs => "Wall clock of the worker's last sign of life.",
        #[allow(
            unreachable_patterns,
            reason = "a new figure is told at once, and explained when it is listed here"
        )]
        _ => "See the source of ourod.",
    }
}

fn write_errors(text: &mut Exposition, totals: &WorkerSnapshot) {
    text.family("ouro_error_replies_by_code_total", Kind::Counter, "Error replies by their first word.");
    for code in ErrorCode::ALL {
        text.sample(&[("code", code.name())], totals.errors(code));
    }
}

fn write_commands(text: &mut Exposition, totals: &WorkerSnapshot) {
    let used: Vec<(&str, &CommandSnapshot)> = COMMANDS
        .iter()
        .map(|command| (command.name, totals.command(command.id)))
        .filter(|(_, figures)| figures.calls > 0 || figures.rejected > 0)
        .collect();
    let mut total = |name: &str, help: &str, value: fn(&CommandSnapshot) -> u64| {
        text.family(name, Kind::Counter, help);
        for (command, figures) in &used {
            text.sample(&[("command", command)], value(figures));
        }
    };
    total("ouro_command_calls_total", "Runs of a command.", |figures| figures.calls);
    total("ouro_command_rejected_total", "Commands refused before they ran.", |figures| figures.rejected);
    total("ouro_command_failed_total", "Runs of a command that answered an error.", |figures| figures.failed);
    let help = "Time that running a command took, without waiting for the log or for the client.";
    text.family("ouro_command_duration_seconds", Kind::Histogram, help);
    for (command, figures) in &used {
        text.histogram(&[("command", command)], &figures.latency, Seconds::Nano(figures.duration_ns));
    }
}

/// By the names that Prometheus's own libraries give these.
fn write_process(text: &mut Exposition, process: &ProcessFigures, started: UnixMs) {
    let mut figure = |name: &str, kind: Kind, help: &str, value: Option<u64>| {
        if let Some(value) = value {
            text.family(name, kind, help);
            text.sample(&[], value);
        }
    };
    figure("process_resident_memory_bytes", Kind::Gauge, "Memory in use.", process.resident_bytes);
    let help = "Most memory that was ever in use.";
    figure("process_resident_memory_max_bytes", Kind::Gauge, help, process.resident_bytes_max);
    figure("process_virtual_memory_bytes", Kind::Gauge, "Address space.", process.virtual_bytes);
    figure("process_threads", Kind::Gauge, "Threads.", process.threads);
    figure("process_open_fds", Kind::Gauge, "Open descriptors.", process.open_fds);
    figure("process_max_fds", Kind::Gauge, "Most descriptors that may be open.", process.fds_max);
    if let Some(cpu_ms) = process.cpu_ms {
        text.family("process_cpu_seconds_total", Kind::Counter, "Processor time, user and system.");
        text.sample(&[], Seconds::Milli(cpu_ms));
    }
    text.family("process_start_time_seconds", Kind::Gauge, "When it was started, in Unix time.");
    text.sample(&[], Seconds::Milli(started.0));
}

#[cfg(test)]
mod tests {
    use super::super::exposition_check::Parsed;
    use super::*;
    use crate::commands::lookup_command;
    use crate::options::Options;
    use crate::server::WorkerCounters;

    fn busy_server() -> Server {
        let (server, _requests) =
            Server::new(Options { workers: 2, ..Options::for_tests() }, [7; 20], UnixMs(5_000));
        server.set_sync_text("O_DSYNC \"fast\"\n72 us".into());
        let (get, set) = (lookup_command(b"get").unwrap(), lookup_command(b"set").unwrap());
        for (worker, stats) in server.workers.iter().enumerate() {
            let mut counters = WorkerCounters::default();
            counters.add(Counter::BytesIn, 100 + worker as u64);
            counters.set(Counter::HeartbeatMs, 8_999);
            counters.add(Counter::LogWriteUs, 1_500_000);
            counters.raise(Counter::LogWriteMaxUs, 900);
            counters.note_calls(get.id, 10, 10 * 3_000);
            counters.note_rejected(set.id, b"-MISCONF no\r\n");
            stats.publish(&mut counters);
        }
        server
    }

    #[test]
    fn text_parses_as_prometheus_exposition_with_the_right_values() {
        let response = metrics(&busy_server(), UnixMs(9_250), &ProcessFigures::read());
        assert_eq!((response.status, response.content_type), (StatusCode::Ok, CONTENT_TYPE));
        let parsed = Parsed::parse(&response.body);
        for (sample, value) in [
            ("ouro_net_input_bytes_total{worker=\"0\"}", "100"),
            ("ouro_net_input_bytes_total{worker=\"1\"}", "101"),
            ("ouro_heartbeat_timestamp_seconds{worker=\"1\"}", "8.999"),
            ("ouro_log_write_seconds_total{worker=\"0\"}", "1.500000"),
            ("ouro_log_write_max_seconds{worker=\"0\"}", "0.000900"),
            ("ouro_uptime_seconds", "4.250"),
            ("ouro_state{state=\"starting\"}", "1"),
            ("ouro_state{state=\"serving\"}", "0"),
            ("ouro_command_calls_total{command=\"get\"}", "20"),
            ("ouro_command_rejected_total{command=\"set\"}", "2"),
            ("ouro_command_duration_seconds_count{command=\"get\"}", "20"),
            ("ouro_command_duration_seconds_sum{command=\"get\"}", "0.000060000"),
            ("ouro_command_duration_seconds_bucket{command=\"get\",le=\"0.000002\"}", "0"),
            ("ouro_command_duration_seconds_bucket{command=\"get\",le=\"0.000004\"}", "20"),
            ("ouro_error_replies_by_code_total{code=\"MISCONF\"}", "2"),
            ("process_start_time_seconds", "5.000"),
        ] {
            assert_eq!(parsed.value(sample), Some(value), "{sample}\n{}", response.body);
        }
        assert!(!response.body.contains("command=\"mget\""), "never called, never told");
        assert_eq!(parsed.kind("ouro_command_duration_seconds"), Some("histogram"));
        assert_eq!(parsed.kind("ouro_log_write_max_seconds"), Some("gauge"));
    }

    #[test]
    fn every_figure_of_a_worker_is_told_in_base_units() {
        let parsed = Parsed::parse(&metrics(&busy_server(), UnixMs(0), &ProcessFigures::default()).body);
        for &counter in Counter::ALL {
            let Told { name, kind, .. } = told(counter);
            assert!(!name.contains("_us") && !name.contains("_ms"), "{name}");
            assert!(parsed.value(&format!("{name}{{worker=\"1\"}}")).is_some(), "{name}");
            assert_eq!(parsed.kind(&name), Some(if kind == Kind::Counter { "counter" } else { "gauge" }));
        }
    }
}
