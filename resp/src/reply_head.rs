//! The first line of a reply, or of an element of one: its type byte and what follows up to the line end.

use std::ops::Range;

use crate::head::read_short_bulk_head;
use crate::limits::{REPLY_BULK_BYTES_MAX, REPLY_ELEMENTS_MAX};
use crate::number::parse_u64_strict;
use crate::reply_error::ReplyError;

/// Type of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// `+`: a status.
    Simple,
    /// `-`: an error of one line.
    Error,
    /// `:`: an integer.
    Integer,
    /// `$`: a string of bytes.
    Bulk,
    /// `!`: an error of any bytes.
    BulkError,
    /// `_`, `$-1`, `*-1`: nothing there.
    Null,
    /// `*`: a list.
    Array,
    /// `%`: pairs of key and value.
    Map,
    /// `~`: a list without order.
    Set,
    /// `>`: a message that answers no request.
    Push,
    /// `,`: a double.
    Double,
    /// `#`: true or false.
    Boolean,
    /// `(`: an integer of any size.
    BigNumber,
    /// `=`: text for people, its format in front.
    Verbatim,
}

/// What a client knows of a reply without building it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyHead {
    /// Its type.
    pub kind: ReplyKind,
    /// Bytes of the whole reply, attributes in front of it included.
    pub consumed: usize,
    /// Where its text lies in the input: the payload of a string, the text of a number. Empty for aggregates and
    /// nulls. A verbatim string includes its format and colon.
    pub body: Range<usize>,
    /// The integer; 0 or 1 for a boolean; the count of elements of an aggregate (of a map: of pairs). Else 0.
    pub value: i64,
}

impl ReplyHead {
    /// Whether the reply is an error of either form.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        matches!(self.kind, ReplyKind::Error | ReplyKind::BulkError)
    }
}

/// A whole reply of the kinds that nearly all are: a short bulk string, a short line, a short integer. `None` for all
/// others, the wrong and the incomplete ones among them.
#[inline]
pub(crate) fn read_short_reply(input: &[u8]) -> Option<ReplyHead> {
    let (&type_byte, rest) = input.split_first()?;
    match type_byte {
        b'$' => {
            let (len, head_bytes) = read_short_bulk_head(input)?;
            let body = head_bytes..head_bytes + len;
            let consumed = body.end + 2;
            (input.get(body.end..consumed)? == b"\r\n").then_some(ReplyHead {
                kind: ReplyKind::Bulk,
                consumed,
                body,
                value: 0,
            })
        }
        b'+' => short_line(ReplyKind::Simple, rest, 0),
        b'-' => short_line(ReplyKind::Error, rest, 0),
        b':' => short_line(ReplyKind::Integer, rest, read_short_integer(rest)?),
        _ => None,
    }
}

/// The line whose content starts `rest`, when it is short and all there.
#[inline]
fn short_line(kind: ReplyKind, rest: &[u8], value: i64) -> Option<ReplyHead> {
    const SHORT_LINE_BYTES: usize = 32;
    let len = rest.iter().take(SHORT_LINE_BYTES).position(|byte| *byte == b'\r')?;
    (*rest.get(len + 1)? == b'\n').then_some(ReplyHead { kind, consumed: len + 3, body: 1..1 + len, value })
}

/// The number that `rest` starts with, up to the end of its line: at most 18 digits and no sign.
#[inline]
fn read_short_integer(rest: &[u8]) -> Option<i64> {
    let mut number = 0_i64;
    for (count, byte) in rest.iter().take(19).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (*byte == b'\r' && count > 0).then_some(number);
        }
        // The nineteenth digit could overflow; the loop ends there without an answer.
        number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
    }
    None
}

/// What a first line announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announced {
    /// The line is all.
    Scalar { kind: ReplyKind, value: i64 },
    /// So many bytes and a line end follow.
    Body { kind: ReplyKind, len: usize },
    /// So many replies follow.
    Elements { kind: ReplyKind, count: i64, elements: u64 },
    /// So many replies follow, and then the one they describe.
    Attributes { elements: u64 },
}

/// Reads the line `content` of type `type_byte`.
pub(crate) fn read_line(type_byte: u8, content: &[u8]) -> Result<Announced, ReplyError> {
    Ok(match type_byte {
        b'+' => Announced::Scalar { kind: ReplyKind::Simple, value: 0 },
        b'-' => Announced::Scalar { kind: ReplyKind::Error, value: 0 },
        b':' => Announced::Scalar { kind: ReplyKind::Integer, value: read_integer(content)? },
        b'$' if content == b"-1" => Announced::Scalar { kind: ReplyKind::Null, value: 0 },
        b'*' if content == b"-1" => Announced::Scalar { kind: ReplyKind::Null, value: 0 },
        b'$' => Announced::Body { kind: ReplyKind::Bulk, len: read_byte_length(content)? },
        b'!' => Announced::Body { kind: ReplyKind::BulkError, len: read_byte_length(content)? },
        b'=' => Announced::Body { kind: ReplyKind::Verbatim, len: read_byte_length(content)? },
        b'*' => elements(ReplyKind::Array, content, 1)?,
        b'~' => elements(ReplyKind::Set, content, 1)?,
        b'>' => elements(ReplyKind::Push, content, 1)?,
        b'%' => elements(ReplyKind::Map, content, 2)?,
        b'|' => Announced::Attributes { elements: read_count(content)? * 2 },
        b'_' if content.is_empty() => Announced::Scalar { kind: ReplyKind::Null, value: 0 },
        b'_' => return Err(ReplyError::InvalidNull),
        b'#' => Announced::Scalar { kind: ReplyKind::Boolean, value: read_boolean(content)? },
        b',' => {
            read_double(content)?;
            Announced::Scalar { kind: ReplyKind::Double, value: 0 }
        }
        b'(' if is_integer_text(content) => Announced::Scalar { kind: ReplyKind::BigNumber, value: 0 },
        b'(' => return Err(ReplyError::InvalidBigNumber),
        other => return Err(ReplyError::UnknownType(other)),
    })
}

/// Whether a reply may start with this byte: asked before its line is complete, so that garbage is not waited for.
pub(crate) const fn is_type(byte: u8) -> bool {
    matches!(
        byte,
        b'+' | b'-'
            | b':'
            | b'$'
            | b'!'
            | b'='
            | b'*'
            | b'~'
            | b'>'
            | b'%'
            | b'|'
            | b'_'
            | b'#'
            | b','
            | b'('
    )
}

fn elements(kind: ReplyKind, content: &[u8], each: u64) -> Result<Announced, ReplyError> {
    let count = read_count(content)?;
    let signed = i64::try_from(count).map_err(|_| ReplyError::InvalidLength)?;
    Ok(Announced::Elements { kind, count: signed, elements: count * each })
}

fn read_count(content: &[u8]) -> Result<u64, ReplyError> {
    parse_u64_strict(content).filter(|count| *count <= REPLY_ELEMENTS_MAX).ok_or(ReplyError::InvalidLength)
}

fn read_byte_length(content: &[u8]) -> Result<usize, ReplyError> {
    parse_u64_strict(content)
        .and_then(|len| usize::try_from(len).ok())
        .filter(|len| *len <= REPLY_BULK_BYTES_MAX)
        .ok_or(ReplyError::InvalidLength)
}

/// The specification allows a sign of either kind and leading zeros.
fn read_integer(content: &[u8]) -> Result<i64, ReplyError> {
    if !is_integer_text(content) {
        return Err(ReplyError::InvalidInteger);
    }
    let text = std::str::from_utf8(content).map_err(|_| ReplyError::InvalidInteger)?;
    text.parse().map_err(|_| ReplyError::InvalidInteger)
}

fn is_integer_text(content: &[u8]) -> bool {
    let digits = match content {
        [b'+' | b'-', digits @ ..] => digits,
        digits => digits,
    };
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn read_boolean(content: &[u8]) -> Result<i64, ReplyError> {
    match content {
        b"t" => Ok(1),
        b"f" => Ok(0),
        _ => Err(ReplyError::InvalidBoolean),
    }
}

pub(crate) fn read_double(content: &[u8]) -> Result<f64, ReplyError> {
    let text = std::str::from_utf8(content).map_err(|_| ReplyError::InvalidDouble)?;
    text.parse().map_err(|_| ReplyError::InvalidDouble)
}

#[cfg(test)]
mod tests {
    use super::{Announced, ReplyHead, ReplyKind, is_type, read_line, read_short_reply};
    use crate::reply_error::ReplyError;

    fn scalar(kind: ReplyKind, value: i64) -> Result<Announced, ReplyError> {
        Ok(Announced::Scalar { kind, value })
    }

    #[test]
    fn integers_may_have_a_sign_and_leading_zeros() {
        for (content, value) in [
            (&b"0"[..], 0),
            (b"+7", 7),
            (b"-0", 0),
            (b"007", 7),
            (b"-9223372036854775808", i64::MIN),
            (b"9223372036854775807", i64::MAX),
        ] {
            assert_eq!(read_line(b':', content), scalar(ReplyKind::Integer, value));
        }
        for content in [&b""[..], b"-", b"+", b"1x", b" 1", b"--1", b"9223372036854775808", b"\xff"] {
            assert_eq!(read_line(b':', content), Err(ReplyError::InvalidInteger), "{content:?}");
        }
    }

    #[test]
    fn lengths_are_strict_and_bounded() {
        for content in [&b""[..], b"-2", b"+1", b"01", b"?", b"536870913", b"18446744073709551616"] {
            for type_byte in *b"$!=" {
                assert_eq!(read_line(type_byte, content), Err(ReplyError::InvalidLength), "{content:?}");
            }
        }
        for content in [&b""[..], b"-2", b"+1", b"01", b"?", b"4294967296", b"18446744073709551616"] {
            for type_byte in *b"*~>%|" {
                assert_eq!(read_line(type_byte, content), Err(ReplyError::InvalidLength), "{content:?}");
            }
        }
        assert_eq!(
            read_line(b'$', b"536870912"),
            Ok(Announced::Body { kind: ReplyKind::Bulk, len: 536_870_912 })
        );
        assert_eq!(
            read_line(b'%', b"4294967295"),
            Ok(Announced::Elements { kind: ReplyKind::Map, count: 4_294_967_295, elements: 8_589_934_590 })
        );
    }

    #[test]
    fn minus_one_is_null_only_in_resp2_types() {
        assert_eq!(read_line(b'$', b"-1"), scalar(ReplyKind::Null, 0));
        assert_eq!(read_line(b'*', b"-1"), scalar(ReplyKind::Null, 0));
        assert_eq!(read_line(b'_', b""), scalar(ReplyKind::Null, 0));
        for type_byte in *b"!=~>%|" {
            assert_eq!(read_line(type_byte, b"-1"), Err(ReplyError::InvalidLength));
        }
        assert_eq!(read_line(b'_', b"x"), Err(ReplyError::InvalidNull));
    }

    #[test]
    fn doubles_booleans_and_big_numbers_are_checked() {
        for content in [&b"1.23"[..], b"10", b"-1e-7", b"inf", b"-inf", b"nan"] {
            assert_eq!(read_line(b',', content), scalar(ReplyKind::Double, 0), "{content:?}");
        }
        for content in [&b""[..], b"x", b"1.2.3", b" 1", b"\xff"] {
            assert_eq!(read_line(b',', content), Err(ReplyError::InvalidDouble), "{content:?}");
        }
        assert_eq!(read_line(b'#', b"t"), scalar(ReplyKind::Boolean, 1));
        assert_eq!(read_line(b'#', b"f"), scalar(ReplyKind::Boolean, 0));
        assert_eq!(read_line(b'#', b"T"), Err(ReplyError::InvalidBoolean));
        assert_eq!(read_line(b'(', b"-123456789012345678901234567890"), scalar(ReplyKind::BigNumber, 0));
        assert_eq!(read_line(b'(', b""), Err(ReplyError::InvalidBigNumber));
        assert_eq!(read_line(b'(', b"1.5"), Err(ReplyError::InvalidBigNumber));
    }

    #[test]
    fn short_replies_are_read_at_once() {
        for (input, kind, value, body) in [
            (&b"+OK\r\n"[..], ReplyKind::Simple, 0, 1..3),
            (b"+\r\n", ReplyKind::Simple, 0, 1..1),
            (b"-ERR\r\n", ReplyKind::Error, 0, 1..4),
            (b":0\r\n", ReplyKind::Integer, 0, 1..2),
            (b":007\r\n", ReplyKind::Integer, 7, 1..4),
            (b":999999999999999999\r\n", ReplyKind::Integer, 999_999_999_999_999_999, 1..19),
            (b"$0\r\n\r\n", ReplyKind::Bulk, 0, 4..4),
            (b"$2\r\nab\r\n", ReplyKind::Bulk, 0, 4..6),
        ] {
            let head = ReplyHead { kind, consumed: input.len(), body, value };
            assert_eq!(read_short_reply(input), Some(head.clone()), "{input:?}");
            assert_eq!(read_short_reply(&[input, b"+x\r\n"].concat()), Some(head), "{input:?}");
            for end in 0..input.len() {
                assert_eq!(read_short_reply(&input[..end]), None, "{input:?} up to {end}");
            }
        }
    }

    #[test]
    fn what_is_no_short_reply_is_left_to_others() {
        let long_line = [b"+".repeat(40), b"\r\n".to_vec()].concat();
        for input in [
            &long_line[..],
            b":1234567890123456789\r\n",
            b":-1\r\n",
            b":\r\n",
            b":1x\r\n",
            b":1\rx",
            b"+OK\rx",
            b"$-1\r\n",
            b"$2\r\nabxx",
            b"*0\r\n",
            b"_\r\n",
        ] {
            assert_eq!(read_short_reply(input), None, "{input:?}");
        }
    }

    #[test]
    fn every_byte_is_a_type_or_refused() {
        for byte in 0..=u8::MAX {
            let refused = read_line(byte, b"0") == Err(ReplyError::UnknownType(byte));
            assert_eq!(is_type(byte), !refused, "{byte}");
        }
    }
}
