//! The scrub on demand: OURO.SCRUB.

use resp::Args;

use super::context::ConnectionContext;
use super::error_text;
use crate::options::Storage;

const IN_MEMORY: &str = "ERR the store is in memory only: there is nothing to scrub";

/// OURO.SCRUB [START | STATUS]. The status is a map of figures, as of the last turn of each worker.
pub(super) fn scrub(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    if ctx.server.options.storage == Storage::Memory {
        ctx.reply.error(IN_MEMORY);
        return;
    }
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    match args.get(1) {
        None => start(ctx),
        Some(word) if args.len() == 2 && is(word, "START") => start(ctx),
        Some(word) if args.len() == 2 && is(word, "STATUS") => status(ctx),
        Some(_) => ctx.reply.error(error_text::SYNTAX),
    }
}

fn start(ctx: &mut ConnectionContext<'_>) {
    ctx.server.ask_for_scrub();
    ctx.reply.ok();
}

fn status(ctx: &mut ConnectionContext<'_>) {
    let figures = ctx.server.scrub_figures();
    let fields = [
        ("asked-shards", figures.asked),
        ("extents-done", figures.done),
        ("extents-total", figures.total),
        ("rounds", figures.rounds),
        ("last-round-ms", figures.last_ms),
        ("bytes-read", figures.read_bytes),
        ("damaged-extents", figures.damaged_extents),
        ("damaged-records", figures.damaged_records),
    ];
    ctx.reply.map(fields.len());
    for (name, value) in fields {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.integer(i64::try_from(value).unwrap_or(i64::MAX));
    }
}
