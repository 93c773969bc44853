//! When keys end: EXPIRE PEXPIRE EXPIREAT PEXPIREAT, TTL PTTL EXPIRETIME PEXPIRETIME, PERSIST.

use resp::Args;
use shard::key::Key;
use shard::types::UnixMs;

use super::context::KeyContext;
use super::error_text;
use super::integer::{deadline_after, integer, ms_i64};
use crate::pubsub::EventKind;

/// EXPIRE key seconds [NX | XX | GT | LT]
pub(super) fn expire(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let base = ms_i64(ctx.now);
    expire_at(ctx, args, "expire", base, 1000);
}

/// PEXPIRE key milliseconds [NX | XX | GT | LT]
pub(super) fn pexpire(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let base = ms_i64(ctx.now);
    expire_at(ctx, args, "pexpire", base, 1);
}

/// EXPIREAT key unix-time-seconds [NX | XX | GT | LT]
pub(super) fn expireat(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    expire_at(ctx, args, "expireat", 0, 1000);
}

/// PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]
pub(super) fn pexpireat(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    expire_at(ctx, args, "pexpireat", 0, 1);
}

/// When a new deadline takes the place of the old one.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    if_none: bool,
    if_any: bool,
    if_later: bool,
    if_earlier: bool,
}

impl Conditions {
    /// Reads options; when they make no sense the error is written.
    fn read(ctx: &mut KeyContext<'_>, words: Args<'_>) -> Option<Self> {
        let mut given = Self::default();
        for word in words.iter() {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            if is(b"NX") {
                given.if_none = true;
            } else if is(b"XX") {
                given.if_any = true;
            } else if is(b"GT") {
                given.if_later = true;
            } else if is(b"LT") {
                given.if_earlier = true;
            } else {
                ctx.reply.error_parts(&[b"ERR Unsupported option ", error_text::until_nul(word)]);
                return None;
            }
        }
        if given.if_none && (given.if_any || given.if_later || given.if_earlier) {
            ctx.reply.error("ERR NX and XX, GT or LT options at the same time are not compatible");
            return None;
        }
        if given.if_later && given.if_earlier {
            ctx.reply.error("ERR GT and LT options at the same time are not compatible");
            return None;
        }
        Some(given)
    }

    /// Whether `when_ms` takes the place of `old`. No deadline counts as the latest of all.
    fn hold(self, old: Option<UnixMs>, when_ms: i64) -> bool {
        let old = old.map(ms_i64);
        !(self.if_none && old.is_some()
            || self.if_any && old.is_none()
            || self.if_later && old.is_none_or(|old| when_ms <= old)
            || self.if_earlier && old.is_some_and(|old| when_ms >= old))
    }
}

/// Has a key that is there end at a time in milliseconds; at once, if that is over.
pub(super) fn end_at(ctx: &mut KeyContext<'_>, key: &Key<'_>, when_ms: i64) {
    match deadline_after(when_ms, ctx.now) {
        Some(deadline) => {
            ctx.store.set_deadline(ctx.db, key, Some(deadline), ctx.now);
            ctx.notify(EventKind::Expire, key.bytes);
        }
        None => {
            ctx.store.delete(ctx.db, key, ctx.now);
            ctx.notify(EventKind::Del, key.bytes);
        }
    }
}

fn expire_at(ctx: &mut KeyContext<'_>, args: Args<'_>, command: &str, base_ms: i64, factor: i64) {
    let Some(conditions) = Conditions::read(ctx, args.tail(3)) else { return };
    let Some(time) = integer(args.at(2), &mut ctx.reply) else { return };
    let Some(when) = time.checked_mul(factor).and_then(|time| time.checked_add(base_ms)) else {
        error_text::invalid_expire_time(command, &mut ctx.reply);
        return;
    };
    let key = ctx.first_key(args);
    let held =
        ctx.store.lookup(ctx.db, &key, ctx.now).is_some_and(|found| conditions.hold(found.deadline, when));
    if held {
        end_at(ctx, &key, when);
    }
    ctx.reply.integer(i64::from(held));
}

/// What a question about a key's end is answered with.
fn answer(ctx: &mut KeyContext<'_>, args: Args<'_>, of: impl Fn(UnixMs, UnixMs) -> i64) {
    const MISSING: i64 = -2;
    const NEVER: i64 = -1;
    let key = ctx.first_key(args);
    let found = ctx.store.lookup(ctx.db, &key, ctx.now);
    let number =
        found.map_or(MISSING, |found| found.deadline.map_or(NEVER, |deadline| of(deadline, ctx.now)));
    ctx.note_read(key.bytes, number != MISSING);
    ctx.reply.integer(number);
}

/// Milliseconds as the nearest second.
const fn seconds(ms: i64) -> i64 {
    ms.saturating_add(500) / 1000
}

/// TTL key
pub(super) fn ttl(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    answer(ctx, args, |deadline, now| seconds(ms_i64(deadline) - ms_i64(now)));
}

/// PTTL key
pub(super) fn pttl(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    answer(ctx, args, |deadline, now| ms_i64(deadline) - ms_i64(now));
}

/// EXPIRETIME key
pub(super) fn expiretime(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    answer(ctx, args, |deadline, _| seconds(ms_i64(deadline)));
}

/// PEXPIRETIME key
pub(super) fn pexpiretime(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    answer(ctx, args, |deadline, _| ms_i64(deadline));
}

/// PERSIST key
pub(super) fn persist(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let key = ctx.first_key(args);
    let ends = ctx.store.lookup(ctx.db, &key, ctx.now).is_some_and(|found| found.deadline.is_some());
    if ends {
        ctx.store.set_deadline(ctx.db, &key, None, ctx.now);
        ctx.notify(EventKind::Persist, key.bytes);
    }
    ctx.reply.integer(i64::from(ends));
}
