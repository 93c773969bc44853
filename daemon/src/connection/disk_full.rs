//! What a worker whose drive has no space for another log segment answers.

use shard::io::BlockPool;
use shard::log::{Log, LogSpace};

use crate::commands::{Command, Flags};

pub(crate) const DISK_FULL: &str = "MISCONF the disk is too full for another log segment: writes are refused until \
                                    space is freed on the file system of --dir; reads and deletes go on";
pub(crate) const DISK_FULL_REPLY: &[u8] = b"-MISCONF";

/// Whether there is no space to log what this command would write.
pub(crate) fn refuses<P: BlockPool>(log: &Log<P>, command: &Command) -> bool {
    command.flags.contains(Flags::DENYOOM) && matches!(log.space(), LogSpace::Low { .. })
}
