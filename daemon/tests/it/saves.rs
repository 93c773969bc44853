//! Checkpoints and the log on demand: SAVE, BGSAVE, LASTSAVE, OURO.WAL, OURO.DISKUSAGE, and what is there after a kill.

use resp::Reply;

use crate::server::{Setup, wait_for, workers};
use crate::wire::{Wire, request};

fn fill(wire: &mut Wire, prefix: &str, count: usize) {
    let value = vec![b'x'; 4096];
    let mut pipeline = Vec::new();
    for number in 0..count {
        pipeline.extend(request(&[b"SET", format!("{prefix}:{number}").as_bytes(), &value]));
    }
    wire.send(&pipeline);
    for _ in 0..count {
        assert_eq!(wire.reply(), Reply::Simple(b"OK".to_vec()));
    }
}

fn integer(wire: &mut Wire, words: &[&str]) -> i64 {
    match wire.call(words) {
        Reply::Integer(number) => number,
        other => panic!("{words:?}: {other:?}"),
    }
}

/// A line of an INFO section.
fn info(wire: &mut Wire, section: &str, name: &str) -> String {
    let text = match wire.call(&["INFO", section]) {
        Reply::Bulk(text) | Reply::Verbatim { text, .. } => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    };
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

/// Elements of an array, one for each worker.
fn elements(reply: Reply) -> Vec<Reply> {
    match reply {
        Reply::Array(elements) => elements,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_log_is_rotated_and_cleared_and_nothing_is_lost() {
    let setup = Setup::disk().and(&["--wal-segment-bytes", "1mb"]).workers(workers(2));
    let server = setup.start();
    let mut wire = server.connect();
    fill(&mut wire, "before", 2000);
    let full = integer(&mut wire, &["OURO.WAL", "SIZE"]);
    assert!(full > 8 << 20, "{full}");
    assert_eq!(wire.answer(&["OURO.WAL", "ROTATE"]), "+OK");
    assert_eq!(wire.answer(&["OURO.WAL", "CLEAR"]), "+OK");
    let cleared = integer(&mut wire, &["OURO.WAL", "SIZE"]);
    // Of each log the segment in use, the one ahead and the small file for the next start.
    let least = i64::try_from(server.workers()).unwrap() * ((2 << 20) + (268 << 10));
    assert!(cleared <= least, "{cleared} of {full}");
    for words in [["OURO.WAL", "STATUS"].as_slice(), &["OURO.DISKUSAGE"]] {
        assert_eq!(elements(wire.call(words)).len(), server.workers(), "{words:?}");
    }
    fill(&mut wire, "after", 50);
    let server = server.kill().start();
    let mut wire = server.connect();
    assert_eq!(integer(&mut wire, &["DBSIZE"]), 2050);
    assert_eq!(integer(&mut wire, &["EXISTS", "before:0", "before:1999", "after:49"]), 3);
}

#[test]
fn saves_are_told_and_survive_a_kill() {
    let server = Setup::disk().and(&["--wal-segment-bytes", "1mb"]).workers(workers(2)).start();
    let mut wire = server.connect();
    fill(&mut wire, "key", 500);
    let started = integer(&mut wire, &["LASTSAVE"]);
    assert_eq!(wire.answer(&["SAVE"]), "+OK");
    assert!(integer(&mut wire, &["LASTSAVE"]) >= started);
    assert_eq!(info(&mut wire, "persistence", "rdb_bgsave_in_progress"), "0");
    assert_eq!(info(&mut wire, "persistence", "rdb_last_bgsave_status"), "ok");
    assert!(info(&mut wire, "persistence", "rdb_last_bgsave_time_sec").parse::<i64>().unwrap() >= 0);
    wait_for("changes to be told as none", || {
        (info(&mut wire, "persistence", "rdb_changes_since_last_save") == "0").then_some(())
    });
    fill(&mut wire, "more", 30);
    wait_for("changes to be told", || {
        (info(&mut wire, "persistence", "rdb_changes_since_last_save") == "30").then_some(())
    });
    assert_eq!(wire.answer(&["BGSAVE"]), "+Background saving started");
    wait_for("the save to be over", || {
        (info(&mut wire, "persistence", "rdb_bgsave_in_progress") == "0").then_some(())
    });
    wait_for("changes to be told as none", || {
        (info(&mut wire, "persistence", "rdb_changes_since_last_save") == "0").then_some(())
    });
    wait_for("its checkpoint to be told", || {
        info(&mut wire, "ouro", "shard0_checkpoint").contains("published=2").then_some(())
    });
    assert!(info(&mut wire, "ouro", "worker0_turn_us").contains("over_20_ms="));
    assert!(info(&mut wire, "ouro", "log0_flush_us").contains("p99="));
    let server = server.kill().start();
    assert_eq!(integer(&mut server.connect(), &["DBSIZE"]), 530);
}

#[test]
fn many_clients_ask_for_saves_at_once() {
    let server = Setup::disk().and(&["--wal-segment-bytes", "1mb"]).workers(workers(2)).start();
    fill(&mut server.connect(), "key", 200);
    let mut wires: Vec<Wire> = (0..6).map(|_| server.connect()).collect();
    for round in 0..5 {
        for wire in &mut wires {
            wire.send(&[request(&[b"SAVE"]), request(&[b"OURO.WAL", b"CLEAR"])].concat());
        }
        let mut saved = 0;
        for wire in &mut wires {
            match wire.reply() {
                Reply::Simple(_) => saved += 1,
                Reply::Error(text) => {
                    assert_eq!(text, b"ERR Background save already in progress");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(wire.reply(), Reply::Simple(b"OK".to_vec()));
        }
        assert!(saved > 0, "round {round}");
    }
}
