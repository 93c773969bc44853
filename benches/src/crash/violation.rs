//! A promise that was broken.

use std::fmt;

/// Which promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// What was acknowledged survives.
    AcknowledgedIsKept,
    /// Nothing is there that nobody wrote.
    NothingIsInvented,
    /// What a reader saw is not taken back.
    ReadIsKept,
    /// A reader sees what was acknowledged before it asked, and never an older state than before.
    ReadIsCurrent,
    /// Of what one connection sent to the keys of one strand, a prefix survives.
    PrefixSurvives,
    /// A reply is the one that the connection's own operations call for.
    ReplyIsRight,
    /// The server answers, starts, and stops when asked.
    ServerAnswers,
}

/// A broken promise, told for the one who has to find out why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub promise: Promise,
    /// Who, what, when.
    pub text: String,
}

impl Violation {
    /// A broken promise.
    #[must_use]
    pub const fn new(promise: Promise, text: String) -> Self {
        Self { promise, text }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AcknowledgedIsKept => "an acknowledged write is lost",
            Self::NothingIsInvented => "a state that nobody wrote",
            Self::ReadIsKept => "a state that was read is taken back",
            Self::ReadIsCurrent => "a read is out of date",
            Self::PrefixSurvives => "what survives of a connection is no prefix",
            Self::ReplyIsRight => "a wrong reply",
            Self::ServerAnswers => "the server fails",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.text)
    }
}
