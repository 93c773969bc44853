//! Two rings on two cores wake each other in turns: what a wake costs by message and by event counter.
//!
//! `cargo run --release -p ring --example wake_round_trip`. Prints the time of a round trip (two wakes), best of
//! several runs, and the processor time of one side.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use ring::{Ring, RingConfig, Waker, available_cores, monotonic_ns, pin_current_thread};

const ROUNDS: u64 = 5_000;
const RUNS: usize = 10;

/// How one side wakes the other.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    /// `Ring::wake`: `IORING_OP_MSG_RING`, submitted together with the wait.
    Message,
    /// `Waker::wake`: a write to an event counter, a system call of its own.
    Counter,
}

struct Side {
    core: usize,
    parity: u64,
    by: By,
    ball: Arc<AtomicU64>,
    own_waker: Sender<Waker>,
    other_waker: Receiver<Waker>,
}

impl Side {
    /// Plays all rounds; returns the processor time it took.
    fn play(self) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
        pin_current_thread(self.core)?;
        let mut ring = Ring::new(&RingConfig { recv_buffer_count: 0, ..RingConfig::default() })?;
        self.own_waker.send(ring.waker())?;
        let other = self.other_waker.recv()?;
        let start = processor_ns();
        let mut out = Vec::new();
        loop {
            let seen = self.ball.load(Ordering::Acquire);
            let mine = seen % 2 == self.parity;
            if mine {
                self.ball.store(seen + 1, Ordering::Release);
                match self.by {
                    By::Message => ring.wake(&other),
                    By::Counter => other.wake(),
                }
            }
            let finished = seen >= 2 * ROUNDS;
            let last = mine && seen + 1 >= 2 * ROUNDS;
            ring.submit_and_wait(!(finished || last), &mut out)?;
            out.clear();
            if finished {
                return Ok(processor_ns() - start);
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "the report is the purpose")]
fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let cores = available_cores()?;
    let (first_core, second_core) = (cores[0], cores[cores.len() - 1]);
    for by in [By::Message, By::Counter] {
        let mut best = (u64::MAX, u64::MAX);
        for _ in 0..RUNS {
            let ball = Arc::new(AtomicU64::new(0));
            let (first_out, second_in) = channel();
            let (second_out, first_in) = channel();
            let side = |core, parity, own_waker, other_waker| {
                let side = Side { core, parity, by, ball: Arc::clone(&ball), own_waker, other_waker };
                thread::spawn(move || side.play())
            };
            let start = monotonic_ns();
            let first = side(first_core, 0, first_out, first_in);
            let second = side(second_core, 1, second_out, second_in);
            let processor = first.join().map_err(|_| "first side panicked")??;
            second.join().map_err(|_| "second side panicked")??;
            best.0 = best.0.min((monotonic_ns() - start) / ROUNDS);
            best.1 = best.1.min(processor / ROUNDS);
        }
        println!("{by:?}: round trip {} ns, of it processor time of one side {} ns", best.0, best.1);
    }
    Ok(())
}

/// User and system time of this thread.
fn processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}
