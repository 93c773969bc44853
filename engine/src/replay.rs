//! Applies what recovery hands out to the shards, many records at a time: their index misses overlap, and so do the
//! reads of records that are on disk only.

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use shard::cold::{ColdReadError, ReplayRead};
use shard::io::{BLOCK_BYTES, BlockPool, FileId, IoError};
use shard::key::KeyHasher;
use shard::log::recovery::RecoveryEvent;
use shard::record::{Head, Record};
use shard::shard::ApplyError;
use shard::types::ShardId;

use crate::Shard;
use crate::blocking_io::io_error;
use crate::files::Files;
use crate::pool::Pool;

/// Records applied together at most, while all that is looked at is in memory.
const RECORDS: usize = 32;
/// Records applied together at most, while records may have to be read back: their reads go in one pass by location.
const COLD_RECORDS: usize = 8192;
/// Bytes of records applied together at most.
const BYTES: usize = 256 << 10;
/// The same, while records may have to be read back.
const COLD_BYTES: usize = 8 << 20;
/// Threads that read records back.
const READERS: usize = 16;
/// Bytes of records read back that one shard keeps.
const KEPT_BYTES: usize = 16 << 20;

/// Why a replay cannot go on.
#[derive(Debug)]
pub(crate) enum ReplayError {
    /// Records do not fit together.
    Apply(ApplyError),
    /// A record on disk cannot be read back.
    Read(ColdReadError),
    /// A data file cannot be opened.
    Open(std::io::Error),
}

impl From<ApplyError> for ReplayError {
    fn from(error: ApplyError) -> Self {
        Self::Apply(error)
    }
}

/// Records that wait to be applied.
pub(crate) struct Replay {
    /// Number of the first of the shards.
    first: ShardId,
    directory: PathBuf,
    /// The data files, open once one is read.
    files: Option<Files>,
    bytes: Vec<u8>,
    /// Position of the shard, and where in `bytes` the record lies.
    records: Vec<(usize, Range<usize>)>,
    scratch: Vec<u8>,
}

impl Replay {
    pub(crate) fn new(first: ShardId, directory: &Path) -> Self {
        Self {
            first,
            directory: directory.to_path_buf(),
            files: None,
            bytes: Vec::new(),
            records: Vec::with_capacity(RECORDS),
            scratch: Vec::new(),
        }
    }

    fn position(&self, shard: ShardId) -> usize {
        usize::from(shard.0) - usize::from(self.first.0)
    }

    /// Takes an event; a floor takes effect at once, records with others.
    ///
    /// # Errors
    /// When records do not fit together, or cannot be read back.
    pub(crate) fn take(
        &mut self,
        event: RecoveryEvent<'_>,
        shards: &mut [Shard],
        hasher: &KeyHasher,
        pool: &mut Pool,
    ) -> Result<(), ReplayError> {
        match event {
            RecoveryEvent::Floor(floor) => {
                self.flush(shards, hasher, pool)?;
                let position = self.position(floor.shard);
                shards[position].take_floor(floor)?;
            }
            RecoveryEvent::Record { record, bytes } => {
                let position = self.position(record.shard);
                // What the snapshot holds already is not even looked at.
                if record.lsn <= shards[position].lsn() {
                    return Ok(());
                }
                let start = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                self.records.push((position, start..self.bytes.len()));
                let warm = shards[position].extents().is_all_in_memory();
                let (records, bytes) = if warm { (RECORDS, BYTES) } else { (COLD_RECORDS, COLD_BYTES) };
                if self.records.len() >= records || self.bytes.len() >= bytes {
                    self.flush(shards, hasher, pool)?;
                }
            }
        }
        Ok(())
    }

    /// Applies what waits.
    ///
    /// # Errors
    /// When records do not fit together, or cannot be read back.
    pub(crate) fn flush(
        &mut self,
        shards: &mut [Shard],
        hasher: &KeyHasher,
        pool: &mut Pool,
    ) -> Result<(), ReplayError> {
        let mut reads = Vec::new();
        let mut seen = 0;
        for (position, range) in &self.records {
            let (record, _) = decode(&self.bytes, range);
            let key = hasher.key(record.key);
            let shard = &shards[*position];
            seen ^= shard.warm(record.keyspace, key.slot, key.hash);
            shard.replay_needs(&record, &key, |read| reads.push((*position, read)));
        }
        std::hint::black_box(seen);
        let had_reads = !reads.is_empty();
        if had_reads {
            self.read_back(reads, shards, pool)?;
        }
        for (position, range) in &self.records {
            let (record, raw) = decode(&self.bytes, range);
            shards[*position].apply(&record, raw, hasher, pool, &mut self.scratch)?;
        }
        if had_reads {
            for shard in shards {
                shard.replay_forget(KEPT_BYTES);
            }
        }
        self.records.clear();
        self.bytes.clear();
        self.bytes.shrink_to(2 * BYTES);
        Ok(())
    }

    /// Reads records back in the order they lie on disk, many at a time.
    fn read_back(
        &mut self,
        mut reads: Vec<(usize, ReplayRead)>,
        shards: &mut [Shard],
        pool: &mut Pool,
    ) -> Result<(), ReplayError> {
        reads.sort_unstable_by_key(|(position, read)| (*position, read.place.offset, read.place.start));
        reads.dedup();
        if self.files.is_none() {
            self.files = Some(Files::new(&self.directory).map_err(ReplayError::Open)?);
        }
        let files = self.files.as_mut().expect("just opened");
        let mut data = Vec::new();
        for (position, shard) in shards.iter().enumerate() {
            let wanted = reads.binary_search_by_key(&position, |(position, _)| *position).is_ok();
            let id = FileId::ShardData { shard: shard.id() };
            let file = if wanted { Some(files.get(id).and_then(std::fs::File::try_clone)) } else { None };
            data.push(file.transpose().map_err(ReplayError::Open)?);
        }
        let mut jobs: Vec<_> = reads.iter().map(|(_, read)| (pool.take(read.place.len), Ok(0))).collect();
        let per_thread = reads.len().div_ceil(READERS).max(1);
        std::thread::scope(|scope| {
            for (reads, jobs) in reads.chunks(per_thread).zip(jobs.chunks_mut(per_thread)) {
                let data = &data;
                scope.spawn(move || {
                    for ((position, read), (buffer, result)) in reads.iter().zip(jobs) {
                        let file = data[*position].as_ref().expect("opened above");
                        let bytes = &mut buffer.as_mut()[..read.place.len];
                        *result = read_all(file, bytes, read.place.offset).map_err(|error| io_error(&error));
                    }
                });
            }
        });
        for ((position, read), (mut buffer, result)) in reads.into_iter().zip(jobs) {
            let result: Result<usize, IoError> = result;
            let shard = &mut shards[position];
            shard.replay_take(read, buffer.as_mut(), result).map_err(ReplayError::Read)?;
            pool.put(buffer);
        }
        Ok(())
    }
}

/// Reads until the buffer is full or the file ends.
fn read_all(file: &std::fs::File, bytes: &mut [u8], offset: u64) -> std::io::Result<usize> {
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

fn decode<'a>(bytes: &'a [u8], range: &Range<usize>) -> (Record<'a>, &'a [u8]) {
    let raw = &bytes[range.clone()];
    let record = Head::decode(raw).and_then(|head| Record::from_head(&head, raw));
    (record.expect("recovery hands out what it has verified"), raw)
}
