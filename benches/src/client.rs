//! A blocking client on a Unix socket: what the harness asks servers with, never what it measures with.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use resp::{Reply, parse_reply, write_request};

use crate::limits::{PIPELINE_MAX, REPLY_TIME_MAX};

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    out: Vec<u8>,
    input: Vec<u8>,
    /// Bytes of `input` already given out.
    taken: usize,
}

impl Client {
    /// Connects; nothing is sent.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(REPLY_TIME_MAX))?;
        stream.set_write_timeout(Some(REPLY_TIME_MAX))?;
        Ok(Self { stream, out: Vec::new(), input: Vec::new(), taken: 0 })
    }

    /// Adds a request to what the next [`Self::send`] sends.
    pub fn push(&mut self, args: &[&[u8]]) {
        write_request(&mut self.out, args);
    }

    /// Sends what was pushed.
    ///
    /// # Errors
    /// Those of the socket: how much has left is unknown.
    pub fn send(&mut self) -> io::Result<()> {
        let result = self.stream.write_all(&self.out);
        self.out.clear();
        result
    }

    /// The next reply, waited for.
    ///
    /// # Errors
    /// `UnexpectedEof` when the server closed, `WouldBlock` when no reply came in time, `InvalidData` when the
    /// bytes are no reply.
    pub fn reply(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(reply) = self.buffered_reply()? {
                return Ok(reply);
            }
            self.receive()?;
        }
    }

    /// The next reply if it is here already.
    ///
    /// # Errors
    /// `InvalidData` when the bytes are no reply.
    pub fn buffered_reply(&mut self) -> io::Result<Option<Reply>> {
        let parsed = parse_reply(&self.input[self.taken..])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        Ok(parsed.map(|(reply, consumed)| {
            self.taken += consumed;
            reply
        }))
    }

    /// Waits for more bytes and takes them in.
    ///
    /// # Errors
    /// As [`Self::reply`].
    pub fn receive(&mut self) -> io::Result<()> {
        self.input.drain(..self.taken);
        self.taken = 0;
        let mut chunk = [0; 64 << 10];
        match uninterrupted(|| self.stream.read(&mut chunk))? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.input.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }

    /// Sends one request and waits for its reply.
    ///
    /// # Errors
    /// As [`Self::send`] and [`Self::reply`].
    pub fn ask(&mut self, args: &[&[u8]]) -> io::Result<Reply> {
        self.push(args);
        self.send()?;
        self.reply()
    }

    /// Sends requests in pipelines and gathers their replies, in order.
    ///
    /// # Errors
    /// As [`Self::send`] and [`Self::reply`].
    pub fn ask_all(&mut self, requests: &[Vec<&[u8]>]) -> io::Result<Vec<Reply>> {
        let mut replies = Vec::with_capacity(requests.len());
        for pipeline in requests.chunks(PIPELINE_MAX) {
            for args in pipeline {
                self.push(args);
            }
            self.send()?;
            for _ in pipeline {
                replies.push(self.reply()?);
            }
        }
        Ok(replies)
    }

    /// The number of keys of database 0; `None` while the server answers an error, as it does while it loads.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn key_count(&mut self) -> io::Result<Option<u64>> {
        Ok(match self.ask(&[b"DBSIZE"])? {
            Reply::Integer(count) => u64::try_from(count).ok(),
            _ => None,
        })
    }
}

/// Reads again when nothing happened but a pause of this process: a socket with a timeout is not restarted behind a
/// SIGCONT, even where no signal is handled (signal(7)).
fn uninterrupted(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_of_the_process_is_no_answer() {
        let mut answers =
            vec![Ok(3), Err(io::ErrorKind::Interrupted.into()), Err(io::ErrorKind::Interrupted.into())];
        assert_eq!(uninterrupted(|| answers.pop().unwrap()).unwrap(), 3);
        let mut answers = vec![Ok(3), Err(io::ErrorKind::WouldBlock.into())];
        assert_eq!(uninterrupted(|| answers.pop().unwrap()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
