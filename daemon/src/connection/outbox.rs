//! Commands for other workers: whether there is room for one, and how it gets there.

use engine::worker::Worker;

use super::connection::Client;
use super::core::Core;
use super::limits::{KEPT_MESSAGES_MAX, MESSAGE_BYTES, REMOTE_BYTES_MAX, REPLY_SLOTS_MAX};
use super::message::{Address, Requests};
use super::reply_slots::Source;
use super::service::Service;
use crate::commands::{Command, Flags};
use crate::server::Counter;
use crate::session::Session;

impl Core {
    pub(super) fn owner_of(&self, worker: &Worker<Service>, key: &[u8]) -> usize {
        let _ = worker;
        usize::from(self.owners[usize::from(shard::slot::slot_of(key).0)])
    }

    /// Whether a worker can take so many more commands, and the connection so many more open replies.
    pub(super) fn has_room(
        &self,
        worker: &Worker<Service>,
        client: &Client,
        other: usize,
        commands: usize,
    ) -> bool {
        let queued = self.outboxes[other].as_ref().map_or(0, |outbox| outbox.commands.len());
        let credits = worker.links[other].as_ref().map_or(0, engine::mailbox::Link::credits);
        credits >= queued + commands
            && client.slots.len() < REPLY_SLOTS_MAX
            && self.remote_bytes[other] <= REMOTE_BYTES_MAX
    }

    #[expect(clippy::too_many_arguments, reason = "what is sent, for whom and to whom")]
    pub(super) fn send<'a>(
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
}

/// How large the replies of a command may be.
pub(super) fn source(command: &Command) -> Source {
    if command.flags.contains(Flags::WRITE) { Source::Write } else { Source::Read }
}

pub(super) fn address((connection, generation): (u32, u32), slot: u64, part: u16) -> Address {
    Address { connection, generation, slot, part, request_bytes: 0 }
}
