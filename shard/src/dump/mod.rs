//! Dumps: all keys of a store as one portable stream of records.
//!
//! A dump says nothing of shards, logs or extents: it can be restored into a store of any shape, by any later version.
//! Everything in it is covered by a chain of checksums, and only its end block makes it whole: a dump that was cut
//! short, flipped or put together from two is refused. `format.rs`: the bytes; `writer.rs` and `reader.rs`: the machines.

mod format;
mod reader;
mod writer;

pub use format::{DUMP_FORMAT, DUMP_HEADER_BYTES, DUMP_MAGIC, DumpCounts, DumpRecord};
pub use reader::{DumpError, DumpReader};
pub use writer::DumpWriter;

#[cfg(test)]
mod tests;
