//! Strings that are numbers: INCR DECR INCRBY DECRBY INCRBYFLOAT.

use resp::Args;
use resp::number::parse_i64_strict;

use super::context::KeyContext;
use super::error_text;
use super::integer::integer;
use super::long_double::LongDouble;
use crate::pubsub::EventKind;

/// INCR key
pub(super) fn incr(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    add(ctx, args, 1);
}

/// DECR key
pub(super) fn decr(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    add(ctx, args, -1);
}

/// INCRBY key increment
pub(super) fn incrby(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let Some(increment) = integer(args.at(2), &mut ctx.reply) else { return };
    add(ctx, args, increment);
}

/// DECRBY key decrement
pub(super) fn decrby(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let Some(decrement) = integer(args.at(2), &mut ctx.reply) else { return };
    match decrement.checked_neg() {
        Some(increment) => add(ctx, args, increment),
        None => ctx.reply.error(error_text::DECREMENT_OVERFLOW),
    }
}

fn add(ctx: &mut KeyContext<'_>, args: Args<'_>, increment: i64) {
    let key = ctx.first_key(args);
    let (old, deadline, is_new) = match ctx.store.lookup(ctx.db, &key, ctx.now) {
        None => (Some(0), None, true),
        Some(found) => (parse_i64_strict(found.value), found.deadline, false),
    };
    let Some(old) = old else {
        ctx.reply.error(error_text::NOT_AN_INTEGER);
        return;
    };
    let Some(new) = old.checked_add(increment) else {
        ctx.reply.error(error_text::INCREMENT_OVERFLOW);
        return;
    };
    ctx.store.put(ctx.db, &key, itoa::Buffer::new().format(new).as_bytes(), deadline);
    ctx.note_new(key.bytes, is_new);
    ctx.notify(EventKind::IncrBy, key.bytes);
    ctx.reply.integer(new);
}

/// INCRBYFLOAT key increment
pub(super) fn incrbyfloat(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let key = ctx.first_key(args);
    let (old, deadline, is_new) = match ctx.store.lookup(ctx.db, &key, ctx.now) {
        None => (Some(LongDouble::ZERO), None, true),
        Some(found) => (LongDouble::parse(found.value), found.deadline, false),
    };
    let (Some(old), Some(increment)) = (old, LongDouble::parse(args.at(2))) else {
        ctx.reply.error(error_text::NOT_A_FLOAT);
        return;
    };
    let Some(sum) = old.checked_add(increment) else {
        ctx.reply.error(error_text::INCREMENT_NOT_FINITE);
        return;
    };
    let text = sum.to_text();
    ctx.store.put(ctx.db, &key, text.as_bytes(), deadline);
    ctx.note_new(key.bytes, is_new);
    ctx.notify(EventKind::IncrByFloat, key.bytes);
    ctx.reply.bulk(text.as_bytes());
}
