//! What is wrong with the bytes of a server. A client closes the connection: the border between replies is lost.

use thiserror::Error;

use crate::limits::{REPLY_BULK_BYTES_MAX, REPLY_DEPTH_MAX, REPLY_ELEMENTS_MAX, REPLY_LINE_BYTES_MAX};

/// A reply that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// No type of reply starts so.
    #[error("a reply starts with byte 0x{0:02x}, which is no type of RESP2 or RESP3")]
    UnknownType(u8),
    /// Not a length, or one above the limit. Streamed strings and aggregates (`$?`, `*?`) are among these: no
    /// server sends them.
    #[error(
        "a length is not a number from 0 to {REPLY_BULK_BYTES_MAX} (bytes) or {REPLY_ELEMENTS_MAX} (elements)"
    )]
    InvalidLength,
    /// Not an integer of 64 bits.
    #[error("an integer is not a number of 64 bits")]
    InvalidInteger,
    /// Not a double.
    #[error("a double is not a number")]
    InvalidDouble,
    /// Neither `t` nor `f`.
    #[error("a boolean is neither t nor f")]
    InvalidBoolean,
    /// Not a number of any size.
    #[error("a big number is not made of digits")]
    InvalidBigNumber,
    /// Something where a null has nothing.
    #[error("a null has content")]
    InvalidNull,
    /// A verbatim string without its format.
    #[error("a verbatim string does not start with three bytes and a colon")]
    InvalidVerbatim,
    /// A line end is missing where one must be.
    #[error("a line or a bulk string does not end with CRLF")]
    ExpectedCrlf,
    /// A line without an end.
    #[error("a line is longer than {REPLY_LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// Aggregates in aggregates.
    #[error("aggregates are nested deeper than {REPLY_DEPTH_MAX}")]
    TooDeep,
}
