//! Drives the scrub in a worker's turns: one step of one shard a turn.

use super::round::{Pick, Picked, Round, first_due_ns, next_due_ns};
use super::{Look, ScrubFigures, ScrubFinding, Step};
use crate::io::{BlockPool, IoDone, IoRequest, RequestId};
use crate::key::KeyHasher;
use crate::limits::{SCRUB_PERIOD_MS_MAX, SCRUB_REST_NS};
use crate::shard::Shard;
use crate::shard_set::{SCRUB_IDS, ShardSet};
use crate::types::UnixMs;

/// Bits of a request id that hold the shard's position.
const POSITION_BITS: u32 = 16;

/// What the turns of a set remember.
#[derive(Debug, Default)]
pub(crate) struct ScrubTurns {
    /// The shard that is looked at first in the next turn.
    next: usize,
    /// Reads asked for so far.
    reads: u64,
    /// No shard is asked for a step before this, in nanoseconds: a turn with nothing to scrub looks at none.
    rests_until_ns: u64,
    /// Whether a shard may want a read.
    may_read: bool,
}

impl<P: BlockPool> Shard<P> {
    /// How the scrub of this shard stands.
    #[must_use]
    pub fn scrub_figures(&self) -> ScrubFigures {
        self.scrub.figures(&self.extents)
    }

    /// Begins a round at once, over everything that is on disk now; one under way is given up for it.
    fn begin_scrub(&mut self) {
        if self.extents.identity().is_none() {
            return;
        }
        self.scrub.round_number += 1;
        self.scrub.round = Some(Round::begin(&self.extents, true));
        if matches!(self.scrub.step, Step::Pick(_)) {
            self.scrub.step = Step::Idle;
        }
    }

    /// Whether a step is due.
    fn wants_scrub(&mut self, now_ns: u64) -> bool {
        if self.extents.identity().is_none() {
            return false;
        }
        let count = self.extents.count();
        let scrub = &mut self.scrub;
        match scrub.step {
            Step::Read(_) | Step::Reading(_) => false,
            Step::Pick(_) | Step::Verify(_) => true,
            Step::Idle if scrub.round.as_ref().is_some_and(|round| round.is_asked) => true,
            Step::Idle if scrub.period_ms == 0 => false,
            Step::Idle => {
                now_ns >= *scrub.due_ns.get_or_insert_with(|| first_due_ns(scrub.period_ms, count, now_ns))
            }
        }
    }

    /// One bounded step.
    fn scrub_step(&mut self, hasher: &KeyHasher, pool: &mut P, now: UnixMs, now_ns: u64) {
        match std::mem::replace(&mut self.scrub.step, Step::Idle) {
            Step::Idle => self.next_to_scrub(),
            Step::Pick(pick) => {
                let Self { scrub, extents, .. } = self;
                let picked = scrub.round.as_mut().map_or(Picked::Nothing, |round| round.pick(pick, extents));
                match picked {
                    Picked::Goes(pick) => scrub.step = Step::Pick(pick),
                    Picked::Some => {}
                    Picked::Nothing => self.end_scrub_round(now, now_ns),
                }
            }
            step @ (Step::Read(_) | Step::Reading(_)) => self.scrub.step = step,
            Step::Verify(look) => {
                let Some((round_number, _)) = self.verify_step(look, hasher, pool) else { return };
                let Self { scrub, extents, .. } = self;
                if round_number == scrub.round_number
                    && let Some(round) = &mut scrub.round
                {
                    round.done += 1;
                }
                if scrub.round.as_ref().is_some_and(|round| round.is_asked) {
                    // The round that begins by itself afterwards comes to every place within its period.
                    return;
                }
                let due_ns = scrub.due_ns.unwrap_or(now_ns);
                scrub.due_ns = Some(next_due_ns(scrub.period_ms, extents.count(), due_ns, now_ns));
            }
        }
    }

    /// Begins with the next extent of the round, or with a round.
    fn next_to_scrub(&mut self) {
        let Self { scrub, extents, .. } = self;
        if scrub.round.is_none() {
            scrub.round_number += 1;
        }
        let round = scrub.round.get_or_insert_with(|| Round::begin(extents, false));
        while let Some(next) = round.next() {
            if let Some(used_bytes) = extents.written_bytes(next.number) {
                scrub.step = Step::Read(Look::new(next, used_bytes, scrub.round_number));
                return;
            }
        }
        scrub.step = Step::Pick(Pick::new());
    }

    fn end_scrub_round(&mut self, now: UnixMs, now_ns: u64) {
        let Self { scrub, extents, .. } = self;
        let is_empty = scrub.round.as_ref().is_none_or(|round| round.done == 0);
        scrub.end_round(now, extents);
        if is_empty {
            scrub.due_ns = Some(first_due_ns(scrub.period_ms, extents.count(), now_ns));
        }
    }
}

impl<P: BlockPool> ShardSet<P> {
    /// How long a round over each data file takes, in milliseconds, at most ten years; 0: none begins by itself.
    pub fn set_scrub_period(&mut self, period_ms: u64) {
        for shard in &mut self.shards {
            shard.scrub.period_ms = period_ms.min(SCRUB_PERIOD_MS_MAX);
            shard.scrub.due_ns = None;
        }
        self.scrub.rests_until_ns = 0;
    }

    /// Begins a round over all data files at once, as fast as one step a turn goes.
    pub fn scrub_all(&mut self) {
        for shard in &mut self.shards {
            shard.begin_scrub();
        }
        self.scrub.rests_until_ns = 0;
    }

    /// How the scrub stands, over all shards.
    #[must_use]
    pub fn scrub_figures(&self) -> ScrubFigures {
        let mut all = self.shards.iter().map(Shard::scrub_figures);
        let mut sum = all.next().unwrap_or_default();
        all.for_each(|figures| sum.add(&figures));
        sum
    }

    /// The next extent that the scrub found damaged, once a round: to be told to the operator.
    pub fn next_scrub_finding(&mut self) -> Option<ScrubFinding> {
        self.shards.iter_mut().find_map(|shard| shard.scrub.next_finding())
    }

    /// The turn's part of the scrub: a step of the first shard that wants one. Returns whether more is waiting.
    pub(crate) fn scrub_turn(&mut self, now: UnixMs, now_ns: u64) -> bool {
        if now_ns < self.scrub.rests_until_ns {
            return false;
        }
        let (first, count) = (self.scrub.next, self.shards.len());
        let mut is_worked = false;
        for turn in 0..count {
            let position = (first + turn) % count;
            if !self.shards[position].wants_scrub(now_ns) {
                continue;
            }
            if is_worked {
                return true;
            }
            self.shards[position].scrub_step(&self.hasher, &mut self.pool, now, now_ns);
            self.scrub.next = (position + 1) % count;
            self.scrub.may_read = true;
            is_worked = true;
        }
        if !is_worked {
            self.scrub.rests_until_ns = now_ns + SCRUB_REST_NS;
        }
        is_worked
    }

    /// The next read that the scrub wants. None is begun on the way out.
    pub(crate) fn next_scrub_io(&mut self) -> Option<IoRequest<P>> {
        if !self.scrub.may_read || self.is_closing() {
            return None;
        }
        for (position, shard) in self.shards.iter_mut().enumerate() {
            let id = RequestId(SCRUB_IDS | (self.scrub.reads << POSITION_BITS) | position as u64);
            if let Some(request) = shard.next_scrub_io(id, &mut self.pool) {
                self.scrub.reads += 1;
                return Some(request);
            }
        }
        self.scrub.may_read = false;
        None
    }

    /// A read of the scrub has ended.
    pub(crate) fn on_scrub_io(&mut self, done: IoDone<P>) {
        let position = done.id.0 & ((1 << POSITION_BITS) - 1);
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        self.shards[position].on_scrub_io(done, &mut self.pool);
        // What came is to be verified, or more of it to be read.
        (self.scrub.rests_until_ns, self.scrub.may_read) = (0, true);
    }
}
