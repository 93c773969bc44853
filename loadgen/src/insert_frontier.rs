//! Numbers of inserted keys, shared by all workers: which is next, and up to which all are acknowledged.
//!
//! Replies come out of order over many connections; a reader that wants a recent key may only ask for one below
//! the first that is not acknowledged. The window of acknowledgements is a ring of bits, allocated once, behind a lock
//! that only inserts take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::number::index;

/// The shared frontier. Cheap to clone.
#[derive(Clone, Debug)]
pub struct InsertFrontier(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Number of the next insert.
    next: AtomicU64,
    /// Copy of the window's for readers.
    acknowledged: AtomicU64,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    /// All keys below are there.
    acknowledged: u64,
    /// Bit `number % bits`: acknowledged, not yet below the frontier.
    words: Box<[u64]>,
}

impl InsertFrontier {
    /// Keys `0..loaded` are there. An insert without an answer is waited for until `window` (rounded up to words)
    /// later ones have been made.
    #[must_use]
    pub fn new(loaded: u64, window: u64) -> Self {
        let words = vec![0; index(window.max(1).div_ceil(64))].into();
        Self(Arc::new(Shared {
            next: AtomicU64::new(loaded),
            acknowledged: AtomicU64::new(loaded),
            window: Mutex::new(Window { acknowledged: loaded, words }),
        }))
    }

    /// Takes the number of a new key.
    #[must_use]
    pub fn take(&self) -> u64 {
        // Relaxed: the number alone matters.
        self.0.next.fetch_add(1, Ordering::Relaxed)
    }

    /// All keys below this number have been answered.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.0.acknowledged.load(Ordering::Relaxed)
    }

    /// The insert has an answer. One that failed counts too, as in YCSB, or the frontier would stand still; reads
    /// of that key miss.
    pub fn acknowledge(&self, number: u64) {
        // No code that holds the lock panics, and the bits are right after each step.
        let mut window = self.0.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.acknowledge(number);
        self.0.acknowledged.store(window.acknowledged, Ordering::Relaxed);
    }
}

impl Window {
    fn acknowledge(&mut self, number: u64) {
        let bits = self.words.len() as u64 * 64;
        if number < self.acknowledged {
            return;
        }
        // An insert that is stuck for a whole window is no longer waited for.
        while number - self.acknowledged >= bits {
            self.take_bit(self.acknowledged);
            self.acknowledged += 1;
        }
        let place = number % bits;
        self.words[index(place / 64)] |= 1 << (place % 64);
        while self.take_bit(self.acknowledged) {
            self.acknowledged += 1;
        }
    }

    fn take_bit(&mut self, number: u64) -> bool {
        let place = number % (self.words.len() as u64 * 64);
        let (word, bit) = (&mut self.words[index(place / 64)], 1 << (place % 64));
        let was_set = *word & bit != 0;
        *word &= !bit;
        was_set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn the_frontier_stops_at_the_first_key_without_an_answer() {
        let frontier = InsertFrontier::new(100, 1000);
        let numbers: Vec<u64> = (0..5).map(|_| frontier.take()).collect();
        assert_eq!(numbers, [100, 101, 102, 103, 104]);
        for (number, expected) in [(102, 100), (100, 101), (104, 101), (101, 103), (103, 105)] {
            frontier.acknowledge(number);
            assert_eq!(frontier.acknowledged(), expected, "after {number}");
        }
    }

    #[test]
    fn answers_in_any_order_over_many_windows_leave_no_hole() {
        let frontier = InsertFrontier::new(7, 64);
        let mut rng = Rng::new(3, 0);
        let mut outstanding: Vec<u64> = Vec::new();
        for _ in 0..10_000 {
            let oldest = outstanding.iter().min().copied().unwrap_or(u64::MAX);
            let has_room = frontier.0.next.load(Ordering::Relaxed).saturating_sub(oldest) < 64;
            if has_room {
                outstanding.push(frontier.take());
            }
            if !has_room || rng.below(2) == 0 {
                let place = index(rng.below(outstanding.len() as u64));
                frontier.acknowledge(outstanding.swap_remove(place));
            }
            let first_open = outstanding.iter().min().copied();
            assert_eq!(
                frontier.acknowledged(),
                first_open.unwrap_or(frontier.0.next.load(Ordering::Relaxed))
            );
        }
    }

    #[test]
    fn workers_take_different_numbers_and_the_frontier_follows_all() {
        let frontier = InsertFrontier::new(0, 1024);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| frontier.acknowledge(frontier.take())));
            }
        });
        assert_eq!(frontier.acknowledged(), 40_000);
    }

    #[test]
    fn an_insert_stuck_for_a_whole_window_is_left_behind() {
        let frontier = InsertFrontier::new(0, 64);
        for number in 1..64 {
            frontier.acknowledge(number);
        }
        assert_eq!(frontier.acknowledged(), 0);
        frontier.acknowledge(64);
        assert_eq!(frontier.acknowledged(), 65);
        frontier.acknowledge(0);
        assert_eq!(frontier.acknowledged(), 65);
    }
}
