//! Strings, read and changed in part: GET STRLEN GETRANGE SUBSTR APPEND SETRANGE.

use resp::Args;
use shard::key::Key;

use super::context::KeyContext;
use super::error_text;
use super::integer::{integer, len_i64};
use crate::pubsub::EventKind;

/// GET key
#[inline]
pub(super) fn get(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let key = ctx.first_key(args);
    value_of(ctx, &key);
}

/// Answers a key's value, or that there is none.
#[inline]
pub(super) fn value_of(ctx: &mut KeyContext<'_>, key: &Key<'_>) {
    match ctx.store.lookup(ctx.db, key, ctx.now) {
        Some(found) => {
            ctx.counters.note_lookup(true);
            ctx.reply.bulk(found.value);
        }
        None => {
            ctx.note_read(key.bytes, false);
            ctx.reply.null();
        }
    }
}

/// STRLEN key
pub(super) fn strlen(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let key = ctx.first_key(args);
    let len = ctx.store.lookup(ctx.db, &key, ctx.now).map(|found| found.value.len());
    ctx.note_read(key.bytes, len.is_some());
    ctx.reply.integer(len_i64(len.unwrap_or(0)));
}

/// GETRANGE key start end, and SUBSTR
pub(super) fn getrange(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let Some(start) = integer(args.at(2), &mut ctx.reply) else { return };
    let Some(end) = integer(args.at(3), &mut ctx.reply) else { return };
    let key = ctx.first_key(args);
    let found = ctx.store.lookup(ctx.db, &key, ctx.now);
    let is_present = found.is_some();
    let value = found.map_or(&b""[..], |found| found.value);
    ctx.reply.bulk(&value[range_of(value.len(), start, end)]);
    ctx.note_read(key.bytes, is_present);
}

/// The bytes from `start` to `end`, both included and counted from the end when negative, within `len`.
fn range_of(len: usize, start: i64, end: i64) -> std::ops::Range<usize> {
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let len_signed = len_i64(len);
    let from_front = |index: i64| {
        let index = if index < 0 { len_signed.saturating_add(index) } else { index };
        usize::try_from(index.max(0)).unwrap_or(usize::MAX)
    };
    let start = from_front(start);
    let end = from_front(end).min(len.saturating_sub(1));
    if len == 0 || start > end { 0..0 } else { start..end + 1 }
}

/// APPEND key value
pub(super) fn append(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let (key, tail) = (ctx.first_key(args), args.at(2));
    let len = ctx.store.lookup(ctx.db, &key, ctx.now).map(|found| found.value.len());
    let offset = len.unwrap_or(0);
    if !fits(ctx, offset as u64, tail.len()) {
        return;
    }
    let is_new = len.is_none();
    let len = match (len, tail) {
        // Nothing to write: the key is as it was.
        (Some(len), b"") => len,
        _ => ctx.store.patch(ctx.db, &key, u32::try_from(offset).unwrap_or(u32::MAX), tail, ctx.now),
    };
    ctx.note_new(key.bytes, is_new);
    ctx.notify(EventKind::Append, key.bytes);
    ctx.reply.integer(len_i64(len));
}

/// SETRANGE key offset value
pub(super) fn setrange(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let Some(offset) = integer(args.at(2), &mut ctx.reply) else { return };
    let Ok(offset) = u64::try_from(offset) else {
        ctx.reply.error(error_text::OFFSET_RANGE);
        return;
    };
    let (key, bytes) = (ctx.first_key(args), args.at(3));
    let len = ctx.store.lookup(ctx.db, &key, ctx.now).map(|found| found.value.len());
    let (len, is_new) = (len.unwrap_or(0), len.is_none());
    if bytes.is_empty() {
        ctx.reply.integer(len_i64(len));
        return;
    }
    if !fits(ctx, offset, bytes.len()) {
        return;
    }
    let len = ctx.store.patch(ctx.db, &key, u32::try_from(offset).unwrap_or(u32::MAX), bytes, ctx.now);
    ctx.note_new(key.bytes, is_new);
    ctx.notify(EventKind::SetRange, key.bytes);
    ctx.reply.integer(len_i64(len));
}

/// Whether a value may reach so far; if not, the error is written. The bound keeps offsets within 32 bits: options
/// allow it at most 512 MiB.
fn fits(ctx: &mut KeyContext<'_>, offset: u64, len: usize) -> bool {
    let fits = offset.checked_add(len as u64).is_some_and(|end| end <= ctx.settings.bulk_bytes_max());
    if !fits {
        ctx.reply.error(error_text::VALUE_TOO_LONG);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_value() {
        for (len, start, end, range) in [
            (5, 0, -1, 0..5),
            (5, 1, 3, 1..4),
            (5, -3, -1, 2..5),
            (5, -1, -3, 0..0),
            (5, 3, 1, 0..0),
            (5, 5, 9, 0..0),
            (5, -100, 1, 0..2),
            (5, -100, -100, 0..1),
            (0, 0, -1, 0..0),
            (5, i64::MIN, i64::MAX, 0..5),
            (5, i64::MAX, i64::MAX, 0..0),
        ] {
            assert_eq!(range_of(len, start, end), range, "{len} {start} {end}");
        }
    }
}
