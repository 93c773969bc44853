//! The parsers and writers from outside: golden bytes, bad input, and the laws that bind them.

mod bad_requests;
mod generated;
mod reply_laws;
mod request_laws;
mod requests;
