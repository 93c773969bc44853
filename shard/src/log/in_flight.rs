//! The batches in flight and the two watermarks behind them: written, and durable.
//!
//! Rule: a watermark passes a batch only when it has passed all before it, whatever order completions come in.

use std::collections::VecDeque;

use crate::io::RequestId;
use crate::log::pending_write::PendingWrite;
use crate::store_manifest::LogEnd;
use crate::types::BatchNumber;

/// A submitted batch whose write, or that of a batch before it, is not complete.
struct Flight {
    batch: LogEnd,
    write: PendingWrite,
    submitted_ns: u64,
    written: bool,
}

/// A sync in flight.
#[derive(Clone, Copy)]
struct Sync {
    id: RequestId,
    /// Every batch up to here was written when it was issued.
    covers: LogEnd,
    /// Submission of the first batch it is for.
    oldest_ns: u64,
}

/// Batches in flight, oldest first.
pub(crate) struct FlightWindow {
    flights: VecDeque<Flight>,
    written: LogEnd,
    durable: LogEnd,
    sync: Option<Sync>,
    /// Submission of the first batch that is written and not yet covered by a sync.
    oldest_unsynced_ns: Option<u64>,
}

impl FlightWindow {
    /// Nothing in flight, everything up to `durable` durable.
    pub(crate) fn new(durable: LogEnd, capacity: usize) -> Self {
        let flights = VecDeque::with_capacity(capacity);
        Self { flights, written: durable, durable, sync: None, oldest_unsynced_ns: None }
    }

    /// Writes that are not complete, and those complete behind one that is not.
    pub(crate) fn len(&self) -> usize {
        self.flights.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// Every batch up to this one survives the end of the process.
    pub(crate) const fn written(&self) -> BatchNumber {
        self.written.batch
    }

    /// Every batch up to this one survives power loss.
    pub(crate) const fn durable(&self) -> BatchNumber {
        self.durable.batch
    }

    /// That batch and its checksum.
    pub(crate) const fn durable_end(&self) -> LogEnd {
        self.durable
    }

    pub(crate) const fn sync_in_flight(&self) -> bool {
        self.sync.is_some()
    }

    pub(crate) fn push(&mut self, batch: LogEnd, write: PendingWrite, submitted_ns: u64) {
        let last = self.flights.back().map_or(self.written, |flight| flight.batch);
        assert_eq!(batch.batch, last.batch.next(), "batches fly in order");
        self.flights.push_back(Flight { batch, write, submitted_ns, written: false });
    }

    /// The write that a completion belongs to.
    pub(crate) fn find(&mut self, id: RequestId) -> Option<(BatchNumber, &mut PendingWrite)> {
        let flight = self.flights.iter_mut().find(|flight| flight.write.id == id && !flight.written)?;
        Some((flight.batch.batch, &mut flight.write))
    }

    /// A batch is written whole. `note` gets the submission time of each batch that became durable by it.
    pub(crate) fn on_written(&mut self, number: BatchNumber, mut note: impl FnMut(u64)) {
        let Some(flight) = self.flights.iter_mut().find(|flight| flight.batch.batch == number) else {
            unreachable!("a batch is written once")
        };
        flight.written = true;
        while self.flights.front().is_some_and(|flight| flight.written) {
            let Some(flight) = self.flights.pop_front() else { unreachable!("looked at") };
            if flight.write.durable && self.durable == self.written {
                self.durable = flight.batch;
                note(flight.submitted_ns);
            } else {
                self.oldest_unsynced_ns.get_or_insert(flight.submitted_ns);
            }
            self.written = flight.batch;
        }
        self.check();
    }

    /// A sync is issued: it covers what is written now.
    pub(crate) fn start_sync(&mut self, id: RequestId, now_ns: u64) {
        assert!(
            self.sync.is_none() && self.durable() < self.written(),
            "one sync at a time, and only for something"
        );
        let oldest_ns = self.oldest_unsynced_ns.take().unwrap_or(now_ns);
        self.sync = Some(Sync { id, covers: self.written, oldest_ns });
    }

    /// Whether a completion is that of the sync in flight.
    pub(crate) fn is_sync(&self, id: RequestId) -> bool {
        self.sync.is_some_and(|sync| sync.id == id)
    }

    /// The sync in flight is complete. Returns the submission time of the first batch it covers.
    pub(crate) fn on_synced(&mut self, covers_later_writes: bool) -> u64 {
        let Some(sync) = self.sync.take() else { unreachable!("a sync completes once") };
        let covers = if covers_later_writes { self.written } else { sync.covers };
        if covers.batch > self.durable.batch {
            self.durable = covers;
        }
        self.check();
        sync.oldest_ns
    }

    /// Planted mistakes move the watermark by hand.
    pub(crate) fn force_durable(&mut self, number: BatchNumber) {
        let flying =
            self.flights.iter().find(|flight| flight.batch.batch == number).map(|flight| flight.batch);
        if let Some(batch) = flying.filter(|batch| batch.batch > self.durable.batch) {
            self.durable = batch;
        }
    }

    fn check(&self) {
        assert!(self.durable() <= self.written(), "nothing is durable before it is written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::FileId;
    use crate::types::LogId;

    fn window(durable: &[bool]) -> FlightWindow {
        let mut window = FlightWindow::new(LogEnd { batch: BatchNumber(10), crc: 10 }, 4);
        for (number, &durable) in (11..).zip(durable) {
            let file = FileId::Segment { log: LogId(1), file: 1 };
            let write = PendingWrite {
                id: RequestId(number),
                file,
                offset: 0,
                range: 0..4096,
                durable,
                what: "batch",
            };
            let crc = u32::try_from(number).unwrap();
            window.push(LogEnd { batch: BatchNumber(number), crc }, write, number);
        }
        window
    }

    #[test]
    fn completions_out_of_order_are_acknowledged_in_order() {
        let mut window = window(&[true; 3]);
        let mut noted = Vec::new();
        window.on_written(BatchNumber(13), |at| noted.push(at));
        window.on_written(BatchNumber(12), |at| noted.push(at));
        assert_eq!(window.durable(), BatchNumber(10));
        window.on_written(BatchNumber(11), |at| noted.push(at));
        assert_eq!((window.durable(), window.written()), (BatchNumber(13), BatchNumber(13)));
        assert_eq!(noted, [11, 12, 13]);
        assert_eq!(window.durable_end(), LogEnd { batch: BatchNumber(13), crc: 13 });
    }

    #[test]
    fn a_sync_covers_only_what_was_written_when_it_was_issued() {
        let mut window = window(&[false; 3]);
        window.on_written(BatchNumber(11), |_| {});
        window.start_sync(RequestId(99), 0);
        window.on_written(BatchNumber(12), |_| {});
        assert!(window.is_sync(RequestId(99)));
        window.on_synced(false);
        assert_eq!((window.durable(), window.written()), (BatchNumber(11), BatchNumber(12)));
    }

    #[test]
    fn a_durable_write_behind_one_that_is_not_waits_for_a_sync() {
        let mut window = window(&[false, true]);
        window.on_written(BatchNumber(11), |_| {});
        window.on_written(BatchNumber(12), |_| {});
        assert_eq!((window.durable(), window.written()), (BatchNumber(10), BatchNumber(12)));
        window.start_sync(RequestId(99), 0);
        window.on_synced(false);
        assert_eq!(window.durable(), BatchNumber(12));
    }
}
