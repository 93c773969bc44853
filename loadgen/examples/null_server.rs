//! A server that does nothing but answer, to find the generator's own ceiling:
//! `null_server PATH` answers every SET with `+OK`, every GET with 64 bytes, everything else with an error.
//! One thread, one ring; a request costs it next to nothing.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use resp::{Parsed, RequestLimits, RequestParser};
use ring::{Completion, Fd, Received, Ring, RingConfig};

struct Client {
    socket: Fd,
    parser: RequestParser,
    unfinished: Vec<u8>,
    out: Vec<u8>,
    sending: bool,
}

const LISTENER: u64 = u64::MAX;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = PathBuf::from(std::env::args().nth(1).ok_or("usage: null_server PATH")?);
    let listener = Fd::from(UnixListener::bind(&path)?);
    let mut ring = Ring::new(&RingConfig::default())?;
    ring.accept(&listener, LISTENER);
    let mut clients: Vec<Client> = Vec::new();
    let mut completions = Vec::new();
    loop {
        ring.submit_and_wait(true, &mut completions)?;
        for completion in completions.drain(..) {
            match completion {
                Completion::Accepted { result, more, .. } => {
                    let socket = result?;
                    ring.recv(&socket, clients.len() as u64);
                    let (parser, unfinished, out) = (RequestParser::new(), Vec::new(), Vec::new());
                    clients.push(Client { socket, parser, unfinished, out, sending: false });
                    if !more {
                        ring.accept(&listener, LISTENER);
                    }
                }
                Completion::Received { token, result, more } => {
                    let client = &mut clients[usize::try_from(token)?];
                    let is_open = match result? {
                        Received::Data(bytes) => {
                            client.unfinished.extend_from_slice(&bytes);
                            client.answer()?;
                            true
                        }
                        Received::Closed => false,
                        Received::NoBuffers => true,
                    };
                    if is_open && !more {
                        ring.recv(&client.socket, token);
                    }
                }
                Completion::Sent { token, mut buffer, .. } => {
                    let client = &mut clients[usize::try_from(token)?];
                    client.sending = false;
                    if client.out.is_empty() {
                        buffer.clear();
                        client.out = buffer;
                    }
                }
                _ => {}
            }
        }
        for (token, client) in clients.iter_mut().enumerate() {
            if !client.sending && !client.out.is_empty() {
                client.sending = true;
                ring.send(&client.socket, std::mem::take(&mut client.out), token as u64);
            }
        }
    }
}

impl Client {
    fn answer(&mut self) -> Result<(), resp::ProtocolError> {
        let limits = RequestLimits::default();
        let mut used = 0;
        while used < self.unfinished.len() {
            match self.parser.parse(&self.unfinished[used..], &limits)? {
                Parsed::Request { consumed } => {
                    let arguments = self.parser.args(&self.unfinished[used..]);
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
        self.unfinished.drain(..used);
        Ok(())
    }
}

const VALUE: &[u8] = b"$64\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n";
