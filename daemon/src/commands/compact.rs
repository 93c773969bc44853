//! Compaction on demand: OURO.COMPACT, and BGREWRITEAOF as the nearest that Redis has.

use resp::Args;

use super::context::ConnectionContext;
use super::error_text;
use crate::server::Counter;

/// BGREWRITEAOF
pub(super) fn bgrewriteaof(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    if ctx.server.totals().get(Counter::CompactionFullTotal) > 0 {
        ctx.reply.error("ERR Background append only file rewriting already in progress");
        return;
    }
    ctx.server.ask_for_compaction();
    ctx.reply.simple("Background append only file rewriting started");
}

/// OURO.COMPACT [STATUS]. The status is a map of figures, as of the last turn of each worker.
pub(super) fn compact(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    match args.get(1) {
        None => {
            ctx.server.ask_for_compaction();
            ctx.reply.ok();
        }
        Some(word) if args.len() == 2 && word.eq_ignore_ascii_case(b"STATUS") => status(ctx),
        Some(_) => ctx.reply.error(error_text::SYNTAX),
    }
}

fn status(ctx: &mut ConnectionContext<'_>) {
    const FIGURES: [(&str, Counter); 7] = [
        ("running-shards", Counter::CompactionRunning),
        ("full-extents-done", Counter::CompactionFullDone),
        ("full-extents-total", Counter::CompactionFullTotal),
        ("extents-compacted", Counter::CompactionExtents),
        ("bytes-moved", Counter::CompactionMovedBytes),
        ("bytes-reclaimed", Counter::CompactionReclaimedBytes),
        ("damaged-extents", Counter::CompactionDamaged),
    ];
    let totals = ctx.server.totals();
    ctx.reply.map(FIGURES.len());
    for (name, counter) in FIGURES {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.integer(i64::try_from(totals.get(counter)).unwrap_or(i64::MAX));
    }
}
