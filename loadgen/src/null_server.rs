//! A server that does nothing but answer, in a thread of this process: what the generator drives against it is the
//! generator's own ceiling.
//!
//! It answers every SET with `+OK`, every GET with 64 bytes, PING with `+PONG`, everything else with an error. One
//! thread, one ring; a request costs it next to nothing.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use resp::{Parsed, RequestLimits, RequestParser};
use ring::{Completion, Fd, Received, Ring, RingConfig, Waker};
use rustix::thread::{CpuSet, sched_setaffinity};

/// A running null server; ends when dropped.
#[derive(Debug)]
pub struct NullServer {
    waker: Waker,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NullServer {
    /// Serves at a socket of this path, which must not exist yet, on these processors; on any when there are none.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start(path: &Path, cpus: &[usize]) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (sent, ready) = channel();
        let mut processors = CpuSet::new();
        cpus.iter().for_each(|&cpu| processors.set(cpu));
        let is_placed = !cpus.is_empty();
        let body = move || {
            if is_placed && let Err(error) = sched_setaffinity(None, &processors) {
                // The starter waits for this and nothing else.
                let _ = sent.send(Err(error.into()));
                return;
            }
            match Ring::new(&config()) {
                Ok(ring) => {
                    let is_heard = sent.send(Ok(ring.waker())).is_ok();
                    let mut server = Serving::new(ring, Fd::from(listener));
                    while is_heard && !stopped.load(Ordering::Relaxed) && server.turn().is_ok() {}
                }
                Err(error) => {
                    // The starter waits for this and nothing else.
                    let _ = sent.send(Err(io::Error::other(error.to_string())));
                }
            }
        };
        let thread = std::thread::Builder::new().name("null-server".to_owned()).spawn(body)?;
        let waker = ready.recv().map_err(|_| io::Error::other("the null server ended at its start"))??;
        Ok(Self { waker, stop, thread: Some(thread) })
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A panic of it has been reported on the terminal already.
            let _ = thread.join();
        }
    }
}

fn config() -> RingConfig {
    RingConfig {
        entries: 4096,
        recv_buffer_count: 1024,
        recv_buffer_bytes: 16 << 10,
        ..RingConfig::default()
    }
}

struct Client {
    socket: Fd,
    parser: RequestParser,
    unfinished: Vec<u8>,
    out: Vec<u8>,
    sending: bool,
    dirty: bool,
    open: bool,
}

struct Serving {
    ring: Ring,
    listener: Fd,
    clients: Vec<Client>,
    /// Clients with something to send, each once.
    dirty: Vec<usize>,
    completions: Vec<Completion>,
}

const LISTENER: u64 = u64::MAX;

impl Serving {
    fn new(mut ring: Ring, listener: Fd) -> Self {
        ring.accept(&listener, LISTENER);
        Self { ring, listener, clients: Vec::new(), dirty: Vec::new(), completions: Vec::new() }
    }

    fn turn(&mut self) -> Result<(), ring::RingError> {
        let mut completions = std::mem::take(&mut self.completions);
        self.ring.submit_and_wait_past_sends(&mut completions)?;
        for completion in completions.drain(..) {
            match completion {
                Completion::Accepted { result, more, .. } => self.accepted(result, more),
                Completion::Received { token, result, more } => self.received(token, result, more),
                Completion::Sent { token, mut buffer, result } => {
                    let number = place(token);
                    let client = &mut self.clients[number];
                    client.sending = false;
                    client.open &= result.is_ok();
                    if client.out.is_empty() {
                        buffer.clear();
                        client.out = buffer;
                    } else {
                        self.mark(number);
                    }
                }
                _ => {}
            }
        }
        self.completions = completions;
        for number in self.dirty.drain(..) {
            let client = &mut self.clients[number];
            client.dirty = false;
            if client.open && !client.sending && !client.out.is_empty() {
                client.sending = true;
                self.ring.send(&client.socket, std::mem::take(&mut client.out), number as u64);
            }
        }
        Ok(())
    }

    fn accepted(&mut self, result: io::Result<Fd>, more: bool) {
        if let Ok(socket) = result {
            self.ring.recv(&socket, self.clients.len() as u64);
            self.clients.push(Client {
                socket,
                parser: RequestParser::new(),
                unfinished: Vec::new(),
                out: Vec::new(),
                sending: false,
                dirty: false,
                open: true,
            });
        }
        if !more {
            self.ring.accept(&self.listener, LISTENER);
        }
    }

    fn received(&mut self, token: u64, result: io::Result<Received>, more: bool) {
        let number = place(token);
        let client = &mut self.clients[number];
        match result {
            Ok(Received::Data(bytes)) => {
                client.open &= client.answer(&bytes);
                self.mark(number);
            }
            Ok(Received::NoBuffers) => {}
            Ok(Received::Closed) | Err(_) => client.open = false,
        }
        let client = &mut self.clients[number];
        if !client.open {
            Ring::shutdown_socket(&client.socket);
            (client.unfinished, client.out) = (Vec::new(), Vec::new());
        } else if !more {
            self.ring.recv(&client.socket, token);
        }
    }

    fn mark(&mut self, number: usize) {
        if !std::mem::replace(&mut self.clients[number].dirty, true) {
            self.dirty.push(number);
        }
    }
}

fn place(token: u64) -> usize {
    usize::try_from(token).expect("tokens are client numbers")
}

impl Client {
    /// False: what came is no request.
    fn answer(&mut self, received: &[u8]) -> bool {
        if self.unfinished.is_empty() {
            let Some(used) = self.answer_all(received) else { return false };
            self.unfinished.extend_from_slice(&received[used..]);
            return true;
        }
        let mut joined = std::mem::take(&mut self.unfinished);
        joined.extend_from_slice(received);
        let Some(used) = self.answer_all(&joined) else { return false };
        joined.drain(..used);
        self.unfinished = joined;
        true
    }

    fn answer_all(&mut self, input: &[u8]) -> Option<usize> {
        let limits = RequestLimits::default();
        let mut used = 0;
        while used < input.len() {
            match self.parser.parse(&input[used..], &limits).ok()? {
                Parsed::Request { consumed } => {
                    let arguments = self.parser.args(&input[used..]);
                    self.out.extend_from_slice(match arguments.at(0) {
                        b"SET" => b"+OK\r\n",
                        b"GET" => VALUE,
                        b"PING" => b"+PONG\r\n",
                        _ => b"-ERR unknown command\r\n",
                    });
                    used += consumed;
                }
                Parsed::Empty { consumed } => used += consumed,
                Parsed::Incomplete { .. } => break,
            }
        }
        Some(used)
    }
}

const VALUE: &[u8] = b"$64\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n";
