//! WAIT and WAITAOF: how many copies of what was written are safe. There are no replicas, so no more than our own.

use resp::number::parse_i64_strict;
use resp::{Args, ReplyWriter};

use super::context::ConnectionContext;
use super::error_text;
use super::integer::integer;

/// Whether the word is a time to wait in milliseconds; if not, the error is written.
fn is_timeout(text: &[u8], reply: &mut ReplyWriter<'_>) -> bool {
    let error = match parse_i64_strict(text) {
        None => "ERR timeout is not an integer or out of range",
        Some(..0) => "ERR timeout is negative",
        Some(_) => return true,
    };
    reply.error(error);
    false
}

/// WAIT numreplicas timeout
pub(super) fn wait(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    if integer(args.at(1), &mut ctx.reply).is_some() && is_timeout(args.at(2), &mut ctx.reply) {
        ctx.reply.integer(0);
    }
}

/// How many milliseconds the client of a WAITAOF waits: `None` as long as it takes.
pub(super) fn patience_ms(args: Args<'_>) -> Option<u64> {
    let ms = args.get(3).and_then(parse_i64_strict)?;
    u64::try_from(ms).ok().filter(|ms| *ms > 0)
}

/// WAITAOF numlocal numreplicas timeout: whether there is a log to make durable; if not, the reply is written
pub(super) fn waitaof(ctx: &mut ConnectionContext<'_>, args: Args<'_>) -> bool {
    let Some(local) = integer(args.at(1), &mut ctx.reply) else { return false };
    if !(0..=1).contains(&local) {
        ctx.reply.error("ERR value is out of range, value must between 0 and 1");
        return false;
    }
    let Some(replicas) = integer(args.at(2), &mut ctx.reply) else { return false };
    if replicas < 0 {
        ctx.reply.error(error_text::NOT_POSITIVE);
        return false;
    }
    if !is_timeout(args.at(3), &mut ctx.reply) {
        return false;
    }
    if ctx.server.has_log() {
        return true;
    }
    if local == 1 {
        ctx.reply.error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
    } else {
        ctx.reply.array(2);
        ctx.reply.integer(0);
        ctx.reply.integer(0);
    }
    false
}
