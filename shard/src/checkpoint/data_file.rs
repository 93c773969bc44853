//! A shard's data file: sealed extents on their way to their places.
//!
//! Writes are large and not durable by themselves: the sync that a checkpoint does before it is published covers all
//! that have completed. An error on a write or a sync is the end, as everywhere.

use crate::extent::{ExtentWrite, Extents};
use crate::index::ExtentNumber;
use crate::io::{BlockPool, Fatal, FileId, IoDone, IoOperation, IoRequest, RequestId};
use crate::limits::{DATA_WRITE_BYTES_MAX, DATA_WRITES_IN_FLIGHT_MAX};
use crate::log::pending_write::{Advance, PendingWrite, RequestIds};
use crate::types::ShardId;

/// One piece of an extent on its way.
struct Flight {
    extent: ExtentNumber,
    write: PendingWrite,
}

/// The data file of one shard.
pub(crate) struct DataFile<P: BlockPool> {
    file: FileId,
    flights: Vec<Flight>,
    /// What is still to be written of the extent at hand.
    rest: Option<(ExtentWrite<P>, usize)>,
    sync: Option<RequestId>,
    written_bytes: u64,
}

impl<P: BlockPool> DataFile<P> {
    pub(crate) fn new(shard: ShardId) -> Self {
        Self {
            file: FileId::ShardData { shard },
            flights: Vec::new(),
            rest: None,
            sync: None,
            written_bytes: 0,
        }
    }

    /// Bytes written since the start.
    pub(crate) const fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.rest.is_none() && self.sync.is_none()
    }

    /// Whether a piece of an extent is still to be written.
    pub(crate) const fn is_amid_extent(&self) -> bool {
        self.rest.is_some()
    }

    /// The next piece to write, if one more may fly.
    pub(crate) fn next_write(
        &mut self,
        extents: &mut Extents<P>,
        pool: &mut P,
        ids: &mut RequestIds,
    ) -> Option<IoRequest<P>> {
        if self.flights.len() >= DATA_WRITES_IN_FLIGHT_MAX {
            return None;
        }
        let (extent, from) = match self.rest.take() {
            Some(rest) => rest,
            None => (extents.next_write(pool)?, 0),
        };
        let to = extent.len.min(from + DATA_WRITE_BYTES_MAX);
        let write = PendingWrite {
            id: ids.next(),
            file: self.file,
            offset: extent.offset + from as u64,
            range: from..to,
            durable: false,
            what: "writing an extent",
        };
        let request = write.request::<P>(extent.buffer.clone());
        self.flights.push(Flight { extent: extent.number, write });
        if to < extent.len {
            self.rest = Some((extent, to));
        }
        Some(request)
    }

    /// Makes all that has been written survive power loss. One at a time, and only when no write flies.
    pub(crate) fn sync(&mut self, ids: &mut RequestIds) -> IoRequest<P> {
        assert!(self.is_idle(), "a sync covers what has completed");
        let id = ids.next();
        self.sync = Some(id);
        IoRequest { id, operation: IoOperation::SyncFile { file: self.file, data_only: true } }
    }

    /// Whether a completion is of this file's.
    pub(crate) fn owns(&self, id: RequestId) -> bool {
        self.sync == Some(id) || self.flights.iter().any(|flight| flight.write.id == id)
    }

    /// Takes a completion. `Some`: go on with this; true: the sync is done.
    ///
    /// # Errors
    /// What was written may not be there: the process must stop.
    pub(crate) fn on_io(
        &mut self,
        done: IoDone<P>,
        extents: &mut Extents<P>,
        pool: &mut P,
        ids: &mut RequestIds,
    ) -> Result<(Option<IoRequest<P>>, bool), Fatal> {
        if self.sync == Some(done.id) {
            self.sync = None;
            let failed = |error| Fatal { what: "syncing a data file", file: self.file, offset: 0, error };
            done.result.map_err(failed)?;
            return Ok((None, true));
        }
        let at = self.flights.iter().position(|flight| flight.write.id == done.id);
        let at = at.expect("a completion has its write");
        let written = done.result.unwrap_or(0) as u64;
        match self.flights[at].write.advance(done, ids)? {
            Advance::Continue(request) => {
                self.written_bytes += written;
                Ok((Some(request), false))
            }
            Advance::Written(buffer) => {
                self.written_bytes += written;
                pool.reclaim(buffer);
                let extent = self.flights.swap_remove(at).extent;
                let more = self.rest.as_ref().is_some_and(|(rest, _)| rest.number == extent)
                    || self.flights.iter().any(|flight| flight.extent == extent);
                if !more {
                    extents.on_written(extent);
                }
                Ok((None, false))
            }
        }
    }
}
