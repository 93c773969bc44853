//! The sections of INFO, each a function that writes its lines.

use std::fmt::{Display, Write as _};

use engine::figures::{ShardFigures, WorkerFigures};
use shard::histogram::Histogram;
use shard::scrub::ScrubFigures;

use super::Facts;
use super::histogram::cumulative;
use super::process::system_name;
use crate::commands::save::last_save_ms;
use crate::commands::table::COMMANDS;
use crate::commands::wal::method_name;
use crate::options::{AppendFsync, Storage, format_days};
use crate::pubsub::Topic;
use crate::server::{Counter, ErrorCode, OURO_VERSION, REDIS_VERSION, ServerState, percentile_us};

fn line(text: &mut String, name: &str, value: impl Display) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{name}:{value}\r\n");
}

/// A size as people read it, in Redis's way: `1.50K`.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let power = (bytes.ilog2() / 10).min(5);
    let hundredths = u128::from(bytes) * 100 / (1_u128 << (10 * power));
    format!("{}.{:02}{}", hundredths / 100, hundredths % 100, UNITS[power as usize - 1])
}

/// A quotient with digits after the point; 0 when there is nothing to divide by.
fn ratio(part: u64, whole: u64, digits: u32) -> String {
    let scale = 10_u128.pow(digits);
    let scaled = (u128::from(part) * scale).checked_div(u128::from(whole)).unwrap_or(0);
    format!("{}.{:0width$}", scaled / scale, scaled % scale, width = digits as usize)
}

fn with_human(text: &mut String, name: &str, bytes: u64) {
    line(text, name, bytes);
    line(text, &format!("{name}_human"), human(bytes));
}

pub(super) fn server(facts: &Facts<'_>, text: &mut String) {
    let (server, options) = (facts.server, &facts.server.options);
    let uptime_seconds = facts.now_ms.saturating_sub(server.started().0) / 1000;
    let executable =
        std::env::current_exe().map_or_else(|_| String::new(), |path| path.display().to_string());
    let config_file =
        options.config_file.as_ref().map_or_else(String::new, |path| path.display().to_string());
    line(text, "redis_version", REDIS_VERSION);
    line(text, "redis_git_sha1", "00000000");
    line(text, "redis_git_dirty", 0);
    line(text, "redis_build_id", 0);
    line(text, "redis_mode", "standalone");
    line(text, "ouro_version", OURO_VERSION);
    line(text, "os", system_name());
    line(text, "arch_bits", usize::BITS);
    line(text, "multiplexing_api", "io_uring");
    line(text, "process_id", std::process::id());
    line(text, "process_supervised", supervised());
    line(text, "run_id", server.run_id());
    line(text, "tcp_port", if options.port == 0 { options.tls_port } else { options.port });
    line(text, "server_time_usec", facts.now_ms.saturating_mul(1000));
    line(text, "uptime_in_seconds", uptime_seconds);
    line(text, "uptime_in_days", uptime_seconds / 86_400);
    line(text, "executable", executable);
    line(text, "config_file", config_file);
    line(text, "io_threads_active", 0);
    let mut listeners = Vec::new();
    for (name, port) in [("tcp", options.port), ("tls", options.tls_port)] {
        if port != 0 {
            let binds: String = options.bind.iter().map(|bind| format!("bind={bind},")).collect();
            listeners.push(format!("name={name},{binds}port={port}"));
        }
    }
    if let Some(path) = &options.unix_socket {
        listeners.push(format!("name=unix,bind={}", path.display()));
    }
    for (index, listener) in listeners.iter().enumerate() {
        line(text, &format!("listener{index}"), listener);
    }
}

/// Whether a service manager listens.
fn supervised() -> &'static str {
    if std::env::var_os("NOTIFY_SOCKET").is_some() { "systemd" } else { "no" }
}

pub(super) fn clients(facts: &Facts<'_>, text: &mut String) {
    line(text, "connected_clients", facts.totals.get(Counter::Connections));
    line(text, "cluster_connections", 0);
    line(text, "maxclients", facts.server.settings.max_clients());
    line(text, "blocked_clients", 0);
    line(text, "tracking_clients", facts.server.onlookers.trackers());
}

/// What the process takes beside what it counts, about: the program itself, its tables and threads. `maxmemory` does not
/// cover it.
const PROCESS_BYTES: u64 = 24 << 20;

pub(super) fn memory(facts: &Facts<'_>, text: &mut String) {
    let (index, records) = (facts.totals.get(Counter::IndexBytes), facts.totals.get(Counter::RecordBytes));
    let index = index + facts.totals.get(Counter::IndexRoundingBytes);
    let wheels = facts.totals.get(Counter::WheelBytes) + facts.totals.get(Counter::DeadlineBytes);
    // In memory-only storage they do not count towards maxmemory.
    let is_disk = facts.server.options.storage == Storage::Disk;
    let workers = if is_disk { facts.totals.get(Counter::WorkerBytes) } else { 0 };
    let (used, process) = (index + records + wheels + workers, &facts.process);
    let cache = facts.totals.get(Counter::CachedBytes);
    with_human(text, "used_memory", used);
    with_human(text, "used_memory_rss", process.resident_bytes);
    with_human(text, "used_memory_peak", process.resident_bytes_max);
    line(text, "used_memory_overhead", index + wheels + workers);
    line(text, "used_memory_startup", PROCESS_BYTES);
    line(text, "used_memory_dataset", records);
    line(text, "used_memory_index", index);
    line(text, "used_memory_deadlines", wheels);
    line(text, "used_memory_extents", records.saturating_sub(cache));
    line(text, "used_memory_read_cache", cache);
    line(text, "used_memory_workers", workers);
    line(text, "used_memory_dataset_live", facts.totals.get(Counter::LiveBytes));
    with_human(text, "total_system_memory", process.machine_bytes);
    with_human(text, "maxmemory", facts.server.settings.max_memory());
    line(text, "maxmemory_policy", facts.server.settings.max_memory_policy());
    line(text, "mem_fragmentation_ratio", ratio(process.resident_bytes, used, 2));
    line(text, "mem_fragmentation_bytes", process.resident_bytes.saturating_sub(used));
    line(text, "mem_allocator", "extents");
    line(text, "lazyfree_pending_objects", 0);
}

pub(super) fn persistence(facts: &Facts<'_>, text: &mut String) {
    let server = facts.server;
    let is_loading = matches!(server.state(), ServerState::Starting | ServerState::Recovering);
    line(text, "loading", u8::from(is_loading));
    line(text, "async_loading", 0);
    let saves = server.saves.status();
    let seconds = |ms: u64| i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    let changes: u64 = server.workers.iter().map(|worker| worker.figures().changes_since_checkpoint()).sum();
    let is_disk = server.options.storage == Storage::Disk;
    let running = saves.began_ms.map_or(-1, |began| seconds(facts.now_ms.saturating_sub(began)));
    line(text, "rdb_changes_since_last_save", if is_disk { changes } else { 0 });
    line(text, "rdb_bgsave_in_progress", u8::from(saves.began_ms.is_some()));
    line(text, "rdb_last_save_time", last_save_ms(server) / 1000);
    // A checkpoint that cannot be written ends the process: one can only be cut short by a stop.
    line(text, "rdb_last_bgsave_status", if saves.failed { "err" } else { "ok" });
    line(text, "rdb_last_bgsave_time_sec", saves.last.map_or(-1, |(_, took)| seconds(took)));
    line(text, "rdb_current_bgsave_time_sec", running);
    line(text, "aof_enabled", u8::from(server.has_log()));
    let rewriting = facts.totals.get(Counter::CompactionFullTotal) > 0;
    line(text, "aof_rewrite_in_progress", u8::from(rewriting));
    line(text, "aof_rewrite_scheduled", 0);
    line(text, "aof_last_bgrewrite_status", "ok");
    // A log that cannot be written ends the process.
    line(text, "aof_last_write_status", "ok");
    line(text, "durability", server.durability_text());
}

pub(super) fn stats(facts: &Facts<'_>, text: &mut String) {
    let get = |counter| facts.totals.get(counter);
    let rates = facts.server.rates(facts.now_ms, &facts.totals);
    line(text, "total_connections_received", get(Counter::ConnectionsAccepted));
    line(text, "total_commands_processed", get(Counter::Commands));
    line(text, "instantaneous_ops_per_sec", rates.commands);
    line(text, "total_net_input_bytes", get(Counter::BytesIn));
    line(text, "total_net_output_bytes", get(Counter::BytesOut));
    line(text, "instantaneous_input_kbps", ratio(rates.bytes_in, 1024, 2));
    line(text, "instantaneous_output_kbps", ratio(rates.bytes_out, 1024, 2));
    line(text, "rejected_connections", get(Counter::ConnectionsRefused));
    line(text, "expired_keys", get(Counter::Expired));
    line(text, "evicted_keys", get(Counter::Evicted));
    line(text, "evicted_clients", get(Counter::OutputLimitClosed));
    line(text, "keyspace_hits", get(Counter::Hits));
    line(text, "keyspace_misses", get(Counter::Misses));
    line(text, "disk_reads", get(Counter::DiskReads));
    line(text, "disk_read_bytes", get(Counter::DiskReadBytes));
    line(text, "disk_waits", get(Counter::DiskWaits));
    line(text, "cached_records", get(Counter::CachedRecords));
    line(text, "cached_bytes", get(Counter::CachedBytes));
    let names = |topic| facts.server.pubsub.names(topic);
    line(text, "pubsub_channels", names(Topic::Channel));
    line(text, "pubsub_patterns", names(Topic::Pattern));
    line(text, "pubsubshard_channels", names(Topic::ShardChannel));
    line(text, "latest_fork_usec", 0);
    line(text, "total_forks", 0);
    line(text, "tracking_total_keys", get(Counter::TrackedKeys));
    line(text, "tracking_total_items", get(Counter::TrackedItems));
    line(text, "tracking_total_prefixes", facts.server.onlookers.prefixes());
    line(text, "total_error_replies", get(Counter::Errors));
    line(text, "total_reads_processed", get(Counter::Receives));
    line(text, "total_writes_processed", get(Counter::Sends));
    line(text, "client_query_buffer_limit_disconnections", get(Counter::QueryLimitClosed));
    line(text, "client_output_buffer_limit_disconnections", get(Counter::OutputLimitClosed));
}

pub(super) fn replication(facts: &Facts<'_>, text: &mut String) {
    line(text, "role", "master");
    line(text, "connected_slaves", 0);
    line(text, "master_failover_state", "no-failover");
    line(text, "master_replid", facts.server.run_id());
    line(text, "master_replid2", "0000000000000000000000000000000000000000");
    line(text, "master_repl_offset", 0);
    line(text, "second_repl_offset", -1);
    line(text, "repl_backlog_active", 0);
}

pub(super) fn cpu(facts: &Facts<'_>, text: &mut String) {
    line(text, "used_cpu_sys", ratio(facts.process.system_us, 1_000_000, 6));
    line(text, "used_cpu_user", ratio(facts.process.user_us, 1_000_000, 6));
    line(text, "used_cpu_sys_children", "0.000000");
    line(text, "used_cpu_user_children", "0.000000");
}

pub(super) fn commandstats(facts: &Facts<'_>, text: &mut String) {
    for command in &COMMANDS {
        let figures = facts.totals.command(command.id);
        if figures.calls + figures.rejected + figures.failed > 0 {
            let duration_us = figures.duration_ns / 1000;
            let each = ratio(figures.duration_ns, figures.calls.saturating_mul(1000), 2);
            let value = format!(
                "calls={},usec={duration_us},usec_per_call={each},rejected_calls={},failed_calls={}",
                figures.calls, figures.rejected, figures.failed
            );
            line(text, &format!("cmdstat_{}", command.name), value);
        }
    }
}

pub(super) fn errorstats(facts: &Facts<'_>, text: &mut String) {
    for code in ErrorCode::ALL {
        let count = facts.totals.errors(code);
        if count > 0 {
            line(text, &format!("errorstat_{}", code.name()), format!("count={count}"));
        }
    }
}

pub(super) fn latencystats(facts: &Facts<'_>, text: &mut String) {
    for command in &COMMANDS {
        let histogram = &facts.totals.command(command.id).latency;
        if histogram.iter().any(|count| *count > 0) {
            let at = |per_mille| percentile_us(histogram, per_mille);
            let value = format!("p50={}.000,p99={}.000,p99.9={}.000", at(500), at(990), at(999));
            line(text, &format!("latency_percentiles_usec_{}", command.name), value);
        }
    }
}

pub(super) fn cluster(_: &Facts<'_>, text: &mut String) {
    line(text, "cluster_enabled", 0);
}

/// What Redis does not have: workers and their logs.
pub(super) fn ouro(facts: &Facts<'_>, text: &mut String) {
    let options = &facts.server.options;
    line(text, "storage", options.storage);
    line(text, "wal", if options.wal { "yes" } else { "no" });
    if options.storage == Storage::Disk {
        let fsync = facts.server.settings.append_fsync();
        let promise = match fsync {
            _ if !options.wal => {
                "a crash takes back what was written since the last checkpoint of each shard"
            }
            AppendFsync::Always => "replies wait until what they tell is durable",
            AppendFsync::Everysec => "a crash of the machine may take back about a second",
            AppendFsync::No => "a crash of the machine may take back what the system had not written",
        };
        line(text, "appendfsync", fsync);
        line(text, "promise", promise);
        if !options.wal {
            let workers = facts.server.workers.iter();
            let since = workers.map(|worker| worker.figures().unsaved_since_ms()).filter(|since| *since > 0);
            let unsaved_ms = since.min().map_or(0, |since| facts.now_ms.saturating_sub(since));
            line(text, "checkpoint_seconds", options.checkpoint_seconds);
            line(text, "unsaved_seconds", unsaved_ms / 1000);
        }
    }
    let total = |counter| facts.totals.get(counter);
    let compaction = format!(
        "running_shards={},extents={},moved_bytes={},reclaimed_bytes={},damaged_extents={},full_done={},full_total={}",
        total(Counter::CompactionRunning),
        total(Counter::CompactionExtents),
        total(Counter::CompactionMovedBytes),
        total(Counter::CompactionReclaimedBytes),
        total(Counter::CompactionDamaged),
        total(Counter::CompactionFullDone),
        total(Counter::CompactionFullTotal),
    );
    line(text, "compaction", compaction);
    if options.storage == Storage::Disk {
        line(text, "data", data_figures(facts));
    }
    if options.storage == Storage::Disk {
        let scrub = facts.server.scrub_figures();
        let value = format!("days={},{}", format_days(options.scrub_ms), scrub_text(&scrub));
        line(text, "scrub", value);
    }
    line(text, "disk_low_workers", total(Counter::DiskLow));
    line(text, "disk_reserve_bytes", total(Counter::DiskReserveBytes));
    line(text, "checkpoints_given_up", total(Counter::CheckpointsGivenUp));
    line(text, "workers", options.workers);
    line(text, "shards", options.shards);
    for (index, worker) in facts.server.workers.iter().enumerate() {
        let get = |counter| worker.get(counter);
        let value = format!(
            "cpu={},connections={},commands={},keys={},turns={},hops_out={},hops_in={},wakes={}",
            options.cpus.get(index).copied().unwrap_or_default(),
            get(Counter::Connections),
            get(Counter::Commands),
            get(Counter::Keys),
            get(Counter::Turns),
            get(Counter::HopsOut),
            get(Counter::HopsIn),
            get(Counter::Wakes),
        );
        line(text, &format!("worker{index}"), value);
        if options.wal {
            let batches = get(Counter::LogBatches);
            let value = format!(
                "batches={batches},records={},bytes={},write_us_avg={},write_us_max={},in_flight={},segments={},\
                 durable_batch={},oldest_unflushed_ms={}",
                get(Counter::LogRecords),
                get(Counter::LogBytes),
                ratio(get(Counter::LogWriteUs), batches, 1),
                get(Counter::LogWriteMaxUs),
                get(Counter::LogInFlight),
                get(Counter::LogSegments),
                get(Counter::LogDurableBatch),
                get(Counter::LogOldestUnflushedMs),
            );
            line(text, &format!("log{index}"), value);
        }
        worker_figures(text, index, &worker.figures());
    }
    for worker in &facts.server.workers {
        for shard in &worker.figures().shards {
            shard_figures(text, shard);
        }
    }
}

/// The share of all values in microseconds below a bound, as `p50`, `p99` and the largest.
fn spread(histogram: &Histogram) -> String {
    let (p50, p99) = (histogram.percentile(500), histogram.percentile(990));
    format!("p50={p50},p99={p99},max={}", histogram.max)
}

/// What a worker's turns and its log's writes and batches are like, since the start.
fn worker_figures(text: &mut String, index: usize, figures: &WorkerFigures) {
    let turns = &figures.turns;
    let value = format!("{},over_20_ms={}", spread(&turns.histogram_us), turns.slow);
    line(text, &format!("worker{index}_turn_us"), value);
    line(text, &format!("worker{index}_turn_us_histogram"), cumulative(&turns.histogram_us));
    let Some(log) = &figures.log else { return };
    let value = format!("method={},{}", method_name(log), spread(&log.stats.flush.histogram_us));
    line(text, &format!("log{index}_flush_us"), value);
    line(text, &format!("log{index}_flush_us_histogram"), cumulative(&log.stats.flush.histogram_us));
    line(text, &format!("log{index}_batch_kib"), spread(&log.stats.batch_kib));
    line(text, &format!("log{index}_batch_kib_histogram"), cumulative(&log.stats.batch_kib));
    let value = format!(
        "file_bytes={},replay_bytes={},generation={},appended_batch={},durable_batch={},rotations={},recycled={}",
        log.file_bytes,
        log.replay_bytes,
        log.generation,
        log.appended.0,
        log.durable.0,
        log.stats.rotations,
        log.stats.recycled,
    );
    line(text, &format!("log{index}_wal"), value);
}

fn shard_figures(text: &mut String, shard: &ShardFigures) {
    let checkpoint = &shard.checkpoint;
    let name = format!("shard{}", shard.shard);
    let value = format!(
        "keys={},extents={},live_bytes={},dead_bytes={},data_file_bytes={},appended_lsn={},released_lsn={},floor_lsn={}",
        shard.keys,
        shard.extents,
        shard.live_bytes,
        shard.dead_bytes,
        shard.data_file_bytes,
        shard.appended.0,
        shard.released.0,
        shard.floor.0,
    );
    line(text, &name, value);
    let value = format!(
        "running={},step={},published={},last_ms={},last_duration_ms={},snapshot_bytes={},entries={}",
        u8::from(checkpoint.running),
        checkpoint.step,
        checkpoint.published,
        checkpoint.last_ms,
        checkpoint.last_duration_ms,
        checkpoint.snapshot_bytes,
        checkpoint.entries,
    );
    line(text, &format!("{name}_checkpoint"), value);
    let amplification = shard.write_amplification_percent();
    let value = format!(
        "running={},victims={},moved_bytes={},reclaimed_bytes={},write_amplification={}",
        shard.compaction.running,
        shard.compaction.extents,
        shard.compaction.moved_bytes,
        shard.compaction.reclaimed_bytes,
        ratio(amplification, 100, 2),
    );
    line(text, &format!("{name}_compaction"), value);
    line(text, &format!("{name}_scrub"), scrub_text(&shard.scrub));
}

/// How far a scrub has come, and what is known to be damaged.
fn scrub_text(scrub: &ScrubFigures) -> String {
    format!(
        "done={},total={},rounds={},last_ms={},read_bytes={},damaged_extents={},damaged_records={}",
        scrub.done,
        scrub.total,
        scrub.rounds,
        scrub.last_ms,
        scrub.read_bytes,
        scrub.damaged_extents,
        scrub.damaged_records,
    )
}

/// What the shards have on disk beside the log, and what it costs to read it back.
fn data_figures(facts: &Facts<'_>) -> String {
    const FIGURES: [(&str, Counter); 14] = [
        ("index_bytes", Counter::IndexBytes),
        ("record_bytes", Counter::RecordBytes),
        ("live_bytes", Counter::LiveBytes),
        ("cache_bytes", Counter::CacheBytes),
        ("cold_waits", Counter::ColdWaits),
        ("cold_reads", Counter::ColdReads),
        ("cold_read_bytes", Counter::ColdReadBytes),
        ("checkpoints", Counter::Checkpoints),
        ("checkpoints_running", Counter::CheckpointsRunning),
        ("data_written_bytes", Counter::DataWrittenBytes),
        ("data_file_bytes", Counter::DataFileBytes),
        ("data_free_bytes", Counter::DataFreeBytes),
        ("data_emptied_bytes", Counter::DataEmptiedBytes),
        ("compaction_read_bytes", Counter::CompactionReadBytes),
    ];
    let figure = |(name, counter)| format!("{name}={}", facts.totals.get(counter));
    FIGURES.map(figure).join(",")
}

pub(super) fn keyspace(facts: &Facts<'_>, text: &mut String) {
    for (number, figures) in
        facts.totals.databases().iter().enumerate().filter(|(_, figures)| figures.keys > 0)
    {
        let (keys, expires) = (figures.keys, figures.deadlines);
        line(text, &format!("db{number}"), format!("keys={keys},expires={expires},avg_ttl=0"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_redis_writes_them() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1536, "1.50K"),
            (1 << 30, "1.00G"),
            (u64::MAX, "16383.99P"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn quotients_have_their_digits() {
        assert_eq!(ratio(1, 3, 2), "0.33");
        assert_eq!(ratio(7, 0, 2), "0.00");
        assert_eq!(ratio(1_500_000, 1_000_000, 6), "1.500000");
    }
}
