//! How many requests the drive takes before whoever asks for more is made to wait.
//!
//! The block layer has so many *tags* for each hardware queue, one for each request (`nr_requests`, Linux:
//! `Documentation/ABI/stable/sysfs-block`, `block/blk-mq-tag.c`). File systems that read through iomap (ext4, XFS) wait for a
//! tag inside the system call, whatever io_uring asks for: a worker that uses up the tags stands still while the drive does.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use shard::limits::COLD_READS_IN_FLIGHT_MAX;

/// Tags where nothing is known of the drive: what the block layer gives one by default (Linux: `BLKDEV_DEFAULT_RQ`).
const TAGS_UNKNOWN: usize = 128;
/// Reads of a worker that may fly however many share the drive.
const READS_MIN: usize = 16;

/// Reads of records that each of so many workers may have in flight on the drive that holds this directory: half of its tags
/// are left to the log, data files, snapshots and others.
pub(crate) fn reads_in_flight(directory: &Path, workers: u16) -> usize {
    let tags = queue_of(directory).and_then(|queue| tags(&queue)).unwrap_or(TAGS_UNKNOWN);
    share(tags, workers)
}

fn share(tags: usize, workers: u16) -> usize {
    (tags / 2 / usize::from(workers.max(1))).clamp(READS_MIN, COLD_READS_IN_FLIGHT_MAX)
}

/// The folder that tells of the drive's queue; `None`: the file system is not on one drive, or it cannot be seen.
fn queue_of(directory: &Path) -> Option<PathBuf> {
    let device = fs::metadata(directory).ok()?.dev();
    let folder = format!("/sys/dev/block/{}:{}", libc::major(device), libc::minor(device));
    let folder = fs::canonicalize(folder).ok()?;
    // A partition has the queue of its drive.
    [folder.join("queue"), folder.parent()?.join("queue")].into_iter().find(|queue| queue.is_dir())
}

fn tags(queue: &Path) -> Option<usize> {
    let tags: usize = fs::read_to_string(queue.join("nr_requests")).ok()?.trim().parse().ok()?;
    let queues = fs::read_dir(queue.parent()?.join("mq")).map_or(1, Iterator::count);
    Some(tags * queues.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_half_of_the_tags_and_each_has_some() {
        assert_eq!(share(256, 1), 128);
        assert_eq!(share(256, 2), 64);
        assert_eq!(share(256, 64), READS_MIN);
        assert_eq!(share(8 * 1023, 2), COLD_READS_IN_FLIGHT_MAX);
        assert_eq!(share(1, 0), READS_MIN);
    }

    #[test]
    fn tags_are_those_of_all_queues() {
        let temp = tempfile::tempdir().unwrap();
        let queue = temp.path().join("queue");
        fs::create_dir(&queue).unwrap();
        assert_eq!(tags(&queue), None);
        fs::write(queue.join("nr_requests"), "1023\n").unwrap();
        assert_eq!(tags(&queue), Some(1023));
        for number in ["0", "1", "2"] {
            fs::create_dir_all(temp.path().join("mq").join(number)).unwrap();
        }
        assert_eq!(tags(&queue), Some(3 * 1023));
        fs::write(queue.join("nr_requests"), "many\n").unwrap();
        assert_eq!(tags(&queue), None);
    }

    #[test]
    fn a_directory_on_no_drive_has_what_is_safe_anywhere() {
        assert_eq!(queue_of(Path::new("/proc/self")), None);
        assert_eq!(reads_in_flight(Path::new("/proc/self"), 1), TAGS_UNKNOWN / 2);
    }
}
