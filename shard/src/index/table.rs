//! One small hash table of index entries whose hashes share a prefix.

use std::hash::{BuildHasher, Hasher};

use hashbrown::HashTable;

use super::entry::Entry;
use crate::types::Lsn;

/// Buckets behind the place where a search begins of which one with an entry is read, to have the page of an entry to come.
const NEAR_BUCKETS: usize = 4;

/// Spreads stored hash bits over buckets. The bits are keyed already, so fixed seeds are safe; nothing of this
/// reaches the disk, so another build may spread differently.
static SPREAD: ahash::RandomState = ahash::RandomState::with_seeds(0x9e37, 0x79b9, 0x7f4a, 0x7c15);

#[inline]
fn spread(hash: u32) -> u64 {
    let mut hasher = SPREAD.build_hasher();
    hasher.write_u32(hash);
    hasher.finish()
}

/// Entries of one hash prefix.
#[derive(Debug, Default)]
pub struct Table {
    entries: HashTable<Entry>,
    /// LSN of the last delete (expiry included) of a key that was here: what a miss waits for.
    last_delete: Lsn,
}

impl Table {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of memory that the entries take.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.entries.allocation_size()
    }

    /// LSN of the last delete in this table.
    #[must_use]
    pub fn last_delete(&self) -> Lsn {
        self.last_delete
    }

    /// Notes a delete at `lsn`.
    pub fn note_delete(&mut self, lsn: Lsn) {
        assert!(lsn >= self.last_delete, "LSNs of one shard only grow");
        self.last_delete = lsn;
    }

    /// The entry with these hash bits that `is_key` accepts.
    #[inline]
    pub fn find(&self, hash: u32, mut is_key: impl FnMut(&Entry) -> bool) -> Option<&Entry> {
        self.entries.find(spread(hash), |entry| entry.hash() == hash && is_key(entry))
    }

    /// Brings what a look-up of these hash bits meets into the cache: the entry that has them, or one near the place of
    /// an entry that would come. The number means nothing: it makes the reads happen.
    pub fn warm(&self, hash: u32) -> u32 {
        let found = self.find(hash, |_| true).or_else(|| self.near(hash));
        found.map_or(0, |entry| entry.location().offset)
    }

    /// As [`Self::warm`], where it is known that no entry has these hash bits.
    pub fn warm_place(&self, hash: u32) -> u32 {
        self.near(hash).map_or(0, |entry| entry.location().offset)
    }

    /// An entry behind the place where a search begins, if there is one near.
    fn near(&self, hash: u32) -> Option<&Entry> {
        let last = self.entries.num_buckets().checked_sub(1)?;
        #[expect(clippy::cast_possible_truncation, reason = "the low bits say where a search begins")]
        let home = spread(hash) as usize;
        (0..NEAR_BUCKETS).find_map(|step| self.entries.get_bucket(home.wrapping_add(step) & last))
    }

    /// As [`Self::find`], to change it.
    #[inline]
    pub fn find_mut(&mut self, hash: u32, mut is_key: impl FnMut(&Entry) -> bool) -> Option<&mut Entry> {
        self.entries.find_mut(spread(hash), |entry| entry.hash() == hash && is_key(entry))
    }

    /// Adds an entry whose key is not there yet. Returns by how many bytes the memory of the table changed.
    #[inline]
    pub fn insert(&mut self, entry: Entry) -> isize {
        let before = self.entries.allocation_size();
        if self.entries.len() == self.entries.capacity() {
            self.clear_marks();
        }
        self.entries.insert_unique(spread(entry.hash()), entry, |entry| spread(entry.hash()));
        self.entries.allocation_size().cast_signed() - before.cast_signed()
    }

    /// The table takes no more entries as it is. Entries that were taken out leave marks which count as entries: where
    /// there are many, it is built anew at its size, because a table that is more than half full would double.
    #[cold]
    fn clear_marks(&mut self) {
        let room = self.entries.num_buckets() / 8 * 7;
        if room.saturating_sub(self.entries.len()) <= room / 16 {
            return;
        }
        let mut fresh = HashTable::with_capacity(room);
        for entry in self.entries.drain() {
            fresh.insert_unique(spread(entry.hash()), entry, |entry| spread(entry.hash()));
        }
        self.entries = fresh;
    }

    /// Takes out the entry with these hash bits that `is_key` accepts. An emptied or mostly empty table gives
    /// memory back.
    pub fn remove(&mut self, hash: u32, mut is_key: impl FnMut(&Entry) -> bool) -> Option<Entry> {
        let found =
            self.entries.find_entry(spread(hash), |entry| entry.hash() == hash && is_key(entry)).ok()?;
        let (entry, _) = found.remove();
        if self.entries.len() * 8 < self.entries.capacity() {
            self.entries.shrink_to(self.entries.len() * 2, |entry| spread(entry.hash()));
        }
        Some(entry)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// All entries, in no order, to change them: their hash bits stay.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    /// Splits by one bit of the hash: entries with `bit` set go to the table returned.
    #[must_use]
    pub fn split(&mut self, bit: u32) -> Self {
        let ones = self.entries.iter().filter(|entry| entry.hash() & bit != 0).count();
        let mut low = HashTable::with_capacity(self.entries.len() - ones);
        let mut high = HashTable::with_capacity(ones);
        for entry in self.entries.drain() {
            let half = if entry.hash() & bit != 0 { &mut high } else { &mut low };
            half.insert_unique(spread(entry.hash()), entry, |entry| spread(entry.hash()));
        }
        self.entries = low;
        Self { entries: high, last_delete: self.last_delete }
    }
}
