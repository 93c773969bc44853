//! A safe completion loop over io_uring: sockets, direct file I/O, buffers, timers, wake-ups.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod limits;
mod memory;

pub use memory::{BlockPool, Blocks, FrozenBlocks, HugePages};
