//! What a worker answers whose file system has no space for another log segment, or for more records.

use std::ops::Range;

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
            let changed = changed(command.name, args);
            record_bytes = (record_bytes + old).max(changed.end);
            if command.name == "bitfield" {
                // The log is told of all between its fields.
                log_bytes += changed.len();
            }
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

/// The bytes of the value that a command changes, of those that change a part of it; none where that is further than a
/// value may reach, or makes no sense.
fn changed(name: &str, args: Args<'_>) -> Range<usize> {
    let number = |at: usize| args.get(at).and_then(number_of).unwrap_or(0);
    let part = match name {
        "setrange" => match args.get(3).map_or(0, <[u8]>::len) {
            0 => 0..0,
            len => number(2)..number(2).saturating_add(len),
        },
        "setbit" if args.get(3).is_some_and(|bit| matches!(bit, b"0" | b"1")) => {
            number(2) / 8..number(2) / 8 + 1
        }
        "bitfield" => (2..args.len())
            .filter(|&at| is_one_of(args.at(at), &["SET", "INCRBY"]))
            .filter_map(|at| field(args.get(at + 1)?, args.get(at + 2)?))
            .reduce(|one, other| one.start.min(other.start)..one.end.max(other.end))
            .unwrap_or(0..0),
        _ => 0..0,
    };
    if part.end > VALUE_BYTES_MAX { 0..0 } else { part }
}

fn is_one_of(word: &[u8], names: &[&str]) -> bool {
    names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
}

/// The bytes that a field of bits lies in: `u8`, `i64` and so on, at a bit, or `#n`, the n-th of its kind.
fn field(kind: &[u8], place: &[u8]) -> Option<Range<usize>> {
    let width = kind.get(1..).and_then(number_of)?;
    let bit = match place.strip_prefix(b"#") {
        Some(count) => number_of(count)?.checked_mul(width)?,
        None => number_of(place)?,
    };
    Some(bit / 8..bit.checked_add(width)?.div_ceil(8))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::testing::job;

    #[test]
    fn a_value_that_is_changed_far_behind_its_end_reaches_there() {
        const FAR: &str = "4294967295";
        for (line, part) in [
            (&["SETRANGE", "k", "1000", "abc"][..], 1000..1003),
            (&["SETBIT", "k", FAR, "1"], (512 << 20) - 1..512 << 20),
            (&["BITFIELD", "k", "SET", "u8", "#1000", "1"], 1000..1001),
            (&["BITFIELD", "k", "get", "u8", "0", "incrby", "i5", "80004", "1"], 10_000..10_002),
            (&["BITFIELD", "k", "SET", "u64", "#9", "1", "INCRBY", "u8", "16", "1"], 2..80),
            (&["BITFIELD", "k", "SET", "u", "#9", "1", "SET", "u8"], 0..0),
            (&["BITFIELD", "k"], 0..0),
            (&["APPEND", "k", "abc"], 0..0),
            (&["SETRANGE", "k", "no", "abc"], 0..3),
            (&["SETRANGE", "k", "1000", ""], 0..0),
            (&["SETBIT", "k", FAR, "2"], 0..0),
            (&["SETRANGE", "k", "99999999999", "abc"], 0..0),
            (&["SETBIT", "k", "99999999999999999999999", "1"], 0..1),
        ] {
            let job = job(line);
            assert_eq!(changed(job.command.name, job.args()), part, "{line:?}");
            assert!(writes_records(job.command), "{line:?}");
        }
    }

    #[test]
    fn records_larger_than_half_an_extent_share_no_place() {
        let (large, small) = ("x".repeat(EXTENT_BYTES + 1), "y".repeat(1000));
        let job = job(&["MSET", "a", &large, "b", &large, "c", &small]);
        assert_eq!(places_bytes(job.command, job.args()), 4 * EXTENT_BYTES + 1001);
    }
}
