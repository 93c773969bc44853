//! Writes that never reach a disk: what a start wants to change is kept in memory, over files that are only read.
//!
//! So the very recovery that a daemon runs can be run over a directory that must stay as it is. A start writes little:
//! manifests, a header, a fresh segment of zeros; blocks of zeros take no memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shard::io::{BLOCK_BYTES, FileId, IoBuffer, IoDone, IoOperation, IoRequest};

use crate::blocking_io::{io_error, read};
use crate::files::Files;
use crate::pool::Pool;

type Block = Option<Box<[u8; BLOCK_BYTES]>>;

/// What was changed of one file.
#[derive(Debug, Default)]
struct Changed {
    /// It was created, or removed: the file on disk counts no more.
    hides: bool,
    removed: bool,
    /// Blocks by their number; `None`: zeros.
    blocks: BTreeMap<u64, Block>,
}

/// The changes to the files of one directory.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    changed: Mutex<BTreeMap<FileId, Changed>>,
}

impl Scratch {
    fn changed(&self) -> MutexGuard<'_, BTreeMap<FileId, Changed>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Performs one request of the core: reads from `files`, which are only read, and from what was changed.
    pub(crate) fn perform(&self, files: &mut Files, request: IoRequest<Pool>) -> IoDone<Pool> {
        let (result, buffer) = match request.operation {
            IoOperation::CreateFile { file, .. } => {
                self.changed().insert(file, Changed { hides: true, ..Changed::default() });
                (Ok(0), IoBuffer::None)
            }
            IoOperation::Write { file, offset, buffer, range, .. } => {
                let len = range.len();
                self.write(file, offset, &buffer.as_ref()[range]);
                (Ok(len), IoBuffer::Frozen(buffer))
            }
            IoOperation::SyncFile { file, .. } => (self.sync(files, file), IoBuffer::None),
            IoOperation::SyncDirectory => (files.directory().sync_all().map(|()| 0), IoBuffer::None),
            IoOperation::Read { file, offset, mut buffer, len } => {
                let result = self.read(file, files.get(file), &mut buffer.as_mut()[..len], offset);
                (result, IoBuffer::Owned(buffer))
            }
            // What the range holds is nobody's any more: it may as well stay.
            IoOperation::FreeSpace { .. } | IoOperation::Allocate { .. } => (Ok(0), IoBuffer::None),
            // Asked for only by who gives up a file that it has made, of which nothing is read any more.
            IoOperation::Truncate { .. } => (Ok(0), IoBuffer::None),
            IoOperation::DeleteFile { file } => {
                self.changed().insert(file, Changed { hides: true, removed: true, ..Changed::default() });
                (Ok(0), IoBuffer::None)
            }
        };
        IoDone { id: request.id, result: result.map_err(|error| io_error(&error)), buffer }
    }

    fn write(&self, file: FileId, offset: u64, bytes: &[u8]) {
        let mut changed = self.changed();
        let blocks = &mut changed.entry(file).or_default().blocks;
        let (whole, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        assert!(rest.is_empty() && offset.is_multiple_of(BLOCK_BYTES as u64), "the core writes whole blocks");
        for (number, block) in (offset / BLOCK_BYTES as u64..).zip(whole) {
            let is_zero = block.iter().all(|&byte| byte == 0);
            blocks.insert(number, (!is_zero).then(|| Box::new(*block)));
        }
    }

    /// A file on disk is synced before it is read, so that what is decided on does not vanish with the power.
    fn sync(&self, files: &mut Files, file: FileId) -> io::Result<usize> {
        match self.changed().get(&file) {
            Some(Changed { removed: true, .. }) => return Err(io::Error::from_raw_os_error(libc::ENOENT)),
            Some(Changed { hides: true, .. }) => return Ok(0),
            _ => {}
        }
        files.get(file)?.sync_all().map(|()| 0)
    }

    /// Reads from a file, if it is there, and from what was changed of it.
    ///
    /// # Errors
    /// Those of the operating system; the one that `file` is where its bytes are needed.
    pub(crate) fn read(
        &self,
        name: FileId,
        file: io::Result<&File>,
        bytes: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        let changed = self.changed();
        let changed = changed.get(&name);
        if changed.is_some_and(|changed| changed.removed) {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        let hides = changed.is_some_and(|changed| changed.hides);
        let mut end = if hides { 0 } else { read(file?, bytes, offset)? };
        let Some(changed) = changed else { return Ok(end) };
        bytes[end..].fill(0);
        let first = offset / BLOCK_BYTES as u64;
        for (number, out) in (first..).zip(bytes.chunks_exact_mut(BLOCK_BYTES)) {
            if let Some(block) = changed.blocks.get(&number) {
                match block {
                    Some(block) => out.copy_from_slice(&block[..]),
                    None => out.fill(0),
                }
            }
        }
        if let Some((&last, _)) = changed.blocks.last_key_value() {
            let written = (last + 1) * BLOCK_BYTES as u64;
            let here = usize::try_from(written.saturating_sub(offset)).unwrap_or(usize::MAX);
            end = end.max(here.min(bytes.len()));
        }
        Ok(end)
    }
}
