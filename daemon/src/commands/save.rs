//! Checkpoints on demand, by Redis's names: SAVE, BGSAVE, LASTSAVE.
//!
//! A save is a checkpoint of every shard. With a log it makes nothing safer, for what is acknowledged is durable; it
//! makes the next start short and lets the log go.

use resp::Args;

use super::context::ConnectionContext;
use super::error_text;
use super::integer::count_i64;
use crate::options::Storage;
use crate::server::Server;

const RUNNING: &str = "ERR Background save already in progress";
const NOTHING: &str = "ERR nothing to save to: the store is in memory only (--storage memory)";

/// Claims the save. False: it cannot be, and the error is written.
fn claim(ctx: &mut ConnectionContext<'_>) -> bool {
    if ctx.server.options.storage == Storage::Memory {
        ctx.reply.error(NOTHING);
        return false;
    }
    let begun = ctx.server.saves.begin(ctx.now.0);
    if !begun {
        ctx.reply.error(RUNNING);
    }
    begun
}

/// SAVE: answered when every worker has published its part.
pub(super) fn save(ctx: &mut ConnectionContext<'_>, _: Args<'_>) -> bool {
    claim(ctx)
}

/// BGSAVE [SCHEDULE]. Nothing but another save could be in its way, so that nothing is ever scheduled.
pub(super) fn bgsave(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let scheduled = |word: &[u8]| word.eq_ignore_ascii_case(b"SCHEDULE");
    if args.len() > 2 || args.get(1).is_some_and(|word| !scheduled(word)) {
        ctx.reply.error(error_text::SYNTAX);
    } else if claim(ctx) {
        ctx.reply.simple("Background saving started");
    }
}

/// LASTSAVE: Unix seconds.
pub(super) fn lastsave(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    ctx.reply.integer(count_i64(last_save_ms(ctx.server) / 1000));
}

/// When every shard had a checkpoint last, by a save or of its own accord; the start when there was none since.
pub(super) fn last_save_ms(server: &Server) -> u64 {
    let by_save = server.saves.status().last.map_or(0, |(ms, _)| ms);
    let by_itself = server.workers.iter().map(|worker| worker.figures().checkpointed_ms()).min().unwrap_or(0);
    by_save.max(by_itself).max(server.started().0)
}
