//! File operations of the ring: positioned writes and reads of blocks, and syncs.
//!
//! Rule: a short write or read is reported, not continued: only the caller knows where a new one may start. With
//! `O_DIRECT`, ranges and offsets are multiples of 4096.

use std::ffi::CString;
use std::ops::Range;

use crate::completion::{OperationId, Token, WriteDurability};
use crate::fd::Fd;
use crate::limits::TRANSFER_BYTES_MAX;
use crate::memory::{Blocks, FrozenBlocks};
use crate::operation::Operation;
use crate::ring::Ring;

impl Ring {
    /// Writes `range` of `buffer` at `offset` of the file. `Wrote` brings the handle back.
    pub fn write_at(
        &mut self,
        file: &Fd,
        buffer: FrozenBlocks,
        range: Range<usize>,
        offset: u64,
        durability: WriteDurability,
        token: Token,
    ) -> OperationId {
        check_range(&range, buffer.len(), offset);
        self.start(token, Operation::Write { file: file.clone(), buffer, range, offset, durability })
    }

    /// Reads `bytes` bytes at `offset` of the file into the start of `buffer`. `Read` brings the buffer back.
    pub fn read_at(
        &mut self,
        file: &Fd,
        buffer: Blocks,
        bytes: usize,
        offset: u64,
        token: Token,
    ) -> OperationId {
        self.read_range_at(file, buffer, 0..bytes, offset, token)
    }

    /// Reads at `offset` of the file into `range` of `buffer`: continues a short read without losing its start.
    pub fn read_range_at(
        &mut self,
        file: &Fd,
        buffer: Blocks,
        range: Range<usize>,
        offset: u64,
        token: Token,
    ) -> OperationId {
        check_range(&range, buffer.len(), offset);
        self.start(token, Operation::Read { file: file.clone(), buffer, range, offset })
    }

    /// Makes all writes completed before this call durable, and what is needed to find them (`fdatasync`).
    pub fn sync_data(&mut self, file: &Fd, token: Token) -> OperationId {
        self.start(token, Operation::Sync { file: file.clone(), data_only: true })
    }

    /// Makes all writes completed before this call and all metadata durable (`fsync`).
    pub fn sync_all(&mut self, file: &Fd, token: Token) -> OperationId {
        self.start(token, Operation::Sync { file: file.clone(), data_only: false })
    }

    /// Opens the file of this path to read and write past the page cache (`O_DIRECT`), and makes an empty one with the
    /// permissions `mode` where there is none: the kernel does it on a thread of its own, because a change of a directory
    /// may wait for the file system's journal. Completes as [`crate::Completion::Created`]; nothing is durable then.
    pub fn create(&mut self, path: CString, mode: u32, token: Token) -> OperationId {
        self.start(token, Operation::Create { path, mode })
    }

    /// Sets the file's length (`ftruncate`): the kernel does it on a thread of its own, for as long as the disk space behind
    /// the new end takes to be given back. Completes as [`crate::Completion::Synced`], though nothing is durable then.
    /// Error: `EINVAL` before Linux 6.9, whose rings cannot do it.
    pub fn truncate(&mut self, file: &Fd, bytes: u64, token: Token) -> OperationId {
        assert!(bytes <= i64::MAX.unsigned_abs(), "lengths of files are positive i64");
        self.start(token, Operation::Truncate { file: file.clone(), bytes })
    }

    /// Removes a file by its path (`unlink`): the kernel does it on a thread of its own, for as long as its disk space takes
    /// to be given back. Completes as [`crate::Completion::Synced`], though nothing is durable then.
    pub fn remove(&mut self, path: CString, token: Token) -> OperationId {
        self.start(token, Operation::Remove { path })
    }

    /// Gives the disk space of a range back, which then reads as zeros; the file keeps its length. Completes as
    /// [`crate::Completion::Synced`], though nothing is durable then. Error: `EOPNOTSUPP` where the file system cannot.
    pub fn free_space(&mut self, file: &Fd, offset: u64, bytes: u64, token: Token) -> OperationId {
        assert!(bytes > 0, "a range has bytes");
        self.start(token, Operation::FreeSpace { file: file.clone(), offset, bytes })
    }

    /// Takes disk space for `bytes` bytes, above 0, at `offset` of the file, which grows to hold them: later writes
    /// there need none (`fallocate`). Nothing is durable before a sync.
    pub fn allocate(&mut self, file: &Fd, offset: u64, bytes: u64, token: Token) -> OperationId {
        assert!(bytes > 0 && offset.checked_add(bytes).is_some_and(|end| end <= i64::MAX.unsigned_abs()));
        self.start(token, Operation::Allocate { file: file.clone(), offset, bytes })
    }
}

fn check_range(range: &Range<usize>, buffer_bytes: usize, offset: u64) {
    assert!(range.start < range.end && range.end <= buffer_bytes, "a transfer lies inside its buffer");
    assert!(range.len() <= TRANSFER_BYTES_MAX, "one transfer is below 2 GiB");
    assert!(offset <= i64::MAX.unsigned_abs() - TRANSFER_BYTES_MAX as u64, "file offsets are positive i64");
}
