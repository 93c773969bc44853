//! Running handlers on this worker's shards.

use engine::worker::Worker;
use resp::{Args, Protocol, ReplyWriter};
use shard::types::{BatchNumber, Db};

use super::connection::Client;
use super::core::Core;
use super::routes::{Flow, Request};
use super::service::Service;
use crate::commands::{KeyContext, KeyHandler};
use crate::session::Session;
use crate::tracking::ClientPlace;

impl Core {
    /// Runs a handler on this worker's shards, its reply appended to `out`. Returns the batch that the reply waits
    /// for.
    pub(crate) fn run(
        &mut self,
        worker: &mut Worker<Service>,
        handler: KeyHandler,
        (session, me): (&Session, (u32, u32)),
        args: Args<'_>,
        out: &mut Vec<u8>,
    ) -> BatchNumber {
        let who = ClientPlace::new(worker.index, me);
        self.run_for(worker, handler, (session.db, session.protocol, who), args, out)
    }

    /// As [`Self::run`], for a session that may be another worker's.
    pub(crate) fn run_for(
        &mut self,
        worker: &mut Worker<Service>,
        handler: KeyHandler,
        (db, protocol, who): (Db, Protocol, ClientPlace),
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
            events: &mut self.events,
            key: None,
        };
        handler(&mut context, args);
        let barrier = worker.shards.take_barrier();
        if self.has_events(worker) {
            self.publish_events(worker, barrier, Some(who));
        }
        barrier
    }

    /// Runs a request here, or puts it aside until what it looks at is in memory.
    pub(super) fn run_here(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        handler: KeyHandler,
    ) -> Flow {
        if worker.shards.may_wait()
            && let Some(flow) = self.park(worker, client, request)
        {
            return flow;
        }
        let Request { me, command, args } = request;
        let mut out = std::mem::take(&mut self.scratch);
        let barrier = self.run(worker, handler, (&client.session, me), args, &mut out);
        self.counters.note_reply(command.id, &out);
        self.scratch = out;
        if client.slots.is_empty() {
            let start = client.output.appended_len();
            client.output.bytes_mut().append(&mut self.scratch);
            self.written(worker, client, me, start, barrier);
        } else {
            self.written(worker, client, me, 0, barrier);
        }
        Flow::Continue
    }
}
