//! The turn: I/O out, completions in, and bounded steps of what nobody waits for.

use crate::io::{BlockPool, Fatal, IoDone, IoRequest};
use crate::limits::LOG_QUEUED_FOR_ENDS_MAX;
use crate::log::Log;
use crate::types::{BatchNumber, UnixMs};

use super::low_water::RESERVE_IDS;
use super::storage::{FILES_IDS, position_of_id};
use super::{COLD_IDS, COMPACTION_IDS, GoneWhy, OWNER_MASK, SCRUB_IDS, ShardSet, SpaceFor, Storage};

impl<P: BlockPool> ShardSet<P> {
    /// Ends a turn: goes on with checkpoints, closes the log's batch when the log is ready to fly another. Returns
    /// whether there is more to do at once.
    pub fn end_turn(&mut self, now: UnixMs, now_ns: u64) -> bool {
        let mut more = self.keep_memory();
        more |= self.storage.as_mut().is_some_and(|storage| std::mem::take(&mut storage.lets_go));
        // What compaction has read is there to be gone on with.
        more |= self.storage_step(now) | std::mem::take(&mut self.compaction_has_read);
        if let Some(log) = &mut self.log {
            log.close_batch(now_ns);
        }
        more
    }

    /// The next I/O to perform, if any.
    pub fn next_io(&mut self) -> Option<IoRequest<P>> {
        if let Some(request) = self.log.as_mut().and_then(Log::next_io) {
            return Some(request);
        }
        let Self { shards, cold, pool, storage, .. } = self;
        if let Some(request) = cold.next_io(shards, pool) {
            return Some(request);
        }
        let landed = self.log.as_ref().map(Log::acknowledgeable);
        let files = storage.as_mut().and_then(|storage| storage.next_io(landed));
        let reserve = files.or_else(|| self.next_reserve_io());
        reserve.or_else(|| self.next_compaction_io()).or_else(|| self.next_scrub_io())
    }

    /// A completion. Afterwards [`Self::released`] may be higher.
    ///
    /// # Errors
    /// What was written may not survive: the process must stop and let recovery decide.
    pub fn on_io(&mut self, done: IoDone<P>) -> Result<(), Fatal> {
        if done.id.0 & OWNER_MASK == COLD_IDS {
            let Self { shards, by_slot, cold, pool, .. } = self;
            cold.on_io(done, shards, pool, |slot| usize::from(by_slot[usize::from(slot.0)]));
            return Ok(());
        }
        if done.id.0 & OWNER_MASK == FILES_IDS {
            let position = position_of_id(done.id.0);
            let Self { shards, storage: Some(storage), pool, .. } = self else {
                unreachable!("only files ask under these ids")
            };
            storage.pace.note_end(done.id, self.log.as_ref().map(Log::submitted));
            return storage.files[position].on_io(done, &mut shards[position], pool);
        }
        if done.id.0 & OWNER_MASK == RESERVE_IDS {
            let Some(Storage { reserve, now, .. }) = &mut self.storage else {
                unreachable!("only the reserve asks under these ids")
            };
            return reserve.on_io(&done, *now);
        }
        if done.id.0 & OWNER_MASK == COMPACTION_IDS {
            self.on_compaction_io(done);
            return Ok(());
        }
        if done.id.0 & OWNER_MASK == SCRUB_IDS {
            self.on_scrub_io(done);
            return Ok(());
        }
        let Some(log) = &mut self.log else { return Ok(()) };
        let before = log.acknowledgeable();
        log.on_io(done)?;
        let released = log.acknowledgeable();
        if released > before {
            for shard in &mut self.shards {
                shard.note_released(released);
            }
        }
        Ok(())
    }

    /// Says whether ticks delete keys whose time has come. Reads do not find them either way.
    pub const fn set_active_expiry(&mut self, active: bool) {
        self.active_expiry = active;
    }

    /// Timed work of the log, and one bounded step of expiry and of background work: at most `budget` due keys.
    /// Returns whether more is waiting, so that an idle worker goes on at once.
    pub fn tick(&mut self, now: UnixMs, now_ns: u64, budget: usize) -> bool {
        if let Some(log) = &mut self.log {
            log.tick(now_ns);
        }
        if self.is_closing() || self.log.as_ref().is_some_and(Log::is_shutting_down) {
            // Expiry makes records, and none may come after the clean-shutdown mark, or the last checkpoint: it goes on
            // after the next start.
            return false;
        }
        self.storage_tick(now);
        let mut more = false;
        let may_delete = self.may_delete_by_itself();
        let may_expire = self.active_expiry && may_delete;
        for position in 0..self.shards.len() {
            if may_expire {
                more |= self.expire_step(position, now, budget);
            }
            more |= self.shards[position].background_step();
        }
        let keys_max = budget.saturating_mul(self.shards.len());
        let compaction = if self.may_append() { self.compact_turn(now, now_ns, keys_max) } else { None };
        more |= self.room_turn(now);
        more |= self.scrub_turn(now, now_ns);
        self.rest_ns = compaction.filter(|_| !more).unwrap_or(0);
        more || compaction.is_some()
    }

    /// How long what the last tick left may be left alone, in nanoseconds.
    #[must_use]
    pub const fn rest_ns(&self) -> u64 {
        self.rest_ns
    }

    /// Whether keys that have ended may be deleted with nobody asking for them: the log has room for that, and no more waits
    /// to be written than a drive in order has at a time.
    pub(crate) fn may_delete_by_itself(&self) -> bool {
        let is_behind = self.log.as_ref().is_some_and(|log| log.queued_bytes() > LOG_QUEUED_FOR_ENDS_MAX);
        !is_behind && self.space_for_deletes() == SpaceFor::Ready
    }

    pub(super) fn expire_step(&mut self, position: usize, now: UnixMs, budget: usize) -> bool {
        let mut due = std::mem::take(&mut self.due);
        let more = self.shards[position].due(now, budget, &mut due);
        let mut key = std::mem::take(&mut self.scratch);
        for entry in due.drain(..) {
            while let Some(expired) = self.shards[position].expired(entry, now, &mut key) {
                self.let_go(position, expired, &key, GoneWhy::Expired);
            }
        }
        self.keep_scratch(key);
        self.due = due;
        // What expiry logged belongs to no command.
        self.barrier = BatchNumber::ZERO;
        more
    }
}
