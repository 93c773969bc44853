//! One writing connection: keeps operations under way, checks each reply, and notes both ends of everything.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::history::{History, Journal, Sent};
use super::key_state::{KeyState, now_ms};
use super::operation::{Expected, ShownReply};
use super::strand::StrandId;
use super::violation::{Promise, Violation};
use super::workload::Workload;
use crate::client::Client;

/// What all connections of a cycle are told.
pub struct Field<'a> {
    /// Where the server listens.
    pub socket: &'a Path,
    /// Whether the server is being killed or stopped: from then on a closed connection is no fault.
    pub ending: &'a AtomicBool,
    /// Which strand a key belongs to.
    pub strand_of: &'a (dyn Fn(&[u8]) -> StrandId + Sync),
}

/// What came of a writer.
#[derive(Debug)]
pub struct Written {
    /// What it did.
    pub history: History,
    /// Where its numbers go on.
    pub sequence: u64,
    /// What it found wrong.
    pub violations: Vec<Violation>,
}

struct Writer<'a> {
    field: &'a Field<'a>,
    workload: Workload,
    journal: Journal,
    states: Vec<KeyState>,
    in_flight: VecDeque<(usize, Expected)>,
    history: History,
    violations: Vec<Violation>,
}

/// Writes until the server is gone.
#[must_use]
pub fn write_until_the_end(
    field: &Field<'_>,
    mut workload: Workload,
    journal: Journal,
    history: History,
) -> Written {
    let depth = workload.depth();
    let states = history.base.clone();
    let mut writer = Writer {
        field,
        workload,
        journal,
        states,
        in_flight: VecDeque::new(),
        history,
        violations: Vec::new(),
    };
    let result = writer.run(depth);
    if let Some(violation) = explain_end(field, &format!("writer {}", writer.history.writer), result) {
        writer.violations.push(violation);
    }
    if let Err(error) = writer.journal.finish() {
        writer.violations.push(Violation::new(Promise::ServerAnswers, format!("journal: {error}")));
    }
    Written { history: writer.history, sequence: writer.workload.sequence(), violations: writer.violations }
}

/// Whether the end of a connection is a fault of the server.
#[must_use]
pub fn explain_end(field: &Field<'_>, who: &str, result: io::Result<()>) -> Option<Violation> {
    let error = result.err()?;
    let closed = matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotFound
    );
    if closed && field.ending.load(Ordering::Acquire) {
        return None;
    }
    let text = match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!("{who} got no reply in time"),
        _ => format!("{who}: {error}"),
    };
    Some(Violation::new(Promise::ServerAnswers, text))
}

impl Writer<'_> {
    fn run(&mut self, first_depth: usize) -> io::Result<()> {
        let mut client = Client::connect(self.field.socket)?;
        let mut depth = first_depth;
        loop {
            while self.in_flight.len() < depth && !self.field.ending.load(Ordering::Acquire) {
                self.push(&mut client)?;
            }
            client.send()?;
            client.receive()?;
            while let Some(reply) = client.buffered_reply()? {
                let answered_ms = now_ms();
                let Some((index, expected)) = self.in_flight.pop_front() else {
                    let text = format!("writer {} got a reply to nothing", self.history.writer);
                    self.violations.push(Violation::new(Promise::ReplyIsRight, text));
                    return Ok(());
                };
                let sent = &mut self.history.sent[index];
                sent.acknowledged_ms = Some(answered_ms);
                self.journal.acknowledged(answered_ms, sent.sequence, &reply)?;
                if !expected.is(&reply, sent.sent_ms, answered_ms) {
                    let text = format!(
                        "writer {} operation {}: {} where {expected:?} is right",
                        self.history.writer,
                        sent.sequence,
                        ShownReply(&reply),
                    );
                    self.violations.push(Violation::new(Promise::ReplyIsRight, text));
                    return Ok(());
                }
            }
            depth = self.workload.depth();
        }
    }

    fn push(&mut self, client: &mut Client) -> io::Result<()> {
        let operation = self.workload.draw(&self.states);
        let sequence = self.workload.sequence();
        let sent_ms = now_ms();
        let (effects, expected) = operation.effect(&self.states, sent_ms);
        let names = Arc::clone(&self.history.names);
        self.journal.sent(sent_ms, sequence, &operation, &names)?;
        let words = operation.request(&names);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        client.push(&words);
        for (key, state) in &effects {
            self.states[*key].clone_from(state);
        }
        let strand = (self.field.strand_of)(&names[operation.first_key()]);
        self.in_flight.push_back((self.history.sent.len(), expected));
        self.history.sent.push(Sent { sequence, effects, strand, sent_ms, acknowledged_ms: None });
        Ok(())
    }
}
