//! Reads a segment from front to back, several requests ahead, into one window of bytes.
//!
//! Rule: what cannot be read is an error, never the end of the log. A short read is carried on; only a read of
//! nothing is the end of the file, and a file that ends before its size is an error too.
//!
//! Requests start small and double: most of a segment that a crash ended early holds no batch, and only the batches
//! tell where it ends. So what is read beyond them is a part of what they are, plus a little.

use std::collections::VecDeque;

use crate::io::{BLOCK_BYTES, BlockPool, FileId, IoBuffer, IoDone, IoOperation, IoRequest, RequestId};
use crate::log::LogConfig;
use crate::log::pending_write::RequestIds;
use crate::log::recovery::refuse::RefuseToStart;

/// Bytes of the first request of a pass, at most.
const FIRST_READ_BYTES: usize = 16 << 10;

/// A piece of the file that was asked for.
struct Chunk<P: BlockPool> {
    id: RequestId,
    offset: u64,
    len: usize,
    /// The buffer and how much of it is filled, once it is there.
    filled: Option<(P::Buffer, usize)>,
}

/// One pass over one file.
pub(super) struct SegmentReader<P: BlockPool> {
    file: FileId,
    end: u64,
    next: u64,
    /// Bytes to ask for next, before the bound of the configuration.
    next_bytes: usize,
    chunks: VecDeque<Chunk<P>>,
    window: Vec<u8>,
    start: usize,
    offset: u64,
}

impl<P: BlockPool> SegmentReader<P> {
    /// Reads `file` from `offset` to `end`.
    pub(super) fn new(file: FileId, offset: u64, end: u64) -> Self {
        assert!(offset <= end && offset.is_multiple_of(BLOCK_BYTES as u64), "a pass has a direction");
        Self {
            file,
            end,
            next: offset,
            next_bytes: FIRST_READ_BYTES,
            chunks: VecDeque::new(),
            window: Vec::new(),
            start: 0,
            offset,
        }
    }

    pub(super) const fn file(&self) -> FileId {
        self.file
    }

    /// Whether a completion is that of one of its reads.
    pub(super) fn owns(&self, id: RequestId) -> bool {
        self.chunks.iter().any(|chunk| chunk.id == id)
    }

    /// Offset in the file of the first available byte.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes from [`Self::offset`] to the end of the pass.
    pub(super) const fn remaining(&self) -> u64 {
        self.end - self.offset
    }

    /// The bytes that are there.
    pub(super) fn available(&self) -> &[u8] {
        &self.window[self.start..]
    }

    /// Steps over `len` available bytes.
    pub(super) fn consume(&mut self, len: usize) {
        assert!(len <= self.available().len(), "only what is there is stepped over");
        self.start += len;
        self.offset += len as u64;
    }

    /// Moves what has arrived, in order, into the window. False when nothing has.
    pub(super) fn fill(&mut self, pool: &mut P) -> bool {
        let mut moved = false;
        while self.chunks.front().is_some_and(|chunk| chunk.filled.is_some()) {
            let filled = self.chunks.pop_front().and_then(|chunk| chunk.filled);
            let Some((buffer, len)) = filled else { unreachable!("looked at") };
            // What is left is less than a batch, but what has just been moved is not: it stays where it is.
            if self.start > 0 {
                self.window.drain(..self.start);
                self.start = 0;
            }
            self.window.extend_from_slice(&buffer.as_ref()[..len]);
            pool.put(buffer);
            moved = true;
        }
        moved
    }

    /// The next read to perform, when there is more to read and room for it.
    pub(super) fn next_read(
        &mut self,
        config: &LogConfig,
        pool: &mut P,
        ids: &mut RequestIds,
    ) -> Option<IoRequest<P>> {
        if self.next == self.end || self.chunks.len() >= config.read_depth {
            return None;
        }
        let left = self.end - self.next;
        let bound = self.next_bytes.min(config.read_bytes);
        self.next_bytes = (bound * 2).min(config.read_bytes);
        let len = usize::try_from(left).map_or(bound, |left| left.min(bound));
        let (id, offset) = (ids.next(), self.next);
        self.next += len as u64;
        self.chunks.push_back(Chunk { id, offset, len, filled: None });
        Some(self.read(id, offset, len, config, pool))
    }

    fn read(&self, id: RequestId, offset: u64, len: usize, config: &LogConfig, pool: &mut P) -> IoRequest<P> {
        let buffer = pool.take(config.read_bytes);
        IoRequest { id, operation: IoOperation::Read { file: self.file, offset, buffer, len } }
    }

    /// Takes the completion of one of its reads; a short one is carried on by the request that comes back.
    pub(super) fn on_io(
        &mut self,
        done: IoDone<P>,
        config: &LogConfig,
        pool: &mut P,
        ids: &mut RequestIds,
    ) -> Result<Option<IoRequest<P>>, RefuseToStart> {
        let Some(at) = self.chunks.iter().position(|chunk| chunk.id == done.id) else {
            unreachable!("a completion goes to its request")
        };
        let IoBuffer::Owned(buffer) = done.buffer else { unreachable!("a read's buffer comes back with it") };
        let (file, chunk) = (self.file, &mut self.chunks[at]);
        let (offset, len) = (chunk.offset, chunk.len);
        let read = done.result.map_err(|error| RefuseToStart::ReadFailed {
            file,
            offset,
            bytes: len as u64,
            error,
        })?;
        assert!(read <= len, "no more is read than was asked for");
        let whole = read - read % BLOCK_BYTES;
        if whole == 0 {
            return Err(RefuseToStart::SegmentShort { file, offset, expected: self.end });
        }
        chunk.filled = Some((buffer, whole));
        if whole == len {
            return Ok(None);
        }
        chunk.len = whole;
        let id = ids.next();
        let rest = Chunk { id, offset: offset + whole as u64, len: len - whole, filled: None };
        let request = self.read(id, rest.offset, rest.len, config, pool);
        self.chunks.insert(at + 1, rest);
        Ok(Some(request))
    }
}
