//! MEMORY: what memory is used for. The figures are those of INFO.

use resp::Args;

use super::context::ConnectionContext;
use super::integer::count_i64;
use crate::server::Counter;

/// MEMORY STATS
pub(super) fn stats(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let totals = ctx.server.totals();
    let get = |counter| totals.get(counter);
    let (records, live) = (get(Counter::RecordBytes), get(Counter::LiveBytes));
    let overhead = get(Counter::IndexBytes) + get(Counter::WheelBytes);
    let keys = get(Counter::Keys);
    let figures = [
        ("total.allocated", records + overhead),
        ("overhead.total", overhead),
        ("keys.count", keys),
        ("keys.bytes-per-key", (records + overhead).checked_div(keys).unwrap_or(0)),
        ("dataset.bytes", records),
        ("dataset.live.bytes", live),
        ("index.bytes", get(Counter::IndexBytes)),
        ("wheel.bytes", get(Counter::WheelBytes)),
    ];
    ctx.reply.map(figures.len());
    for (name, figure) in figures {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.integer(count_i64(figure));
    }
}

/// MEMORY DOCTOR
pub(super) fn doctor(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let totals = ctx.server.totals();
    let (records, live) = (totals.get(Counter::RecordBytes), totals.get(Counter::LiveBytes));
    // Extents that are being filled are no waste.
    let filling = (16 << 20) * ctx.server.workers.len() as u64;
    let text = if records > filling && live * 2 < records {
        format!(
            "Less than half of the {records} bytes of records are live ({live} bytes). Compaction wins the rest back; \
             OURO.COMPACT begins it at once.\n"
        )
    } else {
        "No issue with the memory of records is known.\n".to_owned()
    };
    ctx.reply.verbatim("txt", text.as_bytes());
}

/// MEMORY MALLOC-STATS
pub(super) fn malloc_stats(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    ctx.reply.bulk(b"Stats not supported for the current allocator");
}

/// MEMORY PURGE: extents without records go back by themselves
pub(super) fn purge(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    ctx.reply.ok();
}

const HELP: &[&str] = &[
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Return memory problems reports.",
    "MALLOC-STATS",
    "    Return internal statistics report from the memory allocator.",
    "PURGE",
    "    Attempt to purge dirty pages for reclamation by the allocator.",
    "STATS",
    "    Return information about the memory usage of the server.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return memory in bytes used by <key> and its value. Nested values are",
    "    sampled up to <count> times (default: 5, 0 means sample all).",
    "HELP",
    "    Print this help.",
];

/// MEMORY HELP
pub(super) fn help(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    super::help::write(&mut ctx.reply, HELP);
}
