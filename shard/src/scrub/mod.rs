//! The scrub: reads back everything in the data file of a shard, round after round, so that rot is found while there is
//! a copy to restore from, and not years later by a GET.
//!
//! A round goes over all extents on disk in the order of their places, one read in flight at a time, and verifies each
//! as those who read it for its records do: the header must be that of this very extent, and every record's checksum
//! that of this very place, so that lost and misdirected writes are noticed too. Where all verify nothing else is looked
//! at. Where something does not, the index tells whether any of it lives: what is dead may rot. Nothing is repaired and
//! nothing removed; what was found is told once a round, and kept in mind while it is there.
//!
//! An extent may be emptied, and its place used again, while it is read: then what came is thrown away.
//!
//! In the path: `ShardSet::tick` drives the steps (`turn.rs`), paced by time (`round.rs`). `look.rs` reads and verifies
//! one extent with the code that reads compaction's victims, `judge.rs` counts what of a damaged one lives.

mod judge;
mod look;
mod round;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::BTreeMap;

use crate::compaction::DamageKind;
use crate::extent::Extents;
use crate::index::ExtentNumber;
use crate::io::BlockPool;
use crate::limits::SCRUB_DAMAGED_MAX;
use crate::types::{ShardId, UnixMs};

use look::Look;
use round::{Pick, Round};
pub(crate) use turn::ScrubTurns;

/// How a shard's scrub stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubFigures {
    /// Extents that the round under way has looked at; 0 between two rounds.
    pub done: u64,
    /// How many were there when it began; what was written since is looked at too, where the round has not been yet.
    pub total: u64,
    /// 1 while a round that was asked for is under way, else 0.
    pub asked: u64,
    /// Rounds that have come to their end since the start.
    pub rounds: u64,
    /// When the last one did, in Unix ms; 0: none has.
    pub last_ms: u64,
    /// Bytes read since the start.
    pub read_bytes: u64,
    /// Extents known to be damaged that are still there.
    pub damaged_extents: u64,
    /// Live records in them that do not verify, at least.
    pub damaged_records: u64,
}

impl ScrubFigures {
    /// Adds another shard's. The last round of both is the earlier one: until then all was read; 0: not all was yet.
    pub fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.total += other.total;
        self.asked += other.asked;
        self.rounds += other.rounds;
        self.last_ms = self.last_ms.min(other.last_ms);
        self.read_bytes += other.read_bytes;
        self.damaged_extents += other.damaged_extents;
        self.damaged_records += other.damaged_records;
    }
}

/// An extent that the scrub found damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "shard {shard}: the scrub found extent {extent}, at byte {file_offset} of its data file, damaged at offset \
     {offset} ({problem}); {}", keys_in_words(*.keys, *.is_least)
)]
pub struct ScrubFinding {
    /// The shard.
    pub shard: ShardId,
    /// The extent.
    pub extent: u32,
    /// Where in the data file it begins, in bytes.
    pub file_offset: u64,
    /// Offset in the extent of the first bytes that are damaged, or cannot be read.
    pub offset: u32,
    /// What is wrong with them.
    pub problem: DamageKind,
    /// Keys whose records do not verify.
    pub keys: u32,
    /// Whether there may be more of them: the damage hides how many records it has hit.
    pub is_least: bool,
}

fn keys_in_words(keys: u32, is_least: bool) -> String {
    match (keys, is_least) {
        (0, false) => "no live key is damaged".to_owned(),
        (keys, false) => format!("live keys that cannot be read: {keys}"),
        (keys, true) => format!("live keys that cannot be read: {keys} or more"),
    }
}

/// What is under way.
enum Step<P: BlockPool> {
    /// Nothing, until the next extent is due.
    Idle,
    /// Those that come next in the file are being found.
    Pick(Pick),
    /// A piece of an extent is wanted from disk.
    Read(Look<P>),
    /// It is being read.
    Reading(Look<P>),
    /// What came is verified.
    Verify(Look<P>),
}

/// The scrub of one shard.
pub(crate) struct Scrub<P: BlockPool> {
    /// Time that a round takes, in milliseconds; 0: none begins by itself.
    period_ms: u64,
    /// When the next extent may be begun, on the monotonic clock; `None`: not decided yet.
    due_ns: Option<u64>,
    round: Option<Round>,
    /// Number of the round under way.
    round_number: u64,
    step: Step<P>,
    /// Extents known to be damaged, and how many keys.
    damaged: BTreeMap<ExtentNumber, u32>,
    /// Those that nobody was told of yet.
    found: Vec<ScrubFinding>,
    /// The counters of it.
    figures: ScrubFigures,
}

impl<P: BlockPool> Default for Scrub<P> {
    fn default() -> Self {
        Self {
            period_ms: 0,
            due_ns: None,
            round: None,
            round_number: 0,
            step: Step::Idle,
            damaged: BTreeMap::new(),
            found: Vec::new(),
            figures: ScrubFigures::default(),
        }
    }
}

impl<P: BlockPool> std::fmt::Debug for Scrub<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrub")
            .field("round", &self.round)
            .field("figures", &self.figures)
            .finish_non_exhaustive()
    }
}

impl<P: BlockPool> Scrub<P> {
    /// Whether a read is on its way: it owns a buffer until it comes back.
    pub(crate) const fn is_in_flight(&self) -> bool {
        matches!(self.step, Step::Reading(_))
    }

    /// The next extent found damaged, to be told to the operator.
    pub(crate) fn next_finding(&mut self) -> Option<ScrubFinding> {
        self.found.pop()
    }

    /// Its figures.
    pub(crate) fn figures(&self, extents: &Extents<P>) -> ScrubFigures {
        let (done, total) =
            self.round.as_ref().map_or((0, 0), |round| (round.done, round.total.max(round.done)));
        let there = self.damaged.iter().filter(|(number, _)| extents.written_bytes(**number).is_some());
        let (damaged_extents, damaged_records) =
            there.fold((0, 0), |(extents, records), (_, keys)| (extents + 1, records + u64::from(*keys)));
        let asked = self.round.as_ref().is_some_and(|round| round.is_asked).into();
        ScrubFigures { done, total, asked, damaged_extents, damaged_records, ..self.figures }
    }

    /// Takes note of what became of an extent.
    fn note(&mut self, number: ExtentNumber, finding: Option<ScrubFinding>) {
        let Some(finding) = finding else {
            self.damaged.remove(&number);
            return;
        };
        if self.damaged.len() < SCRUB_DAMAGED_MAX || self.damaged.contains_key(&number) {
            self.damaged.insert(number, finding.keys);
        }
        if self.found.len() < SCRUB_DAMAGED_MAX {
            self.found.push(finding);
        }
    }

    /// A round has come to its end.
    fn end_round(&mut self, now: UnixMs, extents: &Extents<P>) {
        let Some(round) = self.round.take() else { return };
        if round.done > 0 || round.is_asked {
            self.figures.rounds += 1;
            self.figures.last_ms = now.0;
        }
        self.damaged.retain(|number, _| extents.written_bytes(*number).is_some());
    }
}
