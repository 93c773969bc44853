//! A server process with its socket: started, waited for, stopped. The programs differ by their arguments only.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use resp::Reply;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::limits::{LOG_TAIL_BYTES, POLL_INTERVAL, START_TIME_MAX, STOP_TIME_MAX};
use crate::process::{Process, describe};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerKind {
    /// `redis-server`, or one that takes its arguments (Valkey).
    Redis,
    /// `ourod`.
    Ouro,
}

impl ServerKind {
    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Ouro => "ouro",
        }
    }
}

/// What survives a crash of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Nothing: no file is written.
    Memory,
    /// All that is acknowledged.
    Always,
}

/// How a server is started.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    /// Which server.
    pub kind: ServerKind,
    /// Its program.
    pub program: PathBuf,
    /// What survives.
    pub durability: Durability,
    /// Workers, where the server has such.
    pub workers: usize,
    /// The cores it may use; all when empty.
    pub cpus: Vec<usize>,
    /// Further arguments.
    pub extra: Vec<String>,
}

impl ServerSpec {
    /// Where it listens.
    #[must_use]
    pub fn socket(&self, dir: &Path) -> PathBuf {
        dir.join(self.kind.name()).with_extension("sock")
    }

    /// Its arguments, for a store in `dir`.
    #[must_use]
    pub fn args(&self, dir: &Path) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let socket = text(&self.socket(dir));
        // Cores beyond the workers are for what runs before them: replay.
        let cpus: Vec<String> = self.cpus.iter().take(self.workers).map(ToString::to_string).collect();
        let args: Vec<String> = match (self.kind, self.durability) {
            (ServerKind::Redis, durability) => {
                let mut args = words("--port 0 --daemonize no --save");
                args.push(String::new());
                args.extend(words(match durability {
                    Durability::Memory => "--appendonly no",
                    Durability::Always => {
                        "--appendonly yes --appendfsync always --auto-aof-rewrite-percentage 0"
                    }
                }));
                args.extend(["--unixsocket".to_owned(), socket, "--dir".to_owned(), text(dir)]);
                args
            }
            (ServerKind::Ouro, durability) => {
                let mut args = words(match durability {
                    Durability::Memory => "--storage memory",
                    Durability::Always => "--appendfsync always",
                });
                args.extend(["--workers".to_owned(), self.workers.to_string()]);
                if !cpus.is_empty() {
                    args.extend(["--cpus".to_owned(), cpus.join(",")]);
                }
                args.extend(["--unixsocket".to_owned(), socket, "--dir".to_owned(), text(dir)]);
                args
            }
        };
        args.into_iter().chain(self.extra.iter().cloned()).collect()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Process,
    socket: PathBuf,
    log: PathBuf,
    started: Instant,
}

impl Server {
    /// Starts it; it may not answer yet.
    ///
    /// # Errors
    /// When the program does not start.
    pub fn start(spec: &ServerSpec, dir: &Path) -> Result<Self> {
        let log = dir.join(spec.kind.name()).with_extension("log");
        let started = Instant::now();
        let process = Process::start(Command::new(&spec.program).args(spec.args(dir)), &spec.cpus, &log)
            .with_context(|| format!("{} does not start", spec.program.display()))?;
        Ok(Self { process, socket: spec.socket(dir), log, started })
    }

    /// Waits until it serves and, where a number is given, has so many keys. Returns the time since its start.
    ///
    /// # Errors
    /// When it ends or does not get there in time, with the end of its log.
    pub fn wait_until_serving(&mut self, keys: Option<u64>) -> Result<Duration> {
        loop {
            if self.serves(keys) {
                return Ok(self.started.elapsed());
            }
            if let Some(status) = self.process.ended()? {
                bail!(
                    "the server ended while it started ({}); its log ends:\n{}",
                    describe(status),
                    self.log_tail()
                );
            }
            if self.started.elapsed() > START_TIME_MAX {
                bail!(
                    "the server does not serve after {START_TIME_MAX:?}; its log ends:\n{}",
                    self.log_tail()
                );
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn serves(&self, keys: Option<u64>) -> bool {
        // No socket yet, or a socket of a server that was killed: ask again.
        let ask = || -> io::Result<bool> {
            let mut client = Client::connect(&self.socket)?;
            let pong = client.ask(&[b"PING"])? == Reply::Simple(b"PONG".to_vec());
            Ok(pong && (keys.is_none() || client.key_count()? == keys))
        };
        ask().unwrap_or(false)
    }

    /// A new connection to it.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn connect(&self) -> Result<Client> {
        Client::connect(&self.socket).with_context(|| format!("cannot connect to {}", self.socket.display()))
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    /// Those of the system.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.process.ended()?)
    }

    /// SIGKILL: what is not on disk is gone.
    ///
    /// # Errors
    /// Those of the system.
    pub fn kill(&mut self) -> Result<()> {
        Ok(self.process.kill()?)
    }

    /// SIGTERM, and waits.
    ///
    /// # Errors
    /// When it does not stop in time or not with exit code 0.
    pub fn stop(&mut self) -> Result<()> {
        let status = self.process.stop(STOP_TIME_MAX).context("the server was asked to stop")?;
        if !status.success() {
            bail!("the server stopped with {}; its log ends:\n{}", describe(status), self.log_tail());
        }
        Ok(())
    }

    /// The end of what it logged.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = fs::File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES as u64)))?;
            let mut tail = Vec::new();
            file.read_to_end(&mut tail)?;
            Ok(tail)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kind: ServerKind, durability: Durability) -> ServerSpec {
        ServerSpec {
            kind,
            program: "x".into(),
            durability,
            workers: 2,
            cpus: vec![0, 1],
            extra: words("--a b"),
        }
    }

    #[test]
    fn arguments_say_what_survives_and_where() {
        let dir = Path::new("/d");
        assert_eq!(
            spec(ServerKind::Ouro, Durability::Memory).args(dir).join(" "),
            "--storage memory --workers 2 --cpus 0,1 --unixsocket /d/ouro.sock --dir /d --a b"
        );
        let redis = spec(ServerKind::Redis, Durability::Always).args(dir);
        assert!(redis.join(" ").contains("--save  --appendonly yes --appendfsync always"), "{redis:?}");
        assert!(!redis.join(" ").contains("workers"), "{redis:?}");
    }

    #[test]
    fn a_server_that_ends_at_once_is_told_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut spec = spec(ServerKind::Ouro, Durability::Memory);
        spec.program = "ls".into();
        spec.cpus.clear();
        let mut server = Server::start(&spec, dir.path()).unwrap();
        let error = server.wait_until_serving(None).unwrap_err().to_string();
        assert!(error.contains("exit code 2") && error.contains("--storage"), "{error}");
    }
}
