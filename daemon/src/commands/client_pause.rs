//! CLIENT PAUSE and UNPAUSE: every worker is told before the answer comes, so that after it no command that waits is
//! begun anywhere.

use resp::Args;
use resp::number::parse_i64_strict;

use super::context::{ConnectionContext, KeyContext};
use super::error_text;
use crate::server::PauseKind;

/// CLIENT PAUSE milliseconds [WRITE | ALL]. True: the pause is in force, and the workers have to be told.
pub(super) fn pause(ctx: &mut ConnectionContext<'_>, args: Args<'_>) -> bool {
    let kind = match args.get(3) {
        None => PauseKind::All,
        Some(_) if args.len() > 4 => {
            error_text::wrong_subcommand(&mut ctx.reply, args);
            return false;
        }
        Some(mode) if mode.eq_ignore_ascii_case(b"all") => PauseKind::All,
        Some(mode) if mode.eq_ignore_ascii_case(b"write") => PauseKind::Writes,
        Some(_) => {
            ctx.reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL");
            return false;
        }
    };
    let Some(milliseconds) = parse_i64_strict(args.at(2)) else {
        ctx.reply.error("ERR timeout is not an integer or out of range");
        return false;
    };
    let Ok(milliseconds) = u64::try_from(milliseconds) else {
        ctx.reply.error("ERR timeout is negative");
        return false;
    };
    let now_ns = ring::monotonic_ns();
    let until_ns = now_ns.saturating_add(milliseconds.saturating_mul(1_000_000));
    ctx.server.pause.begin(now_ns, until_ns, kind);
    true
}

/// CLIENT UNPAUSE
pub(super) fn unpause(ctx: &mut ConnectionContext<'_>, _: Args<'_>) -> bool {
    ctx.server.pause.end();
    true
}

/// What a worker does about either: it looks at the pause before its next command anyway.
pub(super) fn apply(ctx: &mut KeyContext<'_>, _: Args<'_>) {
    ctx.reply.ok();
}
