//! CLIENT: what a session says of itself, and the list of all sessions.

use std::io::Write as _;

use resp::Args;
use resp::number::parse_i64_strict;
use shard::types::UnixMs;

use super::context::ConnectionContext;
use super::error_text;
use super::integer::count_i64;
use super::table::COMMANDS;
use crate::session::{Replies, Session};
use crate::tracking::TrackingMode;

/// A name that would break the lines of CLIENT LIST.
pub(super) const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";

const HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GETNAME",
    "    Return the name of the current connection.",
    "CACHING (YES|NO)",
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made from the specified address",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "    * ID <client-id>",
    "      Kill the connection with this ID.",
    "    * MAXAGE <maxage>",
    "      Kill connections that are at least <maxage> seconds old.",
    "LIST [options ...]",
    "    Return information about client connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "    * ID id [id ...]",
    "      Return clients with these IDs.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are:",
    "    * LIB-NAME: the client lib name.",
    "    * LIB-VER: the client lib version.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Control server assisted client side caching.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "NO-TOUCH (ON|OFF)",
    "    Will not touch LRU/LFU stats when this mode is on.",
    "HELP",
    "    Print this help.",
];

/// Whether all bytes are visible: what names may consist of.
pub(super) fn is_printable(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

/// CLIENT HELP
pub(super) fn help(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    super::help::write(&mut ctx.reply, HELP);
}

/// CLIENT ID
pub(super) fn id(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    ctx.reply.integer(count_i64(ctx.session.id));
}

/// CLIENT GETNAME
pub(super) fn getname(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    if ctx.session.name.is_empty() {
        ctx.reply.null();
    } else {
        ctx.reply.bulk(&ctx.session.name);
    }
}

/// CLIENT SETNAME name
pub(super) fn setname(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    if is_printable(args.at(2)) {
        ctx.session.name = args.at(2).to_vec();
        ctx.reply.ok();
    } else {
        ctx.reply.error(BAD_NAME);
    }
}

/// CLIENT SETINFO LIB-NAME name | LIB-VER version
pub(super) fn setinfo(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let (attribute, value) = (args.at(2), args.at(3));
    let (place, name) = if attribute.eq_ignore_ascii_case(b"lib-name") {
        (&mut ctx.session.library_name, "lib-name")
    } else if attribute.eq_ignore_ascii_case(b"lib-ver") {
        (&mut ctx.session.library_version, "lib-ver")
    } else {
        ctx.reply.error_parts(&[b"ERR Unrecognized option '", error_text::until_nul(attribute), b"'"]);
        return;
    };
    if is_printable(value) {
        *place = value.to_vec();
        ctx.reply.ok();
    } else {
        let why = b" cannot contain spaces, newlines or special characters.";
        ctx.reply.error_parts(&[b"ERR ", name.as_bytes(), why]);
    }
}

/// CLIENT INFO
pub(super) fn info(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let mut line = Vec::new();
    write_line(ctx.session, ctx.now, &mut line);
    ctx.reply.verbatim("txt", &line);
}

/// CLIENT REPLY ON | OFF | SKIP
pub(super) fn reply(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let mode = args.at(2);
    if mode.eq_ignore_ascii_case(b"on") {
        ctx.session.replies = Replies::On;
        ctx.reply.ok();
    } else if mode.eq_ignore_ascii_case(b"off") {
        ctx.session.replies = Replies::Off;
    } else if mode.eq_ignore_ascii_case(b"skip") {
        if ctx.session.replies != Replies::Off {
            ctx.session.replies = Replies::SkipNext;
        }
    } else {
        ctx.reply.error(error_text::SYNTAX);
    }
}

/// CLIENT NO-EVICT ON | OFF
pub(super) fn no_evict(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let mode = args.at(2);
    let is_on = mode.eq_ignore_ascii_case(b"on");
    if is_on || mode.eq_ignore_ascii_case(b"off") {
        ctx.session.no_evict = is_on;
        ctx.reply.ok();
    } else {
        ctx.reply.error(error_text::SYNTAX);
    }
}

/// CLIENT NO-TOUCH ON | OFF
pub(super) fn no_touch(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let mode = args.at(2);
    let is_on = mode.eq_ignore_ascii_case(b"on");
    if is_on || mode.eq_ignore_ascii_case(b"off") {
        ctx.session.no_touch = is_on;
        ctx.reply.ok();
    } else {
        ctx.reply.error(error_text::SYNTAX);
    }
}

/// CLIENT UNBLOCK id [TIMEOUT | ERROR]: only a WAITAOF waits for a time of its client's choosing, and none is ended by it.
pub(super) fn unblock(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    if args.len() > 4 {
        return error_text::wrong_subcommand(&mut ctx.reply, args);
    }
    let is_known = |how: &[u8]| how.eq_ignore_ascii_case(b"timeout") || how.eq_ignore_ascii_case(b"error");
    if args.get(3).is_some_and(|how| !is_known(how)) {
        ctx.reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    } else if parse_i64_strict(args.at(2)).is_none() {
        ctx.reply.error(error_text::NOT_AN_INTEGER);
    } else {
        ctx.reply.integer(0);
    }
}

/// Whether the arguments of CLIENT LIST [TYPE type | ID id [id ...]] make sense; if not, the error is written.
pub(super) fn check_list(ctx: &mut ConnectionContext<'_>, args: Args<'_>) -> bool {
    let Some(option) = args.get(2) else { return true };
    if option.eq_ignore_ascii_case(b"type") && args.len() == 4 {
        let kind = args.at(3);
        let known: [&[u8]; 5] = [b"normal", b"slave", b"replica", b"pubsub", b"master"];
        let is_known = known.iter().any(|known| kind.eq_ignore_ascii_case(known));
        if !is_known {
            ctx.reply.error_parts(&[b"ERR Unknown client type '", error_text::until_nul(kind), b"'"]);
        }
        return is_known;
    }
    if option.eq_ignore_ascii_case(b"id") && args.len() > 3 {
        let fine = args.tail(3).iter().all(|id| parse_i64_strict(id).is_some());
        if !fine {
            ctx.reply.error("ERR Invalid client ID");
        }
        return fine;
    }
    ctx.reply.error(error_text::SYNTAX);
    false
}

/// Appends the session's line, if CLIENT LIST with these arguments asks for it.
pub(super) fn list(session: &Session, args: Args<'_>, now: UnixMs, out: &mut Vec<u8>) {
    let wanted = match args.get(2) {
        None => true,
        Some(option) if option.eq_ignore_ascii_case(b"type") => {
            let class: &[u8] = if session.is_subscribed() { b"pubsub" } else { b"normal" };
            args.at(3).eq_ignore_ascii_case(class)
        }
        Some(_) => args.tail(3).iter().any(|id| parse_i64_strict(id) == Some(count_i64(session.id))),
    };
    if wanted {
        write_line(session, now, out);
    }
}

/// One session as one line, in the form of Redis 7.2.
pub(super) fn write_line(session: &Session, now: UnixMs, out: &mut Vec<u8>) {
    let seconds_since = |then: UnixMs| now.0.saturating_sub(then.0) / 1000;
    let command =
        session.last_command.and_then(|id| COMMANDS.get(id.index())).map_or("NULL", |command| command.name);
    let figures = &session.figures;
    let tracking = session.tracking.as_deref();
    let redirect = super::client_tracking::redirect_of(session);
    let letters = [
        (session.is_monitor, 'O'),
        (session.is_subscribed(), 'P'),
        (tracking.is_some(), 't'),
        (tracking.is_some_and(|tracking| tracking.is_redirect_broken), 'R'),
        (tracking.is_some_and(|tracking| tracking.mode == TrackingMode::Broadcast), 'B'),
        (session.is_closing, 'c'),
        (session.is_unix, 'U'),
        (session.no_evict, 'e'),
        (session.no_touch, 'T'),
    ];
    let mut flags: String = letters.iter().filter(|(holds, _)| *holds).map(|(_, letter)| *letter).collect();
    if flags.is_empty() {
        flags.push('N');
    }
    let [channels, patterns, shard_channels] = session.subscriptions;
    let text = |bytes| String::from_utf8_lossy(bytes);
    // Writing to a vector cannot fail.
    let _ = writeln!(
        out,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={flags} db={} sub={channels} psub={patterns} ssub={shard_channels} multi=-1 \
         qbuf={} qbuf-free={} argv-mem={} multi-mem=0 rbs=0 rbp=0 obl={} oll=0 omem=0 tot-mem={} events=r \
         cmd={command} user={} redir={redirect} resp={} lib-name={} lib-ver={}",
        session.id,
        session.peer,
        session.local,
        session.fd,
        text(&session.name),
        seconds_since(session.created),
        seconds_since(session.last_interaction),
        session.db.0,
        figures.query_bytes,
        figures.query_bytes_free,
        figures.argument_bytes,
        figures.output_bytes,
        figures.memory_bytes,
        text(session.identity.name()),
        session.protocol.version(),
        text(&session.library_name),
        text(&session.library_version),
    );
}
