//! SLOWLOG: the commands that took long, of all workers together.

use resp::Args;
use resp::number::parse_i64_strict;

use super::context::ConnectionContext;
use super::error_text;
use super::integer::{count_i64, len_i64};

/// Entries of SLOWLOG GET when nobody says how many.
const COUNT_DEFAULT: usize = 10;

const HELP: &[&str] = &[
    "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
    "HELP",
    "    Print this help.",
];

/// SLOWLOG HELP
pub(super) fn help(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    super::help::write(&mut ctx.reply, HELP);
}

/// SLOWLOG GET [count]
pub(super) fn get(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    if args.len() > 3 {
        return error_text::wrong_subcommand(&mut ctx.reply, args);
    }
    let count = match args.get(2).map(parse_i64_strict) {
        None => COUNT_DEFAULT,
        Some(Some(-1)) => usize::MAX,
        Some(count) => match count.map(usize::try_from) {
            Some(Ok(count)) => count,
            _ => return ctx.reply.error("ERR count should be greater than or equal to -1"),
        },
    };
    let entries = ctx.server.slow_logs.newest(count.min(ctx.server.settings.slow_log_len()));
    ctx.reply.array(entries.len());
    for entry in &entries {
        ctx.reply.array(6);
        ctx.reply.integer(count_i64(entry.id));
        ctx.reply.integer(count_i64(entry.at.0 / 1000));
        ctx.reply.integer(count_i64(entry.duration_us));
        ctx.reply.array(entry.args.len());
        for arg in &entry.args {
            ctx.reply.bulk(arg);
        }
        ctx.reply.bulk(&entry.peer);
        ctx.reply.bulk(&entry.name);
    }
}

/// SLOWLOG LEN
pub(super) fn len(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let len = ctx.server.slow_logs.len().min(ctx.server.settings.slow_log_len());
    ctx.reply.integer(len_i64(len));
}

/// SLOWLOG RESET
pub(super) fn reset(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    ctx.server.slow_logs.clear();
    ctx.reply.ok();
}
