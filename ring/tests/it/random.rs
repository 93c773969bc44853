//! Random work on many sockets at once: whatever is cancelled, closed or starved meanwhile, every operation ends
//! exactly once, bytes arrive in order, and nothing is left behind.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;

use ring::{Completion, Fd, OperationId, Received, Ring, RingConfig, monotonic_ns};

use crate::support::in_each_mode;

/// xorshift64*: a seed replays a run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// One direction of a connection: bytes are numbered, so that order and loss show.
struct Pipe {
    sender: Option<Fd>,
    receiver: Option<Fd>,
    sent: u64,
    received: u64,
    sending: Option<OperationId>,
    receiving: Option<OperationId>,
    /// A send was cancelled: how much of it arrives is open, and nothing is sent after it.
    broken: bool,
}

struct World {
    ring: Ring,
    random: Random,
    pipes: HashMap<u64, Pipe>,
    next: u64,
    /// Operations started and not yet ended.
    open: usize,
    /// Bytes received over all.
    bytes: u64,
}

impl World {
    fn new(config: &RingConfig, seed: u64) -> Self {
        let ring = Ring::new(config).unwrap();
        Self { ring, random: Random(seed), pipes: HashMap::new(), next: 0, open: 0, bytes: 0 }
    }

    fn connect(&mut self) {
        let (sender, receiver) = UnixStream::pair().unwrap();
        let pipe = Pipe {
            sender: Some(Fd::from(sender)),
            receiver: Some(Fd::from(receiver)),
            sent: 0,
            received: 0,
            sending: None,
            receiving: None,
            broken: false,
        };
        self.pipes.insert(self.next, pipe);
        self.next += 1;
    }

    fn act(&mut self) {
        if self.pipes.len() < 30 && self.random.below(4) == 0 {
            return self.connect();
        }
        let mut keys: Vec<u64> = self.pipes.keys().copied().collect();
        keys.sort_unstable();
        if keys.is_empty() {
            return;
        }
        let count = u64::try_from(keys.len()).unwrap();
        let key = keys[usize::try_from(self.random.below(count)).unwrap()];
        let (choice, size) = (self.random.below(20), self.random.below(300_000) + 1);
        let pipe = self.pipes.get_mut(&key).unwrap();
        match (choice, &pipe.sender, &pipe.receiver) {
            (0..8, Some(sender), _) if pipe.sending.is_none() && !pipe.broken => {
                let size = if choice < 6 { size % 100 + 1 } else { size };
                let bytes = (pipe.sent..pipe.sent + size).map(|number| number as u8).collect();
                pipe.sent += size;
                pipe.sending = Some(self.ring.send(sender, bytes, key * 2));
                self.open += 1;
            }
            (8..14, _, Some(receiver)) if pipe.receiving.is_none() => {
                pipe.receiving = Some(self.ring.recv(receiver, key * 2 + 1));
                self.open += 1;
            }
            (14, _, _) => pipe.receiving.into_iter().for_each(|id| self.ring.cancel(id)),
            (15, _, _) => {
                if let Some(id) = pipe.sending {
                    self.ring.cancel(id);
                    pipe.broken = true;
                }
            }
            (16, Some(sender), _) => {
                self.ring.cancel_all_of(sender);
                pipe.broken |= pipe.sending.is_some();
            }
            (17, Some(_), _) if pipe.sending.is_none() => pipe.sender = None,
            (18, _, Some(receiver)) => {
                self.ring.cancel_all_of(receiver);
                pipe.receiver = None;
            }
            (19, Some(sender), _) => {
                Ring::shutdown_socket(sender);
                pipe.broken = true;
            }
            _ => {}
        }
    }

    fn settle(&mut self, completions: Vec<Completion>) {
        for completion in completions {
            match completion {
                Completion::Sent { token, buffer, result } => {
                    let pipe = self.pipes.get_mut(&(token / 2)).unwrap();
                    assert!(pipe.sending.take().is_some(), "a send ends once");
                    self.open -= 1;
                    match result {
                        Ok(sent) => assert_eq!(sent, buffer.len()),
                        Err(error) => {
                            let expected = [libc::ECANCELED, libc::EPIPE, libc::ECONNRESET];
                            assert!(expected.contains(&error.raw_os_error().unwrap()), "{error}");
                            pipe.broken = true;
                        }
                    }
                }
                Completion::Received { token, result, more } => {
                    let pipe = self.pipes.get_mut(&(token / 2)).unwrap();
                    match result {
                        Ok(Received::Data(bytes)) => {
                            for byte in bytes.iter() {
                                assert_eq!(*byte, pipe.received as u8, "bytes arrive in order");
                                pipe.received += 1;
                                self.bytes += 1;
                            }
                            assert!(pipe.received <= pipe.sent);
                        }
                        Ok(Received::Closed) => {
                            assert!(pipe.broken || (pipe.sender.is_none() && pipe.received == pipe.sent));
                        }
                        Ok(Received::NoBuffers) => assert!(!more),
                        Err(error) => {
                            let expected = [libc::ECANCELED, libc::ECONNRESET];
                            assert!(expected.contains(&error.raw_os_error().unwrap()), "{error}");
                        }
                    }
                    if !more {
                        assert!(pipe.receiving.take().is_some(), "a receive ends once");
                        self.open -= 1;
                    }
                }
                Completion::Timer | Completion::Woken => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(self.ring.in_flight(), self.open);
        self.pipes.retain(|_, pipe| {
            pipe.sender.is_some()
                || pipe.receiver.is_some()
                || pipe.sending.is_some()
                || pipe.receiving.is_some()
        });
    }
}

#[test]
fn every_operation_ends_once_and_bytes_keep_their_order() {
    in_each_mode(|config| {
        for seed in 1..=12 {
            println!("mode {:?}, seed {seed}", config.best_mode);
            let buffers = 1 << (seed % 5);
            let config = RingConfig {
                entries: 4,
                cq_entries: 8,
                recv_buffer_count: buffers,
                recv_buffer_bytes: 1000,
                ..config.clone()
            };
            let mut world = World::new(&config, seed);
            for _ in 0..1_000 {
                for _ in 0..world.random.below(8) {
                    world.act();
                }
                world.ring.set_timer(Some(monotonic_ns() + 100_000));
                let mut out = Vec::new();
                let wait = world.random.below(4) == 0;
                world.ring.submit_and_wait(wait, &mut out).unwrap();
                world.settle(out);
            }
            let mut out = Vec::new();
            assert!(world.ring.drain(monotonic_ns() + 20_000_000_000, &mut out).unwrap());
            world.settle(out);
            assert_eq!((world.open, world.ring.lent_buffers()), (0, 0));
            assert!(world.bytes > 100_000, "the run did some work: {} bytes", world.bytes);
        }
    });
}
