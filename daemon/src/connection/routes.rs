//! Where a request runs: here at once, on the worker that owns its keys, on several of them, or on all.

use engine::worker::Worker;
use resp::{Args, ReplyWriter};
use shard::key::Key;
use shard::shard_set::SpaceFor;
use shard::types::{BatchNumber, Slot};

use super::connection::{Client, Life};
use super::core::Core;
use super::disk_full::{DISK_FULL_REPLY, disk_full, space_for};
use super::gather::GatherKind;
use super::job::Job;
use super::outbox::{address, source};
use super::plan::Planned;
use super::room::{OUT_OF_MEMORY, OUT_OF_MEMORY_REPLY, is_log_full};
use super::service::Service;
use crate::commands::{
    Action, Command, CommandId, ConnectionContext, ConnectionHandler, Execution, Flags, KeyContext,
    KeyHandler, Merge, Refusal, TogetherHandlers, error_text,
};
use crate::tracking::ClientPlace;

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

/// One request of a connection, resolved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// Number and generation of its connection.
    pub(crate) me: (u32, u32),
    pub(crate) command: &'static Command,
    pub(crate) args: Args<'a>,
}

/// Runs where the connection lives; false: it has answered.
pub(super) type CheckHandler = fn(&mut ConnectionContext<'_>, Args<'_>) -> bool;

/// Whether a command is about all keys, and so about what was asked before on the same connection.
fn is_about_all_before(command: &Command) -> bool {
    let is_of_all_keys =
        matches!(command.execution, Execution::Everywhere { .. } | Execution::Walk(_) | Execution::Scan(_));
    is_of_all_keys || matches!(command.execution, Execution::AwaitSave(_)) || command.name == "bgsave"
}

impl Core {
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
                // A key without its value is refused as late as Redis does: after what the user may not do.
                if let Refusal::WrongArity(command) = refusal
                    && command.check_arity(args.len())
                    && !client.session.identity.is_free()
                    && self.is_denied(worker, client, me, command, args)
                {
                    return (Flow::Continue, None);
                }
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
        if !client.session.identity.is_free() && self.is_denied(worker, client, me, command, args) {
            return (Flow::Continue, None);
        }
        if client.subscriptions.is_some()
            && let Some(flow) = self.while_subscribed(worker, client, Request { me, command, args })
        {
            return (flow, None);
        }
        if self.publishing.is_full() {
            return (Flow::Stall, None);
        }
        if command.is_write() {
            if is_log_full(worker) {
                return (Flow::Stall, None);
            }
            let (of, now) = ((client.session.db, args), worker.clock.now);
            match space_for(&mut worker.shards, command, of, planned.key.map(|(slot, _)| slot), now) {
                SpaceFor::Ready => {}
                SpaceFor::Soon => return (Flow::Stall, None),
                SpaceFor::None => {
                    self.answer(worker, client, me, |core, mut reply| {
                        reply.error(disk_full(command));
                        core.counters.note_rejected(command.id, DISK_FULL_REPLY);
                    });
                    return (Flow::Continue, None);
                }
            }
        }
        if self.has_memory_limit && self.may_run_here(worker, command, planned.key) {
            let bytes = || args.iter().map(<[u8]>::len).sum();
            if self.lacks_memory(worker, command, bytes, worker.clock.now) {
                self.answer(worker, client, me, |core, mut reply| {
                    reply.error(OUT_OF_MEMORY);
                    core.counters.note_rejected(command.id, OUT_OF_MEMORY_REPLY);
                });
                return (Flow::Continue, None);
            }
        }
        if worker.shards.holds_writes() && command.flags.contains(Flags::DENYOOM) {
            // The drive is behind: what writes is not read any further, as with the log above.
            return (Flow::Stall, None);
        }
        client.session.last_command = Some(command.id);
        let request = Request { me, command, args };
        if !client.slots.is_empty() && is_about_all_before(command) {
            // What was asked before may wait for records on disk, here or on its worker: it comes first.
            return (Flow::Stall, None);
        }
        let flow = match command.execution {
            Execution::Key(handler) => self.key(worker, client, request, handler, planned.key),
            Execution::Keys { handler, merge } => self.keys(worker, client, request, (handler, merge)),
            Execution::Checked { check, handler } => {
                if self.check(worker, client, request, check) {
                    self.keys(worker, client, request, (handler, Merge::Sum))
                } else {
                    Flow::Continue
                }
            }
            Execution::Connection(handler) => self.connection(worker, client, request, handler),
            Execution::SameShard(handler) => self.same_shard(worker, client, request, handler),
            Execution::Together(handlers) => self.together(worker, client, request, &handlers),
            Execution::Everywhere { handler, merge } => {
                self.everywhere(worker, client, request, Some(handler), GatherKind::Replies(merge))
            }
            Execution::Walk(_) => self.everywhere(worker, client, request, None, GatherKind::Elements),
            Execution::Scan(handler) => self.scan(worker, client, request, handler),
            Execution::Configure { check, apply } => {
                // The check may begin what is asked for, as a pause: it runs when nothing can be in the way any more.
                if self.lacks_room(worker, client) {
                    Flow::Stall
                } else if self.check(worker, client, request, check) {
                    let all_ok = GatherKind::Replies(Merge::AllOk);
                    self.everywhere(worker, client, request, Some(apply), all_ok)
                } else {
                    Flow::Continue
                }
            }
            Execution::Track { check, apply } => {
                // The check changes what is asked for: it runs when nothing can be in the way any more.
                if self.lacks_room(worker, client) {
                    Flow::Stall
                } else if self.check(worker, client, request, check) {
                    self.note_tracking(worker, client, me);
                    let all_ok = GatherKind::Replies(Merge::AllOk);
                    self.everywhere(worker, client, request, Some(apply), all_ok)
                } else {
                    Flow::Continue
                }
            }
            Execution::Monitor => {
                self.begin_monitoring(worker, client, me);
                self.is_watched = true;
                Flow::Continue
            }
            Execution::Storage { check, task, merge, .. } => {
                self.storage(worker, client, request, (check, task, merge))
            }
            Execution::SwapDatabases(pair) => self.begin_swap(worker, client, request, pair),
            Execution::AwaitSave(check) => {
                if self.check(worker, client, request, check) {
                    let slot = client.slots.open_waiting(source(command));
                    client.blocked = true;
                    let job = Job::new(worker.index, address(me, slot, 0), command, &client.session, args);
                    self.tasks.await_save(job, self.server.saves.begun());
                }
                Flow::Continue
            }
            Execution::Sessions { check, .. } => {
                if self.check(worker, client, request, check) {
                    self.everywhere(worker, client, request, None, GatherKind::Text)
                } else {
                    Flow::Continue
                }
            }
            Execution::Subscribe(change) => self.change_subscriptions(worker, client, request, change),
            Execution::Publish { is_sharded } => self.publish_message(worker, client, request, is_sharded),
            Execution::Subscriptions { check, kind, .. } => {
                if self.check(worker, client, request, check) {
                    self.everywhere(worker, client, request, None, kind)
                } else {
                    Flow::Continue
                }
            }
            Execution::EndSessions { check, .. } => {
                if self.check(worker, client, request, check) {
                    let merge = if args.len() == 3 { Merge::AnyClient } else { Merge::Sum };
                    self.everywhere(worker, client, request, None, GatherKind::Replies(merge))
                } else {
                    Flow::Continue
                }
            }
            Execution::Container => unreachable!("resolve never returns a container"),
        };
        let ran = matches!(flow, Flow::Continue | Flow::Stop).then_some(command.id);
        (flow, ran)
    }

    /// Whether the command may write here: one of a single key goes to where that belongs.
    fn may_run_here(&self, worker: &Worker<Service>, command: &Command, key: Option<(Slot, u32)>) -> bool {
        !matches!(command.execution, Execution::Key(_))
            || key.is_none_or(|(slot, _)| worker.shards.owns(slot))
    }

    #[inline]
    fn key(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        handler: KeyHandler,
        place: Option<(Slot, u32)>,
    ) -> Flow {
        let Request { me, command, args } = request;
        let bytes = args.at(1);
        let key = match place {
            Some((slot, hash)) => Key { bytes, slot, hash },
            None => worker.shards.key(bytes),
        };
        if !worker.shards.owns(key.slot) {
            let owner = usize::from(self.owners[usize::from(key.slot.0)]);
            return self.forward(worker, client, request, owner);
        }
        if worker.shards.may_wait()
            && let Some(flow) = self.park(worker, client, request)
        {
            return flow;
        }
        let (db, protocol) = (client.session.db, client.session.protocol);
        let direct = client.slots.is_empty();
        let Self { server, counters, random, scratch, events, .. } = self;
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
            events,
            key: Some(key),
        };
        handler(&mut context, args);
        if out.get(start) == Some(&b'-') {
            counters.note_reply(command.id, &out[start..]);
        }
        let barrier = worker.shards.take_barrier();
        if self.has_events(worker) {
            self.publish_events(worker, barrier, Some(ClientPlace::new(worker.index, me)));
        }
        self.written(worker, client, me, start, barrier);
        Flow::Continue
    }

    /// Sends the whole request to the worker that owns its keys.
    fn forward(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        owner: usize,
    ) -> Flow {
        let Request { me, command, args } = request;
        if !self.has_room_for(worker, client, owner, command) {
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
        request: Request<'_>,
        (handler, merge): (KeyHandler, Merge),
    ) -> Flow {
        let Request { command, args, .. } = request;
        let mut owners = command.key_positions(args.len()).map(|at| self.owner_of(worker, args.at(at)));
        let first = owners.next().unwrap_or(worker.index);
        if owners.all(|owner| owner == first) {
            if first == worker.index {
                return self.run_here(worker, client, request, handler);
            }
            return self.forward(worker, client, request, first);
        }
        self.split(worker, client, request, (handler, merge))
    }

    fn same_shard(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        handler: KeyHandler,
    ) -> Flow {
        let Request { me, command, args } = request;
        // Let the handler say what is wrong with the arguments themselves before where the keys lie matters.
        let step = command.keys.map_or(1, |keys| keys.step);
        let whole = (args.len() - 1).is_multiple_of(step);
        let mut slots = command.key_positions(args.len()).map(|at| worker.shards.key(args.at(at)).slot);
        let Some(first) = slots.next() else {
            return self.run_here(worker, client, request, handler);
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
            return self.forward(worker, client, request, owner);
        }
        self.run_here(worker, client, request, handler)
    }

    fn together(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        handlers: &TogetherHandlers,
    ) -> Flow {
        let Request { args, .. } = request;
        let places = (handlers.places)(args, client.session.db);
        let mut owners = places.iter().map(|place| self.owner_of(worker, args.at(place.at)));
        let first = owners.next().unwrap_or(worker.index);
        if !owners.all(|owner| owner == first) {
            drop(owners);
            return self.begin_errand(worker, client, request, handlers, places);
        }
        if first != worker.index {
            return self.forward(worker, client, request, first);
        }
        self.run_here(worker, client, request, handlers.here)
    }

    fn scan(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        handler: KeyHandler,
    ) -> Flow {
        let Request { args, .. } = request;
        let slot = crate::commands::scan::cursor_of(args).and_then(shard::shard_set::ScanCursor::slot);
        let owner = slot.map_or(worker.index, |slot| usize::from(self.owners[usize::from(slot.0)]));
        if owner != worker.index {
            return self.forward(worker, client, request, owner);
        }
        self.run_here(worker, client, request, handler)
    }

    fn connection(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        handler: ConnectionHandler,
    ) -> Flow {
        let Request { me, command, args } = request;
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
            now_ns: worker.clock.now_ns,
            action: &mut action,
            worker: worker.index,
        };
        handler(&mut context, args);
        counters.note_reply(command.id, &out[start..]);
        if let Some(all) = &mut client.subscriptions
            && command.flags.contains(Flags::NO_AUTH)
        {
            // As in Redis it keeps what it has when it logs in as another user.
            all.allowed_at = client.session.identity.known_version();
        }
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

    /// Runs the part of a command that may answer it at once. False: it has.
    pub(super) fn check(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        check: fn(&mut ConnectionContext<'_>, Args<'_>) -> bool,
    ) -> bool {
        self.ask(worker, client, request, |context, args| check(context, args).then_some(())).is_some()
    }

    /// As [`Self::check`], of a part that tells what is to be done. `None`: it has answered.
    pub(super) fn ask<T>(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        handler: impl FnOnce(&mut ConnectionContext<'_>, Args<'_>) -> Option<T>,
    ) -> Option<T> {
        let Request { me, command, args } = request;
        let mut out = Vec::new();
        let mut action = Action::None;
        let protocol = client.session.protocol;
        let mut context = ConnectionContext {
            session: &mut client.session,
            server: &self.server,
            reply: ReplyWriter::new(&mut out, protocol),
            now: worker.clock.now,
            now_ns: worker.clock.now_ns,
            action: &mut action,
            worker: worker.index,
        };
        let asked = handler(&mut context, args);
        self.is_watched = self.watches();
        if asked.is_none() {
            self.counters.note_reply(command.id, &out);
            self.answer(worker, client, me, |_, mut reply| reply.out_mut().extend_from_slice(&out));
        }
        asked
    }
}
