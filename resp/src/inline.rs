//! Words of an inline command: what a person types into `nc`.
//!
//! The rules are those of Redis `sdssplitargs`: words are parted by white space; `"..."` knows `\n \r \t \b \a`,
//! `\xHH` and `\` before any other byte; `'...'` knows `\'` only; a closing quote must end its word; a quote may
//! open inside a word. A zero byte ends the line.

use crate::args::ArgRange;

/// Quotes do not close, or close in the middle of a word.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnbalancedQuotes;

/// Appends the words of `line` (without its line end) to `words` and their places to `ranges`.
pub(crate) fn split_words(
    line: &[u8],
    words: &mut Vec<u8>,
    ranges: &mut Vec<ArgRange>,
) -> Result<(), UnbalancedQuotes> {
    let line = memchr::memchr(0, line).map_or(line, |end| &line[..end]);
    let mut rest = line;
    loop {
        let blanks = rest.iter().take_while(|byte| is_space(**byte)).count();
        rest = &rest[blanks..];
        if rest.is_empty() {
            return Ok(());
        }
        let start = words.len();
        rest = read_word(rest, words)?;
        ranges.push(ArgRange { start, len: words.len() - start });
    }
}

/// White space of C's `isspace`: one byte more than Rust's.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Reads one word and returns what follows it.
fn read_word<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        match rest {
            [] => return Ok(rest),
            // Vertical tab and form feed part words only before a word. So does Redis.
            [b' ' | b'\t' | b'\n' | b'\r', ..] => return Ok(rest),
            [b'"', quoted @ ..] => return read_double_quoted(quoted, words),
            [b'\'', quoted @ ..] => return read_single_quoted(quoted, words),
            [byte, after @ ..] => {
                words.push(*byte);
                rest = after;
            }
        }
    }
}

fn read_double_quoted<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        let (byte, after) = match rest {
            [] => return Err(UnbalancedQuotes),
            [b'"', after @ ..] => return after_closing_quote(after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_value(*high) << 4 | hex_value(*low), after)
            }
            [b'\\', escaped, after @ ..] => (unescape(*escaped), after),
            [byte, after @ ..] => (*byte, after),
        };
        words.push(byte);
        rest = after;
    }
}

fn read_single_quoted<'a>(mut rest: &'a [u8], words: &mut Vec<u8>) -> Result<&'a [u8], UnbalancedQuotes> {
    loop {
        let (byte, after) = match rest {
            [] => return Err(UnbalancedQuotes),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [b'\'', after @ ..] => return after_closing_quote(after),
            [byte, after @ ..] => (*byte, after),
        };
        words.push(byte);
        rest = after;
    }
}

fn after_closing_quote(rest: &[u8]) -> Result<&[u8], UnbalancedQuotes> {
    match rest.first() {
        Some(byte) if !is_space(*byte) => Err(UnbalancedQuotes),
        _ => Ok(rest),
    }
}

const fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

const fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::{UnbalancedQuotes, split_words};
    use crate::args::Args;

    fn check(line: &[u8], expected: &[&[u8]]) {
        let (mut words, mut ranges) = (Vec::new(), Vec::new());
        assert_eq!(split_words(line, &mut words, &mut ranges), Ok(()), "{line:?}");
        assert_eq!(Args::new(&words, &ranges).iter().collect::<Vec<_>>(), expected, "{line:?}");
    }

    fn check_unbalanced(line: &[u8]) {
        assert_eq!(split_words(line, &mut Vec::new(), &mut Vec::new()), Err(UnbalancedQuotes), "{line:?}");
    }

    #[test]
    fn words_are_parted_by_white_space() {
        check(b"", &[]);
        check(b" \t\r\n\x0b\x0c", &[]);
        check(b"PING", &[b"PING"]);
        check(b"  SET\tkey   value  ", &[b"SET", b"key", b"value"]);
        check(b"PING\r", &[b"PING"]);
    }

    #[test]
    fn vertical_tab_parts_words_only_before_a_word() {
        check(b"\x0bECHO a\x0bb", &[b"ECHO", b"a\x0bb"]);
    }

    #[test]
    fn zero_byte_ends_the_line() {
        check(b"\0", &[]);
        check(b"PING\0 pong", &[b"PING"]);
        check_unbalanced(b"ECHO \"a\0\"");
    }

    #[test]
    fn double_quotes_know_escapes() {
        check(br#"ECHO "\x41\n""#, &[b"ECHO", b"A\n"]);
        check(br#"ECHO "\t\r\b\a\q\x4g\"\\""#, &[b"ECHO", b"\t\r\x08\x07qx4g\"\\"]);
        check(br#"ECHO "\xfF\x00""#, &[b"ECHO", b"\xff\0"]);
        check(br#"ECHO "" x"#, &[b"ECHO", b"", b"x"]);
    }

    #[test]
    fn single_quotes_know_only_the_quote() {
        check(br"ECHO 'a\'b\n\x41'", &[b"ECHO", br"a'b\n\x41"]);
        check(b"ECHO ''", &[b"ECHO", b""]);
        check(br#"ECHO 'a "b"'"#, &[b"ECHO", br#"a "b""#]);
    }

    #[test]
    fn a_quote_may_open_inside_a_word() {
        check(br#"ECHO a"b c""#, &[b"ECHO", b"ab c"]);
    }

    #[test]
    fn quotes_must_close_at_the_end_of_a_word() {
        for line in [&br#"set "a b"#[..], br#"ECHO "a"b"#, b"'", b"\"", br#""\"#, br#""\""#, b"'a'b", br"'\'"]
        {
            check_unbalanced(line);
        }
    }
}
