//! What is bounded however much is asked for: what leaves memory in a turn, what is read from disk at once.

use super::storage::first_request_id;
use super::*;
use crate::checkpoint::ShardFiles;
use crate::cold::Admission;
use crate::extent::ExtentSeal;
use crate::io::IoOperation;
use crate::limits::{COLD_READ_BYTES_IN_FLIGHT_MAX, EXTENT_BYTES, SCAN_BYTES_PER_CALL};
use crate::shard_manifest::ShardManifest;
use crate::testing::HeapPool;
use crate::testing::small_disk::SmallDisk;
use crate::types::{Db, ShardId, Term, UnixMs};

const SHARD: ShardId = ShardId(0);
const VALUE_BYTES: usize = 10 << 20;
const VALUES: u8 = 20;

fn names() -> impl Iterator<Item = [u8; 1]> {
    (0..VALUES).map(|number| [number])
}

/// A set without a log whose values are on disk and in memory.
fn written() -> ShardSet<HeapPool> {
    let seal = ExtentSeal { store: 4711, shard: SHARD };
    let mut shard = Shard::new(SHARD, 0..SLOT_COUNT, Term(1), UnixMs(0));
    shard.keep_on_disk(seal, 5);
    let files = ShardFiles::new(ShardManifest::create([1; 16], SHARD), seal, first_request_id(0));
    let mut set = ShardSet::new(vec![shard], KeyHasher::new([7; 16]), HeapPool, None);
    let config = StorageConfig { memory_bytes_max: None, ..StorageConfig::default() };
    set.keep_files(vec![files], config);
    for name in names() {
        let key = set.key(&name);
        set.put(Db(0), &key, &vec![7; VALUE_BYTES], None);
    }
    let mut disk = SmallDisk::new(1 << 30);
    disk.lens.extend(ShardManifest::files(SHARD).map(|file| (file, 4096)));
    set.tick(UnixMs(0), crate::testing::later_ns(), 10);
    set.checkpoint();
    loop {
        while set.end_turn(UnixMs(0), 0) || set.end_turn(UnixMs(0), 0) {}
        std::iter::from_fn(|| set.next_io()).for_each(|request| disk.submit(request));
        let Some(done) = disk.complete_one() else { break };
        set.on_io(done).expect("a disk with space");
    }
    assert!(set.is_checkpointed());
    set
}

fn record_bytes(set: &ShardSet<HeapPool>) -> usize {
    set.shards()[0].extents().allocated_bytes().try_into().expect("less than memory has")
}

#[test]
fn a_lower_memory_bound_takes_several_turns_and_scans_and_reads_of_large_records_go_few_at_a_time() {
    let mut set = written();
    let (mut before, mut turns) = (record_bytes(&set), 0);
    assert!(before > usize::from(VALUES) * VALUE_BYTES);
    set.set_memory_bound(30 << 20);
    while set.end_turn(UnixMs(0), 0) {
        let now = record_bytes(&set);
        assert!(before - now <= (32 << 20) + VALUE_BYTES + EXTENT_BYTES, "{before} to {now} in one turn");
        (before, turns) = (now, turns + 1);
    }
    assert!(turns >= 5 && record_bytes(&set) <= 30 << 20, "{turns} turns, {} bytes", record_bytes(&set));
    set.set_memory_bound(0);

    let needs: Vec<_> = names()
        .map(|name| {
            let key = set.key(&name);
            set.need(Db(0), key.slot, key.hash)
        })
        .collect();
    assert_eq!(set.admit(1, needs.iter().copied()), Admission::Parked);
    let reads = std::iter::from_fn(|| set.next_io()).map(|request| match request.operation {
        IoOperation::Read { len, .. } => len,
        _ => 0,
    });
    let bytes: usize = reads.sum();
    let room = COLD_READ_BYTES_IN_FLIGHT_MAX - VALUE_BYTES * 5 / 4;
    assert!((room..=COLD_READ_BYTES_IN_FLIGHT_MAX).contains(&bytes), "{bytes}");
    for slot in (0..SLOT_COUNT).step_by(500) {
        let needs = set.scan_needs(Db(0), ScanCursor::at_slot(slot), 1000);
        assert!(needs.len() <= 1, "each is larger than {SCAN_BYTES_PER_CALL} bytes");
    }
}

#[test]
fn writes_that_are_held_back_at_the_memory_bound_go_on_when_there_is_none_any_more() {
    let mut set = written();
    set.set_memory_bound(30 << 20);
    while set.end_turn(UnixMs(0), 0) {}
    for name in names() {
        let name = [b'n', name[0]];
        let key = set.key(&name);
        set.put(Db(0), &key, &vec![8; VALUE_BYTES], None);
    }
    set.end_turn(UnixMs(0), 0);
    assert!(set.holds_writes());
    set.set_memory_bound(0);
    assert!(!set.holds_writes());
    set.end_turn(UnixMs(0), 0);
    assert!(!set.holds_writes());
}
