//! A raw connection: bytes out, bytes in, with a deadline on everything.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use resp::{Reply, parse_reply};

use crate::server::{PATIENCE, wait_for};

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A connection to a server.
pub(crate) struct Wire {
    stream: Stream,
    received: Vec<u8>,
}

/// Bytes of a request.
pub(crate) fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    resp::write_request(&mut out, words);
    out
}

/// A key of this worker, if there are two. With one worker all keys are its own.
pub(crate) fn key_of(worker: usize, number: usize) -> String {
    let mut keys = (0..).map(|at| format!("key:{at}"));
    let half = |key: &String| usize::from(shard::slot::slot_of(key.as_bytes()).0 >= 8192);
    keys.by_ref().filter(|key| half(key) == worker).nth(number).unwrap()
}

impl Wire {
    pub(crate) fn unix(path: &Path) -> Self {
        // A full backlog answers EAGAIN.
        let stream = wait_for("a connection", || UnixStream::connect(path).ok());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream: Stream::Unix(stream), received: Vec::new() }
    }

    pub(crate) fn tcp(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: Stream::Tcp(stream), received: Vec::new() }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.stream {
            Stream::Unix(stream) => stream,
            Stream::Tcp(stream) => stream,
        }
    }

    fn receive(&mut self) -> std::io::Result<usize> {
        let mut chunk = [0; 1 << 16];
        let count = loop {
            let read = match &mut self.stream {
                Stream::Unix(stream) => stream.read(&mut chunk),
                Stream::Tcp(stream) => stream.read(&mut chunk),
            };
            match read {
                // This process was paused: a socket with a timeout is not restarted behind a SIGCONT (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.received.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.writer().write_all(bytes).unwrap();
    }

    /// Sends what the server may not wait for: it may have closed.
    pub(crate) fn send_if_open(&mut self, bytes: &[u8]) {
        drop(self.writer().write_all(bytes));
    }

    /// Nothing more is sent.
    pub(crate) fn half_close(&mut self) {
        match &self.stream {
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
        .unwrap();
    }

    /// Both directions are ended, for every handle.
    pub(crate) fn abandon(&self) {
        // The server may have been faster.
        match &self.stream {
            Stream::Unix(stream) => drop(stream.shutdown(Shutdown::Both)),
            Stream::Tcp(stream) => drop(stream.shutdown(Shutdown::Both)),
        }
    }

    /// A second handle on the same connection, to send from another thread.
    pub(crate) fn second(&self) -> Self {
        let stream = match &self.stream {
            Stream::Unix(stream) => Stream::Unix(stream.try_clone().unwrap()),
            Stream::Tcp(stream) => Stream::Tcp(stream.try_clone().unwrap()),
        };
        Self { stream, received: Vec::new() }
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            assert!(self.receive().unwrap() > 0, "closed after {} of {count} bytes", self.received.len());
        }
        self.received.drain(..count).collect()
    }

    /// The next `count` bytes, if the server does not close before.
    pub(crate) fn try_take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.received.len() < count {
            if !self.receive().is_ok_and(|count| count > 0) {
                return None;
            }
        }
        Some(self.received.drain(..count).collect())
    }

    /// The next bytes are these.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: &[u8]) {
        let got = self.take(expected.len());
        if got != expected {
            let at = got.iter().zip(expected).position(|(a, b)| a != b).unwrap();
            let show = |bytes: &[u8]| {
                bytes[at.saturating_sub(40)..bytes.len().min(at + 80)].escape_ascii().to_string()
            };
            panic!("at byte {at}: got {}, expected {}", show(&got), show(expected));
        }
    }

    /// Whether nothing comes within so long.
    pub(crate) fn is_silent(&mut self, within: Duration) -> bool {
        self.set_read_timeout(within);
        let received = self.receive();
        self.set_read_timeout(PATIENCE);
        self.received.is_empty()
            && received
                .is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    fn set_read_timeout(&self, timeout: Duration) {
        match &self.stream {
            Stream::Unix(stream) => stream.set_read_timeout(Some(timeout)),
            Stream::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
        }
        .unwrap();
    }

    /// Whatever still comes until the server closes.
    pub(crate) fn until_closed(&mut self) -> Vec<u8> {
        loop {
            match self.receive() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!(
                    "not closed: {error}; got {}",
                    self.received[..self.received.len().min(200)].escape_ascii()
                ),
            }
        }
        std::mem::take(&mut self.received)
    }

    /// The next reply.
    pub(crate) fn reply(&mut self) -> Reply {
        loop {
            if let Some((reply, consumed)) = parse_reply(&self.received).unwrap() {
                self.received.drain(..consumed);
                return reply;
            }
            assert!(self.receive().unwrap() > 0, "closed within a reply");
        }
    }

    /// The next reply, if a whole one comes before the server closes.
    pub(crate) fn try_reply(&mut self) -> Option<Reply> {
        loop {
            if let Some((reply, consumed)) = parse_reply(&self.received).unwrap() {
                self.received.drain(..consumed);
                return Some(reply);
            }
            if !self.receive().is_ok_and(|count| count > 0) {
                return None;
            }
        }
    }

    /// One request and its reply.
    pub(crate) fn call(&mut self, words: &[&str]) -> Reply {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.send(&request(&words));
        self.reply()
    }

    /// One request and its reply, if it comes before the server closes.
    pub(crate) fn try_answer(&mut self, words: &[&str]) -> Option<String> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.send_if_open(&request(&words));
        self.try_reply().map(|reply| show(&reply))
    }

    /// One request and its reply, as a line.
    pub(crate) fn answer(&mut self, words: &[&str]) -> String {
        show(&self.call(words))
    }
}

/// A reply as a line for an eye to compare.
pub(crate) fn show(reply: &Reply) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string().replace("\\'", "'");
    match reply {
        Reply::Simple(bytes) => format!("+{}", text(bytes)),
        Reply::Error(bytes) | Reply::BulkError(bytes) => format!("-{}", text(bytes)),
        Reply::Integer(value) => format!(":{value}"),
        Reply::Bulk(bytes) => text(bytes),
        Reply::Null => "nil".to_owned(),
        Reply::Array(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}
