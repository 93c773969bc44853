//! A connection that sends pipelines in pieces and gives replies as the bytes they came as.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, bail};
use resp::{parse_reply, write_request};

use super::Words;
use crate::limits::REPLY_TIME_MAX;
use crate::rng::Rng;

/// Bytes of one piece of a pipeline at most, where it is cut.
const PIECE_BYTES_MAX: u64 = 300;

/// How it begins that keys are not what they were.
pub(super) const INVALIDATE: &[u8] = b">2\r\n$10\r\ninvalidate\r\n";
/// The same in the old protocol, to who is told in the place of another.
pub(super) const MESSAGE: &[u8] = b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n";
/// How it begins that a client which was told in the place of this one is gone.
pub(super) const BROKEN: &[u8] = b">2\r\n$21\r\ntracking-redir-broken\r\n";
/// How what a client that caches is told begins: other pushes confirm what was asked for.
const TOLD: [&[u8]; 3] = [INVALIDATE, MESSAGE, BROKEN];

pub(super) struct Wire {
    stream: UnixStream,
    input: Vec<u8>,
    taken: usize,
    /// What was told to a client that caches, as it came.
    pushed: Vec<Vec<u8>>,
}

impl Wire {
    pub(super) fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
        stream.set_read_timeout(Some(REPLY_TIME_MAX))?;
        stream.set_write_timeout(Some(REPLY_TIME_MAX))?;
        Ok(Self { stream, input: Vec::new(), taken: 0, pushed: Vec::new() })
    }

    /// Sends requests one behind the other, in pieces where there are numbers to cut by.
    pub(super) fn send(&mut self, requests: &[Words], rng: Option<&mut Rng>) -> Result<()> {
        let mut bytes = Vec::new();
        for request in requests {
            let words: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
            write_request(&mut bytes, &words);
        }
        let Some(rng) = rng else { return Ok(self.stream.write_all(&bytes)?) };
        if rng.one_in(2) {
            return Ok(self.stream.write_all(&bytes)?);
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let len = usize::try_from(rng.between(1, PIECE_BYTES_MAX))?.min(rest.len());
            self.stream.write_all(&rest[..len])?;
            rest = &rest[len..];
        }
        Ok(())
    }

    /// The bytes of the next reply; what a client that caches is told before it is set aside.
    pub(super) fn reply(&mut self) -> Result<Vec<u8>> {
        loop {
            let parsed = parse_reply(&self.input[self.taken..]);
            if let Some((_, consumed)) = parsed.context("a server answered what is no reply")? {
                let reply = self.input[self.taken..self.taken + consumed].to_vec();
                self.taken += consumed;
                if TOLD.iter().any(|head| reply.starts_with(head)) {
                    self.pushed.push(reply);
                    continue;
                }
                return Ok(reply);
            }
            self.input.drain(..self.taken);
            self.taken = 0;
            let mut piece = [0; 65536];
            let len = self.stream.read(&mut piece).context("a server does not answer")?;
            if len == 0 {
                bail!("a server closed the connection");
            }
            self.input.extend_from_slice(&piece[..len]);
        }
    }

    /// The id that the server gave this connection.
    pub(super) fn id(&mut self) -> Result<Vec<u8>> {
        let reply = self.ask(&super::words(&["CLIENT", "ID"]))?;
        match reply.strip_prefix(b":").and_then(|id| id.strip_suffix(b"\r\n")) {
            Some(id) => Ok(id.to_vec()),
            None => bail!("CLIENT ID is answered by {}", reply.escape_ascii()),
        }
    }

    /// What comes, and was not asked for, until the server closes the connection.
    pub(super) fn rest(&mut self) -> Result<Vec<u8>> {
        let mut rest = self.input.split_off(self.taken);
        self.stream.read_to_end(&mut rest).context("a server does not close a connection that ends")?;
        Ok(rest)
    }

    /// What was set aside since this was last asked.
    pub(super) fn take_pushed(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.pushed)
    }

    pub(super) fn ask(&mut self, request: &Words) -> Result<Vec<u8>> {
        self.send(std::slice::from_ref(request), None)?;
        self.reply()
    }
}
