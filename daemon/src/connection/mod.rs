//! From sockets to replies: the connections of a worker and the routing of their commands.
//!
//! The path of a request: [`service`] receives -> parser -> `core` resolves and routes -> a handler here, or a
//! [`message`] to the worker that owns the key -> `output` or `reply_slots` -> released by the log's watermark ->
//! [`service`] sends.

#[expect(clippy::module_inception, reason = "the folder is about connections, the file is one")]
mod connection;
mod core;
mod figures;
mod gather;
mod held_replies;
mod job;
mod limits;
pub mod message;
mod output;
mod plan;
mod reply_slots;
pub mod service;
mod table;
mod timing;
mod waiting;

pub use self::core::SlotMap;
