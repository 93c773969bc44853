//! Replies of a server, in the version of the protocol that the connection speaks.
//!
//! Whatever a handler puts in, what comes out is one well-formed reply per call: lengths are counted here, and line
//! ends in simple strings and errors become spaces, so that text of a client cannot forge a reply of its own.

use crate::head::{HEAD_BYTES_MAX, write_length_head, write_number_head};
use crate::number::write_double;
use crate::protocol::Protocol;

/// Appends replies to a buffer of the caller.
#[derive(Debug)]
pub struct ReplyWriter<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> ReplyWriter<'a> {
    /// A writer that appends to `out`.
    #[inline]
    pub const fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// The version that replies are written in.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The buffer, for replies that are made elsewhere. What is appended must be whole replies.
    #[inline]
    pub const fn out_mut(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// `+PONG`
    #[inline]
    pub fn pong(&mut self) {
        self.out.extend_from_slice(b"+PONG\r\n");
    }

    /// `+QUEUED`
    #[inline]
    pub fn queued(&mut self) {
        self.out.extend_from_slice(b"+QUEUED\r\n");
    }

    /// A simple string: a status of one line.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', &[text.as_bytes()]);
    }

    /// An error, its code word first: `ERR syntax error`, `WRONGTYPE ...`.
    pub fn error(&mut self, text: &str) {
        self.line(b'-', &[text.as_bytes()]);
    }

    /// An error put together from parts, some of which may be bytes of a client.
    pub fn error_parts(&mut self, parts: &[&[u8]]) {
        self.line(b'-', parts);
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, number: i64) {
        write_number_head(self.out, b':', number);
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(HEAD_BYTES_MAX + bytes.len() + 2);
        write_length_head(self.out, b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// One bulk string made of several parts.
    pub fn bulk_parts(&mut self, parts: &[&[u8]]) {
        let len = parts.iter().map(|part| part.len()).sum();
        self.out.reserve(HEAD_BYTES_MAX + len + 2);
        write_length_head(self.out, b'$', len);
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// A number as a bulk string: what GET answers for a counter.
    pub fn bulk_integer(&mut self, number: i64) {
        self.bulk(itoa::Buffer::new().format(number).as_bytes());
    }

    /// The absence of a value.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The absence of an array.
    #[inline]
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// Head of an array; `len` replies must follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        write_length_head(self.out, b'*', len);
    }

    /// Head of a map; `pairs` times two replies, key and value, must follow. RESP2: a flat array.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => write_length_head(self.out, b'*', pairs * 2),
            Protocol::Resp3 => write_length_head(self.out, b'%', pairs),
        }
    }

    /// Head of a set; `len` replies must follow. RESP2: an array.
    pub fn set(&mut self, len: usize) {
        self.typed_head(b'~', len);
    }

    /// Head of a message that answers no request; `len` replies must follow. RESP2: an array.
    pub fn push(&mut self, len: usize) {
        self.typed_head(b'>', len);
    }

    /// A double. RESP2: its text as a bulk string.
    pub fn double(&mut self, number: f64) {
        let mut text = Vec::with_capacity(32);
        write_double(&mut text, number);
        match self.protocol {
            Protocol::Resp2 => self.bulk(&text),
            Protocol::Resp3 => self.line(b',', &[&text]),
        }
    }

    /// A truth. RESP2: 1 or 0.
    pub fn boolean(&mut self, truth: bool) {
        self.out.extend_from_slice(match (self.protocol, truth) {
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
        });
    }

    /// An integer of any size, as its decimal digits. RESP2: a bulk string.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => self.line(b'(', &[digits.as_bytes()]),
        }
    }

    /// Text for people, in a format of three bytes: `txt` or `mkd`. RESP2: a bulk string of the text.
    ///
    /// # Panics
    /// When `format` is not three bytes long: formats are written in our source, never taken from a client.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        assert_eq!(format.len(), 3, "a verbatim format has three bytes");
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                write_length_head(self.out, b'=', text.len() + 4);
                self.out.extend_from_slice(format.as_bytes());
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    fn typed_head(&mut self, kind: u8, len: usize) {
        match self.protocol {
            Protocol::Resp2 => write_length_head(self.out, b'*', len),
            Protocol::Resp3 => write_length_head(self.out, kind, len),
        }
    }

    /// One line, its line ends turned into spaces.
    fn line(&mut self, kind: u8, parts: &[&[u8]]) {
        self.out.reserve(1 + parts.iter().map(|part| part.len()).sum::<usize>() + 2);
        self.out.push(kind);
        let start = self.out.len();
        for part in parts {
            self.out.extend_from_slice(part);
        }
        // As Redis does: line ends at the end of an error go, others become spaces.
        while kind == b'-' && self.out.len() > start && matches!(self.out.last(), Some(b'\r' | b'\n')) {
            self.out.pop();
        }
        for byte in &mut self.out[start..] {
            if matches!(*byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::ReplyWriter;
    use crate::protocol::Protocol;

    /// The bytes of a reply in both versions.
    fn check(write: impl Fn(&mut ReplyWriter<'_>), resp2: &[u8], resp3: &[u8]) {
        for (protocol, expected) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
            let mut out = b"before".to_vec();
            write(&mut ReplyWriter::new(&mut out, protocol));
            assert_eq!(out.strip_prefix(b"before"), Some(expected), "{protocol:?}");
        }
    }

    /// A reply that is the same in both versions.
    fn check_same(write: impl Fn(&mut ReplyWriter<'_>), expected: &[u8]) {
        check(write, expected, expected);
    }

    #[test]
    fn lines_are_golden() {
        check_same(|reply| reply.ok(), b"+OK\r\n");
        check_same(|reply| reply.pong(), b"+PONG\r\n");
        check_same(|reply| reply.queued(), b"+QUEUED\r\n");
        check_same(|reply| reply.simple("none"), b"+none\r\n");
        check_same(|reply| reply.simple(""), b"+\r\n");
        check_same(|reply| reply.error("ERR syntax error"), b"-ERR syntax error\r\n");
    }

    #[test]
    fn line_ends_in_lines_become_spaces() {
        check_same(|reply| reply.simple("a\r\n+OK"), b"+a  +OK\r\n");
        check_same(|reply| reply.error("ERR a\nb"), b"-ERR a b\r\n");
        check_same(
            |reply| reply.error_parts(&[b"ERR Unsupported option ", b"\n\r"]),
            b"-ERR Unsupported option \r\n",
        );
        check_same(
            |reply| reply.error_parts(&[b"ERR unknown command '", b"FO\r\n+OK!\xff", b"'"]),
            b"-ERR unknown command 'FO  +OK!\xff'\r\n",
        );
        check(|reply| reply.big_number("1\r\n2"), b"$4\r\n1\r\n2\r\n", b"(1  2\r\n");
    }

    #[test]
    fn integers_are_golden() {
        check_same(|reply| reply.integer(0), b":0\r\n");
        check_same(|reply| reply.integer(-1), b":-1\r\n");
        check_same(|reply| reply.integer(1000), b":1000\r\n");
        check_same(|reply| reply.integer(i64::MIN), b":-9223372036854775808\r\n");
        check_same(|reply| reply.bulk_integer(-42), b"$3\r\n-42\r\n");
    }

    #[test]
    fn bulk_strings_hold_any_bytes() {
        check_same(|reply| reply.bulk(b""), b"$0\r\n\r\n");
        check_same(|reply| reply.bulk(b"a\r\n\0\xff"), b"$5\r\na\r\n\0\xff\r\n");
        check_same(|reply| reply.bulk_parts(&[b"ab", b"", b"cde"]), b"$5\r\nabcde\r\n");
        check_same(|reply| reply.bulk_parts(&[]), b"$0\r\n\r\n");
    }

    #[test]
    fn nulls_are_golden() {
        check(|reply| reply.null(), b"$-1\r\n", b"_\r\n");
        check(|reply| reply.null_array(), b"*-1\r\n", b"_\r\n");
    }

    #[test]
    fn aggregates_are_golden() {
        check_same(|reply| reply.array(3), b"*3\r\n");
        check(|reply| reply.map(3), b"*6\r\n", b"%3\r\n");
        check(|reply| reply.set(0), b"*0\r\n", b"~0\r\n");
        check(|reply| reply.push(12), b"*12\r\n", b">12\r\n");
    }

    #[test]
    fn typed_scalars_are_golden() {
        check(|reply| reply.double(1.5), b"$3\r\n1.5\r\n", b",1.5\r\n");
        check(|reply| reply.double(f64::NEG_INFINITY), b"$4\r\n-inf\r\n", b",-inf\r\n");
        check(|reply| reply.boolean(true), b":1\r\n", b"#t\r\n");
        check(|reply| reply.boolean(false), b":0\r\n", b"#f\r\n");
        check(
            |reply| reply.big_number("3492890328409238509324850943850943825024385"),
            b"$43\r\n3492890328409238509324850943850943825024385\r\n",
            b"(3492890328409238509324850943850943825024385\r\n",
        );
        check(
            |reply| reply.verbatim("txt", b"Some string"),
            b"$11\r\nSome string\r\n",
            b"=15\r\ntxt:Some string\r\n",
        );
    }
}
