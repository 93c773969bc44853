//! Reads records back that are on disk only, for the thread that applies a log: in the order they lie there, many at a
//! time.

use std::os::unix::fs::FileExt;

use shard::cold::{ColdReadError, ReplayRead};
use shard::io::{BLOCK_BYTES, BlockPool, Fatal, FileId, IoError};
use shard::shard::ApplyError;

use crate::Shard;
use crate::blocking_io::io_error;
use crate::files::{Files, StoreDirectory};
use crate::limits::{REPLAY_KEPT_BYTES, REPLAY_READERS};
use crate::pool::Pool;

/// Why a replay cannot go on.
#[derive(Debug)]
pub(crate) enum ReplayError {
    /// Records do not fit together.
    Apply(ApplyError),
    /// A record on disk cannot be read back.
    Read(ColdReadError),
    /// The shards take more memory than is allowed, and nothing can leave it.
    Memory,
    /// What was to leave memory could not be written.
    Write(Fatal),
    /// A data file cannot be opened.
    Open(std::io::Error),
}

impl From<ApplyError> for ReplayError {
    fn from(error: ApplyError) -> Self {
        Self::Apply(error)
    }
}

/// Reads records of some shards back.
pub(crate) struct ColdReader {
    directory: StoreDirectory,
    /// The data files, open once one is read.
    files: Option<Files>,
}

impl ColdReader {
    pub(crate) fn new(directory: &StoreDirectory) -> Self {
        Self { directory: directory.clone(), files: None }
    }

    /// The files of the store, opened when first used: no other descriptor of this process has them open meanwhile.
    ///
    /// # Errors
    /// When the directory cannot be opened.
    pub(crate) fn files(&mut self) -> Result<&mut Files, ReplayError> {
        if self.files.is_none() {
            self.files = Some(self.directory.files().map_err(ReplayError::Open)?);
        }
        Ok(self.files.as_mut().expect("just opened"))
    }

    /// Reads these records of a shard into its memory.
    ///
    /// # Errors
    /// When one of them is not what was written there.
    pub(crate) fn read_back(
        &mut self,
        shard: &mut Shard,
        mut reads: Vec<ReplayRead>,
        pool: &mut Pool,
    ) -> Result<(), ReplayError> {
        if reads.is_empty() {
            return Ok(());
        }
        reads.sort_unstable_by_key(|read| (read.place.offset, read.place.start));
        reads.dedup();
        let file = self.files()?.get(FileId::ShardData { shard: shard.id() }).map_err(ReplayError::Open)?;
        let mut jobs: Vec<_> = reads.iter().map(|read| (pool.take(read.place.len), Ok(0))).collect();
        let per_thread = reads.len().div_ceil(REPLAY_READERS).max(1);
        std::thread::scope(|scope| {
            for (reads, jobs) in reads.chunks(per_thread).zip(jobs.chunks_mut(per_thread)) {
                scope.spawn(move || {
                    for (read, (buffer, result)) in reads.iter().zip(jobs) {
                        let bytes = &mut buffer.as_mut()[..read.place.len];
                        *result = read_all(file, bytes, read.place.offset).map_err(|error| io_error(&error));
                    }
                });
            }
        });
        // What chunks before this one needed may go, what this one needs stays until it is applied.
        shard.replay_forget(REPLAY_KEPT_BYTES);
        for (read, (mut buffer, result)) in reads.into_iter().zip(jobs) {
            let result: Result<usize, IoError> = result;
            shard.replay_take(read, buffer.as_mut(), result).map_err(ReplayError::Read)?;
            pool.put(buffer);
        }
        Ok(())
    }
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_all(file: &std::fs::File, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], offset + done as u64) {
            // What is left over of a block is the end of the file: direct I/O cannot go on from there.
            Ok(len) if len % BLOCK_BYTES != 0 || len == 0 => return Ok(done + len),
            Ok(len) => done += len,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
