//! What INFO tells of each shard is what was done to it: keys, bytes, LSNs, checkpoints, compaction.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::info::Info;
use crate::server::{Server, Setup, wait_for};
use crate::wire::{Wire, request};

const SHARDS: usize = 4;
const KEYS: usize = 4_000;
const EXTENT_BYTES: u64 = 1 << 20;

/// Nothing makes a checkpoint but who asks for one.
fn setup() -> Setup {
    Setup::disk().and(&["--shards", "4", "--checkpoint-log-bytes", "1gb"])
}

fn key(number: usize) -> String {
    format!("key:{number}")
}

fn shard_of(number: usize) -> usize {
    usize::from(shard::slot::slot_of(key(number).as_bytes()).0) / (16384 / SHARDS)
}

/// How many of these keys lie in each shard.
fn spread(numbers: std::ops::Range<usize>) -> [u64; SHARDS] {
    let mut counts = [0; SHARDS];
    numbers.for_each(|number| counts[shard_of(number)] += 1);
    counts
}

/// One command for each of these keys, in pipelines.
fn each(wire: &mut Wire, numbers: std::ops::Range<usize>, reply: &[u8], words: impl Fn(&str) -> Vec<u8>) {
    for start in numbers.clone().step_by(500) {
        let some = start..numbers.end.min(start + 500);
        wire.send(&some.clone().flat_map(|number| words(&key(number))).collect::<Vec<_>>());
        wire.expect(&reply.repeat(some.len()));
    }
}

fn set(wire: &mut Wire, numbers: std::ops::Range<usize>, bytes: usize) {
    let value = vec![b'v'; bytes];
    each(wire, numbers, b"+OK\r\n", |key| request(&[b"SET", key.as_bytes(), &value]));
}

/// A field of each shard's line.
fn all(info: &Info, ending: &str, field: &str) -> [u64; SHARDS] {
    std::array::from_fn(|shard| info.field(&format!("shard{shard}{ending}"), field))
}

/// INFO when all that was acknowledged has come to it: the last of it was a write to every shard, so LSNs say when.
fn info_at(wire: &mut Wire, appended: [u64; SHARDS]) -> Info {
    wait_for("INFO to tell of the last write", || {
        let info = Info::of(wire, "ouro");
        // Just started, it has told nothing yet.
        if !info.has("shard3") {
            return None;
        }
        for shard in 0..SHARDS {
            let line = format!("shard{shard}");
            let released = info.field(&line, "released_lsn");
            assert!(released <= info.field(&line, "appended_lsn"), "{}", info.line(&line));
        }
        (all(&info, "", "released_lsn") == appended).then_some(info)
    })
}

fn plus<const N: usize>(a: [u64; N], b: [u64; N]) -> [u64; N] {
    std::array::from_fn(|at| a[at] + b[at])
}

/// Bytes of records with so many of value each, and what a record has beside its value: a head, the key, and what its
/// length class rounds up.
fn is_about(bytes: u64, keys: u64, value_bytes: u64) -> bool {
    (keys * value_bytes..=keys * (value_bytes + 60) * 9 / 8).contains(&bytes)
}

#[test]
fn keys_bytes_and_lsns_follow_what_is_written_overwritten_and_deleted() {
    let server = setup().start();
    let mut wire = server.connect();
    let info = info_at(&mut wire, [0; SHARDS]);
    for field in ["keys", "live_bytes", "dead_bytes", "appended_lsn", "released_lsn", "floor_lsn"] {
        assert_eq!(all(&info, "", field), [0; SHARDS], "{field}");
    }
    let counts = spread(0..KEYS);
    set(&mut wire, 0..KEYS, 1_000);
    // Every record has an LSN of its own, and there are no others.
    let info = info_at(&mut wire, counts);
    assert_eq!(all(&info, "", "keys"), counts);
    assert_eq!(wire.answer(&["DBSIZE"]), format!(":{}", counts.iter().sum::<u64>()));
    let live = all(&info, "", "live_bytes");
    for shard in 0..SHARDS {
        assert!(
            is_about(live[shard], counts[shard], 1_000),
            "{} of {counts:?}",
            info.line(&format!("shard{shard}"))
        );
        let least = counts[shard] * 1_000 / EXTENT_BYTES;
        assert!((least..=least + 2).contains(&all(&info, "", "extents")[shard]), "{least} extents at least");
    }

    // Half as many again: live bytes grow by what is written.
    let more = spread(KEYS..KEYS * 3 / 2);
    set(&mut wire, KEYS..KEYS * 3 / 2, 3_000);
    let counts = plus(counts, more);
    let info = info_at(&mut wire, counts);
    assert_eq!(all(&info, "", "keys"), counts);
    let grown = all(&info, "", "live_bytes");
    for shard in 0..SHARDS {
        assert!(is_about(grown[shard] - live[shard], more[shard], 3_000), "{live:?} {grown:?} {more:?}");
    }

    // Overwritten with something of another size: the old records are dead, or given back already.
    set(&mut wire, 0..KEYS, 500);
    let info = info_at(&mut wire, plus(counts, spread(0..KEYS)));
    assert_eq!(all(&info, "", "keys"), counts);
    let (now, first) = (all(&info, "", "live_bytes"), spread(0..KEYS));
    let dead = plus(all(&info, "", "dead_bytes"), all(&info, "_compaction", "reclaimed_bytes"));
    for shard in 0..SHARDS {
        assert!(is_about(now[shard], first[shard], 500 + 3_000 * more[shard] / first[shard]), "{now:?}");
        let (least, most) = (first[shard] * 1_000 * 3 / 4, first[shard] * 1_060 * 5 / 4);
        assert!((least..=most).contains(&dead[shard]), "{dead:?}: {least} to {most} in shard {shard}");
    }

    // Deleted: a record each, and nothing lives.
    each(&mut wire, 0..KEYS * 3 / 2, b":1\r\n", |key| request(&[b"DEL", key.as_bytes()]));
    let info = info_at(&mut wire, plus(plus(counts, spread(0..KEYS)), counts));
    assert_eq!((all(&info, "", "keys"), all(&info, "", "live_bytes")), ([0; SHARDS], [0; SHARDS]));
    assert_eq!(wire.answer(&["DBSIZE"]), ":0");
}

/// Bytes that a shard's files of a kind have, and the disk space they take.
fn file_bytes(server: &Server, shard: usize, kind: &str) -> (u64, u64) {
    let prefix = format!("shard-{shard:05}.{kind}");
    let entries = fs::read_dir(&server.dir).unwrap().map(Result::unwrap);
    let of_kind = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    of_kind
        .map(|entry| entry.metadata().unwrap())
        .fold((0, 0), |(bytes, space), file| (bytes + file.len(), space + file.blocks() * 512))
}

fn unix_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
fn a_save_is_a_checkpoint_of_every_shard_and_files_are_as_large_as_told() {
    let server = setup().start();
    let mut wire = server.connect();
    let counts = spread(0..KEYS);
    let mut appended = [0; SHARDS];
    for round in 1..=3 {
        set(&mut wire, 0..KEYS, 2_000 + round);
        appended = plus(appended, counts);
        let (before_ms, before) = (unix_ms(), info_at(&mut wire, appended));
        assert_eq!(all(&before, "_checkpoint", "published"), [round as u64 - 1; SHARDS]);
        assert_eq!(wire.answer(&["SAVE"]), "+OK");
        // The snapshot before goes, and space is given back, when the checkpoint is published.
        let info = wait_for("checkpoints to be told, and files to be as they say", || {
            let info = Info::of(&mut wire, "ouro");
            let is_idle = all(&info, "_checkpoint", "running") == [0; SHARDS]
                && all(&info, "_checkpoint", "published") == [round as u64; SHARDS];
            let is_right = |shard: usize| {
                let (snapshot, data) =
                    (file_bytes(&server, shard, "snapshot-"), file_bytes(&server, shard, "data"));
                let told = info.field(&format!("shard{shard}"), "data_file_bytes");
                // The file system may need a block or two to note where they are.
                snapshot.0 == info.field(&format!("shard{shard}_checkpoint"), "snapshot_bytes")
                    && (told..told + (64 << 10)).contains(&data.1)
            };
            // Another worker's figures and its totals are two things that it publishes, one after the other.
            let is_summed = info.field("data", "checkpoints") == (SHARDS * round) as u64
                && info.field("data", "data_file_bytes")
                    == info.sum(SHARDS, ("shard", ""), "data_file_bytes");
            (is_idle && is_summed && (0..SHARDS).all(is_right)).then_some(info)
        });
        for shard in 0..SHARDS {
            let (line, checkpoint) = (format!("shard{shard}"), format!("shard{shard}_checkpoint"));
            assert_eq!(info.word(&checkpoint, "step"), "idle");
            assert_eq!(info.field(&checkpoint, "entries"), counts[shard]);
            assert_eq!(info.field(&line, "floor_lsn"), appended[shard], "nothing has to be replayed");
            let last_ms = info.field(&checkpoint, "last_ms");
            assert!((before_ms..=unix_ms()).contains(&last_ms), "{before_ms} {last_ms}");
            assert!(info.field(&checkpoint, "last_duration_ms") <= unix_ms() - before_ms);
            // All of it is in the data file: every extent has a place of its size, and some places are free.
            let (extents, data) = (info.field(&line, "extents"), info.field(&line, "data_file_bytes"));
            assert!(extents * EXTENT_BYTES <= data, "{}", info.line(&line));
            let bytes = info.field(&line, "live_bytes") + info.field(&line, "dead_bytes");
            // Live ones count as much as their length class allows.
            assert!(bytes > 0 && bytes / 9 * 8 <= extents * EXTENT_BYTES, "{}", info.line(&line));
            assert!(data % EXTENT_BYTES == 0 && data <= file_bytes(&server, shard, "data").0, "{data}");
        }
    }
}

#[test]
fn a_compaction_tells_what_it_moved_and_what_it_gave_back() {
    const BYTES: usize = 8_000;
    const SUMMED: [(&str, &str); 3] =
        [("extents", "victims"), ("moved_bytes", "moved_bytes"), ("reclaimed_bytes", "reclaimed_bytes")];
    let server = setup().start();
    let mut wire = server.connect();
    set(&mut wire, 0..KEYS, BYTES);
    // Three of four go, everywhere: no extent is empty.
    let mut lasting = [0; SHARDS];
    for number in 0..KEYS {
        if number % 4 == 0 {
            lasting[shard_of(number)] += 1;
        } else {
            each(&mut wire, number..number + 1, b":1\r\n", |key| request(&[b"DEL", key.as_bytes()]));
        }
    }
    assert_eq!(wire.answer(&["OURO.COMPACT"]), "+OK");
    let info = wait_for("what it did to be told, by shard and in all", || {
        let info = Info::of(&mut wire, "ouro");
        let is_over = info.field("compaction", "running_shards") == 0
            && info.field("compaction", "full_total") == 0
            && info.sum(SHARDS, ("shard", "_compaction"), "running") == 0
            && all(&info, "", "keys") == lasting;
        // Another worker's figures and its totals are two things that it publishes, one after the other.
        let is_summed = SUMMED.iter().all(|(total, of_shard)| {
            let sum = info.sum(SHARDS, ("shard", "_compaction"), of_shard);
            sum > 0 && sum == info.field("compaction", total)
        });
        let reclaimed = info.sum(SHARDS, ("shard", "_compaction"), "reclaimed_bytes");
        (is_over && is_summed && reclaimed >= (KEYS / 2 * BYTES) as u64).then_some(info)
    });
    assert_eq!(info.field("compaction", "damaged_extents"), 0);
    for (shard, written) in spread(0..KEYS).into_iter().enumerate() {
        let (line, compaction) = (format!("shard{shard}"), format!("shard{shard}_compaction"));
        assert!(
            is_about(info.field(&line, "live_bytes"), lasting[shard], BYTES as u64),
            "{}",
            info.line(&line)
        );
        assert!(info.field(&line, "dead_bytes") < 2 * EXTENT_BYTES, "{}", info.line(&line));
        let moved = info.field(&compaction, "moved_bytes") as f64;
        let most = 1.01 + moved / (written * BYTES as u64) as f64;
        let amplification: f64 = info.word(&compaction, "write_amplification").parse().unwrap();
        assert!((1.0..=most).contains(&amplification), "{}", info.line(&compaction));
    }
}
