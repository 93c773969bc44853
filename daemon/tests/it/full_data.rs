//! A file system that is full of records: writes are refused, nothing acknowledged is lost, deleting heals.

use std::collections::BTreeMap;
use std::sync::Arc;

use resp::Reply;

use crate::server::{Server, Setup, wait_for};
use crate::small_disk::SmallDisk;
use crate::wire::{Wire, request};

const MISCONF: &str = "-MISCONF the disk is too full";
/// Values that do not repeat: 24 KiB, a few records a place.
const VALUE_BYTES: usize = 24 << 10;

fn setup() -> Setup {
    // Memory is kept small, so that records leave it: reading them back needs the disk.
    let options = ["--shards", "4", "--checkpoint-log-bytes", "8mb", "--maxmemory", "16mb"];
    Setup::disk().workers(1).and(&options)
}

fn value(number: usize, round: usize) -> String {
    let head = format!("{number}/{round}/");
    head.repeat(VALUE_BYTES / head.len())
}

/// What the store should hold: the round of each key's value.
type Model = BTreeMap<usize, usize>;

/// Sets keys in pipelines until one is refused; keeps what was acknowledged.
fn fill(wire: &mut Wire, model: &mut Model, first: usize, round: usize) {
    const DEPTH: usize = 8;
    let mut refused = false;
    let mut next = first;
    while !refused {
        assert!(next < first + 100_000, "a small disk takes no more than it has");
        let numbers = next..next + DEPTH;
        next = numbers.end;
        let sets = numbers.clone().flat_map(|number| {
            request(&[b"SET", format!("k{number}").as_bytes(), value(number, round).as_bytes()])
        });
        wire.send(&sets.collect::<Vec<u8>>());
        for number in numbers {
            match wire.reply() {
                Reply::Simple(_) => {
                    model.insert(number, round);
                }
                Reply::Error(text) => {
                    let text = format!("-{}", String::from_utf8_lossy(&text));
                    assert!(text.starts_with(MISCONF), "{text}");
                    refused = true;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn check(server: &Server, model: &Model, numbers: impl Iterator<Item = usize>) {
    let mut wire = server.connect();
    for number in numbers {
        let key = format!("k{number}");
        let expected = model.get(&number).map_or("nil".to_owned(), |&round| value(number, round));
        assert!(wire.answer(&["GET", &key]) == expected, "{key} is not as it was acknowledged");
    }
    assert_eq!(wire.answer(&["DBSIZE"]), format!(":{}", model.len()));
}

fn info(wire: &mut Wire, field: &str) -> u64 {
    let text = wire.answer(&["INFO", "everything"]);
    let line = text.split("\\r\\n").find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in {text}")).trim().parse().unwrap()
}

/// How storage stands, for whoever reads why a test failed.
fn last_words(wire: &mut Wire) {
    let fields = ["disk_low_workers", "disk_reserve_bytes", "checkpoints_given_up"];
    eprintln!("{:?}", fields.map(|field| (field, info(wire, field))));
}

fn life_of_a_full_disk(disk: &SmallDisk) {
    let mut server = setup().start_in(Arc::clone(&disk.temp));
    let (mut wire, mut model) = (server.connect(), Model::new());
    assert_eq!(wire.answer(&["SET", "early", "1"]), "+OK");
    assert_eq!(wire.answer(&["DEL", "early"]), ":1");
    fill(&mut wire, &mut model, 0, 1);
    let count = model.last_key_value().map_or(0, |(last, _)| last + 1);
    assert!(count > 500, "the disk held {count} keys only");
    wait_for("the log to say so", || server.log().contains("the disk is full").then_some(()));
    wait_for("INFO to say so", || (info(&mut wire, "disk_low_workers") == 1).then_some(()));
    // What is forced now finds some more room, until there is none.
    for round in 1..4 {
        std::thread::sleep(std::time::Duration::from_millis(600));
        fill(&mut wire, &mut model, 100_000 * round, 1);
    }
    check(&server, &model, (0..count + 10).chain(100_000..100_050));

    // Killed while it is full.
    server = server.kill().start();
    check(&server, &model, (0..count + 10).chain(100_000..100_050));

    // Every second key goes: no extent is empty, what remains has to be moved.
    let mut wire = server.connect();
    let all = model.len();
    let gone: Vec<usize> = model.keys().copied().filter(|number| number % 2 == 0).collect();
    for number in gone {
        assert_eq!(wire.answer(&["DEL", &format!("k{number}")]), ":1");
        model.remove(&number);
    }
    let probe = value(0, 9);
    wait_for("writes to be accepted", || {
        let answers = (0..8).map(|at| wire.answer(&["SET", &format!("probe{at}"), &probe]));
        answers.collect::<Vec<_>>().iter().all(|answer| answer == "+OK").then_some(())
    });
    for at in 0..8 {
        assert_eq!(wire.answer(&["DEL", &format!("probe{at}")]), ":1");
    }
    check(&server, &model, (0..count + 10).chain(100_000..100_050));
    // Half of what there was is gone: bit by bit room comes back for a quarter at least.
    let mut next = 1_000_000;
    wait_for("room for a quarter", || {
        fill(&mut wire, &mut model, next, 2);
        next += 100_000;
        last_words(&mut wire);
        (model.range(1_000_000..).count() > all / 4).then_some(())
    });

    // Full again, and everything goes at once.
    assert_eq!(wire.answer(&["FLUSHALL"]), "+OK");
    model.clear();
    wait_for("writes to be accepted", || {
        let answers = (0..8).map(|at| wire.answer(&["SET", &format!("probe{at}"), &probe]));
        answers.collect::<Vec<_>>().iter().all(|answer| answer == "+OK").then_some(())
    });
    assert_eq!(wire.answer(&["FLUSHALL"]), "+OK");
    let mut again = Model::new();
    wait_for("the disk to be as good as new", || {
        next += 100_000;
        fill(&mut wire, &mut again, next, 3);
        (again.len() * 10 > all * 7).then_some(())
    });
    server = server.kill().start();
    check(&server, &again, again.keys().copied().collect::<Vec<_>>().into_iter());
    server.terminate();
}

#[test]
fn an_ext4_full_of_records_refuses_writes_loses_nothing_and_heals_by_deletes() {
    let Some(disk) = SmallDisk::ext4(96) else { return };
    life_of_a_full_disk(&disk);
}

#[test]
fn a_tmpfs_full_of_records_refuses_writes_loses_nothing_and_heals_by_deletes() {
    let Some(disk) = SmallDisk::tmpfs(96) else { return };
    life_of_a_full_disk(&disk);
}

#[test]
fn a_value_larger_than_what_is_left_is_refused_and_smaller_ones_go_on() {
    let Some(disk) = SmallDisk::ext4(96) else { return };
    let server = setup().start_in(Arc::clone(&disk.temp));
    let mut wire = server.connect();
    let large = "x".repeat(92 << 20);
    wire.send(&request(&[b"SET", b"large", large.as_bytes()]));
    let Reply::Error(text) = wire.reply() else { panic!("there is no room for it") };
    assert!(text.starts_with(b"MISCONF"), "{}", String::from_utf8_lossy(&text));
    assert_eq!(wire.answer(&["GET", "large"]), "nil");
    wait_for("small values to go on", || (wire.answer(&["SET", "small", "v"]) == "+OK").then_some(()));
    let server = server.kill().start();
    assert_eq!(server.connect().answer(&["MGET", "large", "small"]), "[nil v]");
}

/// A value grows far beyond what its command brings: without places for it no checkpoint of its shard would ever come to
/// its end, and deleting would heal nothing.
#[test]
fn a_value_that_a_few_bytes_make_larger_than_what_is_left_is_refused_and_the_rest_goes_on() {
    let Some(disk) = SmallDisk::ext4(96) else { return };
    let server = setup().start_in(Arc::clone(&disk.temp));
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["SET", "small", "v"]), "+OK");
    for line in [
        &["SETBIT", "large", "4294967295", "1"][..],
        &["SETRANGE", "large", "200000000", "x"],
        &["BITFIELD", "small", "SET", "u8", "#100000000", "1"],
    ] {
        let answer = wire.answer(line);
        assert!(answer.starts_with(MISCONF), "{line:?}: {answer}");
    }
    assert_eq!(wire.answer(&["MGET", "large", "small"]), "[nil v]");
    wait_for("small values to go on", || (wire.answer(&["SET", "small", "w"]) == "+OK").then_some(()));
    assert_eq!(wire.answer(&["SAVE"]), "+OK");
    // What there is room for grows, and is prolonged.
    wait_for("room for 8 MiB", || {
        (wire.answer(&["SETRANGE", "large", "8000000", "x"]) == ":8000001").then_some(())
    });
    assert_eq!(wire.answer(&["EXPIRE", "large", "1000"]), ":1");
    assert_eq!(wire.answer(&["SAVE"]), "+OK");
    let server = server.kill().start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["STRLEN", "large"]), ":8000001");
    assert_eq!(wire.answer(&["GET", "small"]), "w");
}
