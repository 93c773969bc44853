//! Requests out of a receive buffer: arrays of bulk strings, and inline commands.
//!
//! Resumable at every byte: what was looked at is not looked at again, arguments are ranges of the buffer, and
//! memory grows with the bytes that arrived, never with a number that a client claims.
//!
//! Errors are those of Redis 7.0, with these differences: more than `args_max` arguments are refused; a length must
//! be followed by CR LF (Redis skips the byte after CR) and so must an argument (Redis skips two bytes); a line too
//! long is refused even if its end came with it; a zero byte ends an inline command (Redis waits for 64 KiB); an
//! argument that does not start with `$` is refused at once (Redis waits for the end of its line).

use crate::args::{ArgRange, Args};
use crate::head::{SHORT_COUNT, read_short_bulk_head};
use crate::inline::split_words;
use crate::limits::{
    RETAINED_INLINE_BYTES_MAX, RETAINED_RANGES_MAX, RequestLimits, UNAUTHENTICATED_ARGS_MAX,
    UNAUTHENTICATED_BULK_BYTES_MAX,
};
use crate::number::parse_i64_strict;
use crate::protocol_error::ProtocolError;

/// What the bytes given so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A request of at least one argument: [`RequestParser::args`] shows them. The next one starts after it.
    Request {
        /// Bytes of the request.
        consumed: usize,
    },
    /// Bytes that ask for nothing and get no reply: an empty line, `*0`, `*-1`.
    Empty {
        /// Bytes to go past.
        consumed: usize,
    },
    /// The request goes on beyond the input.
    Incomplete {
        /// With fewer new bytes than this the next call cannot get further; at least 1. The client's claim, up to
        /// `bulk_bytes_max` + 2: not a size to allocate.
        wanted: usize,
    },
}

/// Which part of a request comes next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Between requests.
    Start,
    /// In an inline command, its end not yet seen.
    Inline,
    /// In the line that starts with `*`.
    Count,
    /// At a line that starts with `$`.
    BulkHead,
    /// In an argument of so many bytes.
    BulkBody { len: usize },
    /// Nothing more can be read from this connection.
    Failed(ProtocolError),
}

/// Where the arguments of the request just completed lie.
#[derive(Clone, Copy, Debug)]
enum Source {
    Input,
    Words,
}

/// A line of the form `*<number>` or `$<number>`.
enum NumberLine {
    Complete { number: Option<i64>, end: usize },
    Incomplete,
    TooLong,
}

/// Reads the requests of one connection. Allocates nothing until the first request with arguments.
#[derive(Debug)]
pub struct RequestParser {
    step: Step,
    source: Source,
    /// Bytes of the present request that are parsed.
    position: usize,
    /// Bytes of the present request that are known to hold no end of the line at `position`.
    scanned: usize,
    /// Arguments still to come.
    remaining: usize,
    ranges: Vec<ArgRange>,
    /// Arguments of an inline command, unescaped.
    words: Vec<u8>,
}

impl RequestParser {
    /// A parser at the start of a connection.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            step: Step::Start,
            source: Source::Input,
            position: 0,
            scanned: 0,
            remaining: 0,
            ranges: Vec::new(),
            words: Vec::new(),
        }
    }

    /// Parses on. `input` starts at the first byte of the present request, every time: bytes given before are
    /// unchanged (they may have moved in memory), new ones follow. After [`Parsed::Request`] and [`Parsed::Empty`]
    /// the next call starts a new request, at `input[consumed..]`.
    ///
    /// # Errors
    /// The bytes are no request. Answer [`ProtocolError::reply_text`] and close: every further call fails likewise.
    #[inline]
    pub fn parse(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Parsed, ProtocolError> {
        if matches!(self.step, Step::Start) {
            self.forget_request();
            // Nearly all requests: a few arguments, each with a short length, all there.
            if let [b'*', ones @ b'1'..=b'9', b'\r', b'\n', ..] = input {
                let count = usize::from(ones - b'0');
                if count <= limits.args_max.min(UNAUTHENTICATED_ARGS_MAX) {
                    self.begin_bulks(count, 4);
                    self.short_bulks(input, limits);
                    if self.remaining == 0 {
                        return Ok(self.complete_bulks());
                    }
                }
            }
        }
        let parsed = self.advance(input, limits);
        match parsed {
            Ok(Parsed::Request { .. } | Parsed::Empty { .. }) => self.step = Step::Start,
            Ok(Parsed::Incomplete { .. }) => {}
            Err(error) => self.step = Step::Failed(error),
        }
        parsed
    }

    /// Arguments of the request that [`parse`](Self::parse) just completed; `input` is the slice it was given.
    /// None while no request is complete.
    #[inline]
    #[must_use]
    pub fn args<'a>(&'a self, input: &'a [u8]) -> Args<'a> {
        match (self.step, self.source) {
            (Step::Start, Source::Input) => Args::new(input, &self.ranges),
            (Step::Start, Source::Words) => Args::new(&self.words, &self.ranges),
            _ => Args::new(&[], &[]),
        }
    }

    /// Whether a request has begun and is not complete: the connection must keep its bytes.
    #[inline]
    #[must_use]
    pub const fn is_mid_request(&self) -> bool {
        !matches!(self.step, Step::Start | Step::Failed(_))
    }

    /// Bytes of memory that the parser holds besides itself: what a limit on the memory of clients counts.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.ranges.capacity() * size_of::<ArgRange>() + self.words.capacity()
    }

    /// The general way, from any step.
    #[inline(never)]
    fn advance(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Parsed, ProtocolError> {
        if let Step::Failed(error) = self.step {
            return Err(error);
        }
        debug_assert!(self.position <= input.len(), "bytes given before are gone");
        if matches!(self.step, Step::Start) {
            self.step = match input.first() {
                None => return Ok(Parsed::Incomplete { wanted: 1 }),
                Some(b'*') => Step::Count,
                Some(_) => Step::Inline,
            };
        }
        match self.step {
            Step::Inline => return self.inline(input, limits),
            Step::Count => {
                if let Some(parsed) = self.count(input, limits)? {
                    return Ok(parsed);
                }
            }
            Step::Start | Step::BulkHead | Step::BulkBody { .. } | Step::Failed(_) => {}
        }
        while self.remaining > 0 {
            if let Some(parsed) = self.bulk(input, limits)? {
                return Ok(parsed);
            }
            self.short_bulks(input, limits);
        }
        Ok(self.complete_bulks())
    }

    /// Drops what the last request left, and gives back memory that only an unusual one needs.
    #[inline]
    fn forget_request(&mut self) {
        self.position = 0;
        self.scanned = 0;
        self.remaining = 0;
        self.ranges.clear();
        self.words.clear();
        if self.ranges.capacity() > RETAINED_RANGES_MAX {
            self.ranges.shrink_to(RETAINED_RANGES_MAX);
        }
        if self.words.capacity() > RETAINED_INLINE_BYTES_MAX {
            self.words.shrink_to(RETAINED_INLINE_BYTES_MAX);
        }
    }

    /// The `*` line. Some: the request ends here, or the line does not.
    fn count(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Option<Parsed>, ProtocolError> {
        let (number, end) = match self.number_line(input, limits.inline_bytes_max) {
            NumberLine::Complete { number, end } => (number, end),
            NumberLine::Incomplete => return Ok(Some(Parsed::Incomplete { wanted: 1 })),
            NumberLine::TooLong => return Err(ProtocolError::TooBigMultibulkCount),
        };
        let number = number.ok_or(ProtocolError::InvalidMultibulkLength)?;
        if number <= 0 {
            return Ok(Some(Parsed::Empty { consumed: end }));
        }
        let count = usize::try_from(number).map_err(|_| ProtocolError::InvalidMultibulkLength)?;
        if count > limits.args_max {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if !limits.authenticated && count > UNAUTHENTICATED_ARGS_MAX {
            return Err(ProtocolError::UnauthenticatedMultibulkLength);
        }
        self.begin_bulks(count, end);
        Ok(None)
    }

    /// The `*` line is read: `count` arguments follow at `position`.
    #[inline]
    fn begin_bulks(&mut self, count: usize, position: usize) {
        self.step = Step::BulkHead;
        self.source = Source::Input;
        self.position = position;
        self.remaining = count;
        self.ranges.reserve(count.min(RETAINED_RANGES_MAX));
    }

    /// All arguments are there.
    #[inline]
    fn complete_bulks(&mut self) -> Parsed {
        self.step = Step::Start;
        Parsed::Request { consumed: self.position }
    }

    /// Takes the arguments that have a short length and are all there; stops before the first other one.
    #[inline]
    fn short_bulks(&mut self, input: &[u8], limits: &RequestLimits) {
        // A short length is below what a stranger may send, so only the other limit is asked.
        const _: () = assert!(SHORT_COUNT <= UNAUTHENTICATED_BULK_BYTES_MAX);
        let (mut position, mut remaining) = (self.position, self.remaining);
        while remaining > 0 {
            let Some((len, head_bytes)) = read_short_bulk_head(&input[position..]) else {
                break;
            };
            let (start, end) = (position + head_bytes, position + head_bytes + len);
            if len > limits.bulk_bytes_max || input.get(end..end + 2) != Some(b"\r\n") {
                break;
            }
            self.ranges.push(ArgRange { start, len });
            position = end + 2;
            remaining -= 1;
        }
        (self.position, self.remaining) = (position, remaining);
    }

    /// One argument of any length. Some: it is not all there.
    fn bulk(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Option<Parsed>, ProtocolError> {
        let len = match self.step {
            Step::BulkBody { len } => len,
            _ => match self.bulk_head(input, limits)? {
                Some(len) => len,
                None => return Ok(Some(Parsed::Incomplete { wanted: 1 })),
            },
        };
        // Cannot overflow: `len` is within its limit and `position` within the input.
        let end = self.position + len;
        let Some(line_end) = input.get(end..end + 2) else {
            self.step = Step::BulkBody { len };
            return Ok(Some(Parsed::Incomplete { wanted: end + 2 - input.len() }));
        };
        if line_end != b"\r\n" {
            return Err(ProtocolError::ExpectedCrlfAfterBulk);
        }
        self.ranges.push(ArgRange { start: self.position, len });
        self.position = end + 2;
        self.remaining -= 1;
        self.step = Step::BulkHead;
        Ok(None)
    }

    /// The `$` line: the length of the argument that follows, `None` when the line does not end.
    fn bulk_head(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Option<usize>, ProtocolError> {
        match input.get(self.position) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(&got) => return Err(ProtocolError::ExpectedBulk { got }),
        }
        let (number, end) = match self.number_line(input, limits.inline_bytes_max) {
            NumberLine::Complete { number, end } => (number, end),
            NumberLine::Incomplete => return Ok(None),
            NumberLine::TooLong => return Err(ProtocolError::TooBigBulkCount),
        };
        let len = number.and_then(|number| usize::try_from(number).ok());
        let len = len.filter(|len| *len <= limits.bulk_bytes_max).ok_or(ProtocolError::InvalidBulkLength)?;
        if !limits.authenticated && len > UNAUTHENTICATED_BULK_BYTES_MAX {
            return Err(ProtocolError::UnauthenticatedBulkLength);
        }
        self.position = end;
        Ok(Some(len))
    }

    /// Looks for the end of the line at `position`, from where the last look ended.
    fn number_line(&mut self, input: &[u8], line_bytes_max: usize) -> NumberLine {
        let start = self.position;
        let window = input.len().min(start.saturating_add(line_bytes_max).saturating_add(1));
        let from = self.scanned.max(start);
        let Some(offset) = memchr::memchr(b'\r', input.get(from..window).unwrap_or_default()) else {
            self.scanned = window;
            return if window - start > line_bytes_max {
                NumberLine::TooLong
            } else {
                NumberLine::Incomplete
            };
        };
        let line_end = from + offset;
        self.scanned = line_end;
        match input.get(line_end + 1) {
            None => NumberLine::Incomplete,
            Some(b'\n') => NumberLine::Complete {
                number: parse_i64_strict(&input[start + 1..line_end]),
                end: line_end + 2,
            },
            Some(_) => NumberLine::Complete { number: None, end: line_end + 2 },
        }
    }

    /// An inline command: one line of words.
    fn inline(&mut self, input: &[u8], limits: &RequestLimits) -> Result<Parsed, ProtocolError> {
        let window = input.len().min(limits.inline_bytes_max.saturating_add(1));
        let from = self.scanned.min(window);
        let Some(offset) = memchr::memchr(b'\n', &input[from..window]) else {
            self.scanned = window;
            if window > limits.inline_bytes_max {
                return Err(ProtocolError::TooBigInlineRequest);
            }
            return Ok(Parsed::Incomplete { wanted: 1 });
        };
        let line_end = from + offset;
        let line = &input[..line_end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        split_words(line, &mut self.words, &mut self.ranges).map_err(|_| ProtocolError::UnbalancedQuotes)?;
        self.source = Source::Words;
        let consumed = line_end + 1;
        let Some(name) = self.ranges.first() else {
            return Ok(Parsed::Empty { consumed });
        };
        if is_http(&self.words[name.start..name.start + name.len]) {
            return Err(ProtocolError::SecurityAttack);
        }
        Ok(Parsed::Request { consumed })
    }
}

impl Default for RequestParser {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether the first word of a line is one that only a browser sends: see Redis `securityWarningCommand`.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST")
        || name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"Host:"))
}
