//! The embedded library: a store inside the host's process, without sockets and without a protocol.
//!
//! `handle.rs` is what the host holds and calls; a call travels as a message (`call.rs`) to the worker that owns the
//! key's shard and runs there (`service.rs`), on the very workers, logs and shards that the daemon uses. Rule kept
//! here: an answer leaves when what it shows is durable; after a failure none does (`state.rs`).

mod call;
mod error;
mod handle;
mod iterate;
mod options;
mod service;
mod state;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_without_log;

pub use error::DbError;
pub use handle::Db;
pub use iterate::{Iter, Record};
pub use options::{DbOptions, Durability, Ttl};
pub use shard::log::SyncMethod;
pub use shard::shard_set::TaskError;
