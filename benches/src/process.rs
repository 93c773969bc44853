//! Child processes: pinned to cores, ended by their own id, looked at in /proc.
//!
//! Rule: nothing is ever killed but what was started here, and nothing started here outlives its owner.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::limits::POLL_INTERVAL;

/// A child; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program on these cores only (all allowed ones when the list is empty), its output in `log`.
    ///
    /// # Errors
    /// When the program or the file cannot be opened, or a core is not there.
    pub fn start(command: &mut Command, cpus: &[usize], log: &Path) -> io::Result<Self> {
        let out = fs::File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        Ok(Self { child: pinned(cpus, || command.spawn())? })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    /// Those of the system.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends it at once (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// Those of the system.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits; what is still running after `time_max` is killed.
    ///
    /// # Errors
    /// `TimedOut` when it had to be killed.
    pub fn stop(&mut self, time_max: Duration) -> io::Result<ExitStatus> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has an id");
        // Until it is waited for, the id is its own, even if it has ended.
        kill_process(pid, Signal::TERM)?;
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if started.elapsed() > time_max {
                self.kill()?;
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("did not stop within {time_max:?}"),
                ));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        let _ = self.kill();
    }
}

/// Runs `spawn` with the calling thread on these cores: children inherit its set, before they have threads.
pub fn pinned<T>(cpus: &[usize], spawn: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if cpus.is_empty() {
        return spawn();
    }
    let before = sched_getaffinity(None)?;
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    sched_setaffinity(None, &set)?;
    let result = spawn();
    sched_setaffinity(None, &before)?;
    result
}

/// An exit in words: `exit code 3`, `killed by signal 9`.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    }
}

/// User and system time of a process with all its threads, in seconds since it started. Its grain is the kernel's
/// clock tick, 10 ms.
#[must_use]
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    parse_cpu_ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
        .map(|ticks| ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Fields 14 and 15, counted after the name, which may itself hold spaces and brackets.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// Resident memory of a process in bytes.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The most resident memory that a process has had, in bytes.
#[must_use]
pub fn resident_bytes_max(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(cpus: &[usize]) -> Process {
        let log = tempfile::NamedTempFile::new().unwrap();
        Process::start(Command::new("sleep").arg("60"), cpus, log.path()).unwrap()
    }

    #[test]
    fn a_child_is_on_its_core_and_the_parent_is_not_bound() {
        let before = sched_getaffinity(None).unwrap();
        let child = sleeper(&[0]);
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        assert!(status.lines().any(|line| line == "Cpus_allowed_list:\t0"), "{status}");
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }

    #[test]
    fn a_child_ends_when_asked_and_when_dropped() {
        let mut child = sleeper(&[]);
        assert!(child.ended().unwrap().is_none());
        let status = child.stop(Duration::from_secs(10)).unwrap();
        assert_eq!(describe(status), "killed by signal 15");
        let child = sleeper(&[]);
        let id = child.id();
        drop(child);
        assert_eq!(resident_bytes(id), None);
    }

    #[test]
    fn cpu_time_is_read_behind_a_name_with_brackets() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 70 0 0 20 0 3 0 100 1 1";
        assert_eq!(parse_cpu_ticks(stat), Some(320));
        assert_eq!(parse_cpu_ticks("42 (x) S 1 2"), None);
        assert!(cpu_seconds(std::process::id()).is_some());
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        assert!(resident_bytes_max(std::process::id()) >= resident_bytes(std::process::id()));
    }
}
