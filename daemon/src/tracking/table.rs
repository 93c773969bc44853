//! Which connections have read which keys of a worker and are to be told of the next write.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::ClientPlace;

/// Bytes of memory that a key takes beside its own, about, with its first connection.
const KEY_BYTES: usize = 128;

/// Connections that have read a key.
pub(super) type Readers = SmallVec<[ClientPlace; 1]>;

#[derive(Debug)]
struct Tracked {
    /// Its place in the list of keys.
    at: usize,
    readers: Readers,
}

/// Keys that were read, by whom.
#[derive(Debug, Default)]
pub struct TrackingTable {
    keys: HashMap<Arc<[u8]>, Tracked>,
    /// The same keys in no order, to draw one.
    list: Vec<Arc<[u8]>>,
    items: usize,
    key_bytes: usize,
}

impl TrackingTable {
    /// A connection has read a key.
    pub fn remember(&mut self, key: &[u8], reader: ClientPlace) {
        if let Some(tracked) = self.keys.get_mut(key) {
            if !tracked.readers.contains(&reader) {
                tracked.readers.push(reader);
                self.items += 1;
            }
            return;
        }
        let name: Arc<[u8]> = key.into();
        let tracked = Tracked { at: self.list.len(), readers: SmallVec::from_slice(&[reader]) };
        self.list.push(Arc::clone(&name));
        self.key_bytes += name.len();
        self.items += 1;
        self.keys.insert(name, tracked);
    }

    /// Takes a key out: who has read it.
    pub fn take(&mut self, key: &[u8]) -> Option<impl Iterator<Item = ClientPlace>> {
        let tracked = self.keys.remove(key)?;
        self.list.swap_remove(tracked.at);
        if let Some(moved) = self.list.get(tracked.at) {
            self.keys.get_mut(moved).expect("each key of the list is known").at = tracked.at;
        }
        self.key_bytes -= key.len();
        self.items -= tracked.readers.len();
        assert_eq!(self.keys.len(), self.list.len(), "a key is in both or in none");
        Some(tracked.readers.into_iter())
    }

    /// A key drawn with a random number.
    #[must_use]
    pub fn draw(&self, random: u64) -> Option<Arc<[u8]>> {
        let count = self.list.len() as u64;
        let at = usize::try_from(random.checked_rem(count)?).ok()?;
        self.list.get(at).cloned()
    }

    /// Forgets all keys, and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Number of connections over all keys: who has read two counts twice.
    #[must_use]
    pub const fn items(&self) -> usize {
        self.items
    }

    /// Bytes of memory, about.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.key_bytes + self.len() * KEY_BYTES + self.items * size_of::<ClientPlace>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(connection: u32) -> ClientPlace {
        ClientPlace::new(0, (connection, 0))
    }

    #[test]
    fn who_reads_is_told_once_and_forgotten() {
        let mut table = TrackingTable::default();
        for (key, reader) in [(b"a", 1), (b"b", 1), (b"a", 2), (b"a", 1), (b"c", 3)] {
            table.remember(key, place(reader));
        }
        assert_eq!((table.len(), table.items()), (3, 4));
        let readers: Vec<u32> = table.take(b"a").unwrap().map(|reader| reader.connection).collect();
        assert_eq!(readers, [1, 2]);
        assert!(table.take(b"a").is_none());
        assert_eq!((table.len(), table.items()), (2, 2));
        let drawn: Vec<_> = (0..2).filter_map(|random| table.draw(random)).collect();
        assert_eq!(drawn.len(), 2);
        for key in drawn {
            assert_eq!(table.take(&key).unwrap().count(), 1);
        }
        assert_eq!((table.draw(7), table.memory_bytes(), table.items()), (None, 0, 0));
    }
}
