//! PUBSUB: who listens to what. The commands that begin and end subscriptions and publish are the connection layer's.

use resp::{Args, Protocol, ReplyWriter};

use super::context::ConnectionContext;
use super::glob;
use super::integer::len_i64;
use crate::pubsub::{Subscriptions, Topic};

const HELP: &[&str] = &[
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
    "HELP",
    "    Prints this help.",
];

/// PUBSUB HELP
pub(super) fn help(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    super::help::write(&mut ctx.reply, HELP);
}

/// PUBSUB NUMPAT
pub(super) fn numpat(ctx: &mut ConnectionContext<'_>, _: Args<'_>) {
    ctx.reply.integer(len_i64(ctx.server.pubsub.names(Topic::Pattern)));
}

/// Whether there is one pattern at most; if not, the error is written.
pub(super) fn check_pattern(ctx: &mut ConnectionContext<'_>, args: Args<'_>) -> bool {
    let fine = args.len() <= 3;
    if !fine {
        let start = b"ERR unknown subcommand or wrong number of arguments for '";
        let name = super::error_text::until_nul(args.at(1));
        ctx.reply.error_parts(&[start, name, b"'. Try PUBSUB HELP."]);
    }
    fine
}

/// Any channels will do.
pub(super) fn check_channels(_: &mut ConnectionContext<'_>, _: Args<'_>) -> bool {
    true
}

fn names(all: &Subscriptions, topic: Topic, args: Args<'_>, out: &mut Vec<u8>) -> usize {
    let mut reply = ReplyWriter::new(out, Protocol::Resp2);
    let wanted = |name: &&[u8]| args.get(2).is_none_or(|pattern| glob::matches(pattern, name));
    all.names(topic).filter(wanted).map(|name| reply.bulk(name)).count()
}

fn counts(all: &Subscriptions, topic: Topic, args: Args<'_>, out: &mut Vec<u8>) -> usize {
    let mut reply = ReplyWriter::new(out, Protocol::Resp2);
    let channels = args.tail(2);
    for channel in channels.iter() {
        reply.bulk(channel);
        reply.integer(len_i64(all.listeners(topic, channel)));
    }
    2 * channels.len()
}

/// PUBSUB CHANNELS [pattern], of one worker
pub(super) fn channels(all: &Subscriptions, args: Args<'_>, out: &mut Vec<u8>) -> usize {
    names(all, Topic::Channel, args, out)
}

/// PUBSUB SHARDCHANNELS [pattern], of one worker
pub(super) fn shard_channels(all: &Subscriptions, args: Args<'_>, out: &mut Vec<u8>) -> usize {
    names(all, Topic::ShardChannel, args, out)
}

/// PUBSUB NUMSUB [channel ...], of one worker
pub(super) fn numsub(all: &Subscriptions, args: Args<'_>, out: &mut Vec<u8>) -> usize {
    counts(all, Topic::Channel, args, out)
}

/// PUBSUB SHARDNUMSUB [channel ...], of one worker
pub(super) fn shard_numsub(all: &Subscriptions, args: Args<'_>, out: &mut Vec<u8>) -> usize {
    counts(all, Topic::ShardChannel, args, out)
}
