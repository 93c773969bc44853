//! The daemon's part of a worker's turn: sockets to requests, requests to replies, replies to sockets.
//!
//! In a turn: bytes that arrive are parsed and run at once; then mail of other workers is served and sent; then,
//! when the turn's writes are under way, every connection with something releasable gets one send.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::start::ControlSender;
use engine::worker::{Service as EngineService, Worker};
use resp::{ReplyWriter, RequestLimits, RequestParser};
use ring::{Completion, Fd, Received};
use shard::types::BatchNumber;

use super::connection::{Connection, Life};
use super::core::{Core, DISK_FULL, DISK_FULL_REPLY, Flow, SlotMap, refuses};
use super::job::Job;
use super::limits::{
    ACCEPT_REST_NS, ACCEPT_WARNING_NS, BACKLOG_BYTES_MAX, COMMANDS_PER_TURN, DRAIN_POLL_NS,
    LOG_QUEUE_BYTES_MAX, MESSAGE_BYTES, OUTPUT_PAUSE_BYTES, PARTIAL_REQUEST_MS, SWEEP_NS,
};
use super::message::{Control, Peer, Replies, Requests};
use super::plan::{Plan, PlanEnd};
use super::table::{ConnectionTable, TokenKind, is_kind, of_token, token};
use super::timing::Timing;
use crate::commands::Execution;
use crate::server::{Counter, Server, ShutdownRequest};

/// What the services of all workers share.
#[derive(Debug, Default)]
pub struct Shared {
    /// Connections of all workers.
    pub connections: AtomicUsize,
    /// Workers that have no connection and nothing under way any more, once told to stop.
    pub drained: AtomicUsize,
}

/// A listening socket of this worker.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: Fd,
    /// Whether connections go to all workers in turn: a Unix socket has one listener only.
    pub is_unix: bool,
    /// Whether connections are being accepted. After an error they are not, for a while.
    pub accepting: bool,
}

/// The stop that is under way.
#[derive(Clone, Copy, Debug)]
struct Stopping {
    deadline_ns: u64,
    announced: bool,
}

/// The connections of one worker.
pub struct Service {
    core: Core,
    connections: ConnectionTable,
    listeners: Vec<Listener>,
    /// When to accept again after running out of descriptors.
    accept_again_ns: Option<u64>,
    /// When it is said again that clients cannot be accepted.
    next_accept_warning_ns: u64,
    shared: Arc<Shared>,
    /// All workers, to hand connections on.
    workers: Vec<ControlSender<Control>>,
    next_worker: usize,
    /// Connections with something to look at in this turn's flush.
    dirty: Vec<(u32, u32)>,
    /// Connections with input to parse.
    ready: VecDeque<(u32, u32)>,
    released: Vec<(u32, u32)>,
    seen_released: BatchNumber,
    next_sweep_ns: u64,
    stopping: Option<Stopping>,
    limits: RequestLimits,
    timing: Timing,
    plan: Plan,
    /// Requests of other workers that are not yet run, by worker.
    inboxes: Vec<Inbox>,
    /// A connection goes on, or ends, with the end of a send.
    awaits_sends: bool,
    /// The log takes no more for now: what other workers ask waits until a write completes.
    log_is_full: bool,
}

/// Requests of one other worker.
#[derive(Debug, Default)]
struct Inbox {
    messages: VecDeque<Box<Requests>>,
    /// Commands of the first message that have run.
    next: usize,
}

impl Service {
    /// The service of a worker.
    #[must_use]
    pub fn new(
        server: Arc<Server>,
        shared: Arc<Shared>,
        map: &SlotMap,
        workers: Vec<ControlSender<Control>>,
        listeners: Vec<Listener>,
        random: u64,
    ) -> Self {
        let count = workers.len();
        Self {
            core: Core::new(server, map, count, random),
            connections: ConnectionTable::default(),
            listeners,
            accept_again_ns: Some(0),
            next_accept_warning_ns: 0,
            shared,
            workers,
            next_worker: 0,
            dirty: Vec::new(),
            ready: VecDeque::new(),
            released: Vec::new(),
            seen_released: BatchNumber::ZERO,
            next_sweep_ns: 0,
            stopping: None,
            limits: RequestLimits::AUTHENTICATED,
            timing: Timing::default(),
            plan: Plan::default(),
            inboxes: (0..count).map(|_| Inbox::default()).collect(),
            awaits_sends: false,
            log_is_full: false,
        }
    }

    // ---- connections come and go ------------------------------------------------------------------------------

    fn accept_all(&mut self, worker: &mut Worker<Self>) {
        self.accept_again_ns = None;
        for (number, listener) in (0u32..).zip(&mut self.listeners) {
            if !listener.accepting {
                listener.accepting = true;
                worker.ring.accept(&listener.socket, token(TokenKind::Accept, number, 0));
            }
        }
    }

    fn on_accepted(
        &mut self,
        worker: &mut Worker<Self>,
        value: u64,
        result: std::io::Result<Fd>,
        more: bool,
    ) {
        let (number, _) = of_token(value);
        let Some(listener) = self.listeners.get_mut(number as usize) else { return };
        let (is_unix, listening) = (listener.is_unix, listener.socket.clone());
        match result {
            Ok(socket) if is_unix => {
                self.hand_out(worker, socket);
                if !more {
                    worker.ring.accept(&listening, value);
                }
            }
            Ok(socket) => {
                self.open(worker, socket, Peer::Tcp);
                if !more {
                    worker.ring.accept(&listening, value);
                }
            }
            Err(_) if self.stopping.is_some() => {}
            Err(error) => {
                if worker.clock.now_ns >= self.next_accept_warning_ns {
                    self.next_accept_warning_ns = worker.clock.now_ns + ACCEPT_WARNING_NS;
                    tracing::warn!(
                        %error,
                        "new clients wait: they cannot be accepted now; of descriptors there are more with a higher \
                         limit (ulimit -n, LimitNOFILE=)"
                    );
                }
                if !more {
                    // Out of descriptors, most likely: a pause instead of a spin.
                    listener.accepting = false;
                    self.accept_again_ns = Some(worker.clock.now_ns + ACCEPT_REST_NS);
                }
            }
        }
    }

    /// Gives connections of the one Unix listener to all workers in turn.
    fn hand_out(&mut self, worker: &mut Worker<Self>, socket: Fd) {
        let to = self.next_worker;
        self.next_worker = (to + 1) % self.workers.len();
        if to == worker.index {
            self.open(worker, socket, Peer::Unix);
            return;
        }
        match socket.try_into_owned() {
            Ok(owned) => self.workers[to].send(Control::Connection(owned, Peer::Unix)),
            Err(socket) => self.open(worker, socket, Peer::Unix),
        }
    }

    fn open(&mut self, worker: &mut Worker<Self>, socket: Fd, peer: Peer) {
        let settings = &self.core.server.settings;
        let most = usize::try_from(settings.max_clients()).unwrap_or(usize::MAX);
        if self.stopping.is_some() || self.shared.connections.fetch_add(1, Ordering::Relaxed) >= most {
            if self.stopping.is_none() {
                self.shared.connections.fetch_sub(1, Ordering::Relaxed);
                self.core.counters.add(Counter::ConnectionsRefused, 1);
                let farewell = b"-ERR max number of clients reached\r\n".to_vec();
                worker.ring.send(&socket, farewell, token(TokenKind::Farewell, 0, 0));
            }
            return;
        }
        if peer == Peer::Tcp {
            let keepalive = settings.tcp_keepalive_seconds();
            let nodelay = socket.set_no_delay();
            let keep = if keepalive > 0 { socket.set_keepalive(keepalive) } else { Ok(()) };
            if let Err(error) = nodelay.and(keep) {
                tracing::debug!(%error, "socket options of a new connection");
            }
        }
        let session = self.core.new_session(&socket, peer, worker.clock.now);
        self.core.counters.add(Counter::ConnectionsAccepted, 1);
        let (number, generation) = self.connections.insert(Box::new(Connection::new(socket, session)));
        let Some(connection) = self.connections.get_mut(number, generation) else { return };
        let value = token(TokenKind::Receive, number, generation);
        connection.receiving = Some(worker.ring.recv(&connection.socket, value));
    }

    /// Closes a connection that was taken out of the table.
    fn close(&mut self, worker: &mut Worker<Self>, me: (u32, u32), connection: Box<Connection>) {
        if connection.receiving.is_some() || connection.sending {
            worker.ring.cancel_all_of(&connection.socket);
        }
        drop(connection);
        self.connections.free(me.0);
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }

    // ---- bytes in ---------------------------------------------------------------------------------------------

    fn on_received(
        &mut self,
        worker: &mut Worker<Self>,
        value: u64,
        result: std::io::Result<Received>,
        more: bool,
    ) {
        let me = of_token(value);
        let Some(mut connection) = self.connections.take(me.0, me.1) else { return };
        if !more {
            connection.receiving = None;
        }
        match result {
            Ok(Received::Data(buffer)) => {
                self.core.counters.add(Counter::Receives, 1);
                self.core.counters.add(Counter::BytesIn, buffer.len() as u64);
                connection.client.session.last_interaction = worker.clock.now;
                connection.client.session.figures.bytes_in += buffer.len() as u64;
                if connection.client.life == Life::Open {
                    self.take_bytes(worker, &mut connection, me, &buffer);
                }
            }
            Ok(Received::NoBuffers) => {}
            Ok(Received::Closed) => connection.peer_closed = true,
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {}
            // The connection is broken: nobody reads what would be said.
            Err(_) => connection.client.life = Life::Dead,
        }
        self.mark_dirty(&mut connection, me);
        self.connections.put(me.0, connection);
    }

    /// Parses received bytes where they are when nothing stands before them; keeps what is left.
    fn take_bytes(
        &mut self,
        worker: &mut Worker<Self>,
        connection: &mut Connection,
        me: (u32, u32),
        bytes: &[u8],
    ) {
        if connection.backlog() == 0 && !connection.is_ready {
            let taken = self.parse(worker, connection, me, bytes);
            if taken < bytes.len() && connection.client.life == Life::Open {
                connection.keep(&bytes[taken..]);
            }
            return;
        }
        connection.keep(bytes);
        if !connection.is_ready {
            self.parse_backlog(worker, connection, me);
        }
    }

    fn parse_backlog(&mut self, worker: &mut Worker<Self>, connection: &mut Connection, me: (u32, u32)) {
        let input = std::mem::take(&mut connection.input);
        let taken = self.parse(worker, connection, me, &input[connection.input_start..]);
        assert!(connection.input.is_empty(), "parsing keeps nothing by itself");
        connection.input = input;
        connection.consume(taken);
    }

    /// Runs complete requests at the start of `bytes`. Returns how many bytes they took. When requests are left that
    /// could be run, the connection stands in the ready list afterwards.
    fn parse(
        &mut self,
        worker: &mut Worker<Self>,
        connection: &mut Connection,
        me: (u32, u32),
        bytes: &[u8],
    ) -> usize {
        let mut plan = std::mem::take(&mut self.plan);
        let (mut taken, mut budget) = (0, COMMANDS_PER_TURN);
        self.timing.start();
        loop {
            let end = plan.fill(&mut connection.parser, bytes, taken, &self.limits, &worker.shards);
            plan.warm(&worker.shards, connection.client.session.db);
            if !self.run_plan(worker, connection, me, bytes, &plan, &mut taken, &mut budget) {
                break;
            }
            match end {
                PlanEnd::Full => {}
                PlanEnd::Input(consumed) => {
                    taken = consumed;
                    break;
                }
                PlanEnd::Error(error) => {
                    self.refuse(worker, connection, me, error);
                    break;
                }
            }
        }
        self.plan = plan;
        self.timing.end(&mut self.core.counters);
        taken
    }

    /// Runs what was planned. False: the rest has to wait, or the connection ends.
    #[expect(clippy::too_many_arguments, reason = "where the run stands is the caller's")]
    #[inline]
    fn run_plan(
        &mut self,
        worker: &mut Worker<Self>,
        connection: &mut Connection,
        me: (u32, u32),
        bytes: &[u8],
        plan: &Plan,
        taken: &mut usize,
        budget: &mut usize,
    ) -> bool {
        for planned in plan.requests() {
            let client = &mut connection.client;
            if client.blocked || client.is_full() || *budget == 0 {
                self.wait_with_plan(connection, me);
                return false;
            }
            let args = plan.args(planned, bytes);
            let (flow, ran) = self.core.execute(worker, client, me, args, planned);
            if flow == Flow::Stall {
                connection.stalled = true;
                self.wait_with_plan(connection, me);
                return false;
            }
            *taken = planned.end;
            *budget -= 1;
            client.session.figures.commands += 1;
            if let Some(command) = ran {
                self.timing.ran(command);
            }
            if flow == Flow::Stop {
                connection.parser = RequestParser::new();
                return false;
            }
        }
        true
    }

    /// Planned requests cannot run now: they are parsed again when they can.
    fn wait_with_plan(&mut self, connection: &mut Connection, me: (u32, u32)) {
        connection.parser = RequestParser::new();
        self.mark_ready(connection, me);
    }

    /// Answers bytes that are no request, and closes.
    #[cold]
    fn refuse(
        &mut self,
        worker: &mut Worker<Self>,
        connection: &mut Connection,
        me: (u32, u32),
        error: resp::ProtocolError,
    ) {
        match error.reply_text() {
            Some(text) => {
                self.core.answer(worker, &mut connection.client, me, |core, mut reply| {
                    reply.error(&text);
                    core.counters.note_error(b"-ERR");
                });
                connection.client.life = Life::Closing;
            }
            None => {
                tracing::warn!(
                    peer = connection.client.session.peer,
                    "possible SECURITY ATTACK: POST or Host: sent to the Redis port, likely by a web page; closed"
                );
                connection.client.life = Life::Dead;
            }
        }
    }

    fn mark_ready(&mut self, connection: &mut Connection, me: (u32, u32)) {
        if !connection.is_ready {
            connection.is_ready = true;
            self.ready.push_back(me);
        }
    }

    fn mark_dirty(&mut self, connection: &mut Connection, me: (u32, u32)) {
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(me);
        }
    }

    /// Goes on with connections whose requests could not all be run when they came.
    fn run_ready(&mut self, worker: &mut Worker<Self>) {
        for _ in 0..self.ready.len() {
            let Some(me) = self.ready.pop_front() else { break };
            let Some(mut connection) = self.connections.take(me.0, me.1) else { continue };
            connection.is_ready = false;
            connection.stalled = false;
            if connection.client.life == Life::Open && connection.backlog() > 0 {
                self.parse_backlog(worker, &mut connection, me);
            }
            self.mark_dirty(&mut connection, me);
            self.connections.put(me.0, connection);
        }
    }

    // ---- other workers ----------------------------------------------------------------------------------------

    fn serve_mail(&mut self, worker: &mut Worker<Self>) {
        for other in 0..worker.links.len() {
            // Replies first: they free what others wait for.
            while let Some(replies) =
                worker.links[other].as_mut().and_then(|link| link.next_reply(|replies| replies.replies.len()))
            {
                self.take_replies(worker, other, replies);
            }
        }
        for other in 0..worker.links.len() {
            while let Some(requests) = worker.links[other].as_mut().and_then(|link| link.next_request()) {
                self.core.counters.add(Counter::HopsIn, requests.commands.len() as u64);
                self.inboxes[other].messages.push_back(requests);
            }
        }
        self.log_is_full = false;
        for other in 0..self.inboxes.len() {
            self.serve_inbox(worker, other);
        }
    }

    fn take_replies(&mut self, worker: &mut Worker<Self>, other: usize, replies: Box<Replies>) {
        for reply in &replies.replies {
            self.core.remote_bytes[other] -= reply.address.request_bytes;
            let bytes = replies.bytes_of(reply);
            self.deliver(worker, reply.address, bytes, reply.count, BatchNumber::ZERO);
        }
        self.core.held.recycle(replies);
    }

    /// Fills a slot of a connection, if it is still there.
    fn deliver(
        &mut self,
        worker: &mut Worker<Self>,
        address: super::message::Address,
        bytes: &[u8],
        count: usize,
        barrier: BatchNumber,
    ) {
        let me = (address.connection, address.generation);
        let Some(mut connection) = self.connections.take(me.0, me.1) else { return };
        let client = &mut connection.client;
        client.slots.fill(address.slot, address.part, bytes, count, barrier);
        self.core.drain_slots(worker, client, me);
        self.mark_dirty(&mut connection, me);
        self.connections.put(me.0, connection);
    }

    /// Runs what a worker asks, until the replies or the log's queue are long: the rest waits for a later turn.
    fn serve_inbox(&mut self, worker: &mut Worker<Self>, other: usize) {
        let mut reply_bytes = 0;
        while !self.log_is_full && reply_bytes <= MESSAGE_BYTES {
            let Some(requests) = self.inboxes[other].messages.pop_front() else { return };
            let first = std::mem::take(&mut self.inboxes[other].next);
            let next = self.serve(worker, other, &requests, first, &mut reply_bytes);
            if next < requests.commands.len() {
                self.inboxes[other].next = next;
                self.inboxes[other].messages.push_front(requests);
            } else {
                self.core.recycle_requests(requests);
            }
        }
    }

    /// Runs commands of a message from the one at `first` on. Returns at which it stopped.
    fn serve(
        &mut self,
        worker: &mut Worker<Self>,
        other: usize,
        requests: &Requests,
        first: usize,
        reply_bytes: &mut usize,
    ) -> usize {
        self.timing.start();
        let mut next = first;
        for request in &requests.commands[first..] {
            if *reply_bytes > MESSAGE_BYTES {
                break;
            }
            let mut refused = false;
            if let Some(log) = worker.shards.log() {
                if log.queued_bytes() > LOG_QUEUE_BYTES_MAX {
                    self.log_is_full = true;
                    break;
                }
                refused = refuses(log, request.command);
            }
            next += 1;
            if refused {
                self.core.counters.note_rejected(request.command.id, DISK_FULL_REPLY);
                let message = self.core.held.message(other, BatchNumber::ZERO);
                let start = message.bytes.len();
                ReplyWriter::new(&mut message.bytes, request.protocol).error(DISK_FULL);
                message.note(request.address, start, 0);
                continue;
            }
            let args = requests.args(request);
            let handler = match request.command.execution {
                Execution::Key(handler)
                | Execution::Keys { handler, .. }
                | Execution::SameShard(handler)
                | Execution::Everywhere { handler, .. }
                | Execution::Scan(handler) => handler,
                Execution::Walk(_) | Execution::Sessions { .. } => {
                    let of = (request.db, request.protocol);
                    self.core.jobs.push_back(Job::of_parts(
                        other,
                        request.address,
                        request.command,
                        of,
                        args,
                    ));
                    continue;
                }
                Execution::Connection(_) | Execution::Container => {
                    unreachable!("runs where its connection lives")
                }
            };
            let now = self.core.held.message(other, BatchNumber::ZERO);
            let mut out = std::mem::take(&mut now.bytes);
            let start = out.len();
            let barrier = self.core.run_for(worker, handler, request.db, request.protocol, args, &mut out);
            self.core.counters.note_reply(request.command.id, &out[start..]);
            if !request.is_part {
                self.timing.ran(request.command.id);
            }
            *reply_bytes += out.len() - start;
            if barrier > worker.shards.released() {
                let later = self.core.held.message(other, barrier);
                later.push(request.address, &out[start..], 0);
                out.truncate(start);
                self.core.held.message(other, BatchNumber::ZERO).bytes = out;
            } else {
                let now = self.core.held.message(other, BatchNumber::ZERO);
                now.bytes = out;
                now.note(request.address, start, 0);
            }
        }
        self.timing.end(&mut self.core.counters);
        next
    }

    /// One step of each request that goes over all keys or sessions.
    fn run_jobs(&mut self, worker: &mut Worker<Self>) {
        for _ in 0..self.core.jobs.len() {
            let Some(mut job) = self.core.jobs.pop_front() else { break };
            let (done, barrier) = match job.command.execution {
                Execution::Walk(step) => self.core.walk_step(worker, step, &mut job),
                Execution::Sessions { list, .. } => {
                    let mut out = std::mem::take(&mut job.state.out);
                    let args = job.args();
                    for (_, connection) in self.connections.iter() {
                        list(&connection.client.session, args, worker.clock.now, &mut out);
                    }
                    job.state.out = out;
                    (true, BatchNumber::ZERO)
                }
                _ => unreachable!("only these become jobs"),
            };
            job.barrier = job.barrier.max(barrier);
            if !done {
                self.core.jobs.push_back(job);
            } else if job.origin == worker.index {
                self.deliver(worker, job.address, &job.state.out, job.state.count, job.barrier);
            } else {
                let batch =
                    if job.barrier > worker.shards.released() { job.barrier } else { BatchNumber::ZERO };
                self.core.held.message(job.origin, batch).push(job.address, &job.state.out, job.state.count);
            }
        }
    }

    fn send_mail(&mut self, worker: &mut Worker<Self>) {
        for other in 0..worker.links.len() {
            self.core.post(worker, other);
        }
        self.release_held(worker);
    }

    fn release_held(&mut self, worker: &mut Worker<Self>) {
        let mark = worker.shards.released();
        while let Some((other, replies)) = self.core.held.pop(mark) {
            if replies.replies.is_empty() {
                self.core.held.recycle(replies);
                continue;
            }
            worker.links[other].as_mut().expect("who asked has a link").reply(replies);
        }
    }

    // ---- bytes out --------------------------------------------------------------------------------------------

    /// Sends what may be sent, receives where there is room again, closes what has ended.
    fn flush_one(&mut self, worker: &mut Worker<Self>, me: (u32, u32)) {
        let Some(mut connection) = self.connections.take(me.0, me.1) else { return };
        connection.is_dirty = false;
        if connection.client.life != Life::Dead && !connection.sending {
            let count = connection.client.output.releasable(worker.shards.released());
            if count > 0 {
                let spare = self.core.spare_buffers.pop().unwrap_or_default();
                let bytes = connection.client.output.take(count, spare);
                connection.client.in_flight = bytes.len();
                worker.ring.send(&connection.socket, bytes, token(TokenKind::Send, me.0, me.1));
                connection.sending = true;
            }
        }
        self.check_output(worker, &mut connection);
        let drained = connection.is_quiet();
        let life = connection.client.life;
        // What the peer asked before it closed its side is still answered.
        let asked_all = connection.peer_closed && !connection.is_ready;
        if life == Life::Dead || (drained && (life == Life::Closing || asked_all)) {
            self.close(worker, me, connection);
            return;
        }
        let ends = life != Life::Open || connection.peer_closed;
        self.awaits_sends |= connection.sending && (ends || connection.client.is_full());
        self.steer_receive(worker, &mut connection, me);
        self.connections.put(me.0, connection);
    }

    /// Receives only while there is room for what comes.
    fn steer_receive(&mut self, worker: &mut Worker<Self>, connection: &mut Connection, me: (u32, u32)) {
        let open = connection.client.life == Life::Open && !connection.peer_closed;
        let waits = connection.is_ready || connection.client.blocked;
        let full = waits && connection.backlog() > BACKLOG_BYTES_MAX;
        match connection.receiving {
            None if open && !full => {
                let value = token(TokenKind::Receive, me.0, me.1);
                connection.receiving = Some(worker.ring.recv(&connection.socket, value));
            }
            Some(operation) if full || !open => worker.ring.cancel(operation),
            _ => {}
        }
    }

    /// Ends a connection that does not read what it asked for.
    fn check_output(&mut self, worker: &Worker<Self>, connection: &mut Connection) {
        let bytes = connection.client.unsent_bytes() as u64;
        if bytes <= OUTPUT_PAUSE_BYTES as u64 {
            connection.soft_limit_since_ns = None;
            return;
        }
        let limit = self.core.server.settings.output_limit();
        let hard = limit.hard_bytes > 0 && bytes > limit.hard_bytes;
        let mut soft = false;
        if limit.soft_bytes > 0 && bytes > limit.soft_bytes {
            let since = *connection.soft_limit_since_ns.get_or_insert(worker.clock.now_ns);
            soft = worker.clock.now_ns - since >= u64::from(limit.soft_seconds) * 1_000_000_000;
        } else {
            connection.soft_limit_since_ns = None;
        }
        if hard || soft {
            tracing::warn!(
                client = connection.client.session.id,
                peer = connection.client.session.peer,
                bytes,
                "client closed: its unread replies exceed client-output-buffer-limit"
            );
            self.core.counters.add(Counter::OutputLimitClosed, 1);
            connection.client.life = Life::Dead;
        }
    }

    fn on_sent(&mut self, value: u64, buffer: Vec<u8>, result: std::io::Result<usize>) {
        self.core.recycle_buffer(buffer);
        if is_kind(value, TokenKind::Farewell) {
            return;
        }
        let me = of_token(value);
        let Some(mut connection) = self.connections.take(me.0, me.1) else { return };
        connection.sending = false;
        connection.client.in_flight = 0;
        match result {
            Ok(bytes) => {
                self.core.counters.add(Counter::Sends, 1);
                self.core.counters.add(Counter::BytesOut, bytes as u64);
                connection.client.session.figures.bytes_out += bytes as u64;
            }
            Err(_) => connection.client.life = Life::Dead,
        }
        self.mark_dirty(&mut connection, me);
        self.connections.put(me.0, connection);
    }

    // ---- now and then -----------------------------------------------------------------------------------------

    /// Once a second: clients that say nothing, requests that stand still, output that is not read.
    fn sweep(&mut self, worker: &mut Worker<Self>) {
        self.next_sweep_ns = worker.clock.now_ns + SWEEP_NS;
        let bulk = self.core.server.settings.bulk_bytes_max();
        self.limits.bulk_bytes_max = usize::try_from(bulk).unwrap_or(usize::MAX);
        let timeout_ms = u64::from(self.core.server.settings.timeout_seconds()) * 1000;
        for me in self.connections.numbers() {
            let Some(mut connection) = self.connections.take(me.0, me.1) else { continue };
            connection.note_figures();
            let idle_ms = worker.clock.now.0.saturating_sub(connection.client.session.last_interaction.0);
            let stuck = connection.parser.is_mid_request() && idle_ms > PARTIAL_REQUEST_MS;
            if stuck || (timeout_ms > 0 && idle_ms > timeout_ms && connection.is_quiet()) {
                connection.client.life = Life::Dead;
            }
            self.mark_dirty(&mut connection, me);
            self.connections.put(me.0, connection);
        }
    }

    fn begin_stop(&mut self, worker: &mut Worker<Self>, request: ShutdownRequest) {
        if self.stopping.is_some() {
            return;
        }
        let wait_seconds = if request.now { 0 } else { self.core.server.settings.shutdown_timeout_seconds() };
        let deadline_ns = worker.clock.now_ns + u64::from(wait_seconds) * 1_000_000_000;
        self.stopping = Some(Stopping { deadline_ns, announced: false });
        for listener in self.listeners.drain(..) {
            worker.ring.cancel_all_of(&listener.socket);
        }
        self.accept_again_ns = None;
        for me in self.connections.numbers() {
            if let Some(mut connection) = self.connections.take(me.0, me.1) {
                if connection.client.life == Life::Open {
                    connection.client.life = Life::Closing;
                }
                self.mark_dirty(&mut connection, me);
                self.connections.put(me.0, connection);
            }
        }
        worker.stop();
    }

    fn advance_stop(&mut self, worker: &mut Worker<Self>) {
        let Some(stopping) = &mut self.stopping else { return };
        let late = worker.clock.now_ns >= stopping.deadline_ns;
        if late && self.connections.len() > 0 {
            for me in self.connections.numbers() {
                if let Some(mut connection) = self.connections.take(me.0, me.1) {
                    connection.client.life = Life::Dead;
                    self.mark_dirty(&mut connection, me);
                    self.connections.put(me.0, connection);
                }
            }
            return;
        }
        // Connections that were cut off may have requests under way: when all workers have said that they are drained,
        // none may be left that would write behind the clean-shutdown mark.
        let asked = self.core.remote_bytes.iter().any(|&bytes| bytes > 0);
        let served =
            !asked && self.core.held.is_empty() && self.inboxes.iter().all(|inbox| inbox.messages.is_empty());
        if self.connections.len() == 0 && served && !stopping.announced {
            stopping.announced = true;
            self.shared.drained.fetch_add(1, Ordering::AcqRel);
            for (index, other) in self.workers.iter().enumerate() {
                if index != worker.index {
                    other.wake();
                }
            }
        }
    }

    fn publish(&mut self, worker: &Worker<Self>) {
        self.core.publish(worker, self.connections.len());
    }
}

impl EngineService for Service {
    type Request = Box<Requests>;
    type Reply = Box<Replies>;
    type Control = Control;

    fn on_completion(&mut self, worker: &mut Worker<Self>, completion: Completion) {
        match completion {
            Completion::Received { token, result, more } => self.on_received(worker, token, result, more),
            Completion::Sent { token, buffer, result } => self.on_sent(token, buffer, result),
            Completion::Accepted { token, result, more } => self.on_accepted(worker, token, result, more),
            other => unreachable!("nothing of this kind is started here: {other:?}"),
        }
    }

    fn on_control(&mut self, worker: &mut Worker<Self>, message: Control) {
        match message {
            Control::Connection(socket, peer) => self.open(worker, Fd::from(socket), peer),
            Control::Stop(request) => self.begin_stop(worker, request),
        }
    }

    fn turn(&mut self, worker: &mut Worker<Self>) {
        if self.stopping.is_none() && self.accept_again_ns.is_some_and(|at| at <= worker.clock.now_ns) {
            self.accept_all(worker);
        }
        self.run_ready(worker);
        self.serve_mail(worker);
        self.run_jobs(worker);
        if worker.clock.now_ns >= self.next_sweep_ns {
            self.sweep(worker);
        }
        if self.stopping.is_some() {
            self.advance_stop(worker);
        }
    }

    fn flush(&mut self, worker: &mut Worker<Self>) {
        self.awaits_sends = false;
        let mark = worker.shards.released();
        if mark > self.seen_released {
            self.seen_released = mark;
            self.core.waiting.take_released(mark, &mut self.released);
        }
        let mut released = std::mem::take(&mut self.released);
        for me in released.drain(..) {
            if let Some(connection) = self.connections.get_mut(me.0, me.1)
                && !connection.is_dirty
            {
                connection.is_dirty = true;
                self.dirty.push(me);
            }
        }
        self.released = released;
        let mut dirty = std::mem::take(&mut self.dirty);
        for me in dirty.drain(..) {
            self.flush_one(worker, me);
        }
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
        self.send_mail(worker);
        self.publish(worker);
    }

    fn has_work(&self) -> bool {
        // A connection that is blocked or waits for room goes on with a completion or with mail.
        let runnable = |&(number, generation): &(u32, u32)| self.connections.is_runnable(number, generation);
        let serving = !self.log_is_full && self.inboxes.iter().any(|inbox| !inbox.messages.is_empty());
        serving || self.ready.iter().any(runnable) || !self.core.jobs.is_empty() || !self.dirty.is_empty()
    }

    fn awaits_sends(&self) -> bool {
        self.awaits_sends || !self.ready.is_empty() || self.stopping.is_some()
    }

    fn next_deadline_ns(&self) -> Option<u64> {
        let stop = self.stopping.map(|_| ring::monotonic_ns() + DRAIN_POLL_NS);
        [Some(self.next_sweep_ns), self.accept_again_ns, stop].into_iter().flatten().min()
    }

    fn is_finished(&self) -> bool {
        let all = self.shared.drained.load(Ordering::Acquire) == self.workers.len();
        self.stopping.is_some_and(|stopping| stopping.announced) && all
    }
}
