//! Where a reply ends: what a client must know of every reply, and all that a load generator must.
//!
//! Resumable at every byte, without recursion: nesting is a stack of counts, bounded in depth, and a claimed length
//! or count costs nothing until the bytes are there. What passes here is well formed throughout.

use std::ops::Range;

use crate::head::read_short_bulk_head;
use crate::limits::{REPLY_DEPTH_MAX, REPLY_LINE_BYTES_MAX};
use crate::reply_error::ReplyError;
use crate::reply_head::{Announced, ReplyHead, ReplyKind, is_type, read_line, read_short_reply};

/// One level of nesting.
#[derive(Clone, Copy, Debug)]
struct Level {
    /// Replies still to come.
    remaining: u64,
    /// Whether they describe the next reply instead of being one.
    is_attributes: bool,
}

/// A bulk string whose head is read.
#[derive(Clone, Copy, Debug)]
struct Body {
    kind: ReplyKind,
    len: usize,
}

/// Finds the ends of the replies of one connection. Allocates nothing until the first nested reply.
#[derive(Debug)]
pub struct ReplyParser {
    /// Bytes of the present reply that are parsed.
    position: usize,
    /// Bytes of the present reply that are known to hold no end of the line at `position`.
    scanned: usize,
    body: Option<Body>,
    level: Level,
    /// The levels around `level`.
    outer: Vec<Level>,
    /// The present reply itself, once its head is read.
    head: Option<ReplyHead>,
    failed: Option<ReplyError>,
}

const TOP: Level = Level { remaining: 1, is_attributes: false };

impl ReplyParser {
    /// A parser at the start of a connection.
    #[must_use]
    pub const fn new() -> Self {
        Self { position: 0, scanned: 0, body: None, level: TOP, outer: Vec::new(), head: None, failed: None }
    }

    /// Finds the end of the first reply in `input` without building it; `None` when it lies beyond. `input` starts at
    /// the first byte of the present reply, every time: bytes given before are unchanged, new ones follow. After
    /// `Some` the next call starts a new reply, at `input[consumed..]`.
    ///
    /// # Errors
    /// The bytes are no reply. Close: every further call fails likewise.
    #[inline]
    pub fn skip(&mut self, input: &[u8]) -> Result<Option<ReplyHead>, ReplyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.position == 0
            && let Some(head) = read_short_reply(input)
        {
            self.scanned = 0;
            return Ok(Some(head));
        }
        self.skip_any(input)
    }

    /// The general way, from any state.
    #[inline(never)]
    fn skip_any(&mut self, input: &[u8]) -> Result<Option<ReplyHead>, ReplyError> {
        debug_assert!(self.position <= input.len(), "bytes given before are gone");
        while self.level.remaining > 0 {
            match self.step(input) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => {
                    self.failed = Some(error);
                    return Err(error);
                }
            }
        }
        let head = self.head.take().map(|head| ReplyHead { consumed: self.position, ..head });
        debug_assert!(head.is_some(), "a reply without a head is complete");
        self.position = 0;
        self.scanned = 0;
        self.level = TOP;
        Ok(head)
    }

    /// Whether a reply has begun and is not complete.
    #[must_use]
    pub const fn is_mid_reply(&self) -> bool {
        (self.position > 0 || self.scanned > 0) && self.failed.is_none()
    }

    /// One line or one body. False: it is not all there.
    #[inline]
    fn step(&mut self, input: &[u8]) -> Result<bool, ReplyError> {
        let body = match self.body {
            Some(body) => body,
            None => match read_short_bulk_head(input.get(self.position..).unwrap_or_default()) {
                Some((len, head_bytes)) => {
                    self.position += head_bytes;
                    Body { kind: ReplyKind::Bulk, len }
                }
                None => match self.line(input)? {
                    LineStep::Incomplete => return Ok(false),
                    LineStep::Done => return Ok(true),
                    LineStep::Body(body) => body,
                },
            },
        };
        self.finish_body(input, body)
    }

    /// The bytes of a bulk string and the line end after them.
    #[inline]
    fn finish_body(&mut self, input: &[u8], body: Body) -> Result<bool, ReplyError> {
        // Cannot overflow: `len` is bounded and `position` lies within the input.
        let end = self.position + body.len;
        let Some(line_end) = input.get(end..end + 2) else {
            self.body = Some(body);
            return Ok(false);
        };
        if line_end != b"\r\n" {
            return Err(ReplyError::ExpectedCrlf);
        }
        if body.kind == ReplyKind::Verbatim && input[self.position..end].get(3) != Some(&b':') {
            return Err(ReplyError::InvalidVerbatim);
        }
        let range = self.position..end;
        self.body = None;
        self.position = end + 2;
        self.scanned = self.position;
        self.note_head(body.kind, 0, range);
        self.complete_one();
        Ok(true)
    }

    fn line(&mut self, input: &[u8]) -> Result<LineStep, ReplyError> {
        let Some((content, type_byte)) = self.find_line(input)? else {
            return Ok(LineStep::Incomplete);
        };
        let announced = read_line(type_byte, &input[content.clone()])?;
        self.position = content.end + 2;
        self.scanned = self.position;
        match announced {
            Announced::Scalar { kind, value } => {
                let range = if kind == ReplyKind::Null { content.end..content.end } else { content };
                self.note_head(kind, value, range);
                self.complete_one();
            }
            Announced::Body { kind, len } => return Ok(LineStep::Body(Body { kind, len })),
            Announced::Elements { kind, count, elements } => {
                self.note_head(kind, count, content.end..content.end);
                if elements == 0 {
                    self.complete_one();
                } else {
                    self.enter(Level { remaining: elements, is_attributes: false })?;
                }
            }
            Announced::Attributes { elements: 0 } => {}
            Announced::Attributes { elements } => {
                self.enter(Level { remaining: elements, is_attributes: true })?;
            }
        }
        Ok(LineStep::Done)
    }

    /// The content of the line at `position` and its type, `None` when it does not end.
    fn find_line(&mut self, input: &[u8]) -> Result<Option<(Range<usize>, u8)>, ReplyError> {
        let start = self.position;
        let Some(&type_byte) = input.get(start) else {
            return Ok(None);
        };
        if !is_type(type_byte) {
            return Err(ReplyError::UnknownType(type_byte));
        }
        let window = input.len().min(start + 1 + REPLY_LINE_BYTES_MAX + 1);
        let from = self.scanned.max(start + 1);
        let Some(offset) = memchr::memchr(b'\r', &input[from..window]) else {
            self.scanned = window;
            let is_too_long = window - start - 1 > REPLY_LINE_BYTES_MAX;
            return if is_too_long { Err(ReplyError::LineTooLong) } else { Ok(None) };
        };
        let line_end = from + offset;
        self.scanned = line_end;
        match input.get(line_end + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some((start + 1..line_end, type_byte))),
            Some(_) => Err(ReplyError::ExpectedCrlf),
        }
    }

    /// Remembers what the reply itself is; elements and attributes are not.
    #[inline]
    fn note_head(&mut self, kind: ReplyKind, value: i64, body: Range<usize>) {
        if self.outer.is_empty() {
            debug_assert!(self.head.is_none(), "one reply has one head");
            self.head = Some(ReplyHead { kind, consumed: 0, body, value });
        }
    }

    fn enter(&mut self, inner: Level) -> Result<(), ReplyError> {
        debug_assert!(inner.remaining > 0);
        if self.outer.len() >= REPLY_DEPTH_MAX {
            return Err(ReplyError::TooDeep);
        }
        self.outer.push(self.level);
        self.level = inner;
        Ok(())
    }

    /// One reply is complete, and with it every aggregate whose last element it is.
    #[inline]
    fn complete_one(&mut self) {
        self.level.remaining -= 1;
        while self.level.remaining == 0 {
            let Some(outer) = self.outer.pop() else {
                return;
            };
            let was_attributes = self.level.is_attributes;
            self.level = outer;
            // Attributes only announce the reply that still counts.
            self.level.remaining -= u64::from(!was_attributes);
        }
    }
}

impl Default for ReplyParser {
    fn default() -> Self {
        Self::new()
    }
}

/// How far a line brings the reply.
enum LineStep {
    Incomplete,
    Done,
    Body(Body),
}

#[cfg(test)]
mod tests {
    use super::ReplyParser;
    use crate::limits::{REPLY_DEPTH_MAX, REPLY_LINE_BYTES_MAX};
    use crate::reply_error::ReplyError;
    use crate::reply_head::ReplyKind;

    /// A reply, followed by another, is found whole and byte by byte alike.
    fn check(reply: &[u8], kind: ReplyKind, value: i64, body: &[u8]) {
        let mut input = reply.to_vec();
        input.extend_from_slice(b"+next\r\n");
        let head = ReplyParser::new().skip(&input).unwrap().unwrap();
        assert_eq!((head.kind, head.value, head.consumed), (kind, value, reply.len()), "{reply:?}");
        assert_eq!(&input[head.body.clone()], body, "{reply:?}");
        let mut parser = ReplyParser::new();
        for end in 0..reply.len() {
            assert_eq!(parser.skip(&input[..end]), Ok(None), "{reply:?} up to {end}");
            assert_eq!(parser.is_mid_reply(), end > 0, "{reply:?} up to {end}");
        }
        assert_eq!(parser.skip(&input[..reply.len()]), Ok(Some(head)), "{reply:?}");
        assert!(!parser.is_mid_reply());
        let next = parser.skip(&input[reply.len()..]).unwrap().unwrap();
        assert_eq!((next.kind, next.consumed), (ReplyKind::Simple, 7));
    }

    fn check_error(input: &[u8], error: ReplyError) {
        let mut parser = ReplyParser::new();
        assert_eq!(parser.skip(input), Err(error), "{input:?}");
        assert_eq!(parser.skip(input), Err(error), "an error stays");
        assert!(!parser.is_mid_reply());
    }

    #[test]
    fn scalars_end_with_their_line() {
        check(b"+OK\r\n", ReplyKind::Simple, 0, b"OK");
        check(b"+\r\n", ReplyKind::Simple, 0, b"");
        check(b"-ERR no\r\n", ReplyKind::Error, 0, b"ERR no");
        check(b":-12\r\n", ReplyKind::Integer, -12, b"-12");
        check(b"_\r\n", ReplyKind::Null, 0, b"");
        check(b"$-1\r\n", ReplyKind::Null, 0, b"");
        check(b"*-1\r\n", ReplyKind::Null, 0, b"");
        check(b"#t\r\n", ReplyKind::Boolean, 1, b"t");
        check(b",1.5\r\n", ReplyKind::Double, 0, b"1.5");
        check(b"(12345678901234567890\r\n", ReplyKind::BigNumber, 0, b"12345678901234567890");
    }

    #[test]
    fn strings_end_after_their_length() {
        check(b"$0\r\n\r\n", ReplyKind::Bulk, 0, b"");
        check(b"$5\r\na\r\n\0b\r\n", ReplyKind::Bulk, 0, b"a\r\n\0b");
        check(b"!8\r\nERR a\r\nb\r\n", ReplyKind::BulkError, 0, b"ERR a\r\nb");
        check(b"=8\r\ntxt:some\r\n", ReplyKind::Verbatim, 0, b"txt:some");
        let long = [&b"$1000\r\n"[..], &[b'x'; 1000], b"\r\n"].concat();
        check(&long, ReplyKind::Bulk, 0, &[b'x'; 1000]);
    }

    #[test]
    fn aggregates_end_with_their_last_element() {
        check(b"*0\r\n", ReplyKind::Array, 0, b"");
        check(b"*2\r\n$1\r\na\r\n:1\r\n", ReplyKind::Array, 2, b"");
        check(b"%1\r\n+a\r\n*1\r\n*0\r\n", ReplyKind::Map, 1, b"");
        check(b"~1\r\n_\r\n", ReplyKind::Set, 1, b"");
        check(b">2\r\n+message\r\n$-1\r\n", ReplyKind::Push, 2, b"");
        check(b"*2\r\n*2\r\n*0\r\n*1\r\n:1\r\n%1\r\n:1\r\n:2\r\n", ReplyKind::Array, 2, b"");
    }

    #[test]
    fn attributes_belong_to_the_reply_after_them() {
        check(b"|1\r\n+ttl\r\n:3\r\n$1\r\nv\r\n", ReplyKind::Bulk, 0, b"v");
        check(b"|0\r\n|1\r\n+a\r\n*1\r\n:1\r\n:7\r\n", ReplyKind::Integer, 7, b"7");
        check(b"*1\r\n|1\r\n+a\r\n:1\r\n:7\r\n", ReplyKind::Array, 1, b"");
    }

    #[test]
    fn garbage_is_refused_at_its_first_byte() {
        check_error(b"x", ReplyError::UnknownType(b'x'));
        check_error(b"*1\r\n\r\n", ReplyError::UnknownType(b'\r'));
        check_error(b";4\r\n", ReplyError::UnknownType(b';'));
        check_error(b"*?\r\n", ReplyError::InvalidLength);
    }

    #[test]
    fn line_ends_are_checked() {
        check_error(b"+OK\rX", ReplyError::ExpectedCrlf);
        check_error(b"$2\r\nabXX", ReplyError::ExpectedCrlf);
        check_error(b"$2\rXab\r\n", ReplyError::ExpectedCrlf);
        check_error(b"=3\r\ntxt\r\n", ReplyError::InvalidVerbatim);
        check_error(b"=5\r\nabcde\r\n", ReplyError::InvalidVerbatim);
    }

    #[test]
    fn a_line_without_end_is_not_waited_for() {
        let mut input = vec![b'+'; 1 + REPLY_LINE_BYTES_MAX];
        let mut parser = ReplyParser::new();
        assert_eq!(parser.skip(&input), Ok(None));
        input.push(b'x');
        assert_eq!(parser.skip(&input), Err(ReplyError::LineTooLong));
        check_error(&input, ReplyError::LineTooLong);
    }

    #[test]
    fn nesting_is_bounded() {
        let deepest = [b"*1\r\n".repeat(REPLY_DEPTH_MAX), b":1\r\n".to_vec()].concat();
        check(&deepest, ReplyKind::Array, 1, b"");
        check_error(&b"*1\r\n".repeat(REPLY_DEPTH_MAX + 1), ReplyError::TooDeep);
        check_error(&b"|1\r\n".repeat(REPLY_DEPTH_MAX + 1), ReplyError::TooDeep);
    }

    #[test]
    fn claims_cost_nothing() {
        let mut parser = ReplyParser::new();
        assert_eq!(parser.skip(b"*4294967295\r\n%4294967295\r\n$536870912\r\n"), Ok(None));
        assert!(parser.outer.capacity() <= REPLY_DEPTH_MAX);
    }
}
