//! DEBUG, as far as tools and tests of clients use it, for those whom `enable-debug-command` allows it.

use std::time::Duration;

use resp::Args;
use resp::number::parse_i64_strict;

use super::context::{ConnectionContext, KeyContext};
use super::error_text;
use super::object::encoding_of;
use crate::options::DebugCommand;

const REFUSED: &str = "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run \
                       it from a local connection, otherwise you need to set this option in the configuration file, \
                       and then restart the server.";
/// The longest sleep in seconds: a worker that sleeps serves nobody.
const SLEEP_SECONDS_MAX: f64 = 3600.0;

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "OBJECT <key>",
    "    Show low level info about `key` and associated value.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Setting it to 0 disables expiring keys in background when they are not accessed",
    "    (otherwise the Redis behavior). Setting it to 1 reenables back the default.",
    "SLEEP <seconds>",
    "    Stop the worker of the connection for <seconds>. Decimals allowed.",
    "HELP",
    "    Print this help.",
];

/// Whether the client may use DEBUG; if not, the error is written.
pub(super) fn is_allowed(ctx: &mut ConnectionContext<'_>, _: Args<'_>) -> bool {
    let session = &ctx.session;
    let is_loopback = || session.peer.starts_with("127.") || session.peer.starts_with("[::1]:");
    let allowed = match ctx.server.options.debug_command {
        DebugCommand::No => false,
        DebugCommand::Local => session.is_unix || is_loopback(),
        DebugCommand::Yes => true,
    };
    if !allowed {
        ctx.reply.error(REFUSED);
    }
    allowed
}

/// DEBUG HELP
pub(super) fn help(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    if is_allowed(ctx, args) {
        super::help::write(&mut ctx.reply, HELP);
    }
}

/// DEBUG SLEEP seconds
pub(super) fn sleep(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    if !is_allowed(ctx, args) {
        return;
    }
    // As in Redis what is no number is none.
    let text = String::from_utf8_lossy(args.at(2));
    let seconds = text.parse().unwrap_or(0.0_f64);
    if seconds > 0.0 {
        std::thread::sleep(Duration::from_secs_f64(seconds.min(SLEEP_SECONDS_MAX)));
    }
    ctx.reply.ok();
}

/// DEBUG SET-ACTIVE-EXPIRE 0 | 1
pub(super) fn set_active_expire(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    // As in Redis what is no number is 0.
    ctx.store.set_active_expiry(parse_i64_strict(args.at(2)).is_some_and(|number| number != 0));
    ctx.reply.ok();
}

/// DEBUG OBJECT key
pub(super) fn object(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let key = ctx.store.key(args.at(2));
    let Some(found) = ctx.store.lookup(ctx.db, &key, ctx.now) else {
        return ctx.reply.error(error_text::NO_SUCH_KEY);
    };
    let encoding = encoding_of(found.value);
    let text = format!(
        "Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{} lru:0 lru_seconds_idle:0",
        found.value.len() + 1
    );
    ctx.reply.simple(&text);
}
