//! The next segment, prepared ahead: so that rotation costs one header write.
//!
//! A new file is created, filled with zeros in large plain writes (so that later overwrites change no metadata),
//! synced, and its directory entry too; a recycled file is ready as it is. Then the manifest names it, both copies
//! durable, and only then it may be used. Running out of space here loses nothing: it is reported as low water and
//! tried again.

use crate::io::{BlockPool, Fatal, FileId, IoBuffer, IoDone, IoErrorKind, IoOperation, IoRequest, RequestId};
use crate::log::manifest::SegmentEntry;
use crate::log::pending_write::{Advance, PendingWrite, RequestIds};
use crate::types::LogId;

/// How long after running out of space the preparation is tried again.
pub(crate) const RETRY_AFTER_NS: u64 = 1_000_000_000;

/// Whether the log has its next segment ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSpace {
    /// It has, or is preparing it.
    Ok,
    /// The disk is full: what is left in the current segment is all there is. Hold writes back.
    Low {
        /// Bytes left in the current segment.
        bytes_left: u64,
    },
}

/// How far the preparation is.
enum Step {
    /// Not begun.
    Idle,
    /// The file is being created.
    Create(RequestId),
    /// Zeros are being written; one write at a time, so that batches need not queue behind many.
    Zero(PendingWrite),
    /// The file is being synced.
    SyncFile(RequestId),
    /// Its name is being synced.
    SyncDirectory(RequestId),
    /// The file is ready and waits to be named in the manifest.
    Prepared,
    /// The manifest names it: it may be used.
    Ready,
    /// The disk was full: the file is being cut to nothing, so that what it had is there for the checkpoint that makes old
    /// segments free.
    GiveBack(RequestId),
    /// The disk was full; begin again at this time.
    NoSpace {
        /// When to begin again.
        retry_at_ns: u64,
    },
}

/// The preparation of one file.
pub(crate) struct Standby<P: BlockPool> {
    log: LogId,
    entry: SegmentEntry,
    step: Step,
    zeros: Option<P::Frozen>,
    zero_bytes: usize,
}

impl<P: BlockPool> Standby<P> {
    /// Prepares a file that does not exist yet.
    pub(crate) fn new(log: LogId, entry: SegmentEntry, zero_bytes: usize) -> Self {
        Self { log, entry, step: Step::Idle, zeros: None, zero_bytes }
    }

    /// Takes a file that was a segment before.
    pub(crate) fn recycled(log: LogId, entry: SegmentEntry) -> Self {
        Self { log, entry, step: Step::Prepared, zeros: None, zero_bytes: 0 }
    }

    /// Takes a file that the manifest already names.
    pub(crate) fn ready(log: LogId, entry: SegmentEntry) -> Self {
        Self { log, entry, step: Step::Ready, zeros: None, zero_bytes: 0 }
    }

    pub(crate) const fn entry(&self) -> SegmentEntry {
        self.entry
    }

    pub(crate) const fn is_prepared(&self) -> bool {
        matches!(self.step, Step::Prepared)
    }

    pub(crate) const fn is_ready(&self) -> bool {
        matches!(self.step, Step::Ready)
    }

    pub(crate) const fn is_out_of_space(&self) -> bool {
        matches!(self.step, Step::NoSpace { .. } | Step::GiveBack(_))
    }

    /// The manifest names it now, in both copies.
    pub(crate) fn set_ready(&mut self) {
        assert!(self.is_prepared(), "only a prepared file is named");
        self.step = Step::Ready;
    }

    /// When it wants to try again.
    pub(crate) const fn retry_at_ns(&self) -> Option<u64> {
        match self.step {
            Step::NoSpace { retry_at_ns } => Some(retry_at_ns),
            _ => None,
        }
    }

    /// Starts, or tries again; `None` when there is nothing to start now.
    pub(crate) fn start(&mut self, now_ns: u64, ids: &mut RequestIds) -> Option<IoRequest<P>> {
        match self.step {
            Step::Idle => {}
            Step::NoSpace { retry_at_ns } if now_ns >= retry_at_ns => {}
            _ => return None,
        }
        let id = ids.next();
        self.step = Step::Create(id);
        let operation = IoOperation::CreateFile { file: self.file(), bytes: self.entry.file_bytes };
        Some(IoRequest { id, operation })
    }

    pub(crate) fn owns(&self, id: RequestId) -> bool {
        match &self.step {
            Step::Create(own) | Step::SyncFile(own) | Step::SyncDirectory(own) | Step::GiveBack(own) => {
                *own == id
            }
            Step::Zero(write) => write.id == id,
            Step::Idle | Step::Prepared | Step::Ready | Step::NoSpace { .. } => false,
        }
    }

    /// Takes the completion of a request that it [owns](Self::owns); the next one, if there is one.
    pub(crate) fn on_io(
        &mut self,
        done: IoDone<P>,
        now_ns: u64,
        pool: &mut P,
        ids: &mut RequestIds,
    ) -> Result<Option<IoRequest<P>>, Fatal> {
        let no_space = matches!(&done.result, Err(error) if error.kind == IoErrorKind::NoSpace);
        let retry_at_ns = now_ns.saturating_add(RETRY_AFTER_NS);
        let failed = |what, file, error| Fatal { what, file, offset: 0, error };
        let file = self.file();
        match &mut self.step {
            Step::Create(_) if no_space => {
                self.step = Step::NoSpace { retry_at_ns };
                Ok(None)
            }
            Step::GiveBack(_) => {
                done.result
                    .map_err(|error| failed("cutting a log segment that finds no space", file, error))?;
                self.step = Step::NoSpace { retry_at_ns };
                Ok(None)
            }
            Step::Create(_) => {
                done.result.map_err(|error| failed("creating a log segment", file, error))?;
                Ok(Some(self.write_zeros(0, pool, ids)))
            }
            Step::Zero(_) if no_space => {
                if let IoBuffer::Frozen(buffer) = done.buffer {
                    pool.reclaim(buffer);
                }
                Ok(Some(self.give_back(ids)))
            }
            Step::Zero(write) => match write.advance(done, ids)? {
                Advance::Continue(request) => Ok(Some(request)),
                Advance::Written(buffer) => {
                    let end = write.offset + write.range.len() as u64;
                    pool.reclaim(buffer);
                    Ok(Some(self.write_zeros(end, pool, ids)))
                }
            },
            Step::SyncFile(_) if no_space => {
                // Delayed allocation may find the disk full only now; what is written is not known: begin again.
                Ok(Some(self.give_back(ids)))
            }
            Step::SyncFile(_) => {
                done.result.map_err(|error| failed("syncing a new log segment", file, error))?;
                let id = ids.next();
                self.step = Step::SyncDirectory(id);
                Ok(Some(IoRequest { id, operation: IoOperation::SyncDirectory }))
            }
            Step::SyncDirectory(_) => {
                done.result.map_err(|error| failed("syncing the store directory", file, error))?;
                self.step = Step::Prepared;
                Ok(None)
            }
            Step::Idle | Step::Prepared | Step::Ready | Step::NoSpace { .. } => {
                unreachable!("a completion goes to its request")
            }
        }
    }

    fn give_back(&mut self, ids: &mut RequestIds) -> IoRequest<P> {
        let id = ids.next();
        self.step = Step::GiveBack(id);
        IoRequest { id, operation: IoOperation::Truncate { file: self.file(), bytes: 0 } }
    }

    /// The write of zeros at `offset`, or the sync when the file is full.
    fn write_zeros(&mut self, offset: u64, pool: &mut P, ids: &mut RequestIds) -> IoRequest<P> {
        let left = self.entry.file_bytes - offset;
        if left == 0 {
            if let Some(zeros) = self.zeros.take() {
                pool.reclaim(zeros);
            }
            let id = ids.next();
            self.step = Step::SyncFile(id);
            let operation = IoOperation::SyncFile { file: self.file(), data_only: false };
            return IoRequest { id, operation };
        }
        let zero_bytes = self.zero_bytes;
        let zeros = self.zeros.get_or_insert_with(|| {
            let mut buffer = pool.take(zero_bytes);
            buffer.as_mut().fill(0);
            pool.freeze(buffer)
        });
        let zeros = zeros.clone();
        let range = 0..usize::try_from(left).map_or(zero_bytes, |left| left.min(zero_bytes));
        let what = "filling a new log segment with zeros";
        let write = PendingWrite { id: ids.next(), file: self.file(), offset, range, durable: false, what };
        let request = write.request(zeros);
        self.step = Step::Zero(write);
        request
    }

    const fn file(&self) -> FileId {
        FileId::Segment { log: self.log, file: self.entry.file }
    }
}
