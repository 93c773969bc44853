//! Looks into the answers to reads of sealed values: is each the intact value of the key that was asked for?

use resp::{ReplyHead, ReplyKind};

use crate::operations::Verb;
use crate::verified_value::{BadValue, check};

/// What was found in one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerOutcome {
    /// Values looked into.
    pub checked: u64,
    /// What is wrong with the first bad one.
    pub bad: Option<BadValue>,
}

/// Checks the answer to a read of `key`, or of the keys from `key` on for a scan. Nothing for answers without values:
/// misses, errors, answers to writes and to commands of the user.
#[must_use]
pub fn check_answer(verb: Verb, key: u64, head: &ReplyHead, input: &[u8]) -> Option<AnswerOutcome> {
    match (verb, head.kind) {
        (Verb::Get | Verb::ReadModifyWrite, ReplyKind::Bulk) => {
            Some(AnswerOutcome { checked: 1, bad: check(&input[head.body.clone()], key).err() })
        }
        (Verb::Scan, ReplyKind::Array) => Some(check_elements(key, &input[..head.consumed])),
        _ => None,
    }
}

/// The elements of an array of strings and nulls, which the parser has found well formed.
fn check_elements(first_key: u64, array: &[u8]) -> AnswerOutcome {
    let mut outcome = AnswerOutcome { checked: 0, bad: None };
    let mut rest = after_line(array);
    let mut key = first_key;
    while let Some((b'$' | b'_', _)) = rest.split_first() {
        let line = &rest[1..];
        rest = after_line(rest);
        let length = line
            .split(|&byte| byte == b'\r')
            .next()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse::<usize>().ok());
        if let Some(value) = length.and_then(|length| rest.get(..length)) {
            outcome.checked += 1;
            outcome.bad = outcome.bad.or(check(value, key).err());
            rest = rest.get(value.len() + 2..).unwrap_or_default();
        }
        key += 1;
    }
    outcome
}

fn after_line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| at + 1);
    &bytes[end..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verified_value::seal;
    use resp::{ReplyParser, write_bulk};

    fn outcome(verb: Verb, key: u64, reply: &[u8]) -> Option<AnswerOutcome> {
        let head = ReplyParser::new().skip(reply).unwrap().unwrap();
        check_answer(verb, key, &head, reply)
    }

    fn value(key: u64) -> Vec<u8> {
        let mut value = vec![b'\n'; 40];
        seal(&mut value, key, 1);
        value
    }

    #[test]
    fn a_get_is_checked_against_its_key() {
        let mut reply = Vec::new();
        write_bulk(&mut reply, &value(7));
        assert_eq!(outcome(Verb::Get, 7, &reply), Some(AnswerOutcome { checked: 1, bad: None }));
        let bad = outcome(Verb::Get, 8, &reply).unwrap().bad;
        assert_eq!(bad, Some(BadValue::OtherKey { asked: 8, found: 7 }));
        assert_eq!(outcome(Verb::Get, 7, b"$-1\r\n"), None);
        assert_eq!(outcome(Verb::Set, 7, b"+OK\r\n"), None);
    }

    #[test]
    fn a_scan_is_checked_key_by_key_over_gaps() {
        let mut reply = b"*4\r\n".to_vec();
        write_bulk(&mut reply, &value(7));
        reply.extend_from_slice(b"$-1\r\n_\r\n");
        write_bulk(&mut reply, &value(10));
        assert_eq!(outcome(Verb::Scan, 7, &reply), Some(AnswerOutcome { checked: 2, bad: None }));
        let shifted = outcome(Verb::Scan, 6, &reply).unwrap();
        assert_eq!(shifted.bad, Some(BadValue::OtherKey { asked: 6, found: 7 }));
    }
}
