//! What is done now and then: the sweep over all connections once a second, and the steps of an orderly stop.

use std::sync::atomic::Ordering;

use engine::worker::Worker;

use super::connection::Life;
use super::core::Core;
use super::limits::{HANDSHAKE_MS_MAX, LOGIN_MS_MAX, SWEEP_NS};
use super::mail::Inbox;
use super::service::Service;
use crate::server::ShutdownRequest;

/// The stop that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    pub(super) deadline_ns: u64,
    pub(super) announced: bool,
}

impl Service {
    /// Once a second: clients that say nothing, requests that stand still, output that is not read.
    pub(super) fn sweep(&mut self, worker: &mut Worker<Service>) {
        self.next_sweep_ns = worker.clock.now_ns + SWEEP_NS;
        self.core.tidy_tracking();
        let bulk = self.core.server.settings.bulk_bytes_max();
        self.limits.bulk_bytes_max = usize::try_from(bulk).unwrap_or(usize::MAX);
        let timeout_ms = u64::from(self.core.server.settings.timeout_seconds()) * 1000;
        let request_timeout_ms = u64::from(self.core.server.settings.request_timeout_seconds()) * 1000;
        let mut memory_bytes = 0;
        for me in self.connections.numbers() {
            let Some(mut connection) = self.connections.take(me.0, me.1) else { continue };
            connection.note_figures();
            memory_bytes += connection.client.session.figures.memory_bytes;
            let idle_ms = worker.clock.now.0.saturating_sub(connection.client.session.last_interaction.0);
            let stuck = connection.parser.is_mid_request() && idle_ms > request_timeout_ms;
            let session = &connection.client.session;
            let age_ms = worker.clock.now.0.saturating_sub(session.created.0);
            // Who is subscribed waits for messages, and who looks on for requests of others, as long as it takes.
            let may_time_out = timeout_ms > 0 && !session.is_subscribed() && !session.is_monitor;
            let unknown_ms = worker.clock.now.0.saturating_sub(session.unknown_since.0);
            let unknown = !session.identity.is_logged_in() && unknown_ms > LOGIN_MS_MAX;
            if session.identity.is_deleted() || !Core::keeps_subscriptions(&mut connection.client) {
                connection.client.life = Life::Dead;
            }
            let unshaken = age_ms > HANDSHAKE_MS_MAX && connection.is_handshaking();
            let silent = may_time_out && idle_ms > timeout_ms && connection.is_quiet();
            if stuck || unknown || unshaken || silent {
                connection.client.life = Life::Dead;
            }
            self.mark_dirty(&mut connection, me);
            self.connections.put(me.0, connection);
        }
        self.core.connection_bytes = memory_bytes;
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
