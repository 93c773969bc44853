//! Requests that are looked at one by one: while there is a pause, or databases change their numbers, or somebody looks on, and of a client that wants no replies
//! or caches what it reads. Others never come here.

use engine::worker::Worker;
use resp::Args;

use super::connection::Client;
use super::core::Core;
use super::monitoring::is_shown;
use super::plan::Planned;
use super::routes::Flow;
use super::service::Service;
use super::tracking::remembers;
use crate::commands::{Command, CommandId, Execution, Refusal};
use crate::server::PauseKind;
use crate::session::Replies;
use crate::tracking::ClientPlace;

/// The one command that a pause does not hold up, so that there is a way out of it.
const UNPAUSE: &str = "client|unpause";
const RESET: &str = "reset";
/// The commands on the connection itself are no exception of CLIENT CACHING.
const CLIENT: &str = "client|";
const REPLY: &str = "client|reply";

impl Core {
    /// As [`Self::execute`].
    #[cold]
    pub(crate) fn execute_watched(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        args: Args<'_>,
        planned: &Planned,
    ) -> (Flow, Option<CommandId>) {
        if planned.command.as_ref().is_ok_and(|command| self.is_held_up(command) || self.is_paused(command)) {
            return (Flow::Stall, None);
        }
        let (flow, ran) = self.execute_tracked(worker, client, me, args, planned);
        if flow != Flow::Stall
            && let Ok(command) = planned.command
        {
            let is_run = ran.is_some() || flow == Flow::Forwarded;
            if is_run && self.server.onlookers.is_monitored() && is_shown(command) {
                self.show_request(worker, &client.session, command, args);
            }
            if command.name == RESET && ran.is_some() {
                self.forget_onlooker(worker, client, me);
            }
        }
        (flow, ran)
    }

    /// Runs a request, and has its keys remembered where its client is to be told of them.
    fn execute_tracked(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        args: Args<'_>,
        planned: &Planned,
    ) -> (Flow, Option<CommandId>) {
        let command = planned.command.as_ref().ok();
        let tracks = command.is_some_and(|command| remembers(client.session.tracking.as_deref(), command));
        self.tracking.is_on = tracks;
        let (flow, ran) = self.execute_unanswered(worker, client, me, args, planned);
        self.tracking.is_on = false;
        if flow == Flow::Stall {
            return (flow, ran);
        }
        if let Some(command) = command
            && tracks
            && ran.is_some()
        {
            self.remember_reads(worker, ClientPlace::new(worker.index, me), command, args);
        }
        let named = match planned.command {
            Ok(command) | Err(Refusal::WrongArity(command)) => Some(command),
            Err(_) => None,
        };
        if let Some(tracking) = client.session.tracking.as_deref_mut()
            && !named.is_some_and(|command| command.name.starts_with(CLIENT))
        {
            tracking.is_caching_given = false;
        }
        (flow, ran)
    }

    /// Whether a pause holds the command up; then this worker wakes when it ends.
    fn is_paused(&mut self, command: &Command) -> bool {
        let Some((until_ns, kind)) = self.server.pause.at(ring::monotonic_ns()) else { return false };
        // As in Redis: what is published is told to replicas, as writes are.
        let writes = command.is_write() || matches!(command.execution, Execution::Publish { .. });
        let waits = command.name != UNPAUSE && (kind == PauseKind::All || writes);
        if waits {
            self.pause_ends_ns = Some(until_ns);
        }
        waits
    }

    /// Runs a request, and drops its reply where the client wants none.
    fn execute_unanswered(
        &mut self,
        worker: &mut Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        args: Args<'_>,
        planned: &Planned,
    ) -> (Flow, Option<CommandId>) {
        let replies = client.session.replies;
        if replies == Replies::On {
            return self.execute(worker, client, me, args, planned);
        }
        if !client.slots.is_empty() {
            // What was asked before may be answered: it is told apart by coming first.
            return (Flow::Stall, None);
        }
        if replies == Replies::SkipNext {
            client.session.replies = Replies::On;
        }
        if planned.command.as_ref().is_ok_and(|command| matches!(command.execution, Execution::Subscribe(_)))
        {
            // What it tells are messages, and those come whatever is said of replies.
            return self.execute(worker, client, me, args, planned);
        }
        let start = client.output.appended_len();
        let (flow, ran) = self.execute(worker, client, me, args, planned);
        if flow == Flow::Stall {
            client.session.replies = replies;
            return (flow, ran);
        }
        // As in Redis: what turns replies on is answered. RESET does, where they were off; where the next one is skipped
        // it is that one.
        let is_reply = |command: &&Command| command.name == REPLY;
        let turns_on = match replies {
            Replies::Off => client.session.replies == Replies::On,
            _ => planned.command.as_ref().is_ok_and(is_reply) && args.at(2).eq_ignore_ascii_case(b"on"),
        };
        if !turns_on {
            client.output.bytes_mut().truncate(start);
            if !client.slots.is_empty() {
                client.drops_replies = true;
                client.blocked = true;
            }
        }
        (flow, ran)
    }
}
