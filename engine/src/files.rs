//! The files of a store directory: names to descriptors, opened for direct I/O and locked.
//!
//! Each file is locked through the very descriptor that does its I/O: while a killed predecessor's writes are still
//! under way the kernel keeps that descriptor, and with it the lock. So "the lock was got" means that nothing old
//! can land any more. (`flock` belongs to the open file description; it ends with the last reference to it.)

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shard::io::FileId;

use crate::limits::{LOCK_WAIT_MS, STORE_LOCK_WAIT_MS};
use crate::replay_memory::MemoryBound;
use crate::scratch::Scratch;

/// Mode of the store's files: nobody but the daemon's user reads them.
pub(crate) const FILE_MODE: u32 = 0o600;
/// Mode of the store directory.
pub(crate) const DIRECTORY_MODE: u32 = 0o750;
/// Name of the file whose lock says that a daemon uses the directory.
pub(crate) const LOCK_NAME: &str = "ouro.lock";

/// Name of the file that says that a restore into the directory has not come to its end.
pub const RESTORE_MARK: &str = "restore.unfinished";

/// How a start reaches a store directory: to change it, or only to look.
#[derive(Clone, Debug)]
pub(crate) struct StoreDirectory {
    path: PathBuf,
    scratch: Option<Arc<Scratch>>,
    memory: Option<Arc<MemoryBound>>,
}

impl StoreDirectory {
    /// A directory that is changed.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), scratch: None, memory: None }
    }

    /// A directory that is only read: what is written goes into memory.
    pub(crate) fn read_only(path: &Path) -> Self {
        Self { path: path.to_path_buf(), scratch: Some(Arc::default()), memory: None }
    }

    /// The same, where recovered shards may take only so many bytes of memory.
    pub(crate) fn within(self, memory_bytes_max: Option<u64>) -> Self {
        Self { memory: memory_bytes_max.map(|max| Arc::new(MemoryBound::new(max))), ..self }
    }

    pub(crate) fn memory(&self) -> Option<Arc<MemoryBound>> {
        self.memory.clone()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.scratch.is_some()
    }

    /// Its files, to be opened when first used.
    pub(crate) fn files(&self) -> io::Result<Files> {
        Ok(Files { scratch: self.scratch.clone(), ..Files::new(&self.path)? })
    }
}

/// The exclusive right to a store directory, for as long as it is held.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process uses it.
    #[error("{directory}: another daemon uses this directory{}; stop it first, or give this one its own --dir", pid_text(.pid))]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// What the lock file says of the other process.
        pid: Option<u32>,
    },
    /// It cannot be created or opened.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

fn pid_text(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

impl StoreLock {
    /// Makes the directory if it is not there and locks it.
    ///
    /// # Errors
    /// When another process holds it, or it cannot be used.
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| LockError::Io { path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(directory)
            .map_err(failed(directory))?;
        let path = directory.join(LOCK_NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(failed(&path))?;
        if !lock_within(&file, STORE_LOCK_WAIT_MS).map_err(failed(&path))? {
            let mut text = String::new();
            // Only for the message: a lock file that cannot be read names nobody.
            let _ = file.read_to_string(&mut text);
            return Err(LockError::InUse {
                directory: directory.to_path_buf(),
                pid: text.trim().parse().ok(),
            });
        }
        let pid = std::process::id().to_string();
        file.set_len(0).and_then(|()| file.write_all(pid.as_bytes())).map_err(failed(&path))?;
        Ok(Self { _file: file })
    }
}

impl StoreLock {
    /// Locks a directory that is there and changes nothing in it. One without a lock file was never opened by a daemon
    /// under this name; its files are locked one by one as they are opened.
    ///
    /// # Errors
    /// When another process holds it, or it cannot be read.
    pub fn acquire_to_read(directory: &Path) -> Result<Self, LockError> {
        let failed = |path: &Path, source| LockError::Io { path: path.to_path_buf(), source };
        let path = directory.join(LOCK_NAME);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                File::open(directory).map_err(|error| failed(directory, error))?
            }
            Err(error) => return Err(failed(&path, error)),
        };
        if !lock_within(&file, STORE_LOCK_WAIT_MS).map_err(|error| failed(&path, error))? {
            let pid = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            return Err(LockError::InUse { directory: directory.to_path_buf(), pid });
        }
        Ok(Self { _file: file })
    }
}

/// Tries for a while: an owner that was just killed needs a moment to let go. False: still held.
fn lock_within(file: &File, wait_ms: u64) -> io::Result<bool> {
    let until = Instant::now() + Duration::from_millis(wait_ms);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return Ok(false),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Open files of one store directory, or of the part of it that one log uses.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    directory: File,
    open: HashMap<FileId, File>,
    /// Where changes go when the files are only read.
    scratch: Option<Arc<Scratch>>,
}

impl Files {
    /// Opens the directory; its files are opened when first used.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let (path, directory) = (directory.to_path_buf(), File::open(directory)?);
        Ok(Self { path, directory, open: HashMap::new(), scratch: None })
    }

    /// Where changes go when the files are only read.
    pub(crate) fn scratch(&self) -> Option<&Arc<Scratch>> {
        self.scratch.as_ref()
    }

    /// The directory itself, to sync it.
    #[must_use]
    pub fn directory(&self) -> &File {
        &self.directory
    }

    /// Where a file is.
    #[must_use]
    pub fn path_of(&self, file: FileId) -> PathBuf {
        self.path.join(file.to_string())
    }

    /// An existing file, opened and locked on first use.
    ///
    /// # Errors
    /// `ENOENT` when it is missing; `EWOULDBLOCK` when another process holds it.
    pub fn get(&mut self, id: FileId) -> io::Result<&File> {
        if !self.open.contains_key(&id) {
            let file = Self::options().write(self.scratch.is_none()).open(self.path_of(id))?;
            lock(&file)?;
            self.open.insert(id, file);
        }
        Ok(&self.open[&id])
    }

    /// A fresh, empty file of this name.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn create(&mut self, id: FileId) -> io::Result<&File> {
        assert!(self.scratch.is_none(), "a directory that is only read is not changed");
        self.open.remove(&id);
        let file = Self::options().create(true).truncate(false).open(self.path_of(id))?;
        lock(&file)?;
        // Cut only under the lock: before it the file may be another process's.
        file.set_len(0)?;
        self.open.insert(id, file);
        Ok(&self.open[&id])
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn delete(&mut self, id: FileId) -> io::Result<()> {
        assert!(self.scratch.is_none(), "a directory that is only read is not changed");
        self.open.remove(&id);
        std::fs::remove_file(self.path_of(id))
    }

    /// The open files and the directory, to do I/O on them elsewhere.
    pub(crate) fn into_parts(self) -> (PathBuf, File, HashMap<FileId, File>) {
        (self.path, self.directory, self.open)
    }

    fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(FILE_MODE).custom_flags(libc::O_DIRECT | libc::O_CLOEXEC);
        options
    }
}

/// Locks a file of a store, as each is from its first use on.
///
/// # Errors
/// `EWOULDBLOCK` when another process holds it.
pub(crate) fn lock(file: &File) -> io::Result<()> {
    if lock_within(file, LOCK_WAIT_MS)? {
        return Ok(());
    }
    Err(io::Error::from_raw_os_error(libc::EWOULDBLOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_of_a_directory_is_refused_and_told_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let first = StoreLock::acquire(directory.path()).unwrap();
        let error = StoreLock::acquire(directory.path()).unwrap_err();
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        StoreLock::acquire(directory.path()).unwrap();
    }
}
