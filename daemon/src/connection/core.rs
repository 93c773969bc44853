//! Running commands: routing to the worker that owns the keys, here or elsewhere, and collecting the replies.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use engine::worker::Worker;
use resp::{Args, ReplyWriter};
use ring::{Fd, SocketAddress};
use shard::io::BlockPool;
use shard::key::Key;
use shard::log::{Log, LogSpace};
use shard::types::{BatchNumber, SLOT_COUNT, Slot, UnixMs};

use super::connection::{Client, Life};
use super::figures::Figures;
use super::gather::{Gather, GatherKind};
use super::held_replies::HeldReplies;
use super::job::Job;
use super::limits::{
    FIGURES_NS, KEPT_BUFFER_BYTES, KEPT_BUFFERS_MAX, KEPT_MESSAGES_MAX, LOG_QUEUE_BYTES_MAX, MESSAGE_BYTES,
    PUBLISH_TURNS, REMOTE_BYTES_MAX, REPLY_SLOTS_MAX,
};
use super::message::{Address, Peer, Requests};
use super::plan::Planned;
use super::reply_slots::{SlotBytes, Source};
use super::service::Service;
use super::waiting::Waiting;
use crate::commands::{
    Action, Command, CommandId, ConnectionContext, Execution, Flags, KeyContext, KeyHandler, Merge,
    WalkState, error_text,
};
use crate::server::{Counter, Server, WorkerCounters};
use crate::session::Session;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It is answered, or will be: go on with the next.
    Continue,
    /// Another worker answers and counts it: go on with the next.
    Forwarded,
    /// It cannot be taken now: try the same request again later.
    Stall,
    /// It is the last one of its connection.
    Stop,
}

/// Where each slot belongs.
#[derive(Clone, Debug)]
pub struct SlotMap {
    /// The worker that owns each slot.
    pub owners: Arc<[u16]>,
    /// The shard of each slot.
    pub shards: Arc<[u16]>,
}

/// What all connections of a worker share.
pub(crate) struct Core {
    pub(crate) server: Arc<Server>,
    pub(crate) counters: WorkerCounters,
    /// The worker that owns each slot.
    pub(crate) owners: Arc<[u16]>,
    /// The shard of each slot.
    pub(crate) shard_of: Arc<[u16]>,
    /// Commands for other workers, by worker.
    pub(crate) outboxes: Vec<Option<Box<Requests>>>,
    #[expect(clippy::vec_box, reason = "what travels between workers is the box")]
    pub(crate) spare_requests: Vec<Box<Requests>>,
    /// Bytes of requests that other workers have yet to answer, by worker.
    pub(crate) remote_bytes: Vec<usize>,
    pub(crate) held: HeldReplies,
    pub(crate) jobs: VecDeque<Job>,
    /// Connections whose replies wait for the log.
    pub(crate) waiting: Waiting,
    pub(crate) spare_buffers: Vec<Vec<u8>>,
    scratch: Vec<u8>,
    random: u64,
    next_figures_ns: u64,
    figures: Figures,
}

impl Core {
    pub(crate) fn new(server: Arc<Server>, map: &SlotMap, workers: usize, random: u64) -> Self {
        assert_eq!(map.owners.len(), usize::from(SLOT_COUNT), "every slot has an owner");
        Self {
            server,
            counters: WorkerCounters::default(),
            owners: Arc::clone(&map.owners),
            shard_of: Arc::clone(&map.shards),
            outboxes: (0..workers).map(|_| None).collect(),
            spare_requests: Vec::new(),
            remote_bytes: vec![0; workers],
            held: HeldReplies::default(),
            jobs: VecDeque::new(),
            waiting: Waiting::default(),
            spare_buffers: Vec::new(),
            scratch: Vec::new(),
            random: random | 1,
            next_figures_ns: 0,
            figures: Figures::default(),
        }
    }

    /// Runs one request of a connection, or sends it to where it runs.
    #[inline]
    pub(crate) fn execute(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        args: Args<'_>,
        planned: &Planned,
    ) -> (Flow, Option<CommandId>) {
        let command = match planned.command {
            Ok(command) => command,
            Err(refusal) => {
                self.answer(worker, client, me, |core, mut reply| {
                    let start = reply.out_mut().len();
                    refusal.write(args, &mut reply);
                    let out: &[u8] = reply.out_mut();
                    match refusal.command() {
                        Some(command) => core.counters.note_rejected(command.id, &out[start..]),
                        None => core.counters.note_error(&out[start..]),
                    }
                });
                return (Flow::Continue, None);
            }
        };
        if let Some(log) = worker.shards.log() {
            if log.queued_bytes() > LOG_QUEUE_BYTES_MAX {
                return (Flow::Stall, None);
            }
            if refuses(log, command) {
                self.answer(worker, client, me, |core, mut reply| {
                    reply.error(DISK_FULL);
                    core.counters.note_rejected(command.id, DISK_FULL_REPLY);
                });
                return (Flow::Continue, None);
            }
        }
        client.session.last_command = Some(command.id);
        let flow = match command.execution {
            Execution::Key(handler) => self.key(worker, client, me, (command, handler), args, planned.key),
            Execution::Keys { handler, merge } => {
                self.keys(worker, client, me, command, (handler, merge), args)
            }
            Execution::Connection(handler) => self.connection(worker, client, me, command, handler, args),
            Execution::SameShard(handler) => self.same_shard(worker, client, me, command, handler, args),
            Execution::Everywhere { handler, merge } => {
                self.everywhere(worker, client, me, command, Some(handler), GatherKind::Replies(merge), args)
            }
            Execution::Walk(_) => {
                self.everywhere(worker, client, me, command, None, GatherKind::Elements, args)
            }
            Execution::Scan(handler) => self.scan(worker, client, me, command, handler, args),
            Execution::Sessions { check, .. } => {
                if self.check_sessions(worker, client, me, command, check, args) {
                    self.everywhere(worker, client, me, command, None, GatherKind::Text, args)
                } else {
                    Flow::Continue
                }
            }
            Execution::Container => unreachable!("resolve never returns a container"),
        };
        let ran = matches!(flow, Flow::Continue | Flow::Stop).then_some(command.id);
        (flow, ran)
    }

    // ---- where it runs ----------------------------------------------------------------------------------------

    #[inline]
    fn key(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        (command, handler): (&'static Command, KeyHandler),
        args: Args<'_>,
        place: Option<(Slot, u32)>,
    ) -> Flow {
        let bytes = args.at(1);
        let key = match place {
            Some((slot, hash)) => Key { bytes, slot, hash },
            None => worker.shards.key(bytes),
        };
        if !worker.shards.owns(key.slot) {
            let owner = usize::from(self.owners[usize::from(key.slot.0)]);
            return self.forward(worker, client, me, command, owner, args);
        }
        let (db, protocol) = (client.session.db, client.session.protocol);
        let direct = client.slots.is_empty();
        let Self { server, counters, random, scratch, .. } = self;
        let out = if direct { client.output.bytes_mut() } else { scratch };
        let start = out.len();
        let mut context = KeyContext {
            store: &mut worker.shards,
            now: worker.clock.now,
            db,
            reply: ReplyWriter::new(out, protocol),
            settings: &server.settings,
            counters,
            random,
            key: Some(key),
        };
        handler(&mut context, args);
        if out.get(start) == Some(&b'-') {
            counters.note_reply(command.id, &out[start..]);
        }
        let barrier = worker.shards.take_barrier();
        self.written(worker, client, me, start, barrier);
        Flow::Continue
    }

    /// Sends the whole request to the worker that owns its keys.
    fn forward(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        command: &'static Command,
        owner: usize,
        args: Args<'_>,
    ) -> Flow {
        if !self.has_room(worker, client, owner, 1) {
            return Flow::Stall;
        }
        let slot = client.slots.open_waiting(source(command));
        self.send(worker, owner, address(me, slot, 0), command, &client.session, false, args.iter());
        Flow::Forwarded
    }

    fn keys(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        command: &'static Command,
        (handler, merge): (KeyHandler, Merge),
        args: Args<'_>,
    ) -> Flow {
        let mut owners = command.key_positions(args.len()).map(|at| self.owner_of(worker, args.at(at)));
        let first = owners.next().unwrap_or(worker.index);
        if owners.all(|owner| owner == first) {
            if first == worker.index {
                self.run_here(worker, client, me, command, handler, args);
                return Flow::Continue;
            }
            return self.forward(worker, client, me, command, first, args);
        }
        self.split(worker, client, me, command, (handler, merge), args)
    }

    /// Sends each worker the part of the request that is about its keys.
    fn split(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        command: &'static Command,
        (handler, merge): (KeyHandler, Merge),
        args: Args<'_>,
    ) -> Flow {
        let step = command.keys.map_or(1, |keys| keys.step);
        let workers = self.outboxes.len();
        let mut part_of_worker: Vec<Option<u16>> = vec![None; workers];
        let mut parts: Vec<(usize, Vec<&[u8]>)> = Vec::new();
        let mut order = Vec::new();
        for at in command.key_positions(args.len()) {
            let owner = self.owner_of(worker, args.at(at));
            let part = *part_of_worker[owner].get_or_insert_with(|| {
                parts.push((owner, vec![args.at(0)]));
                u16::try_from(parts.len() - 1).expect("workers are fewer than 2^16")
            });
            order.push(part);
            for offset in 0..step {
                // That each key has its value is known since the command was resolved.
                parts[usize::from(part)].1.extend(args.get(at + offset));
            }
        }
        if parts.iter().any(|(owner, _)| *owner != worker.index && !self.has_room(worker, client, *owner, 1))
        {
            return Flow::Stall;
        }
        let mut gather = Gather::new(GatherKind::Replies(merge), client.session.protocol, parts.len(), 0);
        gather.set_order(order);
        let slot = client.slots.open_gather(source(command), Box::new(gather));
        for (part, (owner, part_args)) in (0u16..).zip(parts) {
            let to = address(me, slot, part);
            if owner != worker.index {
                self.send(worker, owner, to, command, &client.session, true, part_args.into_iter());
                continue;
            }
            let mut joined = Requests::default();
            let session = &client.session;
            joined.push(to, command, (session.db, session.protocol), true, part_args.into_iter());
            let mut out = Vec::new();
            let barrier =
                self.run(worker, handler, &client.session, joined.args(&joined.commands[0]), &mut out);
            client.slots.fill(slot, part, &out, 0, barrier);
        }
        self.drain_slots(worker, client, me);
        Flow::Continue
    }

    fn same_shard(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        command: &'static Command,
        handler: KeyHandler,
        args: Args<'_>,
    ) -> Flow {
        // Let the handler say what is wrong with the arguments themselves before where the keys lie matters.
        let step = command.keys.map_or(1, |keys| keys.step);
        let whole = (args.len() - 1).is_multiple_of(step);
        let mut slots = command.key_positions(args.len()).map(|at| worker.shards.key(args.at(at)).slot);
        let Some(first) = slots.next() else {
            self.run_here(worker, client, me, command, handler, args);
            return Flow::Continue;
        };
        let shard_of = |slot: Slot| self.shard_of[usize::from(slot.0)];
        if whole && slots.any(|slot| shard_of(slot) != shard_of(first)) {
            drop(slots);
            self.answer(worker, client, me, |core, mut reply| {
                reply.error(error_text::DIFFERENT_SHARDS);
                core.counters.note_rejected(command.id, b"-ERR");
            });
            return Flow::Continue;
        }
        let owner = usize::from(self.owners[usize::from(first.0)]);
        if owner != worker.index {
            return self.forward(worker, client, me, command, owner, args);
        }
        self.run_here(worker, client, me, command, handler, args);
        Flow::Continue
    }

    fn scan(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        command: &'static Command,
        handler: KeyHandler,
        args: Args<'_>,
    ) -> Flow {
        let slot = crate::commands::scan::cursor_of(args).and_then(shard::shard_set::ScanCursor::slot);
        let owner = slot.map_or(worker.index, |slot| usize::from(self.owners[usize::from(slot.0)]));
        if owner != worker.index {
            return self.forward(worker, client, me, command, owner, args);
        }
        self.run_here(worker, client, me, command, handler, args);
        Flow::Continue
    }

    /// Every worker makes a part: with its handler at once, without one as a job of later turns.
    #[expect(clippy::too_many_arguments, reason = "the request and where it stands")]
    fn everywhere(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        command: &'static Command,
        handler: Option<KeyHandler>,
        kind: GatherKind,
        args: Args<'_>,
    ) -> Flow {
        let workers = self.outboxes.len();
        if (0..workers).any(|other| other != worker.index && !self.has_room(worker, client, other, 1)) {
            return Flow::Stall;
        }
        let random = self.draw();
        let gather = Gather::new(kind, client.session.protocol, workers, random);
        let slot = client.slots.open_gather(source(command), Box::new(gather));
        for (part, other) in (0u16..).zip(0..workers) {
            let to = address(me, slot, part);
            if other != worker.index {
                self.send(worker, other, to, command, &client.session, true, args.iter());
                continue;
            }
            match handler {
                Some(handler) => {
                    let mut out = Vec::new();
                    let barrier = self.run(worker, handler, &client.session, args, &mut out);
                    client.slots.fill(slot, part, &out, 0, barrier);
                }
                None => {
                    self.jobs.push_back(Job::new(worker.index, to, command, &client.session, args));
                    client.blocked = true;
                }
            }
        }
        self.drain_slots(worker, client, me);
        Flow::Continue
    }

    fn connection(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        command: &'static Command,
        handler: crate::commands::ConnectionHandler,
        args: Args<'_>,
    ) -> Flow {
        let direct = client.slots.is_empty();
        let Self { server, counters, scratch, .. } = self;
        let out = if direct { client.output.bytes_mut() } else { scratch };
        let start = out.len();
        let mut action = Action::None;
        let protocol = client.session.protocol;
        let mut context = ConnectionContext {
            session: &mut client.session,
            server,
            reply: ReplyWriter::new(out, protocol),
            now: worker.clock.now,
            action: &mut action,
            worker: worker.index,
        };
        handler(&mut context, args);
        counters.note_reply(command.id, &out[start..]);
        self.written(worker, client, me, start, BatchNumber::ZERO);
        match action {
            Action::None => Flow::Continue,
            Action::CloseAfterReply => {
                client.life = Life::Closing;
                Flow::Stop
            }
            Action::Shutdown(_) => Flow::Stop,
        }
    }

    fn check_sessions(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        command: &'static Command,
        check: fn(&mut ConnectionContext<'_>, Args<'_>) -> bool,
        args: Args<'_>,
    ) -> bool {
        let mut good = false;
        self.answer(worker, client, me, |_, _| {});
        let mut out = Vec::new();
        let mut action = Action::None;
        let protocol = client.session.protocol;
        let mut context = ConnectionContext {
            session: &mut client.session,
            server: &self.server,
            reply: ReplyWriter::new(&mut out, protocol),
            now: worker.clock.now,
            action: &mut action,
            worker: worker.index,
        };
        good |= check(&mut context, args);
        if !good {
            self.counters.note_reply(command.id, &out);
            self.answer(worker, client, me, |_, mut reply| reply.out_mut().extend_from_slice(&out));
        }
        good
    }

    // ---- running ----------------------------------------------------------------------------------------------

    /// Runs a handler on this worker's shards, its reply appended to `out`. Returns the batch that the reply waits
    /// for.
    pub(crate) fn run(
        &mut self,
        worker: &mut Worker<Service>,
        handler: KeyHandler,
        session: &Session,
        args: Args<'_>,
        out: &mut Vec<u8>,
    ) -> BatchNumber {
        self.run_for(worker, handler, session.db, session.protocol, args, out)
    }

    /// As [`Self::run`], for a session that may be another worker's.
    pub(crate) fn run_for(
        &mut self,
        worker: &mut Worker<Service>,
        handler: KeyHandler,
        db: shard::types::Db,
        protocol: resp::Protocol,
        args: Args<'_>,
        out: &mut Vec<u8>,
    ) -> BatchNumber {
        let mut context = KeyContext {
            store: &mut worker.shards,
            now: worker.clock.now,
            db,
            reply: ReplyWriter::new(out, protocol),
            settings: &self.server.settings,
            counters: &mut self.counters,
            random: &mut self.random,
            key: None,
        };
        handler(&mut context, args);
        worker.shards.take_barrier()
    }

    fn run_here(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        command: &'static Command,
        handler: KeyHandler,
        args: Args<'_>,
    ) {
        let mut out = std::mem::take(&mut self.scratch);
        let barrier = self.run(worker, handler, &client.session, args, &mut out);
        self.counters.note_reply(command.id, &out);
        self.scratch = out;
        if client.slots.is_empty() {
            let start = client.output.len();
            client.output.bytes_mut().append(&mut self.scratch);
            self.written(worker, client, me, start, barrier);
        } else {
            self.written(worker, client, me, 0, barrier);
        }
    }

    /// Writes a reply that waits for nothing.
    pub(crate) fn answer(
        &mut self,
        worker: &Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        write: impl FnOnce(&mut Self, ReplyWriter<'_>),
    ) {
        let protocol = client.session.protocol;
        if client.slots.is_empty() {
            write(self, ReplyWriter::new(client.output.bytes_mut(), protocol));
        } else {
            let mut out = std::mem::take(&mut self.scratch);
            write(self, ReplyWriter::new(&mut out, protocol));
            self.scratch = out;
            self.written(worker, client, me, 0, BatchNumber::ZERO);
        }
    }

    /// A reply was written: to the output from `start` on, or to the scratch buffer when earlier ones are missing.
    #[inline]
    fn written(
        &mut self,
        worker: &Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        start: usize,
        barrier: BatchNumber,
    ) {
        if client.slots.is_empty() {
            if barrier > worker.shards.released() && client.output.wait_from(start, barrier) {
                self.waiting.add(barrier, me);
            }
            return;
        }
        if !self.scratch.is_empty() {
            client.slots.push_ready(SlotBytes::from_slice(&self.scratch), barrier);
            self.scratch.clear();
            self.scratch.shrink_to(KEPT_BUFFER_BYTES);
        }
    }

    /// Moves the longest finished prefix of replies to the output.
    pub(crate) fn drain_slots(&mut self, worker: &Worker<Service>, client: &mut Client, me: (u32, u32)) {
        while let Some((bytes, barrier)) = client.slots.pop_ready() {
            let start = client.output.len();
            client.output.bytes_mut().extend_from_slice(&bytes);
            if barrier > worker.shards.released() && client.output.wait_from(start, barrier) {
                self.waiting.add(barrier, me);
            }
        }
        if client.slots.is_empty() {
            client.blocked = false;
        }
    }

    // ---- other workers ----------------------------------------------------------------------------------------

    fn owner_of(&self, worker: &Worker<Service>, key: &[u8]) -> usize {
        let _ = worker;
        usize::from(self.owners[usize::from(shard::slot::slot_of(key).0)])
    }

    /// Whether a worker can take so many more commands, and the connection so many more open replies.
    fn has_room(&self, worker: &Worker<Service>, client: &Client, other: usize, commands: usize) -> bool {
        let queued = self.outboxes[other].as_ref().map_or(0, |outbox| outbox.commands.len());
        let credits = worker.links[other].as_ref().map_or(0, engine::mailbox::Link::credits);
        credits >= queued + commands
            && client.slots.len() < REPLY_SLOTS_MAX
            && self.remote_bytes[other] <= REMOTE_BYTES_MAX
    }

    #[expect(clippy::too_many_arguments, reason = "what is sent, for whom and to whom")]
    fn send<'a>(
        &mut self,
        worker: &mut Worker<Service>,
        other: usize,
        to: Address,
        command: &'static Command,
        session: &Session,
        is_part: bool,
        args: impl Iterator<Item = &'a [u8]>,
    ) {
        let spare = &mut self.spare_requests;
        let outbox = self.outboxes[other].get_or_insert_with(|| spare.pop().unwrap_or_default());
        self.remote_bytes[other] += outbox.push(to, command, (session.db, session.protocol), is_part, args);
        self.counters.add(Counter::HopsOut, 1);
        if outbox.bytes_len() > MESSAGE_BYTES {
            self.post(worker, other);
        }
    }

    /// Hands a worker what has been collected for it.
    pub(crate) fn post(&mut self, worker: &mut Worker<Service>, other: usize) {
        if let Some(outbox) = self.outboxes[other].take() {
            let answers = outbox.commands.len();
            let link = worker.links[other].as_mut().expect("every other worker has a link");
            link.send(outbox, answers);
        }
    }

    pub(crate) fn recycle_requests(&mut self, mut requests: Box<Requests>) {
        if self.spare_requests.len() < KEPT_MESSAGES_MAX {
            requests.clear();
            self.spare_requests.push(requests);
        }
    }

    pub(crate) fn recycle_buffer(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= KEPT_BUFFER_BYTES && self.spare_buffers.len() < KEPT_BUFFERS_MAX {
            buffer.clear();
            self.spare_buffers.push(buffer);
        }
    }

    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// One bounded step of a command that goes over all keys. Whether it is done, and what it waits for.
    pub(crate) fn walk_step(
        &mut self,
        worker: &mut Worker<Service>,
        step: fn(&mut KeyContext<'_>, Args<'_>, &mut WalkState) -> bool,
        job: &mut Job,
    ) -> (bool, BatchNumber) {
        let mut unused = Vec::new();
        let mut state = std::mem::take(&mut job.state);
        let mut context = KeyContext {
            store: &mut worker.shards,
            now: worker.clock.now,
            db: job.db,
            reply: ReplyWriter::new(&mut unused, job.protocol),
            settings: &self.server.settings,
            counters: &mut self.counters,
            random: &mut self.random,
            key: None,
        };
        let done = step(&mut context, job.args(), &mut state);
        job.state = state;
        let barrier = worker.shards.take_barrier();
        (done, barrier)
    }

    /// The session of a connection just accepted.
    pub(crate) fn new_session(&self, socket: &Fd, peer: Peer, now: UnixMs) -> Session {
        let id = self.server.next_client_id();
        let fd = socket.as_raw_fd();
        if peer == Peer::Unix {
            let path = self.server.options.unix_socket.as_deref().unwrap_or(Path::new(""));
            let name = format!("{}:0", path.display());
            return Session::new(id, name.clone(), name, true, fd, now);
        }
        // A peer that is gone already has no address; its connection ends with the first receive.
        let text = |address: std::io::Result<SocketAddress>| {
            address.map_or_else(|_| "?:0".to_owned(), |address| address.to_string())
        };
        Session::new(id, text(socket.peer_address()), text(socket.local_address()), false, fd, now)
    }

    /// Publishes this worker's figures.
    pub(crate) fn publish(&mut self, worker: &Worker<Service>, connections: usize) {
        let counters = &mut self.counters;
        counters.set(Counter::Connections, connections as u64);
        counters.set(Counter::HeartbeatMs, worker.clock.now.0);
        counters.set(Counter::Turns, worker.turns());
        if worker.clock.now_ns >= self.next_figures_ns {
            self.next_figures_ns = worker.clock.now_ns + FIGURES_NS;
            self.figures.collect(counters, worker);
        } else if !worker.turns().is_multiple_of(PUBLISH_TURNS) {
            return;
        }
        let epoch = self.server.stats_epoch();
        self.server.workers[worker.index].publish(counters, epoch);
    }
}

pub(crate) const DISK_FULL: &str = "MISCONF the disk is too full for another log segment: writes are refused until \
                                    space is freed on the file system of --dir; reads and deletes go on";
pub(crate) const DISK_FULL_REPLY: &[u8] = b"-MISCONF";

/// How large the replies of a command may be.
fn source(command: &Command) -> Source {
    if command.flags.contains(Flags::WRITE) { Source::Write } else { Source::Read }
}

/// Whether there is no space to log what this command would write.
pub(crate) fn refuses<P: BlockPool>(log: &Log<P>, command: &Command) -> bool {
    command.flags.contains(Flags::DENYOOM) && matches!(log.space(), LogSpace::Low { .. })
}

fn address((connection, generation): (u32, u32), slot: u64, part: u16) -> Address {
    Address { connection, generation, slot, part, request_bytes: 0 }
}
