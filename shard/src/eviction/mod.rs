//! Memory-only storage at its limit: which keys go, so that memory really comes back.
//!
//! Records lie back to back in extents, so that a key which goes alone only leaves a hole: memory comes back when an
//! extent is emptied. So `allkeys-lru` and `allkeys-lfu` take the oldest extent, evict what was not used since the
//! last pass, and move the rest to the end, a use less on its count: CLOCK over extents, with two bits per key in the
//! index entry (Corbató 1968; Smith's generalized clock 1978); under `allkeys-lfu` a use is kept twice as long. `allkeys-random` takes any extent and evicts all of it.
//! The `volatile-*` policies evict keys with a deadline only, which may lie anywhere: the best of a few drawn from the
//! timing wheel goes, as in Redis, and compaction closes the holes.
//!
//! Before any key goes, an extent that is mostly dead is emptied instead. `room.rs`: how much room is made, and when.
//! `sample.rs`: drawing keys with a deadline. What counts: extents, index and timing wheel; not what connections hold.

mod room;
mod sample;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub(crate) use room::Room;

/// Which keys are evicted when memory is full, by Redis's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// None: writes are refused.
    #[default]
    NoEviction,
    /// Any key, those not used lately first.
    AllKeysLru,
    /// Any key, those seldom used first.
    AllKeysLfu,
    /// Any key.
    AllKeysRandom,
    /// Keys with a deadline, those not used lately first.
    VolatileLru,
    /// Keys with a deadline, those seldom used first.
    VolatileLfu,
    /// Any key with a deadline.
    VolatileRandom,
    /// Keys with a deadline, the nearest first.
    VolatileTtl,
}

impl EvictionPolicy {
    /// All of them, in Redis's order.
    pub const ALL: [Self; 8] = [
        Self::VolatileLru,
        Self::VolatileLfu,
        Self::VolatileRandom,
        Self::VolatileTtl,
        Self::AllKeysLru,
        Self::AllKeysLfu,
        Self::AllKeysRandom,
        Self::NoEviction,
    ];

    /// Redis's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoEviction => "noeviction",
            Self::AllKeysLru => "allkeys-lru",
            Self::AllKeysLfu => "allkeys-lfu",
            Self::AllKeysRandom => "allkeys-random",
            Self::VolatileLru => "volatile-lru",
            Self::VolatileLfu => "volatile-lfu",
            Self::VolatileRandom => "volatile-random",
            Self::VolatileTtl => "volatile-ttl",
        }
    }

    /// Whether it has to be known how keys are used.
    #[must_use]
    pub const fn counts_uses(self) -> bool {
        matches!(self, Self::AllKeysLru | Self::AllKeysLfu | Self::VolatileLru | Self::VolatileLfu)
    }
}

impl fmt::Display for EvictionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EvictionPolicy {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|policy| policy.name().eq_ignore_ascii_case(name)).ok_or(())
    }
}

/// How much memory a set of shards may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes; 0 is no limit.
    pub bytes: u64,
    /// What happens when they are used up.
    pub policy: EvictionPolicy,
}
