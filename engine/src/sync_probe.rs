//! Which way of making a write durable is faster on this drive: measured for a moment at start.
//!
//! Drives differ both ways: with power-loss protection, or where a write needs no journal commit, a write that is
//! durable by itself (`O_DSYNC`) wins; consumer drives do a plain write and one `fdatasync` more than twice as fast.
//! Where both are about the same, `O_DSYNC` is taken: under load it is one request a batch, where the other is a write,
//! a completion that waits for the worker, and a sync.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use ring::{Blocks, HugePages};
use shard::log::SyncMethod;

/// Bytes of one measured write: a batch as it is under load.
const WRITE_BYTES: usize = 16 << 10;
const WRITES: usize = 24;
const FILE_BYTES: usize = WRITE_BYTES * WRITES;
/// How much faster, in per cent, `fdatasync` must be to be taken.
const FDATASYNC_MARGIN_PERCENT: u32 = 25;
/// Measuring ends early on a drive that is slower than this altogether.
const LONGEST: Duration = Duration::from_millis(1500);
const NAME: &str = "ouro.probe";

/// What was measured: the median of each way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncProbe {
    /// A write that is durable by itself.
    pub dsync: Duration,
    /// A plain write and one `fdatasync`.
    pub fdatasync: Duration,
}

impl SyncProbe {
    /// Measures both on a file of its own in the directory, which is removed again. `None`: the disk is too full for that
    /// file, which is no reason not to start; both ways are as safe.
    ///
    /// # Errors
    /// Those of the operating system; `EINVAL` where the file system has no direct I/O.
    pub fn run(directory: &Path) -> io::Result<Option<Self>> {
        let path = directory.join(NAME);
        let result = Self::measure(&path);
        let removed = std::fs::remove_file(&path);
        let is_full =
            |error: &io::Error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        match result {
            Ok(probe) => removed.map(|()| Some(probe)),
            Err(error) if is_full(&error) => match removed {
                // It may not even have been made.
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(None),
            },
            Err(error) => Err(error),
        }
    }

    fn measure(path: &Path) -> io::Result<Self> {
        let open = |flags: i32| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            options.custom_flags(libc::O_DIRECT | libc::O_CLOEXEC | flags).open(path)
        };
        let plain = open(0)?;
        let buffer = Blocks::zeroed(FILE_BYTES, HugePages::No)?;
        // Written once, so that the measured writes change no metadata: as the log's recycled segments are.
        plain.write_all_at(&buffer, 0)?;
        plain.sync_all()?;
        let durable = open(libc::O_DSYNC)?;
        let block = &buffer[..WRITE_BYTES];
        let dsync = median(|at| durable.write_all_at(block, at))?;
        let fdatasync = median(|at| plain.write_all_at(block, at).and_then(|()| plain.sync_data()))?;
        Ok(Self { dsync, fdatasync })
    }

    /// `O_DSYNC`, unless `fdatasync` is clearly faster.
    #[must_use]
    pub fn better(&self) -> SyncMethod {
        if self.dsync * 100 <= self.fdatasync * (100 + FDATASYNC_MARGIN_PERCENT) {
            SyncMethod::Dsync
        } else {
            SyncMethod::Fdatasync
        }
    }
}

fn median(mut write: impl FnMut(u64) -> io::Result<()>) -> io::Result<Duration> {
    let began = Instant::now();
    let mut times = Vec::with_capacity(WRITES);
    for number in 0..WRITES as u64 {
        let start = Instant::now();
        write(number * WRITE_BYTES as u64)?;
        times.push(start.elapsed());
        if began.elapsed() > LONGEST {
            break;
        }
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_measures_both_and_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let probe = SyncProbe::run(directory.path()).unwrap().expect("there is room");
        assert!(probe.dsync > Duration::ZERO && probe.fdatasync > Duration::ZERO);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn fdatasync_is_taken_only_where_it_is_clearly_faster() {
        let better = |dsync, fdatasync| {
            let probe = SyncProbe {
                dsync: Duration::from_micros(dsync),
                fdatasync: Duration::from_micros(fdatasync),
            };
            probe.better()
        };
        assert_eq!(better(88, 87), SyncMethod::Dsync);
        assert_eq!(better(125, 100), SyncMethod::Dsync);
        assert_eq!(better(126, 100), SyncMethod::Fdatasync);
        assert_eq!(better(100, 400), SyncMethod::Dsync);
    }
}
