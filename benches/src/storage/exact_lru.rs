//! An exact LRU over key numbers, as it would be with unlimited bookkeeping: what a cache is held against.

/// Keys by the time they were last asked for.
#[derive(Clone, Debug)]
pub struct ExactLru {
    room: usize,
    /// The keys used before and after each key, by key number. The last entry is the ring's head: it comes before the
    /// oldest and after the newest, which stand the other way round in it.
    links: Vec<(u32, u32)>,
    held: Vec<bool>,
    count: usize,
}

impl ExactLru {
    /// Room for so many of the keys 0 to `keys` - 1.
    ///
    /// # Panics
    /// When there are 2^32 keys or more.
    #[must_use]
    pub fn new(keys: u32, room: usize) -> Self {
        let head = keys as usize;
        Self { room, links: vec![(keys, keys); head + 1], held: vec![false; head], count: 0 }
    }

    fn head(&self) -> u32 {
        u32::try_from(self.held.len()).expect("made from a u32")
    }

    /// Asks for a key; whether it was there. It is there afterwards.
    pub fn ask(&mut self, key: u32) -> bool {
        if self.room == 0 {
            return false;
        }
        let hit = self.held[key as usize];
        if hit {
            self.unlink(key);
        } else {
            if self.count == self.room {
                let oldest = self.links[self.head() as usize].0;
                self.unlink(oldest);
                self.held[oldest as usize] = false;
                self.count -= 1;
            }
            self.held[key as usize] = true;
            self.count += 1;
        }
        let head = self.head();
        let newest = self.links[head as usize].1;
        self.links[key as usize] = (newest, head);
        self.set_next(newest, key);
        self.links[head as usize].1 = key;
        hit
    }

    /// The one used after this one.
    fn set_next(&mut self, of: u32, next: u32) {
        let head = self.head();
        let link = &mut self.links[of as usize];
        if of == head { link.0 = next } else { link.1 = next }
    }

    /// The one used before this one.
    fn set_previous(&mut self, of: u32, previous: u32) {
        let head = self.head();
        let link = &mut self.links[of as usize];
        if of == head { link.1 = previous } else { link.0 = previous }
    }

    fn unlink(&mut self, key: u32) {
        let (previous, next) = self.links[key as usize];
        self.set_next(previous, next);
        self.set_previous(next, previous);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn it_holds_what_was_asked_for_last() {
        let mut rng = Rng::new(5, 0);
        let mut lru = ExactLru::new(50, 10);
        // Newest last.
        let mut model: Vec<u32> = Vec::new();
        for _ in 0..20_000 {
            let key = u32::try_from(rng.below(50)).unwrap();
            let hit = model.contains(&key);
            model.retain(|other| *other != key);
            model.push(key);
            if model.len() > 10 {
                model.remove(0);
            }
            assert_eq!(lru.ask(key), hit);
        }
        assert!(!ExactLru::new(5, 0).ask(1));
    }
}
