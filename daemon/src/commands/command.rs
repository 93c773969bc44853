//! What the daemon knows of a command. Commands are data: COMMAND, routing and documentation read the same entry.

use resp::Args;
use shard::shard_set::TaskKind;
use shard::types::{Db, UnixMs};

use super::context::{ConnectionContext, KeyContext};
use super::doc::Doc;
use super::flags::{Categories, Flags};
use super::together::TogetherHandlers;
use super::walk::WalkState;
use crate::connection::GatherKind;
use crate::pubsub::{SubscriptionChange, Subscriptions};
use crate::session::Session;

/// A command's place in the table: an index for tables of counters. Dense, from 0; not stable over versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u16);

impl CommandId {
    /// The same as an index.
    #[must_use]
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Arguments above which a command on several keys is timed by itself.
const UNCLOCKED_ARGS_MAX: usize = 16;

/// From how many arguments on a command is timed by itself; see [`Command::is_clocked`].
pub(super) const fn clocked_from(execution: &Execution, flags: Flags) -> usize {
    match execution {
        Execution::Key(_) | Execution::Connection(_)
            if flags.contains(Flags::FAST) || flags.contains(Flags::DENYOOM) =>
        {
            usize::MAX
        }
        Execution::Keys { .. } | Execution::SameShard(_) => UNCLOCKED_ARGS_MAX + 1,
        Execution::Subscribe(_) | Execution::Publish { .. } | Execution::Monitor | Execution::Container => {
            usize::MAX
        }
        _ => 0,
    }
}

/// See [`Command::rewrites`].
const REWRITING: [&str; 13] = [
    "append",
    "setrange",
    "setbit",
    "bitfield",
    "expire",
    "pexpire",
    "expireat",
    "pexpireat",
    "persist",
    "getex",
    "rename",
    "renamenx",
    "move",
];

/// Whether a command of this name is one of them.
pub(super) const fn rewrites(name: &str) -> bool {
    let mut at = 0;
    while at < REWRITING.len() {
        if is_same(REWRITING[at].as_bytes(), name.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

/// Comparing is not for constants yet.
const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// One command, or one subcommand (`client|list`).
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Lower case; a subcommand's name is `container|name`.
    pub name: &'static str,
    /// Number of arguments with the command's name: exactly so many, or at least so many when negative.
    pub arity: i16,
    /// What it is and may do.
    pub flags: Flags,
    /// It may write a record anew that is larger than its arguments: what a key holds, or a value that reaches further.
    pub rewrites: bool,
    /// Which arguments are keys.
    pub keys: Option<KeySpec>,
    /// Which arguments are channels.
    pub channels: Option<ChannelSpec>,
    /// Arguments that are no keys and are routed as if they were: shard channels.
    pub not_keys: Option<KeySpec>,
    /// Further keys, behind those and used in another way.
    pub more_keys: Option<KeySpec>,
    /// ACL categories, with those that the flags imply.
    pub categories: Categories,
    /// Redis's hints for clients and proxies.
    pub tips: &'static [&'static str],
    /// Where and how it runs.
    pub execution: Execution,
    /// What it does, for people.
    pub doc: &'static Doc,
    /// Its place in the table.
    pub id: CommandId,
    /// Number of arguments from which on a request is timed by itself.
    pub(super) clocked_from: usize,
    /// Index of its first subcommand in the table, and how many there are: they stand together.
    pub(super) subcommands: (u16, u16),
}

/// Which arguments of a command are keys, and what it does with them. Index 0 is the command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Index of the first key, at least 1.
    pub first: usize,
    /// Whether keys go on to the last argument; otherwise there are [`Self::count`].
    pub to_end: bool,
    /// Number of keys where they do not go on to the last argument.
    pub count: usize,
    /// Distance from key to key: 2 where each key is followed by its value.
    pub step: usize,
    /// What happens to the keys, by Redis's names: `RO`, `access`, ...
    pub uses: &'static [&'static str],
    /// A note on that.
    pub notes: Option<&'static str>,
}

/// Which arguments of a command are channels of publish and subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelSpec {
    /// Index of the first one.
    pub first: usize,
    /// Whether they go on to the last argument; otherwise there is one.
    pub to_end: bool,
    /// They are patterns.
    pub patterns: bool,
}

impl KeySpec {
    /// One key, the first argument.
    #[must_use]
    pub const fn one(uses: &'static [&'static str]) -> Self {
        Self::at(1, 1, uses)
    }

    /// So many keys from an argument on.
    #[must_use]
    pub const fn at(first: usize, count: usize, uses: &'static [&'static str]) -> Self {
        Self { first, to_end: false, count, step: 1, uses, notes: None }
    }

    /// All arguments are keys, or every second one of them (`step` 2).
    #[must_use]
    pub const fn all(step: usize, uses: &'static [&'static str]) -> Self {
        Self { first: 1, to_end: true, count: 0, step, uses, notes: None }
    }

    /// Index of the last key as COMMAND INFO tells it: -1 is the last argument.
    #[must_use]
    #[expect(clippy::cast_possible_wrap, reason = "a request has few keys at fixed places")]
    pub const fn last(&self) -> i64 {
        if self.to_end { -1 } else { (self.first + self.count - 1) as i64 }
    }

    /// Indexes of the keys of a request of `arg_count` arguments, the name included.
    pub fn positions(&self, arg_count: usize) -> std::iter::StepBy<std::ops::Range<usize>> {
        let end = if self.to_end { arg_count } else { (self.first + self.count).min(arg_count) };
        (self.first..end.max(self.first)).step_by(self.step)
    }
}

/// Handler of a command that touches keys, run by their owner.
pub type KeyHandler = fn(&mut KeyContext<'_>, Args<'_>);
/// Handler of a command that touches no key, run where its connection lives.
pub type ConnectionHandler = fn(&mut ConnectionContext<'_>, Args<'_>);

/// Handler that tells two databases of a request, or has answered.
pub type PairHandler = fn(&mut ConnectionContext<'_>, Args<'_>) -> Option<(Db, Db)>;

/// Where and how a command runs.
#[derive(Clone, Copy, Debug)]
pub enum Execution {
    /// Where the connection lives; no key is touched.
    Connection(ConnectionHandler),
    /// On the owner of its one key, the first argument.
    Key(KeyHandler),
    /// On the owners of its keys. The handler runs over a request (name, and a subset of the keys with what goes
    /// with each): when keys lie on several workers, each gets the same command with its subset, and the replies
    /// are merged.
    Keys {
        /// Runs over the name and any subset of the keys.
        handler: KeyHandler,
        /// How the replies of the subsets become one.
        merge: Merge,
    },
    /// On the owner of its one key, wherever that stands among the arguments, where `check` gives true; otherwise that has
    /// answered.
    Checked {
        /// Whether the client may ask for it; if not, the error is written.
        check: fn(&mut ConnectionContext<'_>, Args<'_>) -> bool,
        /// Runs over the whole request.
        handler: KeyHandler,
    },
    /// On the owner of its keys, which must lie in one shard: otherwise [`super::error_text::DIFFERENT_SHARDS`].
    SameShard(KeyHandler),
    /// On the owners of its keys, all of which are seen at one moment before some change: on one worker in one go;
    /// over several workers the keys are held meanwhile.
    Together(TogetherHandlers),
    /// On every worker.
    Everywhere {
        /// Runs over the whole request.
        handler: KeyHandler,
        /// How the replies of the workers become one.
        merge: Merge,
    },
    /// Step by step over all keys of every worker: called again, in later turns, until it is done. The reply is an
    /// array of what all workers found ([`WalkState`]).
    Walk(fn(&mut KeyContext<'_>, Args<'_>, &mut WalkState) -> bool),
    /// On the worker that owns the slot of the cursor ([`super::scan::cursor_of`]; any worker when there is none).
    Scan(KeyHandler),
    /// Over the sessions of every worker: `check` runs first, where the connection lives, and answers bad
    /// arguments itself (then false). `list` then writes a line for each session that is asked for, and the lines
    /// of all workers are answered as one verbatim string of format `txt`.
    Sessions {
        /// Whether the arguments can be served; if not, the error is written.
        check: fn(&mut ConnectionContext<'_>, Args<'_>) -> bool,
        /// Appends the session's line, or nothing.
        list: fn(&Session, Args<'_>, UnixMs, &mut Vec<u8>),
    },
    /// Over the sessions of every worker, ending some: `check` is as with `Sessions`, `picks` tells of each session
    /// whether it ends. The reply is how many did; of a request of three words, OK or the error that there is none.
    EndSessions {
        /// Whether the arguments can be served; if not, the error is written.
        check: fn(&mut ConnectionContext<'_>, Args<'_>) -> bool,
        /// Whether the session ends; the flag says that it is the one that asks.
        picks: fn(&Session, Args<'_>, bool, UnixMs) -> bool,
    },
    /// `check` runs where the connection lives. It answers, and gives false; or it gives true: then `apply` runs on
    /// every worker, and the answer is OK when all of them are done and what their parts wait for is released.
    Configure {
        /// Whether all workers have to be told; if not, the reply is written.
        check: fn(&mut ConnectionContext<'_>, Args<'_>) -> bool,
        /// Tells a worker.
        apply: KeyHandler,
    },
    /// As [`Self::Configure`], where `check` changes what the client wants to be told of the keys that it reads.
    Track {
        /// Whether all workers have to be told; if not, the reply is written.
        check: fn(&mut ConnectionContext<'_>, Args<'_>) -> bool,
        /// Tells a worker.
        apply: KeyHandler,
    },
    /// Where the connection lives: it looks on from now on.
    Monitor,
    /// `check` runs where the connection lives. It answers, and gives false; or it gives true: then every worker does
    /// the task with its storage, after all that the client asked for before. OK of each of them is merged when all have.
    Storage {
        /// Whether it can be done; if not, the reply is written.
        check: fn(&mut ConnectionContext<'_>, Args<'_>) -> bool,
        /// What is done.
        task: TaskKind,
        /// What the client is answered.
        merge: Merge,
        /// How many milliseconds the client waits for it, where it says so: then a worker that is not done by that time
        /// answers 0 in place of OK. Its task goes on.
        patience: fn(Args<'_>) -> Option<u64>,
    },
    /// `check` runs where the connection lives. It answers, and gives false; or it has begun a save
    /// ([`crate::server::Saves`]) and gives true: then the answer is OK when that is complete.
    AwaitSave(fn(&mut ConnectionContext<'_>, Args<'_>) -> bool),
    /// Where the connection lives: two databases change their numbers. The handler answers, or tells which.
    SwapDatabases(PairHandler),
    /// Where the connection lives: its subscriptions begin or end.
    Subscribe(SubscriptionChange),
    /// Where the connection lives: a message is published. The answer is how many got it, over all workers.
    Publish {
        /// To a channel of the sharded kind.
        is_sharded: bool,
    },
    /// Over the subscriptions of every worker: `tell` writes elements for those of one, and how many they are; they become
    /// one array.
    Subscriptions {
        /// Whether the arguments can be served; if not, the error is written.
        check: fn(&mut ConnectionContext<'_>, Args<'_>) -> bool,
        /// Appends what there is to tell, and tells how many elements that is.
        tell: fn(&Subscriptions, Args<'_>, &mut Vec<u8>) -> usize,
        /// How the parts become one.
        kind: GatherKind,
    },
    /// Only a name for its subcommands: [`super::resolve`] never returns it.
    Container,
}

/// How replies of several workers become one. An error of any of them is the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Integers are added.
    Sum,
    /// Integers are added: OK, or the error that there is no such client when the sum is 0.
    AnyClient,
    /// OK when all are.
    AllOk,
    /// Arrays with one element per key: put back into the order of the request's keys.
    Interleave,
    /// An array of copies here, 1 when all are OK and 0 when the time of one was over, and copies on replicas: 0.
    OneCopy,
    /// Each reply is an array of a count and a key (or null): one of the keys, with a chance that is its count's
    /// share of the sum; null when all are.
    WeightedPick,
    /// An array of the replies, one for each worker, in the order of the workers.
    Concatenate,
}

impl Command {
    /// Whether a request of `arg_count` arguments, the name included, has as many as the command wants.
    #[must_use]
    #[inline]
    pub const fn check_arity(&self, arg_count: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity >= 0 { arg_count == wanted } else { arg_count >= wanted }
    }

    /// Whether each key has what goes with it, in a request that [`Self::check_arity`] accepts: MSET wants pairs.
    #[must_use]
    #[inline]
    pub const fn has_whole_steps(&self, arg_count: usize) -> bool {
        match self.keys {
            Some(keys) if self.arity < 0 && keys.to_end => (arg_count - keys.first).is_multiple_of(keys.step),
            _ => true,
        }
    }

    /// Indexes of the keys in a request of `arg_count` arguments, the name included.
    pub fn key_positions(&self, arg_count: usize) -> impl Iterator<Item = usize> + Clone {
        [self.keys, self.more_keys].into_iter().flatten().flat_map(move |keys| keys.positions(arg_count))
    }

    /// Its keys in a request, and what is done to them: where that depends on the arguments, as it is with these.
    pub fn keys_with_uses(
        &self,
        args: Args<'_>,
    ) -> impl Iterator<Item = (usize, &'static [&'static str])> + Clone {
        let actual = self.actual_uses(args);
        [self.keys, self.more_keys].into_iter().flatten().flat_map(move |keys| {
            let uses = if keys.uses.contains(&"variable_flags") { actual } else { keys.uses };
            keys.positions(args.len()).map(move |at| (at, uses))
        })
    }

    /// What SET and BITFIELD do to their key. Source: `setGetKeys` and `bitfieldGetKeys` of Redis.
    fn actual_uses(&self, args: Args<'_>) -> &'static [&'static str] {
        let gets = || args.tail(3).iter().any(|arg| arg.eq_ignore_ascii_case(b"get"));
        match self.name {
            "set" if !gets() => &["OW", "update"],
            "bitfield" if super::bitfield::only_reads(args) => &["RO", "access"],
            _ => &["RW", "access", "update"],
        }
    }

    /// Its channels in a request: index of the argument, and whether it is a pattern.
    pub fn channels(&self, args: Args<'_>) -> impl Iterator<Item = (usize, bool)> + use<> {
        let count = args.len();
        self.channels.into_iter().flat_map(move |spec| {
            let end = if spec.to_end { count } else { (spec.first + 1).min(count) };
            (spec.first..end).map(move |at| (at, spec.patterns))
        })
    }

    /// Whether a request of so many arguments is timed by itself: what it does may take long, and a clock reading is
    /// nothing beside it. Commands on a single key that move no more than its value are not, and those on few keys.
    #[must_use]
    #[inline]
    pub const fn is_clocked(&self, arg_count: usize) -> bool {
        arg_count >= self.clocked_from
    }

    /// Whether it changes data.
    #[must_use]
    #[inline]
    pub const fn is_write(&self) -> bool {
        self.flags.contains(Flags::WRITE)
    }

    /// Whether a connection that is subscribed to something may ask for it in RESP2.
    #[must_use]
    pub fn is_allowed_while_subscribed(&self) -> bool {
        matches!(self.execution, Execution::Subscribe(_)) || matches!(self.name, "ping" | "quit" | "reset")
    }

    /// Its subcommands; empty for most.
    #[must_use]
    pub fn subcommands(&self) -> &'static [Self] {
        let (first, count) = (usize::from(self.subcommands.0), usize::from(self.subcommands.1));
        &super::table::COMMANDS[first..first + count]
    }

    /// The last word of its name: `list` of `client|list`.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('|').next().unwrap_or(self.name)
    }

    /// Whether it is a subcommand.
    #[must_use]
    pub fn is_subcommand(&self) -> bool {
        self.name.contains('|')
    }
}
