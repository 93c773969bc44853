//! A client that is told in the place of others (CLIENT TRACKING with REDIRECT), at one server: it comes, is told, leaves,
//! and another one comes.
//!
//! Ids are each server's own. A request has [`PLACE`] where the id goes, that of whoever came last, and a reply is compared
//! with the id replaced by a number: receivers of a session are counted from 0. That it leaves or comes is drawn as a
//! request is ([`LEAVES`], [`COMES`] and what it asks for first), which no server gets to see.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};

use super::tracking::settle;
use super::wire::Wire;
use super::{Words, words};
use crate::limits::{POLL_INTERVAL, REPLY_TIME_MAX};
use crate::rng::Rng;

/// Stands for the id in a request.
pub(super) const PLACE: &[u8] = b"(id of the receiver)";
/// The word of what is drawn as a request: the connection is closed.
pub(super) const LEAVES: &[u8] = b"(the receiver leaves)";
/// The word of what is drawn as a request: the receiver connects, and sends the words that follow, if any do.
pub(super) const COMES: &[u8] = b"(a receiver comes)";

/// What a receiver asks for first. Who asks for nothing cannot be told, and whoever listens to anything is.
const GREETINGS: &[&[&str]] = &[
    &["HELLO", "3"],
    &["HELLO", "3"],
    &["SUBSCRIBE", "__redis__:invalidate"],
    &["SUBSCRIBE", "__redis__:invalidate"],
    &["SUBSCRIBE", "nobody speaks here"],
    &["PSUBSCRIBE", "nobody speaks ther?"],
    &["SSUBSCRIBE", "nor here"],
    &[],
];

/// That a receiver comes.
pub(super) fn comes(rng: &mut Rng) -> Words {
    let greeting: &&[&str] = super::generate::one_of(rng, GREETINGS);
    let greeting = words(greeting);
    std::iter::once(COMES.to_vec()).chain(greeting).collect()
}

/// Whether it is about the receiver, and no request.
pub(super) fn is_step(request: &Words) -> bool {
    request.first().is_some_and(|word| word == LEAVES || word == COMES)
}

pub(super) struct Receiver {
    socket: PathBuf,
    /// Asks whether it is gone.
    witness: Wire,
    /// None: it is gone.
    wire: Option<Wire>,
    /// Ids of all there were, as text.
    ids: Vec<Vec<u8>>,
}

impl Receiver {
    pub(super) fn begin(socket: &Path) -> Result<Self> {
        let witness = Wire::connect(socket)?;
        Ok(Self { socket: socket.to_owned(), witness, wire: None, ids: Vec::new() })
    }

    /// Does what [`is_step`]. Who is there already stays, and who is gone is gone.
    pub(super) fn step(&mut self, step: &Words) -> Result<()> {
        if step[0] == LEAVES {
            return self.leave();
        }
        if self.wire.is_none() {
            let mut wire = Wire::connect(&self.socket)?;
            let id = wire.ask(&words(&["CLIENT", "ID"]))?;
            let Some(id) = id.strip_prefix(b":").and_then(|id| id.strip_suffix(b"\r\n")) else {
                bail!("CLIENT ID is answered by {}", id.escape_ascii());
            };
            self.ids.push(id.to_vec());
            if step.len() > 1 {
                wire.ask(&step[1..].to_vec())?;
            }
            self.wire = Some(wire);
        }
        Ok(())
    }

    /// Closes the connection; on return the server knows.
    pub(super) fn leave(&mut self) -> Result<()> {
        if self.wire.take().is_none() {
            return Ok(());
        }
        // It is refused from when there is no such client.
        let request = self
            .filled(&[&words(&["CLIENT", "TRACKING", "OFF", "REDIRECT"])[..], &[PLACE.to_vec()]].concat());
        let begun = Instant::now();
        while !self.witness.ask(&request)?.starts_with(b"-") {
            if begun.elapsed() > REPLY_TIME_MAX {
                bail!("a server keeps a client that has closed its connection");
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// A request as this server gets it.
    pub(super) fn filled(&self, request: &Words) -> Words {
        let id = self.ids.last().cloned().unwrap_or_default();
        request.iter().map(|word| if word == PLACE { id.clone() } else { word.clone() }).collect()
    }

    /// A reply that has an id of a receiver as an integer, with its number instead.
    pub(super) fn numbered(&self, reply: &[u8]) -> Vec<u8> {
        for (number, id) in self.ids.iter().enumerate() {
            let integer = [b":", &id[..], b"\r\n"].concat();
            if let Some(at) = reply.windows(integer.len()).position(|window| window == integer) {
                let name = format!(":receiver {number}\r\n");
                return [&reply[..at], name.as_bytes(), &reply[at + integer.len()..]].concat();
            }
        }
        reply.to_vec()
    }

    /// What it was told since this was last asked. What clients are told that it stands for has to be settled.
    pub(super) fn take_told(&mut self) -> Result<Vec<Vec<u8>>> {
        let Some(wire) = &mut self.wire else { return Ok(Vec::new()) };
        settle(wire, "PING")?;
        Ok(wire.take_pushed())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn ids_are_filled_in_and_become_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        let mut receiver = Receiver::begin(&socket).unwrap();
        receiver.ids = [&b"7"[..], b"71"].map(<[u8]>::to_vec).into();
        let request = [b"REDIRECT".to_vec(), PLACE.to_vec()].to_vec();
        assert_eq!(receiver.filled(&request), words(&["REDIRECT", "71"]));
        let check = |reply: &str, expected: &str| {
            assert_eq!(receiver.numbered(reply.as_bytes()), expected.as_bytes());
        };
        check(":7\r\n", ":receiver 0\r\n");
        check(":71\r\n", ":receiver 1\r\n");
        check("*2\r\n:71\r\n*0\r\n", "*2\r\n:receiver 1\r\n*0\r\n");
        check(":72\r\n", ":72\r\n");
        check("$1\r\n7\r\n", "$1\r\n7\r\n");
    }
}
