//! SWAPDB: refused, with the reason, until a change of several shards can be made all or nothing.

use resp::Args;
use resp::number::parse_i64_strict;

use super::context::ConnectionContext;
use super::error_text;

const NOT_YET: &str = "ERR SWAPDB is not there yet: a database lies on several shards, and a crash in the middle would \
                       leave some of them swapped";

/// SWAPDB index index
pub(super) fn swapdb(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let number = |text: &[u8]| parse_i64_strict(text).filter(|number| i32::try_from(*number).is_ok());
    let (Some(first), second) = (number(args.at(1)), number(args.at(2))) else {
        return ctx.reply.error("ERR invalid first DB index");
    };
    let Some(second) = second else { return ctx.reply.error("ERR invalid second DB index") };
    let settings = &ctx.server.settings;
    let (Some(first), Some(second)) = (settings.database(first), settings.database(second)) else {
        return ctx.reply.error(error_text::DB_INDEX_RANGE);
    };
    // A database swapped with itself is what it was.
    if first == second {
        ctx.reply.ok();
    } else {
        ctx.reply.error(NOT_YET);
    }
}
