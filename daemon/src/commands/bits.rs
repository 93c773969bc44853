//! Strings as arrays of bits: GETBIT SETBIT BITCOUNT BITPOS. Bit 0 is the highest one of the first byte.

use resp::number::parse_i64_strict;
use resp::{Args, ReplyWriter};

use super::context::KeyContext;
use super::error_text;
use super::integer::{count_i64, integer, len_i64};
use crate::pubsub::EventKind;

/// A bit's offset, such as `17`; with `width` also `#2`, the second field of that width. `None`: it is none, or lies
/// beyond the longest value, and the error is written.
pub(super) fn offset(
    text: &[u8],
    width: Option<u32>,
    bytes_max: u64,
    reply: &mut ReplyWriter<'_>,
) -> Option<u64> {
    let (digits, factor) = match (text, width) {
        ([b'#', rest @ ..], Some(width)) => (rest, i64::from(width)),
        _ => (text, 1),
    };
    let offset = parse_i64_strict(digits).and_then(|number| number.checked_mul(factor));
    let offset =
        offset.and_then(|offset| u64::try_from(offset).ok()).filter(|offset| offset >> 3 < bytes_max);
    if offset.is_none() {
        reply.error(error_text::BIT_OFFSET);
    }
    offset
}

/// The bit at an offset; 0 beyond the end.
fn bit_at(value: &[u8], offset: u64) -> u8 {
    let byte = usize::try_from(offset >> 3).ok().and_then(|at| value.get(at)).copied().unwrap_or(0);
    byte >> (7 - (offset & 7)) & 1
}

/// GETBIT key offset
pub(super) fn getbit(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let bytes_max = ctx.settings.bulk_bytes_max();
    let Some(offset) = offset(args.at(2), None, bytes_max, &mut ctx.reply) else { return };
    let key = ctx.first_key(args);
    let found = ctx.store.lookup(ctx.db, &key, ctx.now);
    let is_present = found.is_some();
    let bit = found.map_or(0, |found| bit_at(found.value, offset));
    ctx.note_read(key.bytes, is_present);
    ctx.reply.integer(i64::from(bit));
}

/// SETBIT key offset value
pub(super) fn setbit(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let bytes_max = ctx.settings.bulk_bytes_max();
    let Some(offset) = offset(args.at(2), None, bytes_max, &mut ctx.reply) else { return };
    let Some(bit @ 0..=1) = parse_i64_strict(args.at(3)) else {
        ctx.reply.error(error_text::BIT_VALUE);
        return;
    };
    let key = ctx.first_key(args);
    let at = u32::try_from(offset >> 3).unwrap_or(u32::MAX);
    let found = ctx.store.lookup(ctx.db, &key, ctx.now);
    let is_new = found.is_none();
    let old = found.and_then(|found| found.value.get(at as usize)).copied();
    let mask = 0x80 >> (offset & 7);
    let byte = old.unwrap_or(0);
    let new = if bit == 1 { byte | mask } else { byte & !mask };
    if old != Some(new) {
        ctx.store.patch(ctx.db, &key, at, &[new], ctx.now);
        ctx.note_new(key.bytes, is_new);
        ctx.notify(EventKind::SetBit, key.bytes);
    }
    ctx.reply.integer(i64::from(byte & mask != 0));
}

/// A range of bits or bytes as BITCOUNT and BITPOS are given it.
#[derive(Clone, Copy)]
struct Range {
    start: i64,
    end: Option<i64>,
    in_bits: bool,
}

impl Range {
    const WHOLE: Self = Self { start: 0, end: None, in_bits: false };

    /// Bits of a value of `len` bytes that it covers: the first, and the one after the last. `None`: none.
    fn bits(&self, len: usize) -> Option<(u64, u64)> {
        let unit = if self.in_bits { 1 } else { 8 };
        let total = len_i64(len).saturating_mul(8 / unit);
        let from_front = |index: i64| if index < 0 { total.saturating_add(index).max(0) } else { index };
        let start = from_front(self.start);
        let end = self.end.map_or(total - 1, from_front).min(total - 1);
        let bits = |index: i64| u64::try_from(index.saturating_mul(unit)).unwrap_or(0);
        (start <= end).then(|| (bits(start), bits(end + 1)))
    }
}

/// Whether the word says that a range counts bits; when it says nothing the error is written.
fn unit(word: &[u8], reply: &mut ReplyWriter<'_>) -> Option<bool> {
    let in_bits = word.eq_ignore_ascii_case(b"BIT");
    if !in_bits && !word.eq_ignore_ascii_case(b"BYTE") {
        reply.error(error_text::SYNTAX);
        return None;
    }
    Some(in_bits)
}

/// Ones among the bits of `value` from `start` to before `end`.
fn count_ones(value: &[u8], start: u64, end: u64) -> u64 {
    if start >= end {
        return 0;
    }
    let index = |bit: u64| usize::try_from(bit >> 3).unwrap_or(usize::MAX);
    let (first, last) = (index(start), index(end - 1));
    let head = 0xffu8 >> (start & 7);
    let tail = 0xffu8 << (7 - ((end - 1) & 7));
    if first == last {
        return u64::from((value[first] & head & tail).count_ones());
    }
    let mut ones =
        u64::from((value[first] & head).count_ones()) + u64::from((value[last] & tail).count_ones());
    let mut words = value[first + 1..last].chunks_exact(8);
    for word in &mut words {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        ones += u64::from(u64::from_ne_bytes(bytes).count_ones());
    }
    ones + words.remainder().iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// BITCOUNT key [start end [BYTE | BIT]]
pub(super) fn bitcount(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let key = ctx.first_key(args);
    let found = ctx.store.lookup(ctx.db, &key, ctx.now);
    // As in Redis before 8, other arguments are looked at only when the key is there.
    let Some(found) = found else {
        ctx.note_read(key.bytes, false);
        ctx.reply.integer(0);
        return;
    };
    ctx.counters.note_lookup(true);
    let range = match args.len() {
        2 => Range::WHOLE,
        4 | 5 => {
            let Some(start) = integer(args.at(2), &mut ctx.reply) else { return };
            let Some(end) = integer(args.at(3), &mut ctx.reply) else { return };
            if start < 0 && end < 0 && start > end {
                ctx.reply.integer(0);
                return;
            }
            let in_bits = args.get(4).map_or(Some(false), |word| unit(word, &mut ctx.reply));
            let Some(in_bits) = in_bits else { return };
            Range { start, end: Some(end), in_bits }
        }
        _ => return ctx.reply.error(error_text::SYNTAX),
    };
    let ones = range.bits(found.value.len()).map_or(0, |(start, end)| count_ones(found.value, start, end));
    ctx.reply.integer(count_i64(ones));
}

/// The first bit with this value from `start` to before `end`.
fn find_bit(value: &[u8], bit: bool, start: u64, end: u64) -> Option<u64> {
    let skipped = if bit { 0 } else { 0xff };
    let mut at = start;
    while at < end {
        if at & 7 == 0 {
            let from = usize::try_from(at >> 3).ok()?;
            let to = usize::try_from(end >> 3).ok()?;
            let dull = value[from..to].iter().take_while(|byte| **byte == skipped).count();
            at += 8 * dull as u64;
        }
        let stop = end.min((at | 7) + 1);
        while at < stop {
            if (bit_at(value, at) == 1) == bit {
                return Some(at);
            }
            at += 1;
        }
    }
    None
}

/// BITPOS key bit [start [end [BYTE | BIT]]]
pub(super) fn bitpos(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let Some(bit) = integer(args.at(2), &mut ctx.reply) else { return };
    if !(0..=1).contains(&bit) {
        ctx.reply.error("ERR The bit argument must be 1 or 0.");
        return;
    }
    let key = ctx.first_key(args);
    let found = ctx.store.lookup(ctx.db, &key, ctx.now);
    let Some(found) = found else {
        ctx.note_read(key.bytes, false);
        // A missing key is zeros without end.
        ctx.reply.integer(-bit);
        return;
    };
    ctx.counters.note_lookup(true);
    let mut range = Range::WHOLE;
    if args.len() > 6 {
        ctx.reply.error(error_text::SYNTAX);
        return;
    }
    if let Some(start) = args.get(3) {
        let Some(start) = integer(start, &mut ctx.reply) else { return };
        range.start = start;
    }
    if let Some(word) = args.get(5) {
        let Some(in_bits) = unit(word, &mut ctx.reply) else { return };
        range.in_bits = in_bits;
    }
    if let Some(end) = args.get(4) {
        let Some(end) = integer(end, &mut ctx.reply) else { return };
        range.end = Some(end);
    }
    let position = range.bits(found.value.len()).and_then(|(start, end)| {
        // Beyond an end that nobody gave there are zeros.
        let beyond = (bit == 0 && range.end.is_none()).then_some(end);
        find_bit(found.value, bit == 1, start, end).or(beyond)
    });
    ctx.reply.integer(position.map_or(-1, count_i64));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_are_counted_and_found_bit_by_bit_alike() {
        let value: Vec<u8> = (0..40u8).map(|byte| byte.wrapping_mul(37) ^ (byte << 3)).collect();
        let len = value.len() as u64 * 8;
        for start in 0..len {
            for end in [start, start + 1, start + 7, start + 8, start + 77, len] {
                let end = end.min(len);
                let ones = (start..end).filter(|bit| bit_at(&value, *bit) == 1).count();
                assert_eq!(count_ones(&value, start, end), ones as u64, "{start} {end}");
                for bit in [false, true] {
                    let first = (start..end).find(|at| (bit_at(&value, *at) == 1) == bit);
                    assert_eq!(find_bit(&value, bit, start, end), first, "{start} {end}");
                }
            }
        }
    }
}
