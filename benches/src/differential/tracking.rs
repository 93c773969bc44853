//! Sessions of clients that cache what they read (CLIENT TRACKING): after each pipeline both servers have to have told
//! the same.
//!
//! There are two such clients: the one whose requests are drawn, and a reader, which reads all keys before each pipeline.
//! What each asks to be told of is drawn once; the first may change it, with a request that is alone in its pipeline:
//! Redis tells clients of keys with a prefix at the end of a turn of its loop, to whoever wants to know by then. What is
//! told comes in no order between keys of different workers; it is compared as it is without one.

use anyhow::Result;
use resp::{Reply, parse_reply};

use super::generate::{Generator, KEYS};
use super::wire::Wire;
use super::{Comparison, Mismatch, Tally, Words, words};
use crate::rng::Rng;

/// Prefixes, of which none begins with another.
const PREFIXES: &[&str] = &["a", "b", "{t}", "two", "1", "\u{0}"];
/// One request in so many is about what is told.
const CHANGE_ONE_IN: u64 = 12;

/// What two clients want to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// The one whose requests are drawn.
    pub main: Words,
    /// The one that reads all keys.
    pub reader: Words,
}

/// A request that turns it on, with drawn options that go together.
fn turned_on(rng: &mut Rng) -> Words {
    let mut request = words(&["CLIENT", "TRACKING", "ON"]);
    let mut push = |word: &str| request.push(word.as_bytes().to_vec());
    match rng.below(5) {
        0 => push("BCAST"),
        1 => {
            push("BCAST");
            let first = rng.below(PREFIXES.len() as u64);
            for number in 0..rng.between(1, 3) {
                let at = (first + number) % PREFIXES.len() as u64;
                push("PREFIX");
                push(PREFIXES[usize::try_from(at).unwrap_or(0)]);
            }
        }
        2 => push("OPTIN"),
        3 => push("OPTOUT"),
        _ => {}
    }
    if rng.one_in(2) {
        push("NOLOOP");
    }
    request
}

fn has(request: &Words, word: &str) -> bool {
    request.iter().any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

fn is_change(request: &Words) -> bool {
    has(request, "CLIENT") && has(request, "TRACKING")
}

impl Tracking {
    /// What a session's clients ask for at its beginning.
    pub fn draw(rng: &mut Rng) -> Self {
        Self { main: turned_on(rng), reader: turned_on(rng) }
    }

    /// The next request of the first client.
    pub fn request(rng: &mut Rng) -> Words {
        if rng.one_in(CHANGE_ONE_IN) {
            return match rng.below(6) {
                0 => words(&["CLIENT", "TRACKING", "OFF"]),
                1 | 2 => turned_on(rng),
                3 => words(&["CLIENT", "TRACKINGINFO"]),
                _ => words(&["CLIENT", "CACHING", if rng.one_in(2) { "YES" } else { "NO" }]),
            };
        }
        // Whose databases are exchanged is told of it by us, and not by Redis: docs/DIFFERENCES.md.
        loop {
            let request = Generator.request(rng);
            if !has(&request, "SWAPDB") {
                return request;
            }
        }
    }
}

/// How many of these requests, at most `most` and at least one, are sent together: a change of what is told goes alone.
pub(super) fn stretch(requests: &[Words], most: usize) -> usize {
    let until_change = requests.iter().take(most).position(is_change);
    until_change.map_or(most, |at| at.max(1))
}

/// Two readers, one at each server, and what both clients of a server have to have been told.
pub(super) struct Caches {
    tracking: Tracking,
    ours: Wire,
    theirs: Wire,
    /// The first client has asked for all keys with a prefix at some time.
    is_broadcast: bool,
}

/// What a client was told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// All keys were flushed, once or several times.
    all: bool,
    /// Keys in order, each as often as it was told.
    keys: Vec<Vec<u8>>,
    /// What is no invalidation.
    other: Vec<Vec<u8>>,
}

impl Told {
    /// `each_once`: how often a key was told means nothing.
    fn of(pushed: Vec<Vec<u8>>, each_once: bool) -> Self {
        let mut told = Self::default();
        for push in pushed {
            let parts = match parse_reply(&push) {
                Ok(Some((Reply::Push(parts), _))) => parts,
                _ => Vec::new(),
            };
            match &parts[..] {
                [Reply::Bulk(word), Reply::Null] if word == b"invalidate" => told.all = true,
                [Reply::Bulk(word), Reply::Array(keys)] if word == b"invalidate" => {
                    for key in keys {
                        match key {
                            Reply::Bulk(key) => told.keys.push(key.clone()),
                            _ => told.other.push(push.clone()),
                        }
                    }
                }
                _ => told.other.push(push),
            }
        }
        told.keys.sort_unstable();
        if each_once {
            told.keys.dedup();
        }
        told
    }

    /// For who reads a difference.
    fn text(&self) -> Vec<u8> {
        let keys = self.keys.iter().map(|key| format!("\"{}\"", key.escape_ascii()));
        let other = self.other.iter().map(|push| push.escape_ascii().to_string());
        let all = self.all.then(|| "all keys".to_owned());
        all.into_iter().chain(keys).chain(other).collect::<Vec<_>>().join(" ").into_bytes()
    }
}

/// Waits until all is told that was done before: what a worker tells another is there when the turn is over in which that
/// one answers; so it comes before the answer to what is asked next.
fn settle(wire: &mut Wire) -> Result<()> {
    for _ in 0..2 {
        wire.ask(&words(&["ECHO", "end"]))?;
    }
    Ok(())
}

impl Caches {
    pub(super) fn begin(comparison: &Comparison, tracking: &Tracking) -> Result<Self> {
        let (ours, theirs) = (Wire::connect(&comparison.ours)?, Wire::connect(&comparison.theirs)?);
        let is_broadcast = has(&tracking.main, "BCAST");
        Ok(Self { tracking: tracking.clone(), ours, theirs, is_broadcast })
    }

    /// Turns it on for both clients of both servers.
    pub(super) fn set_up(&mut self, ours: &mut Wire, theirs: &mut Wire) -> Result<Option<Mismatch>> {
        for wire in [&mut self.ours, &mut self.theirs] {
            wire.ask(&words(&["HELLO", "3"]))?;
        }
        let readers = (&self.tracking.reader, &mut self.ours, &mut self.theirs);
        for (request, ours, theirs) in [readers, (&self.tracking.main, ours, theirs)] {
            let (our, their) = (ours.ask(request)?, theirs.ask(request)?);
            if our != their {
                return Ok(Some(Mismatch { question: request.clone(), ours: our, theirs: their }));
            }
        }
        Ok(None)
    }

    /// The readers read every key there may be.
    pub(super) fn read_all(&mut self) -> Result<()> {
        let mut requests = Vec::new();
        if has(&self.tracking.reader, "OPTIN") {
            requests.push(words(&["CLIENT", "CACHING", "YES"]));
        }
        let keys = KEYS.iter().map(|key| key.to_vec());
        requests.push(std::iter::once(b"MGET".to_vec()).chain(keys).collect());
        for wire in [&mut self.ours, &mut self.theirs] {
            wire.send(&requests, None)?;
            for _ in &requests {
                wire.reply()?;
            }
        }
        Ok(())
    }

    /// Compares what the clients were told since this was last done; `pipeline` was sent meanwhile.
    pub(super) fn compare_told(
        &mut self,
        pipeline: &[Words],
        ours: &mut Wire,
        theirs: &mut Wire,
        tally: &mut Tally,
    ) -> Result<Option<Mismatch>> {
        self.is_broadcast |= pipeline.iter().any(|request| is_change(request) && has(request, "BCAST"));
        let reader_is_broadcast = has(&self.tracking.reader, "BCAST");
        let readers = ("reader", &mut self.ours, &mut self.theirs, reader_is_broadcast);
        for (who, ours, theirs, each_once) in [("main", ours, theirs, self.is_broadcast), readers] {
            settle(ours)?;
            settle(theirs)?;
            let our = Told::of(ours.take_pushed(), each_once);
            let their = Told::of(theirs.take_pushed(), each_once);
            tally.told += our.keys.len() as u64;
            if our != their {
                let question = words(&["what was told to", who]);
                return Ok(Some(Mismatch { question, ours: our.text(), theirs: their.text() }));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_mode_is_drawn_and_changes_go_alone() {
        let mut seen = BTreeSet::new();
        for session in 0..200 {
            let mut rng = Rng::new(1, session);
            let tracking = Tracking::draw(&mut rng);
            let requests: Vec<Words> = (0..200).map(|_| Tracking::request(&mut rng)).collect();
            let drawn = requests.iter().chain([&tracking.main, &tracking.reader]);
            seen.extend(drawn.filter(|request| is_change(request)).cloned());
            let mut rest = &requests[..];
            while !rest.is_empty() {
                let len = stretch(rest, rest.len().min(17));
                let (together, after) = rest.split_at(len);
                assert!(len == 1 || !together.iter().any(is_change));
                rest = after;
            }
        }
        for option in ["BCAST", "PREFIX", "OPTIN", "OPTOUT", "NOLOOP", "OFF"] {
            assert!(seen.iter().any(|request| has(request, option)), "{option}");
        }
    }

    #[test]
    fn what_is_told_is_compared_without_order() {
        let push = |keys: &[&str]| {
            let keys: String = keys.iter().map(|key| format!("${}\r\n{key}\r\n", key.len())).collect();
            let count = keys.matches('$').count();
            format!(">2\r\n$10\r\ninvalidate\r\n*{count}\r\n{keys}").into_bytes()
        };
        let all = b">2\r\n$10\r\ninvalidate\r\n_\r\n".to_vec();
        let of = |pushed: &[Vec<u8>], each_once| Told::of(pushed.to_vec(), each_once);
        let apart = [push(&["b"]), all.clone(), push(&["a"]), all.clone()];
        let together = [push(&["a", "b"]), all];
        assert_eq!(of(&apart, false), of(&together, false));
        let twice = [push(&["a"]), push(&["a", "b"])];
        assert_ne!(of(&twice, false), of(&together[..1], false));
        assert_eq!(of(&twice, true), of(&together[..1], true));
        assert_ne!(of(&[b">1\r\n$1\r\nx\r\n".to_vec()], true), of(&[], true));
    }
}
