//! What a worker's shards keep on disk: when extents are written, checkpoints made, and memory given back.

use super::ShardSet;
use super::low_water::RESERVE_IDS;
use super::storage_config::{ENTRY_BYTES, StorageConfig};
use super::unsaved::{Unsaved, holds_all};
use super::write_pace::WritePace;
use crate::checkpoint::{Pressure, Reserve, ShardFiles};
use crate::io::{BlockPool, IoRequest};
use crate::limits::{DIRTY_EXTENTS_MAX, EXTENT_BYTES, FREE_PLACES_WINDOW_MS, SPACE_RETRY_MS};
use crate::log::Log;
use crate::shard::Shard;
use crate::types::{BatchNumber, LogId, UnixMs};

/// Bytes of log for each byte of snapshot at least.
const LOG_PER_SNAPSHOT: u64 = 4;

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// Not asked for.
    No,
    /// Each shard is to have a checkpoint that holds everything.
    Checkpoints,
    /// The log is being shut down.
    Log,
}

/// The storage of a set of shards, beside its log.
pub(super) struct Storage<P: BlockPool> {
    /// One per shard, in the order of the shards.
    pub(super) files: Vec<ShardFiles<P>>,
    pub(super) config: StorageConfig,
    /// How fast they write.
    pub(super) pace: WritePace,
    pub(super) closing: Closing,
    /// Where the log was when the newest checkpoint of each shard began.
    pub(super) begun_at: Vec<BatchNumber>,
    /// Log bytes written, or without a log bytes changed, when the last checkpoint was asked for.
    pub(super) checkpoint_at: u64,
    /// Without a log: bytes of records written since the start.
    pub(super) changed_bytes: u64,
    /// Without a log: how many that were when a checkpoint of each shard was asked for last.
    pub(super) asked_at: Vec<u64>,
    /// Without a log: since when each shard has changes that no snapshot holds.
    pub(super) unsaved: Vec<Unsaved>,
    /// What can not leave memory, as counted last.
    pub(super) index_bytes: u64,
    /// Sealed extents of each shard that may wait for a checkpoint.
    pub(super) dirty_max: usize,
    /// Memory is used up by records on their way to disk: all of them are written, and writes wait until some are.
    pub(super) is_behind: bool,
    /// Writes that were held back may go on, and the turn has not said so yet.
    pub(super) lets_go: bool,
    /// Disk space for the day the disk is full.
    pub(super) reserve: Reserve<P>,
    /// Whether the log or the reserve lacks space: then nothing may grow.
    pub(super) is_low: bool,
    /// Whether data files were told not to take space when they were told last.
    pub(super) was_held_back: bool,
    /// Checkpoints that were given up, as counted last.
    pub(super) gave_up: u64,
    /// When the last one was given up.
    pub(super) rests_since: Option<UnixMs>,
    /// The shard of which it was begun last to count which free places are used, and when.
    space_next: usize,
    space_window: UnixMs,
    /// The shard that is looked at first for the next one.
    pub(super) forced_next: usize,
    /// The time, as told last.
    pub(super) now: UnixMs,
    /// What records took when the memory bound was last looked after; more than there can be where there was none.
    kept_bytes: u64,
}

/// Part of the memory bound that is kept free for what one turn adds, and the most that is.
const TURN_PART: u64 = 32;
const TURN_BYTES_MAX: u64 = 4 << 20;
/// How much less a turn leaves in memory than the one before at most: a few milliseconds, where the bound was lowered.
const DROP_BYTES_PER_TURN: u64 = 32 << 20;
/// Part of the memory for records that whole extents which are on disk too may take.
const RESIDENT_PART: u64 = 8;

impl<P: BlockPool> Storage<P> {
    /// Without a log: notes that the shard at a position has got a record of so many bytes. Where a checkpoint of it copies
    /// the index, `hand` is to give the record to it.
    #[inline]
    pub(super) fn note_change(
        &mut self,
        position: usize,
        bytes: usize,
        hand: impl FnOnce(&mut ShardFiles<P>),
    ) {
        self.changed_bytes += bytes as u64;
        let files = &mut self.files[position];
        if files.takes_records() {
            hand(files);
        }
    }

    /// Whether the newest snapshot of every shard is what the shard holds.
    fn is_all_saved(&self, shards: &[Shard<P>]) -> bool {
        self.files.iter().zip(shards).all(|(files, shard)| files.end_lsn() == Some(shard.lsn()))
    }

    /// Without a log: asks once more for the checkpoints of the end that were given up, but not all the time.
    fn save_again(&mut self, shards: &[Shard<P>], now: UnixMs) {
        let is_too_soon = |since: UnixMs| now.0.abs_diff(since.0) < SPACE_RETRY_MS;
        if self.rests_since.is_some_and(is_too_soon) {
            return;
        }
        self.rests_since = Some(now);
        // What is kept for the day the disk is full is for this.
        self.reserve.lend();
        for (files, shard) in self.files.iter_mut().zip(shards) {
            if files.end_lsn() != Some(shard.lsn()) {
                files.want_checkpoint();
            }
        }
    }

    /// Asks for a checkpoint of the shard whose last one began the longest ago, when enough was written since the one
    /// before was asked for.
    fn ask_if_due(&mut self, shards: &[Shard<P>], log: Option<&Log<P>>) {
        // Snapshots stay a small share of what is written: a round of them for so many bytes at least.
        let snapshots: u64 = shards.iter().map(|shard| shard.entry_count() * ENTRY_BYTES).sum();
        let bytes_max = self.config.log_bytes_max.max(snapshots.saturating_mul(LOG_PER_SNAPSHOT));
        let written = log.map_or(self.changed_bytes, |log| log.stats().written_bytes);
        let is_due = written.saturating_sub(self.checkpoint_at) > bytes_max / shards.len().max(1) as u64;
        if !is_due || self.files.iter().any(ShardFiles::is_busy) {
            return;
        }
        self.checkpoint_at = written;
        let positions = 0..self.files.len();
        let oldest = match log {
            Some(_) => positions.min_by_key(|&position| self.begun_at[position]),
            // Where nothing was written since, nothing would be made durable.
            None => positions
                .filter(|&position| self.files[position].end_lsn() != Some(shards[position].lsn()))
                .min_by_key(|&position| self.asked_at[position]),
        };
        if let Some(oldest) = oldest {
            self.asked_at[oldest] = written;
            self.files[oldest].want_checkpoint();
        }
    }

    /// Without a log: whether a checkpoint has more records on their way than it should.
    pub(super) fn is_tail_full(&self) -> bool {
        self.files.iter().any(ShardFiles::is_tail_full)
    }

    /// The next I/O of the shards' files. `landed`: batches of the log up to this one are waited for no more.
    pub(super) fn next_io(&mut self, landed: Option<BatchNumber>) -> Option<IoRequest<P>> {
        let per_flight = match self.closing {
            // Where clients wait for memory that is free when extents are written they wait for that.
            Closing::No if !self.is_behind => self.config.waiting_per_flight,
            // At the end nobody is left to be held up.
            _ => 1,
        };
        let Self { files, pace, .. } = self;
        if let Some(request) = files.iter_mut().find_map(ShardFiles::next_in_time) {
            return Some(request);
        }
        let waiting = files.iter().map(ShardFiles::writes_waiting).sum();
        if !pace.may_start(waiting, per_flight, landed) {
            return None;
        }
        // A checkpoint first: space that others wait for is free when it is published.
        let first = files.iter().position(|files| files.has_checkpoint() && files.writes_waiting() > 0);
        let mut turns = first.into_iter().chain(pace.turns(files.len()));
        let (request, shard) = turns.find_map(|shard| Some((files[shard].next_write()?, shard)))?;
        pace.note_start(request.id, shard);
        Some(request)
    }

    fn set_behind(&mut self, is_behind: bool) {
        self.is_behind = is_behind;
        let dirty_max = if is_behind { 0 } else { self.dirty_max };
        for files in &mut self.files {
            files.set_dirty_max(dirty_max);
        }
    }
}

/// Request ids of the files of the shard at a position.
pub(super) const FILES_IDS: u64 = 2 << 56;
const POSITION_SHIFT: u32 = 40;

/// First of the request ids that the files of the shard at this position of a set use.
#[must_use]
pub fn first_request_id(position: usize) -> u64 {
    FILES_IDS | ((position as u64) << POSITION_SHIFT) | 1
}

/// The position that a request id of shard files names.
pub(super) fn position_of_id(id: u64) -> usize {
    usize::try_from((id >> POSITION_SHIFT) & 0xffff).unwrap_or(usize::MAX)
}

impl<P: BlockPool> ShardSet<P> {
    /// Gives the shards their files, in the order of the shards: they go to disk from now on.
    ///
    /// # Panics
    /// When the files are not those of the shards.
    pub fn keep_files(&mut self, files: Vec<ShardFiles<P>>, config: StorageConfig) {
        assert_eq!(files.len(), self.shards.len(), "each shard has its files");
        assert!(config.waiting_per_flight > 0, "at least one write may fly");
        self.cold.set_in_flight_max(config.reads_in_flight_max);
        let own = files.iter().zip(&self.shards).all(|(files, shard)| files.manifest().shard == shard.id());
        assert!(own, "each shard has its own files");
        self.set_scrub_period(config.scrub_ms);
        let begun_at = vec![BatchNumber::ZERO; files.len()];
        // Without a log the first shard tells the workers apart.
        let first = self.shards.first().map_or(0, |shard| u32::from(shard.id().0));
        let reserve_of = self.log.as_ref().map_or(LogId(first + 1), |log| log.identity().log);
        self.storage = Some(Storage {
            files,
            config,
            pace: WritePace::default(),
            closing: Closing::No,
            begun_at,
            checkpoint_at: 0,
            changed_bytes: 0,
            asked_at: vec![0; self.shards.len()],
            unsaved: vec![Unsaved::default(); self.shards.len()],
            index_bytes: 0,
            dirty_max: 0,
            is_behind: false,
            lets_go: false,
            reserve: Reserve::new(reserve_of, RESERVE_IDS | 1),
            is_low: false,
            was_held_back: false,
            gave_up: 0,
            rests_since: None,
            space_next: 0,
            space_window: UnixMs(0),
            forced_next: 0,
            now: UnixMs(0),
            kept_bytes: u64::MAX,
        });
        if let Some(storage) = &mut self.storage {
            // The reserve comes first.
            let pressure = Pressure { is_held_back: true, ..Pressure::default() };
            storage.files.iter_mut().for_each(|files| files.press(pressure, storage.now));
        }
        self.share_memory();
        self.look_for_cold();
    }

    /// The files of the shards, in their order; none when storage is memory-only.
    #[must_use]
    pub fn files(&self) -> &[ShardFiles<P>] {
        self.storage.as_ref().map_or(&[], |storage| &storage.files)
    }

    /// Without a log: when the oldest change of the shard at this position came that no snapshot holds, within the time
    /// from one tick to the next; `None`: its newest snapshot holds everything.
    #[must_use]
    pub fn unsaved_since(&self, position: usize) -> Option<UnixMs> {
        let storage = self.storage.as_ref().filter(|_| self.log.is_none())?;
        storage.unsaved.get(position)?.since()
    }

    /// Asks for a checkpoint of every shard, beginning now or when the one that runs is done.
    pub fn checkpoint(&mut self) {
        if let Some(storage) = &mut self.storage {
            for files in &mut storage.files {
                files.want_checkpoint();
            }
        }
    }

    /// Whether no checkpoint runs or is wanted.
    #[must_use]
    pub fn is_checkpointed(&self) -> bool {
        !self.files().iter().any(ShardFiles::is_busy)
    }

    /// Begins the end: a checkpoint of every shard that has changed since its last, then the log's clean-shutdown
    /// mark. Nothing may be written from now on. Go on performing I/O until [`Self::is_closed`].
    pub fn begin_close(&mut self) {
        match &mut self.storage {
            Some(storage) if storage.closing == Closing::No => {
                storage.closing = Closing::Checkpoints;
                let log = self.log.as_ref().map(|log| log.identity().log);
                for (files, shard) in storage.files.iter_mut().zip(&self.shards) {
                    // One that was made under another number of workers would keep the logs of that time.
                    let made_in = files.manifest().snapshot.as_ref().map(|snapshot| snapshot.log);
                    if files.end_lsn() != Some(shard.lsn()) || (log.is_some() && made_in != log) {
                        files.want_checkpoint();
                    }
                }
            }
            Some(_) => {}
            None => self.close_log(),
        }
    }

    fn close_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.begin_shutdown();
        }
    }

    /// Whether all is closed and nothing is in flight.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let files = self.storage.as_ref().is_none_or(|storage| {
            storage.closing == Closing::Log
                && storage.files.iter().all(ShardFiles::is_idle)
                && storage.reserve.is_idle()
        });
        // A read of compaction or the scrub that was begun before the end owns a buffer until it comes back.
        let is_reading = |shard: &Shard<P>| shard.compaction.is_reading() || shard.scrub.is_in_flight();
        let reads = self.shards.iter().any(is_reading);
        files && !reads && self.log.as_ref().is_none_or(Log::is_shut_down)
    }

    /// Whether the set is on its way out: nothing is written any more.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.storage.as_ref().is_some_and(|storage| storage.closing != Closing::No)
    }

    /// One bounded step of what the shards do on disk. Returns whether there is more to do at once.
    pub(super) fn storage_step(&mut self, now: UnixMs) -> bool {
        if self.storage.as_ref().is_some_and(Storage::lacks_reserve) {
            // Writes wait for it: at a start, and when it comes back.
            self.low_water_tick(now);
        }
        let Self { shards, storage, pool, log, .. } = self;
        let Some(storage) = storage else { return false };
        let mut more = false;
        for (position, (files, shard)) in storage.files.iter_mut().zip(shards.iter_mut()).enumerate() {
            let dirty_max = if storage.is_behind { 0 } else { storage.dirty_max };
            let is_idle = !files.is_busy() && shard.extents().dirty_count() <= dirty_max;
            if is_idle && !files.wants_space(shard, now) && !files.has_space_to_give(shard) {
                continue;
            }
            let state = Storage::log_state(log.as_ref());
            more |= files.step(shard, state, now, pool);
            if let (Some(batch), Some(log)) = (files.awaits_log(), log.as_mut()) {
                // What the copy holds may still be in the open batch: the end of the turn submits it.
                log.want_durable(batch);
            }
            if let Some(published) = files.take_published() {
                storage.begun_at[position] = published.batch;
                let given_up = files.figures().given_up;
                storage.unsaved[position].on_published(holds_all(files, shard), published.began, given_up);
                if let Some(log) = log.as_mut().filter(|log| !log.is_shutting_down()) {
                    log.publish_floor(&[published.floor], published.batch);
                }
            }
        }
        if storage.closing == Closing::Checkpoints && storage.files.iter().all(ShardFiles::is_idle) {
            if log.is_none() && !storage.is_all_saved(shards) {
                // A checkpoint was given up on a full disk, and nothing else holds what it was to hold.
                storage.save_again(shards, now);
                return more;
            }
            storage.closing = Closing::Log;
            self.close_log();
        }
        more
    }

    /// Now and then: starts checkpoints that are due and keeps memory within its limit.
    pub(super) fn storage_tick(&mut self, now: UnixMs) {
        self.low_water_tick(now);
        let Self { shards, storage, log, .. } = self;
        let Some(storage) = storage else { return };
        // One shard after the other, so that not all give space back at once.
        let count = shards.len().max(1);
        if now.0.abs_diff(storage.space_window.0) >= FREE_PLACES_WINDOW_MS / count as u64 {
            storage.space_window = now;
            storage.space_next = (storage.space_next + 1) % count;
            if let Some(shard) = shards.get_mut(storage.space_next) {
                shard.extents_mut().begin_space_window();
            }
        }
        if storage.closing == Closing::No {
            // One at a time: each syncs files, which everybody who writes to the drive waits for.
            if !storage.files.iter().any(ShardFiles::is_busy) {
                let config = storage.config;
                let waiting = storage.files.iter_mut().zip(shards.iter()).map(|(files, shard)| {
                    let extents = shard.extents();
                    let bound = config.emptied_bytes_max(extents.file_bytes(), shard.entry_count());
                    // More is about to be emptied: it is freed together.
                    let bound = if extents.has_ripe() { bound.max(extents.file_bytes() / 4) } else { bound };
                    (files, extents.emptied_bytes().saturating_sub(bound))
                });
                let most = waiting.max_by_key(|(_, over)| *over).filter(|(_, over)| *over > 0);
                if let Some((files, _)) = most {
                    files.want_checkpoint();
                }
            }
            storage.ask_if_due(shards, log.as_ref());
            if log.is_none() {
                storage.ask_if_unsaved(shards, now);
            }
        }
        self.keep_memory();
    }

    /// How many extents of each shard may wait for a checkpoint: an eighth of the memory there is for all. And what may be
    /// read at once.
    fn share_memory(&mut self) {
        let Self { shards, storage, cold, .. } = self;
        let Some(storage) = storage else { return };
        cold.set_memory_bound(storage.config.memory_bytes_max);
        let bytes = storage.config.memory_bytes_max.map_or(u64::MAX, |limit| limit / 8);
        let share = bytes / (EXTENT_BYTES as u64 * shards.len().max(1) as u64);
        storage.dirty_max = usize::try_from(share).unwrap_or(usize::MAX).min(DIRTY_EXTENTS_MAX);
        storage.set_behind(storage.is_behind);
    }

    /// Whether commands that write are to be held back where they come from: the memory bound is reached, and what fills
    /// it is on its way to disk; or, without a log, a checkpoint has as many records on their way as it may have. They may
    /// go on after a completion.
    #[must_use]
    #[inline]
    pub fn holds_writes(&self) -> bool {
        self.storage
            .as_ref()
            .is_some_and(|storage| storage.is_behind || self.log.is_none() && storage.is_tail_full())
    }

    /// Without a log: whether a checkpoint has as many records on their way as it may have.
    #[must_use]
    pub fn is_tail_full(&self) -> bool {
        self.log.is_none() && self.storage.as_ref().is_some_and(Storage::is_tail_full)
    }

    /// Bounds the memory that extents, read cache and index take together from now on; 0: no bound.
    pub fn set_memory_bound(&mut self, bytes: u64) {
        if let Some(storage) = &mut self.storage {
            let bound = (bytes > 0).then_some(bytes);
            if storage.config.memory_bytes_max != bound {
                if storage.config.memory_bytes_max.is_none() {
                    storage.kept_bytes = u64::MAX;
                }
                storage.config.memory_bytes_max = bound;
                // Without a bound nobody looks whether it is reached.
                storage.is_behind &= bound.is_some();
                self.share_memory();
            }
        }
    }

    /// Drops what may leave memory until the limit holds: extents that were written longest ago, until they have a small
    /// part of what there is for records, then the oldest reads. Returns whether there is more to drop than one turn
    /// does: where the limit was lowered.
    pub(super) fn keep_memory(&mut self) -> bool {
        let Self { shards, storage, .. } = self;
        let Some(storage) = storage else { return false };
        let Some(limit) = storage.config.memory_bytes_max else { return false };
        storage.index_bytes = shards.iter().map(Shard::unmovable_bytes).sum();
        // What one turn may add is kept free.
        let limit = limit - (limit / TURN_PART).min(TURN_BYTES_MAX);
        let room = limit.saturating_sub(storage.index_bytes);
        let used = |shards: &[Shard<P>]| -> u64 {
            shards.iter().map(|shard| shard.extents().allocated_bytes()).sum()
        };
        let aim = room.max(storage.kept_bytes.saturating_sub(DROP_BYTES_PER_TURN));
        while used(shards) > aim {
            // Whole extents are mostly records that nobody asks for: but for the newest, what was looked at in them is
            // kept in the read cache instead.
            let resident: u64 = shards.iter().map(|shard| shard.extents().resident_bytes()).sum();
            let most = shards.iter_mut().max_by_key(|shard| shard.extents().resident_bytes());
            if resident > room / RESIDENT_PART && most.is_some_and(|shard| shard.extents_mut().drop_oldest())
            {
                continue;
            }
            let most = shards.iter_mut().max_by_key(|shard| shard.extents().cache_bytes());
            if most.is_some_and(|shard| shard.extents_mut().forget_oldest_reads()) {
                continue;
            }
            let any = shards
                .iter_mut()
                .any(|shard| shard.extents_mut().drop_oldest() || shard.extents_mut().forget_oldest_reads());
            if !any {
                break;
            }
        }
        storage.kept_bytes = used(shards);
        let is_moving = |shard: &Shard<P>| shard.extents().is_moving_to_disk();
        let is_behind =
            storage.kept_bytes > aim && storage.closing == Closing::No && shards.iter().any(is_moving);
        let lets_go = storage.is_behind && !is_behind;
        if is_behind != storage.is_behind {
            storage.set_behind(is_behind);
        }
        storage.lets_go |= lets_go;
        let more = room < storage.kept_bytes && storage.kept_bytes <= aim;
        self.look_for_cold();
        more
    }

    /// Whether commands have to be asked for what they need.
    pub(super) fn look_for_cold(&mut self) {
        self.any_cold =
            !self.cold.is_idle() || self.shards.iter().any(|shard| !shard.extents().is_all_in_memory());
    }
}
