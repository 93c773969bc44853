//! What an operator does to a store directory that no daemon has open: dump it, restore it, check it, repair it.
//!
//! Everything but `restore` and `repair` only reads. `sweep.rs`: all records of a recovered store, in the order they
//! lie on disk.

mod check;
mod dump;
mod repair;
mod restore;
mod sweep;
mod view;

pub use check::{CheckError, check};
pub use dump::{DumpConfig, DumpOutcome, DumpStoreError, dump};
pub use repair::{RepairError, Repaired, repair};
pub use restore::{RestoreConfig, RestoreError, RestoreOutcome, restore, verify_dump};

/// How far a long piece of work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is being done.
    pub what: &'static str,
    /// How much of it is done.
    pub done: u64,
    /// How much there is; 0 when that is not known.
    pub total: u64,
    /// What is counted: `bytes`, `records`, `logs`.
    pub unit: &'static str,
}

/// Who is told of the progress; called often, shows what it likes.
pub type OnStep<'a> = &'a mut dyn FnMut(Step);
