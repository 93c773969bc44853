//! Rings in each mode, and loops that turn a ring until something happened.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use ring::{Completion, Fd, Ring, RingConfig, SetupMode, monotonic_ns};

const MODES: [SetupMode; 3] = [SetupMode::Defer, SetupMode::Coop, SetupMode::Plain];

/// Runs `test` with the configuration of each mode, sleeping at once and spinning first.
pub(crate) fn in_each_mode(test: impl Fn(RingConfig)) {
    for best_mode in MODES {
        for spin_ns in [0, 20_000] {
            test(RingConfig { entries: 64, cq_entries: 256, spin_ns, best_mode, ..RingConfig::default() });
        }
    }
}

/// A connected pair: a handle for the ring, and a std socket that fails loudly instead of hanging the test.
pub(crate) fn pair() -> (Fd, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    theirs.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    (Fd::from(ours), theirs)
}

/// Turns until `count` completions have come; fails after 20 s instead of hanging.
pub(crate) fn turn_until(ring: &mut Ring, count: usize) -> Vec<Completion> {
    let mut out = Vec::new();
    ring.set_timer(Some(monotonic_ns() + 20_000_000_000));
    while out.len() < count {
        ring.submit_and_wait(true, &mut out).unwrap();
        let late = out.iter().any(|completion| matches!(completion, Completion::Timer));
        assert!(!late, "{} of {count} completions in 20 s: {out:?}", out.len() - 1);
    }
    ring.set_timer(None);
    out
}

/// The one next completion.
pub(crate) fn turn_once(ring: &mut Ring) -> Completion {
    let mut out = turn_until(ring, 1);
    assert_eq!(out.len(), 1, "{out:?}");
    out.remove(0)
}
