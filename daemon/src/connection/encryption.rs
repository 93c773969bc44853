//! TLS on the path of a connection: received bytes are opened before they are parsed, replies are sealed before they
//! are sent, both on the worker's thread, in the turn in which they come. Plain connections pass by all of it.

use engine::worker::Worker;

use super::connection::{Connection, Life};
use super::limits::{HANDSHAKES_PER_TURN, KEPT_BUFFER_BYTES};
use super::service::Service;
use super::table::{TokenKind, token};
use crate::server::Counter;

impl Service {
    /// Opens received bytes and takes what they say; those of a handshake wait for a later turn when many go on in this one.
    pub(super) fn take_sealed(
        &mut self,
        worker: &mut Worker<Service>,
        connection: &mut Connection,
        me: (u32, u32),
        sealed: &[u8],
    ) {
        let Some(tls) = &mut connection.tls else { return };
        if tls.is_handshaking() {
            if tls.is_waiting() {
                return tls.wait(sealed);
            }
            if self.handshakes_gone_on >= HANDSHAKES_PER_TURN || !self.waiting_handshakes.is_empty() {
                tls.wait(sealed);
                return self.waiting_handshakes.push_back(me);
            }
            self.handshakes_gone_on += 1;
        }
        self.open_sealed(worker, connection, me, sealed);
    }

    /// Goes on with some of the handshakes that have waited.
    pub(super) fn run_handshakes(&mut self, worker: &mut Worker<Service>) {
        self.handshakes_gone_on = 0;
        for _ in 0..self.waiting_handshakes.len().min(HANDSHAKES_PER_TURN) {
            let Some(me) = self.waiting_handshakes.pop_front() else { break };
            let Some(mut connection) = self.connections.take(me.0, me.1) else { continue };
            let sealed = connection.tls.as_mut().map(|tls| tls.take_waiting()).unwrap_or_default();
            if connection.client.life == Life::Open {
                self.open_sealed(worker, &mut connection, me, &sealed);
            }
            self.mark_dirty(&mut connection, me);
            self.connections.put(me.0, connection);
        }
    }

    /// Opens bytes and takes what they say. Bytes that are no TLS, or a peer that is not trusted, end the connection;
    /// nothing is run of what came with them.
    fn open_sealed(
        &mut self,
        worker: &mut Worker<Service>,
        connection: &mut Connection,
        me: (u32, u32),
        sealed: &[u8],
    ) {
        let Some(tls) = &mut connection.tls else { return };
        let mut plain = std::mem::take(&mut self.plain);
        let was_handshaking = tls.is_handshaking();
        let opened = tls.open(sealed, &mut plain);
        let is_done = was_handshaking && !tls.is_handshaking();
        if is_done {
            self.handshakes -= 1;
            self.core.counters.add(Counter::TlsHandshakes, 1);
        }
        match opened {
            Ok(ended) => {
                if !plain.is_empty() {
                    self.take_bytes(worker, connection, me, &plain);
                }
                connection.peer_closed |= ended;
            }
            Err(error) => {
                tracing::debug!(peer = connection.client.session.peer, %error, "TLS connection closed");
                self.core.counters.add(Counter::TlsErrors, 1);
                connection.client.life = Life::Dead;
            }
        }
        plain.clear();
        if plain.capacity() <= KEPT_BUFFER_BYTES {
            self.plain = plain;
        }
    }

    /// What is sent of replies: themselves on a plain connection. None, and the connection is dead, where TLS has ended.
    pub(super) fn seal(&mut self, connection: &mut Connection, plain: Vec<u8>) -> Option<Vec<u8>> {
        let Some(tls) = &mut connection.tls else { return Some(plain) };
        let mut sealed = self.core.spare_buffer();
        let result = tls.seal(&plain, &mut sealed);
        self.core.recycle_buffer(plain);
        match result {
            Ok(()) => Some(sealed),
            Err(error) => {
                tracing::debug!(peer = connection.client.session.peer, %error, "TLS connection closed");
                self.core.recycle_buffer(sealed);
                connection.client.life = Life::Dead;
                None
            }
        }
    }

    /// The last word of a TLS connection that is closed: the alert that says why, or that nothing follows. It is sent
    /// where the socket takes it at once, and not waited for: true where something is sent, which is to be cancelled then.
    pub(super) fn end_tls(&mut self, worker: &mut Worker<Service>, connection: &mut Connection) -> bool {
        let Some(mut tls) = connection.tls.take() else { return false };
        self.handshakes -= usize::from(tls.is_handshaking());
        let mut sealed = self.core.spare_buffer();
        // Behind a send that is under way it would be a part of another record.
        if tls.end(&mut sealed).is_ok() && !sealed.is_empty() && !connection.sending {
            worker.ring.send(&connection.socket, sealed, token(TokenKind::Farewell, 0, 0));
            return true;
        }
        sealed.clear();
        self.core.recycle_buffer(sealed);
        false
    }
}
