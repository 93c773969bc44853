//! A store in memory at its limit, and compaction on demand, as a client sees them.

use crate::server::{Setup, wait_for, workers};
use crate::wire::{Wire, request};

pub(crate) fn figure(wire: &mut Wire, section: &str, name: &str) -> u64 {
    let text = wire.answer(&["INFO", section]);
    let line = text.split("\\r\\n").find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("{name} in {text}")).trim().parse().unwrap()
}

/// Sets keys of a kibibyte and more until one is refused, or all are set.
fn fill(wire: &mut Wire, keys: std::ops::Range<u32>) -> Result<(), (u32, String)> {
    let value = "x".repeat(1_100);
    for key in keys {
        let answer = wire.answer(&["SET", &format!("key:{key}"), &value]);
        if answer != "+OK" {
            return Err((key, answer));
        }
    }
    Ok(())
}

#[test]
fn writes_are_refused_at_the_limit_and_accepted_after_deletes() {
    let server = Setup::memory().and(&["--maxmemory", "16mb"]).start();
    let mut wire = server.connect();
    let (count, answer) = fill(&mut wire, 0..100_000).unwrap_err();
    assert_eq!(answer, "-OOM command not allowed when used memory > 'maxmemory'.");
    assert!(count > 10_000, "{count} keys of 1.1 kB in 16 MiB");
    assert_eq!(wire.answer(&["GET", "nothing"]), "nil");
    assert!(figure(&mut wire, "memory", "used_memory") <= 16 << 20);
    assert_eq!(wire.answer(&["FLUSHALL"]), "+OK");
    wait_for("memory to come back", || fill(&mut wire, 0..5_000).ok());
    assert_eq!(figure(&mut wire, "stats", "evicted_keys"), 0);
}

#[test]
fn keys_are_evicted_at_the_limit_which_can_be_set_while_it_runs() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    assert_eq!(fill(&mut wire, 0..20_000), Ok(()));
    assert_eq!(
        wire.answer(&["CONFIG", "SET", "maxmemory", "12mb", "maxmemory-policy", "allkeys-lru"]),
        "+OK"
    );
    assert!(wire.answer(&["CONFIG", "GET", "maxmemory-policy"]).contains("allkeys-lru"));
    wait_for("the lower limit to be reached", || {
        (figure(&mut wire, "memory", "used_memory") <= 12 << 20).then_some(())
    });
    assert_eq!(fill(&mut wire, 20_000..50_000), Ok(()));
    wait_for("figures to be published", || {
        let used = figure(&mut wire, "memory", "used_memory");
        assert!(used <= (12 << 20) * 105 / 100, "{used}");
        (figure(&mut wire, "stats", "evicted_keys") > 35_000).then_some(())
    });
    assert_eq!(figure(&mut wire, "memory", "maxmemory"), 12 << 20);
    let bad = wire.answer(&["CONFIG", "SET", "maxmemory-policy", "none"]);
    assert!(bad.contains("must be one of the following: volatile-lru"), "{bad}");
}

#[test]
fn a_store_on_disk_evicts_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let setup = Setup::disk().and(&["--maxmemory-policy", "allkeys-lru"]);
    let (code, log) = setup.refusal(temp.path());
    assert!(code != 0 && log.contains("--storage memory"), "{code} {log}");
}

#[test]
fn a_full_compaction_gives_memory_back() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    assert_eq!(fill(&mut wire, 0..40_000), Ok(()));
    for key in (0..40_000).filter(|key| key % 5 == 0) {
        assert_eq!(wire.answer(&["DEL", &format!("key:{key}")]), ":1");
    }
    let before = figure(&mut wire, "memory", "used_memory");
    assert_eq!(wire.answer(&["BGREWRITEAOF"]), "+Background append only file rewriting started");
    wait_for("memory to come back", || {
        (figure(&mut wire, "memory", "used_memory") < before * 9 / 10).then_some(())
    });
    assert_eq!(wire.answer(&["OURO.COMPACT"]), "+OK");
    assert!(wire.answer(&["OURO.COMPACT", "STATUS"]).contains("bytes-reclaimed"));
    assert_eq!(wire.answer(&["OURO.COMPACT", "NOW"]), "-ERR syntax error");
    for key in 0..40_000 {
        let expected = if key % 5 == 0 { ":0" } else { ":1" };
        assert_eq!(wire.answer(&["EXISTS", &format!("key:{key}")]), expected);
    }
}

/// A limit of which a part may be exceeded, so that what comes beside it weighs little.
const LIMIT_MIB: u64 = 256;
/// What a process may take at this limit, in MiB, as README has it: 5 % more, and 24 MiB for the program itself.
const PROCESS_MIB: u64 = LIMIT_MIB * 105 / 100 + 24;
const LARGE_BYTES: usize = 3 << 20;

/// Sets keys of 4 KiB, many at a time.
fn fill_fast(wire: &mut Wire, keys: std::ops::Range<u32>) {
    let value = vec![b'x'; 4 << 10];
    for first in keys.clone().step_by(100) {
        let part = first..(first + 100).min(keys.end);
        let sets = part.clone().flat_map(|key| request(&[b"SET", format!("key:{key}").as_bytes(), &value]));
        wire.send(&sets.collect::<Vec<u8>>());
        wire.expect(&b"+OK\r\n".repeat(part.len()));
    }
}

fn fill_large(wire: &mut Wire, count: usize) {
    let value = "x".repeat(LARGE_BYTES);
    for key in 0..count {
        assert_eq!(wire.answer(&["SET", &format!("large:{key}"), &value]), "+OK");
    }
}

fn stays_within_its_limit_on_disk(workers: usize) {
    let server = Setup::disk().workers(workers).and(&["--maxmemory", &format!("{LIMIT_MIB}mb")]).start();
    let mut wire = server.connect();
    fill_large(&mut wire, 120);
    fill_fast(&mut wire, 0..20_000);
    for key in [0, 17, 57, 119] {
        assert_eq!(wire.answer(&["GET", &format!("large:{key}")]).len(), LARGE_BYTES);
    }
    wait_for("figures to be published", || {
        let used = figure(&mut wire, "memory", "used_memory");
        (figure(&mut wire, "stats", "disk_reads") > 0 && used <= LIMIT_MIB << 20).then_some(())
    });
    let serving = server.peak_mib();
    // The log holds twice as much as may be in memory.
    let server = server.kill().start();
    let starting = server.peak_mib();
    let mut wire = server.connect();
    assert_eq!(wire.answer(&["STRLEN", "large:0"]), format!(":{LARGE_BYTES}"));
    assert_eq!(wire.answer(&["DBSIZE"]), ":20120");
    // The longest value passes through each log's replay in a few copies.
    let copies = (workers * 4 * LARGE_BYTES) as u64 >> 20;
    assert!(
        serving <= PROCESS_MIB && starting <= PROCESS_MIB + copies,
        "{serving} MiB while it serves, {starting} MiB at a start, with a limit of {LIMIT_MIB}"
    );
}

#[test]
fn a_store_on_disk_of_one_worker_stays_within_its_limit_while_it_is_filled_and_at_a_start() {
    stays_within_its_limit_on_disk(1);
}

#[test]
fn a_store_on_disk_of_two_workers_stays_within_its_limit_while_it_is_filled_and_at_a_start() {
    stays_within_its_limit_on_disk(workers(2));
}

fn stays_within_its_limit_in_memory(workers: usize) {
    let limit = format!("{LIMIT_MIB}mb");
    let options = ["--maxmemory", &limit, "--maxmemory-policy", "allkeys-lru"];
    let server = Setup::memory().workers(workers).and(&options).start();
    let mut wire = server.connect();
    fill_fast(&mut wire, 0..100_000);
    fill_large(&mut wire, 30);
    fill_fast(&mut wire, 100_000..150_000);
    wait_for("figures to be published", || {
        (figure(&mut wire, "stats", "evicted_keys") > 80_000).then_some(())
    });
    assert!(figure(&mut wire, "memory", "used_memory") <= (LIMIT_MIB << 20) * 105 / 100);
    let peak = server.peak_mib();
    assert!(peak > LIMIT_MIB * 9 / 10, "the limit was reached: {peak} MiB");
    assert!(peak <= PROCESS_MIB, "{peak} MiB at a limit of {LIMIT_MIB}");
}

#[test]
fn a_process_that_evicts_keys_stays_within_its_limit() {
    stays_within_its_limit_in_memory(1);
    stays_within_its_limit_in_memory(workers(2));
}
