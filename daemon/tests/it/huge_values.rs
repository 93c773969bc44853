//! Values that take a run of extents: the longest there may be, larger than all memory that records get, through a checkpoint,
//! a kill, a dump and a restore; and commands on parts of those that are on disk.

use std::fs;
use std::process::Command;

use resp::Reply;

use crate::memory_limit::figure;
use crate::server::{Setup, wait_for};
use crate::wire::{Wire, request};

const MIB: usize = 1 << 20;
/// `proto-max-bulk-len`, which is the longest value of a store.
const HUGE_MIB: usize = 512;

/// A part of a value that no other part is like.
fn block(base: &[u8], number: usize) -> Vec<u8> {
    let mut block = base.to_vec();
    block[..8].copy_from_slice(&number.to_be_bytes());
    block
}

fn base() -> Vec<u8> {
    (0..MIB).map(|at| u8::try_from((at / 251 + at) % 256).unwrap()).collect()
}

fn set(wire: &mut Wire, key: &str, mib: usize) {
    let base = base();
    wire.send(format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n", key.len(), mib * MIB).as_bytes());
    (0..mib).for_each(|number| wire.send(&block(&base, number)));
    wire.send(b"\r\n");
    wire.expect(b"+OK\r\n");
}

fn check(wire: &mut Wire, key: &str, mib: usize) {
    let base = base();
    wire.send(&request(&[b"GET", key.as_bytes()]));
    wire.expect(format!("${}\r\n", mib * MIB).as_bytes());
    (0..mib).for_each(|number| wire.expect(&block(&base, number)));
    wire.expect(b"\r\n");
}

fn ourod(words: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_ourod")).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn waits_for_disk_reads(wire: &mut Wire, before: u64) {
    wait_for("reads to be told", || (figure(wire, "stats", "disk_reads") > before).then_some(()));
}

#[test]
fn the_longest_value_outlives_memory_a_checkpoint_a_kill_a_dump_and_a_restore() {
    let options = ["--wal-segment-bytes", "64mb", "--wal-sync", "fdatasync", "--maxmemory", "128mb"];
    let server = Setup::with(&options).start();
    let mut wire = server.connect();
    set(&mut wire, "huge", HUGE_MIB);
    let length = format!(":{}", HUGE_MIB * MIB);
    assert_eq!(wire.answer(&["STRLEN", "huge"]), length);
    let longer = wire.answer(&["APPEND", "huge", "x"]);
    assert!(longer.starts_with("-ERR string exceeds maximum allowed size"), "{longer}");
    assert_eq!(wire.answer(&["SAVE"]), "+OK");
    let before = figure(&mut wire, "stats", "disk_reads");
    check(&mut wire, "huge", HUGE_MIB);
    waits_for_disk_reads(&mut wire, before);
    // Killed with the value in a snapshot's extents, and moved: the dump reads it where it lies.
    let ended = server.kill();
    let dir = ended.dir.to_str().unwrap();
    let (dump, new) = (format!("{dir}-dump"), format!("{dir}-new"));
    ourod(&["dump", dir, "--output", &dump]);
    fs::remove_dir_all(dir).unwrap();
    ourod(&["restore", &new, &dump, "--shards", "3"]);
    fs::remove_file(dump).unwrap();
    fs::rename(new, dir).unwrap();
    let server = ended.start();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["STRLEN", "huge"]), length);
    check(&mut wire, "huge", HUGE_MIB);
    // And once more after a kill, by its ends only.
    let server = server.kill().start();
    let mut wire = server.connect();
    let last = block(&base(), HUGE_MIB - 1);
    assert_eq!(wire.call(&["GETRANGE", "huge", "-1000", "-1"]), Reply::Bulk(last[MIB - 1000..].to_vec()));
    assert_eq!(wire.answer(&["DEL", "huge"]), ":1");
    assert_eq!(wire.answer(&["DBSIZE"]), ":0");
}

#[test]
fn parts_of_runs_on_disk_are_read_and_changed() {
    const RUN_MIB: usize = 3;
    let server = Setup::disk().and(&["--maxmemory", "8mb", "--shards", "2"]).start();
    let mut wire = server.connect();
    for number in 0..20 {
        set(&mut wire, &format!("run:{number}"), RUN_MIB);
    }
    let before = figure(&mut wire, "stats", "disk_reads");
    let base = base();
    // Over a border of two extents, of two blocks, at the end.
    let border = [&block(&base, 0)[MIB - 100..], &block(&base, 1)[..100]].concat();
    let range = [(MIB - 100).to_string(), (MIB + 99).to_string()];
    assert_eq!(wire.call(&["GETRANGE", "run:0", &range[0], &range[1]]), Reply::Bulk(border));
    assert_eq!(wire.call(&["GETRANGE", "run:1", "4000", "4200"]), Reply::Bulk(base[4000..=4200].to_vec()));
    waits_for_disk_reads(&mut wire, before + 1);
    let length = |more: usize| format!(":{}", RUN_MIB * MIB + more);
    assert_eq!(wire.answer(&["APPEND", "run:2", "tail"]), length(4));
    assert_eq!(wire.answer(&["SETRANGE", "run:3", &(2 * MIB).to_string(), "PATCHED!"]), length(0));
    assert_eq!(
        wire.answer(&["SETRANGE", "run:4", &(4 * MIB).to_string(), "far"]),
        format!(":{}", 4 * MIB + 3)
    );
    assert_eq!(wire.answer(&["SETBIT", "run:5", "0", "1"]), ":0");
    assert_eq!(wire.answer(&["STRLEN", "run:6"]), length(0));
    let changed = |wire: &mut Wire| {
        let last = &block(&base, RUN_MIB - 1)[MIB - 4..];
        assert_eq!(wire.call(&["GETRANGE", "run:2", "-8", "-1"]), Reply::Bulk([last, b"tail"].concat()));
        let patched = [&base[MIB - 2..], b"PATCHED!", &base[8..10]].concat();
        let range = [(2 * MIB - 2).to_string(), (2 * MIB + 9).to_string()];
        assert_eq!(wire.call(&["GETRANGE", "run:3", &range[0], &range[1]]), Reply::Bulk(patched));
        let end = (RUN_MIB * MIB).to_string();
        assert_eq!(
            wire.call(&["GETRANGE", "run:4", &end, "-1"]),
            Reply::Bulk([&vec![0; MIB], &b"far"[..]].concat())
        );
        assert_eq!(wire.call(&["GETRANGE", "run:5", "0", "0"]), Reply::Bulk(vec![128]));
        for number in [0, 1, 6, 19] {
            check(wire, &format!("run:{number}"), RUN_MIB);
        }
    };
    changed(&mut wire);
    // From the log, and from a snapshot.
    let server = server.kill().start();
    let mut wire = server.connect();
    changed(&mut wire);
    assert_eq!(wire.answer(&["SAVE"]), "+OK");
    let server = server.kill().start();
    changed(&mut server.connect());
}
