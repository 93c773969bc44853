//! Heads of replies and requests, written and read: a type byte, a number, CRLF.
//!
//! Numbers below 1000 are nearly all there are (argument counts, lengths of values, small integers). Their heads
//! come out of a table made at compile time and are copied as one machine word.

use crate::number::write_i64;

/// Numbers below this have their head in the table.
pub(crate) const SHORT_COUNT: usize = 1000;

/// `?ddd\r\n`, then the count of bytes in use. The type byte is filled in on use.
type ShortHead = [u8; 8];

static SHORT_HEADS: [ShortHead; SHORT_COUNT] = short_heads();

const fn short_heads() -> [ShortHead; SHORT_COUNT] {
    let mut heads = [[0; 8]; SHORT_COUNT];
    let mut number = 0_u16;
    while (number as usize) < SHORT_COUNT {
        heads[number as usize] = short_head(number);
        number += 1;
    }
    heads
}

const fn short_head(number: u16) -> ShortHead {
    let (hundreds, tens, ones) = (digit(number / 100), digit(number / 10 % 10), digit(number % 10));
    match number {
        0..10 => [0, ones, b'\r', b'\n', 0, 0, 0, 4],
        10..100 => [0, tens, ones, b'\r', b'\n', 0, 0, 5],
        _ => [0, hundreds, tens, ones, b'\r', b'\n', 0, 6],
    }
}

const fn digit(number: u16) -> u8 {
    assert!(number < 10);
    b'0' + number.to_le_bytes()[0]
}

/// Most bytes of a head: type, `-9223372036854775808`, CRLF.
pub(crate) const HEAD_BYTES_MAX: usize = 1 + crate::number::I64_TEXT_BYTES_MAX + 2;

/// Appends `kind`, `length` and CRLF.
#[inline]
pub(crate) fn write_length_head(out: &mut Vec<u8>, kind: u8, length: usize) {
    match SHORT_HEADS.get(length) {
        Some(head) => write_short(out, kind, head),
        // A length of memory always fits.
        None => write_long(out, kind, i64::try_from(length).unwrap_or(i64::MAX)),
    }
}

/// Appends `kind`, `number` and CRLF.
#[inline]
pub(crate) fn write_number_head(out: &mut Vec<u8>, kind: u8, number: i64) {
    match usize::try_from(number).ok().and_then(|number| SHORT_HEADS.get(number)) {
        Some(head) => write_short(out, kind, head),
        None => write_long(out, kind, number),
    }
}

#[inline]
fn write_short(out: &mut Vec<u8>, kind: u8, head: &ShortHead) {
    // All eight bytes at once, and back by those not meant: cheaper than a copy of odd length.
    let end = out.len() + usize::from(head[7]);
    let mut whole = *head;
    whole[0] = kind;
    out.extend_from_slice(&whole);
    out.truncate(end);
}

#[inline(never)]
fn write_long(out: &mut Vec<u8>, kind: u8, number: i64) {
    out.reserve(HEAD_BYTES_MAX);
    out.push(kind);
    write_i64(out, number);
    out.extend_from_slice(b"\r\n");
}

/// The number in the head of a bulk string when it has one to three digits, and the head's length in bytes: nearly
/// every head there is. `None` for
/// all others, the wrong and the incomplete ones among them.
#[inline]
pub(crate) fn read_short_bulk_head(rest: &[u8]) -> Option<(usize, usize)> {
    // No argument with its line end is shorter than `$0\r\n\r\n`, so six bytes can always be looked at.
    let [dollar, first, second, third, fourth, fifth] = *rest.first_chunk()?;
    if dollar != b'$' {
        return None;
    }
    let (hundreds, tens, ones) = (digit_value(first)?, second.wrapping_sub(b'0'), third.wrapping_sub(b'0'));
    if second == b'\r' && third == b'\n' {
        return Some((hundreds, 4));
    }
    // A leading zero is no length.
    if hundreds == 0 || tens > 9 {
        return None;
    }
    let short = hundreds * 10 + usize::from(tens);
    if third == b'\r' && fourth == b'\n' {
        return Some((short, 5));
    }
    if ones > 9 || fourth != b'\r' || fifth != b'\n' {
        return None;
    }
    Some((short * 10 + usize::from(ones), 6))
}

#[inline]
fn digit_value(byte: u8) -> Option<usize> {
    let digit = byte.wrapping_sub(b'0');
    (digit <= 9).then_some(usize::from(digit))
}

#[cfg(test)]
mod tests {
    use super::{read_short_bulk_head, write_length_head, write_number_head};

    #[test]
    fn every_short_head_is_its_number() {
        for number in 0..2000_usize {
            let mut out = b"x".to_vec();
            write_length_head(&mut out, b'$', number);
            assert_eq!(out, format!("x${number}\r\n").as_bytes());
        }
    }

    #[test]
    fn numbers_of_any_size_have_a_head() {
        for number in [i64::MIN, -1000, -1, 0, 9, 10, 99, 100, 999, 1000, i64::MAX] {
            let mut out = Vec::new();
            write_number_head(&mut out, b':', number);
            assert_eq!(out, format!(":{number}\r\n").as_bytes());
        }
    }

    #[test]
    fn short_heads_of_bulk_strings_are_read() {
        for number in 0..1000_usize {
            let head = format!("${number}\r\n");
            let bulk = format!("{head}__");
            assert_eq!(read_short_bulk_head(bulk.as_bytes()), Some((number, head.len())));
        }
    }

    #[test]
    fn what_is_no_short_head_is_left_to_others() {
        for rest in [
            &b""[..],
            b"$0\r\n\r",
            b"$1000\r\n",
            b"$00\r\n__",
            b"$01\r\n__",
            b"$012\r\n",
            b"$\r\n____",
            b"$-1\r\n__",
            b"$1x\r\n__",
            b"$12x\r\n",
            b"$1\rx__",
            b"$12\rx_",
            b"$123\rx",
            b"*1\r\n__",
            b"$1\n____",
            b"$+1\r\n_",
        ] {
            assert_eq!(read_short_bulk_head(rest), None, "{rest:?}");
        }
    }
}
