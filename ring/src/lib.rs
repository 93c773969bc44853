//! A safe completion loop over io_uring: sockets, direct file I/O, buffers, timers, wake-ups.
//!
//! One thread owns one [`Ring`]. It queues operations, each with a token of its choice, and turns the ring:
//! everything queued is submitted, and every completion there is comes back, with the buffers the operation owned.
//! The code of this crate in the order of an operation's life: `ring` (open), `sockets` and `files` (start),
//! `operation` (its entry), `operation_table` (who owns its memory), `queue` (the kernel's side), `turn` (its
//! completion), `drain` (close). It is the only crate of the project with unsafe code.
#![deny(unsafe_op_in_unsafe_fn)]

mod address;
mod completion;
mod config;
mod drain;
mod error;
mod fd;
mod files;
pub mod limits;
mod memory;
mod operation;
mod operation_table;
mod queue;
mod recv_buffers;
mod registered_pools;
mod ring;
mod setup;
mod sockets;
mod sys;
mod timer;
mod turn;
mod user_data;
mod waker;

pub use address::SocketAddress;
pub use completion::{Completion, OperationId, Received, Token, WriteDurability};
pub use config::{RingConfig, SetupMode};
pub use error::RingError;
pub use fd::{Fd, ListenOptions};
pub use memory::{BlockPool, Blocks, FrozenBlocks, HugePages};
pub use recv_buffers::RecvBuffer;
pub use registered_pools::Registered;
pub use ring::{Counters, Ring};
pub use sys::{allocate, available_cores, monotonic_ns, pin_current_thread, punch_hole};
pub use waker::Waker;
