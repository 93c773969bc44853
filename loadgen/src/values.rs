//! Values to write: slices of one shared pool of bytes, so that a SET costs a copy and no random numbers. Random
//! bytes give a server that compresses nothing; compressible ones give it a known share.

use std::fmt;
use std::sync::Arc;

use crate::limits::VALUE_POOL_BYTES;
use crate::rng::Rng;
use crate::sizes::Sizes;
use crate::verified_value::{VERIFIED_BYTES_MIN, seal};

/// What the bytes of values are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DataKind {
    /// Nothing to compress.
    Random,
    /// A compressor that finds repeats makes about this many bytes into one.
    Compressible(f64),
}

impl fmt::Display for DataKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => formatter.write_str("random"),
            Self::Compressible(ratio) => write!(formatter, "compressible:{ratio}"),
        }
    }
}

/// What values are like.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueSpec {
    /// Their lengths.
    pub sizes: Sizes,
    /// Their bytes.
    pub data: DataKind,
    /// Whether each carries its key, a version and a checksum.
    pub sealed: bool,
}

/// The pool and the lengths of values. Cheap to clone: the bytes are shared by all workers.
#[derive(Clone, Debug)]
pub struct ValuePool {
    bytes: Arc<[u8]>,
    sizes: Sizes,
    sealed: bool,
}

impl ValuePool {
    /// A pool filled from the seed.
    ///
    /// # Panics
    /// When sealed values are too short for their head.
    #[must_use]
    pub fn new(spec: &ValueSpec, seed: u64) -> Self {
        assert!(!spec.sealed || spec.sizes.min() >= VERIFIED_BYTES_MIN, "the plan checks it");
        let mut bytes = vec![0; VALUE_POOL_BYTES + spec.sizes.max()];
        let mut rng = Rng::new(seed, u64::MAX);
        rng.fill(&mut bytes);
        if let DataKind::Compressible(ratio) = spec.data {
            // Each stretch begins with random bytes and goes on with zeros.
            for stretch in bytes.chunks_mut(STRETCH_BYTES) {
                let random = crate::number::floor_u64(stretch.len() as f64 / ratio);
                stretch[crate::number::index(random)..].fill(0);
            }
        }
        Self { bytes: bytes.into(), sizes: spec.sizes.clone(), sealed: spec.sealed }
    }

    /// Length of every value, when there is only one.
    #[must_use]
    pub fn fixed_bytes(&self) -> Option<usize> {
        self.sizes.fixed()
    }

    /// Length of the longest value.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.sizes.max()
    }

    /// Whether values are plain slices of the pool.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        !self.sealed
    }

    /// Length of the value that a random word chooses.
    #[must_use]
    pub fn length(&self, word: u32) -> usize {
        // The low bits choose the place in the pool; mixing keeps length and place independent.
        self.sizes.pick(word.wrapping_mul(0x9E37_79B1))
    }

    /// Appends the value that a random word chooses, sealed for its key where values are.
    pub fn append(&self, out: &mut Vec<u8>, key: u64, version: u64, word: u32) {
        let offset = usize::try_from(word).expect("32 bits fit") % VALUE_POOL_BYTES;
        let start = out.len();
        out.extend_from_slice(&self.bytes[offset..offset + self.length(word)]);
        if self.sealed {
            seal(&mut out[start..], key, version);
        }
    }
}

const STRETCH_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(bytes: usize, data: DataKind, sealed: bool, seed: u64) -> ValuePool {
        ValuePool::new(&ValueSpec { sizes: Sizes::Fixed(bytes), data, sealed }, seed)
    }

    fn value(pool: &ValuePool, word: u32) -> Vec<u8> {
        let mut out = Vec::new();
        pool.append(&mut out, 5, 6, word);
        out
    }

    #[test]
    fn every_word_gives_a_value_of_the_asked_length() {
        for bytes in [0, 1, 64, 1 << 20] {
            let pool = pool(bytes, DataKind::Random, false, 1);
            for word in [0, 1, u32::MAX, 262_143, 262_144] {
                assert_eq!((value(&pool, word).len(), pool.length(word)), (bytes, bytes));
            }
        }
    }

    #[test]
    fn values_differ_from_each_other_and_repeat_with_the_seed() {
        let one = pool(64, DataKind::Random, false, 1);
        assert_ne!(value(&one, 0), value(&one, 1));
        assert_eq!(value(&one, 77), value(&pool(64, DataKind::Random, false, 1), 77));
        assert_ne!(value(&one, 77), value(&pool(64, DataKind::Random, false, 2), 77));
    }

    #[test]
    fn sealed_values_prove_their_key() {
        let sealed = pool(64, DataKind::Random, true, 1);
        assert_eq!(crate::verified_value::check(&value(&sealed, 3), 5), Ok(6));
    }

    #[test]
    fn varied_lengths_follow_their_weights() {
        let sizes = Sizes::Weighted(vec![(10, 80), (100, 20)]);
        let pool = ValuePool::new(&ValueSpec { sizes, data: DataKind::Random, sealed: false }, 1);
        let mut rng = Rng::new(4, 0);
        let long = (0..100_000)
            .filter(|_| value(&pool, crate::number::low_u32(rng.next_u64())).len() == 100)
            .count();
        // A fifth: 20,000 with a standard deviation of 126.
        assert!(long.abs_diff(20_000) < 510, "{long}");
    }

    #[test]
    fn compressible_bytes_have_the_asked_share_of_zeros_and_random_ones_none() {
        for (data, share) in
            [(DataKind::Random, 0.0), (DataKind::Compressible(2.0), 0.5), (DataKind::Compressible(4.0), 0.75)]
        {
            let bytes = value(&pool(1 << 16, data, false, 1), 0);
            let zeros = bytes.iter().filter(|&&byte| byte == 0).count() as f64 / bytes.len() as f64;
            // One random byte in 256 is zero, too.
            assert!((zeros - share).abs() < 0.006, "{data}: {zeros}");
        }
    }
}
