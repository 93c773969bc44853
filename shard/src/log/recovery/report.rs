//! What recovery found and which of its rules it took.

use crate::types::{BatchNumber, Term};

/// The rules of recovery that let a log be opened. Those that refuse are in
/// [`RefuseToStart`](crate::log::recovery::RefuseToStart).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecoveryRule {
    /// The log was created.
    Created,
    /// One manifest copy was damaged, older or missing, and was rewritten from the other.
    ManifestRepaired,
    /// One of a segment's two header copies was bad; the other counted.
    HeaderCopyBad,
    /// A segment ended where the next one's header says.
    EndedByNextHeader,
    /// A standby segment was named and never used.
    StandbyUnused,
    /// The log ended and nothing lies behind its end.
    NothingBehindEnd,
    /// Behind the end of the log lies something that is no batch of it: a torn tail, or what a recycled file held.
    TornTail,
    /// Behind the first invalid batch lie intact ones that prove nothing: all were in flight together, all dropped.
    InFlightDropped,
    /// After a clean shutdown with nothing behind the mark: the log goes on in the same generation.
    ContinuedAfterCleanMark,
    /// A generation with no batch and nothing behind its header: the log goes on in it.
    ContinuedEmptyGeneration,
    /// A new generation was opened with a new term, in the standby segment.
    OpenedStandby,
    /// A new generation was opened with a new term, in a segment that had to be prepared first.
    OpenedNewSegment,
    /// A new generation was opened with a new term on a full disk, in the file that is kept for that.
    OpenedStartFile,
    /// A log whose era is over ended as the store manifest says.
    EndedFinal,
    /// A large record's last fragments were missing: dropped.
    FragmentsDropped,
    /// A group was not closed: dropped.
    GroupDropped,
    /// Records up to a shard's floor were passed over.
    BelowFloor,
}

impl RecoveryRule {
    /// All rules.
    pub const ALL: [Self; 17] = [
        Self::Created,
        Self::ManifestRepaired,
        Self::HeaderCopyBad,
        Self::EndedByNextHeader,
        Self::StandbyUnused,
        Self::NothingBehindEnd,
        Self::TornTail,
        Self::InFlightDropped,
        Self::ContinuedAfterCleanMark,
        Self::ContinuedEmptyGeneration,
        Self::OpenedStandby,
        Self::OpenedNewSegment,
        Self::OpenedStartFile,
        Self::EndedFinal,
        Self::FragmentsDropped,
        Self::GroupDropped,
        Self::BelowFloor,
    ];
}

/// What was behind the end of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutTail {
    /// Intact batches that were dropped because one before them was not.
    pub batches: u64,
    /// Bytes of those batches.
    pub bytes: u64,
}

/// What recovery of one log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Valid batches.
    pub batches: u64,
    /// Records handed out, each large one counted once.
    pub records: u64,
    /// Segments that were replayed.
    pub segments: u64,
    /// Last batch of the log.
    pub end: BatchNumber,
    /// Term of records appended from now on.
    pub term: Term,
    /// What was dropped behind it.
    pub cut: CutTail,
    rules: [u64; RecoveryRule::ALL.len()],
}

impl RecoveryReport {
    pub(crate) fn took(&mut self, rule: RecoveryRule) {
        self.rules[rule as usize] += 1;
    }

    /// How often a rule was taken.
    #[must_use]
    pub fn count(&self, rule: RecoveryRule) -> u64 {
        self.rules[rule as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_own_counter() {
        for (position, rule) in RecoveryRule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, position);
        }
    }
}
