//! What a worker answers whose file system has no space for another log segment, or for more records.

use shard::io::BlockPool;
use shard::shard_set::{ShardSet, SpaceFor};
use shard::slot::slot_of;
use shard::types::{Db, Slot, UnixMs};

use resp::Args;

use super::job::{Job, JobPart};
use crate::commands::{Command, Execution, Flags};

const DISK_FULL: &str = "MISCONF the disk is too full for more data: writes are refused until keys are \
                         deleted or space is freed on the file system of --dir; reads and deletes go on";
const FULL_FOR_DELETES: &str = "MISCONF the disk is too full even to log a delete: free space on the file system of \
                                --dir; reads go on, and deletes when a checkpoint has freed some";
pub(crate) const DISK_FULL_REPLY: &[u8] = b"-MISCONF";

/// Commands that write a record anew, though of the same size.
const REWRITING: [&str; 9] =
    ["expire", "pexpire", "expireat", "pexpireat", "persist", "getex", "rename", "renamenx", "move"];

fn writes_records(command: &Command) -> bool {
    command.flags.contains(Flags::DENYOOM) || REWRITING.contains(&command.name)
}

/// What a command is answered for which there is no space.
pub(crate) fn disk_full(command: &Command) -> &'static str {
    if writes_records(command) { DISK_FULL } else { FULL_FOR_DELETES }
}

/// Whether there is no space for a record of a key, of so many bytes, that a part of this command writes.
pub(crate) fn refuses_record<P: BlockPool>(
    shards: &mut ShardSet<P>,
    command: &Command,
    key: &[u8],
    bytes: usize,
) -> bool {
    writes_records(command) && shards.space_for(std::iter::once(slot_of(key)), bytes) == SpaceFor::None
}

/// Whether there is space for what this command would write. `key`: slot and hash of its only key, where they are known.
pub(crate) fn space_for<P: BlockPool>(
    shards: &mut ShardSet<P>,
    command: &Command,
    (db, args): (Db, Args<'_>),
    key: Option<Slot>,
    now: UnixMs,
) -> SpaceFor {
    if !writes_records(command) {
        return shards.space_for_deletes();
    }
    let mut bytes = args.iter().map(<[u8]>::len).sum();
    if let Execution::Together(handlers) = command.execution {
        // What it writes is what these keys hold.
        let read = (handlers.places)(args, db).into_iter().filter(|place| place.wants_value);
        bytes += read
            .map(|place| shards.value_bytes(place.db, &shards.key(args.at(place.at)), now))
            .sum::<usize>();
    }
    match key {
        Some(slot) => shards.space_for(std::iter::once(slot), bytes),
        None => {
            let slots = command.key_positions(args.len()).map(|at| slot_of(args.at(at)));
            shards.space_for(slots, bytes)
        }
    }
}

/// Whether there is space for what a job writes that was put aside, now that it may run.
pub(crate) fn space_for_job<P: BlockPool>(shards: &mut ShardSet<P>, job: &Job, now: UnixMs) -> SpaceFor {
    let args = job.args();
    match job.part {
        JobPart::Whole if job.command.is_write() => space_for(shards, job.command, (job.db, args), None, now),
        JobPart::Settle => match args.get(2) {
            Some(value) if writes_records(job.command) => {
                let key = args.at(1);
                shards.space_for(std::iter::once(slot_of(key)), key.len() + value.len())
            }
            _ => shards.space_for_deletes(),
        },
        JobPart::Whole | JobPart::Hold => SpaceFor::Ready,
    }
}
