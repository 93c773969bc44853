//! What has to be brought into memory before a command runs: the set's side of `crate::cold`.

use crate::cold::{Admission, ColdFigures, ColdReadError, Need};
use crate::io::{BlockPool, IoRequest};
use crate::planted::{self, PlantedBug};
use crate::shard_set::ShardSet;
use crate::types::{Db, Slot};

impl<P: BlockPool> ShardSet<P> {
    /// What a command needs that looks at a key with these hash bits in this slot.
    #[must_use]
    #[inline]
    pub fn need(&self, db: Db, slot: Slot, hash: u32) -> Need {
        Need::Key { db: self.databases.stored(db), slot, hash }
    }

    /// Whether a command that looks at these may run now. Where not, it is to be run when `token` is called; see
    /// [`Self::next_called`]. Memory-only storage, and a store whose records are all in memory, always says yes.
    #[inline]
    pub fn admit(&mut self, token: u64, needs: impl Iterator<Item = Need> + Clone) -> Admission {
        if !self.any_cold {
            return Admission::Run;
        }
        self.admit_cold(token, needs)
    }

    fn admit_cold(&mut self, token: u64, needs: impl Iterator<Item = Need> + Clone) -> Admission {
        let Self { shards, by_slot, cold, .. } = self;
        let position_of = |slot: Slot| usize::from(by_slot[usize::from(slot.0)]);
        let waits = needs.clone().any(|need| {
            let mut lacks = cold.is_queued(&need) && !planted::is(PlantedBug::ColdQueueOvertaken);
            match need {
                Need::Key { db, slot, hash } => {
                    shards[position_of(slot)].for_cold(db, slot, hash, |_, _, _| lacks = true);
                }
                Need::Record { slot, location, class } => {
                    lacks |= shards[position_of(slot)].cold_record(location, class).is_some();
                }
            }
            lacks
        });
        if !waits {
            return Admission::Run;
        }
        cold.park(token, needs.collect(), shards, position_of);
        Admission::Parked
    }

    /// The next parked command whose turn has come: its ticket, its token, and whether what it looks at is in memory
    /// now. Run it at once (or answer the error), then [`Self::finish`] its ticket: nothing else in between.
    pub fn next_called(&mut self) -> Option<(u32, u64, Result<(), ColdReadError>)> {
        let Self { shards, by_slot, cold, .. } = self;
        let called = cold.next_ready(shards, |slot| usize::from(by_slot[usize::from(slot.0)]))?;
        self.drawn = self.cold.record_of(called.0).map(|(slot, at)| (self.position(slot), at));
        Some(called)
    }

    /// Leaves a ticket for these keys whatever is in memory. When `token` is called they are held: whoever comes for one
    /// of them waits until the ticket is finished, which need not be at once.
    pub fn hold(&mut self, token: u64, needs: Vec<Need>) {
        assert!(needs.iter().all(|need| matches!(need, Need::Key { .. })), "only keys are held");
        let Self { shards, by_slot, cold, .. } = self;
        cold.park(token, needs, shards, |slot| usize::from(by_slot[usize::from(slot.0)]));
        self.any_cold = true;
    }

    /// Has a ticket that was called and holds its keys called once more, when what it needs is in memory.
    pub fn recall(&mut self, ticket: u32, token: u64) {
        let Self { shards, by_slot, cold, .. } = self;
        cold.recall(ticket, token, shards, |slot| usize::from(by_slot[usize::from(slot.0)]));
    }

    /// The command of a ticket has run.
    pub fn finish(&mut self, ticket: u32) {
        let Self { shards, by_slot, cold, .. } = self;
        cold.finish(ticket, shards, |slot| usize::from(by_slot[usize::from(slot.0)]));
        if self.cold.is_idle() {
            self.look_for_cold();
        }
    }

    /// Whether a command may have to wait for records on disk: whoever runs one asks [`Self::admit`] first.
    #[must_use]
    #[inline]
    pub fn may_wait(&self) -> bool {
        self.any_cold
    }

    /// Whether so many commands wait that further ones should be held back where they come from.
    #[must_use]
    pub fn is_waiting_room_full(&self) -> bool {
        self.cold.is_full()
    }

    /// Whether commands wait for records on disk.
    #[must_use]
    pub fn has_parked(&self) -> bool {
        !self.cold.is_idle()
    }

    /// The next read of a record, if one is wanted: part of what [`Self::next_io`] gives out.
    pub fn next_read(&mut self) -> Option<IoRequest<P>> {
        let Self { shards, cold, pool, .. } = self;
        cold.next_io(shards, pool)
    }

    /// Counters of cold reads.
    #[must_use]
    pub fn cold_figures(&self) -> ColdFigures {
        self.cold.figures()
    }
}
