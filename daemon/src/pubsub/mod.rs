//! Publish and subscribe: who listens to what, and the messages and events that they are told.
//!
//! A subscription lives with the worker of its connection ([`Subscriptions`], [`ClientSubscriptions`]). What a worker
//! publishes goes to every worker that has a subscription at all ([`PubSubTotals`] tells which), and each of them finds
//! the receivers among its own. How messages travel is in `connection/publishing.rs`.

mod client_subscriptions;
mod event;
mod event_classes;
mod message;
mod name_counts;
mod subscriptions;
mod totals;

pub use client_subscriptions::ClientSubscriptions;
pub use event::{Event, EventKind, Events};
pub use event_classes::EventClasses;
pub use message::Message;
pub(crate) use name_counts::NameCounts;
pub use subscriptions::{Listener, Subscriptions};
pub use totals::PubSubTotals;

/// What a subscription is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A channel.
    Channel = 0,
    /// All channels that match a pattern.
    Pattern = 1,
    /// A channel of the sharded kind: they are apart from the others.
    ShardChannel = 2,
}

impl Topic {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::ShardChannel];

    /// Its number, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A command that begins or ends subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionChange {
    /// What it is about.
    pub topic: Topic,
    /// Whether it begins them.
    pub begins: bool,
}

impl SubscriptionChange {
    /// The word that its confirmations begin with.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match (self.topic, self.begins) {
            (Topic::Channel, true) => "subscribe",
            (Topic::Channel, false) => "unsubscribe",
            (Topic::Pattern, true) => "psubscribe",
            (Topic::Pattern, false) => "punsubscribe",
            (Topic::ShardChannel, true) => "ssubscribe",
            (Topic::ShardChannel, false) => "sunsubscribe",
        }
    }
}
