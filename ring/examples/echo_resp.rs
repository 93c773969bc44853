//! The smallest RESP server on the ring: answers `+OK` to every command. It measures what a turn costs.
//!
//! `cargo run --release -p ring --example echo_resp -- /tmp/echo.sock [defer|coop|plain [spin ns]]`, then
//! `redis-benchmark -s /tmp/echo.sock -t ping_mbulk -c 50 -n 2000000 -P 16`. Once a second it prints, if anything
//! happened: commands, turns, commands per turn, and processor time per command.

use std::collections::VecDeque;
use std::fs;

use ring::{
    Completion, Fd, ListenOptions, Received, Ring, RingConfig, SetupMode, SocketAddress, monotonic_ns,
    pin_current_thread,
};

const ACCEPT: u64 = u64::MAX;
const SECOND_NS: u64 = 1_000_000_000;
const REPLY: &[u8] = b"+OK\r\n";

/// Where a connection is within the command it receives.
#[derive(Default)]
struct Parser {
    arguments_left: u64,
    bytes_left: usize,
    number: u64,
    in_number: bool,
}

impl Parser {
    /// Commands completed by `bytes`.
    fn feed(&mut self, bytes: &[u8]) -> usize {
        let (mut commands, mut at) = (0, 0);
        while at < bytes.len() {
            if self.bytes_left > 0 {
                let skipped = self.bytes_left.min(bytes.len() - at);
                self.bytes_left -= skipped;
                at += skipped;
                if self.bytes_left == 0 && self.arguments_left == 0 {
                    commands += 1;
                }
                continue;
            }
            match bytes[at] {
                b'*' | b'$' => (self.number, self.in_number) = (0, bytes[at] == b'$'),
                b'\n' if self.in_number => {
                    self.bytes_left = usize::try_from(self.number).unwrap_or(0) + 2;
                    self.arguments_left = self.arguments_left.saturating_sub(1);
                }
                b'\n' => self.arguments_left = self.number,
                digit @ b'0'..=b'9' => self.number = self.number * 10 + u64::from(digit - b'0'),
                _ => {}
            }
            at += 1;
        }
        commands
    }
}

struct Connection {
    socket: Fd,
    parser: Parser,
    pending: usize,
    sending: bool,
    spare: Vec<u8>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: echo_resp <socket path> [defer|coop|plain [spin ns]]")?;
    let best_mode = match arguments.next().as_deref() {
        None | Some("defer") => SetupMode::Defer,
        Some("coop") => SetupMode::Coop,
        Some("plain") => SetupMode::Plain,
        Some(other) => return Err(format!("unknown mode {other}").into()),
    };
    let spin_ns = arguments.next().map_or(Ok(0), |word| word.parse())?;
    pin_current_thread(0)?;
    let mut ring = Ring::new(&RingConfig { best_mode, spin_ns, ..RingConfig::default() })?;
    let _ = fs::remove_file(&path);
    let listener = Fd::listen(&SocketAddress::Unix(path.into()), ListenOptions::default())?;
    ring.accept(&listener, ACCEPT);
    serve(&mut ring, &listener)
}

fn serve(ring: &mut Ring, listener: &Fd) -> Result<(), Box<dyn std::error::Error>> {
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut free = VecDeque::new();
    let mut ready = Vec::new();
    let mut out = Vec::new();
    let (mut commands, mut turns, mut known) = (0, 0, (0, 0, processor_ns()));
    ring.set_timer(Some(monotonic_ns() + SECOND_NS));
    loop {
        ring.submit_and_wait(true, &mut out)?;
        turns += 1;
        for completion in out.drain(..) {
            match completion {
                Completion::Accepted { result, more, .. } => {
                    let connection = Connection {
                        socket: result?,
                        parser: Parser::default(),
                        pending: 0,
                        sending: false,
                        spare: Vec::new(),
                    };
                    let place = free.pop_front().unwrap_or_else(|| {
                        connections.push(None);
                        connections.len() - 1
                    });
                    ring.recv(&connection.socket, u64::try_from(place)?);
                    connections[place] = Some(connection);
                    if !more {
                        ring.accept(listener, ACCEPT);
                    }
                }
                Completion::Received { token, result, more } => {
                    let place = usize::try_from(token)?;
                    let connection = connections[place].as_mut().ok_or("receive without connection")?;
                    match result {
                        Ok(Received::Data(bytes)) => {
                            let finished = connection.parser.feed(&bytes);
                            commands += finished;
                            if connection.pending == 0 {
                                ready.push(place);
                            }
                            connection.pending += finished;
                        }
                        Ok(Received::NoBuffers) => {}
                        Ok(Received::Closed) | Err(_) => {
                            connections[place] = None;
                            free.push_back(place);
                            continue;
                        }
                    }
                    if !more {
                        ring.recv(&connection.socket, token);
                    }
                }
                Completion::Sent { token, mut buffer, .. } => {
                    let place = usize::try_from(token)?;
                    if let Some(connection) = connections[place].as_mut() {
                        buffer.clear();
                        connection.spare = buffer;
                        connection.sending = false;
                        ready.push(place);
                    }
                }
                Completion::Timer => {
                    ring.set_timer(Some(monotonic_ns() + SECOND_NS));
                    known = report(known, (commands, turns, processor_ns()));
                }
                other => return Err(format!("{other:?}").into()),
            }
        }
        for place in ready.drain(..) {
            let Some(connection) = connections[place].as_mut() else { continue };
            if connection.sending || connection.pending == 0 {
                continue;
            }
            let mut reply = std::mem::take(&mut connection.spare);
            for _ in 0..std::mem::take(&mut connection.pending) {
                reply.extend_from_slice(REPLY);
            }
            ring.send(&connection.socket, reply, u64::try_from(place)?);
            connection.sending = true;
        }
    }
}

/// Commands, turns and processor time so far; prints the difference to the last report.
#[expect(clippy::print_stdout, reason = "the report is the purpose")]
fn report(last: (usize, u64, u64), now: (usize, u64, u64)) -> (usize, u64, u64) {
    let (commands, turns, ns) = (now.0 - last.0, now.1 - last.1, now.2 - last.2);
    if let Some(per_command) = ns.checked_div(u64::try_from(commands).unwrap_or(0)) {
        let per_turn = commands / usize::try_from(turns.max(1)).unwrap_or(1);
        println!("{commands} commands, {turns} turns, {per_turn} per turn, {per_command} ns per command");
    }
    now
}

/// User and system time of this process.
fn processor_ns() -> u64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
}
