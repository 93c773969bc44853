//! Keys whatever their value: DEL UNLINK EXISTS TOUCH TYPE, and all keys of a database: DBSIZE RANDOMKEY FLUSHDB
//! FLUSHALL.

use resp::Args;

use super::context::KeyContext;
use super::error_text;
use super::integer::count_i64;
use crate::pubsub::EventKind;

/// DEL key [key ...], and UNLINK: memory comes back later either way
pub(super) fn del(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    if args.len() == 2 {
        let key = ctx.first_key(args);
        let deleted = ctx.store.delete(ctx.db, &key, ctx.now);
        if deleted {
            ctx.notify(EventKind::Del, key.bytes);
        }
        ctx.reply.integer(i64::from(deleted));
        return;
    }
    // All look-ups come before the first change; what they find is then at hand.
    for bytes in args.tail(1).iter() {
        let key = ctx.store.key(bytes);
        ctx.store.lookup(ctx.db, &key, ctx.now);
    }
    let mut deleted = 0;
    ctx.store.begin_group();
    for bytes in args.tail(1).iter() {
        let key = ctx.store.key(bytes);
        if ctx.store.delete(ctx.db, &key, ctx.now) {
            deleted += 1;
            ctx.notify(EventKind::Del, bytes);
        }
    }
    ctx.store.end_group();
    ctx.reply.integer(deleted);
}

/// EXISTS key [key ...], and TOUCH: a key named twice counts twice
pub(super) fn exists(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let mut count = 0;
    for bytes in args.tail(1).iter() {
        let key = ctx.store.key(bytes);
        let found = ctx.store.lookup(ctx.db, &key, ctx.now).is_some();
        ctx.note_read(bytes, found);
        count += i64::from(found);
    }
    ctx.reply.integer(count);
}

/// TYPE key
pub(super) fn type_of(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let key = ctx.first_key(args);
    let found = ctx.store.lookup(ctx.db, &key, ctx.now).is_some();
    if !found {
        ctx.notify(EventKind::Miss, key.bytes);
    }
    ctx.reply.simple(if found { "string" } else { "none" });
}

/// DBSIZE
pub(super) fn dbsize(ctx: &mut KeyContext<'_>, _: Args<'_>) {
    let count = ctx.store.key_count(ctx.db);
    ctx.reply.integer(count_i64(count));
}

/// RANDOMKEY: on each worker a count of keys and one of them
pub(super) fn randomkey(ctx: &mut KeyContext<'_>, _: Args<'_>) {
    let (random, mut key) = (ctx.draw(), Vec::new());
    let found = ctx.store.random_key(ctx.db, random, ctx.now, &mut key);
    let count = if found { ctx.store.key_count(ctx.db) } else { 0 };
    ctx.reply.array(2);
    ctx.reply.integer(count_i64(count));
    if found {
        ctx.reply.bulk(&key);
    } else {
        ctx.reply.null();
    }
}

/// Whether the arguments of a flush make sense; if not, the error is written. Both ways are the same here: keys go
/// at once, memory in the background.
fn flush_args(ctx: &mut KeyContext<'_>, args: Args<'_>) -> bool {
    let known = |word: &[u8]| word.eq_ignore_ascii_case(b"SYNC") || word.eq_ignore_ascii_case(b"ASYNC");
    let fine = args.len() == 1 || (args.len() == 2 && known(args.at(1)));
    if !fine {
        ctx.reply.error(error_text::SYNTAX);
    }
    fine
}

/// FLUSHDB [SYNC | ASYNC]
pub(super) fn flushdb(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    if flush_args(ctx, args) {
        ctx.store.flush_database(ctx.db);
        ctx.note_flush();
        ctx.reply.ok();
    }
}

/// FLUSHALL [SYNC | ASYNC]
pub(super) fn flushall(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    if flush_args(ctx, args) {
        ctx.store.flush_all();
        ctx.note_flush();
        ctx.reply.ok();
    }
}
