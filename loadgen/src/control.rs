//! One blocking connection that asks and waits: it introduces itself, reads INFO and settings, and tells the
//! user what is wrong when the server cannot be used. No measured request goes this way.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::Duration;

use resp::{Reply, parse_reply, write_request};
use thiserror::Error;

use crate::limits::{CONTROL_REPLY_BYTES_MAX, CONTROL_TIMEOUT_S};
use crate::plan::Session;
use crate::target::{Connection, Target};

/// Why the server cannot be used, in words that tell the user what to do.
#[derive(Debug, Error)]
pub enum ControlError {
    /// No connection.
    #[error("{0}")]
    Connect(String),
    /// The server wants to know who asks.
    #[error("{target} asks for a password: give it with --pass (and --user), or in REDISCLI_AUTH")]
    PasswordNeeded {
        /// The server.
        target: String,
    },
    /// The server knows no such user or password.
    #[error("{target} refuses this user and password: {reply}")]
    PasswordWrong {
        /// The server.
        target: String,
        /// Its words.
        reply: String,
    },
    /// RESP3 was asked for.
    #[error("{target} does not speak RESP3 ({reply}): leave out --resp3")]
    NoResp3 {
        /// The server.
        target: String,
        /// Its words.
        reply: String,
    },
    /// Another error reply.
    #[error("{target} answers {command} with: {reply}")]
    Refused {
        /// The server.
        target: String,
        /// What was asked.
        command: &'static str,
        /// Its words.
        reply: String,
    },
    /// Not RESP at all.
    #[error(
        "what answers at {target} does not speak RESP ({reason}): another service, or a TLS port (--tls)"
    )]
    NotResp {
        /// The server.
        target: String,
        /// What is wrong with its bytes.
        reason: String,
    },
    /// The connection broke or the answer did not come.
    #[error("{target} does not answer: {reason}")]
    Silent {
        /// The server.
        target: String,
        /// What happened.
        reason: String,
    },
}

/// The control connection.
#[derive(Debug)]
pub struct Control {
    connection: Connection,
    target: String,
    /// Bytes received and not yet used.
    received: Vec<u8>,
}

impl Control {
    /// Connects and introduces itself.
    ///
    /// # Errors
    /// Says what the user can do.
    pub fn open(target: &Target, session: &Session) -> Result<Self, ControlError> {
        let connection =
            target.connect().map_err(|error| ControlError::Connect(target.explain_connect(&error)))?;
        let mut control = Self { connection, target: target.to_string(), received: Vec::new() };
        control.set_timeout(Some(Duration::from_secs(CONTROL_TIMEOUT_S)))?;
        control.introduce(session)?;
        Ok(control)
    }

    /// Process at the other end, when it can be known.
    #[must_use]
    pub fn peer_pid(&self) -> Option<u32> {
        self.connection.peer_pid()
    }

    /// Hands the connection over to be driven by a ring.
    ///
    /// # Errors
    /// When the connection has broken.
    pub fn into_connection(self) -> Result<Connection, ControlError> {
        debug_assert!(self.received.is_empty(), "every answer was read");
        self.set_timeout(None)?;
        Ok(self.connection)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// When no answer comes. An error reply is an answer.
    pub fn ask(&mut self, arguments: &[&[u8]]) -> Result<Reply, ControlError> {
        let mut request = Vec::new();
        write_request(&mut request, arguments);
        self.send(&request)?;
        self.read_reply()
    }

    /// Sends requests; the answers are read one by one with [`read_reply`](Self::read_reply).
    ///
    /// # Errors
    /// When the connection has ended. Some of the requests may have been received.
    pub fn send(&mut self, requests: &[u8]) -> Result<(), ControlError> {
        let written = self.connection.write_all(requests).and_then(|()| self.connection.flush());
        written.map_err(|error| self.silent(&error.to_string()))
    }

    /// INFO as names and values. A server without INFO gives none.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn info(&mut self) -> Result<BTreeMap<String, String>, ControlError> {
        let reply = self.ask(&[b"INFO"])?;
        Ok(text_of(&reply).map(|text| parse_info(&text)).unwrap_or_default())
    }

    /// A setting of the server, if it tells.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn setting(&mut self, name: &str) -> Result<Option<String>, ControlError> {
        let reply = self.ask(&[b"CONFIG", b"GET", name.as_bytes()])?;
        Ok(match reply {
            Reply::Array(items) => items.get(1).and_then(text_of),
            Reply::Map(pairs) => pairs.first().and_then(|(_, value)| text_of(value)),
            _ => None,
        })
    }

    /// Number of keys, if the server tells.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn key_count(&mut self) -> Result<Option<u64>, ControlError> {
        Ok(match self.ask(&[b"DBSIZE"])? {
            Reply::Integer(count) => u64::try_from(count).ok(),
            _ => None,
        })
    }

    fn introduce(&mut self, session: &Session) -> Result<(), ControlError> {
        let user = session.user.as_deref();
        let pass = session.pass.as_deref();
        if session.resp3 {
            let mut arguments: Vec<&[u8]> = vec![b"HELLO", b"3"];
            if let Some(pass) = pass {
                arguments.extend([&b"AUTH"[..], user.unwrap_or("default").as_bytes(), pass.as_bytes()]);
            }
            let reply = self.ask(&arguments)?;
            self.check_introduction("HELLO", &reply)?;
        } else if let Some(pass) = pass {
            let reply = match user {
                Some(user) => self.ask(&[b"AUTH", user.as_bytes(), pass.as_bytes()])?,
                None => self.ask(&[b"AUTH", pass.as_bytes()])?,
            };
            self.check_introduction("AUTH", &reply)?;
        }
        if session.db != 0 {
            let reply = self.ask(&[b"SELECT", session.db.to_string().as_bytes()])?;
            self.check_introduction("SELECT", &reply)?;
        }
        let reply = self.ask(&[b"PING"])?;
        self.check_introduction("PING", &reply)
    }

    fn check_introduction(&self, command: &'static str, reply: &Reply) -> Result<(), ControlError> {
        let (Reply::Error(text) | Reply::BulkError(text)) = reply else { return Ok(()) };
        let reply = String::from_utf8_lossy(text).into_owned();
        let target = self.target.clone();
        Err(match (command, reply.split(' ').next().unwrap_or_default()) {
            (_, "NOAUTH") => ControlError::PasswordNeeded { target },
            (_, "WRONGPASS") | ("AUTH", _) => ControlError::PasswordWrong { target, reply },
            ("HELLO", "NOPROTO" | "ERR") => ControlError::NoResp3 { target, reply },
            _ => ControlError::Refused { target, command, reply },
        })
    }

    /// The next answer.
    ///
    /// # Errors
    /// When none comes. An error reply is an answer.
    pub fn read_reply(&mut self) -> Result<Reply, ControlError> {
        loop {
            match parse_reply(&self.received) {
                Ok(Some((reply, consumed))) => {
                    self.received.drain(..consumed);
                    // Messages that answer nothing may come at any time in RESP3.
                    if matches!(reply, Reply::Push(_)) {
                        continue;
                    }
                    return Ok(reply);
                }
                Ok(None) if self.received.len() <= CONTROL_REPLY_BYTES_MAX => self.read_more()?,
                Ok(None) => return Err(self.not_resp("an answer without end")),
                Err(error) => return Err(self.not_resp(&error.to_string())),
            }
        }
    }

    fn read_more(&mut self) -> Result<(), ControlError> {
        let mut bytes = [0; 16 << 10];
        match self.connection.read(&mut bytes) {
            Ok(0) => Err(self.silent("it closes the connection")),
            Ok(length) => {
                self.received.extend_from_slice(&bytes[..length]);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                Err(self.silent(&format!("nothing came in {CONTROL_TIMEOUT_S} s")))
            }
            Err(error) => Err(self.silent(&error.to_string())),
        }
    }

    fn set_timeout(&self, timeout: Option<Duration>) -> Result<(), ControlError> {
        self.connection.set_timeout(timeout).map_err(|error| self.silent(&error.to_string()))
    }

    fn silent(&self, reason: &str) -> ControlError {
        ControlError::Silent { target: self.target.clone(), reason: reason.to_owned() }
    }

    fn not_resp(&self, reason: &str) -> ControlError {
        ControlError::NotResp { target: self.target.clone(), reason: reason.to_owned() }
    }
}

/// The text of a reply that is text.
fn text_of(reply: &Reply) -> Option<String> {
    match reply {
        Reply::Simple(bytes) | Reply::Bulk(bytes) | Reply::Verbatim { text: bytes, .. } => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        _ => None,
    }
}

/// Lines `name:value`; headings and empty lines are left out.
fn parse_info(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.trim_end().split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// Answers the first bytes of one connection with `answers`, one per read.
    fn with_server<T>(answers: &'static [&'static [u8]], ask: impl FnOnce(&Target) -> T) -> T {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                let mut bytes = [0; 4096];
                if stream.read(&mut bytes).unwrap_or(0) == 0 {
                    return;
                }
                stream.write_all(answer).unwrap();
            }
        });
        let result = ask(&Target::Unix(path));
        server.join().unwrap();
        result
    }

    fn session(pass: Option<&str>, resp3: bool) -> Session {
        Session { user: None, pass: pass.map(str::to_owned), resp3, db: 0 }
    }

    fn error_of(answers: &'static [&'static [u8]], session: &Session) -> String {
        with_server(answers, |target| Control::open(target, session).unwrap_err().to_string())
    }

    #[test]
    fn a_missing_password_is_asked_for() {
        let text = error_of(&[b"-NOAUTH Authentication required.\r\n"], &session(None, false));
        assert!(text.contains("--pass"), "{text}");
    }

    #[test]
    fn a_wrong_password_is_told() {
        let text = error_of(&[b"-WRONGPASS invalid username-password pair\r\n"], &session(Some("x"), false));
        assert!(text.contains("refuses this user and password"), "{text}");
        let text =
            error_of(&[b"-ERR AUTH <password> called without any password\r\n"], &session(Some("x"), false));
        assert!(text.contains("without any password"), "{text}");
    }

    #[test]
    fn a_server_without_resp3_is_told() {
        let text = error_of(&[b"-ERR unknown command 'HELLO'\r\n"], &session(None, true));
        assert!(text.contains("leave out --resp3"), "{text}");
    }

    #[test]
    fn a_foreign_protocol_is_told() {
        let text = error_of(&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], &session(None, false));
        assert!(text.contains("does not speak RESP"), "{text}");
        let text = error_of(&[b""], &session(None, false));
        assert!(text.contains("closes the connection"), "{text}");
    }

    #[test]
    fn answers_come_whole_even_in_pieces_and_after_pushes() {
        let answers: &[&[u8]] = &[
            b"%1\r\n+proto\r\n:3\r\n",
            b">2\r\n+x\r\n:1\r\n+PONG\r\n",
            b"=19\r\ntxt:a:1\r\n# x\r\nb:2\r\n\r\n",
        ];
        let info = with_server(answers, |target| {
            Control::open(target, &session(None, true)).unwrap().info().unwrap()
        });
        assert_eq!(info, BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())]));
    }
}
