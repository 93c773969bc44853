//! A bit that rots in a data file is found by reading everything back: told in the log and by INFO, an error for that key,
//! and nothing to anybody else.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use resp::Reply;

use crate::server::{Server, Setup, wait_for};
use crate::wire::Wire;

const KEYS: usize = 400;

fn setup(wal: &str) -> Setup {
    Setup::disk().workers(1).and(&["--shards", "2", "--wal", wal])
}

fn value(number: usize) -> String {
    format!("value of key {number:08};").repeat(100)
}

/// Writes all keys and has them in the data files.
fn fill(wire: &mut Wire) {
    for number in 0..KEYS {
        assert_eq!(wire.answer(&["SET", &format!("k{number}"), &value(number)]), "+OK");
    }
    assert_eq!(wire.answer(&["SAVE"]), "+OK");
}

/// Flips a bit in the middle of the value of one key, in whichever data file it lies.
fn rot(dir: &Path, number: usize) {
    let wanted = value(number);
    for shard in 0..2 {
        let path = dir.join(format!("shard-{shard:05}.data"));
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let found = bytes.windows(wanted.len()).position(|at| at == wanted.as_bytes());
        let Some(at) = found.map(|at| at + wanted.len() / 2) else { continue };
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
        file.sync_all().unwrap();
        return;
    }
    panic!("k{number} is in no data file of {}", dir.display());
}

/// A figure of INFO's line `scrub`.
fn figure(wire: &mut Wire, name: &str) -> u64 {
    let Reply::Bulk(info) = wire.call(&["INFO", "ouro"]) else { panic!("INFO is a text") };
    let info = String::from_utf8(info.to_vec()).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("scrub:")).expect("a line about the scrub");
    let text = line.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    text.unwrap().parse().unwrap()
}

/// Waits until every shard has been read back once more.
fn wait_for_round(wire: &mut Wire, rounds: u64) {
    wait_for("a round of the scrub", || (figure(wire, "rounds") >= rounds).then_some(()));
}

fn check_found(server: &Server, wire: &mut Wire, rotten: usize) {
    assert_eq!((figure(wire, "damaged_extents"), figure(wire, "damaged_records")), (1, 1));
    let status = wire.answer(&["OURO.SCRUB", "STATUS"]);
    assert!(status.contains("damaged-records :1"), "{status}");
    let log = server.log();
    let told = log.lines().filter(|line| line.contains("the scrub found extent")).count();
    assert_eq!(told, 1, "once a round: {log}");
    assert!(
        log.contains("live keys that cannot be read: 1; keep the data file and restore the keys"),
        "{log}"
    );
    for number in 0..KEYS {
        match wire.call(&["GET", &format!("k{number}")]) {
            Reply::Bulk(bytes) => assert!(bytes == value(number).as_bytes() && number != rotten, "k{number}"),
            Reply::Error(_) => assert_eq!(number, rotten),
            other => panic!("k{number}: {other:?}"),
        }
    }
}

#[test]
fn a_rotten_bit_is_found_on_demand_and_hurts_its_key_only() {
    for wal in ["yes", "no"] {
        let server = setup(wal).start();
        fill(&mut server.connect());
        let ended = server.terminate();
        rot(&ended.dir, 123);
        let server = ended.start();
        let mut wire = server.connect();
        assert_eq!(figure(&mut wire, "rounds"), 0);
        assert_eq!(wire.answer(&["OURO.SCRUB"]), "+OK");
        wait_for_round(&mut wire, 2);
        check_found(&server, &mut wire, 123);
        assert_eq!(wire.answer(&["OURO.SCRUB", "NOW"]), "-ERR syntax error");
    }
}

#[test]
fn a_round_goes_by_itself_within_its_days() {
    let server = setup("yes").and(&["--scrub-days", "0.00001"]).start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["CONFIG", "GET", "scrub-days"]), "[scrub-days 0.00001]");
    fill(&mut wire);
    rot(&server.dir, 7);
    let damaged = || (figure(&mut wire, "damaged_records") == 1).then_some(());
    wait_for("the damage to be found", damaged);
    // What is in memory is served all the same.
    assert_eq!(wire.answer(&["GET", "k7"]), value(7));
    wait_for("the log to tell it", || server.log().contains("the scrub found extent").then_some(()));
}

#[test]
fn in_memory_there_is_nothing_to_scrub() {
    let server = Setup::memory().start();
    let refused = server.connect().answer(&["OURO.SCRUB"]);
    assert_eq!(refused, "-ERR the store is in memory only: there is nothing to scrub");
}
