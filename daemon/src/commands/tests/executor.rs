//! Runs requests in process: one worker that owns all shards, one session. What the router does between workers is
//! not part of it.

use engine::pool::Pool;
use resp::{Args, Parsed, ReplyWriter, RequestLimits, RequestParser};
use shard::key::KeyHasher;
use shard::shard::Shard;
use shard::types::{Db, SLOT_COUNT, ShardId, Term, UnixMs};

use crate::commands::store::Store;
use crate::commands::{
    Action, Command, ConnectionContext, Execution, KeyContext, KeyHandler, Merge, WalkState, resolve,
};
use crate::options::Options;
use crate::server::{Counter, Server, WorkerCounters};
use crate::session::Session;

const SHARD_COUNT: u16 = 16;

/// A server in one thread, without sockets.
pub(super) struct Executor {
    pub(super) store: Store,
    pub(super) server: Server,
    pub(super) session: Session,
    pub(super) counters: WorkerCounters,
    pub(super) action: Action,
    requests: std::sync::mpsc::Receiver<crate::server::ShutdownRequest>,
    now: UnixMs,
    random: u64,
    events: crate::pubsub::Events,
}

impl Executor {
    pub(super) fn new() -> Self {
        Self::with_options(Options::for_tests())
    }

    pub(super) fn with_options(options: Options) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = UnixMs(u64::try_from(now.as_millis()).unwrap());
        let slots = |id| id * (SLOT_COUNT / SHARD_COUNT)..(id + 1) * (SLOT_COUNT / SHARD_COUNT);
        let shards = (0..SHARD_COUNT).map(|id| Shard::new(ShardId(id), slots(id), Term(1), now)).collect();
        let store = Store::new(shards, KeyHasher::new([7; 16]), Pool::new(0, 0).unwrap(), None);
        let (server, requests) = Server::new(options, [0xab; 20], now);
        let identity = crate::acl::Identity::new(server.acl.default_user());
        let session = Session::new(
            server.next_client_id(),
            identity,
            "/tmp/x:0".into(),
            "/tmp/x:0".into(),
            true,
            8,
            engine::clock::Clock { now, now_ns: now.0 * 1_000_000 },
        );
        let counters = WorkerCounters::default();
        Self {
            store,
            server,
            session,
            counters,
            action: Action::None,
            requests,
            now,
            random: 1,
            events: Default::default(),
        }
    }

    pub(super) fn advance(&mut self, ms: u64) {
        self.now.0 += ms;
    }

    /// What a worker does between requests.
    pub(super) fn tick(&mut self) {
        while self.store.tick(self.now, 0, 64) {}
    }

    pub(super) fn shutdown_request(&self) -> Option<crate::server::ShutdownRequest> {
        self.requests.try_recv().ok()
    }

    /// Runs one request as bytes and returns the reply's bytes.
    pub(super) fn run(&mut self, request: &[u8]) -> Vec<u8> {
        let mut parser = RequestParser::new();
        let parsed = parser.parse(request, &RequestLimits::default()).unwrap();
        assert_eq!(parsed, Parsed::Request { consumed: request.len() });
        self.run_args(parser.args(request))
    }

    /// Runs one request and returns the reply's bytes.
    pub(super) fn run_args(&mut self, args: Args<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        match resolve(args) {
            Err(refusal) => {
                refusal.write(args, &mut ReplyWriter::new(&mut out, self.session.protocol));
                match refusal.command() {
                    Some(command) => self.counters.note_rejected(command.id, &out),
                    None => self.counters.note_error(&out),
                }
            }
            Ok(command) => {
                self.session.last_command = Some(command.id);
                self.execute(command, args, &mut out);
                self.counters.note_calls(command.id, 1, 1000);
                self.counters.note_reply(command.id, &out);
            }
        }
        for (db, figures) in (0..).map(Db).zip(&mut self.counters.databases) {
            figures.keys = self.store.key_count(db);
        }
        let keys = self.counters.databases.iter().map(|figures| figures.keys).sum();
        self.counters.set(Counter::Keys, keys);
        self.server.workers[0].publish(&mut self.counters);
        self.store.take_barrier();
        out
    }

    fn execute(&mut self, command: &Command, args: Args<'_>, out: &mut Vec<u8>) {
        match command.execution {
            Execution::Connection(handler) => handler(&mut self.connection(out), args),
            Execution::Key(handler) | Execution::Scan(handler) | Execution::SameShard(handler) => {
                handler(&mut self.key(out), args);
            }
            Execution::Checked { check, handler } => {
                if check(&mut self.connection(out), args) {
                    handler(&mut self.key(out), args);
                }
            }
            Execution::Keys { handler, .. } => handler(&mut self.key(out), args),
            Execution::Together(handlers) => (handlers.here)(&mut self.key(out), args),
            Execution::Everywhere { handler, merge } => self.everywhere(handler, merge, args, out),
            Execution::Walk(step) => {
                let mut state = WalkState::default();
                let mut steps = 0;
                while !step(&mut self.key(&mut Vec::new()), args, &mut state) {
                    steps += 1;
                    assert!(steps < 1_000_000, "a walk ends");
                }
                ReplyWriter::new(out, self.session.protocol).array(state.count);
                out.extend_from_slice(&state.out);
            }
            Execution::Sessions { check, list } => {
                if check(&mut self.connection(out), args) {
                    let mut text = Vec::new();
                    list(&self.session, args, self.now, &mut text);
                    ReplyWriter::new(out, self.session.protocol).verbatim("txt", &text);
                }
            }
            Execution::EndSessions { check, picks } => {
                if check(&mut self.connection(out), args) {
                    let ended = picks(&self.session, args, true, self.now);
                    let mut reply = ReplyWriter::new(out, self.session.protocol);
                    match args.len() {
                        3 if ended => reply.ok(),
                        3 => reply.error(crate::commands::error_text::NO_SUCH_CLIENT),
                        _ => reply.integer(i64::from(ended)),
                    }
                }
            }
            Execution::Configure { check, apply } | Execution::Track { check, apply } => {
                if check(&mut self.connection(out), args) {
                    apply(&mut self.key(out), args);
                }
            }
            Execution::SwapDatabases(pair) => {
                if let Some((first, second)) = pair(&mut self.connection(out), args) {
                    self.store.show_databases(self.store.databases().swapped(first, second));
                    ReplyWriter::new(out, self.session.protocol).ok();
                }
            }
            Execution::AwaitSave(check) => {
                if check(&mut self.connection(out), args) {
                    ReplyWriter::new(out, self.session.protocol).ok();
                }
            }
            Execution::Storage { check, task, .. } => {
                if check(&mut self.connection(out), args) {
                    let mut reply = ReplyWriter::new(out, self.session.protocol);
                    match shard::shard_set::StorageTask::begin(task, &mut self.store) {
                        Ok(_) => reply.ok(),
                        Err(error) => reply.error(&format!("ERR {error}")),
                    }
                }
            }
            Execution::Monitor => ReplyWriter::new(out, self.session.protocol).ok(),
            // The connection layer does it; here nobody listens.
            Execution::Subscribe(_) | Execution::Publish { .. } => {
                ReplyWriter::new(out, self.session.protocol).integer(0);
            }
            Execution::Subscriptions { check, tell, .. } => {
                if check(&mut self.connection(out), args) {
                    let mut elements = Vec::new();
                    let count = tell(&crate::pubsub::Subscriptions::default(), args, &mut elements);
                    ReplyWriter::new(out, self.session.protocol).array(count);
                    out.extend_from_slice(&elements);
                }
            }
            Execution::Container => panic!("a container is never resolved"),
        }
    }

    fn everywhere(&mut self, handler: KeyHandler, merge: Merge, args: Args<'_>, out: &mut Vec<u8>) {
        if merge == Merge::Concatenate {
            ReplyWriter::new(out, self.session.protocol).array(1);
        }
        handler(&mut self.key(out), args);
        if merge == Merge::WeightedPick {
            // Of one worker: what follows the count.
            assert_eq!(out.drain(..4).as_slice(), b"*2\r\n");
            let end = out.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
            out.drain(..end);
        }
    }

    fn key<'a>(&'a mut self, out: &'a mut Vec<u8>) -> KeyContext<'a> {
        KeyContext {
            store: &mut self.store,
            now: self.now,
            db: self.session.db,
            reply: ReplyWriter::new(out, self.session.protocol),
            settings: &self.server.settings,
            counters: &mut self.counters,
            random: &mut self.random,
            events: &mut self.events,
            key: None,
        }
    }

    fn connection<'a>(&'a mut self, out: &'a mut Vec<u8>) -> ConnectionContext<'a> {
        ConnectionContext {
            reply: ReplyWriter::new(out, self.session.protocol),
            session: &mut self.session,
            server: &self.server,
            now: self.now,
            now_ns: self.now.0 * 1_000_000,
            action: &mut self.action,
            worker: 0,
        }
    }
}
