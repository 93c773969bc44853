//! Bytes out: what the log has released is sent, one send per connection and turn; a connection receives again where
//! there is room, ends where its client does not read, and closes when all is said.

use engine::worker::Worker;

use super::connection::{Connection, Life};
use super::limits::{BACKLOG_BYTES_MAX, OUTPUT_PAUSE_BYTES};
use super::service::Service;
use super::table::{TokenKind, is_kind, of_token, token};
use crate::server::{ClientClass, Counter};

impl Service {
    /// Looks at every connection that something happened to, or whose replies the log has released.
    #[inline]
    pub(super) fn flush_dirty(&mut self, worker: &mut Worker<Service>) {
        self.awaits_sends = false;
        let mark = worker.shards.released();
        if mark != self.seen_released {
            if mark < self.seen_released {
                self.wait_again();
            }
            self.seen_released = mark;
            self.core.waiting.take_released(mark, &mut self.released);
        }
        let mut released = std::mem::take(&mut self.released);
        for me in released.drain(..) {
            if let Some(connection) = self.connections.get_mut(me.0, me.1)
                && !connection.is_dirty
            {
                connection.is_dirty = true;
                self.dirty.push(me);
            }
        }
        self.released = released;
        while let Some(me) = self.core.askers.pop() {
            if let Some(connection) = self.connections.get_mut(me.0, me.1)
                && !connection.is_dirty
            {
                connection.is_dirty = true;
                self.dirty.push(me);
            }
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        for me in dirty.drain(..) {
            self.flush_one(worker, me);
        }
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    /// A stricter sync policy took back the promise to release some batches: who was told to go on with them and has
    /// not sent everything yet waits once more.
    #[cold]
    fn wait_again(&mut self) {
        for me in self.connections.numbers() {
            if let Some(connection) = self.connections.get_mut(me.0, me.1) {
                for batch in connection.client.output.awaited() {
                    self.core.waiting.add(batch, me);
                }
            }
        }
    }

    /// Sends what may be sent, receives where there is room again, closes what has ended.
    fn flush_one(&mut self, worker: &mut Worker<Service>, me: (u32, u32)) {
        let Some(mut connection) = self.connections.take(me.0, me.1) else { return };
        connection.is_dirty = false;
        let mut is_part = false;
        if connection.client.life != Life::Dead && !connection.sending {
            let count = connection.client.output.releasable(worker.shards.released());
            let sealed = connection.tls.as_ref().is_some_and(|tls| tls.wants_send());
            if count > 0 || sealed {
                let spare = self.core.spare_buffer();
                let bytes = connection.client.output.take(count, spare);
                connection.client.in_flight = bytes.len();
                is_part = bytes.len() < count;
                if let Some(bytes) = self.seal(&mut connection, bytes) {
                    worker.ring.send(&connection.socket, bytes, token(TokenKind::Send, me.0, me.1));
                    connection.sending = true;
                }
            }
        }
        self.check_output(worker, &mut connection);
        let drained = connection.is_quiet();
        let life = connection.client.life;
        // What the peer asked before it closed its side is still answered.
        let asked_all = connection.peer_closed && !connection.is_ready;
        if life == Life::Dead || (drained && (life == Life::Closing || asked_all)) {
            self.close(worker, me, connection);
            return;
        }
        let ends = life != Life::Open || connection.peer_closed;
        let more_after =
            ends || connection.client.is_full() || is_part || !connection.client.deferred.is_empty();
        self.awaits_sends |= connection.sending && more_after;
        if !connection.client.deferred.is_empty() {
            self.core.ask_for_deferred(worker, &mut connection.client, me);
        }
        self.steer_receive(worker, &mut connection, me);
        self.connections.put(me.0, connection);
    }

    /// Receives only while there is room for what comes.
    fn steer_receive(&mut self, worker: &mut Worker<Service>, connection: &mut Connection, me: (u32, u32)) {
        let open = connection.client.life == Life::Open && !connection.peer_closed;
        let waits = connection.is_ready || connection.client.blocked;
        let full = (waits && connection.backlog() > BACKLOG_BYTES_MAX)
            || connection.tls.as_ref().is_some_and(|tls| tls.is_waiting());
        match connection.receiving {
            None if open && !full => {
                let value = token(TokenKind::Receive, me.0, me.1);
                connection.receiving = Some(worker.ring.recv(&connection.socket, value));
            }
            Some(operation) if full || !open => worker.ring.cancel(operation),
            _ => {}
        }
    }

    /// Ends a connection that does not read what it asked for.
    fn check_output(&mut self, worker: &Worker<Service>, connection: &mut Connection) {
        let bytes = connection.client.limited_bytes() as u64;
        let class = connection.client.class();
        if bytes <= OUTPUT_PAUSE_BYTES as u64 && class == ClientClass::Normal {
            connection.soft_limit_since_ns = None;
            return;
        }
        let limit = self.core.server.settings.output_limit(class);
        let hard = limit.hard_bytes > 0 && bytes > limit.hard_bytes;
        let mut soft = false;
        if limit.soft_bytes > 0 && bytes > limit.soft_bytes {
            let since = *connection.soft_limit_since_ns.get_or_insert(worker.clock.now_ns);
            soft = worker.clock.now_ns - since >= u64::from(limit.soft_seconds) * 1_000_000_000;
        } else {
            connection.soft_limit_since_ns = None;
        }
        if hard || soft {
            tracing::warn!(
                client = connection.client.session.id,
                peer = connection.client.session.peer,
                bytes,
                class = class.name(),
                "client closed: what it has not read exceeds client-output-buffer-limit"
            );
            self.core.counters.add(Counter::OutputLimitClosed, 1);
            connection.client.life = Life::Dead;
        }
    }

    pub(super) fn on_sent(
        &mut self,
        worker: &Worker<Service>,
        value: u64,
        buffer: Vec<u8>,
        result: std::io::Result<usize>,
    ) {
        self.core.recycle_buffer(buffer);
        if is_kind(value, TokenKind::Farewell) {
            return;
        }
        let me = of_token(value);
        let Some(mut connection) = self.connections.take(me.0, me.1) else { return };
        connection.sending = false;
        connection.client.in_flight = 0;
        match result {
            Ok(bytes) => {
                self.core.counters.add(Counter::Sends, 1);
                self.core.counters.add(Counter::BytesOut, bytes as u64);
                connection.client.session.figures.bytes_out += bytes as u64;
                connection.client.session.note_interaction(&worker.clock);
            }
            Err(_) => connection.client.life = Life::Dead,
        }
        self.mark_dirty(&mut connection, me);
        self.connections.put(me.0, connection);
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::REPLY_SLOTS_MAX;
    use super::super::reply_slots::{SlotBytes, Source};
    use super::super::testing::Driven;
    use super::*;
    use crate::server::{OutputLimit, OutputLimits};
    use shard::types::BatchNumber;

    #[test]
    fn the_places_of_very_many_tiny_replies_count_towards_the_limit_of_output() {
        for (hard_bytes, life) in [(4 << 20, Life::Open), (3 << 19, Life::Dead)] {
            let mut driven = Driven::in_memory();
            let limit = OutputLimit { hard_bytes, soft_bytes: 0, soft_seconds: 0 };
            driven.service.core.server.settings.set_output_limits(&OutputLimits([limit; 3]));
            let (me, _client) = driven.connect();
            let mut connection = driven.service.connections.take(me.0, me.1).unwrap();
            let slots = &mut connection.client.slots;
            slots.open_waiting(Source::Write);
            for _ in 1..REPLY_SLOTS_MAX {
                slots.push_ready(SlotBytes::from_slice(b"+OK\r\n"), BatchNumber::ZERO);
            }
            driven.service.check_output(&driven.worker, &mut connection);
            assert_eq!(connection.client.life, life, "{hard_bytes}");
        }
    }
}
