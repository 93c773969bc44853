//! Tables of commands and replies as text.

use resp::{Parsed, Reply, RequestLimits, RequestParser, parse_reply};

/// One case of a table.
pub(super) struct Case<'a> {
    pub(super) name: &'a str,
    pub(super) lines: Vec<Line<'a>>,
}

/// One line of a case.
pub(super) enum Line<'a> {
    /// `@sleep 10`: so many milliseconds pass.
    Sleep(u64),
    /// `command => reply`.
    Ask { request: Vec<u8>, expected: &'a str, text: &'a str },
}

/// The cases of a table.
pub(super) fn cases(table: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for text in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(name) = text.strip_prefix("# ") {
            cases.push(Case { name, lines: Vec::new() });
            continue;
        }
        let line = if let Some(ms) = text.strip_prefix("@sleep ") {
            Line::Sleep(ms.parse().unwrap())
        } else {
            let (command, expected) =
                text.split_once(" => ").unwrap_or_else(|| panic!("no reply in {text:?}"));
            Line::Ask { request: request_of(command), expected: expected.trim(), text }
        };
        cases.last_mut().expect("a case begins with its name").lines.push(line);
    }
    assert!(!cases.is_empty(), "a table has cases");
    cases
}

/// A command as a client would send it, from words with quotes and escapes.
pub(super) fn request_of(command: &str) -> Vec<u8> {
    let line = format!("{command}\r\n");
    let mut parser = RequestParser::new();
    let parsed = parser.parse(line.as_bytes(), &RequestLimits::default());
    assert!(matches!(parsed, Ok(Parsed::Request { .. })), "{command:?} is no command");
    let words: Vec<&[u8]> = parser.args(line.as_bytes()).iter().collect();
    let mut request = Vec::new();
    resp::write_request(&mut request, &words);
    request
}

/// Compares a rendered reply with what a table says: the same text but for white space at the end, `*` for anything, `:a..b` for an integer between.
pub(super) fn check_line(case: &str, line: &str, expected: &str, rendered: &str) {
    let range = expected.strip_prefix(':').and_then(|range| range.split_once(".."));
    let holds = match range {
        Some((low, high)) => {
            let number = |text: &str| text.parse::<i64>().unwrap();
            rendered.strip_prefix(':').is_some_and(|got| (number(low)..=number(high)).contains(&number(got)))
        }
        None => expected == "*" || expected == rendered.trim_end(),
    };
    assert!(holds, "case {case:?}\n  line  {line}\n  reply {rendered}");
}

/// A reply on one line: `OK`, `:1`, `-ERR ...`, `"bulk"`, `nil`, `[a, b]`, `{k: v}`, `~[a]`.
pub(super) fn render(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "(nothing)".into();
    }
    let (reply, consumed) = parse_reply(bytes).unwrap().expect("a whole reply");
    assert_eq!(consumed, bytes.len(), "one reply: {:?}", String::from_utf8_lossy(bytes));
    render_reply(&reply)
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

fn render_reply(reply: &Reply) -> String {
    let list = |items: &[Reply]| items.iter().map(render_reply).collect::<Vec<_>>().join(", ");
    match reply {
        Reply::Simple(text) => String::from_utf8_lossy(text).into_owned(),
        Reply::Error(text) => format!("-{}", String::from_utf8_lossy(text)),
        Reply::Integer(number) => format!(":{number}"),
        Reply::Bulk(bytes) => quoted(bytes),
        Reply::Verbatim { text, .. } => format!("={}", quoted(text)),
        Reply::Null => "nil".into(),
        Reply::Array(items) => format!("[{}]", list(items)),
        Reply::Set(items) => format!("~[{}]", list(items)),
        Reply::Map(pairs) => {
            let pair =
                |(key, value): &(Reply, Reply)| format!("{}: {}", render_reply(key), render_reply(value));
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}
