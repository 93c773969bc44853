//! A worker's write-ahead log: group commit, segments that are recycled in place, and their recovery.
//!
//! One log per worker holds the records of all its shards, interleaved. The path of a record: [`Log::append`] copies
//! it into the open [`batch`]; the end of a turn closes the batch and submits it to the current [`segment`]; when it
//! and everything before it is durable the watermark [`Log::durable`] passes it, and replies may go. The next
//! segment is prepared ahead and named in the [`manifest`] before its first use. After a crash [`recovery`] tells
//! a torn tail from lost data, hands back the records, and opens a fresh generation.

mod append;
pub mod batch;
mod config;
pub(crate) mod copies;
pub(crate) mod fields;
mod group_commit;
mod in_flight;
pub mod manifest;
mod manifest_writer;
mod open_batch;
pub(crate) mod pending_write;
pub mod recovery;
mod retention;
mod rotation;
pub mod segment;
mod spare;
mod standby;
mod stats;
mod watermarks;

pub use config::{LogConfig, LogIdentity, SyncMethod, SyncPolicy};
pub use group_commit::Log;
pub use standby::LogSpace;
pub use stats::{FlushLatency, LogStats};
