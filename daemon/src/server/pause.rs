//! CLIENT PAUSE: until when commands wait, and which. One atomic, so that a worker that looks sees both or neither.

use std::sync::atomic::{AtomicU64, Ordering};

/// Which commands wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseKind {
    /// Those that change data.
    Writes,
    /// All of them.
    All,
}

/// The pause in force, if any. Times are nanoseconds of the monotonic clock.
#[derive(Debug, Default)]
pub struct Pause {
    /// The end, its lowest bit replaced by whether all commands wait; 0 when there is no pause.
    word: AtomicU64,
}

const ALL: u64 = 1;

impl Pause {
    /// Whether there may be a pause: one relaxed load.
    #[must_use]
    #[inline]
    pub fn is_set(&self) -> bool {
        self.word.load(Ordering::Relaxed) != 0
    }

    /// Pauses until `until_ns`. Of two pauses that overlap the later end and the stricter kind hold.
    pub fn begin(&self, now_ns: u64, until_ns: u64, kind: PauseKind) {
        let new = (until_ns & !ALL) | if kind == PauseKind::All { ALL } else { 0 };
        let merge = |old: u64| {
            if old & !ALL <= now_ns {
                return Some(new);
            }
            Some((old & !ALL).max(new & !ALL) | (old & ALL) | (new & ALL))
        };
        let merged = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, merge);
        assert!(merged.is_ok(), "a pause is always taken");
    }

    /// Ends it.
    pub fn end(&self) {
        self.word.store(0, Ordering::Release);
    }

    /// The pause at this time: its end, and what waits. One that is over is forgotten.
    #[must_use]
    pub fn at(&self, now_ns: u64) -> Option<(u64, PauseKind)> {
        let word = self.word.load(Ordering::Acquire);
        if word == 0 {
            return None;
        }
        let until = word & !ALL;
        if until <= now_ns {
            // Another one may have begun in between: then that one stays.
            let _ = self.word.compare_exchange(word, 0, Ordering::AcqRel, Ordering::Relaxed);
            return None;
        }
        Some((until, if word & ALL == ALL { PauseKind::All } else { PauseKind::Writes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_end_and_the_stricter_kind_hold() {
        let pause = Pause::default();
        assert!(!pause.is_set() && pause.at(0).is_none());
        pause.begin(0, 100, PauseKind::All);
        pause.begin(10, 200, PauseKind::Writes);
        assert_eq!(pause.at(50), Some((200, PauseKind::All)));
        pause.begin(60, 80, PauseKind::Writes);
        assert_eq!(pause.at(60), Some((200, PauseKind::All)));
        assert_eq!(pause.at(200), None);
        assert!(!pause.is_set(), "one that is over costs nothing");
        pause.begin(300, 400, PauseKind::Writes);
        assert_eq!(pause.at(300), Some((400, PauseKind::Writes)), "an old one does not make it stricter");
        pause.end();
        assert_eq!(pause.at(300), None);
    }
}
