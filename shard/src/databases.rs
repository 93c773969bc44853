//! Which stored database each number shows: what SWAPDB changes, in place of records.
//!
//! Clients, events and dumps know a database by its number ([`Db`]); shards and their files know it by a number of their
//! own ([`StoredDb`]), which stays. The map between them is one for the whole store: the store manifest has it, every
//! [`crate::shard_set::ShardSet`] has a copy, and nothing below the set knows of it.

use crate::limits::DATABASE_COUNT;
use crate::types::{Db, StoredDb};

const COUNT: usize = DATABASE_COUNT as usize;
/// Bytes of a map: the stored number of each database, and its mark.
pub const DATABASE_MAP_BYTES: usize = COUNT + SWAP_MARK_BYTES;
/// Bytes of a mark: count 8, checksum 4.
pub const SWAP_MARK_BYTES: usize = 12;

/// Which of all maps of a store one is. Manifests of shards carry it too, soon after: so a store manifest that is older, or
/// from a copy of the store that swapped otherwise, does not pass for the store's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwapMark {
    /// Swaps since the store was created.
    pub count: u64,
    /// Checksum of what each of them came to; 0 before the first.
    pub checksum: u32,
}

impl SwapMark {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; SWAP_MARK_BYTES] {
        let mut bytes = [0; SWAP_MARK_BYTES];
        bytes[..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8..].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    /// The mark of these bytes. `None` when they are none.
    #[must_use]
    pub fn decode(bytes: [u8; SWAP_MARK_BYTES]) -> Option<Self> {
        let (count, checksum) = (bytes[..8].try_into().ok()?, bytes[8..].try_into().ok()?);
        let mark = Self { count: u64::from_le_bytes(count), checksum: u32::from_le_bytes(checksum) };
        (mark.count > 0 || mark.checksum == 0).then_some(mark)
    }

    /// Whether what has this mark is of a history that leads to `later`, as far as can be told.
    #[must_use]
    pub fn leads_to(&self, later: &Self) -> bool {
        self.count < later.count || self == later
    }
}

/// The stored database of each number: every one of them has one, and no two have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseMap {
    stored: [u8; COUNT],
    mark: SwapMark,
}

impl Default for DatabaseMap {
    /// Each number shows the stored database of the same number.
    fn default() -> Self {
        let stored = std::array::from_fn(|number| u8::try_from(number).unwrap_or(u8::MAX));
        Self { stored, mark: SwapMark::default() }
    }
}

impl DatabaseMap {
    /// The map of these bytes. `None` when they are none.
    #[must_use]
    pub fn decode(bytes: [u8; DATABASE_MAP_BYTES]) -> Option<Self> {
        let stored: [u8; COUNT] = bytes[..COUNT].try_into().ok()?;
        let mark = SwapMark::decode(bytes[COUNT..].try_into().ok()?)?;
        let mut seen = [false; COUNT];
        for number in stored {
            let is_again = std::mem::replace(seen.get_mut(usize::from(number))?, true);
            if is_again {
                return None;
            }
        }
        (mark.count > 0 || stored == Self::default().stored).then_some(Self { stored, mark })
    }

    /// Its bytes, as [`Self::decode`] reads them.
    #[must_use]
    pub fn encode(&self) -> [u8; DATABASE_MAP_BYTES] {
        let mut bytes = [0; DATABASE_MAP_BYTES];
        bytes[..COUNT].copy_from_slice(&self.stored);
        bytes[COUNT..].copy_from_slice(&self.mark.encode());
        bytes
    }

    /// Which of all maps of its store it is.
    #[must_use]
    pub const fn mark(&self) -> SwapMark {
        self.mark
    }

    /// What a number shows.
    ///
    /// # Panics
    /// When there is no such database.
    #[must_use]
    #[inline]
    pub fn stored(&self, db: Db) -> StoredDb {
        StoredDb(self.stored[usize::from(db.0)])
    }

    /// The number that shows a stored database.
    ///
    /// # Panics
    /// When there is no such database.
    #[must_use]
    pub fn shown_as(&self, stored: StoredDb) -> Db {
        let number = (0..DATABASE_COUNT).find(|number| self.stored[usize::from(*number)] == stored.0);
        Db(number.expect("every stored database is shown as some number"))
    }

    /// The map after the two numbers have changed what they show.
    ///
    /// # Panics
    /// When there is no such database.
    #[must_use]
    pub fn swapped(mut self, first: Db, second: Db) -> Self {
        self.stored.swap(usize::from(first.0), usize::from(second.0));
        let mut hasher = crc32fast::Hasher::new_with_initial(self.mark.checksum);
        hasher.update(&self.stored);
        self.mark = SwapMark { count: self.mark.count + 1, checksum: hasher.finalize() };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_any_swaps_every_number_shows_one_database_and_every_database_has_a_number() {
        let mut map = DatabaseMap::default();
        for (first, second) in [(0, 1), (1, 15), (7, 7), (0, 15), (3, 0)] {
            let before = map;
            map = map.swapped(Db(first), Db(second));
            assert_eq!(map.stored(Db(first)), before.stored(Db(second)));
            assert_eq!(map.stored(Db(second)), before.stored(Db(first)));
            assert!((0..DATABASE_COUNT).map(Db).all(|db| map.shown_as(map.stored(db)) == db));
            assert_eq!(DatabaseMap::decode(map.encode()), Some(map));
        }
        assert_ne!(map, DatabaseMap::default());
    }

    #[test]
    fn bytes_that_name_a_database_twice_or_one_that_is_not_there_are_no_map() {
        let good = DatabaseMap::default().swapped(Db(0), Db(1)).encode();
        assert!(DatabaseMap::decode(good).is_some());
        for (at, stored) in [(0, 0), (15, 0), (3, 16), (3, 255)] {
            let mut bytes = good;
            bytes[at] = stored;
            assert_eq!(DatabaseMap::decode(bytes), None, "{bytes:?}");
        }
        let mut unmarked = good;
        unmarked[COUNT..].fill(0);
        assert_eq!(DatabaseMap::decode(unmarked), None, "nothing was ever swapped");
    }

    #[test]
    fn maps_of_other_histories_have_other_marks_and_an_older_one_leads_to_a_newer() {
        let (none, one) = (DatabaseMap::default(), DatabaseMap::default().swapped(Db(0), Db(1)));
        let (back, other) = (one.swapped(Db(0), Db(1)), DatabaseMap::default().swapped(Db(0), Db(2)));
        assert!(none.mark().leads_to(&one.mark()) && one.mark().leads_to(&one.mark()));
        assert!(!one.mark().leads_to(&none.mark()) && !one.mark().leads_to(&other.mark()));
        assert_eq!((back.encode()[..COUNT] == none.encode()[..COUNT], back.mark().count), (true, 2));
        assert_ne!(
            back.mark().checksum,
            other.swapped(Db(0), Db(2)).mark().checksum,
            "they came by other ways"
        );
    }
}
