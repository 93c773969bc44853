//! All keys, bit by bit: SCAN and KEYS. Both return every key that is there from their first step to their last.

use resp::number::parse_u64_strict;
use resp::{Args, ReplyWriter};

use super::context::KeyContext;
use super::integer::integer;
use super::store::ScanCursor;
use super::walk::WalkState;
use super::{error_text, glob};

/// Keys a call visits when COUNT does not say.
const COUNT_DEFAULT: usize = 10;
/// Keys that one step of KEYS visits, about.
pub const WALK_COUNT: usize = 512;

/// The cursor of a SCAN request; none when it is no number or was never given out. The router sends the request to
/// the owner of its slot, and one without a cursor to any worker, which refuses it.
#[must_use]
pub fn cursor_of(args: Args<'_>) -> Option<ScanCursor> {
    // No digits are 0, as for Redis.
    let cursor = args.get(1)?;
    let cursor = ScanCursor(if cursor.is_empty() { 0 } else { parse_u64_strict(cursor)? });
    cursor.slot().map(|_| cursor)
}

/// Keys that a SCAN request asks to visit; the default where it does not say, or not rightly.
#[must_use]
pub fn count_of(args: Args<'_>) -> usize {
    let words = || args.iter().skip(2);
    let count = words().zip(words().skip(1)).find(|(word, _)| word.eq_ignore_ascii_case(b"COUNT"));
    let count = count.and_then(|(_, count)| parse_u64_strict(count));
    count.and_then(|count| usize::try_from(count).ok()).map_or(COUNT_DEFAULT, |count| count.max(1))
}

/// Where the next step of KEYS goes on; none when this worker has no slots.
#[must_use]
pub fn walk_from<P: shard::io::BlockPool>(
    shards: &shard::shard_set::ShardSet<P>,
    state: &WalkState,
) -> Option<ScanCursor> {
    let first = || shards.shards().iter().map(|shard| shard.slots().0.0).min().map(ScanCursor::at_slot);
    state.cursor.or_else(first)
}

/// What SCAN returns of what it visits.
struct Filter<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    only_missing_types: bool,
}

impl<'a> Filter<'a> {
    /// Reads options; when they make no sense the error is written.
    fn read(words: Args<'a>, reply: &mut ReplyWriter<'_>) -> Option<Self> {
        let mut filter = Self { pattern: None, count: COUNT_DEFAULT, only_missing_types: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            let value = words.next();
            match value {
                Some(value) if is(b"COUNT") => {
                    let count = integer(value, reply)?;
                    filter.count = usize::try_from(count).unwrap_or(0);
                    if filter.count < 1 {
                        reply.error(error_text::SYNTAX);
                        return None;
                    }
                }
                Some(value) if is(b"MATCH") => {
                    filter.pattern = Some(value).filter(|pattern| *pattern != b"*")
                }
                Some(value) if is(b"TYPE") => {
                    filter.only_missing_types = !value.eq_ignore_ascii_case(b"string")
                }
                _ => {
                    reply.error(error_text::SYNTAX);
                    return None;
                }
            }
        }
        Some(filter)
    }

    fn takes(&self, key: &[u8]) -> bool {
        !self.only_missing_types && self.pattern.is_none_or(|pattern| glob::matches(pattern, key))
    }
}

/// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
pub(super) fn scan(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let Some(cursor) = cursor_of(args) else {
        ctx.reply.error(error_text::INVALID_CURSOR);
        return;
    };
    let Some(filter) = Filter::read(args.tail(2), &mut ctx.reply) else { return };
    let (mut found, mut keys) = (0, Vec::new());
    let next = ctx.store.scan(ctx.db, cursor, filter.count, ctx.now, &mut |key, _| {
        if filter.takes(key) {
            found += 1;
            resp::write_bulk(&mut keys, key);
        }
    });
    ctx.reply.array(2);
    ctx.reply.bulk(itoa::Buffer::new().format(next.0).as_bytes());
    ctx.reply.array(found);
    ctx.reply.out_mut().extend_from_slice(&keys);
}

/// KEYS pattern: one step of it; true when this worker has no more keys
pub(super) fn keys(ctx: &mut KeyContext<'_>, args: Args<'_>, state: &mut WalkState) -> bool {
    let pattern = args.at(1);
    let Some(first) = walk_from(ctx.store, state) else { return true };
    let WalkState { count, out, .. } = state;
    let next = ctx.store.scan(ctx.db, first, WALK_COUNT, ctx.now, &mut |key, _| {
        if pattern == b"*" || glob::matches(pattern, key) {
            *count += 1;
            resp::write_bulk(out, key);
        }
    });
    state.cursor = Some(next);
    next == ScanCursor(0) || next.slot().is_none_or(|slot| !ctx.store.owns(slot))
}
