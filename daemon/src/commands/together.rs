//! Commands that look at several keys at one moment and then change some of them: BITOP LCS RENAME RENAMENX COPY MOVE.
//!
//! Such a command says which keys it looks at ([`Together::places`]) and, shown what they hold, what is answered and what
//! changes ([`Together::decide`]). It touches no store itself: so the same two functions serve where all its keys lie on
//! one worker ([`run`]), and where they do not and the router holds them on their owners meanwhile
//! (`connection/errand.rs`).

use resp::{Args, ReplyWriter};
use shard::types::{Db, UnixMs};

use super::command::KeyHandler;
use super::context::KeyContext;
use super::store::Store;
use crate::pubsub::EventKind;
use crate::server::Settings;

/// One key that such a command looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// The database.
    pub db: Db,
    /// Which argument the key is.
    pub at: usize,
    /// Whether the value matters; otherwise only whether the key is there.
    pub wants_value: bool,
    /// Whether it counts as read: then it is told where the key is missing.
    pub is_read: bool,
}

/// What was found of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The value; empty where it was not wanted.
    pub value: Vec<u8>,
    /// When the key ends, or never.
    pub deadline: Option<UnixMs>,
}

/// What is to become of a key, named by its index among the places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has this value and this deadline.
    Put {
        /// Index of its place.
        place: usize,
        /// The value.
        value: Vec<u8>,
        /// When it ends, or never.
        deadline: Option<UnixMs>,
    },
    /// It is gone.
    Delete {
        /// Index of its place.
        place: usize,
    },
}

impl Change {
    /// Index of the place of its key.
    #[must_use]
    pub const fn place(&self) -> usize {
        match self {
            Self::Put { place, .. } | Self::Delete { place } => *place,
        }
    }
}

/// What such a command is shown, and what it decides.
pub struct TogetherContext<'a> {
    /// What each of its places holds; values may be taken.
    pub seen: &'a mut [Option<Seen>],
    /// What changes, in this order: a later change is never durable without an earlier one.
    pub changes: &'a mut Vec<Change>,
    /// What happens with these changes, by the index of the key's place, in Redis's order.
    pub events: &'a mut Vec<(usize, EventKind)>,
    /// The database its session has selected.
    pub db: Db,
    /// The time it runs at.
    pub now: UnixMs,
    /// What CONFIG SET may change.
    pub settings: &'a Settings,
    /// Where the reply goes.
    pub reply: ReplyWriter<'a>,
}

/// One such command.
pub(super) trait Together {
    /// The keys that it looks at, or none when the arguments make no sense: [`Self::decide`] then says why.
    fn places(args: Args<'_>, db: Db) -> Vec<KeyPlace>;
    /// Writes the reply and the changes.
    fn decide(ctx: &mut TogetherContext<'_>, args: Args<'_>);
}

/// The functions of such a command.
#[derive(Clone, Copy, Debug)]
pub struct TogetherHandlers {
    /// `Together::places`.
    pub places: fn(Args<'_>, Db) -> Vec<KeyPlace>,
    /// `Together::decide`.
    pub decide: fn(&mut TogetherContext<'_>, Args<'_>),
    /// Both, where all keys lie on this worker.
    pub here: KeyHandler,
}

/// The functions of a command.
pub(super) const fn handlers<T: Together>() -> TogetherHandlers {
    TogetherHandlers { places: T::places, decide: T::decide, here: run::<T> }
}

/// Runs a command whose keys are all on this worker: nothing comes between what it sees and what it does.
fn run<T: Together>(ctx: &mut KeyContext<'_>, args: Args<'_>) {
    let places = T::places(args, ctx.db);
    let mut seen: Vec<Option<Seen>> =
        places.iter().map(|place| look(ctx.store, place, args.at(place.at), ctx.now)).collect();
    for (place, _) in places.iter().zip(&seen).filter(|(place, seen)| place.is_read && seen.is_none()) {
        ctx.notify(EventKind::Miss, args.at(place.at));
    }
    let (mut changes, mut events) = (Vec::new(), Vec::new());
    let protocol = ctx.reply.protocol();
    T::decide(
        &mut TogetherContext {
            seen: &mut seen,
            changes: &mut changes,
            events: &mut events,
            db: ctx.db,
            now: ctx.now,
            settings: ctx.settings,
            reply: ReplyWriter::new(ctx.reply.out_mut(), protocol),
        },
        args,
    );
    let slots: Vec<_> =
        changes.iter().map(|change| ctx.store.key(args.at(places[change.place()].at)).slot).collect();
    // In one shard all or nothing is there after a crash. Groups of several shards close one after the other in no
    // order that is known here, while the log as a whole keeps the order of what is not grouped.
    let is_group = slots.len() > 1 && slots.iter().all(|slot| ctx.store.in_one_shard(slots[0], *slot));
    if is_group {
        ctx.store.begin_group();
    }
    for change in &changes {
        let place = &places[change.place()];
        apply(ctx.store, place, args.at(place.at), change, ctx.now);
    }
    if is_group {
        ctx.store.end_group();
    }
    let db = ctx.db;
    for (place, kind) in events {
        let place = &places[place];
        ctx.db = place.db;
        ctx.notify(kind, args.at(place.at));
    }
    ctx.db = db;
}

/// What a place holds now.
pub fn look(store: &mut Store, place: &KeyPlace, key: &[u8], now: UnixMs) -> Option<Seen> {
    let key = store.key(key);
    let found = store.lookup(place.db, &key, now)?;
    let value = if place.wants_value { found.value.to_vec() } else { Vec::new() };
    Some(Seen { value, deadline: found.deadline })
}

/// Makes one change.
pub fn apply(store: &mut Store, place: &KeyPlace, key: &[u8], change: &Change, now: UnixMs) {
    let key = store.key(key);
    match change {
        Change::Put { value, deadline, .. } => store.put(place.db, &key, value, *deadline),
        Change::Delete { .. } => {
            store.delete(place.db, &key, now);
        }
    }
}
