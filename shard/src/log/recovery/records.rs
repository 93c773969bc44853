//! From the physical records of batches to whole ones: fragments are joined, groups are complete or dropped.
//!
//! Rule: what is begun and not finished is dropped only where a recovery cut the log, which shows as a higher term;
//! under the same term an interruption is an error.

use std::collections::{BTreeMap, VecDeque};

use crate::planted::{self, PlantedBug};
use crate::record::{Effect, FragmentPart, Head, Record};
use crate::types::{Lsn, ShardId, Term};

/// What is begun and not finished in one shard.
#[derive(Default)]
struct Unfinished {
    fragments: Option<(Term, Lsn, Vec<u8>)>,
    group: Vec<Vec<u8>>,
    group_term: Term,
}

/// What became of a physical record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Assembled {
    /// It is a whole record: hand its bytes out as they are.
    Whole,
    /// It was taken in; look at [`RecordAssembler::pop`].
    Taken,
}

/// Joins records of all shards of a log.
#[derive(Default)]
pub(super) struct RecordAssembler {
    shards: BTreeMap<ShardId, Unfinished>,
    ready: VecDeque<Vec<u8>>,
    /// Large records whose last fragments are missing.
    pub(super) fragments_dropped: u64,
    /// Groups that were not closed.
    pub(super) groups_dropped: u64,
}

impl RecordAssembler {
    /// The next whole record that was put together.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
    }

    /// Takes one physical record. `may_be_remains`: it stands in the batch at its shard's floor, where fragments may
    /// be left of a record that an earlier recovery dropped, their beginning in a segment that is gone.
    pub(super) fn push(
        &mut self,
        head: &Head,
        bytes: &[u8],
        may_be_remains: bool,
    ) -> Result<Assembled, &'static str> {
        let record = Record::from_head(head, bytes).map_err(|_| "a field is out of range")?;
        // Nearly all records stand alone in shards where nothing is unfinished.
        let alone = !record.group_continues && !head.is_fragment();
        if alone && self.shards.get(&record.shard).is_none_or(Unfinished::is_empty) {
            return Ok(Assembled::Whole);
        }
        let unfinished = self.shards.entry(record.shard).or_default();
        if unfinished.cut_by(record.term) {
            let unfinished = std::mem::take(unfinished);
            self.drop_unfinished(unfinished);
        }
        let unfinished = self.shards.entry(record.shard).or_default();
        let Effect::Fragment { part, bytes: piece } = record.effect else {
            if unfinished.fragments.is_some() {
                return Err("a record stands between two fragments");
            }
            self.push_whole(&record, bytes.to_vec())?;
            return Ok(Assembled::Taken);
        };
        match (part, &mut unfinished.fragments) {
            (FragmentPart::First, None) => {
                unfinished.fragments = Some((record.term, record.lsn, piece.to_vec()));
            }
            (FragmentPart::Middle | FragmentPart::Last, Some((term, lsn, joined)))
                if (*term, *lsn) == (record.term, record.lsn) =>
            {
                joined.extend_from_slice(piece);
            }
            (FragmentPart::Middle | FragmentPart::Last, None) if may_be_remains => {
                return Ok(Assembled::Taken);
            }
            _ => return Err("a fragment has no beginning"),
        }
        if part == FragmentPart::Last
            && let Some((term, lsn, joined)) = unfinished.fragments.take()
        {
            let (whole, len) = Record::decode(&joined, 0).map_err(|_| "fragments do not make a record")?;
            if (whole.shard, whole.term, whole.lsn, len) != (record.shard, term, lsn, joined.len()) {
                return Err("fragments make another record");
            }
            // Without what it borrows: the bytes may be large, and are not copied.
            let Record { shard, term, lsn, keyspace, group_continues, .. } = whole;
            let (key, effect) = (&[][..], Effect::GroupEnd);
            let whole = Record { shard, term, lsn, keyspace, group_continues, key, effect };
            self.push_whole(&whole, joined)?;
        }
        Ok(Assembled::Taken)
    }

    /// Takes a whole record; only its identity and its group are looked at.
    fn push_whole(&mut self, record: &Record<'_>, bytes: Vec<u8>) -> Result<(), &'static str> {
        let unfinished = self.shards.entry(record.shard).or_default();
        if !unfinished.group.is_empty() && unfinished.group_term != record.term {
            return Err("a group goes on under another term");
        }
        unfinished.group_term = record.term;
        unfinished.group.push(bytes);
        if !record.group_continues {
            self.ready.extend(unfinished.group.drain(..));
        }
        Ok(())
    }

    /// Whether something was begun under this term and not finished: then the log must not go on under it.
    pub(super) fn is_unfinished_in(&self, term: Term) -> bool {
        self.shards.values().any(|unfinished| unfinished.begun().is_some_and(|begun| begun >= term))
    }

    /// The log has ended: what is unfinished is dropped.
    pub(super) fn finish(&mut self) {
        for unfinished in std::mem::take(&mut self.shards).into_values() {
            self.drop_unfinished(unfinished);
        }
    }

    fn drop_unfinished(&mut self, unfinished: Unfinished) {
        self.groups_dropped += u64::from(!unfinished.group.is_empty());
        self.fragments_dropped += u64::from(unfinished.fragments.is_some());
        if planted::is(PlantedBug::ApplyIncompleteGroup) {
            self.ready.extend(unfinished.group);
        }
        if planted::is(PlantedBug::SkipFragmentCompleteness)
            && let Some((term, lsn, joined)) = unfinished.fragments
            && let Ok(head) = Head::decode(&joined)
            && let Some(key) = head.key(&joined)
        {
            let value = &joined[joined.len().min(head.record_len() - head.value_len())..];
            let effect = Effect::Put { value, deadline: head.deadline };
            let (shard, keyspace) = (head.shard, head.keyspace);
            let cut = Record { shard, term, lsn, keyspace, group_continues: false, key, effect };
            let mut bytes = Vec::new();
            cut.encode_to(&mut bytes);
            self.ready.push_back(bytes);
        }
    }
}

impl Unfinished {
    fn is_empty(&self) -> bool {
        self.fragments.is_none() && self.group.is_empty()
    }

    /// The term of what is unfinished.
    fn begun(&self) -> Option<Term> {
        let fragments = self.fragments.as_ref().map(|(term, _, _)| *term);
        fragments.or((!self.group.is_empty()).then_some(self.group_term))
    }

    /// Whether what is unfinished was begun under an earlier term: a recovery cut it off.
    fn cut_by(&self, term: Term) -> bool {
        self.begun().is_some_and(|begun| begun < term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::KeyspaceId;

    fn encoded(lsn: u64, term: u32, group_continues: bool, effect: Effect<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let key = if matches!(effect, Effect::Delete) { &b"key"[..] } else { &[] };
        let (shard, keyspace) = (ShardId(3), KeyspaceId(0));
        let record =
            Record { shard, term: Term(term), lsn: Lsn(lsn), keyspace, group_continues, key, effect };
        record.encode_to(&mut bytes);
        bytes
    }

    fn push(assembler: &mut RecordAssembler, bytes: &[u8]) -> Result<Assembled, &'static str> {
        assembler.push(&Head::decode(bytes).unwrap(), bytes, false)
    }

    fn fragments(lsn: u64, term: u32) -> (Vec<u8>, [Vec<u8>; 3]) {
        let whole = encoded(lsn, term, false, Effect::Delete);
        let piece = |part, range: std::ops::Range<usize>| {
            encoded(lsn, term, false, Effect::Fragment { part, bytes: &whole[range] })
        };
        let (first, middle) = (piece(FragmentPart::First, 0..4), piece(FragmentPart::Middle, 4..7));
        let last = piece(FragmentPart::Last, 7..whole.len());
        (whole, [first, middle, last])
    }

    #[test]
    fn a_record_alone_is_handed_out_as_it_is() {
        let mut assembler = RecordAssembler::default();
        assert_eq!(push(&mut assembler, &encoded(1, 1, false, Effect::Delete)), Ok(Assembled::Whole));
        assert_eq!(assembler.pop(), None);
    }

    #[test]
    fn fragments_are_joined_and_verified() {
        let mut assembler = RecordAssembler::default();
        let (whole, pieces) = fragments(5, 2);
        for piece in &pieces {
            assert_eq!(assembler.pop(), None);
            assert_eq!(push(&mut assembler, piece), Ok(Assembled::Taken));
        }
        assert_eq!(assembler.pop(), Some(whole));
    }

    #[test]
    fn a_group_is_handed_out_when_it_is_closed_and_not_before() {
        let mut assembler = RecordAssembler::default();
        let records = [
            encoded(1, 1, true, Effect::Delete),
            encoded(2, 1, true, Effect::Delete),
            encoded(3, 1, false, Effect::GroupEnd),
        ];
        for record in &records {
            assert_eq!(assembler.pop(), None);
            assert_eq!(push(&mut assembler, record), Ok(Assembled::Taken));
        }
        assert_eq!([assembler.pop(), assembler.pop(), assembler.pop()], records.map(Some));
    }

    #[test]
    fn what_a_recovery_cut_off_is_dropped_by_the_next_term_and_by_the_end() {
        let mut assembler = RecordAssembler::default();
        let (_, [first, ..]) = fragments(7, 1);
        push(&mut assembler, &encoded(6, 1, true, Effect::Delete)).unwrap();
        push(&mut assembler, &first).unwrap();
        assert_eq!(push(&mut assembler, &encoded(6, 2, true, Effect::Delete)), Ok(Assembled::Taken));
        assert_eq!((assembler.groups_dropped, assembler.fragments_dropped), (1, 1));
        assembler.finish();
        assert_eq!((assembler.groups_dropped, assembler.fragments_dropped), (2, 1));
        assert_eq!(assembler.pop(), None);
    }

    #[test]
    fn remains_of_a_dropped_record_are_passed_over_at_the_floor_only() {
        let (_, [_, middle, last]) = fragments(7, 1);
        let mut assembler = RecordAssembler::default();
        for piece in [&middle, &last] {
            let head = Head::decode(piece).unwrap();
            assert_eq!(assembler.push(&head, piece, true), Ok(Assembled::Taken));
            assert!(push(&mut assembler, piece).is_err());
        }
        assert_eq!(assembler.pop(), None);
    }

    #[test]
    fn an_interruption_under_the_same_term_is_an_error() {
        let (_, [first, middle, _]) = fragments(7, 1);
        let mut assembler = RecordAssembler::default();
        assert!(push(&mut assembler, &middle).is_err(), "no beginning");
        push(&mut assembler, &first).unwrap();
        assert!(push(&mut assembler, &encoded(8, 1, false, Effect::Delete)).is_err());
        let (_, [_, foreign, _]) = fragments(8, 1);
        assert!(push(&mut assembler, &foreign).is_err(), "of another record");
    }
}
