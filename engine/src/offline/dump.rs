//! `ourod dump`: a stopped store as a stream of records. Nothing on disk is changed.

use std::io::Write;
use std::path::PathBuf;

use shard::dump::{DumpCounts, DumpWriter};

use super::sweep::{SweepError, sweep};
use super::{OnStep, Step};
use crate::clock::unix_ms;
use crate::disk_store::{ReadOnlyStore, open_read_only};
use crate::files::{LockError, StoreDirectory, StoreLock};
use crate::limits::DUMP_PIECE_BYTES;
use crate::open_error::OpenError;
use crate::pool::Pool;

/// What to dump.
#[derive(Clone, Debug)]
pub struct DumpConfig {
    /// The store's directory.
    pub directory: PathBuf,
    /// Bytes of memory that recovery may need; `None`: no limit.
    pub memory_bytes_max: Option<u64>,
}

/// What was dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DumpOutcome {
    /// What is in the dump.
    pub counts: DumpCounts,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Why there is no dump.
#[derive(Debug, thiserror::Error)]
pub enum DumpStoreError {
    /// The directory is in use.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A start would refuse the store.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// A record cannot be read.
    #[error("{directory}: {what}; what was written so far is no whole dump")]
    Record {
        /// The directory.
        directory: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The dump cannot be written.
    #[error("writing the dump: {0}")]
    Write(std::io::Error),
}

/// Writes all keys of the store that have not ended to `output`. The dump is whole only when this returns `Ok`; then
/// the caller makes it durable.
///
/// # Errors
/// What is in `output` is no whole dump, and `restore` refuses it.
pub fn dump(
    config: &DumpConfig,
    output: &mut dyn Write,
    on_step: OnStep<'_>,
) -> Result<DumpOutcome, DumpStoreError> {
    let directory = &config.directory;
    let lock = StoreLock::acquire_to_read(directory)?;
    on_step(Step { what: "recovering in memory", done: 0, total: 0, unit: "records" });
    let ReadOnlyStore { manifest, shards, .. } = open_read_only(directory, config.memory_bytes_max, &lock)?;
    let io = |source| OpenError::Io { directory: directory.clone(), source };
    let mut files = StoreDirectory::read_only(directory).files().map_err(io)?;
    let mut pool = Pool::new(0, 0).map_err(io)?;
    let now = unix_ms();
    let mut writer = DumpWriter::new(manifest.uuid, now);
    let (mut bytes, total) = (0, shards.iter().map(crate::Shard::entry_count).sum());
    for shard in shards {
        sweep(&shard, manifest.databases, &mut files, &mut pool, now, &mut |record| {
            writer.push(record);
            if writer.output().len() >= DUMP_PIECE_BYTES {
                bytes += hand_over(&mut writer, output)?;
                let done = writer.counts().records;
                on_step(Step { what: "dumping", done, total, unit: "records" });
            }
            Ok(())
        })
        .map_err(|error| match error {
            SweepError::Visitor(error) => DumpStoreError::Write(error),
            error => DumpStoreError::Record { directory: directory.clone(), what: error.to_string() },
        })?;
    }
    writer.finish();
    bytes += hand_over(&mut writer, output).map_err(DumpStoreError::Write)?;
    output.flush().map_err(DumpStoreError::Write)?;
    Ok(DumpOutcome { counts: *writer.counts(), bytes })
}

fn hand_over(writer: &mut DumpWriter, output: &mut dyn Write) -> std::io::Result<u64> {
    let bytes = writer.output();
    output.write_all(bytes)?;
    let len = bytes.len() as u64;
    bytes.clear();
    Ok(len)
}
