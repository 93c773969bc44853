//! Hundreds of thousands of keys that end at one time: all of them go, their memory goes back to the system, and others are
//! served meanwhile.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use resp::Reply;

use crate::info::Info;
use crate::server::{Server, Setup, wait_for};
use crate::wire::{Wire, request};

const KEYS: usize = 300_000;
const VALUE_BYTES: usize = 200;
/// Buffers of each worker that connections share: 512 of 16 KiB.
const RECEIVE_BYTES: u64 = 8 << 20;
/// Keys without a deadline.
const LASTING: usize = 1_000;

fn unix_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

/// Sets all keys to end at that time. Whether it was far enough away, when the last one was there, to look at them.
fn set_to_end_at(wire: &mut Wire, deadline_ms: u128) -> bool {
    let (value, deadline) = (vec![b'v'; VALUE_BYTES], deadline_ms.to_string());
    for start in (0..KEYS).step_by(1_000) {
        let sets = (start..start + 1_000).flat_map(|number| {
            let key = format!("ends:{number}");
            request(&[b"SET", key.as_bytes(), &value, b"PXAT", deadline.as_bytes()])
        });
        wire.send(&sets.collect::<Vec<u8>>());
        wire.expect(&b"+OK\r\n".repeat(1_000));
    }
    unix_ms() + 3_000 < deadline_ms
}

/// `used_memory`, and what the system says that the process has.
fn memory(server: &Server, wire: &mut Wire) -> (u64, u64) {
    (Info::of(wire, "memory").number("used_memory"), server.resident_mib() << 20)
}

#[test]
fn keys_that_end_at_one_time_are_all_gone_and_their_memory_is_given_back() {
    let server = Setup::memory().start();
    let mut wire = server.connect();
    for number in 0..LASTING {
        assert_eq!(wire.answer(&["SET", &format!("lasts:{number}"), "stays"]), "+OK");
    }
    thread::sleep(Duration::from_millis(300));
    let before = memory(&server, &mut wire);
    // A machine that needs longer gets longer.
    let deadline_ms = [12_000, 40_000, 120_000].into_iter().find_map(|ms| {
        assert_eq!(wire.answer(&["DBSIZE"]), format!(":{LASTING}"));
        let deadline_ms = unix_ms() + ms;
        let is_set = set_to_end_at(&mut wire, deadline_ms);
        if !is_set {
            wait_for("those of before to be gone", || {
                (wire.answer(&["DBSIZE"]) == format!(":{LASTING}")).then_some(())
            });
        }
        is_set.then_some(deadline_ms)
    });
    let deadline_ms = deadline_ms.unwrap_or_else(|| panic!("two minutes are enough for {KEYS} keys"));
    let most = wait_for("figures of all keys", || {
        let info = Info::of(&mut wire, "keyspace");
        (info.field("db0", "expires") == KEYS as u64).then(|| memory(&server, &mut wire))
    });
    let written = (KEYS * VALUE_BYTES) as u64;
    assert!(most.0 > before.0 + written && most.1 > before.1 + written, "{before:?} {most:?}");

    // Others are served while it happens, and no key is seen after its time.
    let mut number = 0;
    let mut other = server.connect();
    let mut serve_others = || {
        for _ in 0..100 {
            number = (number + 1) % LASTING;
            assert_eq!(other.answer(&["GET", &format!("lasts:{number}")]), "stays");
        }
    };
    while unix_ms() < deadline_ms {
        serve_others();
    }
    wait_for("all of them to be gone", || {
        serve_others();
        let info = Info::of(&mut wire, "keyspace");
        (info.field("db0", "keys") == LASTING as u64).then_some(())
    });
    assert_eq!(Info::of(&mut wire, "keyspace").field("db0", "expires"), 0);
    assert_eq!(wire.answer(&["DBSIZE"]), format!(":{LASTING}"));
    assert!(Info::of(&mut wire, "stats").number("expired_keys") >= KEYS as u64);
    for number in (0..KEYS).step_by(5_003) {
        assert_eq!(wire.call(&["GET", &format!("ends:{number}")]), Reply::Null);
    }
    // All but a tenth of what they took: an open extent of each shard, and tables that are not full. The process has also
    // come to use the buffers that each worker receives with.
    let buffers = server.workers() as u64 * RECEIVE_BYTES;
    wait_for("memory to be given back", || {
        let now = memory(&server, &mut wire);
        eprintln!("before {before:?}, with all keys {most:?}, now {now:?}");
        (now.0 <= before.0 + written / 10 && now.1 <= before.1 + written / 10 + buffers).then_some(())
    });
    for number in 0..LASTING {
        assert_eq!(wire.answer(&["GET", &format!("lasts:{number}")]), "stays");
    }
}
