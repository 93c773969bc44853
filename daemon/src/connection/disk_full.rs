//! What a worker answers whose file system has no space for another log segment, or for more records.

use shard::io::BlockPool;
use shard::shard_set::{ShardSet, SpaceFor};
use shard::slot::slot_of;
use shard::types::Slot;

use resp::Args;

use crate::commands::{Command, Flags};

pub(crate) const DISK_FULL: &str = "MISCONF the disk is too full for more data: writes are refused until keys are \
                                    deleted or space is freed on the file system of --dir; reads and deletes go on";
pub(crate) const DISK_FULL_REPLY: &[u8] = b"-MISCONF";

/// Commands that write a record anew, though of the same size.
const REWRITING: [&str; 9] =
    ["expire", "pexpire", "expireat", "pexpireat", "persist", "getex", "rename", "renamenx", "move"];

fn writes_records(command: &Command) -> bool {
    command.flags.contains(Flags::DENYOOM) || REWRITING.contains(&command.name)
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
    args: Args<'_>,
    key: Option<Slot>,
) -> SpaceFor {
    if !writes_records(command) {
        return shards.space_for_deletes();
    }
    let bytes = args.iter().map(<[u8]>::len).sum();
    match key {
        Some(slot) => shards.space_for(std::iter::once(slot), bytes),
        None => {
            let slots = command.key_positions(args.len()).map(|at| slot_of(args.at(at)));
            shards.space_for(slots, bytes)
        }
    }
}
