//! Commands for other workers: whether there is room for one, and how it gets there.

use engine::worker::Worker;

use super::connection::Client;
use super::core::Core;
use super::limits::{
    ASKED_MAX, ERRANDS_MAX, KEPT_MESSAGES_BYTES_MAX, MESSAGE_BYTES, PUBLISH_CREDITS, READ_CREDITS,
    REMOTE_BYTES_MAX, REMOTE_WRITE_BYTES_MAX, REPLY_SLOTS_MAX,
};
use super::message::{Address, Requests, Task};
use super::reply_slots::Source;
use super::service::Service;
use super::swapping::is_apart;
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
        self.credits(worker, other).saturating_sub(PUBLISH_CREDITS) >= commands
            // Behind what waits to be asked for nothing is sent: so little is put off at one time.
            && client.deferred.is_empty()
            && client.slots.len() < REPLY_SLOTS_MAX
            && self.remote_bytes[other] <= REMOTE_BYTES_MAX
    }

    /// As [`Self::has_room`], for one command. Writes may wait for the drive where they go: they leave some room to reads,
    /// which do not wait for it.
    pub(super) fn has_room_for(
        &self,
        worker: &Worker<Service>,
        client: &Client,
        other: usize,
        command: &Command,
    ) -> bool {
        let leaves_room = || {
            self.remote_bytes[other] <= REMOTE_WRITE_BYTES_MAX
                && self.credits(worker, other) > PUBLISH_CREDITS + READ_CREDITS
        };
        self.has_room(worker, client, other, 1) && (!command.is_write() || leaves_room())
    }

    /// Answers that another worker can still be asked for.
    pub(super) fn credits(&self, worker: &Worker<Service>, other: usize) -> usize {
        let queued = self.outboxes[other].as_ref().map_or(0, |outbox| outbox.commands.len());
        let credits = worker.links[other].as_ref().map_or(0, engine::mailbox::Link::credits);
        credits.saturating_sub(queued + ERRANDS_MAX)
    }

    /// What is collected for another worker.
    pub(super) fn outbox(&mut self, other: usize) -> &mut Requests {
        let Self { outboxes, spare_requests, spare_requests_bytes, .. } = self;
        outboxes[other].get_or_insert_with(|| {
            let outbox = spare_requests.pop().unwrap_or_default();
            *spare_requests_bytes -= outbox.memory_bytes();
            outbox
        })
    }

    fn send_task(&mut self, other: usize, to: Address, task: Task) {
        let outbox = self.outbox(other);
        outbox.push_task(to, task);
    }

    /// Asks for replies that were put off, when the client has read what it had, or can read nothing before the first
    /// of them comes.
    pub(super) fn ask_for_deferred(&mut self, worker: &Worker<Service>, client: &mut Client, me: (u32, u32)) {
        let Some(&(_, owner)) = client.deferred.first() else { return };
        if !client.can_ask() || self.swapping.holds_asking() {
            return;
        }
        let has_room = client.has_room();
        let most = if has_room { ASKED_MAX } else { 1 }
            .min(self.credits(worker, owner).saturating_sub(PUBLISH_CREDITS));
        while client.asked < most
            && let Some(&(slot, of)) = client.deferred.first()
            && of == owner
        {
            client.deferred.remove(&(slot, of));
            self.send_task(owner, address(me, slot, 0), Task::Next { has_room: client.asked == 0 });
            client.asked += 1;
        }
        if client.asked == 0 {
            self.askers.push(me);
        }
    }

    /// Tells other workers which connections are gone that had commands put off there.
    pub(super) fn send_forgotten(&mut self, worker: &Worker<Service>) {
        for (other, me) in std::mem::take(&mut self.forgotten) {
            if self.credits(worker, other) > PUBLISH_CREDITS {
                self.send_task(other, address(me, 0, 0), Task::Forget);
            } else {
                self.forgotten.push((other, me));
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what is sent, for whom and to whom")]
    pub(super) fn send<'a>(
        &mut self,
        worker: &mut Worker<Service>,
        other: usize,
        mut to: Address,
        command: &'static Command,
        session: &Session,
        is_part: bool,
        args: impl Iterator<Item = &'a [u8]>,
    ) {
        to.tracks = self.tracking.is_on;
        to.is_apart = is_apart(command);
        let outbox = self.outbox(other);
        let bytes = outbox.push(to, command, (session.db, session.protocol), is_part, args);
        let is_full = outbox.bytes_len() > MESSAGE_BYTES;
        self.remote_bytes[other] += bytes;
        if to.is_apart {
            self.apart_bytes += bytes;
        }
        self.counters.add(Counter::HopsOut, 1);
        if is_full {
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
        requests.clear();
        let bytes = requests.memory_bytes();
        if self.spare_requests_bytes + bytes <= KEPT_MESSAGES_BYTES_MAX {
            self.spare_requests_bytes += bytes;
            self.spare_requests.push(requests);
        }
    }
}

/// How large the replies of a command may be.
pub(super) fn source(command: &Command) -> Source {
    if command.flags.contains(Flags::WRITE) { Source::Write } else { Source::Read }
}

pub(super) fn address((connection, generation): (u32, u32), slot: u64, part: u16) -> Address {
    Address {
        connection,
        generation,
        slot,
        part,
        request_bytes: 0,
        is_apart: false,
        asked: false,
        tracks: false,
    }
}
