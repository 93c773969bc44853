//! Which operations a writer draws, on which keys.
//!
//! A writer owns its keys, so the order of all operations on a key is known. Values name their writer and their
//! number: two operations never write the same.

use std::sync::Arc;

use super::key_state::{KeyState, now_ms};
use super::operation::{KeyIndex, Operation};
use crate::rng::Rng;

/// Text keys: every kind of operation on strings, with deadlines far ahead.
const TEXT_KEYS: usize = 24;
/// Counters.
const COUNTER_KEYS: usize = 8;
/// Groups of keys in one slot, written together.
const GROUPS: usize = 4;
/// Keys of a group.
const GROUP_KEYS: usize = 4;
/// Keys that end soon.
const BRIEF_KEYS: usize = 12;
/// Keys of medium values: so many that all writers' together, 45 MB, can be made larger than the server's memory, and so
/// much overwritten that it compacts.
const BULK_KEYS: usize = 3000;

const COUNTERS: usize = TEXT_KEYS;
const GROUPED: usize = COUNTERS + COUNTER_KEYS;
const BRIEF: usize = GROUPED + GROUPS * GROUP_KEYS;
const BULK: usize = BRIEF + BRIEF_KEYS;
/// Keys of one writer.
pub const WRITER_KEYS: usize = BULK + BULK_KEYS;

/// A value above this is not appended to any more.
const APPENDED_BYTES_MAX: usize = 600;
/// A value above this is not read by its writer.
const READ_BYTES_MAX: usize = 4096;
/// Large values: beyond the largest batch of the log, so that records are cut.
const LARGE_BYTES: (u64, u64) = (100_000, 700_000);
/// One operation in so many writes a large value.
const LARGE_ONE_IN: u64 = 1500;
/// Values of bulk keys. With what is appended they stay readable by their writer.
const BULK_BYTES: (u64, u64) = (1000, 4000);
/// A deadline far ahead, in seconds; each operation adds a different multiple of [`TTL_STEP_S`].
const TTL_BASE_S: u64 = 10_000_000;
const TTL_STEP_S: u64 = 100;
const TTL_STEPS: u64 = 1_000_000;

/// Names of a writer's keys.
#[must_use]
pub fn key_names(writer: usize) -> Vec<Vec<u8>> {
    let name = |key: KeyIndex| match key {
        key if key < COUNTERS => format!("text:{writer}:{key}"),
        key if key < GROUPED => format!("counter:{writer}:{}", key - COUNTERS),
        key if key < BRIEF => {
            let member = key - GROUPED;
            format!("group:{{{writer}.{}}}:{}", member / GROUP_KEYS, member % GROUP_KEYS)
        }
        key if key < BULK => format!("brief:{writer}:{}", key - BRIEF),
        key => format!("bulk:{writer}:{}", key - BULK),
    };
    (0..WRITER_KEYS).map(|key| name(key).into_bytes()).collect()
}

/// Draws the operations of one writer.
#[derive(Debug)]
pub struct Workload {
    writer: usize,
    rng: Rng,
    /// Number of the last operation drawn; never used twice in the life of a store.
    sequence: u64,
}

impl Workload {
    /// A writer's workload; its operations are numbered from `sequence` + 1 on.
    #[must_use]
    pub const fn new(writer: usize, rng: Rng, sequence: u64) -> Self {
        Self { writer, rng, sequence }
    }

    /// The number of the last operation drawn.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How many operations to have under way until the next choice.
    pub fn depth(&mut self) -> usize {
        [1, 4, 16, 64][usize::try_from(self.rng.below(4)).expect("small")]
    }

    /// The next operation, the keys being as they are.
    pub fn draw(&mut self, states: &[KeyState]) -> Operation {
        self.sequence += 1;
        match self.rng.below(100) {
            0..45 => self.draw_text(states),
            45..60 => self.draw_counter(),
            60..75 => self.draw_group(),
            75..90 => self.draw_brief(),
            _ => self.draw_bulk(states),
        }
    }

    fn draw_text(&mut self, states: &[KeyState]) -> Operation {
        let key = self.pick(0, TEXT_KEYS);
        let length = states[key].as_ref().map_or(0, |entry| entry.value.len());
        let may_grow = length <= APPENDED_BYTES_MAX;
        match self.rng.below(20) {
            0..5 if may_grow => Operation::Append { key, suffix: self.short_value() },
            5..7 if may_grow => {
                let offset = self.rng.below(u64::try_from(length).expect("small") + 8);
                let offset = usize::try_from(offset).expect("small");
                Operation::SetRange { key, offset, bytes: self.short_value() }
            }
            7..10 => Operation::Delete { keys: vec![key], may_have_ended: false },
            10..12 => {
                let step = self.sequence % TTL_STEPS;
                Operation::Expire { key, ttl_s: TTL_BASE_S + step * TTL_STEP_S }
            }
            12 => Operation::Persist { key },
            // A large value in a reply would have to be read while more is being sent.
            13..15 if length < READ_BYTES_MAX => Operation::Get { key },
            _ => {
                let value = if self.rng.one_in(LARGE_ONE_IN) { self.large_value() } else { self.value() };
                Operation::Set { key, value, deadline_ms: None }
            }
        }
    }

    fn draw_counter(&mut self) -> Operation {
        let key = self.pick(COUNTERS, COUNTER_KEYS);
        match self.rng.below(30) {
            0 => Operation::Delete { keys: vec![key], may_have_ended: false },
            1..4 => Operation::Get { key },
            _ => {
                let by = i64::try_from(self.rng.between(1, 1_000_000)).expect("small");
                Operation::Increment { key, by }
            }
        }
    }

    fn draw_group(&mut self) -> Operation {
        let group = self.pick(0, GROUPS);
        let first = GROUPED + group * GROUP_KEYS;
        if self.rng.one_in(4) {
            return Operation::Delete { keys: (first..first + GROUP_KEYS).collect(), may_have_ended: false };
        }
        Operation::SetMany { pairs: (first..first + GROUP_KEYS).map(|key| (key, self.value())).collect() }
    }

    fn draw_brief(&mut self) -> Operation {
        let key = self.pick(BRIEF, BRIEF_KEYS);
        match self.rng.below(10) {
            0..2 => Operation::Delete { keys: vec![key], may_have_ended: true },
            2..4 => Operation::Get { key },
            4 => Operation::Set { key, value: self.value(), deadline_ms: None },
            _ => {
                let deadline_ms = Some(now_ms() + self.rng.between(5, 500));
                Operation::Set { key, value: self.value(), deadline_ms }
            }
        }
    }

    fn draw_bulk(&mut self, states: &[KeyState]) -> Operation {
        let key = self.pick(BULK, BULK_KEYS);
        let length = states[key].as_ref().map_or(0, |entry| entry.value.len());
        match self.rng.below(20) {
            0 => Operation::Delete { keys: vec![key], may_have_ended: false },
            1..7 if length < READ_BYTES_MAX => Operation::Get { key },
            7..9 if length < READ_BYTES_MAX => Operation::Append { key, suffix: self.short_value() },
            _ => {
                let length = self.rng.between(BULK_BYTES.0, BULK_BYTES.1);
                let value = self.filled(usize::try_from(length).expect("fits memory"));
                Operation::Set { key, value, deadline_ms: None }
            }
        }
    }

    fn pick(&mut self, first: KeyIndex, count: usize) -> KeyIndex {
        let below = self.rng.below(u64::try_from(count).expect("small"));
        first + usize::try_from(below).expect("small")
    }

    /// A few bytes that name the operation.
    fn short_value(&self) -> Arc<[u8]> {
        format!("{}:{};", self.writer, self.sequence).into_bytes().into()
    }

    /// Up to a few hundred bytes.
    fn value(&mut self) -> Arc<[u8]> {
        let longest = if self.rng.one_in(8) { 400 } else { 60 };
        let length = self.rng.below(longest);
        self.filled(usize::try_from(length).expect("small"))
    }

    fn large_value(&mut self) -> Arc<[u8]> {
        let length = self.rng.between(LARGE_BYTES.0, LARGE_BYTES.1);
        self.filled(usize::try_from(length).expect("fits memory"))
    }

    /// The name of the operation, filled up with bytes that differ from place to place.
    fn filled(&mut self, length: usize) -> Arc<[u8]> {
        let mut value = self.short_value().to_vec();
        let mut word = self.rng.next_u64();
        while value.len() < length {
            word = word.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            value.extend_from_slice(&word.to_le_bytes());
        }
        value.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    use shard::slot::slot_of;

    #[test]
    fn keys_differ_and_those_of_a_group_share_a_slot() {
        let names: HashSet<Vec<u8>> = (0..8).flat_map(key_names).collect();
        assert_eq!(names.len(), 8 * WRITER_KEYS);
        let names = key_names(3);
        for group in names[GROUPED..BRIEF].chunks(GROUP_KEYS) {
            assert!(group.iter().all(|name| slot_of(name) == slot_of(&group[0])), "{group:?}");
        }
    }

    #[test]
    fn every_kind_of_operation_is_drawn_and_fits_the_state_of_its_key() {
        let mut workload = Workload::new(1, Rng::new(1, 1), 0);
        let mut states: Vec<KeyState> = vec![None; WRITER_KEYS];
        let mut kinds = HashSet::new();
        for _ in 0..10_000 {
            let operation = workload.draw(&states);
            kinds.insert(std::mem::discriminant(&operation));
            for (key, state) in operation.effect(&states, now_ms()).0 {
                states[key] = state;
            }
        }
        assert_eq!(kinds.len(), 9);
        assert_eq!(workload.sequence(), 10_000);
    }
}
