//! The storage core as state machines without I/O: records, log, index, extents, expiry, recovery.
//!
//! Nothing here opens a file, reads a clock, starts a thread or draws a random number: the caller steps the
//! machines, performs the I/O they ask for and hands them completions and the time. So the very code that
//! serves clients runs in the simulator (feature `sim`) under a disk that misbehaves by seed.
//!
//! The path of a write: [`key::KeyHasher`] -> [`shard_set::ShardSet`] -> [`record`] -> extent and index (applied)
//! and log batch (made durable); its reply waits for the batch. See `docs/ARCHITECTURE.md`.

#![forbid(unsafe_code)]

pub mod check;
pub mod checkpoint;
pub mod cold;
pub mod compaction;
pub mod databases;
pub mod dump;
pub mod eviction;
pub mod extent;
pub mod histogram;
pub mod index;
pub mod io;
pub mod key;
pub mod limits;
pub mod log;
#[cfg(feature = "sim")]
pub mod planted;
#[cfg(not(feature = "sim"))]
mod planted;
pub mod record;
pub mod scrub;
pub mod shard;
pub mod shard_copy;
pub mod shard_manifest;
pub mod shard_open;
pub mod shard_set;
#[cfg(feature = "sim")]
pub mod sim;
pub mod slot;
pub mod snapshot;
pub mod store_files;
pub mod store_manifest;
pub mod store_manifest_change;
pub mod testing;
pub mod types;
pub mod wheel;
