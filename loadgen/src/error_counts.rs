//! Errors of a run counted by kind, with one example each. Bounded: a server that answers ever new errors
//! fills no memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{ERROR_KINDS_MAX, ERROR_TEXT_BYTES_MAX};

/// Kinds that are not error replies of the server, but of the world in between.
pub mod kind {
    /// A reply of a type that the command does not give.
    pub const UNEXPECTED_REPLY: &str = "unexpected_reply";
    /// Bytes that are no RESP.
    pub const PROTOCOL: &str = "protocol";
    /// The connection ended while requests were in flight; counted once per lost request.
    pub const CONNECTION_LOST: &str = "connection_lost";
    /// Everything above the bound on kinds.
    pub const OTHER: &str = "other";
}

/// Counts by kind. The kind of an error reply is its code word: `ERR`, `OOM`, `WRONGTYPE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorCounts {
    entries: Vec<(String, ErrorCount)>,
    total: u64,
}

/// One kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// How often.
    pub count: u64,
    /// The text of the first one.
    pub example: String,
}

impl ErrorCounts {
    /// Counts an error reply, whose text is `text` without the leading `-`.
    pub fn record_reply(&mut self, text: &[u8]) {
        let word = text.split(|&byte| byte == b' ').next().unwrap_or_default();
        let is_code = !word.is_empty()
            && word.len() <= CODE_BYTES_MAX
            && word.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_' || byte.is_ascii_digit());
        let code = if is_code { std::str::from_utf8(word).unwrap_or("ERR") } else { "ERR" };
        self.record(code, text, 1);
    }

    /// Counts `count` errors of a kind.
    pub fn record(&mut self, kind: &str, text: &[u8], count: u64) {
        self.total += count;
        if let Some((_, entry)) = self.entries.iter_mut().find(|(known, _)| known == kind) {
            entry.count += count;
            return;
        }
        if self.entries.len() + 1 >= ERROR_KINDS_MAX && kind != kind::OTHER {
            return self.record_other(text, count);
        }
        let text = &text[..text.len().min(ERROR_TEXT_BYTES_MAX)];
        let example = String::from_utf8_lossy(text).into_owned();
        self.entries.push((kind.to_owned(), ErrorCount { count, example }));
    }

    fn record_other(&mut self, text: &[u8], count: u64) {
        self.total -= count;
        self.record(kind::OTHER, text, count);
    }

    /// Adds all counts of another worker.
    pub fn merge(&mut self, other: &Self) {
        for (kind, entry) in &other.entries {
            self.record(kind, entry.example.as_bytes(), entry.count);
        }
    }

    /// Errors of all kinds.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The counts as reports hold them.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<String, ErrorCount> {
        self.entries.iter().cloned().collect()
    }
}

const CODE_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_replies_are_counted_by_their_code_word() {
        let mut counts = ErrorCounts::default();
        counts.record_reply(b"OOM command not allowed when used memory > 'maxmemory'.");
        counts.record_reply(b"OOM again");
        counts.record_reply(b"ERR syntax error");
        counts.record_reply(b"no code word at all");
        counts.record_reply(b"");
        let kinds = counts.by_kind();
        assert_eq!(kinds["OOM"].count, 2);
        assert!(kinds["OOM"].example.contains("maxmemory"));
        assert_eq!(kinds["ERR"].count, 3);
        assert_eq!(counts.total(), 5);
    }

    #[test]
    fn kinds_are_bounded_and_the_total_stays_right() {
        let mut counts = ErrorCounts::default();
        for number in 0..1000 {
            counts.record_reply(format!("E{number} text").as_bytes());
        }
        let kinds = counts.by_kind();
        assert_eq!(kinds.len(), ERROR_KINDS_MAX);
        assert_eq!(counts.total(), 1000);
        assert_eq!(kinds.values().map(|entry| entry.count).sum::<u64>(), 1000);
        assert!(kinds[kind::OTHER].count > 900);
    }

    #[test]
    fn merging_adds_by_kind() {
        let mut left = ErrorCounts::default();
        left.record_reply(b"OOM x");
        let mut right = ErrorCounts::default();
        right.record_reply(b"OOM y");
        right.record(kind::CONNECTION_LOST, b"reset", 16);
        left.merge(&right);
        assert_eq!(left.total(), 18);
        assert_eq!(left.by_kind()["OOM"], ErrorCount { count: 2, example: "OOM x".to_owned() });
        assert_eq!(left.by_kind()[kind::CONNECTION_LOST].count, 16);
    }

    #[test]
    fn long_texts_are_cut() {
        let mut counts = ErrorCounts::default();
        counts.record("ERR", &[b'x'; 10_000], 1);
        assert_eq!(counts.by_kind()["ERR"].example.len(), ERROR_TEXT_BYTES_MAX);
    }
}
