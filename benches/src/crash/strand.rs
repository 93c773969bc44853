//! Strands: keys whose changes, of one connection, take effect in the order in which they were sent.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use shard::slot::{hashed_part, slot_of};
use shard::types::SLOT_COUNT;

use crate::server::{ServerKind, ServerSpec};

/// A name for the keys of a strand.
pub type StrandId = u64;

/// What the server promises of the order of one connection's changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strands {
    /// All are in order.
    One,
    /// Those of a worker, and so of a log, are: each of so many has a contiguous range of slots.
    Logs(usize),
    /// Those of a key are, and of keys with one tag that are always written together: a command whose old record is on the
    /// drive waits for it, and those after it do not.
    Keys,
}

impl Strands {
    /// Those of a server.
    #[must_use]
    pub fn of(server: &ServerSpec) -> Self {
        match server.kind {
            ServerKind::Redis => Self::One,
            ServerKind::Ouro if server.extra.iter().any(|word| word.starts_with("--maxmemory")) => Self::Keys,
            ServerKind::Ouro => Self::Logs(server.workers),
        }
    }

    /// The strand of a key.
    #[must_use]
    pub fn strand_of(self, name: &[u8]) -> StrandId {
        match self {
            Self::One => 0,
            Self::Logs(workers) => u64::from(slot_of(name).0) * workers as u64 / u64::from(SLOT_COUNT),
            Self::Keys => {
                let mut hasher = DefaultHasher::new();
                hashed_part(name).hash(&mut hasher);
                hasher.finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_hold_contiguous_slots_of_all_names() {
        for workers in [1, 2, 4, 16] {
            let strands = Strands::Logs(workers);
            let logs: Vec<u64> = (0..1000).map(|i| strands.strand_of(format!("k{i}").as_bytes())).collect();
            assert!((0..workers as u64).all(|log| logs.contains(&log)), "{workers}");
            assert!(logs.iter().all(|log| *log < workers as u64), "{workers}");
        }
    }

    #[test]
    fn a_key_is_a_strand_and_so_are_keys_of_one_tag() {
        let strand = |name: &str| Strands::Keys.strand_of(name.as_bytes());
        assert_eq!(strand("group:{1.2}:0"), strand("group:{1.2}:3"));
        assert_ne!(strand("group:{1.2}:0"), strand("group:{1.3}:0"));
        assert_ne!(strand("text:1:1"), strand("text:1:2"));
    }
}
