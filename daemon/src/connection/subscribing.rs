//! Subscriptions of our connections begin and end. Where one request is about many of them it takes several turns, so that
//! others are served meanwhile, and goes on only while the client reads its confirmations.

use engine::worker::Worker;
use resp::{ArgRange, Args, Protocol, ReplyWriter};

use super::connection::{Client, Life};
use super::core::Core;
use super::limits::SUBSCRIPTIONS_PER_TURN;
use super::routes::{Flow, Request};
use super::service::Service;
use crate::commands::error_text;
use crate::pubsub::{ClientSubscriptions, SubscriptionChange, Topic};

/// A change of many subscriptions under way.
#[derive(Debug)]
pub(crate) enum LongChange {
    /// Those of a request, each of which is confirmed.
    Named(SubscriptionChange, Names),
    /// All of a kind end, each of which is confirmed.
    All(SubscriptionChange),
    /// All of them end, and nobody is told.
    Leave,
}

/// The names of a request, kept until their turn comes.
#[derive(Debug)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    ranges: std::vec::IntoIter<ArgRange>,
}

impl Names {
    fn of(names: Args<'_>) -> Self {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::with_capacity(names.len()));
        for name in names.iter() {
            ranges.push(ArgRange { start: bytes.len(), len: name.len() });
            bytes.extend_from_slice(name);
        }
        Self { bytes, ranges: ranges.into_iter() }
    }

    fn next(&mut self) -> Option<&[u8]> {
        let range = self.ranges.next()?;
        Some(&self.bytes[range.start..range.start + range.len])
    }
}

/// How many subscriptions of a client the confirmation of a change tells: shard channels are counted by themselves.
fn told_count(client: &Client, topic: Topic) -> i64 {
    let count = |topic: Topic| client.session.subscriptions[topic.index()];
    let count = if topic == Topic::ShardChannel {
        count(topic)
    } else {
        count(Topic::Channel) + count(Topic::Pattern)
    };
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn confirm(client: &mut Client, change: SubscriptionChange, name: Option<&[u8]>) {
    let (count, protocol) = (told_count(client, change.topic), client.session.protocol);
    let mut reply = ReplyWriter::new(client.output.bytes_mut(), protocol);
    reply.push(3);
    reply.bulk(change.word().as_bytes());
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.integer(count);
}

impl Core {
    /// SUBSCRIBE and its kin. Confirmations are written at once: earlier replies are not missing then, and no message can
    /// come before its confirmation.
    pub(super) fn change_subscriptions(
        &mut self,
        worker: &Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
        change: SubscriptionChange,
    ) -> Flow {
        if !client.slots.is_empty() {
            return Flow::Stall;
        }
        let names = request.args.tail(1);
        let of_all = names.is_empty();
        let held = client.subscriptions.as_ref().map_or(0, |all| all.count(change.topic));
        if of_all && held == 0 {
            confirm(client, change, None);
            return Flow::Continue;
        }
        if !of_all && names.len() <= SUBSCRIPTIONS_PER_TURN {
            for name in names.iter() {
                self.change_one(worker, client, request.me, change, name);
            }
            return Flow::Continue;
        }
        let changing =
            if of_all { LongChange::All(change) } else { LongChange::Named(change, Names::of(names)) };
        client.changing = Some(Box::new(changing));
        self.go_on_changing(worker, client, request.me);
        Flow::Continue
    }

    /// Some steps of a change of many subscriptions.
    pub(super) fn go_on_changing(&mut self, worker: &Worker<Service>, client: &mut Client, me: (u32, u32)) {
        let Some(mut changing) = client.changing.take() else { return };
        for _ in 0..SUBSCRIPTIONS_PER_TURN {
            let has_done = match &mut *changing {
                LongChange::Named(change, names) => names.next().is_some_and(|name| {
                    self.change_one(worker, client, me, *change, name);
                    true
                }),
                LongChange::All(change) => {
                    let first = client.subscriptions.as_ref().and_then(|all| all.first(change.topic));
                    first.is_some_and(|name| {
                        self.change_one(worker, client, me, *change, &name);
                        true
                    })
                }
                LongChange::Leave => self.leave_one(worker, client, me),
            };
            if !has_done {
                client.blocked = false;
                return;
            }
        }
        client.blocked = true;
        client.changing = Some(changing);
    }

    /// Begins or ends one subscription and confirms it.
    fn change_one(
        &mut self,
        worker: &Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        change: SubscriptionChange,
        name: &[u8],
    ) {
        let topic = change.topic;
        let (worker, totals) = (worker.index, &self.server.pubsub);
        if change.begins {
            let kept = self.subscriptions.kept_name(topic, name).unwrap_or_else(|| name.into());
            let version = client.session.identity.known_version();
            let all = client.subscriptions.get_or_insert_with(|| Box::new(ClientSubscriptions::new(version)));
            if all.add(topic, &kept) {
                self.subscriptions.add(topic, kept, me, worker, totals);
                client.session.subscriptions[topic.index()] += 1;
            }
        } else if client.subscriptions.as_mut().is_some_and(|all| all.remove(topic, name)) {
            self.subscriptions.remove(topic, name, me, worker, totals);
            client.session.subscriptions[topic.index()] -= 1;
            if !client.session.is_subscribed() {
                client.subscriptions = None;
            }
        }
        confirm(client, change, Some(name));
    }

    /// Ends one subscription without a word. False: there is none.
    fn leave_one(&mut self, worker: &Worker<Service>, client: &mut Client, me: (u32, u32)) -> bool {
        let Some((topic, name)) = client.subscriptions.as_mut().and_then(|all| all.pop()) else {
            client.subscriptions = None;
            return false;
        };
        self.subscriptions.remove(topic, &name, me, worker.index, &self.server.pubsub);
        client.session.subscriptions[topic.index()] -= 1;
        true
    }

    /// Ends all subscriptions of a client without a word. False: there are many, and it is begun: try again.
    pub(super) fn leave_all(
        &mut self,
        worker: &Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
    ) -> bool {
        client.changing = Some(Box::new(LongChange::Leave));
        self.go_on_changing(worker, client, me);
        client.changing.is_none()
    }

    /// A connection is gone: its subscriptions end, many of them over several turns.
    pub(super) fn forget_listener(&mut self, me: (u32, u32), client: &mut Client) {
        if let Some(all) = client.subscriptions.take() {
            self.leaving.push((me, all));
        }
    }

    /// Ends some subscriptions of connections that are gone.
    pub(super) fn let_leave(&mut self, worker: &Worker<Service>) {
        let mut budget = SUBSCRIPTIONS_PER_TURN;
        while let Some((me, all)) = self.leaving.last_mut() {
            let Some((topic, name)) = all.pop() else {
                self.leaving.pop();
                continue;
            };
            self.subscriptions.remove(topic, &name, *me, worker.index, &self.server.pubsub);
            budget -= 1;
            if budget == 0 {
                return;
            }
        }
    }

    /// What becomes of a request of a connection that is subscribed to something; `None`: it runs as any other.
    #[cold]
    pub(super) fn while_subscribed(
        &mut self,
        worker: &Worker<Service>,
        client: &mut Client,
        request: Request<'_>,
    ) -> Option<Flow> {
        let Request { me, command, .. } = request;
        if !Self::keeps_subscriptions(client) {
            return Some(Flow::Stop);
        }
        // With the old protocol, where replies and messages look alike, few commands may be asked.
        if client.session.protocol == Protocol::Resp2 && !command.is_allowed_while_subscribed() {
            self.answer(worker, client, me, |core, mut reply| {
                reply.error_parts(&[
                    b"ERR Can't execute '",
                    command.name.as_bytes(),
                    error_text::SUBSCRIBED.as_bytes(),
                ]);
                core.counters.note_rejected(command.id, b"-ERR");
            });
            return Some(Flow::Continue);
        }
        // A message that it published before is told before, and in the protocol of before.
        let is_last = matches!(command.name, "hello" | "reset" | "quit");
        if is_last && !client.slots.is_empty() {
            return Some(Flow::Stall);
        }
        let is_there_more = command.name == "reset" && !self.leave_all(worker, client, me);
        is_there_more.then_some(Flow::Stall)
    }

    /// Whether a client that is subscribed may still have all its subscriptions: if not, it is to be closed. Cheap unless
    /// its user was changed.
    pub(super) fn keeps_subscriptions(client: &mut Client) -> bool {
        let Some(all) = &mut client.subscriptions else { return true };
        if client.session.identity.current_version() == all.allowed_at {
            return true;
        }
        let is_deleted = client.session.identity.is_deleted();
        let (user, version) = client.session.identity.current_user();
        let allowed = !is_deleted && all.are_allowed(user);
        if allowed {
            all.allowed_at = version;
        } else {
            client.life = Life::Dead;
        }
        allowed
    }
}
