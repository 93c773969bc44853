//! `loadgen matrix`: several servers under several scenarios, taking turns.
//!
//! The path: a `spec` (a file or flags) becomes a list of turns (`order`); each turn starts a `server` afresh, loads and
//! measures it with a `loadgen run` of its own (`turn`), and keeps its report in a folder, so that a stopped matrix goes
//! on where it was (`execute`); all reports together are the `report`, which `table` shows.

pub mod args;
pub mod execute;
pub mod marks;
pub mod order;
pub mod preset;
pub mod report;
pub mod server;
pub mod spec;
pub mod table;
pub mod turn;
