//! Snapshots: a shard's index and the table of its extents, in a file of their own.
//!
//! A snapshot is a row of chunks, each with a checksum of its own that names store, shard, snapshot and position: a
//! chunk of another file, of another place or of an earlier use is noticed. The footer, last, counts them and closes
//! the file; the shard's manifest names the footer's checksum. `chunk.rs`: the bytes; `writer.rs` and `reader.rs`: the
//! machines that write and read them.

pub(crate) mod chunk;
mod reader;
mod writer;

pub use chunk::SnapshotIdentity;
#[cfg(feature = "sim")]
pub(crate) use chunk::reseal;
pub use reader::{SnapshotError, SnapshotEvent, SnapshotReader};
pub use writer::SnapshotWriter;

#[cfg(test)]
mod tests;
