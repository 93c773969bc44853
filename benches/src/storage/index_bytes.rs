//! Memory of the index by number of keys: tables grow by doubling and split, so what a key takes depends on how many
//! there are. Keys are put into the slots of one shard of sixteen; all shards are alike.

use shard::index::{Entry, ExtentNumber, Location, SlotIndex};

use super::bar::Bar;
use super::bench::{Bench, GroupResult};
use crate::progress::Progress;
use crate::report::Run;
use crate::rng::Rng;

/// Slots of one shard of sixteen.
const SLOTS: u64 = 1024;
const SHARDS: u64 = 16;
/// The range that is looked at, in keys of all shards.
const KEYS_MIN: u64 = 5_000_000;
const KEYS_MAX: u64 = 40_000_000;
/// Where the first bar is set.
const KEYS_NAMED: u64 = 20_000_000;
/// Distance of two looks.
const KEYS_STEP: u64 = 100_000;

/// Measures it.
///
/// # Errors
/// None.
pub fn run(_: &Bench, progress: &mut Progress) -> GroupResult {
    progress.now("index: all counts of keys");
    let sweep = sweep();
    let at = |keys: u64| sweep.iter().find(|(count, _)| *count == keys).map(|(_, bytes)| *bytes);
    let worst = sweep.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    let runs = sweep.iter().map(|(keys, bytes)| Run {
        scenario: "index_bytes_per_key".to_owned(),
        side: "ouro".to_owned(),
        figures: [("keys".to_owned(), *keys as f64), ("bytes_per_key".to_owned(), *bytes)].into(),
        doubts: Vec::new(),
        server: Vec::new(),
        client: Vec::new(),
    });
    let bars = vec![
        Bar::at_most(format!("index bytes per key, {KEYS_NAMED} keys"), 24.0, at(KEYS_NAMED)),
        Bar::at_most(
            format!("index bytes per key, worst from {KEYS_MIN} to {KEYS_MAX} keys"),
            30.0,
            worst.map(|(_, bytes)| bytes),
        ),
    ];
    Ok((runs.collect(), bars))
}

/// Bytes per key at every step of the range.
fn sweep() -> Vec<(u64, f64)> {
    let mut slots: Vec<SlotIndex> = (0..SLOTS).map(|_| SlotIndex::default()).collect();
    let mut rng = Rng::new(1, 0);
    let mut bytes = (slots.len() * size_of::<SlotIndex>()).cast_signed();
    let mut found = Vec::new();
    for number in 1..=KEYS_MAX / SHARDS {
        let random = rng.next_u64();
        let slot = usize::try_from(random >> 32).unwrap_or(0) % slots.len();
        #[expect(clippy::cast_possible_truncation, reason = "the low half of a random number")]
        let hash = random as u32;
        let location =
            Location { extent: ExtentNumber(u32::try_from(number / 1000).unwrap_or(0)), offset: 0 };
        bytes += slots[slot].insert(Entry::new(hash, location, 1000));
        let keys = number * SHARDS;
        if keys >= KEYS_MIN && keys.is_multiple_of(KEYS_STEP) {
            found.push((keys, bytes.unsigned_abs() as f64 / number as f64));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_takes_its_entry_and_a_table_that_is_never_less_than_half_empty() {
        let sweep = sweep();
        assert_eq!((sweep[0].0, sweep.last().unwrap().0), (KEYS_MIN, KEYS_MAX));
        assert!(sweep.iter().all(|(_, bytes)| (13.0..32.0).contains(bytes)), "{sweep:?}");
    }
}
