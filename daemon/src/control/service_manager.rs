//! What the service manager is told (sd_notify(3)), where there is one that listens: that the start goes on, that clients
//! are served, that every worker makes turns, that it stops. Without NOTIFY_SOCKET nothing of this happens.
//!
//! The watchdog is fed only when every worker has made a turn since it was last fed: a worker that hangs brings the
//! service manager in, and a clock that is set does not. A start and a stop get more time as long as they get on.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::limits::{NOTIFY_TICK, NOTIFY_TICK_MIN, START_EXTENSION, START_TICK};
use super::process_figures::ProcessFigures;
use crate::server::{Counter, Server, ServerState};

/// Processor time that shows that a start or a stop gets on: far more than the control thread itself takes.
const PROGRESS_CPU_MS: u64 = 100;

/// What is known when the service manager is told something.
#[derive(Clone, Debug)]
struct Facts {
    state: ServerState,
    clients: u64,
    /// Turns that each worker has made.
    turns: Vec<u64>,
    /// Bytes read by the process.
    read_bytes: u64,
    /// Processor time of the process.
    cpu_ms: u64,
}

impl Facts {
    fn of(server: &Server) -> Self {
        let figures = ProcessFigures::read();
        Self {
            state: server.state(),
            clients: server.totals().get(Counter::Connections),
            turns: server.workers.iter().map(|worker| worker.get(Counter::Turns)).collect(),
            read_bytes: figures.read_bytes.unwrap_or(0),
            cpu_ms: figures.cpu_ms.unwrap_or(0),
        }
    }
}

/// What was said, and what it was said of.
#[derive(Debug, Default)]
struct Story {
    state: Option<ServerState>,
    status: String,
    fed: Vec<u64>,
    read_bytes: u64,
    cpu_ms: u64,
}

impl Story {
    /// What is to be said now; empty for nothing. `watched`: there is a watchdog.
    fn next(&self, facts: &Facts, watched: bool) -> String {
        let mut lines = Vec::new();
        let status = status(facts);
        if self.state != Some(facts.state) {
            match facts.state {
                ServerState::Starting | ServerState::Recovering => {}
                ServerState::Serving => lines.push("READY=1".to_owned()),
                ServerState::Stopping => lines.push("STOPPING=1".to_owned()),
            }
        }
        if status != self.status {
            lines.push(format!("STATUS={status}"));
        }
        if facts.state != ServerState::Serving && self.gets_on(facts) {
            lines.push(format!("EXTEND_TIMEOUT_USEC={}", START_EXTENSION.as_micros()));
        }
        if watched && self.is_alive(facts) {
            lines.push("WATCHDOG=1".to_owned());
        }
        lines.join("\n")
    }

    /// It was said.
    fn told(&mut self, facts: &Facts) {
        self.status = status(facts);
        if self.is_alive(facts) {
            self.fed.clone_from(&facts.turns);
        }
        if self.gets_on(facts) {
            (self.read_bytes, self.cpu_ms) = (facts.read_bytes, facts.cpu_ms);
        }
        self.state = Some(facts.state);
    }

    /// Whether something was read, or computed, since time was last asked for.
    fn gets_on(&self, facts: &Facts) -> bool {
        let first = self.state != Some(facts.state);
        first || facts.read_bytes > self.read_bytes || facts.cpu_ms >= self.cpu_ms + PROGRESS_CPU_MS
    }

    /// Whether all workers have made turns. While it stops they end one by one: the limit is that of the stop then.
    fn is_alive(&self, facts: &Facts) -> bool {
        match facts.state {
            ServerState::Starting | ServerState::Recovering => false,
            ServerState::Stopping => true,
            ServerState::Serving => {
                self.fed.len() != facts.turns.len()
                    || self.fed.iter().zip(&facts.turns).all(|(fed, now)| fed != now)
            }
        }
    }
}

fn status(facts: &Facts) -> String {
    match facts.state {
        ServerState::Starting => "Starting".to_owned(),
        ServerState::Recovering => format!(
            "Recovering: {} MiB read, {} s of processor time",
            facts.read_bytes >> 20,
            facts.cpu_ms / 1000
        ),
        ServerState::Serving => format!("Serving {} clients", facts.clients),
        ServerState::Stopping => "Stopping: finishing what was begun".to_owned(),
    }
}

/// The service manager's ear.
#[derive(Debug)]
pub(super) struct ServiceManager {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
    story: Story,
}

impl ServiceManager {
    /// As the environment says; none where no service manager listens.
    ///
    /// # Errors
    /// An address that is none, or no socket.
    pub(super) fn of_environment() -> io::Result<Option<Self>> {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| is_ours && *usec > 0).map(Duration::from_micros);
        Self::new(&name, watchdog).map(Some)
    }

    fn new(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address, watchdog, story: Story::default() })
    }

    /// Tells what has changed. What cannot be told now is told the next time.
    pub(super) fn tell(&mut self, server: &Server) {
        let facts = Facts::of(server);
        let text = self.story.next(&facts, self.watchdog.is_some());
        if text.is_empty() {
            return;
        }
        match self.socket.send_to_addr(text.as_bytes(), &self.address) {
            Ok(_) => self.story.told(&facts),
            Err(error) => tracing::debug!(%error, "the service manager does not listen now"),
        }
    }

    /// Tells again and again. Ends only when dropped.
    pub(super) async fn serve(&mut self, server: &Server) {
        let quarter = self.watchdog.map_or(NOTIFY_TICK, |watchdog| watchdog / 4);
        let serving = quarter.clamp(NOTIFY_TICK_MIN, NOTIFY_TICK);
        loop {
            self.tell(server);
            let is_serving = server.state() == ServerState::Serving;
            tokio::time::sleep(if is_serving { serving } else { START_TICK }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ServerState::{Recovering, Serving, Starting, Stopping};

    fn facts(state: ServerState, turns: &[u64]) -> Facts {
        Facts { state, clients: 3, turns: turns.to_vec(), read_bytes: 5 << 20, cpu_ms: 2000 }
    }

    /// Says it, and that it was said.
    fn say(story: &mut Story, facts: &Facts) -> String {
        let text = story.next(facts, true);
        story.told(facts);
        text
    }

    #[test]
    fn a_life_is_told_once() {
        let mut story = Story::default();
        assert!(say(&mut story, &facts(Starting, &[0])).starts_with("STATUS=Starting\nEXTEND_TIMEOUT_USEC="));
        let recovering = say(&mut story, &facts(Recovering, &[0]));
        assert!(recovering.starts_with("STATUS=Recovering: 5 MiB read, 2 s of"), "{recovering}");
        assert!(recovering.ends_with("EXTEND_TIMEOUT_USEC=30000000"), "{recovering}");
        assert_eq!(say(&mut story, &facts(Serving, &[1])), "READY=1\nSTATUS=Serving 3 clients\nWATCHDOG=1");
        assert_eq!(say(&mut story, &facts(Serving, &[2])), "WATCHDOG=1");
        let stopping = say(&mut story, &facts(Stopping, &[2]));
        assert!(stopping.starts_with("STOPPING=1\nSTATUS=Stopping"), "{stopping}");
        assert_eq!(say(&mut story, &facts(Stopping, &[2])), "WATCHDOG=1");
    }

    #[test]
    fn a_worker_that_makes_no_turn_starves_the_watchdog() {
        let mut story = Story::default();
        say(&mut story, &facts(Serving, &[7, 7]));
        assert_eq!(say(&mut story, &facts(Serving, &[8, 7])), "");
        assert_eq!(say(&mut story, &facts(Serving, &[9, 7])), "", "one is not enough, however often");
        assert_eq!(say(&mut story, &facts(Serving, &[9, 8])), "WATCHDOG=1");
        assert_eq!(say(&mut story, &facts(Serving, &[0, 0])), "WATCHDOG=1", "figures that were set back");
    }

    #[test]
    fn a_start_that_does_not_get_on_gets_no_more_time() {
        let mut story = Story::default();
        let mut now = facts(Recovering, &[0]);
        say(&mut story, &now);
        assert_eq!(say(&mut story, &now), "");
        now.cpu_ms += PROGRESS_CPU_MS - 1;
        assert_eq!(say(&mut story, &now), "");
        now.cpu_ms += 1;
        assert!(say(&mut story, &now).contains("EXTEND_TIMEOUT_USEC"));
        now.read_bytes += 1;
        assert!(say(&mut story, &now).contains("EXTEND_TIMEOUT_USEC"));
    }

    #[test]
    fn paths_and_abstract_names_are_heard() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("notify");
        let named = UnixDatagram::bind(&path).unwrap();
        let name = format!("ouro-test-{}", std::process::id());
        let hidden = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let (server, _stops) =
            Server::new(crate::options::Options::for_tests(), [0; 20], shard::types::UnixMs(1));
        for (name, ear) in [(path.into_os_string(), named), (format!("@{name}").into(), hidden)] {
            ServiceManager::new(&name, None).unwrap().tell(&server);
            let mut heard = [0; 200];
            let count = ear.recv(&mut heard).unwrap();
            assert!(heard[..count].starts_with(b"STATUS=Starting\n"));
        }
    }
}
