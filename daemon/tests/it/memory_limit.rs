//! A store in memory at its limit, and compaction on demand, as a client sees them.

use crate::server::{Setup, wait_for};
use crate::wire::Wire;

fn figure(wire: &mut Wire, section: &str, name: &str) -> u64 {
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

/// What the process takes beside what `maxmemory` counts, in MiB: program, buffers of the ring and the log, a large request
/// and its reply on their way.
const BESIDE_MIB: u64 = 48;

#[test]
fn a_store_on_disk_stays_within_its_limit_while_it_is_filled_with_several_times_as_much() {
    const LIMIT_MIB: u64 = 64;
    let server = Setup::disk().workers(1).and(&["--maxmemory", "64mb"]).start();
    let mut wire = server.connect();
    let large = "x".repeat(3 << 20);
    for key in 0..100 {
        assert_eq!(wire.answer(&["SET", &format!("large:{key}"), &large]), "+OK");
    }
    assert_eq!(fill(&mut wire, 0..10_000), Ok(()));
    for key in [0, 57, 99] {
        assert_eq!(wire.answer(&["STRLEN", &format!("large:{key}")]), format!(":{}", large.len()));
    }
    wait_for("figures to be published", || {
        let used = figure(&mut wire, "memory", "used_memory");
        (figure(&mut wire, "stats", "disk_reads") > 0 && used <= LIMIT_MIB << 20).then_some(())
    });
    let peak = server.peak_mib();
    assert!(peak <= LIMIT_MIB * 105 / 100 + BESIDE_MIB, "{peak} MiB at a limit of {LIMIT_MIB}");
}
