//! The connection itself: PING ECHO QUIT HELLO AUTH SELECT RESET, and TIME.

use std::time::{SystemTime, UNIX_EPOCH};

use resp::number::parse_i64_strict;
use resp::{Args, Protocol, ReplyWriter};

use super::client::is_printable;
use super::context::{Action, ConnectionContext};
use super::error_text;
use super::integer::{count_i64, integer};
use super::lookup::lookup_command;
use crate::acl::{DEFAULT_USER, Identity, LogReason};
use crate::server::REDIS_VERSION;

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const HELLO_NEEDS_LOGIN: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
                                 <proto> AUTH <user> <pass> option can be used to authenticate the client and select \
                                 the RESP protocol version at the same time";
const NO_PASSWORD_SET: &str = "ERR AUTH <password> called without any password configured for the default user. \
                               Are you sure your configuration is correct?";

/// PING [message]
pub(super) fn ping(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    if ctx.session.is_subscribed() && ctx.session.protocol == Protocol::Resp2 && args.len() <= 2 {
        // Among messages a reply has to look like one.
        ctx.reply.array(2);
        ctx.reply.bulk(b"pong");
        return ctx.reply.bulk(args.get(1).unwrap_or_default());
    }
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

/// SELECT index
pub(super) fn select(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let Some(index) = integer(args.at(1), &mut ctx.reply) else { return };
    if i32::try_from(index).is_err() {
        ctx.reply.error(error_text::NOT_AN_INT);
    } else if let Some(db) = ctx.server.settings.database(index) {
        ctx.session.db = db;
        ctx.reply.ok();
    } else {
        ctx.reply.error(error_text::DB_INDEX_RANGE);
    }
}

/// RESET
pub(super) fn reset(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    let identity = Identity::new(ctx.server.acl.default_user());
    ctx.session.reset(identity, ctx.now_ns);
    ctx.switch_protocol(Protocol::Resp2).simple("RESET");
}

/// Logs the session in. False: the refusal is written, and noted.
fn log_in(ctx: &mut ConnectionContext<'_>, name: &[u8], password: &[u8]) -> bool {
    match ctx.server.acl.authenticate(name, password) {
        Some(handle) => {
            ctx.session.identity.log_in(handle);
            true
        }
        None => {
            note_refusal(ctx, LogReason::Auth, name, name);
            ctx.reply.error(WRONG_PASSWORD);
            false
        }
    }
}

/// Notes in ACL LOG that something was refused to the session.
pub(crate) fn note_refusal(ctx: &ConnectionContext<'_>, reason: LogReason, object: &[u8], user: &[u8]) {
    let mut line = Vec::new();
    super::client::write_line(ctx.session, ctx.now, &mut line);
    let line = line.trim_ascii_end().to_vec();
    let len_max = ctx.server.settings.acl_log_len_max();
    let len_max = usize::try_from(len_max).unwrap_or(usize::MAX);
    ctx.server.acl.log().note(reason, object, user, line, ctx.now, len_max);
}

/// AUTH [username] password
pub(super) fn auth(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let done = match args.len() {
        2 if ctx.server.acl.is_open() => {
            ctx.reply.error(NO_PASSWORD_SET);
            return;
        }
        2 => log_in(ctx, DEFAULT_USER, args.at(1)),
        3 => log_in(ctx, args.at(1), args.at(2)),
        _ => {
            ctx.reply.error(error_text::SYNTAX);
            return;
        }
    };
    if done {
        ctx.reply.ok();
    }
}

/// What HELLO asks for.
struct Hello<'a> {
    protocol: Option<Protocol>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

impl<'a> Hello<'a> {
    /// Reads the arguments; when they make no sense the error is written.
    fn read(args: Args<'a>, reply: &mut ReplyWriter<'_>) -> Option<Self> {
        let mut hello = Self { protocol: None, login: None, name: None };
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
        while let Some(word) = words.next() {
            let left = words.len();
            if word.eq_ignore_ascii_case(b"AUTH") && left >= 2 {
                hello.login = words.next().zip(words.next());
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
        Some(hello)
    }
}

/// HELLO [protover [AUTH username password] [SETNAME clientname]]
pub(super) fn hello(ctx: &mut ConnectionContext<'_>, args: Args<'_>) {
    let Some(hello) = Hello::read(args, &mut ctx.reply) else { return };
    if let Some((name, password)) = hello.login
        && !log_in(ctx, name, password)
    {
        return;
    }
    if !ctx.session.identity.is_logged_in() {
        ctx.reply.error(HELLO_NEEDS_LOGIN);
        return;
    }
    if hello.name.is_some_and(|name| !is_printable(name)) {
        ctx.reply.error(super::client::BAD_NAME);
        return;
    }
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
