//! Input that is no request, or no sensible one: the answer is known for each, the daemon lives, its memory is
//! bounded. Where Ouro is stricter than Redis the case says so.

use std::time::Instant;

use crate::server::{Server, Setup, wait_for};
use crate::wire::{Wire, key_of, request};

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Open,
    Closed,
}
use After::{Closed, Open};

/// Sends bytes; expects exactly this answer, and the connection open or closed behind it.
#[track_caller]
fn case(server: &Server, bytes: &[u8], answer: &[u8], after: After) {
    let mut wire = server.connect();
    wire.send_if_open(bytes);
    finish(wire, bytes, answer, after);
}

#[track_caller]
fn finish(mut wire: Wire, bytes: &[u8], answer: &[u8], after: After) {
    let about = bytes[..bytes.len().min(60)].escape_ascii().to_string();
    match after {
        Closed => {
            let got = wire.until_closed();
            assert_eq!(got.escape_ascii().to_string(), answer.escape_ascii().to_string(), "{about}");
        }
        Open => {
            wire.send(b"*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n");
            wire.expect(&[answer, b"$3\r\nend\r\n"].concat());
        }
    }
}

fn protocol_error(text: &str) -> Vec<u8> {
    format!("-ERR Protocol error: {text}\r\n").into_bytes()
}

#[test]
fn empty_requests_are_passed_over() {
    let server = Setup::memory().start();
    for bytes in ["\r\n", "\n", "\0\r\n", "*0\r\n", "*-1\r\n", "*-10\r\n", "*-2147483649\r\n"] {
        case(&server, bytes.as_bytes(), b"", Open);
        // Together with what follows in one receive too.
        let together = [bytes.as_bytes(), b"*1\r\n$4\r\nPING\r\n"].concat();
        case(&server, &together, b"+PONG\r\n", Open);
    }
    // CVE-2026-27623: an empty request left its type behind.
    let many = [b"*0\r\n".repeat(1000), b"*1\r\n$4\r\nPING\r\nPING\r\n".to_vec()].concat();
    case(&server, &many, b"+PONG\r\n+PONG\r\n", Open);
}

#[test]
fn requests_in_single_bytes_are_requests() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    let value = vec![b'v'; 500];
    let words: [&[u8]; 3] = [b"SET", b"key", &value];
    let bytes = [request(&words), b"PING\n".to_vec(), request(&[b"GET", b"key"]), b"EXISTS key\r\n".to_vec()]
        .concat();
    for byte in bytes {
        wire.send(&[byte]);
    }
    wire.expect(&[b"+OK\r\n+PONG\r\n$500\r\n", &value[..], b"\r\n:1\r\n"].concat());
}

#[test]
fn counts_that_are_no_counts_close_the_connection() {
    let server = Setup::memory().start();
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
        // Stricter than Redis, which waits for 2^31 - 1 arguments.
        "1048577",
        "2147483647",
    ] {
        let bytes = format!("*{count}\r\n");
        case(&server, bytes.as_bytes(), &protocol_error("invalid multibulk length"), Closed);
    }
}

#[test]
fn what_is_no_bulk_string_closes_the_connection() {
    let server = Setup::memory().start();
    for (bytes, got) in
        [("*1\r\nfoo\r\n", 'f'), ("*1\r\n*1\r\n", '*'), ("*1\r\n:5\r\n", ':'), ("*1\r\n+PING\r\n", '+')]
    {
        case(&server, bytes.as_bytes(), &protocol_error(&format!("expected '$', got '{got}'")), Closed);
    }
    for length in
        ["-1", "-10", "536870913", "9223372036854775808", "18446744073709551616", "bla", "+4", "04", ""]
    {
        let bytes = format!("*1\r\n${length}\r\n");
        case(&server, bytes.as_bytes(), &protocol_error("invalid bulk length"), Closed);
    }
    // Stricter than Redis, which does not look at the two bytes behind a bulk string.
    let mut wire = server.connect();
    wire.send(b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n");
    let got = wire.until_closed();
    assert!(got.starts_with(b"-ERR Protocol error"), "{}", got.escape_ascii());
    assert_eq!(got.iter().filter(|&&byte| byte == b'\n').count(), 1, "nothing behind it ran");
}

#[test]
fn announced_lengths_cost_nothing_until_the_bytes_come() {
    let server = Setup::memory().start();
    let mut waiting = Vec::new();
    for announced in [
        "*1\r\n$536870912\r\n",
        "*1048576\r\n",
        "*2\r\n$3\r\nGET\r\n$536870912\r\nabc",
        "*1048576\r\n$0\r\n\r\n",
    ] {
        for _ in 0..50 {
            let mut wire = server.connect();
            wire.send(announced.as_bytes());
            waiting.push(wire);
        }
    }
    // They have been received: the daemon has answered who came after.
    for _ in 0..4 {
        assert_eq!(server.connect().answer(&["PING"]), "+PONG");
    }
    let peak = server.peak_mib();
    assert!(peak < 100, "{} half requests took {peak} MiB", waiting.len());
}

#[test]
fn lines_without_an_end_close_the_connection() {
    let server = Setup::memory().start();
    let long = vec![b'7'; 64 * 1024 + 1];
    case(&server, &long, &protocol_error("too big inline request"), Closed);
    case(&server, &[b"*", &long[..]].concat(), &protocol_error("too big mbulk count string"), Closed);
    case(&server, &[b"*1\r\n$", &long[..]].concat(), &protocol_error("too big bulk count string"), Closed);
}

#[test]
fn inline_requests_have_quotes() {
    let server = Setup::memory().start();
    let unbalanced = protocol_error("unbalanced quotes in request");
    case(&server, b"set \"a b\r\n", &unbalanced, Closed);
    case(&server, b"ECHO \"a\"b\r\n", &unbalanced, Closed);
    case(&server, b"ECHO \"\\x41\\n\"\r\n", b"$2\r\nA\n\r\n", Open);
    case(&server, b"ECHO 'it\\'s'\r\n", b"$4\r\nit's\r\n", Open);
    case(&server, b"  ping  \r\n", b"+PONG\r\n", Open);
}

#[test]
fn another_protocol_is_closed() {
    let server = Setup::memory().start();
    case(&server, b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET a b\r\n", b"", Closed);
    case(&server, b"Host: localhost\r\n", b"", Closed);
    wait_for("the warning", || server.log().contains("SECURITY ATTACK").then_some(()));
    let hello = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &[7; 512], b"\r\n"].concat();
    let mut wire = server.connect();
    wire.send(&hello);
    wire.half_close();
    let got = wire.until_closed();
    assert!(got.is_empty() || got.starts_with(b"-ERR"), "{}", got.escape_ascii());
    assert_eq!(server.connect().answer(&["EXISTS", "a"]), ":0");
}

#[test]
fn random_bytes_do_no_harm() {
    let server = Setup::memory().start();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut draw = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let alphabet = b"*$:+-_#,(!=%~>|\r\n0123456789 \"'\\xGETSEPINGINCR\0\xff";
    for _ in 0..300 {
        let bytes: Vec<u8> =
            (0..draw() % 400).map(|_| alphabet[usize::try_from(draw()).unwrap() % alphabet.len()]).collect();
        let mut wire = server.connect();
        wire.send_if_open(&bytes);
        wire.half_close();
        wire.until_closed();
    }
    assert_eq!(server.connect().answer(&["PING"]), "+PONG");
}

#[test]
fn a_length_off_by_one_is_an_error_and_no_more() {
    let server = Setup::memory().start();
    for bytes in ["*1\r\n$5\r\nPING\r\n\r\n*1\r\n$4\r\nPING\r\n", "*1\r\n$3\r\nPING\r\n*1\r\n$4\r\nPING\r\n"]
    {
        let mut wire = server.connect();
        wire.send_if_open(bytes.as_bytes());
        wire.half_close();
        let got = wire.until_closed();
        assert!(got.starts_with(b"-ERR"), "{}", got.escape_ascii());
    }
}

#[test]
fn a_bad_request_ends_a_pipeline_behind_the_good_ones() {
    let server = Setup::memory().start();
    // The good ones' replies come from both workers, and all come before the error.
    let (a, b) = (key_of(0, 0), key_of(1, 0));
    let mut bytes = Vec::new();
    for _ in 0..100 {
        bytes.extend(request(&[b"INCR", a.as_bytes()]));
        bytes.extend(request(&[b"INCR", b.as_bytes()]));
    }
    bytes.extend(b"*1\r\n$bla\r\n");
    bytes.extend(request(&[b"SET", b"never", b"run"]));
    let mut answer: Vec<u8> = (1..=100).flat_map(|n| format!(":{n}\r\n:{n}\r\n").into_bytes()).collect();
    answer.extend(protocol_error("invalid bulk length"));
    case(&server, &bytes, &answer, Closed);
    case(
        &server,
        b"*1\r\n$4\r\nPING\r\n*1\r\n$bla\r\n*1\r\n$4\r\nPING\r\n",
        &[b"+PONG\r\n".to_vec(), protocol_error("invalid bulk length")].concat(),
        Closed,
    );
    assert_eq!(server.connect().answer(&["EXISTS", "never"]), ":0");
}

#[test]
fn unknown_commands_and_wrong_counts_are_answered() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["FOOBAR"]), "-ERR unknown command 'FOOBAR', with args beginning with: ");
    assert_eq!(wire.answer(&["FO\r\n+OK!"]), "-ERR unknown command 'FO  +OK!', with args beginning with: ");
    let long = wire.answer(&["FOO", &"a".repeat(300)]);
    assert_eq!(long, format!("-ERR unknown command 'FOO', with args beginning with: '{}' ", "a".repeat(128)));
    assert_eq!(wire.answer(&[""]), "-ERR unknown command '', with args beginning with: ");
    assert_eq!(wire.answer(&["GET"]), "-ERR wrong number of arguments for 'get' command");
    assert_eq!(wire.answer(&["GET", "a", "b"]), "-ERR wrong number of arguments for 'get' command");
    // There are no transactions: nothing is queued, whatever is sent.
    for name in ["MULTI", "EXEC", "DISCARD", "UNWATCH"] {
        let said = format!("-ERR unknown command '{name}', with args beginning with: ");
        assert_eq!(wire.answer(&[name]), said);
    }
    let said = "-ERR unknown command 'WATCH', with args beginning with: 'k' ";
    assert_eq!(wire.answer(&["WATCH", "k"]), said);
}

/// Both workers' keys: the answer of a hop is the same.
fn on_both_workers(script: &[(&[&str], &str)]) {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    for key in [key_of(0, 0), key_of(1, 0)] {
        for (words, answer) in script {
            let words: Vec<&str> = words.iter().map(|word| if *word == "K" { &key } else { *word }).collect();
            assert_eq!(wire.answer(&words), *answer, "{words:?}");
        }
    }
}

#[test]
fn expiry_times_have_bounds() {
    let set = "-ERR invalid expire time in 'set' command";
    let expire = "-ERR invalid expire time in 'expire' command";
    let max = "9223372036854775807";
    on_both_workers(&[
        (&["SET", "K", "v", "EX", "0"], set),
        (&["SET", "K", "v", "EX", "-1"], set),
        (&["SET", "K", "v", "EX", max], set),
        (&["SET", "K", "v", "PX", "0"], set),
        (&["SET", "K", "v", "EX", "1", "PX", "1"], "-ERR syntax error"),
        (&["SET", "K", "v", "NX", "XX"], "-ERR syntax error"),
        (&["SET", "K", "v", "EX", "abc"], "-ERR value is not an integer or out of range"),
        (&["SETEX", "K", "0", "v"], "-ERR invalid expire time in 'setex' command"),
        (&["EXISTS", "K"], ":0"),
        (&["SET", "K", "v"], "+OK"),
        (&["EXPIRE", "K", max], expire),
        (&["EXPIRE", "K", "abc"], "-ERR value is not an integer or out of range"),
        (&["TTL", "K"], ":-1"),
        (&["EXPIRE", "K", "-1"], ":1"),
        (&["EXISTS", "K"], ":0"),
        (&["EXPIRE", "K", "-1"], ":0"),
    ]);
}

#[test]
fn numbers_and_offsets_have_bounds() {
    let not_integer = "-ERR value is not an integer or out of range";
    let (min, max) = ("-9223372036854775808", "9223372036854775807");
    on_both_workers(&[
        (&["SET", "K", "abc"], "+OK"),
        (&["INCR", "K"], not_integer),
        (&["INCRBYFLOAT", "K", "1"], "-ERR value is not a valid float"),
        (&["SET", "K", max], "+OK"),
        (&["INCR", "K"], "-ERR increment or decrement would overflow"),
        (&["DECRBY", "K", min], "-ERR decrement would overflow"),
        (&["INCRBY", "K", "9223372036854775808"], not_integer),
        (&["INCRBYFLOAT", "K", "nan"], "-ERR value is not a valid float"),
        (&["GET", "K"], max),
        (&["SETRANGE", "K", "-1", "x"], "-ERR offset is out of range"),
        (
            &["SETRANGE", "K", "536870912", "x"],
            "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        ),
        (&["SETBIT", "K", "4294967296", "1"], "-ERR bit offset is not an integer or out of range"),
        (&["SETBIT", "K", "-1", "1"], "-ERR bit offset is not an integer or out of range"),
        (&["SETBIT", "K", "0", "2"], "-ERR bit is not an integer or out of range"),
        (&["GETRANGE", "K", min, max], max),
        (&["GETRANGE", "K", "5", "1"], ""),
        (&["DEL", "K"], ":1"),
        (&["SETRANGE", "K", "0", ""], ":0"),
        (&["EXISTS", "K"], ":0"),
        (&["SELECT", "16"], "-ERR DB index is out of range"),
        (&["SELECT", "-1"], "-ERR DB index is out of range"),
        (&["SELECT", "abc"], not_integer),
        (&["SELECT", "0"], "+OK"),
        (&["MSETNX", "K", "1", "K", "2"], ":1"),
        (&["GET", "K"], "2"),
        (&["DEL", "K"], ":1"),
        (
            &["AUTH", "password"],
            "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        ),
        (&["AUTH", "a", "b", "c"], "-ERR syntax error"),
        (&["SCAN", "abc"], "-ERR invalid cursor"),
        (&["SCAN", "18446744073709551616"], "-ERR invalid cursor"),
        (&["SCAN", "0", "COUNT", "0"], "-ERR syntax error"),
        (&["HELLO", "4"], "-NOPROTO unsupported protocol version"),
        (&["HELLO", "abc"], "-ERR Protocol version is not an integer or out of range"),
    ]);
}

#[test]
fn patterns_made_to_be_slow_are_not() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    let name = "a".repeat(60);
    wire.call(&["SET", &name, "v"]);
    let began = Instant::now();
    for pattern in [format!("{}b", "a*".repeat(20)), "[".repeat(2000), "*".repeat(100_000), "\\".repeat(5000)]
    {
        let answer = wire.answer(&["KEYS", &pattern]);
        assert!(answer == "[]" || pattern.starts_with("**"), "{answer}");
    }
    assert!(began.elapsed() < crate::server::PATIENCE, "{:?}", began.elapsed());
}
