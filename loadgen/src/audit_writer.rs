//! One client of an audit: it alone writes its keys, over one connection, in small pipelines, and checks every answer
//! and, after a restart, every key.

use resp::{Reply, write_request};

use crate::audit_model::{KeyHistory, KeyState, Violation, ViolationKind};
use crate::control::{Control, ControlError};
use crate::number::index;
use crate::rng::Rng;
use crate::verified_value::{VERIFIED_BYTES_MIN, check, seal};

/// The client and what it knows of its keys.
#[derive(Debug)]
pub struct AuditWriter {
    /// Its number: its keys are those whose number leaves this rest.
    number: u64,
    writers: u64,
    keys: Vec<KeyHistory>,
    next_version: u64,
    value_bytes: usize,
    rng: Rng,
    /// What it counted.
    pub counts: AuditCounts,
}

/// Counts of one client, or of all.
#[derive(Clone, Debug, Default)]
pub struct AuditCounts {
    /// Writes and deletes that were acknowledged.
    pub acknowledged: u64,
    /// Writes and deletes that were sent and not acknowledged.
    pub in_doubt: u64,
    /// Reads during the load, each compared with the state that was acknowledged last.
    pub reads: u64,
    /// Keys read after restarts.
    pub checked: u64,
    /// Error replies to writes and reads.
    pub refused: u64,
    /// Broken promises: key, kind, words. Bounded; `violation_count` is not.
    pub violations: Vec<(String, ViolationKind, String)>,
    /// All broken promises.
    pub violation_count: u64,
    /// The first error reply.
    pub refusal: Option<String>,
}

impl AuditCounts {
    /// Adds those of another client.
    pub fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.in_doubt += other.in_doubt;
        self.reads += other.reads;
        self.checked += other.checked;
        self.refused += other.refused;
        self.violation_count += other.violation_count;
        let room = VIOLATIONS_KEPT.saturating_sub(self.violations.len());
        self.violations.extend(other.violations.iter().take(room).cloned());
        if self.refusal.is_none() {
            self.refusal.clone_from(&other.refusal);
        }
    }
}

const VIOLATIONS_KEPT: usize = 20;
const PIPELINE: usize = 16;
const CHECK_PIPELINE: usize = 256;

#[derive(Clone, Copy)]
enum Request {
    Set(usize),
    Delete(usize),
    Get(usize),
}

impl AuditWriter {
    /// A client of `writers` for its share of `keys` keys.
    #[must_use]
    pub fn new(number: u64, writers: u64, keys: u64, value_bytes: usize, seed: u64) -> Self {
        assert!(number < writers && value_bytes >= VERIFIED_BYTES_MIN);
        let own = keys / writers + u64::from(number < keys % writers);
        Self {
            number,
            writers,
            keys: vec![KeyHistory::absent(); index(own)],
            next_version: 1,
            value_bytes,
            rng: Rng::new(seed, number),
            counts: AuditCounts::default(),
        }
    }

    /// Deletes its keys, so that all begin absent.
    ///
    /// # Errors
    /// When the server fails meanwhile.
    pub fn clear(&mut self, control: &mut Control) -> Result<(), ControlError> {
        for place in 0..self.keys.len() {
            let name = self.name(place);
            control.ask(&[b"DEL", name.as_bytes()])?;
        }
        Ok(())
    }

    /// Writes, deletes and reads at random until `is_over` says so or the connection ends. `false`: it ended.
    pub fn work(&mut self, control: &mut Control, is_over: impl Fn() -> bool) -> bool {
        let mut out = Vec::new();
        let mut requests = Vec::with_capacity(PIPELINE);
        while !is_over() && !self.keys.is_empty() {
            out.clear();
            requests.clear();
            for _ in 0..PIPELINE {
                requests.push(self.draw(&mut out));
            }
            if control.send(&out).is_err() {
                self.give_up(&requests);
                return false;
            }
            for place in 0..requests.len() {
                match control.read_reply() {
                    Ok(reply) => self.settle(requests[place], &reply),
                    Err(_) => {
                        self.give_up(&requests[place..]);
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Reads every key and compares.
    ///
    /// # Errors
    /// When the server fails meanwhile; keys not yet read are not judged.
    pub fn check_all(&mut self, control: &mut Control) -> Result<(), ControlError> {
        let places: Vec<usize> = (0..self.keys.len()).collect();
        for chunk in places.chunks(CHECK_PIPELINE) {
            let mut out = Vec::new();
            chunk.iter().for_each(|&place| write_request(&mut out, &[b"GET", self.name(place).as_bytes()]));
            control.send(&out)?;
            for &place in chunk {
                let reply = control.read_reply()?;
                self.observe(place, &reply);
                self.counts.checked += 1;
            }
        }
        Ok(())
    }

    fn number_of(&self, place: usize) -> u64 {
        place as u64 * self.writers + self.number
    }

    fn name(&self, place: usize) -> String {
        format!("audit:{:010}", self.number_of(place))
    }

    fn draw(&mut self, out: &mut Vec<u8>) -> Request {
        let place = index(self.rng.below(self.keys.len() as u64));
        let name = self.name(place);
        match self.rng.below(10) {
            0 => {
                write_request(out, &[b"DEL", name.as_bytes()]);
                self.keys[place].send(KeyState::Absent);
                Request::Delete(place)
            }
            1 | 2 => {
                write_request(out, &[b"GET", name.as_bytes()]);
                Request::Get(place)
            }
            _ => {
                let version = self.next_version;
                self.next_version += 1;
                let longer = index(self.rng.below((self.value_bytes - VERIFIED_BYTES_MIN) as u64 + 1));
                let mut value = vec![0; VERIFIED_BYTES_MIN + longer];
                self.rng.fill(&mut value);
                seal(&mut value, self.number_of(place), version);
                write_request(out, &[b"SET", name.as_bytes(), &value]);
                self.keys[place].send(KeyState::Version(version));
                Request::Set(place)
            }
        }
    }

    fn settle(&mut self, request: Request, reply: &Reply) {
        let is_error = matches!(reply, Reply::Error(_) | Reply::BulkError(_));
        match request {
            Request::Get(place) => {
                self.counts.reads += 1;
                self.observe(place, reply);
            }
            Request::Set(place) | Request::Delete(place) if is_error => {
                self.keys[place].refuse();
                self.counts.in_doubt += 1;
                self.note_refusal(reply);
            }
            Request::Set(place) | Request::Delete(place) => {
                self.keys[place].acknowledge();
                self.counts.acknowledged += 1;
            }
        }
    }

    fn note_refusal(&mut self, reply: &Reply) {
        self.counts.refused += 1;
        if let Reply::Error(text) | Reply::BulkError(text) = reply {
            self.counts.refusal.get_or_insert_with(|| String::from_utf8_lossy(text).into_owned());
        }
    }

    fn observe(&mut self, place: usize, reply: &Reply) {
        let found = match reply {
            Reply::Null => Ok(KeyState::Absent),
            Reply::Bulk(value) => {
                check(value, self.number_of(place)).map(KeyState::Version).map_err(|bad| bad.to_string())
            }
            Reply::Error(_) | Reply::BulkError(_) => return self.note_refusal(reply),
            other => Err(format!("GET was answered with {other:?}")),
        };
        let outcome = match found {
            Ok(KeyState::Version(version)) if version >= self.next_version => Err(Violation {
                kind: ViolationKind::Invented,
                text: format!("version {version} was never written"),
            }),
            Ok(state) => self.keys[place].observe(state),
            Err(text) => Err(Violation { kind: ViolationKind::Invented, text }),
        };
        if let Err(violation) = outcome {
            self.counts.violation_count += 1;
            if self.counts.violations.len() < VIOLATIONS_KEPT {
                self.counts.violations.push((self.name(place), violation.kind, violation.text));
            }
        }
    }

    /// The connection ended before these were answered.
    fn give_up(&mut self, unanswered: &[Request]) {
        for request in unanswered {
            if let Request::Set(place) | Request::Delete(place) = *request {
                self.keys[place].give_up();
                self.counts.in_doubt += 1;
            }
        }
    }
}
