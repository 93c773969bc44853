//! Integers of any width within a string: BITFIELD BITFIELD_RO. Highest bit first.

use resp::number::parse_i64_strict;
use resp::{Args, ReplyWriter};

use super::bits::offset;
use super::context::KeyContext;
use super::error_text;
use super::integer::integer;
use crate::pubsub::EventKind;

/// An integer's type: `i1` to `i64`, `u1` to `u63`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    is_signed: bool,
    /// Width in bits, 1 to 64.
    width: u32,
}

/// What becomes of a number that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

/// One operation of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operation {
    field: Field,
    /// Its first bit.
    offset: u64,
    action: Action,
    overflow: Overflow,
}

impl Field {
    fn parse(text: &[u8]) -> Option<Self> {
        let (is_signed, most) = match text.first()? {
            b'i' => (true, 64),
            b'u' => (false, 63),
            _ => return None,
        };
        let width = parse_i64_strict(&text[1..]).filter(|width| (1..=most).contains(width))?;
        Some(Self { is_signed, width: u32::try_from(width).ok()? })
    }

    const fn bounds(self) -> (i128, i128) {
        if self.is_signed {
            (-(1 << (self.width - 1)), (1 << (self.width - 1)) - 1)
        } else {
            (0, (1 << self.width) - 1)
        }
    }

    /// The number as it fits; `None` when it does not and should fail.
    fn fit(self, number: i128, overflow: Overflow) -> Option<i128> {
        let (least, most) = self.bounds();
        if (least..=most).contains(&number) {
            return Some(number);
        }
        match overflow {
            Overflow::Fail => None,
            Overflow::Saturate => Some(number.clamp(least, most)),
            Overflow::Wrap => Some((number - least).rem_euclid(1 << self.width) + least),
        }
    }

    /// The number at a bit of `bytes`; what lies beyond the end is 0.
    fn read(self, bytes: &[u8], offset: u64) -> i128 {
        let mut bits: u128 = 0;
        let first = usize::try_from(offset >> 3).unwrap_or(usize::MAX);
        for at in first..first.saturating_add(9) {
            bits = bits << 8 | u128::from(bytes.get(at).copied().unwrap_or(0));
        }
        let shift = 72 - u32::try_from(offset & 7).unwrap_or(0) - self.width;
        let raw = bits >> shift & ((1 << self.width) - 1);
        let number = i128::try_from(raw).unwrap_or(0);
        let is_negative = self.is_signed && number >> (self.width - 1) == 1;
        number - if is_negative { 1 << self.width } else { 0 }
    }

    /// Writes a number that fits.
    fn write(self, bytes: &mut [u8], offset: u64, number: i128) {
        for bit in 0..self.width {
            let place = offset + u64::from(self.width - 1 - bit);
            let at = usize::try_from(place >> 3).unwrap_or(usize::MAX);
            let mask = 0x80u8 >> (place & 7);
            if number >> bit & 1 == 1 {
                bytes[at] |= mask;
            } else {
                bytes[at] &= !mask;
            }
        }
    }
}

/// Reads the operations; when they make no sense the error is written.
fn operations(args: Args<'_>, bytes_max: u64, reply: &mut ReplyWriter<'_>) -> Option<Vec<Operation>> {
    let (mut found, mut overflow, mut at) = (Vec::new(), Overflow::Wrap, 2);
    while at < args.len() {
        let (word, left) = (args.at(at), args.len() - at - 1);
        let is = |name: &[u8], arguments: usize| word.eq_ignore_ascii_case(name) && left >= arguments;
        if is(b"OVERFLOW", 1) {
            let kind = args.at(at + 1);
            let known: [(&[u8], Overflow); 3] =
                [(b"WRAP", Overflow::Wrap), (b"SAT", Overflow::Saturate), (b"FAIL", Overflow::Fail)];
            let Some(known) = known.iter().find(|(name, _)| kind.eq_ignore_ascii_case(name)) else {
                reply.error("ERR Invalid OVERFLOW type specified");
                return None;
            };
            overflow = known.1;
            at += 2;
            continue;
        }
        let (is_get, is_set, is_add) = (is(b"GET", 2), is(b"SET", 3), is(b"INCRBY", 3));
        if !is_get && !is_set && !is_add {
            reply.error(error_text::SYNTAX);
            return None;
        }
        let Some(field) = Field::parse(args.at(at + 1)) else {
            reply.error(error_text::BITFIELD_TYPE);
            return None;
        };
        let offset = offset(args.at(at + 2), Some(field.width), bytes_max, reply)?;
        let action = if is_get {
            Action::Get
        } else {
            let number = integer(args.at(at + 3), reply)?;
            if is_set { Action::Set(number) } else { Action::Add(number) }
        };
        found.push(Operation { field, offset, action, overflow });
        at += if is_get { 3 } else { 4 };
    }
    Some(found)
}

/// Whether a request reads only. One whose words make no sense is taken to write: who may not write must not even try.
pub(super) fn only_reads(args: Args<'_>) -> bool {
    let mut at = 2;
    while at < args.len() {
        let (word, left) = (args.at(at), args.len() - at - 1);
        at += match () {
            () if word.eq_ignore_ascii_case(b"GET") && left >= 2 => 3,
            () if word.eq_ignore_ascii_case(b"OVERFLOW") && left >= 1 => 2,
            () => return false,
        };
    }
    true
}

/// Does one operation; answers it. Whether it has changed a field, or written one of a value that
/// grows.
fn operate(operation: &Operation, bytes: &mut [u8], grows: bool, reply: &mut ReplyWriter<'_>) -> bool {
    let Operation { field, offset, action, overflow } = *operation;
    let old = field.read(bytes, offset);
    let (new, answers_old) = match action {
        Action::Get => (Some(old), true),
        // An unsigned field takes the bits of a negative number, as Redis does.
        Action::Set(number) if !field.is_signed => {
            (field.fit(i128::from(number.cast_unsigned()), overflow), true)
        }
        Action::Set(number) => (field.fit(i128::from(number), overflow), true),
        Action::Add(number) => (field.fit(old + i128::from(number), overflow), false),
    };
    let Some(new) = new else {
        reply.null();
        return false;
    };
    if action != Action::Get {
        field.write(bytes, offset, new);
    }
    let answer = if answers_old { old } else { new };
    reply.integer(i64::try_from(answer).expect("a field has at most 64 bits"));
    action != Action::Get && (grows || new != old)
}

/// BITFIELD key [GET type offset | [OVERFLOW WRAP | SAT | FAIL] SET type offset value | INCRBY type offset increment] ...
pub(super) fn bitfield(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    run(ctx, args, false);
}

/// BITFIELD_RO key [GET type offset ...]
pub(super) fn bitfield_ro(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    run(ctx, args, true);
}

fn run(ctx: &mut KeyContext<'_>, args: Args<'_>, only_reads: bool) {
    let bytes_max = ctx.settings.bulk_bytes_max();
    let Some(operations) = operations(args, bytes_max, &mut ctx.reply) else { return };
    let end_of = |operation: &Operation| operation.offset + u64::from(operation.field.width);
    let written = operations.iter().filter(|operation| operation.action != Action::Get);
    let bits_end = written.clone().map(end_of).max();
    if bits_end.is_some() && only_reads {
        ctx.reply.error("ERR BITFIELD_RO only supports the GET subcommand");
        return;
    }
    let bytes_end = bits_end.map_or(0, |bits| bits.div_ceil(8));
    if bytes_end > bytes_max {
        ctx.reply.error(error_text::VALUE_TOO_LONG);
        return;
    }
    let key = ctx.first_key(args);
    let found = ctx.store.lookup(ctx.db, &key, ctx.now);
    let is_present = found.is_some();
    ctx.counters.note_lookup(is_present);
    let Some(bits_end) = bits_end else {
        let value = found.map_or(&b""[..], |found| found.value);
        ctx.reply.array(operations.len());
        for Operation { field, offset, .. } in operations {
            let number = field.read(value, offset);
            ctx.reply.integer(i64::try_from(number).expect("a field has at most 64 bits"));
        }
        if !is_present {
            ctx.notify(EventKind::Miss, key.bytes);
        }
        return;
    };
    // Only what is read or written is copied, and only what is written goes to the log.
    let old_len = found.map_or(0, |found| found.value.len());
    let least = written.map(|operation| operation.offset >> 3).min().unwrap_or(0);
    let start = usize::try_from(least).unwrap_or(usize::MAX);
    let end = usize::try_from(bits_end.div_ceil(8)).unwrap_or(usize::MAX);
    let mut value = found.map_or_else(Vec::new, |found| found.value.to_vec());
    value.resize(old_len.max(end), 0);
    ctx.reply.array(operations.len());
    let (mut has_changed, grows) = (false, end > old_len);
    for operation in &operations {
        has_changed |= operate(operation, &mut value, grows, &mut ctx.reply);
    }
    let start_u32 = u32::try_from(start).unwrap_or(u32::MAX);
    ctx.store.patch(ctx.db, &key, start_u32, &value[start..end], ctx.now);
    ctx.note_new(key.bytes, !is_present);
    if has_changed {
        ctx.notify(EventKind::SetBit, key.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_reads_back_what_was_written_and_leaves_its_neighbours() {
        for width in 1..=64 {
            for is_signed in [false, true].into_iter().filter(|signed| *signed || width < 64) {
                let field = Field { is_signed, width };
                let (least, most) = field.bounds();
                for offset in 0..24 {
                    for number in [least, most, (least + most) / 2, 0] {
                        let mut bytes = [0xa5; 12];
                        field.write(&mut bytes, offset, number);
                        assert_eq!(field.read(&bytes, offset), number, "{field:?} at {offset}");
                        let bit = |bytes: &[u8], at: u64| {
                            bytes[usize::try_from(at / 8).unwrap()] >> (7 - at % 8) & 1
                        };
                        for at in (0..offset).chain(offset + u64::from(width)..96) {
                            assert_eq!(
                                bit(&bytes, at),
                                bit(&[0xa5; 12], at),
                                "{field:?} at {offset}: bit {at}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_that_do_not_fit_wrap_saturate_or_fail() {
        let (i8, u4) = (Field { is_signed: true, width: 8 }, Field { is_signed: false, width: 4 });
        assert_eq!(i8.fit(128, Overflow::Wrap), Some(-128));
        assert_eq!(i8.fit(-129, Overflow::Wrap), Some(127));
        assert_eq!(i8.fit(300, Overflow::Saturate), Some(127));
        assert_eq!(i8.fit(-300, Overflow::Saturate), Some(-128));
        assert_eq!(u4.fit(-1, Overflow::Wrap), Some(15));
        assert_eq!(u4.fit(-1, Overflow::Saturate), Some(0));
        assert_eq!(u4.fit(16, Overflow::Fail), None);
        assert_eq!(u4.fit(15, Overflow::Fail), Some(15));
    }

    #[test]
    fn types_are_read_strictly() {
        assert_eq!(Field::parse(b"i64"), Some(Field { is_signed: true, width: 64 }));
        for text in [&b"u64"[..], b"i65", b"i0", b"u0", b"I8", b"i", b"", b"8", b"i08", b"u-1"] {
            assert_eq!(Field::parse(text), None, "{}", text.escape_ascii());
        }
    }
}
