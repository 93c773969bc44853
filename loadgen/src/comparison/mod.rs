//! Comparing groups of runs: `loadgen compare` and the verdicts of `loadgen matrix`.
//!
//! The path: files become groups of runs (`groups`), which are refused when they measured different things
//! (`comparable`); each figure of a run (`metric`) is judged by an exact test (`judge`); `text` and the HTML pages show
//! the outcome.

pub mod args;
pub mod comparable;
pub mod groups;
pub mod judge;
pub mod metric;
pub mod result;
pub mod text;
