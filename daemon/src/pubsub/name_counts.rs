//! How many names there are over all workers, each counted once however many workers know it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Parts with a lock of their own: small ones, so that growth of one delays nobody.
const PARTS: usize = 64;

/// Counts names by a keyed hash of 64 bits: the names themselves are with the workers. Touched when the first listener of a
/// name comes to a worker and when the last one leaves it.
#[derive(Debug)]
pub(crate) struct NameCounts {
    hasher: RandomState,
    parts: Box<[Mutex<HashMap<u64, u32>>]>,
    len: AtomicUsize,
}

impl Default for NameCounts {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            len: AtomicUsize::new(0),
        }
    }
}

impl NameCounts {
    fn part(&self, hash: u64) -> std::sync::MutexGuard<'_, HashMap<u64, u32>> {
        let part = usize::try_from(hash % PARTS as u64).unwrap_or(0);
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker has come to know a name.
    pub(crate) fn add(&self, name: &[u8]) {
        let hash = self.hasher.hash_one(name);
        let mut part = self.part(hash);
        let count = part.entry(hash).or_insert(0);
        *count += 1;
        if *count == 1 {
            self.len.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A worker has forgotten a name.
    pub(crate) fn remove(&self, name: &[u8]) {
        let hash = self.hasher.hash_one(name);
        let mut part = self.part(hash);
        let count = part.get_mut(&hash).expect("only what was added is removed");
        *count -= 1;
        if *count == 0 {
            part.remove(&hash);
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }
}
