//! Commands of publish and subscribe.

use super::super::command::{ChannelSpec, Command, Execution, KeySpec};
use super::super::docs::pubsub as docs;
use super::super::pubsub;
use super::words::{ANYTIME, ANYTIME_FAST, C, F, NO, PERSONAL, command};
use crate::connection::GatherKind;
use crate::pubsub::{SubscriptionChange, Topic};
use Execution::{Connection, Container, Publish, Subscribe, Subscriptions};

const LISTEN: F = F::PUBSUB.and(PERSONAL);
const SPEAK: F = F::PUBSUB.and(ANYTIME_FAST);
const TELL: F = F::PUBSUB.and(ANYTIME);

const fn change(topic: Topic, begins: bool) -> Execution {
    Subscribe(SubscriptionChange { topic, begins })
}

const NOT_KEY: &[&str] = &["not_key"];
const SHARD_CHANNEL: KeySpec = KeySpec::one(NOT_KEY);
const SHARD_CHANNELS: KeySpec = KeySpec::all(1, NOT_KEY);

impl Command {
    const fn routed_by(mut self, spec: KeySpec) -> Self {
        self.not_keys = Some(spec);
        self
    }

    const fn channels_from(mut self, first: usize, to_end: bool, patterns: bool) -> Self {
        self.channels = Some(ChannelSpec { first, to_end, patterns });
        self
    }
}

pub(super) const PUBSUB: [Command; 15] = [
    command("subscribe", -2, LISTEN, C::NONE, change(Topic::Channel, true), &docs::SUBSCRIBE)
        .channels_from(1, true, false),
    command("unsubscribe", -1, LISTEN, C::NONE, change(Topic::Channel, false), &docs::UNSUBSCRIBE),
    command("psubscribe", -2, LISTEN, C::NONE, change(Topic::Pattern, true), &docs::PSUBSCRIBE)
        .channels_from(1, true, true),
    command("punsubscribe", -1, LISTEN, C::NONE, change(Topic::Pattern, false), &docs::PUNSUBSCRIBE),
    command("ssubscribe", -2, LISTEN, C::NONE, change(Topic::ShardChannel, true), &docs::SSUBSCRIBE)
        .channels_from(1, true, false)
        .routed_by(SHARD_CHANNELS),
    command("sunsubscribe", -1, LISTEN, C::NONE, change(Topic::ShardChannel, false), &docs::SUNSUBSCRIBE)
        .routed_by(SHARD_CHANNELS),
    command("publish", 3, SPEAK, C::NONE, Publish { is_sharded: false }, &docs::PUBLISH)
        .channels_from(1, false, false),
    command("spublish", 3, SPEAK, C::NONE, Publish { is_sharded: true }, &docs::SPUBLISH)
        .channels_from(1, false, false)
        .routed_by(SHARD_CHANNEL),
    command("pubsub", -2, NO, C::NONE, Container, &docs::PUBSUB),
    command(
        "pubsub|channels",
        -2,
        TELL,
        C::NONE,
        Subscriptions { check: pubsub::check_pattern, tell: pubsub::channels, kind: GatherKind::Distinct },
        &docs::PUBSUB_CHANNELS,
    ),
    command("pubsub|help", 2, ANYTIME, C::NONE, Connection(pubsub::help), &docs::PUBSUB_HELP),
    command("pubsub|numpat", 2, TELL, C::NONE, Connection(pubsub::numpat), &docs::PUBSUB_NUMPAT),
    command(
        "pubsub|numsub",
        -2,
        TELL,
        C::NONE,
        Subscriptions { check: pubsub::check_channels, tell: pubsub::numsub, kind: GatherKind::Counts },
        &docs::PUBSUB_NUMSUB,
    ),
    command(
        "pubsub|shardchannels",
        -2,
        TELL,
        C::NONE,
        Subscriptions {
            check: pubsub::check_pattern,
            tell: pubsub::shard_channels,
            kind: GatherKind::Distinct,
        },
        &docs::PUBSUB_SHARDCHANNELS,
    ),
    command(
        "pubsub|shardnumsub",
        -2,
        TELL,
        C::NONE,
        Subscriptions { check: pubsub::check_channels, tell: pubsub::shard_numsub, kind: GatherKind::Counts },
        &docs::PUBSUB_SHARDNUMSUB,
    ),
];
