//! Memory that the kernel reads and writes on our behalf: aligned blocks, shared handles to them, and pools of them.
//!
//! Rule: a buffer named by an operation in flight is owned by the ring's operation table, so nobody can free or
//! write it meanwhile. Everything here is `Send`: a shard and its buffers move between workers at start.

mod block_pool;
mod blocks;
mod mapping;

pub use block_pool::BlockPool;
pub(crate) use block_pool::PoolShared;
pub use blocks::{Blocks, FrozenBlocks};
pub use mapping::HugePages;
pub(crate) use mapping::Mapping;

const _: () = {
    const fn sendable<T: Send + Sync + 'static>() {}
    sendable::<Blocks>();
    sendable::<FrozenBlocks>();
    sendable::<BlockPool>();
};
