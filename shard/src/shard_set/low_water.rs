//! A full disk: what is refused, what goes on, and what heals it.
//!
//! The disk is *low* for a shard when its data file cannot grow by what its extents in memory are going to need, and
//! for the whole set when the log's next segment, or the reserve, is not to be had. Writes that grow are refused then;
//! reads and deletes go on. What frees space is a checkpoint: it makes places of emptied extents free, lets the log
//! drop segments, and a free end of a data file is cut off. So while the disk is low, every shard in which something
//! was emptied gets one, one after the other, and compaction empties what it can.

use super::ShardSet;
use super::storage::{Closing, Storage};
use crate::checkpoint::{LogState, Pressure, ShardFiles, SpaceFor};
use crate::io::{BlockPool, IoRequest};
use crate::limits::{SPACE_RETRY_MS, TAIL_CHUNKS_MAX};
use crate::log::{Log, LogSpace};
use crate::shard::Shard;
use crate::snapshot::chunk::CHUNK_BYTES;
use crate::types::{Slot, UnixMs};

/// Request ids of the reserve.
pub(super) const RESERVE_IDS: u64 = 4 << 56;

/// Bytes of a snapshot for each entry, tables and chunks included, and for all that there is only once.
const SNAPSHOT_ENTRY_BYTES: u64 = 14;
const SNAPSHOT_BYTES_MIN: u64 = 128 << 10;
/// Bytes of records that a checkpoint without a log may have on their way.
const TAIL_BYTES: u64 = (TAIL_CHUNKS_MAX * CHUNK_BYTES) as u64;

/// How storage stands with its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskSpace {
    /// Whether writes that grow are refused, at least those to some shards.
    pub is_low: bool,
    /// Bytes of the reserve, as far as it is held.
    pub reserve_bytes: u64,
    /// Checkpoints given up since the start, because the disk was full.
    pub checkpoints_given_up: u64,
}

impl<P: BlockPool> ShardSet<P> {
    /// How storage stands with its disk; `None` in memory-only storage.
    #[must_use]
    pub fn disk_space(&self) -> Option<DiskSpace> {
        let storage = self.storage.as_ref()?;
        Some(DiskSpace {
            is_low: storage.is_low || any_low(&storage.files, &self.shards),
            reserve_bytes: storage.reserve.held_bytes(),
            checkpoints_given_up: storage.files.iter().map(|files| files.figures().given_up).sum(),
        })
    }

    /// Whether there is disk space for a write to keys in these slots, of about so many bytes: of records, and of what the
    /// log is told. They differ where a part of a value is changed. Slots of other workers do not count.
    pub fn space_for(
        &mut self,
        slots: impl Iterator<Item = Slot>,
        record_bytes: usize,
        log_bytes: usize,
    ) -> SpaceFor {
        let Self { shards, storage, by_slot, log, .. } = self;
        let Some(storage) = storage else { return SpaceFor::Ready };
        if storage.is_low || log.as_ref().is_some_and(|log| log.space() != LogSpace::Ok) {
            return SpaceFor::None;
        }
        let mut space = SpaceFor::Ready;
        for slot in slots {
            let position = by_slot[usize::from(slot.0)];
            if position == u16::MAX {
                continue;
            }
            let position = usize::from(position);
            match storage.files[position].space_for(&shards[position], record_bytes) {
                SpaceFor::None => return SpaceFor::None,
                SpaceFor::Soon => space = SpaceFor::Soon,
                SpaceFor::Ready => {}
            }
        }
        match log {
            // Files for a large record are made when it has its places.
            Some(log) if space == SpaceFor::Ready => log.space_for(log_bytes),
            _ => space,
        }
    }

    /// Whether the log has room for what frees space, deletes; `Soon`: what is left of its last segment is kept for what is
    /// appended already, which the checkpoint that frees segments waits for, or the file for the next start is being made;
    /// `None`: the disk has no room even for that. Without a log, whether the checkpoint that runs takes more records.
    #[must_use]
    pub fn space_for_deletes(&self) -> SpaceFor {
        let Some(log) = &self.log else {
            return if self.is_tail_full() { SpaceFor::Soon } else { SpaceFor::Ready };
        };
        match log.space() {
            _ if log.lacks_start_file() => SpaceFor::None,
            LogSpace::Low { bytes_left } if bytes_left < log.kept_bytes() + log.queued_bytes() as u64 => {
                SpaceFor::Soon
            }
            _ if !log.has_start_file() => SpaceFor::Soon,
            LogSpace::Low { .. } | LogSpace::Ok => SpaceFor::Ready,
        }
    }

    /// Now and then: keeps the reserve, and while the disk is low does what frees space.
    pub(super) fn low_water_tick(&mut self, now: UnixMs) {
        let Self { shards, storage, log, .. } = self;
        let Some(storage) = storage else { return };
        storage.now = now;
        let gave_up = storage.given_up();
        let reserve = &mut storage.reserve;
        let log_low = log.as_ref().is_some_and(|log| log.space() != LogSpace::Ok);
        if gave_up > storage.gave_up {
            storage.rests_since = Some(now);
        }
        let has_checkpoint = storage.files.iter().any(ShardFiles::has_checkpoint);
        if log_low || gave_up > storage.gave_up {
            storage.gave_up = gave_up;
            reserve.lend();
        } else if log.as_ref().is_none_or(Log::has_start_file) && (!has_checkpoint || !reserve.is_lent()) {
            // What the next start needs comes before it. One that is lent comes back when the checkpoint that has it is done.
            reserve.take(reserve_bytes(shards, log.as_ref()), now);
        }
        storage.is_low = log_low || reserve.is_short();
        let is_low = storage.is_low || any_low(&storage.files, shards);
        if let Some(log) = log.as_mut() {
            log.keep_free_files(!is_low);
        }
        let is_held_back = storage.is_low || reserve.held_bytes() == 0;
        storage.was_held_back = is_held_back;
        let awaits_reserve = reserve.is_being_lent();
        let pressure = Pressure { is_held_back, is_short: storage.is_low, is_low, awaits_reserve };
        storage.files.iter_mut().for_each(|files| files.press(pressure, now));
        for shard in shards.iter_mut() {
            shard.compaction.set_pressed(is_low);
        }
        if is_low && !has_checkpoint && !storage.rests() && storage.closing == Closing::No {
            storage.force_checkpoint(shards, log.as_ref());
        }
    }

    pub(super) fn next_reserve_io(&mut self) -> Option<IoRequest<P>> {
        self.storage.as_mut()?.reserve.next_io()
    }
}

impl<P: BlockPool> Storage<P> {
    /// Checkpoints given up since the start.
    fn given_up(&self) -> u64 {
        self.files.iter().map(|files| files.figures().given_up).sum()
    }

    /// Whether a checkpoint was given up a short while ago: another one would hardly find room.
    pub(super) fn rests(&self) -> bool {
        let is_soon = |since: UnixMs| self.now.0.abs_diff(since.0) < SPACE_RETRY_MS;
        // One that was given up after the last tick is noted by the next.
        self.given_up() > self.gave_up || self.rests_since.is_some_and(is_soon)
    }

    /// Whether the reserve is not held.
    pub(super) fn lacks_reserve(&self) -> bool {
        self.was_held_back || self.reserve.held_bytes() == 0
    }

    /// One of the next shard in which something was emptied, or which holds up the log: in turn, so that one that cannot
    /// complete a checkpoint for want of space is not in the way of those that can.
    fn force_checkpoint(&mut self, shards: &[Shard<P>], log: Option<&Log<P>>) {
        let count = shards.len();
        let helps = |position: &usize| {
            let holds_up =
                log.is_some_and(|log| log.segments() > 1 && self.begun_at[*position] < log.appended());
            shards[*position].extents().emptied_bytes() > 0 || holds_up
        };
        let next = (0..count).map(|turn| (self.forced_next + turn) % count).find(helps);
        if let Some(position) = next {
            self.forced_next = (position + 1) % count;
            self.files[position].want_checkpoint();
        }
    }

    /// What the log has told, for a step of files.
    pub(super) fn log_state(log: Option<&Log<P>>) -> LogState {
        log.map_or(LogState::default(), |log| LogState {
            log: log.identity().log,
            appended: log.appended(),
            durable: log.durable(),
        })
    }
}

fn any_low<P: BlockPool>(files: &[ShardFiles<P>], shards: &[Shard<P>]) -> bool {
    files.iter().zip(shards).any(|(files, shard)| files.is_low(shard))
}

/// One whole snapshot, of the shard with the largest, and one log segment, or without a log what its tail may have on
/// its way. Rounded up so that it is not changed often.
fn reserve_bytes<P: BlockPool>(shards: &[Shard<P>], log: Option<&Log<P>>) -> u64 {
    let entries = shards.iter().map(Shard::entry_count).max().unwrap_or(0);
    let snapshot = (entries * SNAPSHOT_ENTRY_BYTES).max(SNAPSHOT_BYTES_MIN).next_power_of_two();
    snapshot + log.map_or(TAIL_BYTES, |log| log.config().segment_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extent::ExtentSeal;
    use crate::key::KeyHasher;
    use crate::shard_manifest::ShardManifest;
    use crate::shard_set::storage::first_request_id;
    use crate::shard_set::storage_config::StorageConfig;
    use crate::testing::HeapPool;
    use crate::testing::small_disk::SmallDisk;
    use crate::types::{Db, SLOT_COUNT, ShardId, Term};

    const SHARD: ShardId = ShardId(0);

    /// Turns until nothing is in flight. There are more of them than completions, as others have work too.
    fn settle(set: &mut ShardSet<HeapPool>, disk: &mut SmallDisk, now: UnixMs) {
        loop {
            while set.end_turn(now, 0) || set.end_turn(now, 0) {}
            std::iter::from_fn(|| set.next_io()).for_each(|request| disk.submit(request));
            let Some(done) = disk.complete_one() else { return };
            set.on_io(done).expect("a full disk is not the end");
        }
    }

    /// A set without a log, with one record and its reserve, on a disk that is full since.
    fn full(unsaved_ms_max: Option<u64>) -> (ShardSet<HeapPool>, SmallDisk) {
        let seal = ExtentSeal { store: 4711, shard: SHARD };
        let mut shard = Shard::new(SHARD, 0..SLOT_COUNT, Term(1), UnixMs(0));
        shard.keep_on_disk(seal, 5);
        let files = ShardFiles::new(ShardManifest::create([1; 16], SHARD), seal, first_request_id(0));
        let mut set = ShardSet::new(vec![shard], KeyHasher::new([7; 16]), HeapPool, None);
        set.keep_files(vec![files], StorageConfig { unsaved_ms_max, ..StorageConfig::default() });
        let key = set.key(b"key");
        set.put(Db(0), &key, b"value", None);
        let mut disk = SmallDisk::new(1 << 30);
        disk.lens.extend(ShardManifest::files(SHARD).map(|file| (file, 4096)));
        set.tick(UnixMs(0), crate::testing::later_ns(), 10);
        settle(&mut set, &mut disk, UnixMs(0));
        assert!(set.disk_space().is_some_and(|space| space.reserve_bytes > 0 && !space.is_low));
        disk.room = 0;
        (set, disk)
    }

    fn given_up(set: &ShardSet<HeapPool>) -> u64 {
        set.disk_space().map_or(0, |space| space.checkpoints_given_up)
    }

    #[test]
    fn the_last_snapshot_waits_for_the_reserve_that_is_lent_to_it() {
        let (mut set, mut disk) = full(None);
        set.begin_close();
        settle(&mut set, &mut disk, UnixMs(1));
        assert_eq!((given_up(&set), set.is_closed()), (1, true), "the first, before which nothing is lent");
    }

    #[test]
    fn a_snapshot_that_time_asks_for_waits_for_the_reserve_that_is_lent_to_it() {
        let (mut set, mut disk) = full(Some(1));
        for turn in 1..4 {
            let now = UnixMs(turn * (SPACE_RETRY_MS + 1));
            set.tick(now, crate::testing::later_ns(), 10);
            settle(&mut set, &mut disk, now);
        }
        assert_eq!((given_up(&set), set.changes_since_checkpoint()), (1, 0), "the first, as above");
    }
}
