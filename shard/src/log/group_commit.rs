//! The log of a worker: group commit. While batches fly the next one fills; no timer is needed.
//!
//! Rules kept here: batches are numbered when they are begun and submitted in that order; a batch is submitted whole
//! and never written again; a watermark never passes a batch before it has passed all batches before it; an error on
//! a write or sync ends the log. What belongs to segments is in `rotation.rs`.

use std::collections::VecDeque;

use crate::io::{BLOCK_BYTES, BlockPool, Fatal, FileId, IoDone, IoErrorKind, IoOperation, IoRequest};
use crate::limits::LOG_IN_FLIGHT_LIMIT;
use crate::log::batch::{BATCH_HEADER_BYTES, BatchHeader, BatchKind};
use crate::log::in_flight::FlightWindow;
use crate::log::manifest::FloorEntry;
use crate::log::manifest_writer::ManifestWriter;
use crate::log::open_batch::OpenBatch;
use crate::log::pending_write::{Advance, PendingWrite, RequestIds};
use crate::log::planted::PlantedBug;
use crate::log::rotation::{ClosedSegment, CurrentSegment, Rotation};
use crate::log::standby::{LogSpace, Standby};
use crate::log::{LogConfig, LogIdentity, LogStats, SyncMethod, SyncPolicy};
use crate::record::{Effect, FragmentPart, HEAD_BYTES_MAX, Head, Record};
use crate::store_manifest::LogEnd;
use crate::types::{BatchNumber, KeyspaceId, Term};

/// A piece of a cut record smaller than this is not worth its place: the next batch takes it.
const FRAGMENT_BYTES_MIN: usize = 4096;
/// Between two syncs under [`SyncPolicy::EverySecond`].
const SECOND_NS: u64 = 1_000_000_000;

/// How far a clean shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shutdown {
    /// Not asked for.
    Running,
    /// Batches are being finished.
    Draining,
    /// The mark is on its way.
    Marking,
    /// The mark is durable.
    Marked,
}

/// A worker's log, open for appending. Made by [`crate::log::recovery::LogRecovery`].
pub struct Log<P: BlockPool> {
    pub(super) identity: LogIdentity,
    pub(super) config: LogConfig,
    pub(super) pool: P,
    pub(super) term: Term,
    pub(super) ids: RequestIds,
    // filling
    open: Option<OpenBatch<P::Buffer>>,
    pub(super) queue: VecDeque<OpenBatch<P::Buffer>>,
    queued_bytes: usize,
    /// Highest batch number given out.
    appended: BatchNumber,
    // flying
    pub(super) flights: FlightWindow,
    pub(super) submitted: BatchNumber,
    /// Checksum of the last submitted batch.
    pub(super) last_crc: u32,
    last_kind: BatchKind,
    last_sync_ns: u64,
    // segments, see rotation.rs
    pub(super) current: CurrentSegment,
    pub(super) closed: VecDeque<ClosedSegment>,
    pub(super) rotation: Rotation,
    pub(super) standby: Option<Standby<P>>,
    pub(super) manifest: ManifestWriter,
    pub(super) floors: Vec<FloorEntry>,
    // the world
    pub(super) now_ns: u64,
    idle_since_ns: u64,
    shutdown: Shutdown,
    pub(super) requests: VecDeque<IoRequest<P>>,
    pub(super) outstanding: usize,
    pub(super) stats: LogStats,
}

/// Where recovery hands over.
pub(super) struct Resume<P: BlockPool> {
    pub(super) identity: LogIdentity,
    pub(super) config: LogConfig,
    pub(super) pool: P,
    pub(super) term: Term,
    pub(super) ids: RequestIds,
    pub(super) end: LogEnd,
    pub(super) last_kind: BatchKind,
    pub(super) current: CurrentSegment,
    pub(super) closed: VecDeque<ClosedSegment>,
    pub(super) standby: Option<Standby<P>>,
    pub(super) manifest: ManifestWriter,
}

impl<P: BlockPool> Log<P> {
    /// Goes on behind what recovery found; everything up to `end` is durable.
    pub(super) fn resume(from: Resume<P>) -> Self {
        from.config.check();
        let last = from.end.batch;
        Self {
            identity: from.identity,
            config: from.config,
            pool: from.pool,
            term: from.term,
            ids: from.ids,
            open: None,
            queue: VecDeque::with_capacity(LOG_IN_FLIGHT_LIMIT),
            queued_bytes: 0,
            appended: last,
            flights: FlightWindow::new(last, from.config.in_flight_max),
            submitted: last,
            last_crc: from.end.crc,
            last_kind: from.last_kind,
            last_sync_ns: 0,
            current: from.current,
            closed: from.closed,
            rotation: Rotation::None,
            standby: from.standby,
            manifest: from.manifest,
            floors: Vec::new(),
            now_ns: 0,
            idle_since_ns: 0,
            shutdown: Shutdown::Running,
            requests: VecDeque::with_capacity(LOG_IN_FLIGHT_LIMIT),
            outstanding: 0,
            stats: LogStats::default(),
        }
    }

    // ---- filling ----------------------------------------------------------------------------------------------

    /// Copies one encoded record into the open batch. Returns the number of the batch that holds its last byte: the
    /// record survives power loss when [`Self::durable`] has reached it. A record too large for a batch is cut into
    /// fragments over consecutive batches.
    ///
    /// # Panics
    /// When a clean shutdown has begun, or `record` is no record.
    #[inline]
    pub fn append(&mut self, record: &[u8]) -> BatchNumber {
        assert!(self.shutdown == Shutdown::Running, "nothing is appended after the end");
        if record.len() > self.config.batch_bytes_max - BATCH_HEADER_BYTES {
            return self.append_fragments(record);
        }
        let batch = self.batch_with_room(record.len());
        batch.push(record.len()).copy_from_slice(record);
        self.queued_bytes += record.len();
        self.appended
    }

    /// The open batch, when it has room for `len` bytes, else a new one.
    #[inline]
    fn batch_with_room(&mut self, len: usize) -> &mut OpenBatch<P::Buffer> {
        if self.open.as_ref().is_some_and(|open| open.room() < len) {
            self.queue_open();
        }
        if self.open.is_none() {
            self.begin(BatchKind::Records);
        }
        let Some(open) = &mut self.open else { unreachable!("just begun") };
        open
    }

    fn begin(&mut self, kind: BatchKind) {
        assert!(self.open.is_none(), "one batch fills at a time");
        self.appended = self.appended.next();
        let bytes = if kind == BatchKind::Records { self.config.batch_bytes_max } else { BLOCK_BYTES };
        self.open = Some(OpenBatch::new(self.pool.take(bytes), self.appended, kind));
    }

    fn queue_open(&mut self) {
        if let Some(open) = self.open.take() {
            self.queue.push_back(open);
        }
    }

    fn append_fragments(&mut self, record: &[u8]) -> BatchNumber {
        let Ok(head) = Head::decode(record) else { unreachable!("only encoded records are appended") };
        assert_eq!(head.record_len(), record.len(), "one whole record");
        let mut rest = record;
        let mut part = FragmentPart::First;
        while !rest.is_empty() {
            let batch = self.batch_with_room(HEAD_BYTES_MAX + FRAGMENT_BYTES_MIN.min(rest.len()));
            let piece_len = rest.len().min(batch.room() - HEAD_BYTES_MAX);
            let (piece, after) = rest.split_at(piece_len);
            if after.is_empty() {
                part = FragmentPart::Last;
            }
            let fragment = Record {
                shard: head.shard,
                term: head.term,
                lsn: head.lsn,
                keyspace: KeyspaceId(0),
                group_continues: false,
                key: &[],
                effect: Effect::Fragment { part, bytes: piece },
            };
            let encoder = fragment.encoder();
            encoder.write(batch.push(encoder.len()));
            self.queued_bytes += encoder.len();
            part = FragmentPart::Middle;
            rest = after;
        }
        self.appended
    }

    /// Ends a turn: the open batch is submitted when it holds something and fewer than the most allowed fly; else it
    /// goes on filling. Call it at the end of every turn, also of one that appended nothing.
    pub fn close_batch(&mut self, now_ns: u64) {
        self.advance_clock(now_ns);
        // What is full already goes first: if all of it flies, there may be room for the open batch too.
        self.pump_batches();
        let free = self.flights.len() < self.config.in_flight_max;
        if self.open.is_some() && self.queue.is_empty() && free && !self.rotation.is_under_way() {
            self.queue_open();
        }
        self.pump();
    }

    /// Sets the time that completions are counted at: call it when a wait is over. [`Self::close_batch`] and
    /// [`Self::tick`] do it too. Time that goes backwards is ignored.
    pub fn advance_clock(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
    }

    /// Timed work: seals the last batch after going idle, syncs once a second where that is the policy, tries again
    /// to prepare the next segment after the disk was full.
    pub fn tick(&mut self, now_ns: u64) {
        self.advance_clock(now_ns);
        if self.seal_due_ns().is_some_and(|due| due <= self.now_ns) {
            self.begin(BatchKind::Seal);
            self.queue_open();
            self.stats.seals += 1;
        }
        self.pump();
    }

    /// When [`Self::tick`] has something to do next; `None`: not before something else happens.
    #[must_use]
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let wanted = self.wants_standby();
        let retry = self.standby.as_ref().filter(|_| wanted).and_then(Standby::retry_at_ns);
        [self.seal_due_ns(), self.sync_due_ns(), retry].into_iter().flatten().min()
    }

    fn seal_due_ns(&self) -> Option<u64> {
        let quiet = self.shutdown == Shutdown::Running
            && self.last_kind == BatchKind::Records
            && self.flights.durable() == self.appended
            && !self.rotation.is_under_way();
        quiet.then(|| self.idle_since_ns.saturating_add(self.config.seal_after_ns))
    }

    fn sync_due_ns(&self) -> Option<u64> {
        let wanted = self.config.policy == SyncPolicy::EverySecond
            && self.flights.durable() < self.flights.written()
            && !self.flights.sync_in_flight();
        wanted.then(|| self.last_sync_ns.saturating_add(SECOND_NS))
    }

    // ---- flying -----------------------------------------------------------------------------------------------

    /// Starts all that can be started.
    pub(super) fn pump(&mut self) {
        self.pump_shutdown();
        self.pump_batches();
        self.pump_sync();
        self.pump_manifest();
        self.pump_standby();
        let durable = self.flights.durable();
        assert!(
            durable <= self.submitted && self.submitted <= self.appended,
            "durable <= submitted <= appended"
        );
    }

    fn pump_batches(&mut self) {
        loop {
            if self.rotation.is_under_way() {
                self.pump_rotation();
                if self.rotation.is_under_way() {
                    return;
                }
            }
            let Some(front) = self.queue.front() else { return };
            if self.flights.len() >= self.config.in_flight_max {
                return;
            }
            if self.current.fits(front.byte_len(), front.kind()) {
                self.submit_front();
            } else {
                self.begin_rotation();
            }
        }
    }

    fn submit_front(&mut self) {
        let Some(batch) = self.queue.pop_front() else { unreachable!("the caller looked") };
        let number = batch.number();
        assert_eq!(number, self.submitted.next(), "batches are submitted in order");
        let kind = batch.kind();
        let position = self.current.offset / BLOCK_BYTES as u64;
        let (Ok(position), Ok(payload_len)) = (u32::try_from(position), u32::try_from(batch.payload_len()))
        else {
            unreachable!("segments and batches are bounded")
        };
        let header = BatchHeader {
            kind,
            payload_len,
            record_count: batch.record_count(),
            log: self.identity.log,
            generation: self.current.entry.generation,
            number,
            known_durable: self.flights.durable().min(self.submitted),
            previous_crc: self.last_crc,
            position,
        };
        self.queued_bytes = self.queued_bytes.saturating_sub(batch.payload_len());
        let (buffer, crc) = batch.finish(&header, self.identity.checksum_seed);
        let buffer = self.pool.freeze(buffer);
        let byte_len = header.byte_len();
        let every_batch = self.config.policy == SyncPolicy::EveryBatch || kind == BatchKind::Clean;
        let write = PendingWrite {
            id: self.ids.next(),
            file: self.file(),
            offset: self.current.offset,
            range: 0..byte_len,
            durable: self.config.sync == SyncMethod::Dsync && every_batch,
            what: "writing a log batch",
        };
        let mut request = write.request::<P>(buffer);
        if self.config.planted(PlantedBug::SkipDsync)
            && let IoOperation::Write { durable, .. } = &mut request.operation
        {
            *durable = false;
        }
        self.request(request);
        self.flights.push(number, write, self.now_ns);
        self.current.offset += byte_len as u64;
        (self.submitted, self.last_crc, self.last_kind) = (number, crc, kind);
        self.stats.records += u64::from(header.record_count);
        self.stats.payload_bytes += u64::from(header.payload_len);
        self.stats.written_bytes += byte_len as u64;
        if self.config.planted(PlantedBug::AcknowledgeEarly) {
            self.flights.force_durable(self.submitted);
        }
    }

    fn pump_sync(&mut self) {
        let unsynced = self.flights.durable() < self.flights.written();
        if !unsynced || self.flights.sync_in_flight() {
            return;
        }
        let drained = self.flights.is_empty();
        let due = match self.config.policy {
            SyncPolicy::EveryBatch => true,
            SyncPolicy::EverySecond => self.sync_due_ns().is_some_and(|due| due <= self.now_ns),
            SyncPolicy::Never => false,
        };
        let forced = drained && (self.rotation.is_under_way() || self.shutdown != Shutdown::Running);
        if due || forced {
            let id = self.ids.next();
            self.flights.start_sync(id, self.now_ns);
            self.last_sync_ns = self.now_ns;
            self.stats.syncs += 1;
            let operation = IoOperation::SyncFile { file: self.file(), data_only: true };
            self.request(IoRequest { id, operation });
        }
    }

    pub(super) fn request(&mut self, request: IoRequest<P>) {
        self.outstanding += 1;
        self.requests.push_back(request);
    }

    /// The next I/O to perform.
    #[must_use]
    pub fn next_io(&mut self) -> Option<IoRequest<P>> {
        self.requests.pop_front()
    }

    /// A completion of what [`Self::next_io`] gave out. Afterwards [`Self::durable`] may be higher.
    ///
    /// # Errors
    /// What was written may not survive: log it and abort the process, acknowledge nothing more.
    ///
    /// # Panics
    /// When the completion belongs to no request.
    pub fn on_io(&mut self, done: IoDone<P>) -> Result<(), Fatal> {
        assert!(self.outstanding > 0, "a completion has its request");
        self.outstanding -= 1;
        let before = self.flights.durable();
        if let Some((number, _)) = self.flights.find(done.id) {
            self.on_batch_io(number, done)?;
        } else if self.flights.is_sync(done.id) {
            self.on_sync_io(&done)?;
        } else {
            self.on_segment_io(done)?;
        }
        if self.flights.durable() > before {
            self.stats.batches += self.flights.durable().0 - before.0;
            self.idle_since_ns = self.now_ns;
        }
        self.pump();
        Ok(())
    }

    fn on_batch_io(&mut self, number: BatchNumber, mut done: IoDone<P>) -> Result<(), Fatal> {
        let Self { flights, ids, config, .. } = self;
        let Some((_, write)) = flights.find(done.id) else { unreachable!("the caller found it") };
        if config.planted(PlantedBug::IgnoreShortWrite) && matches!(done.result, Ok(len) if len > 0) {
            done.result = Ok(write.range.len());
        }
        match write.advance(done, ids)? {
            Advance::Continue(request) => self.request(request),
            Advance::Written(buffer) => {
                self.pool.reclaim(buffer);
                let (now, stats) = (self.now_ns, &mut self.stats);
                self.flights.on_written(number, |submitted| stats.flush.note(now.saturating_sub(submitted)));
                if self.config.planted(PlantedBug::AcknowledgeOutOfOrder) {
                    self.flights.force_durable(number);
                }
            }
        }
        Ok(())
    }

    fn on_sync_io(&mut self, done: &IoDone<P>) -> Result<(), Fatal> {
        if let Err(error) = done.result {
            let retried =
                self.config.planted(PlantedBug::RetryFailedSync) && error.kind != IoErrorKind::NotFound;
            if !retried {
                return Err(Fatal { what: "syncing the log", file: self.file(), offset: 0, error });
            }
        }
        let later = self.config.planted(PlantedBug::SyncCoversLaterWrites);
        let oldest_ns = self.flights.on_synced(later);
        self.stats.flush.note(self.now_ns.saturating_sub(oldest_ns));
        Ok(())
    }

    pub(super) const fn file(&self) -> FileId {
        FileId::Segment { log: self.identity.log, file: self.current.entry.file }
    }

    // ---- what is where ----------------------------------------------------------------------------------------

    /// Highest batch number given out: of the open batch, or the last one.
    #[must_use]
    #[inline]
    pub const fn appended(&self) -> BatchNumber {
        self.appended
    }

    /// Highest batch handed to the disk.
    #[must_use]
    #[inline]
    pub const fn submitted(&self) -> BatchNumber {
        self.submitted
    }

    /// Highest batch that, with all before it, is written: it survives the end of the process, not power loss.
    #[must_use]
    #[inline]
    pub const fn written(&self) -> BatchNumber {
        self.flights.written()
    }

    /// Highest batch that, with all before it, survives power loss. Never decreases.
    #[must_use]
    #[inline]
    pub const fn durable(&self) -> BatchNumber {
        self.flights.durable()
    }

    /// Replies that wait for batches up to this one may go: [`Self::durable`] under [`SyncPolicy::EveryBatch`],
    /// [`Self::written`] under the others.
    #[must_use]
    #[inline]
    pub fn acknowledgeable(&self) -> BatchNumber {
        match self.config.policy {
            SyncPolicy::EveryBatch => self.durable(),
            SyncPolicy::EverySecond | SyncPolicy::Never => self.written(),
        }
    }

    /// Bytes of records that wait in memory to be submitted. Above [`crate::limits::LOG_QUEUED_BYTES_MAX`] hold
    /// writes back.
    #[must_use]
    #[inline]
    pub const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Term of all records appended from now on.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.term
    }

    /// Which log this is.
    #[must_use]
    pub const fn identity(&self) -> &LogIdentity {
        &self.identity
    }

    /// How it works.
    #[must_use]
    pub const fn config(&self) -> &LogConfig {
        &self.config
    }

    /// From the next batch on. Batches written under a laxer policy are made durable at once.
    pub fn set_policy(&mut self, policy: SyncPolicy) {
        self.config.policy = policy;
        self.pump();
    }

    /// Whether the next segment is there.
    #[must_use]
    pub fn space(&self) -> LogSpace {
        let low = self.standby.as_ref().is_some_and(Standby::is_out_of_space);
        if low { LogSpace::Low { bytes_left: self.current.bytes_left() } } else { LogSpace::Ok }
    }

    /// Figures.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        LogStats { in_flight: self.flights.len(), ..self.stats }
    }

    // ---- the end ----------------------------------------------------------------------------------------------

    /// Nothing is appended from now on: finishes what is begun and writes the clean-shutdown mark. Go on performing
    /// I/O until [`Self::is_shut_down`].
    pub fn begin_shutdown(&mut self) {
        if self.shutdown == Shutdown::Running {
            self.queue_open();
            self.shutdown = Shutdown::Draining;
            self.pump();
        }
    }

    /// Whether [`Self::begin_shutdown`] was called: nothing may be appended any more.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.shutdown != Shutdown::Running
    }

    /// Whether the mark is durable and no I/O is under way.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.shutdown == Shutdown::Marked && self.outstanding == 0
    }

    /// The last batch, once [`Self::is_shut_down`]: what the store manifest keeps when the log's era ends.
    ///
    /// # Panics
    /// Before that.
    #[must_use]
    pub fn end(&self) -> LogEnd {
        assert!(self.is_shut_down(), "a log that is written to has no end");
        LogEnd { batch: self.submitted, crc: self.last_crc }
    }

    fn pump_shutdown(&mut self) {
        if !self.is_shutting_down() || !self.queue.is_empty() || self.open.is_some() {
            return;
        }
        // A rotation that waits for nothing but a next segment is not needed any more.
        self.rotation.give_up_waiting();
        if self.rotation.is_under_way() || self.flights.durable() < self.submitted {
            return;
        }
        match self.shutdown {
            Shutdown::Draining if self.last_kind == BatchKind::Clean => self.shutdown = Shutdown::Marked,
            Shutdown::Draining => {
                self.begin(BatchKind::Clean);
                self.queue_open();
                self.shutdown = Shutdown::Marking;
            }
            Shutdown::Marking => self.shutdown = Shutdown::Marked,
            Shutdown::Marked | Shutdown::Running => {}
        }
    }
}
