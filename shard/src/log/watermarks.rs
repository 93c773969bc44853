//! What the log says of itself, and its end: the clean-shutdown mark.

use crate::io::BlockPool;
use crate::log::batch::BatchKind;
use crate::log::group_commit::{Log, Shutdown};
#[cfg(feature = "sim")]
use crate::log::open_batch::OpenBatch;
use crate::log::standby::{LogSpace, Standby};
use crate::log::{LogConfig, LogIdentity, LogStats, SyncPolicy};
use crate::store_manifest::LogEnd;
use crate::types::{BatchNumber, Term};

impl<P: BlockPool> Log<P> {
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

    /// Makes all batches up to this one durable soon, whatever the policy: a checkpoint waits for it.
    pub fn want_durable(&mut self, batch: BatchNumber) {
        if batch > self.wanted_durable {
            assert!(batch <= self.appended, "only what was begun becomes durable");
            self.wanted_durable = batch;
            self.pump();
        }
    }

    /// Whether the next segment is there, and a file for the next start.
    #[must_use]
    pub fn space(&self) -> LogSpace {
        if self.lacks_start_file() {
            return LogSpace::Low { bytes_left: 0 };
        }
        let low = self.standby.as_ref().is_some_and(Standby::is_out_of_space);
        if low { LogSpace::Low { bytes_left: self.current.bytes_left() } } else { LogSpace::Ok }
    }

    /// Whether something waits to be written that has its place, and nothing is in flight that it could wait for. Never at
    /// the end of a turn.
    #[cfg(feature = "sim")]
    pub(crate) fn stands_still(&self) -> bool {
        let fits = |front: &OpenBatch<P::Buffer>| self.current.fits(front.byte_len(), front.kind());
        self.outstanding == 0 && self.queue.front().map_or(self.open.is_some(), fits)
    }

    /// Figures.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        LogStats { in_flight: self.flights.len(), ..self.stats }
    }

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

    pub(super) fn pump_shutdown(&mut self) {
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
            // Nothing was appended, and the header says how far the log is durable. A mark that is torn would need a file.
            Shutdown::Draining if !self.has_start_file() && !self.has_batches() => {
                self.shutdown = Shutdown::Marked;
            }
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
