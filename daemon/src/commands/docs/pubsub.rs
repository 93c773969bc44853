//! Documentation of the commands of publish and subscribe.

use crate::commands::doc::{Argument, Doc};

const G: &str = "pubsub";
const CHANNELS: &[Argument] = &[Argument::string("channel").multiple()];
const ANY_CHANNELS: &[Argument] = &[Argument::string("channel").optional().multiple()];
const SHARD_CHANNELS: &[Argument] = &[Argument::string("shardchannel").multiple()];
const ANY_SHARD_CHANNELS: &[Argument] = &[Argument::string("shardchannel").optional().multiple()];
const ANY_PATTERN: &[Argument] = &[Argument::pattern("pattern").optional()];

pub(in crate::commands) static SUBSCRIBE: Doc =
    Doc::new(G, "2.0.0", "O(N) in the number of channels", "Listens to channels.").with(CHANNELS);
pub(in crate::commands) static UNSUBSCRIBE: Doc =
    Doc::new(G, "2.0.0", "O(N) in the number of channels", "Stops listening to channels, or to all.")
        .with(ANY_CHANNELS);
pub(in crate::commands) static PSUBSCRIBE: Doc =
    Doc::new(G, "2.0.0", "O(N) in the number of patterns", "Listens to all channels that match patterns.")
        .with(&[Argument::pattern("pattern").multiple()]);
pub(in crate::commands) static PUNSUBSCRIBE: Doc =
    Doc::new(G, "2.0.0", "O(N) in the number of patterns", "Stops listening by patterns, or by all of them.")
        .with(&[Argument::pattern("pattern").optional().multiple()]);
pub(in crate::commands) static SSUBSCRIBE: Doc =
    Doc::new(G, "7.0.0", "O(N) in the number of channels", "Listens to shard channels.").with(SHARD_CHANNELS);
pub(in crate::commands) static SUNSUBSCRIBE: Doc =
    Doc::new(G, "7.0.0", "O(N) in the number of channels", "Stops listening to shard channels, or to all.")
        .with(ANY_SHARD_CHANNELS);
pub(in crate::commands) static PUBLISH: Doc = Doc::new(
    G,
    "2.0.0",
    "O(N+M) in those who listen to the channel and all patterns",
    "Publishes a message; returns how many got it.",
)
.with(&[Argument::string("channel"), Argument::string("message")]);
pub(in crate::commands) static SPUBLISH: Doc = Doc::new(
    G,
    "7.0.0",
    "O(N) in those who listen to the channel",
    "Publishes a message to a shard channel; returns how many got it.",
)
.with(&[Argument::string("shardchannel"), Argument::string("message")]);
pub(in crate::commands) static PUBSUB: Doc =
    Doc::new(G, "2.8.0", "Depends on subcommand.", "Holds the commands that tell who listens to what.");
pub(in crate::commands) static PUBSUB_CHANNELS: Doc =
    Doc::new(G, "2.8.0", "O(N) in the number of channels", "Returns the channels that somebody listens to.")
        .with(ANY_PATTERN);
pub(in crate::commands) static PUBSUB_HELP: Doc =
    Doc::new(G, "6.2.0", "O(1)", "Returns what subcommands there are.");
pub(in crate::commands) static PUBSUB_NUMPAT: Doc =
    Doc::new(G, "2.8.0", "O(1)", "Returns by how many patterns somebody listens.");
pub(in crate::commands) static PUBSUB_NUMSUB: Doc =
    Doc::new(G, "2.8.0", "O(N) in the number of channels", "Returns how many listen to each channel.")
        .with(ANY_CHANNELS);
pub(in crate::commands) static PUBSUB_SHARDCHANNELS: Doc = Doc::new(
    G,
    "7.0.0",
    "O(N) in the number of shard channels",
    "Returns the shard channels that somebody listens to.",
)
.with(ANY_PATTERN);
pub(in crate::commands) static PUBSUB_SHARDNUMSUB: Doc =
    Doc::new(G, "7.0.0", "O(N) in the number of channels", "Returns how many listen to each shard channel.")
        .with(ANY_SHARD_CHANNELS);
