//! What a key's value is like inside: OBJECT and MEMORY USAGE. The key is the second argument.

use resp::Args;
use resp::number::parse_i64_strict;
use shard::eviction::EvictionPolicy;

use super::context::{ConnectionContext, KeyContext};
use super::error_text;
use super::integer::{integer, len_i64};

/// Longest string that Redis keeps together with its head.
const EMBEDDED_BYTES_MAX: usize = 44;
/// Integers below this are one object for all keys in Redis.
const SHARED_INTEGERS: i64 = 10_000;
/// The count of references to such an object.
const SHARED_REFERENCES: i64 = i32::MAX as i64;
/// Bytes of a record beside key and value, about, and of its entry in the index.
const RECORD_OVERHEAD_BYTES: usize = 24 + 14;

const ADJUSTS: &str = "Please note that when switching between policies at runtime LRU and LFU data will take some \
                       time to adjust.";

/// Runs over the value of the key; answers null where there is none.
fn with_value(ctx: &mut KeyContext<'_>, args: Args<'_>, run: impl FnOnce(&[u8], &mut resp::ReplyWriter<'_>)) {
    let key = ctx.store.key(args.at(2));
    match ctx.store.lookup(ctx.db, &key, ctx.now) {
        Some(found) => run(found.value, &mut ctx.reply),
        None => ctx.reply.null(),
    }
}

/// OBJECT ENCODING key
pub(super) fn encoding(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    with_value(ctx, args, |value, reply| reply.bulk(encoding_of(value).as_bytes()));
}

/// How Redis would keep a value that was set.
pub(super) fn encoding_of(value: &[u8]) -> &'static str {
    match value.len() {
        0..=20 if parse_i64_strict(value).is_some() => "int",
        0..=EMBEDDED_BYTES_MAX => "embstr",
        _ => "raw",
    }
}

/// OBJECT REFCOUNT key
pub(super) fn refcount(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    with_value(ctx, args, |value, reply| {
        let is_shared = parse_i64_strict(value).is_some_and(|number| (0..SHARED_INTEGERS).contains(&number));
        reply.integer(if is_shared { SHARED_REFERENCES } else { 1 });
    });
}

/// OBJECT IDLETIME key
pub(super) fn idletime(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let is_lfu = is_lfu(ctx.settings.max_memory_policy());
    with_value(ctx, args, |_, reply| {
        if is_lfu {
            let text = "ERR An LFU maxmemory policy is selected, idle time not tracked. ";
            reply.error_parts(&[text.as_bytes(), ADJUSTS.as_bytes()]);
        } else {
            reply.integer(0);
        }
    });
}

/// OBJECT FREQ key
pub(super) fn freq(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let is_lfu = is_lfu(ctx.settings.max_memory_policy());
    let key = ctx.store.key(args.at(2));
    let uses = ctx.store.uses(ctx.db, &key);
    with_value(ctx, args, |_, reply| {
        if is_lfu {
            reply.integer(i64::from(uses));
        } else {
            let text = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. ";
            reply.error_parts(&[text.as_bytes(), ADJUSTS.as_bytes()]);
        }
    });
}

const fn is_lfu(policy: EvictionPolicy) -> bool {
    matches!(policy, EvictionPolicy::AllKeysLfu | EvictionPolicy::VolatileLfu)
}

/// MEMORY USAGE key [SAMPLES count]
pub(super) fn memory_usage(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let mut words = args.tail(3).iter();
    while let Some(word) = words.next() {
        let Some(count) = words.next().filter(|_| word.eq_ignore_ascii_case(b"SAMPLES")) else {
            return ctx.reply.error(error_text::SYNTAX);
        };
        let Some(count) = integer(count, &mut ctx.reply) else { return };
        if count < 0 {
            return ctx.reply.error(error_text::SYNTAX);
        }
    }
    let key_len = args.at(2).len();
    with_value(ctx, args, |value, reply| {
        reply.integer(len_i64(key_len + value.len() + RECORD_OVERHEAD_BYTES));
    });
}

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Print this help.",
];

/// OBJECT HELP
pub(super) fn help(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    super::help::write(&mut ctx.reply, HELP);
}
