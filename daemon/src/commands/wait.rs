//! WAIT and WAITAOF: how many copies of what was written are safe. There are no replicas, so no more than our own.

use resp::number::parse_i64_strict;
use resp::{Args, ReplyWriter};

use super::context::{ConnectionContext, KeyContext};
use super::error_text;
use super::integer::integer;
use crate::options::AppendFsync;

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

/// WAITAOF numlocal numreplicas timeout: on each worker 1 when all that was written is durable once the reply leaves,
/// 0 when it is only on its way
pub(super) fn waitaof(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let Some(local) = integer(args.at(1), &mut ctx.reply) else { return };
    if !(0..=1).contains(&local) {
        return ctx.reply.error("ERR value is out of range, value must between 0 and 1");
    }
    let Some(replicas) = integer(args.at(2), &mut ctx.reply) else { return };
    if replicas < 0 {
        return ctx.reply.error(error_text::NOT_POSITIVE);
    }
    if !is_timeout(args.at(3), &mut ctx.reply) {
        return;
    }
    let waits_for_disk = ctx.settings.append_fsync() == AppendFsync::Always;
    let is_durable = match ctx.store.log_mut() {
        None if local == 1 => {
            return ctx
                .reply
                .error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
        }
        None => false,
        Some(log) => {
            let appended = log.appended();
            if log.durable() < appended && !waits_for_disk {
                log.want_durable(appended);
            }
            waits_for_disk || log.durable() >= appended
        }
    };
    ctx.store.wait_for_all();
    ctx.reply.integer(i64::from(is_durable));
}
