//! Faults that leave every checksum right: what a mix-up of files, a careless clean-up or a faulty program leaves
//! behind. None of them may go unnoticed: each forgery is one that a start must refuse.

use crate::io::{FileId, ManifestCopy};
use crate::log::batch::{self, BATCH_HEADER_BYTES, BatchKind};
use crate::log::manifest::{LogManifest, ManifestRead};
use crate::log::segment::SegmentHeader;
use crate::sim::damage::{batches, header};
use crate::sim::disk::Files;
use crate::sim::report::SimReport;
use crate::sim::rng::Rng;
use crate::store_manifest::{EraState, StoreManifest};
use crate::types::LogId;

/// Forges one thing. `None` when there is nothing to forge.
pub fn forge(files: &mut Files, seed: u32, rng: &mut Rng, report: &mut SimReport) -> Option<()> {
    let store = store_manifest(files)?;
    // A log that is being created may be missing: nothing in it was ever acknowledged.
    let eras = store.eras.iter().filter(|era| era.state != EraState::Opening);
    let logs: Vec<LogId> = eras.flat_map(|era| era.logs.iter().map(|entry| entry.log)).collect();
    if logs.is_empty() {
        return None;
    }
    let log = logs[rng.position(logs.len())];
    match rng.below(7) {
        0 => lose_store_manifest(files, report),
        1 => contradict_store_manifest(files, store, report),
        2 => lose_log_manifest(files, log, report),
        3 => contradict_log_manifest(files, log, report),
        4 => replace_log_manifest(files, log, report),
        _ => malform_record(files, log, seed, rng, report),
    }
}

/// Someone has cleaned up: both copies of the store manifest are gone, the logs are there.
fn lose_store_manifest(files: &mut Files, report: &mut SimReport) -> Option<()> {
    report.count("fault both store manifests missing");
    for copy in [ManifestCopy::A, ManifestCopy::B] {
        files.remove(&FileId::StoreManifest(copy));
    }
    Some(())
}

/// Both copies of a log's manifest are gone, its segments are there.
fn lose_log_manifest(files: &mut Files, log: LogId, report: &mut SimReport) -> Option<()> {
    report.count("fault both log manifests missing");
    for copy in [ManifestCopy::A, ManifestCopy::B] {
        files.remove(&FileId::LogManifest { log, copy });
    }
    Some(())
}

/// Copy B of the store manifest is that of a store which went another way from the same state on.
fn contradict_store_manifest(
    files: &mut Files,
    mut store: StoreManifest,
    report: &mut SimReport,
) -> Option<()> {
    report.count("fault contradicting store manifests");
    replace(files, FileId::StoreManifest(ManifestCopy::A), store.encode());
    store.created.0 += 1;
    replace(files, FileId::StoreManifest(ManifestCopy::B), store.encode());
    Some(())
}

/// Copy B of a log's manifest is that of a log which went another way from the same state on.
fn contradict_log_manifest(files: &mut Files, log: LogId, report: &mut SimReport) -> Option<()> {
    let mut manifest = log_manifest(files, log)?;
    report.count("fault contradicting log manifests");
    replace(files, FileId::LogManifest { log, copy: ManifestCopy::A }, manifest.encode());
    manifest.next_file += 1;
    replace(files, FileId::LogManifest { log, copy: ManifestCopy::B }, manifest.encode());
    Some(())
}

/// Both copies of a log's manifest are of another store.
fn replace_log_manifest(files: &mut Files, log: LogId, report: &mut SimReport) -> Option<()> {
    let mut manifest = log_manifest(files, log)?;
    report.count("fault log manifests of another store");
    manifest.uuid[0] ^= 1;
    for copy in [ManifestCopy::A, ManifestCopy::B] {
        replace(files, FileId::LogManifest { log, copy }, manifest.encode());
    }
    Some(())
}

/// A batch of a log is intact by its checksum and holds what no version of the program writes.
fn malform_record(
    files: &mut Files,
    log: LogId,
    seed: u32,
    rng: &mut Rng,
    report: &mut SimReport,
) -> Option<()> {
    let manifest = log_manifest(files, log)?;
    let mut heads: Vec<(FileId, SegmentHeader)> = Vec::new();
    for entry in &manifest.segments {
        let file = FileId::Segment { log, file: entry.file };
        // A standby has no header yet, or still that of its last use.
        match header(&files.get(&file)?.current) {
            Some(head) if head.generation == entry.generation => heads.push((file, head)),
            _ => {}
        }
    }
    let mut places = Vec::new();
    for (at, (file, head)) in heads.iter().enumerate() {
        let end = heads.get(at + 1).map(|(_, next)| next.first_batch);
        let replayed = batches(*file, &files.get(file)?.current, head, seed).into_iter();
        let replayed = replayed.take_while(|batch| end.is_none_or(|end| batch.header.number < end));
        places.extend(replayed.filter(|batch| batch.header.kind == BatchKind::Records));
    }
    if places.is_empty() {
        return None;
    }
    let mut place = places[rng.position(places.len())];
    let content = files.get_mut(&place.file)?;
    let bytes = content.current.get_mut(place.offset..)?;
    match rng.below(4) {
        0 => place.header.record_count += 1,
        1 if place.header.record_count > 1 => place.header.record_count -= 1,
        // A byte too short for its last record.
        1 | 2 => place.header.payload_len -= 1,
        _ => *bytes.get_mut(shard_field(bytes)?)? = 127,
    }
    report.count("fault malformed record in an intact batch");
    batch::finish(bytes, &place.header, seed);
    content.durable.clone_from(&content.current);
    Some(())
}

/// Where the first record of a batch says its shard, a number below 128 of one byte.
fn shard_field(batch: &[u8]) -> Option<usize> {
    let mut at = BATCH_HEADER_BYTES + 5;
    // Behind the lengths of key and value, of varied width.
    for _ in 0..2 {
        while batch.get(at)? & 0x80 != 0 {
            at += 1;
        }
        at += 1;
    }
    Some(at)
}

fn replace(files: &mut Files, name: FileId, bytes: Vec<u8>) {
    let file = files.entry(name).or_default();
    file.current = bytes;
    file.durable.clone_from(&file.current);
}

/// The store manifest that counts.
fn store_manifest(files: &Files) -> Option<StoreManifest> {
    let copies =
        [ManifestCopy::A, ManifestCopy::B].into_iter().filter_map(|copy| {
            match StoreManifest::decode(&files.get(&FileId::StoreManifest(copy))?.current) {
                ManifestRead::Valid(manifest) => Some(manifest),
                _ => None,
            }
        });
    copies.max_by_key(|manifest| manifest.sequence)
}

/// The manifest of a log that counts.
fn log_manifest(files: &Files, log: LogId) -> Option<LogManifest> {
    let copies =
        [ManifestCopy::A, ManifestCopy::B].into_iter().filter_map(|copy| {
            match LogManifest::decode(&files.get(&FileId::LogManifest { log, copy })?.current) {
                ManifestRead::Valid(manifest) => Some(manifest),
                _ => None,
            }
        });
    copies.max_by_key(|manifest| manifest.sequence)
}
