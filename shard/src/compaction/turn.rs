//! Drives compaction in a worker's turns: which shards work, how much, and the deletes that it leads to.

use super::spread::{GRAIN_BYTES, REST_NS_MAX};
use super::walk::How;
use super::{CompactionConfig, CompactionFigures, DamagedExtent, Pacing, Step, Worked};
use crate::io::{BlockPool, IoDone, IoRequest, RequestId};
use crate::limits::{
    COMPACTION_RECORDS_PER_KEY, COMPACTION_STEPS_PER_TURN, EXPIRY_RECORDS_PER_KEY, EXPIRY_VICTIMS_MAX,
};
use crate::shard::Shard;
use crate::shard_set::{COMPACTION_IDS, GoneWhy, ShardSet};
use crate::types::UnixMs;

/// So many steps each of those counts for that are not spread over time.
const HASTY_STEP: usize = 4;
/// How long a shard rests when it has dead bytes but no extent that is worth emptying, in milliseconds.
const REST_MS: u64 = 100;
/// Dead bytes of a shard below which nothing is done on a full disk.
const PRESSED_DEAD_BYTES: u64 = 64 << 10;
/// Bits of a request id that hold the shard's position.
const POSITION_BITS: u32 = 16;

/// The most that one step does, beside what is configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepPart {
    /// Records.
    pub(crate) records_max: usize,
    /// Bytes walked over, but for the record it ends in.
    pub(crate) bytes_max: u64,
}

impl StepPart {
    /// As much as is configured.
    pub(crate) const WHOLE: Self = Self { records_max: usize::MAX, bytes_max: u64::MAX };
}

/// What a shard has to do.
struct Debt {
    /// Dead bytes above what is allowed, or a victim half emptied, or a full compaction.
    wants: bool,
    /// Something was written since the last turn.
    is_written: bool,
}

impl<P: BlockPool> Shard<P> {
    /// What compaction did to this shard.
    #[must_use]
    pub fn compaction_figures(&self) -> CompactionFigures {
        self.compaction.figures()
    }

    fn compaction_debt(&mut self, now: UnixMs) -> Debt {
        let fill = self.extents.fill();
        let dead = self.extents.dead_sealed_bytes();
        let is_dropping = self.is_dropping();
        let compaction = &mut self.compaction;
        let allowed = match compaction.pressed {
            true => compaction.config.dead_bytes_min.min(PRESSED_DEAD_BYTES),
            false => Pacing::allowed_dead(&compaction.config, fill),
        };
        let is_written = compaction.pacing.note(self.extents.fresh_bytes(), dead, allowed);
        if compaction.rests_since.is_some_and(|since| now.0.abs_diff(since.0) >= REST_MS) {
            compaction.rests_since = None;
        }
        // While a dropped keyspace is taken apart, more is dead than is counted: victims are the cheaper afterwards.
        let is_behind = dead > allowed && compaction.rests_since.is_none() && !is_dropping;
        let wants = match compaction.step {
            // The extent that survivors go to may have room; where it has none the step says so.
            Step::Walk(_) => !self.extents.is_out_of_places() || compaction.pacing.owed() >= GRAIN_BYTES,
            // Where survivors could find no place on disk they stay where they are.
            _ if self.extents.is_out_of_places() => false,
            Step::Reading(_) => false,
            Step::Idle => is_behind || compaction.wants_full(),
            Step::Choose(_) | Step::Read(_) => true,
        };
        Debt { wants, is_written }
    }
}

impl<P: BlockPool> ShardSet<P> {
    /// When and how extents are emptied.
    pub fn set_compaction(&mut self, config: CompactionConfig) {
        assert!((1..100).contains(&config.fill_percent) && config.step_records > 0, "a share and a step");
        for shard in &mut self.shards {
            shard.compaction.config = config;
        }
    }

    /// Seals extents at so many used bytes instead of when they are full: for tests of small stores.
    pub fn set_extent_fill_bytes(&mut self, bytes: usize) {
        for shard in &mut self.shards {
            shard.extents.set_fill_bytes(bytes);
        }
    }

    /// Begins a full compaction of all shards: extents with dead bytes are emptied, a few steps a turn.
    pub fn compact_all(&mut self) {
        for shard in &mut self.shards {
            shard.begin_full_compaction();
        }
    }

    /// What compaction did, over all shards.
    #[must_use]
    pub fn compaction_figures(&self) -> CompactionFigures {
        let mut sum = CompactionFigures::default();
        for shard in &self.shards {
            sum.add(&shard.compaction.figures());
        }
        sum
    }

    /// The next extent that compaction found damaged, each once: to be told to the operator.
    pub fn next_damaged_extent(&mut self) -> Option<DamagedExtent> {
        self.shards.iter_mut().find_map(|shard| shard.compaction.next_damaged())
    }

    /// The turn's part of compaction. Returns how long what is waiting may be left alone, in nanoseconds; `None`: nothing is.
    pub(crate) fn compact_turn(&mut self, now: UnixMs, now_ns: u64, keys_max: usize) -> Option<u64> {
        let ended = self.may_delete_by_itself() && self.expiry_turn(now, keys_max);
        let (mut more, mut is_written, mut steps) = (false, false, COMPACTION_STEPS_PER_TURN);
        let (mut hurries, mut waits) = (ended, false);
        let count = self.shards.len();
        let mut wanting = None;
        let owed: u64 = self.shards.iter().map(|shard| shard.compaction.pacing.owed()).sum();
        let mut gentle_bytes = self.compaction_spread.note(now_ns, owed);
        for turn in 0..count {
            let position = (self.next_to_compact + turn) % count;
            let debt = self.shards[position].compaction_debt(now);
            is_written |= debt.is_written;
            if !debt.wants {
                continue;
            }
            let shard = &self.shards[position];
            if !shard.extents.has_ripe() && !shard.compaction.empties_ended() {
                wanting.get_or_insert(position);
            }
            more = true;
            let full = self.shards[position].compaction.wants_full();
            while steps > 0 && (full || self.shards[position].compaction.pacing.owed() >= GRAIN_BYTES) {
                // Each key that has ended is a record of the log too: of those a step takes no more than a turn may.
                let compaction = &self.shards[position].compaction;
                let in_haste = compaction.pressed || full;
                if !in_haste && gentle_bytes < GRAIN_BYTES {
                    break;
                }
                steps = steps.saturating_sub(if in_haste { HASTY_STEP } else { 1 });
                let is_gentle = compaction.empties_ended() && !in_haste;
                let records_max = if is_gentle { keys_max } else { usize::MAX };
                let bytes_max = if in_haste { u64::MAX } else { gentle_bytes };
                let part = StepPart { records_max, bytes_max };
                match self.compact_step(position, now, part) {
                    // A choice, or a beginning: the work is still to come.
                    Worked::Bytes(_) if in_haste => hurries = true,
                    Worked::Bytes(0) => {}
                    Worked::Bytes(bytes) => {
                        gentle_bytes = gentle_bytes.saturating_sub(bytes);
                        self.compaction_spread.pay(bytes);
                    }
                    Worked::Waits => {
                        waits = true;
                        break;
                    }
                    Worked::Nothing => break,
                }
            }
        }
        let is_quiet = self.compaction_spread.is_quiet(is_written, now_ns);
        if let Some(position) = wanting {
            // Nobody writes: what is left is done bit by bit.
            if is_quiet && steps == COMPACTION_STEPS_PER_TURN {
                let records_max = keys_max.saturating_mul(COMPACTION_RECORDS_PER_KEY);
                let part = StepPart { records_max, bytes_max: u64::MAX };
                more = matches!(self.compact_step(position, now, part), Worked::Bytes(_));
                hurries |= more;
            }
            self.next_to_compact = (position + 1) % count;
        }
        let rest_ns = || match (hurries, waits) {
            (true, _) => 0,
            // What is owed cannot be paid before something is on disk.
            (false, true) => REST_NS_MAX,
            (false, false) => self.compaction_spread.rest_ns(owed),
        };
        (more || ended).then(rest_ns)
    }

    /// The turn's part of emptying extents in which much has ended: beside what is owed for writes, so many keys, so that
    /// space and memory come back whether anything is written or not. Returns whether more is waiting.
    fn expiry_turn(&mut self, now: UnixMs, keys_max: usize) -> bool {
        let (mut more, count) = (false, self.shards.len());
        let mut victims = self.shards.iter().filter(|shard| shard.compaction.empties_ended()).count();
        let ended_bytes = self.shards.iter().map(|shard| shard.extents.ended_bytes()).sum();
        let is_due = self.expiry_pace.note(now, ended_bytes);
        let mut records = if is_due { keys_max.saturating_mul(EXPIRY_RECORDS_PER_KEY) } else { 0 };
        for turn in 0..count {
            let position = (self.next_to_compact + turn) % count;
            let shard = &mut self.shards[position];
            more |= shard.extents.note_time(now);
            let (has_ripe, is_at_it) = (shard.extents.has_ripe(), shard.compaction.empties_ended());
            // Where survivors could find no place on disk only what has ended as a whole is begun, now and then.
            let is_full = shard.extents.is_out_of_places();
            let may_begin = has_ripe && !shard.is_dropping() && victims < EXPIRY_VICTIMS_MAX;
            more |= (has_ripe || is_at_it) && !is_full;
            if records == 0 || shard.compaction.is_reading() || !(is_at_it || may_begin) {
                continue;
            }
            let share = records.div_ceil(2);
            let part = StepPart { records_max: share, bytes_max: u64::MAX };
            if let Worked::Bytes(bytes) = self.compact_step(position, now, part) {
                records -= share;
                self.expiry_pace.pay(bytes);
                victims += usize::from(!is_at_it);
            }
        }
        more
    }

    /// One step of one shard, and the deletes it leads to.
    pub(crate) fn compact_step(&mut self, position: usize, now: UnixMs, part: StepPart) -> Worked {
        let mut departures = std::mem::take(&mut self.departures);
        let config = &self.shards[position].compaction.config;
        let records_max = config.step_records.min(part.records_max);
        let bytes_max =
            usize::try_from(part.bytes_max).map_or(config.step_bytes, |max| max.min(config.step_bytes));
        let may_delete = self.may_delete_by_itself();
        let how = How { hasher: &self.hasher, now, may_delete, bytes_max, records_max };
        let worked = self.shards[position].compaction_step(how, &mut self.pool, &mut departures);
        let barrier = self.barrier;
        for departure in departures.list.drain(..) {
            let why = if departure.expired { GoneWhy::Expired } else { GoneWhy::Evicted };
            self.let_go(position, departure.entry, &departures.keys[departure.key], why);
        }
        // What was logged belongs to no command.
        self.barrier = barrier;
        departures.keys.clear();
        self.departures = departures;
        if let Worked::Bytes(bytes) = worked {
            self.shards[position].compaction.pacing.pay(bytes);
        }
        worked
    }

    /// The next read that compaction wants.
    pub(crate) fn next_compaction_io(&mut self) -> Option<IoRequest<P>> {
        for (position, shard) in self.shards.iter_mut().enumerate() {
            let number = self.compaction_reads;
            let id = RequestId(COMPACTION_IDS | (number << POSITION_BITS) | position as u64);
            if let Some(request) = shard.next_compaction_io(id, &mut self.pool) {
                self.compaction_reads += 1;
                return Some(request);
            }
        }
        None
    }

    /// A read of compaction has ended.
    pub(crate) fn on_compaction_io(&mut self, done: IoDone<P>) {
        let position = done.id.0 & ((1 << POSITION_BITS) - 1);
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        self.shards[position].on_compaction_io(done, &mut self.pool);
        self.compaction_has_read = true;
    }
}
