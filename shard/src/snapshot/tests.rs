//! Writer and reader together, over a file of which every request can fail, come back short or bring other bytes.

use super::{
    SnapshotError, SnapshotEvent, SnapshotIdentity, SnapshotReader, SnapshotWriter, TailCounts, TailError,
    TailReader,
};
use crate::extent::ExtentOnDisk;
use crate::index::{Entry, ExtentNumber, Location};
use crate::io::{Fatal, FileId, IoBuffer, IoDone, IoError, IoOperation, IoRequest};
use crate::limits::TAIL_CHUNKS_MAX;
use crate::log::pending_write::RequestIds;
use crate::record::{Effect, Record};
use crate::shard::{FloorKind, ShardFloor};
use crate::shard_manifest::PublishedSnapshot;
use crate::testing::HeapPool;
use crate::types::{BatchNumber, KeyspaceId, LogId, Lsn, ShardId, Slot, Term};

const IDENTITY: SnapshotIdentity = SnapshotIdentity { store: 5, shard: ShardId(2), number: 9 };
const FILE: FileId = FileId::ShardSnapshot { shard: ShardId(2), number: 9 };
const EIO: i32 = 5;
const ENOENT: i32 = 2;
/// Entries: enough for two chunks of 256 KiB.
const ENTRIES: u32 = 25_000;
const EXTENTS: u32 = 3;

/// What a request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Whole,
    /// So many bytes of it.
    Short(usize),
    Fails(i32),
}

/// The file, and what was asked for.
#[derive(Default)]
struct Disk {
    bytes: Vec<u8>,
    is_synced: bool,
    is_named: bool,
    asked: Vec<&'static str>,
}

impl Disk {
    fn perform(&mut self, request: IoRequest<HeapPool>, outcome: Outcome) -> IoDone<HeapPool> {
        let id = request.id;
        let failed = match outcome {
            Outcome::Fails(code) => Some(IoError::from_errno(code)),
            _ => None,
        };
        let limit = |len: usize| match outcome {
            Outcome::Short(short) => len.min(short),
            _ => len,
        };
        let (asked, moved, buffer) = match request.operation {
            IoOperation::CreateFile { .. } => ("create", 0, IoBuffer::None),
            IoOperation::SyncFile { .. } => {
                self.is_synced |= failed.is_none();
                ("sync", 0, IoBuffer::None)
            }
            IoOperation::SyncDirectory => {
                self.is_named |= failed.is_none();
                ("sync directory", 0, IoBuffer::None)
            }
            IoOperation::Write { offset, buffer, range, durable, .. } => {
                assert!(!durable, "one sync covers them all");
                self.is_synced = false;
                let bytes = &buffer.as_ref()[range];
                let len = if failed.is_some() { 0 } else { limit(bytes.len()) };
                let start = usize::try_from(offset).unwrap();
                self.bytes.resize(self.bytes.len().max(start + len), 0);
                self.bytes[start..start + len].copy_from_slice(&bytes[..len]);
                ("write", len, IoBuffer::Frozen(buffer))
            }
            IoOperation::Read { offset, mut buffer, len, .. } => {
                let rest = &self.bytes[usize::try_from(offset).unwrap().min(self.bytes.len())..];
                let len = limit(len.min(rest.len()));
                buffer[..len].copy_from_slice(&rest[..len]);
                ("read", len, IoBuffer::Owned(buffer))
            }
            IoOperation::DeleteFile { .. }
            | IoOperation::FreeSpace { .. }
            | IoOperation::Allocate { .. }
            | IoOperation::Truncate { .. } => {
                unreachable!("a snapshot is not removed by who writes or reads it")
            }
        };
        self.asked.push(asked);
        IoDone { id, result: failed.map_or(Ok(moved), Err), buffer }
    }
}

fn entry(number: u32) -> Entry {
    Entry::new(number, Location { extent: ExtentNumber(number % EXTENTS), offset: number }, 100)
}

fn extent(number: u32) -> ExtentOnDisk {
    let place = number;
    ExtentOnDisk {
        number: ExtentNumber(number),
        place,
        place_count: 1,
        used_bytes: 1000,
        salt: 7,
        deadlines: None,
    }
}

/// Writes a snapshot; `outcome` is told how many requests came before. `None`: nothing more is asked for, and it is not
/// finished.
fn write(outcome: impl Fn(usize) -> Outcome) -> Result<(Disk, Option<PublishedSnapshot>), Fatal> {
    let (mut disk, mut pool, mut ids) = (Disk::default(), HeapPool, RequestIds::new());
    let mut writer = SnapshotWriter::new(IDENTITY);
    let entries = (0..ENTRIES).map(entry);
    writer.push_table(KeyspaceId(1), Slot(3), ENTRIES as usize, entries, &mut pool, &mut ids);
    for number in 0..EXTENTS {
        writer.push_extent(&extent(number), &mut pool, &mut ids);
    }
    writer.finish(&mut pool, &mut ids);
    let mut next = None;
    while let Some(request) = next.take().or_else(|| writer.next_io(&mut ids)) {
        assert!(!writer.is_finished() && writer.owns(request.id), "it asks under ids of its own");
        let outcome = outcome(disk.asked.len());
        let done = disk.perform(request, outcome);
        next = writer.on_io(done, &mut pool, &mut ids)?;
    }
    let published = writer.is_finished().then(|| published_by(&writer));
    Ok((disk, published))
}

fn published_by(writer: &SnapshotWriter<HeapPool>) -> PublishedSnapshot {
    let (bytes, crc) = writer.summary();
    let keyspaces = vec![KeyspaceId(1)];
    let (shard, lsn, term) = (ShardId(2), Lsn(1), Term(1));
    let start = ShardFloor { kind: FloorKind::Snapshot, shard, lsn, term, next_keyspace: 2, keyspaces };
    let (log, end_batch) = (LogId(1), BatchNumber(1));
    PublishedSnapshot { number: 9, bytes, crc, place_count: 3, start, end: Lsn(1), log, end_batch }
}

/// Reads a snapshot; the number of entries and extents in it.
fn read(
    disk: &mut Disk,
    published: &PublishedSnapshot,
    outcome: impl Fn(usize) -> Outcome,
) -> Result<(u32, u32), SnapshotError> {
    let mut reader = SnapshotReader::new(IDENTITY, published, HeapPool);
    let (mut entries_seen, mut extents_seen, mut requests) = (0, 0, 0);
    while let Some(request) = reader.next_io() {
        let done = disk.perform(request, outcome(requests));
        requests += 1;
        reader.on_io(done, &mut |event| {
            match event {
                SnapshotEvent::Entries { entries, .. } => {
                    for found in entries {
                        assert_eq!(found, entry(entries_seen), "only what was written is handed out");
                        entries_seen += 1;
                    }
                }
                SnapshotEvent::Records(_) => panic!("there are no records"),
                SnapshotEvent::Extent(found) => {
                    assert_eq!(found, extent(extents_seen), "only what was written is handed out");
                    extents_seen += 1;
                }
            }
            Ok::<(), SnapshotError>(())
        })?;
    }
    assert!(reader.is_finished(), "a reader that wants nothing more is finished");
    Ok((entries_seen, extents_seen))
}

fn written() -> (Disk, PublishedSnapshot) {
    let (disk, published) = write(|_| Outcome::Whole).unwrap();
    assert!(disk.is_synced && disk.is_named, "what is published survives power loss");
    (disk, published.expect("nothing failed"))
}

#[test]
fn what_is_written_is_read() {
    let (mut disk, published) = written();
    assert_eq!(disk.asked, ["create", "write", "write", "write", "write", "sync", "sync directory"]);
    disk.asked.clear();
    assert_eq!(read(&mut disk, &published, |_| Outcome::Whole), Ok((ENTRIES, EXTENTS)));
    assert_eq!(disk.asked, ["sync", "read"], "what was never synced is not decided on");
}

#[test]
fn a_writer_ends_at_the_first_request_that_fails() {
    let requests = written().0.asked.len();
    for failing in 0..requests {
        let outcome = |at| if at == failing { Outcome::Fails(EIO) } else { Outcome::Whole };
        let error = write(outcome).map(|_| ()).expect_err("it is told of the error");
        assert_eq!(error.error.code, EIO, "request {failing}");
    }
    assert!(write(|_| Outcome::Whole).is_ok());
}

#[test]
fn short_writes_are_continued_from_the_last_whole_block() {
    for short in [4096, 5000, 8192 + 512] {
        let (mut disk, published) = write(|_| Outcome::Short(short)).unwrap();
        assert!(disk.is_synced && disk.is_named);
        assert_eq!(
            read(&mut disk, &published.unwrap(), |_| Outcome::Whole),
            Ok((ENTRIES, EXTENTS)),
            "{short}"
        );
    }
    assert!(write(|_| Outcome::Short(4095)).is_err(), "no progress is an error");
}

#[test]
fn short_reads_are_continued() {
    let (mut disk, published) = written();
    for short in [4096, 5000, 100_000] {
        assert_eq!(read(&mut disk, &published, |_| Outcome::Short(short)), Ok((ENTRIES, EXTENTS)), "{short}");
    }
}

#[test]
fn a_reader_refuses_at_the_first_request_that_fails() {
    let (mut disk, published) = written();
    let requests = |disk: &mut Disk| {
        disk.asked.clear();
        read(disk, &published, |_| Outcome::Short(4096)).unwrap();
        disk.asked.len()
    };
    let count = requests(&mut disk);
    for failing in 0..count {
        let outcome = |at| if at == failing { Outcome::Fails(EIO) } else { Outcome::Short(4096) };
        let result = read(&mut disk, &published, outcome);
        assert!(matches!(result, Err(SnapshotError::Io { file: FILE, .. })), "request {failing}: {result:?}");
    }
    let missing = read(&mut disk, &published, |_| Outcome::Fails(ENOENT));
    assert_eq!(missing, Err(SnapshotError::Missing(FILE)));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let (disk, published) = written();
    for len in (0..disk.bytes.len()).step_by(1024) {
        let mut cut = Disk { bytes: disk.bytes[..len].to_vec(), ..Disk::default() };
        let result = read(&mut cut, &published, |_| Outcome::Whole);
        assert!(matches!(result, Err(SnapshotError::Short { .. })), "{len} bytes: {result:?}");
    }
}

#[test]
fn no_flipped_bit_is_read_over() {
    let (disk, published) = written();
    let interesting = (0..disk.bytes.len()).filter(|at| at % 4096 < 64 || at % 997 == 0);
    for at in interesting {
        let mut rotten = Disk { bytes: disk.bytes.clone(), ..Disk::default() };
        rotten.bytes[at] ^= 1 << (at % 8);
        let result = read(&mut rotten, &published, |_| Outcome::Whole);
        assert!(matches!(result, Err(SnapshotError::Damaged { file: FILE, .. })), "byte {at}: {result:?}");
    }
}

#[test]
fn a_whole_snapshot_that_is_not_the_one_named_is_refused() {
    let (mut disk, published) = written();
    let other = PublishedSnapshot { crc: published.crc ^ 1, ..published.clone() };
    let result = read(&mut disk, &other, |_| Outcome::Whole);
    assert!(matches!(result, Err(SnapshotError::Damaged { .. })), "{result:?}");
    // One that goes on behind its footer, and one whose manifest says that it ends before.
    let longer = PublishedSnapshot { bytes: published.bytes + 4096, ..published.clone() };
    assert!(matches!(read(&mut disk, &longer, |_| Outcome::Whole), Err(SnapshotError::Damaged { .. })));
    let shorter = PublishedSnapshot { bytes: published.bytes - 4096, ..published };
    assert!(matches!(read(&mut disk, &shorter, |_| Outcome::Whole), Err(SnapshotError::Damaged { .. })));
}

// ---- with a tail --------------------------------------------------------------------------------------------------

/// First LSN of the tail.
const FIRST: u64 = 5;

/// A record with a value of so many bytes.
fn record(lsn: u64, value_bytes: usize) -> Vec<u8> {
    let value = vec![u8::try_from(lsn % 251).unwrap(); value_bytes];
    let effect = Effect::Put { value: &value, deadline: None };
    let (shard, term, keyspace) = (ShardId(2), Term(1), KeyspaceId(0));
    let mut bytes = Vec::new();
    Record { shard, term, lsn: Lsn(lsn), keyspace, group_continues: false, key: b"key", effect }
        .encode_to(&mut bytes);
    bytes
}

/// Values of the tail: small ones, some that fill a chunk, one that goes over several.
const VALUES: [usize; 7] = [10, 300_000, 0, 262_000, 1_000_000, 5, 70_000];

/// Writes a snapshot whose tables and records come in turns. What its tail holds.
fn write_with_tail() -> (Disk, PublishedSnapshot, Vec<u8>) {
    let (mut disk, mut pool, mut ids) = (Disk::default(), HeapPool, RequestIds::new());
    let (mut writer, mut tail, mut next) = (SnapshotWriter::new(IDENTITY), Vec::new(), 0);
    for (lsn, value_bytes) in (FIRST..).zip(VALUES) {
        let record = record(lsn, value_bytes);
        writer.push_record(&record, &mut pool, &mut ids);
        tail.extend(record);
        let count = ENTRIES / u32::try_from(VALUES.len()).unwrap();
        let entries = (next..next + count).map(entry);
        writer.push_table(KeyspaceId(1), Slot(3), count as usize, entries, &mut pool, &mut ids);
        next += count;
    }
    writer.end_tail(Lsn(FIRST + VALUES.len() as u64 - 1), &mut pool, &mut ids);
    for number in 0..EXTENTS {
        writer.push_extent(&extent(number), &mut pool, &mut ids);
    }
    writer.finish(&mut pool, &mut ids);
    while let Some(request) = writer.next_io(&mut ids) {
        let done = disk.perform(request, Outcome::Whole);
        assert!(writer.on_io(done, &mut pool, &mut ids).unwrap().is_none_or(|request| {
            let done = disk.perform(request, Outcome::Whole);
            writer.on_io(done, &mut pool, &mut ids).unwrap().is_none()
        }));
    }
    assert!(writer.is_finished() && disk.is_synced && disk.is_named);
    let published = published_by(&writer);
    (disk, published, tail)
}

/// Reads index and extents, then the tail: entries, and the bytes of the records.
fn read_with_tail(
    disk: &mut Disk,
    published: &PublishedSnapshot,
    outcome: impl Fn(usize) -> Outcome,
) -> Result<(u32, Vec<u8>), TailError> {
    let mut reader = SnapshotReader::new(IDENTITY, published, HeapPool);
    let (mut entries_seen, mut requests) = (0, 0);
    while let Some(request) = reader.next_io() {
        let done = disk.perform(request, outcome(requests));
        requests += 1;
        reader.on_io(done, &mut |event| {
            if let SnapshotEvent::Entries { entries, .. } = event {
                for found in entries {
                    assert_eq!(found, entry(entries_seen), "only what was written is handed out");
                    entries_seen += 1;
                }
            }
            Ok::<(), SnapshotError>(())
        })?;
    }
    let mut whole = Vec::new();
    let mut tail = TailReader::new(reader).expect("it has a tail");
    while let Some(request) = tail.next_io() {
        let done = disk.perform(request, outcome(requests));
        requests += 1;
        tail.on_io(done, &mut whole)?;
    }
    assert!(tail.is_finished(), "a reader that wants nothing more is finished");
    Ok((entries_seen, whole))
}

#[test]
fn a_tail_is_read_as_it_was_written_between_the_tables() {
    let (mut disk, published, tail) = write_with_tail();
    for outcome in [Outcome::Whole, Outcome::Short(4096), Outcome::Short(100_000)] {
        let (entries, records) = read_with_tail(&mut disk, &published, |_| outcome).unwrap();
        assert_eq!((entries, &records), (ENTRIES / 7 * 7, &tail), "{outcome:?}");
    }
}

#[test]
fn a_snapshot_without_records_has_no_tail_to_read() {
    let (mut disk, published) = written();
    let mut reader = SnapshotReader::new(IDENTITY, &published, HeapPool);
    while let Some(request) = reader.next_io() {
        let done = disk.perform(request, Outcome::Whole);
        reader.on_io(done, &mut |_| Ok::<(), SnapshotError>(())).unwrap();
    }
    assert_eq!(reader.tail(), TailCounts::default());
    assert!(TailReader::new(reader).is_none());
}

#[test]
fn no_flipped_bit_of_a_tail_is_read_over() {
    let (disk, published, _) = write_with_tail();
    for at in (0..disk.bytes.len()).filter(|at| at % 4096 < 64 && at % 5 == 0 || at % 9973 == 0) {
        let mut rotten = Disk { bytes: disk.bytes.clone(), ..Disk::default() };
        rotten.bytes[at] ^= 1 << (at % 8);
        let result = read_with_tail(&mut rotten, &published, |_| Outcome::Whole).map(|_| ());
        let is_noticed =
            matches!(result, Err(TailError::Snapshot(SnapshotError::Damaged { file: FILE, .. })));
        assert!(is_noticed, "byte {at}: {result:?}");
    }
}

#[test]
fn a_tail_that_cannot_be_read_a_second_time_is_refused() {
    let (mut disk, published, _) = write_with_tail();
    disk.asked.clear();
    read_with_tail(&mut disk, &published, |_| Outcome::Short(100_000)).unwrap();
    for failing in 0..disk.asked.len() {
        let outcome = |at| if at == failing { Outcome::Fails(EIO) } else { Outcome::Short(100_000) };
        let result = read_with_tail(&mut disk, &published, outcome).map(|_| ());
        assert!(
            matches!(result, Err(TailError::Snapshot(SnapshotError::Io { .. }))),
            "{failing}: {result:?}"
        );
    }
}

#[test]
fn a_full_tail_asks_for_patience_and_the_copy_goes_on() {
    let (mut disk, mut pool, mut ids) = (Disk::default(), HeapPool, RequestIds::new());
    let mut writer = SnapshotWriter::new(IDENTITY);
    let mut lsn = FIRST;
    while !writer.is_tail_full() {
        writer.push_record(&record(lsn, 100_000), &mut pool, &mut ids);
        lsn += 1;
    }
    assert!(lsn - FIRST > TAIL_CHUNKS_MAX as u64 && writer.is_ready(), "tables do not wait for records");
    // The file is made, then one chunk after the other leaves.
    for _ in 0..2 {
        let request = writer.next_io(&mut ids).unwrap();
        let done = disk.perform(request, Outcome::Whole);
        writer.on_io(done, &mut pool, &mut ids).unwrap();
    }
    assert!(!writer.is_tail_full(), "room for more");
    writer.give_up(&mut pool);
    writer.push_record(&record(lsn, 100_000), &mut pool, &mut ids);
    writer.end_tail(Lsn(lsn), &mut pool, &mut ids);
    assert!(writer.is_idle() && !writer.is_tail_full(), "what was given up takes nothing more");
}
