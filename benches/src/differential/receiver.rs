//! A client that is told in the place of others (CLIENT TRACKING with REDIRECT), at one server: it comes, is told, ends in
//! one of many ways, and another one comes.
//!
//! That it comes or ends is drawn as a request is, which no server gets to see: a word that says what happens ([`COMES`],
//! [`LEAVES`], [`IS_ENDED`]), and the words of a request that goes with it. The first client may end it too, with a request
//! of its own ([`kill`]).

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};

use super::caches::settle;
use super::generate::one_of;
use super::ids::{ADDRESS, Ids, RECEIVER};
use super::wire::Wire;
use super::{Words, words};
use crate::limits::{POLL_INTERVAL, REPLY_TIME_MAX};
use crate::rng::Rng;

/// It connects, and asks for what follows, if anything does.
pub(super) const COMES: &[u8] = b"(a receiver comes)";
/// It asks for what follows, if anything does, and closes if the server does not.
pub(super) const LEAVES: &[u8] = b"(the receiver leaves)";
/// Another client, which does not track, asks for what follows.
pub(super) const IS_ENDED: &[u8] = b"(the receiver is ended)";

/// The user that every receiver is, and nobody else.
const USER: &str = "receiver";

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

/// Filters of CLIENT KILL that pick the receiver if anybody.
const FILTERS: &[&[&[u8]]] = &[
    &[b"ID", RECEIVER],
    &[b"ID", RECEIVER, b"SKIPME", b"no"],
    &[b"ID", RECEIVER, b"TYPE", b"normal"],
    &[b"TYPE", b"pubsub", b"ID", RECEIVER],
    &[b"ID", RECEIVER, b"ADDR", ADDRESS],
    &[b"ID", RECEIVER, b"USER", b"default"],
    &[b"TYPE", b"pubsub"],
    &[b"USER", USER.as_bytes()],
    &[b"user", USER.as_bytes(), b"type", b"PUBSUB"],
    &[b"USER", USER.as_bytes(), b"LADDR", ADDRESS],
];

/// That a receiver comes.
pub(super) fn comes(rng: &mut Rng) -> Words {
    let greeting: &&[&str] = one_of(rng, GREETINGS);
    std::iter::once(COMES.to_vec()).chain(words(greeting)).collect()
}

/// That it ends, by itself or by another client.
pub(super) fn ends(rng: &mut Rng) -> Words {
    let (how, request) = match rng.below(6) {
        0 | 1 => (LEAVES, Vec::new()),
        2 => (LEAVES, words(&["QUIT"])),
        3 => (LEAVES, [words(&["CLIENT", "KILL", "SKIPME", "no", "ID"]), vec![RECEIVER.to_vec()]].concat()),
        _ => (IS_ENDED, kill(rng)),
    };
    std::iter::once(how.to_vec()).chain(request).collect()
}

/// CLIENT KILL of the receiver and of nobody else, whoever asks.
pub(super) fn kill(rng: &mut Rng) -> Words {
    let filters = one_of(rng, FILTERS).iter().map(|word| word.to_vec());
    words(&["CLIENT", "KILL"]).into_iter().chain(filters).collect()
}

/// Whether it is about the receiver, and no request.
pub(super) fn is_step(request: &Words) -> bool {
    request.first().is_some_and(|word| [COMES, LEAVES, IS_ENDED].contains(&word.as_slice()))
}

pub(super) struct Receiver {
    socket: PathBuf,
    /// Ends it, and asks whether it is gone.
    witness: Wire,
    /// None: it is gone.
    wire: Option<Wire>,
}

impl Receiver {
    pub(super) fn begin(socket: &Path) -> Result<Self> {
        let mut witness = Wire::connect(socket)?;
        let all = ["ACL", "SETUSER", USER, "on", "nopass", "allkeys", "allchannels", "allcommands"];
        witness.ask(&words(&all))?;
        Ok(Self { socket: socket.to_owned(), witness, wire: None })
    }

    /// Does what [`is_step`], and gives what the server said to it. Who is there already stays, and who is gone is gone.
    pub(super) fn step(&mut self, step: &Words, ids: &mut Ids) -> Result<Vec<u8>> {
        let what = step[0].as_slice();
        let request = &step[1..];
        if what == COMES {
            return self.come(request, ids);
        }
        if self.wire.is_none() {
            return Ok(Vec::new());
        }
        let request = ids.filled(request);
        if what == IS_ENDED {
            let reply = self.witness.ask(&request)?;
            return Ok([&reply[..], &self.see_killed(&reply, ids)?].concat());
        }
        let Some(wire) = self.wire.as_mut().filter(|_| !request.is_empty()) else {
            self.leave(ids)?;
            return Ok(Vec::new());
        };
        let reply = wire.ask(&request)?;
        if reply.starts_with(b"-") {
            // Who listens in the old protocol may not ask for everything.
            self.leave(ids)?;
            return Ok(reply);
        }
        Ok([&reply[..], &self.see_end(ids)?].concat())
    }

    fn come(&mut self, greeting: &[Vec<u8>], ids: &mut Ids) -> Result<Vec<u8>> {
        if self.wire.is_some() {
            return Ok(Vec::new());
        }
        let mut wire = Wire::connect(&self.socket)?;
        ids.receivers.push(wire.id()?);
        let reply = wire.ask(&words(&["AUTH", USER, "any"]))?;
        if !greeting.is_empty() {
            wire.ask(&greeting.to_vec())?;
        }
        self.wire = Some(wire);
        Ok(reply)
    }

    /// Closes the connection; on return the server knows.
    pub(super) fn leave(&mut self, ids: &Ids) -> Result<()> {
        if self.wire.take().is_none() {
            return Ok(());
        }
        let begun = Instant::now();
        while !self.is_unknown(ids)?.starts_with(b"-") {
            if begun.elapsed() > REPLY_TIME_MAX {
                bail!("a server keeps a client that has closed its connection");
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Sees its connection closed if a reply to CLIENT KILL says that somebody was picked. Gives what comes of it.
    pub(super) fn see_killed(&mut self, reply: &[u8], ids: &Ids) -> Result<Vec<u8>> {
        let is_picked = reply.starts_with(b":") && reply != b":0\r\n";
        if is_picked { self.see_end(ids) } else { Ok(Vec::new()) }
    }

    /// The server closes the connection. Gives what comes before that, and what is said of the client right after.
    fn see_end(&mut self, ids: &Ids) -> Result<Vec<u8>> {
        let Some(mut wire) = self.wire.take() else { return Ok(Vec::new()) };
        Ok([wire.rest()?, self.is_unknown(ids)?].concat())
    }

    /// An error if the server does not know the client.
    fn is_unknown(&mut self, ids: &Ids) -> Result<Vec<u8>> {
        let request = [words(&["CLIENT", "TRACKING", "OFF", "REDIRECT"]), vec![RECEIVER.to_vec()]].concat();
        self.witness.ask(&ids.filled(&request))
    }

    /// What it was told since this was last asked. What clients are told that it stands for has to be settled.
    pub(super) fn take_told(&mut self) -> Result<Vec<Vec<u8>>> {
        let Some(wire) = &mut self.wire else { return Ok(Vec::new()) };
        settle(wire, &["PING"])?;
        Ok(wire.take_pushed())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_way_to_come_and_to_end_is_drawn() {
        let mut rng = Rng::new(1, 0);
        let drawn: BTreeSet<Words> = (0..1000).flat_map(|_| [comes(&mut rng), ends(&mut rng)]).collect();
        assert!(drawn.iter().all(is_step));
        for greeting in GREETINGS {
            assert!(drawn.contains(&[vec![COMES.to_vec()], words(greeting)].concat()), "{greeting:?}");
        }
        for filters in FILTERS {
            assert!(drawn.iter().any(|step| step.len() > 3 && step[3..] == **filters), "{filters:?}");
        }
        for how in [&[][..], &["QUIT"]] {
            assert!(drawn.contains(&[vec![LEAVES.to_vec()], words(how)].concat()), "{how:?}");
        }
    }
}
