//! Bytes in: received, parsed where they are, planned and run; what cannot run yet is kept, what is no request is refused.

use engine::worker::Worker;
use resp::{Args, RequestParser};
use ring::Received;

use super::connection::{Connection, Life};
use super::limits::{BACKLOG_BYTES_MAX, COMMANDS_PER_TURN};
use super::plan::{Plan, PlanEnd, Planned};
use super::routes::Flow;
use super::service::Service;
use super::table::of_token;
use super::timing::Run;
use crate::server::Counter;

impl Service {
    pub(super) fn on_received(
        &mut self,
        worker: &mut Worker<Service>,
        value: u64,
        result: std::io::Result<Received>,
        more: bool,
    ) {
        let me = of_token(value);
        let Some(mut connection) = self.connections.take(me.0, me.1) else { return };
        if !more {
            connection.receiving = None;
        }
        match result {
            Ok(Received::Data(buffer)) => {
                self.core.counters.add(Counter::Receives, 1);
                self.core.counters.add(Counter::BytesIn, buffer.len() as u64);
                connection.client.session.note_interaction(&worker.clock);
                connection.client.session.last_received_ns = worker.clock.now_ns;
                connection.client.session.figures.bytes_in += buffer.len() as u64;
                match (connection.client.life, connection.is_tls()) {
                    (Life::Open, false) => self.take_bytes(worker, &mut connection, me, &buffer),
                    (Life::Open, true) => self.take_sealed(worker, &mut connection, me, &buffer),
                    (Life::Closing | Life::Dead, _) => {}
                }
                if connection.backlog() > BACKLOG_BYTES_MAX {
                    self.check_backlog(&mut connection);
                }
            }
            Ok(Received::NoBuffers) => {}
            Ok(Received::Closed) => connection.peer_closed = true,
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {}
            // The connection is broken: nobody reads what would be said.
            Err(_) => connection.client.life = Life::Dead,
        }
        self.mark_dirty(&mut connection, me);
        self.connections.put(me.0, connection);
    }

    /// Ends a connection whose request under way is larger than any may be.
    #[cold]
    fn check_backlog(&mut self, connection: &mut Connection) {
        let (bytes, most) = (connection.backlog() as u64, self.core.server.settings.query_bytes_max());
        // Whole requests that wait for others are bounded where they are received.
        if bytes > most && connection.parser.is_mid_request() && connection.client.life == Life::Open {
            tracing::warn!(
                client = connection.client.session.id,
                peer = connection.client.session.peer,
                bytes,
                "client closed: its request exceeds client-query-buffer-limit"
            );
            self.core.counters.add(Counter::QueryLimitClosed, 1);
            connection.client.life = Life::Dead;
        }
    }

    /// Parses received bytes where they are when nothing stands before them; keeps what is left.
    pub(super) fn take_bytes(
        &mut self,
        worker: &mut Worker<Service>,
        connection: &mut Connection,
        me: (u32, u32),
        bytes: &[u8],
    ) {
        if connection.backlog() == 0 && !connection.is_ready {
            let taken = self.parse(worker, connection, me, bytes);
            if taken < bytes.len() && connection.client.life == Life::Open {
                connection.keep(&bytes[taken..], || self.core.spare_buffer());
            }
            return;
        }
        connection.keep(bytes, || self.core.spare_buffer());
        if !connection.is_ready {
            self.parse_backlog(worker, connection, me);
        }
    }

    fn parse_backlog(&mut self, worker: &mut Worker<Service>, connection: &mut Connection, me: (u32, u32)) {
        let input = std::mem::take(&mut connection.input);
        let taken = self.parse(worker, connection, me, &input[connection.input_start..]);
        assert!(connection.input.is_empty(), "parsing keeps nothing by itself");
        connection.input = input;
        if let Some(buffer) = connection.consume(taken) {
            self.core.recycle_buffer(buffer);
        }
    }

    /// Runs complete requests at the start of `bytes`. Returns how many bytes they took. When requests are left that
    /// could be run, the connection stands in the ready list afterwards.
    fn parse(
        &mut self,
        worker: &mut Worker<Service>,
        connection: &mut Connection,
        me: (u32, u32),
        bytes: &[u8],
    ) -> usize {
        if connection.ran_in_turn.0 != self.turn {
            connection.ran_in_turn = (self.turn, 0);
        }
        let may_run = COMMANDS_PER_TURN - connection.ran_in_turn.1;
        if may_run == 0 || connection.client.blocked || connection.client.is_full() {
            self.mark_ready(connection, me);
            return 0;
        }
        let mut plan = std::mem::take(&mut self.plan);
        let mut limits = self.limits;
        limits.authenticated = connection.client.session.identity.is_logged_in();
        let (mut taken, mut budget) = (0, may_run);
        self.core.is_watched = self.core.watches();
        let began_ns = self.timing.start();
        self.core.clocking.set(self.core.server.settings.slow_ns(), began_ns);
        loop {
            let end = plan.fill(&mut connection.parser, bytes, taken, &limits, &worker.shards);
            plan.warm(&worker.shards, connection.client.session.db);
            if !self.run_plan(worker, connection, me, bytes, &plan, &mut taken, &mut budget) {
                break;
            }
            match end {
                PlanEnd::Full => {}
                PlanEnd::Input(consumed) => {
                    taken = consumed;
                    break;
                }
                PlanEnd::Error(_)
                    if !limits.authenticated && connection.client.session.identity.is_logged_in() =>
                {
                    // The request before it logged in: larger ones are welcome from here on.
                    connection.parser = RequestParser::new();
                    limits.authenticated = true;
                }
                PlanEnd::Error(error) => {
                    self.refuse(worker, connection, me, error);
                    break;
                }
            }
        }
        connection.ran_in_turn.1 += may_run - budget;
        if connection.client.changing.is_some() {
            self.mark_ready(connection, me);
        }
        let run = self.timing.end(&mut self.core.counters);
        if self.core.clocking.is_slow(run.duration_ns) && run.count > 0 {
            let single = plan.requests().first().filter(|_| may_run - budget == 1);
            self.note_slow_run(worker, connection, run, single.map(|one| (one, plan.args(one, bytes))));
        }
        self.plan = plan;
        taken
    }

    /// A run took long: of `single`, its only request, if it was that.
    #[cold]
    fn note_slow_run(
        &mut self,
        worker: &Worker<Service>,
        connection: &Connection,
        run: Run,
        single: Option<(&Planned, Args<'_>)>,
    ) {
        match single {
            Some((&Planned { command: Ok(command), .. }, args)) => {
                let session = &connection.client.session;
                self.core.note_slow(worker, (command, args), run.duration_ns, Some(session));
            }
            _ => self.core.clocking.clock_all_from(run.ended_ns),
        }
    }

    /// Runs what was planned. False: the rest has to wait, or the connection ends.
    #[expect(clippy::too_many_arguments, reason = "where the run stands is the caller's")]
    #[inline]
    fn run_plan(
        &mut self,
        worker: &mut Worker<Service>,
        connection: &mut Connection,
        me: (u32, u32),
        bytes: &[u8],
        plan: &Plan,
        taken: &mut usize,
        budget: &mut usize,
    ) -> bool {
        for planned in plan.requests() {
            let client = &mut connection.client;
            if client.blocked || client.is_full() || *budget == 0 {
                self.wait_with_plan(connection, me);
                return false;
            }
            let args = plan.args(planned, bytes);
            let clock =
                planned.command.as_ref().ok().and_then(|known| self.core.clocking.before(known, args.len()));
            let (flow, ran) = if self.core.is_watched || client.session.is_watched() {
                self.core.execute_watched(worker, client, me, args, planned)
            } else {
                self.core.execute(worker, client, me, args, planned)
            };
            if flow == Flow::Stall {
                connection.stalled = true;
                self.wait_with_plan(connection, me);
                return false;
            }
            *taken = planned.end;
            *budget -= 1;
            client.session.figures.commands += 1;
            match (ran, clock) {
                (Some(command), None) => self.timing.ran(command),
                (Some(_), Some(began_ns)) => self.ran_alone(worker, connection, (planned, args), began_ns),
                (None, _) => {}
            }
            if flow == Flow::Stop {
                connection.parser = RequestParser::new();
                return false;
            }
        }
        true
    }

    /// A command has run that is timed by itself.
    fn ran_alone(
        &mut self,
        worker: &Worker<Service>,
        connection: &Connection,
        (planned, args): (&Planned, Args<'_>),
        began_ns: u64,
    ) {
        let Ok(command) = planned.command else { return };
        let duration_ns = ring::monotonic_ns() - began_ns;
        self.timing.ran_alone(command.id, duration_ns, true, &mut self.core.counters);
        if self.core.clocking.is_slow(duration_ns) {
            let session = &connection.client.session;
            self.core.note_slow(worker, (command, args), duration_ns, Some(session));
        }
    }

    /// Planned requests cannot run now: they are parsed again when they can.
    fn wait_with_plan(&mut self, connection: &mut Connection, me: (u32, u32)) {
        connection.parser = RequestParser::new();
        self.mark_ready(connection, me);
    }

    /// Answers bytes that are no request, and closes.
    #[cold]
    fn refuse(
        &mut self,
        worker: &mut Worker<Service>,
        connection: &mut Connection,
        me: (u32, u32),
        error: resp::ProtocolError,
    ) {
        match error.reply_text() {
            Some(text) => {
                self.core.answer(worker, &mut connection.client, me, |core, mut reply| {
                    reply.error(&text);
                    core.counters.note_error(b"-ERR");
                });
                connection.client.life = Life::Closing;
            }
            None => {
                tracing::warn!(
                    peer = connection.client.session.peer,
                    "possible SECURITY ATTACK: POST or Host: sent to the Redis port, likely by a web page; closed"
                );
                connection.client.life = Life::Dead;
            }
        }
    }

    /// Goes on with connections whose requests could not all be run when they came.
    pub(super) fn run_ready(&mut self, worker: &mut Worker<Service>) {
        self.stalls.begin();
        let mut left_out = Vec::new();
        for _ in 0..self.ready.len() {
            let Some(me) = self.ready.pop_front() else { break };
            let Some(mut connection) = self.connections.take(me.0, me.1) else { continue };
            if connection.stalled && !self.stalls.may_try(worker.clock.now_ns) {
                self.connections.put(me.0, connection);
                left_out.push(me);
                continue;
            }
            let tried = connection
                .stalled
                .then(|| (ring::monotonic_ns(), connection.client.session.figures.commands));
            connection.is_ready = false;
            connection.stalled = false;
            if !connection.client.is_full() {
                self.core.go_on_changing(worker, &mut connection.client, me);
            }
            if connection.client.changing.is_some() {
                self.mark_ready(&mut connection, me);
            } else if connection.client.life == Life::Open && connection.backlog() > 0 {
                self.parse_backlog(worker, &mut connection, me);
            }
            if let Some((began_ns, commands)) = tried
                && connection.stalled
                && connection.client.session.figures.commands == commands
            {
                let now_ns = ring::monotonic_ns();
                self.stalls.note_vain(now_ns - began_ns, now_ns);
            }
            self.mark_dirty(&mut connection, me);
            self.connections.put(me.0, connection);
        }
        // They come first when the others have rested.
        left_out.into_iter().rev().for_each(|me| self.ready.push_front(me));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Driven;
    use super::*;

    const PING: &[u8] = b"PING\r\n";

    #[test]
    fn a_connection_runs_so_many_commands_in_a_turn_in_however_many_pieces_they_come() {
        let mut driven = Driven::in_memory();
        let ((many, _client), (other, _other_client)) = (driven.connect(), driven.connect());
        let (pieces, of_piece) = (20, 300);
        let mut ran = 0;
        for _ in 0..pieces {
            driven.receive(many, &PING.repeat(of_piece));
            ran = driven.connection(many).client.session.figures.commands;
            assert!(ran <= COMMANDS_PER_TURN as u64, "{ran} in one turn");
        }
        driven.receive(other, PING);
        assert_eq!(driven.connection(other).client.session.figures.commands, 1);
        let mut turns = 0;
        while ran < (pieces * of_piece) as u64 {
            driven.turn();
            turns += 1;
            let now = driven.connection(many).client.session.figures.commands;
            assert!(now - ran <= COMMANDS_PER_TURN as u64, "{} in one turn", now - ran);
            assert!(now > ran || turns == 1, "it goes on in every turn but the one it was full in");
            ran = now;
        }
        assert_eq!(driven.connection(many).backlog(), 0);
    }
}
