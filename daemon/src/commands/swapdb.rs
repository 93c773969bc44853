//! SWAPDB: two databases change their numbers. Which ones is decided here; how, in `connection/swapping.rs`.

use resp::Args;
use resp::number::parse_i64_strict;
use shard::types::Db;

use super::context::ConnectionContext;
use super::error_text;

/// SWAPDB index index: the two databases, unless it is answered
pub(super) fn swapdb(ctx: &mut ConnectionContext<'_>, args: Args<'_>) -> Option<(Db, Db)> {
    let number = |text: &[u8]| parse_i64_strict(text).filter(|number| i32::try_from(*number).is_ok());
    let Some(first) = number(args.at(1)) else {
        ctx.reply.error("ERR invalid first DB index");
        return None;
    };
    let Some(second) = number(args.at(2)) else {
        ctx.reply.error("ERR invalid second DB index");
        return None;
    };
    let settings = &ctx.server.settings;
    let (Some(first), Some(second)) = (settings.database(first), settings.database(second)) else {
        ctx.reply.error(error_text::DB_INDEX_RANGE);
        return None;
    };
    // A database swapped with itself is what it was.
    if first == second {
        ctx.reply.ok();
        return None;
    }
    Some((first, second))
}
