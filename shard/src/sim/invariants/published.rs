//! Every location in the newest published snapshot holds an intact, durable record, and the log is durable up to the
//! last record that the snapshot may hold something of.
//!
//! Looked at the moment a checkpoint is published, on what a power cut at that moment would leave at the least.

use crate::io::{BLOCK_BYTES, IoBuffer, IoOperation, IoRequest, RequestId};
use crate::record::Record;
use crate::shard::Shard;
use crate::shard_copy::{CopyPlace, CopyStep};
use crate::shard_manifest::{PublishedSnapshot, ShardManifest};
use crate::shard_open::{OpenedShard, ShardOpen};
use crate::shard_set::ShardSet;
use crate::sim::disk::SimDisk;
use crate::sim::report::SimReport;
use crate::testing::HeapPool;
use crate::types::{ShardId, Term, UnixMs};

/// The snapshots whose publication has been looked at, by shard.
pub(in crate::sim) type Seen = std::collections::BTreeMap<ShardId, u32>;

/// Looks at what a worker has published since the last look.
pub(in crate::sim) fn check(
    worker: &ShardSet<HeapPool>,
    seen: &mut Seen,
    disk: &SimDisk,
    report: &mut SimReport,
) -> Result<(), String> {
    for files in worker.files() {
        let manifest = files.manifest();
        let Some(snapshot) = &manifest.snapshot else { continue };
        if seen.insert(manifest.shard, snapshot.number) == Some(snapshot.number) {
            continue;
        }
        // Where something is damaged already, the start that follows is judged.
        if !disk.truth.is_empty() {
            continue;
        }
        report.count("publications looked at");
        let durable = worker.log().map(|log| (log.identity().log, log.durable()));
        if durable.is_some_and(|(log, durable)| log == snapshot.log && durable < snapshot.end_batch) {
            return Err(format!("shard {} was published before its log was durable", manifest.shard));
        }
        let mut left = disk.after_power_loss();
        check_one(worker, manifest, snapshot, &mut left)
            .map_err(|broken| format!("published, shard {}: {broken}", manifest.shard))?;
    }
    Ok(())
}

fn check_one(
    worker: &ShardSet<HeapPool>,
    manifest: &ShardManifest,
    snapshot: &PublishedSnapshot,
    disk: &mut SimDisk,
) -> Result<(), String> {
    let Some(own) = worker.shards().iter().find(|shard| shard.id() == manifest.shard) else { return Ok(()) };
    let seal = own.extents().identity().ok_or("a published shard is on disk")?;
    let (first, count) = own.slots();
    let mut shard = Shard::new(own.id(), first.0..first.0 + count, Term(1), UnixMs(0));
    shard.keep_on_disk(seal, 0);
    let mut open = ShardOpen::new(manifest.uuid, seal, false, HeapPool);
    let mut report = SimReport::default();
    loop {
        let request = open.next_io().ok_or("opening it hangs")?;
        let done = disk.perform_at_once(request, &mut report);
        match open.on_io(done, &mut shard) {
            Ok(None) => {}
            Ok(Some(opened)) => break check_tail(opened, disk, &mut report)?,
            Err(error) => return Err(error.to_string()),
        }
    }
    let mut places = Vec::new();
    let mut place = CopyPlace::default();
    loop {
        match shard.copy_step(&snapshot.start, place) {
            CopyStep::Done => break,
            CopyStep::Empty(next) => place = next,
            CopyStep::Table(_, _, table, next) => {
                places.extend(table.iter().map(|entry| (entry.location(), entry.length_class())));
                place = next;
            }
        }
    }
    for (location, class) in places {
        let cold = shard.cold_record(location, class).ok_or("an entry without a record on disk")?;
        let file = crate::io::FileId::ShardData { shard: shard.id() };
        let buffer = vec![0; cold.len];
        let operation = IoOperation::Read { file, offset: cold.offset, buffer, len: cold.len };
        let done = disk.perform_at_once(IoRequest { id: RequestId(1), operation }, &mut report);
        let IoBuffer::Owned(bytes) = done.buffer else { return Err("a read without a buffer".into()) };
        assert!(cold.len.is_multiple_of(BLOCK_BYTES), "reads are whole blocks");
        let read = done.result.map_err(|error| format!("extent {}: {error}", location.extent.0))?;
        let at = format!("extent {} at offset {}", location.extent.0, location.offset);
        let record = bytes.get(cold.start..read).ok_or(format!("{at}: the file ends before"))?;
        let (record, _) = Record::decode(record, cold.mask).map_err(|error| format!("{at}: {error}"))?;
        if record.shard != shard.id() || record.lsn > snapshot.end {
            return Err(format!(
                "{at}: record {} of shard {}, end {}",
                record.lsn, record.shard, snapshot.end
            ));
        }
    }
    Ok(())
}

/// The records beside the copy are all there.
fn check_tail(
    opened: OpenedShard<HeapPool>,
    disk: &mut SimDisk,
    report: &mut SimReport,
) -> Result<(), String> {
    let Some(mut tail) = opened.tail else { return Ok(()) };
    let mut whole = Vec::new();
    while !tail.is_finished() {
        let request = tail.next_io().ok_or("reading its tail hangs")?;
        let done = disk.perform_at_once(request, report);
        tail.on_io(done, &mut whole).map_err(|error| error.to_string())?;
    }
    Ok(())
}
