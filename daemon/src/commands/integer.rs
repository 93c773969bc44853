//! Numbers in arguments.

use resp::ReplyWriter;
use resp::number::parse_i64_strict;
use shard::types::UnixMs;

use super::error_text;

/// An integer argument, by Redis's strict rules; when it is none the error is written.
#[inline]
pub(super) fn integer(text: &[u8], reply: &mut ReplyWriter<'_>) -> Option<i64> {
    let number = parse_i64_strict(text);
    if number.is_none() {
        reply.error(error_text::NOT_AN_INTEGER);
    }
    number
}

/// A length as an integer of a reply.
#[inline]
pub(super) fn len_i64(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// A count as an integer of a reply.
#[inline]
pub(super) fn count_i64(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A time as the commands compute with it.
#[inline]
pub(super) fn ms_i64(time: UnixMs) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// A deadline computed by a command: none when it is not after `now`.
pub(super) fn deadline_after(when_ms: i64, now: UnixMs) -> Option<UnixMs> {
    u64::try_from(when_ms).ok().map(UnixMs).filter(|when| *when > now)
}
