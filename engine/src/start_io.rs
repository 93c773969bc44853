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

#[cfg(test)]
mod tests {
    use super::*;
    use shard::io::{BLOCK_BYTES, BlockPool as _};
    use shard::types::LogId;

    const NAME: FileId = FileId::Segment { log: LogId(1), file: 1 };

    fn request(id: u64, operation: IoOperation<Pool>) -> IoRequest<Pool> {
        IoRequest { id: RequestId(id), operation }
    }

    #[test]
    fn what_is_not_a_read_waits_for_all_reads_and_a_file_that_is_missing_is_an_error_of_its_read() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(NAME.to_string()), vec![1; 8 * BLOCK_BYTES]).unwrap();
        let mut pool = Pool::new(0, 0).unwrap();
        let mut files = Files::new(directory.path()).unwrap();
        std::thread::scope(|scope| {
            let mut io = StartIo::start(scope, &mut files, 4);
            assert!(io.next_done().is_none(), "nothing is under way");
            for id in 0..8 {
                let (offset, buffer) = (id * BLOCK_BYTES as u64, pool.take(BLOCK_BYTES));
                io.request(request(id, IoOperation::Read { file: NAME, offset, buffer, len: BLOCK_BYTES }));
            }
            let mut zeros = pool.take(8 * BLOCK_BYTES);
            zeros.as_mut().fill(0);
            let (buffer, range) = (pool.freeze(zeros), 0..8 * BLOCK_BYTES);
            io.request(request(
                8,
                IoOperation::Write { file: NAME, offset: 0, buffer, range, durable: true },
            ));
            let mut read = Vec::new();
            for _ in 0..8 {
                let IoDone { id, result, buffer: IoBuffer::Owned(buffer) } = io.next_done().unwrap() else {
                    panic!("reads end first")
                };
                assert_eq!(result, Ok(BLOCK_BYTES));
                assert!(buffer.as_ref().iter().all(|&byte| byte == 1), "as it was before the write");
                read.push(id.0);
            }
            read.sort_unstable();
            assert_eq!(read, (0..8).collect::<Vec<_>>());
            assert_eq!(io.next_done().unwrap().id, RequestId(8));
            let (missing, buffer) = (FileId::Segment { log: LogId(1), file: 2 }, pool.take(BLOCK_BYTES));
            io.request(request(9, IoOperation::Read { file: missing, offset: 0, buffer, len: BLOCK_BYTES }));
            assert!(io.next_done().unwrap().result.is_err());
            assert!(io.next_done().is_none());
        });
    }
}
