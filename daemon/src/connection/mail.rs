//! What workers send each other, read and answered: commands of other workers run here, replies of theirs fill the
//! slots of our connections, and replies that wait for our log are held until they may leave.

use engine::worker::Worker;
use resp::{Args, ReplyWriter};
use shard::shard_set::SpaceFor;
use shard::types::{BatchNumber, Db};

use super::allowance::NextCommand;
use super::disk_full::{DISK_FULL_REPLY, disk_full, space_for};
use super::errand::ERRANDS;
use super::job::Job;
use super::limits::MESSAGE_BYTES;
use super::message::{Address, Outcome, RemoteCommand, Replies, Requests, Task};
use super::room::{OUT_OF_MEMORY, OUT_OF_MEMORY_REPLY, is_log_full};
use super::service::Service;
use super::tracking::place_of;
use crate::commands::{Command, Execution, Flags, TogetherHandlers};
use crate::server::Counter;

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
                // What lets keys go waits behind nothing: what is before it may wait for those keys.
                for request in &requests.commands {
                    if matches!(request.task, Task::Publish { .. } | Task::Invalidate | Task::Show) {
                        self.take_told(worker, other, &requests, request);
                    }
                    if let Task::Settle(command) = request.task {
                        let job = Job::of_parts(
                            other,
                            request.address,
                            command,
                            (request.db, request.protocol),
                            requests.args(request),
                        );
                        self.settle(worker, job);
                    }
                }
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
            if reply.address.is_apart {
                self.core.apart_bytes -= reply.address.request_bytes;
            }
            match reply.outcome {
                Outcome::Reply => {
                    let bytes = replies.bytes_of(reply);
                    self.deliver(worker, reply.address, bytes, reply.count, BatchNumber::ZERO);
                }
                Outcome::Deferred => self.on_deferred(other, reply.address),
                Outcome::Done => {}
            }
        }
        self.name_slow(other, &replies.slow);
        self.core.held.recycle(replies);
    }

    /// A worker has put a command off: it is asked for when the connection has room.
    fn on_deferred(&mut self, other: usize, address: Address) {
        let me = (address.connection, address.generation);
        let Some(mut connection) = self.connections.take(me.0, me.1) else {
            self.core.forgotten.push((other, me));
            return;
        };
        let client = &mut connection.client;
        client.asked -= usize::from(address.asked);
        let is_new = client.deferred.insert((address.slot, other));
        assert!(is_new, "a worker makes one part of a reply");
        self.mark_dirty(&mut connection, me);
        self.connections.put(me.0, connection);
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
        if address.connection == ERRANDS {
            self.on_errand(worker, address.slot, bytes, barrier);
            return;
        }
        let me = (address.connection, address.generation);
        let Some(mut connection) = self.connections.take(me.0, me.1) else { return };
        let client = &mut connection.client;
        client.asked -= usize::from(address.asked);
        client.slots.fill(address.slot, address.part, bytes, count, barrier);
        self.core.drain_slots(worker, client, me);
        self.mark_dirty(&mut connection, me);
        self.connections.put(me.0, connection);
    }

    /// Runs what a worker asks, until the replies or the log's queue are long: the rest waits for a later turn.
    fn serve_inbox(&mut self, worker: &mut Worker<Service>, other: usize) {
        let mut reply_bytes = 0;
        self.serve_aside(worker, other, &mut reply_bytes);
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
        let began_ns = self.timing.start();
        self.core.clocking.set(self.core.server.settings.slow_ns(), began_ns);
        let mut next = first;
        for request in &requests.commands[first..] {
            if *reply_bytes > MESSAGE_BYTES {
                break;
            }
            if worker.shards.is_waiting_room_full() {
                self.log_is_full = true;
                break;
            }
            next += 1;
            if self.inboxes[other].aside.is_behind(request) || self.waits_for_drive(worker, requests, request)
            {
                self.inboxes[other].aside.put(requests, request);
            } else {
                *reply_bytes += self.serve_one(worker, other, requests, request);
            }
        }
        let run = self.timing.end(&mut self.core.counters);
        if run.count > 0 && self.core.clocking.is_slow(run.duration_ns) {
            self.core.clocking.clock_all_from(run.ended_ns);
        }
        next
    }

    /// Runs what was put aside, in its order, until something still has to wait.
    fn serve_aside(&mut self, worker: &mut Worker<Service>, other: usize, reply_bytes: &mut usize) {
        while *reply_bytes <= MESSAGE_BYTES
            && let Some(first) = self.inboxes[other].aside.take_first()
        {
            let request = &first.commands[0];
            if worker.shards.is_waiting_room_full() || self.waits_for_drive(worker, &first, request) {
                self.inboxes[other].aside.put_back(first);
                return;
            }
            *reply_bytes += self.serve_one(worker, other, &first, request);
            self.inboxes[other].aside.end(request);
        }
    }

    /// Whether a request has to wait until the drive has taken some of what is written.
    fn waits_for_drive(
        &self,
        worker: &mut Worker<Service>,
        requests: &Requests,
        request: &RemoteCommand,
    ) -> bool {
        match request.task {
            Task::Run(command) if command.is_write() => {
                is_log_full(worker)
                    || (command.flags.contains(Flags::DENYOOM) && worker.shards.holds_writes())
                    || self.space_for_remote(worker, command, (request.db, requests.args(request)))
                        == SpaceFor::Soon
            }
            Task::Next { .. } | Task::Hold(_) => is_log_full(worker),
            Task::Run(_)
            | Task::Forget
            | Task::Settle(_)
            | Task::Publish { .. }
            | Task::Invalidate
            | Task::Show => false,
        }
    }

    /// Does what is asked. Returns the size of the reply.
    #[inline]
    fn serve_one(
        &mut self,
        worker: &mut Worker<Service>,
        other: usize,
        requests: &Requests,
        request: &RemoteCommand,
    ) -> usize {
        let allowance = &mut self.inboxes[other].allowance;
        match request.task {
            Task::Run(command) if allowance.admits(&request.address) => {
                return self.run_remote(worker, other, requests, request, command);
            }
            Task::Run(command) => {
                allowance.defer(&request.address, requests.keep(request, command));
                self.tell(other, request.address, Outcome::Deferred);
            }
            Task::Next { has_room } => match allowance.next(&request.address, has_room) {
                NextCommand::Run(kept) => {
                    let request = &kept.commands[0];
                    let Task::Run(command) = request.task else { unreachable!("only these are put off") };
                    return self.run_remote(worker, other, &kept, request, command);
                }
                NextCommand::Later(address) => self.tell(other, address, Outcome::Deferred),
                NextCommand::None => self.tell(other, request.address, Outcome::Done),
            },
            Task::Hold(command) => {
                let of = (request.db, request.protocol);
                let job = Job::of_parts(other, request.address, command, of, requests.args(request));
                self.core.hold(worker, job);
            }
            // Done when it came.
            Task::Settle(_) | Task::Publish { .. } | Task::Invalidate | Task::Show => {}
            Task::Forget => {
                for command in allowance.forget(&request.address) {
                    self.core.note_refused(worker, command);
                }
                self.tell(other, request.address, Outcome::Done);
            }
        }
        0
    }

    fn tell(&mut self, other: usize, address: Address, outcome: Outcome) {
        self.core.held.message(other, BatchNumber::ZERO).push_outcome(address, outcome);
    }

    #[inline]
    fn space_for_remote(
        &self,
        worker: &mut Worker<Service>,
        command: &Command,
        of: (Db, Args<'_>),
    ) -> SpaceFor {
        let now = worker.clock.now;
        space_for(&mut worker.shards, command, of, None, now)
    }

    /// Runs a command of another worker's connection. Returns the size of its reply.
    #[inline]
    fn run_remote(
        &mut self,
        worker: &mut Worker<Service>,
        other: usize,
        requests: &Requests,
        request: &RemoteCommand,
        command: &'static Command,
    ) -> usize {
        let args = requests.args(request);
        let mut refused = None;
        if command.is_write() && self.space_for_remote(worker, command, (request.db, args)) == SpaceFor::None
        {
            refused = Some((disk_full(command), DISK_FULL_REPLY));
        }
        let bytes = || args.iter().map(<[u8]>::len).sum();
        if self.core.lacks_memory(worker, command, bytes, worker.clock.now) {
            refused = Some((OUT_OF_MEMORY, OUT_OF_MEMORY_REPLY));
        }
        if let Some((error, counted)) = refused {
            self.core.counters.note_rejected(command.id, counted);
            self.core.note_refused(worker, command);
            let message = self.core.held.message(other, BatchNumber::ZERO);
            let start = message.bytes.len();
            ReplyWriter::new(&mut message.bytes, request.protocol).error(error);
            message.note(request.address, start, 0);
            return 0;
        }
        let handler = match command.execution {
            Execution::Key(handler)
            | Execution::Keys { handler, .. }
            | Execution::Checked { handler, .. }
            | Execution::SameShard(handler)
            | Execution::Everywhere { handler, .. }
            | Execution::Together(TogetherHandlers { here: handler, .. })
            | Execution::Configure { apply: handler, .. }
            | Execution::Track { apply: handler, .. }
            | Execution::Scan(handler) => handler,
            Execution::Walk(_)
            | Execution::Sessions { .. }
            | Execution::Subscriptions { .. }
            | Execution::EndSessions { .. } => {
                let of = (request.db, request.protocol);
                self.core.jobs.push_back(Job::of_parts(other, request.address, command, of, args));
                return 0;
            }
            Execution::Storage { task, .. } => {
                let of = (request.db, request.protocol);
                let job = Job::of_parts(other, request.address, command, of, args);
                if let Some((job, reply)) = self.core.begin_task(worker, task, job) {
                    self.answer_job(worker, &job, &reply, 0, BatchNumber::ZERO);
                }
                return 0;
            }
            Execution::Connection(_)
            | Execution::Subscribe(_)
            | Execution::Monitor
            | Execution::Publish { .. }
            | Execution::AwaitSave(_)
            | Execution::SwapDatabases(_)
            | Execution::Container => {
                unreachable!("runs where its connection lives")
            }
        };
        let of = (request.db, request.protocol);
        if self.core.park_part(worker, (other, request.address, !request.is_part), command, of, args) {
            return 0;
        }
        let clock = self.core.clocking.before(command, args.len());
        let now = self.core.held.message(other, BatchNumber::ZERO);
        let mut out = std::mem::take(&mut now.bytes);
        let start = out.len();
        let who = place_of(other, &request.address);
        let of = (request.db, request.protocol, who);
        let barrier = self.core.run_for(worker, handler, of, args, &mut out);
        if request.address.tracks {
            self.core.remember_reads(worker, who, command, args);
        }
        self.core.counters.note_reply(command.id, &out[start..]);
        let mut slow = None;
        if let Some(clock_ns) = clock {
            let duration_ns = ring::monotonic_ns() - clock_ns;
            self.timing.ran_alone(command.id, duration_ns, !request.is_part, &mut self.core.counters);
            if self.core.clocking.is_slow(duration_ns) {
                slow = self.core.note_slow(worker, (command, args), duration_ns, None);
            }
        } else if !request.is_part {
            self.timing.ran(command.id);
        }
        let len = out.len() - start;
        if barrier > worker.shards.released() {
            let later = self.core.held.message(other, barrier);
            later.push(request.address, &out[start..], 0);
            later.slow.extend(slow.map(|id| (request.address, id)));
            out.truncate(start);
            self.core.held.message(other, BatchNumber::ZERO).bytes = out;
        } else {
            let now = self.core.held.message(other, BatchNumber::ZERO);
            now.bytes = out;
            now.note(request.address, start, 0);
            now.slow.extend(slow.map(|id| (request.address, id)));
        }
        self.inboxes[other].allowance.note_made(request.address.connection, len);
        len
    }

    pub(super) fn send_mail(&mut self, worker: &mut Worker<Service>) {
        self.core.send_forgotten(worker);
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
