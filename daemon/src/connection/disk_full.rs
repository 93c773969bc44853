//! What a worker answers whose file system has no space for another log segment, or for more records.

use shard::io::BlockPool;
use shard::limits::{EXTENT_BYTES, VALUE_BYTES_MAX};
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

fn writes_records(command: &Command) -> bool {
    command.flags.contains(Flags::DENYOOM) || command.rewrites
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
    writes_records(command) && shards.space_for(std::iter::once(slot_of(key)), bytes, bytes) == SpaceFor::None
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
    let mut log_bytes: usize = args.iter().map(<[u8]>::len).sum();
    let mut record_bytes = log_bytes;
    match command.execution {
        Execution::Together(handlers) => {
            // What it writes is what these keys hold.
            let read = (handlers.places)(args, db).into_iter().filter(|place| place.wants_value);
            let values = read.map(|place| shards.value_bytes(place.db, &shards.key(args.at(place.at)), now));
            log_bytes += values.sum::<usize>();
            record_bytes = log_bytes;
        }
        Execution::Keys { .. } | Execution::SameShard(_) if record_bytes > EXTENT_BYTES / 2 => {
            record_bytes = places_bytes(command, args);
        }
        _ if command.rewrites && !shards.files().is_empty() => {
            let old = shards.value_bytes(db, &shards.key(args.at(1)), now);
            record_bytes = (record_bytes + old).max(reach(command.name, args));
        }
        _ => {}
    }
    match key {
        Some(slot) => shards.space_for(std::iter::once(slot), record_bytes, log_bytes),
        None => {
            let slots = command.key_positions(args.len()).map(|at| slot_of(args.at(at)));
            shards.space_for(slots, record_bytes, log_bytes)
        }
    }
}

/// Bytes of the places that the records of a command on several keys take: one that is larger than half an extent may
/// share its last place with none.
fn places_bytes(command: &Command, args: Args<'_>) -> usize {
    let step = command.keys.map_or(1, |keys| keys.step);
    let record =
        |at: usize| -> usize { (at..at + step).filter_map(|at| args.get(at)).map(<[u8]>::len).sum() };
    let taken = |bytes: usize| {
        if bytes > EXTENT_BYTES / 2 { bytes.next_multiple_of(EXTENT_BYTES) } else { bytes }
    };
    command.key_positions(args.len()).map(|at| taken(record(at))).sum()
}

/// Where the value ends at least that a command changes a part of. 0: it reaches nowhere, or further than a value may.
fn reach(name: &str, args: Args<'_>) -> usize {
    let number = |at: usize| args.get(at).and_then(number_of).unwrap_or(0);
    let end = match name {
        "setrange" => number(2).saturating_add(args.get(3).map_or(0, <[u8]>::len)),
        "setbit" => number(2) / 8 + 1,
        // `#n` is the n-th of its kind, and no kind has more than 64 bits.
        "bitfield" => (2..args.len())
            .filter_map(|at| args.get(at))
            .filter_map(|word| match word.strip_prefix(b"#") {
                Some(count) => number_of(count).map(|count| count.saturating_mul(8)),
                None => number_of(word).map(|bits| bits / 8),
            })
            .max()
            .map_or(0, |start| start.saturating_add(9)),
        _ => 0,
    };
    if end > VALUE_BYTES_MAX { 0 } else { end }
}

fn number_of(word: &[u8]) -> Option<usize> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// Whether there is space for what a job writes that was put aside, now that it may run.
pub(crate) fn space_for_job<P: BlockPool>(shards: &mut ShardSet<P>, job: &Job, now: UnixMs) -> SpaceFor {
    let args = job.args();
    match job.part {
        JobPart::Whole if job.command.is_write() => space_for(shards, job.command, (job.db, args), None, now),
        JobPart::Settle => match args.get(2) {
            Some(value) if writes_records(job.command) => {
                let key = args.at(1);
                let bytes = key.len() + value.len();
                shards.space_for(std::iter::once(slot_of(key)), bytes, bytes)
            }
            _ => shards.space_for_deletes(),
        },
        JobPart::Whole | JobPart::Hold => SpaceFor::Ready,
    }
}
