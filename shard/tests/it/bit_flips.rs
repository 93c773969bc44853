//! Every byte of a small store, one flipped bit at a time: the same data, or a refusal, or the unprovable end cut.

use std::collections::BTreeMap;

use shard::log::LogConfig;
use shard::shard_set::{ScanCursor, ShardSet, StorageConfig};
use shard::sim::boot::{Boot, Up};
use shard::sim::damage::loss_is_excusable;
use shard::sim::disk::{Files, SimDisk};
use shard::sim::options::Rates;
use shard::sim::report::SimReport;
use shard::testing::HeapPool;
use shard::types::{Db, UnixMs};

const NOW: UnixMs = UnixMs(1_700_000_000_000);

fn boot(disk: &mut SimDisk) -> Option<Up> {
    let config = LogConfig {
        segment_bytes: 64 << 10,
        batch_bytes_max: 16 << 10,
        zero_bytes: 64 << 10,
        read_bytes: 64 << 10,
        ..LogConfig::default()
    };
    let mut report = SimReport::default();
    let boot = Boot {
        disk,
        report: &mut report,
        config,
        crash_after: None,
        worker_count: 1,
        shard_count: 2,
        now: NOW,
        storage: StorageConfig::default(),
        salt: 7,
    };
    boot.run().ok()
}

fn perform(disk: &mut SimDisk, set: &mut ShardSet<HeapPool>) {
    let mut report = SimReport::default();
    loop {
        while let Some(request) = set.next_io() {
            disk.submit(0, request);
        }
        let Some((_, done)) = disk.complete_one(&mut report) else { return };
        set.on_io(done).expect("a quiet disk does not fail");
        set.end_turn(NOW, 0);
    }
}

fn content(set: &mut ShardSet<HeapPool>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let (mut found, mut cursor) = (BTreeMap::new(), ScanCursor(0));
    loop {
        cursor = set.scan(Db(0), cursor, 1000, NOW, &mut |key, seen| {
            found.insert(key.to_vec(), seen.value.to_vec());
        });
        if cursor == ScanCursor(0) {
            return found;
        }
    }
}

/// A store with several batches in two segments, large records among them, and what is in it.
fn small_store() -> (Files, BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut disk = SimDisk::new(1, Rates::default());
    let mut set = boot(&mut disk).expect("a new store starts").workers.remove(0);
    for round in 0..6u8 {
        for at in 0..4u8 {
            let name = [b'k', at + round];
            let key = set.key(&name);
            let len = if at == 3 { 20_000 } else { 50 };
            set.put(Db(0), &key, &vec![round + 1; len], None);
        }
        set.end_turn(NOW, u64::from(round));
        perform(&mut disk, &mut set);
        if round == 2 {
            set.log_mut().expect("there is a log").rotate();
            perform(&mut disk, &mut set);
        }
    }
    set.log_mut().expect("there is a log").tick(1_000_000_000);
    perform(&mut disk, &mut set);
    let content = content(&mut set);
    (disk.files, content)
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let (files, expected) = small_store();
    let mut refused = 0;
    for (name, file) in &files {
        // Rot in the middle of large values all looks the same: every byte of heads and edges, and a sample of those.
        let used = (0..file.current.len()).filter(|&at| file.current[at] != 0);
        let flips = used.filter(|at| at % 4096 < 160 || at % 61 == 0);
        for at in flips {
            let mut damaged = files.clone();
            let target = damaged.get_mut(name).expect("it was there");
            target.current[at] ^= 1 << (at % 8);
            target.durable.clone_from(&target.current);
            let excusable = loss_is_excusable(&files, &damaged, Boot::checksum_seed());
            let mut disk = SimDisk::new(1, Rates::default());
            disk.files = damaged;
            match boot(&mut disk) {
                Some(mut up) if !excusable => {
                    assert_eq!(content(&mut up.workers[0]), expected, "{name} at {at}");
                }
                Some(_) => {}
                None => refused += 1,
            }
        }
    }
    assert!(refused > 500, "batches and headers are not redundant: {refused}");
}
