//! The ring's timer.

use ring::{Completion, Ring, monotonic_ns};

use crate::support::in_each_mode;

const MS: u64 = 1_000_000;

fn wait_for_timer(ring: &mut Ring) -> u64 {
    let mut out = Vec::new();
    ring.submit_and_wait(true, &mut out).unwrap();
    assert!(matches!(out[..], [Completion::Timer]), "{out:?}");
    monotonic_ns()
}

#[test]
fn timer_ends_a_wait_at_its_time_and_not_before() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let deadline = monotonic_ns() + 20 * MS;
        ring.set_timer(Some(deadline));
        assert!(wait_for_timer(&mut ring) >= deadline);
        let mut out = Vec::new();
        ring.submit_and_wait(false, &mut out).unwrap();
        assert!(out.is_empty(), "it fires once: {out:?}");
    });
}

#[test]
fn a_moved_timer_fires_at_the_new_time_only() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        let start = monotonic_ns();
        let turn = |ring: &mut Ring| ring.submit_and_wait(false, &mut Vec::new()).unwrap();
        // Later, earlier, off, earlier again: each reaches the kernel before the next.
        for deadline in
            [Some(start + 60_000 * MS), Some(start + 90_000 * MS), Some(start + 30_000 * MS), None]
        {
            ring.set_timer(deadline);
            turn(&mut ring);
        }
        ring.set_timer(Some(start + 15 * MS));
        turn(&mut ring);
        ring.set_timer(Some(start + 40 * MS));
        assert!(wait_for_timer(&mut ring) >= start + 40 * MS);
    });
}

#[test]
fn a_time_that_has_passed_fires_at_once() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        for past in [0, 1, monotonic_ns() - 1] {
            ring.set_timer(Some(past));
            wait_for_timer(&mut ring);
        }
    });
}
