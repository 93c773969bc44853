//! The connection itself: PING ECHO QUIT HELLO AUTH SELECT RESET, and TIME.

use std::time::{SystemTime, UNIX_EPOCH};

use resp::number::parse_i64_strict;
use resp::{Args, Protocol, ReplyWriter};
use shard::types::Db;

use super::client::is_printable;
use super::context::{Action, ConnectionContext};
use super::error_text;
use super::integer::{count_i64, integer};
use super::lookup::lookup_command;
use crate::server::REDIS_VERSION;

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_PASSWORD_SET: &str = "ERR AUTH <password> called without any password configured for the default user. \
                               Are you sure your configuration is correct?";

/// PING [message]
pub(super) fn ping(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    match args.len() {
        1 => ctx.reply.pong(),
        2 => ctx.reply.bulk(args.at(1)),
        _ => {
            if let Some(command) = lookup_command(b"ping") {
                error_text::wrong_arity(command, &mut ctx.reply);
            }
        }
    }
}

/// ECHO message
pub(super) fn echo(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    ctx.reply.bulk(args.at(1));
}

/// QUIT
pub(super) fn quit(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    ctx.reply.ok();
    *ctx.action = Action::CloseAfterReply;
}

/// SELECT index: there is one database
pub(super) fn select(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let Some(index) = integer(args.at(1), &mut ctx.reply) else { return };
    if i32::try_from(index).is_err() {
        let bounds = "ERR value is out of range, value must between -2147483648 and 2147483647";
        ctx.reply.error(bounds);
    } else if index == 0 {
        ctx.session.db = Db(0);
        ctx.reply.ok();
    } else {
        ctx.reply.error(error_text::DB_INDEX_RANGE);
    }
}

/// RESET
pub(super) fn reset(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    ctx.session.reset();
    ctx.switch_protocol(Protocol::Resp2).simple("RESET");
}

/// Whether a user may log in with a password. There is the user `default`, who needs none.
fn is_user(name: &[u8]) -> bool {
    name == b"default"
}

/// AUTH [username] password
pub(super) fn auth(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    match args.len() {
        2 => ctx.reply.error(NO_PASSWORD_SET),
        3 if is_user(args.at(1)) => ctx.reply.ok(),
        3 => ctx.reply.error(WRONG_PASSWORD),
        _ => ctx.reply.error(error_text::SYNTAX),
    }
}

/// What HELLO asks for.
struct Hello<'a> {
    protocol: Option<Protocol>,
    name: Option<&'a [u8]>,
}

impl<'a> Hello<'a> {
    /// Reads the arguments; when they make no sense the error is written.
    fn read(args: Args<'a>, reply: &mut ReplyWriter<'_>) -> Option<Self> {
        let mut hello = Self { protocol: None, name: None };
        let mut words = args.tail(1).iter();
        if let Some(version) = words.next() {
            let Some(version) = parse_i64_strict(version) else {
                reply.error("ERR Protocol version is not an integer or out of range");
                return None;
            };
            hello.protocol = Protocol::from_version(version);
            if hello.protocol.is_none() {
                reply.error("NOPROTO unsupported protocol version");
                return None;
            }
        }
        let mut user = None;
        while let Some(word) = words.next() {
            let left = words.len();
            if word.eq_ignore_ascii_case(b"AUTH") && left >= 2 {
                user = words.next();
                words.next();
            } else if word.eq_ignore_ascii_case(b"SETNAME") && left >= 1 {
                hello.name = words.next();
            } else {
                reply.error_parts(&[
                    b"ERR Syntax error in HELLO option '",
                    error_text::until_nul(word),
                    b"'",
                ]);
                return None;
            }
        }
        if user.is_some_and(|user| !is_user(user)) {
            reply.error(WRONG_PASSWORD);
            return None;
        }
        if hello.name.is_some_and(|name| !is_printable(name)) {
            reply.error(super::client::BAD_NAME);
            return None;
        }
        Some(hello)
    }
}

/// HELLO [protover [AUTH username password] [SETNAME clientname]]
pub(super) fn hello(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let Some(hello) = Hello::read(args, &mut ctx.reply) else { return };
    if let Some(name) = hello.name {
        ctx.session.name = name.to_vec();
    }
    let protocol = hello.protocol.unwrap_or(ctx.session.protocol);
    let id = count_i64(ctx.session.id);
    let mut reply = ctx.switch_protocol(protocol);
    reply.map(7);
    for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    for (name, value) in [("proto", protocol.version()), ("id", id)] {
        reply.bulk(name.as_bytes());
        reply.integer(value);
    }
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
}

/// TIME
pub(super) fn time(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    // To the microsecond: the time commands run at is no finer than a millisecond.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ctx.reply.array(2);
    ctx.reply.bulk_integer(count_i64(now.as_secs()));
    ctx.reply.bulk_integer(i64::from(now.subsec_micros()));
}
