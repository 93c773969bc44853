//! Sessions of clients that cache what they read (CLIENT TRACKING): what their clients ask for. `caches.rs` plays them.
//!
//! There are two such clients: the one whose requests are drawn, and a reader, which reads all keys before each pipeline.
//! What each asks to be told of is drawn once; the first may change it, with a request that is alone in its pipeline:
//! Redis tells clients of keys with a prefix at the end of a turn of its loop, to whoever wants to know by then.
//!
//! In one session of two there is a third client, which may be told in the place of each of the others (`receiver.rs`), and
//! which ends and comes again. Each of the two may also be told in the place of the other, or of itself.

use super::generate::{Generator, one_of};
use super::ids::{MAIN, READER, RECEIVER};
use super::{Words, receiver, words};
use crate::rng::Rng;

/// Prefixes, of which none begins with another.
const PREFIXES: &[&str] = &["a", "b", "{t}", "two", "1", "\u{0}"];
/// One request in so many is about what is told.
const CHANGE_ONE_IN: u64 = 12;
/// One request in so many flushes: more than elsewhere, since it is told in a way of its own.
const FLUSH_ONE_IN: u64 = 80;
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

/// Who is told in the place of a client: a receiver where one may be, or one of the two clients.
fn target(rng: &mut Rng, has_receiver: bool) -> &'static [u8] {
    if has_receiver && !rng.one_in(4) {
        return RECEIVER;
    }
    if rng.one_in(2) { MAIN } else { READER }
}

/// A request that turns it on, with drawn options that go together; perhaps with somebody told in its place.
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
    let is_redirected = if has_receiver { !rng.one_in(4) } else { rng.one_in(4) };
    if is_redirected {
        request.extend([b"REDIRECT".to_vec(), target(rng, has_receiver).to_vec()]);
    }
    request
}

/// A request to turn it on or off with any options, which may not go together, or not with those that hold.
fn with_any_options(rng: &mut Rng, has_receiver: bool) -> Words {
    const OPTIONS: &[&[&str]] = &[
        &["BCAST"],
        &["BCAST", "PREFIX", "a"],
        &["PREFIX", "a"],
        &["PREFIX", "ab"],
        &["PREFIX", ""],
        &["PREFIX"],
        &["OPTIN"],
        &["OPTOUT"],
        &["NOLOOP"],
        &["REDIRECT"],
        &["REDIRECT", "0"],
        &["REDIRECT", "-1"],
        &["REDIRECT", "999999999"],
        &["REDIRECT", "x"],
    ];
    let switch = *one_of(rng, &["ON", "on", "OFF", "OFF", "off", "MAYBE"]);
    let mut request = words(&["CLIENT", "TRACKING", switch]);
    for _ in 0..rng.below(4) {
        if rng.one_in(3) {
            request.extend([b"redirect".to_vec(), target(rng, has_receiver).to_vec()]);
        } else {
            let option: &&[&str] = one_of(rng, OPTIONS);
            request.extend(words(option));
        }
    }
    request
}

pub(super) fn has(request: &Words, word: &str) -> bool {
    request.iter().any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

pub(super) fn is_change(request: &Words) -> bool {
    has(request, "CLIENT") && has(request, "TRACKING")
}

pub(super) fn is_kill(request: &Words) -> bool {
    has(request, "CLIENT") && has(request, "KILL")
}

fn is_flush(request: &Words) -> bool {
    has(request, "FLUSHALL") || has(request, "FLUSHDB")
}

/// Whether a reply may have the id of a client.
pub(super) fn tells_id(request: &Words) -> bool {
    has(request, "CLIENT") && (has(request, "TRACKINGINFO") || has(request, "GETREDIR"))
}

/// Whether it has to be alone in its pipeline: also where the reply depends on whether a receiver was found gone, which
/// is known when somebody was to be told, and where more happens than is asked for here (`caches.rs`).
fn is_alone(request: &Words) -> bool {
    is_change(request)
        || is_kill(request)
        || receiver::is_step(request)
        || has(request, "SWAPDB")
        || (has(request, "CLIENT") && has(request, "TRACKINGINFO"))
}

impl Tracking {
    /// What a session's clients ask for at its beginning.
    pub fn draw(rng: &mut Rng) -> Self {
        let receiver = rng.one_in(RECEIVER_ONE_IN).then(|| receiver::comes(rng));
        let has_receiver = receiver.is_some();
        let draw = if rng.one_in(10) { with_any_options } else { turned_on };
        let main = draw(rng, has_receiver);
        // What was read is forgotten when nobody tracks (docs/DIFFERENCES.md): the reader always does.
        let reader = turned_on(rng, has_receiver);
        Self { main, reader, receiver }
    }

    /// The next request of the first client, or what the receiver does; or several that make sense together.
    pub fn requests(&self, rng: &mut Rng) -> Vec<Words> {
        if rng.one_in(FLUSH_ONE_IN) {
            return vec![words(&[if rng.one_in(2) { "FLUSHALL" } else { "FLUSHDB" }])];
        }
        if rng.one_in(CHANGE_ONE_IN) {
            return if rng.one_in(8) { self.exception(rng) } else { vec![self.change(rng)] };
        }
        vec![Generator.request(rng)]
    }

    /// An exception of CLIENT CACHING that is taken, and another change before the request that it is for.
    fn exception(&self, rng: &mut Rng) -> Vec<Words> {
        let (mode, exception) = *one_of(rng, &[("OPTIN", "YES"), ("OPTOUT", "NO")]);
        vec![
            words(&["CLIENT", "TRACKING", "OFF"]),
            words(&["CLIENT", "TRACKING", "ON", mode]),
            words(&["CLIENT", "CACHING", exception]),
            self.change(rng),
            words(&["CLIENT", "TRACKINGINFO"]),
        ]
    }

    /// A request about what is told and to whom.
    fn change(&self, rng: &mut Rng) -> Words {
        let has_receiver = self.receiver.is_some();
        match rng.below(if has_receiver { 14 } else { 8 }) {
            0 => words(&["CLIENT", "TRACKING", "OFF"]),
            1 | 2 => turned_on(rng, has_receiver),
            3 => with_any_options(rng, has_receiver),
            4 => words(&["CLIENT", "TRACKINGINFO"]),
            5 => words(&["CLIENT", "GETREDIR"]),
            6 | 7 => words(&["CLIENT", "CACHING", if rng.one_in(2) { "YES" } else { "NO" }]),
            8 => turned_on(rng, has_receiver),
            9 => receiver::kill(rng),
            10 => receiver::ends(rng),
            _ => receiver::comes(rng),
        }
    }
}

/// How many of these requests, at most `most` and at least one, are sent together: a change of what is told goes alone, and
/// of flushes no two go together, since of two at one time we may tell once (docs/DIFFERENCES.md).
pub(super) fn stretch(requests: &[Words], most: usize) -> usize {
    let mut flushes = 0;
    let ends_before = |request: &Words| {
        flushes += usize::from(is_flush(request));
        is_alone(request) || flushes > 1
    };
    requests.iter().take(most).position(ends_before).map_or(most, |at| at.max(1))
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
            let requests: Vec<Words> = (0..200).flat_map(|_| tracking.requests(&mut rng)).collect();
            let drawn = requests.iter().chain([&tracking.main, &tracking.reader]);
            let is_about_receiver =
                |request: &Words| receiver::is_step(request) || request.iter().any(|word| word == RECEIVER);
            assert!(tracking.receiver.is_some() || !drawn.clone().any(is_about_receiver));
            seen.extend(drawn.filter(|request| is_alone(request)).cloned());
            let mut rest = &requests[..];
            while !rest.is_empty() {
                let len = stretch(rest, rest.len().min(17));
                let (together, after) = rest.split_at(len);
                assert!(len == 1 || !together.iter().any(is_alone));
                assert!(together.iter().filter(|request| is_flush(request)).count() < 2);
                rest = after;
            }
        }
        let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
        let all = |words: &[&str]| {
            let found = seen.iter().any(|request| words.iter().all(|word| has(request, word)));
            assert!(found, "{words:?}");
        };
        for option in ["BCAST", "PREFIX", "OPTIN", "OPTOUT", "NOLOOP", "OFF", "TRACKINGINFO", "SWAPDB"] {
            all(&[option]);
        }
        for step in [receiver::COMES, receiver::LEAVES, receiver::IS_ENDED] {
            all(&[&text(step)]);
        }
        for target in [MAIN, READER, RECEIVER] {
            all(&["TRACKING", "ON", "REDIRECT", &text(target)]);
            all(&["TRACKING", "OFF", "REDIRECT", &text(target)]);
        }
        all(&["CLIENT", "KILL", &text(RECEIVER)]);
        all(&["TRACKING", "ON", "BCAST", "OPTIN"]);
    }
}
