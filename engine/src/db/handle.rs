//! The handle: opens a store, sends calls to the workers that own the keys, waits for the answers.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::RingConfig;
use shard::key::KeyHasher;
use shard::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use shard::log::SyncMethod;
use shard::shard_set::TaskKind;
use shard::types::Slot;

use super::call::{Answer, Call, Message, Operation, OwnedKey};
use super::error::DbError;
use super::iterate::Iter;
use super::options::{DbOptions, Ttl};
use super::service::DbService;
use super::state::State;
use crate::disk_store;
use crate::figures::WorkerFigures;
use crate::files::StoreLock;
use crate::start::{ControlSender, Workers};
use crate::store::{OpenStore, open_in_memory, slot_owners};
use crate::sync_probe::SyncProbe;

/// Sizes of a worker's ring: nothing but storage goes through it.
fn ring_config() -> RingConfig {
    RingConfig { entries: 256, recv_buffer_count: 0, ..RingConfig::default() }
}

/// A key-value store inside this process.
///
/// A handle is `Send`, `Sync` and cheap to clone, and may be used from any number of threads at once. Each call
/// blocks its thread until the worker that owns the key's shard has answered; calls of many threads share the log's
/// flushes. The store is closed when the last handle is dropped, or by [`Db::close`].
///
/// **What is durable when.** With a log ([`Db::open_with_wal`]) a write that has returned survives power loss, and so
/// does whatever a read has shown (unless [`DbOptions::durability`] asks for less). On disk without a log ([`Db::open`])
/// what a checkpoint holds survives, and a crash takes the rest. In memory nothing survives.
///
/// **When a drive fails** (a write or sync error) nothing is acknowledged from then on: every call on every handle
/// answers [`DbError::Failed`], the host process goes on. Writes that were under way may or may not be there later.
/// Drop all handles and open the store again: recovery decides. A broken invariant of Ouro's own does the same where
/// panics unwind; where they abort (`panic = "abort"`) it ends the process, as any panic does.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use engine::db::{Db, DbOptions};
///
/// let directory = tempfile::tempdir()?;
/// let db = Db::open_with_wal(directory.path(), &DbOptions::new().wal_segment_bytes(1 << 20))?;
/// db.set("user:1", "Ada")?; // on disk when this returns
/// db.set("user:2", "Grace")?;
/// db.set("other", "x")?;
///
/// let writer = db.clone();
/// std::thread::spawn(move || writer.set("user:3", "Edsger")).join().unwrap()?;
///
/// assert_eq!(db.get("user:1")?.as_deref(), Some(&b"Ada"[..]));
/// let users = db.iter_prefix("user:").collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(users.len(), 3);
/// assert!(db.delete("other")?);
/// db.close()?;
///
/// let db = Db::open_with_wal(directory.path(), &DbOptions::new().wal_segment_bytes(1 << 20))?;
/// assert_eq!(db.get("user:3")?.as_deref(), Some(&b"Edsger"[..]));
/// assert_eq!(db.get("other")?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    state: Arc<State>,
    control: Vec<ControlSender<Message>>,
    /// The running workers and the right to the directory, until the store is closed.
    running: Mutex<Option<(Workers<Message>, Option<StoreLock>)>>,
    owners: Box<[u16]>,
    hasher: KeyHasher,
    /// `None` in memory.
    directory: Option<PathBuf>,
    wal: bool,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("directory", &self.inner.directory).finish_non_exhaustive()
    }
}

impl Db {
    // ---- opening ----------------------------------------------------------------------------------------------

    /// A store in memory: nothing of it survives the last handle, and there is no file.
    ///
    /// # Errors
    /// When workers cannot be started; see [`DbError`].
    pub fn open_in_memory() -> Result<Self, DbError> {
        DbOptions::new().open_in_memory()
    }

    /// Opens the store of a directory, made if it is not there, without a log: fast writes, durable at checkpoints only
    /// ([`Db::checkpoint`], [`Db::flush`], [`Db::close`], and by itself after [`DbOptions::checkpoint_log_bytes`] and [`DbOptions::checkpoint_after`]). After a
    /// crash each shard is exactly what it was at the end of its newest checkpoint; shards are not consistent with each
    /// other, unless nothing was written meanwhile.
    ///
    /// # Errors
    /// When the directory is in use, not provably whole, or a store with a log (it is left as it was), or workers cannot
    /// be started; see [`DbError`].
    pub fn open(directory: impl AsRef<Path>, options: &DbOptions) -> Result<Self, DbError> {
        options.open(directory)
    }

    /// Opens the store of a directory, made if it is not there, with a write-ahead log: a write is durable when it
    /// returns. Reads what the run before left, which takes a while after a crash.
    ///
    /// # Errors
    /// When the directory is in use or not provably whole (it is left as it was), or workers cannot be started; see
    /// [`DbError`].
    pub fn open_with_wal(directory: impl AsRef<Path>, options: &DbOptions) -> Result<Self, DbError> {
        options.open_with_wal(directory)
    }

    pub(super) fn start_in_memory(options: &DbOptions) -> Result<Self, DbError> {
        let failed = |source| DbError::Io { path: PathBuf::from("(memory)"), source };
        let open = open_in_memory(options.shard_count(), options.worker_count(), &options.cpus);
        Self::start(open.map_err(failed)?, options.memory_limit, None, false)
    }

    pub(super) fn start_on_disk(options: &DbOptions, directory: &Path, wal: bool) -> Result<Self, DbError> {
        let lock = StoreLock::acquire(directory)?;
        let failed = |source| DbError::Io { path: directory.to_path_buf(), source };
        let sync = match options.sync {
            Some(method) => method,
            None if !wal => SyncMethod::Fdatasync,
            None => {
                SyncProbe::run(directory).map_err(failed)?.map_or(SyncMethod::Dsync, |probe| probe.better())
            }
        };
        let config = options.disk_store(directory.to_path_buf(), wal, sync);
        let store = disk_store::open(&config, &lock)?;
        Self::start(store.open, 0, Some((directory.to_path_buf(), lock)), wal)
    }

    fn start(
        store: OpenStore,
        memory_limit: u64,
        on_disk: Option<(PathBuf, StoreLock)>,
        wal: bool,
    ) -> Result<Self, DbError> {
        let OpenStore { manifest, seeds, keeper: _ } = store;
        let state = Arc::new(State::new(seeds.len(), memory_limit));
        let for_services = Arc::clone(&state);
        let make = move |_, workers| DbService::new(Arc::clone(&for_services), workers);
        // Whoever failed has told the others and the handles by itself.
        let workers = Workers::start(seeds, &ring_config(), make, |_, _| {})?;
        let (directory, lock) = on_disk.unzip();
        let inner = Inner {
            state,
            control: workers.control.clone(),
            running: Mutex::new(Some((workers, lock))),
            owners: slot_owners(&manifest).0.into(),
            hasher: KeyHasher::new(manifest.seed),
            directory,
            wal,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    // ---- records ----------------------------------------------------------------------------------------------

    /// Sets a key to a value, for good: an earlier deadline is gone. With a log it is durable on return.
    ///
    /// # Errors
    /// See [`DbError`]; after [`DbError::Failed`] the write may or may not be there later.
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), DbError> {
        self.write(key.as_ref(), value.as_ref(), None)
    }

    /// As [`Db::set`]; the key ends after `ttl`, to the millisecond. With a `ttl` of zero it is gone at once.
    ///
    /// # Errors
    /// As [`Db::set`].
    pub fn set_with_ttl(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> Result<(), DbError> {
        self.write(key.as_ref(), value.as_ref(), Some(ttl))
    }

    fn write(&self, key: &[u8], value: &[u8], ttl: Option<Duration>) -> Result<(), DbError> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(DbError::ValueTooLong { bytes: value.len() });
        }
        let value = value.to_vec();
        self.ask_owner(key, |key| Operation::Set { key, value, ttl }).map(|_| ())
    }

    /// The value of a key, if it is there. What it shows, presence or absence, is as durable as a write.
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, DbError> {
        match self.ask_owner(key.as_ref(), Operation::Get)? {
            Answer::Value(value) => Ok(value),
            other => unreachable!("a value was asked for: {other:?}"),
        }
    }

    /// Deletes a key. False: it was not there. With a log it is durable on return.
    ///
    /// # Errors
    /// As [`Db::set`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, DbError> {
        self.ask_flag(key.as_ref(), Operation::Delete)
    }

    /// Whether a key is there.
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn exists(&self, key: impl AsRef<[u8]>) -> Result<bool, DbError> {
        self.ask_flag(key.as_ref(), Operation::Exists)
    }

    /// How long a key has left.
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn ttl(&self, key: impl AsRef<[u8]>) -> Result<Ttl, DbError> {
        match self.ask_owner(key.as_ref(), Operation::Ttl)? {
            Answer::Ttl(ttl) => Ok(ttl),
            other => unreachable!("a time was asked for: {other:?}"),
        }
    }

    /// All records, in no order, a bounded batch in memory at a time; other calls go on meanwhile. A key that is there
    /// from beginning to end comes once; one that is written or deleted meanwhile may or may not come.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        self.iter_prefix("")
    }

    /// As [`Db::iter`], only keys that begin with `prefix`. Keys are placed by hash: it looks at all of them.
    #[must_use]
    pub fn iter_prefix(&self, prefix: impl AsRef<[u8]>) -> Iter<'_> {
        Iter::new(self, prefix.as_ref())
    }

    // ---- the store --------------------------------------------------------------------------------------------

    /// A full compaction: every extent with dead records in it is emptied. Returns when it is done; it goes on by
    /// itself whenever enough is dead.
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn compact(&self) -> Result<(), DbError> {
        self.task(TaskKind::Compact)
    }

    /// Reads back and verifies everything that is in the data files now. Returns when it is done; damage is no error
    /// here: it is logged, [`Db::stats`] tells of it, and [`Db::get`] of a damaged key fails. It goes on by itself, see
    /// [`DbOptions::scrub_within`].
    ///
    /// # Errors
    /// [`TaskError::NoStorage`](super::TaskError::NoStorage) in memory; see [`DbError`].
    pub fn scrub(&self) -> Result<(), DbError> {
        self.task(TaskKind::Scrub)
    }

    /// A checkpoint of every shard: everything written before is durable in snapshots and data files, and the next
    /// opening reads little of the log.
    ///
    /// # Errors
    /// [`TaskError::NoStorage`](super::TaskError::NoStorage) in memory; see [`DbError`].
    pub fn checkpoint(&self) -> Result<(), DbError> {
        self.task(TaskKind::Checkpoint)
    }

    /// Everything written before is durable on return: by the log where there is one, whatever
    /// [`DbOptions::durability`] says, on disk without a log by a checkpoint. In memory there is nothing to do.
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn flush(&self) -> Result<(), DbError> {
        match &self.inner.directory {
            Some(_) if self.inner.wal => self.task(TaskKind::FlushLog),
            Some(_) => self.task(TaskKind::Checkpoint),
            None => self.inner.state.check(),
        }
    }

    /// Bytes that the files of the store take on disk, as the file system counts them; 0 in memory.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn disk_usage(&self) -> Result<u64, DbError> {
        use std::os::unix::fs::MetadataExt;
        self.inner.state.check()?;
        let Some(directory) = &self.inner.directory else { return Ok(0) };
        let failed = |source| DbError::Io { path: directory.clone(), source };
        let mut bytes = 0;
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            match entry.and_then(|entry| entry.metadata()) {
                Ok(metadata) => bytes += metadata.blocks() * 512,
                // A file that was removed between the two looks.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(bytes)
    }

    /// Whether there is a write-ahead log.
    #[must_use]
    pub fn wal_enabled(&self) -> bool {
        self.inner.wal
    }

    /// Bytes of all segment files of all logs, those that wait for use included; 0 without a log.
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn wal_size(&self) -> Result<u64, DbError> {
        Ok(self.stats()?.iter().filter_map(|worker| worker.log).map(|log| log.file_bytes).sum())
    }

    /// Every log goes on in its next segment, unless its current one holds nothing.
    ///
    /// # Errors
    /// [`TaskError::NoLog`](super::TaskError::NoLog) without a log,
    /// [`TaskError::NoSpace`](super::TaskError::NoSpace) when the disk is full; see [`DbError`].
    pub fn rotate_wal(&self) -> Result<(), DbError> {
        self.task(TaskKind::RotateLog)
    }

    /// Makes every log small: a new segment, a checkpoint of all shards, and then all segment files are deleted that no
    /// shard needs. Nothing is lost: what was in them is in the snapshots, durable, before they go.
    ///
    /// # Errors
    /// As [`Db::rotate_wal`].
    pub fn clear_wal(&self) -> Result<(), DbError> {
        self.task(TaskKind::ClearLog)
    }

    /// Figures of every worker, in their order: its shards, its log, its turns.
    ///
    /// # Errors
    /// See [`DbError`].
    pub fn stats(&self) -> Result<Vec<WorkerFigures>, DbError> {
        let figures = self.ask_all(|| Operation::Figures)?.into_iter().map(|answer| match answer {
            Answer::Figures(figures) => *figures,
            other => unreachable!("figures were asked for: {other:?}"),
        });
        Ok(figures.collect())
    }

    /// Closes the store for all handles: what was begun is finished, every shard gets a checkpoint, every log its mark
    /// of a clean end. Calls of other handles get [`DbError::Closed`] from then on. Dropping the last handle does the
    /// same, but can only log what goes wrong.
    ///
    /// # Errors
    /// [`DbError::Closed`] when it was closed before; [`DbError::Failed`] when it has failed: what was acknowledged is
    /// safe.
    pub fn close(self) -> Result<(), DbError> {
        self.inner.close()
    }

    // ---- calls ------------------------------------------------------------------------------------------------

    pub(super) fn owner_of(&self, slot: Slot) -> usize {
        usize::from(self.inner.owners[usize::from(slot.0)])
    }

    fn ask_owner(
        &self,
        key: &[u8],
        operation: impl FnOnce(OwnedKey) -> Operation,
    ) -> Result<Answer, DbError> {
        if key.len() > KEY_BYTES_MAX {
            return Err(DbError::KeyTooLong { bytes: key.len() });
        }
        let key = self.inner.hasher.key(key);
        let owner = self.owner_of(key.slot);
        self.ask(owner, operation(OwnedKey::of(&key)))
    }

    fn ask_flag(&self, key: &[u8], operation: impl FnOnce(OwnedKey) -> Operation) -> Result<bool, DbError> {
        match self.ask_owner(key, operation)? {
            Answer::Flag(flag) => Ok(flag),
            other => unreachable!("a flag was asked for: {other:?}"),
        }
    }

    /// Sends a call to one worker and waits.
    pub(super) fn ask(&self, worker: usize, operation: Operation) -> Result<Answer, DbError> {
        let Inner { state, control, .. } = &*self.inner;
        state.check()?;
        let (reply, answer) = sync_channel(1);
        control[worker].send(Message::Call(Call { operation, reply }));
        let answer = answer.recv().map_err(|_| state.no_answer())?;
        // What was answered before a failure was told is durable by itself; but none is acknowledged after it.
        state.check_failed()?;
        answer
    }

    /// Sends a call to every worker and waits for all.
    fn ask_all(&self, operation: impl Fn() -> Operation) -> Result<Vec<Answer>, DbError> {
        let Inner { state, control, .. } = &*self.inner;
        state.check()?;
        let answers: Vec<_> = control
            .iter()
            .map(|worker| {
                let (reply, answer) = sync_channel(1);
                worker.send(Message::Call(Call { operation: operation(), reply }));
                answer
            })
            .collect();
        // All are waited for, also behind one that failed: when this returns, nothing of it is under way.
        let results: Vec<_> =
            answers.iter().map(|answer| answer.recv().unwrap_or_else(|_| Err(state.no_answer()))).collect();
        state.check_failed()?;
        results.into_iter().collect()
    }

    fn task(&self, kind: TaskKind) -> Result<(), DbError> {
        self.ask_all(|| Operation::Task(kind)).map(|_| ())
    }
}

impl Inner {
    fn close(&self) -> Result<(), DbError> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((workers, lock)) = running else { return Err(self.state.no_answer()) };
        let failed = self.state.check();
        self.state.close();
        for worker in &self.control {
            worker.send(Message::Close);
        }
        if let Err(error) = workers.join_caught() {
            self.state.fail(&error.to_string());
        }
        // Only now may another open the directory.
        drop(lock);
        failed.and_then(|()| self.state.check_failed())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.running.get_mut().is_ok_and(|running| running.is_some())
            && let Err(error) = self.close()
        {
            tracing::error!("closing the store: {error}");
        }
    }
}
