//! One connection of a worker: the requests in flight on it, in order, the bytes that wait to be sent, and the
//! bytes of an unfinished reply.

use std::collections::VecDeque;
use std::mem;

use resp::{ReplyError, ReplyHead, ReplyKind, ReplyParser};
use ring::Fd;

use crate::limits::REPLY_BYTES_MAX;
use crate::operations::OperationId;
use crate::tls::TlsSession;

/// A request in flight.
#[derive(Clone, Copy, Debug)]
pub struct Outstanding {
    /// When the schedule wanted it sent; 0 in a closed loop.
    pub intended_ns: u64,
    /// When it was sent; set by [`Connection::stamp`].
    pub sent_ns: u64,
    /// When the operation it is a part of was begun: of the second half of a read-modify-write, when the first was
    /// sent. Else 0.
    pub begun_ns: u64,
    /// Its key.
    pub key: u64,
    /// Its kind.
    pub operation: OperationId,
    /// Whether it started in the measured window.
    pub measured: bool,
}

impl Outstanding {
    /// A request about to be sent.
    #[must_use]
    pub const fn new(operation: OperationId, key: u64, intended_ns: u64, measured: bool) -> Self {
        Self { intended_ns, sent_ns: 0, begun_ns: 0, key, operation, measured }
    }
}

/// A connection driven by a ring.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub socket: Fd,
    /// False once it has broken; it is not used again.
    pub alive: bool,
    /// A send is in flight: the next one waits for its end, or bytes could overtake each other.
    pub sending: bool,
    /// It is in the worker's list of connections with bytes to send.
    pub dirty: bool,
    /// It is in the worker's queue of connections with room for a request.
    pub queued: bool,
    /// Requests written and not yet sent.
    pub out: Vec<u8>,
    /// Where the walks of this connection go on that have no step in flight.
    pub walks: Vec<u64>,
    /// What encrypts the connection, if anything does.
    pub tls: Option<Box<TlsSession>>,
    outstanding: VecDeque<Outstanding>,
    /// How many of the last outstanding requests have no time of sending.
    unstamped: usize,
    parser: ReplyParser,
    /// The bytes of an unfinished reply, from its first one.
    unfinished: Vec<u8>,
}

/// What a connection's peer did wrong; the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerFault {
    /// Bytes that are no reply.
    Protocol(ReplyError),
    /// A reply that nothing asked for.
    Unasked,
    /// A reply longer than any value.
    TooLong,
}

impl PeerFault {
    /// The fault in words.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Protocol(error) => error.to_string(),
            Self::Unasked => "a reply came that no request asked for".to_owned(),
            Self::TooLong => format!("a reply is longer than {REPLY_BYTES_MAX} bytes"),
        }
    }
}

impl Connection {
    /// A connection with room for `pipeline` requests.
    #[must_use]
    pub fn new(socket: Fd, pipeline: usize) -> Self {
        Self {
            socket,
            alive: true,
            sending: false,
            dirty: false,
            queued: false,
            out: Vec::new(),
            walks: Vec::new(),
            tls: None,
            outstanding: VecDeque::with_capacity(pipeline),
            unstamped: 0,
            parser: ReplyParser::new(),
            unfinished: Vec::new(),
        }
    }

    /// Requests in flight, sent or waiting to be.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.outstanding.len()
    }

    /// Notes a request that was appended to `out`.
    pub fn push(&mut self, request: Outstanding) {
        self.outstanding.push_back(request);
        self.unstamped += 1;
    }

    /// Gives all requests in `out` their time of sending.
    pub fn stamp(&mut self, sent_ns: u64) {
        let first = self.outstanding.len() - self.unstamped;
        for request in self.outstanding.range_mut(first..) {
            request.sent_ns = sent_ns;
        }
        self.unstamped = 0;
    }

    /// Matches received bytes with the requests in flight. `settle` gets each request with its reply and the
    /// bytes that the reply's ranges point into.
    ///
    /// # Errors
    /// The peer's fault; the connection is of no more use.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        mut settle: impl FnMut(Outstanding, &ReplyHead, &[u8]),
    ) -> Result<(), PeerFault> {
        if self.unfinished.is_empty() {
            let used = self.settle_all(bytes, &mut settle)?;
            self.unfinished.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        if self.unfinished.len() + bytes.len() > REPLY_BYTES_MAX {
            return Err(PeerFault::TooLong);
        }
        let mut joined = mem::take(&mut self.unfinished);
        joined.extend_from_slice(bytes);
        let used = self.settle_all(&joined, &mut settle)?;
        joined.drain(..used);
        self.unfinished = joined;
        Ok(())
    }

    /// Takes every complete reply; returns the bytes they took.
    fn settle_all(
        &mut self,
        bytes: &[u8],
        settle: &mut impl FnMut(Outstanding, &ReplyHead, &[u8]),
    ) -> Result<usize, PeerFault> {
        let mut used = 0;
        while used < bytes.len() {
            let rest = &bytes[used..];
            let Some(head) = self.parser.skip(rest).map_err(PeerFault::Protocol)? else { break };
            used += head.consumed;
            // A push answers no request; it may come at any time in RESP3.
            if head.kind == ReplyKind::Push {
                continue;
            }
            // A request that was not sent yet cannot be answered.
            if self.outstanding.len() == self.unstamped {
                return Err(PeerFault::Unasked);
            }
            let request = self.outstanding.pop_front().ok_or(PeerFault::Unasked)?;
            settle(request, &head, rest);
        }
        Ok(used)
    }

    /// Gives up: what was in flight is lost. Returns it and frees the memory.
    pub fn fail(&mut self) -> VecDeque<Outstanding> {
        self.alive = false;
        self.unstamped = 0;
        self.out = Vec::new();
        self.unfinished = Vec::new();
        mem::take(&mut self.outstanding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop, prop_assert_eq, proptest};
    use std::os::unix::net::UnixStream;

    fn request(intended_ns: u64) -> Outstanding {
        let table = crate::operations::OperationTable::new(&[]).err();
        assert!(table.is_some(), "an empty mix draws nothing");
        let mix = crate::operations::parse_mix("get=1").unwrap();
        let table = crate::operations::OperationTable::new(&mix).unwrap();
        Outstanding::new(table.of(crate::operations::Verb::Get), 0, intended_ns, true)
    }

    fn connection(requests: usize) -> Connection {
        let (ours, _) = UnixStream::pair().unwrap();
        let mut connection = Connection::new(Fd::from(ours), 16);
        for number in 0..requests {
            connection.push(request(number as u64));
        }
        connection.stamp(7);
        connection
    }

    fn receive_all(
        connection: &mut Connection,
        pieces: &[&[u8]],
    ) -> Result<Vec<(u64, ReplyKind)>, PeerFault> {
        let mut settled = Vec::new();
        for piece in pieces {
            connection.receive(piece, |request, head, _| settled.push((request.intended_ns, head.kind)))?;
        }
        Ok(settled)
    }

    const REPLIES: &[u8] = b"$3\r\nabc\r\n+OK\r\n$-1\r\n-ERR no\r\n_\r\n$0\r\n\r\n";

    #[test]
    fn replies_are_matched_in_order() {
        let settled = receive_all(&mut connection(6), &[REPLIES]).unwrap();
        let kinds = [
            ReplyKind::Bulk,
            ReplyKind::Simple,
            ReplyKind::Null,
            ReplyKind::Error,
            ReplyKind::Null,
            ReplyKind::Bulk,
        ];
        assert_eq!(settled, (0..6).zip(kinds).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_matches(mut cuts in prop::collection::vec(0..REPLIES.len(), 0..8)) {
            cuts.extend([0, REPLIES.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &REPLIES[cut[0]..cut[1]]).collect();
            let whole = receive_all(&mut connection(6), &[REPLIES]).unwrap();
            prop_assert_eq!(receive_all(&mut connection(6), &pieces).unwrap(), whole);
        }
    }

    #[test]
    fn pushes_answer_no_request() {
        let settled =
            receive_all(&mut connection(1), &[b">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n+OK\r\n"]).unwrap();
        assert_eq!(settled, [(0, ReplyKind::Simple)]);
    }

    #[test]
    fn an_unasked_reply_is_the_peers_fault() {
        assert_eq!(receive_all(&mut connection(1), &[b"+OK\r\n+OK\r\n"]), Err(PeerFault::Unasked));
        let mut unsent = connection(0);
        unsent.push(request(0));
        assert_eq!(receive_all(&mut unsent, &[b"+OK\r\n"]), Err(PeerFault::Unasked));
    }

    #[test]
    fn foreign_bytes_are_the_peers_fault() {
        assert!(matches!(receive_all(&mut connection(1), &[b"HTTP/1.1"]), Err(PeerFault::Protocol(_))));
    }

    #[test]
    fn stamping_leaves_earlier_times_alone() {
        let mut connection = connection(1);
        connection.push(request(1));
        connection.stamp(9);
        let mut times = Vec::new();
        connection.receive(b"+OK\r\n+OK\r\n", |request, _, _| times.push(request.sent_ns)).unwrap();
        assert_eq!(times, [7, 9]);
    }

    #[test]
    fn failing_returns_what_was_in_flight() {
        let mut connection = connection(3);
        assert_eq!(connection.fail().len(), 3);
        assert!(!connection.alive);
        assert_eq!(connection.in_flight(), 0);
    }
}
