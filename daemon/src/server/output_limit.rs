//! How much output of a client may wait, by the class of the client.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How much output of one client may wait: beyond `hard_bytes` at once, or beyond `soft_bytes` for `soft_seconds`,
/// it is disconnected. 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes that are never exceeded.
    pub hard_bytes: u64,
    /// Bytes that are not exceeded for long.
    pub soft_bytes: u64,
    /// How long that is, in seconds.
    pub soft_seconds: u32,
}

/// Classes of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    /// Those that get replies only.
    Normal = 0,
    /// Replicas. There are none; the limit is kept for those who set it.
    Replica = 1,
    /// Those that are subscribed to something.
    PubSub = 2,
}

impl ClientClass {
    /// All of them, in the order in which Redis lists them.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Replica, Self::PubSub];

    /// The name that Redis lists it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Replica => "slave",
            Self::PubSub => "pubsub",
        }
    }

    /// The class of a name, in any case; `replica` is one too.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let is = |class: &Self| name.eq_ignore_ascii_case(class.name());
        let found = Self::ALL.into_iter().find(is);
        found.or_else(|| name.eq_ignore_ascii_case("replica").then_some(Self::Replica))
    }
}

/// The limits of all classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits(pub [OutputLimit; 3]);

impl OutputLimits {
    /// The limit of a class.
    #[must_use]
    pub const fn of(&self, class: ClientClass) -> OutputLimit {
        self.0[class as usize]
    }
}

impl Default for OutputLimits {
    /// Those of Redis, but for ordinary clients: there Redis has none.
    fn default() -> Self {
        let limit = |hard_bytes, soft_bytes| OutputLimit { hard_bytes, soft_bytes, soft_seconds: 60 };
        Self([limit(1 << 30, 256 << 20), limit(256 << 20, 64 << 20), limit(32 << 20, 8 << 20)])
    }
}

/// A limit that changes while it is read. A reader at the same moment may see some of the old one: each part is a limit of
/// its own.
#[derive(Debug)]
pub(super) struct SharedOutputLimit {
    hard_bytes: AtomicU64,
    soft_bytes: AtomicU64,
    soft_seconds: AtomicU32,
}

impl SharedOutputLimit {
    pub(super) const fn new(limit: OutputLimit) -> Self {
        Self {
            hard_bytes: AtomicU64::new(limit.hard_bytes),
            soft_bytes: AtomicU64::new(limit.soft_bytes),
            soft_seconds: AtomicU32::new(limit.soft_seconds),
        }
    }

    pub(super) fn get(&self) -> OutputLimit {
        OutputLimit {
            hard_bytes: self.hard_bytes.load(Ordering::Relaxed),
            soft_bytes: self.soft_bytes.load(Ordering::Relaxed),
            soft_seconds: self.soft_seconds.load(Ordering::Relaxed),
        }
    }

    pub(super) fn set(&self, limit: OutputLimit) {
        self.hard_bytes.store(limit.hard_bytes, Ordering::Relaxed);
        self.soft_bytes.store(limit.soft_bytes, Ordering::Relaxed);
        self.soft_seconds.store(limit.soft_seconds, Ordering::Relaxed);
    }
}
