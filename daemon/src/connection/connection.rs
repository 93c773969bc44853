//! One client's connection: socket, request parser, bytes not yet parsed, replies not yet sent.

use std::collections::BTreeSet;

use resp::RequestParser;
use ring::{Fd, OperationId};

use super::limits::{OUTPUT_PAUSE_BYTES, REPLY_SLOTS_MAX};
use super::output::Output;
use super::reply_slots::ReplySlots;
use super::subscribing::LongChange;
use super::tls_stream::TlsStream;
use crate::pubsub::ClientSubscriptions;
use crate::server::ClientClass;
use crate::session::Session;

/// Whether more is to be run and said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Serving.
    Open,
    /// Nothing more is run; what is there to say is still said.
    Closing,
    /// Nothing more is said either.
    Dead,
}

/// The part of a connection that commands work on.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) session: Session,
    pub(crate) output: Output,
    pub(crate) slots: ReplySlots,
    pub(crate) life: Life,
    /// Bytes of replies that are being sent.
    pub(crate) in_flight: usize,
    /// Slots whose replies other workers have put off, and which workers those are.
    pub(crate) deferred: BTreeSet<(u64, usize)>,
    /// Such replies that were asked for and have not come.
    pub(crate) asked: usize,
    /// The replies under way are of a request that is not answered: they are dropped when they come.
    pub(crate) drops_replies: bool,
    /// A request that goes over all keys is under way: later ones wait for it.
    pub(crate) blocked: bool,
    /// What it is subscribed to; `None`: nothing.
    pub(crate) subscriptions: Option<Box<ClientSubscriptions>>,
    /// Many subscriptions that begin or end, step by step: requests wait for it.
    pub(crate) changing: Option<Box<LongChange>>,
}

impl Client {
    /// Whether so much is unsent or on its way that further requests wait: so a client that does not read costs no
    /// more than this and one reply.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.output.len() + self.in_flight + self.slots.owed_bytes() > OUTPUT_PAUSE_BYTES
            || self.slots.len() >= REPLY_SLOTS_MAX
    }

    /// Whether the client has read so much that replies which were put off may be made.
    pub(crate) fn has_room(&self) -> bool {
        self.unsent_bytes() <= OUTPUT_PAUSE_BYTES
    }

    /// Whether replies that were put off can be asked for: the client has read what it had, or can read nothing before the
    /// first of them comes.
    pub(crate) fn can_ask(&self) -> bool {
        let Some(&(slot, _)) = self.deferred.first() else { return false };
        let is_stuck = || self.output.is_empty() && self.in_flight == 0 && self.slots.is_first(slot);
        self.asked == 0 && (self.has_room() || is_stuck())
    }

    /// The class by which its output is limited.
    pub(crate) fn class(&self) -> ClientClass {
        if self.subscriptions.is_some() { ClientClass::PubSub } else { ClientClass::Normal }
    }

    /// Bytes of replies that are made and that the system has not yet taken.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.output.len() + self.in_flight + self.slots.ready_bytes()
    }

    /// The same, with the places of replies that wait for others: what its limit is compared with.
    pub(crate) fn limited_bytes(&self) -> usize {
        self.unsent_bytes() + self.slots.place_bytes()
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: Fd,
    /// What encrypts it; none on a plain connection.
    pub(crate) tls: Option<Box<TlsStream>>,
    pub(crate) client: Client,
    pub(crate) parser: RequestParser,
    /// Received bytes that are not parsed, and how many at the front are.
    pub(crate) input: Vec<u8>,
    pub(crate) input_start: usize,
    pub(crate) receiving: Option<OperationId>,
    /// The peer has closed its side: answer what it asked, then close.
    pub(crate) peer_closed: bool,
    pub(crate) sending: bool,
    /// It stands in the list of those to look at in the next flush.
    pub(crate) is_dirty: bool,
    /// It stands in the list of those with input to parse without a new receive.
    pub(crate) is_ready: bool,
    /// Its next request could not be taken in this turn: it can when something completes or mail comes.
    pub(crate) stalled: bool,
    /// The turn in which it last ran commands, and how many.
    pub(crate) ran_in_turn: (u64, usize),
    /// Since when its output has been above the soft limit, on the monotonic clock.
    pub(crate) soft_limit_since_ns: Option<u64>,
}

impl Connection {
    pub(crate) fn new(socket: Fd, session: Session, tls: Option<TlsStream>) -> Self {
        Self {
            socket,
            tls: tls.map(Box::new),
            client: Client {
                session,
                output: Output::default(),
                slots: ReplySlots::default(),
                life: Life::Open,
                in_flight: 0,
                deferred: BTreeSet::new(),
                asked: 0,
                drops_replies: false,
                blocked: false,
                subscriptions: None,
                changing: None,
            },
            parser: RequestParser::new(),
            input: Vec::new(),
            input_start: 0,
            receiving: None,
            peer_closed: false,
            sending: false,
            is_dirty: false,
            is_ready: false,
            stalled: false,
            ran_in_turn: (0, 0),
            soft_limit_since_ns: None,
        }
    }

    /// Whether it is encrypted.
    #[inline]
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether it is a TLS connection whose handshake is not done.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Bytes received and not parsed.
    pub(crate) fn backlog(&self) -> usize {
        self.input.len() - self.input_start
    }

    /// Keeps bytes that cannot be parsed yet, in a buffer of `spare` where it has none.
    pub(crate) fn keep(&mut self, bytes: &[u8], spare: impl FnOnce() -> Vec<u8>) {
        if self.input.capacity() == 0 {
            self.input = spare();
        }
        self.input.extend_from_slice(bytes);
    }

    /// The first `count` unparsed bytes are parsed. With the last of them the buffer is given back: a connection that
    /// waits for nothing holds none.
    pub(crate) fn consume(&mut self, count: usize) -> Option<Vec<u8>> {
        self.input_start += count;
        assert!(self.input_start <= self.input.len(), "only what is there is parsed");
        if self.input_start == self.input.len() {
            self.input_start = 0;
            return Some(std::mem::take(&mut self.input));
        }
        if self.input_start > super::limits::BACKLOG_BYTES_MAX {
            self.input.drain(..self.input_start);
            self.input_start = 0;
        }
        None
    }

    /// Whether everything that was asked is answered and everything answered is sent.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.sending && self.client.output.is_empty() && self.client.slots.is_empty()
    }

    /// Whether it has asked for something that the server has yet to do: an answer that waits for others, or a request that
    /// cannot be taken up now. It is not the client then who lets time pass.
    pub(crate) fn waits_for_server(&self) -> bool {
        let client = &self.client;
        self.is_ready || client.blocked || client.changing.is_some() || !client.slots.is_empty()
    }

    /// Brings the figures of the session up to date, for CLIENT LIST.
    pub(crate) fn note_figures(&mut self) {
        let output = self.client.output.len() as u64;
        let memory = size_of::<Self>()
            + self.input.capacity()
            + self.client.output.capacity()
            + self.client.slots.memory_bytes()
            + self.parser.memory_bytes()
            + self.client.subscriptions.as_ref().map_or(0, |all| all.memory_bytes())
            + self.tls.as_ref().map_or(0, |_| size_of::<TlsStream>());
        let (backlog, room) = (self.backlog(), self.input.capacity() - self.input.len());
        let figures = &mut self.client.session.figures;
        figures.query_bytes = backlog as u64;
        figures.query_bytes_free = room as u64;
        figures.output_bytes = output;
        figures.memory_bytes = memory as u64;
    }
}
