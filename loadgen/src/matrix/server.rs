//! A server of a matrix: started on its processors in a folder of its own, waited for, stopped. Nothing started here
//! outlives its owner, and nothing else is ever stopped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::control::Control;
use crate::plan::Session;
use crate::target::Target;

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Server {
    /// Starts it with its folder below `base`, and waits until it answers.
    ///
    /// # Errors
    /// A sentence for the user, with the end of what the server wrote.
    pub fn start(command: &[String], cpus: &[usize], base: &Path) -> Result<Self, String> {
        let dir = base.join("data");
        let (socket, log) = (base.join("s.sock"), base.join("log"));
        fs::create_dir_all(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
        let words = filled(command, &dir, &socket, cpus);
        let (program, arguments) = words.split_first().ok_or("an empty command")?;
        let child = spawn(Command::new(program).args(arguments), cpus, &log)
            .map_err(|error| format!("{program} does not start: {error}"))?;
        let mut server = Self { child, socket, log };
        server.wait_until_serving()?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_serving(&mut self) -> Result<(), String> {
        let started = Instant::now();
        let session = Session { user: None, pass: None, resp3: false, db: 0 };
        let target = Target::Unix(self.socket.clone());
        loop {
            if Control::open(&target, &session).is_ok_and(|mut control| control.info().is_ok()) {
                return Ok(());
            }
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if let Some(status) = ended {
                return Err(format!("the server ended while it started ({status}):\n{}", self.log_tail()));
            }
            if started.elapsed() > START_TIME_MAX {
                return Err(format!(
                    "the server does not answer after {START_TIME_MAX:?}:\n{}",
                    self.log_tail()
                ));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Asks it to end (SIGTERM) and waits; what is still there after a while is killed.
    ///
    /// # Errors
    /// A sentence when it had ended before, or had to be killed.
    pub fn stop(mut self) -> Result<(), String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Err(format!("the server had ended during the run ({status}):\n{}", self.log_tail()));
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("a child has an id")?;
        // Until it is waited for, the id is its own, even if it has ended.
        kill_process(pid, Signal::TERM).map_err(|error| error.to_string())?;
        let asked = Instant::now();
        while asked.elapsed() < STOP_TIME_MAX {
            if self.child.try_wait().map_err(|error| error.to_string())?.is_some() {
                return Ok(());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Err(format!("the server did not stop within {STOP_TIME_MAX:?}:\n{}", self.log_tail()))
    }

    fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn filled(command: &[String], dir: &Path, socket: &Path, cpus: &[usize]) -> Vec<String> {
    let all: Vec<usize> = (0..std::thread::available_parallelism().map_or(1, usize::from)).collect();
    let cpus = if cpus.is_empty() { &all } else { cpus };
    let list: Vec<String> = cpus.iter().map(ToString::to_string).collect();
    let fill = |word: &String| {
        word.replace("{dir}", &dir.display().to_string())
            .replace("{socket}", &socket.display().to_string())
            .replace("{cpus}", &list.join(","))
    };
    command.iter().map(fill).collect()
}

fn spawn(command: &mut Command, cpus: &[usize], log: &Path) -> io::Result<Child> {
    let out = fs::File::create(log)?;
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
    on_processors(cpus, || command.spawn())
}

/// Starts a child on these processors; on any when there are none. Children inherit the processors of the thread that
/// starts them, before they have threads of their own.
///
/// # Errors
/// Those of the system and of `start`.
pub fn on_processors<T>(cpus: &[usize], start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if cpus.is_empty() {
        return start();
    }
    let before = sched_getaffinity(None)?;
    let mut set = CpuSet::new();
    cpus.iter().for_each(|&cpu| set.set(cpu));
    sched_setaffinity(None, &set)?;
    let started = start();
    sched_setaffinity(None, &before)?;
    started
}

const START_TIME_MAX: Duration = Duration::from_secs(30);
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
const LOG_TAIL_BYTES: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in() {
        let words = ["x", "--s={socket}", "{dir}", "{cpus}"].map(str::to_owned);
        let filled = filled(&words, Path::new("/d"), Path::new("/s"), &[2, 3]);
        assert_eq!(filled, ["x", "--s=/s", "/d", "2,3"]);
    }

    #[test]
    fn a_server_that_ends_at_once_is_told_with_its_last_words() {
        let base = tempfile::tempdir().unwrap();
        let words = ["sh", "-c", "echo no luck; exit 7"].map(str::to_owned);
        let error = Server::start(&words, &[0], base.path()).unwrap_err();
        assert!(error.contains("no luck") && error.contains('7'), "{error}");
        let error = Server::start(&["/no/such/program".to_owned()], &[], base.path()).unwrap_err();
        assert!(error.contains("/no/such/program does not start"), "{error}");
    }
}
