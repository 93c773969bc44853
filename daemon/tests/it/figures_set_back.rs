//! CONFIG RESETSTAT, over two workers: what is asked after its answer counts, and what was asked before does not.

use crate::info::Info;
use crate::server::{Setup, wait_for, workers};

const KEYS: u64 = 100;

#[test]
fn what_comes_after_the_answer_counts_and_nothing_before_it() {
    let server = Setup::with(&["--storage", "memory", "--wal", "no"]).workers(workers(2)).start();
    let mut wires = [server.connect(), server.connect(), server.connect(), server.connect()];
    for round in 0..10 {
        for wire in &mut wires {
            for number in 0..KEYS {
                wire.answer(&["GET", &format!("key:{number}")]);
            }
        }
        // Answered at once after what was counted, and followed at once by what is counted.
        let [first, second, ..] = &mut wires;
        assert_eq!(first.answer(&["CONFIG", "RESETSTAT"]), "+OK");
        let before = Info::of(second, "commandstats");
        assert!(!before.has("cmdstat_get"), "round {round}: {}", before.line("cmdstat_get"));
        for number in 0..KEYS {
            second.answer(&["GET", &format!("key:{number}")]);
        }
        wait_for("all calls to be told", || {
            let info = Info::of(first, "commandstats");
            let calls = if info.has("cmdstat_get") { info.field("cmdstat_get", "calls") } else { 0 };
            assert!(calls <= KEYS, "round {round}: {calls} calls");
            (calls == KEYS).then_some(())
        });
    }
}

#[test]
fn in_a_pipeline_only_what_stands_behind_it_counts() {
    let server = Setup::with(&["--storage", "memory", "--wal", "no"]).workers(1).start();
    let mut wire = server.connect();
    for _ in 0..20 {
        let gets = |count: usize| b"GET key\r\n".repeat(count);
        wire.send(&[gets(50), b"CONFIG RESETSTAT\r\n".to_vec(), gets(7)].concat());
        wire.expect(&[b"$-1\r\n".repeat(50), b"+OK\r\n".to_vec(), b"$-1\r\n".repeat(7)].concat());
        wait_for("the calls behind it to be told", || {
            let info = Info::of(&mut wire, "commandstats");
            let calls = if info.has("cmdstat_get") { info.field("cmdstat_get", "calls") } else { 0 };
            assert!(calls <= 7, "{calls} calls");
            (calls == 7).then_some(())
        });
    }
}
