//! Compaction: gives back the memory and the disk space of records that are dead.
//!
//! An extent whose records are mostly dead is the *victim*: the records in it that still live are copied to the end
//! of the shard's survivors, their index entries are pointed there, and the extent is empty. A record lives when the
//! index has an entry with its hash bits that points at exactly its place; no key is compared. Moves are not logged:
//! a record keeps its LSN and its bytes, and replaying the log over either place ends in the same state. A record
//! whose deadline has passed is not moved; whoever drives the steps deletes it, and logs that.
//!
//! In the path: `ShardSet::tick` drives the steps (`turn.rs`), a budget per turn that follows what is written
//! (`pacing.rs`, `spread.rs`). `victim.rs` chooses, `walk.rs` empties. A victim that is on disk only is read whole first
//! (`read.rs`); one that cannot be read back whole is reported once and left as it is.

#[cfg(test)]
mod ended_tests;
mod expiry_pace;
mod pacing;
mod read;
mod spread;
#[cfg(test)]
mod tests;
mod turn;
mod victim;
mod walk;

use crate::index::ExtentNumber;
use crate::io::{BlockPool, IoError};
use crate::limits::EXTENT_BYTES;
use crate::types::{ShardId, UnixMs};

pub(crate) use expiry_pace::ExpiryPace;
pub(crate) use pacing::Pacing;
use read::Reading;
pub(crate) use spread::Spread;
pub(crate) use turn::StepPart;
pub(crate) use victim::Choice;
use walk::Walk;
pub(crate) use walk::{Departures, EvictRule};

/// When compaction begins, and how large its steps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionConfig {
    /// Share of live bytes, in percent of all bytes of records, below which extents are emptied: 1 to 99.
    pub fill_percent: u8,
    /// Dead bytes of a shard below which nothing is done.
    pub dead_bytes_min: u64,
    /// Bytes of a victim that one step walks over at most, but for the record it ends in.
    pub step_bytes: usize,
    /// Records that one step looks at, at most.
    pub step_records: usize,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        Self {
            fill_percent: 80,
            dead_bytes_min: EXTENT_BYTES as u64,
            step_bytes: 64 << 10,
            step_records: 512,
        }
    }
}

/// What compaction did, ever growing but for the gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionFigures {
    /// Extents emptied.
    pub extents: u64,
    /// Bytes of records moved.
    pub moved_bytes: u64,
    /// Bytes of records that were dead, or ended, in the extents emptied.
    pub reclaimed_bytes: u64,
    /// Bytes read from disk.
    pub read_bytes: u64,
    /// Extents found damaged.
    pub damaged: u64,
    /// Shards that have work under way: a gauge.
    pub running: u64,
    /// Extents that the full compaction under way has looked at, and how many it was to look at: 0 of 0 without one.
    pub full_done: u64,
    /// See `full_done`.
    pub full_total: u64,
}

impl CompactionFigures {
    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.extents += other.extents;
        self.moved_bytes += other.moved_bytes;
        self.reclaimed_bytes += other.reclaimed_bytes;
        self.read_bytes += other.read_bytes;
        self.damaged += other.damaged;
        self.running += other.running;
        self.full_done += other.full_done;
        self.full_total += other.full_total;
    }
}

/// An extent that compaction found damaged: it stays as it is, and what is intact in it stays readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "shard {shard}: extent {extent} cannot be compacted, its bytes at offset {offset} are damaged ({problem}); keys \
     there may be lost"
)]
pub struct DamagedExtent {
    /// The shard.
    pub shard: ShardId,
    /// The extent.
    pub extent: u32,
    /// Offset in the extent of the first bytes that cannot be read.
    pub offset: u32,
    /// What is wrong with them.
    pub problem: DamageKind,
}

/// What is wrong with a damaged extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamageKind {
    /// The drive said so.
    #[error("read failed: {0}")]
    Io(IoError),
    /// The file ends inside it.
    #[error("the file ends inside it")]
    Short,
    /// Another extent lies there, or none.
    #[error("its header is not the one that was written")]
    Header,
    /// A record that lives does not verify, or is not where it should be.
    #[error("a record does not verify")]
    Record,
}

/// A full compaction: every extent below `end` that has something dead in it.
#[derive(Clone, Copy, Debug)]
struct Full {
    next: ExtentNumber,
    end: ExtentNumber,
    done: u64,
    total: u64,
}

/// What is under way.
enum Step<P: BlockPool> {
    /// Nothing.
    Idle,
    /// All extents are weighed, some at a time.
    Choose(Choice),
    /// The victim, or what is missing of it, is wanted from disk.
    Read(Reading<P>),
    /// A piece of it is being read.
    Reading(Reading<P>),
    /// Its records are walked over.
    Walk(Walk<P>),
}

/// What one step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worked {
    /// So many bytes of work were done; there may be more.
    Bytes(u64),
    /// It goes on when a read has ended.
    Waits,
    /// There is nothing to do.
    Nothing,
}

/// Compaction of one shard.
pub(crate) struct Compaction<P: BlockPool> {
    pub(crate) config: CompactionConfig,
    pub(crate) pacing: Pacing,
    step: Step<P>,
    /// Extents chosen, the best last.
    chosen: Vec<ExtentNumber>,
    full: Option<Full>,
    /// No victim was found at this time: it takes a while until another look is worth it.
    rests_since: Option<UnixMs>,
    /// The victim was chosen because something in it has ended.
    is_ended_victim: bool,
    /// The disk is full: whatever is dead is worth emptying.
    pressed: bool,
    damaged: Vec<DamagedExtent>,
    figures: CompactionFigures,
}

impl<P: BlockPool> Default for Compaction<P> {
    fn default() -> Self {
        Self {
            config: CompactionConfig::default(),
            pacing: Pacing::default(),
            step: Step::Idle,
            chosen: Vec::new(),
            full: None,
            rests_since: None,
            is_ended_victim: false,
            pressed: false,
            damaged: Vec::new(),
            figures: CompactionFigures::default(),
        }
    }
}

impl<P: BlockPool> std::fmt::Debug for Compaction<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compaction")
            .field("full", &self.full)
            .field("figures", &self.figures)
            .finish_non_exhaustive()
    }
}

impl<P: BlockPool> Compaction<P> {
    /// Whether a victim is being emptied or read.
    pub(crate) fn has_victim(&self) -> bool {
        matches!(self.step, Step::Read(_) | Step::Reading(_) | Step::Walk(_))
    }

    /// Whether a victim is being emptied, or read, because something in it has ended.
    pub(crate) fn empties_ended(&self) -> bool {
        self.is_ended_victim && self.has_victim()
    }

    /// Whether all that is dead is to be given back, however little: the disk is full.
    pub(crate) fn set_pressed(&mut self, pressed: bool) {
        self.pressed = pressed;
    }

    /// The live records of the victim, if there is one, are moved from here on, whatever was to become of them.
    pub(crate) fn evict_no_more(&mut self) {
        if let Step::Walk(walk) = &mut self.step
            && matches!(walk.rule, EvictRule::All | EvictRule::Unused | EvictRule::Rare)
        {
            walk.rule = EvictRule::Keep;
        }
    }

    /// Whether it goes on when a read has ended.
    pub(crate) fn is_reading(&self) -> bool {
        matches!(self.step, Step::Read(_) | Step::Reading(_))
    }

    /// Whether no extent was worth emptying when it last looked.
    pub(crate) fn rests(&self) -> bool {
        self.rests_since.is_some()
    }

    /// Its figures.
    pub(crate) fn figures(&self) -> CompactionFigures {
        let (full_done, full_total) = self.full.map_or((0, 0), |full| (full.done, full.total));
        let running = self.full.is_some() || !matches!(self.step, Step::Idle);
        CompactionFigures { running: running.into(), full_done, full_total, ..self.figures }
    }

    /// The next extent found damaged, to be told to the operator.
    pub(crate) fn next_damaged(&mut self) -> Option<DamagedExtent> {
        self.damaged.pop()
    }
}
