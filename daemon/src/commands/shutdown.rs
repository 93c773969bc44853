//! SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]

use resp::Args;

use super::context::{Action, ConnectionContext};
use super::error_text;
use crate::server::{ServerState, ShutdownRequest};

/// SHUTDOWN. What was acknowledged is safe without saving, so SAVE and NOSAVE mean the same.
pub(super) fn shutdown(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let (mut save, mut nosave, mut abort) = (false, false, false);
    let mut request = ShutdownRequest::default();
    for word in args.tail(1).iter() {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        if is(b"NOSAVE") {
            nosave = true;
        } else if is(b"SAVE") {
            save = true;
        } else if is(b"NOW") {
            request.now = true;
        } else if is(b"FORCE") {
            request.force = true;
        } else if is(b"ABORT") {
            abort = true;
        } else {
            ctx.reply.error(error_text::SYNTAX);
            return;
        }
    }
    if (save && nosave) || (abort && (save || nosave || request.now || request.force)) {
        ctx.reply.error(error_text::SYNTAX);
    } else if abort {
        // Stopping begins at once and lasts as long as it takes to finish what was begun.
        let text = match ctx.server.state() {
            ServerState::Stopping => "ERR The shutdown has begun and cannot be aborted.",
            _ => "ERR No shutdown in progress.",
        };
        ctx.reply.error(text);
    } else if ctx.server.shutdown.request(request) {
        *ctx.action = Action::Shutdown(request);
    } else {
        ctx.reply.error("ERR Errors trying to SHUTDOWN. Check logs.");
    }
}
