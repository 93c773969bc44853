//! A disk that knows lengths of files and what there is room for, and keeps no bytes: for tests of full disks.

use std::collections::BTreeMap;

use super::HeapPool;
use crate::io::{FileId, IoBuffer, IoDone, IoError, IoOperation, IoRequest};

const ENOENT: i32 = 2;
const ENOSPC: i32 = 28;

/// Files that are cut are so when nothing else is left to do.
pub(crate) struct SmallDisk {
    /// Bytes by which files may grow.
    pub(crate) room: u64,
    pub(crate) lens: BTreeMap<FileId, u64>,
    pending: Vec<IoRequest<HeapPool>>,
}

impl SmallDisk {
    pub(crate) fn new(room: u64) -> Self {
        Self { room, lens: BTreeMap::new(), pending: Vec::new() }
    }

    pub(crate) fn submit(&mut self, request: IoRequest<HeapPool>) {
        self.pending.push(request);
    }

    /// Performs the oldest request, but for those that cut a file; `None`: there is none.
    pub(crate) fn complete_one(&mut self) -> Option<IoDone<HeapPool>> {
        let is_cut = |request: &IoRequest<_>| matches!(request.operation, IoOperation::Truncate { .. });
        if self.pending.is_empty() {
            return None;
        }
        let at = self.pending.iter().position(|request| !is_cut(request)).unwrap_or(0);
        let IoRequest { id, operation } = self.pending.remove(at);
        let (result, buffer) = match operation {
            IoOperation::CreateFile { file, .. } => {
                self.room += self.lens.insert(file, 0).unwrap_or(0);
                (Ok(0), IoBuffer::None)
            }
            IoOperation::Write { file, offset, buffer, range, .. } => {
                let grown = self.grow(file, offset + range.len() as u64);
                (grown.map(|()| range.len()), IoBuffer::Frozen(buffer))
            }
            IoOperation::Allocate { file, offset, bytes } => {
                (self.grow(file, offset + bytes).map(|()| 0), IoBuffer::None)
            }
            IoOperation::Truncate { file, bytes } => {
                let len = self.lens.insert(file, bytes).expect("what is cut is there");
                self.room += len - bytes;
                (Ok(0), IoBuffer::None)
            }
            IoOperation::DeleteFile { file } => {
                self.room += self.lens.remove(&file).expect("what is deleted is there");
                (Ok(0), IoBuffer::None)
            }
            IoOperation::SyncFile { .. } | IoOperation::SyncDirectory => (Ok(0), IoBuffer::None),
            IoOperation::Read { file, buffer, .. } => {
                assert!(!self.lens.contains_key(&file), "this disk keeps no bytes");
                (Err(ENOENT), IoBuffer::Owned(buffer))
            }
            IoOperation::FreeSpace { .. } => unreachable!("no test has a part of a file given back"),
        };
        Some(IoDone { id, result: result.map_err(IoError::from_errno), buffer })
    }

    fn grow(&mut self, file: FileId, end: u64) -> Result<(), i32> {
        let len = self.lens.get_mut(&file).ok_or(ENOENT)?;
        let more = end.saturating_sub(*len);
        self.room = self.room.checked_sub(more).ok_or(ENOSPC)?;
        *len += more;
        Ok(())
    }
}
