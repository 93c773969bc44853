//! Compaction on demand over data files, and what OURO.DISKUSAGE and OURO.WAL STATUS tell of the files, held against the files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use resp::Reply;

use crate::memory_limit::figure;
use crate::server::{Server, Setup, wait_for};
use crate::wire::{Wire, request};

const KEYS: usize = 8_000;
const VALUE_BYTES: usize = 4 << 10;

fn setup() -> Setup {
    Setup::disk().and(&["--shards", "4", "--maxmemory", "32mb", "--checkpoint-log-bytes", "8mb"])
}

fn name(number: usize) -> String {
    format!("k{number}")
}

fn value(number: usize, round: usize) -> String {
    let text = format!("{number}/{round}/");
    text.repeat(VALUE_BYTES / text.len())
}

fn set(wire: &mut Wire, numbers: impl Iterator<Item = usize>, round: usize) {
    let numbers: Vec<usize> = numbers.collect();
    for part in numbers.chunks(100) {
        let sets = part
            .iter()
            .flat_map(|&number| request(&[b"SET", name(number).as_bytes(), value(number, round).as_bytes()]));
        wire.send(&sets.collect::<Vec<u8>>());
        wire.expect(&b"+OK\r\n".repeat(part.len()));
    }
}

/// A map as RESP2 sends it.
fn map(reply: Reply) -> BTreeMap<String, Reply> {
    let Reply::Array(words) = reply else { panic!("a map: {reply:?}") };
    let pairs = words.chunks(2).map(|pair| match pair {
        [Reply::Bulk(name), value] => (String::from_utf8(name.clone()).unwrap(), value.clone()),
        other => panic!("{other:?}"),
    });
    pairs.collect()
}

/// Maps in an array.
fn maps(reply: Reply) -> Vec<BTreeMap<String, Reply>> {
    let Reply::Array(maps) = reply else { panic!("maps: {reply:?}") };
    maps.into_iter().map(map).collect()
}

fn number(map: &BTreeMap<String, Reply>, field: &str) -> u64 {
    match map.get(field) {
        Some(&Reply::Integer(number)) => u64::try_from(number).unwrap(),
        other => panic!("{field}: {other:?} in {map:?}"),
    }
}

/// Bytes of the files of the store whose names begin and contain so, and how many there are.
fn files(dir: &Path, begin: &str, part: &str) -> (u64, u64) {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let matches = names.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(begin) && name.contains(part)
    });
    // One may be removed meanwhile: the caller asks until nothing changes.
    matches
        .filter_map(|path| fs::metadata(path).ok())
        .fold((0, 0), |(bytes, count), data| (bytes + data.len(), count + 1))
}

/// Bytes of disk that the data files of these shards take: what was given back is a hole. They are taken by whole extents;
/// a little more is the file system's own.
fn data_on_disk(dir: &Path, begin: &str) -> u64 {
    const EXTENT_BYTES: u64 = 1 << 20;
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let data = paths.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(begin) && name.ends_with(".data")
    });
    data.map(|path| fs::metadata(path).unwrap().blocks() * 512 / EXTENT_BYTES * EXTENT_BYTES).sum()
}

/// What all workers tell of a field.
fn usage(wire: &mut Wire, field: &str) -> u64 {
    maps(wire.call(&["OURO.DISKUSAGE"])).iter().map(|worker| number(worker, field)).sum()
}

/// Asks for a full compaction, and waits until so few bytes are dead.
fn compact(wire: &mut Wire, command: &str, dead_max: u64) {
    assert!(matches!(wire.call(&[command]), Reply::Simple(_)));
    wait_for("what is dead to go", || (usage(wire, "dead-bytes") <= dead_max).then_some(()));
}

fn figure_of_compaction(wire: &mut Wire, field: &str) -> u64 {
    number(&map(wire.call(&["OURO.COMPACT", "STATUS"])), field)
}

fn check(wire: &mut Wire, numbers: impl Iterator<Item = usize>, round: impl Fn(usize) -> usize) {
    for number in numbers {
        let expected = value(number, round(number));
        assert!(wire.answer(&["GET", &name(number)]) == expected, "{}", name(number));
    }
}

/// So many are written again that extents have dead bytes, and so few that compaction sees no need by itself.
fn has_few_dead_bytes(server: &Server) -> (Wire, u64) {
    let mut wire = server.connect();
    set(&mut wire, 0..KEYS, 1);
    set(&mut wire, (0..KEYS).step_by(8), 2);
    assert_eq!(wire.answer(&["SAVE"]), "+OK");
    let mut dead = 0;
    wait_for("compaction to rest", || {
        thread::sleep(Duration::from_millis(300));
        let before = std::mem::replace(&mut dead, usage(&mut wire, "dead-bytes"));
        (before == dead).then_some(())
    });
    assert!(dead > (KEYS / 8 * VALUE_BYTES / 2) as u64, "{dead} bytes are dead");
    (wire, dead)
}

fn takes_what_is_dead(command: &str) {
    let server = setup().start();
    let (mut wire, dead) = has_few_dead_bytes(&server);
    // What lies in extents that are being filled stays.
    compact(&mut wire, command, dead / 2);
    wait_for("figures to be published", || {
        (figure_of_compaction(&mut wire, "bytes-reclaimed") > dead / 4).then_some(())
    });
    check(&mut wire, 0..KEYS, |number| 1 + usize::from(number % 8 == 0));
    assert_eq!(figure_of_compaction(&mut wire, "damaged-extents"), 0);
    let server = server.kill().start();
    check(&mut server.connect(), 0..KEYS, |number| 1 + usize::from(number % 8 == 0));
}

#[test]
fn bgrewriteaof_takes_what_is_dead_in_data_files() {
    takes_what_is_dead("BGREWRITEAOF");
}

#[test]
fn a_full_compaction_takes_what_is_dead_in_data_files() {
    takes_what_is_dead("OURO.COMPACT");
}

#[test]
fn data_files_give_their_disk_space_back_when_most_of_what_they_held_is_gone() {
    // Each shard keeps a few places that it is going to need: many keys for few shards.
    const KEYS: usize = 16_000;
    let is_gone = |number: &usize| !number.is_multiple_of(10);
    let server = Setup::disk().and(&["--shards", "2", "--maxmemory", "32mb"]).start();
    let mut wire = server.connect();
    set(&mut wire, 0..KEYS, 1);
    assert_eq!(wire.answer(&["SAVE"]), "+OK");
    let full = data_on_disk(&server.dir, "shard-");
    assert!(full > (KEYS * VALUE_BYTES) as u64, "{full} bytes");
    let gone: Vec<usize> = (0..KEYS).filter(is_gone).collect();
    for part in gone.chunks(100) {
        wire.send(
            &part.iter().flat_map(|&number| request(&[b"DEL", name(number).as_bytes()])).collect::<Vec<u8>>(),
        );
        wire.expect(&b":1\r\n".repeat(part.len()));
    }
    // No extent is empty by that: what is left has to be moved.
    let live = usage(&mut wire, "live-bytes");
    compact(&mut wire, "BGREWRITEAOF", live / 2);
    let mut seen = full;
    wait_for("disk space to come back", || {
        // A place is free when a checkpoint knows of it.
        assert!(matches!(wire.call(&["SAVE"]), Reply::Simple(_)));
        let before = std::mem::replace(&mut seen, data_on_disk(&server.dir, "shard-"));
        if seen != before {
            eprintln!("{seen} bytes of {full}");
        }
        (seen + ((gone.len() * VALUE_BYTES / 2) as u64) < full).then_some(())
    });
    check(&mut wire, (0..KEYS).step_by(10), |_| 1);
    let server = server.kill().start();
    check(&mut server.connect(), (0..KEYS).step_by(10), |_| 1);
    assert_eq!(server.connect().answer(&["DBSIZE"]), format!(":{}", KEYS / 10));
}

#[test]
fn what_is_told_of_files_is_what_they_are() {
    let server = setup().start();
    let (mut wire, _) = has_few_dead_bytes(&server);
    // What is under way after the save comes to rest.
    wait_for("figures and files to agree", || {
        let workers = maps(wire.call(&["OURO.DISKUSAGE"]));
        let told = ["data-file-bytes", "snapshot-bytes", "wal-bytes"]
            .map(|field| workers.iter().map(|worker| number(worker, field)).sum::<u64>());
        let are = [
            data_on_disk(&server.dir, "shard-"),
            files(&server.dir, "shard-", ".snapshot-").0,
            files(&server.dir, "log-", ".segment-").0,
        ];
        eprintln!("{told:?} told, {are:?} found");
        (told == are).then_some(())
    });
    let workers = maps(wire.call(&["OURO.DISKUSAGE"]));
    assert_eq!(workers.len(), server.workers());
    let mut keys = 0;
    for worker in &workers {
        let shards = maps(worker["shards"].clone());
        for field in ["live-bytes", "dead-bytes", "data-file-bytes", "snapshot-bytes"] {
            let sum: u64 = shards.iter().map(|shard| number(shard, field)).sum();
            assert_eq!(sum, number(worker, field), "{field}");
        }
        for shard in &shards {
            let begin = format!("shard-{:05}", number(shard, "shard"));
            assert_eq!(number(shard, "data-file-bytes"), data_on_disk(&server.dir, &begin), "{begin}");
            assert_eq!(
                number(shard, "snapshot-bytes"),
                files(&server.dir, &begin, ".snapshot-").0,
                "{begin}"
            );
            keys += number(shard, "keys");
        }
        let live = number(worker, "live-bytes");
        assert!(live > 0 && live <= number(worker, "data-file-bytes") + (32 << 20), "{live}");
    }
    assert_eq!(keys, KEYS as u64);
    let live: u64 = workers.iter().map(|worker| number(worker, "live-bytes")).sum();
    let written = (0..KEYS).map(|number| (value(number, 1).len() + name(number).len()) as u64).sum::<u64>();
    assert!(
        live >= written && live < written + written / 5,
        "{live} bytes live of {written} bytes of keys and values"
    );
}

#[test]
fn what_is_told_of_the_log_is_what_it_is() {
    let server = setup().start();
    let mut wire = server.connect();
    let sum = |wire: &mut Wire, field: &str| -> u64 {
        maps(wire.call(&["OURO.WAL", "STATUS"])).iter().map(|log| number(log, field)).sum()
    };
    let (records, bytes, rotations) =
        (sum(&mut wire, "records"), sum(&mut wire, "written-bytes"), sum(&mut wire, "rotations"));
    set(&mut wire, 0..1_000, 1);
    assert_eq!(sum(&mut wire, "records"), records + 1_000);
    let written = sum(&mut wire, "written-bytes") - bytes;
    let least: u64 = (0..1_000).map(|number| value(number, 1).len() as u64).sum();
    assert!(written >= least && written.is_multiple_of(4096), "{written} bytes written for {least}");
    assert!(sum(&mut wire, "rotations") > rotations, "segments of 2 MiB");
    assert!(sum(&mut wire, "replay-bytes") >= least);
    for log in maps(wire.call(&["OURO.WAL", "STATUS"])) {
        let begin = format!("log-{:05}.", number(&log, "log"));
        wait_for("figures and files to agree", || {
            let now = maps(wire.call(&["OURO.WAL", "STATUS"]));
            let log = now.iter().find(|one| one["log"] == log["log"]).unwrap();
            let (bytes, count) = files(&server.dir, &begin, ".segment-");
            // All is acknowledged; the mark of an idle log is durable soon, too.
            let is_durable = number(log, "appended-batch") == number(log, "durable-batch");
            // Of the files one is ahead and one is kept for the next start; the others are the log.
            let (held, segments) = (number(log, "file-bytes"), number(log, "segments"));
            (is_durable && held == bytes && segments > 0 && segments < count).then_some(())
        });
        assert_eq!(log["sync-method"], Reply::Bulk(b"fdatasync".to_vec()));
        assert_eq!(log["sync-policy"], Reply::Bulk(b"always".to_vec()));
    }
    assert_eq!(
        Reply::Integer(i64::try_from(sum(&mut wire, "file-bytes")).unwrap()),
        wire.call(&["OURO.WAL", "SIZE"])
    );
    assert_eq!(wire.answer(&["SAVE"]), "+OK");
    let mut lsns = 0;
    for log in maps(wire.call(&["OURO.WAL", "STATUS"])) {
        for shard in maps(log["shards"].clone()) {
            let appended = number(&shard, "appended-lsn");
            assert_eq!([number(&shard, "released-lsn"), number(&shard, "checkpointed-lsn")], [appended; 2]);
            lsns += appended;
        }
    }
    assert!(lsns >= 1_000, "{lsns}: one for each write");
    wait_for("the log to be small", || (sum(&mut wire, "replay-bytes") < least / 4).then_some(()));
    assert_eq!(figure(&mut wire, "persistence", "aof_enabled"), 1);
}
