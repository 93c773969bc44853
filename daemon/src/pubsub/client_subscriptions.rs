//! What one client is subscribed to.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Topic;
use crate::acl::User;

/// Bytes that one subscription takes beside its name: an entry here and one at the worker.
const ENTRY_BYTES: usize = 128;

/// The subscriptions of one client.
#[derive(Debug, Default)]
pub struct ClientSubscriptions {
    names: [BTreeSet<Arc<[u8]>>; 3],
    name_bytes: usize,
    /// Number of the user's last change under which all of this was allowed.
    pub allowed_at: u64,
}

impl ClientSubscriptions {
    /// None, for a client whose user was last looked at with this change.
    #[must_use]
    pub fn new(allowed_at: u64) -> Self {
        Self { allowed_at, ..Self::default() }
    }

    /// Adds one. False: it was there.
    pub fn add(&mut self, topic: Topic, name: &Arc<[u8]>) -> bool {
        let is_new = self.names[topic.index()].insert(Arc::clone(name));
        self.name_bytes += if is_new { name.len() } else { 0 };
        is_new
    }

    /// Takes one away. False: it was not there.
    pub fn remove(&mut self, topic: Topic, name: &[u8]) -> bool {
        let was_there = self.names[topic.index()].remove(name);
        self.name_bytes -= if was_there { name.len() } else { 0 };
        was_there
    }

    /// How many there are of a kind.
    #[must_use]
    pub fn count(&self, topic: Topic) -> usize {
        self.names[topic.index()].len()
    }

    /// How many there are of all kinds.
    #[must_use]
    pub fn total(&self) -> usize {
        self.names.iter().map(BTreeSet::len).sum()
    }

    /// The first name of a kind.
    #[must_use]
    pub fn first(&self, topic: Topic) -> Option<Arc<[u8]>> {
        self.names[topic.index()].first().cloned()
    }

    /// Takes any one out.
    pub fn pop(&mut self) -> Option<(Topic, Arc<[u8]>)> {
        for topic in Topic::ALL {
            if let Some(name) = self.names[topic.index()].pop_last() {
                self.name_bytes -= name.len();
                return Some((topic, name));
            }
        }
        None
    }

    /// Bytes of memory that these take, about, with what the worker keeps of them.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.total() * ENTRY_BYTES + self.name_bytes
    }

    /// Whether a user may have all of these.
    #[must_use]
    pub fn are_allowed(&self, user: &User) -> bool {
        Topic::ALL.into_iter().all(|topic| {
            let is_pattern = topic == Topic::Pattern;
            self.names[topic.index()].iter().all(|name| user.allows_channel(name, is_pattern))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_once_for_each_kind() {
        let mut subscriptions = ClientSubscriptions::default();
        let name: Arc<[u8]> = b"name"[..].into();
        assert!(subscriptions.add(Topic::Channel, &name) && !subscriptions.add(Topic::Channel, &name));
        assert!(subscriptions.add(Topic::Pattern, &name));
        assert_eq!((subscriptions.total(), subscriptions.count(Topic::Channel)), (2, 1));
        assert_eq!(subscriptions.memory_bytes(), 2 * (ENTRY_BYTES + 4));
        assert!(
            subscriptions.remove(Topic::Channel, b"name") && !subscriptions.remove(Topic::Channel, b"name")
        );
        assert_eq!(subscriptions.pop(), Some((Topic::Pattern, name)));
        assert_eq!((subscriptions.pop(), subscriptions.memory_bytes()), (None, 0));
    }
}
