//! Checkpoints: a shard's state on disk without its log, made while it serves.
//!
//! `data_file.rs` writes sealed extents to their places; `checkpoint.rs` takes a shard from one published snapshot to
//! the next, step by step; `shard_files.rs`, with `shard_files/`, is all that a shard keeps on disk, and what asks for a checkpoint;
//! `replay_room.rs` has extents written while the log is replayed.

#[expect(clippy::module_inception, reason = "the folder is about checkpoints, the file is one")]
mod checkpoint;
mod data_file;
mod data_space;
mod replay_room;
mod reserve;
mod shard_files;

pub(crate) use checkpoint::LogState;
pub(crate) use data_space::Pressure;
pub use data_space::SpaceFor;
pub use replay_room::{ReplayRoom, RoomStep};
pub(crate) use reserve::Reserve;
pub use shard_files::{CheckpointFigures, ShardFiles};
