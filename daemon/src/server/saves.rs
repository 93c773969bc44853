//! Saves of the whole store: SAVE and BGSAVE, one at a time, each a checkpoint of every shard by its worker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How saves stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaveStatus {
    /// When the one that runs began, in Unix ms; `None` when none runs.
    pub began_ms: Option<u64>,
    /// When the last one was complete, in Unix ms, and how many milliseconds it took; `None` before the first.
    pub last: Option<(u64, u64)>,
    /// Whether the last one that ended was not completed.
    pub failed: bool,
    /// Saves begun since the start, and those of them that have ended.
    pub begun: u64,
    /// See `begun`.
    pub ended: u64,
}

#[derive(Debug, Default)]
struct State {
    status: SaveStatus,
    /// Workers that have yet to end their part.
    missing: usize,
    /// A worker could not do its part.
    broken: bool,
}

/// Which save runs, and how the last one went. Touched a few times a save: a lock is cheap enough.
#[derive(Debug)]
pub struct Saves {
    workers: usize,
    state: Mutex<State>,
    /// As in the status, for every turn of every worker to look at.
    begun: AtomicU64,
}

impl Saves {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers, state: Mutex::default(), begun: AtomicU64::new(0) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Claims the save, so that every worker does its part. False: one runs already.
    #[must_use]
    pub fn begin(&self, now_ms: u64) -> bool {
        self.with(|state| {
            let free = state.missing == 0;
            if free {
                (state.missing, state.broken) = (self.workers, false);
                state.status.began_ms = Some(now_ms);
                state.status.begun += 1;
                self.begun.store(state.status.begun, Ordering::Release);
            }
            free
        })
    }

    /// Saves begun since the start: a worker that has done its part of fewer has one to do.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// A worker has ended its part, or cannot do it.
    ///
    /// # Panics
    /// When no save runs, or all parts have ended.
    pub fn end_part(&self, done: bool, now_ms: u64) {
        self.with(|state| {
            assert!(state.missing > 0, "a save has as many parts as there are workers");
            state.missing -= 1;
            state.broken |= !done;
            if state.missing == 0 {
                let began = state.status.began_ms.take().unwrap_or(now_ms);
                state.status.failed = state.broken;
                state.status.ended += 1;
                if !state.broken {
                    state.status.last = Some((now_ms, now_ms.saturating_sub(began)));
                }
            }
        });
    }

    /// How they stand.
    #[must_use]
    pub fn status(&self) -> SaveStatus {
        self.with(|state| state.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_save_at_a_time_and_it_is_over_with_its_last_part() {
        let saves = Saves::new(2);
        assert_eq!(saves.status(), SaveStatus::default());
        assert!(saves.begin(100) && !saves.begin(101));
        saves.end_part(true, 150);
        assert_eq!(saves.status().began_ms, Some(100));
        saves.end_part(true, 170);
        let done = SaveStatus { began_ms: None, last: Some((170, 70)), failed: false, begun: 1, ended: 1 };
        assert_eq!(saves.status(), done);
        assert!(saves.begin(200));
        saves.end_part(false, 210);
        saves.end_part(true, 220);
        assert_eq!(
            saves.status(),
            SaveStatus { failed: true, begun: 2, ended: 2, ..done },
            "what was complete stays the last"
        );
    }
}
