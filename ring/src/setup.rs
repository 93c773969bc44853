//! Making the kernel's side of a ring: the best mode it has, in the locked memory there is.
//!
//! Rule: what the kernel lacks costs speed, not function; what forbids a ring at all is an error that says why.

use std::io;
use std::thread;
use std::time::Duration;

use io_uring::IoUring;

use crate::config::{RingConfig, SetupMode};
use crate::error::RingError;
use crate::limits::{COMPLETION_ENTRIES_MIN, MEMORY_RETRIES_MAX};

/// Makes the kernel's side, in the best mode it has, at most `config.best_mode`, and with queues of the
/// configured size or, where the locked-memory limit is too small for them, of half, a quarter and so on.
pub(crate) fn open(config: &RingConfig) -> Result<(IoUring, SetupMode), RingError> {
    let mut mode = config.best_mode;
    let (mut entries, mut cq_entries) = (config.entries, config.cq_entries);
    loop {
        let error = match with_memory_retries(|| build(mode, entries, cq_entries)) {
            Ok(uring) => return Ok((uring, mode)),
            Err(error) => error,
        };
        match error.raw_os_error() {
            // An unknown flag: try with fewer.
            Some(libc::EINVAL) if mode == SetupMode::Defer => mode = SetupMode::Coop,
            Some(libc::EINVAL) if mode == SetupMode::Coop => mode = SetupMode::Plain,
            // Linux charges the queues to the user's locked memory. Small queues cost system calls, no more.
            Some(libc::ENOMEM) if cq_entries / 2 >= COMPLETION_ENTRIES_MIN => {
                cq_entries /= 2;
                entries = entries.min(cq_entries / 2);
            }
            _ => return Err(RingError::from_setup(error)),
        }
    }
}

/// Tries again for a moment on ENOMEM: a ring that was closed just now, by the process before a restart for one, is
/// charged to the user's locked memory until the kernel has taken it apart.
pub(crate) fn with_memory_retries<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..MEMORY_RETRIES_MAX {
        match attempt() {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
                thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
    attempt()
}

fn build(mode: SetupMode, entries: u32, cq_entries: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(cq_entries);
    match mode {
        SetupMode::Defer => {
            builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag().setup_submit_all();
        }
        SetupMode::Coop => {
            builder.setup_coop_taskrun().setup_taskrun_flag().setup_submit_all();
        }
        SetupMode::Plain => {}
    }
    builder.build(entries)
}
