//! RESP2 and RESP3 bytes: requests and replies, parsed and written. No I/O.
//!
//! A server reads with [`RequestParser`] and answers with [`ReplyWriter`]; a client asks with [`write_request`] and
//! reads with [`ReplyParser`]. All four work on buffers of the caller and keep one rule: memory grows with the
//! bytes that have arrived, never with a length that the other side merely claims. Every bound is in [`limits`].

#![forbid(unsafe_code)]

mod args;
mod head;
mod inline;
pub mod limits;
pub mod number;
mod protocol;
mod protocol_error;
mod reply;
mod reply_error;
mod reply_head;
mod reply_parser;
mod reply_writer;
mod request_parser;
mod request_writer;

pub use args::{ArgRange, Args};
pub use limits::RequestLimits;
pub use protocol::Protocol;
pub use protocol_error::ProtocolError;
pub use reply::{Reply, parse_reply};
pub use reply_error::ReplyError;
pub use reply_head::{ReplyHead, ReplyKind};
pub use reply_parser::ReplyParser;
pub use reply_writer::ReplyWriter;
pub use request_parser::{Parsed, RequestParser};
pub use request_writer::{write_bulk, write_request, write_request_header};
