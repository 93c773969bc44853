//! INFO

use resp::Args;

use super::context::ConnectionContext;

/// INFO [section ...]
pub(super) fn info(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    ctx.reply.verbatim("txt", b"");
}
