//! The index: from a key's slot and hash bits to where its record is.
//!
//! Per keyspace and slot there is a directory of small hash tables, each holding one prefix of the stored hash
//! and split in two at a bound, so that no step (growth, a SCAN call, a checkpoint step) touches more than one.
//! An entry knows only hash bits: the stored key decides whether a candidate is the key.

mod entry;
mod slot_index;
mod table;

pub use entry::{Entry, ExtentNumber, LengthClass, Location, USES_MAX};
pub use slot_index::SlotIndex;
pub use table::Table;
