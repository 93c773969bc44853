//! Performs the core's I/O through the worker's ring.
//!
//! Every request of the core becomes one operation with the request's id as its token. Nothing that may wait for the
//! file system's journal, or for disk space to be given back, happens on the worker's thread.

use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use ring::{Completion, Fd, Ring, Token, WriteDurability};
use shard::io::{FileId, IoBuffer, IoDone, IoOperation, IoRequest, RequestId};

use crate::blocking_io::{allocated, io_error};
use crate::files::{FILE_MODE, Files, lock};
use crate::pool::{Buffer, Frozen, Pool};

/// Set in the tokens of storage operations; a service's tokens leave it clear.
pub const STORAGE_TOKEN: Token = 1 << 63;

/// Reads that are submitted together ahead of the turn's end.
const EARLY_READS: usize = 8;
/// Requests in flight from which on reads go with all else at the turn's end: the drive has enough to do.
const EARLY_IN_FLIGHT_MAX: usize = 64;

/// The I/O of one worker's log.
pub struct RingIo {
    path: PathBuf,
    directory: Fd,
    open: HashMap<FileId, Fd>,
    /// Completions of what could not even be started.
    done: VecDeque<IoDone<Pool>>,
    in_flight: usize,
    /// Files that are being created.
    creations: HashMap<Token, FileId>,
    /// Changes of length under way, for a kernel whose ring cannot do them.
    cuts: HashMap<Token, (Fd, u64)>,
    /// Files to be removed.
    removals: VecDeque<(Token, CString)>,
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
            creations: HashMap::new(),
            cuts: HashMap::new(),
            removals: VecDeque::new(),
            removing: None,
        }
    }

    /// Requests whose completion is still to come.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight + self.done.len()
    }

    /// Starts every request there is. While the drive has little to do, reads are on their way before the worker does
    /// anything else: the kernel holds what is submitted together until all of it is, sends of answers included.
    pub fn start_all(&mut self, mut next: impl FnMut() -> Option<IoRequest<Pool>>, ring: &mut Ring) {
        let early = self.in_flight < EARLY_IN_FLIGHT_MAX;
        let mut reads = 0;
        while let Some(request) = next() {
            reads += usize::from(matches!(request.operation, IoOperation::Read { .. }));
            self.start(request, ring);
            if early && reads == EARLY_READS {
                ring.submit_early();
                reads = 0;
            }
        }
        if early && reads > 0 {
            ring.submit_early();
        }
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
                self.open.remove(&file);
                self.creations.insert(token, file);
                ring.create(self.path_of(file), FILE_MODE, token);
                None
            }
            IoOperation::DeleteFile { file } => {
                // To give the space of a segment back takes many milliseconds: on a thread of the kernel's, and one file
                // after the other, because those threads share the worker's processor.
                self.open.remove(&file);
                self.removals.push_back((token, self.path_of(file)));
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
                match File::options().write(true).open(self.path.join(file.to_string())) {
                    Ok(file) => {
                        self.cut(Fd::from(file), bytes, token, ring);
                        None
                    }
                    Err(error) => Some((Err(error), IoBuffer::None)),
                }
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
        ring.remove(path, token);
        self.removing = Some(token);
    }

    /// The next completion of what could not even be started.
    pub fn next_done(&mut self) -> Option<IoDone<Pool>> {
        self.done.pop_front()
    }

    /// The core's completion of a ring's completion that carries [`STORAGE_TOKEN`]; nothing when its request goes on.
    ///
    /// # Panics
    /// When the completion is not of an operation that [`Self::start`] starts.
    pub fn complete(&mut self, completion: Completion, ring: &mut Ring) -> Option<IoDone<Pool>> {
        let (token, result, buffer) = match completion {
            Completion::Wrote { token, buffer, result } => (token, result, IoBuffer::Frozen(Frozen(buffer))),
            Completion::Read { token, buffer, result } => (token, result, IoBuffer::Owned(Buffer(buffer))),
            Completion::Synced { token, result } => {
                (token, self.cut_done(token, result).map(|()| 0), IoBuffer::None)
            }
            Completion::Created { token, result } => match self.created(token, result, ring) {
                Ok(Creation::GoesOn) => return None,
                Ok(Creation::Done) => (token, Ok(0), IoBuffer::None),
                Err(error) => (token, Err(error), IoBuffer::None),
            },
            Completion::Allocated { token, result } => (token, allocated(result).map(|()| 0), IoBuffer::None),
            other => panic!("not a storage operation: {other:?}"),
        };
        self.in_flight -= 1;
        self.removing.take_if(|removing| *removing == token);
        let id = RequestId(token & !STORAGE_TOKEN);
        Some(IoDone { id, result: result.map_err(|error| io_error(&error)), buffer })
    }

    /// Takes a file over that is there now: locked, and only then emptied, because before it may be another process's.
    fn created(&mut self, token: Token, opened: io::Result<Fd>, ring: &mut Ring) -> io::Result<Creation> {
        let id = self.creations.remove(&token).expect("a creation is noted until it ends");
        let file = opened?;
        // The lock belongs to what this copy of the descriptor shares with it.
        let copy = File::from(file.as_fd().try_clone_to_owned()?);
        lock(&copy)?;
        let is_empty = copy.metadata()?.len() == 0;
        self.open.insert(id, file.clone());
        if is_empty {
            return Ok(Creation::Done);
        }
        self.cut(file, 0, token, ring);
        Ok(Creation::GoesOn)
    }

    fn cut(&mut self, file: Fd, bytes: u64, token: Token, ring: &mut Ring) {
        ring.truncate(&file, bytes, token);
        self.cuts.insert(token, (file, bytes));
    }

    /// The result of what ended with this one: of a change of length that the kernel's ring cannot do it is done here.
    fn cut_done(&mut self, token: Token, result: io::Result<()>) -> io::Result<()> {
        let Some((file, bytes)) = self.cuts.remove(&token) else { return result };
        match result {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                File::from(file.as_fd().try_clone_to_owned()?).set_len(bytes)
            }
            result => result,
        }
    }

    fn path_of(&self, file: FileId) -> CString {
        let path = self.path.join(file.to_string()).into_os_string();
        CString::new(path.into_vec()).expect("a path that was opened has no zero byte")
    }

    fn file(&mut self, id: FileId) -> io::Result<Fd> {
        if let Some(file) = self.open.get(&id) {
            return Ok(file.clone());
        }
        // As start-up opens it.
        let mut files = Files::new(&self.path)?;
        files.get(id)?;
        let (_, _, opened) = files.into_parts();
        self.open.extend(opened.into_iter().map(|(id, file)| (id, Fd::from(file))));
        Ok(self.open[&id].clone())
    }
}

/// How far the creation of a file is.
enum Creation {
    /// An old file of the name is being emptied.
    GoesOn,
    Done,
}

/// Whether a completion belongs to the storage.
#[must_use]
pub fn is_storage(completion: &Completion) -> bool {
    match completion {
        Completion::Wrote { .. }
        | Completion::Read { .. }
        | Completion::Created { .. }
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
