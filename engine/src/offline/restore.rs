//! `ourod restore`: a dump into a new store directory.
//!
//! Order is the rule: a mark goes into the empty directory first, durably, and while it is there no daemon opens the
//! store. It goes last, when the dump has turned out whole and every record is in closed, durable files. A restore that
//! fails takes back what it wrote; one that is killed leaves the mark.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use shard::cold::Admission;
use shard::dump::{DumpCounts, DumpError, DumpReader, DumpRecord};
use shard::io::{Fatal, FileId};
use shard::log::{LogConfig, LogSpace, SyncMethod, SyncPolicy};
use shard::shard_set::StorageConfig;
use shard::types::UnixMs;

use super::{OnStep, Step};
use crate::blocking_io::perform;
use crate::clock::{Clock, unix_ms};
use crate::disk_store::{self, DiskStoreConfig};
use crate::files::{DIRECTORY_MODE, LOCK_NAME, LockError, RESTORE_MARK, StoreLock};
use crate::limits::{DUMP_PIECE_BYTES, RESTORE_BYTES_PER_TURN, RESTORE_RECORDS_PER_TURN};
use crate::open_error::OpenError;
use crate::start::WorkerSeed;
use crate::store::slot_owners;

/// What store to make.
#[derive(Clone, Debug)]
pub struct RestoreConfig {
    /// Its directory: missing, or empty.
    pub directory: PathBuf,
    /// Its shards, for its life.
    pub shards: u16,
    /// Its logs; a start with another number of workers changes that.
    pub workers: u16,
    /// Whether it has logs: for its life.
    pub wal: bool,
    /// Bytes of memory that records and index may take; `None`: no limit.
    pub memory_bytes_max: Option<u64>,
    /// Size of a log segment file.
    pub segment_bytes: u64,
}

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreOutcome {
    /// What was in the dump.
    pub counts: DumpCounts,
    /// Records left out because their deadline has passed.
    pub expired: u64,
}

/// Why a dump was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Something is in the directory.
    #[error(
        "{directory}: {name} is in this directory; a dump is restored into a new or an empty one, nothing was changed"
    )]
    NotEmpty {
        /// The directory.
        directory: PathBuf,
        /// What is in it.
        name: String,
    },
    /// It is in use.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The dump is not whole.
    #[error("{0}; nothing was restored")]
    Dump(#[from] DumpError),
    /// A key is in it twice.
    #[error("the dump holds key {key} of database {db} twice; nothing was restored")]
    Twice {
        /// The key, made printable.
        key: String,
        /// Its database.
        db: u8,
    },
    /// The dump cannot be read.
    #[error("reading the dump: {0}; nothing was restored")]
    Read(io::Error),
    /// The store cannot be made.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// Its files cannot be written.
    #[error("{directory}: {what}; nothing was restored")]
    Write {
        /// The directory.
        directory: PathBuf,
        /// What went wrong.
        what: String,
    },
    /// What was written cannot be taken back.
    #[error(
        "{first}; what was written could not be removed ({then}): remove {directory} before trying again"
    )]
    Remains {
        /// Why nothing was restored.
        first: Box<RestoreError>,
        /// What failed then.
        then: io::Error,
        /// The directory.
        directory: PathBuf,
    },
}

/// Reads a dump from end to end without restoring it.
///
/// # Errors
/// It is not whole.
pub fn verify_dump(input: &mut dyn Read, on_step: OnStep<'_>) -> Result<DumpCounts, RestoreError> {
    read_dump(input, "verifying", on_step, &mut |_| Ok(()))
}

fn read_dump(
    input: &mut dyn Read,
    what: &'static str,
    on_step: OnStep<'_>,
    each: &mut dyn FnMut(&DumpRecord<'_>) -> Result<(), RestoreError>,
) -> Result<DumpCounts, RestoreError> {
    let (mut reader, mut piece) = (DumpReader::new(), vec![0; DUMP_PIECE_BYTES]);
    loop {
        let len = match input.read(&mut piece) {
            Ok(0) => return Ok(reader.finish()?),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(RestoreError::Read(error)),
        };
        reader.push(&piece[..len])?;
        while let Some(record) = reader.next_record()? {
            each(&record)?;
        }
        on_step(Step { what, done: reader.counts().records, total: 0, unit: "records" });
    }
}

/// Restores a dump into a new store. On return the store is durable and a daemon may open it.
///
/// # Errors
/// The directory is as it was before, or says that it is unfinished.
pub fn restore(
    config: &RestoreConfig,
    input: &mut dyn Read,
    on_step: OnStep<'_>,
) -> Result<RestoreOutcome, RestoreError> {
    let directory = &config.directory;
    let failed =
        |error: io::Error| RestoreError::Write { directory: directory.clone(), what: error.to_string() };
    check_empty(directory)?;
    let existed = directory.exists();
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory).map_err(failed)?;
    // Whoever else has the lock, or had it since the look, has files here: they are not this restore's to remove.
    let lock = StoreLock::acquire(directory)?;
    check_empty(directory)?;
    let begun = begin(directory).map_err(failed);
    let result = begun.and_then(|()| fill(config, &lock, input, on_step)).and_then(|outcome| {
        fs::remove_file(directory.join(RESTORE_MARK))
            .and_then(|()| sync_directory(directory))
            .map_err(failed)?;
        Ok(outcome)
    });
    result.map_err(|first| match take_back(directory, existed) {
        Ok(()) => first,
        Err(then) => RestoreError::Remains { first: Box::new(first), then, directory: directory.clone() },
    })
}

/// Whether nothing is in it. The lock's file alone is nothing: who gets the lock may use it.
fn check_empty(directory: &Path) -> Result<(), RestoreError> {
    let failed = |error: io::Error| RestoreError::Write {
        directory: directory.to_path_buf(),
        what: error.to_string(),
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        // A fresh file system has this of its own.
        if name != "lost+found" && name != LOCK_NAME {
            return Err(RestoreError::NotEmpty { directory: directory.to_path_buf(), name });
        }
    }
    Ok(())
}

/// The mark, durable, before anything else.
fn begin(directory: &Path) -> io::Result<()> {
    let text = "ourod restore is filling this directory, or was ended before it could: what is here is no whole store.\n";
    let path = directory.join(RESTORE_MARK);
    fs::write(&path, text)?;
    File::open(&path)?.sync_all()?;
    sync_directory(directory)?;
    // The directory's own name, where its parent can be opened.
    directory.canonicalize()?.parent().map_or(Ok(()), sync_directory)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Removes what a restore wrote; the mark last.
fn take_back(directory: &Path, existed: bool) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.parse::<FileId>().is_ok() || name == LOCK_NAME {
            fs::remove_file(entry.path())?;
        }
    }
    sync_directory(directory)?;
    match fs::remove_file(directory.join(RESTORE_MARK)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if existed { Ok(()) } else { fs::remove_dir(directory) }
}

fn fill(
    config: &RestoreConfig,
    lock: &StoreLock,
    input: &mut dyn Read,
    on_step: OnStep<'_>,
) -> Result<RestoreOutcome, RestoreError> {
    let store = DiskStoreConfig {
        directory: config.directory.clone(),
        workers: config.workers,
        cpus: Vec::new(),
        shards: config.shards,
        shards_given: true,
        wal: config.wal,
        // Nobody waits for a reply: durable once, at the end.
        log: LogConfig {
            segment_bytes: config.segment_bytes,
            sync: SyncMethod::Fdatasync,
            policy: SyncPolicy::Never,
            ..LogConfig::default()
        },
        storage: StorageConfig {
            memory_bytes_max: config.memory_bytes_max.map(|bytes| bytes / u64::from(config.workers)),
            waiting_per_flight: 1,
            ..StorageConfig::default()
        },
    };
    let store = disk_store::create(&store, lock)?;
    let (owners, _) = slot_owners(&store.open.manifest);
    let mut filling = Filling {
        directory: config.directory.clone(),
        workers: store.open.seeds.into_iter().map(Filler::new).collect(),
        owners,
        now: unix_ms(),
        expired: 0,
    };
    let counts = read_dump(input, "restoring", on_step, &mut |record| filling.put(record))?;
    filling.close(on_step)?;
    Ok(RestoreOutcome { counts, expired: filling.expired })
}

/// One worker's shards being filled.
struct Filler {
    seed: WorkerSeed,
    records: usize,
    bytes: usize,
}

impl Filler {
    fn new(seed: WorkerSeed) -> Self {
        Self { seed, records: 0, bytes: 0 }
    }

    /// Performs all I/O that is asked for, until none is.
    fn perform_all(&mut self) -> Result<(), Fatal> {
        let Some(files) = self.seed.files.as_mut() else { return Ok(()) };
        while let Some(request) = self.seed.shards.next_io() {
            self.seed.shards.on_io(perform(files, request))?;
        }
        Ok(())
    }

    /// One turn: what was put goes into the log, extents to their file, memory back.
    fn turn(&mut self) -> Result<(), Fatal> {
        (self.records, self.bytes) = (0, 0);
        let clock = Clock::read();
        if let Some(log) = self.seed.shards.log_mut() {
            log.advance_clock(clock.now_ns);
        }
        self.seed.shards.tick(clock.now, clock.now_ns, 0);
        loop {
            let more = self.seed.shards.end_turn(clock.now, clock.now_ns);
            self.perform_all()?;
            if !more {
                return Ok(());
            }
        }
    }
}

struct Filling {
    directory: PathBuf,
    workers: Vec<Filler>,
    owners: Vec<u16>,
    now: UnixMs,
    expired: u64,
}

impl Filling {
    fn failed(&self, error: &dyn std::fmt::Display) -> RestoreError {
        RestoreError::Write { directory: self.directory.clone(), what: error.to_string() }
    }

    fn put(&mut self, record: &DumpRecord<'_>) -> Result<(), RestoreError> {
        if record.deadline.is_some_and(|deadline| deadline <= self.now) {
            self.expired += 1;
            return Ok(());
        }
        let slot = shard::slot::slot_of(record.key);
        let worker = usize::from(self.owners[usize::from(slot.0)]);
        let filler = &mut self.workers[worker];
        let shards = &mut filler.seed.shards;
        let hasher = *shards.hasher();
        let key = hasher.key(record.key);
        let need = shards.need(record.db, key.slot, key.hash);
        // Another key with the same hash bits may lie on disk only: the store looks at it to tell them apart.
        let mut ticket = None;
        if shards.admit(0, std::iter::once(need)) == Admission::Parked {
            let result = filler.perform_all();
            let called = filler.seed.shards.next_called();
            result.map_err(|error| self.failed(&error))?;
            let Some((number, _, read)) = called else {
                return Err(self.failed(&"a record of the new store cannot be read back"));
            };
            read.map_err(|error| self.failed(&error))?;
            ticket = Some(number);
        }
        let filler = &mut self.workers[worker];
        let shards = &mut filler.seed.shards;
        let is_new = shards.lookup(record.db, &key, self.now).is_none();
        if is_new {
            shards.put(record.db, &key, record.value, record.deadline);
        }
        if let Some(ticket) = ticket {
            shards.finish(ticket);
        }
        if !is_new {
            let key = String::from_utf8_lossy(record.key).escape_debug().to_string();
            return Err(RestoreError::Twice { key, db: record.db.0 });
        }
        filler.records += 1;
        filler.bytes += record.key.len() + record.value.len();
        if filler.records < RESTORE_RECORDS_PER_TURN && filler.bytes < RESTORE_BYTES_PER_TURN {
            return Ok(());
        }
        let result = filler.turn();
        let full = filler.seed.shards.log().is_some_and(|log| matches!(log.space(), LogSpace::Low { .. }));
        result.map_err(|error| self.failed(&error))?;
        if full { Err(self.failed(&"no space is left for the log")) } else { Ok(()) }
    }

    /// Checkpoints, clean marks, all durable.
    fn close(&mut self, on_step: OnStep<'_>) -> Result<(), RestoreError> {
        let total = self.workers.len() as u64;
        for worker in 0..self.workers.len() {
            on_step(Step { what: "making it durable", done: worker as u64, total, unit: "logs" });
            let filler = &mut self.workers[worker];
            let mut result = filler.turn();
            filler.seed.shards.begin_close();
            while result.is_ok() && !filler.seed.shards.is_closed() {
                result = filler.turn();
                let given_up = |space: shard::shard_set::DiskSpace| space.checkpoints_given_up > 0;
                if filler.seed.shards.log().is_none() && filler.seed.shards.disk_space().is_some_and(given_up)
                {
                    return Err(self.failed(&"no space is left for the snapshots"));
                }
            }
            result.map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }
}
