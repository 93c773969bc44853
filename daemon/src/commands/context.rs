//! What a handler is given: the store and the reply, or the session and the server. Handlers know no socket,
//! no ring and no other worker; durability is kept outside them, by what the store notes about look-ups and writes.

use resp::{Args, Protocol, ReplyWriter};
use shard::key::Key;
use shard::types::{Db, UnixMs};

use super::store::Store;
use crate::connection::publishing::take_gone;
use crate::pubsub::{EventClasses, EventKind, Events};
use crate::server::{Server, Settings, ShutdownRequest, WorkerCounters};
use crate::session::Session;

/// A command that touches keys, on the worker that owns them.
pub struct KeyContext<'a> {
    /// The worker's part of the store.
    pub store: &'a mut Store,
    /// The time the command runs at: one for the whole command.
    pub now: UnixMs,
    /// The database its session has selected.
    pub db: Db,
    /// Where the reply goes.
    pub reply: ReplyWriter<'a>,
    /// What CONFIG SET may change.
    pub settings: &'a Settings,
    /// Figures of this worker.
    pub counters: &'a mut WorkerCounters,
    /// State of a seeded generator, for RANDOMKEY; never 0.
    pub random: &'a mut u64,
    /// Where events of keys are noted: published when what the command did is durable.
    pub events: &'a mut Events,
    /// The first key as the router has hashed it, to save doing it twice.
    pub key: Option<Key<'a>>,
}

impl KeyContext<'_> {
    /// The key of a command of one key: its first argument.
    #[must_use]
    #[inline]
    pub fn first_key<'k>(&self, args: Args<'k>) -> Key<'k> {
        let bytes = args.at(1);
        match self.key {
            Some(key) => {
                debug_assert_eq!(key.bytes, bytes, "the router hashed the first argument");
                Key { bytes, slot: key.slot, hash: key.hash }
            }
            None => self.store.key(bytes),
        }
    }

    /// Notes what happened to a key, for those who are told.
    #[inline]
    pub(super) fn notify(&mut self, kind: EventKind, key: &[u8]) {
        if self.settings.wants_event(kind) {
            self.note_event(kind, key);
        }
    }

    #[cold]
    fn note_event(&mut self, kind: EventKind, key: &[u8]) {
        // A key that was found to have ended comes before what was done to it.
        take_gone(self.store, self.events);
        self.events.push(kind, self.db, key);
    }

    /// Notes that all keys of a database were deleted, for those who track some, or begin to before all workers have.
    pub(super) fn note_flush(&mut self) {
        self.events.push_flush();
    }

    /// Counts a look-up of a reading command, and notes a miss.
    #[inline]
    pub(super) fn note_read(&mut self, key: &[u8], found: bool) {
        self.counters.note_lookup(found);
        if !found {
            self.notify(EventKind::Miss, key);
        }
    }

    /// Whether a key that is about to be written whole is not there, if somebody is told of it; otherwise nobody looks.
    #[inline]
    pub(super) fn tells_new(&mut self, key: &Key<'_>) -> bool {
        let classes = EventClasses::NEW.and(EventClasses::EXPIRED);
        self.settings.notified_events().tell(classes) && self.store.lookup(self.db, key, self.now).is_none()
    }

    /// Notes that a key that was written was not there before, if so.
    #[inline]
    pub(super) fn note_new(&mut self, key: &[u8], is_new: bool) {
        if is_new {
            self.notify(EventKind::New, key);
        }
    }

    /// Sets a string, whatever the key held before.
    #[inline]
    pub(super) fn set(&mut self, key: &Key<'_>, value: &[u8], deadline: Option<UnixMs>) {
        let is_new = self.tells_new(key);
        self.store.put(self.db, key, value, deadline);
        self.note_new(key.bytes, is_new);
        self.notify(EventKind::Set, key.bytes);
    }

    /// Draws a number.
    pub fn draw(&mut self) -> u64 {
        // xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled" (2016).
        let mut state = *self.random | u64::from(*self.random == 0);
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        *self.random = state;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Has a worker's shards note the keys that go by themselves, if somebody is to be told.
pub(crate) fn watch_departures(store: &mut Store, settings: &Settings) {
    let classes = settings.notified_events();
    let tracks = settings.tracks();
    let watches = |class| tracks || classes.tell(class);
    store.watch_gone(watches(EventClasses::EXPIRED), watches(EventClasses::EVICTED));
}

/// A command that touches no key, on the worker of its connection.
pub struct ConnectionContext<'a> {
    /// The client's session.
    pub session: &'a mut Session,
    /// What all workers share.
    pub server: &'a Server,
    /// Where the reply goes. It speaks the session's protocol as it was before the command: HELLO and RESET
    /// answer through [`Self::switch_protocol`].
    pub reply: ReplyWriter<'a>,
    /// The time the command runs at.
    pub now: UnixMs,
    /// The same on the monotonic clock.
    pub now_ns: u64,
    /// What the connection is to do after the reply.
    pub action: &'a mut Action,
    /// Index of this worker.
    pub worker: usize,
}

impl ConnectionContext<'_> {
    /// Makes the session speak `protocol`, and gives the writer of a reply in it.
    pub fn switch_protocol(&mut self, protocol: Protocol) -> ReplyWriter<'_> {
        self.session.protocol = protocol;
        ReplyWriter::new(self.reply.out_mut(), protocol)
    }
}

/// What a connection is to do after a command's reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Go on.
    #[default]
    None,
    /// Send what there is to say, then close; run no later command.
    CloseAfterReply,
    /// The server was asked to stop and [`Server::shutdown`] has been told: no reply was written, later
    /// commands of this connection wait.
    Shutdown(ShutdownRequest),
}
