//! Values to write: slices of one shared pool of random bytes, so that a SET costs a copy and no random
//! numbers, and a server that compresses gains nothing.

use std::sync::Arc;

use crate::limits::VALUE_POOL_BYTES;
use crate::rng::Rng;

/// The pool and the length of a value. Cheap to clone: the bytes are shared by all workers.
#[derive(Clone, Debug)]
pub struct ValuePool {
    bytes: Arc<[u8]>,
    value_bytes: usize,
}

impl ValuePool {
    /// A pool for values of `value_bytes`, filled from the seed.
    #[must_use]
    pub fn new(value_bytes: usize, seed: u64) -> Self {
        let mut bytes = vec![0; VALUE_POOL_BYTES + value_bytes];
        Rng::new(seed, u64::MAX).fill(&mut bytes);
        Self { bytes: bytes.into(), value_bytes }
    }

    /// Length of every value.
    #[must_use]
    pub const fn value_bytes(&self) -> usize {
        self.value_bytes
    }

    /// The value that a random word chooses.
    #[must_use]
    pub fn value(&self, word: u32) -> &[u8] {
        let offset = usize::try_from(word).expect("32 bits fit") % VALUE_POOL_BYTES;
        &self.bytes[offset..offset + self.value_bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_gives_a_value_of_the_asked_length() {
        for value_bytes in [0, 1, 64, 1 << 20] {
            let pool = ValuePool::new(value_bytes, 1);
            for word in [0, 1, u32::MAX, 262_143, 262_144] {
                assert_eq!(pool.value(word).len(), value_bytes);
            }
        }
    }

    #[test]
    fn values_differ_from_each_other_and_repeat_with_the_seed() {
        let pool = ValuePool::new(64, 1);
        assert_ne!(pool.value(0), pool.value(1));
        assert_eq!(pool.value(77), ValuePool::new(64, 1).value(77));
        assert_ne!(pool.value(77), ValuePool::new(64, 2).value(77));
    }
}
