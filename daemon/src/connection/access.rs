//! Who may run what: asked before a request goes anywhere. A session that may do everything is known without a look.

use engine::worker::Worker;
use resp::{Args, ReplyWriter};

use super::connection::Client;
use super::core::Core;
use super::service::Service;
use crate::acl::Denial;
use crate::commands::{Action, Command, ConnectionContext, Flags, note_refusal};

const LOGIN_NEEDED: &str = "NOAUTH Authentication required.";

impl Core {
    /// Whether a request is refused; then the refusal is the answer.
    #[cold]
    pub(super) fn is_denied(
        &mut self,
        worker: &Worker<Service>,
        client: &mut Client,
        me: (u32, u32),
        command: &Command,
        args: Args<'_>,
    ) -> bool {
        if command.flags.contains(Flags::NO_AUTH) {
            return false;
        }
        if !client.session.identity.is_logged_in() {
            self.answer(worker, client, me, |core, mut reply| {
                reply.error(LOGIN_NEEDED);
                core.counters.note_rejected(command.id, b"-NOAUTH");
            });
            return true;
        }
        let Err(denial) = client.session.identity.check(command, args) else { return false };
        self.note_denial(worker, client, command, args, denial);
        let text = denial.text(client.session.identity.name(), command.name);
        self.answer(worker, client, me, |core, mut reply| {
            reply.error_parts(&[b"NOPERM ", &text]);
            core.counters.note_rejected(command.id, b"-NOPERM");
        });
        true
    }

    fn note_denial(
        &self,
        worker: &Worker<Service>,
        client: &mut Client,
        command: &Command,
        args: Args<'_>,
        denial: Denial,
    ) {
        let (mut unused, mut action) = (Vec::new(), Action::None);
        let protocol = client.session.protocol;
        let context = ConnectionContext {
            session: &mut client.session,
            server: &self.server,
            reply: ReplyWriter::new(&mut unused, protocol),
            now: worker.clock.now,
            now_ns: worker.clock.now_ns,
            action: &mut action,
            worker: worker.index,
        };
        let object =
            if denial == Denial::Command { command.name.as_bytes() } else { args.at(denial.position()) };
        let user = context.session.identity.name().to_vec();
        note_refusal(&context, denial.reason(), object, &user);
    }
}
