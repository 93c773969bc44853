//! Waking rings from other rings and from plain threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use ring::{Completion, Ring, RingConfig, Waker, monotonic_ns};

use crate::support::{in_each_mode, turn_once, turn_until};

#[test]
fn two_rings_wake_each_other_in_turns() {
    in_each_mode(|config| {
        const ROUNDS: u64 = 2_000;
        let ball = Arc::new(AtomicU64::new(0));
        let play = |parity: u64, wakers: mpsc::Sender<Waker>, other: mpsc::Receiver<Waker>| {
            let (ball, config) = (Arc::clone(&ball), config.clone());
            thread::spawn(move || {
                let mut ring = Ring::new(&config).unwrap();
                wakers.send(ring.waker()).unwrap();
                let other = other.recv().unwrap();
                loop {
                    let seen = ball.load(Ordering::Acquire);
                    if seen >= ROUNDS {
                        ring.wake(&other);
                        ring.submit_and_wait(false, &mut Vec::new()).unwrap();
                        return ring.counters();
                    }
                    if seen % 2 == parity {
                        ball.store(seen + 1, Ordering::Release);
                        ring.wake(&other);
                        ring.submit_and_wait(false, &mut Vec::new()).unwrap();
                    } else {
                        // The last one to play wakes the other, so this never waits for ever.
                        for completion in turn_until(&mut ring, 1) {
                            assert!(matches!(completion, Completion::Woken), "{completion:?}");
                        }
                    }
                }
            })
        };
        let (first_out, second_in) = mpsc::channel();
        let (second_out, first_in) = mpsc::channel();
        let first = play(0, first_out, first_in);
        let second = play(1, second_out, second_in);
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn any_thread_wakes_a_waiting_ring() {
    in_each_mode(|config| {
        let mut ring = Ring::new(&config).unwrap();
        for _ in 0..200 {
            let waker = ring.waker();
            let thread = thread::spawn(move || waker.wake());
            assert!(matches!(turn_once(&mut ring), Completion::Woken));
            thread.join().unwrap();
        }
        let completions = ring.counters().completions;
        assert!(completions < 600, "one watch of the counter, not one more each time: {completions}");
    });
}

#[test]
fn wakes_before_the_report_cost_one_report() {
    let mut ring = Ring::new(&RingConfig::default()).unwrap();
    let mut other = Ring::new(&RingConfig::default()).unwrap();
    let waker = ring.waker();
    for _ in 0..10 {
        waker.wake();
        other.wake(&waker);
    }
    other.submit_and_wait(false, &mut Vec::new()).unwrap();
    assert!(matches!(turn_once(&mut ring), Completion::Woken));
    let mut out = Vec::new();
    ring.submit_and_wait(false, &mut out).unwrap();
    assert!(out.is_empty(), "{out:?}");
}

#[test]
fn a_ring_wakes_itself() {
    let mut ring = Ring::new(&RingConfig::default()).unwrap();
    let waker = ring.waker();
    ring.wake(&waker);
    assert!(matches!(turn_once(&mut ring), Completion::Woken));
}

#[test]
fn waking_a_ring_that_is_gone_does_nothing() {
    let mut ring = Ring::new(&RingConfig::default()).unwrap();
    let gone = Ring::new(&RingConfig::default()).unwrap().waker();
    gone.wake();
    ring.wake(&gone);
    ring.set_timer(Some(monotonic_ns() + 5_000_000));
    assert!(matches!(turn_once_with_timer(&mut ring), Completion::Timer));
}

fn turn_once_with_timer(ring: &mut Ring) -> Completion {
    let mut out = Vec::new();
    ring.submit_and_wait(true, &mut out).unwrap();
    out.remove(0)
}
