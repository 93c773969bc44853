//! A reply as a value, for tests and tools. What only counts replies uses [`ReplyParser`] and builds nothing.

use crate::reply_error::ReplyError;
use crate::reply_head::{Announced, ReplyKind, read_double, read_line};
use crate::reply_parser::ReplyParser;

/// A reply of any type.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A status.
    Simple(Vec<u8>),
    /// An error of one line, its code word first.
    Error(Vec<u8>),
    /// An integer.
    Integer(i64),
    /// A string of bytes.
    Bulk(Vec<u8>),
    /// An error of any bytes, its code word first.
    BulkError(Vec<u8>),
    /// Nothing there: of any of the three forms.
    Null,
    /// A list.
    Array(Vec<Reply>),
    /// Pairs of key and value, in the order sent.
    Map(Vec<(Reply, Reply)>),
    /// A list without order, in the order sent.
    Set(Vec<Reply>),
    /// A message that answers no request.
    Push(Vec<Reply>),
    /// A double.
    Double(f64),
    /// True or false.
    Boolean(bool),
    /// An integer of any size, as its digits.
    BigNumber(Vec<u8>),
    /// Text for people.
    Verbatim {
        /// `txt` or `mkd`.
        format: [u8; 3],
        /// The text after the colon.
        text: Vec<u8>,
    },
    /// A reply with remarks in front of it. Several remarks on one reply are put together.
    Attributed {
        /// Pairs of key and value, in the order sent.
        attributes: Vec<(Reply, Reply)>,
        /// The reply that they describe.
        reply: Box<Reply>,
    },
}

/// Builds the first reply in `input` and says how many bytes it has; `None` when it is not all there.
///
/// # Errors
/// The bytes are no reply.
pub fn parse_reply(input: &[u8]) -> Result<Option<(Reply, usize)>, ReplyError> {
    match ReplyParser::new().skip(input)? {
        None => Ok(None),
        Some(head) => Ok(build(&input[..head.consumed])?.map(|reply| (reply, head.consumed))),
    }
}

/// What an open frame becomes.
enum Shape {
    Aggregate(ReplyKind),
    /// Attributes being read.
    Attributes,
    /// The reply that these describe is being read.
    Attributed(Vec<(Reply, Reply)>),
}

/// An aggregate whose elements are being read.
struct Frame {
    shape: Shape,
    remaining: u64,
    items: Vec<Reply>,
}

/// Builds the one reply that `input` is. The parser has been over it, so nesting is bounded and errors cannot come;
/// they are passed on all the same.
fn build(input: &[u8]) -> Result<Option<Reply>, ReplyError> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut rest = input;
    while let Some((&type_byte, after_type)) = rest.split_first() {
        let line_len = memchr::memchr(b'\r', after_type).ok_or(ReplyError::ExpectedCrlf)?;
        let (content, after_line) = after_type.split_at(line_len);
        rest = after_line.get(2..).ok_or(ReplyError::ExpectedCrlf)?;
        let reply = match read_line(type_byte, content)? {
            Announced::Scalar { kind, value } => scalar(kind, value, content)?,
            Announced::Body { kind, len } => {
                let (bytes, after) = rest.split_at_checked(len).ok_or(ReplyError::ExpectedCrlf)?;
                rest = after.get(2..).ok_or(ReplyError::ExpectedCrlf)?;
                body(kind, bytes)?
            }
            Announced::Elements { kind, elements, .. } => {
                let shape = Shape::Aggregate(kind);
                if elements > 0 {
                    frames.push(Frame { shape, remaining: elements, items: Vec::new() });
                    continue;
                }
                aggregate(kind, Vec::new())
            }
            Announced::Attributes { elements: 0 } => continue,
            Announced::Attributes { elements } => {
                frames.push(Frame { shape: Shape::Attributes, remaining: elements, items: Vec::new() });
                continue;
            }
        };
        if let Some(reply) = complete(&mut frames, reply) {
            return Ok(Some(reply));
        }
    }
    Ok(None)
}

/// Puts `reply` into the innermost frame and closes the frames that it fills. Some: the outermost reply.
fn complete(frames: &mut Vec<Frame>, mut reply: Reply) -> Option<Reply> {
    loop {
        let Some(mut frame) = frames.pop() else {
            return Some(reply);
        };
        frame.items.push(reply);
        frame.remaining -= 1;
        if frame.remaining > 0 {
            frames.push(frame);
            return None;
        }
        reply = match frame.shape {
            Shape::Aggregate(kind) => aggregate(kind, frame.items),
            Shape::Attributed(attributes) => {
                let reply = frame.items.pop()?;
                Reply::Attributed { attributes, reply: Box::new(reply) }
            }
            Shape::Attributes => {
                describe_next(frames, pairs(frame.items));
                return None;
            }
        };
    }
}

/// Attributes are complete: the next reply on this level is theirs. A row of attributes is put together, so that it
/// cannot nest without bound.
fn describe_next(frames: &mut Vec<Frame>, attributes: Vec<(Reply, Reply)>) {
    if let Some(Frame { shape: Shape::Attributed(earlier), .. }) = frames.last_mut() {
        earlier.extend(attributes);
    } else {
        frames.push(Frame { shape: Shape::Attributed(attributes), remaining: 1, items: Vec::new() });
    }
}

fn scalar(kind: ReplyKind, value: i64, content: &[u8]) -> Result<Reply, ReplyError> {
    Ok(match kind {
        ReplyKind::Simple => Reply::Simple(content.to_vec()),
        ReplyKind::Error => Reply::Error(content.to_vec()),
        ReplyKind::Integer => Reply::Integer(value),
        ReplyKind::Double => Reply::Double(read_double(content)?),
        ReplyKind::Boolean => Reply::Boolean(value != 0),
        ReplyKind::BigNumber => Reply::BigNumber(content.to_vec()),
        _ => Reply::Null,
    })
}

fn body(kind: ReplyKind, bytes: &[u8]) -> Result<Reply, ReplyError> {
    Ok(match kind {
        ReplyKind::Verbatim => {
            let (format, text) = bytes.split_first_chunk().ok_or(ReplyError::InvalidVerbatim)?;
            let text = text.strip_prefix(b":").ok_or(ReplyError::InvalidVerbatim)?;
            Reply::Verbatim { format: *format, text: text.to_vec() }
        }
        ReplyKind::BulkError => Reply::BulkError(bytes.to_vec()),
        _ => Reply::Bulk(bytes.to_vec()),
    })
}

fn aggregate(kind: ReplyKind, items: Vec<Reply>) -> Reply {
    match kind {
        ReplyKind::Map => Reply::Map(pairs(items)),
        ReplyKind::Set => Reply::Set(items),
        ReplyKind::Push => Reply::Push(items),
        _ => Reply::Array(items),
    }
}

fn pairs(items: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut items = items.into_iter();
    std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::{Reply, parse_reply};
    use crate::limits::REPLY_DEPTH_MAX;

    fn check(input: &[u8], expected: Reply) {
        assert_eq!(parse_reply(input), Ok(Some((expected, input.len()))), "{input:?}");
        for end in 0..input.len() {
            assert_eq!(parse_reply(&input[..end]), Ok(None), "{input:?} up to {end}");
        }
    }

    fn simple(text: &str) -> Reply {
        Reply::Simple(text.into())
    }

    #[test]
    fn scalars_and_strings_are_built() {
        check(b"+OK\r\n", simple("OK"));
        check(b"-ERR no\r\n", Reply::Error(b"ERR no".to_vec()));
        check(b":-1\r\n", Reply::Integer(-1));
        check(b"$2\r\n\r\n\r\n", Reply::Bulk(b"\r\n".to_vec()));
        check(b"!3\r\nERR\r\n", Reply::BulkError(b"ERR".to_vec()));
        check(b"=7\r\nmkd:*a*\r\n", Reply::Verbatim { format: *b"mkd", text: b"*a*".to_vec() });
        check(b"_\r\n", Reply::Null);
        check(b"$-1\r\n", Reply::Null);
        check(b"*-1\r\n", Reply::Null);
        check(b",-inf\r\n", Reply::Double(f64::NEG_INFINITY));
        check(b"#f\r\n", Reply::Boolean(false));
        check(b"(-10\r\n", Reply::BigNumber(b"-10".to_vec()));
    }

    #[test]
    fn aggregates_are_built_in_order() {
        check(b"*0\r\n", Reply::Array(vec![]));
        check(
            b"*3\r\n*1\r\n:1\r\n%2\r\n+a\r\n:1\r\n+b\r\n~0\r\n>1\r\n:9\r\n",
            Reply::Array(vec![
                Reply::Array(vec![Reply::Integer(1)]),
                Reply::Map(vec![(simple("a"), Reply::Integer(1)), (simple("b"), Reply::Set(vec![]))]),
                Reply::Push(vec![Reply::Integer(9)]),
            ]),
        );
    }

    #[test]
    fn attributes_are_put_around_their_reply() {
        let attributed = |attributes, reply| Reply::Attributed { attributes, reply: Box::new(reply) };
        check(
            b"|1\r\n+ttl\r\n:3\r\n|0\r\n|1\r\n+b\r\n:4\r\n*1\r\n|1\r\n+c\r\n:5\r\n:6\r\n",
            attributed(
                vec![(simple("ttl"), Reply::Integer(3)), (simple("b"), Reply::Integer(4))],
                Reply::Array(vec![attributed(vec![(simple("c"), Reply::Integer(5))], Reply::Integer(6))]),
            ),
        );
    }

    #[test]
    fn a_long_row_of_attributes_does_not_nest() {
        let input = [b"|1\r\n:1\r\n:2\r\n".repeat(100_000), b":3\r\n".to_vec()].concat();
        let (reply, _) = parse_reply(&input).unwrap().unwrap();
        assert!(matches!(reply, Reply::Attributed { attributes, .. } if attributes.len() == 100_000));
    }

    #[test]
    fn the_deepest_reply_is_built_and_dropped() {
        let input =
            [b"*1\r\n|1\r\n:1\r\n:1\r\n".repeat(REPLY_DEPTH_MAX - 1), b"*1\r\n:1\r\n".to_vec()].concat();
        let (reply, consumed) = parse_reply(&input).unwrap().unwrap();
        assert_eq!(consumed, input.len());
        drop(reply);
    }
}
