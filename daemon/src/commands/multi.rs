//! Several strings at once: MGET MSET MSETNX. Over several shards, MGET and MSET are per key: each key is read or
//! written atomically, not all of them together. MSETNX is refused there. That each key has its value is known before
//! a request is taken apart ([`super::resolve`]).

use resp::Args;

use super::context::KeyContext;
use super::string::value_of;

/// MGET key [key ...]
pub(super) fn mget(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let keys = args.tail(1);
    ctx.reply.array(keys.len());
    for bytes in keys.iter() {
        let key = ctx.store.key(bytes);
        value_of(ctx, &key);
    }
}

/// MSET key value [key value ...]
pub(super) fn mset(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    put_all(ctx, args);
    ctx.reply.ok();
}

/// MSETNX key value [key value ...]
pub(super) fn msetnx(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    for bytes in args.tail(1).iter().step_by(2) {
        let key = ctx.store.key(bytes);
        if ctx.store.lookup(ctx.db, &key, ctx.now).is_some() {
            ctx.reply.integer(0);
            return;
        }
    }
    put_all(ctx, args);
    ctx.reply.integer(1);
}

/// Writes all pairs, as one group where there are several. A key that is named twice gets its last value.
fn put_all(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let is_group = args.len() > 3;
    if is_group {
        ctx.store.begin_group();
    }
    for at in (1..args.len()).step_by(2) {
        let key = ctx.store.key(args.at(at));
        ctx.set(&key, args.at(at + 1), None);
    }
    if is_group {
        ctx.store.end_group();
    }
}
