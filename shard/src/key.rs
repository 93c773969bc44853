//! A key with what the store needs of it, computed once per command: its slot and its hash.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::slot::slot_of;
use crate::types::Slot;

/// A key, its slot and its hash.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The key itself.
    pub bytes: &'a [u8],
    /// Its hash slot.
    pub slot: Slot,
    /// The bits that the index stores: the upper half of the keyed hash.
    pub hash: u32,
}

/// Hashes keys with SipHash-1-3 under the store's seed: stable over restarts and builds, and nobody who does not
/// know the seed can make keys collide. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF".
#[derive(Clone, Copy, Debug)]
pub struct KeyHasher {
    seed: [u64; 2],
    #[cfg(feature = "sim")]
    mask: u32,
}

#[cfg(feature = "sim")]
std::thread_local! {
    static MASK: std::cell::Cell<u32> = const { std::cell::Cell::new(u32::MAX) };
}

/// Has the hashers that this thread makes from now on keep so few bits, 1 to 32, that keys share theirs, as in a large store
/// by chance: for the simulator, whose stores are small.
#[cfg(feature = "sim")]
pub fn keep_hash_bits(bits: u32) {
    MASK.set(u32::MAX >> (u32::BITS - bits));
}

impl KeyHasher {
    /// A hasher under the 16 seed bytes of a store's manifest.
    #[must_use]
    pub fn new(seed: [u8; 16]) -> Self {
        let wide = u128::from_le_bytes(seed);
        let low = u64::try_from(wide & u128::from(u64::MAX)).unwrap_or(0);
        let high = u64::try_from(wide >> 64).unwrap_or(0);
        Self {
            seed: [low, high],
            #[cfg(feature = "sim")]
            mask: MASK.get(),
        }
    }

    /// The stored hash bits of a key.
    #[must_use]
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u32 {
        let mut hasher = SipHasher13::new_with_keys(self.seed[0], self.seed[1]);
        hasher.write(key);
        let hash = (hasher.finish() >> 32) as u32;
        #[cfg(feature = "sim")]
        let hash = hash & self.mask;
        hash
    }

    /// The key with its slot and hash.
    #[must_use]
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, slot: slot_of(bytes), hash: self.hash(bytes) }
    }
}
