//! The TLS of one connection, between what the ring receives and the parser, and between replies and what the ring
//! sends. No I/O: bytes in, bytes out. What it holds is one record each way and, until the handshake is done, the
//! handshake's messages, which rustls bounds, and what was received and waits for its turn.

use std::io::{BufRead as _, Write as _};

use rustls::ServerConnection;

/// Plain bytes that are encrypted before what comes of them is taken out; rustls' own buffer is bounded by 64 KiB.
const CHUNK_BYTES: usize = 32 << 10;

/// The connection has to end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsStreamError {
    /// What arrived is not what TLS allows here, or the peer is not trusted.
    #[error("{0}")]
    Protocol(#[from] rustls::Error),
    /// rustls takes no bytes: it has ended the connection already.
    #[error("{0}")]
    Ended(#[from] std::io::Error),
}

/// The TLS of one connection.
#[derive(Debug)]
pub(crate) struct TlsStream {
    session: ServerConnection,
    /// Received and not opened yet.
    waiting: Vec<u8>,
}

impl TlsStream {
    /// Before the handshake.
    pub(crate) fn new(session: ServerConnection) -> Self {
        Self { session, waiting: Vec::new() }
    }

    /// Whether the handshake is not done yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Keeps what was received until [`Self::take_waiting`].
    pub(crate) fn wait(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Whether something was received that is to be opened before what comes.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What waits, to be opened now.
    pub(crate) fn take_waiting(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.waiting)
    }

    /// Takes what was received, all of it, and appends what it says to `plain`. True: the peer has said that nothing
    /// follows. What is there to send afterwards, an alert after an error too, [`Self::seal`] gives.
    pub(crate) fn open(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> Result<bool, TlsStreamError> {
        while !bytes.is_empty() {
            if self.session.read_tls(&mut bytes)? == 0 {
                return Ok(true);
            }
            let state = self.session.process_new_packets()?;
            let mut left = state.plaintext_bytes_to_read();
            let mut reader = self.session.reader();
            while left > 0 {
                let chunk = reader.fill_buf()?;
                let count = chunk.len();
                assert!(count > 0 && count <= left, "rustls has as many bytes as it says");
                plain.extend_from_slice(chunk);
                reader.consume(count);
                left -= count;
            }
            if state.peer_has_closed() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there is something to send without any reply: handshake, alerts, tickets.
    pub(crate) fn wants_send(&self) -> bool {
        self.session.wants_write()
    }

    /// Appends to `sealed` what TLS itself has to say, then `plain` encrypted.
    pub(crate) fn seal(&mut self, plain: &[u8], sealed: &mut Vec<u8>) -> Result<(), TlsStreamError> {
        self.take_out(sealed)?;
        for chunk in plain.chunks(CHUNK_BYTES) {
            self.session.writer().write_all(chunk)?;
            self.take_out(sealed)?;
        }
        Ok(())
    }

    /// Says that nothing follows; appends it to `sealed`.
    pub(crate) fn end(&mut self, sealed: &mut Vec<u8>) -> Result<(), TlsStreamError> {
        self.session.send_close_notify();
        self.take_out(sealed)
    }

    fn take_out(&mut self, sealed: &mut Vec<u8>) -> Result<(), TlsStreamError> {
        while self.session.wants_write() {
            self.session.write_tls(sealed)?;
        }
        Ok(())
    }
}
