//! Filling: records are copied into the open batch, large ones cut into fragments over several.

use crate::io::{BLOCK_BYTES, BlockPool};
use crate::log::SyncPolicy;
use crate::log::batch::{BATCH_HEADER_BYTES, BatchKind};
use crate::log::group_commit::{Log, Shutdown};
use crate::log::open_batch::OpenBatch;
use crate::log::standby::Standby;
use crate::record::{Effect, FragmentPart, HEAD_BYTES_MAX, Head, Record};
use crate::types::{BatchNumber, KeyspaceId};

/// A piece of a cut record smaller than this is not worth its place: the next batch takes it.
const FRAGMENT_BYTES_MIN: usize = 4096;
/// Between two syncs under [`SyncPolicy::EverySecond`].
const SECOND_NS: u64 = 1_000_000_000;

impl<P: BlockPool> Log<P> {
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
    pub(super) fn batch_with_room(&mut self, len: usize) -> &mut OpenBatch<P::Buffer> {
        if self.open.as_ref().is_some_and(|open| open.room() < len) {
            self.queue_open();
        }
        if self.open.is_none() {
            self.begin(BatchKind::Records);
        }
        let Some(open) = &mut self.open else { unreachable!("just begun") };
        open
    }

    pub(super) fn begin(&mut self, kind: BatchKind) {
        assert!(self.open.is_none(), "one batch fills at a time");
        self.appended = self.appended.next();
        let bytes = if kind == BatchKind::Records { self.config.batch_bytes_max } else { BLOCK_BYTES };
        self.open = Some(OpenBatch::new(self.pool.take(bytes), self.appended, kind));
    }

    pub(super) fn queue_open(&mut self) {
        if let Some(open) = self.open.take() {
            self.queue.push_back(open);
        }
    }

    pub(super) fn append_fragments(&mut self, record: &[u8]) -> BatchNumber {
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

    /// Begins an empty batch when none is open, so that what comes later lies behind it.
    pub fn seal(&mut self) {
        if self.open.is_none() && self.shutdown == Shutdown::Running {
            self.begin(BatchKind::Seal);
            self.queue_open();
            self.stats.seals += 1;
            self.pump();
        }
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
        let may_retry = wanted && self.has_start_file();
        let retry = self.standby.as_ref().filter(|_| may_retry).and_then(Standby::retry_at_ns);
        let spare = self.spare_retry_at_ns().filter(|_| wanted);
        [self.seal_due_ns(), self.sync_due_ns(), retry, spare].into_iter().flatten().min()
    }

    pub(super) fn seal_due_ns(&self) -> Option<u64> {
        let quiet = self.shutdown == Shutdown::Running
            && self.last_kind == BatchKind::Records
            && self.flights.durable() == self.appended
            && !self.rotation.is_under_way();
        quiet.then(|| self.idle_since_ns.saturating_add(self.config.seal_after_ns))
    }

    pub(super) fn sync_due_ns(&self) -> Option<u64> {
        let wanted = self.config.policy == SyncPolicy::EverySecond
            && self.flights.durable() < self.flights.written()
            && !self.flights.sync_in_flight();
        wanted.then(|| self.last_sync_ns.saturating_add(SECOND_NS))
    }
}
