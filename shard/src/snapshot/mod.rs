//! Snapshots: a shard's index and the table of its extents, in a file of their own.
//!
//! A snapshot is a row of chunks, each with a checksum of its own that names store, shard, snapshot and position: a
//! chunk of another file, of another place or of an earlier use is noticed. The footer, last, counts them and closes
//! the file; the shard's manifest names the footer's checksum. `chunk.rs`: the bytes; `writer.rs` and `reader.rs`: the
//! machines that write and read them. Where there is no log, what the shard writes while its index is copied goes into
//! the same file: `tail.rs`.

pub(crate) mod chunk;
mod reader;
mod tail;
mod writer;

#[cfg(feature = "sim")]
pub(crate) use chunk::reseal;
pub use chunk::{SnapshotIdentity, TailCounts};
pub use reader::{SnapshotError, SnapshotEvent, SnapshotReader};
pub(crate) use tail::TailRecords;
pub use tail::{TailError, TailReader};
pub use writer::SnapshotWriter;

#[cfg(test)]
mod tests;
