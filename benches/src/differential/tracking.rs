//! Sessions of clients that cache what they read (CLIENT TRACKING): after each pipeline both servers have to have told
//! the same.
//!
//! There are two such clients: the one whose requests are drawn, and a reader, which reads all keys before each pipeline.
//! What each asks to be told of is drawn once; the first may change it, with a request that is alone in its pipeline:
//! Redis tells clients of keys with a prefix at the end of a turn of its loop, to whoever wants to know by then. What is
//! told comes in no order between keys of different workers; it is compared as it is without one.
//!
//! In one session of two there is a third client, which may be told in the place of each of the others (`receiver.rs`), and
//! which leaves and comes again.

use anyhow::Result;
use resp::{Reply, parse_reply};

use super::compare::same;
use super::generate::{Generator, KEYS};
use super::receiver::{self, Receiver};
use super::wire::{BROKEN, Wire};
use super::{Comparison, Mismatch, Tally, Words, words};
use crate::rng::Rng;

/// Prefixes, of which none begins with another.
const PREFIXES: &[&str] = &["a", "b", "{t}", "two", "1", "\u{0}"];
/// One request in so many is about what is told.
const CHANGE_ONE_IN: u64 = 12;

/// One session in so many has a receiver.
const RECEIVER_ONE_IN: u64 = 2;

/// What two clients want to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// The one whose requests are drawn.
    pub main: Words,
    /// The one that reads all keys.
    pub reader: Words,
    /// How the one comes that is told in their place, where there is one.
    pub receiver: Option<Words>,
}

/// A request that turns it on, with drawn options that go together; perhaps for a receiver, where one may be.
fn turned_on(rng: &mut Rng, has_receiver: bool) -> Words {
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
    if has_receiver && !rng.one_in(4) {
        request.extend([b"REDIRECT".to_vec(), receiver::PLACE.to_vec()]);
    }
    request
}

fn has(request: &Words, word: &str) -> bool {
    request.iter().any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

fn is_change(request: &Words) -> bool {
    has(request, "CLIENT") && has(request, "TRACKING")
}

/// Whether a reply may have the id of a receiver.
pub(super) fn tells_id(request: &Words) -> bool {
    has(request, "CLIENT") && (has(request, "TRACKINGINFO") || has(request, "GETREDIR"))
}

/// Whether it has to be alone in its pipeline: also where the reply depends on whether a receiver was found gone, which
/// is known when somebody was to be told.
fn is_alone(request: &Words) -> bool {
    is_change(request)
        || receiver::is_step(request)
        || (has(request, "CLIENT") && has(request, "TRACKINGINFO"))
}

impl Tracking {
    /// What a session's clients ask for at its beginning.
    pub fn draw(rng: &mut Rng) -> Self {
        let receiver = rng.one_in(RECEIVER_ONE_IN).then(|| receiver::comes(rng));
        let has_receiver = receiver.is_some();
        Self { main: turned_on(rng, has_receiver), reader: turned_on(rng, has_receiver), receiver }
    }

    /// The next request of the first client, or what the receiver does.
    pub fn request(&self, rng: &mut Rng) -> Words {
        if rng.one_in(CHANGE_ONE_IN) {
            let has_receiver = self.receiver.is_some();
            return match rng.below(if has_receiver { 10 } else { 6 }) {
                0 => words(&["CLIENT", "TRACKING", "OFF"]),
                1 | 2 | 9 => turned_on(rng, has_receiver),
                3 => words(&["CLIENT", "TRACKINGINFO"]),
                6 => vec![receiver::LEAVES.to_vec()],
                7 => receiver::comes(rng),
                8 => words(&["CLIENT", if rng.one_in(2) { "GETREDIR" } else { "TRACKINGINFO" }]),
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
    let until_alone = requests.iter().take(most).position(is_alone);
    until_alone.map_or(most, |at| at.max(1))
}

/// Two readers, one at each server, and what both clients of a server have to have been told.
pub(super) struct Caches {
    tracking: Tracking,
    ours: Wire,
    theirs: Wire,
    /// Receivers, where there may be some.
    receivers: Option<[Receiver; 2]>,
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
    /// What is no invalidation, in order, each once: how often it is told that a receiver is gone depends on how keys
    /// are put together.
    other: Vec<Vec<u8>>,
}

impl Told {
    /// `each_once`: how often a key was told means nothing. Of which protocol a null is need not be the same either:
    /// docs/DIFFERENCES.md.
    fn of(pushed: Vec<Vec<u8>>, each_once: bool) -> Self {
        let mut told = Self::default();
        for push in pushed {
            let parts = match parse_reply(&push) {
                Ok(Some((Reply::Push(parts), _))) => parts,
                // In the old protocol it is a message, its channel the second part.
                Ok(Some((Reply::Array(parts), _))) if parts.len() == 3 => {
                    vec![Reply::Bulk(b"invalidate".to_vec()), parts[2].clone()]
                }
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
        told.other.sort_unstable();
        told.other.dedup();
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
/// one answers; so it comes before the answer to what is asked next. To a receiver the worker of another client tells it:
/// that client is settled first. `name`: what is asked; a client that listens may ask PING only.
pub(super) fn settle(wire: &mut Wire, name: &str) -> Result<()> {
    for _ in 0..2 {
        wire.ask(&if name == "PING" { words(&[name]) } else { words(&[name, "end"]) })?;
    }
    Ok(())
}

impl Caches {
    pub(super) fn begin(comparison: &Comparison, tracking: &Tracking) -> Result<Self> {
        let (ours, theirs) = (Wire::connect(&comparison.ours)?, Wire::connect(&comparison.theirs)?);
        let receivers = match &tracking.receiver {
            Some(comes) => {
                let mut receivers =
                    [Receiver::begin(&comparison.ours)?, Receiver::begin(&comparison.theirs)?];
                receivers.iter_mut().try_for_each(|receiver| receiver.step(comes))?;
                Some(receivers)
            }
            None => None,
        };
        let is_broadcast = has(&tracking.main, "BCAST");
        Ok(Self { tracking: tracking.clone(), ours, theirs, receivers, is_broadcast })
    }

    /// Turns it on for both clients of both servers.
    pub(super) fn set_up(&mut self, ours: &mut Wire, theirs: &mut Wire) -> Result<Option<Mismatch>> {
        for wire in [&mut self.ours, &mut self.theirs] {
            wire.ask(&words(&["HELLO", "3"]))?;
        }
        let readers = (&self.tracking.reader, &mut self.ours, &mut self.theirs);
        for (request, ours, theirs) in [readers, (&self.tracking.main, ours, theirs)] {
            let [our, their] = filled(self.receivers.as_ref(), request);
            let (our, their) = (ours.ask(&our)?, theirs.ask(&their)?);
            if !same(request, &our, &their) {
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

    /// Does at both servers what is no request. False: it is one.
    pub(super) fn step(&mut self, step: &Words) -> Result<bool> {
        if !receiver::is_step(step) {
            return Ok(false);
        }
        self.receivers.iter_mut().flatten().try_for_each(|receiver| receiver.step(step))?;
        Ok(true)
    }

    /// A pipeline as each server gets it.
    pub(super) fn filled(&self, pipeline: &[Words]) -> [Vec<Words>; 2] {
        let both = pipeline.iter().map(|request| filled(self.receivers.as_ref(), request));
        let (ours, theirs) = both.map(|[our, their]| (our, their)).unzip();
        [ours, theirs]
    }

    /// Replies with numbers of receivers instead of their ids.
    pub(super) fn numbered(&self, replies: [Vec<u8>; 2]) -> [Vec<u8>; 2] {
        let Some([ours, theirs]) = &self.receivers else { return replies };
        [ours.numbered(&replies[0]), theirs.numbered(&replies[1])]
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
        for wire in [&mut *ours, &mut *theirs, &mut self.ours, &mut self.theirs] {
            settle(wire, "ECHO")?;
        }
        let mut all = vec![
            ("main", [ours.take_pushed(), theirs.take_pushed()], self.is_broadcast),
            ("reader", [self.ours.take_pushed(), self.theirs.take_pushed()], reader_is_broadcast),
        ];
        if let Some([ours, theirs]) = &mut self.receivers {
            let told = [ours.take_told()?, theirs.take_told()?];
            tally.redirected += told[0].len() as u64;
            all.push(("receiver", told, self.is_broadcast || reader_is_broadcast));
        }
        for (who, pushed, each_once) in all {
            let is_broken = |push: &Vec<u8>| push.starts_with(BROKEN);
            tally.broken += pushed[0].iter().filter(|push| is_broken(push)).count() as u64;
            let [our, their] = self.comparable(pushed).map(|pushed| Told::of(pushed, each_once));
            tally.told += our.keys.len() as u64;
            if our != their {
                let question = words(&["what was told to", who]);
                return Ok(Some(Mismatch { question, ours: our.text(), theirs: their.text() }));
            }
        }
        Ok(None)
    }

    /// What was told, with numbers of receivers where they are gone.
    fn comparable(&self, mut pushed: [Vec<Vec<u8>>; 2]) -> [Vec<Vec<u8>>; 2] {
        for (receiver, pushed) in self.receivers.iter().flatten().zip(&mut pushed) {
            for push in pushed.iter_mut().filter(|push| push.starts_with(BROKEN)) {
                *push = receiver.numbered(push);
            }
        }
        pushed
    }

    /// Sees the receivers off: nobody finds them subscribed after that.
    pub(super) fn end(&mut self) -> Result<()> {
        self.receivers.iter_mut().flatten().try_for_each(Receiver::leave)
    }
}

/// A request as each server gets it.
fn filled(receivers: Option<&[Receiver; 2]>, request: &Words) -> [Words; 2] {
    match receivers {
        Some(receivers) => receivers.each_ref().map(|receiver| receiver.filled(request)),
        None => [request.clone(), request.clone()],
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
            let requests: Vec<Words> = (0..200).map(|_| tracking.request(&mut rng)).collect();
            let drawn = requests.iter().chain([&tracking.main, &tracking.reader]);
            let is_about_receiver = |request: &Words| {
                receiver::is_step(request) || request.iter().any(|word| word == receiver::PLACE)
            };
            assert!(tracking.receiver.is_some() || !drawn.clone().any(is_about_receiver));
            seen.extend(drawn.filter(|request| is_alone(request)).cloned());
            let mut rest = &requests[..];
            while !rest.is_empty() {
                let len = stretch(rest, rest.len().min(17));
                let (together, after) = rest.split_at(len);
                assert!(len == 1 || !together.iter().any(is_alone));
                rest = after;
            }
        }
        let steps =
            [receiver::LEAVES, receiver::COMES].map(|word| String::from_utf8_lossy(word).into_owned());
        let options = ["BCAST", "PREFIX", "OPTIN", "OPTOUT", "NOLOOP", "OFF", "REDIRECT", "TRACKINGINFO"];
        for option in options.iter().copied().chain(steps.iter().map(String::as_str)) {
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
        let message =
            |what: &str| format!("*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n{what}").into_bytes();
        let old = [message("*1\r\n$1\r\nb\r\n"), message("$-1\r\n"), message("*1\r\n$1\r\na\r\n")];
        assert_eq!(of(&old, false), of(&together, false));
        let broken = |id: &str| [BROKEN, b":", id.as_bytes(), b"\r\n"].concat();
        assert_eq!(of(&[broken("1"), broken("1")], false), of(&[broken("1")], false));
        assert_ne!(of(&[broken("1")], false), of(&[broken("2")], false));
        assert_ne!(of(&[broken("1")], false), of(&[], false));
    }
}
