//! The log of a worker: group commit. While batches fly the next one fills; no timer is needed.
//!
//! Rules kept here: batches are numbered when they are begun and submitted in that order; a batch is submitted whole
//! and never written again; a watermark never passes a batch before it has passed all batches before it; an error on
//! a write or sync ends the log. Filling is in `append.rs`, what belongs to segments in `rotation.rs` and `retention.rs`,
//! the watermarks and the end in `watermarks.rs`.

use std::collections::VecDeque;

use crate::io::{BLOCK_BYTES, BlockPool, Fatal, FileId, IoDone, IoErrorKind, IoOperation, IoRequest};
use crate::limits::LOG_IN_FLIGHT_LIMIT;
use crate::log::batch::{BatchHeader, BatchKind};
use crate::log::in_flight::FlightWindow;
use crate::log::manifest::{FloorEntry, FreeFile};
use crate::log::manifest_writer::ManifestWriter;
use crate::log::open_batch::OpenBatch;
use crate::log::pending_write::{Advance, PendingWrite, RequestIds};
use crate::log::rotation::{ClosedSegment, CurrentSegment, Rotation};
use crate::log::spare::Spares;
use crate::log::standby::Standby;
use crate::log::{LogConfig, LogIdentity, LogStats, SyncMethod, SyncPolicy};
use crate::planted::{self, PlantedBug};
use crate::store_manifest::LogEnd;
use crate::types::{BatchNumber, Term};

/// How far a clean shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shutdown {
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
    pub(super) open: Option<OpenBatch<P::Buffer>>,
    pub(super) queue: VecDeque<OpenBatch<P::Buffer>>,
    pub(super) queued_bytes: usize,
    /// Highest batch number given out.
    pub(super) appended: BatchNumber,
    // flying
    pub(super) flights: FlightWindow,
    pub(super) submitted: BatchNumber,
    /// Checksum of the last submitted batch.
    pub(super) last_crc: u32,
    pub(super) last_kind: BatchKind,
    pub(super) last_sync_ns: u64,
    /// Batches up to this one are to be made durable at once, whatever the policy.
    pub(super) wanted_durable: BatchNumber,
    // segments, see rotation.rs and retention.rs
    pub(super) current: CurrentSegment,
    pub(super) closed: VecDeque<ClosedSegment>,
    pub(super) rotation: Rotation,
    pub(super) standby: Option<Standby<P>>,
    /// Files beyond the one ahead, see spare.rs.
    pub(super) spares: Spares<P>,
    pub(super) manifest: ManifestWriter,
    pub(super) floors: Vec<FloorEntry>,
    /// Free files are to be deleted instead of kept.
    pub(super) drops_free: bool,
    /// The same, because the disk is full.
    pub(super) is_disk_low: bool,
    /// Files that the manifest on its way to disk no longer names.
    pub(super) unnamed: Vec<u32>,
    /// Files that are being deleted.
    pub(super) deleting: usize,
    // the world
    pub(super) now_ns: u64,
    pub(super) idle_since_ns: u64,
    pub(super) shutdown: Shutdown,
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
    /// The free file kept for the next start.
    pub(super) start_file: Option<FreeFile>,
    /// Files that nothing names, left over from what a crash cut short: they go.
    pub(super) left_over: Vec<u32>,
}

impl<P: BlockPool> Log<P> {
    /// Goes on behind what recovery found; everything up to `end` is durable.
    pub(super) fn resume(from: Resume<P>) -> Self {
        from.config.check();
        let last = from.end.batch;
        let mut this = Self {
            identity: from.identity,
            config: from.config,
            pool: from.pool,
            term: from.term,
            ids: from.ids,
            open: None,
            queue: VecDeque::with_capacity(LOG_IN_FLIGHT_LIMIT),
            queued_bytes: 0,
            appended: last,
            flights: FlightWindow::new(from.end, from.config.in_flight_max),
            submitted: last,
            last_crc: from.end.crc,
            last_kind: from.last_kind,
            last_sync_ns: 0,
            wanted_durable: BatchNumber::ZERO,
            current: from.current,
            closed: from.closed,
            rotation: Rotation::None,
            standby: from.standby,
            spares: Spares::new(from.start_file),
            manifest: from.manifest,
            floors: Vec::new(),
            drops_free: false,
            is_disk_low: false,
            unnamed: Vec::new(),
            deleting: 0,
            now_ns: 0,
            idle_since_ns: 0,
            shutdown: Shutdown::Running,
            requests: VecDeque::with_capacity(LOG_IN_FLIGHT_LIMIT),
            outstanding: 0,
            stats: LogStats::default(),
        };
        for file in from.left_over {
            this.delete(file);
        }
        this
    }

    /// Starts all that can be started.
    pub(super) fn pump(&mut self) {
        self.pump_shutdown();
        self.pump_batches();
        self.pump_sync();
        self.pump_manifest();
        self.pump_spares();
        self.pump_standby();
        let durable = self.flights.durable();
        assert!(
            durable <= self.submitted && self.submitted <= self.appended,
            "durable <= submitted <= appended"
        );
    }

    pub(super) fn pump_batches(&mut self) {
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
        if planted::is(PlantedBug::SkipDsync)
            && let IoOperation::Write { durable, .. } = &mut request.operation
        {
            *durable = false;
        }
        self.request(request);
        self.flights.push(LogEnd { batch: number, crc }, write, self.now_ns);
        self.current.offset += byte_len as u64;
        (self.submitted, self.last_crc, self.last_kind) = (number, crc, kind);
        self.stats.records += u64::from(header.record_count);
        self.stats.payload_bytes += u64::from(header.payload_len);
        self.stats.written_bytes += byte_len as u64;
        self.stats.batch_kib.note(byte_len as u64 >> 10);
        if planted::is(PlantedBug::AcknowledgeEarly) {
            self.flights.force_durable(self.submitted);
        }
    }

    pub(super) fn pump_sync(&mut self) {
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
        let wanted = self.flights.durable() < self.wanted_durable;
        if due || forced || wanted {
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
        let Self { flights, ids, .. } = self;
        let Some((_, write)) = flights.find(done.id) else { unreachable!("the caller found it") };
        if planted::is(PlantedBug::IgnoreShortWrite) && matches!(done.result, Ok(len) if len > 0) {
            done.result = Ok(write.range.len());
        }
        match write.advance(done, ids)? {
            Advance::Continue(request) => self.request(request),
            Advance::Written(buffer) => {
                self.pool.reclaim(buffer);
                let (now, stats) = (self.now_ns, &mut self.stats);
                self.flights.on_written(number, |submitted| stats.flush.note(now.saturating_sub(submitted)));
                if planted::is(PlantedBug::AcknowledgeOutOfOrder) {
                    self.flights.force_durable(number);
                }
            }
        }
        Ok(())
    }

    fn on_sync_io(&mut self, done: &IoDone<P>) -> Result<(), Fatal> {
        if let Err(error) = done.result {
            let retried = planted::is(PlantedBug::RetryFailedSync) && error.kind != IoErrorKind::NotFound;
            if !retried {
                return Err(Fatal { what: "syncing the log", file: self.file(), offset: 0, error });
            }
        }
        let later = planted::is(PlantedBug::SyncCoversLaterWrites);
        let oldest_ns = self.flights.on_synced(later);
        self.stats.flush.note(self.now_ns.saturating_sub(oldest_ns));
        Ok(())
    }

    pub(super) const fn file(&self) -> FileId {
        FileId::Segment { log: self.identity.log, file: self.current.entry.file }
    }
}
