//! One reading connection: asks for keys of all writers and keeps what it saw.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use resp::Reply;

use super::history::Journal;
use super::key_state::{Sighting, now_ms};
use super::operation::{KeyIndex, ShownReply, value_of};
use super::violation::{Promise, Violation};
use super::writer::{Field, explain_end};
use crate::client::Client;
use crate::rng::Rng;

/// One answer.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Whose key.
    pub writer: usize,
    /// Which of its keys.
    pub key: KeyIndex,
    /// What it was.
    pub sighting: Sighting,
}

/// What came of a reader.
#[derive(Debug, Default)]
pub struct Read {
    /// All it saw, in order.
    pub seen: Vec<Seen>,
    /// What it found wrong.
    pub violations: Vec<Violation>,
}

/// Questions asked at a time, at most.
const DEPTH_MAX: u64 = 16;

/// Reads until the server is gone. `names` are the keys of each writer.
#[must_use]
pub fn read_until_the_end(
    field: &Field<'_>,
    mut rng: Rng,
    names: &[Arc<[Vec<u8>]>],
    mut journal: Journal,
) -> Read {
    let mut read = Read::default();
    let result = run(field, &mut rng, names, &mut journal, &mut read);
    read.violations.extend(explain_end(field, "reader", result));
    if let Err(error) = journal.finish() {
        read.violations.push(Violation::new(Promise::ServerAnswers, format!("journal: {error}")));
    }
    read
}

fn run(
    field: &Field<'_>,
    rng: &mut Rng,
    names: &[Arc<[Vec<u8>]>],
    journal: &mut Journal,
    read: &mut Read,
) -> io::Result<()> {
    let mut client = Client::connect(field.socket)?;
    let mut pick = |count: usize| {
        let below = rng.below(u64::try_from(count).expect("few keys"));
        usize::try_from(below).expect("few keys")
    };
    while !field.ending.load(Ordering::Acquire) {
        let asked: Vec<(usize, KeyIndex)> = (0..=pick(usize::try_from(DEPTH_MAX).expect("small")))
            .map(|_| {
                let writer = pick(names.len());
                (writer, pick(names[writer].len()))
            })
            .collect();
        for (writer, key) in &asked {
            client.push(&[b"GET", &names[*writer][*key]]);
        }
        let asked_ms = now_ms();
        client.send()?;
        for (writer, key) in asked {
            let reply: Reply = client.reply()?;
            let Some(value) = value_of(&reply) else {
                let text = format!("GET answers {}", ShownReply(&reply));
                read.violations.push(Violation::new(Promise::ReplyIsRight, text));
                return Ok(());
            };
            let sighting = Sighting { value, deadline_ms: None, asked_ms, answered_ms: now_ms() };
            journal.seen(&names[writer][key], &sighting)?;
            read.seen.push(Seen { writer, key, sighting });
        }
    }
    Ok(())
}
