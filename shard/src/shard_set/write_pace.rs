//! How fast extents and snapshots go to disk: a little between any two flushes of the log.
//!
//! A flush of the drive takes all that was written since the one before. Where several shards seal extents and write
//! snapshots at once, a flush that clients wait for would take milliseconds for megabytes that nobody waits for. So such
//! writes fly one at a time, and after each the log's batch in flight lands before the next is started. Where more wait,
//! more fly, and the more where clients wait for the memory of what is written, so that they keep up with any load; where
//! the log has nothing in flight nothing waits for it. At the end of the process nobody is left to be held up.

use crate::io::RequestId;
use crate::types::BatchNumber;

/// Which writes of a worker's data files and snapshots fly, and when the next may.
#[derive(Debug, Default)]
pub(super) struct WritePace {
    flying: Vec<RequestId>,
    /// The last batch of the log that had been submitted when a write completed.
    behind: BatchNumber,
    /// The shard whose write is next, if it has one.
    next: usize,
}

impl WritePace {
    /// Whether one of so many writes may start, one for each `per_flight` that wait. `landed`: batches of the log up to this
    /// one are waited for no more; `None`: no log.
    pub(super) fn may_start(&self, waiting: usize, per_flight: usize, landed: Option<BatchNumber>) -> bool {
        let most = waiting.div_ceil(per_flight);
        self.flying.len() < most && landed.is_none_or(|landed| landed >= self.behind)
    }

    /// The order in which so many shards are asked for the next write.
    pub(super) fn turns(&self, shards: usize) -> impl Iterator<Item = usize> + use<> {
        let next = self.next;
        (0..shards).map(move |turn| (next + turn) % shards)
    }

    /// The write of a shard starts.
    pub(super) fn note_start(&mut self, id: RequestId, shard: usize) {
        self.flying.push(id);
        self.next = shard + 1;
    }

    /// A request of a data file or a snapshot has completed. `submitted`: the last batch that the log has submitted.
    pub(super) fn note_end(&mut self, id: RequestId, submitted: Option<BatchNumber>) {
        if let Some(at) = self.flying.iter().position(|&flying| flying == id) {
            self.flying.swap_remove(at);
            self.behind = submitted.unwrap_or(BatchNumber::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::ShardFiles;
    use crate::extent::ExtentSeal;
    use crate::io::{FileId, IoOperation, IoRequest};
    use crate::key::KeyHasher;
    use crate::shard::Shard;
    use crate::shard_manifest::ShardManifest;
    use crate::shard_set::ShardSet;
    use crate::shard_set::storage::first_request_id;
    use crate::shard_set::storage_config::StorageConfig;
    use crate::testing::small_disk::SmallDisk;
    use crate::testing::{HeapPool, later_ns};
    use crate::types::{Db, SLOT_COUNT, ShardId, Term, UnixMs};

    #[test]
    fn one_write_flies_and_the_next_waits_for_the_flush_that_it_would_hold_up() {
        let mut pace = WritePace::default();
        assert!(!pace.may_start(0, 16, None) && pace.may_start(1, 16, None));
        pace.note_start(RequestId(1), 3);
        assert!(!pace.may_start(1, 16, Some(BatchNumber(7))), "one at a time");
        assert_eq!(pace.turns(5).collect::<Vec<_>>(), [4, 0, 1, 2, 3]);
        pace.note_end(RequestId(9), Some(BatchNumber(8)));
        assert!(!pace.may_start(1, 16, Some(BatchNumber(9))), "what was not paced ends nothing");
        pace.note_end(RequestId(1), Some(BatchNumber(8)));
        assert!(!pace.may_start(1, 16, Some(BatchNumber(7))), "the batch in flight lands first");
        assert!(pace.may_start(1, 16, Some(BatchNumber(8))));
    }

    #[test]
    fn where_more_wait_more_fly() {
        let mut pace = WritePace::default();
        pace.note_start(RequestId(1), 0);
        for few in [16, 4, 1] {
            assert!(!pace.may_start(few, few, None) && pace.may_start(few + 1, few, None), "{few}");
        }
        pace.note_start(RequestId(2), 1);
        assert!(!pace.may_start(8, 4, None) && pace.may_start(9, 4, None));
    }

    /// The most writes to data files and snapshots that fly at once while `set` does what it was told to.
    fn most_flying(set: &mut ShardSet<HeapPool>, disk: &mut SmallDisk) -> usize {
        let is_of_shard = |file| matches!(file, FileId::ShardSnapshot { .. } | FileId::ShardData { .. });
        let is_paced = |request: &IoRequest<HeapPool>| matches!(request.operation, IoOperation::Write { file, .. } if is_of_shard(file));
        let (mut flying, mut most) = (Vec::new(), 0);
        loop {
            while set.end_turn(UnixMs(0), 0) || set.end_turn(UnixMs(0), 0) {}
            for request in std::iter::from_fn(|| set.next_io()) {
                if is_paced(&request) {
                    flying.push(request.id);
                }
                disk.submit(request);
            }
            most = most.max(flying.len());
            let Some(done) = disk.complete_one() else { return most };
            flying.retain(|&id| id != done.id);
            set.on_io(done).expect("a disk with space");
        }
    }

    #[test]
    fn checkpoints_of_many_shards_write_few_at_a_time_but_at_the_end_together() {
        const SHARDS: u16 = 8;
        let mut disk = SmallDisk::new(1 << 30);
        let (mut shards, mut files) = (Vec::new(), Vec::new());
        for number in 0..SHARDS {
            let (id, slots) = (ShardId(number), SLOT_COUNT / SHARDS);
            let seal = ExtentSeal { store: 4711, shard: id };
            let mut shard = Shard::new(id, number * slots..(number + 1) * slots, Term(1), UnixMs(0));
            shard.keep_on_disk(seal, 5);
            let manifest = ShardManifest::create([1; 16], id);
            files.push(ShardFiles::new(manifest, seal, first_request_id(number.into())));
            shards.push(shard);
            disk.lens.extend(ShardManifest::files(id).map(|file| (file, 4096)));
        }
        let mut set = ShardSet::new(shards, KeyHasher::new([7; 16]), HeapPool, None);
        set.keep_files(files, StorageConfig::default());
        set.tick(UnixMs(0), later_ns(), 10);
        for at_end in [false, true] {
            for number in 0..2_000_u32 {
                let name = number.to_le_bytes();
                let key = set.key(&name);
                set.put(Db(0), &key, &[7; 1000], None);
            }
            if at_end {
                set.begin_close()
            } else {
                set.checkpoint()
            }
            let most = most_flying(&mut set, &mut disk);
            assert!(if at_end { most > 5 } else { most < 4 }, "{most}, at the end: {at_end}");
            assert!(set.is_checkpointed() && set.is_closed() == at_end);
        }
    }
}
