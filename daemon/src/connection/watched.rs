//! Requests that are looked at one by one: while there is a pause, and of a client that wants no replies. Others never
//! come here.

use engine::worker::Worker;
use resp::Args;

use super::connection::Client;
use super::core::Core;
use super::plan::Planned;
use super::routes::Flow;
use super::service::Service;
use crate::commands::{Command, CommandId, Execution};
use crate::server::PauseKind;
use crate::session::Replies;

/// The one command that a pause does not hold up, so that there is a way out of it.
const UNPAUSE: &str = "client|unpause";
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
        if planned.command.as_ref().is_ok_and(|command| self.is_paused(command)) {
            return (Flow::Stall, None);
        }
        self.execute_unanswered(worker, client, me, args, planned)
    }

    /// Whether a pause holds the command up; then this worker wakes when it ends.
    fn is_paused(&mut self, command: &Command) -> bool {
        let Some((until_ns, kind)) = self.server.pause.at(ring::monotonic_ns()) else { return false };
        let waits = command.name != UNPAUSE && (kind == PauseKind::All || command.is_write());
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
