//! Who listens to what among the connections of one worker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Message, PubSubTotals, Topic};
use crate::commands::glob;

/// Number and generation of a connection.
pub type Listener = (u32, u32);

/// Who listens to one channel or pattern. Most have one listener, and then no memory of their own.
#[derive(Debug)]
enum Listeners {
    One(Listener),
    Many(BTreeSet<Listener>),
}

impl Listeners {
    fn add(&mut self, who: Listener) {
        match self {
            Self::One(first) => *self = Self::Many(BTreeSet::from([*first, who])),
            Self::Many(all) => {
                all.insert(who);
            }
        }
    }

    /// Whether somebody is left.
    fn remove(&mut self, who: Listener) -> bool {
        match self {
            Self::One(first) => *first != who,
            Self::Many(all) => {
                all.remove(&who);
                !all.is_empty()
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(all) => all.len(),
        }
    }

    fn for_each(&self, mut each: impl FnMut(Listener)) {
        match self {
            Self::One(first) => each(*first),
            Self::Many(all) => all.iter().copied().for_each(each),
        }
    }
}

/// The subscriptions of one worker's connections.
///
/// Ordered maps: they grow by small steps, so that a client with a million subscriptions delays nobody.
#[derive(Debug, Default)]
pub struct Subscriptions {
    by_name: [BTreeMap<Arc<[u8]>, Listeners>; 3],
    count: usize,
}

impl Subscriptions {
    /// Whether nobody listens to anything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a subscription that is not there. The name is the copy that client and worker share: the one that is kept
    /// already, if there is one.
    pub fn add(
        &mut self,
        topic: Topic,
        name: Arc<[u8]>,
        who: Listener,
        worker: usize,
        totals: &PubSubTotals,
    ) {
        self.count += 1;
        totals.set_subscriptions(worker, self.count);
        match self.by_name[topic.index()].get_mut(&name) {
            Some(listeners) => listeners.add(who),
            None => {
                totals.add_name(topic, &name);
                self.by_name[topic.index()].insert(name, Listeners::One(who));
            }
        }
    }

    /// The copy of a name that is kept here.
    #[must_use]
    pub fn kept_name(&self, topic: Topic, name: &[u8]) -> Option<Arc<[u8]>> {
        self.by_name[topic.index()].get_key_value(name).map(|(kept, _)| Arc::clone(kept))
    }

    /// Takes a subscription away that is there.
    pub fn remove(&mut self, topic: Topic, name: &[u8], who: Listener, worker: usize, totals: &PubSubTotals) {
        let all = &mut self.by_name[topic.index()];
        let listeners = all.get_mut(name).expect("a client's subscription is its worker's too");
        if !listeners.remove(who) {
            all.remove(name);
            totals.remove_name(topic, name);
        }
        self.count -= 1;
        totals.set_subscriptions(worker, self.count);
    }

    /// How many listen to a channel, patterns not counted.
    #[must_use]
    pub fn listeners(&self, topic: Topic, name: &[u8]) -> usize {
        self.by_name[topic.index()].get(name).map_or(0, Listeners::len)
    }

    /// The names of a kind that somebody listens to, in order.
    pub fn names(&self, topic: Topic) -> impl Iterator<Item = &[u8]> {
        self.by_name[topic.index()].keys().map(|name| &**name)
    }

    /// Tells who is to get a message: first those who listen to its channel, then those whose pattern it matches, with
    /// that pattern. A client may get it several times.
    pub fn receivers<'s>(&'s self, message: &Message, mut each: impl FnMut(Option<&'s [u8]>, Listener)) {
        let topic = if message.is_sharded { Topic::ShardChannel } else { Topic::Channel };
        if let Some(listeners) = self.by_name[topic.index()].get(&*message.channel) {
            listeners.for_each(|who| each(None, who));
        }
        if message.is_sharded {
            return;
        }
        for (pattern, listeners) in &self.by_name[Topic::Pattern.index()] {
            if glob::matches(pattern, &message.channel) {
                listeners.for_each(|who| each(Some(&**pattern), who));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receivers(of: &Subscriptions, channel: &[u8], is_sharded: bool) -> Vec<(Option<Vec<u8>>, u32)> {
        let message = Message { is_sharded, channel: channel.into(), payload: b"x"[..].into() };
        let mut all = Vec::new();
        of.receivers(&message, |pattern, who| all.push((pattern.map(<[u8]>::to_vec), who.0)));
        all
    }

    #[test]
    fn a_message_goes_to_its_channel_then_to_patterns_and_shard_channels_are_apart() {
        let (mut all, totals) = (Subscriptions::default(), PubSubTotals::new(1));
        for (topic, name, who) in [
            (Topic::Channel, &b"a1"[..], 1),
            (Topic::Channel, b"a1", 2),
            (Topic::Pattern, b"a*", 2),
            (Topic::Pattern, b"b*", 3),
            (Topic::ShardChannel, b"a1", 4),
        ] {
            all.add(topic, name.into(), (who, 0), 0, &totals);
        }
        assert_eq!(receivers(&all, b"a1", false), [(None, 1), (None, 2), (Some(b"a*".to_vec()), 2)]);
        assert_eq!(receivers(&all, b"a1", true), [(None, 4)]);
        assert_eq!(receivers(&all, b"b1", false), [(Some(b"b*".to_vec()), 3)]);
        assert_eq!((totals.names(Topic::Channel), totals.names(Topic::Pattern)), (1, 2));
        assert!(totals.has_subscriptions(0));
        all.remove(Topic::Channel, b"a1", (1, 0), 0, &totals);
        assert_eq!((all.listeners(Topic::Channel, b"a1"), totals.names(Topic::Channel)), (1, 1));
        all.remove(Topic::Channel, b"a1", (2, 0), 0, &totals);
        all.remove(Topic::Pattern, b"a*", (2, 0), 0, &totals);
        all.remove(Topic::Pattern, b"b*", (3, 0), 0, &totals);
        all.remove(Topic::ShardChannel, b"a1", (4, 0), 0, &totals);
        assert!(all.is_empty() && !totals.has_subscriptions(0) && totals.names(Topic::Channel) == 0);
    }
}
