//! Performs the core's I/O through the worker's ring.
//!
//! Every request of the core becomes one operation with the request's id as its token; creating files, which the ring
//! gains nothing on, happens at once.

use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use ring::{Completion, Fd, Ring, Token, WriteDurability};
use shard::io::{FileId, IoBuffer, IoDone, IoOperation, IoRequest, RequestId};

use crate::blocking_io::{allocated, io_error};
use crate::files::Files;
use crate::pool::{Buffer, Frozen, Pool};

/// Set in the tokens of storage operations; a service's tokens leave it clear.
pub const STORAGE_TOKEN: Token = 1 << 63;

/// The I/O of one worker's log.
pub struct RingIo {
    path: PathBuf,
    directory: Fd,
    open: HashMap<FileId, Fd>,
    /// Completions of what was performed at once.
    done: VecDeque<IoDone<Pool>>,
    in_flight: usize,
    /// Files to be removed.
    removals: VecDeque<(Token, PathBuf)>,
    /// The removal under way.
    removing: Option<Token>,
}

impl RingIo {
    /// Takes over the files that recovery has opened and locked.
    #[must_use]
    pub fn new(files: Files) -> Self {
        let (path, directory, open) = files.into_parts();
        let open = open.into_iter().map(|(id, file)| (id, Fd::from(file))).collect();
        Self {
            path,
            directory: Fd::from(directory),
            open,
            done: VecDeque::new(),
            in_flight: 0,
            removals: VecDeque::new(),
            removing: None,
        }
    }

    /// Requests whose completion is still to come.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight + self.done.len()
    }

    /// Starts a request. What cannot even be started completes with its error.
    pub fn start(&mut self, request: IoRequest<Pool>, ring: &mut Ring) {
        let IoRequest { id, operation } = request;
        assert!(id.0 & STORAGE_TOKEN == 0, "request ids leave the token bit free");
        let token = id.0 | STORAGE_TOKEN;
        let outcome = match operation {
            IoOperation::Write { file, offset, buffer, range, durable } => match self.file(file) {
                Ok(file) => {
                    let durability = if durable { WriteDurability::Dsync } else { WriteDurability::None };
                    ring.write_at(&file, buffer.0, range, offset, durability, token);
                    None
                }
                Err(error) => Some((Err(error), IoBuffer::Frozen(buffer))),
            },
            IoOperation::Read { file, offset, buffer, len } => match self.file(file) {
                Ok(file) => {
                    ring.read_at(&file, buffer.0, len, offset, token);
                    None
                }
                Err(error) => Some((Err(error), IoBuffer::Owned(buffer))),
            },
            IoOperation::SyncFile { file, data_only } => match self.file(file) {
                Ok(file) if data_only => {
                    ring.sync_data(&file, token);
                    None
                }
                Ok(file) => {
                    ring.sync_all(&file, token);
                    None
                }
                Err(error) => Some((Err(error), IoBuffer::None)),
            },
            IoOperation::FreeSpace { file, offset, bytes } => match self.file(file) {
                Ok(file) => {
                    ring.free_space(&file, offset, bytes, token);
                    None
                }
                Err(error) => Some((Err(error), IoBuffer::None)),
            },
            IoOperation::SyncDirectory => {
                ring.sync_all(&self.directory, token);
                None
            }
            IoOperation::CreateFile { file, .. } => {
                Some((self.with_files(|files| files.create(file).map(|_| 0), file), IoBuffer::None))
            }
            IoOperation::DeleteFile { file } => {
                // To give the space of a segment back takes many milliseconds: on a thread of the kernel's, and one file
                // after the other, because those threads share the worker's processor.
                self.open.remove(&file);
                self.removals.push_back((token, self.path.join(file.to_string())));
                self.remove_next(ring);
                None
            }
            IoOperation::Allocate { file, offset, bytes } => match self.file(file) {
                Ok(file) => {
                    ring.allocate(&file, offset, bytes, token);
                    None
                }
                Err(error) => Some((Err(error), IoBuffer::None)),
            },
            IoOperation::Truncate { file, bytes } => {
                // By name: the descriptor at hand, and the lock on it, stay with what is in flight.
                let file = std::fs::OpenOptions::new().write(true).open(self.path.join(file.to_string()));
                Some((file.and_then(|file| file.set_len(bytes)).map(|()| 0), IoBuffer::None))
            }
        };
        match outcome {
            None => self.in_flight += 1,
            Some((result, buffer)) => {
                let result = result.map_err(|error| io_error(&error));
                self.done.push_back(IoDone { id, result, buffer });
            }
        }
    }

    /// Starts the next removal of a file, if one waits and none is under way. To be called once a turn.
    pub fn remove_next(&mut self, ring: &mut Ring) {
        if self.removing.is_some() {
            return;
        }
        let Some((token, path)) = self.removals.pop_front() else { return };
        let path =
            CString::new(path.into_os_string().into_vec()).expect("a path that was opened has no zero byte");
        ring.remove(path, token);
        self.removing = Some(token);
    }

    /// The next completion of what was performed at once.
    pub fn next_done(&mut self) -> Option<IoDone<Pool>> {
        self.done.pop_front()
    }

    /// The core's completion of a ring's completion that carries [`STORAGE_TOKEN`].
    ///
    /// # Panics
    /// When the completion is not of an operation that [`Self::start`] starts.
    pub fn complete(&mut self, completion: Completion) -> IoDone<Pool> {
        let (token, result, buffer) = match completion {
            Completion::Wrote { token, buffer, result } => (token, result, IoBuffer::Frozen(Frozen(buffer))),
            Completion::Read { token, buffer, result } => (token, result, IoBuffer::Owned(Buffer(buffer))),
            Completion::Synced { token, result } => (token, result.map(|()| 0), IoBuffer::None),
            Completion::Allocated { token, result } => (token, allocated(result).map(|()| 0), IoBuffer::None),
            other => panic!("not a storage operation: {other:?}"),
        };
        self.in_flight -= 1;
        self.removing.take_if(|removing| *removing == token);
        let id = RequestId(token & !STORAGE_TOKEN);
        IoDone { id, result: result.map_err(|error| io_error(&error)), buffer }
    }

    fn file(&mut self, id: FileId) -> io::Result<Fd> {
        if let Some(file) = self.open.get(&id) {
            return Ok(file.clone());
        }
        self.with_files(|files| files.get(id).map(|_| 0), id)?;
        Ok(self.open[&id].clone())
    }

    /// Opens or creates one file as start-up does it, and keeps its descriptor.
    fn with_files(
        &mut self,
        open: impl FnOnce(&mut Files) -> io::Result<usize>,
        id: FileId,
    ) -> io::Result<usize> {
        self.open.remove(&id);
        let mut files = Files::new(&self.path)?;
        let result = open(&mut files)?;
        let (_, _, opened) = files.into_parts();
        self.open.extend(opened.into_iter().map(|(id, file)| (id, Fd::from(file))));
        Ok(result)
    }
}

/// Whether a completion belongs to the storage.
#[must_use]
pub fn is_storage(completion: &Completion) -> bool {
    match completion {
        Completion::Wrote { .. }
        | Completion::Read { .. }
        | Completion::Synced { .. }
        | Completion::Allocated { .. } => true,
        Completion::Accepted { .. }
        | Completion::Received { .. }
        | Completion::Sent { .. }
        | Completion::Connected { .. }
        | Completion::Timer
        | Completion::Woken => false,
    }
}
