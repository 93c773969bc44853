//! Keys that went by themselves, because their time had come or to make room: told to whoever asks for it.

use crate::io::BlockPool;
use crate::types::{BatchNumber, Db, StoredDb};

use super::ShardSet;

/// Why a key went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneWhy {
    /// Its deadline had passed.
    Expired,
    /// To make room.
    Evicted,
}

/// A key that went by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoneKey {
    /// Its database, by the number that showed it when the key went.
    pub db: Db,
    /// The key.
    pub key: Box<[u8]>,
    /// Why.
    pub why: GoneWhy,
}

/// Keys that went and have not been told yet. Each turn takes them out: what a turn expires and evicts is bounded, and a
/// command adds no more than it looks at.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    watches_expired: bool,
    watches_evicted: bool,
    keys: Vec<GoneKey>,
}

impl<P: BlockPool> ShardSet<P> {
    /// A key has gone by itself.
    #[inline]
    pub(crate) fn note_gone(&mut self, db: StoredDb, key: &[u8], why: GoneWhy) {
        let is_watched = match why {
            GoneWhy::Expired => self.gone.watches_expired,
            GoneWhy::Evicted => self.gone.watches_evicted,
        };
        if is_watched {
            let db = self.databases.shown_as(db);
            self.gone.keys.push(GoneKey { db, key: key.into(), why });
        }
    }

    /// Says which keys that go by themselves are to be noted for [`Self::take_gone`].
    pub fn watch_gone(&mut self, expired: bool, evicted: bool) {
        (self.gone.watches_expired, self.gone.watches_evicted) = (expired, evicted);
    }

    /// Whether keys are noted that went.
    #[must_use]
    #[inline]
    pub fn has_gone(&self) -> bool {
        !self.gone.keys.is_empty()
    }

    /// The keys that went since the last call, in that order, and the batch of the log with which all of it is durable.
    pub fn take_gone(&mut self) -> (Vec<GoneKey>, BatchNumber) {
        let batch = self.log().map_or(BatchNumber::ZERO, crate::log::Log::appended);
        (std::mem::take(&mut self.gone.keys), batch)
    }
}
