//! The worker's log on a disk that is memory: what a write pays for its record's way into a batch and out again.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use shard::io::{FileId, IoBuffer, IoDone, IoError, IoOperation, IoRequest};
use shard::log::recovery::{LogRecovery, RecoveryStart};
use shard::log::{Log, LogConfig};
use shard::record::{Effect, Record};
use shard::store_manifest::StoreManifest;
use shard::testing::HeapPool;
use shard::types::{KeyspaceId, Lsn, ShardId, Term, UnixMs};

use crate::data::{VALUE, key};

/// Records of one turn.
const BATCH: u64 = 64;
/// The headers of a segment.
const SEGMENT_BYTES_KEPT: usize = 8192;
const ENOENT: i32 = 2;

/// Files in memory; what is done is durable. Of a segment only the start is kept: nobody reads its batches here.
#[derive(Default)]
struct MemoryDisk {
    files: HashMap<FileId, Vec<u8>>,
}

impl MemoryDisk {
    fn perform(&mut self, request: IoRequest<HeapPool>) -> IoDone<HeapPool> {
        let missing = || IoError::from_errno(ENOENT);
        let (result, buffer) = match request.operation {
            IoOperation::CreateFile { file, .. } => {
                self.files.insert(file, Vec::new());
                (Ok(0), IoBuffer::None)
            }
            IoOperation::Write { file, offset, buffer, range, .. } => {
                let bytes = &buffer.as_ref()[range];
                let result = self.files.get_mut(&file).ok_or_else(missing).map(|content| {
                    let offset = usize::try_from(offset).unwrap();
                    if matches!(file, FileId::Segment { .. }) && offset >= SEGMENT_BYTES_KEPT {
                        return bytes.len();
                    }
                    content.resize(content.len().max(offset + bytes.len()), 0);
                    content[offset..offset + bytes.len()].copy_from_slice(bytes);
                    bytes.len()
                });
                (result, IoBuffer::Frozen(buffer))
            }
            IoOperation::Read { file, offset, mut buffer, len } => {
                let result = self.files.get(&file).ok_or_else(missing).map(|content| {
                    let content = &content[usize::try_from(offset).unwrap().min(content.len())..];
                    let count = len.min(content.len());
                    buffer[..count].copy_from_slice(&content[..count]);
                    count
                });
                (result, IoBuffer::Owned(buffer))
            }
            IoOperation::DeleteFile { file } => {
                (self.files.remove(&file).map(|_| 0).ok_or_else(missing), IoBuffer::None)
            }
            IoOperation::SyncFile { .. }
            | IoOperation::SyncDirectory
            | IoOperation::FreeSpace { .. }
            | IoOperation::Allocate { .. }
            | IoOperation::Truncate { .. } => (Ok(0), IoBuffer::None),
        };
        IoDone { id: request.id, result, buffer }
    }
}

/// A new log, its first segment ready.
fn new_log(disk: &mut MemoryDisk) -> Log<HeapPool> {
    let store = StoreManifest::create([1; 16], [2; 16], UnixMs(1), 16, 1);
    let id = store.current_era().logs[0].log;
    let config = LogConfig { segment_bytes: 4 << 20, ..LogConfig::default() };
    let start = RecoveryStart::of(&store, id, Term(1)).unwrap();
    let mut recovery = LogRecovery::new(start, config, Vec::new(), HeapPool);
    while !recovery.is_finished() {
        while recovery.next_event().is_some() {}
        match recovery.next_io() {
            Some(request) => recovery.on_io(disk.perform(request)),
            None => assert!(recovery.is_finished(), "recovery waits for nothing"),
        }
    }
    recovery.finish().unwrap().log.unwrap()
}

fn drain(log: &mut Log<HeapPool>, disk: &mut MemoryDisk) {
    while let Some(request) = log.next_io() {
        log.on_io(disk.perform(request)).unwrap();
    }
}

pub(crate) fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    let mut encoded = Vec::new();
    let record = Record {
        shard: ShardId(7),
        term: Term(1),
        lsn: Lsn(1_000_000),
        keyspace: KeyspaceId(0),
        group_continues: false,
        key: &key(77),
        effect: Effect::Put { value: &VALUE, deadline: None },
    };
    record.encode_to(&mut encoded);
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("append and make durable 64 records", |bencher| {
        let mut disk = MemoryDisk::default();
        let mut log = new_log(&mut disk);
        let mut now_ns = 0;
        bencher.iter(|| {
            for _ in 0..BATCH {
                log.append(black_box(&encoded));
            }
            now_ns += 1000;
            log.close_batch(now_ns);
            drain(&mut log, &mut disk);
            assert_eq!(log.durable(), log.appended());
        });
    });
    group.finish();
}
