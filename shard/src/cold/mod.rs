//! Commands that wait for records which are on disk only.
//!
//! A command looks only at records in memory, so it never waits in its middle: whoever runs it asks first, and where
//! a candidate of one of its keys is on disk only, leaves a *ticket* and runs the command when the ticket is called.
//! Rules kept here:
//! - commands on the same index entry (database, slot, hash bits) run in the order they came: a ticket queues at each
//!   of its entries, and an entry with a queue takes no command past it, readers and writers alike;
//! - an entry is looked up again when its read is there: compaction may have moved the record meanwhile;
//! - what was read is verified (checksum mixed with store, shard, extent and offset) before anything sees it; bytes
//!   that do not verify are an error of that command, never "no such key";
//! - everything a ticket needs is brought into the read cache in one go, right before it is called, so that a small
//!   cache cannot keep a command of many keys from ever having all of them.

mod extent_read;
mod read;
mod replay;
mod tickets;

pub(crate) use extent_read::{ExtentRead, Piece};
pub use read::{ColdReadError, ColdReadProblem};
pub use replay::ReplayRead;
pub(crate) use tickets::ColdReads;
pub use tickets::{Admission, ColdFigures, Need};
