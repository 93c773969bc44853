//! Performs the core's I/O one piece after the other, for start and stop, where nothing else is to be done.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use shard::io::{FileId, IoBuffer, IoDone, IoError, IoOperation, IoRequest};

use crate::files::Files;
use crate::pool::Pool;

/// Performs one request and returns its completion.
pub fn perform(files: &mut Files, request: IoRequest<Pool>) -> IoDone<Pool> {
    if let Some(scratch) = files.scratch() {
        return std::sync::Arc::clone(scratch).perform(files, request);
    }
    let (result, buffer) = match request.operation {
        IoOperation::CreateFile { file, .. } => (files.create(file).map(|_| 0), IoBuffer::None),
        IoOperation::Write { file, offset, buffer, range, durable } => {
            let result = write(files, file, &buffer.as_ref()[range], offset, durable);
            (result, IoBuffer::Frozen(buffer))
        }
        IoOperation::SyncFile { file, data_only } => (sync(files, file, data_only), IoBuffer::None),
        IoOperation::SyncDirectory => (files.directory().sync_all().map(|()| 0), IoBuffer::None),
        IoOperation::Read { file, offset, mut buffer, len } => {
            let result = files.get(file).and_then(|file| read(file, &mut buffer.as_mut()[..len], offset));
            (result, IoBuffer::Owned(buffer))
        }
        IoOperation::FreeSpace { file, offset, bytes } => {
            let freed = files.get(file).and_then(|file| ring::punch_hole(file, offset, bytes));
            (freed.map(|()| 0), IoBuffer::None)
        }
        IoOperation::DeleteFile { file } => (files.delete(file).map(|()| 0), IoBuffer::None),
        IoOperation::Allocate { file, offset, bytes } => {
            let result = files.get(file).and_then(|file| {
                let flags = rustix::fs::FallocateFlags::empty();
                retry(|| Ok(rustix::fs::fallocate(file, flags, offset, bytes)?))
            });
            (allocated(result).map(|()| 0), IoBuffer::None)
        }
        IoOperation::Truncate { file, bytes } => {
            (files.get(file).and_then(|file| file.set_len(bytes)).map(|()| 0), IoBuffer::None)
        }
    };
    IoDone { id: request.id, result: result.map_err(|error| io_error(&error)), buffer }
}

/// A file system that cannot set space aside (`EOPNOTSUPP`) is no reason to refuse service: then a full disk is noticed
/// by a write that fails, which ends the process.
pub(crate) fn allocated(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        other => other,
    }
}

fn write(files: &mut Files, file: FileId, bytes: &[u8], offset: u64, durable: bool) -> io::Result<usize> {
    let file = files.get(file)?;
    let written = retry(|| file.write_at(bytes, offset))?;
    if durable {
        file.sync_data()?;
    }
    Ok(written)
}

fn sync(files: &mut Files, file: FileId, data_only: bool) -> io::Result<usize> {
    let file = files.get(file)?;
    if data_only { file.sync_data() } else { file.sync_all() }.map(|()| 0)
}

pub(crate) fn read(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    retry(|| file.read_at(bytes, offset))
}

fn retry<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The core's view of an operating system's error.
pub(crate) fn io_error(error: &io::Error) -> IoError {
    IoError::from_errno(error.raw_os_error().unwrap_or(0))
}
