//! A block pool on the heap, for tests and the simulator.

#[cfg(test)]
pub(crate) mod small_disk;

use std::sync::Arc;

use crate::io::{BlockBuffer, BlockPool};

impl BlockBuffer for Vec<u8> {}

/// A shared vector.
#[derive(Clone, Debug)]
pub struct SharedVec(Arc<Vec<u8>>);

impl AsRef<[u8]> for SharedVec {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Gives out plain vectors.
#[derive(Clone, Debug, Default)]
pub struct HeapPool;

impl BlockPool for HeapPool {
    type Buffer = Vec<u8>;
    type Frozen = SharedVec;

    fn take(&mut self, bytes: usize) -> Vec<u8> {
        vec![0; bytes]
    }

    fn freeze(&mut self, buffer: Vec<u8>) -> SharedVec {
        SharedVec(Arc::new(buffer))
    }

    fn reclaim(&mut self, _frozen: SharedVec) {}
}

/// A time on the monotonic clock, each 5 ms after the one before: for tests in which only turns pass.
#[cfg(test)]
pub(crate) fn later_ns() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1 << 40);
    NEXT.fetch_add(5_000_000, std::sync::atomic::Ordering::Relaxed)
}
