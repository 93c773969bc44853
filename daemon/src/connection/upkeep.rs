//! What is done now and then: the sweep, which comes by every connection once a second, and the steps of an orderly stop.

use std::sync::atomic::Ordering;

use engine::worker::Worker;

use super::connection::Life;
use super::core::Core;
use super::inbox::Inbox;
use super::limits::{HANDSHAKE_NS_MAX, LOGIN_NS_MAX, SWEEP_CONNECTIONS, SWEEP_NS};
use super::service::Service;
use crate::server::ShutdownRequest;

/// The stop that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    pub(super) deadline_ns: u64,
    pub(super) announced: bool,
}

/// How far the sweep is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sweep {
    /// When it goes on.
    pub(super) next_ns: u64,
    /// Place in the table that is looked at next.
    next_place: usize,
    /// Memory of the connections it came by.
    memory_bytes: u64,
}

impl Service {
    /// Looks for clients that say nothing, requests that stand still, output that is not read: at some connections each time,
    /// so that nobody waits for all of them, and so often that each is looked at once a second.
    pub(super) fn sweep(&mut self, worker: &mut Worker<Service>) {
        let Sweep { next_place: first, mut memory_bytes, .. } = self.sweep;
        if first == 0 {
            self.core.tidy_tracking();
            let bulk = self.core.server.settings.bulk_bytes_max();
            self.limits.bulk_bytes_max = usize::try_from(bulk).unwrap_or(usize::MAX);
        }
        let timeout_ns = u64::from(self.core.server.settings.timeout_seconds()) * 1_000_000_000;
        let request_timeout_ns =
            u64::from(self.core.server.settings.request_timeout_seconds()) * 1_000_000_000;
        let now_ns = worker.clock.now_ns;
        let places = self.connections.places();
        let end = places.min(first + SWEEP_CONNECTIONS);
        for place in first..end {
            let Some(me) = self.connections.at(place) else { continue };
            let Some(mut connection) = self.connections.take(me.0, me.1) else { continue };
            connection.note_figures();
            memory_bytes += connection.client.session.figures.memory_bytes;
            // While the server lets it wait, and for as long after that as it may take, no time is counted against it.
            // Where it does not read what it is sent, it is not the server who does.
            let waits = connection.waits_for_server() && !connection.client.is_full();
            let session = &mut connection.client.session;
            if waits {
                session.last_waited_ns = now_ns;
            }
            let session = &connection.client.session;
            let since = |begin_ns: u64| now_ns.saturating_sub(begin_ns.max(session.last_waited_ns));
            let idle_ns = since(session.last_interaction_ns);
            let received_ns = since(session.last_received_ns);
            let stuck = connection.parser.is_mid_request() && received_ns > request_timeout_ns;
            let age_ns = now_ns.saturating_sub(session.created_ns);
            // Who is subscribed waits for messages, and who looks on for requests of others, as long as it takes.
            let may_time_out = timeout_ns > 0 && !session.is_subscribed() && !session.is_monitor;
            let unknown_ns = since(session.unknown_since_ns);
            let unknown = !session.identity.is_logged_in() && unknown_ns > LOGIN_NS_MAX;
            if session.identity.is_deleted() || !Core::keeps_subscriptions(&mut connection.client) {
                connection.client.life = Life::Dead;
            }
            let unshaken = age_ns > HANDSHAKE_NS_MAX && connection.is_handshaking();
            let silent = may_time_out && idle_ns > timeout_ns && connection.is_quiet();
            if stuck || unknown || unshaken || silent {
                connection.client.life = Life::Dead;
            }
            self.mark_dirty(&mut connection, me);
            self.connections.put(me.0, connection);
        }
        let parts = places.div_ceil(SWEEP_CONNECTIONS).max(1);
        let next_ns = now_ns + SWEEP_NS / parts as u64;
        self.sweep = Sweep { next_ns, next_place: end, memory_bytes };
        if end == places {
            self.core.connection_bytes = memory_bytes;
            self.sweep = Sweep { next_ns, ..Sweep::default() };
        }
    }

    pub(super) fn begin_stop(&mut self, worker: &mut Worker<Service>, request: ShutdownRequest) {
        if self.stopping.is_some() {
            return;
        }
        let wait_seconds = if request.now { 0 } else { self.core.server.settings.shutdown_timeout_seconds() };
        let deadline_ns = worker.clock.now_ns + u64::from(wait_seconds) * 1_000_000_000;
        self.stopping = Some(Stopping { deadline_ns, announced: false });
        for listener in self.listeners.drain(..) {
            worker.ring.cancel_all_of(&listener.socket);
        }
        self.accept_again_ns = None;
        for me in self.connections.numbers() {
            if let Some(mut connection) = self.connections.take(me.0, me.1) {
                if connection.client.life == Life::Open {
                    connection.client.life = Life::Closing;
                }
                self.mark_dirty(&mut connection, me);
                self.connections.put(me.0, connection);
            }
        }
        worker.stop();
    }

    pub(super) fn advance_stop(&mut self, worker: &mut Worker<Service>) {
        let Some(stopping) = &mut self.stopping else { return };
        let late = worker.clock.now_ns >= stopping.deadline_ns;
        if late && self.connections.len() > 0 {
            for me in self.connections.numbers() {
                if let Some(mut connection) = self.connections.take(me.0, me.1) {
                    connection.client.life = Life::Dead;
                    self.mark_dirty(&mut connection, me);
                    self.connections.put(me.0, connection);
                }
            }
            return;
        }
        // Connections that were cut off may have requests under way: when all workers have said that they are drained,
        // none may be left that would write behind the clean-shutdown mark.
        let asked = self.core.remote_bytes.iter().any(|&bytes| bytes > 0);
        let served = !asked
            && self.core.parked.is_empty()
            && self.core.tasks.is_empty()
            && !self.core.swapping.needs_worker()
            && self.core.errands.is_empty()
            && self.core.holds.is_empty()
            && self.core.held.is_empty()
            && self.core.publishing.is_empty()
            && self.core.forgotten.is_empty()
            && self.inboxes.iter().all(Inbox::is_empty);
        if self.connections.len() == 0 && served && !stopping.announced {
            stopping.announced = true;
            self.shared.drained.fetch_add(1, Ordering::AcqRel);
            for (index, other) in self.workers.iter().enumerate() {
                if index != worker.index {
                    other.wake();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Driven;
    use super::*;
    use crate::server::Server;

    const SECOND_NS: u64 = 1_000_000_000;
    const DAY_MS: u64 = 24 * 3600 * 1000;

    /// Who is still there when so many seconds have passed and the wall clock has jumped: a client that has to log in, one
    /// whose request stands still, one that says nothing.
    fn left(seconds: u64, jump: impl Fn(u64) -> u64) -> [bool; 3] {
        let mut driven = Driven::in_memory();
        let of = |server: &Server| {
            server.settings.set_timeout_seconds(10);
            server.settings.set_request_timeout_seconds(10);
        };
        of(&driven.service.core.server);
        let silent = driven.connect();
        let mid_request = driven.connect();
        driven.receive(mid_request.0, b"*2\r\n$3\r\nGET\r\n");
        driven.service.core.server.acl.require_password("p");
        let unknown = driven.connect();
        let clock = &mut driven.worker.clock;
        clock.now.0 = jump(clock.now.0);
        clock.now_ns += seconds * SECOND_NS;
        driven.service.sweep(&mut driven.worker);
        [unknown.0, mid_request.0, silent.0].map(|me| driven.connection(me).client.life == Life::Open)
    }

    #[test]
    fn a_client_that_waits_for_the_server_has_all_the_time_it_takes() {
        let mut driven = Driven::in_memory();
        driven.service.core.server.settings.set_timeout_seconds(10);
        driven.service.core.server.settings.set_request_timeout_seconds(10);
        let ((pausing, _p), (waiting, _w), (blocked, _b)) =
            (driven.connect(), driven.connect(), driven.connect());
        driven.receive(pausing, b"CLIENT PAUSE 60000 WRITE\r\n");
        driven.receive(waiting, b"SET a 1\r\n");
        driven.receive(blocked, b"*2\r\n$3\r\nGET\r\n");
        driven.connection(blocked).client.blocked = true;
        driven.worker.clock.now_ns += 11 * SECOND_NS;
        driven.turn();
        assert_eq!([waiting, blocked].map(|me| driven.connection(me).client.life), [Life::Open; 2]);
        driven.receive(pausing, b"CLIENT UNPAUSE\r\n");
        driven.turn();
        assert_eq!(driven.connection(waiting).client.session.figures.commands, 1);
        driven.connection(blocked).client.blocked = false;
        for (seconds, life) in [(9, Life::Open), (2, Life::Dead)] {
            driven.worker.clock.now_ns += seconds * SECOND_NS;
            driven.turn();
            assert_eq!(
                driven.connection(blocked).client.life,
                life,
                "now it is the client that is waited for"
            );
        }
    }

    #[test]
    fn who_cannot_log_in_because_of_a_pause_has_its_time_afterwards() {
        let mut driven = Driven::in_memory();
        let (pausing, _p) = driven.connect();
        driven.service.core.server.acl.require_password("p");
        let [(asking, _a), (silent, _s)] = [driven.connect(), driven.connect()];
        driven.receive(pausing, b"CLIENT PAUSE 60000 ALL\r\n");
        driven.receive(asking, b"AUTH p\r\n");
        driven.worker.clock.now_ns += 11 * SECOND_NS;
        driven.turn();
        assert_eq!(
            [asking, silent].map(|me| driven.connection(me).client.life),
            [Life::Open, Life::Dead],
            "who has not asked is not waited for"
        );
        driven.receive(pausing, b"CLIENT UNPAUSE\r\n");
        driven.turn();
        assert!(driven.connection(asking).client.session.identity.is_logged_in());
    }

    #[test]
    fn of_very_many_clients_some_are_looked_at_each_time_and_all_within_a_second() {
        let mut driven = Driven::in_memory();
        let all: Vec<_> = (0..SWEEP_CONNECTIONS * 3 + 1).map(|_| driven.connect().0).collect();
        driven.service.core.server.settings.set_timeout_seconds(10);
        driven.worker.clock.now_ns += 11 * SECOND_NS;
        let begun_ns = driven.worker.clock.now_ns;
        let gone = |driven: &mut Driven| {
            all.iter().filter(|&&me| driven.connection(me).client.life == Life::Dead).count()
        };
        for part in 1..=4 {
            driven.service.sweep(&mut driven.worker);
            assert_eq!(gone(&mut driven), all.len().min(part * SWEEP_CONNECTIONS));
            assert_eq!(driven.service.core.connection_bytes > 0, part == 4, "told when all were looked at");
            driven.worker.clock.now_ns = driven.service.sweep.next_ns;
        }
        assert_eq!(driven.worker.clock.now_ns - begun_ns, SECOND_NS, "and then from the start");
        assert_eq!(driven.service.sweep.next_place, 0);
    }

    #[test]
    fn a_clock_that_jumps_neither_ends_nor_prolongs_what_clients_have_time_for() {
        for jump in [|now| now, |now| now + DAY_MS, |now| now - DAY_MS] {
            assert_eq!(left(9, jump), [true; 3]);
            assert_eq!(left(11, jump), [false; 3]);
        }
    }
}
