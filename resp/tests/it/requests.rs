//! Requests that a server must take, by hand from the specification, and what the parser holds in memory for them.

use resp::limits::{ARGS_MAX, BULK_BYTES_MAX, INLINE_BYTES_MAX};
use resp::{Parsed, ProtocolError, RequestLimits, RequestParser};

/// The requests in `input`, each as its arguments, and the bytes left over.
fn parse_all(input: &[u8]) -> (Vec<Vec<Vec<u8>>>, usize) {
    let (mut parser, mut requests, mut rest) = (RequestParser::new(), Vec::new(), input);
    loop {
        match parser.parse(rest, &RequestLimits::default()).expect("these are requests") {
            Parsed::Request { consumed } => {
                requests.push(parser.args(rest).iter().map(<[u8]>::to_vec).collect());
                rest = &rest[consumed..];
            }
            Parsed::Empty { consumed } => rest = &rest[consumed..],
            Parsed::Incomplete { .. } => return (requests, rest.len()),
        }
    }
}

/// `input` is these requests and nothing more.
fn check(input: &[u8], expected: &[&[&[u8]]]) {
    let (requests, left_over) = parse_all(input);
    assert_eq!(requests, expected, "{input:?}");
    assert_eq!(left_over, 0, "{input:?}");
}

#[test]
fn arrays_of_bulk_strings_are_requests() {
    check(b"*1\r\n$4\r\nPING\r\n", &[&[b"PING"]]);
    check(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\na\r\n\0b\r\n", &[&[b"SET", b"key", b"a\r\n\0b"]]);
    check(b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", &[&[b"ECHO", b""]]);
    check(b"*1\r\n$0\r\n\r\n", &[&[b""]]);
}

#[test]
fn lengths_of_every_digit_count_are_read() {
    for len in [1, 9, 10, 99, 100, 999, 1000, 12_345, 100_000] {
        let value = vec![b'v'; len];
        let input = [format!("*2\r\n$4\r\nECHO\r\n${len}\r\n").as_bytes(), &value, b"\r\n"].concat();
        check(&input, &[&[b"ECHO", &value]]);
    }
    for count in [1, 9, 10, 11, 100, 5000] {
        let input = [format!("*{count}\r\n").as_bytes(), &b"$1\r\na\r\n".repeat(count)].concat();
        check(&input, &[&vec![&b"a"[..]; count]]);
    }
}

#[test]
fn inline_commands_are_requests() {
    check(b"PING\r\n", &[&[b"PING"]]);
    check(b"PING\n", &[&[b"PING"]]);
    check(b"  set key \"a b\" 'c'\r\n", &[&[b"set", b"key", b"a b", b"c"]]);
    check(b"ECHO \"\\x41\\n\"\r\n", &[&[b"ECHO", b"A\n"]]);
    check(b"PING\r\r\n", &[&[b"PING"]]);
}

#[test]
fn pipelines_mix_both_forms() {
    check(b"PING\r\n*1\r\n$4\r\nPING\r\n\r\nECHO a\n", &[&[b"PING"], &[b"PING"], &[b"ECHO", b"a"]]);
}

#[test]
fn nothing_asked_is_nothing_answered() {
    for empty in [
        &b"\r\n"[..],
        b"\n",
        b"\0\r\n",
        b" \t \r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*-10\r\n",
        b"*-2147483649\r\n",
        b"*-9223372036854775808\r\n",
    ] {
        let mut parser = RequestParser::new();
        let limits = RequestLimits::default();
        assert_eq!(parser.parse(empty, &limits), Ok(Parsed::Empty { consumed: empty.len() }), "{empty:?}");
        assert!(!parser.is_mid_request());
        assert!(parser.args(empty).is_empty());
        check(&[empty, b"*1\r\n$4\r\nPING\r\n"].concat(), &[&[b"PING"]]);
        check(&[empty, b"PING\r\n"].concat(), &[&[b"PING"]]);
    }
}

/// CVE-2026-27623: an empty request left the kind of the next one set.
#[test]
fn a_thousand_empty_arrays_do_no_harm() {
    check(&[&b"*0\r\n".repeat(1000)[..], b"*1\r\n$4\r\nPING\r\n"].concat(), &[&[b"PING"]]);
    check(&[&b"*0\r\n".repeat(1000)[..], b"PING\r\n"].concat(), &[&[b"PING"]]);
}

#[test]
fn one_byte_at_a_time_is_enough() {
    for input in [&b"*2\r\n$4\r\nECHO\r\n$11\r\nhello world\r\n"[..], b"ECHO \"hello world\"\r\n"] {
        let (mut parser, limits) = (RequestParser::new(), RequestLimits::default());
        for end in 0..input.len() {
            let parsed = parser.parse(&input[..end], &limits).unwrap();
            assert!(matches!(parsed, Parsed::Incomplete { .. }), "{end}");
            assert_eq!(parser.is_mid_request(), end > 0, "{end}");
            assert!(parser.args(&input[..end]).is_empty(), "no arguments before the request is complete");
        }
        assert_eq!(parser.parse(input, &limits), Ok(Parsed::Request { consumed: input.len() }));
        assert!(!parser.is_mid_request());
        assert_eq!(parser.args(input).iter().collect::<Vec<_>>(), [&b"ECHO"[..], b"hello world"]);
    }
}

#[test]
fn bytes_may_move_between_calls() {
    let (mut parser, limits) = (RequestParser::new(), RequestLimits::default());
    let whole = b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n".to_vec();
    let part = whole[..15].to_vec();
    assert_eq!(parser.parse(&part, &limits), Ok(Parsed::Incomplete { wanted: 1 }));
    drop(part);
    assert_eq!(parser.parse(&whole, &limits), Ok(Parsed::Request { consumed: whole.len() }));
    assert_eq!(&parser.args(&whole)[1], b"key");
}

#[test]
fn wanted_is_what_the_present_argument_lacks() {
    let (mut parser, limits) = (RequestParser::new(), RequestLimits::default());
    assert_eq!(parser.parse(b"", &limits), Ok(Parsed::Incomplete { wanted: 1 }));
    assert_eq!(parser.parse(b"*1\r\n$100\r\nabc", &limits), Ok(Parsed::Incomplete { wanted: 99 }));
    let most = [&b"*1\r\n$100\r\n"[..], &[b'a'; 100], b"\r"].concat();
    assert_eq!(parser.parse(&most, &limits), Ok(Parsed::Incomplete { wanted: 1 }));
}

#[test]
fn claims_of_the_largest_size_are_waited_for() {
    let limits = RequestLimits::default();
    for claim in [format!("*{ARGS_MAX}\r\n"), "*1048576\r\n$3\r\nSET\r\n".into()] {
        let mut parser = RequestParser::new();
        let parsed = parser.parse(claim.as_bytes(), &limits).unwrap();
        assert_eq!(parsed, Parsed::Incomplete { wanted: 1 });
        assert!(parser.is_mid_request());
        // An argument's range has 16 bytes: the claim would be 16 MiB.
        assert!(parser.memory_bytes() <= 32 * 1024, "{}", parser.memory_bytes());
    }
    let mut parser = RequestParser::new();
    let parsed = parser.parse(b"*1\r\n$536870912\r\n", &limits).unwrap();
    assert_eq!(parsed, Parsed::Incomplete { wanted: BULK_BYTES_MAX + 2 });
    assert!(parser.memory_bytes() <= 32 * 1024);
}

#[test]
fn memory_of_an_unusual_request_is_given_back() {
    let (mut parser, limits) = (RequestParser::new(), RequestLimits::default());
    assert_eq!(parser.memory_bytes(), 0, "a new parser holds nothing");
    let many = [&b"*100000\r\n"[..], &b"$1\r\na\r\n".repeat(100_000)].concat();
    assert_eq!(parser.parse(&many, &limits), Ok(Parsed::Request { consumed: many.len() }));
    assert_eq!(parser.args(&many).len(), 100_000);
    assert_eq!(parser.parse(b"", &limits), Ok(Parsed::Incomplete { wanted: 1 }));
    assert!(parser.memory_bytes() <= 32 * 1024, "{}", parser.memory_bytes());

    let line = [&b"ECHO "[..], &b"a ".repeat(INLINE_BYTES_MAX / 2 - 10), b"\n"].concat();
    assert_eq!(parser.parse(&line, &limits), Ok(Parsed::Request { consumed: line.len() }));
    assert_eq!(parser.parse(b"", &limits), Ok(Parsed::Incomplete { wanted: 1 }));
    assert!(parser.memory_bytes() <= 32 * 1024, "{}", parser.memory_bytes());
}

#[test]
fn the_longest_lines_are_taken() {
    let line = [&b"ECHO "[..], &vec![b'a'; INLINE_BYTES_MAX - 5], b"\n"].concat();
    check(&line, &[&[b"ECHO", &line[5..INLINE_BYTES_MAX]]]);
}

#[test]
fn limits_are_those_of_the_call() {
    let mut parser = RequestParser::new();
    let limits = RequestLimits { args_max: 2, bulk_bytes_max: 5, inline_bytes_max: 10, authenticated: true };
    for (input, error) in [
        (&b"*3\r\n"[..], ProtocolError::InvalidMultibulkLength),
        (b"*1\r\n$6\r\n", ProtocolError::InvalidBulkLength),
        (b"*1\r\n$6\r\nabcdef\r\n", ProtocolError::InvalidBulkLength),
        (b"*2\r\n$4\r\nECHO\r\n$6\r\nabcdef\r\n", ProtocolError::InvalidBulkLength),
        (b"ECHO 123456", ProtocolError::TooBigInlineRequest),
    ] {
        assert_eq!(RequestParser::new().parse(input, &limits), Err(error));
    }
    let input = b"*2\r\n$4\r\nECHO\r\n$5\r\nabcde\r\n";
    assert_eq!(parser.parse(input, &limits), Ok(Parsed::Request { consumed: input.len() }));
}
