//! Bytes on their way to the server, encrypted where TLS is spoken.

use ring::Token;

use super::{Worker, connection_number, index};
use crate::clock::now_ns;
use crate::error_counts::kind;
use crate::limits::SPARE_BUFFERS_MAX;
use crate::number::bytes;
use crate::phase_run::PhaseRun;

impl Worker {
    /// Hands the bytes of every connection that has some to the ring.
    pub(super) fn flush(&mut self, run: &mut PhaseRun, now: u64) {
        if self.dirty.is_empty() {
            return;
        }
        let sent_ns = now_ns();
        run.note_turn(sent_ns.saturating_sub(now));
        let mut dirty = std::mem::take(&mut self.dirty);
        for number in dirty.drain(..) {
            let connection = &mut self.connections[index(number)];
            connection.dirty = false;
            let has_bytes =
                !connection.out.is_empty() || connection.tls.as_ref().is_some_and(|tls| tls.wants_write());
            if connection.sending || !has_bytes {
                continue;
            }
            connection.stamp(sent_ns);
            let mut buffer = std::mem::take(&mut connection.out);
            if let Some(tls) = &mut connection.tls {
                let mut encrypted = self.spare_buffers.pop().unwrap_or_default();
                if let Err(error) = tls.encrypt(&buffer, &mut encrypted) {
                    self.fail(run, number, kind::PROTOCOL, &format!("TLS: {error}"));
                    continue;
                }
                std::mem::swap(&mut buffer, &mut encrypted);
                encrypted.clear();
                connection.out = encrypted;
            }
            connection.sending = true;
            if run.is_in_window(sent_ns) {
                run.tally.bytes_sent += bytes(buffer.len());
            }
            self.ring.send(&connection.socket, buffer, Token::from(number));
        }
        self.dirty = dirty;
    }

    pub(super) fn sent(
        &mut self,
        run: &mut PhaseRun,
        token: Token,
        mut buffer: Vec<u8>,
        result: std::io::Result<usize>,
    ) {
        buffer.clear();
        if self.spare_buffers.len() < SPARE_BUFFERS_MAX {
            self.spare_buffers.push(buffer);
        }
        let number = connection_number(token);
        let connection = &mut self.connections[index(number)];
        connection.sending = false;
        if !connection.alive {
            return;
        }
        if let Err(error) = result {
            self.fail(run, number, kind::CONNECTION_LOST, &error.to_string());
        } else if !connection.out.is_empty() && !std::mem::replace(&mut connection.dirty, true) {
            self.dirty.push(number);
        }
    }
}
