//! The write-ahead log and the disk as an operator sees them: OURO.WAL, OURO.DISKUSAGE.
//!
//! The figures are gathered where they are: every worker answers for itself, at one moment each.

use engine::figures::{LogFigures, ShardFigures, WorkerFigures};
use resp::Args;

use super::context::{ConnectionContext, KeyContext};
use super::error_text;
use super::integer::count_i64;

const NO_LOG: &str = "ERR there is no write-ahead log (--wal no)";

/// Whether there is a log to do something to; if not, the error is written.
pub(super) fn check_log(ctx: &mut ConnectionContext<'_>, _: Args<'_>) -> bool {
    let has_log = ctx.server.has_log();
    if !has_log {
        ctx.reply.error(NO_LOG);
    }
    has_log
}

/// Whoever asks for something to be done to the log waits for as long as it takes.
pub(super) const fn patience_ms(_: Args<'_>) -> Option<u64> {
    None
}

fn figures(ctx: &KeyContext<'_>) -> WorkerFigures {
    WorkerFigures::collect(ctx.store, Default::default())
}

fn numbers(ctx: &mut KeyContext<'_>, fields: &[(&str, u64)]) {
    for (name, value) in fields {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.integer(count_i64(*value));
    }
}

/// OURO.WAL STATUS: a map for each log.
pub(super) fn status(ctx: &mut KeyContext<'_>, _: Args<'_>) {
    let WorkerFigures { shards, log, .. } = figures(ctx);
    let Some(log) = log else {
        ctx.reply.error(NO_LOG);
        return;
    };
    let LogFigures { stats, .. } = &log;
    let flush = &stats.flush.histogram_us;
    let fields = [
        ("log", log.log.into()),
        ("file-bytes", log.file_bytes),
        ("replay-bytes", log.replay_bytes),
        ("segments", log.segments),
        ("generation", log.generation),
        ("appended-batch", log.appended.0),
        ("durable-batch", log.durable.0),
        ("in-flight", stats.in_flight as u64),
        ("batches", stats.batches),
        ("records", stats.records),
        ("written-bytes", stats.written_bytes),
        ("rotations", stats.rotations),
        ("recycled", stats.recycled),
        ("flush-us-p50", flush.percentile(500)),
        ("flush-us-p99", flush.percentile(990)),
        ("flush-us-max", flush.max),
    ];
    ctx.reply.map(fields.len() + 3);
    numbers(ctx, &fields);
    ctx.reply.bulk(b"sync-method");
    ctx.reply.bulk(method_name(&log).as_bytes());
    ctx.reply.bulk(b"sync-policy");
    ctx.reply.bulk(policy_name(&log).as_bytes());
    ctx.reply.bulk(b"shards");
    ctx.reply.array(shards.len());
    for shard in &shards {
        let fields = [
            ("shard", shard.shard.into()),
            ("appended-lsn", shard.appended.0),
            ("released-lsn", shard.released.0),
            ("floor-lsn", shard.floor.0),
            ("checkpointed-lsn", shard.checkpointed.0),
        ];
        ctx.reply.map(fields.len());
        numbers(ctx, &fields);
    }
}

/// How a log makes batches durable, in a word.
pub(super) const fn method_name(log: &LogFigures) -> &'static str {
    match log.sync {
        shard::log::SyncMethod::Dsync => "dsync",
        shard::log::SyncMethod::Fdatasync => "fdatasync",
    }
}

const fn policy_name(log: &LogFigures) -> &'static str {
    match log.policy {
        shard::log::SyncPolicy::EveryBatch => "always",
        shard::log::SyncPolicy::EverySecond => "everysec",
        shard::log::SyncPolicy::Never => "no",
    }
}

/// OURO.WAL SIZE: bytes of all segment files; 0 without a log.
pub(super) fn size(ctx: &mut KeyContext<'_>, _: Args<'_>) {
    let bytes = ctx.store.log().map_or(0, shard::log::Log::bytes_in_use);
    ctx.reply.integer(count_i64(bytes));
}

/// OURO.DISKUSAGE: a map for each worker, with a map for each of its shards.
pub(super) fn disk_usage(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    if args.len() > 1 {
        ctx.reply.error(error_text::SYNTAX);
        return;
    }
    let worker = figures(ctx);
    let sum = |of: fn(&ShardFigures) -> u64| worker.shards.iter().map(of).sum::<u64>();
    let fields = [
        ("bytes", worker.disk_bytes()),
        ("wal-bytes", worker.log.map_or(0, |log| log.file_bytes)),
        ("data-file-bytes", sum(|shard| shard.data_file_bytes)),
        ("snapshot-bytes", sum(|shard| shard.checkpoint.snapshot_bytes)),
        ("live-bytes", sum(|shard| shard.live_bytes)),
        ("dead-bytes", sum(|shard| shard.dead_bytes)),
    ];
    ctx.reply.map(fields.len() + 1);
    numbers(ctx, &fields);
    ctx.reply.bulk(b"shards");
    ctx.reply.array(worker.shards.len());
    for shard in &worker.shards {
        let fields = [
            ("shard", shard.shard.into()),
            ("keys", shard.keys),
            ("extents", shard.extents),
            ("live-bytes", shard.live_bytes),
            ("dead-bytes", shard.dead_bytes),
            ("data-file-bytes", shard.data_file_bytes),
            ("free-places", shard.free_places),
            ("emptied-bytes", shard.emptied_bytes),
            ("snapshot-bytes", shard.checkpoint.snapshot_bytes),
        ];
        ctx.reply.map(fields.len());
        numbers(ctx, &fields);
    }
}

const HELP: &[&str] = &[
    "OURO.WAL <subcommand>. Subcommands are:",
    "CLEAR",
    "    Make the log small: a checkpoint of all shards, then every segment that is not needed is deleted. Nothing is",
    "    lost.",
    "ROTATE",
    "    Go on in the next segment of every log.",
    "SIZE",
    "    Return the bytes of all segment files.",
    "STATUS",
    "    Return the figures of every log and of its shards.",
    "HELP",
    "    Print this help.",
];

/// OURO.WAL HELP
pub(super) fn help(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    super::help::write(&mut ctx.reply, HELP);
}
