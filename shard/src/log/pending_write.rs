//! A write in flight that is carried on after short completions.

use std::ops::Range;

use crate::io::{
    BLOCK_BYTES, BlockPool, Fatal, FileId, IoBuffer, IoDone, IoError, IoErrorKind, IoOperation, IoRequest,
    RequestId,
};

/// Gives out request ids, none twice.
#[derive(Debug)]
pub(crate) struct RequestIds(u64);

impl RequestIds {
    pub(crate) const fn new() -> Self {
        Self(1)
    }

    /// Ids from `first` on: each machine that shares a performer with others has a range of its own.
    pub(crate) const fn starting_at(first: u64) -> Self {
        Self(first)
    }

    pub(crate) fn next(&mut self) -> RequestId {
        let id = RequestId(self.0);
        self.0 += 1;
        id
    }
}

/// What is left of a write.
#[derive(Clone, Debug)]
pub(crate) struct PendingWrite {
    pub(crate) id: RequestId,
    pub(crate) file: FileId,
    pub(crate) offset: u64,
    pub(crate) range: Range<usize>,
    pub(crate) durable: bool,
    /// For the operator, should it fail.
    pub(crate) what: &'static str,
}

/// What a completion led to.
pub(crate) enum Advance<P: BlockPool> {
    /// All is written; the buffer is free.
    Written(P::Frozen),
    /// It was cut short: go on with this.
    Continue(IoRequest<P>),
}

impl PendingWrite {
    /// The request for what is left.
    pub(crate) fn request<P: BlockPool>(&self, buffer: P::Frozen) -> IoRequest<P> {
        let aligned = self.offset.is_multiple_of(BLOCK_BYTES as u64)
            && self.range.start.is_multiple_of(BLOCK_BYTES)
            && self.range.end.is_multiple_of(BLOCK_BYTES);
        assert!(aligned && !self.range.is_empty(), "writes are whole blocks: {self:?}");
        let Self { file, offset, range, durable, .. } = self.clone();
        IoRequest { id: self.id, operation: IoOperation::Write { file, offset, buffer, range, durable } }
    }

    /// Takes the completion of [`Self::request`]. A short write goes on from its last whole block; an error, or
    /// no whole block, is the end.
    pub(crate) fn advance<P: BlockPool>(
        &mut self,
        done: IoDone<P>,
        ids: &mut RequestIds,
    ) -> Result<Advance<P>, Fatal> {
        assert_eq!(done.id, self.id, "a completion goes to its request");
        let IoBuffer::Frozen(buffer) = done.buffer else {
            unreachable!("a write's buffer comes back with it")
        };
        let written = done.result.map_err(|error| self.fatal(error))?;
        assert!(written <= self.range.len(), "no more is written than was asked for");
        if written == self.range.len() {
            return Ok(Advance::Written(buffer));
        }
        let whole = written - written % BLOCK_BYTES;
        if whole == 0 {
            return Err(self.fatal(IoError { kind: IoErrorKind::Other, code: 0 }));
        }
        self.range.start += whole;
        self.offset += whole as u64;
        self.id = ids.next();
        Ok(Advance::Continue(self.request(buffer)))
    }

    fn fatal(&self, error: IoError) -> Fatal {
        Fatal { what: self.what, file: self.file, offset: self.offset, error }
    }
}
