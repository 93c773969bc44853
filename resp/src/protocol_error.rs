//! What is wrong with the bytes of a client, in the words of Redis.
//!
//! Every variant ends the connection: after one of them the border between requests is lost.

use std::fmt;

/// A request that cannot be read. `Display` gives the text after `-ERR `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// The number after `*` is none, or above the limit.
    InvalidMultibulkLength,
    /// More arguments than a client may send before it logs in.
    UnauthenticatedMultibulkLength,
    /// The number after `$` is none, negative, or above the limit.
    InvalidBulkLength,
    /// A longer argument than a client may send before it logs in.
    UnauthenticatedBulkLength,
    /// An argument starts with another byte than `$`.
    ExpectedBulk {
        /// The byte found in its place.
        got: u8,
    },
    /// An argument is not followed by CRLF. Redis skips two bytes without looking at them.
    ExpectedCrlfAfterBulk,
    /// An inline command without an end.
    TooBigInlineRequest,
    /// A `*` line without an end.
    TooBigMultibulkCount,
    /// A `$` line without an end.
    TooBigBulkCount,
    /// An inline command whose quotes do not close, or close in the middle of a word.
    UnbalancedQuotes,
    /// The line of an HTTP request: somebody makes a browser talk to us (cross-protocol scripting).
    SecurityAttack,
}

impl ProtocolError {
    /// The error reply to send before closing, code word included (`ERR Protocol error: ...`), or `None`: close
    /// without a word and log the attempt.
    #[must_use]
    pub fn reply_text(&self) -> Option<String> {
        match self {
            Self::SecurityAttack => None,
            other => Some(format!("ERR {other}")),
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::InvalidMultibulkLength => "invalid multibulk length",
            Self::UnauthenticatedMultibulkLength => "unauthenticated multibulk length",
            Self::InvalidBulkLength => "invalid bulk length",
            Self::UnauthenticatedBulkLength => "unauthenticated bulk length",
            Self::ExpectedBulk { got } => return write_expected_bulk(*got, f),
            Self::ExpectedCrlfAfterBulk => "expected CRLF after bulk",
            Self::TooBigInlineRequest => "too big inline request",
            Self::TooBigMultibulkCount => "too big mbulk count string",
            Self::TooBigBulkCount => "too big bulk count string",
            Self::UnbalancedQuotes => "unbalanced quotes in request",
            Self::SecurityAttack => {
                return f.write_str("possible cross-protocol scripting: the client speaks HTTP");
            }
        };
        write!(f, "Protocol error: {text}")
    }
}

impl std::error::Error for ProtocolError {}

/// Redis prints the byte as it is, line ends as spaces. Text has no room for a byte that is no character, so
/// those are shown as `\xff`.
fn write_expected_bulk(got: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("Protocol error: expected '$', got '")?;
    match got {
        b'\r' | b'\n' => f.write_str(" ")?,
        b' '..=b'~' => write!(f, "{}", char::from(got))?,
        _ => write!(f, "\\x{got:02x}")?,
    }
    f.write_str("'")
}

#[cfg(test)]
mod tests {
    use super::ProtocolError;

    #[test]
    fn texts_are_those_of_redis() {
        for (error, text) in [
            (ProtocolError::InvalidMultibulkLength, "invalid multibulk length"),
            (ProtocolError::UnauthenticatedMultibulkLength, "unauthenticated multibulk length"),
            (ProtocolError::InvalidBulkLength, "invalid bulk length"),
            (ProtocolError::UnauthenticatedBulkLength, "unauthenticated bulk length"),
            (ProtocolError::ExpectedBulk { got: b'f' }, "expected '$', got 'f'"),
            (ProtocolError::ExpectedBulk { got: b'\r' }, "expected '$', got ' '"),
            (ProtocolError::ExpectedBulk { got: 0xff }, "expected '$', got '\\xff'"),
            (ProtocolError::ExpectedCrlfAfterBulk, "expected CRLF after bulk"),
            (ProtocolError::TooBigInlineRequest, "too big inline request"),
            (ProtocolError::TooBigMultibulkCount, "too big mbulk count string"),
            (ProtocolError::TooBigBulkCount, "too big bulk count string"),
            (ProtocolError::UnbalancedQuotes, "unbalanced quotes in request"),
        ] {
            assert_eq!(error.to_string(), format!("Protocol error: {text}"));
            assert_eq!(error.reply_text(), Some(format!("ERR Protocol error: {text}")));
        }
    }

    #[test]
    fn an_attack_gets_no_reply() {
        assert_eq!(ProtocolError::SecurityAttack.reply_text(), None);
    }
}
