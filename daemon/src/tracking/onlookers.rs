//! What all workers know of each other's clients that track or look on: how many, and where a client is that is told in the
//! place of another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ClientPlace;
use crate::pubsub::NameCounts;
use crate::server::Settings;

/// Figures of one worker, in a cache line of their own: each worker writes its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct OfWorker {
    trackers: AtomicUsize,
    /// Those of them that are told of keys by prefix.
    broadcasts: AtomicUsize,
    monitors: AtomicUsize,
    /// Flushes whose end was told.
    flushes: AtomicU64,
}

/// What all workers know of each other's clients that track or look on.
#[derive(Debug)]
pub struct Onlookers {
    workers: Box<[OfWorker]>,
    /// Clients of all workers that track; its lock orders changes of what [`Settings::tracks`] tells.
    trackers: Mutex<usize>,
    /// How often the last client that tracked has stopped.
    lapses: AtomicU64,
    monitors: AtomicUsize,
    prefixes: NameCounts,
    /// All clients by id.
    places: Mutex<BTreeMap<u64, ClientPlace>>,
}

impl Onlookers {
    /// Of so many workers, none of which has any.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| OfWorker::default()).collect(),
            trackers: Mutex::default(),
            lapses: AtomicU64::new(0),
            monitors: AtomicUsize::new(0),
            prefixes: NameCounts::default(),
            places: Mutex::default(),
        }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<u64, ClientPlace>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client has come.
    pub fn note_client(&self, id: u64, place: ClientPlace) {
        self.places().insert(id, place);
    }

    /// A client is gone.
    pub fn forget_client(&self, id: u64) {
        self.places().remove(&id);
    }

    /// Where the client of an id is.
    #[must_use]
    pub fn place_of(&self, id: u64) -> Option<ClientPlace> {
        self.places().get(&id).copied()
    }

    /// Says how many clients of a worker track, and how many of those by prefix. From the return on every write of a
    /// worker that knows of it is told; a client is answered when all workers do.
    pub fn set_trackers(&self, worker: usize, trackers: usize, broadcasts: usize, settings: &Settings) {
        let of = &self.workers[worker];
        let mut total = self.trackers.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *total;
        *total -= of.trackers.swap(trackers, Ordering::AcqRel);
        *total += trackers;
        if before > 0 && *total == 0 {
            self.lapses.fetch_add(1, Ordering::AcqRel);
        }
        of.broadcasts.store(broadcasts, Ordering::Release);
        settings.set_tracks(*total > 0);
    }

    /// Clients that track.
    #[must_use]
    pub fn trackers(&self) -> usize {
        *self.trackers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the last client that tracked has stopped: from then on writes go unnoted, so that what was read before
    /// means nothing to who tracks later.
    #[must_use]
    pub fn lapses(&self) -> u64 {
        self.lapses.load(Ordering::Acquire)
    }

    /// Whether clients of a worker track by prefix.
    #[must_use]
    pub fn has_broadcasts(&self, worker: usize) -> bool {
        self.workers[worker].broadcasts.load(Ordering::Acquire) > 0
    }

    /// Says how many clients of a worker look on.
    pub fn set_monitors(&self, worker: usize, count: usize) {
        let before = self.workers[worker].monitors.swap(count, Ordering::AcqRel);
        self.monitors.fetch_add(count, Ordering::AcqRel);
        self.monitors.fetch_sub(before, Ordering::AcqRel);
    }

    /// Whether clients of a worker look on.
    #[must_use]
    pub fn has_monitors(&self, worker: usize) -> bool {
        self.workers[worker].monitors.load(Ordering::Acquire) > 0
    }

    /// Whether anybody looks on: one relaxed load.
    #[must_use]
    #[inline]
    pub fn is_monitored(&self) -> bool {
        self.monitors.load(Ordering::Relaxed) > 0
    }

    /// A worker's part of a flush is over and told.
    pub fn note_flush(&self, worker: usize) {
        self.workers[worker].flushes.fetch_add(1, Ordering::AcqRel);
    }

    /// Flushes that are over on all workers.
    #[must_use]
    pub fn flushes(&self) -> u64 {
        self.workers.iter().map(|of| of.flushes.load(Ordering::Acquire)).min().unwrap_or(0)
    }

    /// A client is told of keys with a prefix.
    pub fn add_prefix(&self, prefix: &[u8]) {
        self.prefixes.add(prefix);
    }

    /// A client is told of them no longer.
    pub fn remove_prefix(&self, prefix: &[u8]) {
        self.prefixes.remove(prefix);
    }

    /// Prefixes, each counted once.
    #[must_use]
    pub fn prefixes(&self) -> usize {
        self.prefixes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn writes_are_told_while_anybody_tracks() {
        let settings = Settings::new(&Options::for_tests());
        let onlookers = Onlookers::new(2);
        onlookers.set_trackers(0, 2, 1, &settings);
        onlookers.set_trackers(1, 1, 0, &settings);
        assert!(settings.tracks() && onlookers.has_broadcasts(0) && !onlookers.has_broadcasts(1));
        onlookers.set_trackers(0, 0, 0, &settings);
        assert_eq!((onlookers.trackers(), settings.tracks(), onlookers.has_broadcasts(0)), (1, true, false));
        onlookers.set_trackers(1, 0, 0, &settings);
        assert!(!settings.tracks());
        assert_eq!(onlookers.lapses(), 1);
        onlookers.set_trackers(1, 0, 0, &settings);
        assert_eq!(onlookers.lapses(), 1, "nobody tracked");
        onlookers.set_monitors(1, 2);
        onlookers.set_monitors(1, 1);
        assert!(onlookers.is_monitored() && onlookers.has_monitors(1) && !onlookers.has_monitors(0));
        onlookers.set_monitors(1, 0);
        assert!(!onlookers.is_monitored());
    }

    #[test]
    fn a_flush_is_over_when_it_is_on_all_workers() {
        let onlookers = Onlookers::new(2);
        onlookers.note_flush(0);
        onlookers.note_flush(0);
        assert_eq!(onlookers.flushes(), 0);
        onlookers.note_flush(1);
        assert_eq!(onlookers.flushes(), 1);
    }
}
