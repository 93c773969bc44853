//! What test suites and clients call before they begin, and finds nothing to do here: there are no scripts and no
//! functions, so none are left after a flush. And LOLWUT.

use resp::Args;

use super::context::ConnectionContext;

fn flush(ctx: &mut ConnectionContext<'_>, args: Args<'_>, error: &str) {
    let known = |word: &[u8]| word.eq_ignore_ascii_case(b"SYNC") || word.eq_ignore_ascii_case(b"ASYNC");
    if args.len() == 2 || (args.len() == 3 && known(args.at(2))) {
        ctx.reply.ok();
    } else {
        ctx.reply.error(error);
    }
}

/// SCRIPT FLUSH [SYNC | ASYNC]
pub(super) fn script_flush(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    flush(ctx, args, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
}

/// FUNCTION FLUSH [SYNC | ASYNC]
pub(super) fn function_flush(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    flush(ctx, args, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
}

/// LOLWUT [VERSION version]
pub(super) fn lolwut(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let text = concat!(
        "      .-~~~-.\n",
        "   .-~  _    ~-.\n",
        "  (   (o_)=<    )   the log that eats its tail\n",
        "   `-.       .-'\n",
        "      `~---~'\n",
        "Ouro ver. ",
        env!("CARGO_PKG_VERSION"),
        "\n"
    );
    ctx.reply.verbatim("txt", text.as_bytes());
}
