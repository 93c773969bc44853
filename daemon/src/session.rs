//! One client's session: who it is, what it has selected, what it last did. The connection layer keeps the figures,
//! the commands change the rest. It holds no socket and no buffer: an idle connection costs little more than this.

use engine::clock::Clock;
use resp::Protocol;
use shard::types::{Db, UnixMs};

use crate::acl::Identity;
use crate::commands::CommandId;
use crate::tracking::ClientTracking;

/// One client's session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Never reused while the server runs; from 1.
    pub id: u64,
    /// By CLIENT SETNAME; empty when there is none.
    pub name: Vec<u8>,
    /// The client's library, by CLIENT SETINFO.
    pub library_name: Vec<u8>,
    /// The library's version, by CLIENT SETINFO.
    pub library_version: Vec<u8>,
    /// What replies are written in.
    pub protocol: Protocol,
    /// The selected database.
    pub db: Db,
    /// Whose socket: `ip:port`, or the Unix socket's path and `:0`.
    pub peer: String,
    /// Our side of it, in the same form.
    pub local: String,
    /// Who it is and what it may do.
    pub identity: Identity,
    /// Whether it is a Unix socket.
    pub is_unix: bool,
    /// The socket's number, for CLIENT LIST only.
    pub fd: i32,
    /// When it was accepted.
    pub created: UnixMs,
    /// The same on the monotonic clock, by which all patience is measured: a jump of the other neither ends nor prolongs it.
    pub created_ns: u64,
    /// Since when it has had time to log in, where it has to: when it was accepted, or set back. On the monotonic clock.
    pub unknown_since_ns: u64,
    /// When it last sent something, or the system took something for it.
    pub last_interaction: UnixMs,
    /// The same on the monotonic clock.
    pub last_interaction_ns: u64,
    /// When it last sent something, on the monotonic clock.
    pub last_received_ns: u64,
    /// When it was last seen to wait for the server, on the monotonic clock; 0: never.
    pub last_waited_ns: u64,
    /// What it last ran.
    pub last_command: Option<CommandId>,
    /// Whether its requests are answered.
    pub replies: Replies,
    /// CLIENT NO-EVICT ON. No client is ever closed to make room: it is told, and changes nothing.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH ON.
    pub no_touch: bool,
    /// What it is told of the keys that it reads; none: nothing.
    pub tracking: Option<Box<ClientTracking>>,
    /// It looks on (MONITOR).
    pub is_monitor: bool,
    /// It is being closed after its last reply.
    pub is_closing: bool,
    /// What it is subscribed to: how many channels, patterns and shard channels.
    pub subscriptions: [usize; 3],
    /// Figures of its connection.
    pub figures: SessionFigures,
}

/// Whether requests are answered (CLIENT REPLY).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replies {
    /// They are.
    #[default]
    On,
    /// None is.
    Off,
    /// The next one is not.
    SkipNext,
}

/// What the connection layer counts of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionFigures {
    /// Commands run.
    pub commands: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes received that are not yet a whole request.
    pub query_bytes: u64,
    /// Room left in the buffer that holds them.
    pub query_bytes_free: u64,
    /// Bytes of the arguments of the request at hand.
    pub argument_bytes: u64,
    /// Bytes of replies not yet sent.
    pub output_bytes: u64,
    /// Memory of the connection, all told.
    pub memory_bytes: u64,
}

impl Session {
    /// The client has sent something, or the system has taken something for it.
    #[inline]
    pub const fn note_interaction(&mut self, clock: &Clock) {
        self.last_interaction = clock.now;
        self.last_interaction_ns = clock.now_ns;
    }

    /// A session of a connection just accepted.
    #[must_use]
    pub fn new(
        id: u64,
        identity: Identity,
        peer: String,
        local: String,
        is_unix: bool,
        fd: i32,
        clock: Clock,
    ) -> Self {
        Self {
            id,
            name: Vec::new(),
            library_name: Vec::new(),
            library_version: Vec::new(),
            protocol: Protocol::Resp2,
            db: Db(0),
            peer,
            local,
            identity,
            is_unix,
            fd,
            created: clock.now,
            created_ns: clock.now_ns,
            unknown_since_ns: clock.now_ns,
            last_interaction: clock.now,
            last_interaction_ns: clock.now_ns,
            last_received_ns: clock.now_ns,
            last_waited_ns: 0,
            last_command: None,
            replies: Replies::On,
            no_evict: false,
            no_touch: false,
            tracking: None,
            is_monitor: false,
            is_closing: false,
            subscriptions: [0; 3],
            figures: SessionFigures {
                commands: 0,
                bytes_in: 0,
                bytes_out: 0,
                query_bytes: 0,
                query_bytes_free: 0,
                argument_bytes: 0,
                output_bytes: 0,
                memory_bytes: 0,
            },
        }
    }

    /// Whether it is subscribed to anything.
    #[must_use]
    pub fn is_subscribed(&self) -> bool {
        self.subscriptions != [0; 3]
    }

    /// Back to how it was when it was accepted, as far as RESET goes: the library stays known. Who was logged in and has to
    /// do so again has as long for it as a new connection; who was not gains no time.
    pub fn reset(&mut self, identity: Identity, now_ns: u64) {
        if self.identity.is_logged_in() {
            self.unknown_since_ns = now_ns;
        }
        self.identity = identity;
        self.name.clear();
        self.protocol = Protocol::Resp2;
        self.db = Db(0);
        self.replies = Replies::On;
        self.no_evict = false;
        self.no_touch = false;
        self.tracking = None;
        self.is_monitor = false;
    }

    /// Whether its requests have to be looked at one by one.
    #[must_use]
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.replies != Replies::On || self.tracking.is_some() || self.is_monitor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock { now: UnixMs(1), now_ns: 2 };

    fn identity() -> Identity {
        Identity::new(crate::acl::Acl::default().default_user())
    }

    #[test]
    fn reset_forgets_name_protocol_and_database_but_not_the_library() {
        let mut session = Session::new(1, identity(), "a:1".into(), "b:2".into(), false, 5, CLOCK);
        session.name = b"n".to_vec();
        session.library_name = b"lib".to_vec();
        session.protocol = Protocol::Resp3;
        session.db = Db(3);
        session.reset(identity(), 9);
        assert_eq!((session.created, session.created_ns, session.unknown_since_ns), (UnixMs(1), 2, 9));
        assert!(session.name.is_empty() && session.protocol == Protocol::Resp2 && session.db == Db(0));
        assert_eq!(session.library_name, b"lib");
    }

    #[test]
    fn who_is_not_logged_in_gains_no_time_by_reset() {
        let acl = crate::acl::Acl::default();
        acl.require_password("p");
        let identity = || Identity::new(acl.default_user());
        let mut session = Session::new(1, identity(), "a:1".into(), "b:2".into(), false, 5, CLOCK);
        session.reset(identity(), 9);
        assert_eq!(session.unknown_since_ns, 2);
        session.identity.log_in(acl.authenticate(b"default", b"p").unwrap());
        session.reset(identity(), 20);
        assert!(!session.identity.is_logged_in() && session.unknown_since_ns == 20);
    }
}
