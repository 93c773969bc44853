//! What all workers know of each other's subscriptions: whether there are any, and how many names.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Topic;
use super::name_counts::NameCounts;

/// A number in a cache line of its own: each worker writes one.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded(AtomicUsize);

/// What all workers know of each other's subscriptions.
#[derive(Debug)]
pub struct PubSubTotals {
    /// Subscriptions of each worker's connections.
    subscriptions: Box<[Padded]>,
    names: [NameCounts; 3],
}

impl PubSubTotals {
    /// Of so many workers, none of which has any.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { subscriptions: (0..workers).map(|_| Padded::default()).collect(), names: Default::default() }
    }

    /// Says how many subscriptions a worker's connections have. In force for every message that is published after the
    /// client was told.
    pub(super) fn set_subscriptions(&self, worker: usize, count: usize) {
        self.subscriptions[worker].0.store(count, Ordering::Release);
    }

    /// Whether connections of a worker have subscriptions.
    #[must_use]
    pub fn has_subscriptions(&self, worker: usize) -> bool {
        self.subscriptions[worker].0.load(Ordering::Acquire) > 0
    }

    /// Whether anybody has.
    #[must_use]
    pub fn any(&self) -> bool {
        (0..self.subscriptions.len()).any(|worker| self.has_subscriptions(worker))
    }

    pub(super) fn add_name(&self, topic: Topic, name: &[u8]) {
        self.names[topic.index()].add(name);
    }

    pub(super) fn remove_name(&self, topic: Topic, name: &[u8]) {
        self.names[topic.index()].remove(name);
    }

    /// How many names of a kind somebody listens to.
    #[must_use]
    pub fn names(&self, topic: Topic) -> usize {
        self.names[topic.index()].len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_known_to_several_workers_counts_once() {
        let totals = PubSubTotals::new(2);
        for _ in 0..2 {
            totals.add_name(Topic::Channel, b"a");
        }
        totals.add_name(Topic::Channel, b"b");
        assert_eq!((totals.names(Topic::Channel), totals.names(Topic::Pattern)), (2, 0));
        totals.remove_name(Topic::Channel, b"a");
        assert_eq!(totals.names(Topic::Channel), 2);
        totals.remove_name(Topic::Channel, b"a");
        assert_eq!(totals.names(Topic::Channel), 1);
        assert!(!totals.any());
        totals.set_subscriptions(1, 3);
        assert!(totals.any() && totals.has_subscriptions(1) && !totals.has_subscriptions(0));
    }
}
