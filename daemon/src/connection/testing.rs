//! A worker and its service without a thread that drives them: a test decides what happens, in which order, and when.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, mpsc::Sender};

use engine::disk_store::{self, DiskStoreConfig};
use engine::files::StoreLock;
use engine::mailbox::{Link, Sleep};
use engine::start::WorkerSeed;
use engine::store::{OpenStore, open_in_memory, slot_owners};
use engine::worker::{Service as _, Worker, WorkerParts};
use ring::{Fd, Ring, RingConfig};
use shard::log::{LogConfig, SyncMethod};
use shard::shard_set::StorageConfig;
use tempfile::TempDir;

use super::connection::Connection;
use super::core::{Core, SlotMap};
use super::inbox::Inbox;
use super::job::Job;
use super::message::{Control, Peer, Replies, Requests};
use super::outbox::address;
use super::service::{Service, Shared};
use crate::commands::lookup_command;
use crate::options::Options;
use crate::server::{Server, ShutdownRequest};
use resp::Protocol;
use shard::types::Db;

/// Worker 0 of two; the other one is a mailbox that nobody reads.
pub(super) struct Driven {
    pub(super) worker: Worker<Service>,
    pub(super) service: Service,
    _other: Link<Box<Requests>, Box<Replies>>,
    _control: Sender<Control>,
    _requests: Receiver<ShutdownRequest>,
    _directory: Option<(TempDir, StoreLock)>,
}

impl Driven {
    pub(super) fn in_memory() -> Self {
        Self::on(open_in_memory(2, 2, &[]).unwrap(), None)
    }

    pub(super) fn with_log() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let lock = StoreLock::acquire(temp.path()).unwrap();
        let config = DiskStoreConfig {
            directory: temp.path().to_path_buf(),
            workers: 2,
            cpus: Vec::new(),
            shards: 2,
            shards_given: false,
            wal: true,
            log: LogConfig { segment_bytes: 2 << 20, sync: SyncMethod::Fdatasync, ..LogConfig::default() },
            storage: StorageConfig::default(),
        };
        let store = disk_store::open(&config, &lock).unwrap();
        Self::on(store.open, Some((temp, lock)))
    }

    fn on(store: OpenStore, directory: Option<(TempDir, StoreLock)>) -> Self {
        let (owners, shards) = slot_owners(&store.manifest);
        let map = SlotMap { owners: owners.into(), shards: shards.into() };
        let options = Options { workers: 2, ..Options::for_tests() };
        let clock = engine::clock::Clock::read();
        let (server, requests) = Server::new(options, [0; 20], clock.now);
        let server = Arc::new(server);
        let mut service =
            Service::new(Arc::clone(&server), Arc::new(Shared::default()), &map, Vec::new(), Vec::new(), 1);
        service.core = Core::new(server, &map, 2, 1);
        service.inboxes = (0..2).map(|_| Inbox::default()).collect();
        let ring = Ring::new(&RingConfig::default()).unwrap();
        let (waker, sleep) = (ring.waker(), Arc::new(Sleep::default()));
        let (link, other) = Link::pair((&waker, &sleep), (&waker, &sleep));
        let (sender, control) = channel();
        let WorkerSeed { shards, .. } = store.seeds.into_iter().next().unwrap();
        let worker = Worker::new(WorkerParts {
            index: 0,
            ring,
            shards,
            links: vec![None, Some(link)],
            io: None,
            control,
            sleep,
        });
        Self { worker, service, _other: other, _control: sender, _requests: requests, _directory: directory }
    }

    /// A new connection, and what its client has of it.
    pub(super) fn connect(&mut self) -> ((u32, u32), UnixStream) {
        let (client, ours) = UnixStream::pair().unwrap();
        let socket = Fd::from(OwnedFd::from(ours));
        let session = self.service.core.new_session(&socket, Peer::Unix, self.worker.clock);
        let connection = Connection::new(socket, session, None);
        (self.service.connections.insert(Box::new(connection)), client)
    }

    pub(super) fn connection(&mut self, me: (u32, u32)) -> &mut Connection {
        self.service.connections.get_mut(me.0, me.1).unwrap()
    }

    /// A piece of what a client has sent arrives.
    pub(super) fn receive(&mut self, me: (u32, u32), bytes: &[u8]) {
        let mut connection = self.service.connections.take(me.0, me.1).unwrap();
        self.service.take_bytes(&mut self.worker, &mut connection, me, bytes);
        self.service.connections.put(me.0, connection);
    }

    /// What comes between the completions of a turn and its sends.
    pub(super) fn turn(&mut self) {
        self.service.turn(&mut self.worker);
    }
}

/// A request of a client of the other worker.
pub(super) fn request(words: &[&str]) -> Box<Requests> {
    let mut requests = Box::<Requests>::default();
    let command = lookup_command(words[0].as_bytes()).unwrap();
    let words = words.iter().map(|word| word.as_bytes());
    requests.push(address((0, 0), 0, 0), command, (Db(0), Protocol::Resp2), false, words);
    requests
}

/// The same, put aside.
pub(super) fn job(words: &[&str]) -> Job {
    let requests = request(words);
    let command = lookup_command(words[0].as_bytes()).unwrap();
    let of = (Db(0), Protocol::Resp2);
    Job::of_parts(1, address((0, 0), 0, 0), command, of, requests.args(&requests.commands[0]))
}
