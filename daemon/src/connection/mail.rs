//! What workers send each other, read and answered: commands of other workers run here, replies of theirs fill the
//! slots of our connections, and replies that wait for our log are held until they may leave.

use std::collections::VecDeque;

use engine::worker::Worker;
use resp::ReplyWriter;
use shard::types::BatchNumber;

use super::disk_full::{DISK_FULL, DISK_FULL_REPLY, refuses};
use super::job::Job;
use super::limits::{LOG_QUEUE_BYTES_MAX, MESSAGE_BYTES};
use super::message::{Address, Replies, Requests};
use super::service::Service;
use crate::commands::Execution;
use crate::server::Counter;

/// Requests of one other worker.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) messages: VecDeque<Box<Requests>>,
    /// Commands of the first message that have run.
    next: usize,
}

impl Service {
    pub(super) fn serve_mail(&mut self, worker: &mut Worker<Service>) {
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

    fn take_replies(&mut self, worker: &mut Worker<Service>, other: usize, replies: Box<Replies>) {
        for reply in &replies.replies {
            self.core.remote_bytes[other] -= reply.address.request_bytes;
            let bytes = replies.bytes_of(reply);
            self.deliver(worker, reply.address, bytes, reply.count, BatchNumber::ZERO);
        }
        self.core.held.recycle(replies);
    }

    /// Fills a slot of a connection, if it is still there.
    pub(super) fn deliver(
        &mut self,
        worker: &mut Worker<Service>,
        address: Address,
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
    fn serve_inbox(&mut self, worker: &mut Worker<Service>, other: usize) {
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
        worker: &mut Worker<Service>,
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
                | Execution::Configure { apply: handler, .. }
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

    pub(super) fn send_mail(&mut self, worker: &mut Worker<Service>) {
        for other in 0..worker.links.len() {
            self.core.post(worker, other);
        }
        self.release_held(worker);
    }

    fn release_held(&mut self, worker: &mut Worker<Service>) {
        let mark = worker.shards.released();
        while let Some((other, replies)) = self.core.held.pop(mark) {
            if replies.replies.is_empty() {
                self.core.held.recycle(replies);
                continue;
            }
            worker.links[other].as_mut().expect("who asked has a link").reply(replies);
        }
    }
}
