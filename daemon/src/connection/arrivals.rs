//! Connections come and go: accepted at a listener, handed to the worker that is to serve them, opened and closed.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use engine::worker::Worker;
use ring::Fd;

use super::connection::Connection;
use super::limits::{ACCEPT_REST_NS, ACCEPT_WARNING_NS, HANDSHAKES_MAX};
use super::message::{Control, Peer};
use super::service::Service;
use super::table::{TokenKind, of_token, token};
use super::tls_stream::TlsStream;
use crate::server::Counter;
use crate::tracking::ClientPlace;

impl Service {
    pub(super) fn accept_all(&mut self, worker: &mut Worker<Service>) {
        self.accept_again_ns = None;
        for (number, listener) in (0u32..).zip(&mut self.listeners) {
            if !listener.accepting {
                listener.accepting = true;
                worker.ring.accept(&listener.socket, token(TokenKind::Accept, number, 0));
            }
        }
    }

    pub(super) fn on_accepted(
        &mut self,
        worker: &mut Worker<Service>,
        value: u64,
        result: std::io::Result<Fd>,
        more: bool,
    ) {
        let (number, _) = of_token(value);
        let Some(listener) = self.listeners.get_mut(number as usize) else { return };
        let (peer, listening) = (listener.peer, listener.socket.clone());
        match result {
            Ok(socket) if peer == Peer::Unix => {
                self.hand_out(worker, socket);
                if !more {
                    worker.ring.accept(&listening, value);
                }
            }
            Ok(socket) => {
                self.open(worker, socket, peer);
                if !more {
                    worker.ring.accept(&listening, value);
                }
            }
            Err(_) if self.stopping.is_some() => {}
            Err(error) => {
                if worker.clock.now_ns >= self.next_accept_warning_ns {
                    self.next_accept_warning_ns = worker.clock.now_ns + ACCEPT_WARNING_NS;
                    tracing::warn!(
                        %error,
                        "new clients wait: they cannot be accepted now; of descriptors there are more with a higher \
                         limit (ulimit -n, LimitNOFILE=)"
                    );
                }
                if !more {
                    // Out of descriptors, most likely: a pause instead of a spin.
                    listener.accepting = false;
                    self.accept_again_ns = Some(worker.clock.now_ns + ACCEPT_REST_NS);
                }
            }
        }
    }

    /// Gives connections of the one Unix listener to all workers in turn.
    fn hand_out(&mut self, worker: &mut Worker<Service>, socket: Fd) {
        let to = self.next_worker;
        self.next_worker = (to + 1) % self.workers.len();
        if to == worker.index {
            self.open(worker, socket, Peer::Unix);
            return;
        }
        match socket.try_into_owned() {
            Ok(owned) => self.workers[to].send(Control::Connection(owned, Peer::Unix)),
            Err(socket) => self.open(worker, socket, Peer::Unix),
        }
    }

    pub(super) fn open(&mut self, worker: &mut Worker<Service>, socket: Fd, peer: Peer) {
        let settings = &self.core.server.settings;
        let most = usize::try_from(settings.max_clients()).unwrap_or(usize::MAX);
        if self.stopping.is_some() || self.shared.connections.fetch_add(1, Ordering::Relaxed) >= most {
            if self.stopping.is_none() {
                self.shared.connections.fetch_sub(1, Ordering::Relaxed);
                self.core.counters.add(Counter::ConnectionsRefused, 1);
                if peer != Peer::Tls {
                    let farewell = b"-ERR max number of clients reached\r\n".to_vec();
                    worker.ring.send(&socket, farewell, token(TokenKind::Farewell, 0, 0));
                }
            }
            return;
        }
        let tls = match peer {
            Peer::Tls if self.handshakes >= HANDSHAKES_MAX => None,
            Peer::Tls => self.core.server.tls.accept().map(TlsStream::new),
            Peer::Tcp | Peer::Unix => None,
        };
        if peer == Peer::Tls && tls.is_none() {
            self.shared.connections.fetch_sub(1, Ordering::Relaxed);
            self.core.counters.add(Counter::ConnectionsRefused, 1);
            return;
        }
        self.handshakes += usize::from(tls.is_some());
        if peer != Peer::Unix {
            let keepalive = settings.tcp_keepalive_seconds();
            let nodelay = socket.set_no_delay();
            let keep = if keepalive > 0 { socket.set_keepalive(keepalive) } else { Ok(()) };
            if let Err(error) = nodelay.and(keep) {
                tracing::debug!(%error, "socket options of a new connection");
            }
        }
        let session = self.core.new_session(&socket, peer, worker.clock);
        self.core.counters.add(Counter::ConnectionsAccepted, 1);
        let (number, generation) = self.connections.insert(Box::new(Connection::new(socket, session, tls)));
        let Some(connection) = self.connections.get_mut(number, generation) else { return };
        let id = connection.client.session.id;
        self.core.server.onlookers.note_client(id, ClientPlace::new(worker.index, (number, generation)));
        let value = token(TokenKind::Receive, number, generation);
        connection.receiving = Some(worker.ring.recv(&connection.socket, value));
    }

    /// Closes a connection that was taken out of the table.
    pub(super) fn close(
        &mut self,
        worker: &mut Worker<Service>,
        me: (u32, u32),
        mut connection: Box<Connection>,
    ) {
        let says_farewell = self.end_tls(worker, &mut connection);
        if says_farewell || connection.receiving.is_some() || connection.sending {
            worker.ring.cancel_all_of(&connection.socket);
        }
        let owners: BTreeSet<usize> = connection.client.deferred.iter().map(|&(_, owner)| owner).collect();
        self.core.forgotten.extend(owners.into_iter().map(|owner| (owner, me)));
        self.core.forget_listener(me, &mut connection.client);
        self.core.forget_onlooker(worker, &mut connection.client, me);
        self.core.server.onlookers.forget_client(connection.client.session.id);
        drop(connection);
        self.connections.free(me.0);
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
