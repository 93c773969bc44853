//! The index of one slot: nothing, one table, or a directory of tables by hash prefix (extendible hashing).
//!
//! Source of the scheme: Fagin et al., "Extendible Hashing", TODS 1979.

use super::entry::Entry;
use super::table::Table;
use crate::limits::{TABLE_DEPTH_MAX, TABLE_ENTRIES_MAX};

/// Tables of one slot of one keyspace.
#[derive(Debug, Default)]
pub enum SlotIndex {
    /// No key was ever here.
    #[default]
    Empty,
    /// Few keys: one table.
    One(Table),
    /// Many keys: tables by hash prefix.
    Many(Box<Directory>),
}

/// Tables by hash prefix.
#[derive(Debug)]
pub struct Directory {
    /// `places` has 2^depth entries: the top `depth` bits of a hash lead to a table's position.
    depth: u8,
    places: Vec<u32>,
    tables: Vec<Leaf>,
}

#[derive(Debug)]
struct Leaf {
    /// How many top bits all hashes of this table share.
    depth: u8,
    table: Table,
}

impl Directory {
    #[inline]
    fn place(&self, hash: u32) -> usize {
        let prefix = if self.depth == 0 { 0 } else { hash >> (32 - u32::from(self.depth)) };
        self.places[prefix as usize] as usize
    }

    /// Splits the table of `hash`, doubling the directory when the table already uses all its bits.
    /// Returns by how many bytes the memory of the tables changed.
    fn split(&mut self, hash: u32) -> isize {
        let position = self.place(hash);
        let leaf = &mut self.tables[position];
        let before = leaf.table.allocated_bytes();
        if leaf.depth == self.depth {
            self.places = self.places.iter().flat_map(|&place| [place, place]).collect();
            self.depth += 1;
        }
        leaf.depth += 1;
        let bit = 1u32 << (32 - u32::from(leaf.depth));
        let (depth, high) = (leaf.depth, leaf.table.split(bit));
        let after = leaf.table.allocated_bytes() + high.allocated_bytes();
        let new = u32::try_from(self.tables.len()).unwrap_or(u32::MAX);
        self.tables.push(Leaf { depth, table: high });
        // All prefixes that share the high half's bits now lead to the new table.
        let high_prefix = (hash & !(bit - 1)) | bit;
        let first = (high_prefix >> (32 - u32::from(self.depth))) as usize;
        let count = 1usize << (self.depth - depth);
        self.places[first..first + count].fill(new);
        after.cast_signed() - before.cast_signed()
    }
}

impl SlotIndex {
    /// The table that a hash belongs to, if there is one.
    #[must_use]
    #[inline]
    pub fn table(&self, hash: u32) -> Option<&Table> {
        match self {
            Self::Empty => None,
            Self::One(table) => Some(table),
            Self::Many(directory) => Some(&directory.tables[directory.place(hash)].table),
        }
    }

    /// The table that a hash belongs to, if there is one, to change it.
    #[must_use]
    #[inline]
    pub fn table_mut(&mut self, hash: u32) -> Option<&mut Table> {
        match self {
            Self::Empty => None,
            Self::One(table) => Some(table),
            Self::Many(directory) => {
                let position = directory.place(hash);
                Some(&mut directory.tables[position].table)
            }
        }
    }

    /// Adds an entry whose key is not there yet; splits its table first when that is full. Returns by how many
    /// bytes the memory of the tables changed.
    #[inline]
    pub fn insert(&mut self, entry: Entry) -> isize {
        match self {
            Self::Empty => {
                let mut table = Table::default();
                let grown = table.insert(entry);
                *self = Self::One(table);
                grown
            }
            Self::One(table) if table.len() < TABLE_ENTRIES_MAX => table.insert(entry),
            Self::One(_) | Self::Many(_) => self.insert_with_split(entry),
        }
    }

    fn insert_with_split(&mut self, entry: Entry) -> isize {
        if let Self::One(table) = self {
            let leaf = Leaf { depth: 0, table: std::mem::take(table) };
            *self = Self::Many(Box::new(Directory { depth: 0, places: vec![0], tables: vec![leaf] }));
        }
        let Self::Many(directory) = self else { unreachable!("made above") };
        let leaf = &directory.tables[directory.place(entry.hash())];
        // One split is enough for hashes that are spread; where it is not, the table grows a little until the
        // next insert splits again.
        let mut grown = 0;
        if leaf.table.len() >= TABLE_ENTRIES_MAX && leaf.depth < TABLE_DEPTH_MAX {
            grown = directory.split(entry.hash());
        }
        let position = directory.place(entry.hash());
        grown + directory.tables[position].table.insert(entry)
    }

    /// Number of keys in the slot.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables().map(Table::len).sum()
    }

    /// Whether the slot has no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables().all(Table::is_empty)
    }

    /// All tables of the slot, in no order.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        let (one, many) = match self {
            Self::Empty => (None, None),
            Self::One(table) => (Some(table), None),
            Self::Many(directory) => (None, Some(directory)),
        };
        one.into_iter().chain(many.into_iter().flat_map(|d| d.tables.iter().map(|leaf| &leaf.table)))
    }

    /// As [`Self::tables`], to change them.
    pub fn tables_mut(&mut self) -> impl Iterator<Item = &mut Table> {
        let (one, many) = match self {
            Self::Empty => (None, None),
            Self::One(table) => (Some(table), None),
            Self::Many(directory) => (None, Some(directory)),
        };
        one.into_iter().chain(many.into_iter().flat_map(|d| d.tables.iter_mut().map(|leaf| &mut leaf.table)))
    }

    /// The table that holds `hash`, and the first hash after all that this table can hold (`None`: there is none).
    #[must_use]
    pub fn table_at(&self, hash: u32) -> Option<(&Table, Option<u32>)> {
        match self {
            Self::Empty => None,
            Self::One(table) => Some((table, None)),
            Self::Many(directory) => {
                let leaf = &directory.tables[directory.place(hash)];
                if leaf.depth == 0 {
                    return Some((&leaf.table, None));
                }
                let width = 1u32 << (32 - u32::from(leaf.depth));
                let end = (hash & !(width - 1)).checked_add(width);
                Some((&leaf.table, end))
            }
        }
    }

    /// Takes one table out of the slot, for dropping in bounded steps.
    pub fn pop_table(&mut self) -> Option<Table> {
        match self {
            Self::Empty => None,
            Self::One(_) => match std::mem::take(self) {
                Self::One(table) => Some(table),
                _ => None,
            },
            Self::Many(directory) => {
                let leaf = directory.tables.pop();
                if leaf.is_none() {
                    *self = Self::Empty;
                }
                leaf.map(|leaf| leaf.table)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{ExtentNumber, Location};
    use super::*;

    fn hash_of(number: u32) -> u32 {
        number.wrapping_mul(0x9e37_79b1).rotate_left(13).wrapping_mul(0x85eb_ca6b)
    }

    fn entry(number: u32) -> Entry {
        Entry::new(hash_of(number), Location { extent: ExtentNumber(number), offset: 0 }, 1)
    }

    #[test]
    fn tables_stay_small_and_every_entry_is_found() {
        let mut slot = SlotIndex::default();
        for number in 0..200_000 {
            slot.insert(entry(number));
        }
        assert_eq!(slot.len(), 200_000);
        assert!(slot.tables().all(|table| table.len() <= TABLE_ENTRIES_MAX));
        for number in 0..200_000 {
            let table = slot.table(hash_of(number)).unwrap();
            assert!(table.find(hash_of(number), |e| e.location().extent.0 == number).is_some());
        }
    }

    #[test]
    fn walking_by_table_end_meets_every_entry_once() {
        let mut slot = SlotIndex::default();
        for number in 0..20_000 {
            slot.insert(entry(number));
        }
        let (mut seen, mut hash) = (0, Some(0u32));
        while let Some(at) = hash {
            let (table, end) = slot.table_at(at).unwrap();
            seen += table.len();
            hash = end;
        }
        assert_eq!(seen, 20_000);
    }

    #[test]
    fn popping_all_tables_gives_back_every_entry() {
        let mut slot = SlotIndex::default();
        for number in 0..5_000 {
            slot.insert(entry(number));
        }
        let mut count = 0;
        while let Some(table) = slot.pop_table() {
            count += table.len();
        }
        assert_eq!(count, 5_000);
        assert!(matches!(slot, SlotIndex::Empty));
    }

    #[test]
    fn removing_gives_memory_back() {
        let mut table = Table::default();
        for number in 0..1_000 {
            table.insert(entry(number));
        }
        let full = table.allocated_bytes();
        for number in 0..1_000 {
            assert!(table.remove(hash_of(number), |e| e.location().extent.0 == number).is_some());
        }
        assert!(table.is_empty() && table.allocated_bytes() < full / 8);
    }

    #[test]
    fn warming_meets_the_entry_that_is_there_and_needs_none() {
        let mut table = Table::default();
        assert_eq!((table.warm(hash_of(0)), table.warm_place(hash_of(0))), (0, 0));
        let at = |number| Location { extent: ExtentNumber(number), offset: number + 1 };
        for number in 0..1_000 {
            table.warm_place(hash_of(number));
            table.insert(Entry::new(hash_of(number), at(number), 1));
        }
        assert!((0..1_000).all(|number| table.warm(hash_of(number)) == number + 1));
    }

    #[test]
    fn keys_that_come_and_go_do_not_make_a_table_grow() {
        let mut table = Table::default();
        for number in 0..1_300 {
            table.insert(entry(number));
        }
        let bytes = table.allocated_bytes();
        let mut changed = 0;
        for number in 1_300..20_000 {
            let gone = number - 1_300;
            assert!(table.remove(hash_of(gone), |e| e.location().extent.0 == gone).is_some());
            changed += table.insert(entry(number));
        }
        assert_eq!((table.len(), table.allocated_bytes(), changed), (1_300, bytes, 0));
        assert!(
            (18_700..20_000)
                .all(|number| { table.find(hash_of(number), |e| e.location().extent.0 == number).is_some() })
        );
    }
}
