//! The timing wheel: which keys of a shard end when, so that they go without anybody asking for them.
//!
//! A hierarchical wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987): level n has 64
//! slots of 64^n ticks. An entry names a key by slot and hash bits only; the stored record decides when it fires,
//! so an entry that is out of date costs a look and harms nothing. Entries sit in fixed chunks: no slot is ever
//! copied or freed in one piece, and all work is done in steps of a bounded number of entries.

use crate::limits::CLOCK_BACK_MS;
use crate::types::{Slot, UnixMs};

/// Milliseconds in one tick, as a power of two: 128 ms.
const TICK_SHIFT: u32 = 7;
const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
/// 64^6 ticks are about 278 years; later deadlines wait in the last slot and are looked at then.
const LEVELS: usize = 6;
const CHUNK: usize = 64;
/// Entries that may be spread to lower levels in the time that one due key takes.
const SPREAD_PER_DUE: usize = 4;

/// A key that may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WheelEntry {
    /// Stored hash bits of the key.
    pub hash: u32,
    /// Its slot.
    pub slot: Slot,
    /// Low bits of its keyspace id: a hint, as all of this is.
    pub keyspace_low: u16,
    /// When to look, in ticks, low 32 bits (17 years): relative to the wheel's time.
    due_low: u32,
}

#[derive(Debug, Default)]
struct WheelSlot {
    chunks: Vec<Vec<WheelEntry>>,
}

/// Bytes of a full chunk and its place in a slot.
const CHUNK_BYTES: usize = CHUNK * size_of::<WheelEntry>() + size_of::<Vec<WheelEntry>>();
const _: () = assert!(size_of::<WheelEntry>() == 12);

impl WheelSlot {
    /// Adds an entry. Returns whether that began a chunk after the first.
    fn push(&mut self, entry: WheelEntry) -> bool {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => {
                chunk.push(entry);
                false
            }
            _ => {
                let is_first = self.chunks.is_empty();
                let mut chunk = Vec::with_capacity(if is_first { 4 } else { CHUNK });
                chunk.push(entry);
                self.chunks.push(chunk);
                !is_first
            }
        }
    }

    /// Takes an entry out. The other value: whether that ended a chunk after the first.
    fn pop(&mut self) -> Option<(WheelEntry, bool)> {
        let chunk = self.chunks.last_mut()?;
        let entry = chunk.pop()?;
        let ended = chunk.is_empty();
        if ended {
            self.chunks.pop();
            if self.chunks.is_empty() {
                self.chunks = Vec::new();
            }
        }
        Some((entry, ended && !self.chunks.is_empty()))
    }

    /// Drops the last chunk. Returns its entries, and whether it was one after the first.
    fn pop_chunk(&mut self) -> (usize, bool) {
        let gone = self.chunks.pop().map_or(0, |chunk| chunk.len());
        if self.chunks.is_empty() {
            self.chunks = Vec::new();
        }
        (gone, !self.chunks.is_empty())
    }

    /// Entries held: only the last chunk may have room.
    fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

/// Keys by the time they may end.
#[derive(Debug)]
pub struct Wheel {
    levels: Vec<[WheelSlot; SLOTS]>,
    /// All entries due before this tick have been handed out.
    tick: u64,
    /// Whether the entries of higher levels whose span begins at `tick` have been spread already.
    spread: bool,
    len: usize,
    /// Entries by level.
    level_lens: [usize; LEVELS],
    /// Chunks beyond the first of their slot.
    chunks: usize,
}

impl Wheel {
    /// An empty wheel that starts at `now`.
    #[must_use]
    pub fn new(now: UnixMs) -> Self {
        Self {
            levels: Vec::new(),
            tick: now.0 >> TICK_SHIFT,
            spread: false,
            len: 0,
            level_lens: [0; LEVELS],
            chunks: 0,
        }
    }

    /// An empty wheel at the same time.
    #[must_use]
    pub fn successor(&self) -> Self {
        Self {
            levels: Vec::new(),
            tick: self.tick,
            spread: false,
            len: 0,
            level_lens: [0; LEVELS],
            chunks: 0,
        }
    }

    /// Its time, rounded down to a tick.
    #[must_use]
    pub fn now(&self) -> UnixMs {
        UnixMs(self.tick << TICK_SHIFT)
    }

    /// Whether the clock was set back so far behind the wheel that its entries would be looked at too late.
    #[must_use]
    pub fn is_ahead_of(&self, now: UnixMs) -> bool {
        self.now().0 > now.0.saturating_add(CLOCK_BACK_MS)
    }

    /// Entries held, those out of date included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory that it takes, within a few hundred small chunks.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.levels.len() * size_of::<[WheelSlot; SLOTS]>() + self.chunks * CHUNK_BYTES
    }

    /// An entry drawn by `random`, all equally likely, those out of date included.
    #[must_use]
    pub fn draw(&self, random: u64) -> Option<WheelEntry> {
        let mut nth = usize::try_from(random.checked_rem(self.len as u64)?).unwrap_or(0);
        let level = self.level_lens.iter().position(|&here| {
            let found = nth < here;
            nth -= if found { 0 } else { here };
            found
        })?;
        for slot in &self.levels[level] {
            let here = slot.len();
            if nth < here {
                return slot.chunks.get(nth / CHUNK)?.get(nth % CHUNK).copied();
            }
            nth -= here;
        }
        None
    }

    /// Takes out an entry, none in particular, and the time it is due at.
    pub fn take_any(&mut self) -> Option<(WheelEntry, UnixMs)> {
        let level = self.level_lens.iter().position(|&here| here > 0)?;
        let slot = self.levels[level].iter_mut().find(|slot| !slot.is_empty())?;
        let (entry, ended) = slot.pop()?;
        self.chunks -= usize::from(ended);
        self.level_lens[level] -= 1;
        self.len -= 1;
        Some((entry, UnixMs(self.due(entry) << TICK_SHIFT)))
    }

    /// Gives back the memory of some entries, none in particular. Returns whether none are left.
    pub fn discard(&mut self, chunks_max: usize) -> bool {
        for _ in 0..chunks_max {
            let Some(level) = self.level_lens.iter().position(|&here| here > 0) else { break };
            let Some(slot) = self.levels[level].iter_mut().find(|slot| !slot.is_empty()) else { break };
            let (gone, ended) = slot.pop_chunk();
            self.chunks -= usize::from(ended);
            self.level_lens[level] -= gone;
            self.len -= gone;
        }
        self.is_empty()
    }

    /// Puts in an entry that was taken out of another wheel, due at this time.
    pub fn put_back(&mut self, entry: WheelEntry, due: UnixMs) {
        // One tick earlier: the deadline that `insert` rounds up.
        self.insert(entry.hash, entry.slot, entry.keyspace_low, UnixMs(due.0.saturating_sub(1)));
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Notes that a key may end at `deadline`.
    pub fn insert(&mut self, hash: u32, slot: Slot, keyspace_low: u16, deadline: UnixMs) {
        if self.levels.is_empty() {
            self.levels.resize_with(LEVELS, || std::array::from_fn(|_| WheelSlot::default()));
        }
        // Rounded up: when the tick has come, the deadline has passed.
        let due = (deadline.0 >> TICK_SHIFT).saturating_add(1);
        #[expect(clippy::cast_possible_truncation, reason = "low bits by design")]
        let due_low = due as u32;
        self.place(WheelEntry { hash, slot, keyspace_low, due_low }, due);
        self.len += 1;
    }

    fn place(&mut self, entry: WheelEntry, due: u64) {
        let span = 1u64 << (LEVEL_BITS as usize * LEVELS);
        let due = due.clamp(self.tick, self.tick + span - 1);
        let distance = due - self.tick;
        let mut level = 0;
        while level + 1 < LEVELS && distance >> (LEVEL_BITS as usize * (level + 1)) != 0 {
            level += 1;
        }
        let began = self.levels[level][Self::slot_at(due, level)].push(entry);
        self.chunks += usize::from(began);
        self.level_lens[level] += 1;
    }

    fn slot_at(tick: u64, level: usize) -> usize {
        usize::try_from((tick >> (LEVEL_BITS as usize * level)) % SLOTS as u64).unwrap_or(0)
    }

    /// Full due tick of an entry: the one nearest to the wheel's time that has its low bits.
    fn due(&self, entry: WheelEntry) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "low bits by design")]
        let ahead = entry.due_low.wrapping_sub(self.tick as u32);
        // More than half the range ahead means behind.
        if ahead > u32::MAX / 2 { self.tick } else { self.tick + u64::from(ahead) }
    }

    /// Advances towards `now`, handing out at most `budget` entries that are due, in bounded work.
    /// Returns whether there is more to do at this time.
    pub fn advance(&mut self, now: UnixMs, budget: usize, due: &mut Vec<WheelEntry>) -> bool {
        let target = now.0 >> TICK_SHIFT;
        if self.len == 0 {
            self.tick = self.tick.max(target);
            return false;
        }
        let mut left = budget;
        // Spreading an entry touches nothing but the wheel.
        let mut spread_left = budget.saturating_mul(SPREAD_PER_DUE);
        while self.tick <= target {
            if !self.cascade(&mut spread_left) {
                return true;
            }
            let slot = Self::slot_at(self.tick, 0);
            while !self.levels[0][slot].is_empty() {
                if left == 0 {
                    return true;
                }
                left -= 1;
                if let Some((entry, ended)) = self.levels[0][slot].pop() {
                    self.chunks -= usize::from(ended);
                    self.level_lens[0] -= 1;
                    self.len -= 1;
                    due.push(entry);
                }
            }
            self.tick = if self.len == 0 { target + 1 } else { self.next_tick().min(target + 1) };
            self.spread = false;
        }
        false
    }

    /// The next tick at which there may be something to do: a clock that jumps by years is followed in few steps.
    fn next_tick(&self) -> u64 {
        let empty = self.level_lens.iter().take_while(|&&here| here == 0).count().min(LEVELS - 1);
        // Nothing changes before the span of the lowest level with entries begins: then those of its slot are spread.
        let span = 1u64 << (LEVEL_BITS as usize * empty);
        (self.tick / span + 1) * span
    }

    /// Spreads the entries of higher levels whose span begins at this tick, before the tick's own slot is emptied.
    fn cascade(&mut self, left: &mut usize) -> bool {
        for level in (1..LEVELS).rev() {
            if self.spread || !self.tick.is_multiple_of(1 << (LEVEL_BITS as usize * level)) {
                continue;
            }
            let slot = Self::slot_at(self.tick, level);
            while !self.levels[level][slot].is_empty() {
                if *left == 0 {
                    return false;
                }
                *left -= 1;
                if let Some((entry, ended)) = self.levels[level][slot].pop() {
                    self.chunks -= usize::from(ended);
                    self.level_lens[level] -= 1;
                    let due = self.due(entry);
                    self.place_below(entry, due, level);
                }
            }
        }
        self.spread = true;
        true
    }

    /// Places an entry of `level` at a lower level: its span has begun, so it must not go back where it was.
    fn place_below(&mut self, entry: WheelEntry, due: u64, level: usize) {
        let span = 1u64 << (LEVEL_BITS as usize * level);
        let due = due.min(self.tick + span - 1);
        let mut at = level - 1;
        while at > 0 && (due - self.tick) >> (LEVEL_BITS as usize * at) == 0 {
            at -= 1;
        }
        let began = self.levels[at][Self::slot_at(due, at)].push(entry);
        self.chunks += usize::from(began);
        self.level_lens[at] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(start: u64, deadlines: &[u64], step_ms: u64, budget: usize) -> Vec<(u64, u32)> {
        let mut wheel = Wheel::new(UnixMs(start));
        for (i, &deadline) in deadlines.iter().enumerate() {
            wheel.insert(u32::try_from(i).unwrap(), Slot(0), 0, UnixMs(deadline));
        }
        let (mut fired, mut now) = (Vec::new(), start);
        let mut due = Vec::new();
        let mut turns = 0u64;
        while !wheel.is_empty() {
            let more = wheel.advance(UnixMs(now), budget, &mut due);
            fired.extend(due.drain(..).map(|entry| (now, entry.hash)));
            if !more {
                now += step_ms;
            }
            turns += 1;
            assert!(turns < 10_000_000, "the wheel makes no progress");
        }
        fired
    }

    #[test]
    fn a_clock_that_jumps_by_years_is_followed_in_few_steps() {
        const YEAR_MS: u64 = 365 * 86_400_000;
        let start = 1_700_000_000_123;
        let deadlines: Vec<u64> = (0..1000).map(|i| start + i * YEAR_MS / 10).collect();
        let mut wheel = Wheel::new(UnixMs(start));
        for (i, &deadline) in deadlines.iter().enumerate() {
            wheel.insert(u32::try_from(i).unwrap(), Slot(0), 0, UnixMs(deadline));
        }
        let mut steps = 0;
        while !wheel.is_empty() {
            let before = wheel.tick;
            wheel.tick = wheel.next_tick();
            assert!(wheel.tick > before);
            wheel.spread = false;
            assert!(wheel.cascade(&mut usize::MAX.clone()));
            while let Some((entry, _)) = wheel.levels[0][Wheel::slot_at(wheel.tick, 0)].pop() {
                wheel.level_lens[0] -= 1;
                wheel.len -= 1;
                assert!(wheel.tick << TICK_SHIFT > deadlines[entry.hash as usize], "fired early");
            }
            steps += 1;
        }
        assert!(steps < 1000 * LEVELS * SLOTS, "{steps} steps");
        assert_eq!(run(start, &deadlines, 100 * YEAR_MS, 7).len(), deadlines.len());
    }

    #[test]
    fn nothing_fires_early_and_everything_within_two_ticks() {
        let start = 1_700_000_000_123;
        let deadlines: Vec<u64> =
            (0..500).map(|i| start + i * 77).chain([start + 9_000_000, start]).collect();
        let fired = run(start, &deadlines, 64, 7);
        assert_eq!(fired.len(), deadlines.len());
        for (now, i) in fired {
            let deadline = deadlines[i as usize];
            assert!(now >= deadline && now <= deadline + 2 * 128 + 64, "due {deadline} fired {now}");
        }
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_once() {
        assert_eq!(run(10_000_000, &[5], 1000, 10).len(), 1);
    }

    #[test]
    fn every_entry_is_drawn_equally_often_and_memory_is_counted_back_to_nothing() {
        let mut wheel = Wheel::new(UnixMs(0));
        for i in 0..1_000u32 {
            wheel.insert(i, Slot(0), 0, UnixMs(u64::from(i % 7) * 3_000_000));
        }
        let mut counts = [0u32; 1_000];
        for random in 0..100_000 {
            counts[wheel.draw(random).unwrap().hash as usize] += 1;
        }
        assert!(counts.iter().all(|&count| count == 100), "each of 1000 entries is one of 1000 numbers");
        assert!(wheel.allocated_bytes() > 800 * size_of::<WheelEntry>());
        let mut due = Vec::new();
        while wheel.advance(UnixMs(30_000_000), 100, &mut due) {}
        assert_eq!((due.len(), wheel.len(), wheel.chunks), (1_000, 0, 0));
        assert!(wheel.draw(5).is_none());
    }

    #[test]
    fn what_is_moved_from_wheel_to_wheel_keeps_its_time() {
        let start = 1_700_000_000_123;
        let mut old = Wheel::new(UnixMs(start));
        for i in 0..2_000u32 {
            old.insert(i, Slot(3), 1, UnixMs(start + u64::from(i) * 5_000));
        }
        let mut fresh = old.successor();
        while let Some((entry, due)) = old.take_any() {
            assert!(due.0 > start + u64::from(entry.hash) * 5_000, "not before its time");
            fresh.put_back(entry, due);
        }
        assert_eq!((old.len(), old.chunks, fresh.len()), (0, 0, 2_000));
        let mut due = Vec::new();
        while fresh.advance(UnixMs(start + 999 * 5_000 + 300), 100, &mut due) {}
        assert_eq!(due.len(), 1_000);
    }

    proptest! {
        #[test]
        fn every_entry_fires_once_and_not_before_its_time(
            start in 1u64..1 << 40,
            after in proptest::collection::vec(0u64..200_000_000, 1..50),
            budget in 1usize..40,
        ) {
            let deadlines: Vec<u64> = after.iter().map(|a| start + a).collect();
            let fired = run(start, &deadlines, 100_000, budget);
            prop_assert_eq!(fired.len(), deadlines.len());
            for (now, i) in fired {
                prop_assert!(now >= deadlines[i as usize]);
            }
        }
    }
}
