//! From segment to segment: the current one, the ones behind it and the one ahead. What of them is needed is in `retention.rs`.
//!
//! Rules kept here: a generation's header is written when every batch of the generation before is durable, and no
//! batch before its header is; a segment is used after the manifest names it, in both copies.

use crate::io::{BLOCK_BYTES, BlockPool, Fatal, FileId, IoDone, IoRequest};
use crate::log::batch::BatchKind;
use crate::log::group_commit::Log;
use crate::log::manifest::{FreeFile, LogManifest, SegmentEntry};
use crate::log::manifest_writer::ManifestStep;
use crate::log::pending_write::{Advance, PendingWrite, RequestIds};
use crate::log::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::log::spare::fits;
use crate::log::standby::{LogSpace, Standby};
use crate::log::{LogConfig, LogIdentity};
use crate::planted::{self, PlantedBug};
use crate::store_manifest::LogEnd;
use crate::types::{BatchNumber, Term};

/// The segment that batches go to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CurrentSegment {
    pub(crate) entry: SegmentEntry,
    /// Where the next batch goes.
    pub(crate) offset: u64,
}

impl CurrentSegment {
    /// A segment with nothing but its header.
    pub(crate) const fn fresh(entry: SegmentEntry) -> Self {
        Self { entry, offset: SEGMENT_HEADER_BYTES as u64 }
    }

    pub(crate) const fn bytes_left(&self) -> u64 {
        self.entry.file_bytes - self.offset
    }

    /// Whether a batch has its place here. The last block is kept for the clean-shutdown mark, so that a shutdown
    /// never needs a next segment.
    pub(crate) fn fits(&self, byte_len: usize, kind: BatchKind) -> bool {
        let kept = if kind == BatchKind::Clean { 0 } else { BLOCK_BYTES };
        (byte_len + kept) as u64 <= self.bytes_left()
    }
}

/// A segment that no batch goes to any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClosedSegment {
    pub(crate) entry: SegmentEntry,
    /// Its last batch, or that of a segment before it when it has none.
    pub(crate) last_batch: BatchNumber,
}

/// The change from one segment to the next.
#[derive(Debug)]
pub(crate) enum Rotation {
    /// Not under way.
    None,
    /// Waits until every batch is durable and the next segment ready.
    Waiting,
    /// The header is being written.
    Header(PendingWrite),
}

impl Rotation {
    pub(crate) const fn is_under_way(&self) -> bool {
        !matches!(self, Self::None)
    }

    pub(crate) fn give_up_waiting(&mut self) {
        if matches!(self, Self::Waiting) {
            *self = Self::None;
        }
    }
}

impl<P: BlockPool> Log<P> {
    /// Goes on in the next segment, as if the current one were full. Nothing happens when it holds no batch, and nothing
    /// comes of it when the disk is too full for what this takes: then what is appended needs the current segment.
    pub fn rotate(&mut self) {
        if self.has_batches() && !self.is_shutting_down() {
            self.begin_rotation();
            self.pump();
        }
    }

    pub(super) fn begin_rotation(&mut self) {
        if !self.rotation.is_under_way() {
            self.rotation = Rotation::Waiting;
        }
    }

    pub(super) fn pump_rotation(&mut self) {
        let durable =
            self.flights.durable() == self.submitted || planted::is(PlantedBug::HeaderBeforeBatches);
        if !self.is_rotation_needed() && matches!(self.space(), LogSpace::Low { .. }) {
            self.rotation.give_up_waiting();
        }
        // While there is no file for the next start, the segment ahead is that file.
        if !matches!(self.rotation, Rotation::Waiting) || !durable || !self.has_start_file() {
            return;
        }
        let usable = |standby: &Standby<P>| {
            standby.is_ready() || (planted::is(PlantedBug::UseBeforeManifest) && standby.is_prepared())
        };
        let Some(next) = self.standby.as_ref().filter(|standby| usable(standby)).map(Standby::entry) else {
            return;
        };
        let end = LogEnd { batch: self.submitted, crc: self.last_crc };
        let header = segment_header(&self.identity, next, end, self.term);
        let (write, request) = write_header(&header, &mut self.pool, &mut self.ids);
        self.request(request);
        self.rotation = Rotation::Header(write);
    }

    /// Whether what is appended does not fit the current segment, and not only somebody has asked for the next one.
    fn is_rotation_needed(&self) -> bool {
        self.queue.front().is_some_and(|front| !self.current.fits(front.byte_len(), front.kind()))
    }

    fn finish_rotation(&mut self) {
        self.rotation = Rotation::None;
        let Some(next) = self.standby.take().map(|standby| standby.entry()) else {
            unreachable!("the header was written into it")
        };
        assert_eq!(next.generation, self.current.entry.generation + 1, "generations are contiguous");
        self.closed.push_back(ClosedSegment { entry: self.current.entry, last_batch: self.submitted });
        self.current = CurrentSegment::fresh(next);
        self.stats.rotations += 1;
    }

    /// Completions of everything but batches and their syncs.
    pub(super) fn on_segment_io(&mut self, done: IoDone<P>) -> Result<(), Fatal> {
        if let Rotation::Header(write) = &mut self.rotation
            && write.id == done.id
        {
            match write.advance(done, &mut self.ids)? {
                Advance::Continue(request) => self.request(request),
                Advance::Written(buffer) => {
                    self.pool.reclaim(buffer);
                    self.finish_rotation();
                }
            }
        } else if self.manifest.owns(done.id) {
            match self.manifest.on_io(done, &mut self.pool, &mut self.ids)? {
                ManifestStep::Request(request) => self.request(request),
                ManifestStep::Published => self.on_published(),
            }
        } else if let Some(standby) = self.standby.as_mut().filter(|standby| standby.owns(done.id)) {
            if let Some(request) = standby.on_io(done, self.now_ns, &mut self.pool, &mut self.ids)? {
                self.request(request);
            }
        } else if self.spares.owns(done.id) {
            self.on_spare_io(done)?;
        } else {
            // What is left are deletions of files that nothing names; a failed one leaves a file that is in the way
            // of nobody, so it is reported by its absence from the figures only.
            assert!(matches!(done.buffer, crate::io::IoBuffer::None), "a completion belongs to a request");
            self.deleting -= 1;
            self.stats.deleted += u64::from(done.result.is_ok());
        }
        Ok(())
    }

    // ---- the segment ahead ------------------------------------------------------------------------------------

    /// A shutdown needs no next segment, unless what is queued does not fit the current one.
    pub(super) fn wants_standby(&self) -> bool {
        !self.is_shutting_down() || self.rotation.is_under_way()
    }

    pub(super) fn pump_standby(&mut self) {
        // What a start needs comes first, and what space there is belongs to it.
        if !self.wants_standby() || !self.has_start_file() {
            return;
        }
        if self.standby.is_none() {
            self.standby = Some(self.next_standby());
            self.pump_manifest();
        }
        if let Some(standby) = &mut self.standby
            && let Some(request) = standby.start(self.now_ns, &mut self.ids)
        {
            self.request(request);
        }
    }

    /// A free file, when there is one that fits, else a new one.
    fn next_standby(&self) -> Standby<P> {
        let generation = self.current.entry.generation + 1;
        // A file that the manifest under way no longer names is free in the old one still: it is deleted, not used.
        let given_back: &[u32] = if planted::is(PlantedBug::UseDroppedFile) { &[] } else { &self.unnamed };
        let new_file = self.next_file_number();
        let kept = self.start_file_number();
        let may_use = |file: u32| Some(file) != kept && !given_back.contains(&file);
        choose_standby(self.manifest.current(), may_use, &self.config, (generation, new_file))
    }

    /// Segments that hold batches, the current one included.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.closed.len() + 1
    }

    /// Bytes that a start would read: those of the segments in use up to their ends.
    #[must_use]
    pub fn bytes_to_replay(&self) -> u64 {
        self.closed.iter().map(|closed| closed.entry.file_bytes).sum::<u64>() + self.current.offset
    }

    /// Number of the segment that batches go to: it rises by one with each rotation.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.current.entry.generation
    }

    /// Whether the current segment holds a batch.
    #[must_use]
    pub const fn has_batches(&self) -> bool {
        self.current.offset > SEGMENT_HEADER_BYTES as u64
    }

    /// The segment files that the manifest names, which must be there.
    pub fn segment_files(&self) -> impl Iterator<Item = FileId> {
        let log = self.identity.log;
        self.manifest.current().segments.iter().map(move |entry| FileId::Segment { log, file: entry.file })
    }

    /// Bytes of all files of the log: segments, the one ahead, free ones, that for the next start.
    #[must_use]
    pub fn bytes_in_use(&self) -> u64 {
        let manifest = self.manifest.current();
        let named: u64 = manifest.segments.iter().map(|entry| entry.file_bytes).sum();
        named + manifest.free.iter().map(|free| free.file_bytes).sum::<u64>()
    }
}

/// The file for a new generation: a free one that fits and may be used, not being about to be deleted or kept for a start on
/// a full disk, else one that is made under the number given.
pub(crate) fn choose_standby<P: BlockPool>(
    manifest: &LogManifest,
    may_use: impl Fn(u32) -> bool,
    config: &LogConfig,
    (generation, new_file): (u64, u32),
) -> Standby<P> {
    let may = |free: &&FreeFile| fits(free, config) && may_use(free.file);
    if let Some(&FreeFile { file, file_bytes }) = manifest.free.iter().find(may) {
        return Standby::recycled(manifest.log, SegmentEntry { generation, file, file_bytes });
    }
    let entry = SegmentEntry { generation, file: new_file, file_bytes: config.segment_bytes };
    Standby::new(manifest.log, entry, config.zero_bytes)
}

/// The header of a segment whose generation follows the batch `end`.
pub(crate) fn segment_header(
    identity: &LogIdentity,
    entry: SegmentEntry,
    end: LogEnd,
    term: Term,
) -> SegmentHeader {
    SegmentHeader {
        uuid: identity.uuid,
        log: identity.log,
        file: entry.file,
        generation: entry.generation,
        first_batch: end.batch.next(),
        file_bytes: entry.file_bytes,
        previous_end_crc: end.crc,
        term,
    }
}

/// The durable write of a segment header.
pub(crate) fn write_header<P: BlockPool>(
    header: &SegmentHeader,
    pool: &mut P,
    ids: &mut RequestIds,
) -> (PendingWrite, IoRequest<P>) {
    let mut buffer = pool.take(SEGMENT_HEADER_BYTES);
    header.encode(buffer.as_mut());
    let file = FileId::Segment { log: header.log, file: header.file };
    let what = "writing a log segment's header";
    let range = 0..SEGMENT_HEADER_BYTES;
    let write = PendingWrite { id: ids.next(), file, offset: 0, range, durable: true, what };
    let request = write.request(pool.freeze(buffer));
    (write, request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::ManifestCopy;
    use crate::key::KeyHasher;
    use crate::limits::LOG_QUEUED_FOR_ENDS_MAX;
    use crate::log::group_commit::Resume;
    use crate::log::manifest_writer::ManifestWriter;
    use crate::log::recovery::{LogRecovery, RecoveryMode, RecoveryStart};
    use crate::log::spare::start_file_bytes;
    use crate::log::standby::RETRY_AFTER_NS;
    use crate::record::{Effect, Record};
    use crate::shard::Shard;
    use crate::shard_set::{ShardSet, SpaceFor, StorageTask, TaskKind};
    use crate::testing::HeapPool;
    use crate::testing::small_disk::SmallDisk;
    use crate::types::{Db, KeyspaceId, LogId, Lsn, SLOT_COUNT, ShardId, UnixMs};

    const IDENTITY: LogIdentity = LogIdentity {
        uuid: [1; 16],
        log: LogId(1),
        checksum_seed: 7,
        first_shard: ShardId(0),
        shard_count: 1,
    };
    const MANIFEST_BYTES: u64 = 2 * BLOCK_BYTES as u64;

    fn config() -> LogConfig {
        LogConfig { segment_bytes: 1 << 20, batch_bytes_max: 64 << 10, ..LogConfig::default() }
    }

    fn settle(log: &mut Log<HeapPool>, disk: &mut SmallDisk, now_ns: u64) {
        log.tick(now_ns);
        log.close_batch(now_ns);
        loop {
            std::iter::from_fn(|| log.next_io()).for_each(|request| disk.submit(request));
            let Some(done) = disk.complete_one() else { return };
            log.on_io(done).expect("a full disk is not the end");
        }
    }

    fn append(log: &mut Log<HeapPool>, lsn: u64) {
        let mut bytes = Vec::new();
        Record {
            shard: ShardId(0),
            term: log.term(),
            lsn: Lsn(lsn),
            keyspace: KeyspaceId(1),
            group_continues: false,
            key: b"key",
            effect: Effect::Delete,
        }
        .encode_to(&mut bytes);
        log.append(&bytes);
    }

    /// A log that has just been made, on a disk with so much room beyond that.
    fn created(room: u64) -> (Log<HeapPool>, SmallDisk) {
        let mut disk = SmallDisk::new(MANIFEST_BYTES + config().segment_bytes + room);
        let start = RecoveryStart { identity: IDENTITY, mode: RecoveryMode::Create, first_term: Term(1) };
        let mut recovery = LogRecovery::new(start, config(), Vec::new(), HeapPool);
        while !recovery.is_finished() {
            std::iter::from_fn(|| recovery.next_io()).for_each(|request| disk.submit(request));
            recovery.on_io(disk.complete_one().expect("something is in flight until it is finished"));
        }
        let log = recovery.finish().expect("there is room for it").log.expect("it goes on");
        (log, disk)
    }

    #[test]
    fn a_rotation_that_somebody_asks_for_holds_nothing_up_on_a_full_disk() {
        let (mut log, mut disk) = created(start_file_bytes(&config()));
        settle(&mut log, &mut disk, 0);
        assert!(log.has_start_file() && matches!(log.space(), LogSpace::Low { .. }));
        append(&mut log, 1);
        settle(&mut log, &mut disk, 1);
        log.rotate();
        append(&mut log, 2);
        settle(&mut log, &mut disk, 2);
        assert_eq!((log.durable(), log.generation()), (log.appended(), 1));
        // When there is room it is done, if somebody asks again.
        disk.room = config().segment_bytes;
        settle(&mut log, &mut disk, 2 * RETRY_AFTER_NS);
        log.rotate();
        settle(&mut log, &mut disk, 2 * RETRY_AFTER_NS);
        assert_eq!(log.generation(), 2);
    }

    #[test]
    fn a_task_asks_again_for_a_rotation_that_found_no_room() {
        let (mut log, mut disk) = created(start_file_bytes(&config()));
        settle(&mut log, &mut disk, 0);
        append(&mut log, 1);
        settle(&mut log, &mut disk, 1);
        disk.room = config().segment_bytes;
        // The segment ahead is tried again in the very moment in which the task begins.
        log.advance_clock(2 * RETRY_AFTER_NS);
        let mut set = ShardSet::new(Vec::new(), KeyHasher::new([7; 16]), HeapPool, Some(log));
        let mut task = StorageTask::begin(TaskKind::RotateLog, &mut set).expect("there is a log");
        for turn in 0.. {
            assert!(turn < 10, "it comes to an end");
            if task.step(&mut set).expect("there is room") {
                break;
            }
            settle(set.log_mut().expect("there is a log"), &mut disk, 2 * RETRY_AFTER_NS);
        }
        assert_eq!(set.log().map(Log::generation), Some(2));
    }

    #[test]
    fn keys_that_have_ended_wait_while_much_waits_for_the_drive() {
        let (log, mut disk) = created(64 << 20);
        let shard = Shard::new(ShardId(0), 0..SLOT_COUNT, log.term(), UnixMs(1));
        let mut set = ShardSet::new(vec![shard], KeyHasher::new([7; 16]), HeapPool, Some(log));
        settle(set.log_mut().expect("there is a log"), &mut disk, 0);
        let key = set.key(b"ends");
        set.put(Db(0), &key, b"", Some(UnixMs(1_000)));
        let key = set.key(b"stays");
        set.put(Db(0), &key, &vec![7; LOG_QUEUED_FOR_ENDS_MAX + (1 << 20)], None);
        let tick = |set: &mut ShardSet<HeapPool>| while set.tick(UnixMs(60_000), 0, 10) {};
        tick(&mut set);
        assert_eq!((set.space_for_deletes(), set.stats().expired), (SpaceFor::Ready, 0));
        for turn in 1..200 {
            settle(set.log_mut().expect("there is a log"), &mut disk, turn);
        }
        tick(&mut set);
        assert_eq!(set.stats().expired, 1);
    }

    #[test]
    fn a_log_leaves_no_segment_while_it_has_no_file_for_the_next_start() {
        let entry = |generation, file| SegmentEntry { generation, file, file_bytes: config().segment_bytes };
        let (used, ahead) = (entry(1, 1), entry(2, 2));
        let manifest = LogManifest {
            sequence: 1,
            next_file: 3,
            segments: vec![used, ahead],
            ..LogManifest::empty(&IDENTITY)
        };
        // As it was stopped, cleanly.
        let mut log = Log::resume(Resume {
            identity: IDENTITY,
            config: config(),
            pool: HeapPool,
            term: Term(1),
            ids: RequestIds::new(),
            end: LogEnd { batch: BatchNumber(1), crc: 9 },
            last_kind: BatchKind::Clean,
            current: CurrentSegment { offset: (SEGMENT_HEADER_BYTES + BLOCK_BYTES) as u64, entry: used },
            closed: std::collections::VecDeque::new(),
            standby: Some(Standby::ready(IDENTITY.log, ahead)),
            manifest: ManifestWriter::new(manifest),
            start_file: None,
            left_over: Vec::new(),
        });
        let mut disk = SmallDisk::new(0);
        let segment = |file| FileId::Segment { log: IDENTITY.log, file };
        disk.lens.extend([1, 2].map(|file| (segment(file), config().segment_bytes)));
        let copy = |copy| FileId::LogManifest { log: IDENTITY.log, copy };
        disk.lens.extend([ManifestCopy::A, ManifestCopy::B].map(|of| (copy(of), BLOCK_BYTES as u64)));
        log.rotate();
        settle(&mut log, &mut disk, 0);
        assert_eq!((log.generation(), log.lacks_start_file()), (1, true), "the segment ahead is for a start");
        disk.room = start_file_bytes(&config());
        log.rotate();
        settle(&mut log, &mut disk, 2 * RETRY_AFTER_NS);
        log.rotate();
        settle(&mut log, &mut disk, 2 * RETRY_AFTER_NS);
        assert_eq!((log.generation(), log.has_start_file()), (2, true));
    }
}
