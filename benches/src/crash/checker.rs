//! Holds what a restarted server has against what was sent, acknowledged and read before.
//!
//! Of what one writer sent to the keys of one strand, exactly a prefix must have survived, at least up to the last operation
//! that was acknowledged and to every state that a reader saw. For each key, what was found allows some lengths of that
//! prefix; one length must be allowed by all keys of the strand. What a strand is follows from what the server promises:
//! all keys of a log, or, where a command may wait for the drive while those after it run, a key or a group of keys that are
//! written together. No clock, socket or process here: histories in, violations out.

use std::collections::HashMap;

use super::history::History;
use super::key_state::{KeyState, Shown, ShownState, Sighting};
use super::operation::KeyIndex;
use super::reader::Seen;
use super::strand::StrandId;
use super::violation::{Promise, Violation};

/// One state of a key, from one operation to the next.
struct Point<'a> {
    /// Changes of the writer in this log up to and including the one that made it; 0 for the state at the start.
    position: usize,
    state: &'a KeyState,
    sequence: u64,
    sent_ms: u64,
    acknowledged_ms: Option<u64>,
}

/// All states of a key in a cycle.
struct Timeline<'a> {
    key: KeyIndex,
    points: Vec<Point<'a>>,
    /// The first point that no reader's sighting lies behind.
    read: usize,
}

/// One writer's changes to the keys of one strand.
#[derive(Default)]
struct Strand {
    id: StrandId,
    /// Changes sent.
    sent: usize,
    /// Changes acknowledged.
    acknowledged: usize,
    keys: Vec<KeyIndex>,
}

/// All that one writer did, by key and by strand.
struct Account<'a> {
    history: &'a History,
    /// By key.
    timelines: Vec<Timeline<'a>>,
    strands: Vec<Strand>,
}

/// Checks one restart. `seen` holds what each reader saw, in order, `found` what each writer's keys are now,
/// `strand_of` the strand of a key's name.
#[must_use]
pub fn check(
    histories: &[History],
    seen: &[Vec<Seen>],
    found: &[Vec<Sighting>],
    strand_of: &dyn Fn(&[u8]) -> StrandId,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (history, found) in histories.iter().zip(found) {
        let mut account = Account::new(history, strand_of);
        for seen in seen {
            account.check_reader(seen, &mut violations);
        }
        for strand in &account.strands {
            account.check_survivors(strand, found, &mut violations);
        }
    }
    violations
}

impl<'a> Account<'a> {
    fn new(history: &'a History, strand_of: &dyn Fn(&[u8]) -> StrandId) -> Self {
        let mut timelines: Vec<Timeline<'a>> =
            history.base.iter().enumerate().map(|(key, base)| Timeline::new(key, base)).collect();
        let mut strands: Vec<Strand> = Vec::new();
        let mut places: HashMap<StrandId, usize> = HashMap::new();
        let mut place_of_key = Vec::with_capacity(history.names.len());
        for (key, name) in history.names.iter().enumerate() {
            let id = strand_of(name);
            let place = *places.entry(id).or_insert_with(|| {
                strands.push(Strand { id, ..Strand::default() });
                strands.len() - 1
            });
            strands[place].keys.push(key);
            place_of_key.push(place);
        }
        for operation in history.sent.iter().filter(|sent| !sent.effects.is_empty()) {
            let place = places[&operation.strand];
            let strand = &mut strands[place];
            strand.sent += 1;
            if operation.acknowledged_ms.is_some() {
                strand.acknowledged = strand.sent;
            }
            for (key, state) in &operation.effects {
                assert_eq!(place_of_key[*key], place, "the keys of an operation share a strand");
                timelines[*key].points.push(Point {
                    position: strand.sent,
                    state,
                    sequence: operation.sequence,
                    sent_ms: operation.sent_ms,
                    acknowledged_ms: operation.acknowledged_ms,
                });
            }
        }
        Self { history, timelines, strands }
    }

    /// Places each sighting of one reader at the earliest point it can belong to: not behind what was acknowledged
    /// before it was asked, nor behind what this reader saw before, nor ahead of what was sent.
    fn check_reader(&mut self, seen: &[Seen], violations: &mut Vec<Violation>) {
        let mut reached = vec![0; self.timelines.len()];
        for seen in seen.iter().filter(|seen| seen.writer == self.history.writer) {
            let timeline = &mut self.timelines[seen.key];
            let sighting = &seen.sighting;
            let acknowledged =
                timeline.last_point(|point| point.acknowledged_ms.is_some_and(|ms| ms < sighting.asked_ms));
            let sent = timeline.last_point(|point| point.sent_ms <= sighting.answered_ms);
            let first = acknowledged.max(reached[seen.key]);
            match (first..=sent).find(|&point| sighting.can_be(timeline.points[point].state)) {
                Some(point) => {
                    reached[seen.key] = point;
                    timeline.read = timeline.read.max(point);
                }
                None => {
                    let earlier = (0..first).any(|point| sighting.can_be(timeline.points[point].state));
                    let promise = if earlier { Promise::ReadIsCurrent } else { Promise::NothingIsInvented };
                    let text = format!(
                        "reader: {} is {sighting}; states from there on: {}",
                        Shown(&self.history.names[seen.key]),
                        timeline.shown(first..sent + 1)
                    );
                    violations.push(Violation::new(promise, text));
                    return;
                }
            }
        }
    }

    fn check_survivors(&self, strand: &Strand, found: &[Sighting], violations: &mut Vec<Violation>) {
        let before = violations.len();
        // Per length of the prefix: how many keys begin and cease to allow it there.
        let (mut begins, mut ceases) = (vec![0_usize; strand.sent + 2], vec![0_usize; strand.sent + 2]);
        let mut bounds = Vec::with_capacity(strand.keys.len());
        for timeline in strand.keys.iter().map(|key| &self.timelines[*key]) {
            let allowed = strand.allowed(timeline, &found[timeline.key]);
            match (allowed.first(), allowed.last()) {
                (Some(first), Some(last)) => bounds.push((first.0, last.1, timeline.key)),
                _ => violations.push(self.explain(strand, timeline, &found[timeline.key])),
            }
            for (first, last) in allowed {
                begins[first] += 1;
                ceases[last + 1] += 1;
            }
        }
        if violations.len() > before {
            return;
        }
        let mut allowing = 0;
        for length in 0..=strand.sent {
            allowing = allowing + begins[length] - ceases[length];
            if allowing == strand.keys.len() {
                return;
            }
        }
        violations.push(self.explain_no_prefix(strand, &bounds, found));
    }

    /// Why no prefix leaves the key as it was found.
    fn explain(&self, strand: &Strand, timeline: &Timeline<'_>, found: &Sighting) -> Violation {
        let matches = |index: &usize| found.can_be(timeline.points[*index].state);
        let latest = (0..timeline.points.len()).rev().find(matches);
        let promise = match latest {
            None => Promise::NothingIsInvented,
            Some(index) if timeline.end(index, strand.sent) < strand.acknowledged => {
                Promise::AcknowledgedIsKept
            }
            Some(_) => Promise::ReadIsKept,
        };
        let acknowledged = timeline.last_point(|point| point.position <= strand.acknowledged);
        let from = acknowledged.max(timeline.read);
        let stands = latest.map_or_else(String::new, |index| {
            format!(", which is the state after operation {}", timeline.points[index].sequence)
        });
        let text = format!(
            "writer {} strand {}: {} is {found}{stands}; right would be one of: {}",
            self.history.writer,
            strand.id,
            Shown(&self.history.names[timeline.key]),
            timeline.shown(from..timeline.points.len()),
        );
        Violation::new(promise, text)
    }

    /// Which two keys contradict each other.
    fn explain_no_prefix(
        &self,
        strand: &Strand,
        bounds: &[(usize, usize, KeyIndex)],
        found: &[Sighting],
    ) -> Violation {
        let newest = bounds.iter().max_by_key(|bound| bound.0).expect("a strand has keys");
        let oldest = bounds.iter().min_by_key(|bound| bound.1).expect("a strand has keys");
        let show = |key: KeyIndex| format!("{} is {}", Shown(&self.history.names[key]), found[key]);
        let text = format!(
            "writer {} strand {} ({} changes sent, {} acknowledged): {} (change {} or later is there); {} (change {} or \
             later is not)",
            self.history.writer,
            strand.id,
            strand.sent,
            strand.acknowledged,
            show(newest.2),
            newest.0,
            show(oldest.2),
            oldest.1 + 1,
        );
        Violation::new(Promise::PrefixSurvives, text)
    }
}

impl Strand {
    /// Lengths of the prefix that leave the key as it was found, as ascending ranges, both ends included.
    fn allowed(&self, timeline: &Timeline<'_>, found: &Sighting) -> Vec<(usize, usize)> {
        let mut allowed: Vec<(usize, usize)> = Vec::new();
        for (index, point) in timeline.points.iter().enumerate().skip(timeline.read) {
            let last = timeline.end(index, self.sent);
            if last < self.acknowledged || !found.can_be(point.state) {
                continue;
            }
            let first = point.position.max(self.acknowledged);
            match allowed.last_mut() {
                Some(before) if before.1 + 1 == first => before.1 = last,
                _ => allowed.push((first, last)),
            }
        }
        allowed
    }
}

impl<'a> Timeline<'a> {
    fn new(key: KeyIndex, base: &'a KeyState) -> Self {
        let first = Point { position: 0, state: base, sequence: 0, sent_ms: 0, acknowledged_ms: Some(0) };
        Self { key, points: vec![first], read: 0 }
    }

    /// The last length of the prefix at which the point's state still holds.
    fn end(&self, index: usize, sent: usize) -> usize {
        self.points.get(index + 1).map_or(sent, |next| next.position - 1)
    }

    /// The last point of those in front for which `holds`; the first point always does.
    fn last_point(&self, holds: impl Fn(&Point<'_>) -> bool) -> usize {
        self.points.partition_point(holds).saturating_sub(1)
    }

    fn shown(&self, range: std::ops::Range<usize>) -> String {
        const SHOWN_MAX: usize = 6;
        let points = &self.points[range];
        let mut shown: Vec<String> = points
            .iter()
            .take(SHOWN_MAX)
            .map(|point| {
                let how = if point.acknowledged_ms.is_some() { "acknowledged" } else { "sent" };
                format!("{} ({how}, operation {})", ShownState(point.state), point.sequence)
            })
            .collect();
        if points.len() > SHOWN_MAX {
            shown.push(format!("... {} more", points.len() - SHOWN_MAX));
        }
        shown.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::history::Sent;
    use crate::crash::key_state::{Deadline, Entry};

    /// A writer of three keys, `a` and `b` in strand 0, `c` in strand 1, whose operations are sent at 10, 20, ... and the
    /// first `acknowledged` of them acknowledged 5 later.
    fn history(operations: &[&[(KeyIndex, &str)]], acknowledged: usize) -> History {
        let names: Vec<Vec<u8>> = [&b"a"[..], b"b", b"c"].map(<[u8]>::to_vec).into();
        let mut history = History::new(0, names.into(), vec![None; 3]);
        for (index, effects) in operations.iter().enumerate() {
            let sent_ms = 10 * (index as u64 + 1);
            history.sent.push(Sent {
                sequence: index as u64 + 1,
                effects: effects.iter().map(|(key, value)| (*key, state(value))).collect(),
                strand: strand_of(&history.names[effects[0].0]),
                sent_ms,
                acknowledged_ms: (index < acknowledged).then_some(sent_ms + 5),
            });
        }
        history
    }

    fn strand_of(name: &[u8]) -> StrandId {
        StrandId::from(name == b"c")
    }

    fn state(value: &str) -> KeyState {
        (!value.is_empty()).then(|| Entry { value: value.as_bytes().into(), deadline: None })
    }

    fn sighting(value: &str, asked_ms: u64) -> Sighting {
        let value = (!value.is_empty()).then(|| value.as_bytes().to_vec());
        Sighting { value, deadline_ms: None, asked_ms, answered_ms: asked_ms + 1 }
    }

    fn verdict(history: &History, seen: &[(KeyIndex, &str, u64)], found: [&str; 3]) -> Vec<Promise> {
        let saw = |(key, value, asked_ms): &(KeyIndex, &str, u64)| Seen {
            writer: 0,
            key: *key,
            sighting: sighting(value, *asked_ms),
        };
        let seen: Vec<Seen> = seen.iter().map(saw).collect();
        let found = found.map(|value| sighting(value, 1_000_000)).to_vec();
        check(std::slice::from_ref(history), &[seen], &[found], &strand_of)
            .iter()
            .map(|violation| violation.promise)
            .collect()
    }

    #[test]
    fn any_prefix_from_the_last_acknowledged_on_is_right() {
        let history = history(&[&[(0, "1")], &[(1, "2")], &[(0, "3")], &[(1, "4")]], 2);
        for found in [["1", "2", ""], ["3", "2", ""], ["3", "4", ""]] {
            assert_eq!(verdict(&history, &[], found), [], "{found:?}");
        }
    }

    #[test]
    fn an_acknowledged_write_that_is_missing_is_lost() {
        let history = history(&[&[(0, "1")], &[(0, "2")], &[(1, "3")]], 2);
        assert_eq!(verdict(&history, &[], ["1", "", ""]), [Promise::AcknowledgedIsKept]);
        assert_eq!(verdict(&history, &[], ["", "", ""]), [Promise::AcknowledgedIsKept]);
        assert_eq!(verdict(&history, &[], ["2", "", ""]), []);
    }

    #[test]
    fn an_acknowledged_delete_that_is_undone_is_lost() {
        let history = history(&[&[(0, "1")], &[(0, "")]], 2);
        assert_eq!(verdict(&history, &[], ["1", "", ""]), [Promise::AcknowledgedIsKept]);
    }

    #[test]
    fn a_value_that_nobody_wrote_is_invented() {
        let history = history(&[&[(0, "1")]], 0);
        assert_eq!(verdict(&history, &[], ["x", "", ""]), [Promise::NothingIsInvented]);
        assert_eq!(verdict(&history, &[], ["1", "1", ""]), [Promise::NothingIsInvented]);
    }

    #[test]
    fn a_later_change_without_an_earlier_one_of_the_same_log_is_no_prefix() {
        let history = history(&[&[(0, "1")], &[(1, "2")]], 0);
        assert_eq!(verdict(&history, &[], ["", "2", ""]), [Promise::PrefixSurvives]);
        assert_eq!(verdict(&history, &[], ["1", "", ""]), []);
    }

    #[test]
    fn logs_are_cut_each_for_itself() {
        let history = history(&[&[(0, "1")], &[(2, "2")]], 0);
        assert_eq!(verdict(&history, &[], ["", "", "2"]), []);
        assert_eq!(verdict(&history, &[], ["1", "", ""]), []);
    }

    #[test]
    fn half_of_an_operation_on_two_keys_is_no_prefix() {
        let history = history(&[&[(0, "1"), (1, "1")]], 0);
        assert_eq!(verdict(&history, &[], ["1", "1", ""]), []);
        assert_eq!(verdict(&history, &[], ["1", "", ""]), [Promise::PrefixSurvives]);
    }

    #[test]
    fn what_was_read_stays_though_it_was_never_acknowledged() {
        let history = history(&[&[(0, "1")], &[(0, "2")]], 0);
        assert_eq!(verdict(&history, &[(0, "1", 30)], ["", "", ""]), [Promise::ReadIsKept]);
        assert_eq!(verdict(&history, &[(0, "1", 30)], ["1", "", ""]), []);
        assert_eq!(verdict(&history, &[(0, "1", 30)], ["2", "", ""]), []);
    }

    #[test]
    fn what_was_read_implies_all_before_it() {
        let history = history(&[&[(1, "1")], &[(0, "2")]], 0);
        assert_eq!(verdict(&history, &[(0, "2", 30)], ["2", "", ""]), [Promise::PrefixSurvives]);
    }

    #[test]
    fn an_absence_that_was_read_stays() {
        let history = history(&[&[(0, "1")], &[(0, "")]], 1);
        assert_eq!(verdict(&history, &[(0, "", 30)], ["1", "", ""]), [Promise::ReadIsKept]);
        assert_eq!(verdict(&history, &[(0, "", 30)], ["", "", ""]), []);
    }

    #[test]
    fn a_read_shows_what_was_acknowledged_before_it_was_asked() {
        let history = history(&[&[(0, "1")], &[(0, "2")]], 2);
        assert_eq!(verdict(&history, &[(0, "1", 26)], ["2", "", ""]), [Promise::ReadIsCurrent]);
        assert_eq!(verdict(&history, &[(0, "1", 24)], ["2", "", ""]), []);
    }

    #[test]
    fn a_reader_never_goes_back() {
        let history = history(&[&[(0, "1")], &[(0, "2")]], 0);
        assert_eq!(verdict(&history, &[(0, "2", 30), (0, "1", 31)], ["2", "", ""]), [Promise::ReadIsCurrent]);
    }

    #[test]
    fn a_reader_sees_nothing_that_was_not_sent_yet() {
        let history = history(&[&[(0, "1")]], 1);
        assert_eq!(verdict(&history, &[(0, "1", 5)], ["1", "", ""]), [Promise::NothingIsInvented]);
        assert_eq!(verdict(&history, &[(0, "1", 9)], ["1", "", ""]), []);
    }

    #[test]
    fn an_ended_key_is_gone_whatever_was_acknowledged() {
        let mut history = history(&[&[(0, "1")]], 1);
        let ended = Some(Entry { value: b"1"[..].into(), deadline: Some(Deadline::at(500)) });
        history.sent[0].effects[0].1 = ended;
        assert_eq!(verdict(&history, &[(0, "", 600)], ["", "", ""]), []);
        assert_eq!(verdict(&history, &[(0, "", 498)], ["", "", ""]), [Promise::ReadIsCurrent]);
        assert_eq!(verdict(&history, &[], ["1", "", ""]), [Promise::NothingIsInvented]);
    }
}
