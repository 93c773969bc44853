//! Strings, written whole: SET SETNX SETEX PSETEX GETSET GETDEL GETEX.

use resp::{Args, ReplyWriter};
use shard::types::UnixMs;

use super::context::KeyContext;
use super::error_text;
use super::expire::end_at;
use super::integer::{integer, ms_i64};
use crate::pubsub::EventKind;

/// When the key is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expiry<'a> {
    /// Not given: never for SET, as before for GETEX.
    Unsaid,
    /// As before.
    Keep,
    /// Never.
    Persist,
    /// At a time that the argument tells.
    At { unit: Unit, is_absolute: bool, time: &'a [u8] },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
}

/// The options of SET and GETEX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Options<'a> {
    if_missing: bool,
    if_present: bool,
    get: bool,
    expiry: Expiry<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Set,
    Getex,
}

/// Reads options; `None` when they make no sense. As in Redis, a time may be given again in the same unit, and then
/// the last one counts.
fn options(args: Args<'_>, of: Of) -> Option<Options<'_>> {
    let mut options = Options { if_missing: false, if_present: false, get: false, expiry: Expiry::Unsaid };
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        if of == Of::Set && is(b"NX") && !options.if_present {
            options.if_missing = true;
        } else if of == Of::Set && is(b"XX") && !options.if_missing {
            options.if_present = true;
        } else if of == Of::Set && is(b"GET") {
            options.get = true;
        } else if of == Of::Set && is(b"KEEPTTL") && matches!(options.expiry, Expiry::Unsaid | Expiry::Keep) {
            options.expiry = Expiry::Keep;
        } else if of == Of::Getex
            && is(b"PERSIST")
            && matches!(options.expiry, Expiry::Unsaid | Expiry::Persist)
        {
            options.expiry = Expiry::Persist;
        } else {
            let (unit, is_absolute) = time_option(word)?;
            match options.expiry {
                Expiry::Unsaid => {}
                Expiry::At { unit: u, is_absolute: a, .. } if (u, a) == (unit, is_absolute) => {}
                _ => return None,
            }
            options.expiry = Expiry::At { unit, is_absolute, time: words.next()? };
        }
    }
    Some(options)
}

fn time_option(word: &[u8]) -> Option<(Unit, bool)> {
    let known: [(&[u8], Unit, bool); 4] = [
        (b"EX", Unit::Seconds, false),
        (b"PX", Unit::Milliseconds, false),
        (b"EXAT", Unit::Seconds, true),
        (b"PXAT", Unit::Milliseconds, true),
    ];
    let found = known.into_iter().find(|(name, ..)| word.eq_ignore_ascii_case(name))?;
    Some((found.1, found.2))
}

/// The time in Unix milliseconds, at least 1; when it is none the error is written.
fn time_ms(
    unit: Unit,
    is_absolute: bool,
    time: &[u8],
    command: &str,
    now: UnixMs,
    reply: &mut ReplyWriter<'_>,
) -> Option<i64> {
    let time = integer(time, reply)?;
    let factor = if unit == Unit::Seconds { 1000 } else { 1 };
    let base = if is_absolute { 0 } else { ms_i64(now) };
    let when = (time > 0).then(|| time.checked_mul(factor)?.checked_add(base)).flatten();
    if when.is_none() {
        error_text::invalid_expire_time(command, reply);
    }
    when
}

/// A deadline to store. One that has passed is stored too: the key ends at the next look.
fn deadline(when_ms: i64) -> UnixMs {
    UnixMs(u64::try_from(when_ms).unwrap_or(1))
}

/// SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]
#[inline]
pub(super) fn set(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    if args.len() == 3 {
        let key = ctx.first_key(args);
        ctx.set(&key, args.at(2), None);
        ctx.reply.ok();
        return;
    }
    set_with_options(ctx, args);
}

fn set_with_options(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let Some(options) = options(args.tail(3), Of::Set) else {
        ctx.reply.error(error_text::SYNTAX);
        return;
    };
    let given = match options.expiry {
        Expiry::At { unit, is_absolute, time } => {
            let Some(when) = time_ms(unit, is_absolute, time, "set", ctx.now, &mut ctx.reply) else { return };
            Some(deadline(when))
        }
        _ => None,
    };
    let key = ctx.first_key(args);
    let keeps = options.expiry == Expiry::Keep;
    let (mut is_present, mut deadline) = (false, given);
    if options.get || options.if_missing || options.if_present || keeps {
        let found = ctx.store.lookup(ctx.db, &key, ctx.now);
        is_present = found.is_some();
        if keeps {
            deadline = found.and_then(|found| found.deadline);
        }
        if options.get {
            match found {
                Some(found) => ctx.reply.bulk(found.value),
                None => ctx.reply.null(),
            }
            ctx.note_read(key.bytes, is_present);
        }
    }
    if (options.if_missing && is_present) || (options.if_present && !is_present) {
        if !options.get {
            ctx.reply.null();
        }
        return;
    }
    ctx.set(&key, args.at(2), deadline);
    if given.is_some() {
        ctx.notify(EventKind::Expire, key.bytes);
    }
    if !options.get {
        ctx.reply.ok();
    }
}

/// SETNX key value
pub(super) fn setnx(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let key = ctx.first_key(args);
    let is_present = ctx.store.lookup(ctx.db, &key, ctx.now).is_some();
    if !is_present {
        ctx.set(&key, args.at(2), None);
    }
    ctx.reply.integer(i64::from(!is_present));
}

/// SETEX key seconds value
pub(super) fn setex(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    set_for(ctx, args, Unit::Seconds, "setex");
}

/// PSETEX key milliseconds value
pub(super) fn psetex(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    set_for(ctx, args, Unit::Milliseconds, "psetex");
}

fn set_for(ctx: &mut KeyContext<'_>, args: Args<'_>, unit: Unit, command: &str) {
    let Some(when) = time_ms(unit, false, args.at(2), command, ctx.now, &mut ctx.reply) else { return };
    let key = ctx.first_key(args);
    ctx.set(&key, args.at(3), Some(deadline(when)));
    ctx.notify(EventKind::Expire, key.bytes);
    ctx.reply.ok();
}

/// GETSET key value
pub(super) fn getset(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    super::string::get(ctx, args);
    let key = ctx.first_key(args);
    ctx.set(&key, args.at(2), None);
}

/// GETDEL key
pub(super) fn getdel(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    super::string::get(ctx, args);
    let key = ctx.first_key(args);
    if ctx.store.delete(ctx.db, &key, ctx.now) {
        ctx.notify(EventKind::Del, key.bytes);
    }
}

/// GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]
pub(super) fn getex(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let Some(options) = options(args.tail(2), Of::Getex) else {
        ctx.reply.error(error_text::SYNTAX);
        return;
    };
    let key = ctx.first_key(args);
    let found = ctx.store.lookup(ctx.db, &key, ctx.now);
    let Some(found) = found else {
        ctx.note_read(key.bytes, false);
        ctx.reply.null();
        return;
    };
    ctx.counters.note_lookup(true);
    let had_deadline = found.deadline.is_some();
    // The time is looked at only when the key is there, as in Redis.
    let when = match options.expiry {
        Expiry::At { unit, is_absolute, time } => {
            let Some(when) = time_ms(unit, is_absolute, time, "getex", ctx.now, &mut ctx.reply) else {
                return;
            };
            Some(when)
        }
        _ => None,
    };
    ctx.reply.bulk(found.value);
    if let Some(when) = when {
        end_at(ctx, &key, when);
    } else if options.expiry == Expiry::Persist && had_deadline {
        ctx.store.set_deadline(ctx.db, &key, None, ctx.now);
        ctx.notify(EventKind::Persist, key.bytes);
    }
}
