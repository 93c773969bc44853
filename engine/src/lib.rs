//! The storage engine: store directory, workers that drive shards over the ring, cross-worker messages.
//!
//! The core (`shard`) decides what is read and written; this crate performs it. A worker is one thread with one
//! ring, its shards and its log; whoever serves clients plugs into the worker's turn as a [`worker::Service`].

mod applier;
pub mod blocking_io;
pub mod clock;
mod cold_reader;
pub mod db;
pub mod disk_store;
mod drive_queue;
pub mod figures;
pub mod files;
pub mod limits;
pub mod mailbox;
pub mod manifest_keeper;
pub mod offline;
pub mod open_error;
mod open_shards;
pub mod pool;
mod progress;
mod replay;
mod replay_memory;
pub mod ring_io;
mod scratch;
pub mod start;
mod start_io;
pub mod store;
pub mod sync_probe;
pub mod worker;

/// The shards of one worker, with their log, over this crate's buffers.
pub type Shards = shard::shard_set::ShardSet<pool::Pool>;
/// One shard over this crate's buffers.
pub type Shard = shard::shard::Shard<pool::Pool>;
/// What one shard of a worker keeps on disk.
pub type ShardFiles = shard::checkpoint::ShardFiles<pool::Pool>;
