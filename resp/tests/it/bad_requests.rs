//! Input that is no request: the answer of each, word for word as Redis gives it unless said otherwise.

use resp::limits::INLINE_BYTES_MAX;
use resp::{Parsed, ProtocolError, RequestLimits, RequestParser};

/// `input` is refused with this text, whole, byte by byte, and ever after.
fn check_with(limits: &RequestLimits, input: &[u8], text: &str) {
    let shown = input[..input.len().min(80)].escape_ascii();
    let mut parser = RequestParser::new();
    let error = parser.parse(input, limits).expect_err(&format!("{shown} is taken"));
    assert_eq!(error.reply_text(), Some(format!("ERR Protocol error: {text}")), "{shown}");
    assert_eq!(parser.parse(input, limits), Err(error), "an error stays: {shown}");
    assert_eq!(parser.parse(b"PING\r\n", limits), Err(error), "an error stays: {shown}");
    assert!(!parser.is_mid_request());
    assert!(parser.args(input).is_empty());

    let mut parser = RequestParser::new();
    let slowly = (0..=input.len()).find_map(|end| parser.parse(&input[..end], limits).err());
    assert_eq!(slowly, Some(error), "byte by byte: {shown}");
}

fn check(input: &[u8], text: &str) {
    check_with(&RequestLimits::AUTHENTICATED, input, text);
}

/// `input` is neither refused nor complete: more bytes are waited for.
fn check_waits(limits: &RequestLimits, input: &[u8]) {
    let parsed = RequestParser::new().parse(input, limits);
    assert!(matches!(parsed, Ok(Parsed::Incomplete { .. })), "{}: {parsed:?}", input.escape_ascii());
}

#[test]
fn counts_that_are_none() {
    for count in [
        "2147483648",
        "3000000000",
        "9223372036854775808",
        "+1",
        "01",
        " 1",
        "1x",
        "",
        "-0",
        "-",
        "-01",
        "00",
        "1 ",
    ] {
        check(format!("*{count}\r\n").as_bytes(), "invalid multibulk length");
    }
    check(b"*-9223372036854775809\r\n", "invalid multibulk length");
}

/// Redis waits for up to 2147483647 arguments.
#[test]
fn more_arguments_than_the_limit() {
    check(b"*1048577\r\n", "invalid multibulk length");
    check(b"*2147483647\r\n", "invalid multibulk length");
    check_waits(&RequestLimits::AUTHENTICATED, b"*1048576\r\n");
}

#[test]
fn arguments_that_are_no_bulk_strings() {
    for (input, got) in [
        (&b"*1\r\nfoo"[..], 'f'),
        (b"*1\r\n*1", '*'),
        (b"*1\r\n:5", ':'),
        (b"*1\r\n+PING", '+'),
        (b"*1\r\n\r\n", ' '),
    ] {
        check(input, &format!("expected '$', got '{got}'"));
        check(&[input, b"\r\n"].concat(), &format!("expected '$', got '{got}'"));
    }
    check(b"*2\r\n$4\r\nPING\r\nfoo\r\n", "expected '$', got 'f'");
    check(b"*1\r\n\n", "expected '$', got ' '");
    // Redis sends the byte as it is; an error text of ours is text.
    check(b"*1\r\n\xff\r\n", "expected '$', got '\\xff'");
}

#[test]
fn lengths_that_are_none() {
    for len in [
        "-1",
        "-10",
        "536870913",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "bla",
        "+4",
        "04",
        "",
        "-0",
        "4x",
        " 4",
        "12x",
    ] {
        check(format!("*1\r\n${len}\r\n").as_bytes(), "invalid bulk length");
        check(format!("*1\r\n${len}\r\nPING\r\n").as_bytes(), "invalid bulk length");
    }
}

/// Redis skips these bytes without a look.
#[test]
fn line_ends_that_are_none() {
    check(b"*1\r\n$4\r\nPINGxx", "expected CRLF after bulk");
    check(b"*1\r\n$4\r\nPING\n\r", "expected CRLF after bulk");
    check(b"*1\rx$4\r\n", "invalid multibulk length");
    check(b"*1\r\n$4\rxPING\r\n", "invalid bulk length");
}

/// Redis goes on with what follows as if it were a request.
#[test]
fn a_length_off_by_one() {
    check(b"*1\r\n$5\r\nPING\r\n*1\r\n$4\r\nPING\r\n", "expected CRLF after bulk");
    check(b"*1\r\n$3\r\nPING\r\n", "expected CRLF after bulk");
}

#[test]
fn lines_without_end() {
    let digits = vec![b'1'; INLINE_BYTES_MAX];
    let check_long = |start: &[u8], text: &str| {
        let mut input = [start, &digits].concat();
        let mut parser = RequestParser::new();
        let limits = RequestLimits::AUTHENTICATED;
        assert_eq!(parser.parse(&input, &limits).map_err(|error| error.to_string()), Err(text.to_owned()));
        // One byte less is waited for, and refused with the next one.
        let last = input.pop().unwrap();
        let mut parser = RequestParser::new();
        assert_eq!(parser.parse(&input, &limits), Ok(Parsed::Incomplete { wanted: 1 }));
        input.push(last);
        assert_eq!(parser.parse(&input, &limits).map_err(|error| error.to_string()), Err(text.to_owned()));
    };
    check_long(b"P", "Protocol error: too big inline request");
    check_long(b"*", "Protocol error: too big mbulk count string");
    check_long(b"*1\r\n$", "Protocol error: too big bulk count string");
    check_long(b"*2\r\n$4\r\nPING\r\n$", "Protocol error: too big bulk count string");
}

/// Redis takes a long line that happens to arrive in one piece; here the pieces make no difference.
#[test]
fn a_line_too_long_is_refused_with_its_end_too() {
    let line = [&b"ECHO "[..], &vec![b'a'; INLINE_BYTES_MAX], b"\n"].concat();
    let parsed = RequestParser::new().parse(&line, &RequestLimits::AUTHENTICATED);
    assert_eq!(parsed, Err(ProtocolError::TooBigInlineRequest));
}

#[test]
fn quotes_that_do_not_close() {
    for line in ["set \"a b", "ECHO \"a\"b", "ECHO 'a", "ECHO 'a'b", "ECHO \"a\\", "\""] {
        check(format!("{line}\r\n").as_bytes(), "unbalanced quotes in request");
        check(format!("{line}\n").as_bytes(), "unbalanced quotes in request");
    }
}

#[test]
fn browsers_are_hung_up_on() {
    for line in [
        "POST / HTTP/1.1",
        "post /",
        "POST",
        " POST /",
        "\"POST\" /",
        "Host: localhost:6379",
        "hOsT:",
        "Host:localhost",
    ] {
        let input = format!("{line}\r\nPING\r\n");
        let mut parser = RequestParser::new();
        let error = parser.parse(input.as_bytes(), &RequestLimits::AUTHENTICATED).unwrap_err();
        assert_eq!((error, error.reply_text()), (ProtocolError::SecurityAttack, None), "{line}");
    }
    for line in ["POSTS", "GET / HTTP/1.1", "Hosts: x", "ECHO POST"] {
        let input = format!("{line}\r\n");
        let parsed = RequestParser::new().parse(input.as_bytes(), &RequestLimits::AUTHENTICATED);
        assert_eq!(parsed, Ok(Parsed::Request { consumed: input.len() }), "{line}");
    }
}

#[test]
fn a_stranger_may_send_little() {
    let limits = RequestLimits::UNAUTHENTICATED;
    check_with(&limits, b"*11\r\n", "unauthenticated multibulk length");
    check_with(&limits, b"*1048576\r\n", "unauthenticated multibulk length");
    check_with(&limits, b"*2\r\n$4\r\nAUTH\r\n$16385\r\n", "unauthenticated bulk length");
    check_with(&limits, b"*1048577\r\n", "invalid multibulk length");
    check_with(&limits, b"*1\r\n$536870913\r\n", "invalid bulk length");
    check_waits(&limits, b"*10\r\n");
    check_waits(&limits, b"*1\r\n$16384\r\n");
}

#[test]
fn what_came_before_the_error_is_served() {
    let input = b"*1\r\n$4\r\nPING\r\n*1\r\n$bad\r\n*1\r\n$4\r\nPING\r\n";
    let (mut parser, limits) = (RequestParser::new(), RequestLimits::AUTHENTICATED);
    assert_eq!(parser.parse(input, &limits), Ok(Parsed::Request { consumed: 14 }));
    assert_eq!(parser.args(input).at(0), b"PING");
    assert_eq!(parser.parse(&input[14..], &limits), Err(ProtocolError::InvalidBulkLength));
}

#[test]
fn a_tls_hello_is_refused_or_waited_for() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xaa\xbb\r\n\x00\x13\x01";
    let parsed = RequestParser::new().parse(hello, &RequestLimits::AUTHENTICATED);
    // A zero byte ends an inline command, so this one has a nameless command of control bytes.
    assert_eq!(parsed, Ok(Parsed::Request { consumed: 15 }));
}
