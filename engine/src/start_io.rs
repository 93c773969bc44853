//! The I/O of one log's recovery: several reads at a time, everything else by itself, in the order it is asked for.
//!
//! While one read is under way a drive does less than it can, and whoever waits for it does nothing: on one processor the
//! next pieces are read while the last ones are applied.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use shard::io::{FileId, IoBuffer, IoDone, IoOperation, IoRequest, RequestId};

use crate::blocking_io::{io_error, perform, read};
use crate::files::Files;
use crate::pool::{Buffer, Pool};
use crate::scratch::Scratch;

/// A read on its way to a thread.
struct Job {
    id: RequestId,
    name: FileId,
    /// The file, or why it cannot be opened.
    file: io::Result<File>,
    scratch: Option<Arc<Scratch>>,
    buffer: Buffer,
    len: usize,
    offset: u64,
}

impl Job {
    fn perform(self) -> IoDone<Pool> {
        let Self { id, name, file, scratch, mut buffer, len, offset } = self;
        let bytes = &mut buffer.as_mut()[..len];
        let result = match scratch {
            None => file.and_then(|file| read(&file, bytes, offset)),
            Some(scratch) => match file {
                Ok(file) => scratch.read(name, Ok(&file), bytes, offset),
                Err(error) => scratch.read(name, Err(error), bytes, offset),
            },
        };
        IoDone { id, result: result.map_err(|error| io_error(&error)), buffer: IoBuffer::Owned(buffer) }
    }
}

/// Performs requests with threads for the reads.
pub(crate) struct StartIo<'a> {
    files: &'a mut Files,
    jobs: Sender<Job>,
    completions: Receiver<IoDone<Pool>>,
    reading: usize,
    done: VecDeque<IoDone<Pool>>,
}

impl<'a> StartIo<'a> {
    /// Starts so many threads, which end with what this returns.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        files: &'a mut Files,
        readers: usize,
    ) -> Self {
        let (jobs, to_do) = channel::<Job>();
        let (performed, completions) = channel();
        let to_do = Arc::new(Mutex::new(to_do));
        for _ in 0..readers {
            let (to_do, performed) = (Arc::clone(&to_do), performed.clone());
            scope.spawn(move || {
                loop {
                    // Those that wait for a job wait for the lock, or for the job while they hold it.
                    let job = to_do.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { return };
                    if performed.send(job.perform()).is_err() {
                        return;
                    }
                }
            });
        }
        Self { files, jobs, completions, reading: 0, done: VecDeque::new() }
    }

    /// Starts a request. One that is not a read begins when all reads have ended, and returns when it is done.
    pub(crate) fn request(&mut self, request: IoRequest<Pool>) {
        let IoRequest { id, operation } = request;
        match operation {
            IoOperation::Read { file: name, offset, buffer, len } => {
                let file = self.files.get(name).and_then(File::try_clone);
                let scratch = self.files.scratch().cloned();
                let job = Job { id, name, file, scratch, buffer, len, offset };
                self.jobs.send(job).expect("the threads read until this end is gone");
                self.reading += 1;
            }
            operation => {
                while self.reading > 0 {
                    self.take_read();
                }
                self.done.push_back(perform(self.files, IoRequest { id, operation }));
            }
        }
    }

    /// The next completion, waited for where a read is under way; nothing when nothing is.
    pub(crate) fn next_done(&mut self) -> Option<IoDone<Pool>> {
        if self.done.is_empty() && self.reading > 0 {
            self.take_read();
        }
        self.done.pop_front()
    }

    fn take_read(&mut self) {
        self.done.push_back(self.completions.recv().expect("every read is performed"));
        self.reading -= 1;
    }
}
