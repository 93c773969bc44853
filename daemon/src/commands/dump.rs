//! DUMP and RESTORE: a value in Redis's serialization, so that it may go to a Redis and back.

use resp::Args;
use shard::types::UnixMs;

use super::context::KeyContext;
use super::error_text;
use super::integer::{integer, ms_i64};
use super::rdb_string;
use crate::pubsub::EventKind;

/// DUMP key
pub(super) fn dump(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let key = ctx.first_key(args);
    let found = ctx.store.lookup(ctx.db, &key, ctx.now);
    let is_present = found.is_some();
    match found {
        Some(found) => ctx.reply.bulk(&rdb_string::dump(found.value)),
        None => ctx.reply.null(),
    }
    ctx.note_read(key.bytes, is_present);
}

/// The options of RESTORE.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    replaces: bool,
    is_absolute: bool,
    has_idle_time: bool,
    has_frequency: bool,
}

impl Options {
    /// Reads options; when they make no sense the error is written.
    fn read(ctx: &mut KeyContext<'_>, words: Args<'_>) -> Option<Self> {
        let mut options = Self::default();
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            let value = words.peek().copied();
            match value {
                _ if is(b"REPLACE") => options.replaces = true,
                _ if is(b"ABSTTL") => options.is_absolute = true,
                // How recently or often a key was used is not kept beyond what its next use tells: both are read and
                // have no effect.
                Some(value) if is(b"IDLETIME") && !options.has_frequency => {
                    let seconds = integer(value, &mut ctx.reply)?;
                    if seconds < 0 {
                        ctx.reply.error("ERR Invalid IDLETIME value, must be >= 0");
                        return None;
                    }
                    options.has_idle_time = true;
                    words.next();
                }
                Some(value) if is(b"FREQ") && !options.has_idle_time => {
                    let frequency = integer(value, &mut ctx.reply)?;
                    if !(0..=255).contains(&frequency) {
                        ctx.reply.error("ERR Invalid FREQ value, must be >= 0 and <= 255");
                        return None;
                    }
                    options.has_frequency = true;
                    words.next();
                }
                _ => {
                    ctx.reply.error(error_text::SYNTAX);
                    return None;
                }
            }
        }
        Some(options)
    }
}

/// RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]
pub(super) fn restore(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let Some(options) = Options::read(ctx, args.tail(4)) else { return };
    let key = ctx.first_key(args);
    let is_present = ctx.store.lookup(ctx.db, &key, ctx.now).is_some();
    if is_present && !options.replaces {
        ctx.reply.error("BUSYKEY Target key name already exists.");
        return;
    }
    let Some(ttl) = integer(args.at(2), &mut ctx.reply) else { return };
    if ttl < 0 {
        ctx.reply.error("ERR Invalid TTL value, must be >= 0");
        return;
    }
    let value = match rdb_string::restore(args.at(3), ctx.settings.bulk_bytes_max()) {
        Ok(value) => value,
        Err(rdb_string::DumpError::Envelope) => {
            return ctx.reply.error("ERR DUMP payload version or checksum are wrong");
        }
        Err(rdb_string::DumpError::Content) => return ctx.reply.error("ERR Bad data format"),
    };
    let base = if options.is_absolute { 0 } else { ms_i64(ctx.now) };
    let deadline = (ttl > 0).then(|| ttl.wrapping_add(base));
    // A time to live beyond all time is over, as it is in Redis.
    let deadline = deadline.map(|deadline| UnixMs(u64::try_from(deadline).unwrap_or(0)));
    if deadline.is_some_and(|deadline| deadline <= ctx.now) {
        if ctx.store.delete(ctx.db, &key, ctx.now) {
            ctx.notify(EventKind::Del, key.bytes);
        }
    } else {
        ctx.store.put(ctx.db, &key, &value, deadline);
        // A key that is replaced is deleted and made anew.
        ctx.note_new(key.bytes, true);
        ctx.notify(EventKind::Restore, key.bytes);
    }
    ctx.reply.ok();
}
