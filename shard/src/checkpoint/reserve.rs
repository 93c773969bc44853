//! Disk space that a worker keeps for the day the disk is full: one whole snapshot and one log segment (the other
//! segment of the reserve is the one that the log has ready ahead, the open extents have places of their own).
//!
//! A checkpoint is what makes deletes free something, and it needs a new snapshot before the old one may go. On a full
//! disk the reserve is *lent*: the file is cut to nothing, the checkpoint uses the space, and when it is published the
//! old snapshot is removed and the reserve is taken again. While it is not held, writes are refused.

use std::collections::VecDeque;

use crate::io::{BlockPool, Fatal, FileId, IoDone, IoErrorKind, IoOperation, IoRequest, RequestId};
use crate::limits::SPACE_RETRY_MS;
use crate::log::pending_write::RequestIds;
use crate::types::{LogId, UnixMs};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    Nothing,
    Creating(RequestId),
    Taking(RequestId, u64),
    Lending(RequestId),
}

/// The reserve of one worker.
pub(crate) struct Reserve<P: BlockPool> {
    file: FileId,
    ids: RequestIds,
    flight: Flight,
    is_made: bool,
    held_bytes: u64,
    is_lent: bool,
    refused_at: Option<UnixMs>,
    requests: VecDeque<IoRequest<P>>,
    outstanding: usize,
}

impl<P: BlockPool> Reserve<P> {
    /// Of the worker with this log. The ids of its requests are `first_id` and above.
    pub(crate) const fn new(log: LogId, first_id: u64) -> Self {
        Self {
            file: FileId::Reserve { log },
            ids: RequestIds::starting_at(first_id),
            flight: Flight::Nothing,
            // What an earlier run has left is as good as a new one.
            is_made: true,
            held_bytes: 0,
            is_lent: false,
            refused_at: None,
            requests: VecDeque::new(),
            outstanding: 0,
        }
    }

    /// Whether it is lent, or the disk refuses it.
    pub(crate) const fn is_short(&self) -> bool {
        self.is_lent || self.refused_at.is_some()
    }

    /// Whether it is lent.
    pub(crate) const fn is_lent(&self) -> bool {
        self.is_lent
    }

    /// Whether it is on its way to whoever takes its space.
    pub(crate) const fn is_being_lent(&self) -> bool {
        matches!(self.flight, Flight::Lending(_))
    }

    /// Bytes that it holds.
    pub(crate) const fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Whether nothing is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.outstanding == 0 && self.requests.is_empty()
    }

    /// Takes what is missing of so many bytes, if it is time to.
    pub(crate) fn take(&mut self, wanted_bytes: u64, now: UnixMs) {
        let rests = self.refused_at.is_some_and(|at| now.0.abs_diff(at.0) < SPACE_RETRY_MS);
        if self.flight != Flight::Nothing || rests {
            return;
        }
        if self.held_bytes >= wanted_bytes {
            (self.is_lent, self.refused_at) = (false, None);
            return;
        }
        // A time of refusal stays until it is held: the disk is full until then.
        if let Some(at) = &mut self.refused_at {
            *at = now;
        }
        let id = self.ids.next();
        let operation = if self.is_made {
            self.flight = Flight::Taking(id, wanted_bytes);
            IoOperation::Allocate { file: self.file, offset: 0, bytes: wanted_bytes }
        } else {
            self.flight = Flight::Creating(id);
            IoOperation::CreateFile { file: self.file, bytes: wanted_bytes }
        };
        self.requests.push_back(IoRequest { id, operation });
    }

    /// Gives its space to whoever takes it first. False: it holds none, or is being changed.
    pub(crate) fn lend(&mut self) -> bool {
        if self.flight != Flight::Nothing || self.held_bytes == 0 {
            return false;
        }
        let id = self.ids.next();
        self.flight = Flight::Lending(id);
        (self.is_lent, self.held_bytes) = (true, 0);
        let operation = IoOperation::Truncate { file: self.file, bytes: 0 };
        self.requests.push_back(IoRequest { id, operation });
        true
    }

    /// The next I/O to perform.
    pub(crate) fn next_io(&mut self) -> Option<IoRequest<P>> {
        let request = self.requests.pop_front()?;
        self.outstanding += 1;
        Some(request)
    }

    /// Takes a completion.
    ///
    /// # Errors
    /// Anything but a full disk: the process must stop.
    pub(crate) fn on_io(&mut self, done: &IoDone<P>, now: UnixMs) -> Result<(), Fatal> {
        self.outstanding -= 1;
        let kind = done.result.as_ref().err().map(|error| error.kind);
        match std::mem::replace(&mut self.flight, Flight::Nothing) {
            Flight::Nothing => unreachable!("a completion has its request"),
            flight @ (Flight::Creating(_) | Flight::Taking(..)) if kind == Some(IoErrorKind::NoSpace) => {
                self.refused_at = Some(now);
                if matches!(flight, Flight::Taking(..)) {
                    // ext4 keeps what it had found before the space ran out: it goes back to whoever can use it.
                    let id = self.ids.next();
                    self.flight = Flight::Lending(id);
                    let operation = IoOperation::Truncate { file: self.file, bytes: self.held_bytes };
                    self.requests.push_back(IoRequest { id, operation });
                }
                return Ok(());
            }
            Flight::Taking(..) if kind == Some(IoErrorKind::NotFound) => {
                self.is_made = false;
                return Ok(());
            }
            Flight::Creating(_) => self.is_made = true,
            Flight::Taking(_, bytes) if kind.is_none() => {
                (self.held_bytes, self.is_lent, self.refused_at) = (bytes, false, None);
            }
            Flight::Taking(..) | Flight::Lending(_) => {}
        }
        let what = "taking or lending the reserve of disk space";
        done.result.map(drop).map_err(|error| Fatal { what, file: self.file, offset: 0, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{IoBuffer, IoError};
    use crate::testing::HeapPool;

    const ENOENT: i32 = 2;
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    const LATER: u64 = SPACE_RETRY_MS;

    fn perform(
        reserve: &mut Reserve<HeapPool>,
        now: u64,
        result: Result<usize, i32>,
    ) -> Result<String, Fatal> {
        let request = reserve.next_io().expect("it asks for something");
        let text = match request.operation {
            IoOperation::CreateFile { .. } => "create".to_owned(),
            IoOperation::Allocate { bytes, .. } => format!("take {bytes}"),
            IoOperation::Truncate { bytes, .. } => format!("cut to {bytes}"),
            _ => panic!("nothing else is needed"),
        };
        let result = result.map_err(IoError::from_errno);
        reserve.on_io(&IoDone { id: request.id, result, buffer: IoBuffer::None }, UnixMs(now))?;
        Ok(text)
    }

    #[test]
    fn it_is_taken_lent_and_taken_again() {
        let mut reserve = Reserve::<HeapPool>::new(LogId(1), 1);
        reserve.take(8192, UnixMs(0));
        assert_eq!(perform(&mut reserve, 0, Err(ENOENT)).unwrap(), "take 8192");
        reserve.take(8192, UnixMs(0));
        assert_eq!(perform(&mut reserve, 0, Ok(0)).unwrap(), "create");
        reserve.take(8192, UnixMs(0));
        assert_eq!(perform(&mut reserve, 0, Ok(0)).unwrap(), "take 8192");
        assert!(!reserve.is_short() && reserve.held_bytes() == 8192);
        assert!(reserve.lend() && reserve.is_short() && !reserve.lend() && reserve.is_being_lent());
        assert_eq!(perform(&mut reserve, 0, Ok(0)).unwrap(), "cut to 0");
        assert!(reserve.is_lent() && !reserve.is_being_lent(), "its space is there now");
        reserve.take(8192, UnixMs(0));
        assert_eq!(perform(&mut reserve, 0, Err(ENOSPC)).unwrap(), "take 8192");
        assert_eq!(perform(&mut reserve, 0, Ok(0)).unwrap(), "cut to 0", "what was found of it goes back");
        reserve.take(8192, UnixMs(0));
        assert!(reserve.next_io().is_none() && reserve.is_short(), "not at once again");
        reserve.take(8192, UnixMs(LATER));
        assert!(reserve.is_short(), "the disk is full until it is held");
        assert_eq!(perform(&mut reserve, LATER, Ok(0)).unwrap(), "take 8192");
        assert!(!reserve.is_short() && reserve.is_idle());
    }

    #[test]
    fn any_other_error_is_the_end() {
        let mut reserve = Reserve::<HeapPool>::new(LogId(1), 1);
        reserve.take(8192, UnixMs(0));
        assert_eq!(perform(&mut reserve, 0, Err(EIO)).unwrap_err().error.code, EIO);
    }
}
